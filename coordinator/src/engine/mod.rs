//! Carries out the round machine's effects on the store, the sum and the model. It knows no sockets: what has to be
//! told to shops comes out as [`Output`].

mod begin;
pub(crate) mod charges;
mod models;
pub(crate) mod outgrown;
mod prune;
pub(crate) mod publish;
mod receipts;
mod rollback;
pub(crate) mod runs;
pub(crate) mod staging;

mod masking;
#[cfg(test)]
pub(crate) mod tests;

use std::collections::HashMap;

use souk_common::catalogue::Catalogue;
use souk_common::clock::Timestamp;
use souk_common::crypto::sign::{Signable, Signed, SigningKey};
use souk_common::ids::{AttemptId, ShopName};
use souk_common::learned::{Learned, LearnedError, Learner};
use souk_common::plan::Plan;
use souk_common::round::statements::{Announcement, Manifest, Outcome, Receipt, RejectCode, UploadHeader};
use souk_common::secagg::{Binding, Context, Misfit};
use souk_common::update::Counts;
use souk_common::wire::messages::{Push, Reply};

use crate::aggregate::{AccumulatorError, Aggregator, AggregatorError};
use crate::masking::MaskedAttempt;
use crate::round::{Effect, Event, Machine, PauseReason, Phase, without_model};
use crate::store::{Entry, Fault, Run, Store, StoreError};

use charges::Charge;
use models::KeptModels;

pub use begin::{BeginError, Settings};
pub use outgrown::OutgrownSum;
pub use runs::NoVersion;
pub use staging::{Staged, Staging};

/// A run with its store: the coordinator without its sockets.
pub struct Engine {
    store: Store,
    key: SigningKey,
    learner: Learner,
    machine: Machine,
    aggregator: Aggregator,
    learned: Learned,
    manifest: Signed<Manifest>,
    run: Run,
    settings: Settings,
    staged: HashMap<ShopName, Staged>,
    attempt_began: Timestamp,
    masked: Option<MaskedAttempt>,
    /// Of the step that is about to be published.
    counts: Option<Counts>,
    /// Of its sum.
    outgrown: Option<OutgrownSum>,
    kept_models: KeptModels,
    /// Of the run.
    number: u32,
    /// A catalogue that waits for the run to be able to take it in.
    next_catalogue: Option<Catalogue>,
    /// Lines for the operator that wait for the next event.
    told: Vec<String>,
    /// Whether the current model is another one by the operator's word: all who are connected are to hear of it.
    is_news: bool,
}

/// What comes of an event, for the outside.
#[derive(Debug)]
pub enum Output {
    /// Tell these shops, or all that are subscribed.
    Push {
        /// Whom; none: all.
        shops: Option<Vec<ShopName>>,
        /// What.
        push: Push,
    },
    /// Call [`Engine::handle`] with [`Event::Timer`] then.
    WakeAt(Timestamp),
    /// Take in this update's bytes.
    Receive {
        /// Which shop.
        shop: ShopName,
        /// What.
        upload: UploadHeader,
    },
    /// Answer the shop's offer or upload.
    Reply {
        /// Which shop.
        shop: ShopName,
        /// With what.
        reply: Reply,
    },
    /// A line for the operator.
    Report(String),
    /// All rounds are published.
    Finished,
}

impl Engine {
    /// Takes in an event.
    ///
    /// # Errors
    /// When the store or the model file fails in a way that the run can't go on from; after a restart it can.
    pub fn handle(&mut self, now: Timestamp, event: Event) -> Result<Vec<Output>, EngineError> {
        let mut outputs = Vec::new();
        let starts = event == Event::Started;
        let mut events = std::collections::VecDeque::from([event]);
        while let Some(event) = events.pop_front() {
            for effect in self.machine.handle(now, event) {
                events.extend(self.carry_out(now, effect, &mut outputs)?);
            }
        }
        self.grow(now)?;
        outputs.extend(self.news());
        if starts && self.machine.phase() == Phase::Finished {
            outputs.push(Output::Finished);
        }
        Ok(outputs)
    }

    /// What waits to be told: to the operator, and to all who are connected if the current model is another one.
    pub fn news(&mut self) -> Vec<Output> {
        let mut outputs = match std::mem::take(&mut self.is_news) {
            true => self.welcome_all(),
            false => Vec::new(),
        };
        outputs.extend(self.told.drain(..).map(Output::Report));
        outputs
    }

    /// A shop offers an update. One that was stored before is answered by its receipt, even when its attempt is over.
    ///
    /// # Errors
    /// As [`Self::handle`].
    pub fn offer(
        &mut self,
        now: Timestamp,
        shop: ShopName,
        upload: UploadHeader,
        binding: Option<Binding>,
    ) -> Result<Vec<Output>, EngineError> {
        let before = self.store.receipt(upload.id, &shop)?;
        let same = |receipt: &Signed<Receipt>| {
            receipt.body.upload == upload && receipt.body.log.length > self.run.began
        };
        if let Some(receipt) = before.filter(same) {
            let reply = Reply::Receipt(receipt);
            return Ok(vec![Output::Reply { shop, reply }]);
        }
        if !self.is_bound(upload.id, &shop, binding) {
            return Ok(vec![rejection(shop, RejectCode::NotBound)]);
        }
        self.handle(now, Event::UploadOffered { shop, upload })
    }

    /// A shop's update has arrived whole; its digest was checked.
    ///
    /// # Errors
    /// As [`Self::handle`].
    pub fn arrived(
        &mut self,
        now: Timestamp,
        shop: ShopName,
        upload: UploadHeader,
        staged: Staged,
    ) -> Result<Vec<Output>, EngineError> {
        self.staged.insert(shop.clone(), staged);
        let event = Event::UploadArrived {
            shop: shop.clone(),
            upload,
        };
        let outputs = self.handle(now, event);
        self.staged.remove(&shop);
        outputs
    }

    /// What a shop that subscribes is told, besides what the machine says.
    pub fn welcome(&self, shop: &ShopName) -> Vec<Output> {
        let push = Push::Welcome {
            manifest: self.manifest.clone(),
        };
        let shops = Some(vec![shop.clone()]);
        let mut outputs = vec![Output::Push { shops, push }];
        if self.machine.phase() == Phase::Finished {
            let (shops, push) = (Some(vec![shop.clone()]), Push::Finished);
            outputs.push(Output::Push { shops, push });
        }
        outputs
    }

    /// The same word to everybody who is subscribed: whoever hears it checks in again.
    pub fn welcome_all(&self) -> Vec<Output> {
        let (shops, push) = (
            None,
            Push::Welcome {
                manifest: self.manifest.clone(),
            },
        );
        vec![Output::Push { shops, push }]
    }

    /// Signs a word that is not of a round.
    pub fn sign<T: Signable>(&self, word: T) -> Signed<T> {
        self.key.sign(word)
    }

    /// The machine, to ask it things.
    pub fn machine(&self) -> &Machine {
        &self.machine
    }

    /// The run's plan: the one it was begun with.
    pub fn plan(&self) -> &Plan {
        self.learner.plan()
    }

    /// The current model's manifest.
    pub fn manifest(&self) -> &Signed<Manifest> {
        &self.manifest
    }

    /// The key that its words are signed with.
    pub fn public_key(&self) -> [u8; 32] {
        self.key.public()
    }

    /// The store.
    pub fn store(&mut self) -> &mut Store {
        &mut self.store
    }

    /// Length of an update in bytes.
    pub fn update_bytes(&mut self) -> u64 {
        self.aggregator.accumulator().update_bytes()
    }

    /// Lets no further attempt begin, or lets the run go on; remembered over restarts.
    ///
    /// # Errors
    /// As [`Self::handle`].
    pub fn set_paused(&mut self, now: Timestamp, paused: bool) -> Result<Vec<Output>, EngineError> {
        if !paused {
            self.may_go_on()?;
        }
        self.run.paused = paused;
        let run = &self.run;
        self.store.change(|change| change.set_run(run))?;
        self.handle(now, if paused { Event::Pause } else { Event::Resume })
    }

    fn carry_out(
        &mut self,
        now: Timestamp,
        effect: Effect,
        outputs: &mut Vec<Output>,
    ) -> Result<Option<Event>, EngineError> {
        match effect {
            Effect::Open { id, deadline } => self.open(now, id, deadline)?,
            Effect::Announce { id, shops } => {
                if let Some(announcement) = self.run.open.clone().filter(|open| open.body.id == id) {
                    let (shops, push) = (Some(shops), Push::Announce(announcement));
                    outputs.push(Output::Push { shops, push });
                }
            }
            Effect::SetTimer(at) => outputs.push(Output::WakeAt(at)),
            Effect::Receive { shop, upload } => outputs.push(Output::Receive { shop, upload }),
            Effect::Record { shop, upload } => {
                let event = match self.record(now, &shop, &upload)? {
                    None => Event::Recorded { shop, upload },
                    Some(error) => {
                        tracing::error!(%shop, %error, "an update could not be stored");
                        outputs.push(rejection(shop.clone(), RejectCode::StoreFailed));
                        Event::UploadFailed { shop, id: upload.id }
                    }
                };
                return Ok(Some(event));
            }
            Effect::Receipt { shop, upload } => {
                if let Some(receipt) = self.store.receipt(upload.id, &shop)? {
                    let reply = Reply::Receipt(receipt);
                    outputs.push(Output::Reply { shop, reply });
                }
            }
            Effect::Reject { shop, code, .. } => outputs.push(rejection(shop, code)),
            Effect::FixRoster { id, shops } => self.fix_roster(now, id, &shops, outputs)?,
            Effect::DeliverShares { .. } => self.deliver_shares(outputs),
            Effect::FixSharers { id, least } => {
                let sharers = self.fix_sharers(now, id, least, outputs)?;
                return Ok(Some(Event::SharersFixed { id, sharers }));
            }
            Effect::FixSurvivors { id, accepted } => self.fix_survivors(now, id, &accepted, outputs)?,
            Effect::ShowConfirmations { shops, .. } => self.show_confirmations(&shops, outputs),
            Effect::Repeat { shop, .. } => self.repeat(&shop, outputs),
            Effect::Publish { id, accepted } => {
                let unmasked = self.aggregator.unmask(self.masked.as_ref());
                let lied = match &unmasked {
                    Ok(shops) | Err(Misfit::FalseShares { shops }) => shops.as_slice(),
                    Err(_) => &[],
                };
                for shop in lied {
                    self.name(now, id, shop, Fault::FalseSecret, outputs)?;
                }
                if let Err(misfit) = &unmasked {
                    outputs.push(Output::Report(format!("{id} can't be unmasked: {misfit}")));
                    return Ok(Some(Event::NotUnmasked(id)));
                }
                if let Err(error) = self.step(id, &accepted) {
                    if matches!(error, AggregatorError::Part(_)) {
                        // Of the disk, and not of what shops sent: the attempt goes on after a restart.
                        return Err(error.into());
                    }
                    self.step_back()?;
                    outputs.push(Output::Report(format!("{id} makes no model: {error}")));
                    return Ok(Some(Event::NotFinite(id)));
                }
                self.publish(now, id, accepted, outputs)?;
                return Ok(Some(Event::Published(id)));
            }
            Effect::Abandon {
                id,
                accepted,
                quorum,
                unmasking,
                charged,
            } => {
                let outcome = without_model(accepted, quorum, unmasking);
                self.abandon(now, id, (outcome, charged), outputs)?;
                if self.machine.was_spent_before() {
                    outputs.push(Output::Report(format!("{id}: {RUN_BEFORE}")));
                }
            }
            Effect::Paused(reason) => {
                if reason == PauseReason::NotFinite {
                    // Over restarts, too: every further attempt would cost the shops privacy for nothing.
                    self.run.paused = true;
                    let run = &self.run;
                    self.store.change(|change| change.set_run(run))?;
                }
                outputs.push(Output::Report(format!("paused: {}", reason.words())));
            }
            Effect::WentOn { id, reason } => {
                self.store
                    .change(|change| change.append(now, Entry::WentOn { id, reason }).map(drop))?;
                outputs.push(Output::Report(format!(
                    "goes on with {id}: {}",
                    reason.words_when_gone()
                )));
            }
            Effect::Finish => {
                let (shops, push) = (None, Push::Finished);
                outputs.extend([Output::Push { shops, push }, Output::Finished]);
            }
        }
        Ok(None)
    }

    fn open(&mut self, now: Timestamp, id: AttemptId, deadline: Timestamp) -> Result<(), EngineError> {
        self.grow(now)?;
        let announcement = self.key.sign(Announcement {
            id,
            plan: self.run.plan,
            catalogue: self.run.catalogue,
            model: self.manifest.body.model,
            deadline,
            log: self.store.log_head(),
        });
        let mut run = self.run.clone();
        (run.attempt, run.open) = (id.attempt, Some(announcement.clone()));
        self.store.change(|change| {
            change.append(now, Entry::Announced(announcement))?;
            change.set_run(&run)
        })?;
        self.run = run;
        self.attempt_began = now;
        let context = Context {
            id,
            plan: self.run.plan,
            model: self.manifest.body.model,
        };
        self.masked = self
            .plan()
            .masking_params()
            .map(|terms| MaskedAttempt::new(terms, context));
        Ok(())
    }

    fn abandon(
        &mut self,
        now: Timestamp,
        id: AttemptId,
        (outcome, charged): (Outcome, bool),
        outputs: &mut Vec<Output>,
    ) -> Result<(), EngineError> {
        self.aggregator.abandon();
        self.masked = None;
        let words = match &outcome {
            Outcome::NotUnmasked { survivors, revealed } => {
                format!("could not be unmasked: of {survivors} shops {revealed} gave their shares in time")
            }
            Outcome::BelowQuorum { accepted, quorum } if accepted >= quorum => {
                format!("ended without a model: {accepted} updates made none that is finite")
            }
            Outcome::BelowQuorum { accepted, quorum } => {
                format!("ended below quorum: {accepted} of {quorum} updates")
            }
            Outcome::Published(_) => "ended".to_owned(),
        };
        let outcome = self.key.sign(outcome);
        let charge = match charged {
            true => {
                let learned = (&self.learner, &self.learned);
                Charge::of(id, now, learned, &self.manifest.body, (&self.store, &self.key))?
            }
            false => None,
        };
        self.run.open = None;
        // Over restarts, too.
        self.run.paused |= charge.as_ref().is_some_and(|charge| charge.spent);
        let run = &self.run;
        let said = outcome.clone();
        self.store.change(|change| {
            change.forget_masked(id)?;
            change.append(now, Entry::Ended(said))?;
            charge
                .as_ref()
                .map_or(Ok(()), |charge| charge.note(change, now))?;
            change.set_run(run)
        })?;
        outputs.push(Output::Push {
            shops: None,
            push: Push::Ended { id, outcome },
        });
        let spent = match charged {
            true => "what was sent is spent",
            false => "nothing was sent, so nothing is spent",
        };
        outputs.push(Output::Report(format!("{id} {words}; {spent}")));
        if let Some(charge) = charge {
            self.aggregator = Aggregator::for_round(&self.learner, &charge.learned, id.round, None)?;
            (self.learned, self.manifest) = (charge.learned, charge.manifest);
            self.forget_old_models()?;
        }
        Ok(())
    }
}

fn rejection(shop: ShopName, code: RejectCode) -> Output {
    let reply = Reply::Rejected { code };
    Output::Reply { shop, reply }
}

/// What stops a run.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// Of the store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A stored update does not fit the model.
    #[error("a stored update can't be added: {0}")]
    Sum(#[from] AccumulatorError),
    /// No older model to go back to, or not now.
    #[error("{0}")]
    Rollback(String),
    /// Nothing is left of the plan's privacy budget.
    #[error("this run has no further attempt: {0}")]
    Spent(LearnedError),
    /// No round can be begun.
    #[error(transparent)]
    Aggregator(#[from] AggregatorError),
}

/// What the operator is told when shops have spent an attempt before it began.
const RUN_BEFORE: &str = "every shop that answered has spent this very attempt before, so nothing was charged: this plan was run \
    before by a coordinator that this folder knows nothing of. Each of its rounds may cost attempts like this one; to have none of \
    them, give the plan another `name` and start `serve` with --new-run";

impl From<std::io::Error> for EngineError {
    fn from(error: std::io::Error) -> Self {
        Self::Store(error.into())
    }
}
