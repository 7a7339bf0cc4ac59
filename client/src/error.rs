//! Failures that have an exit code of their own, and the program's exit codes.

use souk_common::privacy::ledger::LedgerError;
use souk_common::table::TableError;

use crate::config::ShopConfigError;
use crate::data::DataError;
use crate::interactions::read::HistoriesError;
use crate::ledger::LedgerFileError;
use crate::link::is_refused_code;
use crate::rules::file::RulesError;

/// Something is not as it must be, and starting again does not help: exit code 1.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct CheckFailed(pub(crate) String);

/// The question makes no sense: exit code 64.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct UsageError(pub(crate) String);

/// Said by the program that runs, which knew what it was.
#[derive(Debug, thiserror::Error)]
#[error("{reason}")]
pub(crate) struct Answered {
    pub(crate) exit_code: u8,
    pub(crate) reason: String,
}

/// A check failed.
pub(crate) const EXIT_CHECK_FAILED: u8 = 1;
/// Everything else that failed.
pub(crate) const EXIT_ERROR: u8 = 2;
/// Wrong usage or configuration.
pub(crate) const EXIT_USAGE: u8 = 64;

/// The exit code of a failure: by what is anywhere in its chain of causes.
pub(crate) fn exit_code(error: &anyhow::Error) -> u8 {
    if let Some(answered) = error.downcast_ref::<Answered>() {
        return answered.exit_code;
    }
    let of_data = |cause: &(dyn std::error::Error + 'static)| {
        cause
            .downcast_ref()
            .and_then(code_of_data)
            .or_else(|| cause.downcast_ref().and_then(code_of_histories))
    };
    if let Some(code) = error.chain().find_map(of_data) {
        return code;
    }
    let usage = |cause: &(dyn std::error::Error + 'static)| {
        cause.is::<ShopConfigError>() || cause.is::<RulesError>() || cause.is::<UsageError>()
    };
    let check = |cause: &(dyn std::error::Error + 'static)| {
        cause.is::<CheckFailed>() || is_rolled_back(cause) || is_refused_code(cause)
    };
    if error.chain().any(usage) {
        EXIT_USAGE
    } else if error.chain().any(check) {
        EXIT_CHECK_FAILED
    } else {
        EXIT_ERROR
    }
}

/// Of files whose contents or settings are no good; none where the system failed.
fn code_of_data(error: &DataError) -> Option<u8> {
    match error {
        DataError::Setting { .. } | DataError::NoItemsFile => Some(EXIT_USAGE),
        DataError::Table(TableError::Read { .. }) | DataError::Sink { .. } => None,
        _ => Some(EXIT_CHECK_FAILED),
    }
}

/// Of a store that has nothing to read.
fn code_of_histories(error: &HistoriesError) -> Option<u8> {
    match error {
        HistoriesError::Store(_) => None,
        HistoriesError::Data(error) => code_of_data(error),
        HistoriesError::Nothing { .. } => Some(EXIT_CHECK_FAILED),
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
