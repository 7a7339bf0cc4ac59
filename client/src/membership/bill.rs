//! What is charged for a lost ledger, and what is not.

#[cfg(test)]
mod tests;

use std::collections::{HashMap, HashSet};
use std::fmt;

use anyhow::{Context, ensure};
use souk_common::ids::Digest;
use souk_common::params::NoiseMultiplier;
use souk_common::plan::Plan;
use souk_common::privacy::Spend;
use souk_common::privacy::ledger::{Chain, Lost};
use souk_common::round::statements::Receipt;

use crate::error::CheckFailed;
use crate::link::ToldReceipt;

/// What is charged.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Bill {
    /// Spends that this shop has signed for.
    pub signed: u64,
    /// Spends of which only the coordinator tells, and is to be trusted for.
    pub trusted: u64,
    /// Records that were between these.
    pub unknown: u64,
    /// Receipts of what an earlier recovery has charged for.
    pub charged_before: u64,
}

impl fmt::Display for Bill {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} spends that this shop has signed for", self.signed)?;
        if self.trusted > 0 {
            write!(f, ", {} that only the coordinator tells of", self.trusted)?;
        }
        if self.charged_before > 0 {
            write!(
                f,
                ", {} that were charged for in an earlier recovery and cost nothing again",
                self.charged_before
            )?;
        }
        match self.signed + self.trusted + self.unknown {
            0 => f.write_str(", and nothing else"),
            _ => write!(
                f,
                ", {} more at the costliest terms known, and one in case an attempt was under way",
                self.unknown
            ),
        }
    }
}

/// Refuses what this shop has not signed, unless the coordinator is to be trusted for it.
pub(crate) fn check(chain: &Chain, told: &[ToldReceipt], trusted: bool) -> anyhow::Result<()> {
    let missing = told
        .iter()
        .filter(|told| chain.must_account_for(&told.receipt.witnessed()).is_err());
    let (own, foreign): (Vec<&ToldReceipt>, Vec<&ToldReceipt>) = missing.partition(|told| told.is_own);
    ensure!(
        !(own.is_empty() && foreign.is_empty()),
        "the coordinator does not show the receipt that it has told of"
    );
    let Some(first) = foreign.first().filter(|_| !trusted) else {
        return Ok(());
    };
    Err(CheckFailed(format!(
        "nothing was charged: of the {} updates that this ledger does not account for, {} do not bear this shop's own signature \
         over them and their plan (the first: {}, received {}). So nothing but the coordinator's word says that they were \
         sent: they are of before shops signed, of another key than the one in this folder, or made up to use up your \
         budget. Until they are charged for, this shop takes part in nothing. If you know from elsewhere (an old ledger, \
         `souk-client sent`, your notes) that they are yours, `budget --recover --trust-coordinator` charges for them too, at most \
         as many as their plans can have; otherwise ask the operator, and go on in this federation only when you know",
        own.len() + foreign.len(),
        foreign.len(),
        first.receipt.upload.id,
        first.receipt.stored_at
    ))
    .into())
}

/// What is to be charged, and what that is made of.
pub(crate) fn weigh(
    chain: &Chain,
    newest: &Receipt,
    told: &[ToldReceipt],
    plans: &HashMap<Digest, Plan>,
    trusted: bool,
) -> anyhow::Result<(Lost, Bill)> {
    check(chain, told, trusted)?;
    ensure!(
        told.iter().any(|told| told.receipt == *newest),
        "the coordinator does not show the receipt that it has told of"
    );
    let mut bill = Bill::default();
    let (mut new, mut common, mut heads) = (Vec::new(), Vec::new(), HashSet::new());
    for told in told {
        let upload = &told.receipt.upload;
        if chain.must_account_for(&told.receipt.witnessed()).is_ok() {
            if told.is_own || chain.must_contain(told.receipt.ledger()).is_ok() {
                common.push(upload.ledger_length);
            }
        } else if chain.has_recovered(&upload.ledger_head) {
            bill.charged_before += 1;
        } else if heads.insert(upload.ledger_head) {
            // One ledger head, one spend: the same word under two dates is the same word.
            new.push(told);
        }
    }
    new.sort_by_key(|told| (told.receipt.upload.ledger_length, told.receipt.stored_at));
    let mut known = Vec::with_capacity(new.len());
    let mut releases: HashMap<Digest, Vec<NoiseMultiplier>> = HashMap::new();
    for told in &new {
        let (id, digest) = (told.receipt.upload.id, told.plan);
        let plan = plans.get(&digest).context("a plan that was not fetched")?;
        if (1..=plan.rounds).contains(&id.round) {
            let spend = Spend::of_attempt(
                &at_worst(plan, id.round, releases.entry(digest).or_default()),
                digest,
                id,
            );
            let noise = spend.noise_multiplier.filter(|_| plan.is_of_releases());
            releases.entry(digest).or_default().extend(noise);
            known.push((told.receipt.upload.ledger_head, spend));
        } else {
            return Err(CheckFailed(format!(
                "nothing was charged: the coordinator shows a receipt of {id}, and plan {} has {} rounds",
                digest.short(),
                plan.rounds
            ))
            .into());
        }
        match told.is_own {
            true => bill.signed += 1,
            false => bill.trusted += 1,
        }
    }
    if let (Some(first), Some(last)) = (new.first(), new.last()) {
        let (shortest, longest) = (
            first.receipt.upload.ledger_length,
            last.receipt.upload.ledger_length,
        );
        let shared = common.into_iter().filter(|length| *length < shortest).max();
        // The lost one had a first record, too, which charges nothing.
        let shared = shared.max(chain.recovered_below(shortest)).unwrap_or(1);
        bill.unknown = longest.saturating_sub(shared).saturating_sub(new.len() as u64);
    }
    within_the_plans(&bill, &new, plans)?;
    let lost = Lost {
        known,
        unknown: bill.unknown,
        newest: newest.witnessed(),
    };
    Ok((lost, bill))
}

/// The plan as it was for an attempt at `round`, at worst: with all the budget that what is charged already leaves. Which other
/// attempts the coordinator said were charged is not known here, and a shop may have come late; once all of it is charged, an
/// attempt more is charged like the whole plan.
fn at_worst(plan: &Plan, round: u64, charged: &[NoiseMultiplier]) -> Plan {
    plan.for_round(round, charged).unwrap_or_else(|_| plan.clone())
}

/// What rests on the coordinator's word is no more than its plans can have.
fn within_the_plans(bill: &Bill, new: &[&ToldReceipt], plans: &HashMap<Digest, Plan>) -> anyhow::Result<()> {
    if bill.trusted == 0 {
        return Ok(());
    }
    let of_new: HashSet<Digest> = new.iter().map(|told| told.plan).collect();
    let can_have = |plan: &Plan| plan.rounds.saturating_mul(u64::from(plan.cohort.attempts));
    let most = of_new
        .iter()
        .filter_map(|digest| plans.get(digest))
        .map(can_have)
        .fold(0, u64::saturating_add);
    let told = bill
        .trusted
        .saturating_add(bill.unknown)
        .saturating_add(bill.signed);
    if told > most {
        return Err(CheckFailed(format!(
            "nothing was charged: the coordinator tells of {told} spends, and the {} plans that it names have {most} attempts \
             in all: that can't be. Ask the operator",
            of_new.len()
        ))
        .into());
    }
    Ok(())
}
