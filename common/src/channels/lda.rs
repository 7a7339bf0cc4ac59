//! Linear discriminant analysis of features: which features a user's items have more of than the catalogue as it sells.
//!
//! With q = p + 1e-3 normalised, features centred by q and C their covariance under q, item j scores
//! (mean feature of the user's items)' (C + .5 diag C + 1e-4 I)^-1 (features of j).

use super::{Channel, Group, Recency};
use crate::features::Features;
use crate::numeric::inverse::invert;
use crate::numeric::{Sparse, add_scaled, dot};

/// Fitted to a popularity, local or released.
#[derive(Debug)]
pub struct Lda {
    federated: bool,
    features: Sparse,
    mean: Vec<f32>,
    /// `[columns, columns]`.
    inverse: Vec<f32>,
    /// `inverse mean`.
    middle: Vec<f32>,
}

impl Lda {
    /// Fits to the popularity `sums`, one an item, 0 or more; none without features. Of more than [`MOST_COLUMNS`]
    /// features those of the most items are used.
    pub fn fit(features: &Features, sums: &[f64], federated: bool) -> Option<Self> {
        if features.is_empty() {
            return None;
        }
        let features = most_common(features);
        let width = features.columns();
        let total: f64 = sums.iter().map(|sum| sum + 1e-3).sum();
        let mut mean = vec![0.0_f64; width];
        let mut matrix = vec![0.0_f64; width * width];
        for (item, sum) in sums.iter().enumerate() {
            let share = (sum + 1e-3) / total;
            let (columns, values) = features.row(item);
            for (at, (column, value)) in columns.iter().zip(values).enumerate() {
                let (row, value) = (*column as usize, share * f64::from(*value));
                mean[row] += value;
                for (other, factor) in columns[..=at].iter().zip(values) {
                    matrix[row * width + *other as usize] += value * f64::from(*factor);
                }
            }
        }
        for row in 0..width {
            for column in 0..=row {
                matrix[row * width + column] -= mean[row] * mean[column];
            }
            let own = &mut matrix[row * width + row];
            *own = own.max(0.0) * 1.5 + 1e-4;
        }
        invert(&mut matrix, width).ok()?;
        let middle = matrix
            .chunks_exact(width)
            .map(|row| dot(row, &mean) as f32)
            .collect();
        Some(Self {
            federated,
            middle,
            features,
            mean: mean.iter().map(|value| *value as f32).collect(),
            inverse: matrix.iter().map(|value| *value as f32).collect(),
        })
    }
}

/// All columns, or those that the most items have.
fn most_common(features: &Features) -> Sparse {
    let counts = features.item_counts();
    let mut order: Vec<usize> = (0..counts.len()).collect();
    order.sort_by_key(|column| (std::cmp::Reverse(counts[*column]), *column));
    order.truncate(MOST_COLUMNS);
    order.sort_unstable();
    let mut place = vec![None; counts.len()];
    for (new, old) in (0..).zip(&order) {
        place[*old] = Some(new);
    }
    let row = |item| {
        let (columns, values) = features.row(item);
        let kept = columns.iter().zip(values);
        kept.filter_map(|(column, value)| Some((place[*column as usize]?, *value)))
            .collect()
    };
    Sparse::from_rows(order.len(), (0..features.items()).map(row))
}

impl Channel for Lda {
    fn name(&self) -> &str {
        if self.federated { "lda of all shops" } else { "lda" }
    }

    fn group(&self) -> Group {
        Group::Lda
    }

    fn is_federated(&self) -> bool {
        self.federated
    }

    fn decay(&self) -> Option<f32> {
        Some(0.5)
    }

    fn score(&self, of: Recency<'_>, out: &mut [f32]) {
        let width = self.mean.len();
        let (mut user, mut wanted) = (vec![0.0; width], vec![0.0; width]);
        for (item, weight) in of.iter() {
            self.features.add_row(item, weight, &mut user);
            add_scaled(-weight, &self.middle, &mut wanted);
        }
        // The items of a user have few of all features.
        for (row, value) in self.inverse.chunks_exact(width).zip(user) {
            if value != 0.0 {
                add_scaled(value, row, &mut wanted);
            }
        }
        let middle = dot(&wanted, &self.mean);
        for (item, score) in out.iter_mut().enumerate() {
            *score = self.features.dot(item, &wanted) - middle;
        }
    }

    fn bytes(&self) -> usize {
        self.features.bytes() + size_of_val(&*self.inverse)
    }
}

/// Most features of an item's that are looked at.
pub const MOST_COLUMNS: usize = 1024;
