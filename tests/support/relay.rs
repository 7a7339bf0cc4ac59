//! A bad line: a relay between shops and coordinator that loses datagrams, and can be cut.

use std::collections::HashMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use souk_common::rng::stream;

/// Relays UDP to one address and back; ends with its handle.
pub struct Relay {
    address: SocketAddr,
    line: Arc<Line>,
}

struct Line {
    /// Of a thousand datagrams, how many are lost.
    loss: u64,
    cut: AtomicBool,
    ended: AtomicBool,
    passed: AtomicU64,
    lost: AtomicU64,
    seed: AtomicU64,
}

impl Relay {
    /// A relay to `upstream` that loses `per_mille` of all datagrams, each way, by a seeded draw.
    ///
    /// # Panics
    /// When no socket is to be had.
    pub fn start(upstream: SocketAddr, per_mille: u64, seed: u64) -> Self {
        let front = Arc::new(UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a socket"));
        let line = Arc::new(Line {
            loss: per_mille,
            cut: AtomicBool::new(false),
            ended: AtomicBool::new(false),
            passed: AtomicU64::new(0),
            lost: AtomicU64::new(0),
            seed: AtomicU64::new(seed),
        });
        let address = front.local_addr().expect("a bound socket");
        let of_front = Arc::clone(&line);
        thread::spawn(move || of_front.carry_there(&front, upstream));
        Self { address, line }
    }

    /// Where shops dial.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Loses everything from now on, or no more than before.
    pub fn cut(&self, cut: bool) {
        self.line.cut.store(cut, Ordering::SeqCst);
    }

    /// Datagrams that were passed on, and that were lost.
    pub fn counts(&self) -> (u64, u64) {
        let count = |number: &AtomicU64| number.load(Ordering::SeqCst);
        (count(&self.line.passed), count(&self.line.lost))
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.line.ended.store(true, Ordering::SeqCst);
    }
}

impl Line {
    /// One socket toward the coordinator for each peer, as a router keeps them.
    fn carry_there(self: &Arc<Self>, front: &Arc<UdpSocket>, upstream: SocketAddr) {
        let mut backs: HashMap<SocketAddr, Arc<UdpSocket>> = HashMap::new();
        self.carry(front, |datagram, from| {
            let back = match backs.get(&from) {
                Some(back) => Arc::clone(back),
                None => {
                    let back = Arc::new(UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?);
                    back.connect(upstream)?;
                    backs.insert(from, Arc::clone(&back));
                    let (line, front, socket) = (Arc::clone(self), Arc::clone(front), Arc::clone(&back));
                    thread::spawn(move || line.carry(&socket, |datagram, _| front.send_to(datagram, from)));
                    back
                }
            };
            back.send(datagram)
        });
    }

    fn carry(&self, socket: &UdpSocket, mut pass: impl FnMut(&[u8], SocketAddr) -> io::Result<usize>) {
        let mut luck = stream(self.seed.fetch_add(1, Ordering::SeqCst), "relay");
        socket
            .set_read_timeout(Some(Duration::from_millis(100)))
            .expect("a time");
        let mut datagram = vec![0; 65_536];
        while !self.ended.load(Ordering::SeqCst) {
            // Nothing came, or the other end is gone: both pass.
            let Ok((len, from)) = socket.recv_from(&mut datagram) else {
                continue;
            };
            let unlucky = rand::RngExt::random_range(&mut luck, 0..1000) < self.loss;
            if unlucky || self.cut.load(Ordering::SeqCst) || pass(&datagram[..len], from).is_err() {
                self.lost.fetch_add(1, Ordering::SeqCst);
            } else {
                self.passed.fetch_add(1, Ordering::SeqCst);
            }
        }
    }
}
