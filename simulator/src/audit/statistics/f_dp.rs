//! One run with m canaries against a whole trade-off curve (Mahloujifar, Melis, Chaudhuri 2024, Algorithm 3): of the Gaussian
//! mechanisms with this epsilon at delta, could any guess so well?

use souk_common::accountant::gaussian::{epsilon_of, mu_of};
use souk_common::params::{Delta, Epsilon};

use super::one_run::{Guessed, bound};
use super::{Scores, Threshold, largest_refuted, normal_cdf, normal_quantile};

/// A lower bound on epsilon at `delta`.
pub(crate) fn epsilon(scores: &Scores, threshold: Threshold, significance: f64, delta: Delta) -> f64 {
    bound(scores, threshold, significance, |guessed, level, least| {
        of_guesses(guessed, level, delta, least)
    })
}

/// The largest epsilon whose Gaussian mechanism so many right guesses refute; `least` if they refute none above.
pub(crate) fn of_guesses(guessed: Guessed, significance: f64, delta: Delta, least: f64) -> f64 {
    // Searched by mu, which takes no inverse for each try.
    let smallest = Epsilon::new(least).map_or(0.0, |epsilon| mu_of(epsilon, delta));
    match is_refuted(guessed, significance, smallest) {
        true => epsilon_of(
            largest_refuted(smallest, |mu| is_refuted(guessed, significance, mu)),
            delta,
        ),
        false => least,
    }
}

/// Whether a mechanism of mu-GDP is as right as this with probability below `significance`: r and h bound the probabilities of
/// being right and wrong, one guess after another, and can't make up all guesses any more.
fn is_refuted(guessed: Guessed, significance: f64, mu: f64) -> bool {
    let (canaries, guesses) = (guessed.canaries as f64, guessed.guesses);
    let mut right = significance * guessed.right as f64 / canaries;
    let mut wrong = significance * (guesses - guessed.right) as f64 / canaries;
    for more in (0..guessed.right).rev() {
        let next = wrong.max(normal_cdf(normal_quantile(right) - mu));
        if next == wrong {
            break;
        }
        right = (right + more as f64 / (guesses - more) as f64 * (next - wrong)).min(1.0);
        wrong = next;
    }
    right + wrong > guesses as f64 / canaries
}
