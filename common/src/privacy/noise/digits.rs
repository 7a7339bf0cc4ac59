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
impl Acceptance {
    /// Whether the acceptance at `x` is at least `part` 2^-64, proven in integers.
    pub(super) fn is_at_least(&self, x: u64, part: u128) -> bool {
        let (least, _, length) = self.scaled_density(x, 2);
        compare(&least, &self.scaled(part, length)) != Ordering::Less
    }

    /// Whether it is at most that.
    pub(super) fn is_at_most(&self, x: u64, part: u128) -> bool {
        let (_, most, length) = self.scaled_density(x, 2);
        compare(&most, &self.scaled(part, length)) != Ordering::Greater
    }

    fn scaled(&self, part: u128, length: usize) -> Vec<u64> {
        let mut number = vec![0; length - 1];
        number.extend([part as u64, (part >> 64) as u64]);
        times(&mut number, self.mass);
        number
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::stream;

    #[test]
    fn the_exponential_is_known_to_its_last_digit_but_few() {
        // The first 256 binary digits of exp(-2), exp(-1/2) and exp(-50), by mpmath at 600 bits.
        let known: [(u64, u64, [u64; 4]); 3] = [
            (
                2,
                1,
                [
                    0x22a5_5547_7f03_973f,
                    0xb6ed_d5c2_5a05_2ae3,
                    0xf0dd_961d_a28a_c995,
                    0x9e13_29cd_bcb2_1c09,
                ],
            ),
            (
                7,
                7,
                [
                    0x9b45_97e3_7cb0_4ff3,
                    0xd675_a355_30cd_d767,
                    0xe347_bf8a_d0e8_0abb,
                    0xce4a_e958_6101_4318,
                ],
            ),
            (
                30,
                3,
                [
                    0,
                    0x00e9_2bea_a3f0_41f6,
                    0xb8ed_658c_e62b_a754,
                    0xb468_78d6_ebfd_64fc,
                ],
            ),
        ];
        for (x, stddev, mut digits) in known {
            digits.reverse();
            let (least, most) = density(x, stddev, 6);
            let above = [&[0, 0], &digits[..]].concat();
            let mut next = above.clone();
            add(&mut next, &[0, 0, 1]);
            assert!(compare(&least, &above).is_ge() && compare(&most, &next).is_le());
            let mut error = most;
            subtract(&mut error, &least);
            // 2^-256 at the most, where bounds are in units of 2^-384.
            assert!(compare(&error, &[0, 0, 1]).is_lt(), "{x}, {stddev}: {error:?}");
        }
    }

    #[test]
    fn digits_next_to_the_probability_are_settled_on_the_right_side() {
        // Acceptance exp(-2), of 128 digits of which these are the lower ones first.
        let block = Acceptance {
            start: 2,
            width: 1,
            mass: 1,
            doublings: 0,
            stddev: 1,
        };
        let (high, low) = (0x22a5_5547_7f03_973f, 0xb6ed_d5c2_5a05_2ae3);
        assert_eq!(block.settle_by(&[low - 1, high]), Some((0, true)));
        assert_eq!(block.settle_by(&[low + 1, high]), Some((0, false)));
        // The digits of exp(-2) itself, however many, settle nothing; what is drawn next does.
        assert_eq!(block.settle_by(&[low, high]), None);
        let next = 0xf0dd_961d_a28a_c995;
        assert_eq!(block.settle_by(&[next, low, high]), None);
        assert_eq!(block.settle_by(&[next - 1, low, high]), Some((0, true)));
        assert_eq!(block.settle_by(&[next + 1, low, high]), Some((0, false)));
        for seed in 0..50 {
            let accepted = stream(seed, "next").next_u64() < next;
            assert_eq!(
                block.settle([low, high], &mut stream(seed, "next")),
                (0, accepted)
            );
        }
    }

    #[test]
    fn digits_next_to_a_position_are_settled_on_the_right_side() {
        // A third, in binary: three times it is 1, from below.
        let third = 0x5555_5555_5555_5555;
        let block = Acceptance {
            start: 0,
            width: 3,
            mass: 3,
            doublings: 0,
            stddev: 1000,
        };
        assert_eq!(block.settle_by(&[third, third]), None);
        for seed in 0..50 {
            let position = u64::from(stream(seed, "next").next_u64() > third);
            let (settled, accepted) = block.settle([third, third], &mut stream(seed, "next"));
            // At 0 the acceptance is 1; at 1 the fraction is next to 0.
            assert_eq!((settled, accepted), (position, true));
        }
    }

    #[test]
    fn arithmetic_carries_and_borrows() {
        let mut number = vec![u64::MAX, u64::MAX];
        times(&mut number, u64::MAX);
        assert_eq!(number, [1, u64::MAX, u64::MAX - 1]);
        over(&mut number, u64::MAX);
        assert_eq!(number, [u64::MAX, u64::MAX]);
        add(&mut number, &[1]);
        assert_eq!(number, [0, 0, 1]);
        subtract(&mut number, &[1]);
        assert_eq!(number, [u64::MAX, u64::MAX, 0]);
        assert_eq!(compare(&number, &[u64::MAX, u64::MAX]), Ordering::Equal);
        assert_eq!(compare(&number, &[0, 0, 1]), Ordering::Less);
    }
}
