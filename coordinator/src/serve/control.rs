//! The operator's questions while `serve` runs: the engine answers, and connections feel it.

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::sync::Arc;

use souk_common::control::ControlSocket;
use souk_common::ids::{Digest, ShopName};
use souk_common::transport::Carrier;

use super::state::ServeState;
use crate::backup;
use crate::control::answer::{Paused, RolledBack, RunState, ShopStatus, TakenIn};
use crate::control::on_store::{answer_on_store, note_import};
use crate::control::status::Live;
use crate::control::{Answer, ControlError, PATIENCE, Question, refused, views};
use crate::engine::{Engine, Output};
use crate::round::{Event, Phase, ShopState};
use crate::store::Late;

/// Answers until the hub stops; the socket's file goes with it.
pub(super) async fn answer_questions(socket: ControlSocket, hub: Arc<ServeState>) {
    let stop = hub.stop.clone();
    let answer =
        move |question: Result<Question, String>| live(&hub, &question?).map_err(|error| error.to_string());
    tokio::select! {
        () = stop.cancelled() => {}
        () = socket.serve(PATIENCE, answer) => {}
    }
}

fn live(hub: &Arc<ServeState>, question: &Question) -> Result<Answer, ControlError> {
    let clock = hub.clock();
    let answer = match question {
        Question::Pause | Question::Resume => {
            let paused = matches!(question, Question::Pause);
            if !paused {
                // Asked first: what the engine refuses would end `serve`.
                let asked = hub
                    .keeper
                    .ask_and_block(|engine| engine.may_go_on().map_err(refused));
                asked.unwrap_or_else(|| Err(refused(STOPS)))?;
            }
            hub.act_and_block(move |engine| engine.set_paused(clock.now(), paused));
            return Ok(Answer::Paused(Paused { paused }));
        }
        Question::Rollback(choice) => {
            let (choice, told) = (*choice, Arc::clone(hub));
            hub.keeper.ask_and_block(move |engine| {
                let version = choice.in_run(engine.run_number());
                told.pass_on(engine.roll_back(clock.now(), version).map_err(refused)?);
                let model_hash = engine.manifest().body.model;
                Ok(Answer::RolledBack(RolledBack { model_hash }))
            })
        }
        Question::TakeInCatalogue => {
            let catalogue = hub.home.catalogue().map_err(refused)?;
            let told = Arc::clone(hub);
            hub.keeper.ask_and_block(move |engine| {
                note_import(&told.home, engine.store())?;
                engine.take_in(clock.now(), catalogue).map_err(refused)?;
                let outputs = engine.news();
                let words = outputs.iter().filter_map(|output| match output {
                    Output::Report(line) => Some(line.clone()),
                    _ => None,
                });
                let words = words.collect();
                told.pass_on(outputs);
                Ok(Answer::TakenIn(TakenIn { words }))
            })
        }
        Question::Snapshot => {
            // What takes long is done while the rounds go on.
            let home = hub.home.clone();
            let begin = move |engine: &mut Engine| backup::begin(&home, engine.store()).map_err(refused);
            let begun = hub.keeper.ask_and_block(begin);
            let begun = begun.unwrap_or_else(|| Err(refused(STOPS)))?;
            let about = backup::finish(&begun, hub.now());
            return about.map(Answer::Snapshot).map_err(refused);
        }
        _ => {
            let (home, question) = (hub.home.clone(), question.clone());
            let config = home.config().map_err(refused)?;
            let address = real_address(&config.address, hub.local);
            let (traffic, carriers) = (hub.open_traffic(), hub.carriers());
            let certified_until = hub.certificates.validity().until;
            let late = hub.dialogue.late().all();
            let act = move |engine: &mut Engine| {
                let live = Live {
                    state: state_of(engine),
                    paused: why_paused(engine),
                    step: engine.machine().masked_step(),
                    traffic,
                    shops: shops_of(engine, &late, &carriers)?,
                    carriers,
                    certified_until,
                };
                answer_on_store(
                    clock.now(),
                    &home,
                    engine.store(),
                    &question,
                    &address,
                    Some(live),
                )
            };
            hub.keeper.ask_and_block(act)
        }
    };
    let answer = answer.unwrap_or_else(|| Err(refused(STOPS)))?;
    follow_up(hub, question, &answer)?;
    Ok(answer)
}

/// What else follows from what was answered: for the run, and for those who are connected.
fn follow_up(hub: &Arc<ServeState>, question: &Question, answer: &Answer) -> Result<(), ControlError> {
    match question {
        Question::Revoke(shop) => {
            let (revoked, clock) = (Event::Revoked(shop.clone()), hub.clock());
            hub.act_and_block(move |engine| engine.handle(clock.now(), revoked));
            hub.close(shop);
        }
        Question::Readmit(shop) => {
            let (readmitted, clock) = (Event::Readmitted(shop.clone()), hub.clock());
            hub.act_and_block(move |engine| engine.handle(clock.now(), readmitted));
        }
        Question::CaRotate | Question::CaRetire { .. } => {
            hub.certify(hub.now()).map_err(refused)?;
            // Those who can't come back are not kept either.
            if let Answer::Authorities(now) = answer {
                hub.disconnect(now.left_behind.as_deref().unwrap_or_default());
            }
            hub.act_and_block(|engine| Ok(engine.welcome_all()));
        }
        _ => {}
    }
    Ok(())
}

/// Why no attempt begins, and what to do about it; none while attempts do.
fn why_paused(engine: &Engine) -> Option<String> {
    let reason = engine.machine().paused()?;
    Some(match engine.may_go_on() {
        Ok(()) => reason.words().to_owned(),
        // What `resume` would be refused with.
        Err(spent) => spent.to_string(),
    })
}

fn state_of(engine: &Engine) -> RunState {
    match engine.machine().phase() {
        Phase::Waiting => RunState::Waiting,
        Phase::Collecting | Phase::Publishing => RunState::Running,
        Phase::Paused => RunState::Paused,
        Phase::Finished => RunState::Finished,
    }
}

fn shops_of(
    engine: &mut Engine,
    late: &BTreeMap<ShopName, Late>,
    carriers: &BTreeMap<ShopName, Carrier>,
) -> Result<Vec<ShopStatus>, ControlError> {
    let keys = views::keys(engine.store()).map_err(refused)?;
    let states = engine.machine().shop_states().into_iter();
    let told = states.map(|state| told(state, &keys, late));
    Ok(told
        .map(|status| ShopStatus {
            carrier: carriers.get(&status.shop).copied(),
            ..status
        })
        .collect())
}

fn told(
    (shop, state): (ShopName, ShopState),
    keys: &HashMap<ShopName, Digest>,
    late: &BTreeMap<ShopName, Late>,
) -> ShopStatus {
    let code = match state {
        ShopState::Declined(code) => Some(code),
        _ => None,
    };
    ShopStatus {
        state: state.word().to_owned(),
        code,
        reason: code.map(|code| code.words().to_owned()),
        key_fingerprint: keys.get(&shop).copied(),
        discarded: late.get(&shop).copied(),
        carrier: None,
        shop,
    }
}

/// The configured address, with the real port in place of port 0.
fn real_address(configured: &str, local: SocketAddr) -> String {
    match configured.strip_suffix(":0") {
        Some(host) => format!("{host}:{}", local.port()),
        None => configured.to_owned(),
    }
}

const STOPS: &str = "the coordinator stops, or could not carry it out";
