//! An older version made current again: of this run, or of another one.

use souk_common::catalogue::Catalogue;
use souk_common::clock::Timestamp;
use souk_common::ids::AttemptId;
use souk_common::model::file::ModelMeta;
use souk_common::round::statements::Manifest;
use souk_common::transfer::carried::VersionName;

use super::runs::{NoVersion, find_version, opened, taught_in};
use super::{Engine, EngineError, Output};
use crate::aggregate::Aggregator;
use crate::round::{Phase, Rules};
use crate::store::{Entry, Run};

impl Engine {
    /// Makes an older version the current one again: of this run, for its next round; of another one, which ends this one. The
    /// manifest that says so has attempt 0 and no updates. The optimiser's moments belong to the model that is left: they begin
    /// anew. Shops that are connected are told at once, also after the last round; others when they come.
    ///
    /// # Errors
    /// While an attempt is open, when there is no such model, or of the store.
    pub fn roll_back(&mut self, now: Timestamp, to: VersionName) -> Result<Vec<Output>, EngineError> {
        if matches!(self.machine.phase(), Phase::Collecting | Phase::Publishing) {
            let text = "an attempt is open; `pause`, wait for its end, then roll back";
            return Err(EngineError::Rollback(text.to_owned()));
        }
        if to.run == self.number {
            self.go_back_to(now, to)?;
        } else {
            self.turn_back_to(now, to)?;
        }
        self.is_news = true;
        self.told.push(format!(
            "rolled back to the model of {to}, {}: shops that are connected fetch it now, others when they come",
            self.manifest.body.model.short()
        ));
        Ok(self.news())
    }

    fn go_back_to(&mut self, now: Timestamp, to: VersionName) -> Result<(), EngineError> {
        let round = to.round.unwrap_or(self.run.published);
        if self.plan().is_of_releases() {
            let text = "this plan releases statistics: what was released can't be taken back, nor what was charged for it";
            return Err(EngineError::Rollback(text.to_owned()));
        }
        let name = VersionName {
            round: Some(round),
            ..to
        };
        let refused = |error: NoVersion| EngineError::Rollback(error.to_string());
        let target = find_version(&self.store, name).map_err(refused)?;
        let version = opened(&self.store, name, &target).map_err(refused)?;
        let (learned, model) = match target.catalogue == self.run.catalogue {
            true => (version.learned, target.model),
            // From before the catalogue grew.
            false => {
                let bytes = self.store.files().read(&self.run.catalogue)?;
                let catalogue = Catalogue::from_bytes(&bytes)
                    .map_err(|error| EngineError::Rollback(error.to_string()))?;
                let (learned, notes) = self
                    .learner
                    .grown(&catalogue, &version)
                    .map_err(|error| EngineError::Rollback(error.to_string()))?;
                self.told.extend(notes);
                let meta = ModelMeta {
                    round: taught_in(&self.store, &target),
                    plan: self.run.plan,
                };
                let model = self.store.files().put(&self.learner.encode(&learned, &meta))?;
                (learned, model)
            }
        };
        let manifest = self.key.sign(Manifest {
            id: AttemptId {
                round: self.run.published,
                attempt: 0,
            },
            model,
            parent: self.manifest.body.model,
            catalogue: self.run.catalogue,
            updates: Vec::new(),
            published_at: now,
            ..target
        });
        self.run.optimiser = None;
        let run = &self.run;
        self.store.change(|change| {
            change.add_model(&manifest)?;
            change.append(now, Entry::RolledBack(manifest.clone()))?;
            change.set_run(run)
        })?;
        self.aggregator.reset_optimiser();
        (self.learned, self.manifest) = (learned, manifest);
        self.forget_old_models()
    }

    /// Makes the newest version of another run the current one. The run that it was is over with that: nothing goes on from it
    /// before a further one is begun.
    fn turn_back_to(&mut self, now: Timestamp, name: VersionName) -> Result<(), EngineError> {
        let refused = |error: NoVersion| EngineError::Rollback(error.to_string());
        let mut target = find_version(&self.store, name).map_err(refused)?;
        let newest = find_version(&self.store, VersionName { round: None, ..name }).map_err(refused)?;
        let mut version = opened(&self.store, name, &target).map_err(refused)?;
        let plan = version.learner.plan().clone();
        if plan.is_of_releases() && target.id.round == newest.id.round {
            // Its last round, in the items of its last catalogue. Of a model the newest may be one that was gone back to.
            target = newest.clone();
            version = opened(&self.store, name, &target).map_err(refused)?;
        }
        if plan.is_of_releases() && newest.model != target.model {
            return Err(EngineError::Rollback(format!(
                "run {} releases statistics: what was released and charged can't be taken back; only its last version can be current again",
                name.run
            )));
        }
        let published = newest.id.round;
        let run = Run {
            plan: target.plan,
            catalogue: target.catalogue,
            rounds: published,
            published,
            attempt: 0,
            open: None,
            paused: false,
            optimiser: None,
            // What was kept of its rounds has gone since.
            began: self.store.log_head().length,
        };
        let manifest = self.key.sign(Manifest {
            id: AttemptId {
                round: published,
                attempt: 0,
            },
            model: target.model,
            parent: self.manifest.body.model,
            plan: target.plan,
            catalogue: target.catalogue,
            updates: Vec::new(),
            published_at: now,
        });
        let aggregator = Aggregator::for_round(&version.learner, &version.learned, published + 1, None)?;
        self.store.change(|change| {
            change.add_model(&manifest)?;
            change.append(now, Entry::RolledBack(manifest.clone()))?;
            change.set_run(&run)
        })?;
        let rules = Rules::of(&plan, version.learner.update_bytes());
        self.machine.turn_to(rules, published);
        (self.learner, self.aggregator, self.learned) = (version.learner, aggregator, version.learned);
        (self.run, self.manifest, self.number) = (run, manifest, name.run);
        self.next_catalogue = None;
        self.forget_old_models()
    }
}
