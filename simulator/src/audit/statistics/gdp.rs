//! The GDP audit (Nasr et al. 2023): the mechanism is Gaussian, so two error rates give mu, and mu gives epsilon at any delta.

use souk_common::accountant::gaussian::epsilon_of;
use souk_common::params::Delta;

use super::{Scores, Threshold, clopper_pearson, normal_quantile};

/// A lower bound on mu.
///
/// jax-privacy 2.0.0 takes the absolute value here, so that rates whose upper ends add up to more than 1 count as evidence the other
/// way round: of scores that tell nothing it bounds epsilon by 3.1 (`nothing to be told` in the vectors). Upper ends are no
/// evidence of that; what is below 0 is none.
pub(crate) fn mu(scores: &Scores, threshold: Threshold, significance: f64, delta: Delta) -> f64 {
    let candidates = scores.candidates(threshold);
    let significance = 0.5 * significance / candidates.len() as f64;
    candidates
        .into_iter()
        .map(|guesses| clopper_pearson::most(guesses, significance))
        // A rate that may be 1 says nothing.
        .filter(|(missed, false_alarms)| missed.max(*false_alarms) < 1.0 - delta.get())
        .map(|(missed, false_alarms)| -normal_quantile(false_alarms) - normal_quantile(missed))
        .fold(0.0, f64::max)
}

/// A lower bound on epsilon at `delta`.
pub(crate) fn epsilon(scores: &Scores, threshold: Threshold, significance: f64, delta: Delta) -> f64 {
    epsilon_of(mu(scores, threshold, significance, delta), delta)
}
