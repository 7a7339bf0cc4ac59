//! Before a run: users by shop, and the coordinator's program over a store in memory.

use std::collections::BTreeMap;
use std::time::Duration;

use souk_common::catalogue::Catalogue;
use souk_common::clock::Timestamp;
use souk_common::crypto::pki::Authority;
use souk_common::crypto::sign::SigningKey;
use souk_common::dataset::Dataset;
use souk_common::hex;
use souk_common::ids::ShopName;
use souk_common::plan::Plan;
use souk_coordinator::engine::{Engine, Settings};
use souk_coordinator::membership::authorities::Certification;
use souk_coordinator::session::Dialogue;
use souk_coordinator::store::{ShopRecord, Standing, Store};

use super::saved::Kept;
use super::shop::Shop;

/// A shop's users, as the world gets them.
pub(crate) struct Members {
    pub(crate) name: ShopName,
    pub(crate) dataset: Dataset,
    /// As in `souk_client::training::round_update::Customers`.
    pub(crate) forbidden: Vec<Vec<u32>>,
}

/// The coordinator's program, over a store in memory in which the shops are enrolled; as it was left, if it is not new.
pub(super) fn open(
    now: Timestamp,
    kept: &Kept,
    plan: Plan,
    catalogue: &Catalogue,
    key: SigningKey,
    shops: &[Shop],
) -> anyhow::Result<(Engine, Dialogue)> {
    let Kept {
        records,
        files,
        private,
    } = kept.clone();
    let store = Store::of(records, files, private)?;
    let settings = Settings {
        keep_parts: 0,
        keep_models: 1,
        new_run: false,
    };
    let mut engine = Engine::begin(now, store, key, plan, catalogue, settings)?;
    engine.store().change(|change| {
        shops
            .iter()
            .try_for_each(|shop| change.set_shop(&shop.peer.shop, &enrolled(&shop.peer.identity)))
    })?;
    let certification = Certification::by(Authority::create("simulation", now)?);
    let dialogue = Dialogue::new(&mut engine, certification, Duration::MAX, u64::MAX)?;
    Ok((engine, dialogue))
}

fn enrolled(identity: &[u8; 32]) -> ShopRecord {
    ShopRecord {
        fingerprint: String::new(),
        standing: Standing::Enrolled,
        enrolled_at: Timestamp(0),
        seen_at: None,
        software: String::new(),
        identity: hex::text(identity),
        certificate: String::new(),
        issued: String::new(),
        authorities: 0,
        clock_ahead_ms: None,
    }
}

/// Users of `dataset` by shop, the names in the order of `shops`.
pub(crate) fn members_of(
    dataset: &Dataset,
    forbidden: &[Vec<u32>],
    shop_of: &[usize],
    names: &[ShopName],
) -> Vec<Members> {
    let mut users: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for (user, shop) in shop_of.iter().enumerate() {
        users.entry(*shop).or_default().push(user);
    }
    names
        .iter()
        .enumerate()
        .map(|(shop, name)| {
            let users = users.remove(&shop).unwrap_or_default();
            Members {
                name: name.clone(),
                dataset: dataset.subset(&users),
                forbidden: match forbidden.is_empty() {
                    true => Vec::new(),
                    false => users.iter().map(|user| forbidden[*user].clone()).collect(),
                },
            }
        })
        .collect()
}
