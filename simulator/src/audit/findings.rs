//! What an audit finds. The report's JSON is these structs; keys are added, never renamed.

use serde::{Deserialize, Serialize};

/// What held.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub(crate) struct Finding {
    /// What was asked.
    pub(crate) name: String,
    /// Whether it is as the plan and the accountant say.
    pub(crate) ok: bool,
    /// What was compared, in numbers.
    pub(crate) detail: String,
}

/// An empirical lower bound on epsilon beside the accountant's upper bound.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub(crate) struct EpsilonBound {
    /// Of which round or phase of the plan, or of all.
    pub(crate) of: String,
    /// By which procedure: `gdp`, `clopper_pearson`, `one_run`, `one_run_f_dp`, `one_shot`.
    pub(crate) procedure: String,
    /// Whom the canary is: `direction`, `items`, `longest`, `crafted`.
    pub(crate) canary: String,
    /// Trials with the canary, and as many without; of procedures in one run, canaries.
    pub(crate) trials: u64,
    /// Lower bound at `confidence`; of `one_shot` an estimate, which bounds nothing.
    pub(crate) lower: f64,
    /// Of the lower bound; none of an estimate.
    pub(crate) confidence: Option<f64>,
    /// What the accountant states; none if nothing bounds it.
    pub(crate) upper: Option<f64>,
    /// At this delta.
    pub(crate) delta: f64,
    /// Whether the lower bound is at most the upper one, at the report's significance over all bounds together.
    pub(crate) ok: bool,
}

/// What protects in one row of an attack.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Protections {
    /// All that the plan has.
    Plan,
    /// The plan without its noise.
    NoNoise,
    /// The plan without masks: each shop's update is seen by itself.
    NoMasks,
    /// The plan without its clip.
    NoClip,
    /// Nothing.
    None,
}

/// What an attack achieved.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub(crate) struct AttackFinding {
    /// A short name.
    pub(crate) attack: String,
    /// What the adversary wants to know, in words of every day.
    pub(crate) wants: String,
    /// Who the adversary is, and what it sees.
    pub(crate) sees: String,
    /// The paper it is from.
    pub(crate) source: String,
    /// What success is: a share that is right, an area under the curve, an advantage.
    pub(crate) measure: String,
    /// Whether the guarantee is meant to stop it. The shop's own lists are not covered, for one.
    pub(crate) in_scope: bool,
    /// One a set of protections.
    pub(crate) rows: Vec<AttackRow>,
    /// Why it was not tried on this plan or data set; rows are empty then.
    pub(crate) not_run: Option<String>,
}

/// One attack under one set of protections.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub(crate) struct AttackRow {
    /// What protects.
    pub(crate) protections: Protections,
    /// How well it went, in the attack's measure.
    pub(crate) success: f64,
    /// Lower end of the 95 % interval.
    pub(crate) low: f64,
    /// Upper end.
    pub(crate) high: f64,
    /// What guessing achieves.
    pub(crate) chance: f64,
    /// The most that epsilon and delta allow, in the same measure; none where they say nothing of it.
    pub(crate) allowed: Option<f64>,
    /// Trials, customers or items that the figure is of.
    pub(crate) trials: u64,
    /// Whether it is as it must be: within what is allowed under the plan. None where nothing is promised.
    pub(crate) ok: Option<bool>,
    /// What else to know; empty if nothing.
    pub(crate) note: String,
}

/// A fault put into the mechanism on purpose, and whether the audit's checks found it.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub(crate) struct MutationFinding {
    /// Which.
    pub(crate) mutation: String,
    /// What it does, in words.
    pub(crate) what: String,
    /// Whether a check was red at `significance`.
    pub(crate) flagged: bool,
    /// Which check, and its figures.
    pub(crate) by: String,
    /// Of the checks.
    pub(crate) significance: f64,
}

/// What made-up customers of one shop can do to what everybody is recommended.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub(crate) struct PoisoningFinding {
    /// How they were made up: `random`, `bandwagon`, ...
    pub(crate) attack: String,
    /// What the adversary is and knows, in words.
    pub(crate) power: String,
    /// By which rule the shops' updates were put together: `mean`, `norm_bound`, `median`, ...
    pub(crate) rule: String,
    /// Customers made up.
    pub(crate) fakes: u64,
    /// Share of real customers in whose first ten a target was, before.
    pub(crate) exposure_before: f64,
    /// The same afterwards.
    pub(crate) exposure_after: f64,
    /// Lower end of the 95 % interval of `exposure_after`.
    pub(crate) low: f64,
    /// Upper end.
    pub(crate) high: f64,
    /// Items that were pushed.
    pub(crate) targets: u64,
}
