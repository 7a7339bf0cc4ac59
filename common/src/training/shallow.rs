//! A network of one hidden layer beside a linear part: z = w x' + v s(W x + b), where x' are the first of the inputs x, and s is the
//! soft sign, a / (1 + |a|), which costs a division where others cost a transcendental function.

use rand_distr::{Distribution, Normal};

use crate::model::update::UserUpdate;
use crate::numeric::{add_scaled, dot};
use crate::rng::stream;

/// How many inputs a network has.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Inputs {
    /// Of the hidden layer: all of them.
    pub all: usize,
    /// Of the linear part: the first so many.
    pub linear: usize,
}

/// Parameters of a network.
#[derive(Clone, Debug, PartialEq)]
pub struct Shallow {
    inputs: Inputs,
    hidden: usize,
    /// w `[linear]`, W `[hidden, all]`, b `[hidden]`, v `[hidden]`.
    params: Vec<f32>,
}

impl Shallow {
    /// How many parameters a network of so many hidden units has.
    pub fn len_of(inputs: Inputs, hidden: usize) -> usize {
        inputs.linear + hidden * (inputs.all + 2)
    }

    /// Before its first step: W at random from the public seed, b and v at zero, so that it is its linear part.
    ///
    /// # Shapes
    /// linear: `[inputs.linear]`.
    pub fn initial(inputs: Inputs, hidden: usize, linear: Vec<f32>, seed: u64, stream_name: &str) -> Self {
        let mut params = linear;
        let spread = Normal::new(0.0, (1.0 / inputs.all as f32).sqrt()).expect("a spread");
        let mut rng = stream(seed, stream_name);
        params.extend((0..hidden * inputs.all).map(|_| spread.sample(&mut rng)));
        params.resize(Self::len_of(inputs, hidden), 0.0);
        Self {
            inputs,
            hidden,
            params,
        }
    }

    /// With these parameters; none if there is no network of so many.
    pub fn from_params(inputs: Inputs, params: Vec<f32>) -> Option<Self> {
        let beyond = params.len().checked_sub(inputs.linear)?;
        let hidden = beyond / (inputs.all + 2);
        (beyond.is_multiple_of(inputs.all + 2) && hidden <= MOST_HIDDEN).then_some(Self {
            inputs,
            hidden,
            params,
        })
    }

    /// Its parameters.
    pub fn params(&self) -> &[f32] {
        &self.params
    }

    fn parts(&self) -> [&[f32]; 4] {
        let (linear, rest) = self.params.split_at(self.inputs.linear);
        let (weights, rest) = rest.split_at(self.hidden * self.inputs.all);
        let (bias, out) = rest.split_at(self.hidden);
        [linear, weights, bias, out]
    }

    /// Scores of rows of inputs, and what the hidden units say of each.
    ///
    /// # Shapes
    /// inputs: `[rows, all]`; results: `[rows]`, `[rows, hidden]`.
    fn forward(&self, inputs: &[f32]) -> (Vec<f32>, Vec<f32>) {
        let [linear, weights, bias, out] = self.parts();
        let width = self.inputs.all;
        let mut hidden = vec![0.0f32; inputs.len() / width * self.hidden];
        let scores = inputs.chunks_exact(width).enumerate().map(|(at, row)| {
            let units = &mut hidden[at * self.hidden..][..self.hidden];
            for ((unit, weights), bias) in units.iter_mut().zip(weights.chunks_exact(width)).zip(bias) {
                *unit = softsign(dot(weights, row) + bias);
            }
            dot(linear, &row[..linear.len()]) + dot(out, units)
        });
        (scores.collect(), hidden)
    }

    /// Scores of rows of inputs.
    ///
    /// # Shapes
    /// inputs: `[rows, all]`; result: `[rows]`.
    pub fn scores(&self, inputs: &[f32]) -> Vec<f32> {
        self.forward(inputs).0
    }

    /// The negative gradient, before clipping, of a loss over rows of inputs, and the loss. `errors` gives each score's part of the
    /// negative gradient, and the loss.
    ///
    /// # Shapes
    /// inputs: `[rows, all]`.
    pub fn update(
        &self,
        inputs: &[f32],
        errors: impl FnOnce(&[f32]) -> (Vec<f32>, f64),
    ) -> (UserUpdate, f64) {
        let [_, _, _, out] = self.parts();
        let (scores, hidden) = self.forward(inputs);
        let (errors, loss) = errors(&scores);
        let width = self.inputs.all;
        let mut gradient = vec![0.0f32; self.params.len()];
        let (to_linear, rest) = gradient.split_at_mut(self.inputs.linear);
        let (to_weights, rest) = rest.split_at_mut(self.hidden * width);
        let (to_bias, to_out) = rest.split_at_mut(self.hidden);
        for (at, (row, error)) in inputs.chunks_exact(width).zip(errors).enumerate() {
            add_scaled(error, &row[..to_linear.len()], to_linear);
            let units = &hidden[at * self.hidden..][..self.hidden];
            for (unit, value) in units.iter().enumerate() {
                let back = error * out[unit] * (1.0 - value.abs()).powi(2);
                to_out[unit] += error * value;
                to_bias[unit] += back;
                add_scaled(back, row, &mut to_weights[unit * width..][..width]);
            }
        }
        let whole = 0..gradient.len();
        let update = UserUpdate::Sparse {
            ranges: vec![whole],
            values: gradient,
        };
        (update, loss)
    }

    /// How a score rises with each of its inputs, near them.
    ///
    /// # Shapes
    /// row, result: `[all]`.
    pub fn slopes(&self, row: &[f32]) -> Vec<f32> {
        let [linear, weights, bias, out] = self.parts();
        let mut slopes = linear.to_vec();
        slopes.resize(self.inputs.all, 0.0);
        for ((weights, bias), out) in weights.chunks_exact(self.inputs.all).zip(bias).zip(out) {
            let unit = softsign(dot(weights, row) + bias);
            add_scaled(out * (1.0 - unit.abs()).powi(2), weights, &mut slopes);
        }
        slopes
    }

    /// Scores of all items, from their inputs, a column at a time.
    ///
    /// # Shapes
    /// inputs: `[all, items]`; out: `[items]`.
    pub fn score_columns(&self, inputs: &[f32], out: &mut [f32]) {
        let [linear, weights, bias, to_out] = self.parts();
        let columns = || inputs.chunks_exact(out.len().max(1));
        let mut scores = vec![0.0; out.len()];
        for (weight, column) in linear.iter().zip(columns()) {
            add_scaled(*weight, column, &mut scores);
        }
        let mut unit = vec![0.0; out.len()];
        for ((weights, bias), to_out) in weights.chunks_exact(self.inputs.all).zip(bias).zip(to_out) {
            unit.fill(*bias);
            for (weight, column) in weights.iter().zip(columns()) {
                add_scaled(*weight, column, &mut unit);
            }
            for (score, unit) in scores.iter_mut().zip(&unit) {
                *score += to_out * softsign(*unit);
            }
        }
        out.copy_from_slice(&scores);
    }
}

fn softsign(a: f32) -> f32 {
    a / (1.0 + a.abs())
}

/// Units of the widest hidden layer.
pub const MOST_HIDDEN: usize = 256;
