//! Each shop's ledger against the record: its own chain, what receipts say of it, a spend for every received update, and
//! epsilon by both.
//!
//! | module | what |
//! |---|---|
//! | this one | all that were given |
//! | [`given`] | one that is given |
//! | [`record`] | what the record says of attempts and receipts |
//! | [`shop`] | one shop's ledger |

mod given;
mod record;
mod shop;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use souk_common::ids::ShopName;

pub use self::given::LedgerFile;
use self::record::Facts;
use super::report::{Check, LedgerReport};
use crate::store::{Store, StoreError};

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
