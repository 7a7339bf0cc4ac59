//! What a shop scores with after the releases: linear forms of the items that a user has.
//!
//! | form | score of item j for a user with weights r = r_u(g), normalised to add up to 1 |
//! |---|---|
//! | view V | (r V)(V / p^^.25)', the left singular vectors of W, without singular values |
//! | view E | (r A T) lift', with T the right singular vectors and lift_j the row of item j, (W T)_j / p^_j, drawn toward what the features say of it by empirical Bayes |
//! | LDA | (r F_c) S^-1 F_c', linear discriminant analysis of the features under p |
//!
//! The singular vectors come from the eigenpairs of W'W, a small matrix.

use std::sync::Arc;

use super::map::{Columns, PublicMap, feature_columns};
use super::popularity::{LEAST, PopularityEstimate};
use crate::features::Features;
use crate::numeric::cholesky;
use crate::numeric::eigen::{dot, symmetric};
use crate::numeric::inverse::invert;

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
pub struct LowRank {
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
    /// log(p + 1 + .3 z). Shape: `[items]`.
    pub log_popularity: Vec<f32>,
    /// Linear discriminant analysis, if there are features; views V and E at g = .3 and 1, if there is a collaborative sum.
    pub forms: Vec<LowRank>,
}

impl FederatedForms {
    /// Of what is published so far. `collaborative` is the newest sum with the map that it was summed through.
    pub fn new(
        popularity: &PopularityEstimate,
        features: &Features,
        collaborative: Option<(&CollaborativeSum, &PublicMap)>,
        rank: usize,
    ) -> Self {
        let mut forms: Vec<LowRank> = discriminant(popularity, features).into_iter().collect();
        if let Some((sum, map)) = collaborative {
            forms.extend(views(sum, map, popularity, features, rank));
        }
        Self {
            log_popularity: popularity.log(),
            forms,
        }
    }
}

/// Views V and E, each at g = .3 and 1.
fn views(
    sum: &CollaborativeSum,
    map: &PublicMap,
    popularity: &PopularityEstimate,
    features: &Features,
    rank: usize,
) -> Vec<LowRank> {
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
        EXPONENTS.map(|g| LowRank {
            name: format!("{name} {g}"),
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

/// LDA(p): features centred under popularity, and the inverse of their covariance with half of its diagonal more. It takes
/// `items` x `columns` numbers on both sides. None without features, or with more than [`MOST_DENSE`] of these numbers.
fn discriminant(popularity: &PopularityEstimate, features: &Features) -> Option<LowRank> {
    let width = features.columns();
    if features.is_empty() || popularity.values().len() * width > MOST_DENSE {
        return None;
    }
    let raised: Vec<f64> = popularity
        .values()
        .iter()
        .map(|value| f64::from(*value) + 1e-3)
        .collect();
    let total: f64 = raised.iter().sum();
    let (mut means, mut covariance) = (vec![0.0; width], vec![0.0; width * width]);
    for (item, weight) in raised.iter().enumerate() {
        let (columns, values) = features.row(item);
        for (column, value) in columns.iter().zip(values) {
            let (column, scaled) = (*column as usize, weight / total * f64::from(*value));
            means[column] += scaled;
            for (other, value) in columns.iter().zip(values) {
                covariance[column * width + *other as usize] += scaled * f64::from(*value);
            }
        }
    }
    for row in 0..width {
        let cells = covariance[row * width..][..width].iter_mut();
        cells
            .zip(&means)
            .for_each(|(cell, mean)| *cell -= means[row] * mean);
        let diagonal = &mut covariance[row * width + row];
        *diagonal = 1.5 * diagonal.max(0.0) + 1e-4;
    }
    invert(&mut covariance, width).ok()?;
    let times = |numbers: &mut dyn Iterator<Item = (usize, f64)>| {
        let mut sum = vec![0.0; width];
        for (column, number) in numbers {
            let row = &covariance[column * width..][..width];
            sum.iter_mut()
                .zip(row)
                .for_each(|(sum, cell)| *sum += number * cell);
        }
        sum
    };
    let shift = times(&mut means.iter().copied().enumerate());
    let items = raised.len();
    let (mut left, mut right) = (
        Vec::with_capacity(items * width),
        Vec::with_capacity(items * width),
    );
    for item in 0..items {
        let (columns, values) = features.row(item);
        let row = || {
            columns
                .iter()
                .map(|column| *column as usize)
                .zip(values.iter().copied())
        };
        let mut centred: Vec<f64> = means.iter().map(|mean| -mean).collect();
        row().for_each(|(column, value)| centred[column] += f64::from(value));
        left.extend(centred.iter().map(|value| *value as f32));
        let product = times(&mut row().map(|(column, value)| (column, f64::from(value))));
        right.extend(
            product
                .iter()
                .zip(&shift)
                .map(|(value, shift)| (value - shift) as f32),
        );
    }
    Some(LowRank {
        name: "LDA".to_owned(),
        g: 0.5,
        rank: width,
        left: left.into(),
        right: right.into(),
    })
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
/// Numbers on one side of the discriminant: 256 MB.
const MOST_DENSE: usize = 1 << 26;

#[cfg(test)]
mod tests;
