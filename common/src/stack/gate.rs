//! Whether channels of all shops help this one: both stacks are fitted on three quarters of the validation customers and
//! compared on the rest, four times.

use rand::RngExt;
use serde::{Deserialize, Serialize};

use super::newton::{Problem, fit, mean_loss, picked, scores};
use crate::rng::stream;

/// What the comparison found. It stays in the shop.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct GateReport {
    /// Customers compared on.
    pub customers: usize,
    /// Mean of the loss alone less the loss together, out of fold.
    pub loss_gain: f64,
    /// That mean over its standard error.
    pub loss_z: f64,
    /// Mean gain in expected hit rate@10 against 99, in points, out of fold.
    pub hit_gain: f64,
    /// Standard error of that gain over customers, who are paired.
    #[serde(default)]
    pub hit_gain_error: f64,
    /// Mean expected hit rate together, in points, out of fold.
    #[serde(default)]
    pub together_hit: f64,
}

/// Expected hit rate@10 against 99 drawn items, in points; each customer's by weights that were fitted to others.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct HitRate {
    /// Customers measured on.
    pub customers: usize,
    /// Mean over them; 0 if there is none.
    pub mean: f64,
    /// Standard error of the mean.
    pub standard_error: f64,
}

impl HitRate {
    /// Of what [`measured`] found.
    pub(super) fn of(cases: &[(f64, f64)]) -> Self {
        let (mean, standard_error) = mean_and_error(cases.iter().map(|case| case.1));
        Self {
            customers: cases.len(),
            mean,
            standard_error,
        }
    }
}

/// How sure a shop must be.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum GateRule {
    /// The loss falls at all, and the expected hit rate does not fall by more than its standard error.
    AnyGain,
    /// The loss falls by more than its standard error, and the expected hit rate rises.
    Strict,
}

impl GateRule {
    /// What suits a federation that spends `epsilon` (none: without noise).
    pub fn of(epsilon: Option<f64>) -> Self {
        match epsilon {
            Some(epsilon) if epsilon < MILD => Self::Strict,
            _ => Self::AnyGain,
        }
    }

    /// Whether the channels of all shops are let in.
    pub fn opens(self, report: &GateReport) -> bool {
        match self {
            // Few customers can't tell a gain in hits from none; many can, and there the loss alone misleads.
            Self::AnyGain => report.loss_z > 0.0 && report.hit_gain >= -report.hit_gain_error,
            Self::Strict => report.loss_z > 1.0 && report.hit_gain > 0.0,
        }
    }
}

/// Loss and expected hit rate of each chosen case, by weights fitted to the other folds; fold by fold.
pub(super) fn measured(problem: &Problem<'_>, seed: u64) -> Vec<(f64, f64)> {
    let fold_of = folds(problem.chosen.len(), seed);
    let mut found = Vec::with_capacity(fold_of.len());
    for fold in 0..FOLDS {
        let (mut inside, mut outside) = (Vec::new(), Vec::new());
        for (case, of) in problem.chosen.iter().zip(&fold_of) {
            if *of == fold { &mut outside } else { &mut inside }.push(*case);
        }
        let part = Problem {
            chosen: &inside,
            ..*problem
        };
        let weights: Vec<f32> = fit(&part).into_iter().map(|weight| weight as f32).collect();
        found.extend(outside.iter().map(|case| measure(problem, *case, &weights)));
    }
    found
}

/// Compares what was [`measured`] of the same cases alone and together.
pub(super) fn compare(alone: &[(f64, f64)], together: &[(f64, f64)]) -> GateReport {
    let pairs = || alone.iter().zip(together);
    let (loss_gain, loss_error) = mean_and_error(pairs().map(|(old, new)| old.0 - new.0));
    let (hit_gain, hit_gain_error) = mean_and_error(pairs().map(|(old, new)| new.1 - old.1));
    GateReport {
        customers: alone.len(),
        loss_gain,
        loss_z: loss_gain / (loss_error + 1e-9),
        hit_gain,
        hit_gain_error,
        together_hit: HitRate::of(together).mean,
    }
}

/// The mean, and its standard error.
fn mean_and_error(values: impl Iterator<Item = f64> + Clone) -> (f64, f64) {
    let count = values.clone().count().max(1) as f64;
    let mean = values.clone().sum::<f64>() / count;
    let variance = values.map(|value| (value - mean).powi(2)).sum::<f64>() / count;
    (mean, (variance / count).sqrt())
}

/// Loss and expected hit rate in % of one case.
fn measure(problem: &Problem<'_>, case: usize, weights: &[f32]) -> (f64, f64) {
    let cases = problem.validation;
    let masked = cases.masked(case);
    let scores = scores(&picked(cases, case, problem.columns), masked, weights);
    let open = masked[1..].iter().filter(|masked| !**masked).count();
    let above = scores[1..].iter().filter(|score| **score >= scores[0]).count();
    let share = above as f64 / open.max(1) as f64;
    (mean_loss(&scores), 100.0 * at_most_nine(share))
}

/// P[Binomial(99, p) <= 9].
fn at_most_nine(p: f64) -> f64 {
    if p >= 1.0 {
        return 0.0;
    }
    let mut term = libm::pow(1.0 - p, TRIALS);
    let mut sum = term;
    for k in 0..9 {
        let k = f64::from(k);
        term *= (TRIALS - k) / (k + 1.0) * p / (1.0 - p);
        sum += term;
    }
    sum
}

/// A fold for each of `count`, as even as can be, by a seeded shuffle.
fn folds(count: usize, seed: u64) -> Vec<usize> {
    let mut rng = stream(seed, "stack folds");
    let mut folds: Vec<usize> = (0..count).map(|at| at % FOLDS).collect();
    for at in 0..count {
        let other = rng.random_range(at..count);
        folds.swap(at, other);
    }
    folds
}

const FOLDS: usize = 4;
const TRIALS: f64 = 99.0;

/// From this epsilon on noise is mild enough for [`GateRule::AnyGain`].
const MILD: f64 = 4.0;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_binomial_is_scipys() {
        #[derive(Deserialize)]
        struct Vectors {
            binomial: Vec<(f64, f64)>,
        }
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/vectors/joining.json");
        let vectors: Vectors = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
        for (p, expected) in vectors.binomial {
            assert!((at_most_nine(p) - expected).abs() < 1e-12, "{p}");
        }
    }

    #[test]
    fn little_noise_asks_for_a_gain_and_much_noise_for_proof() {
        let found = |loss_z, hit_gain| GateReport {
            loss_z,
            hit_gain,
            ..GateReport::default()
        };
        assert_eq!([None, Some(8.0), Some(4.0), Some(2.0)].map(GateRule::of), {
            use GateRule::{AnyGain, Strict};
            [AnyGain, AnyGain, AnyGain, Strict]
        });
        assert!(GateRule::AnyGain.opens(&found(0.1, 0.1)) && !GateRule::AnyGain.opens(&found(0.0, 1.0)));
        assert!(GateRule::Strict.opens(&found(1.1, 0.1)));
        assert!(!GateRule::Strict.opens(&found(1.1, 0.0)) && !GateRule::Strict.opens(&found(0.9, 3.0)));
    }

    #[test]
    fn a_loss_that_falls_opens_nothing_where_hits_surely_fall() {
        let found = |hit_gain| GateReport {
            customers: 4000,
            loss_z: 6.0,
            hit_gain,
            hit_gain_error: 0.1,
            ..GateReport::default()
        };
        assert!(GateRule::AnyGain.opens(&found(-0.05)), "no more than chance");
        assert!(!GateRule::AnyGain.opens(&found(-0.5)));
    }

    #[test]
    fn folds_are_even_and_repeat() {
        let folds_of = folds(10, 3);
        let sizes = [0, 1, 2, 3].map(|fold| folds_of.iter().filter(|of| **of == fold).count());
        assert_eq!(sizes, [3, 3, 2, 2]);
        assert_eq!(folds_of, folds(10, 3));
        assert!(folds(0, 3).is_empty());
    }
}
