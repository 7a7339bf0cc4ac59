//! A copy of the store as it was at one moment, made while it goes on changing.

use std::path::{Path, PathBuf};

use souk_common::chain::LogHead;

use super::backend::{Rows, Table};
use super::redb::RedbRecords;
use super::{EMPTY, FOLDERS, RECORDS, Store, StoreError, get};

/// The records of one moment.
pub struct Snapshot {
    rows: Box<dyn Rows + Send>,
    into: PathBuf,
}

impl Store {
    /// Begins a copy in the new folder `into`: all blobs as they are now, and the records once it is
    /// [written](Snapshot::write). It costs little but room: what is changed later is kept as it was for as long as the
    /// snapshot lives.
    ///
    /// # Errors
    /// Of the store or the file system.
    pub fn snapshot(&self, into: &Path) -> Result<Snapshot, StoreError> {
        for (blobs, name) in [&self.files, &self.private].into_iter().zip(FOLDERS) {
            blobs.copy_all(&into.join(name))?;
        }
        Ok(Snapshot {
            rows: self.records.read()?,
            into: into.to_owned(),
        })
    }
}

impl Snapshot {
    /// Writes the records, durably; the head of the record in them.
    ///
    /// # Errors
    /// Of the store or the file system.
    pub fn write(&self) -> Result<LogHead, StoreError> {
        RedbRecords::copy(&*self.rows, &self.into.join(RECORDS))?;
        Ok(get(&*self.rows, Table::Meta, "head")?.unwrap_or(EMPTY))
    }
}
