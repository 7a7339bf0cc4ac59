//! From scores to bounds on epsilon: statements about a mechanism of which nothing is known but what came out of it.
//!
//! | module | procedure | from |
//! |---|---|---|
//! | [`clopper_pearson`] | exact bounds of a probability; epsilon of two error rates | Jagielski, Ullman, Oprea 2020 |
//! | [`gdp`] | mu of a Gaussian mechanism from two error rates, then epsilon | Nasr et al. 2023 |
//! | [`one_run`] | m canaries in one run, guessed | Steinke, Nasr, Jagielski 2023 |
//! | [`f_dp`] | the same against a whole trade-off curve | Mahloujifar et al. 2024 |
//! | [`one_shot`] | an estimate from random directions | Andrew et al. 2023 |
//!
//! Held against jax-privacy's figures, frozen in `tests/vectors/audit_statistics.json` by the script beside it.

pub(crate) mod clopper_pearson;
pub(crate) mod f_dp;
pub(crate) mod gdp;
pub(crate) mod one_run;
pub(crate) mod one_shot;
#[cfg(test)]
mod tests;

use statrs::distribution::{ContinuousCDF, Normal};

/// Scores of trials: a higher one says that the canary was there.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Scores {
    /// Of trials with the canary.
    pub(crate) present: Vec<f64>,
    /// Of trials without it.
    pub(crate) absent: Vec<f64>,
}

/// How a procedure chooses the score from which on it says "present".
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Threshold {
    /// This one, fixed before the scores were seen.
    At(f64),
    /// The best of all that matter; the significance is divided among them.
    Best,
}

/// Wrong and right guesses at one threshold.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Guesses {
    /// Present, and said so.
    pub(crate) true_positives: u64,
    /// Present, and not said so.
    pub(crate) false_negatives: u64,
    /// Absent, and said to be present.
    pub(crate) false_positives: u64,
    /// Absent, and said so.
    pub(crate) true_negatives: u64,
}

impl Scores {
    /// Guesses at `threshold`: a score of at least that says "present".
    pub(crate) fn guesses(&self, threshold: f64) -> Guesses {
        let at_least = |scores: &[f64]| scores.iter().filter(|score| **score >= threshold).count() as u64;
        let (true_positives, false_positives) = (at_least(&self.present), at_least(&self.absent));
        Guesses {
            true_positives,
            false_negatives: self.present.len() as u64 - true_positives,
            false_positives,
            true_negatives: self.absent.len() as u64 - false_positives,
        }
    }

    /// What [`Threshold`] asks to be looked at: guesses, and among how many the significance is divided.
    fn candidates(&self, threshold: Threshold) -> Vec<Guesses> {
        match threshold {
            Threshold::At(threshold) => vec![self.guesses(threshold)],
            Threshold::Best => self.frontier(),
        }
    }

    /// Guesses at the thresholds that no mixture of two others beats: the corners of the concave hull of true negatives over
    /// false negatives, its two ends among them.
    pub(crate) fn frontier(&self) -> Vec<Guesses> {
        let mut scores: Vec<(f64, bool)> = Vec::with_capacity(self.present.len() + self.absent.len());
        scores.extend(self.present.iter().map(|score| (*score, true)));
        scores.extend(self.absent.iter().map(|score| (*score, false)));
        scores.sort_unstable_by(|one, other| one.0.total_cmp(&other.0));
        // (false negatives, true negatives) below each distinct score, and below all.
        let mut corners: Vec<(i64, i64)> = Vec::new();
        let mut below = (0, 0);
        for (at, (score, present)) in scores.iter().enumerate() {
            if at == 0 || scores[at - 1].0 < *score {
                push_corner(&mut corners, below);
            }
            match present {
                true => below.0 += 1,
                false => below.1 += 1,
            }
        }
        push_corner(&mut corners, below);
        let all = (self.present.len() as u64, self.absent.len() as u64);
        corners
            .into_iter()
            .map(|(false_negatives, true_negatives)| {
                let (false_negatives, true_negatives) =
                    (false_negatives.unsigned_abs(), true_negatives.unsigned_abs());
                Guesses {
                    true_positives: all.0 - false_negatives,
                    false_negatives,
                    false_positives: all.1 - true_negatives,
                    true_negatives,
                }
            })
            .collect()
    }
}

/// One step of Andrew's monotone chain: corners that lie on or under the line to the new one go.
fn push_corner(corners: &mut Vec<(i64, i64)>, next: (i64, i64)) {
    while let [.., first, middle] = corners[..] {
        let rise = |from: (i64, i64), to: (i64, i64)| (to.0 - from.0, to.1 - from.1);
        let (one, two) = (rise(first, middle), rise(middle, next));
        if one.1 * two.0 - two.1 * one.0 > 0 {
            break;
        }
        corners.pop();
    }
    corners.push(next);
}

/// The normal distribution's cumulative probability.
pub(crate) fn normal_cdf(x: f64) -> f64 {
    Normal::standard().cdf(x)
}

/// The normal quantile of `probability`; infinite at 0 and 1.
pub(crate) fn normal_quantile(probability: f64) -> f64 {
    match probability {
        p if p <= 0.0 => f64::NEG_INFINITY,
        p if p >= 1.0 => f64::INFINITY,
        p => Normal::standard().inverse_cdf(p),
    }
}

/// The largest argument at which `is_refuted` says yes, to 10^-10: from `low`, where it does, on.
fn largest_refuted(mut low: f64, is_refuted: impl Fn(f64) -> bool) -> f64 {
    let mut high = (2.0 * low).max(1.0);
    while is_refuted(high) {
        (low, high) = (high, 2.0 * high);
        if high > MOST_EPSILON {
            return high;
        }
    }
    while high - low > 1e-10 {
        let middle = 0.5 * (low + high);
        if is_refuted(middle) {
            low = middle;
        } else {
            high = middle;
        }
    }
    low
}

/// Beyond any epsilon that a finite number of trials could show.
const MOST_EPSILON: f64 = 1e6;
