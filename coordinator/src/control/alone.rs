//! Answers from the store while no `serve` runs.

use souk_common::catalogue::Catalogue;
use souk_common::clock::{Clock, SystemClock};
use souk_common::plan::Plan;
use souk_common::storage::patience::open_patiently;

use super::answer::{Paused, RolledBack};
use super::on_store::answer_on_store;
use super::{Answer, ControlError, Question, ask, refused};
use crate::engine::Engine;
use crate::folder::FederationFolder;
use crate::store::{Store, StoreError};

/// Has the running `serve` answer a question, or answers it here.
///
/// # Errors
/// What went wrong, with the remedy.
pub fn execute(home: &FederationFolder, question: &Question) -> Result<Answer, ControlError> {
    let (config, now) = (home.config().map_err(refused)?, SystemClock.now());
    // A `serve` that begins or ends has the store open, and does not listen yet or any more.
    let is_busy = |error: &StoreError| matches!(error, StoreError::InUse { .. });
    let reached = open_patiently(is_busy, || {
        match ask(home, question).map_err(refused).transpose() {
            Some(answer) => Ok(Reached::Answer(answer.and_then(|answer| answer))),
            None => Store::open(home.path(), None).map(Reached::Store),
        }
    });
    let mut store = match reached.map_err(refused)? {
        Reached::Store(store) => store,
        Reached::Answer(answer) => return answer,
    };
    if !matches!(
        question,
        Question::Pause | Question::Resume | Question::Rollback(_)
    ) {
        return answer_on_store(now, home, &mut store, question, &config.address, None);
    }
    let Some(mut run) = store.run().map_err(refused)? else {
        return Err(refused("no run was begun yet; `serve --plan FILE` begins one"));
    };
    if let Question::Rollback(choice) = question {
        let plan = store.files().read(&run.plan).map_err(refused)?;
        let plan = Plan::from_bytes(&plan).map_err(refused)?;
        let settings = config.store.settings(false);
        let key = home.signing_key().map_err(refused)?;
        // The one that the run is over: a newer one is for `serve` to take in.
        let catalogue = store.files().read(&run.catalogue).map_err(refused)?;
        let catalogue = Catalogue::from_bytes(&catalogue).map_err(refused)?;
        let mut engine = Engine::begin(now, store, key, plan, &catalogue, settings).map_err(refused)?;
        engine
            .roll_back(now, choice.in_run(engine.run_number()))
            .map_err(refused)?;
        let model_hash = engine.manifest().body.model;
        return Ok(Answer::RolledBack(RolledBack { model_hash }));
    }
    run.paused = matches!(question, Question::Pause);
    store.change(|change| change.set_run(&run)).map_err(refused)?;
    Ok(Answer::Paused(Paused { paused: run.paused }))
}

/// Who has the store open.
enum Reached {
    /// A `serve`, which has answered.
    Answer(Result<Answer, ControlError>),
    /// This command.
    Store(Store),
}
