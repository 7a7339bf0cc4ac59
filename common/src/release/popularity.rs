//! The first release: how much each item is bought, and the estimate that is made of the noised sum.
//!
//! A user adds a_u = r_u(.5) / |r_u(.5)|, where r_u(g) is k^-g at the item of rank k. The sum p~ is drawn toward a ridge
//! regression on public features and by empirical Bayes (Efron, Morris 1973) toward what the features say of an item.

use super::history::ReleaseHistory;
use crate::features::Features;
use crate::model::update::UserUpdate;
use crate::numeric::eigen::{add_scaled, dot};

/// a_u: what a user adds, of length just below 1; none for a user whose history is empty, or names an item that the
/// catalogue of `items` does not have.
pub fn contribution(history: &ReleaseHistory, items: usize) -> Option<UserUpdate> {
    if history.items().is_empty() || !history.fits(items) {
        return None;
    }
    let mut weighted: Vec<(usize, f64)> = history.weighted(DECAY).collect();
    let norm = weighted
        .iter()
        .map(|(_, weight)| weight * weight)
        .sum::<f64>()
        .sqrt();
    weighted.sort_unstable_by_key(|(item, _)| *item);
    Some(UserUpdate::Sparse {
        ranges: weighted.iter().map(|(item, _)| *item..item + 1).collect(),
        values: weighted
            .iter()
            .map(|(_, weight)| (weight / norm * super::LENGTH) as f32)
            .collect(),
    })
}

/// p: the estimate that all later releases and scores are made with.
#[derive(Clone, Debug, PartialEq)]
pub struct PopularityEstimate {
    values: Vec<f32>,
    noise_stddev: f64,
}

impl PopularityEstimate {
    /// From the noised sum p~, whose noise has the standard deviation `noise_stddev` (z of the sum; 0 without noise).
    ///
    /// # Shapes
    /// noised: `[items]`, as many as `features` has rows, if it has columns.
    pub fn new(noised: &[f64], noise_stddev: f64, features: &Features) -> Self {
        let values = match noise_stddev > 0.0 {
            true => denoise(noised, &vec![noise_stddev * noise_stddev; noised.len()], features),
            false => noised.to_vec(),
        };
        let values = values.iter().map(|value| value.max(0.0) as f32).collect();
        Self::published(values, noise_stddev)
    }

    /// As the coordinator has published it.
    pub fn published(values: Vec<f32>, noise_stddev: f64) -> Self {
        Self { values, noise_stddev }
    }

    /// p_i >= 0, one an item.
    pub fn values(&self) -> &[f32] {
        &self.values
    }

    /// Standard deviation of the noise in the sum that it was made of.
    pub fn noise_stddev(&self) -> f64 {
        self.noise_stddev
    }

    /// p^ = max(p, z/2, `least`): p where it divides or points.
    pub(super) fn floored(&self, least: f64) -> Vec<f64> {
        let floor = least.max(0.5 * self.noise_stddev);
        self.values
            .iter()
            .map(|value| f64::from(*value).max(floor))
            .collect()
    }

    /// v0 = p^ / |p^|: the direction of what everybody buys.
    pub fn direction(&self) -> Vec<f32> {
        let floored = self.floored(match self.noise_stddev > 0.0 {
            true => LEAST,
            false => LEAST_WITHOUT_NOISE,
        });
        let norm = dot(&floored, &floored).sqrt();
        floored.iter().map(|value| (value / norm) as f32).collect()
    }

    /// q: p by shares that add up to 1; equal ones where nothing is bought.
    pub(super) fn shares(&self) -> Vec<f64> {
        shares(self.values.iter().map(|value| f64::from(*value)))
    }

    /// p + .05 mean p + 1e-6, by shares: what public maps weigh items with.
    pub(super) fn smoothed_shares(&self) -> Vec<f64> {
        let values = self.values.iter().map(|value| f64::from(*value));
        let more = 0.05 * values.clone().sum::<f64>() / self.values.len() as f64 + 1e-6;
        shares(values.map(|value| value + more))
    }
}

fn shares(values: impl Iterator<Item = f64> + Clone) -> Vec<f64> {
    let sum: f64 = values.clone().sum();
    let equal = 1.0 / values.clone().count() as f64;
    values
        .map(|value| if sum > 0.0 { value / sum } else { equal })
        .collect()
}

/// Empirical Bayes: a ridge regression m of `noised` on the features (without: the mean), and each item drawn toward it by
/// how much its own noise exceeds what items differ by. None is below 0.
///
/// # Shapes
/// noised, variances of its noise: `[items]`.
pub fn denoise(noised: &[f64], variances: &[f64], features: &Features) -> Vec<f64> {
    let count = noised.len() as f64;
    let mean = |values: &mut dyn Iterator<Item = f64>| values.sum::<f64>() / count;
    let noise = mean(&mut variances.iter().copied());
    let average = mean(&mut noised.iter().copied());
    let prior: Vec<f64> = if features.is_empty() {
        vec![average.max(1e-6); noised.len()]
    } else {
        let spread = mean(&mut noised.iter().map(|value| (value - average) * (value - average)));
        let lambda = 5.0 * (noise / (spread - noise).max(0.05 * noise + 1e-12)).max(0.05);
        let fitted = ridge(features, noised, lambda);
        fitted.into_iter().map(|value| value.max(0.0)).collect()
    };
    let pairs = || noised.iter().zip(&prior);
    let misfit = mean(&mut pairs().map(|(value, prior)| (value - prior) * (value - prior)));
    let between = (misfit - noise).max(0.01 * noise + 1e-9);
    let prior_squared = mean(&mut prior.iter().map(|value| value * value)).max(1e-12);
    let drawn = pairs().zip(variances).map(|((value, prior), variance)| {
        let spread = match features.is_empty() {
            true => between,
            false => 0.5 * between + 0.5 * between * prior * prior / prior_squared,
        };
        (prior + spread / (spread + variance) * (value - prior)).max(0.0)
    });
    drawn.collect()
}

/// Fitted values of the ridge regression of `targets` on the features and an intercept that is (but for 1e-6 of lambda) not
/// penalised; by conjugate gradients with a diagonal preconditioner (Golub, Van Loan 2013, Algorithm 11.5.1).
fn ridge(features: &Features, targets: &[f64], lambda: f64) -> Vec<f64> {
    let width = features.columns() + 1;
    let penalty = |at: usize| if at == 0 { 1e-6 * lambda } else { lambda };
    let mut diagonal: Vec<f64> = (0..width).map(penalty).collect();
    diagonal[0] += targets.len() as f64;
    for item in 0..targets.len() {
        let (columns, values) = features.row(item);
        for (column, value) in columns.iter().zip(values) {
            diagonal[*column as usize + 1] += f64::from(*value).powi(2);
        }
    }
    let apply = |x: &[f64]| {
        let mut image = transposed(features, &fitted(features, x));
        (0..width).for_each(|at| image[at] += penalty(at) * x[at]);
        image
    };
    let scaled =
        |residual: &[f64]| -> Vec<f64> { residual.iter().zip(&diagonal).map(|(r, d)| r / d).collect() };
    let mut weights = vec![0.0; width];
    let mut residual = transposed(features, targets);
    let mut step = scaled(&residual);
    let mut energy = dot(&residual, &step);
    let enough = 1e-28 * energy;
    for _ in 0..8 * width + 64 {
        if energy <= enough {
            break;
        }
        let image = apply(&step);
        let rate = energy / dot(&step, &image);
        add_scaled(rate, &step, &mut weights);
        add_scaled(-rate, &image, &mut residual);
        let next = scaled(&residual);
        let next_energy = dot(&residual, &next);
        let turn = next_energy / energy;
        step.iter_mut()
            .zip(next)
            .for_each(|(step, next)| *step = next + turn * *step);
        energy = next_energy;
    }
    fitted(features, &weights)
}

/// Intercept and features times weights. Shape: `[items]`.
fn fitted(features: &Features, weights: &[f64]) -> Vec<f64> {
    let fit = |item| {
        let (columns, values) = features.row(item);
        let terms = columns.iter().zip(values);
        terms.fold(weights[0], |sum, (column, value)| {
            sum + f64::from(*value) * weights[*column as usize + 1]
        })
    };
    (0..features.items()).map(fit).collect()
}

/// The transpose of intercept and features, times one number an item. Shape: `[1 + columns]`.
fn transposed(features: &Features, numbers: &[f64]) -> Vec<f64> {
    let mut sums = vec![0.0; features.columns() + 1];
    for (item, number) in numbers.iter().enumerate() {
        sums[0] += number;
        let (columns, values) = features.row(item);
        for (column, value) in columns.iter().zip(values) {
            sums[*column as usize + 1] += f64::from(*value) * number;
        }
    }
    sums
}

/// g of a_u.
const DECAY: f64 = 0.5;
/// p^ is at least that many users.
pub(super) const LEAST: f64 = 0.3;
const LEAST_WITHOUT_NOISE: f64 = 1e-3;

#[cfg(test)]
mod tests;
