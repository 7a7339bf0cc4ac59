//! Why the store can't do what it was asked.

use souk_common::format::FormatError;

/// What went wrong with the store.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Another process has it open.
    #[error("{path} is in use by another process; stop that one first")]
    InUse {
        /// The file.
        path: String,
    },
    /// Written by another version.
    #[error("{path}: {error}")]
    Version {
        /// The file.
        path: String,
        /// Which one.
        error: FormatError,
    },
    /// The file of the records can't be opened: it is not there, it is no database, or a page of it is damaged.
    #[error("{path}: {error}")]
    Unreadable {
        /// The file.
        path: String,
        /// Why.
        error: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A record can't be read.
    #[error("the record {key:?} in the store is damaged")]
    Damaged {
        /// Its key.
        key: String,
    },
    /// The disk is full.
    #[error(
        "there is no room to write ({0}): free some space and start again; nothing that was acknowledged is lost"
    )]
    Full(std::io::Error),
    /// Of the content-addressed files.
    #[error("can't read or write the store's files: {0}")]
    Files(std::io::Error),
    /// Of the records.
    #[error("can't read or write the store's records: {0}")]
    Records(Box<dyn std::error::Error + Send + Sync>),
}

impl From<std::io::Error> for StoreError {
    fn from(error: std::io::Error) -> Self {
        if is_full(&error) {
            Self::Full(error)
        } else {
            Self::Files(error)
        }
    }
}

/// A disk, a quota or a largest size of files that is used up.
pub(super) fn is_full(error: &std::io::Error) -> bool {
    use std::io::ErrorKind;
    matches!(
        error.kind(),
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge
    )
}
