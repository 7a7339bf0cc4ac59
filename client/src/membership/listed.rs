//! All other shops' keys confirmed in one step: from a list that the operator hands out signed, by a phrase that another owner
//! reads aloud.

use std::fs;
use std::io::Read;
use std::path::Path;

use anyhow::{Context, ensure};
use serde::Serialize;
use souk_common::crypto::sign::{Signed, verify};
use souk_common::ids::ShopName;
use souk_common::round::shop_list::{ShopList, is_same_phrase};
use souk_common::secagg::records::fingerprint;

use crate::config::ShopConfig;
use crate::error::{CheckFailed, UsageError};
use crate::folder::Folder;
use crate::membership::{Membership, trust};

/// What came of a list.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct ListOutcome {
    /// What owners compare.
    pub phrase: String,
    /// The other shops in it.
    pub shops: Vec<ShopName>,
    /// Whether their keys are confirmed now; false while no other owner's phrase was given.
    pub confirmed: bool,
}

/// Reads a list, and confirms the keys of all other shops in it if `phrase`, which another owner has read aloud from theirs, is
/// its own. `shop.toml` is written only if all is well.
///
/// # Errors
/// When the file is no list of this federation's coordinator, this shop is in it by another key or not at all, a key is
/// another than the one that was confirmed before, the phrase is another, or `shop.toml` can't be edited.
pub fn confirm(folder: &Folder, path: &Path, phrase: Option<&str>) -> anyhow::Result<ListOutcome> {
    let config = ShopConfig::load(folder)?;
    let membership = Membership::load(folder)?;
    ensure!(membership.left_at.is_none(), "this shop has left its federation");
    let list = read(path, &membership)?;
    let own = membership.signing_identity(folder)?.public();
    let is_own = |shop: &ShopName| *shop == membership.shop;
    let listed = list.shops.iter().find(|member| is_own(&member.shop));
    if listed.is_none_or(|listed| listed.identity != own) {
        return Err(CheckFailed(format!(
            "{}: {}. Nothing was confirmed: ask the operator for a new list, and if it stays so, other owners are shown a \
             key for this shop that is not its own",
            path.display(),
            match listed {
                None => format!("this shop ({}) is not in the list", membership.shop),
                Some(_) => format!("this shop ({}) is in the list by another key than its own", membership.shop),
            }
        ))
        .into());
    }
    let others: Vec<_> = list.shops.iter().filter(|member| !is_own(&member.shop)).collect();
    for member in &others {
        let shown = fingerprint(&member.identity);
        if config
            .known_shops
            .get(&member.shop)
            .is_some_and(|known| *known != shown)
        {
            return Err(CheckFailed(format!(
                "{}: {} has another key in the list than the one that you confirmed before. Nothing was confirmed: call its \
                 owner, and if they did join anew, `souk-client shops --trust {}=FINGERPRINT` first",
                path.display(),
                member.shop,
                member.shop
            ))
            .into());
        }
    }
    let own_phrase = list.phrase();
    if let Some(read) = phrase {
        if !is_same_phrase(read, &own_phrase) {
            return Err(CheckFailed(format!(
                "that is not the phrase of this list, which is: {own_phrase}. Nothing was confirmed. Compare once more, word by \
                 word; if it stays so, the two lists differ: take the same file, and if both came from the operator, the \
                 coordinator shows different owners different keys"
            ))
            .into());
        }
        for member in &others {
            trust::write(folder, &member.shop, &fingerprint(&member.identity))?;
        }
    }
    Ok(ListOutcome {
        phrase: own_phrase,
        shops: others.iter().map(|member| member.shop.clone()).collect(),
        confirmed: phrase.is_some(),
    })
}

fn read(path: &Path, membership: &Membership) -> anyhow::Result<ShopList> {
    let file = fs::File::open(path).map_err(|error| UsageError(format!("{}: {error}", path.display())))?;
    let mut bytes = Vec::new();
    file.take(MAX_LIST_BYTES + 1)
        .read_to_end(&mut bytes)
        .with_context(|| format!("can't read {}", path.display()))?;
    let signed: Signed<ShopList> = serde_json::from_slice(&bytes).map_err(|error| {
        UsageError(format!(
            "{} is no list of shops, as `souk-coordinator shops --export FILE` makes one: {error}",
            path.display()
        ))
    })?;
    match verify(&signed, &membership.words_key()?) {
        Ok(_) => Ok(signed.body),
        Err(_) => Err(CheckFailed(format!(
            "{} is not signed by the coordinator of this shop's federation: ask the operator for a new list",
            path.display()
        ))
        .into()),
    }
}

/// A list of 10,000 shops has 1.2 MB.
const MAX_LIST_BYTES: u64 = 4 << 20;
