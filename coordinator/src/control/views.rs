//! What memberships and authorities look like to the operator.

use std::collections::HashMap;

use souk_common::clock::Timestamp;
use souk_common::crypto::pki::{is_issued_by, valid_until};
use souk_common::date::date;
use souk_common::hex;
use souk_common::ids::{Digest, ShopName};
use souk_common::limits::MAX_CLOCK_SKEW_SECS;
use souk_common::secagg::records::fingerprint;

use super::answer::{AuthoritiesView, AuthorityView, Dependent, InvitationView, MemberView, MembershipView};
use super::{ControlError, refused};
use crate::folder::FederationFolder;
use crate::membership::authorities::Certification;
use crate::store::{Invitation, ShopRecord, Standing, Store, StoreError};

pub(super) fn member((name, shop): (ShopName, ShopRecord)) -> MemberView {
    MemberView {
        name,
        key_fingerprint: key_of(&shop),
        certified_until: until(&shop.certificate).map(date),
        clock_ahead_secs: shop.clock_ahead_ms.map(|ms| ms as f64 / 1000.0),
        clock_is_off: is_off(&shop),
        carrier: None,
        membership: MembershipView {
            fingerprint: shop.fingerprint,
            standing: shop.standing,
            enrolled_at: shop.enrolled_at,
            seen_at: shop.seen_at,
            software: shop.software,
            identity: shop.identity,
            authorities: shop.authorities,
            clock_ahead_ms: shop.clock_ahead_ms,
        },
    }
}

/// A code that works, and whether it is for a member's own key only.
pub(super) fn pending((invitation, again): (Invitation, bool)) -> InvitationView {
    InvitationView {
        shop: invitation.shop,
        made_at: invitation.made_at.map(date),
        expires_at: date(invitation.expires_at),
        for_its_own_key_only: again,
    }
}

/// The keys' fingerprints, by name.
pub(crate) fn keys(store: &Store) -> Result<HashMap<ShopName, Digest>, StoreError> {
    let shops = store.shops()?.into_iter();
    Ok(shops
        .filter_map(|(name, shop)| Some((name, key_of(&shop)?)))
        .collect())
}

/// Members whose clock was off when they last checked in.
pub(super) fn clocks_off(shops: Vec<(ShopName, ShopRecord)>) -> Vec<ShopName> {
    let off = |(_, shop): &(ShopName, ShopRecord)| shop.standing == Standing::Enrolled && is_off(shop);
    shops.into_iter().filter(off).map(|(name, _)| name).collect()
}

pub(super) fn authorities(home: &FederationFolder, store: &Store) -> Result<AuthoritiesView, ControlError> {
    let certification = Certification::load(home).map_err(refused)?;
    let dependents = certification.dependents(store).map_err(refused)?;
    let word = certification.word();
    let certifying = certification.certifying().certificate();
    let authority = |certificate: &Vec<u8>| AuthorityView {
        fingerprint: Digest::of(certificate),
        valid_until: valid_until(certificate).map(date),
        certifies_shops: certificate == certifying,
        certifies_the_coordinator: certificate == certification.serving().certificate(),
    };
    let dependent = |(shop, held): (ShopName, ShopRecord)| {
        let certificate = hex::bytes(&held.certificate).unwrap_or_default();
        Dependent {
            shop,
            certified_by_the_new_one: is_issued_by(&certificate, certifying),
            knows_the_new_one: held.authorities >= word.number,
            seen_at: held.seen_at.map(date),
        }
    };
    Ok(AuthoritiesView {
        rotating: certification.is_rotating(),
        number: word.number,
        authorities: word.certificates.iter().map(authority).collect(),
        dependents: dependents.into_iter().map(dependent).collect(),
        left_behind: None,
    })
}

fn key_of(shop: &ShopRecord) -> Option<Digest> {
    let key: [u8; 32] = hex::bytes(&shop.identity)?.try_into().ok()?;
    Some(fingerprint(&key))
}

fn until(certificate: &str) -> Option<Timestamp> {
    valid_until(&hex::bytes(certificate)?)
}

fn is_off(shop: &ShopRecord) -> bool {
    let most = i64::try_from(MAX_CLOCK_SKEW_SECS)
        .unwrap_or(i64::MAX)
        .saturating_mul(1000);
    shop.clock_ahead_ms
        .is_some_and(|ahead| ahead.saturating_abs() > most)
}
