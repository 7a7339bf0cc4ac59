//! What the owner is told: how well the shop's lists do alone and with other shops, and what is in use.

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};
use souk_common::stack::GateRule;

use super::{ServedBy, ShopStack};
use crate::config::FederatedUse;

/// Figures of a shop's stack. Hit rates are expected ones at 10 against 99 drawn items, in % of customers; each customer's
/// next purchase is ranked by weights that were fitted to other customers.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Gain {
    /// Customers measured on: those with two items or more.
    pub customers: usize,
    /// Hit rate without other shops.
    pub alone: f64,
    /// Its standard error.
    pub alone_error: f64,
    /// Hit rate with other shops; none before the first release.
    pub together: Option<f64>,
    /// Together less alone, over the same customers.
    pub gain: Option<f64>,
    /// Its standard error.
    pub gain_error: Option<f64>,
    /// Which of the two makes the lists.
    pub served_by: ServedBy,
    /// Why.
    pub why: String,
    /// Epsilon of the plan of the release, at its delta; none without a release, or without noise.
    pub epsilon: Option<f64>,
    /// Whether items are those of the shop's own files, since no catalogue has come from the federation yet.
    pub own_catalogue: bool,
    /// Channels that no list uses, because they have collapsed; a line each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub collapsed: Vec<String>,
}

impl ShopStack {
    /// Its figures under what `shop.toml` says.
    pub fn gain(&self, wish: FederatedUse, own_catalogue: bool) -> Gain {
        let (kept, gate) = (self.kept(), self.kept().gate);
        Gain {
            customers: kept.alone_hits.customers,
            alone: kept.alone_hits.mean,
            alone_error: kept.alone_hits.standard_error,
            together: gate.map(|report| report.together_hit),
            gain: gate.map(|report| report.hit_gain),
            gain_error: gate.map(|report| report.hit_gain_error),
            served_by: self.serving(wish).1,
            why: self.why(wish),
            epsilon: self.epsilon,
            own_catalogue,
            collapsed: kept.collapsed.clone(),
        }
    }

    fn why(&self, wish: FederatedUse) -> String {
        let Some(report) = self.kept().gate else {
            return "nothing was released by all shops yet".to_owned();
        };
        match wish {
            FederatedUse::On => "on by shop.toml, whatever the gate says".to_owned(),
            FederatedUse::Off => "off by shop.toml".to_owned(),
            FederatedUse::Gate if report.customers == 0 => {
                "the gate: no customer has two items, so nothing can be measured".to_owned()
            }
            FederatedUse::Gate => {
                let asked = match self.rule() {
                    GateRule::AnyGain => "above 0, with hits not surely fewer",
                    GateRule::Strict => "above 1, with more hits, since the plan adds much noise",
                };
                let (z, gain) = (report.loss_z, report.hit_gain);
                format!(
                    "the gate: the loss falls by {z:.1} of its standard errors and hits change by {gain:+.1}; asked for is {asked}"
                )
            }
        }
    }
}

impl Gain {
    /// The figures on one line.
    pub fn words(&self) -> String {
        if self.customers == 0 {
            return "no customer has two items yet, so there is nothing to measure lists on".to_owned();
        }
        let mut text = format!("alone {:.1}", self.alone);
        if let Some(together) = self.together {
            // Writing to a string can't fail.
            let _ = write!(text, ", together {together:.1}");
        }
        let figure = match self.gain.zip(self.gain_error) {
            Some((gain, error)) => format!("the gain is {gain:+.1} +- {error:.1}"),
            None => format!("+- {:.1}", self.alone_error),
        };
        let _ = write!(
            text,
            " of 100 customers' next purchases among ten (of 99 drawn others); measured on {} customers, {figure}",
            thousands(self.customers)
        );
        text
    }
}

fn thousands(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
