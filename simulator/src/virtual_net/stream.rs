//! Streams in memory, for hosts that have no UDP: perfect ones, as nothing is left of a line's faults above TCP but its pace.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::{Context, Poll};

use souk_common::transport::{ByteStream, Dialling, StreamListener};
use tokio::io::{DuplexStream, duplex};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::{Host, Net, lock};

pub(super) type Accepting = UnboundedSender<(DuplexStream, SocketAddr)>;

/// Listens at `address`.
pub(super) fn listen(net: &Arc<Net>, address: SocketAddr) -> io::Result<Box<dyn StreamListener>> {
    let mut listeners = lock(&net.listeners);
    if listeners.get(&address).is_some_and(|taken| !taken.is_closed()) {
        return Err(io::ErrorKind::AddrInUse.into());
    }
    let (sender, accepted) = unbounded_channel();
    listeners.insert(address, sender);
    Ok(Box::new(Listener { accepted, address }))
}

/// A stream from `host` to `remote`.
pub(super) fn dial(host: &Arc<Host>, remote: SocketAddr) -> Dialling {
    let made = (|| {
        if !host.has_tcp_only() {
            return Err(io::Error::new(
                io::ErrorKind::NetworkUnreachable,
                "this host's line carries UDP only",
            ));
        }
        let listener = lock(&host.net.listeners).get(&remote).cloned();
        let (ours, theirs) = duplex(WINDOW_BYTES);
        let from = SocketAddr::new(host.address(), host.next_port());
        let taken = listener.is_some_and(|listener| listener.send((theirs, from)).is_ok());
        match taken {
            true => Ok(Box::new(ours) as Box<dyn ByteStream>),
            false => Err(io::ErrorKind::ConnectionRefused.into()),
        }
    })();
    Box::pin(std::future::ready(made))
}

struct Listener {
    accepted: UnboundedReceiver<(DuplexStream, SocketAddr)>,
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

const WINDOW_BYTES: usize = 256 << 10;
