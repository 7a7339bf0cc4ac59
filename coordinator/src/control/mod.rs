//! The operator's commands: carried out on the store, or by the `serve` that has it open, over a socket in the
//! federation's folder.

pub(crate) mod views;

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use souk_common::clock::{Clock, SystemClock, Timestamp};
use souk_common::control::{self, ControlSocket};
use souk_common::crypto::join_code::JoinCode;
use souk_common::ids::{AttemptId, Digest, ShopName};
use souk_common::rng::secret_bytes;
use souk_common::round::statements::Manifest;
use souk_common::update::Counts;
use zeroize::Zeroizing;

use crate::backup;
use crate::engine::Engine;
use crate::folder::FederationFolder;
use crate::limits::MemoryBound;
use crate::membership::{authorities, registry};
use crate::round::{Event, Phase, ShopState};
use crate::serve::discarded::Late;
use crate::serve::state::ServeState;
use crate::serve::{BETWEEN_TRIES, MOST_TRIES};
use crate::store::{Snapshot, Standing, Store, StoreError, Traffic};

/// A command that works whether `serve` runs or not.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Command {
    /// A one-time code for a shop.
    Invite(ShopName),
    /// One for a member, which works with its key only.
    InviteAgain(ShopName),
    /// The codes that work now, without their secrets.
    Invitations,
    /// Ends a shop's codes.
    CancelInvitation(ShopName),
    /// Who is enrolled.
    Shops,
    /// Ends a membership.
    Revoke(ShopName),
    /// Lets a shop back that is left out because it lied in a masked attempt.
    Readmit(ShopName),
    /// Where the run stands.
    Status,
    /// No further attempt.
    Pause,
    /// Further attempts again.
    Resume,
    /// All model versions.
    Models,
    /// Where a round's model file is; none: the current one's.
    Model(Option<u64>),
    /// An older model for the next round.
    Rollback(u64),
    /// A new certificate authority beside the old one.
    CaRotate,
    /// Who certifies whom, and who depends on the old authority.
    CaStatus,
    /// Lets the old authority go.
    CaRetire {
        /// Although members depend on it.
        force: bool,
    },
    /// Makes a snapshot to copy (see [`crate::backup`]).
    Snapshot,
}

/// Why a command failed, in words.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct ControlError(pub(crate) String);

fn refused(error: impl std::fmt::Display) -> ControlError {
    ControlError(error.to_string())
}

/// Has the running `serve` carry out a command, or does it here.
///
/// # Errors
/// What went wrong, with the remedy.
pub fn execute(home: &FederationFolder, command: &Command) -> Result<Value, ControlError> {
    let (config, now) = (home.config().map_err(refused)?, SystemClock.now());
    let mut tries = 0;
    let mut store = loop {
        if let Some(answer) = ask(home, command).map_err(refused)? {
            return answer;
        }
        match Store::open(home.path(), None) {
            // A `serve` that begins or ends has the store open, and does not listen yet or any more.
            Err(StoreError::InUse { .. }) if tries < MOST_TRIES => {
                tries += 1;
                std::thread::sleep(BETWEEN_TRIES);
            }
            opened => break opened.map_err(refused)?,
        }
    };
    if !matches!(command, Command::Pause | Command::Resume | Command::Rollback(_)) {
        return on_store(now, home, &mut store, command, &config.address, None);
    }
    let Some(mut run) = store.run().map_err(refused)? else {
        return Err(refused("no run was begun yet; `serve --plan FILE` begins one"));
    };
    if let Command::Rollback(round) = command {
        let plan = store.files().read(&run.plan).map_err(refused)?;
        let plan = souk_common::plan::Plan::from_bytes(&plan).map_err(refused)?;
        let settings = config.store.settings(false);
        let (key, catalogue) = (
            home.signing_key().map_err(refused)?,
            home.catalogue().map_err(refused)?,
        );
        let mut engine = Engine::begin(now, store, key, plan, &catalogue, settings).map_err(refused)?;
        engine.roll_back(now, *round).map_err(refused)?;
        return Ok(json!({ "model_hash": engine.manifest().body.model }));
    }
    run.paused = matches!(command, Command::Pause);
    store.change(|change| change.set_run(&run)).map_err(refused)?;
    Ok(json!({ "paused": run.paused }))
}

fn on_store(
    now: Timestamp,
    home: &FederationFolder,
    store: &mut Store,
    command: &Command,
    address: &str,
    live: Option<Live>,
) -> Result<Value, ControlError> {
    match command {
        Command::Invite(shop) => invite(now, home, store, (shop, false), address),
        Command::InviteAgain(shop) => invite(now, home, store, (shop, true), address),
        Command::Invitations => {
            let pending = registry::pending(store, now).map_err(refused)?;
            Ok(json!({ "invitations": pending.iter().map(views::invitation).collect::<Vec<_>>() }))
        }
        Command::CancelInvitation(shop) => {
            let ended = registry::cancel(store, now, shop).map_err(refused)?;
            Ok(json!({ "cancelled": shop, "codes_ended": ended }))
        }
        Command::Shops => {
            let shops = store.shops().map_err(refused)?;
            Ok(json!({ "shops": shops.iter().map(views::shop).collect::<Vec<_>>() }))
        }
        Command::Revoke(shop) => {
            let ended = registry::end(store, now, shop, Standing::Revoked).map_err(refused)?;
            Ok(json!({ "revoked": shop, "was_a_shop": ended.was_known, "codes_ended": ended.codes }))
        }
        Command::Readmit(shop) => {
            registry::readmit(store, now, shop).map_err(refused)?;
            Ok(json!({ "readmitted": shop }))
        }
        Command::Status => status(home, store, live),
        Command::Models => {
            let models = store.models().map_err(refused)?;
            let models: Vec<Value> = models
                .iter()
                .map(|signed| views::model(&signed.body, store.files()))
                .collect();
            Ok(json!({ "models": models }))
        }
        Command::Model(round) => {
            let wanted = |manifest: &Manifest| round.is_none_or(|round| manifest.id.round == round);
            let Some(signed) = store.find_model(wanted).map_err(refused)? else {
                return Err(refused("there is no such model; `models list` shows them"));
            };
            // None of an older version whose file is not kept.
            let (files, model) = (store.files(), &signed.body.model);
            let path = match files.contains(model) {
                true => Some(files.as_file(model, &home.exported()).map_err(refused)?),
                false => None,
            };
            Ok(json!({ "manifest": signed, "path": path }))
        }
        Command::CaRotate => {
            let config = home.config().map_err(refused)?;
            authorities::rotate(home, &config.name, now).map_err(refused)?;
            views::authorities(home, store)
        }
        Command::CaStatus => views::authorities(home, store),
        Command::CaRetire { force } => {
            let left_behind = authorities::retire(home, store, *force).map_err(refused)?;
            let mut said = views::authorities(home, store)?;
            said["left_behind"] = json!(left_behind);
            Ok(said)
        }
        Command::Snapshot => {
            let begun = backup::begin(home, store).map_err(refused)?;
            finish_snapshot(&begun, now)
        }
        Command::Pause | Command::Resume | Command::Rollback(_) => Err(refused("this command needs the run")),
    }
}

fn invite(
    now: Timestamp,
    home: &FederationFolder,
    store: &mut Store,
    (shop, again): (&ShopName, bool),
    address: &str,
) -> Result<Value, ControlError> {
    let secret = Zeroizing::new(secret_bytes::<16>().map_err(refused)?);
    let invited = match again {
        true => registry::invite_again(store, now, shop, &secret),
        false => registry::invite(store, now, shop, &secret),
    };
    let (expires_at, ended) = invited.map_err(refused)?;
    let code = JoinCode {
        address: address.to_owned(),
        ca: home.authority().map_err(refused)?.fingerprint(),
        secret,
    };
    Ok(json!({
        "code": code.to_string(),
        "shop": shop,
        "expires_at": expires_at,
        "for_its_own_key_only": again,
        "codes_ended": ended,
    }))
}

fn status(home: &FederationFolder, store: &Store, live: Option<Live>) -> Result<Value, ControlError> {
    let memory = memory_bound(home, store)?;
    let run = store.run().map_err(refused)?;
    let model = store.newest_model().map_err(refused)?.map(|signed| signed.body);
    let stored = match &run {
        Some(run) if run.published >= run.rounds => "finished",
        Some(run) if run.paused => "paused",
        _ => "waiting",
    };
    let mut connections = store.traffic().map_err(refused)?;
    let step = live.as_ref().and_then(|live| live.step);
    let certified_until = live.as_ref().map(|live| live.certified_until);
    let (state, shops) = match live {
        Some(live) => {
            live.traffic
                .into_iter()
                .for_each(|traffic| merge(&mut connections, traffic));
            (live.state, Some(live.shops))
        }
        None => (stored, None),
    };
    let began: Option<Timestamp> = store.meta("began_at").map_err(refused)?;
    let ended = model.as_ref().map(|manifest| manifest.published_at);
    let seconds = began
        .zip(ended)
        .map_or(0.0, |(began, ended)| ended.since(began).as_secs_f64());
    let quality: Option<(AttemptId, Counts)> = store.meta("quality").map_err(refused)?;
    let quality = quality.map(|(id, counts)| {
        let rate = counts.hit_rate();
        json!({
            "of_model_of_round": id.round.saturating_sub(1),
            "hit_rate_at_10": rate.map(|(rate, _)| rate),
            "noise_stddev": rate.map(|(_, stddev)| stddev),
            "users": counts.users,
            "hits": counts.hits,
            "candidates": "full",
        })
    });
    let named = store.named().map_err(refused)?;
    let left_out: Vec<Value> = named
        .iter()
        .map(|(shop, named)| json!({ "shop": shop, "since": named.id, "why": named.fault.to_string() }))
        .collect();
    Ok(json!({
        "left_out": left_out,
        "quality": quality,
        "masked_step": step,
        "state": state,
        "rounds_published": run.as_ref().map_or(0, |run| run.published),
        "rounds": run.as_ref().map_or(0, |run| run.rounds),
        "attempt": run.as_ref().map_or(0, |run| run.attempt),
        "model_hash": model.map(|manifest| manifest.model),
        "log": store.log_head(),
        "process_id": store.meta::<u32>("process_id").map_err(refused)?.unwrap_or(0),
        "listening": store.meta::<String>("listening").map_err(refused)?,
        "bytes_received": connections.iter().map(|traffic| traffic.bytes_received).sum::<u64>(),
        "bytes_sent": connections.iter().map(|traffic| traffic.bytes_sent).sum::<u64>(),
        "seconds": seconds,
        "connections": connections,
        "shops": shops,
        "certified_until": certified_until.map(views::date),
        "clocks_off": views::clocks_off(&store.shops().map_err(refused)?),
        "memory_bound": memory,
    }))
}

/// The most memory that `serve` takes, by the configuration as it is now and the run's model.
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
        }
        None => all.push(open),
    }
}

/// Carries out a command while `serve` runs.
fn live(hub: &Arc<ServeState>, command: &Command) -> Result<Value, ControlError> {
    let clock = hub.clock();
    let answer = match command {
        Command::Pause | Command::Resume => {
            let paused = matches!(command, Command::Pause);
            hub.act_and_block(move |engine| engine.set_paused(clock.now(), paused));
            return Ok(json!({ "paused": paused }));
        }
        Command::Rollback(round) => {
            let round = *round;
            hub.keeper.ask_and_block(move |engine| {
                engine.roll_back(clock.now(), round).map_err(refused)?;
                Ok(json!({ "model_hash": engine.manifest().body.model }))
            })
        }
        Command::Snapshot => {
            // What takes long is done while the rounds go on.
            let home = hub.home.clone();
            let begin = move |engine: &mut Engine| backup::begin(&home, engine.store()).map_err(refused);
            let begun = hub.keeper.ask_and_block(begin);
            let begun = begun.unwrap_or_else(|| Err(refused(STOPS)))?;
            return finish_snapshot(&begun, hub.now());
        }
        _ => {
            let (home, command) = (hub.home.clone(), command.clone());
            let config = home.config().map_err(refused)?;
            let address = real_address(&config.address, hub.local);
            let traffic = hub.open_traffic();
            let until = hub.certificates.validity().until;
            let late = hub.late.all();
            let act = move |engine: &mut Engine| {
                let known = (traffic, until, &late);
                on_engine(clock.now(), &home, engine, &command, &address, known)
            };
            hub.keeper.ask_and_block(act)
        }
    };
    let answer = answer.unwrap_or_else(|| Err(refused(STOPS)))?;
    match command {
        Command::Revoke(shop) => {
            let (revoked, clock) = (Event::Revoked(shop.clone()), hub.clock());
            hub.act_and_block(move |engine| engine.handle(clock.now(), revoked));
            hub.close(shop);
        }
        Command::Readmit(shop) => {
            let (readmitted, clock) = (Event::Readmitted(shop.clone()), hub.clock());
            hub.act_and_block(move |engine| engine.handle(clock.now(), readmitted));
        }
        Command::CaRotate | Command::CaRetire { .. } => {
            hub.certify(hub.now()).map_err(refused)?;
            // Those who can't come back are not kept either.
            let left_behind: Vec<ShopName> =
                serde_json::from_value(answer["left_behind"].clone()).unwrap_or_default();
            hub.disconnect(&left_behind);
            hub.act_and_block(|engine| Ok(engine.welcome_all()));
        }
        _ => {}
    }
    Ok(answer)
}

fn finish_snapshot(begun: &Snapshot, now: Timestamp) -> Result<Value, ControlError> {
    let about = backup::finish(begun, now).map_err(refused)?;
    serde_json::to_value(about).map_err(refused)
}

fn on_engine(
    now: Timestamp,
    home: &FederationFolder,
    engine: &mut Engine,
    command: &Command,
    address: &str,
    (traffic, certified_until, late): (Vec<Traffic>, Timestamp, &BTreeMap<ShopName, Late>),
) -> Result<Value, ControlError> {
    let state = match engine.machine().phase() {
        Phase::Waiting => "waiting",
        Phase::Collecting | Phase::Publishing => "running",
        Phase::Paused => "paused",
        Phase::Finished => "finished",
    };
    let keys = views::keys(engine.store()).map_err(refused)?;
    let states = engine.machine().shop_states().into_iter();
    let shops = states.map(|state| told(state, &keys, late)).collect();
    let live = Live {
        state,
        step: engine.machine().masked_step(),
        traffic,
        shops,
        certified_until,
    };
    on_store(now, home, engine.store(), command, address, Some(live))
}

/// What only a running `serve` knows.
struct Live {
    state: &'static str,
    /// What a masked attempt waits for.
    step: Option<&'static str>,
    traffic: Vec<Traffic>,
    /// Where each shop of the plan stands, in words.
    shops: Value,
    /// Until when the coordinator's own certificate is valid.
    certified_until: Timestamp,
}

fn told(
    (shop, state): (ShopName, ShopState),
    keys: &HashMap<ShopName, Digest>,
    late: &BTreeMap<ShopName, Late>,
) -> Value {
    let reason = match state {
        ShopState::Declined(code) => Some((code, code.words())),
        _ => None,
    };
    json!({
        "shop": shop,
        "state": state.word(),
        "code": reason.map(|(code, _)| code),
        "reason": reason.map(|(_, words)| words),
        "key_fingerprint": keys.get(&shop),
        "discarded": late.get(&shop),
    })
}

/// The configured address, with the real port in place of port 0.
fn real_address(configured: &str, local: SocketAddr) -> String {
    match configured.strip_suffix(":0") {
        Some(host) => format!("{host}:{}", local.port()),
        None => configured.to_owned(),
    }
}

/// Asks the running `serve`; none if there is none.
///
/// # Errors
/// When it runs but does not answer.
pub fn ask(home: &FederationFolder, command: &Command) -> io::Result<Option<Result<Value, ControlError>>> {
    let answer: Option<Result<Value, String>> = control::ask(&home.control(), command, PATIENCE)?;
    Ok(answer.map(|answer| answer.map_err(ControlError)))
}

/// Answers until the hub stops; the socket's file goes with it.
pub(crate) async fn answer(socket: ControlSocket, hub: Arc<ServeState>) {
    let stop = hub.stop.clone();
    let answer =
        move |command: Result<Command, String>| live(&hub, &command?).map_err(|error| error.to_string());
    tokio::select! {
        () = stop.cancelled() => {}
        () = socket.serve(PATIENCE, answer) => {}
    }
}

/// A snapshot of years of records takes a while.
const PATIENCE: Duration = Duration::from_secs(600);
const STOPS: &str = "the coordinator stops, or could not carry it out";
