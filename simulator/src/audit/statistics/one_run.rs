//! One run with m canaries, each present by a fair coin (Steinke, Nasr, Jagielski 2023, Theorem 3.1 and Algorithm 1): how many
//! guesses are right bounds epsilon.

use statrs::function::beta::beta_reg;

use super::{Scores, Threshold, largest_refuted};

/// A lower bound on epsilon at `delta`: canaries that score at least the threshold are guessed to be present, of the others
/// nothing is said.
pub(crate) fn epsilon(scores: &Scores, threshold: Threshold, significance: f64, delta: f64) -> f64 {
    bound(scores, threshold, significance, |guessed, level, least| {
        of_guesses(guessed, level, delta, least)
    })
}

/// What was guessed of how many canaries.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Guessed {
    /// Canaries.
    pub(crate) canaries: u64,
    /// Of these, guessed.
    pub(crate) guesses: u64,
    /// Of these, right.
    pub(crate) right: u64,
}

/// The best bound over the candidates, the most precise first: most later ones can't beat it and are not worked out.
pub(super) fn bound(
    scores: &Scores,
    threshold: Threshold,
    significance: f64,
    of_guesses: impl Fn(Guessed, f64, f64) -> f64,
) -> f64 {
    let canaries = (scores.present.len() + scores.absent.len()) as u64;
    let candidates = scores.candidates(threshold);
    let level = significance / candidates.len() as f64;
    let mut guessed: Vec<Guessed> = candidates
        .into_iter()
        .map(|guesses| Guessed {
            canaries,
            guesses: guesses.true_positives + guesses.false_positives,
            right: guesses.true_positives,
        })
        .filter(|guessed| guessed.guesses > 0)
        .collect();
    let precision =
        |guessed: &Guessed| super::clopper_pearson::lower(guessed.right, guessed.guesses, significance);
    guessed.sort_by(|one, other| precision(other).total_cmp(&precision(one)));
    guessed.into_iter().fold(0.0, |least, guessed| {
        let share = guessed.right as f64 / guessed.guesses as f64;
        // As many right guesses as this epsilon gives on average refute no more than it.
        match share > logistic(least) {
            true => f64::max(least, of_guesses(guessed, level, least)),
            false => least,
        }
    })
}

/// The largest epsilon that so many right guesses refute; `least` if they refute none above.
pub(crate) fn of_guesses(guessed: Guessed, significance: f64, delta: f64, least: f64) -> f64 {
    let is_refuted = |epsilon: f64| p_value(guessed, epsilon, delta) < significance;
    match is_refuted(least) {
        true => largest_refuted(least, is_refuted),
        false => least,
    }
}

/// The most probability that a mechanism of (`epsilon`, `delta`) gives so many right guesses or more.
fn p_value(guessed: Guessed, epsilon: f64, delta: f64) -> f64 {
    let Guessed {
        canaries,
        guesses,
        right,
    } = guessed;
    let chance = logistic(epsilon);
    let tail = |least: u64| at_least(least, guesses, chance);
    let beta = tail(right);
    if delta == 0.0 {
        return beta;
    }
    let alpha = (1..=right)
        .map(|fewer| (tail(right - fewer) - beta) / fewer as f64)
        .fold(0.0, f64::max);
    (beta + alpha * delta * 2.0 * canaries as f64).min(1.0)
}

/// The probability of `least` or more events in `trials`.
fn at_least(least: u64, trials: u64, probability: f64) -> f64 {
    match least {
        0 => 1.0,
        least if least > trials => 0.0,
        least => beta_reg(least as f64, (trials - least) as f64 + 1.0, probability),
    }
}

fn logistic(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}
