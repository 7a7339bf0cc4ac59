//! A fixed amount of training for benchmarks: the caller measures the time.

use std::sync::Arc;

use rand::RngExt;

use super::config::{ModelConfig, ModelKind, SgdConfig, TrainConfig};
use super::init::initial_parameters;
use super::recommender::{Loaded, Recommender, UserVector};
use super::update::UserUpdate;
use crate::catalogue::{Catalogue, CatalogueError, Item};
use crate::dataset::History;
use crate::rng::{self, Stream};

/// The workload of `train_neumf_user_clip`: NeuMF, embeddings 32 + 32, tower 64-32-16-8, 3,706 items; 64 users of 165
/// items with 4 negatives each, so 825 samples a user.
pub struct NeumfWorkload {
    model: Loaded,
    users: Vec<(History, UserVector)>,
    rng: Stream,
}

impl NeumfWorkload {
    /// Users of one step.
    pub const USERS: usize = 64;
    /// Samples of one user in a step.
    pub const SAMPLES_PER_USER: usize = 825;
    /// Floating-point operations of a sample forward and backward, counted as if nothing were shared between samples:
    /// 6 for each of the tower's weights (2,696) and for each of the dot product's columns twice (64).
    pub const FLOPS_PER_SAMPLE: f64 = 16_560.0;

    /// A model and users, made from `seed`.
    ///
    /// # Errors
    /// Never in fact: those of a catalogue, whose items are made here.
    pub fn new(seed: u64) -> Result<Self, CatalogueError> {
        let item = |row: usize| Item::bare(format!("item-{row}"));
        let catalogue = Catalogue::new((0..ITEMS).map(item).collect())?;
        let (config, train) = plan();
        let recommender: Arc<Recommender> = Recommender::new(&config, &train, &catalogue);
        let model = recommender.load(initial_parameters(&config, &train, recommender.layout(), seed));
        let mut rng = rng::stream(seed, "bench");
        let users = (0..Self::USERS)
            .map(|_| {
                let mut own = std::collections::BTreeSet::new();
                while own.len() < Self::SAMPLES_PER_USER / 5 {
                    own.insert(rng.random_range(0..ITEMS as u32));
                }
                let history = History {
                    times: vec![0; own.len()],
                    items: own.into_iter().collect(),
                };
                let vector = (0..config.width()).map(|_| rng.random_range(-0.1..0.1)).collect();
                (history, UserVector::new(vector))
            })
            .collect();
        Ok(Self { model, users, rng })
    }

    /// Where each tensor stands: what the caller's sum of updates needs.
    pub fn layout(&self) -> &super::layout::Layout {
        self.model.layout()
    }

    /// One step: negatives, forward and backward of all parameters for each user. `take` gets each user's update (to
    /// clip and sum it). Returns the number of samples.
    pub fn step(&mut self, mut take: impl FnMut(&UserUpdate)) -> usize {
        for (history, vector) in &mut self.users {
            let (update, moved) = self.model.user_update(history, Some(vector), &[], &mut self.rng);
            *vector = moved;
            take(&update);
        }
        Self::USERS * Self::SAMPLES_PER_USER
    }
}

fn plan() -> (ModelConfig, TrainConfig) {
    let model = ModelConfig {
        kind: ModelKind::Neumf,
        discriminator: None,
        generator: None,
        gmf_dim: 32,
        mlp_dim: 32,
        tower: vec![32, 16, 8],
        activation: super::config::Activation::Relu,
        features: Vec::new(),
        item_bias: true,
        init_stddev: 0.1,
    };
    let train = SgdConfig {
        negatives: 4,
        user_steps: 1,
        user_learning_rate: 0.01,
        user_l2: 0.0,
        user_dropout: 0.0,
        warmup_rounds: 0,
        final_fraction: 1.0,
        local_steps: 1,
        learning_rate: 1.0,
        fit_steps: 0,
        fit_learning_rate: 0.05,
        recency: 0.0,
        generator: None,
    };
    (model, TrainConfig::Sgd(train))
}

const ITEMS: usize = 3_706;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_makes_one_finite_update_a_user() {
        let mut workload = NeumfWorkload::new(1).unwrap();
        let mut updates = 0;
        let samples = workload.step(|update| {
            let UserUpdate::Sparse { values, .. } = update else {
                panic!("sgd's updates are sparse")
            };
            assert!(values.iter().all(|value| value.is_finite()) && values.iter().any(|value| *value != 0.0));
            updates += 1;
        });
        assert_eq!((updates, samples), (64, 52_800));
    }
}
