//! What a shop scores with after the releases: linear forms of the items that a user has.
//!
//! | form | score of item j for a user with weights r = r_u(g), normalised to add up to 1 |
//! |---|---|
//! | view V | (r V)(V / p^^.25)', the left singular vectors of W, without singular values |
//! | view E | (r A T) lift', with T the right singular vectors and lift_j the row of item j, (W T)_j / p^_j, drawn toward what the features say of it by empirical Bayes |
//!
//! The singular vectors come from the eigenpairs of W'W, a small matrix.

use std::sync::Arc;

use super::map::{Columns, PublicMap, feature_columns};
use super::popularity::{LEAST, PopularityEstimate};
use crate::features::Features;
use crate::numeric::cholesky;
use crate::numeric::eigen::{dot, symmetric};

/// W: the noised sum of users' collaborative statistics. Shape: `[items, columns]`, row-major.
#[derive(Clone, Debug, PartialEq)]
pub struct CollaborativeSum {
    columns: usize,
    values: Vec<f64>,
    noise_stddev: f64,
}

impl CollaborativeSum {
    /// The sum of statistics through `map`; `noise_stddev` is z of the sum (0 without noise).
    ///
    /// # Errors
    /// When it has another length than the map, or a number that is not finite.
    pub fn new(values: Vec<f64>, map: &PublicMap, noise_stddev: f64) -> Result<Self, SumError> {
        if values.len() != map.values().len() {
            return Err(SumError::Length {
                got: values.len(),
                map: map.values().len(),
            });
        }
        match values.iter().position(|value| !value.is_finite()) {
            Some(index) => Err(SumError::NotFinite { index }),
            None => Ok(Self {
                columns: map.columns(),
                values,
                noise_stddev,
            }),
        }
    }

    fn rows(&self) -> impl Iterator<Item = &[f64]> {
        self.values.chunks_exact(self.columns)
    }

    fn items(&self) -> usize {
        self.values.len() / self.columns
    }

    /// The first `rank` singular triples.
    fn spectrum(&self, rank: usize) -> Spectrum {
        let width = self.columns;
        let mut gram = vec![0.0; width * width];
        for row in self.rows() {
            for (at, value) in row.iter().enumerate() {
                let cells = gram[at * width..][..=at].iter_mut();
                cells.zip(row).for_each(|(cell, other)| *cell += value * other);
            }
        }
        for row in 0..width {
            for column in row + 1..width {
                gram[row * width + column] = gram[column * width + row];
            }
        }
        let mut right = symmetric(&gram, width).vectors;
        right.truncate(rank);
        let mut left = self.times(&right);
        let mut singular = vec![0.0; right.len()];
        for row in left.rows() {
            singular
                .iter_mut()
                .zip(row)
                .for_each(|(sum, value)| *sum += value * value);
        }
        singular.iter_mut().for_each(|sum| *sum = sum.sqrt());
        // Below, a direction is the rounding of the larger ones.
        let least = singular.iter().fold(0.0f64, |most, value| most.max(*value)) * 1e-7;
        for row in left.values.chunks_exact_mut(right.len().max(1)) {
            for (value, singular) in row.iter_mut().zip(&singular) {
                *value = if *singular > least { *value / singular } else { 0.0 };
            }
        }
        let items = self.items() as f64;
        let threshold = 1.0 + (width as f64 / items).sqrt();
        let heard = |singular: &f64| match self.noise_stddev > 0.0 {
            true if singular / (self.noise_stddev * items.sqrt()) <= threshold => FAINT,
            _ => 1.0,
        };
        Spectrum {
            weights: singular.iter().map(heard).collect(),
            left,
            singular,
            right,
        }
    }

    /// W times some vectors. Shape: `[items, vectors]`.
    fn times(&self, vectors: &[Vec<f64>]) -> Columns {
        let products = self
            .rows()
            .flat_map(|row| vectors.iter().map(|vector| dot(row, vector)));
        Columns {
            width: vectors.len(),
            values: products.collect(),
        }
    }
}

/// Singular triples, and how much each is believed: 1 above what noise alone would reach (the edge of Marchenko and
/// Pastur's law), else [`FAINT`].
struct Spectrum {
    left: Columns,
    singular: Vec<f64>,
    right: Vec<Vec<f64>>,
    weights: Vec<f64>,
}

impl Spectrum {
    /// Left singular vectors times the root of their weights.
    fn view(&self) -> Columns {
        let mut view = self.left.clone();
        for row in view.values.chunks_exact_mut(view.width.max(1)) {
            let weights = self.weights.iter();
            row.iter_mut()
                .zip(weights)
                .for_each(|(value, weight)| *value *= weight.sqrt());
        }
        view
    }
}

/// A': the map of the second collaborative release, from the first one's sum: its view V, directions in the order of what
/// they carry, as the power iteration would have it.
pub fn second_map(sum: &CollaborativeSum, popularity: &PopularityEstimate) -> PublicMap {
    let spectrum = sum.spectrum(RANK);
    let mut map = spectrum.view();
    let weighted = spectrum.singular.iter().zip(&spectrum.weights);
    let carried: Vec<f64> = weighted
        .map(|(singular, weight)| singular * weight.sqrt())
        .collect();
    let most = carried.iter().fold(0.0f64, |most, value| most.max(*value));
    if most > 0.0 {
        for row in map.values.chunks_exact_mut(map.width) {
            let row = row.iter_mut().zip(&carried);
            row.for_each(|(value, carried)| *value /= (carried / most).max(0.05).sqrt());
        }
    }
    let shares = popularity.shares();
    map.centre(&shares);
    map.normalise(&shares);
    map.into_map()
}

/// A score that is linear in the items a user has: `(r left) right'`, with r = k^-g at the item of rank k, normalised to add
/// up to 1.
#[derive(Clone, Debug, PartialEq)]
pub struct ViewForm {
    /// The form, and g where it comes with several.
    pub name: String,
    /// g.
    pub g: f64,
    /// Columns of both sides.
    pub rank: usize,
    /// One row an item that the user has. Shape: `[items, rank]`, row-major.
    pub left: Arc<[f32]>,
    /// One row an item that is scored. Shape: `[items, rank]`, row-major.
    pub right: Arc<[f32]>,
}

/// Everything that the releases give a shop to score with.
#[derive(Clone, Debug, PartialEq)]
pub struct FederatedForms {
    /// Views V and E at g = .3 and 1, if there is a collaborative sum.
    pub forms: Vec<ViewForm>,
}

impl FederatedForms {
    /// Of what is published so far. `collaborative` is the newest sum with the map that it was summed through.
    pub fn new(
        popularity: &PopularityEstimate,
        features: &Features,
        collaborative: Option<(&CollaborativeSum, &PublicMap)>,
        rank: usize,
    ) -> Self {
        let forms =
            collaborative.map_or_else(Vec::new, |(sum, map)| views(sum, map, popularity, features, rank));
        Self { forms }
    }
}

/// Views V and E, each at g = .3 and 1.
fn views(
    sum: &CollaborativeSum,
    map: &PublicMap,
    popularity: &PopularityEstimate,
    features: &Features,
    rank: usize,
) -> Vec<ViewForm> {
    let spectrum = sum.spectrum(rank);
    let rank = spectrum.right.len();
    let floored = popularity.floored(LEAST);
    let view = spectrum.view();
    let lifted = view.rows().zip(&floored).flat_map(|(row, popular)| {
        let scale = 1.0 / libm::pow(*popular, 0.25);
        row.iter().map(move |value| (value * scale) as f32)
    });
    let lifted: Arc<[f32]> = lifted.collect();
    let seen = (0..map.items()).flat_map(|item| {
        let row: Vec<f64> = map.row(item).iter().map(|value| f64::from(*value)).collect();
        spectrum.right.iter().map(move |vector| dot(&row, vector) as f32)
    });
    let seen: Arc<[f32]> = seen.collect();
    let lifts = single(&lifts(sum, &spectrum, popularity, features, &floored));
    let sides = [("V", single(&view), lifted), ("E", seen, lifts)];
    let forms = sides.into_iter().flat_map(|(name, left, right)| {
        EXPONENTS.map(|g| ViewForm {
            name: format!("view {name}"),
            g,
            rank,
            left: Arc::clone(&left),
            right: Arc::clone(&right),
        })
    });
    forms.collect()
}

fn single(columns: &Columns) -> Arc<[f32]> {
    columns.values.iter().map(|value| *value as f32).collect()
}

/// (W T) / p^, each column drawn toward its regression on the features by empirical Bayes.
fn lifts(
    sum: &CollaborativeSum,
    spectrum: &Spectrum,
    popularity: &PopularityEstimate,
    features: &Features,
    floored: &[f64],
) -> Columns {
    let mut lifts = sum.times(&spectrum.right);
    let rank = lifts.width.max(1);
    for (row, popular) in lifts.values.chunks_exact_mut(rank).zip(floored) {
        row.iter_mut().for_each(|value| *value /= popular);
    }
    let mean_square = dot(&lifts.values, &lifts.values) / lifts.values.len().max(1) as f64;
    let variance = |popular: &f64| (sum.noise_stddev / popular).powi(2) + 1e-6 * mean_square + 1e-12;
    let variances: Vec<f64> = floored.iter().map(variance).collect();
    let mut prior = feature_columns(features, &popularity.smoothed_shares(), PRIOR_COLUMNS);
    prior.centre(&popularity.shares());
    for column in 0..lifts.width {
        let noised: Vec<f64> = lifts.rows().map(|row| row[column]).collect();
        let drawn = posterior(&noised, &variances, &prior);
        let cells = lifts.values.iter_mut().skip(column).step_by(rank);
        cells.zip(drawn).for_each(|(cell, value)| *cell = value);
    }
    lifts
}

/// Posterior means of one column: a regression on `prior` and the variance that it leaves, found together in three turns.
fn posterior(noised: &[f64], variances: &[f64], prior: &Columns) -> Vec<f64> {
    let precision: f64 = variances.iter().map(|variance| 1.0 / variance).sum();
    // What items differ by, beyond noise, where noise is small.
    let between = |fitted: &[f64]| -> f64 {
        let terms = noised.iter().zip(fitted).zip(variances);
        let excess = terms.map(|((value, fitted), variance)| {
            ((value - fitted) * (value - fitted) - variance) / (variance * precision)
        });
        excess.sum()
    };
    let mut fitted = vec![0.0; noised.len()];
    let total = between(&fitted).max(1e-8);
    let mut left = total;
    if prior.width > 0 {
        for _ in 0..3 {
            let weights: Vec<f64> = variances.iter().map(|variance| 1.0 / (left + variance)).collect();
            let penalty = 0.1 * prior.width as f64 / total;
            if let Some(fit) = regression(prior, noised, &weights, penalty) {
                fitted = fit;
            }
            left = between(&fitted).max(0.02 * total);
        }
    }
    let terms = noised.iter().zip(&fitted).zip(variances);
    terms
        .map(|((value, fitted), variance)| fitted + left / (left + variance) * (value - fitted))
        .collect()
}

/// Fitted values of a weighted ridge regression without intercept; none where it can't be solved.
fn regression(columns: &Columns, targets: &[f64], weights: &[f64], penalty: f64) -> Option<Vec<f64>> {
    let width = columns.width;
    let (mut left, mut right) = (vec![0.0; width * width], vec![0.0; width]);
    for ((row, target), weight) in columns.rows().zip(targets).zip(weights) {
        for (at, value) in row.iter().enumerate() {
            let scaled = weight * value;
            right[at] += scaled * target;
            let cells = left[at * width..][..=at].iter_mut();
            cells.zip(row).for_each(|(cell, other)| *cell += scaled * other);
        }
    }
    (0..width).for_each(|at| left[at * width + at] += penalty);
    cholesky::solve(&mut left, &mut right).then(|| columns.rows().map(|row| dot(row, &right)).collect())
}

/// Why numbers are no collaborative sum.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum SumError {
    /// Of another map.
    #[error("the sum has {got} numbers, its map {map}")]
    Length {
        /// Numbers of the sum.
        got: usize,
        /// Numbers of the map.
        map: usize,
    },
    /// NaN or infinite.
    #[error("number {index} of the sum is not finite")]
    NotFinite {
        /// Where, row by row.
        index: usize,
    },
}

/// Directions of the views after the first collaborative release.
pub const RANK: usize = 12;
/// Directions of the views after the second.
pub const SECOND_RANK: usize = 10;
/// How much a direction that noise alone could have made is believed.
const FAINT: f64 = 0.02;
/// g of the views.
const EXPONENTS: [f64; 2] = [0.3, 1.0];
/// Principal components of the features that lifts are drawn toward.
const PRIOR_COLUMNS: usize = 40;

#[cfg(test)]
mod tests;
