//! A TCP proxy on the way to the coordinator, as companies have them, that cuts what goes through it.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

/// Passes TCP to one address and back; ends with its handle.
pub struct Proxy {
    address: SocketAddr,
    line: Arc<Line>,
}

struct Line {
    ended: AtomicBool,
    /// Bytes from shops.
    bytes: AtomicU64,
    /// When there have been so many, all connections are cut.
    cut_at: AtomicU64,
    cuts: AtomicU64,
    dials: AtomicU64,
    open: Mutex<Vec<TcpStream>>,
}

impl Proxy {
    /// A proxy to `upstream`.
    ///
    /// # Panics
    /// When no socket is to be had.
    pub fn start(upstream: SocketAddr) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a socket");
        let address = listener.local_addr().expect("a bound socket");
        let line = Arc::new(Line {
            ended: AtomicBool::new(false),
            bytes: AtomicU64::new(0),
            cut_at: AtomicU64::new(u64::MAX),
            cuts: AtomicU64::new(0),
            dials: AtomicU64::new(0),
            open: Mutex::default(),
        });
        let of_listener = Arc::clone(&line);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if of_listener.ended.load(Ordering::SeqCst) {
                    return;
                }
                of_listener.dials.fetch_add(1, Ordering::SeqCst);
                // Without an upstream the shop's connection is closed, as proxies do.
                if let Ok(upstream) = TcpStream::connect(upstream) {
                    of_listener.pass(stream, upstream);
                }
            }
        });
        Self { address, line }
    }

    /// Where shops dial.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Cuts all connections as soon as so many more bytes have come from shops: in the middle of an upload.
    pub fn cut_after(&self, bytes: u64) {
        let at = self.line.bytes.load(Ordering::SeqCst) + bytes;
        self.line.cut_at.store(at, Ordering::SeqCst);
    }

    /// How often connections were cut.
    pub fn cuts(&self) -> u64 {
        self.line.cuts.load(Ordering::SeqCst)
    }

    /// Connections of shops.
    pub fn dials(&self) -> u64 {
        self.line.dials.load(Ordering::SeqCst)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.line.ended.store(true, Ordering::SeqCst);
        self.line.cut();
        // Wakes the listener.
        let _ = TcpStream::connect(self.address);
    }
}

impl Line {
    fn pass(self: &Arc<Self>, shop: TcpStream, upstream: TcpStream) {
        let handle = |stream: &TcpStream| stream.try_clone().expect("a second handle");
        let mut open = self.open.lock().expect("whole");
        open.extend([handle(&shop), handle(&upstream)]);
        drop(open);
        let there = (handle(&shop), handle(&upstream), Arc::clone(self));
        thread::spawn(move || {
            let (from, to, line) = there;
            carry(from, to, |bytes| line.count(bytes));
        });
        thread::spawn(move || carry(upstream, shop, |_| {}));
    }

    fn count(&self, bytes: u64) {
        let bytes = self.bytes.fetch_add(bytes, Ordering::SeqCst) + bytes;
        if bytes >= self.cut_at.load(Ordering::SeqCst) {
            self.cut_at.store(u64::MAX, Ordering::SeqCst);
            self.cuts.fetch_add(1, Ordering::SeqCst);
            self.cut();
        }
    }

    fn cut(&self) {
        for stream in self.open.lock().expect("whole").drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

fn carry(mut from: TcpStream, mut to: TcpStream, count: impl Fn(u64)) {
    let mut piece = [0; 16 << 10];
    while let Ok(read @ 1..) = from.read(&mut piece) {
        count(read as u64);
        if to.write_all(&piece[..read]).is_err() {
            break;
        }
    }
    let _ = from.shutdown(Shutdown::Both);
    let _ = to.shutdown(Shutdown::Both);
}
