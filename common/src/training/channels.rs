//! Trained parameters as channels of a stack. They are not linear in the customer's items.

use std::sync::Arc;

use super::inputs::{TowerInputs, WIDTH};
use super::tower::Tower;
use crate::channels::{Channel, Group, Recency};
use crate::dataset::History;
use crate::model::Loaded;
use crate::model::gan::Spread;
use crate::rng::stream;

/// The tower's scores.
pub struct TowerChannel {
    tower: Tower,
    inputs: TowerInputs,
}

impl TowerChannel {
    /// A tower with what it is fed.
    pub fn new(tower: Tower, inputs: TowerInputs) -> Self {
        Self { tower, inputs }
    }
}

impl Channel for TowerChannel {
    fn name(&self) -> &str {
        "tower"
    }

    fn group(&self) -> Group {
        Group::Federated
    }

    fn is_federated(&self) -> bool {
        true
    }

    fn decay(&self) -> Option<f32> {
        Some(0.0)
    }

    fn is_linear(&self) -> bool {
        false
    }

    fn attributed(&self, history: &[u32], wanted: &[u32]) -> Option<Vec<Vec<(u32, f32)>>> {
        let mut rows = Vec::new();
        self.inputs.rows(history, wanted, &mut rows);
        let slopes: Vec<Vec<f32>> = rows
            .chunks_exact(WIDTH)
            .map(|row| self.tower.slopes(row))
            .collect();
        Some(self.inputs.attributed(history, wanted, &slopes))
    }

    fn score(&self, of: Recency<'_>, out: &mut [f32]) {
        let mut inputs = Vec::new();
        self.inputs.columns(of.items, &mut inputs);
        self.tower.score(&inputs, out);
    }

    fn bytes(&self) -> usize {
        size_of_val(self.tower.params())
    }
}

/// A trained model's scores: the customer's vector is fitted to the items that are given.
pub struct ModelChannel {
    model: Arc<Loaded>,
}

impl ModelChannel {
    /// Of a model.
    pub fn new(model: Arc<Loaded>) -> Self {
        Self { model }
    }
}

impl Channel for ModelChannel {
    fn spread(&self, histories: &[&[u32]]) -> Option<Spread> {
        self.model.spread(histories)
    }

    fn name(&self) -> &str {
        "model"
    }

    fn group(&self) -> Group {
        Group::Federated
    }

    fn is_federated(&self) -> bool {
        true
    }

    fn decay(&self) -> Option<f32> {
        Some(0.0)
    }

    fn is_linear(&self) -> bool {
        false
    }

    fn score(&self, of: Recency<'_>, out: &mut [f32]) {
        let history = History {
            items: of.items.to_vec(),
            times: (0..of.items.len() as i64).collect(),
        };
        // Iterative solvers draw; the same items give the same scores.
        let vector = self
            .model
            .fit_user(&history, None, &[], &mut stream(0, "model channel"));
        out.copy_from_slice(&self.model.score_all(&vector));
    }

    fn bytes(&self) -> usize {
        size_of_val(self.model.params())
    }
}
