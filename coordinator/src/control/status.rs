//! Where the run stands: by the store, and by the `serve` that has it open.

use std::collections::BTreeMap;

use souk_common::clock::Timestamp;
use souk_common::date::date;
use souk_common::ids::{AttemptId, ShopName};
use souk_common::plan::Plan;
use souk_common::transport::Carrier;
use souk_common::update::Counts;

use super::answer::{LeftOut, Quality, RunState, ShopStatus, Status};
use super::{ControlError, refused, views};
use crate::engine::outgrown::{OUTGROWN, OutgrownSum};
use crate::folder::FederationFolder;
use crate::limits::MemoryBound;
use crate::store::{Run, Store, Traffic};

/// What only a running `serve` knows.
pub(crate) struct Live {
    pub(crate) state: RunState,
    /// Why it stands still, if it does.
    pub(crate) paused: Option<String>,
    /// What a masked attempt waits for.
    pub(crate) step: Option<&'static str>,
    /// Of the connections that are open.
    pub(crate) traffic: Vec<Traffic>,
    /// What carries each shop that is connected.
    pub(crate) carriers: BTreeMap<ShopName, Carrier>,
    /// Where each shop of the plan stands.
    pub(crate) shops: Vec<ShopStatus>,
    /// Until when the coordinator's own certificate is valid.
    pub(crate) certified_until: Timestamp,
}

pub(super) fn status(
    home: &FederationFolder,
    store: &Store,
    live: Option<Live>,
) -> Result<Status, ControlError> {
    let run = store.run().map_err(refused)?;
    let model = store.newest_model().map_err(refused)?.map(|signed| signed.body);
    let stored = match &run {
        Some(run) if run.published >= run.rounds => RunState::Finished,
        Some(run) if run.paused => RunState::Paused,
        _ => RunState::Waiting,
    };
    let mut connections = store.traffic().map_err(refused)?;
    let state = live.as_ref().map_or(stored, |live| live.state);
    let masked_step = live.as_ref().and_then(|live| live.step).map(str::to_owned);
    let paused_because = live.as_ref().and_then(|live| live.paused.clone());
    let certified_until = live.as_ref().map(|live| date(live.certified_until));
    let shops = live.map(|live| {
        live.traffic
            .into_iter()
            .for_each(|traffic| merge(&mut connections, traffic));
        live.shops
    });
    let began: Option<Timestamp> = store.meta("began_at").map_err(refused)?;
    let ended = model.as_ref().map(|manifest| manifest.published_at);
    let quality: Option<(AttemptId, Counts)> = store.meta("quality").map_err(refused)?;
    let outgrown: Option<OutgrownSum> = store.meta(OUTGROWN).map_err(refused)?;
    let left_out = store.named().map_err(refused)?.into_iter();
    Ok(Status {
        left_out: left_out
            .map(|(shop, named)| LeftOut {
                shop,
                since: named.id,
                why: named.fault.to_string(),
            })
            .collect(),
        quality: quality.map(|(id, counts)| of_counts(id, &counts)),
        outgrown: outgrown.filter(|sum| run.as_ref().is_some_and(|run| run.plan == sum.plan)),
        masked_step,
        state,
        paused_because,
        rounds_published: run.as_ref().map_or(0, |run| run.published),
        rounds: run.as_ref().map_or(0, |run| run.rounds),
        next_round: run.as_ref().and_then(|run| next_round(store, run)),
        attempt: run.as_ref().map_or(0, |run| run.attempt),
        model_hash: model.map(|manifest| manifest.model),
        log: store.log_head(),
        process_id: store.meta("process_id").map_err(refused)?.unwrap_or(0),
        listening: store.meta("listening").map_err(refused)?,
        listening_tcp: store.meta("listening_tcp").map_err(refused)?.unwrap_or_default(),
        bytes_received: connections.iter().map(|traffic| traffic.bytes_received).sum(),
        bytes_sent: connections.iter().map(|traffic| traffic.bytes_sent).sum(),
        seconds: began
            .zip(ended)
            .map_or(0.0, |(began, ended)| ended.since(began).as_secs_f64()),
        connections,
        shops,
        certified_until,
        clocks_off: views::clocks_off(store.shops().map_err(refused)?),
        memory_bound: memory_bound(home, store)?,
    })
}

/// What the next round is of, as far as the plan's file can be read.
fn next_round(store: &Store, run: &Run) -> Option<String> {
    let plan = Plan::from_bytes(&store.files().read(&run.plan).ok()?).ok()?;
    plan.round_in_words(run.published + 1)
}

fn of_counts(id: AttemptId, counts: &Counts) -> Quality {
    let rate = counts.hit_rate();
    Quality {
        of_model_of_round: id.round.saturating_sub(1),
        hit_rate_at_10: rate.map(|(rate, _)| rate),
        noise_stddev: rate.map(|(_, stddev)| stddev),
        users: counts.users,
        hits: counts.hits,
        candidates: "full".to_owned(),
    }
}

/// By the configuration as it is now and the run's model.
fn memory_bound(home: &FederationFolder, store: &Store) -> Result<MemoryBound, ControlError> {
    let config = home.config().map_err(refused)?;
    let model = store.newest_model().map_err(refused)?;
    let model_bytes = match model {
        Some(signed) => store.files().len_bytes(&signed.body.model).unwrap_or(0),
        None => 0,
    };
    let shops = store.shops().map_err(refused)?.len() as u64;
    Ok(config.limits.memory(model_bytes, shops))
}

fn merge(all: &mut Vec<Traffic>, open: Traffic) {
    let same = |known: &&mut Traffic| {
        (&known.shop, &known.fingerprint, known.process_id)
            == (&open.shop, &open.fingerprint, open.process_id)
    };
    match all.iter_mut().find(same) {
        Some(known) => {
            known.bytes_received += open.bytes_received;
            known.bytes_sent += open.bytes_sent;
            known.carrier = open.carrier;
        }
        None => all.push(open),
    }
}
