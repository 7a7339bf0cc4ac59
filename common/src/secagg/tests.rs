//! Both halves together: random federations with dropouts, and every way in which one side may lie.

#[cfg(test)]
mod attacks;
mod equivocation;
mod lies;
mod secrecy;
#[cfg(test)]
mod vectors;

use std::collections::BTreeSet;

use proptest::prelude::*;
use rand::RngExt;

use super::shop::KnownKeys;
use super::*;
use crate::crypto::sign::SigningKey;
use crate::ids::{AttemptId, Digest, ShopName};
use crate::rng::{Stream, stream};
use crate::secagg::mask::MaskCipher;
use crate::update::{ModulusBits, UpdateValues};

/// An owner who knows everybody but some.
#[derive(Default)]
pub(super) struct Owner {
    pub(super) unknown: BTreeSet<ShopName>,
    pub(super) least: usize,
}

impl KnownKeys for Owner {
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
) -> MaskingParams {
    MaskingParams {
        min_shops,
        colluding,
        neighbours,
        cipher: MaskCipher::Chacha20,
        bits,
        safeguards: Safeguards::ALL,
    }
}

/// A federation in the middle of an attempt: everything said so far, and what each shop holds.
struct Federation {
    terms: MaskingParams,
    session: Session,
    rng: Stream,
    keys: Vec<Option<Keys>>,
    sharing: Vec<Option<Sharing>>,
    checked: Vec<Option<Checked>>,
    masking: Vec<Option<UnmaskSecrets>>,
}

impl Federation {
    /// Shops that advertise; the others (false) drop out before.
    fn new(terms: MaskingParams, advertise: &[bool], seed: u64) -> Self {
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
            checked: advertise.iter().map(|_| None).collect(),
            masking: advertise.iter().map(|_| None).collect(),
        }
    }

    fn share(&mut self, there: &[bool]) -> Result<(), Refusal> {
        let roster = self.session.fix_roster(&self.terms).clone();
        for (shop, there) in there.iter().enumerate() {
            let Some(keys) = self.keys[shop].take_if(|_| *there) else {
                continue;
            };
            let owner = Owner::default();
            let (sharing, shares) = keys.share(roster.clone(), &owner, &identity(shop), &mut self.rng)?;
            self.session.share(&self.terms, &name(shop), shares).unwrap();
            self.sharing[shop] = Some(sharing);
        }
        Ok(())
    }

    /// All who shared look at the shares for them; R2.
    fn check(&mut self) -> Vec<u32> {
        self.session.deliver();
        for shop in 0..self.sharing.len() {
            if let Some(sharing) = self.sharing[shop].take() {
                let (checked, bad) = sharing.check(&self.session.shares_for(&name(shop))).unwrap();
                self.session.check(&name(shop), bad).unwrap();
                self.checked[shop] = Some(checked);
            }
        }
        self.session.fix_sharers(&self.terms)
    }

    /// Masked updates of those who are there, in the shops' order.
    fn mask(
        &mut self,
        there: &[bool],
        updates: &[UpdateValues],
    ) -> Result<Vec<(usize, UpdateValues)>, Refusal> {
        let sharers = self.check();
        let mut masked = Vec::new();
        for (shop, there) in there.iter().enumerate() {
            let listed = sharers
                .iter()
                .any(|place| self.session.names(&[*place]) == [name(shop)]);
            let Some(checked) = self.checked[shop].take_if(|_| *there && listed) else {
                continue;
            };
            let (masking, masks) = checked.mask(sharers.clone(), &identity(shop))?;
            self.session.bind(&name(shop), masking.binding()).unwrap();
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
        let bindings = self.session.bindings();
        let present: Vec<usize> = counted.iter().copied().filter(|shop| there[*shop]).collect();
        for shop in &present {
            let masking = self.masking[*shop].as_mut().unwrap();
            let signed = masking.confirm(&survivors, &bindings, &identity(*shop))?;
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
        ModulusBits::B64 => federation.session.unmask(&federation.terms, sum).map(|_| ()),
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
            // Nothing is charged for what could not be unmasked.
            Err(Refusal::Unknown { .. }) => {
                prop_assert!(shared < min_shops || neighbours.is_some());
                return Ok(());
            }
            Err(Refusal::TooFewSharers { got, least }) => {
                prop_assert!(got < least && shared < advertised);
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
                prop_assert!(got < least && least == terms.confirmations(advertised, 0));
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
            let refused = matches!(unmask(&federation, &mut total), Err(Misfit::TooFew { .. }));
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
