//! A ledger that was put back from a backup lacks spends, and what is spent can't be unspent. The coordinator has signed
//! receipts of the updates that it received, each with the length and head of the ledger at that time: they say what is
//! missing. Each is charged at its own plan's terms; records between them, of which there is no receipt, at the costliest
//! terms known; and one more, for an attempt that may have been under way. Nothing is ever taken off.
//!
//! The coordinator's word alone charges nothing, or it could burn a shop's budget: beside each receipt it has to show the
//! shop's own signature over name, plan, attempt, update and ledger. Receipts from before shops signed, and those of another
//! key (a folder that was made anew), have none that counts; the owner may say that the coordinator is to be trusted for
//! them, and then they are charged up to what their plans can have. A shop that lost spends and does not charge for them
//! takes part in nothing: so it is all or nothing.

use std::collections::HashMap;
use std::fmt;
use std::time::Duration;

use anyhow::Context;
use souk_common::clock::{Clock, SystemClock};
use souk_common::ids::{Digest, ShopName};
use souk_common::params::{Delta, Epsilon, rounded_up};
use souk_common::plan::Plan;
use souk_common::privacy::ledger::{Chain, Ledger, Lost, MemorySink};

use crate::config::ShopConfig;
use crate::folder::Folder;
use crate::ledger::open_ledger;
use crate::link::{Link, ToldReceipt, is_here};
use crate::membership::Membership;
use crate::participate::{Blob, BlobKind};
use crate::recommend::blobs::open_plan;

pub use crate::membership::bill::Bill;
use crate::membership::bill::{check, weigh};

/// What came of it.
#[derive(Clone, Debug, PartialEq)]
pub enum Recovered {
    /// The ledger accounts for all that the coordinator knows of.
    NothingLost,
    /// The owner has seen the bill and did not want it charged.
    NotWanted,
    /// Charged.
    Charged(Bill),
}

impl fmt::Display for Recovered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NothingLost => f.write_str(
                "the coordinator knows of no spend that is not in this ledger: nothing was charged",
            ),
            Self::NotWanted => {
                f.write_str("nothing was charged; until it is, this shop takes part in nothing")
            }
            Self::Charged(bill) => write!(f, "charged for what this ledger had lost: {bill}"),
        }
    }
}

/// Charges the folder's ledger for what it has lost. `wants` sees the bill first, in words.
///
/// # Errors
/// When the ledger is in use or broken, the coordinator does not answer, shows what this shop has not signed (unless it is
/// to be `trusted` for that), or a plan is not to be had.
pub fn recover(
    folder: &Folder,
    trusted: bool,
    wants: impl FnOnce(&str) -> anyhow::Result<bool>,
) -> anyhow::Result<Recovered> {
    let config = ShopConfig::load(folder)?;
    let membership = Membership::load(folder)?;
    let route = config.route_or(&membership.address);
    let mut ledger = open_ledger(&folder.ledger(), &membership.shop, SystemClock.now())?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let heard = runtime.block_on(async {
        let arrived = tokio::time::timeout(PATIENCE, Link::arrive(folder, &membership, &route)).await;
        let (link, heard) =
            arrived.with_context(|| format!("the coordinator at {} does not answer", route.address))??;
        let Some(newest) = heard
            .receipt
            .filter(|last| ledger.chain().must_account_for(&last.witnessed()).is_err())
        else {
            return Ok(None);
        };
        let told = all(&link).await?;
        check(ledger.chain(), &told, trusted)?;
        let plans = plans_of(&link, folder, ledger.chain(), &told).await?;
        link.close();
        anyhow::Ok(Some((newest, told, plans)))
    })?;
    let Some((newest, told, plans)) = heard else {
        return Ok(Recovered::NothingLost);
    };
    let (lost, bill) = weigh(ledger.chain(), &newest, &told, &plans, trusted)?;
    let before = ledger.epsilon(config.policy.delta);
    let after = epsilon_after(folder, &membership.shop, &lost, config.policy.delta)?;
    let figure = |epsilon: Option<Epsilon>| {
        epsilon.map_or("without bound".to_owned(), |epsilon| rounded_up(epsilon.get(), 3))
    };
    let words = format!(
        "this ledger has lost: {bill}. Charging for it takes epsilon from {} to {}; your limit is {}",
        figure(before),
        figure(after),
        figure(Some(config.policy.max_epsilon))
    );
    if !wants(&words)? {
        return Ok(Recovered::NotWanted);
    }
    ledger.charge_lost(lost, SystemClock.now())?;
    Ok(Recovered::Charged(bill))
}

/// All that the coordinator tells of this shop: a copy of the folder that ran elsewhere may have sent any between this
/// one's.
async fn all(link: &Link) -> anyhow::Result<Vec<ToldReceipt>> {
    let (mut all, mut below) = (Vec::new(), u64::MAX);
    loop {
        let told = link.spent(below).await?;
        let Some(last) = told.last() else { return Ok(all) };
        below = last.receipt.upload.ledger_length;
        all.extend(told);
    }
}

/// The plans of what the ledger does not account for.
async fn plans_of(
    link: &Link,
    folder: &Folder,
    chain: &Chain,
    told: &[ToldReceipt],
) -> anyhow::Result<HashMap<Digest, Plan>> {
    let mut plans: HashMap<Digest, Plan> = HashMap::new();
    for ToldReceipt { receipt, plan, .. } in told {
        if plans.contains_key(plan) || chain.must_account_for(&receipt.witnessed()).is_ok() {
            continue;
        }
        let blob = Blob {
            kind: BlobKind::Plan,
            digest: *plan,
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
        plans.insert(*plan, open_plan(folder, &blob)?);
    }
    Ok(plans)
}

/// Epsilon when `lost` is charged: of a copy in memory.
fn epsilon_after(
    folder: &Folder,
    shop: &ShopName,
    lost: &Lost,
    delta: Delta,
) -> anyhow::Result<Option<Epsilon>> {
    let (bytes, now) = (std::fs::read(folder.ledger())?, SystemClock.now());
    let mut copy = Ledger::open(MemorySink::default(), &bytes, shop, now)?;
    copy.charge_lost(lost.clone(), now)?;
    Ok(copy.epsilon(delta))
}

const PATIENCE: Duration = Duration::from_secs(20);
