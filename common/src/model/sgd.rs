//! Solver `sgd`: binary cross-entropy on a user's items against sampled negatives.
//!
//! Everything here is a function of one user's history, the broadcast model, the plan, the public catalogue and the
//! user's own randomness: of nothing computed from other users.

use ndarray::ArrayView2;
use rand::RngExt;
use rand_distr::{Distribution, Normal};

use super::config::SgdConfig;
use super::network::Network;
use super::recommender::{Loaded, UserVector};
use super::update::UserUpdate;
use super::workspace::{Sample, Workspace};
use crate::dataset::History;
use crate::numeric::add_scaled;
use crate::rng::Stream;

impl Loaded {
    /// One round's work for one user: the user's own vector moves, and so do the shared parameters that the user touched.
    pub(super) fn sgd_update(
        &self,
        sgd: &SgdConfig,
        history: &History,
        previous: Option<&UserVector>,
        forbidden: &[u32],
        rng: &mut Stream,
    ) -> (UserUpdate, UserVector) {
        let mut user = previous.cloned().unwrap_or_else(|| self.first_vector(rng));
        if history.is_empty() {
            return (
                UserUpdate::Sparse {
                    ranges: Vec::new(),
                    values: Vec::new(),
                },
                user,
            );
        }
        let samples = self.draw_samples(sgd, history, forbidden, 0.0, rng);
        let mut local = Local::new(self, &samples);
        let mut workspace = Workspace::new();
        for _ in 0..sgd.user_steps {
            local.user_step(
                self,
                &mut workspace,
                &samples,
                &mut user,
                sgd.user_learning_rate,
                sgd.user_l2,
            );
        }
        let mask = dropout(user.values.len(), sgd.user_dropout, rng);
        let seen: Vec<f32> = user
            .values
            .iter()
            .zip(&mask)
            .map(|(value, keep)| value * keep)
            .collect();
        for _ in 0..sgd.local_steps {
            local.shared_step(self, &mut workspace, &samples, &seen, sgd.learning_rate as f32);
        }
        (local.into_update(self), user)
    }

    /// The user's own vector for scoring: some Adam steps from `previous`, the latest items weighing most.
    pub(super) fn sgd_fit(
        &self,
        sgd: &SgdConfig,
        history: &History,
        previous: Option<&UserVector>,
        rng: &mut Stream,
    ) -> UserVector {
        let mut user = previous.cloned().unwrap_or_else(|| self.first_vector(rng));
        if history.is_empty() {
            return user;
        }
        user.forget_steps();
        let mut workspace = Workspace::new();
        for step in 0..sgd.fit_steps {
            let samples = self.draw_samples(sgd, history, &[], sgd.recency, rng);
            let local = Local::new(self, &samples);
            let rate = sgd.fit_learning_rate * (1.0 - 0.9 * step as f64 / sgd.fit_steps as f64);
            local.user_step(self, &mut workspace, &samples, &mut user, rate, sgd.user_l2);
        }
        user
    }

    fn first_vector(&self, rng: &mut Stream) -> UserVector {
        let normal =
            Normal::new(0.0f32, self.config().init_stddev).expect("the spread was checked with the plan");
        UserVector::new((0..self.layout().width()).map(|_| normal.sample(rng)).collect())
    }

    /// The user's items, and for each a number of negatives, summed per distinct item.
    fn draw_samples(
        &self,
        sgd: &SgdConfig,
        history: &History,
        forbidden: &[u32],
        recency: f64,
        rng: &mut Stream,
    ) -> Vec<Sample<f32>> {
        let weights = recency_weights(history.len(), recency);
        let mut own: Vec<u32> = history.items.clone();
        own.sort_unstable();
        let catalogue = self.items().nrows() as u32;
        let mut negatives = Vec::new();
        let excluded = own.len() + forbidden.len();
        if (excluded as u64) < u64::from(catalogue) {
            for _ in 0..history.len() * sgd.negatives {
                negatives.push(loop {
                    let item = rng.random_range(0..catalogue);
                    if own.binary_search(&item).is_err() && forbidden.binary_search(&item).is_err() {
                        break item;
                    }
                });
            }
        }
        negatives.sort_unstable();
        let mut samples: Vec<Sample<f32>> = history
            .items
            .iter()
            .zip(&weights)
            .map(|(item, weight)| Sample {
                item: *item,
                positive: *weight as f32,
                negative: 0.0,
            })
            .collect();
        samples.extend(negatives.chunk_by(|a, b| a == b).map(|run| Sample {
            item: run[0],
            positive: 0.0,
            negative: run.len() as f32,
        }));
        samples
    }
}

/// k^-g for the k-th latest of `count` items (the last is the latest), scaled to a mean of one.
pub(super) fn recency_weights(count: usize, g: f64) -> Vec<f64> {
    if g == 0.0 {
        return vec![1.0; count];
    }
    let weights: Vec<f64> = (0..count).map(|at| ((count - at) as f64).powf(-g)).collect();
    let scale = count as f64 / weights.iter().sum::<f64>().max(f64::MIN_POSITIVE);
    weights.into_iter().map(|weight| weight * scale).collect()
}

fn dropout(width: usize, share: f64, rng: &mut Stream) -> Vec<f32> {
    if share <= 0.0 {
        return vec![1.0; width];
    }
    let keep = (1.0 / (1.0 - share)) as f32;
    (0..width)
        .map(|_| if rng.random_bool(1.0 - share) { keep } else { 0.0 })
        .collect()
}

/// A user's own copy of the shared parameters that its samples touch.
struct Local {
    /// Rows of the joint table that some sample uses, ascending.
    table_rows: Vec<u32>,
    /// Their current values, `[table_rows, width]`.
    table: Vec<f32>,
    /// For each sample, positions in `table_rows`: own row first, then its features' rows.
    parts: Vec<u32>,
    parts_per_sample: usize,
    bias: Vec<f32>,
    dense: Vec<f32>,
    /// Item vectors of the samples, `[samples, width]`.
    items: Vec<f32>,
    samples: Vec<u32>,
}

impl Local {
    fn new(model: &Loaded, samples: &[Sample<f32>]) -> Self {
        let parts_per_sample = model.rows_per_item();
        let mut rows = Vec::with_capacity(samples.len() * parts_per_sample);
        samples
            .iter()
            .for_each(|sample| model.push_rows(sample.item, &mut rows));
        let mut table_rows = rows.clone();
        table_rows.sort_unstable();
        table_rows.dedup();
        let parts = rows
            .iter()
            .map(|row| {
                table_rows
                    .binary_search(row)
                    .expect("each row of a sample is in the list of rows") as u32
            })
            .collect();
        let mut table = Vec::with_capacity(table_rows.len() * model.layout().width());
        table_rows
            .iter()
            .for_each(|row| table.extend_from_slice(model.table_row(*row)));
        let bias = samples
            .iter()
            .filter_map(|sample| model.bias_of(sample.item))
            .collect();
        let mut local = Self {
            table_rows,
            table,
            parts,
            parts_per_sample,
            bias,
            dense: model.dense().to_vec(),
            items: Vec::new(),
            samples: samples.iter().map(|sample| sample.item).collect(),
        };
        local.gather(model.layout().width());
        local
    }

    fn gather(&mut self, width: usize) {
        self.items.clear();
        self.items.resize(self.samples.len() * width, 0.0);
        if width == 0 {
            return;
        }
        for (item, parts) in self
            .items
            .chunks_exact_mut(width)
            .zip(self.parts.chunks_exact(self.parts_per_sample))
        {
            for part in parts {
                add_scaled(1.0, &self.table[*part as usize * width..][..width], item);
            }
        }
    }

    fn view(&self, width: usize) -> ArrayView2<'_, f32> {
        ArrayView2::from_shape((self.samples.len(), width), &self.items).expect("gathered to this shape")
    }

    fn user_step(
        &self,
        model: &Loaded,
        workspace: &mut Workspace<f32>,
        samples: &[Sample<f32>],
        user: &mut UserVector,
        rate: f64,
        l2: f64,
    ) {
        let network = Network::new(model.config(), model.layout(), &self.dense);
        let items = self.view(network.width());
        workspace.forward(&network, &user.values, items, &self.bias);
        workspace.loss(samples);
        workspace.backward_user(&network, &user.values, items);
        add_scaled(l2 as f32, &user.values, &mut workspace.user_gradient);
        user.adam_step(&workspace.user_gradient, rate);
    }

    fn shared_step(
        &mut self,
        model: &Loaded,
        workspace: &mut Workspace<f32>,
        samples: &[Sample<f32>],
        user: &[f32],
        rate: f32,
    ) {
        let width = model.layout().width();
        {
            let network = Network::new(model.config(), model.layout(), &self.dense);
            let items = self.view(width);
            workspace.forward(&network, user, items, &self.bias);
            workspace.loss(samples);
            workspace.backward_all(&network, user, items, self.dense.len());
        }
        if width > 0 {
            let gradients = workspace.item_gradient.chunks_exact(width);
            for (gradient, parts) in gradients.zip(self.parts.chunks_exact(self.parts_per_sample)) {
                for part in parts {
                    add_scaled(
                        -rate,
                        gradient,
                        &mut self.table[*part as usize * width..][..width],
                    );
                }
            }
        }
        for (bias, gradient) in self.bias.iter_mut().zip(&workspace.logit_gradient) {
            *bias -= rate * gradient;
        }
        add_scaled(-rate, &workspace.dense_gradient, &mut self.dense);
        self.gather(width);
    }

    /// New minus broadcast, each coordinate once, ascending.
    fn into_update(self, model: &Loaded) -> UserUpdate {
        let width = model.layout().width();
        let (mut ranges, mut values) = (Vec::new(), Vec::new());
        for (at, row) in self.table_rows.iter().enumerate() {
            let start = *row as usize * width;
            ranges.push(start..start + width);
            let new = &self.table[at * width..][..width];
            values.extend(new.iter().zip(model.table_row(*row)).map(|(new, old)| new - old));
        }
        if let Some(first) = model.bias_offset() {
            let mut biases: Vec<(u32, f32)> = self.samples.iter().copied().zip(self.bias).collect();
            biases.sort_unstable_by_key(|(item, _)| *item);
            for (item, new) in biases {
                let at = first + item as usize;
                ranges.push(at..at + 1);
                values.push(new - model.bias_of(item).unwrap_or(new));
            }
        }
        let start = model.layout().dense_start();
        ranges.push(start..start + self.dense.len());
        values.extend(self.dense.iter().zip(model.dense()).map(|(new, old)| new - old));
        UserUpdate::Sparse { ranges, values }
    }
}
