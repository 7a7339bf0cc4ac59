//! The network's shared parameters as named views, for either width of number.

use ndarray::ArrayView2;

use super::config::{Activation, ModelConfig, ModelKind};
use super::layout::{Layout, TensorSpec};
use crate::numeric::Real;

/// One dense layer: `s(W x + b)`.
#[derive(Clone, Copy, Debug)]
pub struct Dense<'a, F> {
    /// Shape `[output, input]`.
    pub weight: ArrayView2<'a, F>,
    /// Shape `[output]`.
    pub bias: &'a [F],
    /// Where the weight begins in the dense part.
    pub weight_offset: usize,
    /// Where the bias begins in the dense part.
    pub bias_offset: usize,
}

/// Everything between item vectors and logits.
///
/// logit(u, i) = head_bias + item_bias_i + sum_k w_k p_uk q_ik (k < gmf) + head . tower([p_u, q_i] from column gmf on)
#[derive(Clone, Debug)]
pub struct Network<'a, F> {
    /// Columns of the dot-product path.
    pub gmf: usize,
    /// Columns of the tower path, of user and item each.
    pub mlp: usize,
    /// Activation of the tower.
    pub activation: Activation,
    /// w: weights of the dot-product path with their offset; none means ones.
    pub gmf_weight: Option<(&'a [F], usize)>,
    /// The tower, input first.
    pub tower: Vec<Dense<'a, F>>,
    /// Weights over the tower's output, with their offset.
    pub head: Option<(&'a [F], usize)>,
    /// The common bias, with its offset.
    pub head_bias: (F, usize),
}

impl<'a, F: Real> Network<'a, F> {
    /// Views `dense`: the parameters from [`Layout::dense_start`] on. Offsets are relative to it.
    ///
    /// # Panics
    /// If `dense` is shorter than the layout says.
    pub fn new(config: &ModelConfig, layout: &Layout, dense: &'a [F]) -> Self {
        let start = layout.dense_start();
        let at = |block: &TensorSpec| block.offset - start..block.range().end - start;
        let slice = |name: &str| {
            layout
                .block(name)
                .map(|block| (&dense[at(block)], block.offset - start))
        };
        let mut tower = Vec::new();
        if config.network() != ModelKind::Mf {
            for layer in 0..config.tower.len() {
                let Some(weight) = layout.block(&format!("tower.{layer}.weight")) else {
                    break;
                };
                let Some((bias, bias_offset)) = slice(&format!("tower.{layer}.bias")) else {
                    break;
                };
                let shape = (weight.shape[0], weight.shape[1]);
                let view = ArrayView2::from_shape(shape, &dense[at(weight)])
                    .expect("a block has its shape's length");
                tower.push(Dense {
                    weight: view,
                    bias,
                    weight_offset: weight.offset - start,
                    bias_offset,
                });
            }
        }
        let head_bias = slice("head.bias").map_or((F::ZERO, 0), |(values, offset)| (values[0], offset));
        Self {
            gmf: config.gmf_width(),
            mlp: config.mlp_width(),
            activation: config.activation,
            gmf_weight: slice("gmf.weight"),
            tower,
            head: slice("head.weight"),
            head_bias,
        }
    }

    /// Columns of user and item vectors that it looks at; a generator's stand behind them.
    pub fn width(&self) -> usize {
        self.gmf + self.mlp
    }
}

/// `values = s(values)`.
pub(super) fn activate<F: Real>(activation: Activation, values: &mut [F]) {
    match activation {
        Activation::Relu => values.iter_mut().for_each(|value| *value = value.max(F::ZERO)),
        Activation::Tanh => values.iter_mut().for_each(|value| *value = value.tanh()),
        Activation::Sigmoid => values.iter_mut().for_each(|value| *value = sigmoid(*value)),
    }
}

/// `gradient *= s'(x)`, from `s(x)`.
pub(super) fn chain<F: Real>(activation: Activation, output: &[F], gradient: &mut [F]) {
    let pairs = gradient.iter_mut().zip(output);
    match activation {
        Activation::Relu => pairs.for_each(|(gradient, output)| {
            *gradient = if *output > F::ZERO { *gradient } else { F::ZERO };
        }),
        Activation::Tanh => {
            pairs.for_each(|(gradient, output)| *gradient = *gradient * (F::ONE - *output * *output))
        }
        Activation::Sigmoid => {
            pairs.for_each(|(gradient, output)| *gradient = *gradient * *output * (F::ONE - *output));
        }
    }
}

/// 1 / (1 + exp(-x)), without overflow.
pub fn sigmoid<F: Real>(x: F) -> F {
    if x > F::ZERO {
        F::ONE / (F::ONE + (-x).exp())
    } else {
        let e = x.exp();
        e / (F::ONE + e)
    }
}

/// ln(1 + exp(x)), without overflow: the loss of a negative with logit x, and of a positive with logit -x.
pub fn softplus<F: Real>(x: F) -> F {
    x.max(F::ZERO) + (-x.abs()).exp().ln_1p()
}
