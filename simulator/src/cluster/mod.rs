//! One federation in a storm, on virtual time.
//!
//! | module | what |
//! |---|---|
//! | this one | the loop: what happens next, and whether it is over |
//! | [`delivery`] | words, answers and bytes, and what they lead to |
//! | [`connections`] | connections |
//! | [`crashes`] | starts, stops, and what goes wrong |

pub(crate) mod checker;
pub(crate) mod connections;
pub(crate) mod coordinator;
mod crashes;
pub(crate) mod delivery;
pub(crate) mod disk;
pub(crate) mod entropy;
pub(crate) mod faults;
pub(crate) mod leaks;
pub(crate) mod liar;
pub(crate) mod member;
pub(crate) mod mutations;
pub(crate) mod queue;
pub(crate) mod setup;
pub(crate) mod shop;

use std::collections::BTreeMap;
use std::sync::Arc;

use rand::RngExt;
use souk_client::participate::Event as ShopEvent;
use souk_common::clock::Timestamp;
use souk_common::ids::{Digest, Digester};
use souk_common::rng::{Stream as Rng, stream};
use souk_common::round::statements::{Announcement, Outcome as Ending};
use souk_common::wire::frame::{Framed, from_bytes, to_bytes};
use souk_common::wire::messages::{Push, Reply, Request};
use souk_coordinator::round::{Event, Phase};
use souk_coordinator::store::Entry;

use crate::cluster::checker::Checker;
use crate::cluster::coordinator::{Coordinator, Said, Stopped, Stream};
use crate::cluster::disk::{FakeDisk, Stop};
use crate::cluster::faults::{Op, Script, Whom};
use crate::cluster::leaks::Leaks;
use crate::cluster::liar::Liar;
use crate::cluster::member::{Member, MemberLie};
use crate::cluster::mutations::Mutation;
use crate::cluster::queue::Queue;
use crate::cluster::setup::Setup;
use crate::cluster::shop::{Shop, Wish};

/// What came of it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Outcome {
    /// What must not happen and did.
    pub(crate) faults: Vec<String>,
    /// Things that went wrong, by name.
    pub(crate) ops: BTreeMap<&'static str, u64>,
    /// Attempts with a model, and without.
    pub(crate) published: u64,
    pub(crate) abandoned: u64,
    /// Whether nothing was left of a plan of releases before its last one came.
    pub(crate) spent: bool,
    /// Shops that the record names, once each time.
    pub(crate) named: Vec<String>,
    /// What each shop's ledger is charged for.
    pub(crate) charged: Vec<u64>,
    /// Receipts that shops got.
    pub(crate) receipts: u64,
    /// Machines that stopped in the middle of a write, or between two.
    pub(crate) crashes: u64,
    /// Programs that ended on an error of their disk and began anew.
    pub(crate) ended_by_disk: u64,
    /// Virtual seconds.
    pub(crate) seconds: f64,
    /// A digest of everything that happened, and of all that was written to any disk, in order.
    pub(crate) trace: Option<Digest>,
}

/// How a storm blows.
#[derive(Clone, Debug)]
pub(crate) struct FaultConfig {
    pub(crate) seed: u64,
    /// Mean pause between two things that go wrong.
    pub(crate) pause_ms: i64,
    pub(crate) plant: Option<Mutation>,
    /// These things at their times, in place of drawn ones.
    pub(crate) script: Option<Script>,
    /// The coordinator shows shops different lists.
    pub(crate) lies: bool,
    /// How the last shop lies to the others.
    pub(crate) member: Option<MemberLie>,
}

pub(crate) enum Delivery {
    Op(Op),
    /// A question, with the connection and stream it is on.
    Question(Stream, Vec<u8>),
    /// Whether they are the last stands behind them.
    Bytes(Stream, Vec<u8>, bool),
    Push {
        shop: usize,
        link: u64,
        frame: Vec<u8>,
    },
    Reply(Stream, Vec<u8>),
    /// Of a blob; whether its stream ends behind them.
    Fetched(Stream, Vec<u8>, bool),
    Timer {
        boots: u64,
    },
    Resume {
        boots: u64,
    },
    Dial {
        shop: usize,
        boots: u64,
    },
    Wake {
        shop: usize,
        boots: u64,
    },
    Consider {
        shop: usize,
        boots: u64,
        announcement: Announcement,
    },
    Compute {
        shop: usize,
        boots: u64,
        announcement: Announcement,
    },
    /// An end notices that its connection is gone.
    LostAtShop {
        shop: usize,
        link: u64,
    },
    LostAtCoordinator {
        shop: usize,
        link: u64,
    },
    StartCoordinator {
        boots: u64,
    },
    StartShop {
        shop: usize,
        boots: u64,
    },
}

/// A shop's line.
#[derive(Clone, Copy, Default)]
struct Line {
    link: u64,
    /// The connection that stands, if one does.
    up: bool,
    /// No dialling before.
    cut_until: i64,
    delay_ms: i64,
    /// Nothing overtakes on it.
    last_there: i64,
    last_here: i64,
    duplicate: [bool; 2],
    corrupt: [Option<u32>; 2],
}

/// The federation.
pub(crate) struct Storm {
    setup: Arc<Setup>,
    weather: FaultConfig,
    plan: Digest,
    rng: Rng,
    now: Timestamp,
    queue: Queue<Timestamp, Delivery>,
    coordinator: Coordinator,
    coordinators_disk: FakeDisk,
    shops: Vec<Shop>,
    lines: Vec<Line>,
    referee: Checker,
    liar: Option<Liar>,
    member: Member,
    outcome: Outcome,
    trace: Digester,
    finished: bool,
    /// How each machine stops when it is told to, and how long it is down: the coordinator's first.
    stops: Vec<(Stop, i64)>,
    /// Of the program that ended last by itself.
    last_words: String,
}

impl Storm {
    pub(crate) fn new(setup: &Arc<Setup>, weather: FaultConfig) -> anyhow::Result<Self> {
        let seed = weather.seed;
        let lie = weather.plant.and_then(Mutation::of_coordinator);
        let disk = FakeDisk::lying(seed, "coordinator's disk", lie);
        let memberships = coordinator::found(&disk, setup, Timestamp(START_MS))?;
        let shops = (0..setup.shops.len())
            .map(|place| {
                let lie = weather.plant.and_then(Mutation::of_shop);
                let disk = FakeDisk::lying(seed, &format!("disk of shop {place}"), lie);
                let lie = weather.member.filter(|_| place + 1 == setup.shops.len());
                Shop::new(place, disk, (setup, &memberships[place]), (weather.plant, lie))
            })
            .collect::<anyhow::Result<Vec<_>>>()?;
        let masking = setup.plan.masking_params();
        let leaks = masking.map(|terms| Leaks::new(terms, &setup.shops));
        Ok(Self {
            plan: setup.plan.digest(),
            rng: stream(seed, "storm"),
            now: Timestamp(START_MS),
            queue: Queue::default(),
            lines: vec![Line::default(); shops.len()],
            coordinator: Coordinator::new(setup.shops.clone(), None),
            coordinators_disk: disk,
            shops,
            referee: Checker::of_masked(leaks),
            member: Member::default(),
            liar: weather.lies.then(|| Liar::new(seed, setup)).flatten(),
            outcome: Outcome::default(),
            trace: Digester::default(),
            finished: false,
            stops: vec![BY_ITSELF; setup.shops.len() + 1],
            last_words: String::new(),
            setup: Arc::clone(setup),
            weather,
        })
    }

    /// Blows until the run is complete and every shop has its last model, or until something is found.
    pub(crate) fn run(mut self) -> Outcome {
        match self.weather.script.clone() {
            // What goes wrong at the very beginning is there before the programs are.
            Some(script) => script.into_iter().for_each(|(at, op)| match at.0 {
                0 => self.go_wrong(op),
                later => self.post_at(Timestamp(START_MS + later), Delivery::Op(op)),
            }),
            None => self.next_op(),
        }
        self.start_coordinator();
        for shop in 0..self.shops.len() {
            self.start_shop(shop);
        }
        let (mut letters, mut newest, mut since) = (0u64, None, self.now);
        while self.referee.faults.is_empty() && !self.is_over() {
            let Some((at, letter)) = self.queue.take() else {
                let state = self.describe();
                self.referee
                    .faults
                    .push(format!("hang: nobody has anything left to do: {state}"));
                break;
            };
            self.now = self.now.max(at);
            letters += 1;
            if self.referee.newest() != newest {
                (newest, since) = (self.referee.newest(), self.now);
            }
            let most = if self.liar.is_some() {
                MOST_MS_WITH_LIES
            } else {
                MOST_MS_A_ROUND
            };
            if self.now.0 - since.0 > most || letters > MOST_LETTERS {
                let state = self.describe();
                self.referee
                    .faults
                    .push(format!("hang: not over after {letters} letters: {state}"));
                break;
            }
            self.deliver(letter);
        }
        self.end()
    }

    fn is_over(&mut self) -> bool {
        if self.coordinator.is_spent() {
            return true;
        }
        if !self.finished {
            return false;
        }
        let last = self
            .coordinator
            .engine()
            .map(|engine| engine.manifest().body.model);
        let done = |shop: &Shop| {
            shop.agent().is_some_and(|agent| {
                let memory = agent.machine().memory();
                memory.model == last && memory.outbox.is_none()
            })
        };
        last.is_some() && self.shops.iter().all(done)
    }

    fn end(mut self) -> Outcome {
        self.examine();
        for shop in 0..self.shops.len() {
            self.referee
                .audit(shop, &self.shops[shop], (self.plan, &self.setup.plan));
        }
        self.outcome.spent = self.coordinator.is_spent();
        if self.setup.plan.is_of_releases() {
            self.referee.verify(self.coordinator.engine());
        }
        if self.referee.faults.is_empty()
            && !self.outcome.spent
            && self.referee.newest().map(|newest| newest.0) != Some(self.setup.plan.rounds)
        {
            self.referee
                .faults
                .push("the last round was published to nobody".into());
        }
        if let Some(liar) = &self.liar {
            self.outcome.ops.extend(liar.told.clone());
        }
        self.outcome.faults = std::mem::take(&mut self.referee.faults);
        let charged = self.shops.iter().map(|shop| {
            let agent = shop.agent()?;
            Some(agent.workshop().spent().len() as u64)
        });
        self.outcome.charged = charged.map(Option::unwrap_or_default).collect();
        let log = self
            .coordinator
            .engine()
            .and_then(|engine| engine.store().log().ok());
        for record in log.unwrap_or_default() {
            match record.entry {
                Entry::Ended(signed) if matches!(signed.body, Ending::Published(_)) => {
                    self.outcome.published += 1;
                }
                Entry::Ended(_) => self.outcome.abandoned += 1,
                Entry::Named { shop, .. } => self.outcome.named.push(shop.to_string()),
                _ => {}
            }
        }
        self.outcome.seconds = (self.now.0 - START_MS) as f64 / 1000.0;
        let disks = self.shops.iter().map(|shop| &shop.disk);
        for disk in disks.chain([&self.coordinators_disk]) {
            self.trace.update(&disk.trace().0);
        }
        self.outcome.trace = Some(self.trace.finish());
        self.outcome
    }

    fn describe(&mut self) -> String {
        let engine = self.coordinator.engine();
        let phase = engine.map(|engine| (engine.machine().phase(), engine.machine().published()));
        let shops = self.shops.iter().zip(&self.lines);
        let shops: Vec<String> = shops
            .map(|(shop, line)| {
                let memory = shop.agent().map(|agent| agent.machine().memory());
                let outbox = memory.and_then(|memory| memory.outbox.map(|pending| pending.key.id));
                let model = memory.and_then(|memory| memory.model.map(|model| model.short()));
                format!(
                    "up {} linked {:?}/{} outbox {outbox:?} model {model:?}",
                    shop.is_up(),
                    shop.link,
                    line.up
                )
            })
            .collect();
        let last = &self.last_words;
        format!("the program that ended last said {last:?}; coordinator {phase:?}, shops {shops:?}")
    }

    fn post_at(&mut self, at: Timestamp, letter: Delivery) {
        self.queue.put(at, letter);
    }

    fn post_in(&mut self, ms: i64, letter: Delivery) {
        self.post_at(Timestamp(self.now.0 + ms.max(0)), letter);
    }

    fn next_op(&mut self) {
        let (wait, op) = faults::next(&mut self.rng, self.shops.len(), self.weather.pause_ms);
        self.post_in(wait, Delivery::Op(op));
    }

    fn coordinators_time(&self) -> Timestamp {
        Timestamp(self.now.0 + self.coordinator.ahead_ms)
    }

    fn shops_time(&self, shop: usize) -> Timestamp {
        Timestamp(self.now.0 + self.shops[shop].ahead_ms)
    }

    /// Of what a seed decides.
    fn note(&mut self, what: &str) {
        tracing::debug!(at = %self.now, what);
        self.trace.update(&self.now.0.to_le_bytes());
        self.trace.update(what.as_bytes());
    }
}

/// How many pieces of an update take long.
const SLOW_PIECES: f64 = 0.2;
/// Some day, so that clocks can go back.
const START_MS: i64 = 1_700_000_000_000;
/// A round that takes longer hangs, whatever goes wrong meanwhile.
const MOST_MS_A_ROUND: i64 = 600_000;
/// Most attempts end without a model when the coordinator lies in them.
const MOST_MS_WITH_LIES: i64 = 7_200_000;
const MOST_LETTERS: u64 = 2_000_000;
/// A timer is looked at this often, as clocks may be set.
const LOOK_AGAIN_MS: i64 = 5_000;
/// So long the operator takes to see that the run is paused, and why.
const OPERATOR_MS: i64 = 20_000;
/// How a machine starts again that ended for a reason of its own.
const BY_ITSELF: (Stop, i64) = (Stop::Kill, 1_000);
