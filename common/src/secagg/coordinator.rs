//! The coordinator's half of one masked attempt: it collects, fixes the lists R1, R2 and R3, and takes the masks off the sum.
//! No clock, no IO; what has to be durable is [`Session`] itself.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use serde::{Deserialize, Serialize};

use super::graph::neighbours;
use super::mask::{Mask, Sign, apply_words};
use super::records::{
    Advertisement, Confirmation, Confirmed, Context, Revealed, Roster, SEALED_BYTES, SealedShare, Shares,
    commitment, sharers_digest, survivors_digest,
};
use super::secrets::{Secret, agree, pair_seed, public_key, self_key};
use super::shamir::rebuild;
use super::shop::holders;
use super::terms::Terms;
use crate::crypto::sign::verify;
use crate::ids::{Digest, ShopName};
use crate::wire::messages::Signed;

/// All that the coordinator knows of one masked attempt. It holds no secret but what shops have revealed to it.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Session {
    context: Context,
    advertised: BTreeMap<ShopName, Signed<Advertisement>>,
    roster: Option<Roster>,
    shares: BTreeMap<u32, Shares>,
    sharers: Option<Vec<u32>>,
    survivors: Option<Vec<u32>>,
    confirmed: BTreeMap<u32, Confirmed>,
    /// By whom, of whom.
    pub(super) revealed: BTreeMap<u32, Vec<Revealed>>,
    #[serde(skip)]
    derived: Derived,
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
            derived: Derived::default(),
        }
    }

    /// Brings one that was stored back to life.
    pub fn resumed(mut self, terms: &Terms) -> Self {
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
    pub fn fix_roster(&mut self, terms: &Terms) -> &Roster {
        let roster = Roster(self.advertised.values().cloned().collect());
        self.roster = Some(roster);
        self.derive(terms);
        self.roster.get_or_insert_with(|| Roster(Vec::new()))
    }

    fn derive(&mut self, terms: &Terms) {
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
        };
    }

    /// Takes in a shop's shares for its neighbours.
    ///
    /// # Errors
    /// When it is not in R1, they are not one for each neighbour, or other ones than before.
    pub fn share(&mut self, shop: &ShopName, shares: Shares) -> Result<(), Misfit> {
        let place = self.place(shop)?;
        let expected = self.neighbours_of(place);
        let fits = shares.sealed.len() == expected.len()
            && shares
                .sealed
                .iter()
                .zip(expected)
                .all(|(share, other)| share.peer == *other && share.bytes.len() == SEALED_BYTES)
            && (1..=expected.len() + 1).contains(&usize::from(shares.threshold));
        if !fits {
            return Err(Misfit::Shares);
        }
        match self.shares.get(&place) {
            Some(before) if *before != shares => Err(Misfit::Second),
            Some(_) => Ok(()),
            None if self.sharers.is_some() => Err(Misfit::Late),
            None => {
                self.shares.insert(place, shares);
                Ok(())
            }
        }
    }

    /// Fixes R2: all of R1 whose shares are here.
    pub fn fix_sharers(&mut self) -> Vec<u32> {
        let sharers: Vec<u32> = self.shares.keys().copied().collect();
        self.sharers = Some(sharers.clone());
        sharers
    }

    /// The shares that R2's members sealed for `shop`.
    pub fn shares_for(&self, shop: &ShopName) -> Vec<SealedShare> {
        let Ok(place) = self.place(shop) else {
            return Vec::new();
        };
        let sharers = self.sharers.as_deref().unwrap_or_default();
        let sealed_for = |maker: &u32| {
            sharers.binary_search(maker).ok()?;
            let sealed = &self.shares.get(maker)?.sealed;
            let at = sealed.binary_search_by_key(&place, |share| share.peer).ok()?;
            Some(SealedShare {
                peer: *maker,
                bytes: sealed[at].bytes.clone(),
            })
        };
        self.neighbours_of(place).iter().filter_map(sealed_for).collect()
    }

    /// Fixes R3: those of R2 whose updates are in the sum.
    ///
    /// # Errors
    /// When one of them is not in R2 or stands there twice, or another R3 was fixed before.
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
        let identity = self
            .roster
            .as_ref()
            .and_then(|roster| roster.get(place))
            .map(|keys| keys.identity);
        let body = verify(confirmation, &identity.ok_or(Misfit::Absent)?).map_err(|_| Misfit::Signature)?;
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
    pub fn is_signed(&self, context: &Context, terms: &Terms) -> bool {
        let (Some(roster), Some(sharers), Some(survivors)) = (&self.roster, &self.sharers, &self.survivors)
        else {
            return false;
        };
        let body = Confirmation {
            id: context.id,
            survivors: self.survivors_digest(),
        };
        let signed = self.confirmed.values().filter(|word| {
            let identity = roster.get(word.shop).map(|keys| keys.identity);
            let signature = word.signature.clone();
            survivors.binary_search(&word.shop).is_ok()
                && identity.is_some_and(|identity| verify(&Signed { body, signature }, &identity).is_ok())
        });
        self.context == *context
            && roster.check(context).is_ok()
            && signed.count() >= terms.confirmations(sharers.len(), 0).min(sharers.len())
    }

    /// Signatures on R3 so far.
    pub fn confirmations(&self) -> Vec<Confirmed> {
        self.confirmed.values().cloned().collect()
    }

    /// Takes in what a survivor reveals.
    ///
    /// # Errors
    /// When it is not in R3, or reveals a share that it does not hold.
    pub fn reveal(&mut self, shop: &ShopName, mut revealed: Vec<Revealed>) -> Result<(), Misfit> {
        let place = self.survivor(shop)?;
        let mine = holders(self.neighbours_of(place), place);
        revealed.sort_unstable_by_key(|share| share.of);
        let twice = revealed.windows(2).any(|pair| pair[0].of == pair[1].of);
        let sharers = self.sharers.as_deref().unwrap_or_default();
        let held = |share: &Revealed| {
            mine.binary_search(&share.of).is_ok() && sharers.binary_search(&share.of).is_ok()
        };
        if twice || !revealed.iter().all(held) {
            return Err(Misfit::Shares);
        }
        if let Entry::Vacant(entry) = self.revealed.entry(place) {
            for share in entry.insert(revealed) {
                if let Some(count) = self.derived.revealed.get_mut(share.of as usize) {
                    *count += 1;
                }
            }
        }
        Ok(())
    }

    /// Whether enough shares are here to rebuild what it takes to unmask.
    pub fn can_unmask(&self) -> bool {
        let revealed = |of: u32| {
            self.derived
                .revealed
                .get(of as usize)
                .copied()
                .unwrap_or_default()
        };
        let sharers = self.sharers.iter().flatten();
        sharers.copied().all(|of| revealed(of) >= self.threshold_of(of))
    }

    /// Takes the masks off `sum`, the sum over R3 modulo 2^b.
    ///
    /// # Errors
    /// When shares are missing or do not rebuild what their shop had committed itself to; the sum is as it was then.
    pub fn unmask<W: super::mask::MaskWord>(&self, terms: &Terms, sum: &mut [W]) -> Result<(), Misfit> {
        let masks = self.masks_left()?;
        apply_words(terms.cipher, &masks, sum);
        Ok(())
    }

    /// What is left in the sum, with the signs that take it off: own masks of survivors, and pair masks between survivors and
    /// those who dropped out after R2.
    fn masks_left(&self) -> Result<Vec<Mask>, Misfit> {
        let (Some(roster), Some(sharers), Some(survivors)) = (&self.roster, &self.sharers, &self.survivors)
        else {
            return Err(Misfit::Late);
        };
        let bound = self.sharers_digest();
        let mut masks = Vec::new();
        for of in sharers {
            let keys = roster.get(*of).ok_or(Misfit::Absent)?;
            let survives = survivors.binary_search(of).is_ok();
            let rebuilt = self.rebuild(*of, |secret| match survives {
                true => commitment(secret) == keys.commitment,
                false => public_key(secret) == keys.mask_key,
            });
            let secret = rebuilt.ok_or_else(|| Misfit::Rebuilt {
                shop: keys.shop.clone(),
            })?;
            if survives {
                masks.push(Mask {
                    key: self_key(&secret, &self.context, &bound),
                    sign: Sign::Minus,
                });
                continue;
            }
            let present = self
                .neighbours_of(*of)
                .iter()
                .filter(|other| survivors.binary_search(other).is_ok());
            for other in present {
                let peer = roster.get(*other).ok_or(Misfit::Absent)?;
                let agreed = agree(&secret, &peer.mask_key).ok_or(Misfit::WeakKey)?;
                masks.push(Mask {
                    key: pair_seed(&agreed, &self.context, &bound, [*of, *other]),
                    sign: Sign::of(*other, *of).opposite(),
                });
            }
        }
        Ok(masks)
    }

    /// A secret from revealed shares, if some that are enough rebuild one that passes `check`. Shares of a lying holder are
    /// left out by trying others.
    fn rebuild(&self, of: u32, check: impl Fn(&[u8; 32]) -> bool) -> Option<Secret> {
        let (shares, threshold) = (self.shares_of(of), self.threshold_of(of));
        if shares.len() < threshold || threshold == 0 {
            return None;
        }
        let windows = match shares.len() == threshold {
            true => 1,
            false => shares.len(),
        };
        let tries = (0..windows).map(|first| {
            let window = (0..threshold).map(|step| shares[(first + step) % shares.len()]);
            rebuild(&window.collect::<Vec<_>>())
        });
        let mut tries = tries.into_iter();
        tries.find(|secret| check(secret))
    }

    pub(super) fn shares_of(&self, of: u32) -> Vec<(u8, [u8; 32])> {
        let share = |(point, by): (usize, u32)| {
            let revealed = self.revealed.get(&by)?;
            let at = revealed.binary_search_by_key(&of, |share| share.of).ok()?;
            Some((u8::try_from(point).ok()?, revealed[at].share))
        };
        let holders = holders(self.neighbours_of(of), of);
        (1..).zip(holders).filter_map(share).collect()
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

    /// H(R1, R2).
    pub fn sharers_digest(&self) -> Digest {
        let fresh = || self.roster.as_ref().map_or(Digest::ZERO, Roster::digest);
        let roster = self.derived.roster.unwrap_or_else(fresh);
        sharers_digest(&roster, self.sharers.as_deref().unwrap_or_default())
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

/// Why the coordinator does not take something in, or can't unmask.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Misfit {
    /// Not by the shop's key.
    #[error("the signature is not by the shop's key")]
    Signature,
    /// For another attempt, plan, model, list or shop.
    #[error("it belongs to another attempt, plan, model or list")]
    Context,
    /// Of small order.
    #[error("a key is of small order")]
    WeakKey,
    /// Other ones were taken in before.
    #[error("other ones were sent before")]
    Second,
    /// Its list was fixed before, or is not fixed yet.
    #[error("it comes at the wrong time")]
    Late,
    /// Not in the list it takes.
    #[error("the shop is not in the list")]
    Absent,
    /// Not one for each neighbour, or of whom the shop holds none.
    #[error("the shares are not those of the shop's neighbours")]
    Shares,
    /// Shares are missing, or rebuild something else.
    #[error("the shares of {shop} rebuild nothing that it had committed itself to, or are too few")]
    Rebuilt {
        /// Whose.
        shop: ShopName,
    },
}
