//! A whole federation in one process, on virtual time: the production coordinator and agents, with real updates, ledgers,
//! truncation and sums; only sockets, disks and the wall clock are left out.
//!
//! | module | what |
//! |---|---|
//! | this one | the loop, and what comes of it |
//! | [`talk`] | what is said over the lines, and who hears it |
//! | [`shop`] | a shop: an agent, with its users and its ledger in memory |
//! | [`work`] | updates, made shortly before they are due |
//! | [`setup`] | users cut into shops; the coordinator's program over a store in memory |
//! | [`network`] | how long words take, and when a line is cut |
//! | [`drift`] | tastes that move from round to round |
//! | [`rounds`] | what is said of each attempt |
//! | [`restarts`] | all programs stopped between two rounds, and started again |
//! | [`saved`] | a federation between two rounds, as bytes |
//!
//! The coordinator is [`crate::cluster::coordinator`], over a store in memory. One seed makes one run, bit for bit, on any
//! number of threads.

pub(crate) mod drift;
mod network;
mod restarts;
pub(crate) mod rounds;
pub(crate) mod saved;
mod setup;
pub(crate) mod shop;
mod talk;
mod work;

#[cfg(test)]
mod proofs;

use std::sync::Arc;

use anyhow::{Context, bail, ensure};
use souk_client::participate::Event as ShopEvent;
use souk_common::catalogue::Catalogue;
use souk_common::clock::Timestamp;
use souk_common::ids::{AttemptId, Digest};
use souk_common::learned::{Learned, Learner, Releases};
use souk_common::model::{Loaded, Recommender, file};
use souk_common::params::Epsilon;
use souk_common::plan::Plan;
use souk_common::privacy::Tally;
use souk_common::round::statements::{Announcement, Outcome as Ending};
use souk_common::update::Counts;
use souk_coordinator::engine::Engine;
use souk_coordinator::round::{Event, PauseReason};
use souk_coordinator::store::Entry;

use crate::cluster::coordinator::Coordinator;
use drift::Drift;
use network::Network;
pub(crate) use network::{Line, Stragglers};
use restarts::Base;
pub(crate) use rounds::RoundLine;
use rounds::Tallied;
use saved::{Kept, Saved};
pub(crate) use setup::{Members, members_of};
use shop::{RoundTerms, Shop};
use talk::{Letter, Welcome};
use work::Tasks;

/// The federation.
pub(crate) struct World {
    plan: Arc<Plan>,
    recommender: Arc<Recommender>,
    learner: Arc<Learner>,
    catalogue: Catalogue,
    /// That the coordinator's words are signed with.
    words_key: [u8; 32],
    coordinator: Coordinator,
    kept: Kept,
    shops: Vec<Shop>,
    line: Line,
    drift: Option<Drift>,
    seed: u64,
    network: Network<Letter>,
    tasks: Tasks,
    /// The model that is out, set up once for all shops: they hold the same bytes.
    broadcast: Option<Broadcast>,
    /// Of the round that was announced last.
    terms: Option<(AttemptId, Digest, Arc<RoundTerms>)>,
    /// What was said last to shops that come in.
    welcome: Option<Welcome>,
    tallied: Tallied,
    /// Of attempts that have just ended.
    lines: Vec<RoundLine>,
    says_epsilon: bool,
    /// Whether no attempt begins behind the open one.
    is_held: bool,
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

/// Whoever follows a run.
pub(crate) trait Watch {
    /// An attempt has ended; what is out now, if it published anything.
    ///
    /// # Errors
    /// Whatever is to end the run.
    fn ended(&mut self, line: RoundLine, out: Option<&Out>) -> anyhow::Result<()>;

    /// Whether lines are to say the epsilon so far: it takes a while to work out.
    fn wants_epsilon(&self) -> bool {
        false
    }

    /// Whether the federation is to be saved after this round.
    fn saves(&self, _round: u64) -> bool {
        false
    }

    /// The federation between two rounds.
    ///
    /// # Errors
    /// Whatever is to end the run.
    fn save(&mut self, _saved: &Saved) -> anyhow::Result<()> {
        Ok(())
    }
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
        Self::from(plan, catalogue, members, (line, None), seed, None)
    }

    /// The same with tastes that move; or a federation that goes on from where it was saved, with the same of everything else.
    ///
    /// # Errors
    /// As [`Self::new`]; or when what was saved is of other shops.
    pub(crate) fn from(
        plan: &Plan,
        catalogue: &Catalogue,
        members: Vec<Members>,
        (line, drift): (Line, Option<Drift>),
        seed: u64,
        saved: Option<Saved>,
    ) -> anyhow::Result<Self> {
        let plan = Arc::new(plan.clone());
        let recommender = Recommender::new(&plan.model, &plan.train, catalogue);
        let learner = Arc::new(Learner::new(&plan, catalogue));
        let base = Base {
            plan,
            recommender,
            learner,
            catalogue: catalogue.clone(),
            line,
            drift,
            seed,
        };
        base.begin(members, saved)
    }

    /// Runs to the plan's last round. `published` hears of every model: round and parameters.
    ///
    /// # Errors
    /// When the run pauses, because no quorum comes together.
    pub(crate) fn run(self, published: impl FnMut(u64, &[f32])) -> anyhow::Result<Outcome> {
        struct Of<F>(F);
        impl<F: FnMut(u64, &[f32])> Watch for Of<F> {
            fn ended(&mut self, line: RoundLine, out: Option<&Out>) -> anyhow::Result<()> {
                if let Some(out) = out {
                    (self.0)(line.round, out.params());
                }
                Ok(())
            }
        }
        self.run_watched(&mut Of(published))
    }

    /// The same, and `watch` hears of every attempt. Where it wants the federation to be saved, all programs are stopped and
    /// started again.
    ///
    /// # Errors
    /// As [`Self::run`], or of `watch`.
    pub(crate) fn run_watched(mut self, watch: &mut dyn Watch) -> anyhow::Result<Outcome> {
        self.start(watch)?;
        while !self.finished {
            if let Some(reason) = self.paused {
                let round = self.engine()?.machine().published() + 1;
                bail!("round {round} is not to be had: {}", reason.words());
            }
            let Some((now, letter)) = self.network.next() else {
                let round = self.engine()?.machine().published() + 1;
                ensure!(
                    !self.coordinator.is_spent(),
                    "round {round} is not to be had: {}",
                    PauseReason::Spent.words()
                );
                bail!("round {round} is not to be had: nobody has anything left to do");
            };
            self.now = now;
            self.deliver(letter)?;
            self.hold(watch)?;
            let mut saves = false;
            for line in std::mem::take(&mut self.lines) {
                let round = line.published.then_some(line.round);
                let out = match round {
                    Some(_) => Some(self.broadcast()?.out.clone()),
                    None => None,
                };
                saves |= round.is_some_and(|round| watch.saves(round));
                let attempt = line.attempt;
                watch.ended(line, out.as_ref())?;
                if round.is_none() {
                    self.try_again(attempt)?;
                }
            }
            if saves && !self.finished {
                let saved = self.saved()?;
                watch.save(&saved)?;
                self = self.go_on(saved)?;
                self.start(watch)?;
            }
        }
        self.outcome()
    }

    fn start(&mut self, watch: &dyn Watch) -> anyhow::Result<()> {
        self.says_epsilon = watch.wants_epsilon();
        let said = self.coordinator.tell(self.now, Event::Started);
        self.hear(said)?;
        if self.is_held {
            self.let_go()?;
        }
        (0..self.shops.len()).try_for_each(|shop| self.tell(shop, ShopEvent::Started))
    }

    fn outcome(mut self) -> anyhow::Result<Outcome> {
        let mut tally = Tally::default();
        for shop in &mut self.shops {
            tally.merge(shop.agent.holdings().tally);
        }
        let epsilon = self.epsilon();
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

    /// The largest epsilon of any shop's ledger; none if nothing bounds it.
    fn epsilon(&mut self) -> Option<Epsilon> {
        let delta = self.plan.privacy.delta;
        // Most shops have spent the same: each sum is worked out once.
        let mut spends = Vec::new();
        for shop in &mut self.shops {
            let spent = shop.agent.holdings().spends();
            if !spends.contains(&spent) {
                spends.push(spent);
            }
        }
        let epsilons = spends.iter().map(|spent| spent.epsilon(delta));
        epsilons.fold(Epsilon::new(0.0).ok(), larger)
    }

    /// The plan of an announced round and its grid.
    fn terms(&mut self, announcement: &Announcement) -> anyhow::Result<Arc<RoundTerms>> {
        if let Some((id, model, terms)) = &self.terms
            && (*id, *model) == (announcement.id, announcement.model)
        {
            return Ok(Arc::clone(terms));
        }
        let none = Learned::Model(Vec::new());
        let learned = match &self.broadcast()?.out {
            Out::Releases(learned) => Arc::clone(learned),
            Out::Model { .. } => Arc::new(none),
        };
        let round = announcement.id.round;
        let (plan, grid) = self.learner.round(&learned, round)?;
        let coordinates = self.learner.coordinates(round);
        let terms = Arc::new(RoundTerms {
            plan,
            grid,
            coordinates,
        });
        self.terms = Some((announcement.id, announcement.model, Arc::clone(&terms)));
        Ok(terms)
    }
}

/// None is larger than any number.
fn larger(a: Option<Epsilon>, b: Option<Epsilon>) -> Option<Epsilon> {
    match (a, b) {
        (Some(a), Some(b)) => Some(if a.get() < b.get() { b } else { a }),
        _ => None,
    }
}
