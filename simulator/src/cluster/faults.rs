//! What goes wrong, and when: drawn from the seed, or written down.

use std::io;

use rand::RngExt;
use souk_common::clock::Timestamp;
use souk_common::rng::Stream;

use super::disk::Stop;

/// Whom it happens to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Whom {
    Coordinator,
    Shop(usize),
}

/// One thing that goes wrong.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Op {
    /// The machine stops in the middle of its `writes`-th next write to disk (none: at once, between two), and starts
    /// again `down_ms` later.
    Crash {
        whom: Whom,
        how: Stop,
        writes: Option<u32>,
        down_ms: i64,
    },
    /// One write of the next few fails; the program goes on, or ends and starts again.
    DiskError {
        whom: Whom,
        writes: u32,
        how: io::ErrorKind,
    },
    /// A line breaks without a word, for so long. What is under way is lost.
    Cut { shop: usize, for_ms: i64 },
    /// All that a shop hears and says from now on comes so much later.
    Delay { shop: usize, by_ms: i64 },
    /// The next word comes twice.
    Duplicate { shop: usize, to_shop: bool },
    /// A bit of the next word is turned over, as only a liar inside the encryption could.
    Corrupt { shop: usize, to_shop: bool, bit: u32 },
    /// A clock is set, forward or back.
    ClockJump { whom: Whom, by_ms: i64 },
    /// A shop works so much longer on the next draw.
    Slow { shop: usize, by_ms: i64 },
}

impl Op {
    /// A name for counting.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Crash {
                whom: Whom::Coordinator,
                how: Stop::Kill,
                ..
            } => "coordinator killed",
            Self::Crash {
                whom: Whom::Coordinator,
                ..
            } => "coordinator's power cut",
            Self::Crash { how: Stop::Kill, .. } => "shop killed",
            Self::Crash { .. } => "shop's power cut",
            Self::DiskError {
                whom: Whom::Coordinator,
                ..
            } => "coordinator's disk error",
            Self::DiskError { .. } => "shop's disk error",
            Self::Cut { .. } => "line cut",
            Self::Delay { .. } => "line delayed",
            Self::Duplicate { .. } => "word duplicated",
            Self::Corrupt { .. } => "word corrupted",
            Self::ClockJump { .. } => "clock set",
            Self::Slow { .. } => "shop slow",
        }
    }
}

/// The next thing that goes wrong, and after how long.
pub(crate) fn next(rng: &mut Stream, shops: usize, pause_ms: i64) -> (i64, Op) {
    let wait = rng.random_range(pause_ms / 4..pause_ms * 2);
    let shop = rng.random_range(0..shops);
    let whom = match rng.random_bool(0.5) {
        true => Whom::Coordinator,
        false => Whom::Shop(shop),
    };
    let op = match rng.random_range(0..100) {
        0..30 => Op::Crash {
            whom,
            how: match rng.random_bool(0.7) {
                true => Stop::PowerCut,
                false => Stop::Kill,
            },
            writes: rng.random_bool(0.6).then(|| rng.random_range(0..120)),
            down_ms: rng.random_range(200..8_000),
        },
        30..40 => Op::DiskError {
            whom,
            writes: rng.random_range(0..60),
            how: match rng.random_bool(0.5) {
                true => io::ErrorKind::StorageFull,
                false => io::ErrorKind::Other,
            },
        },
        40..58 => Op::Cut {
            shop,
            for_ms: rng.random_range(0..20_000),
        },
        58..66 => Op::Delay {
            shop,
            by_ms: rng.random_range(100..5_000),
        },
        66..76 => Op::Duplicate {
            shop,
            to_shop: rng.random_bool(0.5),
        },
        76..88 => Op::Corrupt {
            shop,
            to_shop: rng.random_bool(0.5),
            bit: rng.random_range(0..100_000),
        },
        88..93 => Op::ClockJump {
            whom,
            by_ms: rng.random_range(-3_600_000..3_600_000),
        },
        _ => Op::Slow {
            shop,
            by_ms: rng.random_range(1_000..60_000),
        },
    };
    (wait, op)
}

/// A list of things that go wrong at their times, in place of drawn ones.
pub(crate) type Script = Vec<(Timestamp, Op)>;
