//! From the shares to the signatures on H2: what leads to R2, and binds the updates to it.

use std::collections::{BTreeMap, BTreeSet};

use super::{Sealed, Session, SignedHashes};
use crate::crypto::sign::{Signed, verify};
use crate::ids::{Digest, ShopName};
use crate::secagg::Misfit;
use crate::secagg::graph::holders;
use crate::secagg::records::{
    Binding, DeliveredShare, Roster, SEALED_BYTES, ShareCommitment, Shares, UploadBinding,
};
use crate::secagg::terms::MaskingParams;
use crate::secagg::tree::Tree;

impl Session {
    /// Takes in a shop's shares for its neighbours.
    ///
    /// # Errors
    /// When it is not in R1, they are not one for each neighbour, are not signed, have another threshold than the plan's, or
    /// are other ones than before.
    pub fn share(&mut self, terms: &MaskingParams, shop: &ShopName, shares: Shares) -> Result<(), Misfit> {
        let place = self.place(shop)?;
        let expected = self.neighbours_of(place);
        let fits = shares.sealed.len() == expected.len()
            && shares.hashes.len() == expected.len() + 1
            && shares
                .sealed
                .iter()
                .zip(expected)
                .all(|(share, other)| share.peer == *other && share.bytes.len() == SEALED_BYTES);
        if !fits {
            return Err(Misfit::Shares);
        }
        if !self.may_share(terms, shares.threshold.into(), expected.len() + 1) {
            return Err(Misfit::Threshold);
        }
        let (sealed, kept) = (
            Sealed {
                threshold: shares.threshold,
                sealed: shares.sealed,
            },
            SignedHashes {
                hashes: shares.hashes,
                signature: shares.signature,
            },
        );
        match self.shares.get(&place).zip(self.commitments.get(&place)) {
            Some((before, hashes)) if (before, hashes) != (&sealed, &kept) => return Err(Misfit::Second),
            Some(_) => return Ok(()),
            None if self.makers.is_some() || self.sharers.is_some() => return Err(Misfit::Late),
            None => {}
        }
        let tree = self.tree(place, &sealed.sealed, &kept.hashes);
        if !self.is_committed(place, &sealed, &kept, &tree) {
            return Err(Misfit::Signature);
        }
        self.derived.trees.insert(place, tree);
        self.shares.insert(place, sealed);
        self.commitments.insert(place, kept);
        Ok(())
    }

    /// Whether some number of unconfirmed holders leads to this threshold: a larger one than the rules give would make
    /// attempts fail.
    fn may_share(&self, terms: &MaskingParams, threshold: usize, holders: usize) -> bool {
        let shops = self.roster.as_ref().map_or(0, Roster::len);
        let fits =
            |unknown: usize| terms.threshold(shops, unknown) == threshold && threshold + unknown <= holders;
        (0..=holders).any(fits)
    }

    /// Whether a maker signed its shares.
    pub(super) fn is_committed(&self, maker: u32, sealed: &Sealed, kept: &SignedHashes, tree: &Tree) -> bool {
        let body = ShareCommitment {
            id: self.context.id,
            roster: self.roster_digest(),
            threshold: sealed.threshold,
            root: tree.root(),
        };
        let signature = kept.signature.clone();
        self.identity(maker)
            .is_some_and(|identity| verify(&Signed { body, signature }, &identity).is_ok())
    }

    /// No more shares are taken in: those that are here are passed on to their holders.
    pub fn deliver(&mut self) -> Vec<u32> {
        let makers: Vec<u32> = self.shares.keys().copied().collect();
        self.makers = Some(makers.clone());
        makers
    }

    /// The shares that were sealed for `shop`, with their makers' signatures.
    pub fn shares_for(&self, shop: &ShopName) -> Vec<DeliveredShare> {
        let Ok(place) = self.place(shop) else {
            return Vec::new();
        };
        let delivered = |maker: &u32| {
            let (made, kept) = (self.shares.get(maker)?, self.commitments.get(maker)?);
            let at = made
                .sealed
                .binary_search_by_key(&place, |share| share.peer)
                .ok()?;
            let holders = holders(self.neighbours_of(*maker), *maker);
            let seat = holders.binary_search(&place).ok()?;
            Some(DeliveredShare {
                maker: *maker,
                threshold: made.threshold,
                sealed: made.sealed[at].bytes.clone(),
                hashes: *kept.hashes.get(seat)?,
                path: self.derived.trees.get(maker)?.path(seat),
                signature: kept.signature.clone(),
            })
        };
        let makers = self.makers.as_deref().unwrap_or_default();
        let neighbours = self.neighbours_of(place).iter();
        let making = neighbours.filter(|maker| makers.binary_search(maker).is_ok());
        making.filter_map(delivered).collect()
    }

    /// Takes in a holder's word on the shares that were passed on to it: the places of those whose were bad.
    ///
    /// # Errors
    /// When it made no shares itself, says other than before, or names itself, twice the same, or a shop of which it holds
    /// no share.
    pub fn check(&mut self, shop: &ShopName, bad: Vec<u32>) -> Result<(), Misfit> {
        let place = self.place(shop)?;
        let makers = self.makers.as_deref().ok_or(Misfit::Late)?;
        if makers.binary_search(&place).is_err() {
            return Err(Misfit::Absent);
        }
        let held = |maker: &u32| {
            self.neighbours_of(place).binary_search(maker).is_ok() && makers.binary_search(maker).is_ok()
        };
        if !bad.windows(2).all(|pair| pair[0] < pair[1]) || !bad.iter().all(held) {
            return Err(Misfit::Complaint);
        }
        match self.complaints.get(&place) {
            Some(before) if *before != bad => Err(Misfit::Second),
            Some(_) => Ok(()),
            None if self.sharers.is_some() => Err(Misfit::Late),
            None => {
                self.complaints.insert(place, bad);
                Ok(())
            }
        }
    }

    /// Fixes R2: all whose shares are here and who looked at those of others, but for those of whose shares more than t
    /// holders complain, or of which fewer than T are good. They are left out without being named: the complaints are no
    /// evidence.
    pub fn fix_sharers(&mut self, terms: &MaskingParams) -> Vec<u32> {
        let makers = self.makers.clone().unwrap_or_else(|| self.deliver());
        let mut sharers: BTreeSet<u32> = makers
            .into_iter()
            .filter(|maker| self.complaints.contains_key(maker))
            .collect();
        let complains = |holder: &u32, maker: &u32| {
            let bad = self.complaints.get(holder);
            bad.is_some_and(|bad| bad.binary_search(maker).is_ok())
        };
        loop {
            let good = |maker: &u32| {
                let holders = holders(self.neighbours_of(*maker), *maker);
                let bad = holders.iter().filter(|holder| complains(holder, maker)).count();
                let fits = |holder: &&u32| sharers.contains(holder) && !complains(holder, maker);
                bad <= terms.colluding && holders.iter().filter(fits).count() >= self.threshold_of(*maker)
            };
            let left: BTreeSet<u32> = sharers.iter().copied().filter(good).collect();
            if left.len() == sharers.len() {
                break;
            }
            sharers = left;
        }
        let sharers: Vec<u32> = sharers.into_iter().collect();
        self.sharers = Some(sharers.clone());
        sharers
    }

    /// Those who made shares and looked at others', and are not in R2 for what holders say of theirs; with the number of
    /// complaints. For the operator: one of them, or of those who complain, has a fault or lies.
    pub fn complained_of(&self) -> Vec<(ShopName, usize)> {
        let sharers = self.sharers.as_deref().unwrap_or_default();
        let mut counts = BTreeMap::new();
        for maker in self.complaints.values().flatten() {
            if sharers.binary_search(maker).is_err() {
                *counts.entry(*maker).or_insert(0) += 1;
            }
        }
        let named = |(maker, count)| Some((self.roster.as_ref()?.get(maker)?.shop.clone(), count));
        counts.into_iter().filter_map(named).collect()
    }

    /// Takes in the signature on H2 that comes with a shop's upload.
    ///
    /// # Errors
    /// When the shop is not in R2, or its key did not sign this H2.
    pub fn bind(&mut self, shop: &ShopName, binding: Binding) -> Result<(), Misfit> {
        let place = self.place(shop)?;
        let sharers = self.sharers.as_deref().ok_or(Misfit::Late)?;
        if sharers.binary_search(&place).is_err() {
            return Err(Misfit::Absent);
        }
        if self.bindings.get(&place) == Some(&binding) {
            return Ok(());
        }
        if !self.is_bound(place, &binding, &self.sharers_digest()) {
            return Err(Misfit::Signature);
        }
        self.bindings.insert(place, binding);
        Ok(())
    }

    pub(super) fn is_bound(&self, place: u32, binding: &Binding, sharers: &Digest) -> bool {
        let body = UploadBinding {
            id: self.context.id,
            sharers: *sharers,
        };
        self.identity(place)
            .is_some_and(|identity| binding.is_by(body, &identity))
    }

    /// A shop's signature on H2, if its upload has come.
    pub fn binding(&self, shop: &ShopName) -> Option<Binding> {
        self.bindings.get(&self.place(shop).ok()?).copied()
    }

    /// The survivors' signatures on H2, in the order of R3.
    pub fn bindings(&self) -> Vec<Binding> {
        let survivors = self.survivors.iter().flatten();
        survivors
            .filter_map(|survivor| self.bindings.get(survivor).copied())
            .collect()
    }
}
