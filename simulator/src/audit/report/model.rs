//! Everything that a report says, as data. The page is made from this and nothing else.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::audit::findings::{AttackFinding, EpsilonBound, Finding, MutationFinding, PoisoningFinding};
use crate::audit::subject::Effort;

/// The version that this program writes.
pub(crate) const FORMAT: u32 = 1;

/// An audit's report.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub(crate) struct Report {
    /// [`FORMAT`].
    pub(crate) format: u32,
    /// For people without the field's words.
    pub(crate) front: Front,
    /// What was audited.
    pub(crate) subject: SubjectFacts,
    /// The plan in its canonical form.
    pub(crate) plan: Value,
    /// What the accountant states; none without privacy.
    pub(crate) privacy: Option<PrivacyFacts>,
    /// How each sum is made private.
    pub(crate) mechanism: MechanismFacts,
    /// Who sees what.
    pub(crate) observers: Vec<Observer>,
    /// What was found.
    pub(crate) findings: AuditFindings,
    /// What remains, and what to do about it.
    pub(crate) risks: Vec<Risk>,
    /// Where the figures are from.
    pub(crate) provenance: Provenance,
}

/// The page in front.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub(crate) struct Front {
    /// The worst of its lines.
    pub(crate) light: Light,
    /// What came out in a sentence.
    pub(crate) verdict: String,
    /// What was checked and what came out, a line each.
    pub(crate) lines: Vec<FrontLine>,
    /// What to do.
    pub(crate) to_do: Vec<String>,
}

/// One line of the page in front.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub(crate) struct FrontLine {
    /// How it stands.
    pub(crate) light: Light,
    /// What was asked.
    pub(crate) asked: String,
    /// What came out.
    pub(crate) says: String,
}

/// Better ones first.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Light {
    /// As promised.
    Green,
    /// To be known, weighed or looked at by somebody.
    Amber,
    /// Not as promised, or nothing is promised.
    Red,
}

/// What was audited.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub(crate) struct SubjectFacts {
    /// The plan's name.
    pub(crate) plan: String,
    /// What it recommends.
    pub(crate) task: String,
    /// The data set's name.
    pub(crate) data_set: String,
    /// Customers in it.
    pub(crate) customers: u64,
    /// Products in it.
    pub(crate) items: u64,
    /// Distinct customer-product pairs in it.
    pub(crate) interactions: u64,
    /// The plan's shops: name, and declared customers.
    pub(crate) shops: Vec<ShopFacts>,
    /// Rounds of the plan.
    pub(crate) rounds: u64,
    /// How much was tried.
    pub(crate) effort: Effort,
}

/// A shop of the plan.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub(crate) struct ShopFacts {
    /// Its name.
    pub(crate) name: String,
    /// What it declared, publicly.
    pub(crate) declared_users: u64,
}

/// What the accountant states of a customer whose shop is in every round.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub(crate) struct PrivacyFacts {
    /// Whose privacy.
    pub(crate) unit: String,
    /// Which data sets are neighbours.
    pub(crate) relation: String,
    /// Every epsilon is at this delta.
    pub(crate) delta: f64,
    /// Of all rounds together, against the coordinator with the colluding shops; none if nothing bounds it.
    pub(crate) epsilon: Option<f64>,
    /// The most that anybody can be right about whether a customer is in the data, from even odds; .5 is guessing.
    pub(crate) most_certainty: f64,
    /// q: the chance that a customer is drawn for a round.
    pub(crate) sampling_rate: f64,
    /// Epsilon if it were known who was drawn.
    pub(crate) epsilon_without_sampling: Option<f64>,
    /// How rounds are added up.
    pub(crate) composition: String,
    /// Against who reads what is published and nothing else; none where that is no other figure.
    pub(crate) epsilon_readers: Option<f64>,
    /// If every other shop were invented; none where that is no other figure.
    pub(crate) epsilon_if_alone: Option<f64>,
    /// Each release and each phase of training by itself.
    pub(crate) phases: Vec<PhaseFacts>,
    /// After charged failures of the first round; empty where each attempt is charged like a further round.
    pub(crate) failures: Vec<FailureFacts>,
    /// Of this plan and another like it; none where it was not worked out.
    pub(crate) epsilon_with_another: Option<f64>,
    /// By how many such plans there are in a year; empty where it was not worked out.
    pub(crate) per_year: BTreeMap<u64, f64>,
}

/// One release, or rounds that train.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub(crate) struct PhaseFacts {
    /// What it is, in words.
    pub(crate) name: String,
    /// Its rounds.
    pub(crate) rounds: u64,
    /// Its part of the budget; none where all rounds are alike.
    pub(crate) share: Option<f64>,
    /// z of one round, without failures.
    pub(crate) noise_multiplier: f64,
    /// Of one round by itself; none if nothing bounds it.
    pub(crate) epsilon_of_one: Option<f64>,
    /// Of all its rounds by themselves; none if nothing bounds it.
    pub(crate) epsilon: Option<f64>,
}

/// A run whose first round fails so many times after it was charged.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub(crate) struct FailureFacts {
    /// How many times.
    pub(crate) failures: u64,
    /// Of all attempts.
    pub(crate) epsilon: f64,
    /// z of the first rounds that come.
    pub(crate) noise_multipliers: Vec<f64>,
}

/// How each sum is made private.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub(crate) struct MechanismFacts {
    /// Its name; none without noise.
    pub(crate) name: Option<String>,
    /// What draws the noise; none without.
    pub(crate) sampler: Option<String>,
    /// C: the length that a customer's whole contribution is cut to.
    pub(crate) clip_norm: f64,
    /// The most that one customer moves a sum, in words.
    pub(crate) sensitivity: String,
    /// b: sums are integers modulo 2^b.
    pub(crate) modulus_bits: u32,
    /// Who adds the noise, in words.
    pub(crate) placement: String,
    /// Fewer shops than these are never unmasked; none without masks.
    pub(crate) least_shops: Option<u64>,
    /// Shops that may collude; none without masks.
    pub(crate) colluding: Option<u64>,
    /// When updates leave after their round was announced, in seconds; none: as soon as they are ready.
    pub(crate) upload_after_seconds: Option<f64>,
}

/// Somebody, and what they see and learn.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub(crate) struct Observer {
    /// Who.
    pub(crate) who: String,
    /// What is shown to them.
    pub(crate) sees: String,
    /// What they do not learn from it.
    pub(crate) does_not_learn: String,
    /// What that rests on.
    pub(crate) rests_on: String,
}

/// All findings of an audit.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub(crate) struct AuditFindings {
    /// Of the mechanism by itself.
    pub(crate) mechanism: Vec<Finding>,
    /// Empirical lower bounds beside the accountant's.
    pub(crate) bounds: Vec<EpsilonBound>,
    /// Attacks on people.
    pub(crate) attacks: Vec<AttackFinding>,
    /// Attacks on what is recommended.
    pub(crate) poisoning: Vec<PoisoningFinding>,
    /// Whether the audit sees faults that were put in on purpose.
    pub(crate) mutations: Vec<MutationFinding>,
    /// What privacy costs.
    pub(crate) utility: Vec<UtilityFinding>,
    /// What leaks beside the sums.
    pub(crate) side_channels: Vec<Finding>,
    /// What this audit says nothing about.
    pub(crate) not_tested: Vec<String>,
}

/// How good what is published is with and without the plan's noise, for some customers.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub(crate) struct UtilityFinding {
    /// What ranks: `all published` together, or one channel by itself.
    pub(crate) ranked_by: String,
    /// By what customers are parted: `all`, `shop size`, `activity`, `gender`.
    pub(crate) parted_by: String,
    /// Which part.
    pub(crate) part: String,
    /// Customers in it of whom the last product was kept back.
    pub(crate) customers: u64,
    /// Hit rate at 10 in expectation over 99 drawn others, under the plan; mean over the seeds of the noise.
    pub(crate) with_plan: f64,
    /// The same without noise; none where the plan has none.
    pub(crate) without_noise: Option<f64>,
    /// The mean difference, above 0 where noise costs hits, paired over customers.
    pub(crate) lost: Option<f64>,
    /// Of `lost`, over customers; none with fewer than two.
    pub(crate) standard_error: Option<f64>,
}

/// A risk that remains.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub(crate) struct Risk {
    /// What may happen.
    pub(crate) risk: String,
    /// From where.
    pub(crate) source: String,
    /// How likely, and how bad, as far as this audit says.
    pub(crate) assessment: String,
    /// What is done, or can be.
    pub(crate) measure: String,
}

/// Where the figures are from. Commands and names are without folders and hosts.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub(crate) struct Provenance {
    /// As typed.
    pub(crate) command: String,
    /// Of all draws.
    pub(crate) seeds: Vec<u64>,
    /// The program's version.
    pub(crate) version: String,
    /// BLAKE3 of the program's file.
    pub(crate) build: String,
    /// BLAKE3 of the data as they were read.
    pub(crate) data: String,
    /// BLAKE3 of the plan's canonical form.
    pub(crate) plan: String,
    /// Of the federation's folder, if one was given.
    pub(crate) record: Option<RecordFacts>,
    /// When it began, UTC.
    pub(crate) started: String,
    /// When it was done, UTC.
    pub(crate) finished: String,
    /// Trials of all procedures and attacks together.
    pub(crate) trials: u64,
    /// The machine: cores, memory, kinds of instructions.
    pub(crate) machine: BTreeMap<String, String>,
}

/// What a federation's record says.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub(crate) struct RecordFacts {
    /// Digest of its last entry.
    pub(crate) head: String,
    /// Entries up to there.
    pub(crate) entries: u64,
    /// Attempts that ended without a sum after they were charged.
    pub(crate) failed_attempts: u64,
    /// Of the places that `souk-sim verify` looks at, those that are wrong.
    pub(crate) wrong: u64,
}
