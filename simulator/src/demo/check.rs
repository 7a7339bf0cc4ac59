//! What `demo --check` holds the demo to, from the federation's own records.

use std::collections::BTreeSet;

use anyhow::Context;
use souk_common::ids::ShopName;
use souk_common::params::Delta;

use super::score::Scores;
use crate::check::Check;
use crate::data::market::Market;
use crate::processes::federation::Federation;
use crate::processes::folders::{Budget, Status};

/// The federation's own records after the run.
pub(super) struct Records {
    pub(super) status: Status,
    pub(super) shops: Vec<ShopRecord>,
}

/// One shop's records.
pub(super) struct ShopRecord {
    pub(super) name: ShopName,
    pub(super) budget: Budget,
    /// Epsilon recomputed here from the ledger file; none without a bound.
    pub(super) recomputed: Option<f64>,
}

impl Records {
    /// Asks the coordinator and every shop, and recomputes each ledger.
    pub(super) fn gather(federation: &Federation, market: &Market) -> anyhow::Result<Self> {
        let status = federation.folders.status()?;
        let shops = market
            .names()
            .into_iter()
            .map(|name| {
                let budget = federation.folders.budget(&name)?;
                let delta = Delta::new(budget.delta).context("the shop's delta")?;
                let ledger = souk_client::ledger::read_ledger(
                    &federation.folders.shop_dir(&name).join("ledger.jsonl"),
                )?;
                let recomputed = ledger
                    .composition(None)
                    .epsilon(delta)
                    .map(|epsilon| epsilon.get());
                Ok(ShopRecord {
                    name,
                    budget,
                    recomputed,
                })
            })
            .collect::<anyhow::Result<_>>()?;
        Ok(Self { status, shops })
    }
}

/// Holds the run to every claim.
pub(super) fn check(federation: &Federation, records: &Records, scores: &Scores) -> Vec<Check> {
    vec![
        beats_popularity(scores),
        beats_alone_in_the_smallest_shop(scores),
        near_central(scores),
        epsilon_within_budget(records),
        one_model(records),
        six_processes(federation, records),
    ]
}

fn beats_popularity(scores: &Scores) -> Check {
    let (ours, popularity) = (
        scores.all.federated.hit_rate_at_10,
        scores.all.popularity.hit_rate_at_10,
    );
    Check {
        name: "federated beats popularity by 10 points".into(),
        ok: ours >= popularity + 0.10,
        detail: format!(
            "HR@10 {:.1} % against {:.1} %, all shops",
            100.0 * ours,
            100.0 * popularity
        ),
    }
}

fn beats_alone_in_the_smallest_shop(scores: &Scores) -> Check {
    let smallest = scores.smallest();
    let alone = smallest.local_only.hit_rate_at_10;
    let ease = smallest.ease.hit_rate_at_10;
    let ours = smallest.federated.hit_rate_at_10;
    Check {
        name: "the smallest shop gains from the federation".into(),
        ok: ours > alone.max(ease),
        detail: format!(
            "{}: HR@10 {:.1} % federated and private, {:.1} % alone with the same solver, {:.1} % alone with EASE \
             (both without noise, tuned on validation)",
            smallest.name,
            100.0 * ours,
            100.0 * alone,
            100.0 * ease
        ),
    }
}

fn near_central(scores: &Scores) -> Check {
    let Some(central) = scores.all.central.as_ref() else {
        return Check {
            name: "near the central run".into(),
            ok: false,
            detail: "there is no central run".into(),
        };
    };
    let ratio = scores.all.federated.hit_rate_at_10 / central.hit_rate_at_10;
    Check {
        name: "at least 0.85 of the same solver trained centrally without noise".into(),
        ok: ratio >= 0.85,
        detail: format!(
            "{ratio:.3} (central HR@10 {:.1} %)",
            100.0 * central.hit_rate_at_10
        ),
    }
}

fn epsilon_within_budget(records: &Records) -> Check {
    let ok = records.shops.iter().all(|shop| {
        let (Some(said), Some(ours)) = (shop.budget.epsilon, shop.recomputed) else {
            return false;
        };
        shop.budget.delta <= 1e-5 && ours <= 8.0 && (said - ours).abs() <= 1e-6 * ours
    });
    let list: Vec<String> = records
        .shops
        .iter()
        .map(|shop| match shop.recomputed {
            Some(epsilon) => format!("{} {epsilon:.3}", shop.name),
            None => format!("{} without bound", shop.name),
        })
        .collect();
    Check {
        name: "epsilon at most 8 at delta 1e-5 by every ledger, recomputed from its file".into(),
        ok,
        detail: list.join(", "),
    }
}

fn one_model(records: &Records) -> Check {
    let ours = &records.status.model_hash;
    let ok = records.status.state == "finished"
        && records
            .shops
            .iter()
            .all(|shop| shop.budget.model_hash.as_ref() == Some(ours));
    Check {
        name: "every shop holds the coordinator's last model".into(),
        ok,
        detail: format!("state {}, model {ours}", records.status.state),
    }
}

fn six_processes(federation: &Federation, records: &Records) -> Check {
    let expected: BTreeSet<u32> = federation.process_ids().into_iter().collect();
    let seen: BTreeSet<u32> = std::iter::once(records.status.process_id)
        .chain(
            records
                .status
                .connections
                .iter()
                // A command that only asked something never said which process it is.
                .map(|connection| connection.process_id)
                .filter(|process_id| *process_id != 0),
        )
        .collect();
    let certificates: BTreeSet<&str> = records
        .status
        .connections
        .iter()
        .map(|connection| connection.fingerprint.as_str())
        .collect();
    let names: BTreeSet<&ShopName> = records
        .status
        .connections
        .iter()
        .map(|connection| &connection.shop)
        .collect();
    let carried = records
        .status
        .connections
        .iter()
        .all(|connection| connection.bytes_received > 0 && connection.bytes_sent > 0);
    let shops = records.shops.len();
    Check {
        name: "each shop and the coordinator is a process with a certificate of its own".into(),
        ok: seen == expected
            && seen.len() == shops + 1
            && certificates.len() == shops
            && names.len() == shops
            && carried,
        detail: format!(
            "{} process ids, {} certificates, bytes on every connection: {carried}",
            seen.len(),
            certificates.len()
        ),
    }
}
