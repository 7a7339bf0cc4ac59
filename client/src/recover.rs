//! A ledger that was put back from a backup lacks spends, and what is spent can't be unspent. The coordinator has signed
//! receipts of the updates that it received, each with the length and head of the ledger at that time: they say what is
//! missing. Each is charged at its own plan's terms; records between them, of which there is no receipt, at the costliest
//! terms known; and one more, for an attempt that may have been under way. Nothing is ever taken off.

use std::collections::HashMap;
use std::fmt;
use std::time::Duration;

use anyhow::{Context, ensure};
use souk_common::clock::{Clock, SystemClock};
use souk_common::ids::Digest;
use souk_common::privacy::Spend;
use souk_common::privacy::ledger::Chain;
use souk_common::round::plan::Plan;
use souk_common::round::record::Receipt;

use crate::config::ShopConfig;
use crate::folder::Folder;
use crate::ledger::open_ledger;
use crate::membership::Membership;
use crate::participate::{Blob, BlobKind};
use crate::service::shelf::open_plan;
use crate::uplink::{Link, is_here};

/// What was charged.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Recovered {
    /// Spends that receipts tell of.
    pub known: u64,
    /// Records that they only tell the number of.
    pub unknown: u64,
    /// Whether anything was missing at all.
    pub anything: bool,
}

impl fmt::Display for Recovered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.anything {
            false => write!(
                f,
                "the coordinator knows of no spend that is not in this ledger: nothing was charged"
            ),
            true => write!(
                f,
                "charged for what this ledger had lost: {} spends by their receipts, {} more at the costliest terms known, \
                 and one in case an attempt was under way",
                self.known, self.unknown
            ),
        }
    }
}

/// Charges the folder's ledger for what it has lost.
///
/// # Errors
/// When the ledger is in use or broken, the coordinator does not answer, or a plan is not to be had.
pub fn recover(folder: &Folder) -> anyhow::Result<Recovered> {
    let config = ShopConfig::load(folder)?;
    let membership = Membership::load(folder)?;
    let address = crate::driver::address_of(&config, &membership);
    let mut ledger = open_ledger(&folder.ledger(), &membership.shop, SystemClock.now())?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let lost = runtime.block_on(async {
        let arrived = tokio::time::timeout(PATIENCE, Link::arrive(folder, &membership, &address)).await;
        let (link, heard) =
            arrived.with_context(|| format!("the coordinator at {address} does not answer"))??;
        let Some(newest) = heard
            .receipt
            .filter(|last| ledger.chain().must_account_for(last).is_err())
        else {
            return Ok(None);
        };
        let (receipts, common) = missing(&link, &membership, ledger.chain()).await?;
        let known = priced(&link, folder, &receipts).await?;
        link.close();
        let longest = receipts
            .iter()
            .map(|(receipt, _)| receipt.upload.ledger_length)
            .max();
        anyhow::Ok(Some((newest, known, longest.unwrap_or(0).saturating_sub(common))))
    })?;
    let Some((newest, known, records)) = lost else {
        return Ok(Recovered {
            known: 0,
            unknown: 0,
            anything: false,
        });
    };
    let count = known.len() as u64;
    let unknown = records.saturating_sub(count);
    ledger.charge_lost(known, unknown, &newest, SystemClock.now())?;
    Ok(Recovered {
        known: count,
        unknown,
        anything: true,
    })
}

/// Receipts that the ledger does not account for, earliest first, and a length up to which the lost one was the same.
async fn missing(
    link: &Link,
    membership: &Membership,
    chain: &Chain,
) -> anyhow::Result<(Vec<(Receipt, Digest)>, u64)> {
    let (mut missing, mut common) = (Vec::new(), Vec::new());
    let mut below = u64::MAX;
    loop {
        // All of them: a copy of the folder that ran elsewhere may have sent any between this one's.
        let told = link.spent(&membership.shop, below).await?;
        let Some((last, _)) = told.last() else { break };
        below = last.upload.ledger_length;
        for (receipt, plan) in told {
            match chain.must_account_for(&receipt) {
                Ok(()) => common.push(receipt.upload.ledger_length),
                Err(_) => missing.push((receipt, plan)),
            }
        }
    }
    ensure!(
        !missing.is_empty(),
        "the coordinator does not show the receipt that it has told of"
    );
    missing.sort_by_key(|(receipt, _)| (receipt.upload.ledger_length, receipt.stored_at));
    let shortest = missing[0].0.upload.ledger_length;
    let shared = common.into_iter().filter(|length| *length < shortest).max();
    // The lost one had a first record, too, which charges nothing.
    Ok((missing, shared.unwrap_or(1)))
}

/// What each of these updates cost, by its plan.
async fn priced(link: &Link, folder: &Folder, receipts: &[(Receipt, Digest)]) -> anyhow::Result<Vec<Spend>> {
    let mut plans: HashMap<Digest, Plan> = HashMap::new();
    let mut spends = Vec::with_capacity(receipts.len());
    for (receipt, digest) in receipts {
        if !plans.contains_key(digest) {
            let blob = Blob {
                kind: BlobKind::Plan,
                digest: *digest,
            };
            if !is_here(folder, &blob) {
                let fetched = link.fetch(folder, &blob).await;
                fetched.with_context(|| {
                    format!(
                        "the plan of {} is not to be had, so what it cost is not known",
                        receipt.upload.id
                    )
                })?;
            }
            plans.insert(*digest, open_plan(folder, &blob)?);
        }
        if let Some(plan) = plans.get(digest) {
            spends.push(Spend::of_attempt(plan, *digest, receipt.upload.id));
        }
    }
    Ok(spends)
}

const PATIENCE: Duration = Duration::from_secs(20);
