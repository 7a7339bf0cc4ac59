//! Exact bounds of a probability (Clopper, Pearson 1934), and of epsilon by them (Jagielski, Ullman, Oprea 2020).

use statrs::distribution::{Beta, ContinuousCDF};

use super::{Guesses, Scores, Threshold};

/// The largest probability with which `events` or fewer of `trials` still happen with probability `significance`.
pub(crate) fn upper(events: u64, trials: u64, significance: f64) -> f64 {
    if events >= trials {
        return 1.0;
    }
    // One more than what happened, and what did not: both positive.
    match Beta::new(events as f64 + 1.0, (trials - events) as f64) {
        Ok(beta) => beta.inverse_cdf(1.0 - significance),
        Err(_) => 1.0,
    }
}

/// The smallest probability with which `events` or more of `trials` still happen with probability `significance`.
pub(crate) fn lower(events: u64, trials: u64, significance: f64) -> f64 {
    1.0 - upper(trials.saturating_sub(events), trials, significance)
}

/// Both ends at once: an interval that holds the probability with confidence 1 - `significance`.
pub(crate) fn interval(events: u64, trials: u64, significance: f64) -> (f64, f64) {
    let half = 0.5 * significance;
    (lower(events, trials, half), upper(events, trials, half))
}

/// A lower bound on epsilon at `delta`: log((TPR - delta) / FPR) at the ends of both intervals.
pub(crate) fn epsilon(scores: &Scores, threshold: Threshold, significance: f64, delta: f64) -> f64 {
    let candidates = scores.candidates(threshold);
    let significance = significance / candidates.len() as f64;
    let bounds = candidates.into_iter().filter_map(|guesses| {
        let (most_missed, most_false) = most(guesses, 0.5 * significance);
        let found = 1.0 - most_missed - delta;
        (found > 0.0).then(|| (found / most_false).ln())
    });
    bounds.fold(0.0, f64::max)
}

/// The most that the false negative rate and the false positive rate can be.
pub(super) fn most(guesses: Guesses, significance: f64) -> (f64, f64) {
    let present = guesses.true_positives + guesses.false_negatives;
    let absent = guesses.false_positives + guesses.true_negatives;
    (
        upper(guesses.false_negatives, present, significance),
        upper(guesses.false_positives, absent, significance),
    )
}
