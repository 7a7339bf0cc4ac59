//! A whole federation in one process, on virtual time: the machines of coordinator and shops, the real updates, ledgers,
//! truncation and sums; only sockets, disks and the wall clock are left out.
//!
//! | module | what |
//! |---|---|
//! | [`operator`] | the coordinator's machine and the model it makes |
//! | [`shop`] | a shop's machine, its users and its ledger |
//! | [`masked`] | what they say to each other under masks |
//! | [`network`] | how long letters take, and when a line is cut |
//!
//! One seed makes one run, bit for bit, on any number of threads.

pub(crate) mod masked;
mod network;
mod operator;
mod shop;

#[cfg(test)]
mod proofs;

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::{Context, bail};
use souk_client::participate::{self, BlobKind};
use souk_common::accountant::Composition;
use souk_common::catalogue::Catalogue;
use souk_common::clock::Timestamp;
use souk_common::dataset::Dataset;
use souk_common::ids::{AttemptId, ShopName};
use souk_common::model::{Loaded, Recommender};
use souk_common::params::Epsilon;
use souk_common::plan::Plan;
use souk_common::privacy::Tally;
use souk_common::round::statements::{Outcome as Ending, RejectCode, UploadHeader};
use souk_common::update::Counts;
use souk_coordinator::masking::MaskedWord;
use souk_coordinator::round;

pub(crate) use network::Line;
use network::Network;
use operator::Operator;
use shop::Shop;

/// A shop's users, as the world gets them.
pub(crate) struct Members {
    pub(crate) name: ShopName,
    pub(crate) dataset: Dataset,
    /// As in `souk_client::training::round_update::Customers`.
    pub(crate) forbidden: Vec<Vec<u32>>,
}

/// The federation.
pub(crate) struct World {
    plan: Arc<Plan>,
    recommender: Arc<Recommender>,
    operator: Operator,
    shops: Vec<Shop>,
    network: Network<Letter>,
    now: Timestamp,
    paused: Option<round::PauseReason>,
    finished: bool,
}

/// What is on its way, and to whom.
enum Letter {
    ToCoordinator(round::Event),
    ToShop(usize, participate::Event),
    /// A shop's word for a masked attempt.
    Word(usize, Box<MaskedWord>),
    /// A shop dials.
    Dial(usize),
}

/// What came of a run.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// The last model's parameters.
    pub(crate) params: Vec<f32>,
    /// Attempts that ended without a model.
    pub(crate) abandoned: u64,
    /// Updates counted over all rounds.
    pub(crate) updates: u64,
    /// Bytes of the updates that shops sent.
    pub(crate) bytes_up: u64,
    /// How long it would have taken.
    pub(crate) virtual_secs: f64,
    /// The largest epsilon of any shop's ledger; none if nothing bounds it.
    pub(crate) epsilon: Option<Epsilon>,
    /// What only a simulation may know.
    pub(crate) tally: Tally,
    /// Quality counts of the last round, under noise; only in plans that count.
    pub(crate) counts: Option<Counts>,
}

impl World {
    /// A federation about to begin. `seed` is for users' draws, noise and lines; the model's own seed is the plan's.
    ///
    /// # Errors
    /// When the plan has no grid for the model, or does not name a shop.
    pub(crate) fn new(
        plan: &Plan,
        catalogue: &Catalogue,
        members: Vec<Members>,
        line: Line,
        seed: u64,
    ) -> anyhow::Result<Self> {
        let plan = Arc::new(plan.clone());
        let recommender = Recommender::new(&plan.model, &plan.train, catalogue);
        let operator = Operator::new(&plan, catalogue.digest(), &recommender)?;
        let shops = members
            .into_iter()
            .map(|members| Shop::new(members, &plan, &recommender, seed))
            .collect::<anyhow::Result<Vec<_>>>()?;
        Ok(Self {
            plan,
            recommender,
            operator,
            shops,
            network: Network::new(line, seed),
            now: Timestamp(0),
            paused: None,
            finished: false,
        })
    }

    /// Runs to the plan's last round. `published` hears of every model: round and parameters.
    ///
    /// # Errors
    /// When the run pauses, because no quorum comes together.
    pub(crate) fn run(mut self, mut published: impl FnMut(u64, &[f32])) -> anyhow::Result<Outcome> {
        self.tell_coordinator(round::Event::Started)?;
        for shop in 0..self.shops.len() {
            self.tell_shop(shop, participate::Event::Started)?;
        }
        let mut round = 0;
        while !self.finished {
            if let Some(reason) = self.paused {
                bail!(
                    "round {} is not to be had: {}",
                    self.operator.published() + 1,
                    reason.words()
                );
            }
            let (now, letter) = self.network.next().context("nobody has anything left to do")?;
            self.now = now;
            match letter {
                Letter::ToCoordinator(event) => self.tell_coordinator(event)?,
                Letter::ToShop(shop, event) => self.tell_shop(shop, event)?,
                Letter::Word(shop, word) => self.take_word(shop, *word)?,
                Letter::Dial(shop) => self.connect(shop),
            }
            if self.operator.published() > round {
                round = self.operator.published();
                published(round, self.operator.params());
            }
        }
        self.outcome()
    }

    fn outcome(self) -> anyhow::Result<Outcome> {
        let delta = self.plan.privacy.delta;
        let mut tally = Tally::default();
        // Most shops have spent the same: each sum is worked out once.
        let mut spends: Vec<Composition> = Vec::new();
        for shop in &self.shops {
            tally.merge(shop.tally());
            let spent = shop.spends();
            if !spends.contains(&spent) {
                spends.push(spent);
            }
        }
        let epsilons = spends.iter().map(|spent| spent.epsilon(delta));
        let epsilon = epsilons.fold(Epsilon::new(0.0).ok(), larger);
        Ok(Outcome {
            abandoned: self.operator.abandoned(),
            updates: self.operator.updates(),
            bytes_up: self.shops.iter().map(Shop::bytes_sent).sum(),
            virtual_secs: self.now.since(Timestamp(0)).as_secs_f64(),
            epsilon,
            tally,
            counts: self.operator.counts(),
            params: self.operator.into_params(),
        })
    }

    fn connect(&mut self, shop: usize) {
        self.shops[shop].connected = true;
        let manifest = self.operator.manifest().clone();
        let name = self.shops[shop].name.clone();
        self.network.deliver(
            self.now,
            Letter::ToShop(shop, participate::Event::Welcomed(manifest)),
        );
        self.network
            .deliver(self.now, Letter::ToCoordinator(round::Event::Connected(name)));
    }

    /// The line breaks: what is under way over it is lost, and both sides notice.
    fn cut(&mut self, shop: usize) -> anyhow::Result<()> {
        self.shops[shop].connected = false;
        let name = self.shops[shop].name.clone();
        self.network.drop_letters(|letter| match letter {
            Letter::ToShop(to, event) => *to == shop && crosses_the_line(event),
            Letter::ToCoordinator(event) => sender(event) == Some(&name),
            Letter::Word(from, _) => *from == shop,
            Letter::Dial(_) => false,
        });
        for upload in self.shops[shop].abort_upload() {
            let (shop, id) = (name.clone(), upload.id);
            self.tell_coordinator(round::Event::UploadFailed { shop, id })?;
        }
        self.tell_coordinator(round::Event::Disconnected(name))?;
        let jitter = self.network.jitter();
        self.tell_shop(shop, participate::Event::Disconnected { jitter })
    }

    fn tell_coordinator(&mut self, event: round::Event) -> anyhow::Result<()> {
        let mut waiting = vec![event];
        while let Some(event) = waiting.pop() {
            for effect in self.operator.handle(self.now, event) {
                waiting.extend(self.serve(effect)?);
            }
        }
        Ok(())
    }

    /// Carries out an effect of the coordinator's machine; the event that follows at once, if any.
    fn serve(&mut self, effect: round::Effect) -> anyhow::Result<Option<round::Event>> {
        match effect {
            round::Effect::Open { id, deadline } => self.operator.open(id, deadline),
            round::Effect::Announce { id, shops } => {
                let announcement = self.operator.announcement(id);
                for name in shops {
                    self.push(&name, participate::Event::Announced(announcement.clone()));
                }
            }
            round::Effect::SetTimer(at) => {
                self.network.at(at, Letter::ToCoordinator(round::Event::Timer));
            }
            round::Effect::Receive { shop, upload } => {
                let arrived = round::Event::UploadArrived { shop, upload };
                self.network
                    .transfer(self.now, upload.len_bytes, Letter::ToCoordinator(arrived));
            }
            round::Effect::Record { shop, upload } => {
                let at = self.position(&shop)?;
                let bytes = self.shops[at].uploaded(&upload);
                return Ok(Some(match bytes {
                    Some(bytes) => {
                        self.operator.add(bytes)?;
                        round::Event::Recorded { shop, upload }
                    }
                    None => round::Event::UploadFailed { shop, id: upload.id },
                }));
            }
            round::Effect::Receipt { shop, upload } => {
                let receipt = self.operator.receipt(shop.clone(), upload, self.now);
                self.push(&shop, participate::Event::Received(receipt));
            }
            round::Effect::Reject { shop, id, code } => self.reject(&shop, id, code)?,
            round::Effect::Publish { id, accepted } => {
                if let Err(misfit) = self.operator.unmask() {
                    tracing::warn!(%id, %misfit, "the sum can't be unmasked");
                    return Ok(Some(round::Event::NotUnmasked(id)));
                }
                let outcome = self.operator.publish(id, accepted, self.now);
                self.end_attempt(id, &outcome);
                return Ok(Some(round::Event::Published(id)));
            }
            round::Effect::Abandon {
                id,
                accepted,
                quorum,
                unmasking,
            } => {
                let outcome = self.operator.abandon(accepted, quorum, unmasking);
                self.end_attempt(id, &outcome);
            }
            effect @ (round::Effect::FixRoster { .. }
            | round::Effect::DeliverShares { .. }
            | round::Effect::FixSharers { .. }
            | round::Effect::FixSurvivors { .. }
            | round::Effect::ShowConfirmations { .. }
            | round::Effect::Repeat { .. }) => return self.serve_masked(effect),
            round::Effect::Paused(reason) => self.paused = Some(reason),
            round::Effect::Finish => self.finished = true,
        }
        Ok(None)
    }

    fn reject(&mut self, shop: &ShopName, id: AttemptId, code: RejectCode) -> anyhow::Result<()> {
        let at = self.position(shop)?;
        let headers: Vec<UploadHeader> = self.shops[at].abort_upload();
        for header in headers.into_iter().filter(|header| header.id == id) {
            self.push(shop, participate::Event::Rejected { header, code });
        }
        Ok(())
    }

    fn end_attempt(&mut self, id: AttemptId, outcome: &Ending) {
        let names: Vec<ShopName> = self.shops.iter().map(|shop| shop.name.clone()).collect();
        for name in names {
            let outcome = outcome.clone();
            self.push(&name, participate::Event::Ended { id, outcome });
        }
    }

    /// Sends a word to a shop that is connected.
    fn push(&mut self, name: &ShopName, event: participate::Event) {
        let found = self.shops.iter().position(|shop| shop.name == *name);
        if let Some(at) = found.filter(|at| self.shops[*at].connected) {
            self.network.deliver(self.now, Letter::ToShop(at, event));
        }
    }

    fn position(&self, name: &ShopName) -> anyhow::Result<usize> {
        let found = self.shops.iter().position(|shop| shop.name == *name);
        found.with_context(|| format!("{name} is no shop of this simulation"))
    }

    fn tell_shop(&mut self, at: usize, event: participate::Event) -> anyhow::Result<()> {
        let mut waiting = vec![event];
        while let Some(event) = waiting.pop() {
            for effect in self.shops[at].machine.handle(self.now, event) {
                waiting.extend(self.act(at, effect)?);
            }
        }
        Ok(())
    }

    /// Carries out an effect of a shop's machine; the event that follows at once, if any.
    fn act(&mut self, at: usize, effect: participate::Effect) -> anyhow::Result<Option<participate::Event>> {
        use participate::{Effect, Event};
        match effect {
            Effect::Connect { at: when } => self.network.at(when, Letter::Dial(at)),
            Effect::Fetch { blob, at: when } => {
                let bytes = match blob.kind {
                    BlobKind::Model => self.operator.model_bytes(),
                    BlobKind::Plan | BlobKind::Catalogue => 0,
                };
                self.network
                    .transfer(when, bytes, Letter::ToShop(at, Event::BlobReady(blob)));
            }
            Effect::Consider(announcement) => {
                return Ok(Some(self.shops[at].consider(&self.plan, &announcement)));
            }
            Effect::Answer(key, answer) => {
                let shop = self.shops[at].name.clone();
                let answered = round::Event::Answered {
                    shop,
                    id: key.id,
                    answer,
                };
                self.send(at, answered);
            }
            Effect::Compute(announcement) => {
                let model = self.broadcast(announcement.id.round);
                let event = self.shops[at].compute(&self.plan, &model, &announcement)?;
                self.network.work(self.now, Letter::ToShop(at, event));
                if self.network.cuts() {
                    self.cut(at)?;
                }
            }
            Effect::RecordSpend(key) => return Ok(Some(self.shops[at].record_spend(key, self.now)?)),
            Effect::PutInOutbox(key) => return Ok(Some(self.shops[at].put_in_outbox(key)?)),
            Effect::Upload { pending, at: when } => {
                let shop = &mut self.shops[at];
                if shop.connected {
                    let (name, upload) = (shop.name.clone(), pending.header);
                    shop.offer(upload);
                    if let Some(binding) = pending.binding {
                        self.operator.bind(&name, binding);
                    }
                    let offered = round::Event::UploadOffered { shop: name, upload };
                    self.network.deliver(when, Letter::ToCoordinator(offered));
                }
            }
            Effect::Discard(key) => self.shops[at].discard(key),
            Effect::StoreReceipt(_) | Effect::StoreRejection { .. } => self.shops[at].empty_outbox(),
            Effect::Masked(effect) => return self.act_masked(at, effect),
            Effect::Remember { .. } | Effect::UseModel(_) | Effect::Report(_) | Effect::Finish => {}
        }
        Ok(None)
    }

    fn send(&mut self, from: usize, event: round::Event) {
        if self.shops[from].connected {
            self.network.deliver(self.now, Letter::ToCoordinator(event));
        }
    }

    /// The model that is out for `round`, set up once for all shops: they hold the same bytes.
    fn broadcast(&mut self, round: u64) -> Arc<Loaded> {
        let (recommender, rounds) = (&self.recommender, self.plan.rounds);
        self.operator
            .loaded(|params| recommender.load(params).in_round(round.saturating_sub(1), rounds))
    }
}

/// Whether a word to a shop comes from the coordinator rather than from the shop's own work.
fn crosses_the_line(event: &participate::Event) -> bool {
    use participate::{Event, MaskEvent};
    !matches!(
        event,
        Event::Started
            | Event::Computed(_)
            | Event::Failed(_)
            | Event::Disconnected { .. }
            | Event::Masked(
                MaskEvent::KeysReady(_) | MaskEvent::MasksReady(_) | MaskEvent::SurvivorsStored(_)
            )
    )
}

fn sender(event: &round::Event) -> Option<&ShopName> {
    match event {
        round::Event::Answered { shop, .. }
        | round::Event::UploadOffered { shop, .. }
        | round::Event::UploadArrived { shop, .. }
        | round::Event::Connected(shop) => Some(shop),
        _ => None,
    }
}

/// None is larger than any number.
fn larger(a: Option<Epsilon>, b: Option<Epsilon>) -> Option<Epsilon> {
    match (a, b) {
        (Some(a), Some(b)) => Some(if a.get() < b.get() { b } else { a }),
        _ => None,
    }
}

/// Users of `dataset` by shop, the names in the order of `shops`.
pub(crate) fn members_of(
    dataset: &Dataset,
    forbidden: &[Vec<u32>],
    shop_of: &[usize],
    names: &[ShopName],
) -> Vec<Members> {
    let mut users: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for (user, shop) in shop_of.iter().enumerate() {
        users.entry(*shop).or_default().push(user);
    }
    names
        .iter()
        .enumerate()
        .map(|(shop, name)| {
            let users = users.remove(&shop).unwrap_or_default();
            Members {
                name: name.clone(),
                dataset: Dataset {
                    users: users.iter().map(|user| dataset.users[*user].clone()).collect(),
                    histories: users
                        .iter()
                        .map(|user| dataset.histories[*user].clone())
                        .collect(),
                },
                forbidden: match forbidden.is_empty() {
                    true => Vec::new(),
                    false => users.iter().map(|user| forbidden[*user].clone()).collect(),
                },
            }
        })
        .collect()
}
