//! What drivers stand on: a clock and sockets. The machine's own, or a simulation's, in which a day takes seconds and lines
//! lose what they are told to lose; nothing else tells the two apart.

use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::{fmt, io};

use quinn::udp::UdpSocketState;
use quinn::{AsyncUdpSocket, Runtime, TokioRuntime};
use rustls::pki_types::UnixTime;
use rustls::time_provider::TimeProvider;
use tokio::runtime::{Handle, RuntimeFlavor};

use crate::clock::{Clock, SystemClock};
use crate::limits::SOCKET_BUFFER_BYTES;

/// A clock and sockets. Whatever waits, waits by tokio's time: a simulated clock has to follow that.
#[derive(Clone)]
pub struct Platform {
    /// The time that decides: deadlines, validity of certificates and invitations.
    pub clock: Arc<dyn Clock>,
    /// Where datagrams go.
    pub sockets: Arc<dyn Sockets>,
}

/// Makes UDP sockets.
pub trait Sockets: fmt::Debug + Send + Sync {
    /// A socket at `address`; port 0 and unspecified addresses leave the choice.
    ///
    /// # Errors
    /// When the address is taken or is not to be had here.
    fn bind(&self, address: SocketAddr) -> io::Result<Arc<dyn AsyncUdpSocket>>;

    /// What connection ids and the like are drawn from; none: from the system's entropy, as it has to be outside of
    /// simulations. Keys never are.
    fn seed(&self) -> Option<[u8; 32]> {
        None
    }
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
