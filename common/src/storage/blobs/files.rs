//! Blobs in files: a file's name is the digest of its bytes, its folder the first two digits.
//!
//! A file appears whole or not at all: written aside, synced, renamed, and the folder synced.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::{BlobReader, BlobWriter, Blobs, Room};
use crate::ids::{Digest, Digester};
use crate::storage::disk::{Access, Disk, DiskFile, SystemDisk, folder_of};
use crate::storage::private::make_folder;

/// A folder of blobs.
#[derive(Clone, Debug)]
pub struct FileBlobs {
    disk: Arc<dyn Disk>,
    folder: PathBuf,
    room: Room,
    names: Arc<AtomicU64>,
}

impl FileBlobs {
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
            room: Room::of(limit),
            names: Arc::default(),
        })
    }

    /// A folder that is read and not changed; it need not exist.
    pub fn to_read(folder: &Path) -> Self {
        Self {
            disk: SystemDisk::shared(),
            folder: folder.to_owned(),
            room: Room::default(),
            names: Arc::default(),
        }
    }

    /// Where a file is.
    fn path_of(&self, digest: &Digest) -> PathBuf {
        let name = digest.to_string();
        self.folder.join(&name[..2]).join(name)
    }
}

impl Blobs for FileBlobs {
    fn writer(&self) -> io::Result<Box<dyn BlobWriter>> {
        let number = self.names.fetch_add(1, Ordering::Relaxed);
        let path = self.folder.join(ASIDE).join(number.to_string());
        Ok(Box::new(Writer {
            file: io::BufWriter::new(self.disk.open(&path, Access::Write)?),
            path,
            digester: Digester::default(),
            blobs: self.clone(),
        }))
    }

    fn open(&self, digest: &Digest) -> io::Result<Box<dyn BlobReader>> {
        Ok(Box::new(self.disk.open(&self.path_of(digest), Access::Read)?))
    }

    fn contains(&self, digest: &Digest) -> bool {
        self.disk.is_file(&self.path_of(digest))
    }

    fn remove(&self, digest: &Digest) -> io::Result<()> {
        unless_missing(self.disk.remove(&self.path_of(digest)))
    }

    fn remove_for_good(&self, digest: &Digest) -> io::Result<()> {
        self.remove(digest)?;
        unless_missing(self.disk.sync_folder(folder_of(&self.path_of(digest))))
    }

    fn all(&self) -> io::Result<Vec<Digest>> {
        let mut all = Vec::new();
        for first in 0..=u8::MAX {
            let listed = self.disk.list(&self.folder.join(format!("{first:02x}")));
            let files = match listed {
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                listed => listed?,
            };
            let digest = |path: PathBuf| path.file_name()?.to_str()?.parse::<Digest>().ok();
            all.extend(files.into_iter().filter_map(digest));
        }
        all.sort_unstable();
        Ok(all)
    }

    /// At once, by a second name where the file system has such, and without a copy of its bytes, which never change.
    fn copy_all(&self, into: &Path) -> io::Result<()> {
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
                std::fs::hard_link(file.path(), &name)
                    .or_else(|_| std::fs::copy(file.path(), &name).map(|_| ()))?;
            }
        }
        Ok(())
    }

    fn as_file(&self, digest: &Digest, _: &Path) -> io::Result<PathBuf> {
        std::fs::canonicalize(self.path_of(digest))
    }
}

fn unless_missing(done: io::Result<()>) -> io::Result<()> {
    match done {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

struct Writer {
    file: io::BufWriter<Box<dyn DiskFile>>,
    path: PathBuf,
    digester: Digester,
    blobs: FileBlobs,
}

impl BlobWriter for Writer {
    fn finish(mut self: Box<Self>, durable: bool) -> io::Result<Digest> {
        self.file.flush()?;
        let digest = self.digest();
        let path = self.blobs.path_of(&digest);
        let folder = folder_of(&path);
        let disk = &self.blobs.disk;
        disk.make_folder(folder)?;
        if durable {
            self.file.get_ref().sync()?;
        }
        disk.rename(&self.path, &path)?;
        if durable {
            disk.sync_folder(folder)?;
            disk.sync_folder(&self.blobs.folder)?;
        }
        Ok(digest)
    }

    fn digest(&self) -> Digest {
        self.digester.finish()
    }
}

impl Write for Writer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.blobs.room.take(bytes.len())?;
        let written = self.file.write(bytes)?;
        self.digester.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        // Renamed already, or not wanted; if it stays, the next start removes it.
        let _ = self.blobs.disk.remove(&self.path);
    }
}

const ASIDE: &str = "tmp";

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_file_lies_under_its_digest_and_damage_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let files = FileBlobs::open(folder.path(), None).unwrap();
        let digest = files.put(b"souk").unwrap();
        let name = digest.to_string();
        let path = folder.path().join(&name[..2]).join(&name);
        assert_eq!(fs::read(&path).unwrap(), b"souk");
        fs::write(&path, b"souk?").unwrap();
        let damaged = files.read(&digest).unwrap_err();
        assert_eq!(damaged.kind(), io::ErrorKind::InvalidData);
    }

    #[test]
    fn an_unfinished_file_leaves_nothing_aside_and_what_a_crash_left_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        let aside = folder.path().join(ASIDE);
        let files = FileBlobs::open(folder.path(), Some(6)).unwrap();
        drop(files.writer().unwrap());
        files.put(b"souk").unwrap();
        assert!(files.put(b"souk2").is_err());
        assert_eq!(fs::read_dir(&aside).unwrap().count(), 0);
        fs::write(aside.join("7"), b"half").unwrap();
        FileBlobs::open(folder.path(), None).unwrap();
        assert_eq!(fs::read_dir(&aside).unwrap().count(), 0);
    }
}
