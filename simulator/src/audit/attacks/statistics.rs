//! How well an attack went, with its interval, and what the guarantee allows.

use rand::RngExt;
use souk_common::rng::stream;

use crate::audit::statistics::clopper_pearson;
pub(super) use crate::audit::statistics::{normal_cdf as below, normal_quantile as quantile};

/// A figure with its 95 % interval.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Estimate {
    pub(super) value: f64,
    pub(super) low: f64,
    pub(super) high: f64,
    /// Lower end at a confidence that holds for all rows of an audit together ([`ROWS`]).
    pub(super) floor: f64,
    pub(super) trials: u64,
}

impl Estimate {
    /// A share of `trials`, by Clopper and Pearson 1934.
    pub(super) fn proportion(successes: u64, trials: u64) -> Self {
        let value = successes as f64 / trials.max(1) as f64;
        let [low, high] = clopper_pearson(successes, trials, TAIL);
        let [floor, _] = clopper_pearson(successes, trials, TAIL_OF_ALL);
        Self {
            value,
            low,
            high,
            floor,
            trials,
        }
    }

    /// True positive rate less false positive rate, by Clopper and Pearson for each at half the error (Bonferroni).
    pub(super) fn advantage(hits: (u64, u64), false_alarms: (u64, u64)) -> Self {
        let rate = |(count, of): (u64, u64)| count as f64 / of.max(1) as f64;
        let ends = |tail: f64| {
            let [hit_low, hit_high] = clopper_pearson(hits.0, hits.1, tail / 2.0);
            let [false_low, false_high] = clopper_pearson(false_alarms.0, false_alarms.1, tail / 2.0);
            [hit_low - false_high, hit_high - false_low]
        };
        let ([low, high], [floor, _]) = (ends(TAIL), ends(TAIL_OF_ALL));
        Self {
            value: rate(hits) - rate(false_alarms),
            low,
            high,
            floor,
            trials: hits.1 + false_alarms.1,
        }
    }

    /// The area under the curve of scores with and without, by DeLong, DeLong and Clarke-Pearson 1988. Where no pair is in
    /// disorder, their variance is 0: then as for a proportion of the fewer trials.
    pub(super) fn area(inside: &[f64], outside: &[f64]) -> Self {
        let wins = |score: f64, others: &[f64], sign: f64| {
            let sum: f64 = others
                .iter()
                .map(|other| match (sign * (score - other)).partial_cmp(&0.0) {
                    Some(std::cmp::Ordering::Greater) => 1.0,
                    Some(std::cmp::Ordering::Equal) => 0.5,
                    _ => 0.0,
                })
                .sum();
            sum / others.len().max(1) as f64
        };
        let of_inside: Vec<f64> = inside.iter().map(|score| wins(*score, outside, 1.0)).collect();
        let of_outside: Vec<f64> = outside.iter().map(|score| wins(*score, inside, -1.0)).collect();
        let value = mean(&of_inside);
        let error = (variance(&of_inside) / inside.len().max(1) as f64
            + variance(&of_outside) / outside.len().max(1) as f64)
            .sqrt();
        let trials = (inside.len() + outside.len()) as u64;
        if error == 0.0 {
            let fewer = inside.len().min(outside.len()) as u64;
            let right = (value * fewer as f64).round() as u64;
            return Self {
                value,
                trials,
                ..Self::proportion(right, fewer)
            };
        }
        let at = |tail: f64| quantile(1.0 - tail) * error;
        Self {
            value,
            low: (value - at(TAIL)).max(0.0),
            high: (value + at(TAIL)).min(1.0),
            floor: (value - at(TAIL_OF_ALL)).max(0.0),
            trials,
        }
    }

    /// The mean of one share a customer, by percentiles of resampled customers (Efron 1979). Where all shares are alike, as for a
    /// proportion.
    pub(super) fn mean_of(shares: &[f64], seed: u64) -> Self {
        let trials = shares.len() as u64;
        let value = mean(shares);
        if trials == 0 || variance(shares) == 0.0 {
            let right = (value * trials as f64).round() as u64;
            return Self {
                value,
                trials,
                ..Self::proportion(right, trials)
            };
        }
        let mut rng = stream(seed, "resampled customers");
        let mut means: Vec<f64> = (0..RESAMPLES)
            .map(|_| {
                let drawn = (0..shares.len()).map(|_| shares[rng.random_range(0..shares.len())]);
                drawn.sum::<f64>() / shares.len() as f64
            })
            .collect();
        means.sort_unstable_by(f64::total_cmp);
        let at = |share: f64| means[((share * RESAMPLES as f64) as usize).min(RESAMPLES - 1)];
        Self {
            value,
            low: at(TAIL),
            high: at(1.0 - TAIL),
            floor: at(TAIL_OF_ALL),
            trials,
        }
    }
}

/// What the guarantee allows, of rounds that everybody is in: a Gaussian mechanism of this mu (Dong, Roth, Su 2022).
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Guarantee {
    pub(super) mu: f64,
}

impl Guarantee {
    /// Of rounds with these z; none if one of them has no noise.
    pub(super) fn of(noise: impl IntoIterator<Item = Option<f64>>) -> Option<Self> {
        let squares: Option<f64> = noise.into_iter().map(|z| Some(z?.powi(-2))).sum();
        squares.map(|squares| Self { mu: squares.sqrt() })
    }

    /// For who differs in one record, and not by being there at all: gone, and there again.
    pub(super) fn of_replacing(self) -> Self {
        Self { mu: 2.0 * self.mu }
    }

    /// The largest true positive rate less the false positive rate.
    pub(super) fn advantage(self) -> f64 {
        2.0 * below(self.mu / 2.0) - 1.0
    }

    /// The largest area under the curve.
    pub(super) fn area(self) -> f64 {
        below(self.mu / std::f64::consts::SQRT_2)
    }

    /// The most that a share can rise to with a customer that is `without` that customer: true positive rate at this false
    /// positive rate. It is concave, so means over customers keep to it.
    pub(super) fn raised(self, without: f64) -> f64 {
        match without {
            share if share <= 0.0 => 0.0,
            share if share >= 1.0 => 1.0,
            share => below(quantile(share) + self.mu),
        }
    }
}

pub(super) fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len().max(1) as f64
}

fn variance(values: &[f64]) -> f64 {
    let mean = mean(values);
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    squares / (values.len().max(2) - 1) as f64
}

/// Both ends of an exact interval; of no trial nothing is known.
fn clopper_pearson(successes: u64, trials: u64, tail: f64) -> [f64; 2] {
    let (low, high) = clopper_pearson::interval(successes, trials, 2.0 * tail);
    [low, high]
}

/// Either side of a 95 % interval.
const TAIL: f64 = 0.025;
/// Rows of an audit that a bound is held against; all of them are right together with a probability of 95 %.
const ROWS: f64 = 40.0;
const TAIL_OF_ALL: f64 = 0.05 / ROWS;
const RESAMPLES: usize = 4000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_are_those_of_the_tables() {
        // R: binom.test(8, 10), binom.test(0, 20).
        let found = Estimate::proportion(8, 10);
        assert!(
            (found.low - 0.443_904_5).abs() < 1e-6 && (found.high - 0.974_789_3).abs() < 1e-6,
            "{found:?}"
        );
        let none = Estimate::proportion(0, 20);
        assert!(
            none.low == 0.0 && (none.high - 0.168_433_5).abs() < 1e-6,
            "{none:?}"
        );
        assert!(Estimate::proportion(20, 20).floor < Estimate::proportion(20, 20).low);
        let of_nobody = Estimate::proportion(0, 0);
        assert_eq!((of_nobody.low, of_nobody.high), (0.0, 1.0));
    }

    #[test]
    fn the_area_of_a_few_scores_is_counted_by_hand() {
        // Six pairs: 3 beats 1 and 2, 2 beats 1 and ties with 2, 1 ties with 1 and loses.
        let found = Estimate::area(&[3.0, 2.0, 1.0], &[1.0, 2.0]);
        assert!((found.value - 4.0 / 6.0).abs() < 1e-12, "{found:?}");
        assert!(found.floor <= found.low && found.low < found.value && found.value < found.high);
        let apart = Estimate::area(&[2.0; 30], &[1.0; 30]);
        assert!(
            apart.value == 1.0 && apart.low > 0.88 && apart.low < 1.0,
            "{apart:?}"
        );
    }

    #[test]
    fn a_gaussian_allows_what_two_normals_that_far_apart_show() {
        let allowed = Guarantee::of([Some(2.0), Some(2.0)]).unwrap();
        assert!((allowed.mu - 0.5f64.sqrt()).abs() < 1e-12);
        // By numpy's erf.
        assert!(
            (allowed.advantage() - 0.276_326_4).abs() < 1e-6,
            "{}",
            allowed.advantage()
        );
        assert!((allowed.area() - 0.691_462_5).abs() < 1e-6);
        assert!((allowed.raised(0.5) - below(allowed.mu)).abs() < 1e-12);
        assert!(allowed.raised(0.01) > 0.01 && allowed.of_replacing().raised(0.01) > allowed.raised(0.01));
        assert_eq!(Guarantee::of([Some(1.0), None]), None);
    }

    #[test]
    fn resampled_customers_bracket_the_mean_and_the_seed_decides() {
        let shares: Vec<f64> = (0..100).map(|at| f64::from(at % 5) / 4.0).collect();
        let found = Estimate::mean_of(&shares, 3);
        assert!((found.value - 0.5).abs() < 1e-12);
        // Standard error .0355.
        assert!(
            (found.low - 0.43).abs() < 0.02 && (found.high - 0.57).abs() < 0.02,
            "{found:?}"
        );
        assert_eq!(found, Estimate::mean_of(&shares, 3));
        let all = Estimate::mean_of(&[1.0; 40], 1);
        assert!(all.value == 1.0 && all.low > 0.9);
    }
}
