//! The generator: G(i | u) = softmax over all items of g . v_i / T.

use crate::model::config::GeneratorConfig;
use crate::numeric::{add_scaled, dot};

/// A generator's item side, apart from the discriminator's: every draw looks at all of it.
#[derive(Clone, Debug)]
pub struct Generator {
    dim: usize,
    temperature: f32,
    /// v, features included, `[items, dim]`.
    vectors: Vec<f32>,
}

impl Generator {
    /// From the last columns of item vectors of `width` numbers, one after another.
    pub(in crate::model) fn new(config: &GeneratorConfig, items: &[f32], width: usize) -> Self {
        let rows = items.chunks_exact(width.max(1));
        Self {
            dim: config.dim,
            temperature: config.temperature,
            vectors: rows.flat_map(|row| &row[width - config.dim..]).copied().collect(),
        }
    }

    /// Its columns, of an item's or a user's vector of `width` numbers.
    pub(in crate::model) fn columns(&self, width: usize) -> std::ops::Range<usize> {
        width - self.dim..width
    }

    /// T.
    pub(in crate::model) fn temperature(&self) -> f32 {
        self.temperature
    }

    /// v of an item.
    pub(super) fn vector(&self, item: u32) -> &[f32] {
        &self.vectors[item as usize * self.dim..][..self.dim]
    }

    /// g . v_i / T of one item.
    pub(in crate::model) fn logit(&self, user: &[f32], item: u32) -> f32 {
        dot(user, self.vector(item)) / self.temperature
    }

    /// g . v_i / T of every item. Shapes: user `[dim]`; returns `[items]`.
    pub(in crate::model) fn logits(&self, user: &[f32]) -> Vec<f32> {
        let scaled: Vec<f32> = user.iter().map(|value| value / self.temperature).collect();
        let rows = self.vectors.chunks_exact(self.dim);
        rows.map(|vector| dot(&scaled, vector)).collect()
    }

    /// G(. | u), in which `forbidden` items have no part; all 0 where every item is forbidden. Shape: `[items]`.
    pub(super) fn probabilities(&self, user: &[f32], forbidden: &[u32]) -> Vec<f32> {
        let mut values = self.logits(user);
        // Products of finite numbers may have grown beyond all numbers.
        let finite = |logit: f32| {
            if logit.is_nan() {
                0.0
            } else {
                logit.clamp(-1e30, 1e30)
            }
        };
        values.iter_mut().for_each(|value| *value = finite(*value));
        for item in forbidden {
            values[*item as usize] = f32::NEG_INFINITY;
        }
        let most = values.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        if most == f32::NEG_INFINITY {
            values.fill(0.0);
            return values;
        }
        values.iter_mut().for_each(|value| *value = (*value - most).exp());
        let total: f64 = values.iter().map(|value| f64::from(*value)).sum();
        let scale = (1.0 / total) as f32;
        values.iter_mut().for_each(|value| *value *= scale);
        values
    }

    /// Adds to `out` the gradient of minus `scale` times the log-likelihood of `own` items, each with its weight, by the user's vector:
    /// exact, over all items, since it stays in the shop.
    ///
    /// # Shapes
    /// probabilities: `[items]`; own, weights: `[n]`; out: `[dim]`.
    pub(super) fn add_likelihood_gradient(
        &self,
        probabilities: &[f32],
        (own, weights): (&[u32], &[f64]),
        scale: f64,
        out: &mut [f32],
    ) {
        let scale = scale / f64::from(self.temperature);
        let total: f64 = weights.iter().sum();
        let mut expected = vec![0.0; self.dim];
        for (vector, probability) in self.vectors.chunks_exact(self.dim).zip(probabilities) {
            add_scaled(*probability, vector, &mut expected);
        }
        add_scaled((scale * total) as f32, &expected, out);
        for (item, weight) in own.iter().zip(weights) {
            add_scaled((-scale * weight) as f32, self.vector(*item), out);
        }
    }
}
