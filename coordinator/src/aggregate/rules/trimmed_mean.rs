//! `trimmed_mean` and `median`: coordinate by coordinate, without the largest and the smallest numbers (Yin et al. 2018,
//! Definitions 1 and 2).

use super::{AggregationRule, noise_by_trial};

/// The mean of the numbers that are left when `trim` at each end are taken away. Each shop counts once, whatever its size.
#[derive(Clone, Copy, Debug)]
pub(super) struct TrimmedMean {
    trim: usize,
}

impl TrimmedMean {
    /// Of `shops`; the plan keeps `trim` below half of them.
    pub(super) fn new(shops: usize, trim: usize) -> Self {
        Self {
            trim: trim.min(shops.saturating_sub(1) / 2),
        }
    }

    /// The middle one, or the mean of the middle two.
    pub(super) fn median(shops: usize) -> Self {
        Self::new(shops, usize::MAX)
    }
}

impl AggregationRule for TrimmedMean {
    fn combine(&self, values: &mut [f64]) -> f64 {
        values.sort_unstable_by(f64::total_cmp);
        let left = &values[self.trim..values.len() - self.trim];
        left.iter().sum::<f64>() / left.len() as f64
    }

    /// Where shops agree but for their noise. Where they do not, it is at most that of the noisiest shop that is left (Gaussian
    /// Poincare inequality), and what they say is above the noise.
    fn noise(&self, stddevs: &[f64]) -> f64 {
        noise_by_trial(stddevs, |values| self.combine(values))
    }
}
