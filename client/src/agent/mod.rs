//! The shop's agent between its machine and its sockets: carries out, at once and in order, every effect that concerns the
//! ledger, the store, the outbox or the keys of masked attempts, and hands the others out as [`AgentAction`]s.
//!
//! | module | what |
//! |---|---|
//! | this one | effects on ledger, store and outbox |
//! | [`holdings`] | what they are carried out on: a shop's folder, or a simulation's memory |
//! | [`masking`] | keys and secrets of masked attempts |
//!
//! Everything durable (heads, ledger, outbox) is done before the next event is handled, so the order of effects is the
//! order on disk. It has no clock, no socket and no task: [`crate::run`] runs it for a shop, the simulator runs it on
//! virtual time over disks that fail.

mod holdings;
mod masking;

use std::collections::HashMap;
use std::sync::Arc;

use anyhow::Context;
use souk_common::clock::Timestamp;
use souk_common::crypto::sign::{SignatureError, Signed, SigningKey};
use souk_common::ids::{Digest, ShopName};
use souk_common::round::statements::{Announcement, Receipt};
use souk_common::secagg::UnmaskSecrets;
use souk_common::wire::messages::Push;

use crate::config::ShopConfig;
use crate::folder::Folder;
use crate::link::requests::Outgoing;
use crate::link::verified;
use crate::membership::Membership;
use crate::participate::{AttemptKey, Effect, Event, Machine, Memory, Note, Policy};
use crate::store::{ModelWord, Store, StoreError};
use crate::training::{Attempts, UnreleasedUpdate};

pub use holdings::{Holdings, KeyMaker, OnDisk, fresh_keys};
use masking::MaskState;
pub(crate) use masking::about_strangers;

/// One shop's agent. What it finishes was drawn from its holdings' source: [`OnDisk`], a shop's, takes secret draws alone.
pub struct Agent<H: Holdings = OnDisk> {
    machine: Machine,
    holdings: H,
    words_key: [u8; 32],
    /// Signed words, until the machine decides to keep them.
    models: HashMap<Digest, ModelWord>,
    receipts: HashMap<Digest, Signed<Receipt>>,
    draw: Option<(AttemptKey, UnreleasedUpdate<H::Source>)>,
    masks: MaskState,
    policy: Policy,
    /// Why the owner's file could not be read, if it could not.
    unreadable: Option<String>,
    acts: Vec<AgentAction>,
}

/// What the agent leaves to whoever runs it, in this order.
#[derive(Debug)]
pub enum AgentAction {
    /// Dial and subscribe at this time.
    Connect {
        /// When.
        at: Timestamp,
    },
    /// Say this, or fetch it, through the queue of requests; what comes of it is for [`Agent::handle`], [`Agent::received`] or
    /// [`Agent::not_taken`].
    Say(Outgoing),
    /// [`Attempts::consider`], which may take a while; answer by [`Event::Considered`].
    Consider(Announcement),
    /// [`Attempts::draw`], which takes a while; then [`Agent::drawn`].
    Compute(Announcement),
    /// Tell the owner.
    Report(Note),
    /// The same, in words.
    Tell(String),
    /// The run is complete and the last model in use.
    Finish,
}

impl Agent {
    /// An agent with what its folder remembers; begin with [`Event::Started`].
    ///
    /// # Errors
    /// When the membership or the store is damaged.
    pub fn new(
        folder: &Folder,
        config: &ShopConfig,
        membership: &Membership,
        store: Arc<Store>,
        workshop: Arc<Attempts>,
        memory: Memory,
        keys: KeyMaker,
    ) -> anyhow::Result<Self> {
        let identity = membership.signing_identity(folder)?;
        let member = (membership.shop.clone(), identity, membership.words_key()?);
        let masking = store.masking()?;
        let holdings = OnDisk {
            folder: folder.clone(),
            store,
            workshop,
            keys,
        };
        Ok(Self::with(
            holdings,
            member,
            Policy::from(config),
            memory,
            masking,
        ))
    }

    /// Data and ledger.
    pub fn workshop(&self) -> &Arc<Attempts> {
        &self.holdings.workshop
    }

    /// The store.
    pub fn store(&self) -> &Arc<Store> {
        &self.holdings.store
    }
}

impl<H: Holdings> Agent<H> {
    /// An agent over any holdings: of the shop of that name, with its long-term key and the key of the coordinator's words.
    pub fn with(
        holdings: H,
        (shop, identity, words_key): (ShopName, SigningKey, [u8; 32]),
        policy: Policy,
        memory: Memory,
        masking: Option<UnmaskSecrets>,
    ) -> Self {
        let mut acts = Vec::new();
        if let Some(lost) = memory.lost_masking {
            acts.push(AgentAction::Tell(format!(
                "{}: what it takes to unmask the sum can't be read from shop.redb, so this shop does not help with it",
                lost.id
            )));
        }
        Self {
            machine: Machine::new(policy.clone(), memory),
            holdings,
            words_key,
            models: HashMap::new(),
            receipts: HashMap::new(),
            draw: None,
            masks: MaskState::new(shop, identity, masking),
            policy,
            unreadable: None,
            acts,
        }
    }

    /// The machine, to ask it things.
    pub fn machine(&self) -> &Machine {
        &self.machine
    }

    /// What it works with.
    pub fn holdings(&mut self) -> &mut H {
        &mut self.holdings
    }

    /// Takes in an event.
    ///
    /// # Errors
    /// When something may not be durable that has to be: stop, and begin anew from the disk.
    pub fn handle(&mut self, now: Timestamp, event: Event) -> anyhow::Result<Vec<AgentAction>> {
        let mut waiting = vec![event];
        while let Some(event) = waiting.pop() {
            for effect in self.machine.handle(now, event) {
                waiting.extend(self.carry_out(now, effect)?);
            }
        }
        Ok(std::mem::take(&mut self.acts))
    }

    /// Takes in a word of the coordinator.
    ///
    /// # Errors
    /// When the coordinator's key did not sign it (as the inner error), or as [`Self::handle`].
    pub fn hear(
        &mut self,
        now: Timestamp,
        push: Push,
    ) -> anyhow::Result<Result<Vec<AgentAction>, SignatureError>> {
        let word = match &push {
            Push::Welcome { manifest } => Some(ModelWord::Manifest(manifest.clone())),
            Push::Ended { outcome, .. } => Some(ModelWord::Outcome(outcome.clone())),
            _ => None,
        };
        let event = match verified(push, &self.words_key) {
            Ok(event) => event,
            Err(error) => return Ok(Err(error)),
        };
        let model = word.as_ref().and_then(ModelWord::manifest);
        if let (Some(model), Some(word)) = (model.map(|manifest| manifest.model), &word) {
            self.models.insert(model, word.clone());
        }
        let mut acts = match event {
            Event::Announced(_) => self.look_at_policy(now)?,
            _ => Vec::new(),
        };
        acts.extend(self.handle(now, event)?);
        Ok(Ok(acts))
    }

    /// Takes in a receipt whose signature was checked.
    ///
    /// # Errors
    /// As [`Self::handle`].
    pub fn received(&mut self, now: Timestamp, receipt: Signed<Receipt>) -> anyhow::Result<Vec<AgentAction>> {
        let body = receipt.body.clone();
        self.receipts.insert(body.upload.update, receipt);
        self.handle(now, Event::Received(body))
    }

    /// Takes in what came of [`AgentAction::Compute`].
    ///
    /// # Errors
    /// As [`Self::handle`].
    pub fn drawn(
        &mut self,
        now: Timestamp,
        key: AttemptKey,
        draw: anyhow::Result<Box<UnreleasedUpdate<H::Source>>>,
    ) -> anyhow::Result<Vec<AgentAction>> {
        match draw {
            Ok(draw) => {
                for line in draw.told() {
                    self.tell(format!("{}: {line}", key.id));
                }
                self.draw = Some((key, *draw));
                self.handle(now, Event::Computed(key))
            }
            Err(error) => {
                self.tell(format!("{}: {error:#}", key.id));
                self.handle(now, Event::Failed(key))
            }
        }
    }

    /// The coordinator did not take this shop's keys or shares: there is no place for it in the attempt.
    ///
    /// # Errors
    /// As [`Self::handle`].
    pub fn not_taken(
        &mut self,
        now: Timestamp,
        key: AttemptKey,
        reason: &str,
    ) -> anyhow::Result<Vec<AgentAction>> {
        let refused = self.refuse(key, reason);
        self.handle(now, refused)
    }

    /// Looks whether the owner has changed the file.
    ///
    /// # Errors
    /// As [`Self::handle`].
    pub fn look_at_policy(&mut self, now: Timestamp) -> anyhow::Result<Vec<AgentAction>> {
        match self.reload_policy() {
            Some(changed) => self.handle(now, changed),
            None => Ok(std::mem::take(&mut self.acts)),
        }
    }

    /// The owner may have changed the file since the last round.
    fn reload_policy(&mut self) -> Option<Event> {
        match self.holdings.policy() {
            Ok(policy) if policy != self.policy => {
                (self.policy, self.unreadable) = (policy.clone(), None);
                return Some(Event::PolicyChanged(Box::new(policy)));
            }
            Ok(_) => self.unreadable = None,
            Err(error) => {
                let line = format!("shop.toml is not read again: {error}");
                // Once, however often it is looked at.
                if self.unreadable.replace(line.clone()) != Some(line.clone()) {
                    self.tell(line);
                }
                return None;
            }
        }
        None
    }

    /// Carries out one effect; the event that follows from it at once, if any.
    fn carry_out(&mut self, now: Timestamp, effect: Effect) -> anyhow::Result<Option<Event>> {
        match effect {
            Effect::Connect { at } => self.acts.push(AgentAction::Connect { at }),
            Effect::Fetch { blob, at } => self.say(Outgoing::Fetch(blob, at)),
            Effect::Answer(key, answer) => self.say(Outgoing::Answer(key.id, answer)),
            Effect::Upload { pending, at } => self.say(Outgoing::Upload(pending, at)),
            Effect::Consider(announcement) => self.acts.push(AgentAction::Consider(announcement)),
            Effect::Compute(announcement) => self.acts.push(AgentAction::Compute(announcement)),
            Effect::RecordSpend(key) => return Ok(Some(self.record_spend(now, key))),
            Effect::PutInOutbox(key) => return Ok(Some(self.put_in_outbox(now, key))),
            Effect::Discard(key) => {
                self.draw.take_if(|(drawn_for, _)| *drawn_for == key);
                self.masks.discard(key);
            }
            Effect::Masked(effect) => return self.carry_out_masked(effect),
            Effect::StoreReceipt(receipt) => {
                let signed = self.receipts.remove(&receipt.upload.update);
                let signed = signed.context("a receipt comes with its signature")?;
                self.keep(|store| store.store_receipt(&signed))?;
            }
            Effect::StoreRejection { pending, code } => {
                self.keep(|store| store.store_rejection(&pending.header.update, code))?;
            }
            Effect::Remember { log, announced } => self.keep(|store| store.remember(&log, announced))?,
            Effect::UseModel(manifest) => {
                let word = self.models.remove(&manifest.model);
                // Without a store nothing is kept, and the word need not have come through here.
                if self.holdings.store().is_some() {
                    let word = word.context("a manifest comes with its signature")?;
                    self.keep(|store| store.use_model(&word))?;
                }
            }
            Effect::Report(note) => self.acts.push(AgentAction::Report(note)),
            Effect::Finish => self.acts.push(AgentAction::Finish),
        }
        Ok(None)
    }

    /// Writes to the store, if there is one.
    fn keep(&self, write: impl FnOnce(&Store) -> Result<(), StoreError>) -> anyhow::Result<()> {
        Ok(self.holdings.store().map_or(Ok(()), write)?)
    }

    fn record_spend(&mut self, now: Timestamp, key: AttemptKey) -> Event {
        let Some((_, draw)) = self.draw.as_mut().filter(|(drawn_for, _)| *drawn_for == key) else {
            return Event::Failed(key);
        };
        match self.holdings.charge(draw, now) {
            Ok(()) => Event::SpendRecorded(key),
            Err(error) => {
                self.tell(format!("{}: the ledger was not charged: {error:#}", key.id));
                Event::Failed(key)
            }
        }
    }

    /// Finishes the update, under masks if the attempt has any.
    fn put_in_outbox(&mut self, now: Timestamp, key: AttemptKey) -> Event {
        let Some((_, draw)) = self.draw.take().filter(|(drawn_for, _)| *drawn_for == key) else {
            return Event::Failed(key);
        };
        let (masking, masks) = self.masks.take(key).unzip();
        let masks = masking.as_ref().zip(masks);
        let due = self.machine.upload_due(key);
        match self.holdings.put_in_outbox(key, draw, masks, due, now) {
            Ok(pending) => {
                self.masks.keep(masking);
                Event::InOutbox(pending)
            }
            Err(error) => {
                self.tell(format!("{}: the update was not finished: {error:#}", key.id));
                Event::Failed(key)
            }
        }
    }

    fn say(&mut self, what: Outgoing) {
        self.acts.push(AgentAction::Say(what));
    }

    fn tell(&mut self, line: String) {
        self.acts.push(AgentAction::Tell(line));
    }
}
