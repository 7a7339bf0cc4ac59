//! A bilinear form of low rank: the user's items give a vector, which meets a vector of each item. Released views are
//! of this form.

use std::sync::Arc;

use super::{Channel, Group, Recency};
use crate::numeric::add_scaled;

/// score_j = (sum of r_i left_i) . right_j
#[derive(Clone, Debug)]
pub struct LowRank {
    name: String,
    decay: f32,
    width: usize,
    left: Arc<Vec<f32>>,
    /// `[width, items]`: a whole column at a time is what vectors are good at.
    right: Vec<f32>,
}

impl LowRank {
    /// A federated view called `name`; older items count rank^-decay.
    ///
    /// # Shapes
    /// left, right: `[items, width]`, row-major.
    ///
    /// # Panics
    /// If the two are not of one length, or not of whole rows.
    pub fn new(name: &str, decay: f32, width: usize, left: Arc<Vec<f32>>, right: &[f32]) -> Self {
        assert_eq!(left.len(), right.len(), "two vectors an item");
        assert!(width > 0 && left.len().is_multiple_of(width), "whole vectors");
        let column = |at| right.iter().skip(at).step_by(width).copied();
        let right = (0..width).flat_map(column).collect();
        Self {
            name: format!("{name}:{decay}"),
            decay,
            width,
            left,
            right,
        }
    }
}

impl Channel for LowRank {
    fn name(&self) -> &str {
        &self.name
    }

    fn group(&self) -> Group {
        Group::Federated
    }

    fn is_federated(&self) -> bool {
        true
    }

    fn decay(&self) -> Option<f32> {
        Some(self.decay)
    }

    fn score(&self, of: Recency<'_>, out: &mut [f32]) {
        let mut user = vec![0.0; self.width];
        for (item, weight) in of.iter() {
            add_scaled(weight, &self.left[item * self.width..][..self.width], &mut user);
        }
        out.fill(0.0);
        let columns = self.right.chunks_exact(out.len().max(1));
        for (value, column) in user.iter().zip(columns) {
            add_scaled(*value, column, out);
        }
    }

    fn bytes(&self) -> usize {
        size_of_val(&**self.left) + size_of_val(&*self.right)
    }
}
