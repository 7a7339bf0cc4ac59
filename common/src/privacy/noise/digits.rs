//! Decides what floating-point numbers leave open: a fraction against a multiple of exp(-x^2 / (2 stddev^2)), by integers
//! of any length and as many random digits as it takes. About one draw in 2^40 comes here.

use std::cmp::Ordering;

use rand::Rng;

use crate::rng::Stream;

/// A block of integers, in each of which a draw stands with probability
/// exp(-x^2 / (2 stddev^2)) * width * 2^doublings / mass.
#[derive(Clone, Copy, Debug)]
pub(super) struct Acceptance {
    pub(super) start: u64,
    pub(super) width: u64,
    pub(super) mass: u64,
    pub(super) doublings: u32,
    pub(super) stddev: u64,
}

impl Acceptance {
    /// The position in the block and whether the draw stands, for a uniform number of [0, 1) that begins with the 128
    /// binary digits of `known`, the lower ones first; further ones are drawn from `rng`.
    pub(super) fn settle(&self, known: [u64; 2], rng: &mut Stream) -> (u64, bool) {
        let mut uniform = known.to_vec();
        loop {
            if let Some(settled) = self.settle_by(&uniform) {
                return settled;
            }
            uniform.insert(0, rng.next_u64());
        }
    }

    /// None if these digits leave it open.
    fn settle_by(&self, uniform: &[u64]) -> Option<(u64, bool)> {
        let mut low = uniform.to_vec();
        times(&mut low, self.width);
        let position = low.pop()?;
        // The fraction is at least `low` and less than `high`, in units of the last digit drawn.
        let mut high = low.clone();
        high.push(0);
        add(&mut high, &[self.width]);
        let one = [vec![0; uniform.len()], vec![1]].concat();
        if compare(&high, &one) == Ordering::Greater {
            return None;
        }
        let x = self.start.checked_add(position)?;
        let (least, most, length) = self.scaled_density(x, uniform.len());
        let scale = |mut fraction: Vec<u64>| {
            times(&mut fraction, self.mass);
            fraction.splice(0..0, vec![0; length - uniform.len()]);
            fraction
        };
        if compare(&scale(high), &least) != Ordering::Greater {
            return Some((position, true));
        }
        (compare(&scale(low), &most) != Ordering::Less).then_some((position, false))
    }

    /// Bounds of exp(-x^2 / (2 stddev^2)) * width * 2^doublings, in units of 2^-64 length, and the length, more than
    /// `digits`.
    fn scaled_density(&self, x: u64, digits: usize) -> (Vec<u64>, Vec<u64>, usize) {
        // Three bits for each unit of the exponent: half of them for what the value is smaller than 1, half for what the
        // series loses.
        let length = digits + 1 + (3 * exponent(x, self.stddev) as usize + 32).div_ceil(64);
        let (mut least, mut most) = density(x, self.stddev, length);
        for bound in [&mut least, &mut most] {
            times(bound, self.width);
            for _ in 0..self.doublings {
                times(bound, 2);
            }
        }
        (least, most, length)
    }
}

/// Bounds of exp(-x^2 / (2 stddev^2)), in units of 2^-64 length.
///
/// With g = x^2 / (2 stddev^2), terms t_k of the series are floor(t_(k-1) g / k), an error of less than 1 each, which grows in
/// later terms by factors of g/i: all errors of K terms sum to at most K e^g. The series is cut where a term is 0 and
/// k > 2g, so that the terms left out sum to at most the last one's error, K e^g again.
fn density(x: u64, stddev: u64, length: usize) -> (Vec<u64>, Vec<u64>) {
    let exponent = exponent(x, stddev);
    let one = [vec![0; length], vec![1]].concat();
    let (mut even, mut odd) = (one.clone(), Vec::new());
    let mut term = one;
    let mut k = 0u64;
    while term.iter().any(|digit| *digit != 0) || u128::from(k) <= 2 * exponent {
        k += 1;
        times(&mut term, x);
        times(&mut term, x);
        // Floors of quotients one after the other are the floor of the whole quotient.
        over(&mut term, stddev);
        over(&mut term, stddev);
        over(&mut term, 2 * k);
        add(if k.is_multiple_of(2) { &mut even } else { &mut odd }, &term);
    }
    // 2K e^g, e < 2^(3/2).
    let bits = (3 * exponent).div_ceil(2) as usize;
    let mut error = vec![0; bits / 64];
    error.push(1 << (bits % 64));
    times(&mut error, 2 * k);
    let mut most = even.clone();
    add(&mut most, &error);
    subtract(&mut most, &odd);
    add(&mut odd, &error);
    let mut least = even;
    if compare(&least, &odd) == Ordering::Less {
        least.clear();
    } else {
        subtract(&mut least, &odd);
    }
    (least, most)
}

/// x^2 / (2 stddev^2), rounded up.
fn exponent(x: u64, stddev: u64) -> u128 {
    let square = |number: u64| u128::from(number) * u128::from(number);
    square(x).div_ceil(2 * square(stddev))
}

// Numbers of any length, the lowest 64 binary digits first.

fn times(number: &mut Vec<u64>, factor: u64) {
    let mut carry = 0;
    for digit in number.iter_mut() {
        let product = u128::from(*digit) * u128::from(factor) + carry;
        (*digit, carry) = (product as u64, product >> 64);
    }
    number.push(carry as u64);
}

/// Rounded down.
fn over(number: &mut Vec<u64>, divisor: u64) {
    let mut rest = 0;
    for digit in number.iter_mut().rev() {
        let dividend = rest << 64 | u128::from(*digit);
        *digit = (dividend / u128::from(divisor)) as u64;
        rest = dividend % u128::from(divisor);
    }
    while number.last() == Some(&0) {
        number.pop();
    }
}

fn add(sum: &mut Vec<u64>, number: &[u64]) {
    sum.resize(sum.len().max(number.len()) + 1, 0);
    let mut carry = false;
    for (at, digit) in sum.iter_mut().enumerate() {
        (*digit, carry) = digit.carrying_add(number.get(at).copied().unwrap_or(0), carry);
    }
}

/// `number` is at most `from`.
fn subtract(from: &mut [u64], number: &[u64]) {
    let mut borrow = false;
    for (at, digit) in from.iter_mut().enumerate() {
        (*digit, borrow) = digit.borrowing_sub(number.get(at).copied().unwrap_or(0), borrow);
    }
}

fn compare(a: &[u64], b: &[u64]) -> Ordering {
    let digit = |number: &[u64], at: usize| number.get(at).copied().unwrap_or(0);
    (0..a.len().max(b.len()))
        .rev()
        .map(|at| digit(a, at).cmp(&digit(b, at)))
        .find(|order| order.is_ne())
        .unwrap_or(Ordering::Equal)
}

#[cfg(test)]
mod tests {}
