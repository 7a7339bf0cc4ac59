//! Failures that have an exit code of their own, and the program's exit codes.

use souk_common::privacy::ledger::LedgerError;

use crate::config::ShopConfigError;
use crate::ledger::LedgerFileError;

/// Something is not as it must be, and starting again does not help: exit code 1.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct CheckFailed(pub(crate) String);

/// The question makes no sense: exit code 64.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct UsageError(pub(crate) String);

/// A check failed.
pub(crate) const EXIT_CHECK_FAILED: u8 = 1;
const EXIT_ERROR: u8 = 2;
/// Wrong usage or configuration.
pub(crate) const EXIT_USAGE: u8 = 64;

/// The exit code of a failure: by what is anywhere in its chain of causes.
pub(crate) fn exit_code(error: &anyhow::Error) -> u8 {
    let usage =
        |cause: &(dyn std::error::Error + 'static)| cause.is::<ShopConfigError>() || cause.is::<UsageError>();
    let check =
        |cause: &(dyn std::error::Error + 'static)| cause.is::<CheckFailed>() || is_rolled_back(cause);
    if error.chain().any(usage) {
        EXIT_USAGE
    } else if error.chain().any(check) {
        EXIT_CHECK_FAILED
    } else {
        EXIT_ERROR
    }
}

/// A ledger that is not the newest is no accident that a restart heals.
fn is_rolled_back(error: &(dyn std::error::Error + 'static)) -> bool {
    let rolled_back = matches!(error.downcast_ref(), Some(LedgerError::RolledBack { .. }));
    rolled_back
        || matches!(
            error.downcast_ref(),
            Some(LedgerFileError::Ledger {
                source: LedgerError::RolledBack { .. },
                ..
            })
        )
}
