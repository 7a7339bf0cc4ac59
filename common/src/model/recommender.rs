//! A recommender ready to score and to learn: the plan's architecture over a catalogue, with parameters loaded.

use std::ops::Range;
use std::sync::{Arc, OnceLock};

use ndarray::{Array2, ArrayView2};

use super::config::{Feature, ModelConfig, Served, StarsConfig, TrainConfig};
use super::dot_index::DotIndex;
use super::gan::Generator;
use super::layout::{Layout, Vocabulary};
use super::network::Network;
use super::update::UserUpdate;
use super::workspace::Workspace;
use crate::catalogue::Catalogue;
use crate::dataset::History;
use crate::numeric::{add_scaled, dot, gram};
use crate::rng::Stream;

/// An architecture over a catalogue.
#[derive(Debug)]
pub struct Recommender {
    config: ModelConfig,
    train: TrainConfig,
    layout: Layout,
    /// For each item, the rows of its features in the joint table; `features` rows an item.
    feature_rows: Vec<u32>,
    features: usize,
}

impl Recommender {
    /// The recommender of a plan's `[model]` and `[train]` over `catalogue`.
    pub fn new(config: &ModelConfig, train: &TrainConfig, catalogue: &Catalogue) -> Arc<Self> {
        let layout = Layout::new(config, &Vocabulary::from(catalogue));
        let tables: Vec<(Feature, u32)> = [Feature::Category, Feature::Brand, Feature::Price]
            .into_iter()
            .filter(|feature| config.features.contains(feature))
            .filter_map(|feature| Some((feature, layout.first_row_of(feature)? as u32)))
            .collect();
        let mut feature_rows = Vec::with_capacity(catalogue.len() * tables.len());
        for item in catalogue.features() {
            for (feature, first) in &tables {
                let row = match feature {
                    Feature::Category => item.category,
                    Feature::Brand => item.brand,
                    Feature::Price => item.price_bucket,
                };
                feature_rows.push(first + row);
            }
        }
        let features = tables.len();
        Arc::new(Self {
            config: config.clone(),
            train: train.clone(),
            layout,
            feature_rows,
            features,
        })
    }

    /// Where each tensor stands.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// The plan's `[model]`.
    pub fn config(&self) -> &ModelConfig {
        &self.config
    }

    /// The plan's `[train]`.
    pub fn train(&self) -> &TrainConfig {
        &self.train
    }

    /// Takes in parameters; their number must be the layout's.
    ///
    /// # Panics
    /// If it is not: readers of model files check it.
    pub fn load(self: &Arc<Self>, params: Vec<f32>) -> Loaded {
        assert_eq!(
            params.len(),
            self.layout.len(),
            "a model has as many parameters as its layout"
        );
        let (width, count) = (self.layout.width(), self.items());
        let mut items = Array2::zeros((count, width));
        for (item, mut vector) in items.rows_mut().into_iter().enumerate() {
            let vector = vector.as_slice_mut().expect("a fresh array is stored row by row");
            vector.copy_from_slice(&params[item * width..][..width]);
            for row in self.features_of(item) {
                add_scaled(1.0, &params[*row as usize * width..][..width], vector);
            }
        }
        let gram = match self.train {
            TrainConfig::Ials(_) => gram(items.view()),
            TrainConfig::Sgd(_) | TrainConfig::Stars(_) => Vec::new(),
        };
        let rows = items.as_slice().expect("a fresh array is stored row by row");
        let generator = self.config.generator();
        let generator = generator.map(|config| Arc::new(Generator::new(&config, rows, width)));
        Loaded {
            recommender: Arc::clone(self),
            params,
            items,
            gram,
            generator,
            index: OnceLock::new(),
            pace: 1.0,
            round: u64::MAX,
        }
    }

    pub(super) fn items(&self) -> usize {
        self.layout
            .block("item.embedding")
            .map_or(0, |block| block.shape[0])
    }

    pub(super) fn features_of(&self, item: usize) -> &[u32] {
        &self.feature_rows[item * self.features..][..self.features]
    }
}

/// A user's own vector; it never leaves the shop.
#[derive(Clone, Debug, PartialEq, serde::Deserialize, serde::Serialize)]
pub struct UserVector {
    /// One number a column.
    pub values: Vec<f32>,
    /// Adam's running means, empty before its first step.
    mean: Vec<f32>,
    square: Vec<f32>,
    steps: u32,
}

impl UserVector {
    /// A vector that no step has moved yet.
    pub fn new(values: Vec<f32>) -> Self {
        Self {
            values,
            mean: Vec::new(),
            square: Vec::new(),
            steps: 0,
        }
    }

    /// One step of Adam (Kingma, Ba 2015) with decays 0.9 and 0.99.
    pub(super) fn adam_step(&mut self, gradient: &[f32], rate: f64) {
        const BETA1: f32 = 0.9;
        const BETA2: f32 = 0.99;
        self.mean.resize(self.values.len(), 0.0);
        self.square.resize(self.values.len(), 0.0);
        self.steps = self.steps.saturating_add(1);
        let exponent = i32::try_from(self.steps).unwrap_or(i32::MAX);
        let (first, second) = (1.0 - BETA1.powi(exponent), 1.0 - BETA2.powi(exponent));
        let state = self.values.iter_mut().zip(&mut self.mean).zip(&mut self.square);
        for (((value, mean), square), gradient) in state.zip(gradient) {
            *mean = BETA1 * *mean + (1.0 - BETA1) * gradient;
            *square = BETA2 * *square + (1.0 - BETA2) * gradient * gradient;
            *value -= rate as f32 * (*mean / first) / ((*square / second).sqrt() + 1e-8);
        }
    }
}

/// A recommender with parameters.
#[derive(Clone, Debug)]
pub struct Loaded {
    recommender: Arc<Recommender>,
    params: Vec<f32>,
    /// Item vectors: own row plus the features' rows, `[items, width]`.
    items: Array2<f32>,
    /// `items' items`, `[width, width]` row-major; only for the closed-form solver.
    gram: Vec<f64>,
    /// Of a `gan`.
    generator: Option<Arc<Generator>>,
    /// From 0; the largest outside of a run.
    round: u64,
    /// What the step size of users' own vectors is multiplied by in this round.
    pace: f64,
    /// Of the items, from when it is first asked for.
    index: OnceLock<Arc<DotIndex>>,
}

impl Loaded {
    /// The same model in round `round` (from 0) of `rounds`: the step size of users' own vectors follows the plan's
    /// schedule. Without this call it has its full height.
    pub fn in_round(mut self, round: u64, rounds: u64) -> Self {
        self.round = round;
        if let TrainConfig::Sgd(sgd) = self.recommender.train() {
            let done = round as f64 / rounds.max(1) as f64;
            let rise = (round + 1) as f64 / sgd.warmup_rounds.max(1) as f64;
            self.pace = rise.min(1.0) * (1.0 - (1.0 - sgd.final_fraction) * done.min(1.0));
        }
        self
    }

    /// The user's own vector for scoring, fitted to `history`; `previous` is where an iterative solver starts.
    ///
    /// `forbidden` as in [`Loaded::user_update`].
    pub fn fit_user(
        &self,
        history: &History,
        previous: Option<&UserVector>,
        forbidden: &[u32],
        rng: &mut Stream,
    ) -> UserVector {
        match self.recommender.train() {
            TrainConfig::Ials(ials) => self.ials_fit(ials, history),
            TrainConfig::Sgd(sgd) => self.sgd_fit(sgd, history, previous, forbidden, rng),
            // Histories say nothing of stars: items are ranked by what they get of everybody.
            TrainConfig::Stars(_) => UserVector::new(vec![0.0; self.layout().width()]),
        }
    }

    /// What `history` would change in the shared parameters, unclipped, and the user's own vector afterwards.
    ///
    /// `forbidden` (ascending) are items that are never drawn as negatives, beside the history.
    pub fn user_update(
        &self,
        history: &History,
        previous: Option<&UserVector>,
        forbidden: &[u32],
        rng: &mut Stream,
    ) -> (UserUpdate, UserVector) {
        match self.recommender.train() {
            TrainConfig::Ials(ials) => self.ials_update(ials, history),
            TrainConfig::Sgd(sgd) => self.sgd_update(sgd, history, previous, forbidden, rng),
            TrainConfig::Stars(_) => {
                let nothing = UserUpdate::Sparse {
                    ranges: Vec::new(),
                    values: Vec::new(),
                };
                (nothing, self.fit_user(history, previous, forbidden, rng))
            }
        }
    }

    /// Scores of all items for a user. Shape: `[items]`.
    pub fn score_all(&self, user: &UserVector) -> Vec<f32> {
        self.sum_of_parts(
            || {
                let network = self.network();
                let items = self.items.view();
                Workspace::new()
                    .forward(&network, &user.values, items, self.biases())
                    .to_vec()
            },
            |generator, columns| generator.logits(&user.values[columns]),
        )
    }

    /// Scores of some items for a user, in their order.
    pub fn score(&self, user: &UserVector, items: &[u32]) -> Vec<f32> {
        self.sum_of_parts(
            || {
                let rows: Vec<usize> = items.iter().map(|item| *item as usize).collect();
                let gathered = self.items.select(ndarray::Axis(0), &rows);
                let biases: Vec<f32> = items.iter().filter_map(|item| self.bias_of(*item)).collect();
                Workspace::new()
                    .forward(&self.network(), &user.values, gathered.view(), &biases)
                    .to_vec()
            },
            |generator, columns| {
                let user = &user.values[columns];
                items.iter().map(|item| generator.logit(user, *item)).collect()
            },
        )
    }

    /// Scores of what serves: the network's, the generator's, or both added up.
    fn sum_of_parts(
        &self,
        network: impl FnOnce() -> Vec<f32>,
        generated: impl FnOnce(&Generator, Range<usize>) -> Vec<f32>,
    ) -> Vec<f32> {
        let drawn = |generator: &Generator| generated(generator, generator.columns(self.layout().width()));
        match (self.served(), &self.generator) {
            (Served::Generator, Some(generator)) => drawn(generator),
            (Served::Both, Some(generator)) => {
                let mut scores = network();
                add_scaled(1.0, &drawn(generator), &mut scores);
                scores
            }
            _ => network(),
        }
    }

    /// What scores: the network alone, but of a `gan`.
    fn served(&self) -> Served {
        let generator = self.config().generator();
        generator.map_or(Served::Discriminator, |generator| generator.serve)
    }

    /// What makes a user's scores products of two vectors, if the model is of that kind and knows no biases of items: the user's,
    /// and [`Self::items`]. Scores differ from [`Self::score_all`] by a constant and by rounding alone.
    pub fn dot_query(&self, user: &UserVector) -> Option<Vec<f32>> {
        let (network, served) = (self.network(), self.served());
        let is_product = network.gmf > 0 && network.gmf == network.width() && self.biases().is_empty();
        if served != Served::Generator && !is_product {
            return None;
        }
        let mut query = vec![0.0; user.values.len()];
        if served != Served::Generator {
            let weights = network.gmf_weight.map(|(weights, _)| weights);
            let weight = |at: usize| weights.map_or(1.0, |weights| weights[at]);
            let cells = query.iter_mut().zip(&user.values).take(network.gmf);
            cells
                .enumerate()
                .for_each(|(at, (cell, value))| *cell = value * weight(at));
        }
        if let Some(generator) = self.generator().filter(|_| served != Served::Discriminator) {
            let columns = generator.columns(query.len());
            let cells = query[columns.clone()].iter_mut().zip(&user.values[columns]);
            cells.for_each(|(cell, value)| *cell = value / generator.temperature());
        }
        Some(query)
    }

    /// The `k` items of those `allowed` with the highest scores, best first, of equals the earlier; none if [`Self::dot_query`] says
    /// none. The first call makes an index, which takes a quarter of the items' room.
    pub fn best_products(
        &self,
        user: &UserVector,
        k: usize,
        allowed: impl Fn(u32) -> bool,
    ) -> Option<Vec<(u32, f32)>> {
        let query = self.dot_query(user)?;
        let rows = self.items.as_slice()?;
        let index = self
            .index
            .get_or_init(|| Arc::new(DotIndex::new(rows, self.items.ncols())));
        let mut found = index.top(rows, &[&query], k, |_, row| allowed(row));
        let head = match self.served() {
            Served::Generator => 0.0,
            _ => self.network().head_bias.0,
        };
        let scored = found.pop()?.into_iter();
        Some(scored.map(|(row, product)| (row, product + head)).collect())
    }

    /// Item vectors, features included. Shape: `[items, width]`.
    pub fn items(&self) -> ArrayView2<'_, f32> {
        self.items.view()
    }

    /// The flat shared parameters.
    pub fn params(&self) -> &[f32] {
        &self.params
    }

    /// The recommender.
    pub fn recommender(&self) -> &Arc<Recommender> {
        &self.recommender
    }

    /// Where each tensor stands.
    pub fn layout(&self) -> &Layout {
        self.recommender.layout()
    }

    /// The network over the dense parameters.
    pub fn network(&self) -> Network<'_, f32> {
        Network::new(self.config(), self.layout(), self.dense())
    }

    /// Cosine of two items' vectors; 0 when one is zero.
    pub fn similarity(&self, a: u32, b: u32) -> f32 {
        let (a, b) = (self.vector(a), self.vector(b));
        let norms = dot(a, a) * dot(b, b);
        if norms > 0.0 {
            dot(a, b) / norms.sqrt()
        } else {
            0.0
        }
    }

    pub(super) fn config(&self) -> &ModelConfig {
        self.recommender.config()
    }

    pub(super) fn stars_config(&self) -> Option<&StarsConfig> {
        match self.recommender.train() {
            TrainConfig::Stars(stars) => Some(stars),
            _ => None,
        }
    }

    pub(super) fn pace(&self) -> f64 {
        self.pace
    }

    pub(super) fn round(&self) -> u64 {
        self.round
    }

    pub(super) fn generator(&self) -> Option<&Generator> {
        self.generator.as_deref()
    }

    pub(super) fn gram(&self) -> &[f64] {
        &self.gram
    }

    pub(super) fn vector(&self, item: u32) -> &[f32] {
        let width = self.layout().width();
        let items = self.items.as_slice().expect("a fresh array is stored row by row");
        &items[item as usize * width..][..width]
    }

    pub(super) fn dense(&self) -> &[f32] {
        &self.params[self.layout().dense_start()..]
    }

    pub(super) fn bias_offset(&self) -> Option<usize> {
        self.layout().block("item.bias").map(|block| block.offset)
    }

    pub(super) fn bias_of(&self, item: u32) -> Option<f32> {
        self.bias_offset().map(|first| self.params[first + item as usize])
    }

    fn biases(&self) -> &[f32] {
        self.layout()
            .block("item.bias")
            .map_or(&[], |block| &self.params[block.range()])
    }
}
