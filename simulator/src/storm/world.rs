//! One federation in a storm: letters on virtual time, and what goes wrong with them.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::sync::Arc;

use rand::RngExt;
use souk_client::participate::Event as ShopEvent;
use souk_common::clock::Timestamp;
use souk_common::ids::{Digest, Digester};
use souk_common::rng::{Stream as Rng, stream};
use souk_common::round::record::{Announcement, Outcome as Ending};
use souk_common::wire::frame::{Framed, from_bytes, to_bytes};
use souk_common::wire::messages::{Push, Reply, Request};
use souk_coordinator::round::{Event, Phase};
use souk_coordinator::store::Entry;

use super::coordinator::{Coordinator, Said, Stopped, Stream};
use super::disk::{FakeDisk, Stop};
use super::ops::{self, Op, Script, Whom};
use super::plant::Plant;
use super::referee::Referee;
use super::setup::Setup;
use super::shop::{Later, Shop, Wish};

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
    /// Receipts that shops got.
    pub(crate) receipts: u64,
    /// Machines that stopped in the middle of a write, or between two.
    pub(crate) crashes: u64,
    /// Programs that ended on an error of their disk and began anew.
    pub(crate) ended_by_disk: u64,
    /// Virtual seconds.
    pub(crate) seconds: f64,
    /// A digest of everything that happened, in order, but for noise, keys and what is made of them.
    pub(crate) trace: Option<Digest>,
}

/// How a storm blows.
#[derive(Clone, Debug)]
pub(crate) struct Weather {
    pub(crate) seed: u64,
    /// Mean pause between two things that go wrong.
    pub(crate) pause_ms: i64,
    pub(crate) plant: Option<Plant>,
    /// These things at their times, in place of drawn ones.
    pub(crate) script: Option<Script>,
}

enum Letter {
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
    Blob(Stream, Vec<u8>),
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
    Later {
        shop: usize,
        boots: u64,
        what: Later,
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

struct Posted {
    at: Timestamp,
    number: u64,
    letter: Letter,
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
    weather: Weather,
    plan: Digest,
    rng: Rng,
    now: Timestamp,
    queue: BinaryHeap<Reverse<Posted>>,
    posted: u64,
    coordinator: Coordinator,
    shops: Vec<Shop>,
    lines: Vec<Line>,
    referee: Referee,
    outcome: Outcome,
    trace: Digester,
    finished: bool,
    /// How each machine stops when it is told to, and how long it is down: the coordinator's first.
    stops: Vec<(Stop, i64)>,
    /// Of the program that ended last by itself.
    last_words: String,
}

impl Storm {
    pub(crate) fn new(setup: &Arc<Setup>, weather: Weather) -> anyhow::Result<Self> {
        let seed = weather.seed;
        let lie = weather.plant.and_then(Plant::of_coordinator);
        let mut coordinator = Coordinator::new(FakeDisk::lying(seed, "coordinator's disk", lie), setup);
        coordinator.found(setup)?;
        let shops = (0..setup.shops.len())
            .map(|place| {
                let lie = weather.plant.and_then(Plant::of_shop);
                let disk = FakeDisk::lying(seed, &format!("disk of shop {place}"), lie);
                Shop::new(place, disk, setup, weather.plant)
            })
            .collect::<anyhow::Result<Vec<_>>>()?;
        Ok(Self {
            plan: setup.plan.digest(),
            rng: stream(seed, "storm"),
            now: Timestamp(START_MS),
            queue: BinaryHeap::new(),
            posted: 0,
            lines: vec![Line::default(); shops.len()],
            coordinator,
            shops,
            referee: Referee::default(),
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
                later => self.post_at(Timestamp(START_MS + later), Letter::Op(op)),
            }),
            None => self.next_op(),
        }
        self.start_coordinator();
        for shop in 0..self.shops.len() {
            self.start_shop(shop);
        }
        let (mut letters, mut newest, mut since) = (0u64, None, self.now);
        while self.referee.faults.is_empty() && !self.is_over() {
            let Some(Reverse(posted)) = self.queue.pop() else {
                let state = self.describe();
                self.referee
                    .faults
                    .push(format!("hang: nobody has anything left to do: {state}"));
                break;
            };
            self.now = self.now.max(posted.at);
            letters += 1;
            if self.referee.newest() != newest {
                (newest, since) = (self.referee.newest(), self.now);
            }
            if self.now.0 - since.0 > MOST_MS_A_ROUND || letters > MOST_LETTERS {
                let state = self.describe();
                self.referee
                    .faults
                    .push(format!("hang: not over after {letters} letters: {state}"));
                break;
            }
            self.deliver(posted.letter);
        }
        self.end()
    }

    fn is_over(&mut self) -> bool {
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
            self.referee.audit(shop, &self.shops[shop], self.plan);
        }
        if self.referee.faults.is_empty()
            && self.referee.newest().map(|newest| newest.0) != Some(self.setup.plan.rounds)
        {
            self.referee
                .faults
                .push("the last round was published to nobody".into());
        }
        self.outcome.faults = std::mem::take(&mut self.referee.faults);
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
                _ => {}
            }
        }
        self.outcome.seconds = (self.now.0 - START_MS) as f64 / 1000.0;
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

    // Time.

    fn post_at(&mut self, at: Timestamp, letter: Letter) {
        let number = self.posted;
        self.posted += 1;
        self.queue.push(Reverse(Posted { at, number, letter }));
    }

    fn post_in(&mut self, ms: i64, letter: Letter) {
        self.post_at(Timestamp(self.now.0 + ms.max(0)), letter);
    }

    fn next_op(&mut self) {
        let (wait, op) = ops::next(&mut self.rng, self.shops.len(), self.weather.pause_ms);
        self.post_in(wait, Letter::Op(op));
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

    // Letters.

    fn deliver(&mut self, letter: Letter) {
        match letter {
            Letter::Op(op) => self.go_wrong(op),
            Letter::Question(stream, frame) => self.take_question(stream, &frame),
            Letter::Bytes(stream, bytes, last) => {
                if self.stands(stream.shop, stream.link) {
                    let said = self
                        .coordinator
                        .bytes(self.coordinators_time(), stream, &bytes, last);
                    self.after_coordinator(said);
                }
            }
            Letter::Push { shop, link, frame } => self.take_push(shop, link, &frame),
            Letter::Reply(stream, frame) => self.take_reply(stream, &frame),
            Letter::Blob(stream, bytes) => {
                if self.stands_at_shop(stream) {
                    let now = self.shops_time(stream.shop);
                    let wishes = self.shops[stream.shop].fetched(now, stream.number, &bytes);
                    self.after_shop(stream.shop, wishes);
                }
            }
            Letter::Timer { boots } => self.ring(boots),
            Letter::Resume { boots } if boots == self.coordinator.boots => {
                let said = self.coordinator.resume(self.coordinators_time());
                self.after_coordinator(said);
            }
            Letter::Dial { shop, boots } if self.is_running(shop, boots) => self.dial(shop),
            Letter::Later { shop, boots, what } if self.is_running(shop, boots) => {
                let now = self.shops_time(shop);
                let wishes = self.shops[shop].due(now, what);
                self.after_shop(shop, wishes);
            }
            Letter::Consider {
                shop,
                boots,
                announcement,
            } if self.is_running(shop, boots) => {
                let now = self.shops_time(shop);
                let wishes = self.shops[shop].consider(now, &announcement);
                self.after_shop(shop, wishes);
            }
            Letter::Compute {
                shop,
                boots,
                announcement,
            } if self.is_running(shop, boots) => {
                self.note("compute");
                let now = self.shops_time(shop);
                let wishes = self.shops[shop].compute(now, &announcement);
                self.after_shop(shop, wishes);
            }
            Letter::LostAtShop { shop, link } => {
                if self.shops[shop].link == Some(link) {
                    self.shops[shop].hang_up();
                    self.tell_disconnected(shop);
                }
            }
            Letter::LostAtCoordinator { shop, link } => {
                let said = self.coordinator.lost(self.coordinators_time(), shop, link);
                self.after_coordinator(said);
            }
            Letter::StartCoordinator { boots } if boots == self.coordinator.boots => self.start_coordinator(),
            Letter::StartShop { shop, boots } if boots == self.shops[shop].boots => self.start_shop(shop),
            // Of a process that is no more.
            Letter::Resume { .. }
            | Letter::Dial { .. }
            | Letter::Later { .. }
            | Letter::Consider { .. }
            | Letter::Compute { .. }
            | Letter::StartCoordinator { .. }
            | Letter::StartShop { .. } => {}
        }
    }

    fn is_running(&self, shop: usize, boots: u64) -> bool {
        self.shops[shop].boots == boots && self.shops[shop].is_up()
    }

    fn stands(&mut self, shop: usize, link: u64) -> bool {
        self.lines[shop].up && self.lines[shop].link == link && self.coordinator.engine().is_some()
    }

    fn stands_at_shop(&self, stream: Stream) -> bool {
        self.lines[stream.shop].up && self.shops[stream.shop].link == Some(stream.link)
    }

    fn take_question(&mut self, stream: Stream, frame: &[u8]) {
        if !self.stands(stream.shop, stream.link) {
            return;
        }
        match from_bytes::<Request>(frame) {
            Ok(request) => {
                tracing::debug!(at = %self.now, ?stream, ?request, "asked");
                let said = self.coordinator.answer(self.coordinators_time(), stream, request);
                self.after_coordinator(said);
            }
            // A peer that does not follow the protocol loses its connection.
            Err(_) => self.cut(stream.shop, 0),
        }
    }

    fn take_push(&mut self, shop: usize, link: u64, frame: &[u8]) {
        if !self.lines[shop].up || self.shops[shop].link != Some(link) {
            return;
        }
        match from_bytes::<Push>(frame) {
            Ok(push) => {
                tracing::debug!(at = %self.now, shop, ?push, "told");
                let now = self.shops_time(shop);
                let wishes = self.shops[shop].hear(now, push);
                self.after_shop(shop, wishes);
            }
            Err(_) => self.cut(shop, 0),
        }
    }

    fn take_reply(&mut self, stream: Stream, frame: &[u8]) {
        if !self.stands_at_shop(stream) {
            return;
        }
        match from_bytes::<Reply>(frame) {
            Ok(reply) => {
                tracing::debug!(at = %self.now, ?stream, ?reply, "answered");
                let now = self.shops_time(stream.shop);
                let wishes = self.shops[stream.shop].answered(now, stream.number, reply);
                self.after_shop(stream.shop, wishes);
            }
            Err(_) => self.cut(stream.shop, 0),
        }
    }

    fn ring(&mut self, boots: u64) {
        if boots != self.coordinator.boots {
            return;
        }
        let now = self.coordinators_time();
        // Its clock may have been set back meanwhile: it looks again.
        match self.coordinator.wake_at {
            Some(at) if at > now => self.post_in((at.0 - now.0).min(LOOK_AGAIN_MS), Letter::Timer { boots }),
            _ => {
                self.coordinator.wake_at = None;
            }
        }
        let said = self.coordinator.tell(now, Event::Timer);
        self.after_coordinator(said);
    }

    /// Puts a word on a line, with what may go wrong there.
    fn send<T: Framed>(
        &mut self,
        shop: usize,
        to_shop: bool,
        message: &T,
        letter: impl Fn(Vec<u8>) -> Letter,
    ) {
        let Ok(mut frame) = to_bytes(message) else {
            self.referee.faults.push("a word that is too long".into());
            return;
        };
        let jitter = self.rng.random_range(5..60);
        let line = &mut self.lines[shop];
        if let Some(bit) = line.corrupt[usize::from(to_shop)].take() {
            let bit = bit as usize % (frame.len() * 8);
            frame[bit / 8] ^= 1 << (bit % 8);
        }
        let twice = std::mem::take(&mut line.duplicate[usize::from(to_shop)]);
        let last = match to_shop {
            true => &mut line.last_there,
            false => &mut line.last_here,
        };
        let at = (self.now.0 + jitter + line.delay_ms).max(*last);
        *last = at;
        if twice {
            self.post_at(Timestamp(at), letter(frame.clone()));
        }
        self.post_at(Timestamp(at), letter(frame));
    }

    /// What the coordinator has said goes out, unless it has stopped over it.
    fn after_coordinator(&mut self, said: Result<Vec<Said>, Stopped>) {
        if self.coordinator.disk.is_off() {
            return self.stop_coordinator(None);
        }
        let said = match said {
            Ok(said) => said,
            Err(error) => {
                tracing::debug!(%error, "the coordinator ends");
                self.last_words = format!("coordinator: {error:#}");
                self.outcome.ended_by_disk += 1;
                return self.stop_coordinator(Some(Stop::Kill));
            }
        };
        let boots = self.coordinator.boots;
        for said in said {
            match said {
                Said::Push { shop, link, push } => {
                    self.referee.heard(shop, &push);
                    if let Push::Ended { id, .. } = &push {
                        self.note(&format!("ended {id}"));
                    }
                    self.send(shop, true, &push, |frame| Letter::Push { shop, link, frame });
                }
                Said::Reply(stream, reply) => {
                    self.referee.told(stream.shop, &reply);
                    if matches!(reply, Reply::Receipt(_)) {
                        self.outcome.receipts += 1;
                        self.note("receipt");
                    }
                    self.send(stream.shop, true, &reply, |frame| Letter::Reply(stream, frame));
                }
                Said::Blob(stream, bytes) => {
                    let ms = self.rng.random_range(20..200);
                    self.post_in(ms, Letter::Blob(stream, bytes));
                }
                Said::WakeAt(at) => {
                    self.coordinator.wake_at = Some(at);
                    let wait = at.0 - self.coordinators_time().0;
                    self.post_in(wait.min(LOOK_AGAIN_MS), Letter::Timer { boots });
                }
                Said::Paused => self.post_in(OPERATOR_MS, Letter::Resume { boots }),
                Said::Finished => self.finished = true,
            }
        }
    }

    /// What a shop wants is done, unless it has stopped over it.
    fn after_shop(&mut self, shop: usize, wishes: anyhow::Result<Vec<Wish>>) {
        if self.shops[shop].disk.is_off() {
            return self.stop_shop(shop, None);
        }
        let wishes = match wishes {
            Ok(wishes) => wishes,
            Err(error) => {
                tracing::debug!(%error, shop, "a shop ends");
                self.last_words = format!("shop {shop}: {error:#}");
                self.outcome.ended_by_disk += 1;
                return self.stop_shop(shop, Some(Stop::Kill));
            }
        };
        let (boots, now) = (self.shops[shop].boots, self.shops_time(shop));
        let wait = |at: Timestamp| at.0 - now.0;
        for wish in wishes {
            match wish {
                Wish::Ask { number, request } => {
                    self.referee.asked(shop, &request);
                    let link = self.shops[shop].link.unwrap_or_default();
                    let stream = Stream { shop, link, number };
                    self.send(shop, false, &request, |frame| Letter::Question(stream, frame));
                }
                Wish::Bytes {
                    number,
                    header,
                    bytes,
                    last,
                } => {
                    self.referee.leaves(shop, &header);
                    let link = self.shops[shop].link.unwrap_or_default();
                    let stream = Stream { shop, link, number };
                    let ms = match self.rng.random_bool(SLOW_PIECES) {
                        true => self.rng.random_range(400..4_000),
                        false => self.rng.random_range(20..400),
                    };
                    let at = (self.now.0 + ms).max(self.lines[shop].last_here);
                    self.lines[shop].last_here = at;
                    self.post_at(Timestamp(at), Letter::Bytes(stream, bytes, last));
                }
                Wish::Dial { at } => {
                    self.post_in(wait(at), Letter::Dial { shop, boots });
                }
                Wish::Later { at, what } => {
                    self.post_in(wait(at), Letter::Later { shop, boots, what });
                }
                Wish::Consider(announcement) => {
                    let letter = Letter::Consider {
                        shop,
                        boots,
                        announcement,
                    };
                    self.post_in(5, letter);
                }
                Wish::Compute(announcement) => {
                    let slow = std::mem::take(&mut self.shops[shop].slow_ms);
                    let ms = self.rng.random_range(200..4_000) + slow;
                    let letter = Letter::Compute {
                        shop,
                        boots,
                        announcement,
                    };
                    self.post_in(ms, letter);
                }
                Wish::GiveUp => self.cut(shop, 0),
            }
        }
    }

    // Connections.

    fn dial(&mut self, shop: usize) {
        let reachable = self.now.0 >= self.lines[shop].cut_until && self.coordinator.engine().is_some();
        if !reachable {
            // Nobody answers: the shop gives up after a while.
            let wait = self.rng.random_range(100..3_000);
            self.shops[shop].link = None;
            let link = self.lines[shop].link + 1;
            self.lines[shop].link = link;
            self.shops[shop].link = Some(link);
            self.post_in(wait, Letter::LostAtShop { shop, link });
            return;
        }
        let line = &mut self.lines[shop];
        let (old, link) = (line.link, line.link + 1);
        line.link = link;
        (line.up, line.delay_ms) = (true, 0);
        // A coordinator that has not noticed yet will.
        let notice = self.rng.random_range(0..2_000);
        self.post_in(notice, Letter::LostAtCoordinator { shop, link: old });
        let wishes = Ok(self.shops[shop].linked(link));
        self.after_shop(shop, wishes);
    }

    /// The line breaks; both ends notice, each in its time.
    fn cut(&mut self, shop: usize, for_ms: i64) {
        let line = &mut self.lines[shop];
        line.cut_until = line.cut_until.max(self.now.0 + for_ms);
        if !std::mem::take(&mut line.up) {
            return;
        }
        let link = line.link;
        let (here, there) = (self.rng.random_range(0..3_000), self.rng.random_range(0..30_000));
        self.post_in(here, Letter::LostAtShop { shop, link });
        self.post_in(there, Letter::LostAtCoordinator { shop, link });
    }

    fn tell_disconnected(&mut self, shop: usize) {
        let jitter = self.rng.random();
        let now = self.shops_time(shop);
        let wishes = self.shops[shop].event(now, ShopEvent::Disconnected { jitter });
        self.after_shop(shop, wishes);
    }

    // Starts and stops.

    fn start_coordinator(&mut self) {
        self.note("coordinator starts");
        let now = self.coordinators_time();
        let setup = Arc::clone(&self.setup);
        let said = self.coordinator.start(now, &setup);
        let started = said.is_ok();
        self.after_coordinator(said);
        if started && !self.coordinator.disk.is_off() {
            self.examine();
        }
        let engine = self.coordinator.engine();
        if engine.is_some_and(|engine| engine.machine().phase() == Phase::Finished) {
            self.finished = true;
        }
    }

    /// What the coordinator keeps is looked at without touching the disk's fuse.
    fn examine(&mut self) {
        let names = self.setup.shops.clone();
        let Some(engine) = self.coordinator.engine() else {
            return;
        };
        if let Err(error) = self.referee.examine(engine, &names)
            && !self.coordinator.disk.is_off()
        {
            self.referee
                .faults
                .push(format!("the coordinator's store can't be read: {error}"));
        }
    }

    /// `None`: the machine has stopped by itself, as it was told.
    fn stop_coordinator(&mut self, how: Option<Stop>) {
        self.note("coordinator stops");
        let (told, down_ms) = self.stops[0];
        self.outcome.crashes += u64::from(how.is_none());
        self.coordinator.stop();
        self.coordinator.disk.restart(how.unwrap_or(told));
        let boots = self.coordinator.boots;
        for shop in 0..self.shops.len() {
            self.cut(shop, 0);
        }
        self.post_in(down_ms, Letter::StartCoordinator { boots });
    }

    fn start_shop(&mut self, shop: usize) {
        self.note("shop starts");
        let now = self.shops_time(shop);
        let wishes = self.shops[shop].start(now);
        let started = wishes.is_ok();
        self.after_shop(shop, wishes);
        if started && self.shops[shop].is_up() {
            self.referee.audit(shop, &self.shops[shop], self.plan);
        }
    }

    fn stop_shop(&mut self, shop: usize, how: Option<Stop>) {
        self.note("shop stops");
        let (told, down_ms) = self.stops[shop + 1];
        self.outcome.crashes += u64::from(how.is_none());
        self.shops[shop].stop();
        self.cut(shop, 0);
        self.shops[shop].disk.restart(how.unwrap_or(told));
        let boots = self.shops[shop].boots;
        self.post_in(down_ms, Letter::StartShop { shop, boots });
    }

    fn go_wrong(&mut self, op: Op) {
        if self.weather.script.is_none() && !self.finished {
            self.next_op();
        }
        *self.outcome.ops.entry(op.name()).or_default() += 1;
        self.note(op.name());
        match op {
            Op::Crash {
                whom,
                how,
                writes,
                down_ms,
            } => {
                self.stops[place(whom)] = (how, down_ms);
                match (writes, whom) {
                    (Some(writes), _) => self.disk(whom).stop_after(writes),
                    (None, Whom::Coordinator) if self.coordinator.engine().is_some() => {
                        self.coordinator.disk.switch_off();
                        self.stop_coordinator(None);
                    }
                    (None, Whom::Shop(shop)) if self.shops[shop].is_up() => {
                        self.shops[shop].disk.switch_off();
                        self.stop_shop(shop, None);
                    }
                    // It is down already.
                    (None, _) => {}
                }
            }
            Op::DiskError { whom, writes, how } => self.disk(whom).fail_after(writes, how),
            Op::Cut { shop, for_ms } => self.cut(shop, for_ms),
            Op::Delay { shop, by_ms } => self.lines[shop].delay_ms = by_ms,
            Op::Duplicate { shop, to_shop } => self.lines[shop].duplicate[usize::from(to_shop)] = true,
            Op::Corrupt { shop, to_shop, bit } => {
                self.lines[shop].corrupt[usize::from(to_shop)] = Some(bit);
            }
            Op::ClockJump { whom, by_ms } => match whom {
                Whom::Coordinator => self.coordinator.ahead_ms += by_ms,
                Whom::Shop(shop) => self.shops[shop].ahead_ms += by_ms,
            },
            Op::Slow { shop, by_ms } => self.shops[shop].slow_ms = by_ms,
        }
    }

    fn disk(&self, whom: Whom) -> &FakeDisk {
        match whom {
            Whom::Coordinator => &self.coordinator.disk,
            Whom::Shop(shop) => &self.shops[shop].disk,
        }
    }
}

fn place(whom: Whom) -> usize {
    match whom {
        Whom::Coordinator => 0,
        Whom::Shop(shop) => shop + 1,
    }
}

impl Posted {
    fn key(&self) -> (Timestamp, u64) {
        (self.at, self.number)
    }
}

impl PartialEq for Posted {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl Eq for Posted {}

impl PartialOrd for Posted {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Posted {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.key().cmp(&other.key())
    }
}

/// How many pieces of an update take long.
const SLOW_PIECES: f64 = 0.2;
/// Some day, so that clocks can go back.
const START_MS: i64 = 1_700_000_000_000;
/// A round that takes longer hangs, whatever goes wrong meanwhile.
const MOST_MS_A_ROUND: i64 = 600_000;
const MOST_LETTERS: u64 = 2_000_000;
/// A timer is looked at this often, as clocks may be set.
const LOOK_AGAIN_MS: i64 = 5_000;
/// So long the operator takes to see that the run is paused, and why.
const OPERATOR_MS: i64 = 20_000;
/// How a machine starts again that ended for a reason of its own.
const BY_ITSELF: (Stop, i64) = (Stop::Kill, 1_000);
