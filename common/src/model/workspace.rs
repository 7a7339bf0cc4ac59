//! Forward and backward of one user against some distinct items. The buffers are kept from user to user.
//!
//! All samples of a user share the user's vector, so its half of layer 1 is one small product folded into the bias, and
//! the dot-product weights fold into it once. Samples that repeat an item are one row with summed weights: the gradient
//! of a row is complete before any norm is taken.

use ndarray::{ArrayView2, ArrayViewMut2, s};

use super::network::{Network, activate, chain, sigmoid, softplus};
use crate::numeric::{Real, add_scaled, dot, product};

/// How often an item stands among a user's samples as bought, and as not bought.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sample<F> {
    /// Row of the catalogue; distinct within a user's list.
    pub item: u32,
    /// Weight of "bought".
    pub positive: F,
    /// Weight of "not bought".
    pub negative: F,
}

/// Buffers for one user's forward and backward pass.
#[derive(Debug, Default)]
pub struct Workspace<F> {
    /// Outputs of each tower layer, `[samples, layer width]`.
    outputs: Vec<Vec<F>>,
    /// Gradients of the layers' inputs.
    flow: Vec<F>,
    back: Vec<F>,
    logits: Vec<F>,
    /// User's vector times the dot-product weights.
    scaled_user: Vec<F>,
    first_bias: Vec<F>,
    /// d loss / d logit, `[samples]`.
    pub logit_gradient: Vec<F>,
    /// d loss / d item vector, `[samples, width]`.
    pub item_gradient: Vec<F>,
    /// d loss / d user vector, `[width]`.
    pub user_gradient: Vec<F>,
    /// d loss / d dense parameters.
    pub dense_gradient: Vec<F>,
}

impl<F: Real> Workspace<F> {
    /// Empty buffers.
    pub fn new() -> Self {
        Self::default()
    }

    /// Logits of some items for `user`.
    ///
    /// # Shapes
    /// user: `[width]`, items: `[samples, width]` (row-major), bias: `[samples]` or empty; returns `[samples]`. Columns beyond
    /// [`Network::width`] are another's, and have no gradient here.
    pub fn forward(
        &mut self,
        network: &Network<'_, F>,
        user: &[F],
        items: ArrayView2<'_, F>,
        bias: &[F],
    ) -> &[F] {
        self.logits.clear();
        self.logits.resize(items.nrows(), network.head_bias.0);
        self.logits
            .iter_mut()
            .zip(bias)
            .for_each(|(logit, bias)| *logit = *logit + *bias);
        if network.gmf > 0 {
            self.scaled_user.clear();
            self.scaled_user.extend_from_slice(&user[..network.gmf]);
            if let Some((weight, _)) = network.gmf_weight {
                self.scaled_user
                    .iter_mut()
                    .zip(weight)
                    .for_each(|(user, weight)| *user = *user * *weight);
            }
            for (logit, item) in self.logits.iter_mut().zip(rows(items)) {
                *logit = *logit + dot(&self.scaled_user, &item[..network.gmf]);
            }
        }
        self.forward_tower(network, user, items);
        &self.logits
    }

    fn forward_tower(&mut self, network: &Network<'_, F>, user: &[F], items: ArrayView2<'_, F>) {
        let Some((head, _)) = network.head else { return };
        let count = items.nrows();
        self.outputs.resize_with(network.tower.len(), Vec::new);
        for (layer, dense) in network.tower.iter().enumerate() {
            let width = dense.bias.len();
            let (before, after) = self.outputs.split_at_mut(layer);
            let output = &mut after[0];
            output.clear();
            if layer == 0 {
                // The user's half of layer 1 is the same for all samples: fold it into the bias.
                let mine = &user[network.gmf..network.width()];
                self.first_bias.clear();
                for (row, bias) in dense.weight.rows().into_iter().zip(dense.bias) {
                    let row = row.to_slice().expect("weights are stored row by row");
                    self.first_bias.push(*bias + dot(&row[..network.mlp], mine));
                }
            }
            let bias: &[F] = if layer == 0 { &self.first_bias } else { dense.bias };
            (0..count).for_each(|_| output.extend_from_slice(bias));
            let (input, weight) = if layer == 0 {
                (
                    items.slice_move(s![.., network.gmf..network.width()]),
                    dense.weight.slice(s![.., network.mlp..]),
                )
            } else {
                (
                    matrix(&before[layer - 1], count, dense.weight.ncols()),
                    dense.weight,
                )
            };
            product(
                F::ONE,
                input,
                weight.t(),
                F::ONE,
                matrix_mut(output, count, width),
            );
            activate(network.activation, output);
        }
        if let Some(last) = self.outputs.get(network.tower.len().wrapping_sub(1)) {
            for (logit, output) in self.logits.iter_mut().zip(last.chunks_exact(head.len())) {
                *logit = *logit + dot(output, head);
            }
        }
    }

    /// What [`Workspace::forward`] gave last.
    pub fn logits(&self) -> &[F] {
        &self.logits
    }

    /// Binary cross-entropy summed over `samples`, after [`Workspace::forward`] over the same rows.
    pub fn loss(&self, samples: &[Sample<F>]) -> F {
        let terms = self.logits.iter().zip(samples);
        terms.fold(F::ZERO, |sum, (logit, sample)| {
            sum + sample.positive * softplus(-*logit) + sample.negative * softplus(*logit)
        })
    }

    /// Sets [`Workspace::logit_gradient`] to the derivative of [`Workspace::loss`], after [`Workspace::forward`].
    pub fn gradient_at_logits(&mut self, samples: &[Sample<F>]) {
        self.logit_gradient.clear();
        let pairs = self.logits.iter().zip(samples);
        self.logit_gradient.extend(pairs.map(|(logit, sample)| {
            let bought = sigmoid(*logit);
            sample.negative * bought - sample.positive * (F::ONE - bought)
        }));
    }

    /// The gradient of the user's vector alone, after [`Workspace::gradient_at_logits`].
    pub fn backward_user(&mut self, network: &Network<'_, F>, user: &[F], items: ArrayView2<'_, F>) {
        self.backward(network, user, items, None);
    }

    /// All gradients, after [`Workspace::gradient_at_logits`]; there are `dense` dense parameters. The gradient of the items' biases is
    /// [`Workspace::logit_gradient`].
    pub fn backward_all(
        &mut self,
        network: &Network<'_, F>,
        user: &[F],
        items: ArrayView2<'_, F>,
        dense: usize,
    ) {
        self.backward(network, user, items, Some(dense));
    }

    fn backward(
        &mut self,
        network: &Network<'_, F>,
        user: &[F],
        items: ArrayView2<'_, F>,
        shared: Option<usize>,
    ) {
        let (count, width, gmf) = (self.logit_gradient.len(), items.ncols(), network.gmf);
        self.user_gradient.clear();
        self.user_gradient.resize(width, F::ZERO);
        if let Some(dense) = shared {
            self.dense_gradient.clear();
            self.dense_gradient.resize(dense, F::ZERO);
            let sum = self
                .logit_gradient
                .iter()
                .fold(F::ZERO, |sum, gradient| sum + *gradient);
            self.dense_gradient[network.head_bias.1] = sum;
            self.item_gradient.clear();
            self.item_gradient.resize(count * width, F::ZERO);
        }
        if gmf > 0 {
            // sum_s g_s q_s: the gradient of the (weighted) user, and of the weights once multiplied by the user.
            let mut pooled = vec![F::ZERO; gmf];
            for (gradient, item) in self.logit_gradient.iter().zip(rows(items)) {
                add_scaled(*gradient, &item[..gmf], &mut pooled);
            }
            for k in 0..gmf {
                let weight = network.gmf_weight.map_or(F::ONE, |(weight, _)| weight[k]);
                self.user_gradient[k] = pooled[k] * weight;
            }
            if shared.is_some() {
                if let Some((_, offset)) = network.gmf_weight {
                    for k in 0..gmf {
                        self.dense_gradient[offset + k] = pooled[k] * user[k];
                    }
                }
                for (gradient, item) in self
                    .logit_gradient
                    .iter()
                    .zip(self.item_gradient.chunks_exact_mut(width))
                {
                    add_scaled(*gradient, &self.scaled_user, &mut item[..gmf]);
                }
            }
        }
        self.backward_tower(network, user, items, shared.is_some());
    }

    fn backward_tower(
        &mut self,
        network: &Network<'_, F>,
        user: &[F],
        items: ArrayView2<'_, F>,
        shared: bool,
    ) {
        let Some((head, head_offset)) = network.head else {
            return;
        };
        let (count, width) = (self.logit_gradient.len(), items.ncols());
        let mlp = network.gmf..network.width();
        let Some(last) = network.tower.len().checked_sub(1) else {
            return;
        };
        self.flow.clear();
        for gradient in &self.logit_gradient {
            self.flow.extend(head.iter().map(|weight| *gradient * *weight));
        }
        if shared {
            let out = &mut self.dense_gradient[head_offset..][..head.len()];
            for (gradient, output) in self
                .logit_gradient
                .iter()
                .zip(self.outputs[last].chunks_exact(head.len()))
            {
                add_scaled(*gradient, output, out);
            }
        }
        for layer in (0..=last).rev() {
            let dense = &network.tower[layer];
            let outputs = dense.bias.len();
            chain(network.activation, &self.outputs[layer], &mut self.flow);
            let flow = matrix(&self.flow, count, outputs);
            // Summed over samples: the bias's gradient, and all that the user's half of layer 1 needs.
            let mut pooled = vec![F::ZERO; outputs];
            self.flow
                .chunks_exact(outputs)
                .for_each(|row| add_scaled(F::ONE, row, &mut pooled));
            let inputs = dense.weight.ncols();
            if shared {
                self.dense_gradient[dense.bias_offset..][..outputs].copy_from_slice(&pooled);
                let block = &mut self.dense_gradient[dense.weight_offset..][..outputs * inputs];
                let mut block = matrix_mut(block, outputs, inputs);
                if layer == 0 {
                    let items = items.slice_move(s![.., mlp.clone()]);
                    product(
                        F::ONE,
                        flow.t(),
                        items,
                        F::ZERO,
                        block.slice_mut(s![.., network.mlp..]),
                    );
                    for (mut row, pooled) in block.rows_mut().into_iter().zip(&pooled) {
                        for (out, mine) in row.iter_mut().zip(&user[mlp.clone()]) {
                            *out = *pooled * *mine;
                        }
                    }
                } else {
                    let input = matrix(&self.outputs[layer - 1], count, inputs);
                    product(F::ONE, flow.t(), input, F::ZERO, block);
                }
            }
            if layer == 0 {
                for (row, pooled) in dense.weight.rows().into_iter().zip(&pooled) {
                    let row = row.to_slice().expect("weights are stored row by row");
                    add_scaled(*pooled, &row[..network.mlp], &mut self.user_gradient[mlp.clone()]);
                }
                if shared {
                    let out =
                        matrix_mut(&mut self.item_gradient, count, width).slice_move(s![.., mlp.clone()]);
                    product(
                        F::ONE,
                        flow,
                        dense.weight.slice(s![.., network.mlp..]),
                        F::ZERO,
                        out,
                    );
                }
            } else {
                self.back.clear();
                self.back.resize(count * inputs, F::ZERO);
                product(
                    F::ONE,
                    flow,
                    dense.weight,
                    F::ZERO,
                    matrix_mut(&mut self.back, count, inputs),
                );
                std::mem::swap(&mut self.flow, &mut self.back);
            }
        }
    }
}

fn rows<'a, F>(items: ArrayView2<'a, F>) -> std::slice::ChunksExact<'a, F> {
    let width = items.ncols().max(1);
    items
        .to_slice()
        .expect("item vectors are stored row by row")
        .chunks_exact(width)
}

fn matrix<F>(values: &[F], rows: usize, columns: usize) -> ArrayView2<'_, F> {
    ArrayView2::from_shape((rows, columns), values).expect("a buffer has its shape's length")
}

fn matrix_mut<F>(values: &mut [F], rows: usize, columns: usize) -> ArrayViewMut2<'_, F> {
    ArrayViewMut2::from_shape((rows, columns), values).expect("a buffer has its shape's length")
}
