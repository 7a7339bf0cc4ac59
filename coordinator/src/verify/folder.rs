//! A federation's folder, with what an auditor has from elsewhere.

use std::collections::BTreeMap;
use std::path::Path;

use super::report::{Report, SIGNATURES, Unchecked};
use super::{LedgerFile, blobs, catalogue, check_records, ledgers};
use crate::store::{Store, StoreError};

/// What an auditor has from elsewhere than the coordinator.
#[derive(Clone, Debug, Default)]
pub struct OutsideEvidence {
    /// Shops' ledgers.
    pub ledgers: Vec<LedgerFile>,
    /// Whether the federation's key is the one in the very folder that is checked.
    pub believes_the_folders_key: bool,
}

/// Checks the federation in `dir`, whose words are signed by `key`.
///
/// # Errors
/// When the folder is no federation's, its records can't be read at all or are by a newer program, or a coordinator has them
/// open.
pub fn check(dir: &Path, key: &[u8; 32]) -> Result<Report, StoreError> {
    check_with(dir, key, &OutsideEvidence::default())
}

/// The same, with what an auditor has from elsewhere.
///
/// # Errors
/// As [`check`].
pub fn check_with(dir: &Path, key: &[u8; 32], evidence: &OutsideEvidence) -> Result<Report, StoreError> {
    let store = Store::open_to_read(dir)?;
    let keys = evidence
        .ledgers
        .iter()
        .filter_map(|ledger| Some((ledger.owner.clone()?, ledger.words_key?)));
    let mut report = check_records(&store, key, keys.collect::<BTreeMap<_, _>>())?;
    report.add(catalogue::check(dir, &store)?);
    report.add(blobs::check(&store)?);
    let (check, ledgers) = ledgers::check(&store, key, &evidence.ledgers)?;
    report.add(check);
    report.ledgers = ledgers;
    let confirmed = evidence
        .ledgers
        .iter()
        .any(|ledger| ledger.signing_key == Some(*key));
    if evidence.believes_the_folders_key && !confirmed {
        report.unchecked.push(Unchecked {
            check: report.checks[SIGNATURES].name,
            count: 1,
            first: "the federation's key".to_owned(),
            why: "it is the one in the very folder: whoever replaced the whole record could have signed it anew. Give --key from a \
                  shop's membership.json (signing_key), or --ledger with a shop's folder"
                .to_owned(),
        });
    }
    report.unchecked.push(Unchecked {
        check: "the folder",
        count: 1,
        first:
            "coordinator.toml, keys and certificates, and whether shops were told of everything in the record"
                .to_owned(),
        why: "not part of the record; compare the heads in shops' receipts (`souk-client sent --json`)"
            .to_owned(),
    });
    Ok(report)
}
