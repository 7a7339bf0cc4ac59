//! What drivers stand on: a clock and sockets. The machine's own, or a simulation's, in which a day takes seconds and lines
//! lose what they are told to lose; nothing else tells the two apart.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::{fmt, io};

use quinn::udp::UdpSocketState;
use quinn::{AsyncUdpSocket, Runtime, TokioRuntime};
use rustls::pki_types::UnixTime;
use rustls::time_provider::TimeProvider;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Handle, RuntimeFlavor};

use super::ways::Ways;
use crate::clock::{Clock, SystemClock};
use crate::limits::SOCKET_BUFFER_BYTES;

/// A clock and sockets. Whatever waits, waits by tokio's time: a simulated clock has to follow that.
#[derive(Clone)]
pub struct Platform {
    /// The time that decides: deadlines, validity of certificates and invitations.
    pub clock: Arc<dyn Clock>,
    /// Where datagrams and streams go.
    pub sockets: Arc<dyn Sockets>,
    /// What led to coordinators lately.
    pub ways: Arc<Ways>,
}

/// Makes sockets: UDP, and TCP where UDP does not lead anywhere.
pub trait Sockets: fmt::Debug + Send + Sync {
    /// A socket at `address`; port 0 and unspecified addresses leave the choice.
    ///
    /// # Errors
    /// When the address is taken or is not to be had here.
    fn bind(&self, address: SocketAddr) -> io::Result<Arc<dyn AsyncUdpSocket>>;

    /// Listens for streams at `address`.
    ///
    /// # Errors
    /// When the address is taken or is not to be had here.
    fn listen(&self, address: SocketAddr) -> io::Result<Box<dyn StreamListener>>;

    /// A stream to `remote`.
    ///
    /// # Errors
    /// When there is none.
    fn dial(&self, remote: SocketAddr) -> Dialling;

    /// What the system says at once to a datagram for `remote`, if it does not let it out.
    fn forbids(&self, _remote: SocketAddr) -> Option<io::Error> {
        None
    }

    /// What connection ids and the like are drawn from; none: from the system's entropy, as it has to be outside of
    /// simulations. Keys never are.
    fn seed(&self) -> Option<[u8; 32]> {
        None
    }
}

/// Bytes to and from a peer, in order: TCP, or a simulation's.
pub trait ByteStream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> ByteStream for S {}

/// A stream that is being made.
pub type Dialling = Pin<Box<dyn Future<Output = io::Result<Box<dyn ByteStream>>> + Send>>;

/// Where streams come in.
pub trait StreamListener: Send {
    /// The next, and who is at its other end.
    fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<(Box<dyn ByteStream>, SocketAddr)>>;

    /// Where it listens.
    ///
    /// # Errors
    /// When the system does not say.
    fn local_addr(&self) -> io::Result<SocketAddr>;
}

/// The machine's own.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemSockets;

impl Platform {
    /// This machine.
    pub fn system() -> Self {
        Self {
            clock: Arc::new(SystemClock),
            sockets: Arc::new(SystemSockets),
            ways: Arc::default(),
        }
    }

    /// TLS judges certificates by the same clock.
    pub(super) fn tls_time(&self) -> Arc<dyn TimeProvider> {
        Arc::new(TlsTime(Arc::clone(&self.clock)))
    }
}

impl Sockets for SystemSockets {
    /// With room for bursts.
    fn bind(&self, address: SocketAddr) -> io::Result<Arc<dyn AsyncUdpSocket>> {
        let socket = UdpSocket::bind(address)?;
        let state = UdpSocketState::new((&socket).into())?;
        // The system grants what it allows; less only means more retransmissions.
        let _ = state.set_recv_buffer_size((&socket).into(), SOCKET_BUFFER_BYTES);
        let _ = state.set_send_buffer_size((&socket).into(), SOCKET_BUFFER_BYTES);
        TokioRuntime.wrap_udp_socket(socket)
    }

    fn listen(&self, address: SocketAddr) -> io::Result<Box<dyn StreamListener>> {
        let listener = std::net::TcpListener::bind(address)?;
        listener.set_nonblocking(true)?;
        Ok(Box::new(TcpListener::from_std(listener)?))
    }

    fn dial(&self, remote: SocketAddr) -> Dialling {
        Box::pin(async move {
            let stream = TcpStream::connect(remote).await?;
            // What is written together was put together before.
            stream.set_nodelay(true)?;
            Ok(Box::new(stream) as Box<dyn ByteStream>)
        })
    }

    /// By an empty datagram: routes and this machine's own firewall answer at once.
    fn forbids(&self, remote: SocketAddr) -> Option<io::Error> {
        let any: SocketAddr = match remote {
            SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
            SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
        };
        let sent = UdpSocket::bind(any).and_then(|socket| {
            socket.connect(remote)?;
            socket.send(&[]).map(drop)
        });
        sent.err()
    }
}

impl StreamListener for TcpListener {
    fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<(Box<dyn ByteStream>, SocketAddr)>> {
        let (stream, from) = ready!(Self::poll_accept(self, cx))?;
        // A peer that is gone already is noticed by the first read.
        let _ = stream.set_nodelay(true);
        Poll::Ready(Ok((Box::new(stream), from)))
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Self::local_addr(self)
    }
}

/// Does what blocks, here: of several threads, others take over this one's tasks meanwhile; on a single one, as in
/// simulations, all wait, and so does their time.
pub fn in_place<T>(act: impl FnOnce() -> T) -> T {
    match Handle::try_current().map(|runtime| runtime.runtime_flavor()) {
        Ok(RuntimeFlavor::CurrentThread) => act(),
        _ => tokio::task::block_in_place(act),
    }
}

struct TlsTime(Arc<dyn Clock>);

impl fmt::Debug for TlsTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TlsTime({})", self.0.now())
    }
}

impl TimeProvider for TlsTime {
    fn current_time(&self) -> Option<UnixTime> {
        let millis = u64::try_from(self.0.now().0).ok()?;
        Some(UnixTime::since_unix_epoch(std::time::Duration::from_millis(
            millis,
        )))
    }
}
