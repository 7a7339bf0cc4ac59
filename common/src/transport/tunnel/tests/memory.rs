//! A machine whose TCP is in memory, on tokio's time, and breaks as it is told to; it has no UDP.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use quinn::AsyncUdpSocket;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, duplex};
use tokio::sync::mpsc;

use crate::clock::SystemClock;
use crate::transport::{ByteStream, Dialling, Platform, Sockets, StreamListener};

/// What becomes of a stream that is dialled.
#[derive(Clone, Copy, Debug)]
pub(super) enum Fate {
    /// It holds.
    Holds,
    /// After so many bytes of the dialling end it is cut.
    CutAfter(usize),
    /// After so many bytes of the dialling end nothing moves any more, and nobody says so.
    StallsAfter(usize),
    /// Something else answers with this, and closes.
    Answered(&'static [u8]),
}

type Accepted = (DuplexStream, SocketAddr);

#[derive(Debug)]
pub(super) struct Memory {
    fates: Mutex<VecDeque<Fate>>,
    dialled: AtomicUsize,
    listener: Mutex<Option<mpsc::UnboundedSender<Accepted>>>,
}

impl Memory {
    /// With the fates of the streams that are dialled first; later ones hold.
    pub(super) fn new(fates: &[Fate]) -> Arc<Self> {
        Arc::new(Self {
            fates: Mutex::new(fates.iter().copied().collect()),
            dialled: AtomicUsize::new(0),
            listener: Mutex::default(),
        })
    }

    pub(super) fn platform(self: &Arc<Self>) -> Platform {
        Platform {
            clock: Arc::new(SystemClock),
            sockets: Arc::new(Sock(Arc::clone(self))),
            ways: Arc::default(),
        }
    }

    /// Streams dialled so far.
    pub(super) fn dialled(&self) -> usize {
        self.dialled.load(Ordering::Relaxed)
    }
}

#[derive(Debug)]
struct Sock(Arc<Memory>);

impl Sockets for Sock {
    fn bind(&self, _address: SocketAddr) -> io::Result<Arc<dyn AsyncUdpSocket>> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn listen(&self, address: SocketAddr) -> io::Result<Box<dyn StreamListener>> {
        let (sender, accepted) = mpsc::unbounded_channel();
        *self.0.listener.lock().unwrap() = Some(sender);
        Ok(Box::new(Listener { accepted, address }))
    }

    fn dial(&self, _remote: SocketAddr) -> Dialling {
        let memory = Arc::clone(&self.0);
        Box::pin(async move {
            let number = memory.dialled.fetch_add(1, Ordering::Relaxed);
            let fate = memory.fates.lock().unwrap().pop_front().unwrap_or(Fate::Holds);
            let (ours, middle) = duplex(WINDOW);
            if let Fate::Answered(said) = fate {
                tokio::spawn(async move {
                    let mut middle = middle;
                    let _ = middle.read(&mut [0; 64]).await;
                    let _ = middle.write_all(said).await;
                });
                return Ok(Box::new(ours) as Box<dyn ByteStream>);
            }
            let (other, theirs) = duplex(WINDOW);
            let port = 1000 + u16::try_from(number).unwrap();
            let from = SocketAddr::from(([192, 0, 2, 1], port));
            let listener = memory.listener.lock().unwrap().clone();
            let taken = listener.is_some_and(|listener| listener.send((theirs, from)).is_ok());
            if !taken {
                return Err(io::ErrorKind::ConnectionRefused.into());
            }
            tokio::spawn(pass(middle, other, fate));
            Ok(Box::new(ours) as Box<dyn ByteStream>)
        })
    }

    fn forbids(&self, _remote: SocketAddr) -> Option<io::Error> {
        Some(io::ErrorKind::PermissionDenied.into())
    }
}

async fn pass(one: DuplexStream, other: DuplexStream, fate: Fate) {
    let limit = match fate {
        Fate::CutAfter(limit) | Fate::StallsAfter(limit) => limit,
        _ => usize::MAX,
    };
    let (mut one_reads, mut one_writes) = tokio::io::split(one);
    let (mut other_reads, mut other_writes) = tokio::io::split(other);
    tokio::select! {
        () = copy(&mut one_reads, &mut other_writes, limit) => {}
        () = copy(&mut other_reads, &mut one_writes, usize::MAX) => {}
    }
    if matches!(fate, Fate::StallsAfter(_)) {
        // Both ends are held, and nothing moves.
        std::future::pending::<()>().await;
    }
}

async fn copy(from: &mut (impl AsyncRead + Unpin), to: &mut (impl AsyncWrite + Unpin), limit: usize) {
    let (mut buffer, mut copied) = (vec![0; WINDOW], 0);
    while copied < limit {
        match from.read(&mut buffer).await {
            Ok(0) | Err(_) => return,
            Ok(read) => {
                copied += read;
                if to.write_all(&buffer[..read]).await.is_err() {
                    return;
                }
            }
        }
    }
}

struct Listener {
    accepted: mpsc::UnboundedReceiver<Accepted>,
    address: SocketAddr,
}

impl StreamListener for Listener {
    fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<(Box<dyn ByteStream>, SocketAddr)>> {
        self.accepted.poll_recv(cx).map(|accepted| {
            let (stream, from) = accepted.ok_or(io::ErrorKind::BrokenPipe)?;
            Ok((Box::new(stream) as Box<dyn ByteStream>, from))
        })
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.address)
    }
}

const WINDOW: usize = 64 << 10;
