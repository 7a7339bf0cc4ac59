//! The machine under every order of events that a list of operations can make: late, lost, doubled, with crashes.
//!
//! | module | what |
//! |---|---|
//! | [`world`] | disk, machine and coordinator |
//! | [`lists`] | what they have beside that in masked attempts |
//! | [`masking`] | masked attempts, one by one |
//! | [`offset`] | when an update leaves |
//! | [`readiness`] | what was declined for is gone |

mod lists;
mod masking;
mod offset;
mod readiness;
mod world;

use proptest::prelude::*;
use souk_common::chain::LogHead;
use souk_common::clock::Timestamp;
use souk_common::ids::{AttemptId, Digest};
use souk_common::round::statements::{Decision, DeclineCode, Outcome};

use super::*;
use world::{Op, World, announcement, op, policy};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]
    #[test]
    fn one_update_an_attempt_at_most_and_none_before_its_spend(
        ops in prop::collection::vec(op(), 0..80), masked in any::<bool>(),
    ) {
        let mut world = World::new();
        for op in &ops {
            world.apply(op);
        }
        // Whatever happened: with the faults over, the next attempt is answered with an update, masked or not, and
        // its sum can be unmasked.
        world.end(Outcome::BelowQuorum { accepted: 0, quorum: 1 });
        world.settle();
        world.announce(masked);
        prop_assert!(world.disk.masking.is_none(), "secrets of an attempt that has ended");
        world.settle();
        let id = world.open.as_ref().expect("announced").id;
        prop_assert!(world.received.contains_key(&id), "no update for {}", id);
        prop_assert_eq!(world.lists.revealed, masked);
        prop_assert_eq!(world.disk.outbox, None);
        prop_assert_eq!(world.disk.model, Some(world.manifest.model));
        prop_assert_eq!(world.disk.masking.is_some(), masked);
        world.apply(&Op::Publish);
        prop_assert!(world.disk.masking.is_none(), "erased at the end");
    }
}

#[test]
fn after_a_crash_between_spend_and_outbox_the_attempt_is_not_computed_again() {
    let mut world = World::new();
    world.settle();
    world.announce(false);
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
        Decision::Decline(DeclineCode::Interrupted),
        "nobody waits for it"
    );
}

#[test]
fn after_a_crash_with_a_full_outbox_the_same_bytes_are_offered_again() {
    let mut world = World::new();
    world.settle();
    world.announce(false);
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
    world.announce(false);
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
            (id, Decision::Decline(DeclineCode::RecordForked)),
            "{log:?}"
        );
    }
}

#[test]
fn a_run_ends_only_when_its_last_model_is_in_use() {
    let mut world = World::new();
    world.settle();
    world.announce(false);
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
    world.announce(false);
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

#[test]
fn a_shop_that_does_not_get_what_was_announced_declines_after_a_few_tries_on_one_connection() {
    let mut world = World::new();
    world.settle();
    let id = AttemptId { round: 1, attempt: 1 };
    let log = LogHead {
        length: 2,
        head: Digest::of(b"longer"),
    };
    let announced = announcement(id, world.manifest.model, log);
    let plan = Blob::all(announced.plan, announced.catalogue, announced.model)[0];
    let fail = |machine: &mut Machine| machine.handle(Timestamp(0), Event::BlobFailed(plan));
    let mut machine = Machine::new(policy(), Memory::default());
    machine.handle(Timestamp(0), Event::Announced(announced.clone()));
    for _ in 0..4 {
        assert!(matches!(fail(&mut machine)[..], [Effect::Fetch { .. }]));
    }
    // A line that breaks is no lie: the count begins anew.
    machine.handle(Timestamp(0), Event::Disconnected { jitter: 0.0 });
    machine.handle(Timestamp(0), Event::Welcomed(world.manifest.clone()));
    for _ in 0..4 {
        assert!(matches!(fail(&mut machine)[..], [Effect::Fetch { .. }]));
    }
    let key = AttemptKey::from(&announced);
    let decline = Effect::Answer(key, Decision::Decline(DeclineCode::NotFetched));
    assert!(fail(&mut machine).contains(&decline));
    let again = machine.handle(Timestamp(0), Event::Announced(announced));
    assert_eq!(again, [decline], "and says so again");
}

/// A lying coordinator could have a shop agree to an attempt on releases that leave it much noise, and announce the same attempt
/// on others before the answer is there.
#[test]
fn what_was_considered_of_another_word_of_the_same_attempt_accepts_nothing() {
    let log = LogHead {
        length: 1,
        head: Digest::ZERO,
    };
    let id = AttemptId { round: 1, attempt: 1 };
    let words = [b"one", b"two"].map(|model| announcement(id, Digest::of(model), log));
    let mut machine = Machine::new(policy(), Memory::default());
    machine.handle(Timestamp(0), Event::Started);
    for word in &words {
        machine.handle(Timestamp(1), Event::Announced(word.clone()));
        for blob in Blob::all(word.plan, word.catalogue, word.model) {
            machine.handle(Timestamp(2), Event::BlobReady(blob));
        }
    }
    let [first, second] = words.map(|word| {
        let cheap = world::costs(1.0, false);
        machine.handle(Timestamp(3), Event::Considered(word, cheap))
    });
    assert_eq!(first, []);
    assert!(
        second.iter().any(|effect| matches!(effect, Effect::Compute(_))),
        "{second:?}"
    );
}
