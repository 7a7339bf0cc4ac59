//! What memberships and authorities look like to the operator.

use std::collections::HashMap;

use serde_json::{Value, json};
use souk_common::clock::Timestamp;
use souk_common::crypto::pki::{is_issued_by, valid_until};
use souk_common::hex;
use souk_common::ids::{Digest, ShopName};
use souk_common::limits::MAX_CLOCK_SKEW_SECS;
use souk_common::round::statements::Manifest;
use souk_common::secagg::records::fingerprint;
use souk_common::storage::blobs::Blobs;

use super::ControlError;
use crate::folder::FederationFolder;
use crate::membership::authorities::Certification;
use crate::store::{Invitation, Shop, Standing, Store, StoreError};

/// A membership: the fingerprint of the key is what owners read aloud to each other (`souk-client shops`).
pub(crate) fn shop((name, shop): &(ShopName, Shop)) -> Value {
    let mut membership = json!(shop);
    if let Some(fields) = membership.as_object_mut() {
        // Of no use to people.
        fields.remove("certificate");
        fields.remove("issued");
    }
    json!({
        "name": name,
        "membership": membership,
        "key_fingerprint": key_of(shop),
        "certified_until": until(&shop.certificate).map(date),
        "clock_ahead_secs": shop.clock_ahead_ms.map(|ms| ms as f64 / 1000.0),
        "clock_is_off": is_off(shop),
    })
}

/// A code that works, without its secret, and whether it is for a member's own key only.
pub(crate) fn invitation((invitation, again): &(Invitation, bool)) -> Value {
    json!({
        "shop": invitation.shop,
        "made_at": invitation.made_at.map(date),
        "expires_at": date(invitation.expires_at),
        "for_its_own_key_only": again,
    })
}

/// A model version, and whether its file is kept.
pub(crate) fn model(manifest: &Manifest, files: &dyn Blobs) -> Value {
    let mut shown = json!(manifest);
    shown["kept"] = json!(files.contains(&manifest.model));
    shown
}

/// The keys' fingerprints, by name.
pub(crate) fn keys(store: &Store) -> Result<HashMap<ShopName, Digest>, StoreError> {
    let shops = store.shops()?.into_iter();
    Ok(shops
        .filter_map(|(name, shop)| Some((name, key_of(&shop)?)))
        .collect())
}

/// Members whose clock was off when they last checked in.
pub(crate) fn clocks_off(shops: &[(ShopName, Shop)]) -> Vec<&ShopName> {
    let off = |(_, shop): &&(ShopName, Shop)| shop.standing == Standing::Enrolled && is_off(shop);
    shops.iter().filter(off).map(|(name, _)| name).collect()
}

/// Who certifies whom, and who depends on the old authority.
pub(crate) fn authorities(home: &FederationFolder, store: &Store) -> Result<Value, ControlError> {
    let refused = |error: &dyn std::fmt::Display| ControlError(error.to_string());
    let certification = Certification::load(home).map_err(|error| refused(&error))?;
    let dependents = certification.dependents(store).map_err(|error| refused(&error))?;
    let word = certification.word();
    let certifying = certification.certifying().certificate();
    let authority = |certificate: &Vec<u8>| {
        json!({
            "fingerprint": Digest::of(certificate),
            "valid_until": valid_until(certificate).map(date),
            "certifies_shops": certificate == certifying,
            "certifies_the_coordinator": certificate == certification.serving().certificate(),
        })
    };
    let dependent = |(name, shop): &(ShopName, Shop)| {
        let held = hex::bytes(&shop.certificate).unwrap_or_default();
        json!({
            "shop": name,
            "certified_by_the_new_one": is_issued_by(&held, certifying),
            "knows_the_new_one": shop.authorities >= word.number,
            "seen_at": shop.seen_at.map(date),
        })
    };
    Ok(json!({
        "rotating": certification.is_rotating(),
        "number": word.number,
        "authorities": word.certificates.iter().map(authority).collect::<Vec<_>>(),
        "dependents": dependents.iter().map(dependent).collect::<Vec<_>>(),
    }))
}

/// A moment for people: UTC, to the second.
pub(crate) fn date(at: Timestamp) -> String {
    jiff::Timestamp::from_millisecond(at.0).map_or_else(
        |_| at.to_string(),
        |at| at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
    )
}

fn key_of(shop: &Shop) -> Option<Digest> {
    let key: [u8; 32] = hex::bytes(&shop.identity)?.try_into().ok()?;
    Some(fingerprint(&key))
}

fn until(certificate: &str) -> Option<Timestamp> {
    valid_until(&hex::bytes(certificate)?)
}

fn is_off(shop: &Shop) -> bool {
    let most = i64::try_from(MAX_CLOCK_SKEW_SECS)
        .unwrap_or(i64::MAX)
        .saturating_mul(1000);
    shop.clock_ahead_ms
        .is_some_and(|ahead| ahead.saturating_abs() > most)
}
