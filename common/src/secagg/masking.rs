//! A shop's half after its upload: it signs one list of survivors, and reveals what that list calls for.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use zeroize::Zeroize;

use super::graph::holders;
use super::records::{Binding, Confirmation, Confirmed, Context, Revealed, UploadBinding, survivors_digest};
use super::refusal::{Refusal, enough, part_of};
use super::terms::{Safeguards, majority};
use crate::crypto::sign::{Signed, SigningKey, verify};
use crate::hex;
use crate::ids::{Digest, ShopName};

/// A shop whose update is masked: what it needs to help unmask the sum. Stored before the update leaves, erased when the
/// attempt has ended.
#[derive(Clone, Deserialize, PartialEq, Serialize)]
pub struct UnmaskSecrets {
    pub(super) context: Context,
    pub(super) colluding: usize,
    pub(super) least_alive: usize,
    pub(super) place: u32,
    pub(super) sharers: Vec<u32>,
    pub(super) bound: Digest,
    pub(super) known: Vec<u32>,
    pub(super) neighbours: Vec<u32>,
    pub(super) least: usize,
    pub(super) names: Vec<ShopName>,
    pub(super) identities: Vec<Identity>,
    pub(super) shares: Vec<Held>,
    /// The one signature on H2, which goes with the upload.
    pub(super) binding: Binding,
    #[serde(default = "Safeguards::all", skip_serializing_if = "Safeguards::are_all")]
    pub(super) safeguards: Safeguards,
    /// The one R3 that was answered.
    pub(super) survivors: Option<Vec<u32>>,
}

#[derive(Clone, Copy, Deserialize, PartialEq, Serialize)]
pub(super) struct Identity(#[serde(with = "hex")] pub(super) [u8; 32]);

/// Shares of another shop's secrets (or of the own): of the own mask's seed, then of the mask key.
#[derive(Clone, Deserialize, PartialEq, Serialize)]
pub(super) struct Held {
    pub(super) of: u32,
    #[serde(with = "hex")]
    pub(super) both: [u8; 64],
}

impl Drop for Held {
    fn drop(&mut self) {
        self.both.zeroize();
    }
}

impl UnmaskSecrets {
    /// What the attempt is bound to.
    pub fn context(&self) -> &Context {
        &self.context
    }

    /// This shop's signature on H2: it goes with the upload.
    pub fn binding(&self) -> Binding {
        self.binding
    }

    /// Takes in R3 with the survivors' signatures on H2, in the same order, and signs that this is the one. It must be stored
    /// again, with the list in it, before the signature leaves.
    ///
    /// # Errors
    /// When another list was answered before, it lacks this shop, is no part of R2, has too few shops that the owner
    /// knows, in all or among the holders of this shop's shares, or a survivor did not sign this shop's own H2.
    pub fn confirm(
        &mut self,
        survivors: &[u32],
        bindings: &[Binding],
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
                if self.safeguards.bindings {
                    self.bound_alike(survivors, bindings)?;
                }
                self.survivors = Some(survivors.to_vec());
            }
        }
        Ok(identity.sign(self.confirmation(survivors)))
    }

    /// Whether all survivors signed the H2 that this shop's own masks are made for. Without it a coordinator that shows one
    /// shop an R2 without its neighbours could have its seed revealed by all others, who know nothing of that list.
    fn bound_alike(&self, survivors: &[u32], bindings: &[Binding]) -> Result<(), Refusal> {
        let body = UploadBinding {
            id: self.context.id,
            sharers: self.bound,
        };
        for (at, shop) in survivors.iter().enumerate() {
            let identity = self.identities.get(*shop as usize).ok_or(Refusal::NoPart)?;
            if !bindings
                .get(at)
                .is_some_and(|binding| binding.is_by(body, &identity.0))
            {
                let shop = self.names.get(*shop as usize).cloned();
                return Err(Refusal::Unbound {
                    shop: shop.ok_or(Refusal::NoPart)?,
                });
            }
        }
        match bindings.len() == survivors.len() {
            true => Ok(()),
            false => Err(Refusal::NoPart),
        }
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
        // As in Terms::confirmations: counted against R1, so that no two lists of one roster can have enough.
        let unknown = |shop: &u32| self.known.binary_search(shop).is_err();
        let roster = 0..self.identities.len() as u32;
        let mut least = majority(roster.len(), self.colluding, roster.filter(unknown).count());
        if !self.safeguards.of_roster {
            let of = &self.sharers;
            let unknown = of.iter().filter(|shop| unknown(shop)).count();
            least = majority(of.len(), self.colluding, unknown).min(of.len());
        }
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
