//! The tower: mixing weights beside a hidden layer, z = w x + v s(W x + b), over the inputs x of a customer and an item.
//!
//! It is the multi-layer perceptron of neural collaborative filtering (He et al. 2017), whose embeddings are those that the
//! releases gave; W1 and W2 of the usual two layers are W and v. The mixing weights begin where a stack's do, W at random
//! from the public seed, v at zero: before its first step the tower is a stack that nobody has fitted. s is the soft sign, a / (1 + |a|), which costs a
//! division where others cost a transcendental function.
//!
//! A customer's loss is the softmax loss of the latest item against drawn ones, some at a time, from what comes before it. That item
//! is in no release.

use rand::RngExt;
use rand_distr::{Distribution, Normal};

use super::inputs::{CHANNELS, TowerInputs, WIDTH};
use crate::model::update::UserUpdate;
use crate::numeric::{add_scaled, dot};
use crate::release::history::ReleaseHistory;
use crate::rng::stream;

/// Parameters of a tower.
#[derive(Clone, Debug, PartialEq)]
pub struct Tower {
    hidden: usize,
    /// w `[CHANNELS]`, W `[hidden, WIDTH]`, b `[hidden]`, v `[hidden]`.
    params: Vec<f32>,
}

/// One customer's latest item and the drawn ones, as inputs.
#[derive(Clone, Debug)]
pub struct TowerCase {
    /// `[1 + drawn, WIDTH]`; the latest item's first. Drawn ones that the customer has are left out.
    inputs: Vec<f32>,
}

impl TowerCase {
    /// The case of a customer; none without a latest item and another one before it.
    ///
    /// What is drawn depends on `seed` and the customer's own `id` and items alone.
    pub fn new(inputs: &TowerInputs, history: &ReleaseHistory, id: &str, seed: u64) -> Option<Self> {
        let (latest, mut past) = (history.latest()?, history.items().to_vec());
        let items = inputs.items();
        if past.is_empty() || latest as usize >= items || past.iter().any(|item| *item as usize >= items) {
            return None;
        }
        past.reverse();
        let mut rng = stream(seed, &format!("tower {id}"));
        let mut rows = vec![latest];
        for _ in 0..DRAWN {
            let item = rng.random_range(0..items as u32);
            if item != latest && !past.contains(&item) {
                rows.push(item);
            }
        }
        let mut case = Self { inputs: Vec::new() };
        inputs.rows(&past, &rows, &mut case.inputs);
        Some(case)
    }

    /// Bytes in memory.
    pub fn bytes(&self) -> usize {
        size_of_val(&*self.inputs)
    }
}

impl Tower {
    /// How many parameters a tower of so many hidden units has.
    pub fn len_of(hidden: usize) -> usize {
        CHANNELS.len() + hidden * (WIDTH + 2)
    }

    /// Before its first step.
    pub fn initial(hidden: usize, seed: u64) -> Self {
        let mut params: Vec<f32> = CHANNELS.iter().map(|name| prior(name)).collect();
        let spread = Normal::new(0.0, (1.0 / WIDTH as f32).sqrt()).expect("a spread");
        let mut rng = stream(seed, "tower.weight");
        params.extend((0..hidden * WIDTH).map(|_| spread.sample(&mut rng)));
        params.resize(Self::len_of(hidden), 0.0);
        Self { hidden, params }
    }

    /// With these parameters; none if there is no tower of so many.
    pub fn from_params(params: Vec<f32>) -> Option<Self> {
        let beyond = params.len().checked_sub(CHANNELS.len())?;
        let hidden = beyond / (WIDTH + 2);
        (beyond.is_multiple_of(WIDTH + 2) && hidden <= MOST_HIDDEN).then_some(Self { hidden, params })
    }

    /// Its parameters.
    pub fn params(&self) -> &[f32] {
        &self.params
    }

    /// The mixing weights, by the names of their channels.
    pub fn weights(&self) -> impl Iterator<Item = (&'static str, f32)> {
        CHANNELS.into_iter().zip(self.params.iter().copied())
    }

    fn parts(&self) -> [&[f32]; 4] {
        let (linear, rest) = self.params.split_at(CHANNELS.len());
        let (weights, rest) = rest.split_at(self.hidden * WIDTH);
        let (bias, out) = rest.split_at(self.hidden);
        [linear, weights, bias, out]
    }

    /// The customer's negative gradient of the softmax loss, before clipping, and the loss.
    pub fn update(&self, case: &TowerCase) -> (UserUpdate, f64) {
        let [linear, weights, bias, out] = self.parts();
        let rows: Vec<&[f32]> = case.inputs.chunks_exact(WIDTH).collect();
        let mut hidden = vec![0.0f32; rows.len() * self.hidden];
        let mut scores = vec![0.0f32; rows.len()];
        for (at, row) in rows.iter().enumerate() {
            let units = &mut hidden[at * self.hidden..][..self.hidden];
            for ((unit, weights), bias) in units.iter_mut().zip(weights.chunks_exact(WIDTH)).zip(bias) {
                *unit = softsign(dot(weights, row) + bias);
            }
            scores[at] = dot(linear, &row[..CHANNELS.len()]) + dot(out, units);
        }
        let (errors, loss) = errors(&scores);
        let mut gradient = vec![0.0f32; self.params.len()];
        let (to_linear, rest) = gradient.split_at_mut(CHANNELS.len());
        let (to_weights, rest) = rest.split_at_mut(self.hidden * WIDTH);
        let (to_bias, to_out) = rest.split_at_mut(self.hidden);
        for (at, row) in rows.iter().enumerate() {
            let error = errors[at];
            add_scaled(error, &row[..CHANNELS.len()], to_linear);
            let units = &hidden[at * self.hidden..][..self.hidden];
            for (unit, value) in units.iter().enumerate() {
                let back = error * out[unit] * (1.0 - value.abs()).powi(2);
                to_out[unit] += error * value;
                to_bias[unit] += back;
                add_scaled(back, row, &mut to_weights[unit * WIDTH..][..WIDTH]);
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
    /// row, result: `[WIDTH]`.
    pub fn slopes(&self, row: &[f32]) -> Vec<f32> {
        let [linear, weights, bias, out] = self.parts();
        let mut slopes = linear.to_vec();
        slopes.resize(WIDTH, 0.0);
        for ((weights, bias), out) in weights.chunks_exact(WIDTH).zip(bias).zip(out) {
            let unit = softsign(dot(weights, row) + bias);
            add_scaled(out * (1.0 - unit.abs()).powi(2), weights, &mut slopes);
        }
        slopes
    }

    /// Scores of all items, from their inputs.
    ///
    /// # Shapes
    /// inputs: `[WIDTH, items]`; out: `[items]`.
    pub fn score(&self, inputs: &[f32], out: &mut [f32]) {
        let [linear, weights, bias, to_out] = self.parts();
        let columns = || inputs.chunks_exact(out.len().max(1));
        let mut scores = vec![0.0; out.len()];
        for (weight, column) in linear.iter().zip(columns()) {
            add_scaled(*weight, column, &mut scores);
        }
        let mut unit = vec![0.0; out.len()];
        for ((weights, bias), to_out) in weights.chunks_exact(WIDTH).zip(bias).zip(to_out) {
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

/// Each score's part of the negative gradient of the loss, and the loss: softmax losses of the first against [`AT_A_TIME`] others
/// at a time, summed. To be among the best ten beside 99 others is about to be the best of eleven.
fn errors(scores: &[f32]) -> (Vec<f32>, f64) {
    let (mut errors, mut loss) = (vec![0.0; scores.len()], 0.0);
    let Some((wanted, others)) = scores.split_first() else {
        return (errors, loss);
    };
    for (chunk, errors_at) in others.chunks(AT_A_TIME).zip((1..).step_by(AT_A_TIME)) {
        let most = chunk.iter().fold(*wanted, |most, score| most.max(*score));
        let sum: f32 = chunk
            .iter()
            .chain([wanted])
            .map(|score| (score - most).exp())
            .sum();
        errors[0] += 1.0 - (wanted - most).exp() / sum;
        for (error, score) in errors[errors_at..].iter_mut().zip(chunk) {
            *error = -(score - most).exp() / sum;
        }
        loss += f64::from(sum.ln() + most - wanted);
    }
    (errors, loss)
}

/// What a stack that nobody has fitted gives a channel.
fn prior(channel: &str) -> f32 {
    match channel {
        "popularity of all shops" => 1.0,
        "lda of all shops" => 0.4,
        name if name.starts_with("view") => 0.125,
        _ => 0.1,
    }
}

/// Units of the widest hidden layer.
pub const MOST_HIDDEN: usize = 256;
/// Items that are drawn against a customer's latest one.
const DRAWN: usize = 100;
const AT_A_TIME: usize = 10;

#[cfg(test)]
mod tests;
