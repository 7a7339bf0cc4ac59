//! Solver `ials`: a user's vector is a ridge regression on the item vectors, solved exactly; the gradient of the
//! embedding tables is then an outer product (Hu, Koren, Volinsky 2008, implicit feedback).
//!
//! With x_ui = 1 on the user's items (weight w_i, 1 or by recency) and 0 elsewhere (weight alpha), the user's share of the
//! loss is 1/2 sum_i w_ui (x_ui - p_u q_i)^2. Its negative gradient by q_i is e_ui p_u with e_ui = w_ui (x_ui - p_u q_i).
//! Item q_i is its own row plus its features' rows, so a feature's row gets the sum of its items' coefficients.

use super::config::IalsConfig;
use super::recommender::{Loaded, UserVector};
use super::samples::recency_weights;
use super::update::UserUpdate;
use super::work::{self, latest, trained};
use crate::dataset::History;
use crate::numeric::{cholesky, dot};

impl Loaded {
    /// The minimiser of the user's share of the loss plus lambda/2 |p|^2, for scoring.
    pub(super) fn ials_fit(&self, ials: &IalsConfig, history: &History) -> UserVector {
        UserVector::new(self.ridge(ials, history, ials.recency))
    }

    /// The negative gradient of the user's share of the loss by the joint embedding table.
    pub(super) fn ials_update(&self, ials: &IalsConfig, history: &History) -> (UserUpdate, UserVector) {
        let direction = self.ridge(ials, history, ials.train_recency);
        let (older, own) = latest(&history.items);
        let weights = recency_weights(own.len(), ials.train_recency);
        let alpha = ials.alpha as f32;
        let count = self.items().nrows();
        let mut rows = vec![0.0f32; self.layout().table_rows()];
        for (item, row) in rows[..count].iter_mut().enumerate() {
            *row = -alpha * dot(self.vector(item as u32), &direction);
        }
        for (item, weight) in own.iter().zip(weights) {
            let score = dot(self.vector(*item), &direction);
            rows[*item as usize] = weight as f32 * (1.0 - score);
        }
        // Bought, but beyond what trains: pulled neither way.
        for item in older {
            rows[*item as usize] = 0.0;
        }
        work::took(count);
        let (items, features) = rows.split_at_mut(count);
        if !features.is_empty() {
            for (item, coefficient) in items.iter().enumerate() {
                for row in self.recommender().features_of(item) {
                    features[*row as usize - count] += coefficient;
                }
            }
        }
        (
            UserUpdate::RankOne {
                rows,
                direction: direction.clone(),
            },
            UserVector::new(direction),
        )
    }

    /// (alpha Q'Q + sum_i (w_i - alpha) q_i q_i' + lambda I)^-1 sum_i w_i q_i; zero if that can't be solved.
    fn ridge(&self, ials: &IalsConfig, history: &History, recency: f64) -> Vec<f32> {
        let width = self.layout().width();
        let mut left: Vec<f64> = self.gram().iter().map(|value| ials.alpha * value).collect();
        let mut right = vec![0.0f64; width];
        let own = trained(history);
        work::took(own.len() * width);
        for (item, weight) in own.iter().zip(recency_weights(own.len(), recency)) {
            let vector = self.vector(*item);
            for (row, a) in vector.iter().enumerate() {
                let scaled = (weight - ials.alpha) * f64::from(*a);
                right[row] += weight * f64::from(*a);
                for (cell, b) in left[row * width..][..=row].iter_mut().zip(vector) {
                    *cell += scaled * f64::from(*b);
                }
            }
        }
        for at in 0..width {
            left[at * width + at] += ials.lambda;
        }
        if !cholesky::solve(&mut left, &mut right) {
            right.fill(0.0);
        }
        right.into_iter().map(|value| value as f32).collect()
    }
}
