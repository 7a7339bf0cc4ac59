//! Datagrams that wait for a tunnel, framed: the length (2 bytes, little-endian), then the datagram.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use quinn::udp::Transmit;
use tokio::sync::Notify;

use crate::limits::TUNNEL_DATAGRAM_BYTES;

/// What waits, at most so much; QUIC puts it in, and whatever carries it takes it out.
#[derive(Debug)]
pub(super) struct Outgoing {
    state: Mutex<State>,
    changed: Notify,
    most: usize,
}

#[derive(Debug, Default)]
struct State {
    /// Each of one transmit: whole datagrams, so that one which a broken stream had half is lost and no other.
    chunks: VecDeque<Vec<u8>>,
    bytes: usize,
    /// Who waits for room.
    waiting: Vec<Waker>,
    closed: bool,
}

impl Outgoing {
    /// Empty; `most` bytes may wait.
    pub(super) fn new(most: usize) -> Self {
        Self {
            state: Mutex::default(),
            changed: Notify::new(),
            most,
        }
    }

    /// Takes in the datagrams of a transmit, all or, without room for them, none. What comes after the end is lost.
    pub(super) fn put(&self, transmit: &Transmit<'_>) -> bool {
        let segment = transmit.segment_size.unwrap_or(transmit.contents.len()).max(1);
        let mut state = self.state();
        if state.closed {
            return true;
        }
        let frames = transmit.contents.len().div_ceil(segment);
        let bytes = transmit.contents.len() + frames * LENGTH_BYTES;
        if state.bytes + bytes > self.most {
            return false;
        }
        let mut chunk = Vec::with_capacity(bytes);
        for datagram in transmit.contents.chunks(segment) {
            // Endpoints of tunnels are told the largest; there are no larger ones.
            let Ok(length) = u16::try_from(datagram.len()) else {
                continue;
            };
            chunk.extend_from_slice(&length.to_le_bytes());
            chunk.extend_from_slice(datagram);
        }
        state.bytes += chunk.len();
        state.chunks.push_back(chunk);
        drop(state);
        self.changed.notify_one();
        true
    }

    /// Ready when a transmit of any size has room.
    pub(super) fn poll_room(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut state = self.state();
        if state.closed || state.bytes + LARGEST_TRANSMIT <= self.most {
            return Poll::Ready(());
        }
        if !state.waiting.iter().any(|waker| waker.will_wake(cx.waker())) {
            state.waiting.push(cx.waker().clone());
        }
        Poll::Pending
    }

    /// What to carry next; none after the end.
    pub(super) async fn next(&self) -> Option<Vec<u8>> {
        loop {
            if let Some(next) = self.try_next() {
                return Some(next);
            }
            if self.is_closed() {
                return None;
            }
            self.changed.notified().await;
        }
    }

    /// What to carry next, if it waits already.
    pub(super) fn try_next(&self) -> Option<Vec<u8>> {
        let mut state = self.state();
        let chunk = state.chunks.pop_front()?;
        state.bytes -= chunk.len();
        let woken = match state.bytes * 2 <= self.most {
            true => std::mem::take(&mut state.waiting),
            false => Vec::new(),
        };
        drop(state);
        woken.into_iter().for_each(Waker::wake);
        Some(chunk)
    }

    /// Nothing more is put in; what waits may still be carried.
    pub(super) fn close(&self) {
        let mut state = self.state();
        state.closed = true;
        let woken = std::mem::take(&mut state.waiting);
        drop(state);
        woken.into_iter().for_each(Waker::wake);
        self.changed.notify_one();
    }

    /// Whether the end has come.
    pub(super) fn is_closed(&self) -> bool {
        self.state().closed
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // What is behind it is whole between any two statements.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Of the length before each datagram.
pub(super) const LENGTH_BYTES: usize = 2;

const LARGEST_TRANSMIT: usize =
    crate::limits::DATAGRAMS_AT_ONCE * (TUNNEL_DATAGRAM_BYTES as usize + LENGTH_BYTES);

#[cfg(test)]
pub(super) fn transmit_of(contents: &[u8], segment_size: Option<usize>) -> Transmit<'_> {
    Transmit {
        destination: ([127, 0, 0, 1], 1).into(),
        ecn: None,
        contents,
        segment_size,
        src_ip: None,
    }
}

#[cfg(test)]
mod tests {
    use super::transmit_of as transmit;
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;

    #[derive(Default)]
    struct Counts(AtomicUsize);

    impl Wake for Counts {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn segments_are_framed_one_by_one_and_a_full_queue_takes_none_of_them() {
        let queue = Outgoing::new(20);
        assert!(queue.put(&transmit(b"abcde", Some(2))));
        assert!(
            !queue.put(&transmit(b"0123456789", None)),
            "11 and 12 are over 20"
        );
        assert!(queue.put(&transmit(b"01234", None)));
        assert_eq!(queue.try_next().as_deref(), Some(&b"\x02\0ab\x02\0cd\x01\0e"[..]));
        assert_eq!(queue.try_next().as_deref(), Some(&b"\x05\x0001234"[..]));
        assert_eq!(queue.try_next(), None);
    }

    #[test]
    fn who_waits_for_room_is_woken_once_half_of_it_is_there() {
        let queue = Outgoing::new(2 * LARGEST_TRANSMIT);
        let counts = Arc::new(Counts::default());
        let waker = Waker::from(Arc::clone(&counts));
        let mut cx = Context::from_waker(&waker);
        let datagram = vec![7; 15_000];
        while queue.poll_room(&mut cx).is_ready() {
            assert!(queue.put(&transmit(&datagram, None)));
        }
        assert!(queue.poll_room(&mut cx).is_pending(), "it waits once");
        let mut taken = 0;
        while counts.0.load(Ordering::Relaxed) == 0 {
            assert!(queue.try_next().is_some(), "woken before all is taken");
            taken += 1;
        }
        assert!(taken > 0 && queue.poll_room(&mut cx).is_ready());
        assert_eq!(counts.0.load(Ordering::Relaxed), 1);
    }

    #[tokio::test]
    async fn after_the_end_what_waits_is_carried_and_nothing_blocks() {
        let queue = Outgoing::new(1000);
        assert!(queue.put(&transmit(b"last", None)));
        queue.close();
        assert!(queue.put(&transmit(b"later", None)), "lost, as on any line");
        assert_eq!(queue.next().await.as_deref(), Some(&b"\x04\0last"[..]));
        assert_eq!(queue.next().await, None);
    }
}
