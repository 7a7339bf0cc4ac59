//! The coordinator's half of one masked attempt: it collects, fixes the lists R1, R2 and R3, and takes the masks off the sum.
//! No clock, no IO; what has to be durable is [`Session`] itself.
//!
//! | module | what |
//! |---|---|
//! | (here) | keys and R1, R3 and the signatures on it |
//! | `sharing` | shares, what holders say of them, R2, the signatures that come with uploads |
//! | `unmasking` | revealed shares, rebuilt secrets, masks taken off, and who lied |

mod misfit;
mod sharing;
mod unmasking;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::graph::{holders, neighbours};
use super::records::{
    Advertisement, Binding, Confirmation, Confirmed, Context, Revealed, Roster, SealedShare, ShareHashes,
    share_leaf, sharers_digest, survivors_digest,
};
use super::secrets::agree;
use super::terms::MaskingParams;
use super::tree::Tree;
use crate::crypto::sign::{Signed, verify};
use crate::hex;
use crate::ids::{Digest, ShopName};

pub use misfit::Misfit;

/// All that the coordinator knows of one masked attempt. It holds no secret but what shops have revealed to it.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Session {
    context: Context,
    advertised: BTreeMap<ShopName, Signed<Advertisement>>,
    roster: Option<Roster>,
    shares: BTreeMap<u32, Sealed>,
    sharers: Option<Vec<u32>>,
    survivors: Option<Vec<u32>>,
    confirmed: BTreeMap<u32, Confirmed>,
    /// By whom, of whom.
    pub(super) revealed: BTreeMap<u32, Vec<Revealed>>,
    /// Which rules it was made under; what was stored before there were others has none.
    #[serde(default = "first_rules", skip_serializing_if = "is_first")]
    rules: u32,
    /// Signatures on shares, by maker, with the hashes that they sign.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    commitments: BTreeMap<u32, SignedHashes>,
    /// Those whose shares were passed on, once they are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    makers: Option<Vec<u32>>,
    /// By holder: the makers whose shares it calls bad.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    complaints: BTreeMap<u32, Vec<u32>>,
    /// Signatures on H2, by shop.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    bindings: BTreeMap<u32, Binding>,
    #[serde(skip)]
    derived: Derived,
}

/// Since when shops sign their shares and H2, and confirmations are counted against R1.
const RULES: u32 = 2;

const fn first_rules() -> u32 {
    1
}

const fn is_first(rules: &u32) -> bool {
    *rules == 1
}

/// What a maker sealed for its neighbours.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
struct Sealed {
    threshold: u8,
    sealed: Vec<SealedShare>,
}

/// Hashes of a maker's shares, by holder, and its signature on the root over them.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
struct SignedHashes {
    hashes: Vec<ShareHashes>,
    #[serde(with = "hex")]
    signature: Vec<u8>,
}

/// What follows from the rest of a [`Session`], and is asked for once for every shop.
#[derive(Clone, Debug, Default, PartialEq)]
struct Derived {
    /// Neighbours of each place in R1.
    graph: Vec<Vec<u32>>,
    /// H(R1).
    roster: Option<Digest>,
    /// Shares revealed so far of each place's secret.
    revealed: Vec<usize>,
    /// Over each maker's shares.
    trees: BTreeMap<u32, Tree>,
}

impl Session {
    /// A new one.
    pub fn new(context: Context) -> Self {
        Self {
            context,
            advertised: BTreeMap::new(),
            roster: None,
            shares: BTreeMap::new(),
            sharers: None,
            survivors: None,
            confirmed: BTreeMap::new(),
            revealed: BTreeMap::new(),
            rules: RULES,
            commitments: BTreeMap::new(),
            makers: None,
            complaints: BTreeMap::new(),
            bindings: BTreeMap::new(),
            derived: Derived::default(),
        }
    }

    /// Brings one that was stored back to life.
    pub fn resumed(mut self, terms: &MaskingParams) -> Self {
        self.derive(terms);
        self
    }

    /// Of its canonical JSON, which is what is stored.
    pub fn digest(&self) -> Digest {
        // Structs, numbers, names and maps by them: always has a JSON form.
        Digest::of(&serde_json::to_vec(self).expect("a session has a JSON form"))
    }

    /// What the attempt is bound to.
    pub fn context(&self) -> &Context {
        &self.context
    }

    /// R1, once fixed.
    pub fn roster(&self) -> Option<&Roster> {
        self.roster.as_ref()
    }

    /// R2, once fixed.
    pub fn sharers(&self) -> Option<&[u32]> {
        self.sharers.as_deref()
    }

    /// R3, once fixed.
    pub fn survivors(&self) -> Option<&[u32]> {
        self.survivors.as_deref()
    }

    /// Names of a list's members.
    pub fn names(&self, list: &[u32]) -> Vec<ShopName> {
        let roster = self
            .roster
            .iter()
            .flat_map(|roster| list.iter().filter_map(|shop| roster.get(*shop)));
        roster.map(|keys| keys.shop.clone()).collect()
    }

    /// Takes in a shop's keys; `identity` is the key of the certificate it came under.
    ///
    /// # Errors
    /// When they are not that shop's, for another attempt, of small order, or a second set.
    pub fn advertise(
        &mut self,
        shop: &ShopName,
        identity: &[u8; 32],
        keys: Signed<Advertisement>,
    ) -> Result<(), Misfit> {
        let body = verify(&keys, identity).map_err(|_| Misfit::Signature)?;
        if body.shop != *shop || body.identity != *identity || body.context != self.context {
            return Err(Misfit::Context);
        }
        // Any secret shows a key of small order.
        if [body.mask_key, body.sealing_key]
            .iter()
            .any(|key| agree(&[1; 32], key).is_none())
        {
            return Err(Misfit::WeakKey);
        }
        match self.advertised.get(shop) {
            Some(before) if *before != keys => Err(Misfit::Second),
            Some(_) => Ok(()),
            None if self.roster.is_some() => Err(Misfit::Late),
            None => {
                self.advertised.insert(shop.clone(), keys);
                Ok(())
            }
        }
    }

    /// Forgets the keys of all other shops: they take no part after all. Only before R1 is fixed.
    pub fn keep_only(&mut self, shops: &[ShopName]) {
        if self.roster.is_none() {
            self.advertised.retain(|shop, _| shops.contains(shop));
        }
    }

    /// Fixes R1: all whose keys are here.
    pub fn fix_roster(&mut self, terms: &MaskingParams) -> &Roster {
        let roster = Roster(self.advertised.values().cloned().collect());
        self.roster = Some(roster);
        self.derive(terms);
        self.roster.get_or_insert_with(|| Roster(Vec::new()))
    }

    fn derive(&mut self, terms: &MaskingParams) {
        let Some(roster) = &self.roster else { return };
        let (digest, shops) = (roster.digest(), roster.len());
        let mut revealed = vec![0; shops];
        for share in self.revealed.values().flatten() {
            if let Some(count) = revealed.get_mut(share.of as usize) {
                *count += 1;
            }
        }
        self.derived = Derived {
            graph: neighbours(&digest, shops, terms.degree(shops)),
            roster: Some(digest),
            revealed,
            trees: BTreeMap::new(),
        };
        let trees = self.shares.iter().filter_map(|(maker, sealed)| {
            let hashes = &self.commitments.get(maker)?.hashes;
            Some((*maker, self.tree(*maker, &sealed.sealed, hashes)))
        });
        self.derived.trees = trees.collect();
    }

    /// Over the shares of one maker, for whom it must be one for each holder.
    fn tree(&self, maker: u32, sealed: &[SealedShare], hashes: &[ShareHashes]) -> Tree {
        let holders = holders(self.neighbours_of(maker), maker);
        let leaf = |(holder, hashes): (&u32, &ShareHashes)| {
            let at = sealed.binary_search_by_key(holder, |share| share.peer).ok();
            share_leaf(*holder, at.map(|at| sealed[at].bytes.as_slice()), hashes)
        };
        Tree::over(holders.iter().zip(hashes).map(leaf).collect())
    }

    /// Fixes R3: those of R2 whose updates are in the sum.
    ///
    /// # Errors
    /// When one of them is not in R2, has not signed H2, or stands there twice, or another R3 was fixed before.
    pub fn fix_survivors(&mut self, counted: &[ShopName]) -> Result<Vec<u32>, Misfit> {
        let mut survivors = Vec::with_capacity(counted.len());
        for shop in counted {
            let place = self.place(shop)?;
            let shared = self
                .sharers
                .as_ref()
                .is_some_and(|sharers| sharers.binary_search(&place).is_ok());
            if !shared {
                return Err(Misfit::Absent);
            }
            if self.rules >= RULES && !self.bindings.contains_key(&place) {
                return Err(Misfit::Signature);
            }
            survivors.push(place);
        }
        survivors.sort_unstable();
        let twice = survivors.windows(2).any(|pair| pair[0] == pair[1]);
        if twice || self.survivors.as_ref().is_some_and(|before| *before != survivors) {
            return Err(Misfit::Second);
        }
        self.survivors = Some(survivors.clone());
        Ok(survivors)
    }

    /// Takes in a survivor's signature on R3.
    ///
    /// # Errors
    /// When it is not in R3, or the signature is not by its key on this R3.
    pub fn confirm(&mut self, shop: &ShopName, confirmation: &Signed<Confirmation>) -> Result<(), Misfit> {
        let place = self.survivor(shop)?;
        let identity = self.identity(place).ok_or(Misfit::Absent)?;
        let body = verify(confirmation, &identity).map_err(|_| Misfit::Signature)?;
        let expected = Confirmation {
            id: self.context.id,
            survivors: self.survivors_digest(),
        };
        if *body != expected {
            return Err(Misfit::Context);
        }
        let confirmed = Confirmed {
            shop: place,
            signature: confirmation.signature.clone(),
        };
        self.confirmed.insert(place, confirmed);
        Ok(())
    }

    /// Whether every key and signature in it is its shop's, for `context`, and enough survivors signed R3: for who reads it
    /// later.
    pub fn is_signed(&self, context: &Context, terms: &MaskingParams) -> bool {
        let (Some(roster), Some(sharers), Some(survivors)) = (&self.roster, &self.sharers, &self.survivors)
        else {
            return false;
        };
        let body = Confirmation {
            id: context.id,
            survivors: self.survivors_digest(),
        };
        let signed = self.confirmed.values().filter(|word| {
            let signature = word.signature.clone();
            survivors.binary_search(&word.shop).is_ok()
                && self
                    .identity(word.shop)
                    .is_some_and(|identity| verify(&Signed { body, signature }, &identity).is_ok())
        });
        let least = match self.rules < RULES {
            true => terms.confirmations(sharers.len(), 0).min(sharers.len()),
            false => terms.confirmations(roster.len(), 0),
        };
        self.context == *context
            && roster.check(context).is_ok()
            && signed.count() >= least
            && (self.rules < RULES || self.is_bound_and_committed(sharers, survivors))
    }

    /// Whether the shares of R2 and the survivors' H2 are signed, as they are since the second rules.
    fn is_bound_and_committed(&self, sharers: &[u32], survivors: &[u32]) -> bool {
        let digest = self.sharers_digest();
        let bound = |place: &u32| {
            let binding = self.bindings.get(place);
            binding.is_some_and(|binding| self.is_bound(*place, binding, &digest))
        };
        let committed = |maker: &u32| {
            let parts = self.shares.get(maker).zip(self.commitments.get(maker));
            parts.is_some_and(|(sealed, kept)| {
                let tree = self.tree(*maker, &sealed.sealed, &kept.hashes);
                self.is_committed(*maker, sealed, kept, &tree)
            })
        };
        survivors.iter().all(bound) && sharers.iter().all(committed)
    }

    /// Whether it was made before shops signed their lists: then a lying coordinator could have learned more than the sum.
    pub fn is_of_first_rules(&self) -> bool {
        self.rules < RULES
    }

    /// Signatures on R3 so far.
    pub fn confirmations(&self) -> Vec<Confirmed> {
        self.confirmed.values().cloned().collect()
    }

    /// None in a session that was stored and not [`Self::resumed`].
    fn neighbours_of(&self, place: u32) -> &[u32] {
        let graph = &self.derived.graph;
        graph.get(place as usize).map(Vec::as_slice).unwrap_or_default()
    }

    fn threshold_of(&self, of: u32) -> usize {
        self.shares
            .get(&of)
            .map_or(usize::MAX, |shares| shares.threshold.into())
    }

    fn identity(&self, place: u32) -> Option<[u8; 32]> {
        self.roster.as_ref()?.get(place).map(|keys| keys.identity)
    }

    fn roster_digest(&self) -> Digest {
        let fresh = || self.roster.as_ref().map_or(Digest::ZERO, Roster::digest);
        self.derived.roster.unwrap_or_else(fresh)
    }

    /// H(R1, R2).
    pub fn sharers_digest(&self) -> Digest {
        sharers_digest(&self.roster_digest(), self.sharers.as_deref().unwrap_or_default())
    }

    /// H(R1, R2, R3).
    pub fn survivors_digest(&self) -> Digest {
        survivors_digest(
            &self.sharers_digest(),
            self.survivors.as_deref().unwrap_or_default(),
        )
    }

    fn place(&self, shop: &ShopName) -> Result<u32, Misfit> {
        let roster = self.roster.as_ref().ok_or(Misfit::Late)?;
        roster.position(shop).ok_or(Misfit::Absent)
    }

    fn survivor(&self, shop: &ShopName) -> Result<u32, Misfit> {
        let place = self.place(shop)?;
        let survives = self
            .survivors
            .as_ref()
            .is_some_and(|list| list.binary_search(&place).is_ok());
        survives.then_some(place).ok_or(Misfit::Absent)
    }
}
