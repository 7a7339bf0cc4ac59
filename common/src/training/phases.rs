//! `[[training]]`: phases of a plan that follow its releases, or the releases that it starts from.

use serde::{Deserialize, Serialize};

use super::shallow::MOST_HIDDEN;

/// One phase.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct TrainingPhase {
    /// What it trains.
    pub kind: TrainingKind,
    /// Full-batch rounds.
    pub rounds: u64,
    /// rho: the part of the budget that all its rounds take together, in equal parts.
    pub share: f64,
    /// Units of the tower's hidden layer; 0: mixing weights alone. A model has its own widths.
    #[serde(default = "default_hidden")]
    pub hidden: usize,
    /// Step size of the tower's Adam, falling to a fifth of it; a model has its own `[server]`.
    #[serde(default = "default_learning_rate")]
    pub learning_rate: f64,
}

/// What a phase trains.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum TrainingKind {
    /// `[model]` by `[train]`: item embeddings that start from the released view, and what is on top of them.
    Model,
    /// [`Tower`](super::tower::Tower).
    Tower,
    /// [`ClickTower`](super::clicks::tower::ClickTower).
    Clicks,
}

impl TrainingPhase {
    /// A phase with what a plan need not say.
    pub fn new(kind: TrainingKind, rounds: u64, share: f64) -> Self {
        Self {
            kind,
            rounds,
            share,
            hidden: default_hidden(),
            learning_rate: default_learning_rate(),
        }
    }

    /// What is wrong with it: the key, its value, and what it may be.
    pub fn fault(&self) -> Option<(&'static str, String, String)> {
        if !(1..=MOST_ROUNDS).contains(&self.rounds) {
            return Some(("rounds", self.rounds.to_string(), format!("1 to {MOST_ROUNDS}")));
        }
        if self.hidden > MOST_HIDDEN {
            return Some(("hidden", self.hidden.to_string(), format!("0 to {MOST_HIDDEN}")));
        }
        let rate = self.learning_rate;
        (!(rate > 0.0 && rate <= 1.0)).then(|| {
            (
                "learning_rate",
                rate.to_string(),
                "above 0 and at most 1".to_owned(),
            )
        })
    }
}

fn default_hidden() -> usize {
    8
}

fn default_learning_rate() -> f64 {
    0.05
}

/// Every round is a noised sum that everybody fetches.
const MOST_ROUNDS: u64 = 10_000;
