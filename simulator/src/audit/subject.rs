//! What is audited.

use serde::{Deserialize, Serialize};
use souk_common::plan::Plan;

use crate::data::known::Known;

/// A plan, for the shops of a data set.
pub(crate) struct Subject {
    /// The plan, its shops those of `known`: the shop of place `i` in the plan has the users whose `known.shop_of` is `i`.
    pub(crate) plan: Plan,
    /// The data set that it is audited on.
    pub(crate) known: Known,
    /// How much is tried.
    pub(crate) effort: Effort,
    /// Of every draw of the audit. The same seed finds the same, on any number of threads.
    pub(crate) seed: u64,
}

/// How much an audit tries.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Effort {
    /// A minute or two: wide intervals, each attack once.
    Short,
    /// As many trials as the figures of docs/audit.md take.
    #[default]
    Full,
}

impl Effort {
    /// One of two numbers.
    pub(crate) fn pick<T>(self, short: T, full: T) -> T {
        match self {
            Self::Short => short,
            Self::Full => full,
        }
    }
}
