//! The coordinator's end: listeners, a tunnel each for many peers, and one socket for QUIC over all of them.

use std::collections::HashMap;
use std::future::poll_fn;
use std::io::{self, IoSliceMut};
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::task::{Context, Poll};
use std::time::Duration;

use quinn::udp::{RecvMeta, Transmit};
use quinn::{AsyncUdpSocket, Endpoint, UdpPoller};
use tokio::sync::{mpsc, watch};
use tokio_rustls::TlsAcceptor;

use super::carry::{Arrived, Patience, carry};
use super::outer::HANDSHAKE;
use super::queue::Outgoing;
use super::{ALPN, receive};
use crate::clock::Clock;
use crate::limits::{
    DATAGRAMS_AT_ONCE, HANDSHAKE_SECS, IDLE_TIMEOUT_SECS, TUNNEL_ARRIVALS, TUNNEL_QUEUE_BYTES,
};
use crate::transport::admission::{Door, DoorRules, Verdict, address_of};
use crate::transport::carrier::Carrier;
use crate::transport::endpoint::quic_server;
use crate::transport::error::TransportError;
use crate::transport::platform::{ByteStream, Platform, StreamListener};
use crate::transport::reset::ResetKey;
use crate::transport::tls::{Identity, server_tls};
use crate::transport::tuning;

/// How many tunnels are let in.
#[derive(Clone, Copy, Debug)]
pub struct TunnelRules {
    /// At once.
    pub most: usize,
    /// Of these, from one address (IPv6: a /64).
    pub per_address: usize,
    /// Their handshakes.
    pub door: DoorRules,
}

/// The endpoint whose connections come through tunnels.
#[derive(Clone)]
pub struct TunnelServer {
    endpoint: Endpoint,
    hub: Arc<Hub>,
    platform: Platform,
    listening: Vec<SocketAddr>,
}

impl TunnelServer {
    /// Listens for tunnels at `addresses`, at least one; peers inside them are let in as over UDP, once
    /// [`Self::serve`] has said by which authorities.
    ///
    /// # Errors
    /// When an address is taken, or certificate or key are of no use.
    pub fn bind(
        platform: &Platform,
        addresses: &[SocketAddr],
        identity: &Identity,
        ca: &[u8],
        resets: ResetKey,
        rules: TunnelRules,
    ) -> Result<Self, TransportError> {
        let tls = server_tls(platform, identity, &[], ALPN)?;
        let config = quic_server(platform, Carrier::Tcp, identity, &[ca.to_vec()])?;
        let mut listeners = Vec::new();
        for address in addresses {
            listeners.push(listen(platform, *address)?);
        }
        let unheard = |source| TransportError::Bind {
            carrier: Carrier::Tcp,
            address: addresses.first().copied().unwrap_or(UNKNOWN),
            source,
        };
        let listening = listeners.iter().map(|listener| listener.local_addr());
        let listening: Vec<SocketAddr> = listening.collect::<io::Result<_>>().map_err(unheard)?;
        let (sender, arrivals) = mpsc::channel(TUNNEL_ARRIVALS);
        let hub = Arc::new(Hub {
            tunnels: Mutex::default(),
            places: Mutex::default(),
            door: Mutex::new(Door::new(rules.door)),
            rules,
            arrivals: sender,
            tls: RwLock::new(Arc::new(tls)),
            clock: Arc::clone(&platform.clock),
            closed: watch::Sender::new(false),
        });
        let socket = HubSocket {
            hub: Arc::clone(&hub),
            arrivals: Mutex::new(arrivals),
            local: listening.first().copied().unwrap_or(UNKNOWN),
        };
        let endpoint = tuning::open(
            &*platform.sockets,
            Carrier::Tcp,
            Arc::new(socket),
            resets.endpoint_config(),
            Some(config),
        )
        .map_err(unheard)?;
        for listener in listeners {
            tokio::spawn(accept(listener, Arc::clone(&hub)));
        }
        Ok(Self {
            endpoint,
            hub,
            platform: platform.clone(),
            listening,
        })
    }

    /// Where connections come in.
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// Where it listens.
    pub fn listening(&self) -> &[SocketAddr] {
        &self.listening
    }

    /// Tunnels at this moment, their handshakes included.
    pub fn open_tunnels(&self) -> usize {
        self.hub.places().values().sum()
    }

    /// Who the coordinator is from here on, and whom it lets in, for tunnels and connections to come.
    ///
    /// # Errors
    /// When certificate or key are of no use.
    pub fn serve(&self, identity: &Identity, cas: &[Vec<u8>]) -> Result<(), TransportError> {
        let tls = server_tls(&self.platform, identity, &[], ALPN)?;
        let config = quic_server(&self.platform, Carrier::Tcp, identity, cas)?;
        *self.hub.tls.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(tls);
        self.endpoint.set_server_config(Some(config));
        Ok(())
    }
}

fn listen(platform: &Platform, address: SocketAddr) -> Result<Box<dyn StreamListener>, TransportError> {
    let carrier = Carrier::Tcp;
    platform
        .sockets
        .listen(address)
        .map_err(|source| match source.kind() {
            io::ErrorKind::AddrInUse => TransportError::Taken { carrier, address },
            _ => TransportError::Bind {
                carrier,
                address,
                source,
            },
        })
}

/// What listeners, tunnels and QUIC's socket share.
struct Hub {
    /// By the address of the TCP peer, which is where QUIC takes its peer to be.
    tunnels: Mutex<HashMap<SocketAddr, Arc<Outgoing>>>,
    /// How many each address holds.
    places: Mutex<HashMap<IpAddr, usize>>,
    door: Mutex<Door>,
    rules: TunnelRules,
    arrivals: mpsc::Sender<Arrived>,
    tls: RwLock<Arc<rustls::ServerConfig>>,
    clock: Arc<dyn Clock>,
    closed: watch::Sender<bool>,
}

impl std::fmt::Debug for Hub {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Hub of {} tunnels", self.tunnels().len())
    }
}

impl Hub {
    fn tunnels(&self) -> MutexGuard<'_, HashMap<SocketAddr, Arc<Outgoing>>> {
        self.tunnels.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn places(&self) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place for a peer, within what all may have, what its address may have, and how often it may knock: TCP has shown
    /// that it is there.
    fn place(self: &Arc<Self>, from: IpAddr) -> Option<Place> {
        let address = address_of(from);
        let mut places = self.places();
        let all: usize = places.values().sum();
        let of_address = places.get(&address).copied().unwrap_or(0);
        if all >= self.rules.most || of_address >= self.rules.per_address {
            return None;
        }
        let mut door = self.door.lock().unwrap_or_else(PoisonError::into_inner);
        // How many are open, was asked above.
        if door.knock(self.clock.now(), from, true, 0) != Verdict::Take {
            return None;
        }
        *places.entry(address).or_default() += 1;
        Some(Place {
            hub: Arc::clone(self),
            address,
        })
    }
}

/// A tunnel's place among those that are let in.
struct Place {
    hub: Arc<Hub>,
    address: IpAddr,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut places = self.hub.places();
        if let Some(held) = places.get_mut(&self.address) {
            *held -= 1;
            if *held == 0 {
                places.remove(&self.address);
            }
        }
    }
}

/// Lets peers in, until QUIC has gone.
async fn accept(mut listener: Box<dyn StreamListener>, hub: Arc<Hub>) {
    let mut closed = hub.closed.subscribe();
    loop {
        let accepted = tokio::select! {
            accepted = poll_fn(|cx| listener.poll_accept(cx)) => accepted,
            _ = closed.wait_for(|closed| *closed) => return,
        };
        match accepted {
            Ok((stream, from)) => match hub.place(from.ip()) {
                Some(place) => drop(tokio::spawn(serve(stream, from, place))),
                None => tracing::info!(%from, "too many tunnels: one was turned away"),
            },
            Err(error) => {
                // Of one peer that has gone, or of a process that has no more files to open: others may do better.
                tracing::warn!(%error, "a TCP connection was not taken");
                tokio::time::sleep(BREATH).await;
            }
        }
    }
}

/// Shakes hands, and carries datagrams to the end.
async fn serve(stream: Box<dyn ByteStream>, from: SocketAddr, place: Place) {
    let hub = &place.hub;
    let tls = Arc::clone(&hub.tls.read().unwrap_or_else(PoisonError::into_inner));
    let stream = match tokio::time::timeout(HANDSHAKE, TlsAcceptor::from(tls).accept(stream)).await {
        Ok(Ok(stream)) if stream.get_ref().1.alpn_protocol() == Some(ALPN) => stream,
        Ok(Ok(_)) => return tracing::info!(%from, "somebody who wants no tunnel spoke TLS"),
        Ok(Err(error)) => return tracing::info!(%from, %error, "no handshake over TCP"),
        Err(_) => return tracing::info!(%from, "a handshake over TCP took too long"),
    };
    let outgoing = Arc::new(Outgoing::new(TUNNEL_QUEUE_BYTES));
    {
        let mut tunnels = hub.tunnels();
        // Two listeners may see the same port of two machines behind one address: the second comes again from another.
        if tunnels.contains_key(&from) {
            return tracing::info!(%from, "there is a tunnel from there already");
        }
        tunnels.insert(from, Arc::clone(&outgoing));
    }
    if *hub.closed.borrow() {
        outgoing.close();
    }
    let ended = carry(stream, &outgoing, (from, &hub.arrivals), PATIENCE).await;
    hub.tunnels().remove(&from);
    tracing::info!(%from, %ended, "a tunnel ended");
}

/// What QUIC takes for a UDP socket.
#[derive(Debug)]
struct HubSocket {
    hub: Arc<Hub>,
    arrivals: Mutex<mpsc::Receiver<Arrived>>,
    local: SocketAddr,
}

impl Drop for HubSocket {
    fn drop(&mut self) {
        self.hub.closed.send_replace(true);
        self.hub.tunnels().values().for_each(|outgoing| outgoing.close());
    }
}

impl AsyncUdpSocket for HubSocket {
    fn create_io_poller(self: Arc<Self>) -> Pin<Box<dyn UdpPoller>> {
        Box::pin(AlwaysReady)
    }

    /// What has no room in its tunnel, or no tunnel any more, is lost, as on any line: here it is not known who asks, so that
    /// waiting for one peer would be waiting for all. There is room for more than a connection may have unacknowledged.
    fn try_send(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        let outgoing = self.hub.tunnels().get(&transmit.destination).cloned();
        if let Some(outgoing) = outgoing
            && !outgoing.put(transmit)
        {
            tracing::debug!(to = %transmit.destination, "a tunnel is full");
        }
        Ok(())
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

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.local)
    }

    fn max_transmit_segments(&self) -> usize {
        DATAGRAMS_AT_ONCE
    }

    fn may_fragment(&self) -> bool {
        false
    }
}

#[derive(Debug)]
struct AlwaysReady;

impl UdpPoller for AlwaysReady {
    fn poll_writable(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// QUIC says something every few seconds, whatever its peer has to do.
const PATIENCE: Patience = Patience {
    first: Duration::from_secs(HANDSHAKE_SECS),
    later: Duration::from_secs(IDLE_TIMEOUT_SECS),
};
const BREATH: Duration = Duration::from_millis(100);
const UNKNOWN: SocketAddr = SocketAddr::new(IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED), 0);
