//! Join codes. Of each name at most one works: an invitation, an enrolment, a revocation and a leave end all before it.
//!
//! While a name is enrolled, a code of it works for the key that is enrolled and for no other: so a code that got into
//! other hands, or one that an older version left behind, can take no membership over.

use std::time::Duration;

use souk_common::clock::Timestamp;
use souk_common::ids::{Digest, ShopName};

use super::registry::RegistryError;
use crate::store::{CodeEnd, Invitation, RefusalCause, ShopRecord, Standing, Store, StoreError};

/// What is known of a code.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Code {
    /// It works, for this name.
    Works(ShopName),
    /// It does not, though it was one of this name.
    Worked(ShopName, RefusalCause),
    /// There is none.
    Unknown,
}

/// Keeps an invitation for `shop` with this secret; only the secret's digest is stored. It works once, for 24 hours, and ends
/// all earlier ones of that name: until when it works, and how many others worked until now.
///
/// # Errors
/// When the shop is a member already, or of the store.
pub fn invite(
    store: &mut Store,
    now: Timestamp,
    shop: &ShopName,
    secret: &[u8; 16],
) -> Result<(Timestamp, u64), RegistryError> {
    match enrolled(store, shop)? {
        Some(_) => Err(RegistryError::Member { shop: shop.clone() }),
        None => keep(store, now, shop, secret),
    }
}

/// The same for a member: nobody but the holder of the member's key can use the code.
///
/// # Errors
/// When it is no member, its key is not known, or of the store.
pub fn invite_again(
    store: &mut Store,
    now: Timestamp,
    shop: &ShopName,
    secret: &[u8; 16],
) -> Result<(Timestamp, u64), RegistryError> {
    let not = |why| {
        let shop = shop.clone();
        Err(RegistryError::NotAgain { shop, why })
    };
    match enrolled(store, shop)? {
        None => not("it is not enrolled"),
        Some(member) if member.identity.is_empty() => {
            not("its key is not known, for it has not connected since")
        }
        Some(_) => keep(store, now, shop, secret),
    }
}

fn keep(
    store: &mut Store,
    now: Timestamp,
    shop: &ShopName,
    secret: &[u8; 16],
) -> Result<(Timestamp, u64), RegistryError> {
    let invitation = Invitation {
        shop: shop.clone(),
        expires_at: now + INVITATION_LASTS,
        made_at: Some(now),
    };
    let ended = store.change(|change| {
        change.forget_codes(now - REMEMBERED)?;
        let ended = change.end_codes_of(shop, CodeEnd::Replaced, now)?;
        change.invite(&hashed(secret), &invitation)?;
        Ok(ended)
    })?;
    Ok((invitation.expires_at, ended))
}

/// Ends the pending codes of a name; how many worked until then.
///
/// # Errors
/// When there are none, or of the store.
pub fn cancel(store: &mut Store, now: Timestamp, shop: &ShopName) -> Result<u64, RegistryError> {
    match store.change(|change| change.end_codes_of(shop, CodeEnd::Cancelled, now))? {
        0 => Err(RegistryError::NoCode { shop: shop.clone() }),
        ended => Ok(ended),
    }
}

/// The codes that work now, by name, and whether each is for a member's own key only.
///
/// # Errors
/// Of the store.
pub fn pending(store: &Store, now: Timestamp) -> Result<Vec<(Invitation, bool)>, StoreError> {
    let mut pending = Vec::new();
    for invitation in store.invitations()? {
        if now < invitation.expires_at {
            let is_again = enrolled(store, &invitation.shop)?.is_some();
            pending.push((invitation, is_again));
        }
    }
    pending.sort_by(|(a, _), (b, _)| (&a.shop, a.expires_at).cmp(&(&b.shop, b.expires_at)));
    Ok(pending)
}

/// What is known of the code with this secret.
///
/// # Errors
/// Of the store.
pub(crate) fn look_up(store: &Store, now: Timestamp, secret: &[u8; 16]) -> Result<Code, StoreError> {
    let secret = hashed(secret);
    if let Some(invitation) = store.invitation(&secret)? {
        return Ok(match now < invitation.expires_at {
            true => Code::Works(invitation.shop),
            false => Code::Worked(invitation.shop, RefusalCause::ExpiredCode),
        });
    }
    Ok(match store.ended_code(&secret)? {
        Some(ended) => Code::Worked(ended.invitation.shop, RefusalCause::EndedCode(ended.by)),
        None => Code::Unknown,
    })
}

pub(crate) fn enrolled(store: &Store, shop: &ShopName) -> Result<Option<ShopRecord>, StoreError> {
    Ok(store
        .shop(shop)?
        .filter(|member| member.standing == Standing::Enrolled))
}

pub(crate) fn hashed(secret: &[u8; 16]) -> Digest {
    Digest::of(&[INVITATION_DOMAIN, secret].concat())
}

pub(crate) const INVITATION_LASTS: Duration = Duration::from_secs(24 * 3600);
/// How long a code that has expired is told apart from a wrong one.
const REMEMBERED: Duration = Duration::from_secs(30 * 24 * 3600);
const INVITATION_DOMAIN: &[u8] = b"souk 2026 invitation v1";
