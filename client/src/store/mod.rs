//! Where a shop's program stands, on disk: one `redb` file, and the outbox's bytes beside it.

mod masking;
mod models;
mod records;
mod remains;
mod secrets;
mod sweep;

use std::path::{Path, PathBuf};
use std::time::Duration;

use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition};
use serde::Serialize;
use serde::de::DeserializeOwned;
use souk_common::chain::LogHead;
use souk_common::clock::Timestamp;
use souk_common::crypto::sign::Signed;
use souk_common::format::FormatError;
use souk_common::ids::Digest;
use souk_common::round::statements::{Receipt, RejectCode};
use souk_common::secagg::UnmaskSecrets;
use souk_common::storage::disk::open_database;
use souk_common::storage::patience::open_patiently;

use crate::folder::Folder;
use crate::forgotten::{ForgottenError, ForgottenList};
pub(crate) use models::needed;
pub use models::{ServedModel, blobs_of};
pub use records::{ModelWord, UploadRecord};
use remains::user_of;
pub(crate) use remains::vector_name;

use crate::participate::{AttemptKey, Memory, Pending};

/// The store of one shop; one process at a time has it open.
pub struct Store {
    db: Database,
    folder: Folder,
}

impl Store {
    /// Opens the folder's store, or makes it.
    ///
    /// # Errors
    /// When another process has it open, or it is damaged.
    pub fn open(folder: &Folder) -> Result<Self, StoreError> {
        let opened = open_database(folder.disk(), &Database::builder(), &folder.store());
        let db = opened.map_err(|error| match error {
            redb::DatabaseError::DatabaseAlreadyOpen => StoreError::Busy,
            // Said when another process opens it at this very moment.
            redb::DatabaseError::Storage(redb::StorageError::Io(error))
                if error.kind() == std::io::ErrorKind::WouldBlock =>
            {
                StoreError::Busy
            }
            other => StoreError::Database(Box::new(other.into())),
        })?;
        let write = db.begin_write()?;
        write.open_table(FACTS)?;
        write.open_table(HEADS)?;
        write.open_table(UPLOADS)?;
        write.open_table(VECTORS)?;
        write.commit()?;
        let store = Self {
            db,
            folder: folder.clone(),
        };
        match store.fact::<u32>("format")? {
            Some(FORMAT) => {}
            Some(found) => {
                let path = folder.store();
                let error = FormatError { found, known: FORMAT };
                return Err(StoreError::Format { path, error });
            }
            None => {
                let write = store.db.begin_write()?;
                write
                    .open_table(FACTS)?
                    .insert("format", json(&FORMAT).as_slice())?;
                write.commit()?;
            }
        }
        let store = store.without_remains()?;
        store.move_secrets_out()?;
        store.sweep()?;
        Ok(store)
    }

    /// The same; a command that is just reading it has a moment to finish.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn open_patiently(folder: &Folder) -> Result<Self, StoreError> {
        let is_busy = |error: &StoreError| matches!(error, StoreError::Busy);
        open_patiently(is_busy, || Self::open(folder))
    }

    /// What the round machine has to know after a restart; `spent` comes from the ledger.
    ///
    /// # Errors
    /// When the store is damaged.
    pub fn memory(&self, spent: impl IntoIterator<Item = AttemptKey>) -> Result<Memory, StoreError> {
        let heads = self.db.begin_read()?.open_table(HEADS)?;
        let heads = heads
            .iter()?
            .map(|entry| entry.map(|(length, head)| (length.value(), Digest(head.value()))))
            .collect::<Result<_, _>>()?;
        let last = self.uploads()?.pop();
        let waiting = last.filter(|record| {
            record.is_open()
                && self
                    .folder
                    .disk()
                    .is_file(&self.folder.update(&record.header.update))
        });
        let masking = self.masking()?.map(|masking| AttemptKey {
            plan: masking.context().plan,
            id: masking.context().id,
        });
        let lost = waiting
            .as_ref()
            .filter(|record| record.masked && masking != Some(record.key));
        Ok(Memory {
            spent: spent.into_iter().collect(),
            lost_masking: lost.map(|record| record.key),
            masking,
            outbox: waiting.map(|record| Pending {
                key: record.key,
                header: record.header,
                binding: record.binding,
                due: record.due_at,
            }),
            heads,
            announced: self.fact("announced")?,
            // What is not all there is fetched again.
            model: self
                .current_model()?
                .filter(|manifest| self.has_files_of(manifest))
                .map(|manifest| manifest.model),
        })
    }

    /// Remembers a head of the coordinator's record.
    ///
    /// # Errors
    /// When it can't be stored.
    pub fn remember(&self, log: &LogHead, announced: bool) -> Result<(), StoreError> {
        let write = self.db.begin_write()?;
        write.open_table(HEADS)?.insert(log.length, log.head.0)?;
        if announced {
            write
                .open_table(FACTS)?
                .insert("announced", json(log).as_slice())?;
        }
        Ok(write.commit()?)
    }

    /// Forgets what was seen of a coordinator's record, and the secrets of an attempt that nobody will end.
    ///
    /// # Errors
    /// When it can't be stored.
    pub fn begin_anew(&self) -> Result<(), StoreError> {
        self.destroy_secrets()?;
        let write = self.db.begin_write()?;
        write.open_table(HEADS)?.retain(|_, _| false)?;
        write.open_table(FACTS)?.remove("announced")?;
        Ok(write.commit()?)
    }

    /// Copies the store into a new file. The secrets of an attempt under way are not in it: put back later, they would be of
    /// no use but to a thief.
    ///
    /// # Errors
    /// When it can't be read or written.
    pub fn copy_to(&self, path: &Path) -> Result<(), StoreError> {
        let copy = Database::create(path).map_err(|error| StoreError::Database(Box::new(error.into())))?;
        self.copy_tables(&copy)
    }

    /// Puts a finished update in the outbox, durably, with what it takes to unmask it if it is masked. Bytes of updates
    /// long gone are removed.
    ///
    /// # Errors
    /// When it can't be stored.
    pub fn put_in_outbox(
        &self,
        pending: &Pending,
        bytes: &[u8],
        masking: Option<&UnmaskSecrets>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let sealed = masking.map(|masking| self.sealed(masking)).transpose()?;
        self.folder
            .write_whole(&self.folder.update(&pending.header.update), bytes, true)
            .map_err(StoreError::Outbox)?;
        // Before the record, which says that they count.
        let secret = sealed.map(|sealed| self.write_secret(&pending.key.id, &sealed));
        let secret = secret.transpose()?;
        let record = UploadRecord {
            key: pending.key,
            header: pending.header,
            ready_at: now,
            first_sent_at: None,
            bytes_sent: 0,
            receipt: None,
            rejected: None,
            masked: masking.is_some(),
            binding: pending.binding,
            due_at: pending.due,
        };
        let write = self.db.begin_write()?;
        {
            let mut uploads = write.open_table(UPLOADS)?;
            let next = uploads.last()?.map_or(0, |(last, _)| last.value() + 1);
            uploads.insert(next, json(&record).as_slice())?;
        }
        write.commit()?;
        self.destroy_secrets_but(secret.as_deref().unwrap_or(Path::new("")));
        let records = self.uploads()?;
        let old = records.len().saturating_sub(KEPT_UPDATES);
        for record in &records[old.saturating_sub(KEPT_UPDATES)..old] {
            self.remove(&self.folder.update(&record.header.update));
        }
        Ok(())
    }

    /// Notes, before they leave, that bytes of an update are about to.
    ///
    /// # Errors
    /// When it can't be stored: then nothing may be sent.
    pub fn note_sending(&self, update: &Digest, bytes: u64, now: Timestamp) -> Result<(), StoreError> {
        self.change_upload(update, |record| {
            record.first_sent_at.get_or_insert(now);
            record.bytes_sent = record.bytes_sent.saturating_add(bytes);
        })
    }

    /// Stores the coordinator's word that it has an update.
    ///
    /// # Errors
    /// When it can't be stored.
    pub fn store_receipt(&self, receipt: &Signed<Receipt>) -> Result<(), StoreError> {
        self.change_upload(&receipt.body.upload.update, |record| {
            record.receipt = Some(receipt.clone())
        })
    }

    /// Stores that an update was refused.
    ///
    /// # Errors
    /// When it can't be stored.
    pub fn store_rejection(&self, update: &Digest, code: RejectCode) -> Result<(), StoreError> {
        self.change_upload(update, |record| record.rejected = Some(code))
    }

    /// Every update that was ever put in the outbox, earliest first.
    ///
    /// # Errors
    /// When the store is damaged.
    pub fn uploads(&self) -> Result<Vec<UploadRecord>, StoreError> {
        let table = self.db.begin_read()?.open_table(UPLOADS)?;
        table.iter()?.map(|entry| parse(entry?.1.value())).collect()
    }

    /// Bytes of updates that left within `span` before `now`.
    ///
    /// # Errors
    /// When the store is damaged.
    pub fn uploaded_within(&self, span: Duration, now: Timestamp) -> Result<u64, StoreError> {
        let since = now - span;
        let recent = |record: &UploadRecord| record.first_sent_at.is_some_and(|at| at >= since);
        Ok(self
            .uploads()?
            .iter()
            .filter(|record| recent(record))
            .map(|record| record.bytes_sent)
            .sum())
    }

    /// Users' own vectors under a model architecture, as bytes; the caller reads them.
    ///
    /// # Errors
    /// When the store is damaged.
    pub fn vectors(&self) -> Result<Vec<(String, Vec<u8>)>, StoreError> {
        let table = self.db.begin_read()?.open_table(VECTORS)?;
        table
            .iter()?
            .map(|entry| {
                let (user, bytes) = entry?;
                Ok((user.value().to_owned(), bytes.value().to_owned()))
            })
            .collect()
    }

    /// Stores users' own vectors, named as [`vector_name`] has it, but for those of customers who were forgotten.
    ///
    /// # Errors
    /// When they can't be stored, or nobody knows who was forgotten.
    pub fn store_vectors<'a>(
        &self,
        vectors: impl IntoIterator<Item = (&'a str, Vec<u8>)>,
    ) -> Result<(), StoreError> {
        let write = self.db.begin_write()?;
        {
            // Read while no other writes: whoever forgets a customer writes the list first, and takes out vectors afterwards.
            let forgotten = ForgottenList::load(&self.folder)?;
            let mut table = write.open_table(VECTORS)?;
            for (name, bytes) in vectors {
                if forgotten.since(user_of(name)).is_none() {
                    table.insert(name, bytes.as_slice())?;
                }
            }
        }
        Ok(write.commit()?)
    }

    fn change_upload(
        &self,
        update: &Digest,
        change: impl FnOnce(&mut UploadRecord),
    ) -> Result<(), StoreError> {
        let write = self.db.begin_write()?;
        {
            let mut uploads = write.open_table(UPLOADS)?;
            let mut found = None;
            for entry in uploads.iter()?.rev() {
                let (sequence, bytes) = entry?;
                let record: UploadRecord = parse(bytes.value())?;
                if record.header.update == *update {
                    found = Some((sequence.value(), record));
                    break;
                }
            }
            let (sequence, mut record) = found.ok_or(StoreError::NoUpload { update: *update })?;
            change(&mut record);
            uploads.insert(sequence, json(&record).as_slice())?;
        }
        Ok(write.commit()?)
    }

    fn fact<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>, StoreError> {
        let table = self.db.begin_read()?.open_table(FACTS)?;
        table.get(name)?.map(|bytes| parse(bytes.value())).transpose()
    }

    /// Removes what is only kept for convenience; if that fails, it stays.
    fn remove(&self, path: &Path) {
        if let Err(error) = self.folder.disk().remove(path)
            && error.kind() != std::io::ErrorKind::NotFound
        {
            tracing::warn!(path = %path.display(), %error, "an old file could not be removed");
        }
    }
}

fn json(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).expect("records are structs of texts and integers: they have a JSON form")
}

fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, StoreError> {
    serde_json::from_slice(bytes).map_err(StoreError::Record)
}

/// Why the store did not do it.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Another process has it.
    #[error("shop.redb is in use by another process of souk-client; wait for it or stop it")]
    Busy,
    /// The database.
    #[error("shop.redb can't be used")]
    Database(#[source] Box<redb::Error>),
    /// A record that can't be read.
    #[error("shop.redb has a record that can't be read")]
    Record(#[source] serde_json::Error),
    /// Written by another version.
    #[error("{}: {error}", .path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// Which one.
        error: FormatError,
    },
    /// The outbox's bytes.
    #[error("the update can't be stored in the outbox")]
    Outbox(#[source] std::io::Error),
    /// The secrets of a masked attempt.
    #[error("the secrets of a masked attempt can't be sealed")]
    Seal(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// Their file.
    #[error("the file of secrets of a masked attempt in attempts/ can't be written, or not be destroyed")]
    Secrets(#[source] std::io::Error),
    /// The file without what was taken out.
    #[error("shop.redb can't be written anew without what a forgotten customer has left in it")]
    Remains(#[source] std::io::Error),
    /// A fetched file.
    #[error("a fetched file can't be read or stored")]
    Blob(#[source] std::io::Error),
    /// Nobody knows who was forgotten.
    #[error(transparent)]
    Forgotten(#[from] ForgottenError),
    /// A word that names no model.
    #[error("the coordinator's word names no model")]
    NoModel,
    /// A receipt for nothing.
    #[error("no update {} was ever put in the outbox", .update.short())]
    NoUpload {
        /// Its digest.
        update: Digest,
    },
}

macro_rules! from_database {
    ($($error:ty),*) => {
        $(impl From<$error> for StoreError {
            fn from(error: $error) -> Self {
                Self::Database(Box::new(error.into()))
            }
        })*
    };
}

from_database!(
    redb::TransactionError,
    redb::TableError,
    redb::StorageError,
    redb::CommitError
);

const FACTS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("facts");
const HEADS: TableDefinition<'_, u64, [u8; 32]> = TableDefinition::new("heads");
/// Of older versions.
const MASKING: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("masking");
const UPLOADS: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("uploads");
const VECTORS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("vectors");

const FORMAT: u32 = 1;

/// Updates whose bytes stay in `outbox/` for the owner to look at.
const KEPT_UPDATES: usize = 2;

#[cfg(test)]
mod tests;
