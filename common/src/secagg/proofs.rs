//! Both halves together: random federations with dropouts, and every way in which one side may lie.

use std::collections::BTreeSet;

use proptest::prelude::*;
use rand::RngExt;

use super::shop::Acquaintance;
use super::*;
use crate::crypto::sign::SigningKey;
use crate::ids::{Digest, ShopName};
use crate::privacy::UpdateValues;
use crate::rng::{Stream, stream};
use crate::round::grid::ModulusBits;
use crate::round::plan::MaskCipher;
use crate::round::record::AttemptId;

/// An owner who knows everybody but some.
#[derive(Default)]
pub(super) struct Owner {
    pub(super) unknown: BTreeSet<ShopName>,
    pub(super) least: usize,
}

impl Acquaintance for Owner {
    fn knows(&self, shop: &ShopName, _: &Digest) -> bool {
        !self.unknown.contains(shop)
    }

    fn least_shops(&self) -> usize {
        self.least
    }
}

pub(super) fn context(attempt: u32) -> Context {
    Context {
        id: AttemptId { round: 3, attempt },
        plan: Digest::of(b"plan"),
        model: Digest::of(b"model"),
    }
}

pub(super) fn name(shop: usize) -> ShopName {
    format!("shop-{shop:04}").parse().unwrap()
}

pub(super) fn identity(shop: usize) -> SigningKey {
    let mut secret = [7; 32];
    secret[..8].copy_from_slice(&(shop as u64).to_le_bytes());
    SigningKey::from_bytes(&secret)
}

pub(super) fn terms(
    min_shops: usize,
    colluding: usize,
    neighbours: Option<usize>,
    bits: ModulusBits,
) -> Terms {
    Terms {
        min_shops,
        colluding,
        neighbours,
        cipher: MaskCipher::Chacha20,
        bits,
    }
}

/// A federation in the middle of an attempt: everything said so far, and what each shop holds.
struct Federation {
    terms: Terms,
    session: Session,
    rng: Stream,
    keys: Vec<Option<Keys>>,
    sharing: Vec<Option<Sharing>>,
    masking: Vec<Option<Masking>>,
}

impl Federation {
    /// Shops that advertise; the others (false) drop out before.
    fn new(terms: Terms, advertise: &[bool], seed: u64) -> Self {
        let mut rng = stream(seed, "federation");
        let mut session = Session::new(context(1));
        let keys = advertise
            .iter()
            .enumerate()
            .map(|(shop, there)| {
                let made = Keys::make(context(1), terms, &name(shop), &identity(shop), &mut rng);
                there.then(|| {
                    let said = made.advertisement().clone();
                    session
                        .advertise(&name(shop), &identity(shop).public(), said)
                        .unwrap();
                    made
                })
            })
            .collect();
        let none = || advertise.iter().map(|_| None).collect();
        Self {
            terms,
            session,
            rng,
            keys,
            sharing: none(),
            masking: advertise.iter().map(|_| None).collect(),
        }
    }

    fn share(&mut self, there: &[bool]) -> Result<(), Refusal> {
        let roster = self.session.fix_roster(&self.terms).clone();
        for (shop, there) in there.iter().enumerate() {
            let Some(keys) = self.keys[shop].take_if(|_| *there) else {
                continue;
            };
            let (sharing, shares) = keys.share(roster.clone(), &Owner::default(), &mut self.rng)?;
            self.session.share(&name(shop), shares).unwrap();
            self.sharing[shop] = Some(sharing);
        }
        Ok(())
    }

    /// Masked updates of those who are there, in the shops' order.
    fn mask(
        &mut self,
        there: &[bool],
        updates: &[UpdateValues],
    ) -> Result<Vec<(usize, UpdateValues)>, Refusal> {
        let sharers = self.session.fix_sharers();
        let mut masked = Vec::new();
        for (shop, there) in there.iter().enumerate() {
            let Some(sharing) = self.sharing[shop].take_if(|_| *there) else {
                continue;
            };
            let received = self.session.shares_for(&name(shop));
            let (masking, masks) = sharing.mask(sharers.clone(), &received)?;
            let mut values = updates[shop].clone();
            masks.hide(&mut values);
            self.masking[shop] = Some(masking);
            masked.push((shop, values));
        }
        Ok(masked)
    }

    /// Survivors sign, those of them who are still there reveal.
    fn reveal(&mut self, counted: &[usize], there: &[bool]) -> Result<(), Refusal> {
        let names: Vec<ShopName> = counted.iter().map(|shop| name(*shop)).collect();
        let survivors = self.session.fix_survivors(&names).unwrap();
        let present: Vec<usize> = counted.iter().copied().filter(|shop| there[*shop]).collect();
        for shop in &present {
            let masking = self.masking[*shop].as_mut().unwrap();
            let signed = masking.confirm(&survivors, &identity(*shop))?;
            self.session.confirm(&name(*shop), &signed).unwrap();
        }
        let confirmed = self.session.confirmations();
        for shop in present {
            let revealed = self.masking[shop].as_ref().unwrap().reveal(&confirmed)?;
            self.session.reveal(&name(shop), revealed).unwrap();
        }
        Ok(())
    }
}

fn updates(shops: usize, words: usize, bits: ModulusBits, seed: u64) -> Vec<UpdateValues> {
    let mut rng = stream(seed, "updates");
    (0..shops)
        .map(|_| match bits {
            ModulusBits::B32 => UpdateValues::B32((0..words).map(|_| rng.random()).collect()),
            ModulusBits::B64 => UpdateValues::B64((0..words).map(|_| rng.random()).collect()),
        })
        .collect()
}

fn sum<'a>(updates: impl Iterator<Item = &'a UpdateValues>, words: usize) -> Vec<u64> {
    let mut sum = vec![0u64; words];
    for update in updates {
        match update {
            UpdateValues::B32(values) => sum.iter_mut().zip(values).for_each(|(sum, value)| {
                *sum = u64::from((*sum as u32).wrapping_add(*value));
            }),
            UpdateValues::B64(values) => {
                sum.iter_mut()
                    .zip(values)
                    .for_each(|(sum, value)| *sum = sum.wrapping_add(*value));
            }
        }
    }
    sum
}

fn unmask(federation: &Federation, sum: &mut [u64]) -> Result<(), Misfit> {
    match federation.terms.bits {
        ModulusBits::B64 => federation.session.unmask(&federation.terms, sum),
        ModulusBits::B32 => {
            let mut words: Vec<u32> = sum.iter().map(|word| *word as u32).collect();
            federation.session.unmask(&federation.terms, &mut words)?;
            sum.iter_mut()
                .zip(words)
                .for_each(|(sum, word)| *sum = word.into());
            Ok(())
        }
    }
}

const WORDS: usize = 5;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    /// The unmasked sum is the plain one, bit for bit, or the attempt ends for a reason that fits.
    #[test]
    fn the_sum_of_the_survivors_comes_out_exactly_or_the_attempt_ends_with_its_reason(
        shops in 2usize..=64,
        colluding in 1usize..4,
        regular in any::<bool>(),
        wide in any::<bool>(),
        steadiness in 0u32..20,
        seed in any::<u64>(),
    ) {
        let mut rng = stream(seed, "dropouts");
        let bits = if wide { ModulusBits::B64 } else { ModulusBits::B32 };
        let neighbours = (regular && shops > 24).then_some(2 * colluding + 12);
        let min_shops = (shops * 2 / 3).max(colluding + 1).min(shops);
        let terms = terms(min_shops, colluding, neighbours, bits);
        prop_assume!(terms.check(shops).is_ok());
        // Dropping out before keys, shares, upload, reveal: each with probability 1 / (steadiness + 2), or none at all.
        let mut stage = || -> Vec<bool> {
            (0..shops).map(|_| steadiness > 14 || rng.random_ratio(steadiness + 1, steadiness + 2)).collect()
        };
        let stages = [stage(), stage(), stage(), stage()];
        let updates = updates(shops, WORDS, bits, seed);
        let mut federation = Federation::new(terms, &stages[0], seed);
        let advertised = stages[0].iter().filter(|there| **there).count();
        match federation.share(&stages[1]) {
            Err(Refusal::Unknown { known, least }) => {
                prop_assert!(known < least && (advertised < min_shops || neighbours.is_some() || advertised < 2 * colluding + 2));
                return Ok(());
            }
            other => other.unwrap(),
        }
        let shared = (0..shops).filter(|shop| federation.sharing[*shop].is_some()).count();
        let masked = match federation.mask(&stages[2], &updates) {
            Err(Refusal::Unknown { .. }) => {
                prop_assert!(shared < min_shops);
                return Ok(());
            }
            other => other.unwrap(),
        };
        let counted: Vec<usize> = masked.iter().map(|(shop, _)| *shop).collect();
        match federation.reveal(&counted, &stages[3]) {
            Err(Refusal::Unknown { known, least }) => {
                prop_assert!(known < least);
                prop_assert!(counted.len() < min_shops || neighbours.is_some());
                return Ok(());
            }
            Err(Refusal::Unconfirmed { got, least }) => {
                prop_assert!(got < least && least == terms.confirmations(shared, 0).min(least));
                return Ok(());
            }
            other => other.unwrap(),
        }
        let mut total = sum(masked.iter().map(|(_, values)| values), WORDS);
        let before = total.clone();
        let expected = sum(counted.iter().map(|shop| &updates[*shop]), WORDS);
        if federation.session.can_unmask() {
            unmask(&federation, &mut total).unwrap();
            prop_assert_eq!(total, expected);
        } else {
            let refused = matches!(unmask(&federation, &mut total), Err(Misfit::Rebuilt { .. }));
            prop_assert!(refused);
            prop_assert_eq!(total, before);
        }
    }
}

/// Five shops, all there, up to the masked updates.
fn five(seed: u64) -> (Federation, Vec<(usize, UpdateValues)>) {
    let mut federation = Federation::new(terms(4, 1, None, ModulusBits::B32), &[true; 5], seed);
    federation.share(&[true; 5]).unwrap();
    let masked = federation
        .mask(&[true; 5], &updates(5, WORDS, ModulusBits::B32, 1))
        .unwrap();
    (federation, masked)
}

#[test]
fn two_lists_of_survivors_in_one_attempt_get_one_answer() {
    let (mut federation, _) = five(1);
    let mut masking = federation.masking[0].take().unwrap();
    let first = masking.confirm(&[0, 1, 2, 3], &identity(0)).unwrap();
    assert_eq!(
        masking.confirm(&[0, 1, 2, 4], &identity(0)),
        Err(Refusal::SecondList)
    );
    assert_eq!(
        masking.confirm(&[0, 1, 2, 3], &identity(0)),
        Ok(first),
        "a retry is answered by the same"
    );
    // What was stored remembers it, too.
    let stored = serde_json::to_vec(&masking).unwrap();
    let mut again: Masking = serde_json::from_slice(&stored).unwrap();
    assert_eq!(
        again.confirm(&[0, 1, 3, 4], &identity(0)),
        Err(Refusal::SecondList)
    );
}

#[test]
fn nobody_gives_both_shares_of_one_shop_and_nothing_without_signatures() {
    let (mut federation, _) = five(2);
    let survivors = [0, 1, 2, 3];
    for shop in 0..4 {
        let signed = federation.masking[shop]
            .as_mut()
            .unwrap()
            .confirm(&survivors, &identity(shop))
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
    let mut confirm = |list: &[u32]| {
        federation.masking[0]
            .as_mut()
            .unwrap()
            .confirm(list, &identity(0))
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
    let refused = federation.keys[0]
        .take()
        .unwrap()
        .share(roster.clone(), &owner, &mut federation.rng);
    assert_eq!(refused.err(), Some(Refusal::Unknown { known: 3, least: 4 }));
    // One stranger is one more that may collude: it takes one more share.
    let owner = Owner {
        unknown: [name(4)].into(),
        least: 0,
    };
    let (_, shares) = federation.keys[1]
        .take()
        .unwrap()
        .share(roster.clone(), &owner, &mut federation.rng)
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
        .share(roster, &owner, &mut federation.rng);
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
        own.share(roster, &Owner::default(), &mut stream(7, "share"))
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
        mine.share(roster, &Owner::default(), &mut rng).err(),
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
        .share(roster, &Owner::default(), &mut federation.rng)
        .unwrap();
    federation.session.share(&name(0), shares.clone()).unwrap();
    assert_eq!(federation.session.share(&name(0), shares.clone()), Ok(()));
    let mut changed = shares.clone();
    changed.sealed[0].bytes[0] ^= 1;
    assert_eq!(federation.session.share(&name(0), changed), Err(Misfit::Second));
    let mut short = shares;
    short.sealed.pop();
    assert_eq!(federation.session.share(&name(1), short), Err(Misfit::Shares));
}

/// Halves of a federation that are told different things make masks that do not cancel.
#[test]
fn two_rosters_two_models_or_two_sharer_lists_leave_noise() {
    let run = |lie: &dyn Fn(&mut Federation) -> Vec<UpdateValues>| {
        let mut federation = Federation::new(terms(2, 1, None, ModulusBits::B32), &[true; 4], 9);
        let masked = lie(&mut federation);
        sum(masked.iter(), 200)
    };
    let updates = updates(4, 200, ModulusBits::B32, 3);
    let plain = sum(updates.iter(), 200);
    // The coordinator learns every own mask: with these off, what is left of honest masks would be the sum.
    let two_lists = |federation: &mut Federation| {
        federation.share(&[true; 4]).unwrap();
        federation.session.fix_sharers();
        (0..4)
            .map(|shop| {
                let list = if shop == 3 {
                    vec![1, 2, 3]
                } else {
                    vec![0, 1, 2, 3]
                };
                let sharing = federation.sharing[shop].take().unwrap();
                let seed = own_seed(&sharing);
                let received = federation.session.shares_for(&name(shop));
                let (_, masks) = sharing.mask(list.clone(), &received).unwrap();
                let mut values = updates[shop].clone();
                masks.hide(&mut values);
                take_own_mask_off(&mut values, &seed, federation, &list);
                values
            })
            .collect::<Vec<_>>()
    };
    let left = run(&two_lists);
    let same = left
        .iter()
        .zip(&plain)
        .filter(|(left, plain)| left == plain)
        .count();
    assert!(same < 3, "{same} of 200 words came out");
    // The same procedure with one list gives the sum: the test can tell.
    let one_list = |federation: &mut Federation| {
        federation.share(&[true; 4]).unwrap();
        let list = federation.session.fix_sharers();
        (0..4)
            .map(|shop| {
                let sharing = federation.sharing[shop].take().unwrap();
                let seed = own_seed(&sharing);
                let received = federation.session.shares_for(&name(shop));
                let (_, masks) = sharing.mask(list.clone(), &received).unwrap();
                let mut values = updates[shop].clone();
                masks.hide(&mut values);
                take_own_mask_off(&mut values, &seed, federation, &list);
                values
            })
            .collect::<Vec<_>>()
    };
    assert_eq!(run(&one_list), plain);
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
    assert!(here.share(roster, &Owner::default(), &mut rng).is_err());
}

fn own_seed(sharing: &Sharing) -> [u8; 32] {
    *sharing.keys.seed
}

fn take_own_mask_off(values: &mut UpdateValues, seed: &[u8; 32], federation: &Federation, list: &[u32]) {
    let bound = records::sharers_digest(&federation.session.roster().unwrap().digest(), list);
    let mask = mask::Mask {
        key: secrets::self_key(seed, &context(1), &bound),
        sign: mask::Sign::Minus,
    };
    mask::apply(MaskCipher::Chacha20, &[mask], values);
}

#[test]
fn inconsistent_shares_end_the_attempt_and_a_single_liar_does_not() {
    let (mut federation, masked) = five(11);
    federation.reveal(&[0, 1, 2, 3, 4], &[true; 5]).unwrap();
    let expected = sum(updates(5, WORDS, ModulusBits::B32, 1).iter(), WORDS);
    let mut total = sum(masked.iter().map(|(_, values)| values), WORDS);
    let honest = federation.session.clone();
    // One holder lies about everybody: four shares of five still rebuild.
    for share in federation.session.revealed.get_mut(&2).unwrap() {
        share.share[0] ^= 1;
    }
    let mut once = total.clone();
    unmask(&federation, &mut once).unwrap();
    assert_eq!(once, expected);
    // Two lie about shop 0: nothing rebuilds what it had committed itself to.
    let revealed = federation.session.revealed.get_mut(&3).unwrap();
    revealed.iter_mut().find(|share| share.of == 0).unwrap().share[0] ^= 2;
    assert_eq!(
        unmask(&federation, &mut total),
        Err(Misfit::Rebuilt { shop: name(0) })
    );
    // A holder reveals what it can't hold.
    let mut session = honest;
    session.revealed.clear();
    let stray = Revealed {
        of: 9,
        share: [0; 32],
    };
    assert_eq!(session.reveal(&name(1), vec![stray.clone()]), Err(Misfit::Shares));
    assert_eq!(
        session.reveal(
            &name(1),
            vec![
                Revealed {
                    of: 0,
                    ..stray.clone()
                },
                Revealed { of: 0, ..stray }
            ]
        ),
        Err(Misfit::Shares)
    );
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

/// One shop's upload for fixed input, over 1,000 attempts: every bit pattern is as likely as any other.
#[test]
fn an_upload_says_nothing_about_the_update() {
    // Chi-square over bytes: 255 degrees of freedom; above 361 once in 100,000 seeds.
    let chi = |bytes: &[u8]| {
        let mut counts = [0f64; 256];
        bytes.iter().for_each(|byte| counts[usize::from(*byte)] += 1.0);
        let expected = bytes.len() as f64 / 256.0;
        counts
            .iter()
            .map(|count| (count - expected).powi(2) / expected)
            .sum::<f64>()
    };
    let words = 16;
    let fixed = vec![UpdateValues::B32(vec![3; words]); 3];
    let mut uploads: Vec<Vec<u8>> = vec![Vec::new(); 4];
    for seed in 0..1000 {
        let mut federation = Federation::new(terms(2, 1, None, ModulusBits::B32), &[true; 3], seed);
        federation.share(&[true; 3]).unwrap();
        let masked = federation.mask(&[true; 3], &fixed).unwrap();
        let UpdateValues::B32(upload) = &masked[1].1 else {
            panic!("b = 32")
        };
        for word in upload {
            for (byte, place) in word.to_le_bytes().iter().zip(&mut uploads) {
                place.push(*byte);
            }
        }
    }
    for place in &uploads {
        assert!(chi(place) < 361.0, "{}", chi(place));
    }
    assert!(chi(&[7; 16_000]) > 361.0, "the test can tell");
}

/// After a dropout, the coordinator takes off all that its view and T - 1 shares of the dropped shop's key rebuild; every
/// survivor's upload is still hidden.
#[test]
fn a_dropout_and_one_share_too_few_leave_every_survivor_hidden() {
    let words = 16;
    let fixed = vec![UpdateValues::B32(vec![3; words]); 5];
    let mut left: Vec<u8> = Vec::new();
    for seed in 0..300 {
        let mut federation = Federation::new(terms(4, 1, None, ModulusBits::B32), &[true; 5], seed);
        federation.share(&[true; 5]).unwrap();
        // Shop 4 drops out after its shares: its update never comes.
        let there = [true, true, true, true, false];
        let masked = federation.mask(&there, &fixed).unwrap();
        federation.reveal(&[0, 1, 2, 3], &there).unwrap();
        // Of shop 4's key, one share less than it takes: what these rebuild is not the key.
        federation
            .session
            .revealed
            .get_mut(&0)
            .unwrap()
            .retain(|share| share.of != 4);
        assert_eq!(federation.session.shares_of(4).len(), 3);
        let wrong = shamir::rebuild(&federation.session.shares_of(4));
        let roster = federation.session.roster().unwrap().clone();
        assert_ne!(secrets::public_key(&wrong), roster.get(4).unwrap().mask_key);
        // What the coordinator knows of survivor 1: its own mask (its seed is rebuilt), and the pair mask with a colluding
        // shop, say 0. The one with shop 4 that it would derive from the wrong key comes off as well.
        let bound = records::sharers_digest(&roster.digest(), federation.session.sharers().unwrap());
        let seed = shamir::rebuild(&federation.session.shares_of(1)[..4]);
        assert_eq!(records::commitment(&seed), roster.get(1).unwrap().commitment);
        let agreed = secrets::agree(&wrong, &roster.get(1).unwrap().mask_key).unwrap();
        let known = [
            mask::Mask {
                key: secrets::self_key(&seed, &context(1), &bound),
                sign: mask::Sign::Minus,
            },
            mask::Mask {
                key: secrets::pair_seed(&agreed, &context(1), &bound, [1, 4]),
                sign: mask::Sign::of(1, 4).opposite(),
            },
        ];
        let mut values = masked[1].1.clone();
        mask::apply(MaskCipher::Chacha20, &known, &mut values);
        let UpdateValues::B32(values) = values else {
            panic!("b = 32")
        };
        left.extend(values.iter().flat_map(|word| word.to_le_bytes()));
    }
    let mut counts = [0f64; 256];
    left.iter().for_each(|byte| counts[usize::from(*byte)] += 1.0);
    let expected = left.len() as f64 / 256.0;
    let chi: f64 = counts
        .iter()
        .map(|count| (count - expected).powi(2) / expected)
        .sum();
    // As above.
    assert!(chi < 361.0, "{chi}");
}
