//! What the coordinator keeps: a `redb` file for records, content-addressed files for models and updates.
//!
//! ```text
//! DIR/coordinator.redb   meta, shops, invitations (pending and ended), log, receipts, spent, words, masked, bindings,
//!                        models, traffic
//! DIR/files/ab/abcd..    plan, catalogue, models: what shops may fetch
//! DIR/private/ab/abcd..  stored updates, the server optimiser's state: what nobody may
//! ```

mod change;
mod codes;
mod enrolments;
mod error;
mod files;
mod records;
mod snapshot;
mod words;

pub use change::Change;
pub use codes::{CodeEnd, EndedCode, Invitation};
pub use enrolments::{Enrolled, Refusal, RefusalCause, Refusals};
pub use error::StoreError;
pub use files::{FileWriter, Files};
pub use records::{
    Entry, Fault, Keeping, KeepingModels, Late, LogRecord, MaskedList, Named, Run, Shop, Standing, Traffic,
};
pub use snapshot::Snapshot;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use redb::{Database, Durability, ReadableDatabase, ReadableTable, TableDefinition};
use serde::Serialize;
use serde::de::DeserializeOwned;
use souk_common::chain::LogHead;
use souk_common::crypto::sign::Signed;
use souk_common::format::FormatError;
use souk_common::ids::{AttemptId, Digest, ShopName};
use souk_common::round::statements::{Manifest, Receipt};
use souk_common::secagg::{Binding, Session};
use souk_common::storage::disk::{Disk, SystemDisk, open_database};
use souk_common::wire::messages::Spent;

/// One federation's store. One process at a time has it open.
#[derive(Debug)]
pub struct Store {
    records: Database,
    files: Files,
    private: Files,
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
        let path = dir.join(FILE_NAME);
        let mut records = Database::builder();
        records.set_cache_size(CACHE_BYTES);
        let records = open_database(&*disk, &records, &path).map_err(|source| match source {
            redb::DatabaseError::DatabaseAlreadyOpen => StoreError::InUse {
                path: path.display().to_string(),
            },
            source => StoreError::Records(source.into()),
        })?;
        let files = Files::open_on(Arc::clone(&disk), &dir.join("files"), limit)?;
        let private = Files::open_on(disk, &dir.join("private"), limit)?;
        let mut store = Self {
            records,
            files,
            private,
            head: EMPTY,
        };
        store.write(Durability::Immediate, |change| {
            for table in TABLES {
                change.transaction.open_table(table)?;
            }
            change.transaction.open_table(LOG)?;
            change.transaction.open_table(MODELS)?;
            match change.get::<u32>(META, "format")? {
                None => change.put(META, "format", &FORMAT),
                Some(FORMAT) => Ok(()),
                Some(found) => {
                    let error = FormatError { found, known: FORMAT };
                    let path = path.display().to_string();
                    Err(StoreError::Version { path, error })
                }
            }
        })?;
        store.head = store.get(META, "head")?.unwrap_or(EMPTY);
        Ok(store)
    }

    /// Stored updates and optimiser state: never sent to anybody.
    pub fn private(&self) -> &Files {
        &self.private
    }

    /// The content-addressed files that shops may fetch.
    pub fn files(&self) -> &Files {
        &self.files
    }

    /// Length and head of the record chain.
    pub fn log_head(&self) -> LogHead {
        self.head
    }

    /// Where the run stands, if one was begun.
    ///
    /// # Errors
    /// Of the store.
    pub fn run(&self) -> Result<Option<Run>, StoreError> {
        self.get(META, "run")
    }

    /// A value of the federation's own, by name.
    ///
    /// # Errors
    /// Of the store.
    pub fn meta<T: DeserializeOwned>(&self, key: &str) -> Result<Option<T>, StoreError> {
        self.get(META, key)
    }

    /// A shop's membership.
    ///
    /// # Errors
    /// Of the store.
    pub fn shop(&self, name: &ShopName) -> Result<Option<Shop>, StoreError> {
        self.get(SHOPS, name.as_str())
    }

    /// All memberships, by name.
    ///
    /// # Errors
    /// Of the store.
    pub fn shops(&self) -> Result<Vec<(ShopName, Shop)>, StoreError> {
        let named = self.all(SHOPS)?.into_iter();
        named
            .map(|(name, shop)| Ok((name.parse().map_err(|_| StoreError::Damaged { key: name })?, shop)))
            .collect()
    }

    /// The receipt of a shop for an attempt.
    ///
    /// # Errors
    /// Of the store.
    pub fn receipt(&self, id: AttemptId, shop: &ShopName) -> Result<Option<Signed<Receipt>>, StoreError> {
        self.get(RECEIPTS, &receipt_key(id, shop))
    }

    /// All receipts of an attempt.
    ///
    /// # Errors
    /// Of the store.
    pub fn receipts(&self, id: AttemptId) -> Result<Vec<Signed<Receipt>>, StoreError> {
        let all: Vec<(String, Signed<Receipt>)> = self.all_from(RECEIPTS, &attempt_key(id))?;
        Ok(all.into_iter().map(|(_, receipt)| receipt).collect())
    }

    /// All receipts of all attempts at a round.
    ///
    /// # Errors
    /// Of the store.
    pub fn receipts_of_round(&self, round: u64) -> Result<Vec<Signed<Receipt>>, StoreError> {
        let all: Vec<(String, Signed<Receipt>)> = self.all_from(RECEIPTS, &format!("{round:020} "))?;
        Ok(all.into_iter().map(|(_, receipt)| receipt).collect())
    }

    /// A shop's last receipt, over all plans.
    ///
    /// # Errors
    /// Of the store.
    pub fn last_spent(&self, shop: &ShopName) -> Result<Option<Spent>, StoreError> {
        self.get(SPENT, &last_spent_key(shop))
    }

    /// A shop's receipts with ledgers under `below` records, the longest first: `most`, and what else is of the last one's
    /// length.
    ///
    /// # Errors
    /// Of the store.
    pub fn spent(&self, shop: &ShopName, below: u64, most: usize) -> Result<Vec<Spent>, StoreError> {
        let read = self.records.begin_read()?;
        let table = read.open_table(SPENT)?;
        let (from, to) = (spent_key(shop, 0), spent_key(shop, below));
        let mut found: Vec<Spent> = Vec::new();
        for row in table.range(from.as_str()..to.as_str())?.rev() {
            let (key, value) = row?;
            let spent: Spent = parse(key.value(), value.value())?;
            let length = |spent: &Spent| spent.receipt.body.upload.ledger_length;
            let last = found.last().map(length);
            if found.len() >= most && last != Some(length(&spent)) {
                break;
            }
            found.push(spent);
        }
        Ok(found)
    }

    /// What is known of a masked attempt.
    ///
    /// # Errors
    /// Of the store.
    pub fn masked(&self, id: AttemptId) -> Result<Option<Session>, StoreError> {
        self.get(MASKED, &attempt_key(id))
    }

    /// Signatures that came with the updates of a masked attempt whose R3 is not fixed yet.
    ///
    /// # Errors
    /// Of the store.
    pub fn bindings(&self, id: AttemptId) -> Result<Vec<(ShopName, Binding)>, StoreError> {
        let first = attempt_key(id);
        let all: Vec<(String, Binding)> = self.all_from(BINDINGS, &first)?;
        let named = |(key, binding): (String, Binding)| {
            let shop = key[first.len()..].parse();
            shop.map(|shop| (shop, binding))
                .map_err(|_| StoreError::Damaged { key })
        };
        all.into_iter().map(named).collect()
    }

    /// Shops that are left out because they lied.
    ///
    /// # Errors
    /// Of the store.
    pub fn named(&self) -> Result<BTreeMap<ShopName, Named>, StoreError> {
        Ok(self.get(META, NAMED)?.unwrap_or_default())
    }

    /// All masked attempts of which something is kept.
    ///
    /// # Errors
    /// Of the store.
    pub fn all_masked(&self) -> Result<Vec<Session>, StoreError> {
        Ok(self
            .all(MASKED)?
            .into_iter()
            .map(|(_, session)| session)
            .collect())
    }

    /// Values of the federation's own whose names begin with `prefix`.
    ///
    /// # Errors
    /// Of the store.
    pub fn metas<T: DeserializeOwned>(&self, prefix: &str) -> Result<Vec<(String, T)>, StoreError> {
        self.all_from(META, prefix)
    }

    /// All model versions, oldest first.
    ///
    /// # Errors
    /// Of the store.
    pub fn models(&self) -> Result<Vec<Signed<Manifest>>, StoreError> {
        let read = self.records.begin_read()?;
        let table = read.open_table(MODELS)?;
        table.iter()?.map(|row| parse("models", row?.1.value())).collect()
    }

    /// Passes all model versions to `each`, oldest first, one at a time.
    ///
    /// # Errors
    /// Of the store.
    pub fn each_model(&self, mut each: impl FnMut(Signed<Manifest>)) -> Result<(), StoreError> {
        let read = self.records.begin_read()?;
        let table = read.open_table(MODELS)?;
        for row in table.iter()? {
            each(parse("models", row?.1.value())?);
        }
        Ok(())
    }

    /// The models of all versions from number `from` on, counted from 0, oldest first.
    ///
    /// # Errors
    /// Of the store.
    pub fn models_since(&self, from: u64) -> Result<Vec<Digest>, StoreError> {
        let read = self.records.begin_read()?;
        let table = read.open_table(MODELS)?;
        let model = |signed: Signed<Manifest>| signed.body.model;
        table
            .range(from..)?
            .map(|row| parse("models", row?.1.value()).map(model))
            .collect()
    }

    /// The newest model version.
    ///
    /// # Errors
    /// Of the store.
    pub fn newest_model(&self) -> Result<Option<Signed<Manifest>>, StoreError> {
        self.find_model(|_| true)
    }

    /// The newest model version that `fits`. Older ones are not read: after a year there are thousands, and each names all
    /// of its shops.
    ///
    /// # Errors
    /// Of the store.
    pub fn find_model(
        &self,
        fits: impl Fn(&Manifest) -> bool,
    ) -> Result<Option<Signed<Manifest>>, StoreError> {
        let read = self.records.begin_read()?;
        let table = read.open_table(MODELS)?;
        for row in table.iter()?.rev() {
            let signed: Signed<Manifest> = parse("models", row?.1.value())?;
            if fits(&signed.body) {
                return Ok(Some(signed));
            }
        }
        Ok(None)
    }

    /// The record, oldest first.
    ///
    /// # Errors
    /// Of the store.
    pub fn log(&self) -> Result<Vec<LogRecord>, StoreError> {
        let mut log = Vec::new();
        self.each_entry(|_, record| log.push(record))?;
        Ok(log)
    }

    /// Passes the entries of the record to `each`, oldest first, one at a time with its number from 0: those of a year are
    /// more than memory should hold.
    ///
    /// # Errors
    /// Of the store.
    pub fn each_entry(&self, mut each: impl FnMut(u64, LogRecord)) -> Result<(), StoreError> {
        let read = self.records.begin_read()?;
        let table = read.open_table(LOG)?;
        for (at, row) in (0..).zip(table.iter()?) {
            each(at, parse("log", row?.1.value())?);
        }
        Ok(())
    }

    /// Traffic of all shops' processes.
    ///
    /// # Errors
    /// Of the store.
    pub fn traffic(&self) -> Result<Vec<Traffic>, StoreError> {
        Ok(self
            .all(TRAFFIC)?
            .into_iter()
            .map(|(_, traffic)| traffic)
            .collect())
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
        self.write(Durability::None, changes)
    }

    fn write<T>(
        &mut self,
        durability: Durability,
        changes: impl FnOnce(&mut Change<'_>) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let mut transaction = self.records.begin_write()?;
        transaction.set_durability(durability)?;
        let mut change = Change {
            transaction: &transaction,
            head: self.head,
        };
        let value = changes(&mut change)?;
        let head = change.head;
        transaction.commit()?;
        self.head = head;
        Ok(value)
    }

    fn get<T: DeserializeOwned>(&self, table: Table, key: &str) -> Result<Option<T>, StoreError> {
        let read = self.records.begin_read()?;
        let table = read.open_table(table)?;
        table.get(key)?.map(|value| parse(key, value.value())).transpose()
    }

    fn all<T: DeserializeOwned>(&self, table: Table) -> Result<Vec<(String, T)>, StoreError> {
        self.all_from(table, "")
    }

    fn all_from<T: DeserializeOwned>(
        &self,
        table: Table,
        prefix: &str,
    ) -> Result<Vec<(String, T)>, StoreError> {
        let read = self.records.begin_read()?;
        let table = read.open_table(table)?;
        let mut found = Vec::new();
        for row in table.range(prefix..)? {
            let (key, value) = row?;
            if !key.value().starts_with(prefix) {
                break;
            }
            found.push((key.value().to_owned(), parse(key.value(), value.value())?));
        }
        Ok(found)
    }
}

type Table = TableDefinition<'static, &'static str, &'static [u8]>;

fn json<T: Serialize>(value: &T) -> Vec<u8> {
    // Structs with names, numbers and digests: always have a JSON form.
    serde_json::to_vec(value).expect("a record has a JSON form")
}

fn parse<T: DeserializeOwned>(key: &str, bytes: &[u8]) -> Result<T, StoreError> {
    serde_json::from_slice(bytes).map_err(|_| StoreError::Damaged { key: key.to_owned() })
}

fn attempt_key(id: AttemptId) -> String {
    format!("{:020} {:010} ", id.round, id.attempt)
}

fn receipt_key(id: AttemptId, shop: &ShopName) -> String {
    attempt_key(id) + shop.as_str()
}

/// Less than the key of every receipt of this length.
fn spent_key(shop: &ShopName, length: u64) -> String {
    format!("{shop} {length:020}")
}

/// Behind all others of the shop.
fn last_spent_key(shop: &ShopName) -> String {
    format!("{shop} last")
}

const FILE_NAME: &str = "coordinator.redb";
const FORMAT: u32 = 1;
/// Of pages, read and not yet written alike: records are small, and what grows with every receipt shall not stay in memory.
const CACHE_BYTES: usize = 1 << 20;
const EMPTY: LogHead = LogHead {
    length: 0,
    head: Digest::ZERO,
};
const META: Table = TableDefinition::new("meta");
const SHOPS: Table = TableDefinition::new("shops");
const RECEIPTS: Table = TableDefinition::new("receipts");
const TRAFFIC: Table = TableDefinition::new("traffic");
const INVITATIONS: Table = TableDefinition::new("invitations");
const MASKED: Table = TableDefinition::new("masked");
const SPENT: Table = TableDefinition::new("spent");
const BINDINGS: Table = TableDefinition::new("bindings");
/// Codes that work no more. A table of its own: an older program that opens this store must not take them for pending ones.
const ENDED_CODES: Table = TableDefinition::new("ended_codes");
/// Shops' own signatures of their updates.
const WORDS: Table = TableDefinition::new("words");
const TABLES: [Table; 10] = [
    META,
    SHOPS,
    RECEIPTS,
    TRAFFIC,
    INVITATIONS,
    MASKED,
    SPENT,
    BINDINGS,
    ENDED_CODES,
    WORDS,
];
/// Key in META: shops that are left out.
const NAMED: &str = "named";
const LOG: TableDefinition<'static, u64, &'static [u8]> = TableDefinition::new("log");
const MODELS: TableDefinition<'static, u64, &'static [u8]> = TableDefinition::new("models");

#[cfg(test)]
mod tests;
