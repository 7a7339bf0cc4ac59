//! A socket of the network: datagrams wait in it until their time.

use std::io::{self, IoSliceMut};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use quinn::udp::{RecvMeta, Transmit};
use quinn::{AsyncUdpSocket, UdpPoller};
use tokio::time::{Instant, Sleep, sleep_until};

use super::link::Fate;
use super::{Host, lock};
use crate::cluster::queue::Queue;

/// Bound at one address; gone, with what waits in it, when QUIC drops it.
#[derive(Debug)]
pub(crate) struct Socket {
    host: Arc<Host>,
    address: SocketAddr,
    inbox: Mutex<Inbox>,
}

#[derive(Debug, Default)]
struct Inbox {
    waiting: Queue<Instant, Datagram>,
    reader: Option<Waker>,
    timer: Option<Pin<Box<Sleep>>>,
}

#[derive(Debug)]
struct Datagram {
    from: SocketAddr,
    bytes: Box<[u8]>,
}

impl Socket {
    pub(crate) fn new(host: Arc<Host>, address: SocketAddr) -> Self {
        let inbox = Mutex::default();
        Self { host, address, inbox }
    }

    pub(crate) fn host(&self) -> &Host {
        &self.host
    }

    /// Takes in a datagram that is there at its time.
    pub(crate) fn deliver(&self, fate: Fate, from: SocketAddr, bytes: &[u8]) {
        let mut bytes: Box<[u8]> = bytes.into();
        if let Some(bit) = fate.wrong_bit
            && let Some(byte) = bytes.get_mut(bit / 8)
        {
            *byte ^= 1 << (bit % 8);
        }
        let mut inbox = lock(&self.inbox);
        let first = inbox.waiting.first_at().is_none_or(|head| fate.at < head);
        inbox.waiting.put(fate.at, Datagram { from, bytes });
        if first && let Some(reader) = inbox.reader.take() {
            reader.wake();
        }
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        self.host.net.forget(self.address);
    }
}

impl AsyncUdpSocket for Socket {
    fn create_io_poller(self: Arc<Self>) -> Pin<Box<dyn UdpPoller>> {
        Box::pin(AlwaysReady)
    }

    fn try_send(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        let segment = transmit.segment_size.unwrap_or(transmit.contents.len()).max(1);
        for datagram in transmit.contents.chunks(segment) {
            self.host.send(self.address, transmit.destination, datagram);
        }
        Ok(())
    }

    fn poll_recv(
        &self,
        cx: &mut Context<'_>,
        bufs: &mut [IoSliceMut<'_>],
        meta: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        let inbox = &mut *lock(&self.inbox);
        let (Some(buf), Some(meta)) = (bufs.first_mut(), meta.first_mut()) else {
            return Poll::Ready(Ok(0));
        };
        loop {
            // One a call: QUIC's buffer for dozens stays untouched, as on a machine that keeps up with its line.
            if let Some(datagram) = inbox.waiting.take_due(Instant::now()) {
                let len = datagram.bytes.len().min(buf.len());
                buf[..len].copy_from_slice(&datagram.bytes[..len]);
                *meta = RecvMeta {
                    addr: datagram.from,
                    len,
                    stride: len,
                    ..RecvMeta::default()
                };
                return Poll::Ready(Ok(1));
            }
            inbox.reader = Some(cx.waker().clone());
            let Some(first_at) = inbox.waiting.first_at() else {
                return Poll::Pending;
            };
            let timer = inbox.timer.get_or_insert_with(|| Box::pin(sleep_until(first_at)));
            timer.as_mut().reset(first_at);
            if timer.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.address)
    }

    fn may_fragment(&self) -> bool {
        false
    }
}

/// The line takes everything; what it can't carry, it loses.
#[derive(Debug)]
struct AlwaysReady;

impl UdpPoller for AlwaysReady {
    fn poll_writable(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
