//! All cores through all inputs of one decoder.

use std::panic::{self, AssertUnwindSafe};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

use serde::Serialize;
use souk_common::clock::Stopwatch;
use souk_common::hex;

use super::generate::{input, is_mutation};
use super::target::{FuzzRun, FuzzTarget, Stage};

/// What came of the inputs of one decoder.
#[derive(Clone, Debug, Default, Serialize)]
pub struct DecoderTally {
    /// Its name.
    pub decoder: &'static str,
    /// How many inputs.
    pub inputs: u64,
    /// Of these, mutations of golden inputs.
    pub mutations: u64,
    /// How many came past the header (or were well formed).
    pub passed_header: u64,
    /// How many were decoded, written and read again.
    pub decoded: u64,
    /// How many made it panic.
    pub panics: u64,
    /// Inputs a second, all cores together.
    pub inputs_per_sec: f64,
    /// The longest that one input took.
    pub slowest_ms: f64,
    /// The first few panics.
    pub found: Vec<Found>,
}

/// An input that makes a decoder panic.
#[derive(Clone, Debug, Serialize)]
pub struct Found {
    /// Its number.
    pub index: u64,
    /// What is left of it when every byte that does not matter is gone, as hexadecimal digits.
    pub hex: String,
    /// What the panic said.
    pub said: String,
}

impl DecoderTally {
    /// One line, and one for each panic that was found.
    pub fn to_text(&self) -> String {
        let share = |part: u64| 100.0 * part as f64 / self.inputs.max(1) as f64;
        let mut text = format!(
            "{:<24} {:>9} inputs  {:>5.1} % passed the header  {:>5.1} % decoded  {:>9.0}/s  slowest {:>6.1} ms  {} panics\n",
            self.decoder,
            self.inputs,
            share(self.passed_header),
            share(self.decoded),
            self.inputs_per_sec,
            self.slowest_ms,
            self.panics
        );
        for found in &self.found {
            text += &format!("    input {}: {}\n    {}\n", found.index, found.said, found.hex);
        }
        text
    }

    fn add(&mut self, other: &Self) {
        self.inputs += other.inputs;
        self.mutations += other.mutations;
        self.passed_header += other.passed_header;
        self.decoded += other.decoded;
        self.panics += other.panics;
        self.slowest_ms = self.slowest_ms.max(other.slowest_ms);
    }
}

/// Runs the first `inputs` inputs of `seed`.
pub fn hunt(target: &FuzzTarget, seed: u64, inputs: u64) -> DecoderTally {
    let watch = Stopwatch::start();
    let next = AtomicU64::new(0);
    let total = Mutex::new(DecoderTally {
        decoder: target.name,
        ..DecoderTally::default()
    });
    let cores = thread::available_parallelism().map_or(1, usize::from);
    quietly(|| {
        thread::scope(|scope| {
            for _ in 0..cores {
                scope.spawn(|| {
                    loop {
                        let first = next.fetch_add(STRETCH, Ordering::Relaxed);
                        if first >= inputs {
                            break;
                        }
                        stretch(target, seed, first..inputs.min(first + STRETCH), &total);
                    }
                });
            }
        });
    });
    let mut total = total.into_inner().unwrap_or_else(PoisonError::into_inner);
    total.inputs_per_sec = inputs as f64 / watch.secs().max(1e-9);
    total.found.sort_by_key(|found| found.index);
    total.found.truncate(MOST_SHOWN);
    total
}

fn stretch(target: &FuzzTarget, seed: u64, indices: std::ops::Range<u64>, total: &Mutex<DecoderTally>) {
    let mut here = DecoderTally::default();
    let mut found = Vec::new();
    for index in indices {
        let bytes = input(target, seed, index);
        let watch = Stopwatch::start();
        let stage = try_one(&target.run, &bytes);
        here.slowest_ms = here.slowest_ms.max(watch.secs() * 1e3);
        here.inputs += 1;
        here.mutations += u64::from(is_mutation(index));
        match stage {
            Ok(stage) => {
                here.passed_header += u64::from(stage > Stage::Header);
                here.decoded += u64::from(stage == Stage::Decoded);
            }
            Err(said) => {
                here.panics += 1;
                if found.len() < MOST_SHOWN {
                    found.push((index, bytes, said));
                }
            }
        }
    }
    let mut total = total.lock().unwrap_or_else(PoisonError::into_inner);
    total.add(&here);
    for (index, bytes, said) in found {
        if total.found.len() < MOST_SHOWN {
            let hex = hex::text(&smallest(&target.run, bytes));
            total.found.push(Found { index, hex, said });
        }
    }
}

/// Decodes; what a panic said is the error.
fn try_one(run: &FuzzRun, bytes: &[u8]) -> Result<Stage, String> {
    panic::catch_unwind(AssertUnwindSafe(|| run(bytes))).map_err(|payload| {
        let said = payload.downcast_ref::<String>().map(String::as_str);
        let said = said.or_else(|| payload.downcast_ref::<&str>().copied());
        said.unwrap_or("a panic without words").to_owned()
    })
}

/// Takes away what can go while it still panics.
fn smallest(run: &FuzzRun, mut bytes: Vec<u8>) -> Vec<u8> {
    let mut step = bytes.len() / 2;
    while step > 0 {
        let mut at = 0;
        while at < bytes.len() {
            let mut shorter = bytes.clone();
            shorter.drain(at..(at + step).min(bytes.len()));
            if try_one(run, &shorter).is_err() {
                bytes = shorter;
            } else {
                at += step;
            }
        }
        step /= 2;
    }
    bytes
}

/// Panics are counted, not printed.
fn quietly(work: impl FnOnce()) {
    let hook = panic::take_hook();
    panic::set_hook(Box::new(|_| ()));
    work();
    panic::set_hook(hook);
}

const STRETCH: u64 = 1024;
const MOST_SHOWN: usize = 5;

#[cfg(test)]
mod tests {
    use super::*;

    /// Panics on any input that has a zero behind a one.
    fn fragile() -> FuzzTarget {
        FuzzTarget::binary("fragile", vec![vec![7, 1, 7, 0, 7]], |bytes| {
            let one = bytes.iter().position(|byte| *byte == 1);
            let zero = bytes.iter().rposition(|byte| *byte == 0);
            assert!(
                one.is_none() || zero.is_none() || one > zero,
                "a zero behind a one"
            );
            match bytes.first() {
                Some(7) => Stage::Body,
                _ => Stage::Header,
            }
        })
    }

    #[test]
    fn a_panic_is_found_made_small_and_found_again_by_its_number() {
        let target = fragile();
        let tally = hunt(&target, 1, 3000);
        assert_eq!((tally.inputs, tally.mutations), (3000, 1500));
        assert!(tally.panics > 100 && tally.panics < 2900, "{tally:?}");
        assert!(tally.passed_header > 100 && tally.decoded == 0, "{tally:?}");
        assert_eq!(tally.found.len(), MOST_SHOWN);
        for found in &tally.found {
            assert_eq!(found.hex, "0100");
            assert!(found.said.contains("a zero behind a one"));
            assert!(try_one(&target.run, &input(&target, 1, found.index)).is_err());
        }
    }
}
