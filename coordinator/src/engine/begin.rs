//! How a run begins, and how it goes on after the coordinator stopped, in whatever way.

use std::collections::HashMap;

use souk_common::catalogue::Catalogue;
use souk_common::clock::Timestamp;
use souk_common::crypto::sign::SigningKey;
use souk_common::ids::{AttemptId, Digest};
use souk_common::learned::{Learned, LearnedError, Learner, StartError};
use souk_common::model::file::ModelMeta;
use souk_common::plan::Plan;
use souk_common::round::statements::{Manifest, Outcome};
use souk_common::secagg::Context;

use super::charges::Charge;
use super::models::KeptModels;
use super::prune::keep_only;
use super::publish::read_state;
use super::runs::{NoVersion, as_it_was_begun, number_of, numbered, read_version};
use super::staging::add_blob;
use super::{Engine, EngineError};
use crate::aggregate::{Aggregator, AggregatorError};
use crate::masking::MaskedAttempt;
use crate::round::{Machine, OpenAttempt, Restored, Rules};
use crate::store::{BegunRun, Entry, RUNS, Run, Standing, Store, StoreError};

/// What the operator decides about a run that shops need not know.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Rounds whose updates are kept, so that an auditor can replay them and a crash loses none. 0: none are.
    pub keep_parts: u64,
    /// Model versions whose files are kept: the newest so many, and what kept parts need. 0: all.
    pub keep_models: u64,
    /// Begin anew if the store holds an unfinished run of another plan, or if all rounds of this one are published.
    pub new_run: bool,
}

impl Engine {
    /// Begins `plan` over `catalogue`, or goes on where the store says that it stopped.
    ///
    /// An attempt that was open goes on if all its counted updates are kept; else it is ended, and the next one has
    /// a new number. Feed [`crate::round::Event::Started`] first.
    ///
    /// # Errors
    /// When the plan does not fit the catalogue or the store's run, or of the store.
    pub fn begin(
        now: Timestamp,
        mut store: Store,
        key: SigningKey,
        plan: Plan,
        catalogue: &Catalogue,
        settings: Settings,
    ) -> Result<Self, BeginError> {
        let (stored, runs) = (store.run()?, store.runs()?);
        let mut plan = as_it_was_begun(plan, stored.as_ref(), &runs);
        let (digest, mut told) = (plan.digest(), Vec::new());
        let settings = match plan.aggregation.is_mean() || settings.keep_parts > 0 {
            true => settings,
            false => {
                told.push(format!(
                    "aggregation.rule = \"{}\" goes over the updates of a round when all are there: those of one round are kept, \
                     although keep_parts is 0",
                    plan.aggregation.name()
                ));
                Settings {
                    keep_parts: 1,
                    ..settings
                }
            }
        };
        let run = match stored {
            Some(run) if run.plan == digest && (run.published < run.rounds || !settings.new_run) => {
                if run.published >= run.rounds {
                    told.push(format!(
                        "all {} rounds of this plan are published: there is nothing to do; --new-run begins it again as run {}",
                        run.rounds,
                        runs.len() + 1
                    ));
                }
                run
            }
            Some(run) if run.plan != digest && run.published < run.rounds && !settings.new_run => {
                return Err(BeginError::OtherRun {
                    plan: run.plan,
                    published: run.published,
                    rounds: run.rounds,
                });
            }
            _ => {
                plan = numbered(plan, &runs, settings.new_run).map_err(|run| BeginError::RunBefore {
                    run,
                    next: runs.len() + 1,
                })?;
                let learner = Learner::new(&plan, catalogue);
                let (initial, parent, notes) = first(&store, &learner, catalogue)?;
                told.extend(notes);
                // A plan without a grid is begun by nobody.
                Aggregator::for_round(&learner, &initial, 1, None)?;
                first_model(now, &mut store, &key, (&learner, &initial, parent), catalogue)?
            }
        };
        // A run goes on over the catalogue that it has, until it can take in the other.
        let other = (run.catalogue != catalogue.digest()).then_some(catalogue);
        let current = match other {
            None => None,
            Some(_) => {
                let bytes = store.files().read(&run.catalogue).map_err(StoreError::from)?;
                Some(Catalogue::from_bytes(&bytes).map_err(|_| StoreError::Damaged {
                    key: format!("catalogue {}", run.catalogue.short()),
                })?)
            }
        };
        let learner = Learner::new(&plan, current.as_ref().unwrap_or(catalogue));
        let number = number_of(&store.runs()?, &run.plan).unwrap_or(1);
        let manifest = store.newest_model()?.ok_or(StoreError::Damaged {
            key: "models".to_owned(),
        })?;
        let file = store
            .files()
            .read(&manifest.body.model)
            .map_err(StoreError::from)?;
        let learned = learner.decode(&file)?;
        let state = match &run.optimiser {
            Some(digest) => Some(read_state(store.private(), digest).map_err(StoreError::from)?),
            None => None,
        };
        let mut aggregator = Aggregator::for_round(&learner, &learned, run.published + 1, state)?;
        let (run, restored, masked, charge) = restore(
            now,
            &mut store,
            &key,
            run,
            &mut aggregator,
            settings,
            (&learner, &learned, &manifest.body),
        )?;
        let (learned, manifest) = match charge {
            None => (learned, manifest),
            Some(charge) => {
                aggregator = Aggregator::for_round(&learner, &charge.learned, run.published + 1, None)?;
                (charge.learned, charge.manifest)
            }
        };
        keep_only(now, &mut store, &run, settings.keep_parts)?;
        let kept_models = KeptModels::only(now, &mut store, settings)?;
        let mut engine = Self {
            machine: Machine::new(Rules::of(&plan, learner.update_bytes()), restored),
            store,
            key,
            learner,
            aggregator,
            learned,
            manifest,
            run,
            settings,
            staged: HashMap::new(),
            attempt_began: now,
            masked,
            counts: None,
            outgrown: None,
            kept_models,
            number,
            next_catalogue: None,
            told,
            is_news: false,
        };
        if let Some(other) = other {
            engine.take_in(now, other.clone())?;
        }
        Ok(engine)
    }
}

/// What a run begins with: its plan's own initial model, or what other versions say; the file that it was made from, if there is
/// one, and what is to be told.
fn first(
    store: &Store,
    learner: &Learner,
    catalogue: &Catalogue,
) -> Result<(Learned, Digest, Vec<String>), BeginError> {
    let plan = learner.plan();
    let start = plan.start.map(|name| read_version(store, name)).transpose()?;
    let beside = plan.beside.iter().map(|name| read_version(store, *name));
    let beside = beside.collect::<Result<Vec<_>, _>>()?;
    let (learned, mut notes) = learner.started(catalogue, start.as_ref(), &beside)?;
    if let Some(version) = &start {
        notes.insert(0, format!("this run begins with {}", version.name));
    }
    Ok((learned, start.map_or(Digest::ZERO, |version| version.file), notes))
}

/// Publishes the initial model and records that the run began.
fn first_model(
    now: Timestamp,
    store: &mut Store,
    key: &SigningKey,
    (learner, initial, parent): (&Learner, &Learned, Digest),
    catalogue: &Catalogue,
) -> Result<Run, StoreError> {
    let plan = learner.plan();
    let plan_digest = store.files().put(&plan.to_bytes())?;
    let catalogue_digest = store.files().put(&catalogue.to_bytes())?;
    let meta = ModelMeta {
        round: 0,
        plan: plan_digest,
    };
    let model = store.files().put(&learner.encode(initial, &meta))?;
    let manifest = key.sign(Manifest {
        id: AttemptId { round: 0, attempt: 0 },
        model,
        parent,
        plan: plan_digest,
        catalogue: catalogue_digest,
        updates: Vec::new(),
        published_at: now,
    });
    let run = Run {
        plan: plan_digest,
        catalogue: catalogue_digest,
        rounds: plan.rounds,
        published: 0,
        attempt: 0,
        open: None,
        paused: false,
        optimiser: None,
        began: store.log_head().length,
    };
    let mut runs = store.runs()?;
    runs.push(BegunRun {
        plan: plan_digest,
        began: run.began,
    });
    store.change(|change| {
        change.add_model(&manifest)?;
        change.append(now, Entry::Began(manifest.clone()))?;
        change.set_meta(RUNS, &runs)?;
        change.set_run(&run)
    })?;
    Ok(run)
}

/// What the machine goes on from; the sum of an open attempt is made again from its stored updates.
fn restore(
    now: Timestamp,
    store: &mut Store,
    key: &SigningKey,
    mut run: Run,
    aggregator: &mut Aggregator,
    settings: Settings,
    (learner, learned, manifest): (&Learner, &Learned, &Manifest),
) -> Result<(Run, Restored, Option<MaskedAttempt>, Option<Charge>), EngineError> {
    let plan = learner.plan();
    let (mut open, mut masked, mut charge) = (None, None, None);
    if let Some(announcement) = &run.open {
        let context = Context {
            id: announcement.body.id,
            plan: announcement.body.plan,
            model: announcement.body.model,
        };
        let terms = plan.masking_params();
        let mut step = None;
        let session = store
            .masked(context.id)?
            .filter(|session| *session.context() == context);
        if let Some((terms, session)) = terms.zip(session)
            && let Some((restored, at)) = MaskedAttempt::restored(terms, session, store.bindings(context.id)?)
        {
            (masked, step) = (Some(restored), Some(at));
        }
        let mut receipts = store.receipts(announcement.body.id)?;
        // A run before had an attempt of this number, too.
        receipts.retain(|receipt| receipt.body.log.length > announcement.body.log.length);
        // Before R2 was fixed, a masked attempt has nothing that is worth going on with.
        let kept = settings.keep_parts > 0
            && plan.masking.is_some() == step.is_some()
            && receipts
                .iter()
                .all(|receipt| store.private().contains(&receipt.body.upload.update));
        if kept {
            for receipt in &receipts {
                let part = &receipt.body.upload.update;
                add_blob(aggregator.accumulator(), store.private(), part)?;
            }
            open = Some(OpenAttempt {
                deadline: announcement.body.deadline,
                counted: receipts
                    .into_iter()
                    .map(|receipt| (receipt.body.shop, receipt.body.upload.update))
                    .collect(),
                masked: step,
            });
        } else {
            masked = None;
            // Its updates are gone: none of them counts, and what was sent is spent.
            let outcome = key.sign(Outcome::BelowQuorum {
                accepted: 0,
                quorum: plan.cohort.quorum as u32,
            });
            let id = announcement.body.id;
            run.open = None;
            // Under masks no vector leaves before R2 is fixed.
            if plan.masking.is_none() || step.is_some() {
                charge = Charge::of(id, now, (learner, learned), manifest, (store, key))?;
            }
            run.paused |= charge.as_ref().is_some_and(|charge| charge.spent);
            store.change(|change| {
                change.forget_masked(id)?;
                change.append(now, Entry::Ended(outcome))?;
                charge
                    .as_ref()
                    .map_or(Ok(()), |charge| charge.note(change, now))?;
                change.set_run(&run)
            })?;
        }
    }
    let gone = store.shops()?.into_iter();
    let restored = Restored {
        published: run.published,
        attempt: run.attempt,
        open,
        paused: run.paused,
        revoked: gone
            .filter(|(_, shop)| shop.standing != Standing::Enrolled)
            .map(|(name, _)| name)
            .collect(),
        named: store.named()?.into_keys().collect(),
    };
    Ok((run, restored, masked, charge))
}

/// Why a run can't begin.
#[derive(Debug, thiserror::Error)]
pub enum BeginError {
    /// Another plan's run is unfinished.
    #[error(
        "the store holds an unfinished run of another plan ({published} of {rounds} rounds, plan {}); \
         finish it, or begin anew with --new-run", plan.short()
    )]
    OtherRun {
        /// Its plan.
        plan: Digest,
        /// Rounds published.
        published: u64,
        /// Rounds planned.
        rounds: u64,
    },
    /// It was a run before, and that is over.
    #[error("this plan was run {run}, which is over; --new-run begins it again as run {next}")]
    RunBefore {
        /// Its number.
        run: u32,
        /// That of the run that would begin.
        next: usize,
    },
    /// A version that it starts from, or that stands beside it, can't be had.
    #[error("this plan can't begin: {0}")]
    Version(#[from] NoVersion),
    /// A version that it starts from is of no use to it.
    #[error("this plan can't begin: {0}")]
    Start(#[from] StartError),
    /// The plan does not fit the catalogue, or the stored state is none of this plan.
    #[error(transparent)]
    Aggregator(#[from] AggregatorError),
    /// The stored model is none of this plan.
    #[error("the stored model can't be read: {0}")]
    Model(#[from] LearnedError),
    /// Of the store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Of what was stored before.
    #[error(transparent)]
    Engine(#[from] EngineError),
}
