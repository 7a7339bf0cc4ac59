//! The discrete Gaussian on the integers, for every standard deviation (Canonne, Kamath, Steinke 2020, Algorithms 1 to 3).
//!
//! Every decision compares uniform random integers with integers: no floating-point rounding to leak through, and no
//! distance to the exact distribution to account for.

use rand::Rng;

use super::MOST_STDDEV;
use crate::rng::Stream;

/// The distribution on the integers with P(x) proportional to exp(-x^2 / (2 stddev^2)).
#[derive(Clone, Copy, Debug)]
pub struct DiscreteGaussian {
    /// stddev is `numerator / denominator`, and either the latter is 1 or both are below 2^8.
    numerator: u64,
    denominator: u64,
}

impl DiscreteGaussian {
    /// None for a standard deviation of 0, or above [`MOST_STDDEV`].
    pub fn new(stddev: u64) -> Option<Self> {
        (1..=MOST_STDDEV).contains(&stddev).then_some(Self {
            numerator: stddev,
            denominator: 1,
        })
    }

    /// The standard deviation `numerator / denominator`; None where one of them is 0.
    pub fn of_ratio(numerator: u8, denominator: u8) -> Option<Self> {
        (numerator > 0 && denominator > 0).then_some(Self {
            numerator: numerator.into(),
            denominator: denominator.into(),
        })
    }

    /// One draw: Algorithm 3 of the paper, with t = stddev rounded up.
    pub fn sample(&self, rng: &mut Stream) -> i64 {
        let scale = self.numerator.div_ceil(self.denominator);
        loop {
            let candidate = laplace(scale, rng);
            let (distance, width) = if self.denominator == 1 {
                // (|y| - stddev^2/t)^2 / (2 stddev^2) is (|y| - stddev)^2 / (2 stddev^2) here.
                let distance = candidate.unsigned_abs().abs_diff(self.numerator);
                (u128::from(distance), u128::from(self.numerator))
            } else {
                // The same times (denominator^2 t)^2. |y| is below 2^29: see `laplace`.
                let unit = self.denominator * self.denominator * scale;
                let distance = (candidate.unsigned_abs() * unit).abs_diff(self.numerator * self.numerator);
                let width = self.numerator * self.denominator * scale;
                (u128::from(distance), u128::from(width))
            };
            if bernoulli_exp(distance * distance, 2 * width * width, rng) {
                return candidate;
            }
        }
    }
}

/// Discrete Laplace with the given scale. Algorithm 2 of the paper, with s = 1.
fn laplace(scale: u64, rng: &mut Stream) -> i64 {
    loop {
        let low = below(scale, rng);
        if !bernoulli_exp_below_one(u128::from(low), u128::from(scale), rng) {
            continue;
        }
        let mut high = 0u64;
        // 2^20 heads in a row, each of probability 1/e, do not happen; the bound keeps the product in range.
        while high < 1 << 20 && bernoulli_exp_below_one(1, 1, rng) {
            high += 1;
        }
        let magnitude = (low + scale * high) as i64;
        let negative = rng.next_u32() & 1 == 1;
        if negative && magnitude == 0 {
            continue;
        }
        return if negative { -magnitude } else { magnitude };
    }
}

/// True with probability exp(-numerator/denominator). Algorithm 1 of the paper, for any fraction.
fn bernoulli_exp(numerator: u128, denominator: u128, rng: &mut Stream) -> bool {
    if numerator <= denominator {
        return bernoulli_exp_below_one(numerator, denominator, rng);
    }
    let whole = numerator / denominator;
    for _ in 0..whole {
        if !bernoulli_exp_below_one(1, 1, rng) {
            return false;
        }
    }
    bernoulli_exp_below_one(numerator % denominator, denominator, rng)
}

/// True with probability exp(-numerator/denominator), for a fraction of at most 1. Algorithm 1 of the paper.
fn bernoulli_exp_below_one(numerator: u128, denominator: u128, rng: &mut Stream) -> bool {
    let mut k = 1u64;
    // Bernoulli(fraction / k), as two independent trials.
    while (k == 1 || below(k, rng) == 0) && bernoulli(numerator, denominator, rng) {
        k += 1;
    }
    k % 2 == 1
}

/// True with probability numerator/denominator, for a fraction of at most 1.
///
/// A uniform fraction of [0, 1) is compared 64 binary digits at a time, by long division: further digits are drawn only
/// while all so far are equal.
pub(super) fn bernoulli(numerator: u128, denominator: u128, rng: &mut Stream) -> bool {
    if numerator >= denominator {
        return true;
    }
    if numerator == 0 {
        return false;
    }
    if denominator >> 64 == 0 {
        return below(denominator as u64, rng) < numerator as u64;
    }
    let bits = 128 - (denominator - 1).leading_zeros();
    loop {
        let high = rng.next_u64() >> (128 - bits);
        // Most draws are decided by the upper digits alone.
        if high < (numerator >> 64) as u64 {
            return true;
        }
        if high > (denominator >> 64) as u64 {
            continue;
        }
        let drawn = u128::from(high) << 64 | u128::from(rng.next_u64());
        if drawn < denominator {
            return drawn < numerator;
        }
    }
}

/// A uniform integer below `bound`, exactly (Lemire 2019; rand's own `random_range` has a bias of up to 2^-64).
fn below(bound: u64, rng: &mut Stream) -> u64 {
    if bound == 1 {
        return 0;
    }
    if let Ok(bound) = u32::try_from(bound) {
        let mut product = u64::from(rng.next_u32()) * u64::from(bound);
        if (product as u32) < bound {
            let threshold = bound.wrapping_neg() % bound;
            while (product as u32) < threshold {
                product = u64::from(rng.next_u32()) * u64::from(bound);
            }
        }
        return product >> 32;
    }
    let mut product = u128::from(rng.next_u64()) * u128::from(bound);
    if (product as u64) < bound {
        let threshold = bound.wrapping_neg() % bound;
        while (product as u64) < threshold {
            product = u128::from(rng.next_u64()) * u128::from(bound);
        }
    }
    (product >> 64) as u64
}
