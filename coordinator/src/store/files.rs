//! Content-addressed files: a file's name is the digest of its bytes, so what is read is what was written or an error.
//!
//! A file appears whole or not at all: written aside, synced, renamed, and the folder synced.

use std::io::{self, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use souk_common::ids::{Digest, Digester};
use souk_common::storage::disk::{Access, Disk, DiskFile, SystemDisk, folder_of};
use souk_common::storage::private::make_folder;

/// A folder of content-addressed files.
#[derive(Clone, Debug)]
pub struct Files {
    disk: Arc<dyn Disk>,
    folder: PathBuf,
    /// Bytes that may still be written, if the operator set a limit.
    room: Option<Arc<AtomicU64>>,
    names: Arc<AtomicU64>,
}

impl Files {
    /// Opens or makes the folder on this machine's disk; see [`Self::open_on`].
    ///
    /// # Errors
    /// Of the file system.
    pub fn open(folder: &Path, limit: Option<u64>) -> io::Result<Self> {
        Self::open_on(SystemDisk::shared(), folder, limit)
    }

    /// Opens or makes the folder; what an interrupted writer left aside is removed. At most `limit` bytes are
    /// written from now on, if given.
    ///
    /// # Errors
    /// Of the disk.
    pub fn open_on(disk: Arc<dyn Disk>, folder: &Path, limit: Option<u64>) -> io::Result<Self> {
        disk.make_folder(&folder.join(ASIDE))?;
        for left in disk.list(&folder.join(ASIDE))? {
            disk.remove(&left)?;
        }
        Ok(Self {
            disk,
            folder: folder.to_owned(),
            room: limit.map(|bytes| Arc::new(AtomicU64::new(bytes))),
            names: Arc::default(),
        })
    }

    /// A folder that is read and not changed; it need not exist.
    pub fn to_read(folder: &Path) -> Self {
        Self {
            disk: SystemDisk::shared(),
            folder: folder.to_owned(),
            room: None,
            names: Arc::default(),
        }
    }

    /// Begins a file.
    ///
    /// # Errors
    /// Of the file system.
    pub fn writer(&self) -> io::Result<FileWriter> {
        let number = self.names.fetch_add(1, Ordering::Relaxed);
        let path = self.folder.join(ASIDE).join(number.to_string());
        Ok(FileWriter {
            file: io::BufWriter::new(self.disk.open(&path, Access::Write)?),
            path,
            digester: Digester::default(),
            files: self.clone(),
        })
    }

    /// Writes a whole file.
    ///
    /// # Errors
    /// Of the file system.
    pub fn put(&self, bytes: &[u8]) -> io::Result<Digest> {
        let mut writer = self.writer()?;
        writer.write_all(bytes)?;
        writer.finish(true)
    }

    /// Whether there is such a file.
    pub fn contains(&self, digest: &Digest) -> bool {
        self.disk.is_file(&self.path_of(digest))
    }

    /// Opens a file to read.
    ///
    /// # Errors
    /// Of the file system.
    pub fn open_file(&self, digest: &Digest) -> io::Result<Box<dyn DiskFile>> {
        self.disk.open(&self.path_of(digest), Access::Read)
    }

    /// Opens a file at byte `offset`, or its end if that is nearer; and its whole length in bytes.
    ///
    /// # Errors
    /// Of the file system.
    pub fn open_file_from(&self, digest: &Digest, offset: u64) -> io::Result<(Box<dyn DiskFile>, u64)> {
        let mut file = self.open_file(digest)?;
        let len_bytes = file.seek(SeekFrom::End(0))?;
        file.seek(SeekFrom::Start(offset.min(len_bytes)))?;
        Ok((file, len_bytes))
    }

    /// Reads a whole file and checks its digest.
    ///
    /// # Errors
    /// Of the file system, or when the bytes are not the named ones.
    pub fn read(&self, digest: &Digest) -> io::Result<Vec<u8>> {
        let bytes = self.disk.read(&self.path_of(digest))?;
        if Digest::of(&bytes) != *digest {
            let text = format!("{} is damaged", self.path_of(digest).display());
            return Err(io::Error::new(io::ErrorKind::InvalidData, text));
        }
        Ok(bytes)
    }

    /// Removes a file, if it is there.
    ///
    /// # Errors
    /// Of the file system.
    pub fn remove(&self, digest: &Digest) -> io::Result<()> {
        match self.disk.remove(&self.path_of(digest)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// The same, so that not even a power cut brings it back.
    ///
    /// # Errors
    /// Of the file system.
    pub fn remove_for_good(&self, digest: &Digest) -> io::Result<()> {
        self.remove(digest)?;
        match self.disk.sync_folder(folder_of(&self.path_of(digest))) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// All files that are whole.
    ///
    /// # Errors
    /// Of the disk.
    pub fn all(&self) -> io::Result<Vec<Digest>> {
        let mut all = Vec::new();
        // Files are in folders by the first two digits of their names.
        for first in 0..=u8::MAX {
            let listed = self.disk.list(&self.folder.join(format!("{first:02x}")));
            let files = match listed {
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                listed => listed?,
            };
            let digest = |path: PathBuf| path.file_name()?.to_str()?.parse::<Digest>().ok();
            all.extend(files.into_iter().filter_map(digest));
        }
        Ok(all)
    }

    /// Where a file is.
    pub fn path_of(&self, digest: &Digest) -> PathBuf {
        let name = digest.to_string();
        self.folder.join(&name[..2]).join(name)
    }

    /// Makes each file known under the same name in another, new folder of this file system: at once, and without a copy of
    /// its bytes, which never change.
    ///
    /// # Errors
    /// Of the file system.
    pub fn link_all(&self, into: &Path) -> io::Result<()> {
        make_folder(into)?;
        for part in std::fs::read_dir(&self.folder)? {
            let part = part?;
            if part.file_name() == ASIDE || !part.file_type()?.is_dir() {
                continue;
            }
            let there = into.join(part.file_name());
            make_folder(&there)?;
            for file in std::fs::read_dir(part.path())? {
                let file = file?;
                let name = there.join(file.file_name());
                // Some file systems have no second names.
                std::fs::hard_link(file.path(), &name)
                    .or_else(|_| std::fs::copy(file.path(), &name).map(|_| ()))?;
            }
        }
        Ok(())
    }

    fn take_room(&self, bytes: usize) -> io::Result<()> {
        let Some(room) = &self.room else {
            return Ok(());
        };
        room.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| {
            left.checked_sub(bytes as u64)
        })
        .map(|_| ())
        .map_err(|_| io::Error::new(io::ErrorKind::StorageFull, "[limits] store_bytes is reached"))
    }
}

/// A file on its way; dropped unfinished, it is gone.
pub struct FileWriter {
    file: io::BufWriter<Box<dyn DiskFile>>,
    path: PathBuf,
    digester: Digester,
    files: Files,
}

impl FileWriter {
    /// Gives the file its name; `durable` waits for the disk.
    ///
    /// # Errors
    /// Of the file system.
    pub fn finish(mut self, durable: bool) -> io::Result<Digest> {
        self.file.flush()?;
        let digest = self.digester.finish();
        let path = self.files.path_of(&digest);
        let folder = path.parent().unwrap_or(&self.files.folder);
        let disk = &self.files.disk;
        disk.make_folder(folder)?;
        if durable {
            self.file.get_ref().sync()?;
        }
        disk.rename(&self.path, &path)?;
        if durable {
            disk.sync_folder(folder)?;
            disk.sync_folder(&self.files.folder)?;
        }
        Ok(digest)
    }

    /// The digest of what was written so far.
    pub fn digest(&self) -> Digest {
        self.digester.finish()
    }
}

impl Write for FileWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.files.take_room(bytes.len())?;
        let written = self.file.write(bytes)?;
        self.digester.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Drop for FileWriter {
    fn drop(&mut self) {
        // Renamed already, or not wanted; if it stays, the next start removes it.
        let _ = self.files.disk.remove(&self.path);
    }
}

const ASIDE: &str = "tmp";

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_file_is_found_by_its_digest_and_damage_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let files = Files::open(folder.path(), None).unwrap();
        let digest = files.put(b"souk").unwrap();
        assert_eq!(digest, Digest::of(b"souk"));
        assert_eq!(files.read(&digest).unwrap(), b"souk");
        assert_eq!(files.all().unwrap(), [digest]);
        fs::write(files.path_of(&digest), b"souk?").unwrap();
        assert_eq!(
            files.read(&digest).unwrap_err().kind(),
            io::ErrorKind::InvalidData
        );
        files.remove(&digest).unwrap();
        files.remove(&digest).unwrap();
        assert!(!files.contains(&digest));
    }

    #[test]
    fn an_unfinished_file_leaves_nothing_and_a_full_disk_is_said() {
        let folder = tempfile::tempdir().unwrap();
        let files = Files::open(folder.path(), Some(6)).unwrap();
        drop(files.writer().unwrap());
        assert_eq!(fs::read_dir(folder.path().join(ASIDE)).unwrap().count(), 0);
        files.put(b"souk").unwrap();
        assert_eq!(
            files.put(b"souk2").unwrap_err().kind(),
            io::ErrorKind::StorageFull
        );
        assert_eq!(fs::read_dir(folder.path().join(ASIDE)).unwrap().count(), 0);
    }
}
