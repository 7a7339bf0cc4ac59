//! A shop's half of one masked attempt up to its masked update: keys, shares, masks. No clock, no IO; randomness is passed
//! in. What follows the upload: [`super::masking`].

use std::collections::BTreeSet;

use rand::RngExt;
use zeroize::Zeroizing;

use super::graph::{holders, neighbours};
use super::mask::{Mask, Sign};
use super::masking::{Held, Identity, UnmaskSecrets};
use super::records::{
    Advertisement, Binding, Context, DeliveredShare, Roster, SealedShare, ShareCommitment, ShareHashes,
    Shares, UploadBinding, commitment, fingerprint, share_leaf, sharers_digest,
};
use super::refusal::{Refusal, enough, part_of};
use super::secrets::{SecretBytes, agree, open, pair_seed, public_key, seal, self_key};
use super::shamir::split;
use super::terms::{MOST_HOLDERS, MaskingParams};
use super::tree::{Tree, root_above};
use crate::crypto::sign::{Signed, SigningKey, verify};
use crate::ids::{Digest, ShopName};
use crate::rng::{Source, words};
use crate::secagg::mask::MaskCipher;
use crate::update::UpdateValues;

/// Which other shops the owner has confirmed, and how many it takes.
pub trait KnownKeys {
    /// Whether the owner has confirmed this long-term key of this shop.
    fn knows(&self, shop: &ShopName, fingerprint: &Digest) -> bool;
    /// The owner's own least number of shops in a masked sum, this one included.
    fn least_shops(&self) -> usize;
}

/// The secrets of one attempt, made before its announcement is answered.
pub struct Keys {
    context: Context,
    terms: MaskingParams,
    shop: ShopName,
    mask: SecretBytes,
    sealing: SecretBytes,
    pub(super) seed: SecretBytes,
    advertisement: Signed<Advertisement>,
}

impl Keys {
    /// New ones; `secret` is a [`SecretBytes`](crate::rng::Secret) wherever they protect anybody.
    pub fn make(
        context: Context,
        terms: MaskingParams,
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

    /// A lying member's, for simulations: the shares will not be of the seed that the keys commit it to, so that no sum with
    /// its update can be unmasked.
    #[must_use]
    pub fn with_another_seed(mut self, seed: [u8; 32]) -> Self {
        self.seed = Zeroizing::new(seed);
        self
    }

    /// What goes with the acceptance.
    pub fn advertisement(&self) -> &Signed<Advertisement> {
        &self.advertisement
    }

    /// Takes in R1, makes the shares for this shop's neighbours and signs them.
    ///
    /// # Errors
    /// When the roster is not this attempt's, lacks this shop, or has too few shops that the owner knows.
    pub fn share(
        self,
        roster: Roster,
        owner: &dyn KnownKeys,
        identity: &SigningKey,
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
        let (mut hashes, mut leaves) = (Vec::with_capacity(holders.len()), Vec::new());
        let mut own = Zeroizing::new([0; 64]);
        for (holder, (seed, key)) in holders.iter().zip(seeds.iter().zip(&keys)) {
            let mut both = Zeroizing::new([0; 64]);
            both[..32].copy_from_slice(seed.as_slice());
            both[32..].copy_from_slice(key.as_slice());
            let hashed = ShareHashes::of(&both);
            hashes.push(hashed);
            if *holder == place {
                leaves.push(share_leaf(place, None, &hashed));
                own = both;
                continue;
            }
            let peer = &roster.0[*holder as usize].body;
            let agreed = self.agree(&self.sealing, &peer.sealing_key, peer)?;
            // The mask key is tried as well: who drops out later for it would cost an attempt.
            self.agree(&self.mask, &peer.mask_key, peer)?;
            let bytes = seal(&agreed, &self.context, &digest, (place, *holder), &both);
            leaves.push(share_leaf(*holder, Some(&bytes), &hashed));
            sealed.push(SealedShare { peer: *holder, bytes });
        }
        let signed = identity.sign(ShareCommitment {
            id: self.context.id,
            roster: digest,
            threshold,
            root: Tree::over(leaves).root(),
        });
        let seats = mine.iter().map(|maker| Seat::of(place, *maker, &graph)).collect();
        let sharing = Sharing {
            keys: self,
            roster,
            digest,
            place,
            known,
            neighbours: mine,
            seats,
            threshold: threshold.into(),
            least,
            own,
        };
        let shares = Shares {
            threshold,
            sealed,
            hashes,
            signature: signed.signature,
        };
        Ok((sharing, shares))
    }

    fn agree(
        &self,
        secret: &SecretBytes,
        public: &[u8; 32],
        peer: &Advertisement,
    ) -> Result<SecretBytes, Refusal> {
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
    /// Where it sits among each neighbour's holders.
    seats: Vec<Seat>,
    threshold: usize,
    least: usize,
    own: Zeroizing<[u8; 64]>,
}

/// One holder's place among all holders of a maker's shares.
#[derive(Clone, Copy)]
struct Seat {
    at: usize,
    of: usize,
}

impl Seat {
    fn of(holder: u32, maker: u32, graph: &[Vec<u32>]) -> Self {
        let all = holders(&graph[maker as usize], maker);
        Self {
            at: all.partition_point(|other| *other < holder),
            of: all.len(),
        }
    }
}

impl Sharing {
    /// Opens the shares that others sealed for this shop, and says which makers' were bad: their places, ascending, without
    /// evidence. An opened share, shown to the coordinator with the other kind that survivors reveal, would be both of a
    /// maker's secrets.
    ///
    /// # Errors
    /// When a share is not the one that its maker signed: that is the coordinator's doing, and nothing of it is charged.
    pub fn check(self, delivered: &[DeliveredShare]) -> Result<(Checked, Vec<u32>), Refusal> {
        if !delivered.windows(2).all(|pair| pair[0].maker < pair[1].maker) {
            return Err(Refusal::NoPart);
        }
        let mut shares = vec![Held {
            of: self.place,
            both: *self.own,
        }];
        let mut bad = Vec::new();
        for share in delivered {
            let seat = self
                .neighbours
                .binary_search(&share.maker)
                .map(|at| self.seats[at]);
            let seat = seat.map_err(|_| Refusal::NoPart)?;
            let maker = &self.roster.0[share.maker as usize].body;
            let leaf = share_leaf(self.place, Some(&share.sealed), &share.hashes);
            let root = root_above(leaf, seat.at, seat.of, &share.path);
            let signed = |root| Signed {
                body: ShareCommitment {
                    id: self.keys.context.id,
                    roster: self.digest,
                    threshold: share.threshold,
                    root,
                },
                signature: share.signature.clone(),
            };
            if root.is_none_or(|root| verify(&signed(root), &maker.identity).is_err()) {
                return Err(Refusal::Altered {
                    maker: maker.shop.clone(),
                });
            }
            let sealing = self.keys.agree(&self.keys.sealing, &maker.sealing_key, maker)?;
            let way = (share.maker, self.place);
            let opened = open(&sealing, &self.keys.context, &self.digest, way, &share.sealed);
            match opened.filter(|both| ShareHashes::of(both) == share.hashes) {
                Some(both) => shares.push(Held {
                    of: share.maker,
                    both: *both,
                }),
                None => bad.push(share.maker),
            }
        }
        let checked = Checked {
            sharing: self,
            shares,
        };
        Ok((checked, bad))
    }
}

/// A shop that has opened the shares it holds.
pub struct Checked {
    sharing: Sharing,
    shares: Vec<Held>,
}

impl Checked {
    /// Takes in R2 and signs it; from here on an update can be masked.
    ///
    /// # Errors
    /// When R2 lacks this shop, is no part of R1, or has too few shops: that the owner knows, in all or among the holders of
    /// this shop's shares, or for the sum to be unmasked at all.
    pub fn mask(self, sharers: Vec<u32>, signer: &SigningKey) -> Result<(UnmaskSecrets, Masks), Refusal> {
        let Self { sharing, shares } = self;
        sharing.accept(&sharers)?;
        let bound = sharers_digest(&sharing.digest, &sharers);
        let context = &sharing.keys.context;
        let mut masks = vec![Mask {
            key: self_key(&sharing.keys.seed, context, &bound),
            sign: Sign::Plus,
        }];
        let listed = |other: &u32| sharers.binary_search(other).is_ok();
        for other in sharing.neighbours.iter().filter(|other| listed(other)) {
            let peer = &sharing.roster.0[*other as usize].body;
            let agreed = sharing.keys.agree(&sharing.keys.mask, &peer.mask_key, peer)?;
            masks.push(Mask {
                key: pair_seed(&agreed, context, &bound, [sharing.place, *other]),
                sign: Sign::of(sharing.place, *other),
            });
        }
        // What is held of shops that are not in R2 is of no use to anybody.
        let shares = shares.into_iter().filter(|held| listed(&held.of)).collect();
        let binding = UploadBinding {
            id: context.id,
            sharers: bound,
        };
        let terms = sharing.keys.terms;
        let bodies = || sharing.roster.0.iter().map(|signed| &signed.body);
        let masking = UnmaskSecrets {
            context: *context,
            colluding: terms.colluding,
            least_alive: terms.least_alive(sharing.roster.len()),
            place: sharing.place,
            sharers,
            bound,
            known: sharing.known.iter().copied().collect(),
            neighbours: sharing.neighbours.clone(),
            least: sharing.least,
            names: bodies().map(|keys| keys.shop.clone()).collect(),
            identities: bodies().map(|keys| Identity(keys.identity)).collect(),
            shares,
            binding: Binding::sign(binding, signer),
            safeguards: terms.safeguards,
            survivors: None,
        };
        let masks = Masks {
            cipher: terms.cipher,
            masks,
        };
        Ok((masking, masks))
    }
}

impl Sharing {
    /// Whether an update may be charged and masked for R2. Privacy does not hang on it; it saves charges for attempts that
    /// could not be unmasked.
    fn accept(&self, sharers: &[u32]) -> Result<(), Refusal> {
        part_of(sharers, self.roster.len() as u32, |_| true)?;
        let listed = |shop: &u32| sharers.binary_search(shop).is_ok();
        if !listed(&self.place) {
            return Err(Refusal::Absent);
        }
        let known = |shop: &&u32| self.known.contains(shop);
        enough(sharers.iter().filter(known).count(), self.least)?;
        let (terms, shops) = (self.keys.terms, self.roster.len());
        if !terms.safeguards.before_charge {
            return Ok(());
        }
        let holders = holders(&self.neighbours, self.place);
        let alive = || holders.iter().filter(|holder| listed(holder));
        enough(alive().filter(known).count(), terms.least_alive(shops))?;
        let least = terms.confirmations(shops, shops - self.known.len());
        for (got, least) in [(sharers.len(), least), (alive().count(), self.threshold)] {
            if got < least {
                return Err(Refusal::TooFewSharers { got, least });
            }
        }
        Ok(())
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
