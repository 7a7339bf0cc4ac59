//! Records in a `redb` file.

use std::ops::{Bound, ControlFlow};
use std::path::{Path, PathBuf};

use redb::{
    AccessGuard, Database, DatabaseError, Durability as Commit, Key, Range, ReadTransaction,
    ReadableDatabase, ReadableTable, TableDefinition, TableError, WriteTransaction,
};
use souk_common::storage::disk::{Disk, open_database};

use super::StoreError;
use super::backend::{Durability, EachEntry, EachRow, List, Order, Records, Rows, Table, Transaction};
use super::error::is_full;

/// Records in a `redb` file.
#[derive(Debug)]
pub struct RedbRecords {
    database: Database,
    path: PathBuf,
}

impl RedbRecords {
    /// Opens the file, or makes it.
    ///
    /// # Errors
    /// When another process has it open, or of the disk.
    pub fn open(disk: &dyn Disk, path: &Path) -> Result<Self, StoreError> {
        Self::opened(disk, path, false)
    }

    /// The same, with the checksum of every page recomputed first: bytes that were changed behind the database's back are
    /// an error, not trusted.
    ///
    /// # Errors
    /// As [`Self::open`], and when a page is damaged.
    pub(super) fn open_checked(disk: &dyn Disk, path: &Path) -> Result<Self, StoreError> {
        Self::opened(disk, path, true)
    }

    fn opened(disk: &dyn Disk, path: &Path, checked: bool) -> Result<Self, StoreError> {
        let is_new = !disk.is_file(path);
        let mut builder = Database::builder();
        builder
            .set_cache_size(CACHE_BYTES)
            .set_check_integrity_on_open(checked);
        let database = open_database(disk, &builder, path).map_err(|source| match source {
            DatabaseError::DatabaseAlreadyOpen => StoreError::InUse {
                path: path.display().to_string(),
            },
            source => source.into(),
        })?;
        if is_new {
            // Other programs find every table that `docs/formats.md` names.
            let write = database.begin_write()?;
            make_tables(&write)?;
            write.commit()?;
        }
        let path = path.to_owned();
        Ok(Self { database, path })
    }

    /// Writes `rows` into a new file, durably.
    ///
    /// # Errors
    /// Of `rows` or the file.
    pub(super) fn copy(rows: &dyn Rows, path: &Path) -> Result<(), StoreError> {
        let database = Database::create(path)?;
        let write = database.begin_write()?;
        make_tables(&write)?;
        for table in Table::ALL {
            let mut to = write.open_table(named(table))?;
            rows.rows(table, "", None, Order::Forward, &mut |key, value| {
                to.insert(key, value)?;
                Ok(ControlFlow::Continue(()))
            })?;
        }
        for list in List::ALL {
            let mut to = write.open_table(numbered(list))?;
            rows.entries(list, 0, Order::Forward, &mut |number, value| {
                to.insert(number, value)?;
                Ok(ControlFlow::Continue(()))
            })?;
        }
        Ok(write.commit()?)
    }
}

fn make_tables(write: &WriteTransaction) -> Result<(), StoreError> {
    for table in Table::ALL {
        write.open_table(named(table))?;
    }
    for list in List::ALL {
        write.open_table(numbered(list))?;
    }
    Ok(())
}

impl Records for RedbRecords {
    fn name(&self) -> String {
        self.path.display().to_string()
    }

    fn read(&self) -> Result<Box<dyn Rows + Send>, StoreError> {
        Ok(Box::new(self.database.begin_read()?))
    }

    fn begin(&mut self, durability: Durability) -> Result<Box<dyn Transaction + '_>, StoreError> {
        let mut transaction = self.database.begin_write()?;
        transaction.set_durability(match durability {
            Durability::Immediate => Commit::Immediate,
            Durability::Lazy => Commit::None,
        })?;
        Ok(Box::new(transaction))
    }
}

/// What can be read: transactions of both kinds.
trait Tables {
    /// None if nothing was ever written to it.
    fn table<K: Key + 'static>(
        &self,
        definition: TableDefinition<'static, K, Bytes>,
    ) -> Result<Option<impl ReadableTable<K, Bytes>>, StoreError>;
}

impl Tables for ReadTransaction {
    fn table<K: Key + 'static>(
        &self,
        definition: TableDefinition<'static, K, Bytes>,
    ) -> Result<Option<impl ReadableTable<K, Bytes>>, StoreError> {
        match self.open_table(definition) {
            Err(TableError::TableDoesNotExist(_)) => Ok(None),
            opened => Ok(Some(opened?)),
        }
    }
}

impl Tables for WriteTransaction {
    fn table<K: Key + 'static>(
        &self,
        definition: TableDefinition<'static, K, Bytes>,
    ) -> Result<Option<impl ReadableTable<K, Bytes>>, StoreError> {
        Ok(Some(self.open_table(definition)?))
    }
}

impl<T: Tables> Rows for T {
    fn get(&self, table: Table, key: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let Some(table) = self.table(named(table))? else {
            return Ok(None);
        };
        Ok(table.get(key)?.map(|value| value.value().to_vec()))
    }

    fn rows(
        &self,
        table: Table,
        from: &str,
        to: Option<&str>,
        order: Order,
        each: EachRow<'_>,
    ) -> Result<(), StoreError> {
        let Some(table) = self.table(named(table))? else {
            return Ok(());
        };
        let to = to.map_or(Bound::Unbounded, Bound::Excluded);
        let mut range = table.range::<&str>((Bound::Included(from), to))?;
        while let Some((key, value)) = next(&mut range, order)? {
            if each(key.value(), value.value())?.is_break() {
                break;
            }
        }
        Ok(())
    }

    fn entries(&self, list: List, from: u64, order: Order, each: EachEntry<'_>) -> Result<(), StoreError> {
        let Some(table) = self.table(numbered(list))? else {
            return Ok(());
        };
        let mut range = table.range(from..)?;
        while let Some((number, value)) = next(&mut range, order)? {
            if each(number.value(), value.value())?.is_break() {
                break;
            }
        }
        Ok(())
    }
}

type Row<'a, K> = (AccessGuard<'a, K>, AccessGuard<'a, Bytes>);

fn next<'a, K: Key + 'static>(
    range: &mut Range<'a, K, Bytes>,
    order: Order,
) -> Result<Option<Row<'a, K>>, StoreError> {
    let row = match order {
        Order::Forward => range.next(),
        Order::Back => range.next_back(),
    };
    Ok(row.transpose()?)
}

impl Transaction for WriteTransaction {
    fn put(&mut self, table: Table, key: &str, value: &[u8]) -> Result<(), StoreError> {
        self.open_table(named(table))?.insert(key, value)?;
        Ok(())
    }

    fn remove(&mut self, table: Table, key: &str) -> Result<(), StoreError> {
        self.open_table(named(table))?.remove(key)?;
        Ok(())
    }

    fn put_entry(&mut self, list: List, number: u64, value: &[u8]) -> Result<(), StoreError> {
        self.open_table(numbered(list))?.insert(number, value)?;
        Ok(())
    }

    fn commit(self: Box<Self>) -> Result<(), StoreError> {
        Ok(Self::commit(*self)?)
    }
}

fn named(table: Table) -> TableDefinition<'static, &'static str, Bytes> {
    TableDefinition::new(table.name())
}

fn numbered(list: List) -> TableDefinition<'static, u64, Bytes> {
    TableDefinition::new(list.name())
}

macro_rules! into_store_error {
    ($($error:ty),*) => {
        $(impl From<$error> for StoreError {
            fn from(error: $error) -> Self {
                match redb::Error::from(error) {
                    redb::Error::Io(error) if is_full(&error) => Self::Full(error),
                    error => Self::Records(Box::new(error)),
                }
            }
        })*
    };
}

into_store_error!(
    redb::DatabaseError,
    redb::TransactionError,
    redb::TableError,
    redb::StorageError,
    redb::CommitError,
    redb::SetDurabilityError
);

type Bytes = &'static [u8];

/// Of pages, read and not yet written alike: records are small, and what grows with every receipt shall not stay in memory.
const CACHE_BYTES: usize = 1 << 20;
