//! What follows from a plan beside its noise and sizes: what failures and years cost, what each round takes of a shop, what there
//! is to gain, and what is better not begun.

use serde_json::{Value, json};
use souk_common::learned::Learner;
use souk_common::plan::Plan;
use souk_common::release::schedule::ScheduleError;

use super::budget::Budget;
use super::gain::{self, Expected};
use super::phases::Phase;
use super::trained;

/// Of one plan; what takes a catalogue is absent without one.
pub(super) struct Outlook {
    budget: Option<Budget>,
    phases: Vec<Phase>,
    expected: Option<Expected>,
    /// Of plans that train a model.
    pub(super) warnings: Vec<String>,
    /// Why this plan would be worse than having none.
    pub(super) refusal: Option<String>,
}

impl Outlook {
    /// # Errors
    /// When nothing is left of the budget for one of its releases.
    pub(super) fn of(plan: &Plan, learner: Option<&Learner>) -> Result<Self, ScheduleError> {
        let items = learner.map(Learner::items);
        Ok(Self {
            budget: Budget::of(plan)?,
            phases: learner.map(Phase::all).unwrap_or_default(),
            expected: learner
                .and_then(|learner| Expected::of(plan, learner.items(), !learner.features().is_empty())),
            warnings: trained::warnings(plan, items),
            refusal: items.and_then(|items| gain::drowned(plan, items)),
        })
    }

    pub(super) fn json(&self, said: &mut Value) {
        if let Some(budget) = &self.budget {
            budget.json(said);
        }
        if !self.phases.is_empty() {
            said["phases"] = self.phases.iter().map(Phase::json).collect();
        }
        if let Some(expected) = &self.expected {
            said["expected_gain"] = expected.json();
        }
        said["refused"] = json!(self.refusal);
    }

    pub(super) fn lines(&self) -> Vec<String> {
        let mut lines = Vec::new();
        lines.extend(self.budget.iter().flat_map(Budget::lines));
        if !self.phases.is_empty() {
            lines.extend(Phase::lines(&self.phases));
        }
        lines.extend(self.expected.iter().flat_map(Expected::lines));
        lines
    }
}
