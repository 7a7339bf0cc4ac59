//! From the shares that survivors reveal to the sum without masks; and who lied, if what was signed shows it.

use super::{RULES, Session};
use crate::ids::ShopName;
use crate::secagg::Misfit;
use crate::secagg::graph::holders;
use crate::secagg::mask::{Mask, MaskWord, Sign, apply_words};
use crate::secagg::records::{Revealed, commitment};
use crate::secagg::secrets::{SecretBytes, agree, pair_seed, public_key, self_key};
use crate::secagg::shamir::rebuild;
use crate::secagg::terms::MaskingParams;

impl Session {
    /// Takes in what a survivor reveals. Shares that are not the ones their makers signed are left out.
    ///
    /// # Errors
    /// When it is not in R3, reveals a share that it does not hold, or one that its maker did not make: then this shop lies.
    /// The coordinator knows that from the connection it came on; nobody else can check it.
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
        if self.revealed.contains_key(&place) {
            return Ok(());
        }
        if let Some(share) = revealed.iter().find(|share| !self.was_made(place, share)) {
            let roster = self.roster.as_ref().and_then(|roster| roster.get(share.of));
            return Err(Misfit::FalseShare {
                of: roster.ok_or(Misfit::Absent)?.shop.clone(),
            });
        }
        for share in &revealed {
            if let Some(count) = self.derived.revealed.get_mut(share.of as usize) {
                *count += 1;
            }
        }
        self.revealed.insert(place, revealed);
        Ok(())
    }

    /// Whether a revealed share is the one that its maker signed for this holder.
    fn was_made(&self, holder: u32, share: &Revealed) -> bool {
        if self.rules < RULES {
            return true;
        }
        let seat = holders(self.neighbours_of(share.of), share.of).binary_search(&holder);
        let hashes = self.commitments.get(&share.of).zip(seat.ok());
        let of_the_seed = self
            .survivors
            .as_ref()
            .is_some_and(|survivors| survivors.binary_search(&share.of).is_ok());
        hashes
            .and_then(|(kept, seat)| kept.hashes.get(seat))
            .is_some_and(|hashes| hashes.fit(&share.share, of_the_seed))
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
    /// Gives the makers some of whose shares were wrong although they fit what they signed: they lie, even though others of
    /// their shares were enough.
    ///
    /// # Errors
    /// When shares are missing or do not rebuild what their shop had committed itself to; the sum is as it was then.
    pub fn unmask<W: MaskWord>(&self, terms: &MaskingParams, sum: &mut [W]) -> Result<Vec<ShopName>, Misfit> {
        let (masks, lied) = self.masks_left()?;
        apply_words(terms.cipher, &masks, sum);
        Ok(lied)
    }

    /// What is left in the sum, with the signs that take it off: own masks of survivors, and pair masks between survivors and
    /// those who dropped out after R2.
    fn masks_left(&self) -> Result<(Vec<Mask>, Vec<ShopName>), Misfit> {
        let (Some(roster), Some(sharers), Some(survivors)) = (&self.roster, &self.sharers, &self.survivors)
        else {
            return Err(Misfit::Late);
        };
        let bound = self.sharers_digest();
        let mut masks = Vec::new();
        // Shares that all fit what their maker signed, and rebuild something else, are its lie.
        let (mut short, mut failed, mut lied) = (Vec::new(), Vec::new(), Vec::new());
        for of in sharers {
            let keys = roster.get(*of).ok_or(Misfit::Absent)?;
            let survives = survivors.binary_search(of).is_ok();
            let rebuilt = self.rebuild(*of, |secret| match survives {
                true => commitment(secret) == keys.commitment,
                false => public_key(secret) == keys.mask_key,
            });
            let secret = match rebuilt {
                Rebuilt::Short => {
                    short.push(keys.shop.clone());
                    continue;
                }
                Rebuilt::Wrong => {
                    failed.push(keys.shop.clone());
                    continue;
                }
                Rebuilt::Right { secret, at_once } => {
                    if !at_once && self.rules >= RULES {
                        lied.push(keys.shop.clone());
                    }
                    secret
                }
            };
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
        match (failed.is_empty(), short.is_empty()) {
            (true, true) => Ok((masks, lied)),
            // Before shares were signed it could as well be the holders who lied.
            (false, _) if self.rules >= RULES => {
                failed.extend(lied);
                Err(Misfit::FalseShares { shops: failed })
            }
            _ => {
                short.extend(failed);
                Err(Misfit::TooFew { shops: short })
            }
        }
    }

    /// A secret from revealed shares, if some that are enough rebuild one that passes `check`. Wrong ones are left out by
    /// trying others.
    fn rebuild(&self, of: u32, check: impl Fn(&[u8; 32]) -> bool) -> Rebuilt {
        let (shares, threshold) = (self.shares_of(of), self.threshold_of(of));
        if shares.len() < threshold || threshold == 0 {
            return Rebuilt::Short;
        }
        let windows = match shares.len() == threshold {
            true => 1,
            false => shares.len(),
        };
        for first in 0..windows {
            let window = (0..threshold).map(|step| shares[(first + step) % shares.len()]);
            let secret = rebuild(&window.collect::<Vec<_>>());
            if check(&secret) {
                let at_once = first == 0;
                return Rebuilt::Right { secret, at_once };
            }
        }
        Rebuilt::Wrong
    }

    pub(in crate::secagg) fn shares_of(&self, of: u32) -> Vec<(u8, [u8; 32])> {
        let share = |(point, by): (usize, u32)| {
            let revealed = self.revealed.get(&by)?;
            let at = revealed.binary_search_by_key(&of, |share| share.of).ok()?;
            Some((u8::try_from(point).ok()?, revealed[at].share))
        };
        let holders = holders(self.neighbours_of(of), of);
        (1..).zip(holders).filter_map(share).collect()
    }
}

/// What came of a secret's shares.
enum Rebuilt {
    /// The secret, and whether the first shares that were tried gave it.
    Right { secret: SecretBytes, at_once: bool },
    /// Enough shares, and none that fit give it.
    Wrong,
    /// Too few.
    Short,
}
