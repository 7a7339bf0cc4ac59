//! The discrete Gaussian for large standard deviations: rejection from a table, exactly.
//!
//! Let f(x) = exp(-x^2 / (2 stddev^2)) for integers x >= 0. The integers below some T are cut into blocks, each of the
//! same mass V: a block of `width` integers has the height V / width, and the width is chosen so that this is at least f at
//! the block's first integer, thus at all of them. One further entry of mass V stands for the tail: block j = 0, 1, ...
//! of it begins at T + jB, is B wide, has mass V 2^-(j+1), and its height is at least f again, since B T >= stddev^2 ln 2
//! makes f fall by half or more from one block to the next.
//!
//! A draw takes an entry uniformly (of the tail, j by coin flips), a sign, and a real number Y, uniform in [0, width). The
//! integer part of Y is the position x in the block; the fraction phi of Y is independent of it and uniform in [0, 1). The
//! draw stands if phi * height < f(x), and -0 is drawn again. Every integer x of either sign is so proposed with
//! probability proportional to its block's height and accepted with probability f(x) / height: what stands has exactly
//! the distribution proportional to f.
//!
//! **Exactly** holds because Y is a real number of which only as many binary digits are drawn as the decision takes:
//!
//! 1. 54 digits. `sure` is rounded down so that a fraction below it is accepted whatever the later digits are, for every
//!    integer of the block; it also leaves no room for a later digit to carry into the integer part.
//! 2. 64 more, and the probability f(x) / height in f64. Its error is below 2^-40 (see `Table::acceptance`); a
//!    fraction that is further than 2^-36 from it is decided.
//! 3. What is left, about one draw in 2^40, is settled by `digits.rs`: integer arithmetic of growing length, with
//!    more digits until there is no doubt.
//!
//! No step approximates. The distance to the discrete Gaussian is 0, and nothing is to be added to delta.
//!
//! The tables are calculated with `libm`, the same on every machine, and so are the decisions: a seed gives the same noise
//! everywhere. How long a draw takes depends on its value, as does the place in the table that it reads.

#[cfg(test)]
mod tests;

use rand::Rng;

use super::{MOST_STDDEV, Reduced, digits};
use crate::rng::Stream;

/// The distribution of [`super::DiscreteGaussian`], for standard deviations from 64.
pub struct FastGaussian {
    table: Table,
    /// Each block as often as the others; a mask makes an index.
    entries: Box<[Entry; ENTRIES]>,
}

impl FastGaussian {
    /// None for a standard deviation below [`LEAST_STDDEV`] or above [`MOST_STDDEV`].
    pub fn new(stddev: u64) -> Option<Self> {
        if !(LEAST_STDDEV..=MOST_STDDEV).contains(&stddev) {
            return None;
        }
        let (table, blocks, places) = Table::smallest(stddev)?;
        let mut all: Vec<Entry> = blocks.iter().map(|block| table.entry(block)).collect();
        let special = |width| Entry {
            start: 0,
            width,
            sure: 0,
        };
        all.push(special(TAIL));
        all.resize(places, special(NOTHING));
        let entries: Vec<Entry> = all.iter().copied().cycle().take(ENTRIES).collect();
        Some(Self {
            table,
            entries: entries.into_boxed_slice().try_into().ok()?,
        })
    }

    /// One draw for every word. Random words are taken from `rng` in pieces of 4 kB.
    pub fn fill<W: Reduced>(&self, words: &mut [W], rng: &mut Stream) {
        let mut bytes = [0u8; 8 * BATCH];
        let mut rest = words;
        while !rest.is_empty() {
            let batch = rest.len().min(BATCH);
            rng.fill_bytes(&mut bytes[..8 * batch]);
            let mut done = 0;
            for random in bytes[..8 * batch].as_chunks::<8>().0 {
                if let Some(draw) = self.attempt(u64::from_le_bytes(*random), rng) {
                    rest[done] = W::reduced(draw);
                    done += 1;
                }
            }
            rest = &mut rest[done..];
        }
    }

    /// One draw.
    pub fn sample(&self, rng: &mut Stream) -> i64 {
        loop {
            let random = rng.next_u64();
            if let Some(draw) = self.attempt(random, rng) {
                return draw;
            }
        }
    }

    /// What `random` stands for, or None if it is rejected: from the lowest bit, the entry, the sign, 54 digits of Y.
    #[inline(always)]
    fn attempt(&self, random: u64, rng: &mut Stream) -> Option<i64> {
        let entry = &self.entries[random as usize % ENTRIES];
        let y = u128::from(random & DIGITS).wrapping_mul(u128::from(entry.width));
        if (y as u64) < entry.sure {
            let magnitude = entry.start.wrapping_add((y >> 64) as u64) as i64;
            let sign = -(i64::from(random & SIGN != 0));
            return Some((magnitude ^ sign).wrapping_sub(sign));
        }
        self.attempt_slowly(random, entry, rng)
    }

    #[cold]
    #[inline(never)]
    fn attempt_slowly(&self, random: u64, entry: &Entry, rng: &mut Stream) -> Option<i64> {
        let block = match entry.width {
            NOTHING => return None,
            TAIL => self.table.tail_block(rng),
            width => Block {
                start: entry.start,
                width,
                halvings: 0,
            },
        };
        let draw = Digits {
            first: random >> (64 - FIRST_DIGITS),
            second: rng.next_u64(),
        };
        let (position, accepted) = self
            .table
            .decide(&block, draw)
            .unwrap_or_else(|| self.table.settle(&block, draw, rng));
        let magnitude = (block.start + position) as i64;
        let negative = random & SIGN != 0;
        (accepted && !(negative && magnitude == 0)).then_some(if negative { -magnitude } else { magnitude })
    }
}

/// A block as the quick test reads it.
#[derive(Clone, Copy)]
struct Entry {
    start: u64,
    /// Or [`TAIL`], or [`NOTHING`].
    width: u64,
    /// In units of 2^-64: the draw stands if the fraction of Y, of which 54 digits are known, is below it.
    sure: u64,
}

/// Integers of one height: V / width, halved so many times.
#[derive(Clone, Copy, Debug)]
struct Block {
    start: u64,
    width: u64,
    halvings: u32,
}

/// The first 54 binary digits of Y / width and the next 64.
#[derive(Clone, Copy)]
struct Digits {
    first: u64,
    second: u64,
}

/// What all blocks have in common.
#[derive(Clone, Copy, Debug)]
struct Table {
    stddev: u64,
    /// V, in units of 2^-16.
    mass: u64,
    /// T.
    tail: u64,
    /// B.
    tail_width: u64,
}

impl Table {
    /// The table with the least mass, as far as halving the interval finds it, its blocks, and how many entries they and
    /// the tail have a place in.
    fn smallest(stddev: u64) -> Option<(Self, Vec<Block>, usize)> {
        // A block should be some integers wide at the top, lest rounding its width down costs much.
        let places = 1usize << (stddev / 4).clamp(1, ENTRIES as u64).ilog2();
        // In units of 2^-16, and sqrt(pi/2) stddev is the mass of one side: the least that can be, and more than enough.
        let even = stddev as f64 * 1.2533 * UNIT / places as f64;
        let (mut low, mut high) = (even as u64, 2 * even as u64);
        let mut best = None;
        while low + low / 1024 < high {
            let middle = low.midpoint(high);
            match Self::with_mass(stddev, middle, places) {
                Some((table, blocks)) => (best, high) = (Some((table, blocks, places)), middle),
                None => low = middle,
            }
        }
        best
    }

    /// None if blocks of this mass, leaving a place for the tail, do not reach to where a tail of the same mass can begin.
    fn with_mass(stddev: u64, mass: u64, places: usize) -> Option<(Self, Vec<Block>)> {
        let mut blocks = Vec::with_capacity(places);
        let mut start = 0;
        while blocks.len() < places {
            let least_height = density(start, stddev) * ROUND_UP;
            let tail_width = tail_width(start, stddev);
            // Block 0 of the tail has the mass V/2.
            if start > stddev && 2.0 * UNIT * least_height * tail_width as f64 <= mass as f64 {
                let table = Self {
                    stddev,
                    mass,
                    tail: start,
                    tail_width,
                };
                return Some((table, blocks));
            }
            let width = (mass as f64 / (UNIT * least_height)) as u64;
            if width == 0 || start > 6 * stddev {
                return None;
            }
            blocks.push(Block {
                start,
                width,
                halvings: 0,
            });
            start += width;
        }
        None
    }

    fn entry(&self, block: &Block) -> Entry {
        let last = block.start + block.width - 1;
        // A float of at most 2^64 to an integer saturates; below 0 it is 0.
        let below = ((self.acceptance(block, last) - MARGIN) * TWO_64) as u64;
        Entry {
            start: block.start,
            width: block.width,
            // The 0 of two signs is settled on the slow way. What the digits not yet drawn can add is taken off.
            sure: match block.start {
                0 => 0,
                _ => below.saturating_sub(block.width << (64 - FIRST_DIGITS)),
            },
        }
    }

    /// Block j of the tail, with probability 2^-(j+1).
    fn tail_block(&self, rng: &mut Stream) -> Block {
        let mut heads = 0;
        // 2^16 heads in a row do not happen; the bound keeps the integers in range.
        while heads < 1 << 16 {
            let run = rng.next_u64().trailing_ones();
            heads += run;
            if run < 64 {
                break;
            }
        }
        Block {
            start: self.tail + u64::from(heads) * self.tail_width,
            width: self.tail_width,
            halvings: heads + 1,
        }
    }

    /// f(x) / height, with an error below 2^-40.
    ///
    /// It is at most 1. Up to an exponent of 700, the exponent is off by less than 700 * 2^-51, exp and the factors by
    /// some units of 2^-52, all relative. Beyond, x is in block j of the tail with jB > 30 stddev, where f has fallen
    /// below its bound of 2^-j by another factor of exp(-j^2 B^2 / (2 stddev^2)): 0 is right to 2^-600.
    fn acceptance(&self, block: &Block, x: u64) -> f64 {
        let density = density(x, self.stddev);
        if density == 0.0 {
            return 0.0;
        }
        let inverse_height =
            block.width as f64 * UNIT / self.mass as f64 * libm::scalbn(1.0, block.halvings as i32);
        density * inverse_height
    }

    /// Position in the block, and whether the draw stands; None if 118 digits leave that open.
    fn decide(&self, block: &Block, digits: Digits) -> Option<(u64, bool)> {
        const KNOWN: u32 = FIRST_DIGITS + 64;
        // Widths are below 2^42 (see `with_mass`), so that nothing here reaches 2^119.
        let width = u128::from(block.width);
        let coarse = u128::from(digits.first) * width;
        let fine = ((coarse % (1 << FIRST_DIGITS)) << 64) + u128::from(digits.second) * width;
        let position = (coarse >> FIRST_DIGITS) + (fine >> KNOWN);
        let fraction = fine % (1 << KNOWN);
        if fraction + width > 1 << KNOWN {
            return None;
        }
        let position = position as u64;
        let phi = fraction as f64 * libm::scalbn(1.0, -(KNOWN as i32));
        let acceptance = self.acceptance(block, block.start + position);
        ((phi - acceptance).abs() > MARGIN).then_some((position, phi < acceptance))
    }

    /// The same, from as many further digits as it takes.
    #[cold]
    fn settle(&self, block: &Block, digits: Digits, rng: &mut Stream) -> (u64, bool) {
        let missing = 64 - FIRST_DIGITS;
        let low = digits.second << missing | rng.next_u64() >> (64 - missing);
        let high = digits.first << missing | digits.second >> (64 - missing);
        let ratio = digits::Acceptance {
            start: block.start,
            width: block.width,
            mass: self.mass,
            // Of the unit that mass is in, too.
            doublings: block.halvings + UNIT_LOG2,
            stddev: self.stddev,
        };
        ratio.settle([low, high], rng)
    }
}

/// f(x); 0 where its logarithm is below -700.
fn density(x: u64, stddev: u64) -> f64 {
    let ratio = x as f64 / stddev as f64;
    let exponent = 0.5 * ratio * ratio;
    if exponent > 700.0 {
        0.0
    } else {
        libm::exp(-exponent)
    }
}

/// The least B with B T >= 0.694 stddev^2, which is more than ln 2 times it. For a T of 0, stddev^2.
fn tail_width(tail: u64, stddev: u64) -> u64 {
    let variance = u128::from(stddev) * u128::from(stddev);
    // Below 2^64 whenever T is above stddev, where it is used.
    (variance * 694).div_ceil(u128::from(tail).max(1) * 1000) as u64
}

/// Where this sampler begins to pay.
pub const LEAST_STDDEV: u64 = 64;
const ENTRIES: usize = 512;
/// Random words drawn at a time.
const BATCH: usize = 512;
/// No block has this width.
const TAIL: u64 = 0;
/// Of an entry that proposes nothing.
const NOTHING: u64 = u64::MAX;
/// Above the index of 9 bits.
const SIGN: u64 = 1 << ENTRIES.ilog2();
const FIRST_DIGITS: u32 = 63 - ENTRIES.ilog2();
const DIGITS: u64 = !(2 * SIGN - 1);
/// Between a probability in f64 and a fraction that it may decide on.
const MARGIN: f64 = 1.0 / (1u64 << 36) as f64;
/// Heights exceed f by more than f's error in f64.
const ROUND_UP: f64 = 1.0 + 1.0 / (1u64 << 30) as f64;
const UNIT_LOG2: u32 = 16;
const UNIT: f64 = (1u64 << UNIT_LOG2) as f64;
const TWO_64: f64 = 18_446_744_073_709_551_616.0;
