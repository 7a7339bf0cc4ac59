//! A bilinear form of low rank: the user's items give a vector, which meets a vector of each item. Released views are
//! of this form.

use std::sync::Arc;

use super::{Channel, Group, Recency};
use crate::numeric::{add_scaled, dot};

/// score_j = (sum of r_i left_i) . right_j
#[derive(Clone, Debug)]
pub struct LowRank {
    name: String,
    decay: f32,
    width: usize,
    left: Arc<Vec<f32>>,
    right: Arc<Vec<f32>>,
}

impl LowRank {
    /// A federated view called `name`; older items count rank^-decay.
    ///
    /// # Shapes
    /// left, right: `[items, width]`, row-major.
    ///
    /// # Panics
    /// If the two are not of one length, or not of whole rows.
    pub fn new(name: &str, decay: f32, width: usize, left: Arc<Vec<f32>>, right: Arc<Vec<f32>>) -> Self {
        assert_eq!(left.len(), right.len(), "two vectors an item");
        assert!(width > 0 && left.len().is_multiple_of(width), "whole vectors");
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
        for (score, item) in out.iter_mut().zip(self.right.chunks_exact(self.width)) {
            *score = dot(&user, item);
        }
    }

    fn bytes(&self) -> usize {
        size_of_val(&**self.left) + size_of_val(&**self.right)
    }
}
