//! How good click probabilities are: area under the curve, log loss, normalised entropy, and calibration.
//!
//! Normalised entropy is the log loss over that of the mean click rate (He et al. 2014, "Practical Lessons from Predicting Clicks on
//! Ads at Facebook"): below 1 is better than knowing the rate alone.

use serde::Serialize;

/// Figures of predicted probabilities beside what was clicked.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct ClickMetrics {
    /// How many ads were shown.
    pub shown: usize,
    /// How many of them were clicked.
    pub clicked: usize,
    /// The chance that a clicked ad has a higher probability than one that was not, ties by half; none where all labels are alike.
    pub auc: Option<f64>,
    /// Mean cross-entropy in nats; none where nothing was shown.
    pub log_loss: Option<f64>,
    /// The log loss over that of the mean click rate; none where all labels are alike.
    pub normalised_entropy: Option<f64>,
    /// Clicks predicted over clicks that happened; none where nothing was clicked.
    pub calibration: Option<f64>,
    /// Expected calibration error: mean distance of predicted and actual click rates, over ten bins of equally many ads by their
    /// probabilities; none where nothing was shown.
    pub calibration_error: Option<f64>,
}

impl ClickMetrics {
    /// Of probabilities and labels (1 clicked, 0 not), in any order. A probability that is not a number counts as wrong as can be.
    ///
    /// # Shapes
    /// probabilities, labels: `[shown]`.
    pub fn of(probabilities: &[f32], labels: &[f32]) -> Self {
        let mut pairs: Vec<(f64, bool)> = probabilities
            .iter()
            .zip(labels)
            .map(|(p, label)| {
                let clicked = *label > 0.5;
                let broken = if clicked { 0.0 } else { 1.0 };
                (if p.is_nan() { broken } else { f64::from(*p) }, clicked)
            })
            .collect();
        pairs.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        let shown = pairs.len();
        let clicked = pairs.iter().filter(|(_, clicked)| *clicked).count();
        let count = shown as f64;
        let mean = |sum: f64| (shown > 0).then(|| sum / count);
        let log_loss = mean(pairs.iter().map(|(p, clicked)| surprise(*p, *clicked)).sum());
        let rate = clicked as f64 / count.max(1.0);
        let differ = clicked > 0 && clicked < shown;
        let entropy = surprise(rate, true) * rate + surprise(rate, false) * (1.0 - rate);
        let predicted: f64 = pairs.iter().map(|(p, _)| p).sum();
        // Equal probabilities share their clicks, so that it does not matter in which bin each falls.
        let apart: Vec<f64> = pairs
            .chunk_by(|a, b| a.0 == b.0)
            .flat_map(|tied| {
                let clicked = tied.iter().filter(|(_, clicked)| *clicked).count();
                let gap = tied[0].0 - clicked as f64 / tied.len() as f64;
                std::iter::repeat_n(gap, tied.len())
            })
            .collect();
        let gaps = (0..BINS).map(|bin| {
            let bin = &apart[bin * shown / BINS..(bin + 1) * shown / BINS];
            bin.iter().sum::<f64>().abs()
        });
        Self {
            shown,
            clicked,
            auc: differ.then(|| area(&pairs, clicked)),
            log_loss,
            normalised_entropy: log_loss.filter(|_| differ).map(|loss| loss / entropy),
            calibration: (clicked > 0).then(|| predicted / clicked as f64),
            calibration_error: mean(gaps.sum()),
        }
    }
}

/// Of sorted pairs.
fn area(pairs: &[(f64, bool)], clicked: usize) -> f64 {
    let (mut below, mut wins) = (0.0, 0.0);
    for tied in pairs.chunk_by(|a, b| a.0 == b.0) {
        let positive = tied.iter().filter(|(_, clicked)| *clicked).count() as f64;
        let negative = tied.len() as f64 - positive;
        wins += positive * (below + 0.5 * negative);
        below += negative;
    }
    wins / (clicked as f64 * below)
}

/// The loss of a probability, in nats; one of 0 or 1 that is wrong costs [`LEAST`]'s.
fn surprise(p: f64, clicked: bool) -> f64 {
    let p = p.clamp(LEAST, 1.0 - LEAST);
    -(if clicked { p.ln() } else { (-p).ln_1p() })
}

const BINS: usize = 10;
const LEAST: f64 = 1e-12;

#[cfg(test)]
mod tests {
    use super::*;

    fn close(value: Option<f64>, expected: f64) {
        assert!(
            (value.unwrap() - expected).abs() < 1e-6,
            "{value:?} for {expected}"
        );
    }

    #[test]
    fn figures_are_those_of_numpy_and_of_hand() {
        let probabilities = [0.9, 0.4, 0.4, 0.1, 0.2];
        let metrics = ClickMetrics::of(&probabilities, &[1.0, 1.0, 0.0, 0.0, 0.0]);
        // Of 6 pairs one ties.
        close(metrics.auc, 5.5 / 6.0);
        let loss = -(0.9f64.ln() + 0.4f64.ln() + 0.6f64.ln() + 0.9f64.ln() + 0.8f64.ln()) / 5.0;
        close(metrics.log_loss, loss);
        close(
            metrics.normalised_entropy,
            loss / -(0.4 * 0.4f64.ln() + 0.6 * 0.6f64.ln()),
        );
        close(metrics.calibration, 1.0);
        // Fewer ads than bins: each alone, but equal ones share what was clicked of them.
        close(metrics.calibration_error, (0.1 + 0.1 + 0.1 + 0.1 + 0.2) / 5.0);
    }

    #[test]
    fn labels_that_are_all_alike_have_no_area_and_no_normalised_entropy() {
        let none = ClickMetrics::of(&[0.1, 0.2], &[0.0, 0.0]);
        assert_eq!(
            (none.auc, none.normalised_entropy, none.calibration),
            (None, None, None)
        );
        assert!(none.log_loss.unwrap() > 0.0);
        let all = ClickMetrics::of(&[0.5, 0.25], &[1.0, 1.0]);
        assert_eq!((all.auc, all.normalised_entropy), (None, None));
        close(all.calibration, 0.375);
        let nothing = ClickMetrics::of(&[], &[]);
        assert_eq!(
            (nothing.shown, nothing.log_loss, nothing.calibration_error),
            (0, None, None)
        );
    }

    #[test]
    fn a_rate_alone_has_half_the_area_and_all_the_entropy_and_broken_numbers_never_look_good() {
        let labels: Vec<f32> = (0..100).map(|at| f32::from(u8::from(at % 4 == 0))).collect();
        let rate = ClickMetrics::of(&[0.25; 100], &labels);
        close(rate.auc, 0.5);
        close(rate.normalised_entropy, 1.0);
        close(rate.calibration, 1.0);
        close(rate.calibration_error, 0.0);
        let broken = ClickMetrics::of(&[f32::NAN; 100], &labels);
        close(broken.auc, 0.0);
        assert!(broken.normalised_entropy.unwrap() > 10.0 && broken.log_loss.unwrap().is_finite());
        // Order does not matter.
        let p: Vec<f32> = (0..100).map(|at| (at * 37 % 100) as f32 / 100.0).collect();
        let back = |of: &[f32]| of.iter().rev().copied().collect::<Vec<f32>>();
        let (one, other) = (
            ClickMetrics::of(&p, &labels),
            ClickMetrics::of(&back(&p), &back(&labels)),
        );
        close(one.auc, other.auc.unwrap());
        close(one.log_loss, other.log_loss.unwrap());
    }
}
