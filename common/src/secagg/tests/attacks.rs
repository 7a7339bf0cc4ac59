//! What colluding shops and a lying coordinator tried in review, and what damaged files do.

use std::collections::BTreeSet;

use super::{Owner, context, identity, name, terms};
use crate::crypto::sign::Signed;
use crate::rng::stream;
use crate::secagg::*;
use crate::update::ModulusBits;

fn keys(shop: usize, terms: MaskingParams) -> Keys {
    let mut random = stream(shop as u64, "keys");
    Keys::make(context(1), terms, &name(shop), &identity(shop), &mut random)
}

/// A session with R1 of shops that all advertise.
fn session(terms: &MaskingParams, advertisements: impl Iterator<Item = Signed<Advertisement>>) -> Session {
    let mut session = Session::new(context(1));
    for (shop, said) in advertisements.enumerate() {
        session
            .advertise(&name(shop), &identity(shop).public(), said)
            .unwrap();
    }
    session.fix_roster(terms);
    session
}

/// X25519 ignores the highest bit of a public key. A shop at the other end of the roster that takes another one's mask key
/// with that bit set would cancel that one's masks in everybody between them.
#[test]
fn a_copied_mask_key_makes_no_copied_mask() {
    let terms = terms(2, 1, None, ModulusBits::B32);
    let mut copied = keys(3, terms).advertisement().body.clone();
    copied.mask_key = keys(0, terms).advertisement().body.mask_key;
    copied.mask_key[31] ^= 0x80;
    let said = (0..3)
        .map(|shop| keys(shop, terms).advertisement().clone())
        .chain([identity(3).sign(copied)]);
    let mut session = session(&terms, said);
    let roster = session.roster().unwrap().clone();
    let mut victim = None;
    for shop in 0..3 {
        let random = &mut stream(9, "share");
        let shared = keys(shop, terms).share(roster.clone(), &Owner::default(), &identity(shop), random);
        let (sharing, shares) = shared.unwrap();
        session.share(&terms, &name(shop), shares).unwrap();
        if shop == 1 {
            victim = Some(sharing);
        }
    }
    // A lying coordinator passes on nothing of the colluding shop, and lists it all the same.
    session.deliver();
    let (checked, bad) = victim.unwrap().check(&session.shares_for(&name(1))).unwrap();
    assert!(bad.is_empty());
    let (_, masks) = checked.mask(vec![0, 1, 2, 3], &identity(1)).unwrap();
    let distinct: BTreeSet<[u8; 32]> = masks.masks.iter().map(|mask| *mask.key).collect();
    assert_eq!(distinct.len(), 4, "the own mask and three neighbours'");
}

/// The coordinator says of all shops in two arcs of the circle that they dropped out, but for those that it invented, so as
/// to learn the sum over the shops between the arcs. Those at its ends refuse; the others see nothing of it, and invented
/// holders give both their shares. That must not rebuild the seeds of those at the ends.
#[test]
fn a_gap_in_the_circle_filled_with_strangers_does_not_cut_a_part_of_the_sum_off() {
    let (degree, colluding) = (28, 1);
    let (inside, gap, outside, invented) = (32, degree / 2, 20, 6);
    let shops = inside + gap + outside + gap;
    let terms = terms(40, colluding, Some(degree), ModulusBits::B32);
    terms.check(shops).unwrap_or_else(|error| panic!("{error:?}"));
    let said = (0..shops).map(|shop| keys(shop, terms).advertisement().clone());
    let mut session = session(&terms, said);
    let roster = session.roster().unwrap().clone();
    let circle = graph::circle(&roster.digest(), shops);
    let places = |from: usize, many: usize| circle[from..from + many].iter().copied();
    let strangers: BTreeSet<u32> = places(inside, invented)
        .chain(places(shops - invented, invented))
        .collect();
    let owner = Owner {
        unknown: strangers.iter().map(|place| name(*place as usize)).collect(),
        least: 0,
    };
    let sharing: Vec<Sharing> = (0..shops)
        .map(|shop| {
            let random = &mut stream(shop as u64, "share");
            let shared = keys(shop, terms).share(roster.clone(), &owner, &identity(shop), random);
            let (sharing, shares) = shared.unwrap();
            session.share(&terms, &name(shop), shares).unwrap();
            sharing
        })
        .collect();
    session.deliver();
    let check = |(shop, sharing): (usize, Sharing)| {
        let (checked, bad) = sharing.check(&session.shares_for(&name(shop))).unwrap();
        session.check(&name(shop), bad).unwrap();
        checked
    };
    let checked: Vec<Checked> = sharing.into_iter().enumerate().map(check).collect();
    let sharers = session.fix_sharers(&terms);
    // All uploaded; the coordinator says otherwise.
    let mask = |(shop, checked): (usize, Checked)| {
        let (masking, _) = checked.mask(sharers.clone(), &identity(shop)).unwrap();
        session.bind(&name(shop), masking.binding()).unwrap();
        masking
    };
    let masked: Vec<UnmaskSecrets> = checked.into_iter().enumerate().map(mask).collect();
    let survivors: BTreeSet<u32> = places(0, inside)
        .chain(places(inside + gap, outside))
        .chain(strangers.iter().copied())
        .collect();
    let counted: Vec<_> = survivors.iter().map(|place| name(*place as usize)).collect();
    let survivors = session.fix_survivors(&counted).unwrap();
    let mut confirming = Vec::new();
    let mut refusing = BTreeSet::new();
    let bindings = session.bindings();
    for (shop, mut masking) in masked.into_iter().enumerate() {
        let place = shop as u32;
        if survivors.binary_search(&place).is_err() {
            continue;
        }
        match masking.confirm(&survivors, &bindings, &identity(shop)) {
            Ok(signed) => {
                session.confirm(&name(shop), &signed).unwrap();
                confirming.push((shop, masking));
            }
            // Invented shops sign whatever they like, and show what they hold.
            Err(_) if strangers.contains(&place) => {
                let told = serde_json::to_string(&masking).unwrap();
                let told = told.replace("\"survivors\":null", &format!("\"survivors\":{survivors:?}"));
                let mut masking: UnmaskSecrets = serde_json::from_str(&told).unwrap();
                let signed = masking.confirm(&survivors, &bindings, &identity(shop)).unwrap();
                session.confirm(&name(shop), &signed).unwrap();
                confirming.push((shop, masking));
            }
            Err(_) => {
                refusing.insert(place);
            }
        }
    }
    assert!(
        refusing.contains(&circle[0]) && refusing.contains(&circle[inside - 1]),
        "those at the ends see the gap"
    );
    let confirmed = session.confirmations();
    for (shop, masking) in &confirming {
        let revealed = masking.reveal(&confirmed).expect("enough have signed");
        session.reveal(&name(*shop), revealed).unwrap();
    }
    assert!(!session.can_unmask());
    let unknown = graph::neighbours(&roster.digest(), shops, degree)[circle[0] as usize]
        .iter()
        .filter(|holder| strangers.contains(holder))
        .count();
    assert_eq!(unknown, invented);
    for end in [circle[0], circle[inside - 1]] {
        let shares = session.shares_of(end).len();
        // As many as half of the holders and every stranger have: enough for both secrets, not for this.
        assert_eq!(shares, degree / 2 - colluding + invented);
        assert!(shares > (degree + 1 + colluding + unknown) / 2);
        assert!(shares < terms.threshold(shops, unknown));
    }
}

#[test]
fn a_session_that_was_stored_goes_on_where_it_was_and_one_in_disorder_does_not_panic() {
    let terms = terms(2, 1, None, ModulusBits::B32);
    let mut live = session(
        &terms,
        (0..3).map(|shop| keys(shop, terms).advertisement().clone()),
    );
    let roster = live.roster().unwrap().clone();
    let mut sharing = Vec::new();
    for shop in 0..3 {
        let random = &mut stream(shop as u64, "share");
        let (kept, shares) = keys(shop, terms)
            .share(roster.clone(), &Owner::default(), &identity(shop), random)
            .unwrap();
        live.share(&terms, &name(shop), shares).unwrap();
        sharing.push(kept);
    }
    live.deliver();
    let mut checked = Vec::new();
    for (shop, sharing) in sharing.into_iter().enumerate() {
        let (kept, bad) = sharing.check(&live.shares_for(&name(shop))).unwrap();
        live.check(&name(shop), bad).unwrap();
        checked.push(kept);
    }
    let sharers = live.fix_sharers(&terms);
    let mut masking: Vec<UnmaskSecrets> = Vec::new();
    for (shop, checked) in checked.into_iter().enumerate() {
        let made = checked.mask(sharers.clone(), &identity(shop)).unwrap().0;
        live.bind(&name(shop), made.binding()).unwrap();
        masking.push(made);
    }
    let all = [0, 1, 2].map(name);
    let survivors = live.fix_survivors(&all).unwrap();
    let bindings = live.bindings();
    assert_eq!(
        live.fix_survivors(&all[..2]),
        Err(Misfit::Second),
        "another R3 of the same attempt"
    );
    assert_eq!(
        live.fix_survivors(&[0, 1, 1, 2].map(name)),
        Err(Misfit::Second),
        "an update counted twice"
    );
    for (shop, masking) in masking.iter_mut().enumerate() {
        let signed = masking.confirm(&survivors, &bindings, &identity(shop)).unwrap();
        live.confirm(&name(shop), &signed).unwrap();
    }
    let confirmed = live.confirmations();
    for (shop, masking) in masking.iter().enumerate() {
        let revealed = masking.reveal(&confirmed).unwrap();
        live.reveal(&name(shop), revealed.clone()).unwrap();
        // The same again counts once.
        live.reveal(&name(shop), revealed).unwrap();
        // Three holders, T = 3.
        assert_eq!(live.can_unmask(), shop == 2);
        let stored = serde_json::to_vec(&live).unwrap();
        let read: Session = serde_json::from_slice(&stored).unwrap();
        assert!(!read.can_unmask(), "nothing is derived yet");
        assert!(read.unmask(&terms, &mut [0u32; 2]).is_err());
        assert!(read.shares_for(&name(0)).is_empty());
        assert_eq!(read.survivors_digest(), live.survivors_digest());
        let resumed = read.resumed(&terms);
        assert_eq!(resumed, live);
        assert_eq!(resumed.can_unmask(), shop == 2);
    }
    // A shop's damaged records: more colluding shops than a number holds, more known shops than the roster has.
    for (field, value, reveals) in [
        ("colluding", serde_json::json!(u64::MAX), false),
        ("known", serde_json::json!([0, 1, 2, 3, 4]), true),
        ("known", serde_json::json!([]), false),
    ] {
        let mut told = serde_json::to_value(&masking[0]).unwrap();
        told[field] = value;
        let broken: UnmaskSecrets = serde_json::from_value(told).unwrap();
        assert_eq!(broken.reveal(&confirmed).is_ok(), reveals, "{field}");
    }
    // Places that no roster has.
    let mut told = serde_json::to_value(&live).unwrap();
    for list in ["sharers", "survivors"] {
        told[list] = serde_json::json!([0, 1, 7, u32::MAX]);
    }
    told["revealed"]["1"][0]["of"] = u32::MAX.into();
    let broken: Session = serde_json::from_value(told).unwrap();
    let broken = broken.resumed(&terms);
    assert!(!broken.can_unmask());
    assert!(broken.unmask(&terms, &mut [0u32; 2]).is_err());
    assert_eq!(broken.names(&[0, 9]), [name(0)]);
}
