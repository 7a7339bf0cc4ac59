//! What a forgotten customer leaves in the store: users' own vectors, and the pages of the file that had them.

use redb::{Database, ReadableDatabase, ReadableTable};
use souk_common::ids::Digest;
use souk_common::storage::disk::{destroy, open_database};

use super::{FACTS, HEADS, Store, StoreError, UPLOADS, VECTORS, json};

impl Store {
    /// How many vectors a customer has, named as compared: one a plan.
    ///
    /// # Errors
    /// When the store is damaged.
    pub fn vectors_of(&self, user: &str) -> Result<u64, StoreError> {
        let names = self.vectors()?.into_iter().map(|(name, _)| name);
        Ok(names.filter(|name| user_of(name) == user).count() as u64)
    }

    /// Takes out a customer's vectors, as [`Self::keep_vectors_of`] does.
    ///
    /// # Errors
    /// When it can't be stored.
    pub fn forget_vectors(&self, user: &str) -> Result<(), StoreError> {
        self.keep_vectors_of(|other| other != user)
    }

    /// Takes out the vectors of all other customers. Their bytes stay in free pages of the file until it is next opened: then it is
    /// written anew.
    ///
    /// # Errors
    /// When it can't be stored.
    pub fn keep_vectors_of(&self, is_kept: impl Fn(&str) -> bool) -> Result<(), StoreError> {
        let write = self.db.begin_write()?;
        let mut found = false;
        write.open_table(VECTORS)?.retain(|name, _| {
            let stays = is_kept(user_of(name));
            found |= !stays;
            stays
        })?;
        if !found {
            return Ok(write.abort()?);
        }
        write
            .open_table(FACTS)?
            .insert(HAS_REMAINS, json(&true).as_slice())?;
        Ok(write.commit()?)
    }

    /// Whether free pages may still have what was taken out.
    ///
    /// # Errors
    /// When the store is damaged.
    pub fn has_remains(&self) -> Result<bool, StoreError> {
        Ok(self.fact(HAS_REMAINS)?.unwrap_or(false))
    }

    /// The same store, in a file that was written anew if the old one has remains. A crash leaves either file whole.
    pub(super) fn without_remains(self) -> Result<Self, StoreError> {
        let disk = self.folder.disk();
        let (path, aside) = (
            self.folder.store(),
            self.folder.path().join("shop.redb.rewritten"),
        );
        if disk.is_file(&aside) {
            // Of a start that was killed.
            destroy(disk, &aside).map_err(StoreError::Remains)?;
        }
        if !self.has_remains()? {
            return Ok(self);
        }
        let new = open_database(disk, &Database::builder(), &aside)
            .map_err(|error| StoreError::Database(Box::new(error.into())))?;
        self.copy_tables(&new)?;
        let write = new.begin_write()?;
        write.open_table(FACTS)?.remove(HAS_REMAINS)?;
        write.commit()?;
        drop(new);
        let folder = self.folder.clone();
        drop(self.db);
        let disk = folder.disk();
        disk.rename(&aside, &path)
            .and_then(|()| disk.sync_folder(folder.path()))
            .map_err(StoreError::Remains)?;
        let db = open_database(disk, &Database::builder(), &path)
            .map_err(|error| StoreError::Database(Box::new(error.into())))?;
        Ok(Self { db, folder })
    }

    /// Copies every table.
    pub(super) fn copy_tables(&self, to: &Database) -> Result<(), StoreError> {
        let (read, write) = (self.db.begin_read()?, to.begin_write()?);
        macro_rules! copy_tables {
            ($($table:expr),*) => {
                $({
                    let mut to = write.open_table($table)?;
                    for row in read.open_table($table)?.iter()? {
                        let (key, value) = row?;
                        to.insert(key.value(), value.value())?;
                    }
                })*
            };
        }
        copy_tables!(FACTS, HEADS, UPLOADS, VECTORS);
        Ok(write.commit()?)
    }
}

/// Vectors of different plans are different things.
pub(crate) fn vector_name(plan: &Digest, user: &str) -> String {
    format!("{plan}/{user}")
}

/// Whose vector has this name.
pub(super) fn user_of(name: &str) -> &str {
    name.split_once('/').map_or(name, |(_, user)| user)
}

const HAS_REMAINS: &str = "has remains";
