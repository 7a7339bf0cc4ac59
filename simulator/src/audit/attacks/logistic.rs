//! Logistic regression with a ridge, by Newton's method.

use souk_common::numeric::cholesky::solve;

/// Weights, the constant last, fitted to rows of standardised numbers.
///
/// # Shapes
/// rows: one a label, all of one length n; result: `[n + 1]`.
pub(super) fn fit(rows: &[&[f64]], labels: &[bool], ridge: f64) -> Vec<f64> {
    let n = rows.first().map_or(0, |row| row.len()) + 1;
    let mut weights = vec![0.0; n];
    for _ in 0..STEPS {
        let (mut hessian, mut gradient) = (vec![0.0; n * n], vec![0.0; n]);
        for (row, label) in rows.iter().zip(labels) {
            let p = (1.0 + (-score(&weights, row)).exp()).recip();
            let error = f64::from(u8::from(*label)) - p;
            let with_constant = || row.iter().copied().chain([1.0]);
            for (at, value) in with_constant().enumerate() {
                gradient[at] += error * value;
                let scaled = p * (1.0 - p) * value;
                let cells = hessian[at * n..][..=at].iter_mut();
                cells
                    .zip(with_constant())
                    .for_each(|(cell, other)| *cell += scaled * other);
            }
        }
        for at in 0..n {
            let ridge = if at + 1 == n { 1e-6 } else { ridge };
            hessian[at * n + at] += ridge;
            gradient[at] -= ridge * weights[at];
        }
        if !solve(&mut hessian, &mut gradient) {
            break;
        }
        weights
            .iter_mut()
            .zip(gradient)
            .for_each(|(weight, by)| *weight += by.clamp(-MOST, MOST));
    }
    weights
}

/// Log odds of a row.
pub(super) fn score(weights: &[f64], row: &[f64]) -> f64 {
    let constant = weights.last().copied().unwrap_or_default();
    row.iter()
        .zip(weights)
        .fold(constant, |sum, (value, weight)| sum + value * weight)
}

const STEPS: usize = 20;
/// A weight moves by no more in a step.
const MOST: f64 = 2.0;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_gradient_is_zero_at_the_weights() {
        let rows: Vec<[f64; 2]> = (0..40)
            .map(|at| [f64::from(at % 7) - 3.0, f64::from(at % 5) - 2.0])
            .collect();
        let labels: Vec<bool> = (0..40).map(|at| at % 7 > 3 || at % 11 == 0).collect();
        let views: Vec<&[f64]> = rows.iter().map(|row| &row[..]).collect();
        let weights = fit(&views, &labels, 0.5);
        for at in 0..3 {
            let terms = views.iter().zip(&labels).map(|(row, label)| {
                let value = row.get(at).copied().unwrap_or(1.0);
                value * (f64::from(u8::from(*label)) - (1.0 + (-score(&weights, row)).exp()).recip())
            });
            let ridge = if at < 2 { 0.5 } else { 1e-6 };
            assert!(
                (terms.sum::<f64>() - ridge * weights[at]).abs() < 1e-6,
                "{at}: {weights:?}"
            );
        }
        assert!(weights[0] > 0.5);
    }
}
