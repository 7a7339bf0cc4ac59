//! Inputs by number: even ones are mutations of golden inputs, odd ones are random behind a golden beginning or from
//! their first byte on. The same seed, decoder and number give the same input on every machine.

use rand::RngExt;
use souk_common::rng::{Stream, stream};

use super::target::FuzzTarget;

/// Whether the input of this number is a mutation of a golden one.
pub(super) fn is_mutation(index: u64) -> bool {
    index.is_multiple_of(2)
}

/// The input of this number.
pub fn input(target: &FuzzTarget, seed: u64, index: u64) -> Vec<u8> {
    let mut rng = stream(seed, &format!("fuzz {} {index}", target.name));
    let mut bytes = if is_mutation(index) {
        mutation(target, &mut rng)
    } else {
        random(target, &mut rng)
    };
    if let Some(repair) = target.repair
        && rng.random_range(0..8) > 0
    {
        repair(&mut bytes);
    }
    bytes
}

fn mutation(target: &FuzzTarget, rng: &mut Stream) -> Vec<u8> {
    let mut bytes = pick(&target.golden, rng).clone();
    for _ in 0..rng.random_range(1..=4) {
        mutate(&mut bytes, target, rng);
    }
    bytes.truncate(MOST_BYTES);
    bytes
}

fn random(target: &FuzzTarget, rng: &mut Stream) -> Vec<u8> {
    let mut bytes = match rng.random_range(0..4) {
        0 => Vec::new(),
        _ => {
            let golden = pick(&target.golden, rng);
            golden[..rng.random_range(0..=golden.len())].to_vec()
        }
    };
    let most = if rng.random_range(0..16) == 0 { 1024 } else { 64 };
    let length = bytes.len() + rng.random_range(0..=most);
    while bytes.len() < length {
        if !target.words.is_empty() && rng.random_range(0..3) > 0 {
            bytes.extend_from_slice(word(target, rng));
        } else {
            bytes.push(rng.random());
        }
    }
    bytes.truncate(MOST_BYTES);
    bytes
}

fn mutate(bytes: &mut Vec<u8>, target: &FuzzTarget, rng: &mut Stream) {
    let at = rng.random_range(0..=bytes.len());
    let run = rng.random_range(0..=16).min(bytes.len() - at);
    match rng.random_range(0..8) {
        0 => flip(bytes, at, rng),
        1 => bytes.truncate(at),
        2 => insert(bytes, at, target, rng),
        3 => {
            bytes.drain(at..at + run);
        }
        4 => {
            let again = bytes[at..at + run].to_vec();
            bytes.splice(at..at, again);
        }
        5 => {
            let other = pick(&target.golden, rng);
            let from = rng.random_range(0..=other.len());
            bytes.truncate(at);
            bytes.extend_from_slice(&other[from..]);
        }
        6 => extreme(bytes, at, rng),
        _ => number(bytes, at, rng),
    }
}

fn flip(bytes: &mut [u8], at: usize, rng: &mut Stream) {
    if let Some(byte) = bytes.get_mut(at) {
        *byte = match rng.random_range(0..3) {
            0 => *byte ^ 1 << rng.random_range(0..8),
            1 => rng.random(),
            _ => byte.wrapping_add(if rng.random() { 1 } else { 255 }),
        };
    }
}

fn insert(bytes: &mut Vec<u8>, at: usize, target: &FuzzTarget, rng: &mut Stream) {
    if !target.words.is_empty() && rng.random() {
        bytes.splice(at..at, word(target, rng).iter().copied());
    } else {
        let new: Vec<u8> = (0..rng.random_range(1..=8)).map(|_| rng.random()).collect();
        bytes.splice(at..at, new);
    }
}

/// What may be a length becomes one that no input has.
fn extreme(bytes: &mut [u8], at: usize, rng: &mut Stream) {
    const EDGES: [u64; 10] = [
        0,
        1,
        127,
        255,
        65_535,
        1 << 20,
        u32::MAX as u64,
        1 << 32,
        1 << 60,
        u64::MAX,
    ];
    let edge = EDGES[rng.random_range(0..EDGES.len())].to_le_bytes();
    let width = [1, 2, 4, 8][rng.random_range(0..4)];
    if let Some(place) = bytes.get_mut(at..at + width) {
        place.copy_from_slice(&edge[..width]);
    }
}

/// The digits at or behind a place become others; where there are none, a byte is swapped with the next.
fn number(bytes: &mut Vec<u8>, at: usize, rng: &mut Stream) {
    let digit = |byte: &u8| byte.is_ascii_digit();
    if let Some(start) = bytes[at..].iter().position(digit) {
        let start = at + start;
        let end = bytes[start..].iter().position(|byte| !digit(byte));
        let end = end.map_or(bytes.len(), |end| start + end);
        let value = match rng.random_range(0..4) {
            0 => rng.random_range(0..4u64),
            1 => u64::MAX - rng.random_range(0..4u64),
            2 => 1 << rng.random_range(0..64),
            _ => rng.random_range(0..100_000),
        };
        bytes.splice(start..end, value.to_string().into_bytes());
    } else if at + 1 < bytes.len() {
        bytes.swap(at, at + 1);
    }
}

fn pick<'a>(golden: &'a [Vec<u8>], rng: &mut Stream) -> &'a Vec<u8> {
    &golden[rng.random_range(0..golden.len())]
}

fn word<'a>(target: &'a FuzzTarget, rng: &mut Stream) -> &'a [u8] {
    target.words[rng.random_range(0..target.words.len())].as_bytes()
}

/// Longer inputs say nothing that shorter ones don't.
const MOST_BYTES: usize = 16 << 10;
