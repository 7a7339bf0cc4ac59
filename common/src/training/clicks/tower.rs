//! The click tower: the probability of a click is the sigmoid of a [`Shallow`] network over [`super::inputs`].
//!
//! A customer's loss is the cross-entropy of everything that it was shown, in time order, summed and divided by a public constant: the
//! clip bounds what a customer with much to say adds, and leaves nearly all others whole, so that probabilities stay calibrated.

use super::inputs::{ClickInputs, INPUTS, WIDTH};
use crate::dataset::{History, Labelled};
use crate::model::update::UserUpdate;
use crate::training::shallow::{Inputs, Shallow};

/// Parameters of a click tower.
#[derive(Clone, Debug, PartialEq)]
pub struct ClickTower(Shallow);

const SHAPE: Inputs = Inputs {
    all: WIDTH,
    linear: WIDTH,
};

/// What one customer was shown, as inputs, and what was clicked of it.
#[derive(Clone, Debug, PartialEq)]
pub struct ClickCase {
    /// `[shown, WIDTH]`
    inputs: Vec<f32>,
    /// 1 clicked, 0 not.
    labels: Vec<f32>,
}

impl ClickCase {
    /// The case of a customer; none who was shown nothing, or with items of another catalogue.
    pub fn new(inputs: &ClickInputs, history: &History, labelled: &Labelled) -> Option<Self> {
        Some(Self {
            inputs: inputs.shown(history, labelled)?,
            labels: labelled.labels.clone(),
        })
    }
}

impl ClickTower {
    /// How many parameters a tower of so many hidden units has.
    pub fn len_of(hidden: usize) -> usize {
        Shallow::len_of(SHAPE, hidden)
    }

    /// Before its first step every ad is clicked once in 150 times.
    pub fn initial(hidden: usize, seed: u64) -> Self {
        let mut linear = vec![0.0; WIDTH];
        linear[0] = FIRST_LOG_ODDS;
        Self(Shallow::initial(SHAPE, hidden, linear, seed, "clicks.weight"))
    }

    /// With these parameters; none if there is no tower of so many.
    pub fn from_params(params: Vec<f32>) -> Option<Self> {
        Shallow::from_params(SHAPE, params).map(Self)
    }

    /// Its parameters.
    pub fn params(&self) -> &[f32] {
        self.0.params()
    }

    /// The customer's negative gradient of the loss, before clipping, and the loss.
    pub fn update(&self, case: &ClickCase) -> (UserUpdate, f64) {
        self.0.update(&case.inputs, |scores| {
            let mut loss = 0.0;
            let errors = scores.iter().zip(&case.labels).map(|(score, label)| {
                // -log p of a click, -log (1 - p) of none.
                let wrong = f64::from(if *label > 0.5 { -score } else { *score });
                loss += wrong.max(0.0) + (-wrong.abs()).exp().ln_1p();
                (label - sigmoid(*score)) / ONE_CUSTOMER
            });
            (errors.collect(), loss / f64::from(ONE_CUSTOMER))
        })
    }

    /// The probability of a click on each row of inputs.
    ///
    /// # Shapes
    /// inputs: `[rows, WIDTH]`; result: `[rows]`.
    pub fn probabilities(&self, inputs: &[f32]) -> Vec<f32> {
        self.0.scores(inputs).into_iter().map(sigmoid).collect()
    }

    /// What each input adds to the log-odds of a row, to the first order, largest first; the constant is left out.
    ///
    /// # Shapes
    /// row: `[WIDTH]`.
    pub fn reasons(&self, row: &[f32]) -> Vec<(&'static str, f32)> {
        let slopes = self.0.slopes(row);
        let parts = INPUTS.into_iter().zip(slopes.iter().zip(row)).skip(1);
        let mut parts: Vec<_> = parts
            .map(|(name, (slope, value))| (name, slope * value))
            .collect();
        parts.sort_by(|a, b| b.1.total_cmp(&a.1));
        parts
    }
}

fn sigmoid(score: f32) -> f32 {
    1.0 / (1.0 + (-score).exp())
}

/// A customer's summed loss is divided by this, so that the clip at 1 cuts few.
const ONE_CUSTOMER: f32 = 12.0;
/// Log-odds of 1 in 150.
const FIRST_LOG_ODDS: f32 = -5.0;

#[cfg(test)]
mod tests;
