//! The machine under every order of events that a list of operations can make: late, lost, doubled, with crashes.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use souk_common::clock::Timestamp;
use souk_common::ids::{Digest, ShopName};
use souk_common::privacy::params::{Delta, Epsilon, NoiseMultiplier};
use souk_common::round::record::{
    Announcement, Answer, AttemptId, DeclineCode, LogHead, Manifest, Outcome, Receipt, RejectCode,
    UploadHeader,
};

use super::*;

/// What a test does next. Numbers pick among what is possible at that time.
#[derive(Clone, Debug)]
enum Op {
    /// A new attempt.
    Announce,
    /// The same announcement again.
    AnnounceAgain,
    /// Carry out one of the effects that wait.
    Do(usize),
    /// One of them fails.
    Fail(usize),
    /// The open attempt ends without a model.
    End,
    /// The open attempt ends with a model.
    Publish,
    /// The connection breaks and comes back.
    Reconnect,
    /// The process dies and starts from what was durable.
    Crash,
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        2 => Just(Op::Announce),
        2 => Just(Op::AnnounceAgain),
        12 => (0usize..6).prop_map(Op::Do),
        2 => (0usize..6).prop_map(Op::Fail),
        1 => Just(Op::End),
        1 => Just(Op::Publish),
        1 => Just(Op::Reconnect),
        1 => Just(Op::Crash),
    ]
}

/// The shop's disk, its machine, and a coordinator that keeps what it gets.
struct World {
    machine: Machine,
    disk: Memory,
    waiting: Vec<Effect>,
    log: Vec<Digest>,
    open: Option<Announcement>,
    last: Option<Announcement>,
    manifest: Manifest,
    draws: u64,
    uploaded: BTreeMap<AttemptKey, BTreeSet<Digest>>,
    received: BTreeMap<AttemptId, UploadHeader>,
    answers: Vec<(AttemptKey, Answer)>,
    finished: bool,
}

impl World {
    fn new() -> Self {
        let manifest = manifest(0, Digest::of(b"initial"));
        let mut world = Self {
            machine: Machine::new(policy(), Memory::default()),
            disk: Memory::default(),
            waiting: Vec::new(),
            log: vec![Digest::of(b"log")],
            open: None,
            last: None,
            manifest,
            draws: 0,
            uploaded: BTreeMap::new(),
            received: BTreeMap::new(),
            answers: Vec::new(),
            finished: false,
        };
        world.give(Event::Started);
        world.give(Event::Welcomed(world.manifest.clone()));
        world
    }

    fn apply(&mut self, op: &Op) {
        match op {
            Op::Announce => self.announce(),
            Op::AnnounceAgain => {
                if let Some(announcement) = self.open.clone() {
                    self.give(Event::Announced(announcement));
                }
            }
            Op::Do(which) => {
                if !self.waiting.is_empty() {
                    let effect = self.waiting.remove(which % self.waiting.len());
                    self.carry_out(effect);
                }
            }
            Op::Fail(which) => {
                if !self.waiting.is_empty() {
                    let effect = self.waiting.remove(which % self.waiting.len());
                    self.fail(effect);
                }
            }
            Op::End => self.end(Outcome::BelowQuorum {
                accepted: 0,
                quorum: 1,
            }),
            Op::Publish => {
                if let Some(open) = &self.open {
                    self.manifest = manifest(open.id.round, Digest::of(&open.id.round.to_le_bytes()));
                    self.end(Outcome::Published(self.manifest.clone()));
                }
            }
            Op::Reconnect => {
                self.waiting.retain(|effect| !on_the_network(effect));
                self.give(Event::Disconnected { jitter: 0.5 });
                self.welcome();
            }
            Op::Crash => {
                self.waiting.clear();
                self.machine = Machine::new(policy(), self.disk.clone());
                self.give(Event::Started);
                self.welcome();
            }
        }
    }

    fn welcome(&mut self) {
        self.give(Event::Welcomed(self.manifest.clone()));
        if let Some(open) = self.open.clone() {
            self.give(Event::Announced(open));
        }
    }

    fn announce(&mut self) {
        let id = match &self.last {
            None => AttemptId { round: 1, attempt: 1 },
            Some(last) if self.manifest.id.round == last.id.round => AttemptId {
                round: last.id.round + 1,
                attempt: 1,
            },
            Some(last) => AttemptId {
                attempt: last.id.attempt + 1,
                ..last.id
            },
        };
        self.log.push(Digest::of(format!("log {id}").as_bytes()));
        let announcement = announcement(id, self.manifest.model, self.head());
        self.open = Some(announcement.clone());
        self.last = self.open.clone();
        self.give(Event::Announced(announcement));
    }

    fn end(&mut self, outcome: Outcome) {
        if let Some(open) = self.open.take() {
            self.give(Event::Ended { id: open.id, outcome });
        }
    }

    fn head(&self) -> LogHead {
        LogHead {
            length: self.log.len() as u64,
            head: *self.log.last().expect("begins with one"),
        }
    }

    fn give(&mut self, event: Event) {
        let effects = self.machine.handle(Timestamp(0), event);
        for effect in effects {
            match effect {
                // What is durable when handed over.
                Effect::Remember { log, announced } => {
                    self.disk.heads.insert(log.length, log.head);
                    if announced {
                        self.disk.announced = Some(log);
                    }
                }
                Effect::StoreReceipt(_) | Effect::StoreRejection { .. } => self.disk.outbox = None,
                Effect::UseModel(manifest) => self.disk.model = Some(manifest.model),
                Effect::Answer(key, answer) => self.answers.push((key, answer)),
                Effect::Finish => self.finished = true,
                Effect::Report(_) | Effect::Discard(_) | Effect::Connect { .. } => {}
                other => self.waiting.push(other),
            }
        }
    }

    fn carry_out(&mut self, effect: Effect) {
        match effect {
            Effect::Fetch { blob, .. } => self.give(Event::BlobReady(blob)),
            Effect::Consider(announcement) => {
                self.give(Event::Considered(AttemptKey::from(&announcement), costs(1.0)));
            }
            Effect::Compute(announcement) => self.give(Event::Computed(AttemptKey::from(&announcement))),
            Effect::RecordSpend(key) => {
                assert!(self.disk.spent.insert(key), "{key:?} was charged twice");
                self.give(Event::SpendRecorded(key));
            }
            Effect::PutInOutbox(key) => {
                self.draws += 1;
                let pending = Pending {
                    key,
                    header: header(key.id, self.draws),
                };
                self.disk.outbox = Some(pending);
                self.give(Event::InOutbox(pending));
            }
            Effect::Upload { pending, .. } => self.receive(pending),
            other => panic!("{other:?} does not wait"),
        }
    }

    fn receive(&mut self, pending: Pending) {
        assert!(
            self.disk.spent.contains(&pending.key),
            "bytes left before the spend was durable"
        );
        assert_eq!(
            self.disk.outbox,
            Some(pending),
            "bytes left that were not in the outbox"
        );
        let sent = self.uploaded.entry(pending.key).or_default();
        sent.insert(pending.header.update);
        assert_eq!(sent.len(), 1, "two different updates for {:?}", pending.key);
        let open = self
            .open
            .as_ref()
            .is_some_and(|open| open.id == pending.header.id);
        if open {
            self.received.insert(pending.header.id, pending.header);
        }
        match self.received.get(&pending.header.id) {
            Some(stored) => self.give(Event::Received(receipt(*stored, self.head()))),
            None => self.give(Event::Rejected {
                header: pending.header,
                code: RejectCode::NotOpen,
            }),
        }
    }

    fn fail(&mut self, effect: Effect) {
        match effect {
            Effect::Fetch { blob, .. } => self.give(Event::BlobFailed(blob)),
            Effect::Compute(announcement) => self.give(Event::Failed(AttemptKey::from(&announcement))),
            Effect::RecordSpend(key) | Effect::PutInOutbox(key) => self.give(Event::Failed(key)),
            Effect::Upload { pending, .. } => {
                // The bytes were seen by somebody all the same.
                self.uploaded
                    .entry(pending.key)
                    .or_default()
                    .insert(pending.header.update);
                self.give(Event::UploadFailed(pending.header));
            }
            other => self.waiting.push(other),
        }
    }

    fn settle(&mut self) {
        for _ in 0..1000 {
            if self.waiting.is_empty() {
                return;
            }
            self.apply(&Op::Do(0));
        }
        panic!("effects without end: {:?}", self.waiting);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]
    #[test]
    fn one_update_an_attempt_at_most_and_none_before_its_spend(ops in prop::collection::vec(op(), 0..60)) {
        let mut world = World::new();
        for op in &ops {
            world.apply(op);
        }
        // Whatever happened: with the faults over, the next attempt is answered with an update.
        world.end(Outcome::BelowQuorum { accepted: 0, quorum: 1 });
        world.settle();
        world.announce();
        world.settle();
        let id = world.open.as_ref().expect("announced").id;
        prop_assert!(world.received.contains_key(&id), "no update for {}", id);
        prop_assert_eq!(world.disk.outbox, None);
        prop_assert_eq!(world.disk.model, Some(world.manifest.model));
    }
}

#[test]
fn after_a_crash_between_spend_and_outbox_the_attempt_is_not_computed_again() {
    let mut world = World::new();
    world.settle();
    world.announce();
    while !matches!(world.waiting.first(), Some(Effect::PutInOutbox(_))) {
        world.apply(&Op::Do(0));
    }
    world.apply(&Op::Crash);
    world.settle();
    assert!(world.uploaded.is_empty() && world.disk.spent.len() == 1);
    let (key, answer) = world.answers.last().expect("answered");
    assert!(world.disk.spent.contains(key));
    assert_eq!(
        *answer,
        Answer::Decline(DeclineCode::Interrupted),
        "nobody waits for it"
    );
}

#[test]
fn after_a_crash_with_a_full_outbox_the_same_bytes_are_offered_again() {
    let mut world = World::new();
    world.settle();
    world.announce();
    while !matches!(world.waiting.first(), Some(Effect::Upload { .. })) {
        world.apply(&Op::Do(0));
    }
    let pending = world.disk.outbox.expect("in the outbox");
    world.apply(&Op::Crash);
    world.settle();
    assert_eq!(world.received.values().collect::<Vec<_>>(), [&pending.header]);
}

#[test]
fn a_record_that_does_not_extend_the_last_is_declined() {
    let mut world = World::new();
    world.settle();
    world.announce();
    world.settle();
    let before = world.open.clone().expect("open");
    let id = AttemptId { round: 2, attempt: 1 };
    let shorter = LogHead {
        length: 1,
        head: Digest::of(b"log"),
    };
    let other = LogHead {
        head: Digest::of(b"another"),
        ..before.log
    };
    for log in [shorter, other] {
        world.give(Event::Announced(announcement(id, before.model, log)));
        let (key, answer) = world.answers.last().expect("answered");
        assert_eq!(
            (key.id, *answer),
            (id, Answer::Decline(DeclineCode::RecordForked)),
            "{log:?}"
        );
    }
}

#[test]
fn a_run_ends_only_when_its_last_model_is_in_use() {
    let mut world = World::new();
    world.settle();
    world.announce();
    world.settle();
    world.apply(&Op::Publish);
    world.give(Event::Finished);
    assert!(!world.finished);
    world.settle();
    assert!(world.finished && world.disk.model == Some(world.manifest.model));
}

#[test]
fn a_run_ends_only_when_the_last_update_was_answered() {
    let mut world = World::new();
    world.settle();
    world.announce();
    while !matches!(world.waiting.first(), Some(Effect::Upload { .. })) {
        world.apply(&Op::Do(0));
    }
    let Some(Effect::Upload { pending, .. }) = world.waiting.pop() else {
        panic!("an upload waits")
    };
    world.received.insert(pending.header.id, pending.header);
    world.apply(&Op::Publish);
    world.give(Event::Finished);
    world.settle();
    assert!(!world.finished, "the receipt is still under way");
    world.receive(pending);
    assert!(world.finished && world.disk.outbox.is_none());
}

#[test]
fn tries_to_connect_come_ever_later_and_never_in_step() {
    let mut machine = Machine::new(policy(), Memory::default());
    let mut wait = |jitter| {
        let effects = machine.handle(Timestamp(0), Event::Disconnected { jitter });
        let Some(Effect::Connect { at }) = effects.last() else {
            panic!("{effects:?}")
        };
        at.0
    };
    let waits: Vec<i64> = (0..12).map(|_| wait(1.0)).collect();
    assert!(
        waits.windows(2).all(|pair| pair[0] <= pair[1]) && waits[0] == 250 && waits[11] == 60_000,
        "{waits:?}"
    );
    assert_eq!(wait(0.0), 30_000);
}

fn on_the_network(effect: &Effect) -> bool {
    matches!(effect, Effect::Fetch { .. } | Effect::Upload { .. })
}

fn policy() -> Policy {
    Policy {
        max_epsilon: Epsilon::new(8.0).unwrap(),
        delta: Delta::new(1e-5).unwrap(),
        min_noise_multiplier: None,
        allow_no_privacy: false,
        paused: false,
        max_upload_bytes_per_day: None,
        require_masking: false,
        min_masked_shops: None,
        known_shops: 1,
    }
}

fn costs(epsilon: f64) -> Consideration {
    Consideration::Costs {
        noise_multiplier: Some(NoiseMultiplier::new(1.0).unwrap()),
        epsilon_after: Some(Epsilon::new(epsilon).unwrap()),
        upload_bytes: 4,
        uploaded_today_bytes: 0,
        masked_shops: None,
    }
}

fn announcement(id: AttemptId, model: Digest, log: LogHead) -> Announcement {
    Announcement {
        id,
        plan: Digest::of(b"plan"),
        catalogue: Digest::of(b"catalogue"),
        model,
        deadline: Timestamp(1000),
        log,
    }
}

fn manifest(round: u64, model: Digest) -> Manifest {
    Manifest {
        id: AttemptId { round, attempt: 1 },
        model,
        parent: Digest::ZERO,
        plan: Digest::of(b"plan"),
        catalogue: Digest::of(b"catalogue"),
        updates: Vec::new(),
        published_at: Timestamp(0),
    }
}

fn header(id: AttemptId, draw: u64) -> UploadHeader {
    UploadHeader {
        id,
        update: Digest::of(&draw.to_le_bytes()),
        len_bytes: 4,
        ledger_length: 1,
        ledger_head: Digest::ZERO,
    }
}

fn receipt(upload: UploadHeader, log: LogHead) -> Receipt {
    let shop: ShopName = "north".parse().expect("a name");
    Receipt {
        shop,
        upload,
        stored_at: Timestamp(0),
        log,
    }
}
