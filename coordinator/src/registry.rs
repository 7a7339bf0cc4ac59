//! Who may take part: invitations that work once, memberships, and how often a wrong code may be tried.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

use souk_common::clock::Timestamp;
use souk_common::hex;
use souk_common::ids::{Digest, ShopName};
use souk_common::wire::limits::{JOIN_BACKOFF_SECS, MAX_JOIN_TRIES};
use souk_common::wire::messages::Member;

use crate::store::{Invitation, Shop, Standing, Store, StoreError};

/// Keeps an invitation for `shop` with this secret; only the secret's digest is stored. It works once, for 24 hours.
///
/// # Errors
/// When the shop is a member already, or of the store.
pub fn invite(
    store: &mut Store,
    now: Timestamp,
    shop: &ShopName,
    secret: &[u8; 16],
) -> Result<Timestamp, RegistryError> {
    if is_enrolled(store, shop)? {
        return Err(RegistryError::Member { shop: shop.clone() });
    }
    let invitation = Invitation {
        shop: shop.clone(),
        expires_at: now + INVITATION_LASTS,
    };
    store.change(|change| change.invite(&hashed(secret), &invitation))?;
    Ok(invitation.expires_at)
}

/// Whom the invitation with this secret is for; none if it is wrong, used or expired.
///
/// # Errors
/// Of the store.
pub fn invited(store: &Store, now: Timestamp, secret: &[u8; 16]) -> Result<Option<ShopName>, StoreError> {
    Ok(store
        .invitation(&hashed(secret))?
        .filter(|invitation| now < invitation.expires_at)
        .map(|invitation| invitation.shop))
}

/// Makes the holder of a certificate a member, and uses up the invitation with this secret: both or neither.
///
/// # Errors
/// Of the store.
pub fn enrol(
    store: &mut Store,
    now: Timestamp,
    shop: &ShopName,
    fingerprint: String,
    identity: String,
    secret: &[u8; 16],
) -> Result<(), StoreError> {
    let member = Shop {
        fingerprint,
        standing: Standing::Enrolled,
        enrolled_at: now,
        seen_at: None,
        software: String::new(),
        identity,
    };
    store.change(|change| {
        change.take_invitation(&hashed(secret))?;
        change.set_shop(shop, &member)
    })
}

/// Ends a membership. What was counted before stays counted, receipts and models are kept.
///
/// # Errors
/// When there is no such member, or of the store.
pub fn end(store: &mut Store, shop: &ShopName, standing: Standing) -> Result<(), RegistryError> {
    let Some(mut member) = store.shop(shop)? else {
        return Err(RegistryError::Unknown { shop: shop.clone() });
    };
    member.standing = standing;
    Ok(store.change(|change| change.set_shop(shop, &member))?)
}

/// Whether the certificate with this fingerprint is the one of a member called `shop`.
///
/// # Errors
/// Of the store.
pub fn allows(store: &Store, shop: &ShopName, fingerprint: &str) -> Result<bool, StoreError> {
    Ok(store
        .shop(shop)?
        .is_some_and(|member| member.standing == Standing::Enrolled && member.fingerprint == fingerprint))
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
    let member = |(shop, record): (ShopName, Shop)| {
        let identity = hex::bytes(&record.identity)?.try_into().ok()?;
        Some(Member { shop, identity })
    };
    Ok(enrolled.filter_map(member).collect())
}

/// What a shop that leaves is told.
pub const KEPT_AFTER_LEAVING: &str = "the coordinator keeps the shop's name and certificate fingerprint, its signed \
    receipts (digests, sizes and times of its updates) in the record of rounds, and the published models that its \
    noised updates are part of; stored updates are deleted with the rounds they belong to";

fn is_enrolled(store: &Store, shop: &ShopName) -> Result<bool, StoreError> {
    Ok(store
        .shop(shop)?
        .is_some_and(|member| member.standing == Standing::Enrolled))
}

fn hashed(secret: &[u8; 16]) -> Digest {
    Digest::of(&[INVITATION_DOMAIN, secret].concat())
}

/// Counts wrong join codes, by address and overall: guessing 128 bits is hopeless, this keeps it cheap as well.
#[derive(Debug, Default)]
pub struct JoinTries {
    by_address: HashMap<IpAddr, Tries>,
    overall: Tries,
}

#[derive(Clone, Copy, Debug, Default)]
struct Tries {
    wrong: u32,
    since: Timestamp,
}

impl Tries {
    fn may_try(&self, now: Timestamp, most: u32) -> bool {
        self.wrong < most || now.since(self.since) >= BACKOFF
    }

    fn failed(&mut self, now: Timestamp) {
        if now.since(self.since) >= BACKOFF {
            *self = Self { wrong: 0, since: now };
        }
        self.wrong += 1;
    }
}

impl JoinTries {
    /// Whether a code from this address is looked at.
    pub fn may_try(&self, now: Timestamp, from: IpAddr) -> bool {
        self.overall.may_try(now, MAX_TRIES_OVERALL)
            && self
                .by_address
                .get(&from)
                .is_none_or(|tries| tries.may_try(now, MAX_JOIN_TRIES))
    }

    /// Counts a wrong code.
    pub fn failed(&mut self, now: Timestamp, from: IpAddr) {
        self.by_address
            .retain(|_, tries| now.since(tries.since) < BACKOFF);
        self.overall.failed(now);
        self.by_address.entry(from).or_default().failed(now);
    }
}

/// Why a membership can't be changed.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// It is a member.
    #[error("{shop} is enrolled already; revoke it first to invite it again")]
    Member {
        /// Which.
        shop: ShopName,
    },
    /// It is none.
    #[error("there is no shop called {shop}; `shops` lists them")]
    Unknown {
        /// As given.
        shop: ShopName,
    },
    /// Of the store.
    #[error(transparent)]
    Store(#[from] StoreError),
}

const INVITATION_LASTS: Duration = Duration::from_secs(24 * 3600);
const INVITATION_DOMAIN: &[u8] = b"souk 2026 invitation v1";
const BACKOFF: Duration = Duration::from_secs(JOIN_BACKOFF_SECS);
/// Wrong codes from all addresses within one back-off.
const MAX_TRIES_OVERALL: u32 = 100;

#[cfg(test)]
mod tests {
    use super::*;

    fn store() -> (tempfile::TempDir, Store) {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path(), None).unwrap();
        (dir, store)
    }

    #[test]
    fn a_code_works_once_and_not_after_a_day() {
        let (_dir, mut store) = store();
        let (shop, now): (ShopName, _) = ("north".parse().unwrap(), Timestamp::from_secs(1));
        invite(&mut store, now, &shop, &[1; 16]).unwrap();
        assert_eq!(invited(&store, now, &[2; 16]).unwrap(), None, "wrong");
        assert_eq!(invited(&store, now, &[1; 16]).unwrap(), Some(shop.clone()));
        assert_eq!(
            invited(&store, now, &[1; 16]).unwrap(),
            Some(shop.clone()),
            "looking does not use it up"
        );
        assert_eq!(
            invited(&store, now + INVITATION_LASTS, &[1; 16]).unwrap(),
            None,
            "expired"
        );
        enrol(&mut store, now, &shop, "aa".into(), String::new(), &[1; 16]).unwrap();
        assert_eq!(invited(&store, now, &[1; 16]).unwrap(), None, "used");
    }

    #[test]
    fn a_revoked_shop_is_not_allowed_and_may_be_invited_again() {
        let (_dir, mut store) = store();
        let (shop, now): (ShopName, _) = ("north".parse().unwrap(), Timestamp(0));
        assert!(matches!(
            end(&mut store, &shop, Standing::Revoked),
            Err(RegistryError::Unknown { .. })
        ));
        enrol(&mut store, now, &shop, "aa".into(), String::new(), &[0; 16]).unwrap();
        assert!(allows(&store, &shop, "aa").unwrap());
        assert!(
            !allows(&store, &shop, "bb").unwrap(),
            "another certificate of that name"
        );
        assert!(invite(&mut store, now, &shop, &[1; 16]).is_err());
        end(&mut store, &shop, Standing::Revoked).unwrap();
        assert!(!allows(&store, &shop, "aa").unwrap());
        invite(&mut store, now, &shop, &[1; 16]).unwrap();
    }

    #[test]
    fn wrong_codes_make_an_address_wait_and_others_not() {
        let mut tries = JoinTries::default();
        let (one, other) = (IpAddr::from([10, 0, 0, 1]), IpAddr::from([10, 0, 0, 2]));
        let now = Timestamp::from_secs(1000);
        for _ in 0..MAX_JOIN_TRIES {
            assert!(tries.may_try(now, one));
            tries.failed(now, one);
        }
        assert!(!tries.may_try(now, one) && tries.may_try(now, other));
        assert!(tries.may_try(now + BACKOFF, one));
        for host in 0..MAX_TRIES_OVERALL {
            tries.failed(now, IpAddr::from([10, 1, 0, host as u8]));
        }
        assert!(!tries.may_try(now, other), "all addresses together");
    }
}
