//! Empirical Bayes for popularity: noisy sums are drawn to what the items' features predict, the more the noisier.

use crate::features::Features;
use crate::numeric::dot;

/// The posterior means of sums whose noise has the variances `noise`, one an item: 0 or more.
///
/// The prior mean m is a ridge regression of `sums` on the features with an unpenalised intercept, at least 0, with
/// lambda = 5 max(z^2 / max(var - z^2, .05 z^2), .05) for the mean variance z^2; the prior variance is half constant and
/// half in proportion to m^2. Without features m is the mean.
///
/// # Shapes
/// sums, noise: `[items]`.
pub fn shrink(sums: &[f64], noise: &[f64], features: &Features) -> Vec<f64> {
    let mean_noise = mean(noise.iter().copied());
    let prior = expected(sums, mean_noise, features);
    let misfit = mean(sums.iter().zip(&prior).map(|(sum, prior)| (sum - prior).powi(2)));
    let spread = (misfit - mean_noise).max(0.01 * mean_noise + 1e-9);
    let square = mean(prior.iter().map(|prior| prior * prior)).max(1e-12);
    let posterior = |((sum, noise), prior): ((&f64, &f64), &f64)| {
        let spread = match features.is_empty() {
            true => spread,
            false => 0.5 * spread + 0.5 * spread * prior * prior / square,
        };
        (prior + spread / (spread + noise) * (sum - prior)).max(0.0)
    };
    sums.iter().zip(noise).zip(&prior).map(posterior).collect()
}

/// The prior means of [`shrink`]: what the features alone say of an item, at least 0.
///
/// # Shapes
/// sums: `[items]`.
pub fn expected(sums: &[f64], mean_noise: f64, features: &Features) -> Vec<f64> {
    let average = mean(sums.iter().copied());
    if features.is_empty() {
        return vec![average.max(1e-6); sums.len()];
    }
    let variance = mean(sums.iter().map(|sum| (sum - average).powi(2)));
    let signal = (variance - mean_noise).max(0.05 * mean_noise + 1e-12);
    let lambda = 5.0 * (mean_noise / signal).max(0.05);
    ridge(sums, features, lambda)
}

/// The fit of `target` by features and an intercept, at least 0, by conjugate gradients on the normal equations: they
/// need no matrix, so ten thousand features are no trouble.
fn ridge(target: &[f64], features: &Features, lambda: f64) -> Vec<f64> {
    let width = features.columns() + 1;
    let fit = |weights: &[f64]| -> Vec<f64> {
        let one = |item| {
            let (columns, values) = features.row(item);
            let terms = columns.iter().zip(values);
            weights[0]
                + terms
                    .map(|(column, value)| weights[*column as usize + 1] * f64::from(*value))
                    .sum::<f64>()
        };
        (0..features.items()).map(one).collect()
    };
    let back = |errors: &[f64]| -> Vec<f64> {
        let mut sums = vec![0.0; width];
        for (item, error) in errors.iter().enumerate() {
            let (columns, values) = features.row(item);
            sums[0] += error;
            for (column, value) in columns.iter().zip(values) {
                sums[*column as usize + 1] += error * f64::from(*value);
            }
        }
        sums
    };
    let mut penalty = vec![lambda; width];
    penalty[0] = INTERCEPT_PENALTY;
    let mut diagonal = penalty.clone();
    diagonal[0] += features.items() as f64;
    for item in 0..features.items() {
        let (columns, values) = features.row(item);
        for (column, value) in columns.iter().zip(values) {
            diagonal[*column as usize + 1] += f64::from(*value).powi(2);
        }
    }
    let scaled =
        |residual: &[f64]| -> Vec<f64> { residual.iter().zip(&diagonal).map(|(r, d)| r / d).collect() };
    let mut weights = vec![0.0; width];
    let mut residual = back(target);
    let mut direction = scaled(&residual);
    let mut size = dot(&residual, &direction);
    let enough = size * TOLERANCE;
    for _ in 0..MOST_STEPS {
        if size <= enough || size <= f64::MIN_POSITIVE {
            break;
        }
        let mut image = back(&fit(&direction));
        image
            .iter_mut()
            .zip(direction.iter().zip(&penalty))
            .for_each(|(image, (value, penalty))| *image += value * penalty);
        let step = size / dot(&direction, &image);
        for at in 0..width {
            weights[at] += step * direction[at];
            residual[at] -= step * image[at];
        }
        let next = scaled(&residual);
        let new_size = dot(&residual, &next);
        for (value, next) in direction.iter_mut().zip(&next) {
            *value = next + new_size / size * *value;
        }
        size = new_size;
    }
    let mut fitted = fit(&weights);
    fitted.iter_mut().for_each(|value| *value = value.max(0.0));
    fitted
}

pub(super) fn mean(values: impl ExactSizeIterator<Item = f64>) -> f64 {
    let count = values.len().max(1) as f64;
    values.sum::<f64>() / count
}

const INTERCEPT_PENALTY: f64 = 1e-6;
const MOST_STEPS: usize = 400;

/// Of the squared residual, against the start.
const TOLERANCE: f64 = 1e-20;
