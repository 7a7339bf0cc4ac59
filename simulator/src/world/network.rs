//! Virtual time: letters in the order in which they arrive.

use std::time::Duration;

use rand::RngExt;
use souk_common::clock::Timestamp;
use souk_common::rng::{Stream, stream};

use crate::cluster::queue::Queue;

/// What lies between the shops and the coordinator.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Line {
    /// One way.
    pub(crate) latency: Duration,
    /// Of one shop's line.
    pub(crate) bytes_per_sec: f64,
    /// Probability that a shop's line is cut while it works on an attempt.
    pub(crate) dropout: f64,
    /// Longest time a shop works on an attempt; it is drawn between a fifth of this and all of it.
    pub(crate) work: Duration,
}

impl Default for Line {
    fn default() -> Self {
        Self {
            latency: Duration::from_millis(30),
            bytes_per_sec: 2.5e6,
            dropout: 0.0,
            work: Duration::from_secs(5),
        }
    }
}

/// Letters on their way.
pub(super) struct Network<L> {
    line: Line,
    rng: Stream,
    queue: Queue<Timestamp, L>,
}

impl<L> Network<L> {
    pub(super) fn new(line: Line, seed: u64) -> Self {
        Self {
            line,
            rng: stream(seed, "network"),
            queue: Queue::default(),
        }
    }

    /// A letter that is there at `at`.
    pub(super) fn at(&mut self, at: Timestamp, letter: L) {
        self.queue.put(at, letter);
    }

    /// A small letter.
    pub(super) fn deliver(&mut self, now: Timestamp, letter: L) {
        self.at(now + self.line.latency, letter);
    }

    /// `bytes` over a shop's line.
    pub(super) fn transfer(&mut self, now: Timestamp, bytes: u64, letter: L) {
        let secs = bytes as f64 / self.line.bytes_per_sec;
        self.at(now + self.line.latency + Duration::from_secs_f64(secs), letter);
    }

    /// What a shop has finished after a while of work.
    pub(super) fn work(&mut self, now: Timestamp, letter: L) {
        let share = self.rng.random_range(0.2..1.0);
        self.at(now + self.line.work.mul_f64(share), letter);
    }

    /// Whether a line is cut now.
    pub(super) fn cuts(&mut self) -> bool {
        self.line.dropout > 0.0 && self.rng.random_bool(self.line.dropout)
    }

    /// In [0, 1).
    pub(super) fn jitter(&mut self) -> f64 {
        self.rng.random()
    }

    /// Loses the letters that `lost` picks.
    pub(super) fn drop_letters(&mut self, lost: impl Fn(&L) -> bool) {
        self.queue.drop_if(lost);
    }

    /// The next letter, and when it is there.
    pub(super) fn next(&mut self) -> Option<(Timestamp, L)> {
        self.queue.take()
    }
}
