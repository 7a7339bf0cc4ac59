//! Random lists of words, losses and crashes in masked attempts, against what must hold whatever happens.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use proptest::prelude::*;
use souk_common::clock::Timestamp;
use souk_common::ids::{AttemptId, Digest, ShopName};
use souk_common::round::statements::{Decision, DeclineCode, UploadHeader};
use souk_common::secagg::mask::MaskCipher;
use souk_common::secagg::{MaskingParams, Safeguards};
use souk_common::update::ModulusBits;

use crate::round::{
    Effect, Event, Machine, MaskRules, OpenAttempt, PauseReason, Phase, Restored, RestoredStep, Rules,
};

#[derive(Clone, Copy, Debug)]
enum Op {
    Connect(usize),
    Disconnect(usize),
    Keys(usize),
    Decline(usize),
    /// Its owner's rules are in the way.
    Refuse(usize),
    /// They are not any more.
    Ready(usize),
    Shares(usize),
    Check(usize),
    /// The shop's shares are bad.
    Bad(usize),
    Upload(usize),
    Sign(usize),
    Reveal(usize),
    Wait(u16),
    Crash,
    Revoke(usize),
    Name(usize),
}

const SHOPS: usize = 4;
const QUORUM: usize = 3;
const STEP: u64 = 20;
const TERMS: MaskingParams = MaskingParams {
    min_shops: QUORUM,
    colluding: 1,
    neighbours: None,
    cipher: MaskCipher::Chacha20,
    bits: ModulusBits::B32,
    safeguards: Safeguards::ALL,
};
/// Shares of so many survivors unmask.
const THRESHOLD: usize = 3;

fn op() -> impl Strategy<Value = Op> {
    let shop = 0..SHOPS;
    prop_oneof![
        3 => shop.clone().prop_map(Op::Connect),
        1 => shop.clone().prop_map(Op::Disconnect),
        6 => shop.clone().prop_map(Op::Keys),
        1 => shop.clone().prop_map(Op::Decline),
        1 => shop.clone().prop_map(Op::Refuse),
        1 => shop.clone().prop_map(Op::Ready),
        6 => shop.clone().prop_map(Op::Shares),
        6 => shop.clone().prop_map(Op::Check),
        1 => shop.clone().prop_map(Op::Bad),
        6 => shop.clone().prop_map(Op::Upload),
        6 => shop.clone().prop_map(Op::Sign),
        6 => shop.clone().prop_map(Op::Reveal),
        2 => (0u16..40).prop_map(Op::Wait),
        1 => Just(Op::Crash),
        1 => shop.clone().prop_map(Op::Revoke),
        1 => shop.prop_map(Op::Name),
    ]
}

/// Lists of one attempt; each is fixed once, also over crashes.
#[derive(Clone, Default)]
struct Lists {
    advertised: BTreeSet<ShopName>,
    roster: Option<BTreeSet<ShopName>>,
    shared: BTreeSet<ShopName>,
    makers: Option<BTreeSet<ShopName>>,
    checked: BTreeSet<ShopName>,
    bad: BTreeSet<ShopName>,
    sharers: Option<BTreeSet<ShopName>>,
    counted: BTreeMap<ShopName, Digest>,
    survivors: Option<BTreeSet<ShopName>>,
    signed: BTreeSet<ShopName>,
    shown: bool,
    revealed: BTreeSet<ShopName>,
}

struct World {
    machine: Machine,
    now: Timestamp,
    published: u64,
    attempt: u32,
    open: Option<(AttemptId, Timestamp)>,
    lists: Lists,
    revoked: Vec<ShopName>,
    named: Vec<ShopName>,
    models: Vec<AttemptId>,
    /// What the coordinator made of unmasking, for the attempt that ended last.
    ended: Vec<Option<(usize, usize)>>,
}

fn name(shop: usize) -> ShopName {
    format!("shop-{shop}").parse().unwrap()
}

fn rules() -> Rules {
    Rules {
        shops: (0..SHOPS).map(name).collect(),
        quorum: QUORUM,
        deadline: Duration::from_millis(100),
        attempts: 1000,
        rounds: 3,
        last_release: None,
        update_bytes: vec![4],
        masking: Some(MaskRules {
            step: Duration::from_millis(STEP),
            terms: TERMS,
        }),
    }
}

fn upload(shop: &ShopName, id: AttemptId) -> UploadHeader {
    UploadHeader {
        id,
        update: Digest::of(format!("{shop} {id}").as_bytes()),
        len_bytes: 4,
        ledger_length: 1,
        ledger_head: Digest::ZERO,
    }
}

impl World {
    fn new() -> Self {
        let mut world = Self {
            machine: Machine::new(rules(), Restored::default()),
            now: Timestamp(0),
            published: 0,
            attempt: 0,
            open: None,
            lists: Lists::default(),
            revoked: Vec::new(),
            named: Vec::new(),
            models: Vec::new(),
            ended: Vec::new(),
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
        let lists = &mut self.lists;
        match effect {
            Effect::Open { id, deadline } => {
                assert_eq!((id.round, id.attempt), (self.published + 1, self.attempt + 1));
                (self.attempt, self.open, *lists) = (id.attempt, Some((id, deadline)), Lists::default());
            }
            Effect::FixRoster { shops, .. } => {
                let roster: BTreeSet<ShopName> = shops.into_iter().collect();
                assert!(lists.roster.is_none() && roster.is_subset(&lists.advertised));
                assert!(roster.len() >= QUORUM);
                lists.roster = Some(roster);
            }
            Effect::DeliverShares { .. } => {
                assert!(lists.roster.is_some() && lists.makers.is_none());
                assert!(lists.shared.len() >= QUORUM);
                lists.makers = Some(lists.shared.clone());
            }
            Effect::FixSharers { id, least } => {
                assert!(lists.makers.is_some() && lists.sharers.is_none());
                assert!(lists.checked.len() >= least && least >= QUORUM);
                // Whose shares are bad is left out.
                let sharers: BTreeSet<ShopName> = lists.checked.difference(&lists.bad).cloned().collect();
                if sharers.len() >= least {
                    lists.sharers = Some(sharers.clone());
                }
                let sharers = sharers.into_iter().collect();
                return Some(Event::SharersFixed { id, sharers });
            }
            Effect::Receive { shop, upload } => return Some(Event::UploadArrived { shop, upload }),
            Effect::Record { shop, upload } => {
                assert!(
                    lists.survivors.is_none(),
                    "nothing is added to a sum whose shops are fixed"
                );
                assert!(
                    lists
                        .sharers
                        .as_ref()
                        .is_some_and(|sharers| sharers.contains(&shop))
                );
                assert_eq!(lists.counted.insert(shop.clone(), upload.update), None);
                return Some(Event::Recorded { shop, upload });
            }
            Effect::FixSurvivors { accepted, .. } => {
                assert!(lists.survivors.is_none(), "one list of survivors an attempt");
                let accepted: BTreeMap<ShopName, Digest> = accepted.into_iter().collect();
                assert_eq!(accepted, lists.counted);
                lists.survivors = Some(accepted.into_keys().collect());
            }
            Effect::ShowConfirmations { shops, .. } => {
                let shops: BTreeSet<ShopName> = shops.into_iter().collect();
                assert!(
                    lists
                        .survivors
                        .as_ref()
                        .is_some_and(|survivors| shops.is_subset(survivors))
                );
                lists.shown = true;
            }
            Effect::Publish { id, accepted } => {
                let accepted: BTreeSet<ShopName> = accepted.into_iter().map(|(shop, _)| shop).collect();
                assert_eq!(
                    lists.survivors.as_ref(),
                    Some(&accepted),
                    "the model is made of R3"
                );
                assert!(accepted.len() >= QUORUM);
                assert!(
                    lists.revealed.len() >= THRESHOLD,
                    "nothing is published under masks"
                );
                (self.published, self.attempt, self.open) = (id.round, 0, None);
                self.models.push(id);
                return Some(Event::Published(id));
            }
            Effect::Abandon {
                unmasking, charged, ..
            } => {
                // No vector leaves before R2 is fixed, and a list of too few fixes nothing.
                assert_eq!(charged, lists.sharers.is_some());
                self.open = None;
                self.ended.push(unmasking);
            }
            Effect::Announce { .. }
            | Effect::Repeat { .. }
            | Effect::SetTimer(_)
            | Effect::Receipt { .. }
            | Effect::Reject { .. }
            | Effect::Paused(_)
            | Effect::WentOn { .. }
            | Effect::Finish => {}
        }
        None
    }

    fn apply(&mut self, op: Op) {
        let id = self.open.map(|(id, _)| id);
        match op {
            Op::Connect(shop) => self.tell(Event::Connected(name(shop))),
            Op::Disconnect(shop) => self.tell(Event::Disconnected(name(shop))),
            Op::Wait(millis) => {
                self.now = self.now + Duration::from_millis(millis.into());
                self.tell(Event::Timer);
            }
            Op::Crash => self.crash(),
            Op::Name(shop) => {
                self.named.push(name(shop));
                self.tell(Event::Named(name(shop)));
            }
            Op::Revoke(shop) => {
                self.revoked.push(name(shop));
                self.tell(Event::Revoked(name(shop)));
            }
            _ => {
                if let Some(id) = id {
                    self.say(op, id);
                }
            }
        }
    }

    /// A shop's word, as far as the session would take it.
    fn say(&mut self, op: Op, id: AttemptId) {
        let lists = &mut self.lists;
        let event = match op {
            Op::Keys(shop) => {
                if lists.roster.is_none() {
                    lists.advertised.insert(name(shop));
                }
                Event::Advertised { shop: name(shop), id }
            }
            Op::Decline(shop) => Event::Answered {
                shop: name(shop),
                id,
                answer: Decision::Decline(DeclineCode::ListRefused),
            },
            Op::Refuse(shop) => Event::Answered {
                shop: name(shop),
                id,
                answer: Decision::Decline(DeclineCode::TooFewKnownShops),
            },
            Op::Ready(shop) => Event::Answered {
                shop: name(shop),
                id: AttemptId { attempt: 0, ..id },
                answer: Decision::Accept,
            },
            Op::Shares(shop) => {
                let listed = lists
                    .roster
                    .as_ref()
                    .is_some_and(|roster| roster.contains(&name(shop)));
                if !listed || lists.makers.is_some() {
                    return;
                }
                lists.shared.insert(name(shop));
                Event::Shared { shop: name(shop), id }
            }
            Op::Check(shop) => {
                let made = lists.makers.as_ref();
                if !made.is_some_and(|made| made.contains(&name(shop))) || lists.sharers.is_some() {
                    return;
                }
                lists.checked.insert(name(shop));
                Event::Checked { shop: name(shop), id }
            }
            Op::Bad(shop) => {
                lists.bad.insert(name(shop));
                return;
            }
            Op::Upload(shop) => Event::UploadOffered {
                shop: name(shop),
                upload: upload(&name(shop), id),
            },
            Op::Sign(shop) => {
                if !lists
                    .survivors
                    .as_ref()
                    .is_some_and(|list| list.contains(&name(shop)))
                {
                    return;
                }
                lists.signed.insert(name(shop));
                Event::Confirmed { shop: name(shop), id }
            }
            Op::Reveal(shop) => {
                if !lists.shown || !lists.signed.contains(&name(shop)) {
                    return;
                }
                lists.revealed.insert(name(shop));
                let enough = lists.revealed.len() >= THRESHOLD;
                Event::Revealed {
                    shop: name(shop),
                    id,
                    enough,
                }
            }
            _ => return,
        };
        self.tell(event);
    }

    /// Lists and counted updates are durable; signatures and shares that were shown are not.
    fn crash(&mut self) {
        let step = match (&self.lists.sharers, &self.lists.survivors) {
            (_, Some(survivors)) => Some(RestoredStep::Survivors(survivors.iter().cloned().collect())),
            (Some(sharers), None) => Some(RestoredStep::Sharers {
                sharers: sharers.iter().cloned().collect(),
                rostered: self.lists.roster.as_ref().map_or(0, BTreeSet::len),
            }),
            _ => None,
        };
        if step.is_none() {
            self.open = None;
        }
        let counted = self.lists.counted.clone().into_iter().collect();
        let open = self.open.map(|(_, deadline)| OpenAttempt {
            deadline,
            counted,
            masked: step,
        });
        (self.lists.shown, self.lists.signed, self.lists.revealed) = Default::default();
        self.machine = Machine::new(
            rules(),
            Restored {
                published: self.published,
                attempt: self.attempt,
                open,
                paused: false,
                revoked: self.revoked.clone(),
                named: self.named.clone(),
            },
        );
        self.tell(Event::Started);
    }

    /// Every shop does what it should, until the run is finished.
    fn behave(&mut self) {
        for _ in 0..60 {
            self.tell(Event::Resume);
            for shop in 0..SHOPS {
                self.apply(Op::Connect(shop));
            }
            self.lists.bad.clear();
            let steps: [fn(usize) -> Op; 6] =
                [Op::Keys, Op::Shares, Op::Check, Op::Upload, Op::Sign, Op::Reveal];
            for step in steps {
                (0..SHOPS).for_each(|shop| self.apply(step(shop)));
            }
            if self.machine.phase() == Phase::Finished {
                return;
            }
            self.apply(Op::Wait(STEP as u16 * 5 + 1));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn lists_are_fixed_once_sums_are_of_survivors_and_the_run_ends(ops in prop::collection::vec(op(), 0..120)) {
        let mut world = World::new();
        for op in ops {
            world.apply(op);
        }
        for shop in std::mem::take(&mut world.revoked) {
            world.tell(Event::Enrolled(shop));
        }
        for shop in std::mem::take(&mut world.named) {
            world.tell(Event::Readmitted(shop));
        }
        world.behave();
        prop_assert_eq!(world.machine.phase(), Phase::Finished);
        prop_assert_eq!(world.models.len(), 3);
        prop_assert!(world.models.iter().map(|id| id.round).eq(1..=3));
    }
}

/// All connected, up to and with `steps`.
fn at(steps: &[fn(usize) -> Op], shops: &[usize]) -> World {
    let mut world = World::new();
    (0..SHOPS).for_each(|shop| world.apply(Op::Connect(shop)));
    (0..SHOPS).for_each(|shop| world.apply(Op::Keys(shop)));
    for step in steps {
        shops.iter().for_each(|shop| world.apply(step(*shop)));
        world.apply(Op::Wait(0));
    }
    world
}

#[test]
fn a_shop_that_drops_out_at_any_step_costs_its_time_and_not_the_round() {
    let steps: [fn(usize) -> Op; 5] = [Op::Shares, Op::Check, Op::Upload, Op::Sign, Op::Reveal];
    for dropped_at in 0..steps.len() {
        let mut world = at(&steps[..dropped_at], &[0, 1, 2, 3]);
        for (at, step) in steps.iter().enumerate().skip(dropped_at) {
            [0, 1, 2].iter().for_each(|shop| world.apply(step(*shop)));
            if at == dropped_at {
                world.apply(Op::Wait(STEP as u16 * 5));
            }
        }
        assert_eq!(world.published, 1, "dropped out at step {dropped_at}");
    }
}

#[test]
fn beyond_the_threshold_the_attempt_ends_with_its_reason_and_a_new_one_begins() {
    let steps: [fn(usize) -> Op; 4] = [Op::Shares, Op::Check, Op::Upload, Op::Sign];
    let mut world = at(&steps, &[0, 1, 2, 3]);
    [0, 1].iter().for_each(|shop| world.apply(Op::Reveal(*shop)));
    world.apply(Op::Wait(STEP as u16));
    assert_eq!(world.ended, [Some((4, 2))]);
    assert_eq!(world.open.map(|(id, _)| id.attempt), Some(2));
    // Below quorum before that, at once when nobody is left to wait for.
    let mut world = at(&steps[..1], &[0, 1, 2, 3]);
    [0, 1].iter().for_each(|shop| world.apply(Op::Decline(*shop)));
    assert_eq!(world.ended, [None]);
}

#[test]
fn after_a_crash_while_unmasking_the_same_survivors_are_shown_and_the_round_ends_well() {
    let steps: [fn(usize) -> Op; 4] = [Op::Shares, Op::Check, Op::Upload, Op::Sign];
    let mut world = at(&steps, &[0, 1, 2, 3]);
    world.apply(Op::Reveal(0));
    let before = world.lists.survivors.clone();
    world.apply(Op::Crash);
    assert_eq!(world.machine.masked_step(), Some("confirming"));
    (0..SHOPS).for_each(|shop| world.apply(Op::Connect(shop)));
    (0..SHOPS).for_each(|shop| world.apply(Op::Sign(shop)));
    assert_eq!(world.lists.survivors, before);
    [0, 1, 2].iter().for_each(|shop| world.apply(Op::Reveal(*shop)));
    assert_eq!(world.published, 1);
}

/// Nobody is told of a list of sharers that is too short, so that nobody is charged.
#[test]
fn with_too_few_good_shares_the_attempt_ends_before_anybody_is_told() {
    let mut world = at(&[Op::Shares], &[0, 1, 2, 3]);
    [2, 3].iter().for_each(|shop| world.apply(Op::Bad(*shop)));
    (0..SHOPS).for_each(|shop| world.apply(Op::Check(shop)));
    assert_eq!(world.ended, [None]);
    let first = AttemptId { round: 1, attempt: 1 };
    assert!(world.open.is_some_and(|(id, _)| id != first));
}

#[test]
fn a_named_shop_is_not_waited_for_and_not_in_the_next_attempt() {
    let steps: [fn(usize) -> Op; 4] = [Op::Shares, Op::Check, Op::Upload, Op::Sign];
    let mut world = at(&steps, &[0, 1, 2, 3]);
    world.apply(Op::Name(3));
    [0, 1, 2].iter().for_each(|shop| world.apply(Op::Reveal(*shop)));
    assert_eq!(world.published, 1);
    (0..SHOPS).for_each(|shop| world.apply(Op::Keys(shop)));
    let listed = world.lists.roster.clone().expect("three are enough");
    assert!(listed.len() == 3 && !listed.contains(&name(3)));
    // One more: two are left, which is below the quorum, and nobody waits for the others' shares.
    for step in steps {
        (0..SHOPS).for_each(|shop| world.apply(step(shop)));
        world.apply(Op::Wait(0));
    }
    [0, 1].iter().for_each(|shop| world.apply(Op::Reveal(*shop)));
    world.apply(Op::Name(2));
    assert_eq!(world.ended, [Some((3, 2))]);
    assert_eq!(world.machine.paused(), Some(PauseReason::Declined));
}
