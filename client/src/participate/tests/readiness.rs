//! A shop that declined says so when the reason is gone, and only then; asked again, it takes part.

use super::*;
use crate::participate::{AttemptKey, Consideration, Memory, ready_word};
use world::costs;

/// A machine that has just declined the first attempt by `policy`, and the key of that.
fn declined(policy: Policy, consideration: Consideration) -> (Machine, AttemptKey) {
    let mut machine = Machine::new(policy, Memory::default());
    let log = LogHead {
        length: 2,
        head: Digest::of(b"log"),
    };
    let id = AttemptId { round: 1, attempt: 1 };
    let word = announcement(id, Digest::of(b"model"), log);
    let key = AttemptKey::from(&word);
    machine.handle(Timestamp(0), Event::Announced(word.clone()));
    for blob in Blob::all(word.plan, word.catalogue, word.model) {
        machine.handle(Timestamp(0), Event::BlobReady(blob));
    }
    machine.handle(Timestamp(0), Event::Considered(word, consideration));
    (machine, key)
}

fn is_ready(effects: &[Effect]) -> bool {
    let word =
        |effect: &Effect| matches!(effect, Effect::Answer(key, Decision::Accept) if key.id == ready_word(1));
    effects.iter().any(word)
}

fn over(id: AttemptId) -> Event {
    let outcome = Outcome::BelowQuorum {
        accepted: 0,
        quorum: 2,
    };
    Event::Ended { id, outcome }
}

#[test]
fn confirmed_keys_make_a_shop_ready_at_once_and_when_the_attempt_that_it_declined_is_over() {
    let strict = Policy {
        max_epsilon: souk_common::params::Epsilon::new(1.0).unwrap(),
        ..policy()
    };
    let changed = |policy: Policy| Event::PolicyChanged(Box::new(policy));
    for over_first in [true, false] {
        let (mut machine, key) = declined(strict.clone(), costs(2.0, false));
        assert!(machine.waits_for_owner());
        let mut tell = |event| machine.handle(Timestamp(1), event);
        let first = match over_first {
            true => [over(key.id), changed(policy())],
            false => [changed(policy()), over(key.id)],
        };
        let [first, second] = first.map(&mut tell);
        // At once, and again when the attempt that it declined is over; the owner reads of it once.
        assert_eq!((is_ready(&first), is_ready(&second)), (!over_first, true));
        let told = |effects: &[Effect]| {
            effects
                .iter()
                .any(|effect| matches!(effect, Effect::Report(Note::Ready(_))))
        };
        assert_eq!((told(&first), told(&second)), (!over_first, over_first));
        assert!(!is_ready(&tell(over(key.id))), "not again and again");
        assert!(!machine.waits_for_owner());
    }
    // Another change is none that helps; and after a new connection the attempt is over, or announced again.
    let (mut machine, key) = declined(strict.clone(), costs(2.0, false));
    let other = Policy {
        known_shops: 7,
        ..strict.clone()
    };
    assert!(!is_ready(&machine.handle(Timestamp(1), over(key.id))));
    assert!(!is_ready(&machine.handle(Timestamp(1), changed(other))));
    assert!(is_ready(&machine.handle(Timestamp(1), changed(policy()))));
    // A delta above one over the declared customers, until it is mended.
    let careless = Policy {
        delta: souk_common::params::Delta::new(0.02).unwrap(),
        ..policy()
    };
    let (mut machine, key) = declined(careless, costs(2.0, false));
    assert!(!is_ready(&machine.handle(Timestamp(1), over(key.id))));
    assert!(is_ready(&machine.handle(Timestamp(1), changed(policy()))));
    // What no rule of the owner's was the reason of is not healed by one.
    let (mut machine, key) = declined(policy(), Consideration::Unreadable);
    assert!(!machine.waits_for_owner());
    machine.handle(Timestamp(1), over(key.id));
    assert!(!is_ready(&machine.handle(Timestamp(1), changed(strict))));
}

/// The coordinator asks again in the very attempt that was declined: the shop takes part in it.
#[test]
fn asked_again_in_the_open_attempt_a_shop_that_is_ready_takes_part_and_one_that_is_not_declines_again() {
    let strict = Policy {
        max_epsilon: souk_common::params::Epsilon::new(1.0).unwrap(),
        ..policy()
    };
    let (mut machine, key) = declined(strict.clone(), costs(2.0, true));
    let log = LogHead {
        length: 2,
        head: Digest::of(b"log"),
    };
    let word = announcement(key.id, Digest::of(b"model"), log);
    let again = machine.handle(Timestamp(1), Event::Announced(word.clone()));
    let code = souk_common::round::statements::DeclineCode::OverBudget;
    assert_eq!(again, [Effect::Answer(key, Decision::Decline(code))]);
    machine.handle(Timestamp(2), Event::PolicyChanged(Box::new(policy())));
    machine.handle(Timestamp(3), Event::Announced(word.clone()));
    for blob in Blob::all(word.plan, word.catalogue, word.model) {
        machine.handle(Timestamp(3), Event::BlobReady(blob));
    }
    let took = machine.handle(Timestamp(3), Event::Considered(word, costs(2.0, true)));
    let makes_keys = |effect: &Effect| matches!(effect, Effect::Masked(MaskEffect::MakeKeys(_)));
    assert!(took.iter().any(makes_keys), "{took:?}");
    // It is in: that the attempt is over is no reason to say that it would be.
    assert!(!is_ready(&machine.handle(Timestamp(4), over(key.id))));
}
