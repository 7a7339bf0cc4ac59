//! Shops that declined and are ready while the attempt is open: asked again as long as it can take them.

use std::time::Duration;

use souk_common::clock::Timestamp;
use souk_common::ids::{AttemptId, ShopName};
use souk_common::round::statements::{Decision, DeclineCode};
use souk_common::secagg::mask::MaskCipher;
use souk_common::secagg::{MaskingParams, Safeguards};
use souk_common::update::ModulusBits;

use crate::round::{Effect, Event, Machine, MaskRules, PauseReason, Phase, Restored, Rules};

const FIRST: AttemptId = AttemptId { round: 1, attempt: 1 };

fn name(shop: usize) -> ShopName {
    format!("shop-{shop}").parse().unwrap()
}

/// Four shops of the plan, of which the first `connected` are there, and a quorum of three; attempts last ten minutes.
fn machine(masked: bool, connected: usize) -> Machine {
    let terms = MaskingParams {
        min_shops: 3,
        colluding: 1,
        neighbours: None,
        cipher: MaskCipher::Chacha20,
        bits: ModulusBits::B32,
        safeguards: Safeguards::ALL,
    };
    let step = Duration::from_secs(60);
    let rules = Rules {
        shops: (0..4).map(name).collect(),
        quorum: 3,
        deadline: Duration::from_secs(600),
        attempts: 3,
        rounds: 1,
        last_release: None,
        update_bytes: vec![4],
        masking: masked.then_some(MaskRules { step, terms }),
    };
    let mut machine = Machine::new(rules, Restored::default());
    machine.handle(Timestamp(0), Event::Started);
    (0..connected).for_each(|shop| drop(machine.handle(Timestamp(0), Event::Connected(name(shop)))));
    assert_eq!(machine.open().map(|(id, _)| id), Some(FIRST));
    machine
}

fn tell(machine: &mut Machine, event: Event) -> Vec<Effect> {
    machine.handle(Timestamp(1), event)
}

fn decline(machine: &mut Machine, shop: usize, id: AttemptId) -> Vec<Effect> {
    let answer = Decision::Decline(DeclineCode::TooFewKnownShops);
    let shop = name(shop);
    tell(machine, Event::Answered { shop, id, answer })
}

fn ready(machine: &mut Machine, shop: usize) -> Vec<Effect> {
    let id = AttemptId { round: 1, attempt: 0 };
    let (shop, answer) = (name(shop), Decision::Accept);
    tell(machine, Event::Answered { shop, id, answer })
}

fn keys(machine: &mut Machine, shop: usize, id: AttemptId) -> Vec<Effect> {
    let shop = name(shop);
    tell(machine, Event::Advertised { shop, id })
}

fn roster(effects: &[Effect]) -> Option<&[ShopName]> {
    effects.iter().find_map(|effect| match effect {
        Effect::FixRoster { shops, .. } => Some(shops.as_slice()),
        _ => None,
    })
}

fn asked_again(shop: usize) -> Effect {
    let shops = vec![name(shop)];
    Effect::Announce { id: FIRST, shops }
}

#[test]
fn a_masked_attempt_that_nobody_can_complete_ends_with_the_last_answer_and_uncharged() {
    // All decline; or two accept, which is below the quorum.
    for accepting in [0, 2] {
        let mut machine = machine(true, 4);
        (0..accepting).for_each(|shop| assert_eq!(keys(&mut machine, shop, FIRST), []));
        for shop in accepting..3 {
            assert_eq!(
                decline(&mut machine, shop, FIRST),
                [],
                "the fourth is not heard yet"
            );
        }
        let effects = decline(&mut machine, 3, FIRST);
        let ended = |effect: &Effect| matches!(effect, Effect::Abandon { charged: false, .. });
        assert!(effects.iter().any(ended), "{effects:?}");
        assert_eq!(machine.paused(), Some(PauseReason::Declined));
        // All are known, so the run goes on once, when enough of them are ready.
        for shop in accepting..2 {
            assert_eq!(ready(&mut machine, shop), [], "{shop}");
        }
        assert_eq!(machine.phase(), Phase::Paused);
        ready(&mut machine, 2);
        assert_eq!(machine.open().map(|(id, _)| id.attempt), Some(2));
    }
}

#[test]
fn one_that_may_still_come_is_waited_for_and_a_shop_that_is_ready_meanwhile_is_taken_in() {
    // The fourth is away, and would be enough.
    let mut machine = machine(true, 3);
    (0..2).for_each(|shop| assert_eq!(keys(&mut machine, shop, FIRST), []));
    assert_eq!(decline(&mut machine, 2, FIRST), []);
    assert_eq!(machine.phase(), Phase::Collecting);
    assert_eq!(ready(&mut machine, 3), [], "it has nothing to be ready for");
    assert_eq!(ready(&mut machine, 2), [asked_again(2)]);
    assert_eq!(ready(&mut machine, 2), [], "it is asked already");
    let effects = keys(&mut machine, 2, FIRST);
    assert_eq!(roster(&effects), Some(&[name(0), name(1), name(2)][..]));
}

#[test]
fn a_shop_that_is_ready_when_the_roster_is_fixed_counts_for_the_next_attempt() {
    let mut machine = machine(true, 4);
    assert_eq!(decline(&mut machine, 3, FIRST), []);
    (0..2).for_each(|shop| assert_eq!(keys(&mut machine, shop, FIRST), []));
    let effects = keys(&mut machine, 2, FIRST);
    assert_eq!(roster(&effects).map(<[ShopName]>::len), Some(3));
    assert_eq!(ready(&mut machine, 3), [], "others have signed a list without it");
    assert_eq!(keys(&mut machine, 3, FIRST), [], "nor does it help to send keys");
    // One of the three can't go on: two are left, and with the fourth there are enough for another attempt.
    let effects = decline(&mut machine, 2, FIRST);
    assert!(
        effects
            .iter()
            .any(|effect| matches!(effect, Effect::Abandon { charged: false, .. })),
        "{effects:?}"
    );
    assert_eq!(machine.open().map(|(id, _)| id.attempt), Some(2));
}

#[test]
fn without_masks_a_shop_that_is_ready_is_asked_again_in_the_open_attempt() {
    let mut machine = machine(false, 4);
    assert_eq!(decline(&mut machine, 0, FIRST), []);
    assert_eq!(ready(&mut machine, 0), [asked_again(0)]);
    tell(&mut machine, Event::Revoked(name(1)));
    assert_eq!(ready(&mut machine, 1), [], "one that was revoked is not");
}
