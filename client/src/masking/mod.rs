//! The keys and masks of one masked attempt, between the round machine's steps; without clock or IO, as the simulator's
//! shops have them, too.
//!
//! | when the machine says | call | then |
//! |---|---|---|
//! | `MakeKeys` | [`AttemptKeys::begin`] | `KeysReady` |
//! | `Advertise` | [`AttemptKeys::advertisement`] | send it |
//! | `Share` | [`AttemptKeys::share`] | send what it gives |
//! | `Check` | [`AttemptKeys::check`] | send whose shares were bad |
//! | `MakeMasks` | [`AttemptKeys::mask`] | `MasksReady` |
//! | `PutInOutbox` | [`AttemptKeys::take`] | finish under the masks, store the [`UnmaskSecrets`] with the update |
//! | `StoreSurvivors` | [`UnmaskSecrets::confirm`] on the one that is stored | store it again, `SurvivorsStored` |
//! | `Confirm`, `Reveal` | what it signed; [`UnmaskSecrets::reveal`] | send it |

use std::collections::BTreeMap;

use souk_common::crypto::sign::{Signed, SigningKey};
use souk_common::ids::{Digest, ShopName};
use souk_common::rng::Source;
use souk_common::secagg::records::fingerprint;
use souk_common::secagg::{
    Advertisement, Checked, Context, DeliveredShare, Keys, KnownKeys, MaskingParams, Masks, Refusal, Roster,
    Shares, Sharing, UnmaskSecrets,
};

use crate::config::ShopConfig;
use crate::participate::AttemptKey;

/// One attempt's keys, from the acceptance to the masked update. What is asked again is answered the same.
pub struct AttemptKeys {
    key: AttemptKey,
    advertisement: Signed<Advertisement>,
    /// H(R1), and what was sealed for it.
    shares: Option<(Digest, Shares)>,
    /// Whose shares were bad, once that was looked at.
    bad: Option<Vec<u32>>,
    step: Step,
}

enum Step {
    Keys(Box<Keys>),
    Sharing(Box<Sharing>),
    Checked(Box<Checked>),
    Masked(Box<(UnmaskSecrets, Masks)>),
    /// Taken, or used up by a list that was refused: keys are used once.
    Over,
}

impl AttemptKeys {
    /// New keys for an attempt.
    pub fn begin(
        context: Context,
        terms: MaskingParams,
        shop: &ShopName,
        identity: &SigningKey,
        source: &mut impl Source,
    ) -> Self {
        Self::of(context, Keys::make(context, terms, shop, identity, source))
    }

    /// With keys that were made for `context`.
    pub fn of(context: Context, keys: Keys) -> Self {
        Self {
            key: AttemptKey {
                plan: context.plan,
                id: context.id,
            },
            advertisement: keys.advertisement().clone(),
            shares: None,
            bad: None,
            step: Step::Keys(Box::new(keys)),
        }
    }

    /// For which attempt.
    pub fn key(&self) -> AttemptKey {
        self.key
    }

    /// The acceptance.
    pub fn advertisement(&self) -> &Signed<Advertisement> {
        &self.advertisement
    }

    /// Whether shares were made.
    pub fn has_shared(&self) -> bool {
        self.shares.is_some()
    }

    /// Shares for the neighbours in R1.
    ///
    /// # Errors
    /// When the roster is refused, or is another one than before.
    pub fn share(
        &mut self,
        roster: Roster,
        owner: &dyn KnownKeys,
        identity: &SigningKey,
        source: &mut impl Source,
    ) -> Result<Shares, MaskError> {
        if let Some((digest, shares)) = &self.shares {
            return match roster.digest() == *digest {
                true => Ok(shares.clone()),
                false => Err(MaskError::SecondRoster),
            };
        }
        let Step::Keys(keys) = std::mem::replace(&mut self.step, Step::Over) else {
            return Err(MaskError::NoKeys);
        };
        let digest = roster.digest();
        let (sharing, shares) = keys.share(roster, owner, identity, source)?;
        self.step = Step::Sharing(Box::new(sharing));
        self.shares = Some((digest, shares.clone()));
        Ok(shares)
    }

    /// Opens the shares that others sealed for this shop: whose were bad. The first delivery counts.
    ///
    /// # Errors
    /// When one is not what its maker signed, or no shares were made.
    pub fn check(&mut self, delivered: &[DeliveredShare]) -> Result<Vec<u32>, MaskError> {
        if let Some(bad) = &self.bad {
            return Ok(bad.clone());
        }
        match std::mem::replace(&mut self.step, Step::Over) {
            Step::Sharing(sharing) => {
                let (checked, bad) = sharing.check(delivered)?;
                self.step = Step::Checked(Box::new(checked));
                self.bad = Some(bad.clone());
                Ok(bad)
            }
            other => {
                self.step = other;
                Err(MaskError::NoKeys)
            }
        }
    }

    /// Makes the masks for R2 and signs it. The first R2 counts; after that this changes nothing.
    ///
    /// # Errors
    /// When the list is refused, or no shares were looked at.
    pub fn mask(&mut self, sharers: Vec<u32>, identity: &SigningKey) -> Result<(), MaskError> {
        match std::mem::replace(&mut self.step, Step::Over) {
            Step::Checked(checked) => {
                self.step = Step::Masked(Box::new(checked.mask(sharers, identity)?));
                Ok(())
            }
            Step::Masked(both) => {
                self.step = Step::Masked(both);
                Ok(())
            }
            other => {
                self.step = other;
                Err(MaskError::NoKeys)
            }
        }
    }

    /// The masks, and what it takes to unmask; once.
    pub fn take(&mut self) -> Option<(UnmaskSecrets, Masks)> {
        match std::mem::replace(&mut self.step, Step::Over) {
            Step::Masked(both) => Some(*both),
            other => {
                self.step = other;
                None
            }
        }
    }
}

/// Why a shop takes no further part in a masked attempt.
#[derive(Debug, thiserror::Error)]
pub enum MaskError {
    /// A list.
    #[error(transparent)]
    List(#[from] Refusal),
    /// Two of them.
    #[error("the coordinator showed two lists of keys for one attempt: ask the operator")]
    SecondRoster,
    /// After a restart, or out of turn.
    #[error("this program has no keys for the attempt (any more)")]
    NoKeys,
}

/// Whose keys the owner has confirmed, as `shop.toml` says.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct KnownShops {
    /// By the fingerprints of their long-term keys.
    pub shops: BTreeMap<ShopName, Digest>,
    /// The owner's least number of shops in a masked sum.
    pub least: usize,
}

impl From<&ShopConfig> for KnownShops {
    fn from(config: &ShopConfig) -> Self {
        Self {
            shops: config.known_shops.clone(),
            least: config.policy.min_masked_shops.unwrap_or(0),
        }
    }
}

impl KnownKeys for KnownShops {
    fn knows(&self, shop: &ShopName, fingerprint: &Digest) -> bool {
        self.shops.get(shop) == Some(fingerprint)
    }

    fn least_shops(&self) -> usize {
        self.least
    }
}

impl KnownShops {
    /// Of a roster: shops whose key is another than the one confirmed.
    pub fn changed_in(&self, roster: &Roster) -> Vec<ShopName> {
        let changed = |keys: &&Advertisement| {
            let known = self.shops.get(&keys.shop);
            known.is_some_and(|known| *known != fingerprint(&keys.identity))
        };
        let bodies = roster.0.iter().map(|signed| &signed.body);
        bodies.filter(changed).map(|keys| keys.shop.clone()).collect()
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use souk_common::ids::AttemptId;
    use souk_common::rng::{Stream, stream};
    use souk_common::secagg::mask::MaskCipher;
    use souk_common::secagg::{Confirmed, Safeguards, Session};
    use souk_common::update::ModulusBits;

    /// Three shops on their way through an attempt, and what the coordinator keeps of it.
    pub(crate) struct Three {
        pub(crate) session: Session,
        pub(crate) maskers: Vec<AttemptKeys>,
        pub(crate) owner: KnownShops,
        rng: Stream,
    }

    pub(crate) const TERMS: MaskingParams = MaskingParams {
        min_shops: 3,
        colluding: 1,
        neighbours: None,
        cipher: MaskCipher::Chacha20,
        bits: ModulusBits::B32,
        safeguards: Safeguards::ALL,
    };

    pub(crate) fn name(shop: usize) -> ShopName {
        ["north", "south", "west"][shop].parse().unwrap()
    }

    pub(crate) fn identity(shop: usize) -> SigningKey {
        SigningKey::from_bytes(&[shop as u8 + 1; 32])
    }

    pub(crate) fn context() -> Context {
        Context {
            id: AttemptId { round: 2, attempt: 1 },
            plan: Digest::of(b"plan"),
            model: Digest::of(b"model"),
        }
    }

    impl Three {
        pub(crate) fn new() -> Self {
            Self::of(context(), TERMS)
        }

        pub(crate) fn of(context: Context, terms: MaskingParams) -> Self {
            let (mut rng, mut session) = (stream(1, "three"), Session::new(context));
            let maskers: Vec<AttemptKeys> = (0..3)
                .map(|shop| AttemptKeys::begin(context, terms, &name(shop), &identity(shop), &mut rng))
                .collect();
            for (shop, masker) in maskers.iter().enumerate() {
                let keys = masker.advertisement().clone();
                session
                    .advertise(&name(shop), &identity(shop).public(), keys)
                    .unwrap();
            }
            session.fix_roster(&terms);
            let known = |shop| (name(shop), fingerprint(&identity(shop).public()));
            let owner = KnownShops {
                shops: (0..3).map(known).collect(),
                least: 0,
            };
            Self {
                session,
                maskers,
                owner,
                rng,
            }
        }

        pub(crate) fn roster(&self) -> Roster {
            self.session.roster().unwrap().clone()
        }

        fn share(&mut self, shop: usize, roster: Roster) -> Result<Shares, MaskError> {
            self.maskers[shop].share(roster, &self.owner, &identity(shop), &mut self.rng)
        }

        /// Through shares and masks: what each stores.
        pub(crate) fn masked(&mut self) -> Vec<UnmaskSecrets> {
            self.both().into_iter().map(|(masking, _)| masking).collect()
        }

        /// Through shares and masks.
        pub(crate) fn both(&mut self) -> Vec<(UnmaskSecrets, Masks)> {
            for shop in 0..3 {
                let shares = self.share(shop, self.roster()).unwrap();
                self.session.share(&TERMS, &name(shop), shares).unwrap();
            }
            self.session.deliver();
            for (shop, masker) in self.maskers.iter_mut().enumerate() {
                let bad = masker.check(&self.session.shares_for(&name(shop))).unwrap();
                assert_eq!(masker.check(&[]).expect("the first delivery counts"), bad);
                self.session.check(&name(shop), bad).unwrap();
            }
            let sharers = self.session.fix_sharers(&TERMS);
            let mask = |(shop, masker): (usize, &mut AttemptKeys)| {
                masker.mask(sharers.clone(), &identity(shop)).unwrap();
                let again = masker.mask(vec![0], &identity(shop));
                again.expect("the first list counts");
                masker.take().unwrap()
            };
            self.maskers.iter_mut().enumerate().map(mask).collect()
        }
    }

    #[test]
    fn what_is_asked_again_is_answered_the_same_and_another_roster_not_at_all() {
        let mut three = Three::new();
        let roster = three.roster();
        let first = three.share(0, roster.clone()).unwrap();
        assert_eq!(three.share(0, roster.clone()).unwrap(), first);
        let other = Roster(roster.0[..2].to_vec());
        assert!(matches!(three.share(0, other), Err(MaskError::SecondRoster)));
        // A roster that is refused takes the keys with it.
        let lacking = Roster(roster.0[..1].to_vec());
        assert!(matches!(
            three.share(1, lacking),
            Err(MaskError::List(Refusal::Absent))
        ));
        assert!(matches!(three.share(1, roster), Err(MaskError::NoKeys)));
        assert!(matches!(
            three.maskers[2].mask(vec![0], &identity(2)),
            Err(MaskError::NoKeys)
        ));
        assert!(matches!(three.maskers[2].check(&[]), Err(MaskError::NoKeys)));
        assert!(three.maskers[2].take().is_none());
    }

    #[test]
    fn masks_are_taken_once_and_a_stored_masking_answers_one_list_also_after_a_restart() {
        let mut three = Three::new();
        let stored = three.masked();
        assert!(three.maskers[0].take().is_none());
        assert!(three.maskers[0].mask(vec![0, 1, 2], &identity(0)).is_err());
        let bindings: Vec<_> = stored.iter().map(UnmaskSecrets::binding).collect();
        let all = [0, 1, 2];
        let mut confirmed = Vec::new();
        let mut after = Vec::new();
        for (shop, mut masking) in stored.into_iter().enumerate() {
            let signed = masking.confirm(&all, &bindings, &identity(shop)).unwrap();
            // The process dies and reads it back.
            let json = serde_json::to_vec(&masking).unwrap();
            let mut masking: UnmaskSecrets = serde_json::from_slice(&json).unwrap();
            assert_eq!(masking.confirm(&all, &bindings, &identity(shop)).unwrap(), signed);
            assert_eq!(
                masking.confirm(&[0, 1], &bindings[..2], &identity(shop)),
                Err(Refusal::SecondList)
            );
            let signature = signed.signature;
            confirmed.push(Confirmed {
                shop: shop as u32,
                signature,
            });
            after.push(masking);
        }
        let revealed = after[0].reveal(&confirmed).unwrap();
        assert_eq!(revealed.len(), 3);
        assert_eq!(after[0].reveal(&confirmed).unwrap(), revealed);
        assert!(after[0].reveal(&confirmed[..2]).is_err());
    }

    #[test]
    fn a_key_that_changed_since_it_was_confirmed_is_nobodys() {
        let mut three = Three::new();
        let changed = fingerprint(&identity(7).public());
        three.owner.shops.insert(name(2), changed);
        assert_eq!(three.owner.changed_in(&three.roster()), [name(2)]);
        let refused = three.share(0, three.roster());
        assert!(matches!(
            refused,
            Err(MaskError::List(Refusal::Unknown { known: 2, least: 3 }))
        ));
    }
}
