//! Every way in which one side may lie.

use super::*;

/// Signatures on H2, of shops that all uploaded.
fn all_bindings(federation: &Federation) -> Vec<Binding> {
    let all = federation.masking.iter();
    all.map(|masking| masking.as_ref().unwrap().binding()).collect()
}

#[test]
fn two_lists_of_survivors_in_one_attempt_get_one_answer() {
    let (mut federation, _) = five(1);
    let bindings = all_bindings(&federation);
    let mut masking = federation.masking[0].take().unwrap();
    let confirm = |masking: &mut UnmaskSecrets, list: &[u32]| {
        let shown: Vec<Binding> = list.iter().map(|shop| bindings[*shop as usize]).collect();
        masking.confirm(list, &shown, &identity(0))
    };
    let first = confirm(&mut masking, &[0, 1, 2, 3]).unwrap();
    assert_eq!(confirm(&mut masking, &[0, 1, 2, 4]), Err(Refusal::SecondList));
    assert_eq!(
        confirm(&mut masking, &[0, 1, 2, 3]),
        Ok(first),
        "a retry is answered by the same"
    );
    // What was stored remembers it, too.
    let stored = serde_json::to_vec(&masking).unwrap();
    let mut again: UnmaskSecrets = serde_json::from_slice(&stored).unwrap();
    assert_eq!(confirm(&mut again, &[0, 1, 3, 4]), Err(Refusal::SecondList));
}

#[test]
fn nobody_gives_both_shares_of_one_shop_and_nothing_without_signatures() {
    let (mut federation, _) = five(2);
    let survivors = [0, 1, 2, 3];
    let bindings = all_bindings(&federation);
    for shop in 0..4 {
        let signed = federation.masking[shop]
            .as_mut()
            .unwrap()
            .confirm(&survivors, &bindings[..4], &identity(shop))
            .unwrap();
        federation.session.fix_survivors(&[0, 1, 2, 3].map(name)).unwrap();
        federation.session.confirm(&name(shop), &signed).unwrap();
    }
    let confirmed = federation.session.confirmations();
    let masking = federation.masking[0].as_ref().unwrap();
    // floor((5 + 1) / 2) + 1 = 4 signatures.
    assert_eq!(
        masking.reveal(&confirmed[..3]),
        Err(Refusal::Unconfirmed { got: 3, least: 4 })
    );
    let doubled = [&confirmed[..3], &confirmed[..1]].concat();
    assert!(masking.reveal(&doubled).is_err(), "one shop's signature twice");
    let mut forged = confirmed.clone();
    forged[3].signature = forged[2].signature.clone();
    assert!(masking.reveal(&forged).is_err(), "another shop's signature");
    let revealed = masking.reveal(&confirmed).unwrap();
    assert_eq!(
        revealed
            .iter()
            .map(|share| share.of)
            .collect::<BTreeSet<_>>()
            .len(),
        revealed.len()
    );
    let held: serde_json::Value = serde_json::to_value(masking).unwrap();
    for share in &revealed {
        let held = held["shares"].as_array().unwrap();
        let both = held.iter().find(|held| held["of"] == share.of).unwrap()["both"]
            .as_str()
            .unwrap();
        let kind = if share.of == 4 { &both[64..] } else { &both[..64] };
        assert_eq!(crate::hex::text(&share.share), kind);
    }
    // Without a list that it signed itself it reveals nothing at all.
    assert!(
        federation.masking[4]
            .as_ref()
            .unwrap()
            .reveal(&confirmed)
            .is_err()
    );
}

#[test]
fn a_list_that_is_too_short_lacks_the_shop_or_names_strangers_is_refused() {
    let (mut federation, _) = five(3);
    let bindings = all_bindings(&federation);
    let mut confirm = |list: &[u32]| {
        let shown = list
            .iter()
            .filter_map(|shop| bindings.get(*shop as usize).copied());
        federation.masking[0]
            .as_mut()
            .unwrap()
            .confirm(list, &shown.collect::<Vec<_>>(), &identity(0))
            .unwrap_err()
    };
    assert_eq!(confirm(&[0, 1, 2]), Refusal::Unknown { known: 3, least: 4 });
    assert_eq!(confirm(&[1, 2, 3, 4]), Refusal::Absent);
    for bad in [&[0, 1, 2, 9][..], &[0, 2, 1, 3], &[0, 0, 1, 2, 3]] {
        assert_eq!(confirm(bad), Refusal::NoPart, "{bad:?}");
    }
}

#[test]
fn strangers_in_the_roster_count_for_nothing() {
    let mut federation = Federation::new(terms(4, 1, None, ModulusBits::B32), &[true; 5], 4);
    let roster = federation.session.fix_roster(&federation.terms).clone();
    let owner = Owner {
        unknown: [name(3), name(4)].into(),
        least: 0,
    };
    let refused =
        federation.keys[0]
            .take()
            .unwrap()
            .share(roster.clone(), &owner, &identity(9), &mut federation.rng);
    assert_eq!(refused.err(), Some(Refusal::Unknown { known: 3, least: 4 }));
    // One stranger is one more that may collude: it takes one more share.
    let owner = Owner {
        unknown: [name(4)].into(),
        least: 0,
    };
    let (_, shares) = federation.keys[1]
        .take()
        .unwrap()
        .share(roster.clone(), &owner, &identity(9), &mut federation.rng)
        .unwrap();
    assert_eq!(shares.threshold, 4);
    // The owner's own minimum.
    let owner = Owner {
        least: 6,
        ..Owner::default()
    };
    let refused = federation.keys[2]
        .take()
        .unwrap()
        .share(roster, &owner, &identity(9), &mut federation.rng);
    assert_eq!(refused.err(), Some(Refusal::Unknown { known: 5, least: 6 }));
}

#[test]
fn keys_of_another_attempt_of_another_shop_or_of_small_order_are_refused_by_both_sides() {
    let mut rng = stream(5, "keys");
    let terms = terms(2, 1, None, ModulusBits::B32);
    let old = Keys::make(context(1), terms, &name(0), &identity(0), &mut rng);
    let mut session = Session::new(context(2));
    let said = old.advertisement().clone();
    assert_eq!(
        session.advertise(&name(0), &identity(0).public(), said.clone()),
        Err(Misfit::Context)
    );
    assert_eq!(
        session.advertise(&name(1), &identity(1).public(), said.clone()),
        Err(Misfit::Signature)
    );
    // Re-dated, it is not signed any more.
    let mut dated = said.clone();
    dated.body.context = context(2);
    assert_eq!(
        session.advertise(&name(0), &identity(0).public(), dated.clone()),
        Err(Misfit::Signature)
    );
    // A point of small order, signed by its owner.
    let mut weak = said.body.clone();
    (weak.context, weak.mask_key) = (context(2), [0; 32]);
    let weak = identity(0).sign(weak);
    assert_eq!(
        session.advertise(&name(0), &identity(0).public(), weak.clone()),
        Err(Misfit::WeakKey)
    );
    let fresh = || Keys::make(context(2), terms, &name(1), &identity(1), &mut stream(6, "fresh"));
    let shop = |entry| {
        let own = fresh();
        let roster = Roster(vec![entry, own.advertisement().clone()]);
        own.share(roster, &Owner::default(), &identity(1), &mut stream(7, "share"))
            .err()
            .unwrap()
    };
    let shop_0 = name(0);
    assert_eq!(
        shop(said),
        Refusal::Roster(records::RosterError::Context { shop: shop_0.clone() })
    );
    assert_eq!(
        shop(dated),
        Refusal::Roster(records::RosterError::Signature { shop: shop_0.clone() })
    );
    assert_eq!(shop(weak), Refusal::WeakKey { shop: shop_0 });
    // A roster that lacks the shop, or shows other keys for it.
    let stranger = Keys::make(context(2), terms, &name(1), &identity(1), &mut rng);
    let mine = Keys::make(context(2), terms, &name(1), &identity(1), &mut rng);
    let roster = Roster(vec![stranger.advertisement().clone()]);
    assert_eq!(
        mine.share(roster, &Owner::default(), &identity(1), &mut rng)
            .err(),
        Some(Refusal::Absent)
    );
}

#[test]
fn a_second_set_of_keys_or_shares_is_refused_and_the_same_again_is_not() {
    let mut federation = Federation::new(terms(4, 1, None, ModulusBits::B32), &[true; 5], 8);
    let other = Keys::make(
        context(1),
        federation.terms,
        &name(0),
        &identity(0),
        &mut federation.rng,
    );
    let said = other.advertisement().clone();
    let public = identity(0).public();
    assert_eq!(
        federation.session.advertise(&name(0), &public, said),
        Err(Misfit::Second)
    );
    let same = federation.keys[0].as_ref().unwrap().advertisement().clone();
    assert_eq!(federation.session.advertise(&name(0), &public, same), Ok(()));
    let roster = federation.session.fix_roster(&federation.terms).clone();
    let keys = federation.keys[0].take().unwrap();
    let (_, shares) = keys
        .share(roster, &Owner::default(), &identity(0), &mut federation.rng)
        .unwrap();
    let terms = federation.terms;
    federation
        .session
        .share(&terms, &name(0), shares.clone())
        .unwrap();
    assert_eq!(federation.session.share(&terms, &name(0), shares.clone()), Ok(()));
    let mut changed = shares.clone();
    changed.sealed[0].bytes[0] ^= 1;
    assert_eq!(
        federation.session.share(&terms, &name(0), changed),
        Err(Misfit::Second)
    );
    let mut short = shares;
    short.sealed.pop();
    assert_eq!(
        federation.session.share(&terms, &name(1), short),
        Err(Misfit::Shares)
    );
}

/// The sum of four masked updates with every shop's own mask taken off, when each shop is shown a roster and a list of
/// sharers of its own: what is left are pair masks, and they cancel or not.
fn with_own_masks_off(shown: impl Fn(usize, &Roster) -> (Roster, Vec<u32>)) -> Vec<u64> {
    let mut federation = Federation::new(terms(2, 1, None, ModulusBits::B32), &[true; 5], 9);
    let all = federation.session.fix_roster(&federation.terms).clone();
    let updates = updates(4, 200, ModulusBits::B32, 3);
    let masked: Vec<UpdateValues> = (0..4)
        .map(|shop| {
            let (roster, list) = shown(shop, &all);
            let bound = records::sharers_digest(&roster.digest(), &list);
            let keys = federation.keys[shop].take().unwrap();
            let (sharing, _) = keys
                .share(roster, &Owner::default(), &identity(shop), &mut federation.rng)
                .unwrap();
            let own = mask::Mask {
                key: secrets::self_key(&sharing.keys.seed, &context(1), &bound),
                sign: mask::Sign::Minus,
            };
            let (checked, _) = sharing.check(&[]).unwrap();
            let (_, masks) = checked.mask(list, &identity(shop)).unwrap();
            let mut values = updates[shop].clone();
            masks.hide(&mut values);
            mask::apply(MaskCipher::Chacha20, &[own], &mut values);
            values
        })
        .collect();
    sum(masked.iter(), 200)
}

/// Halves of a federation that are told different things make masks that do not cancel.
#[test]
fn two_rosters_two_models_or_two_sharer_lists_leave_noise() {
    let plain = sum(updates(4, 200, ModulusBits::B32, 3).iter(), 200);
    let same = |left: Vec<u64>| {
        left.iter()
            .zip(&plain)
            .filter(|(left, plain)| left == plain)
            .count()
    };
    let four = |roster: &Roster| Roster(roster.0[..4].to_vec());
    let everybody = vec![0, 1, 2, 3];
    // The coordinator may learn every own mask. With one roster and one list that leaves the sum: the test can tell.
    assert_eq!(
        same(with_own_masks_off(|_, all| (four(all), everybody.clone()))),
        200
    );
    let two_lists = with_own_masks_off(|shop, all| match shop {
        3 => (four(all), vec![1, 2, 3]),
        _ => (four(all), everybody.clone()),
    });
    assert!(same(two_lists) < 3, "two lists of sharers");
    let two_rosters = with_own_masks_off(|shop, all| match shop {
        0 | 1 => (all.clone(), everybody.clone()),
        _ => (four(all), everybody.clone()),
    });
    assert!(same(two_rosters) < 3, "two rosters");
    // Keys are signed for one model and plan: shops of another model are in no roster of this one.
    let other = Context {
        model: Digest::of(b"another model"),
        ..context(1)
    };
    let mut rng = stream(10, "other");
    let terms = terms(2, 1, None, ModulusBits::B32);
    let [here, there] = [(context(1), 0), (other, 1)]
        .map(|(context, shop)| Keys::make(context, terms, &name(shop), &identity(shop), &mut rng));
    let roster = Roster(vec![here.advertisement().clone(), there.advertisement().clone()]);
    assert!(
        here.share(roster, &Owner::default(), &identity(0), &mut rng)
            .is_err()
    );
}

#[test]
fn a_holder_reveals_only_what_it_holds() {
    let (mut federation, _) = five(11);
    federation.reveal(&[0, 1, 2, 3, 4], &[true; 5]).unwrap();
    let mut session = federation.session;
    session.revealed.clear();
    let stray = Revealed {
        of: 9,
        share: [0; 32],
    };
    assert_eq!(session.reveal(&name(1), vec![stray.clone()]), Err(Misfit::Shares));
    let twice = vec![
        Revealed {
            of: 0,
            ..stray.clone()
        },
        Revealed { of: 0, ..stray },
    ];
    assert_eq!(session.reveal(&name(1), twice), Err(Misfit::Shares));
}

#[test]
fn a_share_for_another_round_or_receiver_does_not_open() {
    let mut rng = stream(12, "seal");
    let (a, b): ([u8; 32], [u8; 32]) = (rng.random(), rng.random());
    let agreed = secrets::agree(&a, &secrets::public_key(&b)).unwrap();
    let roster = Digest::of(b"roster");
    let shares: [u8; 64] = std::array::from_fn(|at| at as u8);
    let sealed = secrets::seal(&agreed, &context(1), &roster, (0, 1), &shares);
    assert_eq!(sealed.len(), records::SEALED_BYTES);
    let open =
        |context, roster, way| secrets::open(&agreed, &context, &roster, way, &sealed).map(|both| *both);
    assert_eq!(open(context(1), roster, (0, 1)), Some(shares));
    assert_eq!(open(context(2), roster, (0, 1)), None, "another attempt");
    assert_eq!(
        open(context(1), Digest::of(b"other"), (0, 1)),
        None,
        "another roster"
    );
    assert_eq!(open(context(1), roster, (1, 0)), None, "the other direction");
}
