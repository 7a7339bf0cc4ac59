//! A coordinator that shows shops different lists, and members that make or call shares bad.

use super::*;
use crate::secagg::records::{ShareHashes, UploadBinding};

/// Shops that have checked each other's shares, on one R1.
fn checked(shops: usize, terms: MaskingParams) -> (Federation, Vec<Checked>) {
    terms.check(shops).unwrap_or_else(|error| panic!("{error:?}"));
    let mut federation = Federation::new(terms, &vec![true; shops], 21);
    federation.share(&vec![true; shops]).unwrap();
    federation.check();
    let checked = federation
        .checked
        .iter_mut()
        .map(|checked| checked.take().unwrap());
    let checked = checked.collect();
    (federation, checked)
}

/// Attack 1, end to end with unmodified shops: the victim alone is shown an R2 without its neighbours, so that it uploads
/// under its own mask alone; all others are shown everybody. They must not reveal its seed.
#[test]
fn nobody_reveals_the_seed_of_a_shop_that_was_shown_another_list() {
    for (shops, min_shops, degree) in [(12, 6, 6), (18, 12, 6), (64, 24, 40), (100, 58, 42)] {
        let terms = terms(min_shops, 1, Some(degree), ModulusBits::B32);
        let (federation, checked) = checked(shops, terms);
        let roster = federation.session.roster().unwrap();
        let graph = graph::neighbours(&roster.digest(), shops, degree);
        let everybody: Vec<u32> = (0..shops as u32).collect();
        let isolating: Vec<u32> = everybody
            .iter()
            .copied()
            .filter(|shop| !graph[0].contains(shop))
            .collect();
        let mut masked = Vec::new();
        for (shop, checked) in checked.into_iter().enumerate() {
            let list = if shop == 0 { &isolating } else { &everybody };
            match checked.mask(list.clone(), &identity(shop)) {
                Ok((masking, masks)) => masked.push((shop, masking, masks)),
                // Rule 3 already: no holder of its shares is in that list.
                Err(refusal) => {
                    assert!(matches!(
                        refusal,
                        Refusal::Unknown { .. } | Refusal::TooFewSharers { .. }
                    ));
                    assert_eq!(shop, 0);
                }
            }
        }
        assert!(
            masked.iter().all(|(shop, ..)| *shop != 0),
            "{shops}: it uploads under its own mask alone"
        );
        // Had it uploaded all the same, with a signature on what it was shown:
        let body = |list: &[u32]| UploadBinding {
            id: context(1).id,
            sharers: records::sharers_digest(&roster.digest(), list),
        };
        let bindings: Vec<Binding> = (0..shops)
            .map(|shop| {
                Binding::sign(
                    body(if shop == 0 { &isolating } else { &everybody }),
                    &identity(shop),
                )
            })
            .collect();
        for (shop, masking, _) in &mut masked {
            let refused = masking.confirm(&everybody, &bindings, &identity(*shop));
            assert_eq!(
                refused,
                Err(Refusal::Unbound { shop: name(0) }),
                "{shop} of {shops}"
            );
            assert!(masking.reveal(&[]).is_err());
        }
    }
}

/// Attack 2, in a complete graph: two lists of sharers, each with enough shops for n_min, and mask keys rebuilt in one group
/// would strip masks in the other. Two lists of survivors can't both find F of R1.
#[test]
fn two_lists_of_sharers_are_never_both_confirmed() {
    let (shops, min_shops) = (20, 11);
    let terms = terms(min_shops, 1, None, ModulusBits::B32);
    let (federation, checked) = checked(shops, terms);
    let least = terms.confirmations(shops, 0);
    assert_eq!(least, 11);
    let groups: [Vec<u32>; 2] = [(0..12).collect(), (8..20).collect()];
    let mut masked: Vec<(usize, UnmaskSecrets)> = Vec::new();
    for (shop, checked) in checked.into_iter().enumerate() {
        // Those in both groups are shown one of them: an honest shop makes masks once.
        let list = if shop < 10 { &groups[0] } else { &groups[1] };
        masked.push((shop, checked.mask(list.clone(), &identity(shop)).unwrap().0));
    }
    let bindings: Vec<Binding> = masked.iter().map(|(_, masking)| masking.binding()).collect();
    for (shop, masking) in &mut masked {
        let list = if *shop < 10 { &groups[0] } else { &groups[1] };
        let shown: Vec<Binding> = list.iter().map(|place| bindings[*place as usize]).collect();
        let refused = masking.confirm(list, &shown, &identity(*shop));
        assert!(
            matches!(refused, Err(Refusal::Unbound { .. })),
            "{shop}: {refused:?}"
        );
        // Left to those who made masks for it, the list is too short.
        let alike: Vec<u32> = list
            .iter()
            .copied()
            .filter(|place| (*place < 10) == (*shop < 10))
            .collect();
        let shown: Vec<Binding> = alike.iter().map(|place| bindings[*place as usize]).collect();
        let refused = masking.confirm(&alike, &shown, &identity(*shop));
        assert_eq!(refused, Err(Refusal::Unknown { known: 10, least: 11 }));
    }
    // What is rebuilt for one roster is of no use in another: mask keys of pairs hang on H(R1, R2).
    let roster = federation.session.roster().unwrap();
    let agreed = [1; 32];
    let keys = groups.each_ref().map(|list| {
        let bound = records::sharers_digest(&roster.digest(), list);
        *secrets::pair_seed(&agreed, &context(1), &bound, [8, 9])
    });
    assert_ne!(keys[0], keys[1]);
}

#[test]
fn a_signature_that_is_missing_of_another_attempt_shop_or_list_confirms_nothing() {
    let (mut federation, _) = five(22);
    let all = [0, 1, 2, 3, 4];
    let good: Vec<Binding> = (0..5)
        .map(|shop| federation.masking[shop].as_ref().unwrap().binding())
        .collect();
    let roster = federation.session.roster().unwrap().digest();
    let bound = |attempt, list: &[u32]| UploadBinding {
        id: context(attempt).id,
        sharers: records::sharers_digest(&roster, list),
    };
    let mut refused = |at: usize, bad: Option<Binding>| {
        let mut shown = good.clone();
        match bad {
            Some(bad) => shown[at] = bad,
            None => drop(shown.remove(at)),
        }
        let masking = federation.masking[0].as_mut().unwrap();
        masking.confirm(&all, &shown, &identity(0)).unwrap_err()
    };
    let two = |shop| Refusal::Unbound { shop: name(shop) };
    assert_eq!(refused(4, None), two(4), "missing");
    assert_eq!(refused(2, Some(good[3])), two(2), "another shop's");
    assert_eq!(
        refused(2, Some(Binding::sign(bound(2, &all), &identity(2)))),
        two(2),
        "another attempt's"
    );
    assert_eq!(
        refused(2, Some(Binding::sign(bound(1, &all[..4]), &identity(2)))),
        two(2),
        "another list's"
    );
    let masking = federation.masking[0].as_mut().unwrap();
    let more = [good.as_slice(), &good[..1]].concat();
    assert_eq!(
        masking.confirm(&all, &more, &identity(0)),
        Err(Refusal::NoPart),
        "one too many"
    );
    assert!(masking.confirm(&all, &good, &identity(0)).is_ok());
    // The coordinator takes none of them with an upload, either.
    let session = &mut federation.session;
    assert_eq!(session.bind(&name(2), good[3]), Err(Misfit::Signature));
    let old = Binding::sign(bound(2, &all), &identity(2));
    assert_eq!(session.bind(&name(2), old), Err(Misfit::Signature));
}

/// What a coordinator garbled is its own fault, and nobody complains of its maker.
#[test]
fn a_share_that_its_maker_did_not_sign_is_the_coordinators_fault() {
    let mut federation = Federation::new(terms(4, 1, None, ModulusBits::B32), &[true; 5], 23);
    federation.share(&[true; 5]).unwrap();
    federation.session.deliver();
    let good = federation.session.shares_for(&name(0));
    type Change = fn(&mut DeliveredShare);
    let changes: [Change; 5] = [
        |share| share.sealed[3] ^= 1,
        |share| share.hashes.seed = Digest::ZERO,
        |share| share.path[0] = Digest::ZERO,
        |share| share.threshold += 1,
        |share| share.signature[5] ^= 1,
    ];
    for (number, change) in changes.into_iter().enumerate() {
        let mut again = Federation::new(terms(4, 1, None, ModulusBits::B32), &[true; 5], 23);
        again.share(&[true; 5]).unwrap();
        let mut delivered = good.clone();
        change(&mut delivered[2]);
        let refused = again.sharing[0].take().unwrap().check(&delivered).err();
        assert_eq!(
            refused,
            Some(Refusal::Altered { maker: name(3) }),
            "change {number}"
        );
    }
    let mut twice = good.clone();
    twice.insert(1, good[0].clone());
    assert_eq!(
        federation.sharing[0].take().unwrap().check(&twice).err(),
        Some(Refusal::NoPart)
    );
}

/// Shares as `shop` would sign them: with ciphertexts of noise for some holders, and hashes of anything.
fn resigned(federation: &Federation, shop: usize, mut shares: Shares, garbage: &[usize]) -> Shares {
    let roster = federation.session.roster().unwrap();
    let mut leaves = Vec::new();
    let mut sealed = shares.sealed.iter_mut();
    for (place, hashes) in (0..).zip(&shares.hashes) {
        if place as usize == shop {
            leaves.push(records::share_leaf(place, None, hashes));
            continue;
        }
        let share = sealed.next().unwrap();
        if garbage.contains(&(place as usize)) {
            share.bytes = vec![7; records::SEALED_BYTES];
        }
        leaves.push(records::share_leaf(place, Some(&share.bytes), hashes));
    }
    let root = tree::Tree::over(leaves).root();
    let signed = identity(shop).sign(records::ShareCommitment {
        id: context(1).id,
        roster: roster.digest(),
        threshold: shares.threshold,
        root,
    });
    shares.signature = signed.signature;
    shares
}

/// Seven shops; shop 6 sends others garbage, which it signs.
fn seven_with_garbage_for(garbage: &[usize]) -> (Federation, Vec<u32>) {
    let mut federation = Federation::new(terms(5, 1, None, ModulusBits::B32), &[true; 7], 24);
    let mut there = [true; 7];
    there[6] = false;
    federation.share(&there).unwrap();
    let roster = federation.session.roster().unwrap().clone();
    let keys = federation.keys[6].take().unwrap();
    let random = &mut stream(3, "liar");
    let (sharing, shares) = keys
        .share(roster, &Owner::default(), &identity(6), random)
        .unwrap();
    let shares = resigned(&federation, 6, shares, garbage);
    let terms = federation.terms;
    federation.session.share(&terms, &name(6), shares).unwrap();
    federation.sharing[6] = Some(sharing);
    let sharers = federation.check();
    (federation, sharers)
}

#[test]
fn up_to_t_complaints_count_as_missing_shares_and_more_leave_the_maker_out_before_the_charge() {
    let (federation, sharers) = seven_with_garbage_for(&[2]);
    assert_eq!(sharers, [0, 1, 2, 3, 4, 5, 6]);
    assert!(federation.session.complained_of().is_empty());
    let (mut federation, sharers) = seven_with_garbage_for(&[1, 2]);
    assert_eq!(sharers, [0, 1, 2, 3, 4, 5]);
    assert_eq!(federation.session.complained_of(), [(name(6), 2)]);
    // The others go on and publish.
    let updates = updates(7, WORDS, ModulusBits::B32, 5);
    let mut total = Vec::new();
    for (shop, update) in updates[..6].iter().enumerate() {
        let checked = federation.checked[shop].take().unwrap();
        let (masking, masks) = checked.mask(sharers.clone(), &identity(shop)).unwrap();
        federation.session.bind(&name(shop), masking.binding()).unwrap();
        let mut values = update.clone();
        masks.hide(&mut values);
        federation.masking[shop] = Some(masking);
        total.push(values);
    }
    federation.reveal(&[0, 1, 2, 3, 4, 5], &[true; 7]).unwrap();
    let mut sum_of_all = sum(total.iter(), WORDS);
    unmask(&federation, &mut sum_of_all).unwrap();
    assert_eq!(sum_of_all, sum(updates[..6].iter(), WORDS));
    // The one that was left out would not go on, either.
    let own = federation.checked[6].take().unwrap();
    assert_eq!(own.mask(sharers, &identity(6)).err(), Some(Refusal::Absent));
}

#[test]
fn false_repeated_and_odd_complaints_are_refused_or_cost_a_maker_nothing() {
    let mut federation = Federation::new(terms(5, 1, None, ModulusBits::B32), &[true; 7], 25);
    federation
        .share(&[true, true, true, true, true, true, false])
        .unwrap();
    assert_eq!(federation.session.check(&name(0), vec![]), Err(Misfit::Late));
    federation.session.deliver();
    let session = &mut federation.session;
    for odd in [vec![0], vec![2, 2], vec![3, 1], vec![6], vec![9]] {
        assert_eq!(
            session.check(&name(0), odd.clone()),
            Err(Misfit::Complaint),
            "{odd:?}"
        );
    }
    assert_eq!(
        session.check(&name(6), vec![]),
        Err(Misfit::Absent),
        "it made no shares"
    );
    // A liar complains of everybody: each of them has one complaint, as many as may collude.
    session.check(&name(0), vec![1, 2, 3, 4, 5]).unwrap();
    session.check(&name(0), vec![1, 2, 3, 4, 5]).unwrap();
    assert_eq!(session.check(&name(0), vec![1]), Err(Misfit::Second));
    (1..6).for_each(|shop| session.check(&name(shop), vec![]).unwrap());
    let terms = federation.terms;
    assert_eq!(session.fix_sharers(&terms), [0, 1, 2, 3, 4, 5]);
    assert_eq!(session.check(&name(1), vec![0]), Err(Misfit::Second));
}

/// Shares that fit their hashes and rebuild something else: after the charge, the maker is named.
#[test]
fn a_maker_of_well_formed_wrong_shares_is_named_and_so_is_a_holder_that_shows_another_share() {
    let mut federation = Federation::new(terms(4, 1, None, ModulusBits::B32), &[true; 5], 26);
    let roster = federation.session.fix_roster(&federation.terms).clone();
    let terms = federation.terms;
    for shop in 0..5 {
        let keys = match shop {
            // Another seed than the one it had committed itself to, shared as it should be.
            3 => federation.keys[3].take().unwrap().with_another_seed([9; 32]),
            _ => federation.keys[shop].take().unwrap(),
        };
        let random = &mut stream(shop as u64, "share");
        let (sharing, shares) = keys
            .share(roster.clone(), &Owner::default(), &identity(shop), random)
            .unwrap();
        federation.session.share(&terms, &name(shop), shares).unwrap();
        federation.sharing[shop] = Some(sharing);
    }
    let nothing = vec![UpdateValues::B32(vec![0; WORDS]); 5];
    federation.mask(&[true; 5], &nothing).unwrap();
    let names: Vec<ShopName> = (0..5).map(name).collect();
    let survivors = federation.session.fix_survivors(&names).unwrap();
    let bindings = federation.session.bindings();
    for shop in 0..5 {
        let masking = federation.masking[shop].as_mut().unwrap();
        let signed = masking.confirm(&survivors, &bindings, &identity(shop)).unwrap();
        federation.session.confirm(&name(shop), &signed).unwrap();
    }
    let confirmed = federation.session.confirmations();
    for shop in 0..5 {
        let revealed = federation.masking[shop]
            .as_ref()
            .unwrap()
            .reveal(&confirmed)
            .unwrap();
        if shop == 1 {
            let mut other = revealed.clone();
            other[2].share[0] ^= 1;
            let of = name(other[2].of as usize);
            let lie = federation.session.reveal(&name(1), other);
            assert_eq!(lie, Err(Misfit::FalseShare { of }));
        }
        federation.session.reveal(&name(shop), revealed).unwrap();
    }
    assert!(federation.session.can_unmask());
    let mut sum = vec![0; WORDS];
    let named = unmask(&federation, &mut sum);
    assert_eq!(named, Err(Misfit::FalseShares { shops: vec![name(3)] }));
    assert_eq!(sum, vec![0; WORDS], "the sum is as it was");
}

#[test]
fn a_threshold_that_the_rules_do_not_give_and_unsigned_shares_are_not_taken() {
    let mut federation = Federation::new(terms(4, 1, None, ModulusBits::B32), &[true; 5], 27);
    let roster = federation.session.fix_roster(&federation.terms).clone();
    let keys = federation.keys[0].take().unwrap();
    let random = &mut stream(1, "share");
    let (_, shares) = keys
        .share(roster, &Owner::default(), &identity(0), random)
        .unwrap();
    let terms = federation.terms;
    for threshold in [0, 1, 2, 3, 5, 200] {
        let other = resigned(
            &federation,
            0,
            Shares {
                threshold,
                ..shares.clone()
            },
            &[],
        );
        let taken = federation.session.share(&terms, &name(0), other);
        assert_eq!(taken, Err(Misfit::Threshold), "{threshold}");
    }
    let mut unsigned = shares.clone();
    unsigned.hashes[1] = ShareHashes::of(&[1; 64]);
    assert_eq!(
        federation.session.share(&terms, &name(0), unsigned),
        Err(Misfit::Signature)
    );
    assert_eq!(federation.session.share(&terms, &name(0), shares), Ok(()));
}
