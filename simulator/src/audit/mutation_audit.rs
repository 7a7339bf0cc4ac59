//! Every planted fault must be found by the checks of an honest audit, and those must find nothing without one.

use super::checks::{CheckEffort, of_round};
use super::federation::{ledger, masks};
use super::findings::{Finding, MutationFinding};
use super::mechanism::{AuditedPlan, AuditedRound};
use super::mutations::{AuditMutation, Mechanism};
use super::subject::Subject;
use crate::data::plans::Template;
use souk_common::params::SamplingRate;

/// Of all checks together, in a mutation audit.
pub(crate) const SIGNIFICANCE: f64 = 0.001;

/// What the checks run on: the plan's own rounds, and one that draws customers by coins, of the data set's example plan where the
/// plan itself has none.
pub(crate) struct Grounds {
    own: AuditedPlan,
    own_rounds: Vec<AuditedRound>,
    drawn: Option<(AuditedPlan, Vec<AuditedRound>)>,
    shop: usize,
    seed: u64,
}

impl Grounds {
    /// Sets them up.
    ///
    /// # Errors
    /// When a round can't be carried out.
    pub(crate) fn new(subject: &Subject) -> anyhow::Result<Self> {
        let own = AuditedPlan::new(subject)?;
        let mut own_rounds = own.rounds(1)?;
        own_rounds.truncate(2);
        let draws_all = own_rounds.iter().all(|round| round.sampling_rate().get() >= 1.0);
        let drawn = match draws_all {
            true => Some(with_draws(subject)?),
            false => None,
        };
        Ok(Self {
            shop: smallest_shop(&own),
            own,
            own_rounds,
            drawn,
            seed: subject.seed,
        })
    }

    /// What the checks find wrong with a fault, or without one.
    ///
    /// # Errors
    /// When a round can't be carried out.
    pub(crate) fn faults(&self, mutation: Option<AuditMutation>) -> anyhow::Result<Vec<Finding>> {
        let effort = CheckEffort {
            attempts: 8,
            customers: 4,
            draws: 60,
            significance: SIGNIFICANCE / 4.0,
        };
        let mut findings = Vec::new();
        let concerns = |these: AuditMutation| mutation.is_none_or(|mutation| mutation == these);
        let elsewhere = [AuditMutation::ChargedAfterSending, AuditMutation::OldMaskRules];
        if mutation.is_none_or(|mutation| !elsewhere.contains(&mutation)) {
            let mechanism = Mechanism {
                plan: &self.own,
                mutation,
            };
            for round in &self.own_rounds {
                findings.extend(of_round(&mechanism, round, self.shop, effort)?);
            }
        }
        if let Some((plan, rounds)) = self
            .drawn
            .as_ref()
            .filter(|_| concerns(AuditMutation::FixedBatch))
        {
            let mechanism = Mechanism { plan, mutation };
            findings.extend(of_round(&mechanism, &rounds[0], self.shop, effort)?);
        }
        if concerns(AuditMutation::ChargedAfterSending) {
            findings.push(ledger(mutation, FEDERATIONS, self.seed)?);
        }
        if concerns(AuditMutation::OldMaskRules) {
            findings.push(masks(mutation, self.seed));
        }
        findings.retain(|finding| !finding.ok);
        Ok(findings)
    }
}

/// Every mutation, and the mechanism as it is.
///
/// # Errors
/// When a round can't be carried out.
pub(crate) fn audit(
    subject: &Subject,
    mut tell: impl FnMut(&str),
) -> anyhow::Result<(Finding, Vec<MutationFinding>)> {
    let grounds = Grounds::new(subject)?;
    tell("the mechanism as it is");
    let honest = grounds.faults(None)?;
    let mut found = Vec::new();
    for mutation in AuditMutation::ALL {
        tell(mutation.name());
        let faults = grounds.faults(Some(mutation))?;
        found.push(MutationFinding {
            mutation: mutation.name().to_owned(),
            what: mutation.what().to_owned(),
            flagged: !faults.is_empty(),
            by: faults.first().map_or_else(
                || "no check".to_owned(),
                |fault| format!("{}: {}", fault.name, fault.detail),
            ),
            significance: SIGNIFICANCE,
        });
    }
    let honest = Finding {
        name: "the same checks find nothing in the mechanism as it is".to_owned(),
        ok: honest.is_empty(),
        detail: honest.first().map_or_else(
            || format!("at significance {SIGNIFICANCE} over all checks"),
            |fault| format!("{}: {}", fault.name, fault.detail),
        ),
    };
    Ok((honest, found))
}

/// The place of the shop with the fewest customers, of those that have some.
pub(crate) fn smallest_shop(plan: &AuditedPlan) -> usize {
    let shops = plan.shops();
    (0..shops.len())
        .filter(|shop| !shops[*shop].dataset.is_empty())
        .min_by_key(|shop| shops[*shop].dataset.len())
        .unwrap_or(0)
}

/// The data set's private example plan, with rounds that draw every fourth customer.
fn with_draws(subject: &Subject) -> anyhow::Result<(AuditedPlan, Vec<AuditedRound>)> {
    let known = &subject.known;
    let template = Template::example(known.name, "ials", true)?;
    let mut sizes = vec![0; known.shops];
    known.shop_of.iter().for_each(|shop| sizes[*shop] += 1);
    let mut plan = template.for_shops(&sizes, subject.seed)?;
    plan.privacy.sampling_rate = SamplingRate::new(RATE)?;
    plan.validate()?;
    let subject = Subject {
        plan,
        known: known.clone(),
        effort: subject.effort,
        seed: subject.seed,
    };
    let plan = AuditedPlan::new(&subject)?;
    let rounds = plan.rounds(1)?;
    Ok((plan, rounds))
}

/// q, where the plan has none of its own.
const RATE: f64 = 0.25;
/// In which things go wrong, for the ledger.
const FEDERATIONS: u64 = 24;

#[cfg(test)]
mod tests;
