//! Runs by their numbers, and the catalogue that a run is over.

use souk_common::catalogue::Catalogue;
use souk_common::clock::Timestamp;
use souk_common::ids::{AttemptId, Digest};
use souk_common::learned::{Learned, Learner, StartError, Version};
use souk_common::model::file::{ModelMeta, round_of};
use souk_common::plan::Plan;
use souk_common::round::statements::Manifest;
use souk_common::transfer::carried::VersionName;

use super::publish::not_kept;
use super::{Engine, EngineError};
use crate::aggregate::Aggregator;
use crate::store::{BegunRun, Entry, Run, Store, StoreError};

/// The plan of a file as its run was begun: with the number that the run has, if it is not the first of this file, and without
/// headroom, if that was before there was any.
pub(super) fn as_it_was_begun(plan: Plan, stored: Option<&Run>, runs: &[BegunRun]) -> Plan {
    let Some(stored) = stored else { return plan };
    let begun = variants(&plan, runs.len()).find(|variant| variant.digest() == stored.plan);
    begun.unwrap_or(plan)
}

/// The plan of a run that is about to begin. A file that was a run before is another plan by the number of the new run, so that
/// no shop takes the two for one.
///
/// # Errors
/// When it was a run before, and the operator has not asked for a further one.
pub(super) fn numbered(mut plan: Plan, runs: &[BegunRun], new_run: bool) -> Result<Plan, u32> {
    let digests: Vec<Digest> = variants(&plan, runs.len())
        .map(|variant| variant.digest())
        .collect();
    let before = runs.iter().rev().find(|run| digests.contains(&run.plan));
    match before {
        Some(before) if !new_run => Err(number_of(runs, &before.plan).unwrap_or(1)),
        Some(_) => {
            plan.run = u32::try_from(runs.len() + 1).ok();
            Ok(plan)
        }
        None => Ok(plan),
    }
}

/// All plans that runs of one file can have, so far.
fn variants(plan: &Plan, runs: usize) -> impl Iterator<Item = Plan> {
    let numbers = std::iter::once(None).chain((2..=runs).map(|run| u32::try_from(run).ok()));
    numbers.flat_map(|run| {
        let with = Plan { run, ..plan.clone() };
        [with.clone().begun_before_headroom(), with]
    })
}

/// The number of the run of this plan.
pub(crate) fn number_of(runs: &[BegunRun], plan: &Digest) -> Option<u32> {
    let at = runs.iter().rposition(|run| run.plan == *plan)?;
    u32::try_from(at + 1).ok()
}

/// Whether a manifest is of the version that is meant: of a run's round, as its updates made it; without a round, whatever the run
/// published last.
pub(crate) fn is_meant(name: VersionName, plan: &Digest, manifest: &Manifest) -> bool {
    manifest.plan == *plan
        && name
            .round
            .is_none_or(|round| manifest.id.round == round && (round == 0 || manifest.id.attempt > 0))
}

/// The manifest of a version.
pub(super) fn find_version(store: &Store, name: VersionName) -> Result<Manifest, NoVersion> {
    let runs = store.runs()?;
    let run = (name.run as usize).checked_sub(1).and_then(|at| runs.get(at));
    let found = match run {
        Some(run) => store.find_model(|manifest| is_meant(name, &run.plan, manifest))?,
        None => None,
    };
    found.map(|signed| signed.body).ok_or(NoVersion::Unknown { name })
}

/// A version, from its files.
pub(super) fn read_version(store: &Store, name: VersionName) -> Result<Version, NoVersion> {
    let manifest = find_version(store, name)?;
    let version = opened(store, name, &manifest)?;
    // The number of the last round says nothing after a rollback: what the file was taught in does.
    if matches!(version.learned, Learned::Model(_)) && taught_in(store, &manifest) == 0 {
        return Err(NoVersion::Untrained { name: version.name });
    }
    Ok(version)
}

/// What the files of a manifest say.
pub(crate) fn opened(store: &Store, name: VersionName, manifest: &Manifest) -> Result<Version, NoVersion> {
    if !store.files().contains(&manifest.model) {
        return Err(NoVersion::NotKept {
            name,
            remedy: not_kept(manifest.id.round),
        });
    }
    let read = |digest| store.files().read(digest).map_err(StoreError::from);
    let damaged = |error: String| NoVersion::Damaged { name, error };
    let plan = Plan::from_bytes(&read(&manifest.plan)?).map_err(|error| damaged(error.to_string()))?;
    let catalogue =
        Catalogue::from_bytes(&read(&manifest.catalogue)?).map_err(|error| damaged(error.to_string()))?;
    let learner = Learner::new(&plan, &catalogue);
    let learned = learner
        .decode(&read(&manifest.model)?)
        .map_err(|error| damaged(error.to_string()))?;
    Ok(Version {
        name: VersionName {
            round: Some(manifest.id.round),
            ..name
        },
        file: manifest.model,
        learner,
        catalogue,
        learned,
    })
}

/// Which round taught a version, as the file of its model says; releases say nothing of a round.
pub(crate) fn taught_in(store: &Store, manifest: &Manifest) -> u64 {
    let file = store.files().read(&manifest.model).ok();
    file.and_then(|bytes| round_of(&bytes))
        .unwrap_or(manifest.id.round)
}

impl Engine {
    /// The number of this run.
    pub fn run_number(&self) -> u32 {
        self.number
    }

    /// The name of a round of this run.
    pub fn version(&self, round: u64) -> VersionName {
        VersionName {
            run: self.number,
            round: Some(round),
        }
    }

    /// Takes in another version of the catalogue: at once, or when the attempt that is open has ended; a plan of releases sums over
    /// one catalogue to its last round, and takes it in then. Rows go by item id, and nothing is charged.
    ///
    /// # Errors
    /// Of the store.
    pub fn take_in(&mut self, now: Timestamp, catalogue: Catalogue) -> Result<(), EngineError> {
        if catalogue.digest() == self.run.catalogue {
            // Also if another one waited: it is not wanted any more.
            self.next_catalogue = None;
            return Ok(());
        }
        self.next_catalogue = Some(catalogue);
        if let Some(reason) = self.must_wait() {
            self.told
                .push(format!("the new catalogue is not taken in yet: {reason}"));
        }
        self.grow(now)
    }

    /// Why no other catalogue can be taken in now.
    fn must_wait(&self) -> Option<String> {
        let (done, rounds) = (self.run.published, self.plan().rounds);
        if self.plan().is_of_releases() && (1..rounds).contains(&done) {
            return Some(StartError::Unfinished { done, rounds }.to_string());
        }
        let open = self.run.open.as_ref()?;
        Some(format!(
            "{} is open, and ends over the one it began with",
            open.body.id
        ))
    }

    /// Takes in the catalogue that waits, if it can be.
    pub(super) fn grow(&mut self, now: Timestamp) -> Result<(), EngineError> {
        if self.next_catalogue.is_none() || self.must_wait().is_some() {
            return Ok(());
        }
        let Some(catalogue) = self.next_catalogue.take() else {
            return Ok(());
        };
        let digest = catalogue.digest();
        if digest == self.run.catalogue {
            return Ok(());
        }
        let bytes = self.store.files().read(&self.run.catalogue)?;
        let broken = |error: String| std::io::Error::new(std::io::ErrorKind::InvalidData, error);
        let before = Catalogue::from_bytes(&bytes).map_err(|error| broken(error.to_string()))?;
        let (learner, published) = (Learner::new(self.plan(), &catalogue), self.run.published);
        let version = Version {
            name: self.version(published),
            file: self.manifest.body.model,
            learner: self.learner.clone(),
            catalogue: before,
            learned: self.learned.clone(),
        };
        let (learned, notes) = match learner.grown(&catalogue, &version) {
            Ok(grown) => grown,
            Err(error) => {
                self.told
                    .push(format!("the new catalogue is not taken in yet: {error}"));
                if matches!(error, StartError::Unfinished { .. }) {
                    self.next_catalogue = Some(catalogue);
                }
                return Ok(());
            }
        };
        let aggregator = match Aggregator::for_round(&learner, &learned, published + 1, None) {
            Ok(aggregator) => aggregator,
            Err(error) => {
                self.told.push(format!(
                    "the new catalogue can't be taken in, this run goes on over the one it has: {error}"
                ));
                return Ok(());
            }
        };
        self.store.files().put(&catalogue.to_bytes())?;
        let meta = ModelMeta {
            round: taught_in(&self.store, &self.manifest.body),
            plan: self.run.plan,
        };
        let model = self.store.files().put(&learner.encode(&learned, &meta))?;
        let manifest = self.key.sign(Manifest {
            id: AttemptId {
                round: published,
                attempt: 0,
            },
            model,
            parent: self.manifest.body.model,
            plan: self.run.plan,
            catalogue: digest,
            updates: Vec::new(),
            published_at: now,
        });
        let mut run = self.run.clone();
        // Moments belong to the rows that were: they begin anew, as after a rollback.
        (run.catalogue, run.optimiser) = (digest, None);
        self.store.change(|change| {
            change.add_model(&manifest)?;
            change.append(now, Entry::Grown(manifest.clone()))?;
            change.set_run(&run)
        })?;
        self.machine.set_update_bytes(learner.update_bytes());
        (self.learner, self.aggregator, self.learned) = (learner, aggregator, learned);
        (self.run, self.manifest) = (run, manifest);
        self.told.push(format!(
            "the catalogue has changed: {}; nothing was charged for it",
            notes.join("; ")
        ));
        self.is_news = true;
        self.forget_old_models()
    }
}

/// Why there is no such version.
#[derive(Debug, thiserror::Error)]
pub enum NoVersion {
    /// Nothing was published under that name.
    #[error("there is no model of {name}; `souk-coordinator models list` shows them")]
    Unknown {
        /// What was asked for.
        name: VersionName,
    },
    /// Its file is gone.
    #[error("{name}: {remedy}")]
    NotKept {
        /// What was asked for.
        name: VersionName,
        /// Why, and what helps.
        remedy: String,
    },
    /// Nothing was learned, or all of it was rolled back.
    #[error(
        "{name} has learned nothing that another run could start from: it is the model that the run began with, perhaps after a \
         rollback to it; `souk-coordinator models list` shows the rounds that were published, and `start = \"run {} round N\"` names \
         one", name.run
    )]
    Untrained {
        /// What was asked for.
        name: VersionName,
    },
    /// Its files make no sense.
    #[error("the files of {name} are damaged: {error}")]
    Damaged {
        /// What was asked for.
        name: VersionName,
        /// How.
        error: String,
    },
    /// Of the store.
    #[error(transparent)]
    Store(#[from] StoreError),
}
