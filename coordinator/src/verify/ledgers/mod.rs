//! Each shop's ledger against the record: its own chain, what receipts say of it, a spend for every received update, and
//! epsilon by both.
//!
//! | module | what |
//! |---|---|
//! | this one | what is given, and what comes of it |
//! | [`record`] | what the record says of attempts and receipts |
//! | [`shop`] | one shop's ledger |

mod record;
mod shop;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use serde::Serialize;
use souk_common::ids::ShopName;

use self::record::Facts;
use super::report::Check;
use crate::store::{Store, StoreError};

/// A shop's ledger, and what its folder says beside it.
#[derive(Clone, Debug, Default)]
pub struct LedgerFile {
    /// What to call it in messages: its path.
    pub name: String,
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// Whose it should be, by `membership.json` beside it.
    pub owner: Option<ShopName>,
    /// The shop's own public key, from there.
    pub words_key: Option<[u8; 32]>,
    /// The federation's public key, as the shop holds it.
    pub signing_key: Option<[u8; 32]>,
}

/// One shop's ledger beside the record.
#[derive(Clone, Debug, Serialize)]
pub struct LedgerReport {
    /// Which file.
    pub file: String,
    /// Whose; none if it can't be read.
    pub shop: Option<ShopName>,
    /// Records in it.
    pub records: u64,
    /// Records that charge something.
    pub spends: u64,
    /// Updates that the record has a receipt of.
    pub receipts: u64,
    /// At which delta both epsilons are: the last plan's.
    pub delta: f64,
    /// Of all spends in the ledger, a user of this shop, add or remove one; none if nothing bounds it.
    pub epsilon: Option<f64>,
    /// Of all received updates by the record, each as its plan and round charge it; none if nothing bounds it, or it can't be
    /// made out.
    pub epsilon_by_record: Option<f64>,
    /// What there is to say of the two, in words.
    pub epsilons: String,
    /// Spends that no receipt is of.
    pub beyond: Vec<Beyond>,
}

/// A spend that no receipt is of.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Beyond {
    /// Its line in the file, from 1.
    pub line: u64,
    /// Its round.
    pub round: u64,
    /// Its attempt.
    pub attempt: u32,
    /// What became of that, by the record.
    pub why: String,
}

/// All ledgers that were given.
pub(super) fn check(
    store: &Store,
    key: &[u8; 32],
    files: &[LedgerFile],
) -> Result<(Check, Vec<LedgerReport>), StoreError> {
    let mut check = Check::new(NAME);
    if files.is_empty() {
        check.leave(
            "shops' ledgers",
            1,
            "none was given: that shops charged themselves for what they sent is not checked. --ledger takes a shop's folder or \
             its ledger.jsonl",
        );
        return Ok((check, Vec::new()));
    }
    let facts = Facts::of(store)?;
    let (mut reports, mut seen) = (Vec::new(), BTreeMap::new());
    for file in files {
        let name = &file.name;
        if let Some(theirs) = file.signing_key.filter(|theirs| theirs != key) {
            check.wrong.push(format!(
                "{name}: the federation's key in the membership.json beside it is {}, not the one that this record is checked with: \
                 another federation's shop, or the wrong key",
                souk_common::hex::text(&theirs)
            ));
        }
        let report = shop::check(file, &facts, &mut check);
        if let Some(shop) = &report.shop
            && let Some(first) = seen.insert(shop.clone(), name)
        {
            check.wrong.push(format!(
                "{name}: a second ledger of {shop} (the first: {first}): a shop has one. Two that go on from one another by \
                 themselves each lack what the other one charged"
            ));
        }
        reports.push(report);
    }
    let without: Vec<&ShopName> = facts
        .receipts
        .keys()
        .filter(|shop| !seen.contains_key(shop))
        .collect();
    if let Some(first) = without.first() {
        check.leave(
            format!("the ledger of {first}"),
            without.len() as u64,
            "shops with receipts whose ledger was not given",
        );
    }
    Ok((check, reports))
}

const NAME: &str = "each shop's ledger: its chain, its receipts, a spend for each update";
