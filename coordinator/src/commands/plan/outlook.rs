//! What follows from a plan beside its noise and sizes: what failures and years cost, what each round takes of a shop, what there
//! is to gain, and what is better not begun.

use serde_json::{Value, json};
use souk_common::learned::Learner;
use souk_common::plan::Plan;
use souk_common::release::schedule::ScheduleError;
use souk_common::task::Task;

use super::aggregation::Robustness;
use super::budget::Budget;
use super::gain::{self, Expected};
use super::phases::Phase;
use super::trained;

/// Of one plan; what takes a catalogue is absent without one.
pub(super) struct Outlook {
    robustness: Option<Robustness>,
    budget: Option<Budget>,
    phases: Vec<Phase>,
    expected: Option<Expected>,
    /// Of plans that train a model, and of a delta that says little.
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
            robustness: Robustness::of(plan, learner.and_then(longest)),
            budget: Budget::of(plan)?,
            phases: learner.map(Phase::all).unwrap_or_default(),
            expected: learner
                .and_then(|learner| Expected::of(plan, learner.items(), !learner.features().is_empty())),
            warnings: [
                trained::warnings(plan, items),
                large_delta(plan),
                without_ads(plan, learner),
            ]
            .concat(),
            refusal: items.and_then(|items| gain::drowned(plan, items)),
        })
    }

    pub(super) fn json(&self, said: &mut Value) {
        if let Some(robustness) = &self.robustness {
            said["aggregation"] = robustness.json();
        }
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
        lines.extend(self.robustness.iter().flat_map(Robustness::lines));
        lines.extend(self.budget.iter().flat_map(Budget::lines));
        if !self.phases.is_empty() {
            lines.extend(Phase::lines(&self.phases));
        }
        lines.extend(self.expected.iter().flat_map(Expected::lines));
        lines
    }
}

/// Coordinates of the longest update.
fn longest(learner: &Learner) -> Option<usize> {
    let rounds = 1..=learner.update_bytes().len() as u64;
    rounds.map(|round| learner.coordinates(round)).max()
}

/// A mechanism that publishes one customer of N whole has delta 1/N: with that or more, a small epsilon promises nothing.
/// A plan that learns which ads are clicked, over a catalogue without any.
fn without_ads(plan: &Plan, learner: Option<&Learner>) -> Vec<String> {
    let inputs = learner
        .filter(|_| plan.task == Task::Ads)
        .map(Learner::click_inputs);
    let has_none = inputs.is_some_and(|inputs| inputs.is_ok_and(|inputs| inputs.ads().next().is_none()));
    let told = "warning: the catalogue has no ad, so nothing is learned: ads are items with the tag `ad` (`souk-coordinator catalogue \
                import items.csv --tags tags`)";
    has_none.then(|| told.to_owned()).into_iter().collect()
}

fn large_delta(plan: &Plan) -> Vec<String> {
    let delta = plan.privacy.delta.get();
    let most = plan.shops.iter().max_by_key(|terms| terms.declared_users);
    let too_large = most.filter(|most| plan.privacy.enabled && delta * most.declared_users as f64 > 1.0);
    let line = too_large.map(|most| {
        format!(
            "warning: delta {delta} is more than one over the {} customers that {} declares: publishing a customer's records \
             outright would be within it, so no epsilon at this delta promises anything; take {:e} or less",
            most.declared_users,
            most.name,
            10f64.powf(-(most.declared_users as f64).log10().floor() - 1.0)
        )
    });
    line.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_delta_above_one_over_the_declared_customers_is_warned_of() {
        let plan = |delta: &str| {
            let text = format!(
                "name = 't'\nrounds = 1\n[model]\nkind = 'mf'\n[train]\nsolver = 'ials'\nalpha = 0.1\nlambda = 1.0\n\
                 [privacy]\nclip_norm = 1.0\nnoise_multiplier = 2.0\nsampling_rate = 0.5\ndelta = {delta}\n[cohort]\nquorum = 1\n\
                 [server]\noptimiser = 'plain'\nlearning_rate = 1.0\n[[shops]]\nname = 'north'\ndeclared_users = 10\n\
                 [[shops]]\nname = 'south'\ndeclared_users = 2000\n"
            );
            Plan::from_toml(&text).unwrap()
        };
        assert!(large_delta(&plan("5e-4")).is_empty());
        for delta in ["0.5", "5.01e-4", "0.999"] {
            let said = large_delta(&plan(delta));
            assert!(
                matches!(&said[..], [line] if line.contains("2000 customers") && line.contains("south") && line.contains("1e-4")),
                "{said:?}"
            );
        }
    }
}
