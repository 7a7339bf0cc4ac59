//! What waits for a subscriber to read it, in bounded memory.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::mpsc;

/// Where pushes for a subscriber are put. One that is meant for many is encoded, and held, once.
pub(crate) struct PushQueue {
    sender: mpsc::UnboundedSender<Arc<[u8]>>,
    /// Bytes that wait; the queue is bounded by them, not by its length.
    waiting: Arc<AtomicUsize>,
    most: usize,
}

/// Where its session takes them.
pub(crate) struct Pushes {
    receiver: mpsc::UnboundedReceiver<Arc<[u8]>>,
    waiting: Arc<AtomicUsize>,
    /// Of the push that was taken last: it is held until the next is asked for.
    taken: usize,
}

/// What came of a push.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Pushed {
    /// It waits.
    Waits,
    /// The session has ended.
    Gone,
    /// Too much waits already.
    Full,
}

/// A queue that holds at most `most` bytes, or one push.
pub(crate) fn queue(most: usize) -> (PushQueue, Pushes) {
    let (sender, receiver) = mpsc::unbounded_channel();
    let waiting = Arc::new(AtomicUsize::new(0));
    let queue = PushQueue {
        sender,
        waiting: Arc::clone(&waiting),
        most,
    };
    let pushes = Pushes {
        receiver,
        waiting,
        taken: 0,
    };
    (queue, pushes)
}

impl PushQueue {
    /// Puts a push into the queue, if there is room.
    pub(crate) fn put(&self, frame: &Arc<[u8]>) -> Pushed {
        let before = self.waiting.fetch_add(frame.len(), Ordering::SeqCst);
        if before > 0 && before + frame.len() > self.most {
            self.waiting.fetch_sub(frame.len(), Ordering::SeqCst);
            return Pushed::Full;
        }
        match self.sender.send(Arc::clone(frame)) {
            Ok(()) => Pushed::Waits,
            Err(_) => Pushed::Gone,
        }
    }
}

impl Pushes {
    /// The next push; none when there will be no more.
    pub(crate) async fn next(&mut self) -> Option<Arc<[u8]>> {
        let taken = std::mem::take(&mut self.taken);
        self.waiting.fetch_sub(taken, Ordering::SeqCst);
        let frame = self.receiver.recv().await?;
        self.taken = frame.len();
        Some(frame)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_queue_holds_so_many_bytes_and_the_one_that_is_being_read_counts() {
        let (queue, mut pushes) = queue(10);
        let frame = |len| Arc::from(vec![7; len]);
        assert_eq!(queue.put(&frame(11)), Pushed::Waits, "one always goes");
        assert_eq!(queue.put(&frame(1)), Pushed::Full);
        assert_eq!(pushes.next().await.unwrap().len(), 11);
        assert_eq!(queue.put(&frame(1)), Pushed::Full, "it is not read yet");
        let next = tokio::time::timeout(std::time::Duration::from_millis(10), pushes.next());
        assert!(next.await.is_err(), "nothing else came");
        for _ in 0..2 {
            assert_eq!(queue.put(&frame(5)), Pushed::Waits);
        }
        assert_eq!(queue.put(&frame(1)), Pushed::Full);
        drop(pushes);
        let (queue, pushes) = super::queue(10);
        drop(pushes);
        assert_eq!(queue.put(&frame(1)), Pushed::Gone);
    }
}
