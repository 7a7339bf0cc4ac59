//! A bad line: a relay between shops and coordinator that loses datagrams, can be cut, and moves a shop to another address
//! as routers do.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use std::{io, thread};

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
    /// Bytes from shops.
    bytes: AtomicU64,
    /// When there have been so many, every shop gets another address.
    move_at: AtomicU64,
    /// When there have been so many, the line is cut.
    cut_at: AtomicU64,
    /// How often addresses were changed.
    moves: AtomicU64,
    /// Sockets of shops that have said something, be it one word.
    dials: AtomicU64,
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
            bytes: AtomicU64::new(0),
            move_at: AtomicU64::new(u64::MAX),
            cut_at: AtomicU64::new(u64::MAX),
            moves: AtomicU64::new(0),
            dials: AtomicU64::new(0),
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

    /// Gives every shop another address as soon as so many more bytes have come from them: in the middle of an upload.
    pub fn move_after(&self, bytes: u64) {
        let at = self.line.bytes.load(Ordering::SeqCst) + bytes;
        self.line.move_at.store(at, Ordering::SeqCst);
    }

    /// Cuts the line as soon as so many more bytes have come from shops.
    pub fn cut_after(&self, bytes: u64) {
        let at = self.line.bytes.load(Ordering::SeqCst) + bytes;
        self.line.cut_at.store(at, Ordering::SeqCst);
    }

    /// Whether the line is cut.
    pub fn is_cut(&self) -> bool {
        self.line.cut.load(Ordering::SeqCst)
    }

    /// How often shops got other addresses.
    pub fn moves(&self) -> u64 {
        self.line.moves.load(Ordering::SeqCst)
    }

    /// How many sockets of shops have said something: each try to connect opens one.
    pub fn dials(&self) -> u64 {
        self.line.dials.load(Ordering::SeqCst)
    }

    /// Datagrams that were passed on, and that were lost.
    pub fn counts(&self) -> (u64, u64) {
        let count = |number: &AtomicU64| number.load(Ordering::SeqCst);
        (count(&self.line.passed), count(&self.line.lost))
    }
}

/// The address toward the coordinator that a shop has.
struct Back {
    socket: Arc<UdpSocket>,
    gone: Arc<AtomicBool>,
}

impl Drop for Back {
    fn drop(&mut self) {
        self.gone.store(true, Ordering::SeqCst);
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
        let mut backs: HashMap<SocketAddr, Back> = HashMap::new();
        let mut known = HashSet::new();
        self.carry(front, |datagram, from| {
            // An empty one only asks whether its sender's system lets it out.
            if !datagram.is_empty() && known.insert(from) {
                self.dials.fetch_add(1, Ordering::SeqCst);
            }
            if self.is_time_to_move(datagram.len() as u64) {
                backs.clear();
            }
            let back = match backs.entry(from) {
                Entry::Occupied(known) => known.into_mut(),
                Entry::Vacant(new) => new.insert(self.open_back(front, from, upstream)?),
            };
            back.socket.send(datagram)
        });
    }

    /// Counts bytes, and cuts the line if it is time for that.
    fn is_time_to_move(&self, bytes: u64) -> bool {
        let bytes = self.bytes.fetch_add(bytes, Ordering::SeqCst) + bytes;
        let is_time = |at: &AtomicU64| {
            let due = bytes >= at.load(Ordering::SeqCst);
            if due {
                at.store(u64::MAX, Ordering::SeqCst);
            }
            due
        };
        if is_time(&self.cut_at) {
            self.cut.store(true, Ordering::SeqCst);
        }
        let moves = is_time(&self.move_at);
        self.moves.fetch_add(u64::from(moves), Ordering::SeqCst);
        moves
    }

    fn open_back(
        self: &Arc<Self>,
        front: &Arc<UdpSocket>,
        from: SocketAddr,
        upstream: SocketAddr,
    ) -> io::Result<Back> {
        let socket = Arc::new(UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?);
        socket.connect(upstream)?;
        let gone = Arc::new(AtomicBool::new(false));
        let (line, front) = (Arc::clone(self), Arc::clone(front));
        let (back, closed) = (Arc::clone(&socket), Arc::clone(&gone));
        thread::spawn(move || {
            line.carry(&back, |datagram, _| match closed.load(Ordering::SeqCst) {
                // The router has forgotten whose address that was.
                true => Err(io::ErrorKind::NotConnected.into()),
                false => front.send_to(datagram, from),
            });
        });
        Ok(Back { socket, gone })
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
