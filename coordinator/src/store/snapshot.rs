//! A copy of the records as they were at one moment, made while they go on changing.

use std::path::Path;

use redb::{Database, ReadTransaction, ReadableTable};
use souk_common::chain::LogHead;

use super::{EMPTY, LOG, META, MODELS, Store, StoreError, TABLES, parse};
use redb::ReadableDatabase;

/// The records of one moment.
pub struct Snapshot(ReadTransaction);

impl Store {
    /// The records as they are now. It costs nothing but room: what is changed later is kept as it was for as long as the
    /// snapshot lives.
    ///
    /// # Errors
    /// Of the store.
    pub fn snapshot(&self) -> Result<Snapshot, StoreError> {
        Ok(Snapshot(self.records.begin_read()?))
    }
}

impl Snapshot {
    /// Writes them into a new file, durably; the head of the record in it.
    ///
    /// # Errors
    /// Of the store or the file.
    pub fn write(&self, path: &Path) -> Result<LogHead, StoreError> {
        let copy = Database::create(path).map_err(|error| StoreError::Records(error.into()))?;
        let write = copy.begin_write()?;
        for table in TABLES {
            let (from, mut to) = (self.0.open_table(table)?, write.open_table(table)?);
            for row in from.iter()? {
                let (key, value) = row?;
                to.insert(key.value(), value.value())?;
            }
        }
        for table in [LOG, MODELS] {
            let (from, mut to) = (self.0.open_table(table)?, write.open_table(table)?);
            for row in from.iter()? {
                let (key, value) = row?;
                to.insert(key.value(), value.value())?;
            }
        }
        write.commit()?;
        let head = self.0.open_table(META)?;
        let head = head
            .get("head")?
            .map(|value| parse("head", value.value()))
            .transpose()?;
        Ok(head.unwrap_or(EMPTY))
    }
}
