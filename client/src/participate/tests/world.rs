//! The shop's disk, its machine, and a coordinator that keeps what it gets.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use souk_common::chain::LogHead;
use souk_common::clock::Timestamp;
use souk_common::ids::{AttemptId, Digest, ShopName};
use souk_common::params::{Delta, Epsilon, NoiseMultiplier};
use souk_common::round::statements::{
    Announcement, Decision, Manifest, Outcome, Receipt, RejectCode, UploadHeader,
};

use super::lists::{Lists, Said, said};
use crate::participate::*;

/// What a test does next. Numbers pick among what is possible at that time.
#[derive(Clone, Debug)]
pub(crate) enum Op {
    /// A new attempt, with masking or without.
    Announce { masked: bool },
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
    /// The coordinator says something of the masked attempt, in turn or out of turn.
    Say(Said),
    /// The process dies and starts from what was durable.
    Crash,
}

pub(crate) fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        2 => any::<bool>().prop_map(|masked| Op::Announce { masked }),
        4 => said().prop_map(Op::Say),
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
pub(crate) struct World {
    pub(crate) machine: Machine,
    pub(crate) disk: Memory,
    pub(crate) waiting: Vec<Effect>,
    pub(crate) log: Vec<Digest>,
    pub(crate) open: Option<Announcement>,
    pub(crate) last: Option<Announcement>,
    pub(crate) manifest: Manifest,
    pub(crate) draws: u64,
    pub(crate) uploaded: BTreeMap<AttemptKey, BTreeSet<Digest>>,
    pub(crate) received: BTreeMap<AttemptId, UploadHeader>,
    pub(crate) answers: Vec<(AttemptKey, Decision)>,
    pub(crate) finished: bool,
    /// Attempts of masked plans.
    pub(crate) masked: BTreeSet<AttemptKey>,
    pub(crate) lists: Lists,
}

impl World {
    pub(crate) fn new() -> Self {
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
            masked: BTreeSet::new(),
            lists: Lists::default(),
        };
        world.give(Event::Started);
        world.give(Event::Welcomed(world.manifest.clone()));
        world
    }

    pub(crate) fn apply(&mut self, op: &Op) {
        match op {
            Op::Announce { masked } => self.announce(*masked),
            Op::Say(said) => self.say(*said),
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
                self.lists.forget_keys();
                self.machine = Machine::new(policy(), self.disk.clone());
                self.give(Event::Started);
                self.welcome();
            }
        }
    }

    pub(crate) fn welcome(&mut self) {
        self.give(Event::Welcomed(self.manifest.clone()));
        if let Some(open) = self.open.clone() {
            self.give(Event::Announced(open));
        }
    }

    pub(crate) fn announce(&mut self, masked: bool) {
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
        if masked {
            self.masked.insert(AttemptKey::from(&announcement));
        }
        self.lists.open_anew();
        self.open = Some(announcement.clone());
        self.last = self.open.clone();
        self.give(Event::Announced(announcement));
    }

    pub(crate) fn end(&mut self, outcome: Outcome) {
        if let Some(open) = self.open.take() {
            self.give(Event::Ended { id: open.id, outcome });
        }
    }

    pub(crate) fn head(&self) -> LogHead {
        LogHead {
            length: self.log.len() as u64,
            head: *self.log.last().expect("begins with one"),
        }
    }

    pub(crate) fn give(&mut self, event: Event) {
        let effects = self.machine.handle(Timestamp(0), event);
        for effect in effects {
            self.check(&effect);
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
                Effect::Masked(MaskEffect::Erase(key)) => self.erase(key),
                Effect::Discard(key) => self.lists.discard(key),
                Effect::Report(_) | Effect::Connect { .. } => {}
                other => self.waiting.push(other),
            }
        }
    }

    pub(crate) fn carry_out(&mut self, effect: Effect) {
        match effect {
            Effect::Fetch { blob, .. } => self.give(Event::BlobReady(blob)),
            Effect::Consider(announcement) => {
                let key = AttemptKey::from(&announcement);
                let costs = costs(1.0, self.masked.contains(&key));
                self.give(Event::Considered(announcement, costs));
            }
            Effect::Compute(announcement) => self.give(Event::Computed(AttemptKey::from(&announcement))),
            Effect::RecordSpend(key) => {
                assert!(self.disk.spent.insert(key), "{key:?} was charged twice");
                self.give(Event::SpendRecorded(key));
            }
            Effect::PutInOutbox(key) if !self.box_masking(key) => self.give(Event::Failed(key)),
            Effect::PutInOutbox(key) => {
                self.draws += 1;
                let pending = Pending {
                    key,
                    header: header(key.id, self.draws),
                    binding: None,
                    due: None,
                };
                self.disk.outbox = Some(pending);
                self.give(Event::InOutbox(pending));
            }
            Effect::Upload { pending, .. } => self.receive(pending),
            Effect::Masked(effect) => self.carry_out_masked(effect),
            other => panic!("{other:?} does not wait"),
        }
    }

    pub(crate) fn receive(&mut self, pending: Pending) {
        assert!(
            self.disk.spent.contains(&pending.key),
            "bytes left before the spend was durable"
        );
        assert_eq!(
            self.disk.outbox,
            Some(pending),
            "bytes left that were not in the outbox"
        );
        assert!(
            !self.masked.contains(&pending.key) || self.lists.boxed.contains(&pending.key),
            "a masked plan's update left without masks"
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
            Effect::Masked(effect) => self.fail_masked(effect),
            other => self.waiting.push(other),
        }
    }

    /// Everything that waits is done, and the coordinator goes on as far as it can.
    pub(crate) fn settle(&mut self) {
        for _ in 0..1000 {
            if self.waiting.is_empty() {
                self.go_on();
            }
            if self.waiting.is_empty() {
                return;
            }
            self.apply(&Op::Do(0));
        }
        panic!("effects without end: {:?}", self.waiting);
    }
}

fn on_the_network(effect: &Effect) -> bool {
    matches!(
        effect,
        Effect::Fetch { .. }
            | Effect::Upload { .. }
            | Effect::Masked(
                MaskEffect::Advertise(_)
                    | MaskEffect::Share { .. }
                    | MaskEffect::Confirm(_)
                    | MaskEffect::Reveal { .. }
            )
    )
}

pub(crate) fn policy() -> Policy {
    Policy {
        max_epsilon: Epsilon::new(8.0).unwrap(),
        delta: Delta::new(1e-5).unwrap(),
        min_noise_multiplier: None,
        allow_no_privacy: false,
        paused: false,
        max_upload_bytes_per_day: None,
        require_masking: false,
        min_masked_shops: None,
        min_colluding: None,
        min_neighbours: None,
        known_shops: 1,
    }
}

pub(crate) fn costs(epsilon: f64, masked: bool) -> Consideration {
    Consideration::Costs {
        noise_multiplier: Some(NoiseMultiplier::new(1.0).unwrap()),
        epsilon_after: Some(Epsilon::new(epsilon).unwrap()),
        upload_bytes: 4,
        uploaded_today_bytes: 0,
        declared_users: 100,
        masking: masked.then_some(MaskingOffered {
            min_shops: 1,
            colluding: 1,
            neighbours: 1,
        }),
        upload_after: None,
    }
}

pub(crate) fn announcement(id: AttemptId, model: Digest, log: LogHead) -> Announcement {
    Announcement {
        id,
        plan: Digest::of(b"plan"),
        catalogue: Digest::of(b"catalogue"),
        model,
        deadline: Timestamp(1000),
        log,
    }
}

pub(crate) fn manifest(round: u64, model: Digest) -> Manifest {
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
