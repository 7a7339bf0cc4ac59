//! A UDP network in memory, on virtual time: what `serve` and `run` stand on when a day shall take minutes, and lines shall
//! lose, delay, double and damage what is told.
//!
//! | module | what |
//! |---|---|
//! | [`federation`] | the programs on it |
//! | [`link`] | what becomes of a datagram on its way |
//! | [`socket`] | a socket that QUIC uses as it uses the system's |
//! | [`stream`] | what hosts without UDP have |
//!
//! Time is tokio's, paused: it stands while anything has work to do, and jumps to the next timer when nothing has. The
//! programs are the real ones, so what they draw for themselves (keys, connection ids of joiners, noise, waiting times
//! before they dial again) comes from the system's entropy. All that the network does comes from a seed, by one stream
//! for each direction of each line.

pub mod federation;
mod link;
mod socket;
mod stream;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use quinn::AsyncUdpSocket;
use rand::RngExt;
use souk_common::clock::{Clock, Timestamp};
use souk_common::rng::stream;
use souk_common::transport::{Dialling, Platform, Sockets, StreamListener};
use tokio::time::Instant;

pub use link::{Conditions, LinkCounts};
use link::{Line, Way};
use socket::Socket;

/// The network; its hosts hold it.
#[derive(Debug)]
pub struct Net {
    seed: u64,
    clock: VirtualClock,
    sockets: Mutex<HashMap<SocketAddr, Weak<Socket>>>,
    listeners: Mutex<HashMap<SocketAddr, stream::Accepting>>,
    hosts: Mutex<u32>,
    sent: AtomicU64,
}

/// A machine in it, with an address and a line of its own.
#[derive(Debug)]
pub struct Host {
    net: Arc<Net>,
    address: Ipv4Addr,
    line: Mutex<Line>,
    ports: Mutex<u16>,
    tcp_only: AtomicBool,
}

impl Net {
    /// A network without hosts, at `start`. Needs the runtime of [`virtually`].
    pub fn new(seed: u64, start: Timestamp) -> Arc<Self> {
        Arc::new(Self {
            seed,
            clock: VirtualClock {
                start,
                since: Instant::now(),
            },
            sockets: Mutex::default(),
            listeners: Mutex::default(),
            hosts: Mutex::new(0),
            sent: AtomicU64::new(0),
        })
    }

    /// A new host; its line is perfect until it is told otherwise.
    pub fn host(self: &Arc<Self>) -> Arc<Host> {
        let mut hosts = lock(&self.hosts);
        *hosts += 1;
        let address = Ipv4Addr::from(FIRST_ADDRESS + *hosts);
        let way = |name: &str| Way::new(stream(self.seed, &format!("{address} {name}")));
        Arc::new(Host {
            line: Mutex::new(Line::new(way("up"), way("down"))),
            net: Arc::clone(self),
            address,
            ports: Mutex::new(FIRST_PORT),
            tcp_only: AtomicBool::new(false),
        })
    }

    /// The time.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Datagrams that were sent so far, lost ones included.
    pub fn datagrams(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    /// Its clock.
    pub fn clock(&self) -> VirtualClock {
        self.clock
    }

    fn socket_at(&self, address: SocketAddr) -> Option<Arc<Socket>> {
        lock(&self.sockets).get(&address)?.upgrade()
    }

    fn forget(&self, address: SocketAddr) {
        let mut sockets = lock(&self.sockets);
        // Another may have taken its place.
        if sockets
            .get(&address)
            .is_some_and(|socket| socket.strong_count() == 0)
        {
            sockets.remove(&address);
        }
    }
}

impl Host {
    /// Its address.
    pub fn address(&self) -> IpAddr {
        self.address.into()
    }

    /// The time.
    pub fn now(&self) -> Timestamp {
        self.net.now()
    }

    /// What a program on it stands on.
    pub fn platform(self: &Arc<Self>) -> Platform {
        Platform {
            clock: Arc::new(self.net.clock),
            sockets: Arc::new(HostSockets(Arc::clone(self))),
            ways: Arc::default(),
        }
    }

    /// Changes its line, both ways.
    pub fn set_conditions(&self, conditions: Conditions) {
        lock(&self.line).set(conditions);
    }

    /// Cuts its line for a while: all that is sent meanwhile is lost, both ways.
    pub fn cut(&self, span: Duration) {
        lock(&self.line).cut(Instant::now() + span);
    }

    /// From here on all datagrams from and to it are lost, and streams lead to hosts that listen for them.
    pub fn have_tcp_only(&self) {
        self.tcp_only.store(true, Ordering::Relaxed);
    }

    fn has_tcp_only(&self) -> bool {
        self.tcp_only.load(Ordering::Relaxed)
    }

    fn next_port(&self) -> u16 {
        let mut ports = lock(&self.ports);
        *ports = ports.checked_add(1).unwrap_or(FIRST_PORT);
        *ports
    }

    /// What it sent and received so far.
    pub fn counts(&self) -> LinkCounts {
        lock(&self.line).counts()
    }

    /// Sends a datagram into the network.
    fn send(&self, from: SocketAddr, to: SocketAddr, bytes: &[u8]) {
        self.net.sent.fetch_add(1, Ordering::Relaxed);
        let now = Instant::now();
        let left = lock(&self.line).send(now, bytes.len());
        // Nobody listens there: the bytes were sent all the same.
        let Some(socket) = self.net.socket_at(to) else {
            return;
        };
        if self.has_tcp_only() || socket.host().has_tcp_only() {
            return;
        }
        for first in left {
            let arrived = lock(&socket.host().line).receive(now, first, bytes.len());
            for fate in arrived {
                socket.deliver(fate, from, bytes);
            }
        }
    }
}

/// The sockets of a host.
#[derive(Debug)]
struct HostSockets(Arc<Host>);

impl Sockets for HostSockets {
    fn bind(&self, address: SocketAddr) -> io::Result<Arc<dyn AsyncUdpSocket>> {
        let host = &self.0;
        let ip = address.ip();
        if !ip.is_unspecified() && ip != host.address() {
            return Err(io::ErrorKind::AddrNotAvailable.into());
        }
        let mut sockets = lock(&host.net.sockets);
        let taken = |sockets: &HashMap<SocketAddr, Weak<Socket>>, address: SocketAddr| {
            sockets
                .get(&address)
                .is_some_and(|socket| socket.strong_count() > 0)
        };
        let mut bound = SocketAddr::new(host.address(), address.port());
        while address.port() == 0 && (bound.port() == 0 || taken(&sockets, bound)) {
            bound.set_port(host.next_port());
        }
        if taken(&sockets, bound) {
            return Err(io::ErrorKind::AddrInUse.into());
        }
        let socket = Arc::new(Socket::new(Arc::clone(host), bound));
        sockets.insert(bound, Arc::downgrade(&socket));
        Ok(socket)
    }

    fn listen(&self, address: SocketAddr) -> io::Result<Box<dyn StreamListener>> {
        let ip = address.ip();
        if !ip.is_unspecified() && ip != self.0.address() {
            return Err(io::ErrorKind::AddrNotAvailable.into());
        }
        let port = match address.port() {
            0 => self.0.next_port(),
            port => port,
        };
        stream::listen(&self.0.net, SocketAddr::new(self.0.address(), port))
    }

    fn dial(&self, remote: SocketAddr) -> Dialling {
        stream::dial(&self.0, remote)
    }

    fn seed(&self) -> Option<[u8; 32]> {
        let host = &self.0;
        let port = *lock(&host.ports);
        Some(stream(host.net.seed, &format!("{} endpoint {port}", host.address)).random())
    }
}

/// The time of day on tokio's clock.
#[derive(Clone, Copy, Debug)]
pub struct VirtualClock {
    start: Timestamp,
    since: Instant,
}

impl Clock for VirtualClock {
    fn now(&self) -> Timestamp {
        self.start + self.since.elapsed()
    }
}

/// Runs `day` on one thread, on time that stands while there is work.
///
/// # Errors
/// When the system gives no runtime.
pub fn virtually<T>(day: impl Future<Output = T>) -> io::Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        // Few that stay, as the coordinator's program has them: each keeps memory to hand out again.
        .max_blocking_threads(FILE_THREADS)
        .thread_keep_alive(Duration::from_secs(u32::MAX.into()))
        .enable_all()
        .start_paused(true)
        .build()?;
    Ok(runtime.block_on(day))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // What is behind these is whole between any two statements.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// More than the coordinator's two: commands that wait for its answer are in the same process.
const FILE_THREADS: usize = 8;
/// 10.0.0.0.
const FIRST_ADDRESS: u32 = 10 << 24;
const FIRST_PORT: u16 = 40_000;
