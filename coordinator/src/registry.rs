//! Who may take part: invitations that work once, memberships and their certificates, and how often a wrong code may be
//! tried.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

use souk_common::clock::Timestamp;
use souk_common::crypto::pki::{Authority, PkiError, Validity, is_issued_by, key_of};
use souk_common::hex;
use souk_common::ids::{Digest, ShopName};
use souk_common::transport::Peer;
use souk_common::wire::limits::{JOIN_BACKOFF_SECS, MAX_JOIN_TRIES};
use souk_common::wire::messages::{CheckIn, Member};

use crate::store::{Entry, Invitation, Shop, Standing, Store, StoreError};

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
    certificate: &[u8],
    secret: &[u8; 16],
) -> Result<(), StoreError> {
    let member = Shop {
        fingerprint: Digest::of(certificate).to_string(),
        standing: Standing::Enrolled,
        enrolled_at: now,
        seen_at: None,
        software: String::new(),
        identity: key_of(certificate).map(|key| hex::text(&key)).unwrap_or_default(),
        certificate: hex::text(certificate),
        issued: String::new(),
        authorities: 0,
        clock_ahead_ms: None,
    };
    store.change(|change| {
        change.take_invitation(&hashed(secret))?;
        change.set_shop(shop, &member)
    })
}

/// Notes what a member said of itself, and the certificate that it dialled with.
///
/// # Errors
/// Of the store.
pub fn check_in(
    store: &mut Store,
    now: Timestamp,
    peer: &Peer,
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
    peer: &Peer,
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

/// Whether a peer is a member.
///
/// # Errors
/// Of the store.
pub fn allows(store: &Store, peer: &Peer) -> Result<bool, StoreError> {
    Ok(store.shop(&peer.shop)?.is_some_and(|member| knows(&member, peer)))
}

/// By its key: certificates come and go, and a coordinator that was put back from a backup has not seen the last one.
fn knows(member: &Shop, peer: &Peer) -> bool {
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

const INVITATION_LASTS: Duration = Duration::from_secs(24 * 3600);
const INVITATION_DOMAIN: &[u8] = b"souk 2026 invitation v1";
const BACKOFF: Duration = Duration::from_secs(JOIN_BACKOFF_SECS);
/// Wrong codes from all addresses within one back-off.
const MAX_TRIES_OVERALL: u32 = 100;

#[cfg(test)]
mod tests {
    use souk_common::crypto::pki::{SecretKey, request_for, shop_key, valid_until};

    use super::*;

    const LIFE: Duration = Duration::from_secs(30 * 86_400);

    /// A shop's certificate for `key`, and who it is by it.
    fn certified(authority: &Authority, shop: &ShopName, key: &SecretKey, now: Timestamp) -> (Vec<u8>, Peer) {
        let csr = request_for(key).unwrap();
        let certificate = authority.issue_shop_for(LIFE, &csr, shop, now).unwrap();
        let peer = peer(shop, &certificate);
        (certificate, peer)
    }

    fn peer(shop: &ShopName, certificate: &[u8]) -> Peer {
        Peer {
            shop: shop.clone(),
            fingerprint: Digest::of(certificate),
            identity: key_of(certificate).unwrap(),
        }
    }

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
        enrol(&mut store, now, &shop, b"certificate", &[1; 16]).unwrap();
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
        let authority = Authority::create("test", now).unwrap();
        let (mine, others) = (shop_key().unwrap().0, shop_key().unwrap().0);
        let (certificate, peer) = certified(&authority, &shop, &mine, now);
        enrol(&mut store, now, &shop, &certificate, &[0; 16]).unwrap();
        assert!(allows(&store, &peer).unwrap());
        let (_, again) = certified(&authority, &shop, &mine, now);
        assert!(
            allows(&store, &again).unwrap(),
            "another certificate for the same key"
        );
        let (_, other) = certified(&authority, &shop, &others, now);
        assert!(!allows(&store, &other).unwrap(), "another key of that name");
        assert!(invite(&mut store, now, &shop, &[1; 16]).is_err());
        end(&mut store, &shop, Standing::Revoked).unwrap();
        assert!(!allows(&store, &peer).unwrap());
        let csr = request_for(&mine).unwrap();
        let renewed = renew(&mut store, now, &peer, &csr, (&authority, LIFE));
        assert!(
            matches!(renewed, Err(RegistryError::NoMember)),
            "nor certified again"
        );
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

    #[test]
    fn a_certificate_is_renewed_for_the_same_key_when_it_is_due_or_its_authority_is_replaced() {
        let (_dir, mut store) = store();
        let (shop, joined): (ShopName, _) = ("north".parse().unwrap(), Timestamp::from_secs(1_800_000_000));
        let authority = Authority::create("test", joined).unwrap();
        let key = shop_key().unwrap().0;
        let (first, mut peer_now) = certified(&authority, &shop, &key, joined);
        enrol(&mut store, joined, &shop, &first, &[0; 16]).unwrap();
        let csr = request_for(&key).unwrap();
        let early = renew(&mut store, joined, &peer_now, &csr, (&authority, LIFE)).unwrap();
        assert_eq!(early, first, "not due: the same one");
        let due = joined + LIFE * 3 / 4;
        let (_, other_csr) = shop_key().unwrap();
        let other = renew(&mut store, due, &peer_now, &other_csr, (&authority, LIFE));
        assert!(matches!(other, Err(RegistryError::OtherKey)));
        let second = renew(&mut store, due, &peer_now, &csr, (&authority, LIFE)).unwrap();
        assert!(valid_until(&second) > valid_until(&first) && key_of(&second) == key_of(&first));
        let lost = renew(&mut store, due, &peer_now, &csr, (&authority, LIFE)).unwrap();
        assert_eq!(
            lost, second,
            "whoever lost the answer asks again and gets the same"
        );
        // Known to be held only once the shop says that it has it on its disk, or dials with it.
        let held = |store: &Store| store.shop(&shop).unwrap().unwrap().fingerprint;
        let mut word = CheckIn {
            now: due,
            certificate: Digest::of(&first),
            authorities: 0,
        };
        check_in(&mut store, due, &peer_now, &first, &word).unwrap();
        assert_eq!(held(&store), Digest::of(&first).to_string());
        word.certificate = Digest::of(&second);
        check_in(&mut store, due, &peer_now, &first, &word).unwrap();
        assert_eq!(held(&store), Digest::of(&second).to_string());
        assert!(
            allows(&store, &peer_now).unwrap(),
            "the connection that stands goes on"
        );
        let successor = Authority::create("test", due).unwrap();
        let third = renew(&mut store, due, &peer_now, &csr, (&successor, LIFE)).unwrap();
        assert!(
            is_issued_by(&third, successor.certificate()),
            "not due, but by the old authority"
        );
        peer_now = peer(&shop, &third);
        word.now = due + Duration::from_secs(90);
        word.certificate = Digest::of(&second);
        check_in(&mut store, due, &peer_now, &third, &word).unwrap();
        let member = store.shop(&shop).unwrap().unwrap();
        assert_eq!(
            member.fingerprint,
            peer_now.fingerprint.to_string(),
            "dialled with it"
        );
        assert_eq!(member.clock_ahead_ms, Some(90_000));
    }
}
