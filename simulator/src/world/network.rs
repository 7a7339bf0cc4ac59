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
    /// Shops that are slower than the others.
    pub(crate) stragglers: Stragglers,
}

/// A share of the shops, drawn by the seed, whose lines and work take so many times as long.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Stragglers {
    /// In [0, 1].
    pub(crate) share: f64,
    /// At least 1.
    pub(crate) slower: f64,
}

impl Default for Line {
    fn default() -> Self {
        Self {
            latency: Duration::from_millis(30),
            bytes_per_sec: 2.5e6,
            dropout: 0.0,
            work: Duration::from_secs(5),
            stragglers: Stragglers {
                share: 0.0,
                slower: 1.0,
            },
        }
    }
}

/// Letters on their way.
pub(super) struct Network<L> {
    line: Line,
    /// Of each shop, how many times as long its line and its work take.
    slower: Vec<f64>,
    rng: Stream,
    queue: Queue<Timestamp, L>,
}

impl<L> Network<L> {
    pub(super) fn new(line: Line, shops: usize, seed: u64) -> Self {
        let mut chosen = stream(seed, "stragglers");
        let Stragglers { share, slower } = line.stragglers;
        Self {
            line,
            slower: (0..shops)
                .map(|_| if chosen.random_bool(share) { slower } else { 1.0 })
                .collect(),
            rng: stream(seed, "network"),
            queue: Queue::default(),
        }
    }

    /// Where its random numbers stand, so that they go on from there: see [`Self::go_on_from`].
    pub(super) fn position(&self) -> u128 {
        self.rng.get_word_pos()
    }

    /// Takes the random numbers to where they stood.
    pub(super) fn go_on_from(&mut self, position: u128) {
        self.rng.set_word_pos(position);
    }

    #[cfg(test)]
    /// How many shops are slower than the others.
    pub(super) fn slower_shops(&self) -> usize {
        self.slower.iter().filter(|slower| **slower > 1.0).count()
    }

    /// A letter that is there at `at`.
    pub(super) fn at(&mut self, at: Timestamp, letter: L) {
        self.queue.put(at, letter);
    }

    /// A small letter.
    pub(super) fn deliver(&mut self, now: Timestamp, letter: L) {
        self.at(now + self.line.latency, letter);
    }

    /// `bytes` over the line of `shop`.
    pub(super) fn transfer(&mut self, now: Timestamp, shop: usize, bytes: u64, letter: L) {
        let secs = self.slower[shop] * bytes as f64 / self.line.bytes_per_sec;
        self.at(now + self.line.latency + Duration::from_secs_f64(secs), letter);
    }

    /// When `shop` has finished work that it begins now.
    pub(super) fn worked(&mut self, now: Timestamp, shop: usize) -> Timestamp {
        let share: f64 = self.rng.random_range(0.2..1.0);
        now + self.line.work.mul_f64(share * self.slower[shop])
    }

    /// Whether a line is cut now.
    pub(super) fn cuts(&mut self) -> bool {
        self.line.dropout > 0.0 && self.rng.random_bool(self.line.dropout)
    }

    /// In [0, 1).
    pub(super) fn jitter(&mut self) -> f64 {
        self.rng.random()
    }

    /// The next letter, and when it is there.
    pub(super) fn next(&mut self) -> Option<(Timestamp, L)> {
        self.queue.take()
    }
}
