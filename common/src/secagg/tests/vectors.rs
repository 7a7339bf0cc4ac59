//! Both halves against an independent implementation: every value of `tests/vectors/masked_round.json`, which
//! `tests/vectors/masked_round.py` computes from `docs/protocol-masking.md`.

use std::collections::BTreeMap;

use rand::SeedableRng;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::*;
use crate::crypto::sign::{Signed, SigningKey, signable_digest};
use crate::hex;
use crate::ids::{AttemptId, Digest, ShopName};
use crate::rng::Stream;
use crate::secagg::mask::{MaskCipher, Sign};
use crate::update::{ModulusBits, UpdateValues};

#[derive(Deserialize)]
struct Case {
    round: u64,
    attempt: u32,
    plan: String,
    model: String,
    terms: Numbers,
    coordinates: usize,
    shops: Vec<Shop>,
    neighbours: Vec<Vec<u32>>,
    roster_digest: Digest,
    sharers: Vec<u32>,
    sharers_digest: Digest,
    survivors: Vec<u32>,
    survivors_digest: Digest,
    confirmations: usize,
    masked_sum: Vec<u64>,
    rebuilt: BTreeMap<u32, Hex>,
    sum: Vec<u64>,
}

#[derive(Deserialize)]
struct Numbers {
    min_shops: usize,
    colluding: usize,
    neighbours: Option<usize>,
    cipher: MaskCipher,
    bits: u32,
}

/// Given, and what the shop says up to the step at which it drops out.
#[derive(Deserialize)]
struct Shop {
    name: ShopName,
    identity_secret: Hex,
    random_seed: Hex,
    /// 0: takes no part, 1: advertises, 2: shares, 3: uploads, 4: confirms, 5: reveals.
    steps: u8,
    update: Vec<u64>,
    advertisement: Option<Advertisement>,
    place: Option<u32>,
    word: Option<Digest>,
    signature: Option<Hex>,
    threshold: Option<u8>,
    sealed: Option<BTreeMap<u32, Hex>>,
    hashes: Option<BTreeMap<u32, [Digest; 2]>>,
    paths: Option<BTreeMap<u32, Vec<Digest>>>,
    shares_signature: Option<Hex>,
    mask_keys: Option<Vec<MaskKey>>,
    masked: Option<Vec<u64>>,
    binding: Option<Hex>,
    held: Option<BTreeMap<u32, Hex>>,
    confirmation: Option<Hex>,
    revealed: Option<BTreeMap<u32, Hex>>,
}

#[derive(Deserialize)]
struct MaskKey {
    key: Hex,
    sign: i8,
}

#[derive(Debug, Deserialize, PartialEq)]
struct Hex(#[serde(with = "hex")] Vec<u8>);

impl Hex {
    fn array(&self) -> [u8; 32] {
        self.0.as_slice().try_into().unwrap()
    }
}

impl Shop {
    fn identity(&self) -> SigningKey {
        SigningKey::from_bytes(&self.identity_secret.array())
    }
}

impl Case {
    /// Those who are there at `step`.
    fn present(&self, step: u8) -> impl Iterator<Item = &Shop> {
        self.shops.iter().filter(move |shop| shop.steps >= step)
    }
}

struct Everybody;

impl KnownKeys for Everybody {
    fn knows(&self, _: &ShopName, _: &Digest) -> bool {
        true
    }

    fn least_shops(&self) -> usize {
        0
    }
}

fn cases() -> BTreeMap<String, Case> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/vectors/masked_round.json");
    let text = std::fs::read_to_string(path)
        .unwrap_or_else(|error| panic!("{path}: {error}; make it with tests/vectors/masked_round.py"));
    serde_json::from_str(&text).expect("the vectors that the script writes")
}

fn values(bits: ModulusBits, words: &[u64]) -> UpdateValues {
    match bits {
        ModulusBits::B32 => {
            UpdateValues::B32(words.iter().map(|word| u32::try_from(*word).unwrap()).collect())
        }
        ModulusBits::B64 => UpdateValues::B64(words.to_vec()),
    }
}

/// A part of what a shop stores, as its JSON shows it.
fn stored<T: DeserializeOwned>(masking: &UnmaskSecrets, field: &str) -> T {
    serde_json::from_value(serde_json::to_value(masking).unwrap()[field].take()).unwrap()
}

/// What has been said so far, and who is at which step.
struct Replay<'a> {
    case: &'a Case,
    context: Context,
    terms: MaskingParams,
    session: Session,
}

impl<'a> Replay<'a> {
    fn new(case: &'a Case) -> Self {
        let id = AttemptId {
            round: case.round,
            attempt: case.attempt,
        };
        let (plan, model) = (
            Digest::of(case.plan.as_bytes()),
            Digest::of(case.model.as_bytes()),
        );
        let context = Context { id, plan, model };
        let terms = MaskingParams {
            min_shops: case.terms.min_shops,
            colluding: case.terms.colluding,
            neighbours: case.terms.neighbours,
            cipher: case.terms.cipher,
            bits: match case.terms.bits {
                32 => ModulusBits::B32,
                _ => ModulusBits::B64,
            },
            safeguards: Safeguards::ALL,
        };
        terms
            .check(case.shops.len())
            .unwrap_or_else(|error| panic!("{error:?}"));
        Self {
            case,
            context,
            terms,
            session: Session::new(context),
        }
    }

    fn advertise(&mut self) -> Vec<(&'a Shop, Keys, Stream)> {
        let make = |shop: &'a Shop| {
            let mut random = Stream::from_seed(shop.random_seed.array());
            let identity = shop.identity();
            let keys = Keys::make(self.context, self.terms, &shop.name, &identity, &mut random);
            let said = keys.advertisement();
            assert_eq!(Some(&said.body), shop.advertisement.as_ref());
            assert_eq!(Some(signable_digest(&said.body)), shop.word);
            assert_eq!(Some(Hex(said.signature.clone())), shop.signature);
            self.session
                .advertise(&shop.name, &identity.public(), said.clone())
                .unwrap();
            (shop, keys, random)
        };
        self.case.present(1).map(make).collect()
    }

    fn share(&mut self, keys: Vec<(&'a Shop, Keys, Stream)>) -> Vec<(&'a Shop, Sharing)> {
        let roster = self.session.fix_roster(&self.terms).clone();
        assert_eq!(roster.digest(), self.case.roster_digest);
        let degree = self.terms.degree(roster.len());
        let graph = graph::neighbours(&roster.digest(), roster.len(), degree);
        assert_eq!(graph, self.case.neighbours);
        let there = keys.into_iter().filter(|(shop, ..)| shop.steps >= 2);
        let share = |(shop, keys, mut random): (&'a Shop, Keys, Stream)| {
            assert_eq!(roster.position(&shop.name), shop.place);
            let identity = shop.identity();
            let shared = keys.share(roster.clone(), &Everybody, &identity, &mut random);
            let (sharing, shares) = shared.unwrap();
            assert_eq!(Some(shares.threshold), shop.threshold);
            let sealed = shares.sealed.iter();
            let sealed = sealed
                .map(|share| (share.peer, Hex(share.bytes.clone())))
                .collect();
            assert_eq!(Some(&sealed), shop.sealed.as_ref());
            let hashes = shares.hashes.iter().map(|hashes| [hashes.seed, hashes.key]);
            let expected = shop.hashes.as_ref().unwrap().values().copied();
            assert!(hashes.eq(expected));
            assert_eq!(Some(Hex(shares.signature.clone())), shop.shares_signature);
            self.session.share(&self.terms, &shop.name, shares).unwrap();
            (shop, sharing)
        };
        there.map(share).collect()
    }

    fn check(&mut self, sharing: Vec<(&'a Shop, Sharing)>) -> Vec<(&'a Shop, Checked)> {
        let makers = self.session.deliver();
        let made = |maker: &u32| {
            let made = self.case.shops.iter().find(|shop| shop.place == Some(*maker));
            makers.contains(maker).then_some(made).flatten()
        };
        let check = |(shop, sharing): (&'a Shop, Sharing)| {
            let delivered = self.session.shares_for(&shop.name);
            let place = shop.place.unwrap();
            for share in &delivered {
                let maker = made(&share.maker).unwrap();
                assert_eq!(Some(&share.path), maker.paths.as_ref().unwrap().get(&place));
            }
            let (checked, bad) = sharing.check(&delivered).unwrap();
            assert!(bad.is_empty());
            self.session.check(&shop.name, bad).unwrap();
            (shop, checked)
        };
        sharing.into_iter().map(check).collect()
    }

    fn upload(&mut self, checked: Vec<(&'a Shop, Checked)>) -> Vec<(&'a Shop, UnmaskSecrets)> {
        let sharers = self.session.fix_sharers(&self.terms);
        assert_eq!(sharers, self.case.sharers);
        assert_eq!(self.session.sharers_digest(), self.case.sharers_digest);
        let there = checked.into_iter().filter(|(shop, _)| shop.steps >= 3);
        let upload = |(shop, checked): (&'a Shop, Checked)| {
            let (masking, masks) = checked.mask(sharers.clone(), &shop.identity()).unwrap();
            assert_eq!(Some(Hex(masking.binding().0.to_vec())), shop.binding);
            self.session.bind(&shop.name, masking.binding()).unwrap();
            let expected = shop.mask_keys.as_ref().unwrap();
            assert_eq!(masks.masks.len(), expected.len());
            for (mask, expected) in masks.masks.iter().zip(expected) {
                assert_eq!(*mask.key, expected.key.array());
                assert_eq!(mask.sign == Sign::Plus, expected.sign == 1);
            }
            let held: Vec<serde_json::Value> = stored(&masking, "shares");
            let held = held.iter().map(|held| {
                let of = u32::try_from(held["of"].as_u64().unwrap()).unwrap();
                (of, Hex(hex::bytes(held["both"].as_str().unwrap()).unwrap()))
            });
            assert_eq!(Some(held.collect()), shop.held);
            let mut update = values(self.terms.bits, &shop.update);
            masks.hide(&mut update);
            let masked = shop.masked.as_ref().unwrap();
            assert_eq!(update, values(self.terms.bits, masked), "{}", shop.name);
            (shop, masking)
        };
        there.map(upload).collect()
    }

    fn confirm(&mut self, masking: &mut [(&'a Shop, UnmaskSecrets)]) {
        let counted: Vec<ShopName> = self.case.present(3).map(|shop| shop.name.clone()).collect();
        let survivors = self.session.fix_survivors(&counted).unwrap();
        assert_eq!(survivors, self.case.survivors);
        let bindings = self.session.bindings();
        assert_eq!(self.session.survivors_digest(), self.case.survivors_digest);
        for (shop, masking) in masking.iter_mut().filter(|(shop, _)| shop.steps >= 4) {
            let confirmed = masking.confirm(&survivors, &bindings, &shop.identity());
            let signed: Signed<Confirmation> = confirmed.unwrap();
            assert_eq!(Some(Hex(signed.signature.clone())), shop.confirmation);
            self.session.confirm(&shop.name, &signed).unwrap();
        }
    }

    fn reveal(&mut self, masking: &[(&'a Shop, UnmaskSecrets)]) {
        let confirmed = self.session.confirmations();
        for (shop, masking) in masking.iter().filter(|(shop, _)| shop.steps >= 5) {
            let least = self.case.confirmations;
            assert!(masking.reveal(&confirmed[..least - 1]).is_err());
            let revealed = masking.reveal(&confirmed[..least]).unwrap();
            let shares = revealed.iter().map(|share| (share.of, Hex(share.share.to_vec())));
            assert_eq!(Some(shares.collect()), shop.revealed);
            self.session.reveal(&shop.name, revealed).unwrap();
        }
        assert!(self.session.can_unmask());
    }

    fn unmask(&self) {
        for of in &self.case.sharers {
            let maker = self.case.shops.iter().find(|shop| shop.place == Some(*of));
            let threshold = usize::from(maker.unwrap().threshold.unwrap());
            let secret = shamir::rebuild(&self.session.shares_of(*of)[..threshold]);
            assert_eq!(*secret, self.case.rebuilt[of].array());
        }
        let mut sum = vec![0u64; self.case.coordinates];
        for shop in self.case.present(3) {
            let masked = shop.masked.as_ref().unwrap();
            sum.iter_mut()
                .zip(masked)
                .for_each(|(sum, word)| *sum = sum.wrapping_add(*word));
        }
        match self.terms.bits {
            ModulusBits::B64 => {
                assert_eq!(sum, self.case.masked_sum);
                self.session.unmask(&self.terms, &mut sum).unwrap();
                assert_eq!(sum, self.case.sum);
            }
            ModulusBits::B32 => {
                let mut sum: Vec<u32> = sum.into_iter().map(|word| word as u32).collect();
                let wide = |sum: &[u32]| sum.iter().map(|word| u64::from(*word)).collect::<Vec<_>>();
                assert_eq!(wide(&sum), self.case.masked_sum);
                self.session.unmask(&self.terms, &mut sum).unwrap();
                assert_eq!(wide(&sum), self.case.sum);
            }
        }
    }
}

#[test]
fn an_independent_script_comes_to_the_same_bytes_at_every_step() {
    let cases = cases();
    for name in ["complete_graph_chacha20_32", "regular_graph_aes128_64"] {
        let mut replay = Replay::new(&cases[name]);
        let keys = replay.advertise();
        let sharing = replay.share(keys);
        let checked = replay.check(sharing);
        let mut masking = replay.upload(checked);
        replay.confirm(&mut masking);
        replay.reveal(&masking);
        replay.unmask();
    }
}
