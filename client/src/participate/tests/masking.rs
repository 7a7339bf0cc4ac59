//! Masked attempts, one by one.

use souk_common::round::statements::{Decision, DeclineCode};

use super::lists::Said;
use super::world::{Op, World};
use super::*;

/// A masked attempt, up to the first waiting effect that `stop` knows; it then waits first.
fn until(stop: impl Fn(&Effect) -> bool) -> World {
    let mut world = World::new();
    world.settle();
    world.announce(true);
    for _ in 0..100 {
        if let Some(at) = world.waiting.iter().position(&stop) {
            world.waiting.swap(0, at);
            return world;
        }
        match world.waiting.is_empty() {
            true => world.go_on(),
            false => world.apply(&Op::Do(0)),
        }
    }
    panic!("it never comes to that: {:?}", world.waiting);
}

fn last_answer(world: &World) -> Option<Decision> {
    world.answers.last().map(|(_, answer)| *answer)
}

fn key(world: &World) -> AttemptKey {
    AttemptKey::from(world.open.as_ref().expect("open"))
}

#[test]
fn a_masked_attempt_is_accepted_with_keys_and_ends_with_nothing_stored() {
    let mut world = until(|effect| matches!(effect, Effect::Masked(MaskEffect::Reveal { .. })));
    assert!(world.answers.is_empty(), "{:?}", world.answers);
    assert_eq!(world.disk.masking, Some(key(&world)));
    world.settle();
    assert!(world.lists.revealed);
    world.apply(&Op::Publish);
    assert_eq!((world.disk.masking, world.machine.memory().masking), (None, None));
}

#[test]
fn training_and_masks_wait_for_each_other_in_either_order() {
    for training_first in [true, false] {
        let mut world = until(|effect| matches!(effect, Effect::Compute(_)));
        let compute = world.waiting.remove(0);
        if training_first {
            world.carry_out(compute);
            assert!(
                !world
                    .waiting
                    .iter()
                    .any(|effect| matches!(effect, Effect::RecordSpend(_)))
            );
            world.settle();
        } else {
            world.settle();
            assert!(world.disk.spent.is_empty());
            world.carry_out(compute);
            world.settle();
        }
        assert!(world.lists.revealed, "training first: {training_first}");
    }
}

#[test]
fn repeated_words_are_answered_by_the_same_keys_and_shares_and_masks_are_made_once() {
    let mut world = until(|effect| matches!(effect, Effect::RecordSpend(_)));
    world.waiting.clear();
    world.apply(&Op::AnnounceAgain);
    let again = Effect::Masked(MaskEffect::Advertise(key(&world)));
    assert_eq!(world.waiting, [again], "the same keys, no new ones");
    for said in [Said::Roster, Said::Delivered, Said::Sharers] {
        world.waiting.clear();
        world.apply(&Op::Say(said));
        assert_eq!(world.waiting, [], "{said:?}");
    }
}

#[test]
fn after_a_crash_before_the_outbox_the_keys_are_lost_and_the_attempt_is_declined() {
    let mut world = until(|effect| matches!(effect, Effect::Masked(MaskEffect::MakeMasks { .. })));
    world.apply(&Op::Crash);
    world.settle();
    assert_eq!(
        last_answer(&world),
        Some(Decision::Decline(DeclineCode::ListRefused))
    );
    assert!(world.disk.spent.is_empty() && world.uploaded.is_empty());
    let mut world = until(|effect| matches!(effect, Effect::PutInOutbox(_)));
    world.apply(&Op::Crash);
    world.settle();
    assert_eq!(
        last_answer(&world),
        Some(Decision::Decline(DeclineCode::Interrupted))
    );
}

#[test]
fn after_a_crash_with_a_masked_outbox_it_goes_on_from_what_is_stored() {
    let stops: [fn(&Effect) -> bool; 4] = [
        |effect| matches!(effect, Effect::Upload { .. }),
        |effect| matches!(effect, Effect::Masked(MaskEffect::StoreSurvivors { .. })),
        |effect| matches!(effect, Effect::Masked(MaskEffect::Confirm(_))),
        |effect| matches!(effect, Effect::Masked(MaskEffect::Reveal { .. })),
    ];
    for (at, stop) in stops.iter().enumerate() {
        let mut world = until(stop);
        world.apply(&Op::Crash);
        world.settle();
        assert!(world.lists.revealed && world.answers.is_empty(), "stop {at}");
    }
}

#[test]
fn a_second_list_of_survivors_is_refused_also_after_a_crash_and_the_secrets_go() {
    let mut world = until(|effect| matches!(effect, Effect::Masked(MaskEffect::Confirm(_))));
    world.apply(&Op::Crash);
    world.waiting.clear();
    world.apply(&Op::Say(Said::Survivors { other: true }));
    world.settle();
    assert_eq!(
        last_answer(&world),
        Some(Decision::Decline(DeclineCode::ListRefused))
    );
    assert_eq!(world.disk.masking, None);
    assert!(world.lists.signed.len() <= 1 && !world.lists.revealed);
}

#[test]
fn a_masked_update_whose_secrets_are_lost_is_declined() {
    let mut world = until(|effect| matches!(effect, Effect::Upload { .. }));
    let key = key(&world);
    (world.disk.lost_masking, world.disk.masking) = (Some(key), None);
    world.apply(&Op::Crash);
    world.settle();
    assert_eq!(
        world.answers,
        [(key, Decision::Decline(DeclineCode::ListRefused))]
    );
    assert!(!world.lists.revealed);
}

#[test]
fn secrets_are_erased_when_the_news_of_the_end_was_lost() {
    let mut world = until(|effect| matches!(effect, Effect::Masked(MaskEffect::Reveal { .. })));
    // Published while the connection is down.
    let open = world.open.take().expect("open");
    world.manifest.id = open.id;
    world.apply(&Op::Reconnect);
    assert_eq!(world.disk.masking, None);
}
