//! Who may take part: invitations that work once, memberships and their certificates, and how often a wrong code may be
//! tried.
//!
//! | module | what |
//! |---|---|
//! | this one | memberships |
//! | [`crate::membership::join_codes`] | codes: made, listed, cancelled, looked up |
//! | [`crate::membership::enrolment`] | what becomes of a try to enrol, and what the record says of it |
//! | [`crate::membership::tries`] | how many wrong codes an address may try |

#[cfg(test)]
mod tests;

use std::time::Duration;

use souk_common::clock::Timestamp;
use souk_common::crypto::pki::{Authority, PkiError, Validity, is_issued_by, key_of};
use souk_common::hex;
use souk_common::ids::{Digest, ShopName};
use souk_common::transport::PeerIdentity;
use souk_common::wire::messages::{CheckIn, Member};

use crate::store::{CodeEnd, Entry, ShopRecord, Standing, Store, StoreError};

pub use crate::membership::enrolment::{Applicant, Desk, JoinError, enrol};
pub use crate::membership::join_codes::{cancel, invite, invite_again, pending};

/// Notes what a member said of itself, and the certificate that it dialled with.
///
/// # Errors
/// Of the store.
pub fn check_in(
    store: &mut Store,
    now: Timestamp,
    peer: &PeerIdentity,
    dialled_with: &[u8],
    word: &CheckIn,
) -> Result<(), StoreError> {
    let Some(mut member) = store.shop(&peer.shop)? else {
        return Ok(());
    };
    let issued = hex::bytes(&member.issued).unwrap_or_default();
    let held = if !issued.is_empty() && [word.certificate, peer.fingerprint].contains(&Digest::of(&issued)) {
        // Never before the shop has it on its disk: what it had stays the last that is known.
        member.issued.clear();
        issued
    } else if member.certificate.is_empty() || word.certificate == peer.fingerprint {
        dialled_with.to_vec()
    } else {
        hex::bytes(&member.certificate).unwrap_or_default()
    };
    member.fingerprint = Digest::of(&held).to_string();
    member.certificate = hex::text(&held);
    member.authorities = word.authorities;
    member.seen_at = Some(now);
    member.clock_ahead_ms = Some(word.now.0.saturating_sub(now.0));
    store.change_lazily(|change| change.set_shop(&peer.shop, &member))
}

/// Lets a shop back that is left out because it lied in a masked attempt.
///
/// # Errors
/// When it is not left out, or of the store.
pub fn readmit(store: &mut Store, now: Timestamp, shop: &ShopName) -> Result<(), RegistryError> {
    let mut named = store.named()?;
    if named.remove(shop).is_none() {
        return Err(RegistryError::NotLeftOut { shop: shop.clone() });
    }
    Ok(store.change(|change| {
        change.set_named(&named)?;
        let shop = shop.clone();
        change.append(now, Entry::Readmitted { shop }).map(|_| ())
    })?)
}

/// A new certificate for a member's key by `authority`, valid for `life`. Asked again before it is due, the same one.
///
/// # Errors
/// When it is no member (any more), the request is for another key, or of the store.
pub fn renew(
    store: &mut Store,
    now: Timestamp,
    peer: &PeerIdentity,
    csr: &[u8],
    (authority, life): (&Authority, Duration),
) -> Result<Vec<u8>, RegistryError> {
    let member = store.shop(&peer.shop)?;
    let Some(mut member) = member.filter(|member| knows(member, peer)) else {
        return Err(RegistryError::NoMember);
    };
    for stored in [&member.issued, &member.certificate] {
        let stored = hex::bytes(stored).unwrap_or_default();
        let lasts = Validity::of(&stored).is_some_and(|validity| now < validity.renew_at());
        if lasts && is_issued_by(&stored, authority.certificate()) && key_of(&stored) == Some(peer.identity) {
            return Ok(stored);
        }
    }
    let certificate = authority.issue_shop_for(life, csr, &peer.shop, now)?;
    if key_of(&certificate) != Some(peer.identity) {
        return Err(RegistryError::OtherKey);
    }
    member.issued = hex::text(&certificate);
    store.change(|change| change.set_shop(&peer.shop, &member))?;
    Ok(certificate)
}

/// Ends a membership, and every code of that name: what was counted before stays counted, receipts and models are kept. Of a
/// name that is nobody's yet it ends the codes.
///
/// # Errors
/// When there is neither such a shop nor such a code, or of the store.
pub fn end(
    store: &mut Store,
    now: Timestamp,
    shop: &ShopName,
    standing: Standing,
) -> Result<EndedMembership, RegistryError> {
    let by = match standing {
        Standing::Left => CodeEnd::Left,
        _ => CodeEnd::Revoked,
    };
    let member = store.shop(shop)?;
    let was_known = member.is_some();
    let codes = store.change(|change| {
        if let Some(mut member) = member {
            member.standing = standing;
            change.set_shop(shop, &member)?;
        }
        change.end_codes_of(shop, by, now)
    })?;
    if !was_known && codes == 0 {
        return Err(RegistryError::Unknown { shop: shop.clone() });
    }
    Ok(EndedMembership { was_known, codes })
}

/// What the end of a membership came to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct EndedMembership {
    /// Whether there was a shop of that name.
    pub was_known: bool,
    /// Codes that worked until then.
    pub codes: u64,
}

/// Whether a peer is a member.
///
/// # Errors
/// Of the store.
pub fn allows(store: &Store, peer: &PeerIdentity) -> Result<bool, StoreError> {
    Ok(store.shop(&peer.shop)?.is_some_and(|member| knows(&member, peer)))
}

/// By its key: certificates come and go, and a coordinator that was put back from a backup has not seen the last one.
fn knows(member: &ShopRecord, peer: &PeerIdentity) -> bool {
    let is_it = match member.identity.as_str() {
        "" => member.fingerprint == peer.fingerprint.to_string(),
        identity => identity == hex::text(&peer.identity),
    };
    member.standing == Standing::Enrolled && is_it
}

/// Who is a member, with the long-term keys that are known.
///
/// # Errors
/// Of the store.
pub fn members(store: &Store) -> Result<Vec<Member>, StoreError> {
    let enrolled = store
        .shops()?
        .into_iter()
        .filter(|(_, shop)| shop.standing == Standing::Enrolled);
    let member = |(shop, record): (ShopName, ShopRecord)| {
        let identity = hex::bytes(&record.identity)?.try_into().ok()?;
        Some(Member { shop, identity })
    };
    Ok(enrolled.filter_map(member).collect())
}

/// What a shop that leaves is told.
pub const KEPT_AFTER_LEAVING: &str = "the coordinator keeps the shop's name and certificate fingerprint, its signed \
    receipts (digests, sizes and times of its updates) in the record of rounds, and the published models that its \
    noised updates are part of; stored updates are deleted with the rounds they belong to";

/// Why a membership can't be changed.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// It is a member.
    #[error(
        "{shop} is enrolled already; revoke it first to invite it again with any key, or `invite {shop} --again` makes a code \
         that only works for the key it has (`souk-client join CODE --again` in its folder)"
    )]
    Member {
        /// Which.
        shop: ShopName,
    },
    /// A code for a key that is not known.
    #[error(
        "{shop} can't be invited with --again: {why}; leave --again away, after `revoke {shop}` if it is enrolled"
    )]
    NotAgain {
        /// Which.
        shop: ShopName,
        /// What is missing.
        why: &'static str,
    },
    /// No code to cancel.
    #[error("no code for {shop} is pending; `invite --list` shows those that are")]
    NoCode {
        /// As given.
        shop: ShopName,
    },
    /// It is none.
    #[error("there is no shop called {shop}; `shops` lists them")]
    Unknown {
        /// As given.
        shop: ShopName,
    },
    /// It may take part as it is.
    #[error("{shop} is not left out; `status` says who is")]
    NotLeftOut {
        /// As given.
        shop: ShopName,
    },
    /// It asks for itself, and is none.
    #[error("this shop is no member")]
    NoMember,
    /// A renewal for another key.
    #[error("a renewal keeps the key: a shop that wants another one is revoked and joins again")]
    OtherKey,
    /// The certificate.
    #[error(transparent)]
    Pki(#[from] PkiError),
    /// Of the store.
    #[error(transparent)]
    Store(#[from] StoreError),
}
