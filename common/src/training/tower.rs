//! The tower: mixing weights beside a hidden layer, z = w x + v s(W x + b), over the inputs x of a customer and an item.
//!
//! It is the multi-layer perceptron of neural collaborative filtering (He et al. 2017), whose embeddings are those that the
//! releases gave; W1 and W2 of the usual two layers are W and v. The mixing weights begin where a stack's do, W at random
//! from the public seed, v at zero: before its first step the tower is a stack that nobody has fitted.
//!
//! A customer's loss is the softmax loss of the latest item against drawn ones, some at a time, from what comes before it. That item
//! is in no release.

use rand::RngExt;

use super::inputs::{CHANNELS, TowerInputs, WIDTH};
use super::shallow::{Inputs, Shallow};
use crate::model::update::UserUpdate;
use crate::release::history::ReleaseHistory;
use crate::rng::stream;

/// A [`Shallow`] network whose linear part weighs the channels.
#[derive(Clone, Debug, PartialEq)]
pub struct Tower(Shallow);

const INPUTS: Inputs = Inputs {
    all: WIDTH,
    linear: CHANNELS.len(),
};

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
        Shallow::len_of(INPUTS, hidden)
    }

    /// Before its first step.
    pub fn initial(hidden: usize, seed: u64) -> Self {
        let weights = CHANNELS.iter().map(|name| prior(name)).collect();
        Self(Shallow::initial(INPUTS, hidden, weights, seed, "tower.weight"))
    }

    /// With these parameters; none if there is no tower of so many.
    pub fn from_params(params: Vec<f32>) -> Option<Self> {
        Shallow::from_params(INPUTS, params).map(Self)
    }

    /// Its parameters.
    pub fn params(&self) -> &[f32] {
        self.0.params()
    }

    /// The mixing weights, by the names of their channels.
    pub fn weights(&self) -> impl Iterator<Item = (&'static str, f32)> {
        CHANNELS.into_iter().zip(self.params().iter().copied())
    }

    /// The customer's negative gradient of the softmax loss, before clipping, and the loss.
    pub fn update(&self, case: &TowerCase) -> (UserUpdate, f64) {
        self.0.update(&case.inputs, errors)
    }

    /// As [`Shallow::slopes`].
    pub fn slopes(&self, row: &[f32]) -> Vec<f32> {
        self.0.slopes(row)
    }

    /// As [`Shallow::score_columns`].
    pub fn score(&self, inputs: &[f32], out: &mut [f32]) {
        self.0.score_columns(inputs, out);
    }
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

/// Items that are drawn against a customer's latest one.
const DRAWN: usize = 100;
const AT_A_TIME: usize = 10;

#[cfg(test)]
mod tests;
