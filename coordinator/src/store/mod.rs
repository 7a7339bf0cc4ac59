//! What the coordinator keeps: records in a database, blobs for models and updates.
//!
//! ```text
//! DIR/coordinator.redb   meta, shops, invitations (pending and ended), log, receipts, spent, words, masked, bindings,
//!                        models, traffic
//! DIR/files/ab/abcd..    plan, catalogue, models: what shops may fetch
//! DIR/private/ab/abcd..  stored updates, the server optimiser's state: what nobody may
//! ```
//!
//! [`Store`] knows what the rows mean; where they are is a [`Records`](backend::Records)'s business: [`redb`] and
//! [`memory`]. Blobs are in files or in memory as well ([`souk_common::storage::blobs`]). Nobody outside of this module
//! knows which.

pub mod backend;
mod change;
mod codes;
mod enrolments;
mod error;
pub mod memory;
pub(crate) mod names;
mod reads;
mod records;
pub mod redb;
mod snapshot;
mod words;

pub use change::Change;
pub use codes::{CodeEnd, EndedCode, Invitation};
pub use enrolments::{Enrolled, EnrolmentRefusal, RefusalCause, Refusals};
pub use error::StoreError;
pub use records::{
    BegunRun, Entry, Fault, Keeping, KeepingModels, Late, LogRecord, MaskedList, Named, Run, ShopRecord,
    Standing, Traffic,
};
pub use snapshot::Snapshot;

use std::fs;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;
use souk_common::chain::LogHead;
use souk_common::format::FormatError;
use souk_common::ids::Digest;
use souk_common::storage::blobs::{Blobs, FileBlobs};
use souk_common::storage::disk::{Disk, SystemDisk};

use self::backend::{Durability, Order, Records, Rows, Table};
use self::redb::RedbRecords;

/// One federation's store. One process at a time has it open.
#[derive(Debug)]
pub struct Store {
    records: Box<dyn Records>,
    files: Arc<dyn Blobs>,
    private: Arc<dyn Blobs>,
    head: LogHead,
}

impl Store {
    /// Opens the store of the federation in `dir` on this machine's disk, or makes it. `limit` caps the bytes of files
    /// written from now on.
    ///
    /// # Errors
    /// When another process has it open, when it is of another version, or of the file system.
    pub fn open(dir: &Path, limit: Option<u64>) -> Result<Self, StoreError> {
        Self::open_on(SystemDisk::shared(), dir, limit)
    }

    /// The same, on any disk.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn open_on(disk: Arc<dyn Disk>, dir: &Path, limit: Option<u64>) -> Result<Self, StoreError> {
        let records = RedbRecords::open(&*disk, &dir.join(RECORDS))?;
        let [files, private] =
            FOLDERS.map(|name| FileBlobs::open_on(Arc::clone(&disk), &dir.join(name), limit));
        Self::of(records, files?, private?)
    }

    /// Opens what is in `dir`, or in a copy of it, to read it: nothing there is changed.
    ///
    /// # Errors
    /// When there are no records, they are damaged or of another version, or a coordinator has them open.
    pub fn open_to_read(dir: &Path) -> Result<Self, StoreError> {
        let (from, copy) = (dir.join(RECORDS), tempfile::tempdir()?);
        let to = copy.path().join(RECORDS);
        let path = || from.display().to_string();
        fs::copy(&from, &to).map_err(|error| StoreError::Unreadable {
            path: path(),
            error: error.into(),
        })?;
        // The copy loses its name here, and its room when the store is closed.
        let records = RedbRecords::open_checked(&SystemDisk, &to).map_err(|error| match error {
            StoreError::Records(error) => StoreError::Unreadable { path: path(), error },
            error => error,
        })?;
        let format = get::<u32>(&*records.read()?, Table::Meta, "format")?;
        match format {
            Some(FORMAT) => {}
            // Whoever makes records writes it first.
            None => {
                return Err(StoreError::Damaged {
                    key: "meta format".to_owned(),
                });
            }
            Some(found) => {
                let error = FormatError { found, known: FORMAT };
                return Err(StoreError::Version { path: path(), error });
            }
        }
        let [files, private] = FOLDERS.map(|name| FileBlobs::to_read(&dir.join(name)));
        Self::of(records, files, private)
    }

    /// A store over any backend: records, what shops may fetch, and what nobody may.
    ///
    /// # Errors
    /// When the records are of another version, or of the backend.
    pub fn of(
        records: impl Records + 'static,
        files: impl Blobs + 'static,
        private: impl Blobs + 'static,
    ) -> Result<Self, StoreError> {
        let mut store = Self {
            records: Box::new(records),
            files: Arc::new(files),
            private: Arc::new(private),
            head: EMPTY,
        };
        match store.get::<u32>(Table::Meta, "format")? {
            None => store.change(|change| change.set_meta("format", &FORMAT))?,
            Some(FORMAT) => {}
            Some(found) => {
                let (path, known) = (store.records.name(), FORMAT);
                let error = FormatError { found, known };
                return Err(StoreError::Version { path, error });
            }
        }
        store.head = store.get(Table::Meta, "head")?.unwrap_or(EMPTY);
        Ok(store)
    }

    /// Stored updates and optimiser state: never sent to anybody.
    pub fn private(&self) -> &dyn Blobs {
        &*self.private
    }

    /// The same, for who outlives a borrow of the store.
    pub fn shared_private(&self) -> Arc<dyn Blobs> {
        Arc::clone(&self.private)
    }

    /// Plans, catalogues and models: what shops may fetch.
    pub fn files(&self) -> &dyn Blobs {
        &*self.files
    }

    /// The same, for who outlives a borrow of the store.
    pub fn shared_files(&self) -> Arc<dyn Blobs> {
        Arc::clone(&self.files)
    }

    /// Length and head of the record chain.
    pub fn log_head(&self) -> LogHead {
        self.head
    }

    /// Makes changes that are seen together or not at all.
    ///
    /// # Errors
    /// Those of `changes`, which are then undone, and of the store.
    pub fn change<T>(
        &mut self,
        changes: impl FnOnce(&mut Change<'_>) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        self.write(Durability::Immediate, changes)
    }

    /// As [`Self::change`], but a crash may undo it: for what is lost in a crash anyway.
    ///
    /// # Errors
    /// As [`Self::change`].
    pub fn change_lazily<T>(
        &mut self,
        changes: impl FnOnce(&mut Change<'_>) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        self.write(Durability::Lazy, changes)
    }

    fn write<T>(
        &mut self,
        durability: Durability,
        changes: impl FnOnce(&mut Change<'_>) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let mut transaction = self.records.begin(durability)?;
        let mut change = Change {
            transaction: &mut *transaction,
            head: self.head,
        };
        let value = changes(&mut change)?;
        let head = change.head;
        transaction.commit()?;
        self.head = head;
        Ok(value)
    }
}

fn get<T: DeserializeOwned>(
    rows: &(impl Rows + ?Sized),
    table: Table,
    key: &str,
) -> Result<Option<T>, StoreError> {
    rows.get(table, key)?.map(|value| parse(key, &value)).transpose()
}

fn all_from<T: DeserializeOwned>(
    rows: &(impl Rows + ?Sized),
    table: Table,
    prefix: &str,
) -> Result<Vec<(String, T)>, StoreError> {
    let mut found = Vec::new();
    rows.rows(table, prefix, None, Order::Forward, &mut |key, value| {
        if !key.starts_with(prefix) {
            return Ok(ControlFlow::Break(()));
        }
        found.push((key.to_owned(), parse(key, value)?));
        Ok(ControlFlow::Continue(()))
    })?;
    Ok(found)
}

fn json<T: Serialize>(value: &T) -> Vec<u8> {
    // Structs with names, numbers and digests: always have a JSON form.
    serde_json::to_vec(value).expect("a record has a JSON form")
}

fn parse<T: DeserializeOwned>(key: &str, bytes: &[u8]) -> Result<T, StoreError> {
    serde_json::from_slice(bytes).map_err(|error| StoreError::Damaged {
        key: format!("{key}: {error}"),
    })
}

/// Where all runs are listed.
pub(crate) const RUNS: &str = "runs";
/// Digest of the catalogue that was imported last, if that was since there was one.
pub(crate) const IMPORTED: &str = "catalogue_imported";
/// Where records and blobs are in a federation's folder, and in a backup of it.
pub(crate) const RECORDS: &str = "coordinator.redb";
pub(crate) const FOLDERS: [&str; 2] = ["files", "private"];
const FORMAT: u32 = 1;
const EMPTY: LogHead = LogHead {
    length: 0,
    head: Digest::ZERO,
};
/// Key in the table `meta`: shops that are left out.
const NAMED: &str = "named";

#[cfg(test)]
pub(crate) mod conformance;
#[cfg(test)]
pub(crate) mod tamper;
#[cfg(test)]
mod tests;
