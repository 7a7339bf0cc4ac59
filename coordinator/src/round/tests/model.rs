//! Random lists of deliveries, drops, repeats, delays and crashes against what must hold whatever happens.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use proptest::prelude::*;
use souk_common::clock::Timestamp;
use souk_common::ids::{AttemptId, Digest, ShopName};
use souk_common::round::statements::{Decision, DeclineCode, UploadHeader};

use crate::round::{Effect, Event, Machine, OpenAttempt, PauseReason, Phase, Restored, Rules};

#[derive(Clone, Copy, Debug)]
enum Op {
    Connect(usize),
    Disconnect(usize),
    Accept(usize),
    Decline(usize),
    /// The shop was interrupted in this attempt and will send nothing for it.
    SitOut(usize),
    /// The shop would take part in the next attempt.
    Ready(usize),
    /// Offers the update for the attempt that the shop heard of last; `second` makes it a different one.
    Offer {
        shop: usize,
        second: bool,
    },
    /// The oldest upload on its way arrives whole.
    Arrive,
    /// It is lost.
    Lose,
    /// It arrives twice.
    ArriveTwice,
    Wait(u16),
    Crash,
    Revoke(usize),
    Pause,
    Resume,
    /// Storing fails from now on, or works again.
    Store(bool),
}

const SHOPS: usize = 4;
const QUORUM: usize = 2;
const UPDATE_BYTES: u64 = 40;

fn op() -> impl Strategy<Value = Op> {
    let shop = 0..SHOPS;
    prop_oneof![
        4 => shop.clone().prop_map(Op::Connect),
        1 => shop.clone().prop_map(Op::Disconnect),
        2 => shop.clone().prop_map(Op::Accept),
        1 => shop.clone().prop_map(Op::Decline),
        1 => shop.clone().prop_map(Op::SitOut),
        1 => shop.clone().prop_map(Op::Ready),
        6 => (shop.clone(), prop::bool::weighted(0.1)).prop_map(|(shop, second)| Op::Offer { shop, second }),
        6 => Just(Op::Arrive),
        1 => Just(Op::Lose),
        1 => Just(Op::ArriveTwice),
        2 => (0u16..150).prop_map(Op::Wait),
        1 => Just(Op::Crash),
        1 => shop.prop_map(Op::Revoke),
        1 => Just(Op::Pause),
        2 => Just(Op::Resume),
        1 => any::<bool>().prop_map(Op::Store),
    ]
}

/// The driver's durable side, and the world around the machine.
struct World {
    machine: Machine,
    now: Timestamp,
    disk: Disk,
    /// Each shop's latest announcement.
    heard: BTreeMap<ShopName, AttemptId>,
    in_flight: VecDeque<(ShopName, UploadHeader)>,
    receipts: Vec<(ShopName, UploadHeader)>,
    store_works: bool,
    published: Vec<AttemptId>,
    /// Attempts that came about since a pause healed.
    healed: Vec<(u32, PauseReason)>,
}

#[derive(Default)]
struct Disk {
    published: u64,
    attempt: u32,
    open: Option<Timestamp>,
    parts: Vec<(ShopName, UploadHeader)>,
    /// Everything ever recorded, by attempt.
    record: Vec<(ShopName, UploadHeader)>,
    revoked: Vec<ShopName>,
    paused: bool,
}

fn name(shop: usize) -> ShopName {
    format!("shop-{shop}").parse().unwrap()
}

fn rules() -> Rules {
    Rules {
        shops: (0..SHOPS).map(name).collect(),
        quorum: QUORUM,
        deadline: Duration::from_millis(100),
        attempts: 3,
        rounds: 4,
        last_release: None,
        update_bytes: vec![UPDATE_BYTES],
        masking: None,
    }
}

fn upload(shop: &ShopName, id: AttemptId, second: bool) -> UploadHeader {
    UploadHeader {
        id,
        update: Digest::of(format!("{shop} {id} {second}").as_bytes()),
        len_bytes: UPDATE_BYTES,
        ledger_length: 1,
        ledger_head: Digest::ZERO,
    }
}

impl World {
    fn new() -> Self {
        let mut world = Self {
            machine: Machine::new(rules(), Restored::default()),
            now: Timestamp(0),
            disk: Disk::default(),
            heard: BTreeMap::new(),
            in_flight: VecDeque::new(),
            receipts: Vec::new(),
            store_works: true,
            published: Vec::new(),
            healed: Vec::new(),
        };
        world.tell(Event::Started);
        world
    }

    fn tell(&mut self, event: Event) {
        let mut events = VecDeque::from([event]);
        while let Some(event) = events.pop_front() {
            for effect in self.machine.handle(self.now, event) {
                events.extend(self.carry_out(effect));
            }
        }
    }

    fn carry_out(&mut self, effect: Effect) -> Option<Event> {
        match effect {
            Effect::Open { id, deadline } => {
                assert_eq!(id.round, self.disk.published + 1, "rounds come one after another");
                assert_eq!(
                    id.attempt,
                    self.disk.attempt + 1,
                    "an attempt's number is never used twice"
                );
                assert!(self.disk.open.is_none(), "one attempt at a time");
                (self.disk.attempt, self.disk.open) = (id.attempt, Some(deadline));
                self.disk.parts.clear();
            }
            Effect::Announce { id, shops } => {
                for shop in shops {
                    assert!(!self.disk.revoked.contains(&shop));
                    self.heard.insert(shop, id);
                }
            }
            Effect::Receive { shop, upload } => self.in_flight.push_back((shop, upload)),
            Effect::Record { shop, upload } => {
                if !self.store_works {
                    return Some(Event::UploadFailed { shop, id: upload.id });
                }
                let again = |(other, _): &(ShopName, UploadHeader)| *other == shop;
                assert!(
                    !self.disk.parts.iter().any(again),
                    "a shop is counted once an attempt"
                );
                self.disk.parts.push((shop.clone(), upload));
                self.disk.record.push((shop.clone(), upload));
                return Some(Event::Recorded { shop, upload });
            }
            Effect::Receipt { shop, upload } => {
                let recorded = self.disk.record.contains(&(shop.clone(), upload));
                assert!(recorded, "a receipt is for what is durable");
                self.receipts.push((shop, upload));
            }
            Effect::Publish { id, accepted } => {
                assert!(accepted.len() >= QUORUM, "never below quorum");
                let counted: Vec<_> = self
                    .disk
                    .parts
                    .iter()
                    .map(|(shop, upload)| (shop.clone(), upload.update))
                    .collect();
                assert!(accepted.iter().all(|part| counted.contains(part)));
                assert_eq!(
                    accepted.len(),
                    counted.len(),
                    "nothing that was receipted is left out"
                );
                self.disk.published = id.round;
                (self.disk.attempt, self.disk.open) = (0, None);
                self.published.push(id);
                return Some(Event::Published(id));
            }
            Effect::Abandon { accepted, quorum, .. } => {
                assert!(accepted < quorum && accepted == self.disk.parts.len());
                self.disk.open = None;
            }
            Effect::WentOn { id, reason } => {
                assert!(
                    !self.disk.paused,
                    "what the operator paused is the operator's to resume"
                );
                self.healed.push((id.attempt, reason));
            }
            Effect::Reject { .. } | Effect::SetTimer(_) | Effect::Paused(_) | Effect::Finish => {}
            Effect::FixRoster { .. }
            | Effect::DeliverShares { .. }
            | Effect::FixSharers { .. }
            | Effect::FixSurvivors { .. }
            | Effect::ShowConfirmations { .. }
            | Effect::Repeat { .. } => panic!("of a plan without masks"),
        }
        None
    }

    fn crash(&mut self) {
        let open = self.disk.open.map(|deadline| OpenAttempt {
            masked: None,
            deadline,
            counted: self
                .disk
                .parts
                .iter()
                .map(|(shop, upload)| (shop.clone(), upload.update))
                .collect(),
        });
        self.in_flight.clear();
        self.machine = Machine::new(
            rules(),
            Restored {
                published: self.disk.published,
                attempt: self.disk.attempt,
                open,
                paused: self.disk.paused,
                revoked: self.disk.revoked.clone(),
                named: Vec::new(),
            },
        );
        self.tell(Event::Started);
    }

    fn arrive(&mut self, times: usize) {
        if let Some((shop, upload)) = self.in_flight.pop_front() {
            for _ in 0..times {
                self.tell(Event::UploadArrived {
                    shop: shop.clone(),
                    upload,
                });
            }
        }
    }

    fn apply(&mut self, op: Op) {
        match op {
            Op::Connect(shop) => self.tell(Event::Connected(name(shop))),
            Op::Disconnect(shop) => self.tell(Event::Disconnected(name(shop))),
            Op::Accept(shop) => self.answer(shop, Decision::Accept),
            Op::Decline(shop) => self.answer(shop, Decision::Decline(DeclineCode::Paused)),
            Op::SitOut(shop) => self.answer(shop, Decision::Decline(DeclineCode::Interrupted)),
            Op::Ready(shop) => self.tell(Event::Answered {
                shop: name(shop),
                id: AttemptId { round: 1, attempt: 0 },
                answer: Decision::Accept,
            }),
            Op::Offer { shop, second } => {
                let shop = name(shop);
                if let Some(id) = self.heard.get(&shop).copied() {
                    let upload = upload(&shop, id, second);
                    self.tell(Event::UploadOffered { shop, upload });
                }
            }
            Op::Arrive => self.arrive(1),
            Op::ArriveTwice => self.arrive(2),
            Op::Lose => {
                if let Some((shop, upload)) = self.in_flight.pop_front() {
                    self.tell(Event::UploadFailed { shop, id: upload.id });
                }
            }
            Op::Wait(millis) => {
                self.now = self.now + Duration::from_millis(millis.into());
                self.tell(Event::Timer);
            }
            Op::Crash => self.crash(),
            Op::Revoke(shop) => {
                // The last two stay, so that runs go on.
                if shop < SHOPS - QUORUM {
                    self.disk.revoked.push(name(shop));
                    self.tell(Event::Revoked(name(shop)));
                }
            }
            Op::Pause => {
                self.disk.paused = true;
                self.tell(Event::Pause);
            }
            Op::Resume => {
                self.disk.paused = false;
                self.tell(Event::Resume);
            }
            Op::Store(works) => self.store_works = works,
        }
    }

    fn answer(&mut self, shop: usize, answer: Decision) {
        let shop = name(shop);
        if let Some(id) = self.heard.get(&shop).copied() {
            self.tell(Event::Answered { shop, id, answer });
        }
    }

    /// The last two shops, honest and well connected, bring any state to the end.
    fn run_to_the_end(&mut self) {
        self.store_works = true;
        for _ in 0..200 {
            if self.machine.phase() == Phase::Finished {
                return;
            }
            self.disk.paused = false;
            self.tell(Event::Resume);
            for shop in SHOPS - QUORUM..SHOPS {
                self.apply(Op::Connect(shop));
                self.apply(Op::Accept(shop));
                self.apply(Op::Offer { shop, second: false });
            }
            while !self.in_flight.is_empty() {
                self.arrive(1);
            }
            self.apply(Op::Wait(60));
        }
        panic!("the run never finished: {:?}", self.machine);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(512) })]

    #[test]
    fn whatever_happens_no_rule_breaks_and_the_run_can_finish(ops in prop::collection::vec(op(), 0..120)) {
        let mut world = World::new();
        for op in ops {
            world.apply(op);
        }
        world.run_to_the_end();
        let rounds: Vec<u64> = world.published.iter().map(|id| id.round).collect();
        prop_assert_eq!(rounds, vec![1, 2, 3, 4]);
    }
}

#[test]
fn a_second_different_update_is_refused_and_a_repeat_gets_its_receipt_again() {
    let mut world = World::new();
    world.apply(Op::Connect(0));
    assert_eq!(world.machine.phase(), Phase::Waiting);
    world.apply(Op::Connect(1));
    assert_eq!(world.machine.phase(), Phase::Collecting);
    world.apply(Op::Offer {
        shop: 0,
        second: false,
    });
    world.apply(Op::Arrive);
    assert_eq!(world.receipts.len(), 1);
    world.apply(Op::Offer {
        shop: 0,
        second: false,
    });
    assert_eq!(world.receipts.len(), 2, "the same bytes again");
    world.apply(Op::Offer {
        shop: 0,
        second: true,
    });
    assert_eq!((world.receipts.len(), world.in_flight.len()), (2, 0));
}

#[test]
fn a_shop_that_comes_late_hears_of_the_open_attempt() {
    let mut world = World::new();
    (0..3).for_each(|shop| world.apply(Op::Connect(shop)));
    assert_eq!(world.heard.get(&name(2)), world.heard.get(&name(0)));
}

#[test]
fn attempts_run_out_and_the_operator_is_asked() {
    let mut world = World::new();
    (0..2).for_each(|shop| world.apply(Op::Connect(shop)));
    (0..3).for_each(|_| world.apply(Op::Wait(100)));
    assert_eq!(world.machine.phase(), Phase::Paused);
    world.apply(Op::Resume);
    assert_eq!(world.machine.open().map(|(id, _)| id.attempt), Some(4));
}

#[test]
fn shops_that_all_declined_are_not_asked_again_and_again() {
    let mut world = World::new();
    (0..4).for_each(|shop| world.apply(Op::Connect(shop)));
    (0..3).for_each(|shop| world.apply(Op::Decline(shop)));
    assert_eq!(
        world.machine.phase(),
        Phase::Collecting,
        "an owner may think better of it"
    );
    world.apply(Op::Wait(100));
    assert_eq!(world.machine.paused(), Some(PauseReason::Declined));
}

#[test]
fn an_attempt_without_hope_of_a_quorum_ends_at_once_and_the_next_one_begins() {
    let mut world = World::new();
    (0..4).for_each(|shop| world.apply(Op::Connect(shop)));
    (0..3).for_each(|shop| world.apply(Op::SitOut(shop)));
    assert_eq!(world.machine.open().map(|(id, _)| id.attempt), Some(2));
    assert!(world.machine.was_spent_before(), "nobody had begun it");
    (2..4).for_each(|shop| {
        world.apply(Op::Offer { shop, second: false });
        world.apply(Op::Arrive);
    });
    (0..2).for_each(|shop| world.apply(Op::SitOut(shop)));
    assert_eq!(world.published.len(), 1, "nobody waits for those who sit out");
}

#[test]
fn a_run_that_lacked_ready_shops_goes_on_by_itself_when_enough_of_them_are() {
    let mut world = World::new();
    (0..4).for_each(|shop| world.apply(Op::Connect(shop)));
    (0..3).for_each(|shop| world.apply(Op::Decline(shop)));
    // Too early: the attempt is open, and the shop is not asked twice in one.
    world.apply(Op::Wait(100));
    assert_eq!(world.machine.paused(), Some(PauseReason::Declined));
    // A shop that did not decline has nothing to be ready for.
    world.apply(Op::Ready(3));
    assert_eq!(world.machine.phase(), Phase::Paused);
    world.apply(Op::Ready(0));
    assert_eq!(world.machine.open().map(|(id, _)| id.attempt), Some(2));
    assert_eq!(world.healed, [(2, PauseReason::Declined)]);
    // As often as the plan has attempts; then the operator looks.
    for attempt in 2..9 {
        (0..3).for_each(|shop| world.apply(Op::Decline(shop)));
        world.apply(Op::Wait(100));
        world.apply(Op::Ready(0));
        assert_eq!(
            world.machine.phase() == Phase::Collecting,
            attempt < 4,
            "{attempt}"
        );
    }
    assert_eq!(world.healed.len(), 3);
    world.apply(Op::Resume);
    assert_eq!(world.machine.phase(), Phase::Collecting);
}

#[test]
fn a_run_whose_attempts_ran_out_goes_on_by_itself_when_a_missing_shop_is_back() {
    let mut world = World::new();
    (0..2).for_each(|shop| world.apply(Op::Connect(shop)));
    world.apply(Op::Offer {
        shop: 1,
        second: false,
    });
    world.apply(Op::Arrive);
    (0..3).for_each(|_| world.apply(Op::Wait(100)));
    assert_eq!(world.machine.paused(), Some(PauseReason::Attempts));
    world.apply(Op::Ready(2));
    assert_eq!(world.machine.phase(), Phase::Paused, "it is not back");
    world.apply(Op::Connect(2));
    assert_eq!(world.machine.open().map(|(id, _)| id.attempt), Some(4));
    world.apply(Op::Wait(100));
    assert_eq!(
        world.machine.phase(),
        Phase::Paused,
        "one attempt more, not a fresh number"
    );
    assert_eq!(world.healed, [(4, PauseReason::Attempts)]);
    // What the operator paused stays so.
    world.apply(Op::Pause);
    world.apply(Op::Connect(3));
    assert_eq!(world.machine.phase(), Phase::Paused);
}
