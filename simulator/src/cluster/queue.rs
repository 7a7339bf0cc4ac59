//! What happens when, on virtual time: the earliest first; of what happens together, what was put in first.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::collections::binary_heap::PeekMut;

/// A queue of things and their times.
#[derive(Debug)]
pub(crate) struct Queue<T, L> {
    heap: BinaryHeap<Reverse<Entry<T, L>>>,
    put: u64,
}

#[derive(Debug)]
struct Entry<T, L> {
    at: T,
    number: u64,
    what: L,
}

impl<T: Copy + Ord, L> Queue<T, L> {
    /// Puts something in.
    pub(crate) fn put(&mut self, at: T, what: L) {
        let number = self.put;
        self.put += 1;
        self.heap.push(Reverse(Entry { at, number, what }));
    }

    /// When the first is due.
    pub(crate) fn first_at(&self) -> Option<T> {
        self.heap.peek().map(|Reverse(entry)| entry.at)
    }

    /// Takes the first out.
    pub(crate) fn take(&mut self) -> Option<(T, L)> {
        let Reverse(entry) = PeekMut::pop(self.heap.peek_mut()?);
        Some((entry.at, entry.what))
    }

    /// Takes the first out if it is due by `now`.
    pub(crate) fn take_due(&mut self, now: T) -> Option<L> {
        let first = self.heap.peek_mut()?;
        (first.0.at <= now).then(|| PeekMut::pop(first).0.what)
    }
}

impl<T: Copy + Ord, L> Default for Queue<T, L> {
    fn default() -> Self {
        Self {
            heap: BinaryHeap::new(),
            put: 0,
        }
    }
}

impl<T: Copy + Ord, L> Entry<T, L> {
    fn key(&self) -> (T, u64) {
        (self.at, self.number)
    }
}

impl<T: Copy + Ord, L> PartialEq for Entry<T, L> {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl<T: Copy + Ord, L> Eq for Entry<T, L> {}

impl<T: Copy + Ord, L> PartialOrd for Entry<T, L> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl<T: Copy + Ord, L> Ord for Entry<T, L> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.key().cmp(&other.key())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_earliest_comes_first_and_of_equals_the_first_put_in() {
        let mut queue = Queue::default();
        for (at, what) in [(2, "c"), (1, "a"), (2, "d"), (1, "b")] {
            queue.put(at, what);
        }
        assert_eq!((queue.first_at(), queue.take_due(0)), (Some(1), None));
        assert_eq!(queue.take_due(1), Some("a"));
        let rest: Vec<_> = std::iter::from_fn(|| queue.take()).collect();
        assert_eq!(rest, [(1, "b"), (2, "c"), (2, "d")]);
    }
}
