//! How QUIC is set up for big blocks between few peers, within a stated bound on memory.

use std::io::{self, IoSliceMut};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use quinn::congestion::CubicConfig;
use quinn::udp::{RecvMeta, Transmit};
use quinn::{
    AsyncUdpSocket, Endpoint, EndpointConfig, IdleTimeout, MtuDiscoveryConfig, ServerConfig, TokioRuntime,
    TransportConfig, UdpPoller, VarInt,
};

use super::carrier::Carrier;
use super::error::TransportError;
use super::platform::Sockets;
use crate::limits::{
    CONNECTION_WINDOW_BYTES, DATAGRAMS_AT_ONCE, IDLE_TIMEOUT_SECS, KEEP_ALIVE_SECS, MAX_DATAGRAM_BYTES,
    MAX_STREAMS, STREAM_WINDOW_BYTES, TUNNEL_DATAGRAM_BYTES, TUNNEL_SHOP_QUEUE_BYTES,
};

/// An endpoint that takes datagrams larger than the Internet's, for links that carry them.
///
/// # Errors
/// When the address is taken or is not this machine's.
pub(super) fn bind(
    sockets: &dyn Sockets,
    address: SocketAddr,
    config: EndpointConfig,
    server: Option<ServerConfig>,
) -> Result<Endpoint, TransportError> {
    let socket = sockets.bind(address);
    let open = socket.and_then(|socket| open(sockets, Carrier::Udp, socket, config, server));
    open.map_err(|source: io::Error| match source.kind() {
        io::ErrorKind::AddrInUse => TransportError::Taken {
            carrier: Carrier::Udp,
            address,
        },
        _ => TransportError::Bind {
            carrier: Carrier::Udp,
            address,
            source,
        },
    })
}

/// An endpoint on a socket.
pub(super) fn open(
    sockets: &dyn Sockets,
    carrier: Carrier,
    socket: Arc<dyn AsyncUdpSocket>,
    mut config: EndpointConfig,
    server: Option<ServerConfig>,
) -> io::Result<Endpoint> {
    config
        .max_udp_payload_size(largest(carrier))
        .map_err(io::Error::other)?;
    config.rng_seed(sockets.seed());
    Endpoint::new_with_abstract_socket(config, server, short_bursts(socket), Arc::new(TokioRuntime))
}

/// The socket as endpoints are given it.
pub(super) fn short_bursts(socket: Arc<dyn AsyncUdpSocket>) -> Arc<dyn AsyncUdpSocket> {
    Arc::new(ShortBursts(socket))
}

fn largest(carrier: Carrier) -> u16 {
    match carrier {
        Carrier::Udp => MAX_DATAGRAM_BYTES,
        Carrier::Tcp => TUNNEL_DATAGRAM_BYTES,
    }
}

/// The same for both ends: either may send and receive models.
pub(super) fn transport(carrier: Carrier) -> TransportConfig {
    let idle = Duration::from_secs(IDLE_TIMEOUT_SECS);
    let idle = IdleTimeout::try_from(idle).unwrap_or(VarInt::from_u32(30_000).into());
    let mut config = TransportConfig::default();
    config
        .max_concurrent_bidi_streams(MAX_STREAMS.into())
        .max_concurrent_uni_streams(0u32.into())
        .datagram_receive_buffer_size(None)
        .stream_receive_window(STREAM_WINDOW_BYTES.into())
        .receive_window(CONNECTION_WINDOW_BYTES.into())
        .send_window(u64::from(CONNECTION_WINDOW_BYTES))
        .max_idle_timeout(Some(idle))
        .keep_alive_interval(Some(Duration::from_secs(KEEP_ALIVE_SECS)));
    match carrier {
        Carrier::Udp => {
            let mut mtu = MtuDiscoveryConfig::default();
            mtu.upper_bound(MAX_DATAGRAM_BYTES);
            config.mtu_discovery_config(Some(mtu));
        }
        Carrier::Tcp => {
            // Known, whatever is lost when a tunnel breaks; and how fast the line is, TCP finds out.
            let mut pace = CubicConfig::default();
            pace.initial_window(TUNNEL_SHOP_QUEUE_BYTES as u64);
            config
                .initial_mtu(TUNNEL_DATAGRAM_BYTES)
                .min_mtu(TUNNEL_DATAGRAM_BYTES)
                .mtu_discovery_config(None)
                .congestion_controller_factory(Arc::new(pace));
        }
    }
    config
}

/// A socket that takes few datagrams at once: each connection keeps a buffer for as many as long as it lives, which a
/// coordinator of many shops pays for each of them.
#[derive(Debug)]
struct ShortBursts(Arc<dyn AsyncUdpSocket>);

impl AsyncUdpSocket for ShortBursts {
    fn create_io_poller(self: Arc<Self>) -> Pin<Box<dyn UdpPoller>> {
        Arc::clone(&self.0).create_io_poller()
    }

    fn try_send(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        self.0.try_send(transmit)
    }

    fn poll_recv(
        &self,
        cx: &mut Context<'_>,
        bufs: &mut [IoSliceMut<'_>],
        meta: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        self.0.poll_recv(cx, bufs, meta)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }

    fn max_transmit_segments(&self) -> usize {
        self.0.max_transmit_segments().min(DATAGRAMS_AT_ONCE)
    }

    fn max_receive_segments(&self) -> usize {
        self.0.max_receive_segments()
    }

    fn may_fragment(&self) -> bool {
        self.0.may_fragment()
    }
}

#[cfg(test)]
mod tests {
    use super::super::platform::SystemSockets;
    use super::*;

    #[test]
    fn one_stalled_stream_leaves_room_for_others() {
        const { assert!(STREAM_WINDOW_BYTES < CONNECTION_WINDOW_BYTES) };
    }

    #[test]
    fn datagrams_at_once_fit_what_the_system_takes() {
        const { assert!(MAX_DATAGRAM_BYTES as usize * DATAGRAMS_AT_ONCE <= 65_507) };
    }

    #[tokio::test]
    async fn a_taken_port_is_named() {
        let any = ([127, 0, 0, 1], 0).into();
        let bound = |address| bind(&SystemSockets, address, EndpointConfig::default(), None);
        let first = bound(any).unwrap();
        let address = first.local_addr().unwrap();
        let error = bound(address).unwrap_err();
        assert!(matches!(error, TransportError::Taken { address: named, .. } if named == address));
        assert!(error.to_string().contains(&address.to_string()));
        // Of the net that is kept for documentation: no machine's own.
        let foreign = bound(([192, 0, 2, 1], 0).into()).unwrap_err();
        assert!(matches!(foreign, TransportError::Bind { .. }));
    }
}
