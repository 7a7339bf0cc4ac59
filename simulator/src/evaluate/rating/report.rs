//! The table of an evaluation of stars.

use std::fmt::Write;

use serde::Serialize;
use serde_json::json;
use souk_common::dataset::Labelled;
use souk_common::params::Epsilon;
use souk_common::plan::Plan;

use super::measure::Errors;
use crate::check::Check;
use crate::evaluate::{Known, RELATION, UNIT};

/// All rows in the order in which they came; of several seeds, means.
pub(super) struct Report {
    set: &'static str,
    customers: usize,
    told: usize,
    rows: Vec<(&'static str, Vec<Errors>)>,
    epsilon: Option<Epsilon>,
    delta: f64,
}

#[derive(Serialize)]
struct Row {
    model: &'static str,
    rmse: f64,
    mae: f64,
    /// How much less the root of the mean square is than that of item means.
    gain: f64,
    standard_error: f64,
}

impl Report {
    pub(super) fn new(known: &Known, test: &[Labelled]) -> Self {
        Self {
            set: known.name,
            customers: known.dataset.len(),
            told: test.iter().map(Labelled::len).sum(),
            rows: Vec::new(),
            epsilon: None,
            delta: 0.0,
        }
    }

    /// Adds what is off by one model; of the same model again, by another seed of it.
    pub(super) fn add(&mut self, model: &'static str, errors: &Errors) {
        match self.rows.iter_mut().find(|(name, _)| *name == model) {
            Some((_, seeds)) => seeds.push(errors.clone()),
            None => self.rows.push((model, vec![errors.clone()])),
        }
    }

    /// Notes what a federation cost.
    pub(super) fn epsilon(&mut self, epsilon: Option<Epsilon>, plan: &Plan) {
        self.epsilon = epsilon;
        self.delta = plan.privacy.delta.get();
    }

    fn rows(&self) -> Vec<Row> {
        let Some((_, baseline)) = self.rows.first() else {
            return Vec::new();
        };
        let row = |(model, seeds): &(&'static str, Vec<Errors>)| {
            let mean =
                |of: &dyn Fn(&Errors) -> f64| seeds.iter().map(of).sum::<f64>() / seeds.len().max(1) as f64;
            Row {
                model,
                rmse: mean(&Errors::rmse),
                mae: mean(&Errors::mae),
                gain: mean(&|errors| errors.less_than(&baseline[0]).0),
                standard_error: mean(&|errors| errors.less_than(&baseline[0]).1),
            }
        };
        self.rows.iter().map(row).collect()
    }

    pub(super) fn text(&self) -> String {
        let mut text = format!(
            "{:<28} {:>6} {:>6}   less than item means\n",
            "stars", "RMSE", "MAE"
        );
        for row in self.rows() {
            // Writing to a string can't fail.
            let _ = write!(text, "{:<28} {:>6.3} {:>6.3}", row.model, row.rmse, row.mae);
            let _ = match row.model == "item means" {
                true => writeln!(text),
                false => writeln!(text, "   {:+.3} ± {:.3}", row.gain, row.standard_error),
            };
        }
        let cost = match self.epsilon {
            Some(epsilon) => format!(
                "epsilon {:.3} at delta {:e} (unit: {UNIT}; relation: {RELATION})",
                epsilon.get(),
                self.delta
            ),
            None => "no privacy".to_owned(),
        };
        let _ = writeln!(
            text,
            "{} stars of {} customers, the latest tenth of each; {cost}",
            self.told, self.customers
        );
        text
    }

    /// What both federated rows have to be: better than item means by more than twice the error.
    pub(super) fn checks(&self) -> Vec<Check> {
        let ours = |row: &Row| ["federated", "together"].contains(&row.model);
        let check = |row: Row| Check {
            name: format!("{} beats item means", row.model),
            ok: row.gain > 2.0 * row.standard_error,
            detail: format!("RMSE less by {:.3} ± {:.3}", row.gain, row.standard_error),
        };
        self.rows().into_iter().filter(ours).map(check).collect()
    }

    pub(super) fn json(&self, checks: &[Check], seconds: f64) -> serde_json::Value {
        let epsilon = self.epsilon.map(|epsilon| {
            json!({"epsilon": epsilon.get(), "delta": self.delta, "unit": UNIT, "relation": RELATION})
        });
        json!({
            "task": "rating",
            "set": self.set,
            "customers": self.customers,
            "stars": self.told,
            "rows": self.rows(),
            "epsilon": epsilon,
            "checks": checks,
            "seconds": seconds,
        })
    }
}
