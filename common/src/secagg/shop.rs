//! A shop's half of one masked attempt: keys, shares, masks, and what it reveals of whom. No clock, no IO; randomness is
//! passed in.

use std::collections::BTreeSet;

use rand::RngExt;
use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, Zeroizing};

use super::graph::neighbours;
use super::mask::{Mask, Sign};
use super::records::{
    Advertisement, Confirmation, Confirmed, Context, Revealed, Roster, RosterError, SEALED_BYTES,
    SealedShare, Shares, commitment, fingerprint, sharers_digest, survivors_digest,
};
use super::secrets::{Secret, agree, open, pair_seed, public_key, seal, self_key};
use super::shamir::split;
use super::terms::{MOST_HOLDERS, Terms};
use crate::crypto::sign::{SigningKey, verify};
use crate::hex;
use crate::ids::{Digest, ShopName};
use crate::privacy::UpdateValues;
use crate::rng::{Source, words};
use crate::round::plan::MaskCipher;
use crate::wire::messages::Signed;

/// Which other shops the owner has confirmed, and how many it takes.
pub trait Acquaintance {
    /// Whether the owner has confirmed this long-term key of this shop.
    fn knows(&self, shop: &ShopName, fingerprint: &Digest) -> bool;
    /// The owner's own least number of shops in a masked sum, this one included.
    fn least_shops(&self) -> usize;
}

/// The secrets of one attempt, made before its announcement is answered.
pub struct Keys {
    context: Context,
    terms: Terms,
    shop: ShopName,
    mask: Secret,
    sealing: Secret,
    pub(super) seed: Secret,
    advertisement: Signed<Advertisement>,
}

impl Keys {
    /// New ones; `secret` is a [`Secret`](crate::rng::Secret) wherever they protect anybody.
    pub fn make(
        context: Context,
        terms: Terms,
        shop: &ShopName,
        identity: &SigningKey,
        secret: &mut impl Source,
    ) -> Self {
        let secret = words(secret);
        let [mask, sealing, seed] = [(); 3].map(|()| Zeroizing::new(secret.random::<[u8; 32]>()));
        let advertisement = identity.sign(Advertisement {
            context,
            shop: shop.clone(),
            identity: identity.public(),
            mask_key: public_key(&mask),
            sealing_key: public_key(&sealing),
            commitment: commitment(&seed),
        });
        Self {
            context,
            terms,
            shop: shop.clone(),
            mask,
            sealing,
            seed,
            advertisement,
        }
    }

    /// What goes with the acceptance.
    pub fn advertisement(&self) -> &Signed<Advertisement> {
        &self.advertisement
    }

    /// Takes in R1 and makes the shares for this shop's neighbours.
    ///
    /// # Errors
    /// When the roster is not this attempt's, lacks this shop, or has too few shops that the owner knows.
    pub fn share(
        self,
        roster: Roster,
        owner: &dyn Acquaintance,
        secret: &mut impl Source,
    ) -> Result<(Sharing, Shares), Refusal> {
        let secret = words(secret);
        roster.check(&self.context)?;
        let place = roster.position(&self.shop).ok_or(Refusal::Absent)?;
        if roster.0[place as usize] != self.advertisement {
            return Err(Refusal::Absent);
        }
        let known: BTreeSet<u32> = (0..roster.len() as u32)
            .filter(|other| {
                let keys = &roster.0[*other as usize].body;
                *other == place || owner.knows(&keys.shop, &fingerprint(&keys.identity))
            })
            .collect();
        let least = self.terms.min_shops.max(owner.least_shops());
        enough(known.len(), least)?;
        let digest = roster.digest();
        let graph = neighbours(&digest, roster.len(), self.terms.degree(roster.len()));
        let mine = graph[place as usize].clone();
        let holders = holders(&mine, place);
        let unknown = holders.iter().filter(|holder| !known.contains(holder)).count();
        let threshold = self.terms.threshold(roster.len(), unknown);
        if threshold > holders.len() - unknown || holders.len() > MOST_HOLDERS {
            return Err(Refusal::Unknown {
                known: holders.len() - unknown,
                least: threshold,
            });
        }
        // Both fit: the most holders is 255.
        let (threshold, count) = (threshold as u8, holders.len() as u8);
        let seeds = split(&self.seed, threshold, count, secret);
        let keys = split(&self.mask, threshold, count, secret);
        let mut sealed = Vec::with_capacity(mine.len());
        let mut own = Zeroizing::new([0; 64]);
        for (holder, (seed, key)) in holders.iter().zip(seeds.iter().zip(&keys)) {
            let mut both = Zeroizing::new([0; 64]);
            both[..32].copy_from_slice(seed.as_slice());
            both[32..].copy_from_slice(key.as_slice());
            if *holder == place {
                own = both;
                continue;
            }
            let peer = &roster.0[*holder as usize].body;
            let agreed = self.agree(&self.sealing, &peer.sealing_key, peer)?;
            // The mask key is tried as well: who drops out later for it would cost an attempt.
            self.agree(&self.mask, &peer.mask_key, peer)?;
            sealed.push(SealedShare {
                peer: *holder,
                bytes: seal(&agreed, &self.context, &digest, (place, *holder), &both),
            });
        }
        let sharing = Sharing {
            keys: self,
            roster,
            digest,
            place,
            known,
            neighbours: mine,
            least,
            own,
        };
        Ok((sharing, Shares { threshold, sealed }))
    }

    fn agree(&self, secret: &Secret, public: &[u8; 32], peer: &Advertisement) -> Result<Secret, Refusal> {
        agree(secret, public).ok_or_else(|| Refusal::WeakKey {
            shop: peer.shop.clone(),
        })
    }
}

/// A shop whose shares are on their way.
pub struct Sharing {
    pub(super) keys: Keys,
    roster: Roster,
    digest: Digest,
    place: u32,
    known: BTreeSet<u32>,
    neighbours: Vec<u32>,
    least: usize,
    own: Zeroizing<[u8; 64]>,
}

impl Sharing {
    /// Takes in R2 and the shares that others sealed for this shop; from here on an update can be masked.
    ///
    /// # Errors
    /// When R2 lacks this shop, is no part of R1, or has too few shops that the owner knows.
    pub fn mask(self, sharers: Vec<u32>, received: &[SealedShare]) -> Result<(Masking, Masks), Refusal> {
        part_of(&sharers, self.roster.len() as u32, |_| true)?;
        if sharers.binary_search(&self.place).is_err() {
            return Err(Refusal::Absent);
        }
        let known = |shop: &&u32| self.known.contains(shop);
        enough(sharers.iter().filter(known).count(), self.least)?;
        let bound = sharers_digest(&self.digest, &sharers);
        let context = &self.keys.context;
        let mut shares = vec![Held {
            of: self.place,
            both: *self.own,
        }];
        let mut masks = vec![Mask {
            key: self_key(&self.keys.seed, context, &bound),
            sign: Sign::Plus,
        }];
        let present = self
            .neighbours
            .iter()
            .filter(|other| sharers.binary_search(other).is_ok());
        for other in present {
            let peer = &self.roster.0[*other as usize].body;
            let agreed = self.keys.agree(&self.keys.mask, &peer.mask_key, peer)?;
            masks.push(Mask {
                key: pair_seed(&agreed, context, &bound, [self.place, *other]),
                sign: Sign::of(self.place, *other),
            });
            // A share that can't be opened is its maker's loss: the others hold theirs.
            let sealing = self.keys.agree(&self.keys.sealing, &peer.sealing_key, peer)?;
            let found = received
                .iter()
                .find(|share| share.peer == *other && share.bytes.len() == SEALED_BYTES);
            if let Some(both) = found.and_then(|share| {
                open(
                    &sealing,
                    context,
                    &self.digest,
                    (*other, self.place),
                    &share.bytes,
                )
            }) {
                shares.push(Held {
                    of: *other,
                    both: *both,
                });
            }
        }
        let identities = self
            .roster
            .0
            .iter()
            .map(|signed| Identity(signed.body.identity))
            .collect();
        let masking = Masking {
            context: *context,
            colluding: self.keys.terms.colluding,
            least_alive: self.keys.terms.least_alive(self.roster.len()),
            place: self.place,
            sharers,
            bound,
            known: self.known.into_iter().collect(),
            neighbours: self.neighbours,
            least: self.least,
            identities,
            shares,
            survivors: None,
        };
        let masks = Masks {
            cipher: self.keys.terms.cipher,
            masks,
        };
        Ok((masking, masks))
    }
}

/// What hides one update of one attempt. It is used once.
pub struct Masks {
    cipher: MaskCipher,
    pub(super) masks: Vec<Mask>,
}

impl Masks {
    /// Adds them to an update.
    pub(crate) fn hide(self, values: &mut UpdateValues) {
        super::mask::apply(self.cipher, &self.masks, values);
    }
}

/// A shop whose update is masked: what it needs to help unmask the sum. Stored before the update leaves, erased when the
/// attempt has ended.
#[derive(Clone, Deserialize, PartialEq, Serialize)]
pub struct Masking {
    context: Context,
    colluding: usize,
    least_alive: usize,
    place: u32,
    sharers: Vec<u32>,
    bound: Digest,
    known: Vec<u32>,
    neighbours: Vec<u32>,
    least: usize,
    identities: Vec<Identity>,
    shares: Vec<Held>,
    /// The one R3 that was answered.
    survivors: Option<Vec<u32>>,
}

#[derive(Clone, Copy, Deserialize, PartialEq, Serialize)]
struct Identity(#[serde(with = "hex")] [u8; 32]);

/// Shares of another shop's secrets (or of the own): of the own mask's seed, then of the mask key.
#[derive(Clone, Deserialize, PartialEq, Serialize)]
struct Held {
    of: u32,
    #[serde(with = "hex")]
    both: [u8; 64],
}

impl Drop for Held {
    fn drop(&mut self) {
        self.both.zeroize();
    }
}

impl Masking {
    /// What the attempt is bound to.
    pub fn context(&self) -> &Context {
        &self.context
    }

    /// Takes in R3 and signs that this is the one. It must be stored again, with the list in it, before the signature
    /// leaves.
    ///
    /// # Errors
    /// When another list was answered before, it lacks this shop, is no part of R2, or has too few shops that the owner
    /// knows, in all or among the holders of this shop's shares.
    pub fn confirm(
        &mut self,
        survivors: &[u32],
        identity: &SigningKey,
    ) -> Result<Signed<Confirmation>, Refusal> {
        match &self.survivors {
            Some(answered) if answered != survivors => return Err(Refusal::SecondList),
            Some(_) => {}
            None => {
                part_of(survivors, u32::MAX, |shop| {
                    self.sharers.binary_search(&shop).is_ok()
                })?;
                if survivors.binary_search(&self.place).is_err() {
                    return Err(Refusal::Absent);
                }
                let known = |shop: &&u32| self.known.binary_search(shop).is_ok();
                enough(survivors.iter().filter(known).count(), self.least)?;
                let alive = holders(&self.neighbours, self.place)
                    .iter()
                    .filter(|holder| survivors.binary_search(holder).is_ok())
                    .filter(known)
                    .count();
                enough(alive, self.least_alive)?;
                self.survivors = Some(survivors.to_vec());
            }
        }
        Ok(identity.sign(self.confirmation(survivors)))
    }

    /// What this shop reveals once it is shown enough signatures on the list that it signed itself.
    ///
    /// # Errors
    /// When it signed none, or there are too few signatures on that one.
    pub fn reveal(&self, confirmed: &[Confirmed]) -> Result<Vec<Revealed>, Refusal> {
        let survivors = self
            .survivors
            .as_ref()
            .ok_or(Refusal::Unconfirmed { got: 0, least: 1 })?;
        let body = self.confirmation(survivors);
        let unknown = self
            .sharers
            .iter()
            .filter(|shop| self.known.binary_search(shop).is_err())
            .count();
        // As in Terms::confirmations; more than all is never asked for.
        let least = (self.sharers.len() + self.colluding + unknown) / 2 + 1;
        let least = least.min(self.sharers.len());
        let mut signers = BTreeSet::new();
        for word in confirmed {
            if signers.len() >= least {
                break;
            }
            let signed = Signed {
                body,
                signature: word.signature.clone(),
            };
            let identity = self.identities.get(word.shop as usize);
            if survivors.binary_search(&word.shop).is_ok()
                && !signers.contains(&word.shop)
                && identity.is_some_and(|identity| verify(&signed, &identity.0).is_ok())
            {
                signers.insert(word.shop);
            }
        }
        if signers.len() < least {
            return Err(Refusal::Unconfirmed {
                got: signers.len(),
                least,
            });
        }
        let reveal = |held: &Held| {
            let kind = match survivors.binary_search(&held.of) {
                Ok(_) => &held.both[..32],
                Err(_) => &held.both[32..],
            };
            let share = kind.try_into().expect("half of 64 bytes");
            Revealed { of: held.of, share }
        };
        Ok(self.shares.iter().map(reveal).collect())
    }

    fn confirmation(&self, survivors: &[u32]) -> Confirmation {
        Confirmation {
            id: self.context.id,
            survivors: survivors_digest(&self.bound, survivors),
        }
    }
}

/// The holders of a shop's shares, ascending: its neighbours and itself.
pub(super) fn holders(neighbours: &[u32], place: u32) -> Vec<u32> {
    let mut holders = neighbours.to_vec();
    let at = holders.partition_point(|other| *other < place);
    holders.insert(at, place);
    holders
}

fn enough(known: usize, least: usize) -> Result<(), Refusal> {
    if known < least {
        return Err(Refusal::Unknown { known, least });
    }
    Ok(())
}

/// Whether a list ascends and holds only allowed places.
pub(super) fn part_of(list: &[u32], below: u32, allowed: impl Fn(u32) -> bool) -> Result<(), Refusal> {
    let ascends = list.windows(2).all(|pair| pair[0] < pair[1]);
    if !ascends || list.iter().any(|shop| *shop >= below || !allowed(*shop)) {
        return Err(Refusal::NoPart);
    }
    Ok(())
}

/// Why a shop takes no further part in a masked attempt.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Refusal {
    /// The roster.
    #[error(transparent)]
    Roster(#[from] RosterError),
    /// This shop is missing, or other keys stand in its place.
    #[error("the list lacks this shop, or shows other keys for it")]
    Absent,
    /// Too few shops that the owner has confirmed.
    #[error("{known} shops that the owner has confirmed; it takes {least} (`souk-client shops`)")]
    Unknown {
        /// How many, this one included.
        known: usize,
        /// How many it takes.
        least: usize,
    },
    /// A key that agrees on what anybody could know.
    #[error("a key of {shop} is of small order")]
    WeakKey {
        /// Whose.
        shop: ShopName,
    },
    /// A list that is no part of the one before, or does not ascend.
    #[error("the list is no part of the one before it")]
    NoPart,
    /// Another list of survivors was answered before.
    #[error("another list of survivors was answered in this attempt")]
    SecondList,
    /// Too few signatures on the list of survivors.
    #[error("{got} shops signed the list of survivors; it takes {least}")]
    Unconfirmed {
        /// Valid signatures by survivors.
        got: usize,
        /// How many it takes.
        least: usize,
    },
}
