//! Files of sealed secrets, one attempt at a time: `attempts/<round>-<attempt>.<number>.secret`.
//!
//! Which attempt's count is what the record of the last upload says: a file that was written before a crash kept its record
//! from being committed is nobody's. Of one attempt's files the one with the highest number counts, whether it can be read
//! or not: an older one would have forgotten which list of survivors was answered. A file that is to go is first given a
//! name that nobody reads, then written over, then removed.

use std::io;
use std::path::{Path, PathBuf};

use redb::{ReadableDatabase, ReadableTable};
use souk_common::ids::AttemptId;
use souk_common::storage::disk::{destroy, folder_of};

use super::records::UploadRecord;
use super::{MASKING, Store, StoreError, UPLOADS, parse};

impl Store {
    /// The sealed secrets of the last upload's attempt, or why they can't be read; none if there are none.
    pub(super) fn secret(&self) -> Result<Option<io::Result<Vec<u8>>>, StoreError> {
        let newest = self.newest_secret()?;
        Ok(newest.map(|path| self.folder.disk().read(&path)))
    }

    fn newest_secret(&self) -> Result<Option<PathBuf>, StoreError> {
        let last = self.last_upload()?.filter(|record| record.masked);
        let newest = match last {
            Some(record) => self.newest_of(&record.key.id).map_err(StoreError::Secrets)?,
            None => None,
        };
        Ok(newest.map(|(_, path)| path))
    }

    fn newest_of(&self, id: &AttemptId) -> io::Result<Option<(u64, PathBuf)>> {
        let start = format!("{}-{}.", id.round, id.attempt);
        let number = |path: &Path| -> Option<u64> {
            let name = path.file_name()?.to_str()?;
            name.strip_prefix(&start)?.strip_suffix(".secret")?.parse().ok()
        };
        let all = self.secret_files()?.into_iter();
        Ok(all.filter_map(|path| Some((number(&path)?, path))).max())
    }

    /// Writes the next file of an attempt, durably; where it is. Those before it stay until they are destroyed.
    pub(super) fn write_secret(&self, id: &AttemptId, sealed: &[u8]) -> Result<PathBuf, StoreError> {
        let newest = self.newest_of(id).map_err(StoreError::Secrets)?;
        let number = newest.map_or(0, |(newest, _)| newest) + 1;
        let name = format!("{}-{}.{number}.secret", id.round, id.attempt);
        let path = self.folder.attempts().join(name);
        self.folder
            .write_whole(&path, sealed, true)
            .map_err(StoreError::Secrets)?;
        Ok(path)
    }

    /// Destroys every file of secrets, oldest first.
    pub(super) fn destroy_secrets(&self) -> Result<(), StoreError> {
        let destroyed = self.secret_files().and_then(|mut all| {
            all.sort_by_key(|path| number_in(path));
            all.iter().try_for_each(|path| self.destroy_secret(path))
        });
        destroyed.map_err(StoreError::Secrets)
    }

    /// Destroys every file of secrets but one. What can't be destroyed is told, and tried again at the next start.
    pub(super) fn destroy_secrets_but(&self, kept: &Path) {
        let destroyed = self.secret_files().and_then(|all| {
            let others = all.iter().filter(|path| *path != kept);
            others
                .map(|path| self.destroy_secret(path))
                .fold(Ok(()), Result::and)
        });
        if let Err(error) = destroyed {
            tracing::warn!(%error, "secrets of an ended attempt could not be destroyed yet");
        }
    }

    fn destroy_secret(&self, path: &Path) -> io::Result<()> {
        let disk = self.folder.disk();
        let gone = path.with_extension("gone");
        if !disk.is_file(path) {
            return Ok(());
        }
        if gone != path {
            if disk.is_file(&gone) {
                destroy(disk, &gone)?;
            }
            disk.rename(path, &gone)?;
            disk.sync_folder(folder_of(path))?;
        }
        destroy(disk, &gone)
    }

    /// What a crash left.
    pub(super) fn sweep_secrets(&self) -> Result<(), StoreError> {
        let kept = self.newest_secret()?;
        self.destroy_secrets_but(kept.as_deref().unwrap_or(Path::new("")));
        Ok(())
    }

    /// Moves secrets that an older version kept in the database into a file.
    pub(super) fn move_secrets_out(&self) -> Result<(), StoreError> {
        let sealed = match self.db.begin_read()?.open_table(MASKING) {
            Ok(table) => table.get("current")?.map(|sealed| sealed.value().to_vec()),
            Err(redb::TableError::TableDoesNotExist(_)) => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        let last = self.last_upload()?.filter(|record| record.masked);
        if let (Some(sealed), Some(last)) = (&sealed, last) {
            self.write_secret(&last.key.id, sealed)?;
        }
        let write = self.db.begin_write()?;
        write.delete_table(MASKING)?;
        write.commit()?;
        if sealed.is_some() {
            tracing::warn!(
                "secrets of a masked attempt are in attempts/ now; free pages of shop.redb may still hold them, sealed under \
                 key.der"
            );
        }
        Ok(())
    }

    fn last_upload(&self) -> Result<Option<UploadRecord>, StoreError> {
        let table = self.db.begin_read()?.open_table(UPLOADS)?;
        table.last()?.map(|(_, record)| parse(record.value())).transpose()
    }

    fn secret_files(&self) -> io::Result<Vec<PathBuf>> {
        match self.folder.disk().list(&self.folder.attempts()) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            listed => listed,
        }
    }
}

fn number_in(path: &Path) -> Option<u64> {
    let stem = path.file_stem()?.to_str()?;
    stem.rsplit_once('.')?.1.parse().ok()
}
