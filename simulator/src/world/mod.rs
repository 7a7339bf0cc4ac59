//! A whole federation in one process, on virtual time: the production coordinator and agents, with real updates, ledgers,
//! truncation and sums; only sockets, disks and the wall clock are left out.
//!
//! | module | what |
//! |---|---|
//! | this one | the loop, and what is said over the lines |
//! | [`shop`] | a shop: an agent, with its users and its ledger in memory |
//! | [`setup`] | users cut into shops; the coordinator's program over a store in memory |
//! | [`network`] | how long words take, and when a line is cut |
//!
//! The coordinator is [`crate::cluster::coordinator`], over a store in memory. One seed makes one run, bit for bit, on any
//! number of threads.

mod network;
mod setup;
pub(crate) mod shop;

#[cfg(test)]
mod proofs;

use std::sync::Arc;

use anyhow::{Context, bail};
use souk_client::agent::AgentAction;
use souk_client::link::requests::{Came, Outgoing, Then, Voice};
use souk_client::participate::{AttemptKey, Blob, BlobKind, Event as ShopEvent};
use souk_client::training::UnreleasedUpdate;
use souk_common::catalogue::Catalogue;
use souk_common::clock::Timestamp;
use souk_common::crypto::sign::SigningKey;
use souk_common::ids::Digest;
use souk_common::learned::{Learned, Learner, Releases};
use souk_common::model::{Loaded, Recommender, file};
use souk_common::params::Epsilon;
use souk_common::plan::Plan;
use souk_common::privacy::Tally;
use souk_common::rng::Stream as Seeded;
use souk_common::round::statements::Outcome as Ending;
use souk_common::update::Counts;
use souk_common::wire::messages::{Push, Reply, Request};
use souk_coordinator::engine::Engine;
use souk_coordinator::round::{Event, PauseReason};
use souk_coordinator::store::Entry;

use crate::cluster::coordinator::{Coordinator, Said, Stopped, Stream};
pub(crate) use network::Line;
use network::Network;
use setup::open;
pub(crate) use setup::{Members, members_of};
use shop::Shop;

/// The federation.
pub(crate) struct World {
    plan: Arc<Plan>,
    recommender: Arc<Recommender>,
    learner: Arc<Learner>,
    coordinator: Coordinator,
    shops: Vec<Shop>,
    network: Network<Letter>,
    /// The model that is out, set up once for all shops: they hold the same bytes.
    broadcast: Option<Broadcast>,
    now: Timestamp,
    paused: Option<PauseReason>,
    finished: bool,
}

struct Broadcast {
    digest: Digest,
    len_bytes: u64,
    out: Out,
}

/// What is out, as shops work on it.
#[derive(Clone)]
pub(crate) enum Out {
    Model {
        params: Arc<Vec<f32>>,
        loaded: Arc<Loaded>,
    },
    Releases(Arc<Learned>),
}

impl Out {
    /// A model's parameters; none of releases.
    fn params(&self) -> &[f32] {
        match self {
            Self::Model { params, .. } => params,
            Self::Releases(_) => &[],
        }
    }
}

/// What is on its way, and to whom.
enum Letter {
    Timer,
    Question(Stream, Box<Request>),
    /// An update's bytes.
    Bytes(Stream, Vec<u8>),
    Push(usize, Push),
    Reply(Stream, Reply),
    Fetched(usize, Blob),
    /// A shop has made its update.
    Drawn(usize, AttemptKey, Box<UnreleasedUpdate<Seeded>>),
    Dial(usize),
}

/// What came of a run.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// The last model's parameters; none in a plan of releases.
    pub(crate) params: Vec<f32>,
    /// What a plan of releases has released.
    pub(crate) releases: Option<Releases>,
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
        let key = SigningKey::from_bytes(&[0xC0; 32]);
        let words_key = key.public();
        let plan = Arc::new(plan.clone());
        let recommender = Recommender::new(&plan.model, &plan.train, catalogue);
        let learner = Arc::new(Learner::new(&plan, catalogue));
        let shops = members
            .into_iter()
            .map(|members| Shop::new(members, &learner, words_key, seed))
            .collect::<anyhow::Result<Vec<_>>>()?;
        let names = shops.iter().map(|shop| shop.peer.shop.clone()).collect();
        let up = open((*plan).clone(), catalogue, key, &shops)?;
        Ok(Self {
            plan,
            recommender,
            learner,
            coordinator: Coordinator::new(names, Some(up)),
            shops,
            network: Network::new(line, seed),
            broadcast: None,
            now: Timestamp(0),
            paused: None,
            finished: false,
        })
    }

    /// Runs to the plan's last round. `published` hears of every model: round and parameters.
    ///
    /// # Errors
    /// When the run pauses, because no quorum comes together.
    pub(crate) fn run(self, mut published: impl FnMut(u64, &[f32])) -> anyhow::Result<Outcome> {
        self.run_watched(|round, out| published(round, out.params()))
    }

    /// As [`Self::run`]; `published` hears of all that is out after each round.
    ///
    /// # Errors
    /// As [`Self::run`].
    pub(crate) fn run_watched(mut self, mut published: impl FnMut(u64, &Out)) -> anyhow::Result<Outcome> {
        let said = self.coordinator.tell(self.now, Event::Started);
        self.hear(said)?;
        for shop in 0..self.shops.len() {
            self.tell(shop, ShopEvent::Started)?;
        }
        let mut round = 0;
        while !self.finished {
            if let Some(reason) = self.paused {
                bail!("round {} is not to be had: {}", round + 1, reason.words());
            }
            let (now, letter) = self.network.next().context("nobody has anything left to do")?;
            self.now = now;
            self.deliver(letter)?;
            let newest = self.engine()?.machine().published();
            if newest > round {
                round = newest;
                published(round, &self.broadcast()?.out);
            }
        }
        self.outcome()
    }

    fn outcome(mut self) -> anyhow::Result<Outcome> {
        let delta = self.plan.privacy.delta;
        let mut tally = Tally::default();
        // Most shops have spent the same: each sum is worked out once.
        let mut spends = Vec::new();
        for shop in &mut self.shops {
            let account = shop.agent.holdings();
            tally.merge(account.tally);
            let spent = account.spends();
            if !spends.contains(&spent) {
                spends.push(spent);
            }
        }
        let epsilons = spends.iter().map(|spent| spent.epsilon(delta));
        let epsilon = epsilons.fold(Epsilon::new(0.0).ok(), larger);
        let (mut abandoned, mut updates, mut counts) = (0, 0, None);
        self.engine()?
            .store()
            .each_entry(|_, record| match record.entry {
                Entry::Ended(ended) => match ended.body {
                    Ending::Published(manifest) => updates += manifest.updates.len() as u64,
                    _ => abandoned += 1,
                },
                Entry::Quality { counts: counted, .. } => counts = Some(counted),
                _ => {}
            })?;
        Ok(Outcome {
            abandoned,
            updates,
            bytes_up: self.shops.iter().map(|shop| shop.bytes_sent).sum(),
            virtual_secs: self.now.since(Timestamp(0)).as_secs_f64(),
            epsilon,
            tally,
            counts,
            releases: match &self.broadcast()?.out {
                Out::Releases(learned) => match &**learned {
                    Learned::Releases(releases) => Some(releases.clone()),
                    Learned::Model(_) => None,
                },
                Out::Model { .. } => None,
            },
            params: self.broadcast()?.out.params().to_vec(),
        })
    }

    fn engine(&mut self) -> anyhow::Result<&mut Engine> {
        self.coordinator.engine().context("the coordinator runs")
    }

    fn broadcast(&mut self) -> anyhow::Result<&Broadcast> {
        let digest = self.engine()?.manifest().body.model;
        if self.broadcast.as_ref().is_none_or(|model| model.digest != digest) {
            let bytes = self.engine()?.store().files().read(&digest)?;
            let out = match self.plan.is_of_releases() {
                true => Out::Releases(Arc::new(self.learner.decode(&bytes)?)),
                false => {
                    let (params, meta) = file::decode(&bytes, self.recommender.layout())?;
                    let loaded = self.recommender.load(params.clone());
                    Out::Model {
                        params: Arc::new(params),
                        loaded: Arc::new(loaded.in_round(meta.round, self.plan.rounds)),
                    }
                }
            };
            self.broadcast = Some(Broadcast {
                digest,
                len_bytes: bytes.len() as u64,
                out,
            });
        }
        self.broadcast.as_ref().context("it was just set up")
    }

    fn deliver(&mut self, letter: Letter) -> anyhow::Result<()> {
        let now = self.now;
        match letter {
            Letter::Timer => {
                let said = self.coordinator.tell(now, Event::Timer);
                self.hear(said)
            }
            Letter::Question(stream, request) => {
                let said = self.coordinator.answer(now, stream, *request);
                self.hear(said)
            }
            Letter::Bytes(stream, bytes) => {
                let said = self.coordinator.bytes(now, stream, &bytes, true);
                self.hear(said)
            }
            Letter::Push(shop, push) => self.pushed(shop, push),
            Letter::Reply(stream, reply) => self.answered(stream, reply),
            Letter::Fetched(shop, blob) => self.tell(shop, ShopEvent::BlobReady(blob)),
            Letter::Drawn(shop, key, update) => {
                let acts = self.shops[shop].agent.drawn(now, key, Ok(update))?;
                self.act(shop, acts)
            }
            Letter::Dial(shop) => {
                self.dial(shop);
                Ok(())
            }
        }
    }

    /// A shop dials and asks to be told of rounds. It shows no certificate and does not check in: memberships do not change.
    fn dial(&mut self, at: usize) {
        let shop = &mut self.shops[at];
        shop.link += 1;
        shop.connected = true;
        self.coordinator.connected(at, Some(shop.peer.clone()), &[]);
        let subscribe = Letter::Question(shop.stream(at), Box::new(Voice::subscribe(0)));
        self.network.deliver(self.now, subscribe);
    }

    /// The line breaks: what is under way over it is lost, and both sides notice.
    fn cut(&mut self, at: usize) -> anyhow::Result<()> {
        let shop = &mut self.shops[at];
        shop.connected = false;
        shop.asked.clear();
        let link = shop.link;
        self.network.drop_letters(|letter| match letter {
            Letter::Question(stream, _) | Letter::Bytes(stream, _) | Letter::Reply(stream, _) => {
                stream.shop == at
            }
            Letter::Push(shop, _) | Letter::Fetched(shop, _) => *shop == at,
            Letter::Timer | Letter::Drawn(..) | Letter::Dial(_) => false,
        });
        let said = self.coordinator.lost(self.now, at, link);
        self.hear(said)?;
        let jitter = self.network.jitter();
        self.tell(at, ShopEvent::Disconnected { jitter })
    }

    /// What the coordinator says. A line's latency counts once for each question and each word, and once for an update's
    /// bytes: the welcome, and the reply that lets the bytes come, cost none of their own.
    fn hear(&mut self, said: Result<Vec<Said>, Stopped>) -> anyhow::Result<()> {
        for said in said? {
            match said {
                Said::Push(shops, welcome @ Push::Welcome { .. }) => {
                    for (shop, _) in shops {
                        self.pushed(shop, welcome.clone())?;
                    }
                }
                Said::Push(shops, push) => {
                    for (shop, _) in shops {
                        self.network.deliver(self.now, Letter::Push(shop, push.clone()));
                    }
                }
                Said::Reply(stream, reply @ Reply::UploadFrom { .. }) => self.answered(stream, reply)?,
                Said::Reply(stream, reply) => self.network.deliver(self.now, Letter::Reply(stream, reply)),
                Said::WakeAt(at) => self.network.at(at, Letter::Timer),
                Said::Paused => self.paused = self.engine()?.machine().paused(),
                Said::Finished => self.finished = true,
                // Blobs are not asked for: see `say`.
                Said::Bytes(..) => {}
            }
        }
        Ok(())
    }

    fn pushed(&mut self, at: usize, push: Push) -> anyhow::Result<()> {
        let acts = self.shops[at].agent.hear(self.now, push)??;
        self.act(at, acts)
    }

    fn tell(&mut self, at: usize, event: ShopEvent) -> anyhow::Result<()> {
        let acts = self.shops[at].agent.handle(self.now, event)?;
        self.act(at, acts)
    }

    fn answered(&mut self, stream: Stream, reply: Reply) -> anyhow::Result<()> {
        let (now, shop) = (self.now, &mut self.shops[stream.shop]);
        let Some(mut exchange) = shop.asked.remove(&stream.number) else {
            return Ok(());
        };
        let came = match exchange.reply(&shop.voice, now, reply) {
            Ok(Then::Came(came)) => came,
            Ok(Then::Send(from)) => {
                let bytes = shop.agent.holdings().outbox_from(from);
                shop.asked.insert(stream.number, exchange);
                let len_bytes = bytes.len() as u64;
                self.network
                    .transfer(now, len_bytes, Letter::Bytes(stream, bytes));
                return Ok(());
            }
            Ok(Then::Take(_)) => return Ok(()),
            Err(error) => exchange.failed(error),
        };
        let acts = match came {
            Came::Event(event) => shop.agent.handle(now, event)?,
            Came::Receipt(receipt) => shop.agent.received(now, receipt)?,
            Came::NotTaken(key, reason) => shop.agent.not_taken(now, key, &reason)?,
            Came::Nothing | Came::Heard(_) | Came::Renewed(_) | Came::HangUp => return Ok(()),
        };
        self.act(stream.shop, acts)
    }

    /// Does what a shop's agent leaves to others.
    fn act(&mut self, at: usize, acts: Vec<AgentAction>) -> anyhow::Result<()> {
        for act in acts {
            match act {
                AgentAction::Connect { at: when } => self.network.at(when, Letter::Dial(at)),
                AgentAction::Say(what) => self.say(at, what)?,
                AgentAction::Consider(announcement) => {
                    let out = self.broadcast()?.out.clone();
                    let costs = self.shops[at].agent.holdings().consider(&out, &announcement)?;
                    self.tell(at, ShopEvent::Considered(announcement, costs))?;
                }
                AgentAction::Compute(announcement) => {
                    let out = self.broadcast()?.out.clone();
                    let update = self.shops[at].agent.holdings().draw(&out, &announcement)?;
                    let key = AttemptKey::from(&announcement);
                    self.network
                        .work(self.now, Letter::Drawn(at, key, Box::new(update)));
                    if self.network.cuts() {
                        self.cut(at)?;
                    }
                }
                AgentAction::Tell(line) => tracing::debug!(shop = at, line, "tells"),
                AgentAction::Report(_) | AgentAction::Finish => {}
            }
        }
        Ok(())
    }

    fn say(&mut self, at: usize, what: Outgoing) -> anyhow::Result<()> {
        let when = match &what {
            // Its bytes take their time and are not carried: all shops would set up the same model.
            Outgoing::Fetch(blob, when) => {
                let len_bytes = match blob.kind {
                    BlobKind::Model => self.broadcast()?.len_bytes,
                    BlobKind::Plan | BlobKind::Catalogue => 0,
                };
                self.network
                    .transfer(*when, len_bytes, Letter::Fetched(at, *blob));
                return Ok(());
            }
            Outgoing::Upload(_, when) => *when,
            _ => self.now,
        };
        if let Some((stream, request)) = self.shops[at].ask(at, self.now, what)? {
            self.network.deliver(when, Letter::Question(stream, request));
        }
        Ok(())
    }
}

/// None is larger than any number.
fn larger(a: Option<Epsilon>, b: Option<Epsilon>) -> Option<Epsilon> {
    match (a, b) {
        (Some(a), Some(b)) => Some(if a.get() < b.get() { b } else { a }),
        _ => None,
    }
}
