//! Public maps: a few numbers an item, of its features and of a public seed, that collaborative statistics are summed
//! through.

use super::popularity::PopularityEstimate;
use crate::features::Features;
use crate::numeric::eigen::{Eigen, largest};
use crate::rng::normals;

/// A: one row of numbers an item. Shape: `[items, columns]`, row-major.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PublicMap {
    columns: usize,
    values: Vec<f32>,
}

impl PublicMap {
    /// As the coordinator has published it.
    ///
    /// # Errors
    /// When the numbers make no whole rows, or one is not finite.
    pub fn published(columns: usize, values: Vec<f32>) -> Result<Self, MapError> {
        if columns == 0 || !values.len().is_multiple_of(columns) {
            return Err(MapError::Shape {
                columns,
                numbers: values.len(),
            });
        }
        match values.iter().position(|value| !value.is_finite()) {
            Some(index) => Err(MapError::NotFinite { index }),
            None => Ok(Self { columns, values }),
        }
    }

    /// The map of the first collaborative release: the principal components of the features under popularity, beside
    /// random columns; without features random columns alone. It is centred by popularity. Its columns are
    /// [`map_columns`].
    ///
    /// `seed` is the plan's public one.
    pub fn new(popularity: &PopularityEstimate, features: &Features, seed: u64) -> Self {
        let items = popularity.values().len();
        let weights = popularity.smoothed_shares();
        let mut map = feature_columns(features, &weights, FEATURE_COLUMNS);
        let width = map_columns(features) - map.width;
        let mut random = Columns {
            width,
            values: normals(seed, "release map", items * width),
        };
        random.scale(1.0 / random.mean_square(&weights).sqrt());
        map = map.beside(&random);
        map.centre(&popularity.shares());
        map.into_map()
    }

    /// How many items.
    pub fn items(&self) -> usize {
        self.values.len().checked_div(self.columns).unwrap_or(0)
    }

    /// How many numbers an item has.
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// All numbers, row by row.
    pub fn values(&self) -> &[f32] {
        &self.values
    }

    /// An item's numbers. Shape: `[columns]`.
    ///
    /// # Panics
    /// If there is no such item.
    pub fn row(&self, item: usize) -> &[f32] {
        &self.values[item * self.columns..][..self.columns]
    }
}

/// Columns of [`PublicMap::new`]: public, and the same whatever is popular, so that a plan knows how many coordinates a
/// release has.
pub fn map_columns(features: &Features) -> usize {
    match varying(features).iter().filter(|varies| **varies).count() {
        0 => FEATURE_COLUMNS + RANDOM_COLUMNS,
        some => some.min(FEATURE_COLUMNS) + RANDOM_COLUMNS,
    }
}

/// Which columns are not the same for all items.
fn varying(features: &Features) -> Vec<bool> {
    let mut seen = vec![(0usize, f32::INFINITY, f32::NEG_INFINITY); features.columns()];
    for item in 0..features.items() {
        let (columns, values) = features.row(item);
        for (column, value) in columns.iter().zip(values) {
            let (count, least, most) = &mut seen[*column as usize];
            *count += 1;
            (*least, *most) = (least.min(*value), most.max(*value));
        }
    }
    let varies = |(count, least, most): (usize, f32, f32)| match count {
        0 => false,
        // Zeros are not stored.
        count if count < features.items() => least != 0.0 || most != 0.0,
        _ => least != most,
    };
    seen.into_iter().map(varies).collect()
}

/// Numbers of items in the making. Shape: `[items, width]`, row-major.
#[derive(Clone, Debug, Default)]
pub(super) struct Columns {
    pub(super) width: usize,
    pub(super) values: Vec<f64>,
}

impl Columns {
    pub(super) fn rows(&self) -> impl Iterator<Item = &[f64]> {
        self.values.chunks_exact(self.width.max(1))
    }

    fn beside(&self, other: &Self) -> Self {
        if self.width == 0 {
            return other.clone();
        }
        let rows = self.rows().zip(other.rows());
        Self {
            width: self.width + other.width,
            values: rows.flat_map(|(one, other)| [one, other].concat()).collect(),
        }
    }

    /// The mean over columns of the weighted mean of squares.
    fn mean_square(&self, weights: &[f64]) -> f64 {
        let squares = |row: &[f64]| row.iter().map(|value| value * value).sum::<f64>();
        let sum: f64 = self
            .rows()
            .zip(weights)
            .map(|(row, weight)| weight * squares(row))
            .sum();
        sum / self.width.max(1) as f64
    }

    fn scale(&mut self, factor: f64) {
        if factor.is_finite() {
            self.values.iter_mut().for_each(|value| *value *= factor);
        }
    }

    /// Takes the weighted mean of each column out.
    pub(super) fn centre(&mut self, weights: &[f64]) {
        let mut means = vec![0.0; self.width];
        for (row, weight) in self.rows().zip(weights) {
            means
                .iter_mut()
                .zip(row)
                .for_each(|(mean, value)| *mean += weight * value);
        }
        for row in self.values.chunks_exact_mut(self.width.max(1)) {
            row.iter_mut()
                .zip(&means)
                .for_each(|(value, mean)| *value -= mean);
        }
    }

    /// At weighted mean square 1.
    pub(super) fn normalise(&mut self, weights: &[f64]) {
        self.scale(1.0 / self.mean_square(weights).sqrt());
    }

    pub(super) fn into_map(self) -> PublicMap {
        PublicMap {
            columns: self.width,
            values: self.values.into_iter().map(|value| value as f32).collect(),
        }
    }
}

/// The first `most` principal components of the features at unit variance under `weights` (which add up to 1), each item's
/// coordinates divided by the root of the eigenvalue plus .3 of the mean one. No column where no feature varies.
pub(super) fn feature_columns(features: &Features, weights: &[f64], most: usize) -> Columns {
    let covariance = Covariance::new(features, weights);
    let width = covariance.kept.len();
    let Eigen { values, vectors } = largest(width, most, |x| covariance.apply(x));
    if values.is_empty() {
        return Columns::default();
    }
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    let scores: Vec<Vec<f64>> = values
        .iter()
        .zip(vectors)
        .map(|(value, vector)| {
            let scale = 1.0 / (value + RIDGE * mean).max(1e-12).sqrt();
            let mut scores = covariance.scores(&vector);
            scores.iter_mut().for_each(|score| *score *= scale);
            scores
        })
        .collect();
    let row = |item: usize| scores.iter().map(move |scores| scores[item]);
    Columns {
        width: values.len(),
        values: (0..weights.len()).flat_map(row).collect(),
    }
}

/// The features' correlation matrix under weights, known by its products.
struct Covariance<'a> {
    features: &'a Features,
    weights: &'a [f64],
    /// Columns that vary; where each column stands among them.
    kept: Vec<usize>,
    place: Vec<Option<usize>>,
    means: Vec<f64>,
    scales: Vec<f64>,
}

impl<'a> Covariance<'a> {
    fn new(features: &'a Features, weights: &'a [f64]) -> Self {
        let varying = varying(features);
        let kept: Vec<usize> = (0..features.columns())
            .filter(|column| varying[*column])
            .collect();
        let mut place = vec![None; features.columns()];
        kept.iter()
            .enumerate()
            .for_each(|(at, column)| place[*column] = Some(at));
        let (mut means, mut squares) = (vec![0.0; kept.len()], vec![0.0; kept.len()]);
        for (item, weight) in weights.iter().enumerate() {
            let (columns, values) = features.row(item);
            for (column, value) in columns.iter().zip(values) {
                if let Some(at) = place[*column as usize] {
                    means[at] += weight * f64::from(*value);
                    squares[at] += weight * f64::from(*value).powi(2);
                }
            }
        }
        let deviation = |(square, mean): (&f64, &f64)| (square - mean * mean).max(1e-12).sqrt() + 1e-6;
        let scales = squares.iter().zip(&means).map(deviation).collect();
        Self {
            features,
            weights,
            kept,
            place,
            means,
            scales,
        }
    }

    /// The centred features at unit variance, times `x`. Shape: `[items]`.
    fn scores(&self, x: &[f64]) -> Vec<f64> {
        let x: Vec<f64> = x.iter().zip(&self.scales).map(|(x, scale)| x / scale).collect();
        let shift: f64 = x.iter().zip(&self.means).map(|(x, mean)| x * mean).sum();
        let score = |item| {
            let (columns, values) = self.features.row(item);
            columns.iter().zip(values).fold(-shift, |sum, (column, value)| {
                sum + self.place[*column as usize].map_or(0.0, |at| f64::from(*value) * x[at])
            })
        };
        (0..self.weights.len()).map(score).collect()
    }

    fn apply(&self, x: &[f64]) -> Vec<f64> {
        let mut image = vec![0.0; self.kept.len()];
        let mut sum = 0.0;
        for (item, (score, weight)) in self.scores(x).iter().zip(self.weights).enumerate() {
            let weighted = score * weight;
            sum += weighted;
            let (columns, values) = self.features.row(item);
            for (column, value) in columns.iter().zip(values) {
                if let Some(at) = self.place[*column as usize] {
                    image[at] += f64::from(*value) * weighted;
                }
            }
        }
        let terms = image.iter_mut().zip(&self.means).zip(&self.scales);
        terms.for_each(|((image, mean), scale)| *image = (*image - mean * sum) / scale);
        image
    }
}

/// Why numbers are no map.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum MapError {
    /// No whole rows.
    #[error("{numbers} numbers make no rows of {columns} columns")]
    Shape {
        /// Columns of a row.
        columns: usize,
        /// How many numbers there are.
        numbers: usize,
    },
    /// NaN or infinite.
    #[error("number {index} of the map is not finite")]
    NotFinite {
        /// Where, row by row.
        index: usize,
    },
}

/// Most principal components of the features in a map.
const FEATURE_COLUMNS: usize = 32;
/// Random columns beside them.
const RANDOM_COLUMNS: usize = 16;
/// Of the mean eigenvalue, added to each.
const RIDGE: f64 = 0.3;

#[cfg(test)]
mod tests;
