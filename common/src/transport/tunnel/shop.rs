//! A shop's end: one socket for QUIC, and a stream under it that is made again when it breaks.

use std::io::{self, IoSliceMut};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use quinn::udp::{RecvMeta, Transmit};
use quinn::{AsyncUdpSocket, Endpoint, EndpointConfig, UdpPoller};
use tokio::sync::{Notify, mpsc};
use tokio::time::Instant;

use super::carry::{Arrived, Ended, Patience, carry};
use super::error::TunnelError;
use super::outer::{self, OuterStream};
use super::queue::Outgoing;
use super::receive;
use crate::limits::{
    DATAGRAMS_AT_ONCE, IDLE_TIMEOUT_SECS, TUNNEL_ARRIVALS, TUNNEL_SHOP_QUEUE_BYTES, TUNNEL_SILENCE_SECS,
};
use crate::transport::carrier::Carrier;
use crate::transport::endpoint::quic_client;
use crate::transport::platform::Platform;
use crate::transport::tls::{Identity, Trust};
use crate::transport::tuning::{self, short_bursts};

/// An endpoint that speaks through a tunnel, as long as this is held.
#[derive(Debug)]
pub(in crate::transport) struct Tunnelled {
    pub(in crate::transport) endpoint: Endpoint,
    mover: tokio::task::JoinHandle<()>,
}

impl Drop for Tunnelled {
    fn drop(&mut self) {
        // It holds the endpoint.
        self.mover.abort();
    }
}

/// Makes a tunnel to `at`, and an endpoint for the connection in it.
pub(in crate::transport) async fn open(
    platform: &Platform,
    trust: &Trust,
    identity: Option<&Identity>,
    at: SocketAddr,
) -> Result<Tunnelled, TunnelError> {
    let stream = outer::open(platform, trust, at).await?;
    let (sender, arrivals) = mpsc::channel(TUNNEL_ARRIVALS);
    let socket = Arc::new(ShopSocket {
        outgoing: Arc::new(Outgoing::new(TUNNEL_SHOP_QUEUE_BYTES)),
        arrivals: Mutex::new(arrivals),
        at,
    });
    let unusable = |error: &dyn std::fmt::Display| TunnelError::Unusable(error.to_string());
    let config = quic_client(platform, Carrier::Tcp, trust, identity).map_err(|error| unusable(&error))?;
    let mut endpoint = tuning::open(
        &*platform.sockets,
        Carrier::Tcp,
        Arc::clone(&socket) as Arc<dyn AsyncUdpSocket>,
        EndpointConfig::default(),
        None,
    )
    .map_err(|error| unusable(&error))?;
    endpoint.set_default_client_config(config);
    let moved = Arc::new(Notify::new());
    let keeper = Keeper {
        platform: platform.clone(),
        trust: trust.clone(),
        at,
        outgoing: Arc::clone(&socket.outgoing),
        arrivals: sender,
        moved: Arc::clone(&moved),
    };
    tokio::spawn(keeper.keep(stream));
    let mover = tokio::spawn(follow(endpoint.clone(), Arc::downgrade(&socket), moved));
    Ok(Tunnelled { endpoint, mover })
}

/// Tells QUIC whenever it stands on a new stream: it says at once where it is now, and the coordinator goes on there.
async fn follow(endpoint: Endpoint, socket: std::sync::Weak<ShopSocket>, moved: Arc<Notify>) {
    loop {
        moved.notified().await;
        let Some(socket) = socket.upgrade() else { return };
        if let Err(error) = endpoint.rebind_abstract(short_bursts(socket)) {
            tracing::warn!(%error, "the connection could not be moved to its new tunnel");
        }
    }
}

/// Keeps a stream under the socket.
struct Keeper {
    platform: Platform,
    trust: Trust,
    at: SocketAddr,
    outgoing: Arc<Outgoing>,
    arrivals: mpsc::Sender<Arrived>,
    moved: Arc<Notify>,
}

impl Keeper {
    /// Until QUIC has gone, or has lost its connection because no stream came about.
    async fn keep(self, mut stream: OuterStream) {
        let mut wait = FIRST_WAIT;
        loop {
            let begun = Instant::now();
            let ended = carry(stream, &self.outgoing, (self.at, &self.arrivals), PATIENCE).await;
            if matches!(ended, Ended::Done) || self.is_over() {
                return;
            }
            tracing::info!(at = %self.at, %ended, "the tunnel over TCP broke, making another");
            if begun.elapsed() > LIVED {
                wait = FIRST_WAIT;
            }
            let Some(again) = self.again(&mut wait).await else {
                return;
            };
            stream = again;
            self.moved.notify_one();
        }
    }

    /// The next stream; none when it is too late for one.
    async fn again(&self, wait: &mut Duration) -> Option<OuterStream> {
        let too_late = Instant::now() + Duration::from_secs(IDLE_TIMEOUT_SECS);
        while Instant::now() < too_late && !self.is_over() {
            tokio::time::sleep(*wait).await;
            *wait = (*wait * 2).min(LONGEST_WAIT);
            match outer::open(&self.platform, &self.trust, self.at).await {
                Ok(stream) => return Some(stream),
                Err(error) => tracing::info!(at = %self.at, %error, "no tunnel"),
            }
        }
        None
    }

    fn is_over(&self) -> bool {
        self.outgoing.is_closed() || self.arrivals.is_closed()
    }
}

/// What QUIC takes for a UDP socket whose only peer is the coordinator.
#[derive(Debug)]
struct ShopSocket {
    outgoing: Arc<Outgoing>,
    arrivals: Mutex<mpsc::Receiver<Arrived>>,
    at: SocketAddr,
}

impl Drop for ShopSocket {
    fn drop(&mut self) {
        self.outgoing.close();
    }
}

impl AsyncUdpSocket for ShopSocket {
    fn create_io_poller(self: Arc<Self>) -> Pin<Box<dyn UdpPoller>> {
        Box::pin(Room(Arc::clone(&self.outgoing)))
    }

    fn try_send(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        match self.outgoing.put(transmit) {
            true => Ok(()),
            false => Err(io::ErrorKind::WouldBlock.into()),
        }
    }

    fn poll_recv(
        &self,
        cx: &mut Context<'_>,
        bufs: &mut [IoSliceMut<'_>],
        meta: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        let mut arrivals = self.arrivals.lock().unwrap_or_else(PoisonError::into_inner);
        receive(&mut arrivals, cx, bufs, meta)
    }

    /// Of the coordinator's family.
    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(match self.at {
            SocketAddr::V4(_) => (std::net::Ipv4Addr::UNSPECIFIED, 0).into(),
            SocketAddr::V6(_) => (std::net::Ipv6Addr::UNSPECIFIED, 0).into(),
        })
    }

    fn max_transmit_segments(&self) -> usize {
        DATAGRAMS_AT_ONCE
    }

    fn may_fragment(&self) -> bool {
        false
    }
}

/// Waits for room.
#[derive(Debug)]
struct Room(Arc<Outgoing>);

impl UdpPoller for Room {
    fn poll_writable(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.poll_room(cx).map(Ok)
    }
}

/// QUIC says something every few seconds, and the coordinator answers.
const PATIENCE: Patience = Patience {
    first: Duration::from_secs(TUNNEL_SILENCE_SECS),
    later: Duration::from_secs(TUNNEL_SILENCE_SECS),
};
const FIRST_WAIT: Duration = Duration::from_millis(50);
const LONGEST_WAIT: Duration = Duration::from_secs(4);
/// A stream that lived so long was a good one.
const LIVED: Duration = Duration::from_secs(5);
