//! A user's own copy of what its samples touch of the shared parameters, and how that copy has moved.

use std::ops::Range;

use ndarray::ArrayView2;

use super::network::Network;
use super::recommender::Loaded;
use super::update::UserUpdate;
use super::work;
use super::workspace::{Sample, Workspace};
use crate::numeric::add_scaled;

/// Local training of one user: the broadcast model as seen by `samples`, and the change so far.
pub(super) struct Local<'m> {
    model: &'m Loaded,
    samples: &'m [Sample<f32>],
    /// Current item vectors of the samples, features included, `[samples, width]`.
    items: Vec<f32>,
    /// Current item biases of the samples; empty if the model has none.
    bias: Vec<f32>,
    /// Current dense parameters.
    dense: Vec<f32>,
    /// Rows of the joint table, beyond the items', that some sample's features use; ascending.
    feature_rows: Vec<u32>,
    /// For each sample, positions of its features in `feature_rows`.
    parts: Vec<u32>,
    /// Current minus broadcast: rows of the samples' items, rows of the features, item biases, dense parameters.
    change: Vec<f32>,
}

impl<'m> Local<'m> {
    /// Nothing moved yet. `samples` ascend by item, each item once.
    pub(super) fn new(model: &'m Loaded, samples: &'m [Sample<f32>]) -> Self {
        debug_assert!(samples.windows(2).all(|pair| pair[0].item < pair[1].item));
        let width = model.layout().width();
        let mut items = Vec::with_capacity(samples.len() * width);
        let mut rows = Vec::new();
        for sample in samples {
            items.extend_from_slice(model.vector(sample.item));
            rows.extend_from_slice(model.recommender().features_of(sample.item as usize));
        }
        let mut feature_rows = rows.clone();
        feature_rows.sort_unstable();
        feature_rows.dedup();
        let at = |row: &u32| feature_rows.partition_point(|known| known < row) as u32;
        let parts = rows.iter().map(at).collect();
        let bias: Vec<f32> = samples
            .iter()
            .filter_map(|sample| model.bias_of(sample.item))
            .collect();
        let dense = model.dense().to_vec();
        let moved = items.len() + feature_rows.len() * width + bias.len() + dense.len();
        Self {
            model,
            samples,
            items,
            bias,
            dense,
            feature_rows,
            parts,
            change: vec![0.0; moved],
        }
    }

    /// The gradient of the user's own vector alone, into [`Workspace::user_gradient`].
    pub(super) fn user_gradient(&self, workspace: &mut Workspace<f32>, user: &[f32]) {
        work::took(self.samples.len());
        let network = self.network();
        workspace.forward(&network, user, self.view(), &self.bias);
        workspace.gradient_at_logits(self.samples);
        workspace.backward_user(&network, user, self.view());
    }

    /// The gradients of all shared parameters and of the user's own vector, into `workspace`.
    pub(super) fn gradients(&self, workspace: &mut Workspace<f32>, user: &[f32]) {
        work::took(self.samples.len());
        let network = self.network();
        workspace.forward(&network, user, self.view(), &self.bias);
        workspace.gradient_at_logits(self.samples);
        workspace.backward_all(&network, user, self.view(), self.dense.len());
    }

    /// One step down the gradients of all shared parameters that are in `workspace`.
    pub(super) fn descend(&mut self, workspace: &Workspace<f32>, rate: f32) {
        let [own, features, bias, dense] = self.parts_of_change();
        add_scaled(-rate, &workspace.item_gradient, &mut self.change[own]);
        let (width, each) = (self.model.layout().width(), self.features());
        if each > 0 {
            let features = &mut self.change[features];
            let gradients = workspace.item_gradient.chunks_exact(width);
            for (gradient, parts) in gradients.zip(self.parts.chunks_exact(each)) {
                for part in parts {
                    add_scaled(-rate, gradient, &mut features[*part as usize * width..][..width]);
                }
            }
        }
        add_scaled(-rate, &workspace.logit_gradient, &mut self.change[bias]);
        add_scaled(-rate, &workspace.dense_gradient, &mut self.change[dense]);
    }

    /// Moves the current parameters to where the steps so far have led, for the next step.
    pub(super) fn refresh(&mut self) {
        let [own, features, bias, dense] = self.parts_of_change();
        let (width, each) = (self.model.layout().width(), self.features());
        for (at, sample) in self.samples.iter().enumerate() {
            let item = &mut self.items[at * width..][..width];
            item.copy_from_slice(self.model.vector(sample.item));
            add_scaled(1.0, &self.change[own.start + at * width..][..width], item);
            for part in &self.parts[at * each..][..each] {
                let row = features.start + *part as usize * width;
                add_scaled(1.0, &self.change[row..][..width], item);
            }
        }
        for ((now, sample), change) in self.bias.iter_mut().zip(self.samples).zip(&self.change[bias]) {
            *now = self.model.bias_of(sample.item).unwrap_or_default() + change;
        }
        self.dense.copy_from_slice(self.model.dense());
        add_scaled(1.0, &self.change[dense], &mut self.dense);
    }

    /// The change, each coordinate once, ascending.
    pub(super) fn into_update(self) -> UserUpdate {
        let layout = self.model.layout();
        let width = layout.width();
        let mut ranges = Vec::new();
        let mut push = |range: Range<usize>| match ranges.last_mut() {
            Some(Range { end, .. }) if *end == range.start => *end = range.end,
            _ => ranges.push(range),
        };
        let own = self.samples.iter().map(|sample| sample.item);
        for row in own.clone().chain(self.feature_rows.iter().copied()) {
            push(row as usize * width..(row as usize + 1) * width);
        }
        if let Some(first) = self.model.bias_offset() {
            own.for_each(|item| push(first + item as usize..first + item as usize + 1));
        }
        push(layout.dense_start()..layout.len());
        UserUpdate::Sparse {
            ranges,
            values: self.change,
        }
    }

    fn network(&self) -> Network<'_, f32> {
        Network::new(self.model.config(), self.model.layout(), &self.dense)
    }

    fn view(&self) -> ArrayView2<'_, f32> {
        let shape = (self.samples.len(), self.model.layout().width());
        ArrayView2::from_shape(shape, &self.items).expect("gathered to this shape")
    }

    fn features(&self) -> usize {
        self.parts.len() / self.samples.len().max(1)
    }

    fn parts_of_change(&self) -> [Range<usize>; 4] {
        let own = self.items.len();
        let features = own + self.feature_rows.len() * self.model.layout().width();
        let bias = features + self.bias.len();
        [0..own, own..features, features..bias, bias..self.change.len()]
    }
}
