//! A disk whose program is killed after so many steps: the one that it is at is done in part, and nothing after it. What was done is
//! there afterwards, so nothing is synchronised, which would take the tests' time.

use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use souk_common::storage::disk::{Access, Disk, DiskFile, SystemDisk};

/// The disk.
#[derive(Debug)]
pub(super) struct DyingDisk(Arc<AtomicUsize>);

impl DyingDisk {
    /// Whose program is never killed.
    pub(super) fn living() -> Arc<Self> {
        Self::after(usize::MAX)
    }

    /// That does so many steps.
    pub(super) fn after(steps: usize) -> Arc<Self> {
        Arc::new(Self(Arc::new(AtomicUsize::new(steps))))
    }

    fn step<T>(&self, step: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        living(&self.0)?;
        step()
    }
}

/// Counts a step.
fn living(left: &AtomicUsize) -> io::Result<()> {
    let counted = left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
    counted.map(drop).map_err(|_| io::Error::other("killed"))
}

fn is_dead(left: &AtomicUsize) -> io::Result<()> {
    match left.load(Ordering::SeqCst) {
        0 => Err(io::Error::other("killed")),
        _ => Ok(()),
    }
}

#[derive(Debug)]
struct DyingFile(Box<dyn DiskFile>, Arc<AtomicUsize>);

impl Read for DyingFile {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        is_dead(&self.1)?;
        self.0.read(into)
    }
}

impl Seek for DyingFile {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.0.seek(to)
    }
}

impl Write for DyingFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match living(&self.1) {
            Ok(()) => self.0.write(bytes),
            Err(killed) => {
                // Half of it is on its way.
                self.0.write_all(&bytes[..bytes.len() / 2])?;
                Err(killed)
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

impl DiskFile for DyingFile {
    fn sync(&self) -> io::Result<()> {
        living(&self.1)
    }
}

impl Disk for DyingDisk {
    fn database(&self, builder: &redb::Builder, path: &Path) -> Result<redb::Database, redb::DatabaseError> {
        SystemDisk.database(builder, path)
    }

    fn open(&self, path: &Path, access: Access) -> io::Result<Box<dyn DiskFile>> {
        match access {
            Access::Read => is_dead(&self.0)?,
            _ => living(&self.0)?,
        }
        let file = SystemDisk.open(path, access)?;
        Ok(Box::new(DyingFile(file, Arc::clone(&self.0))))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.step(|| SystemDisk.rename(from, to))
    }

    fn rename_anew(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.step(|| SystemDisk.rename_anew(from, to))
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.step(|| SystemDisk.remove(path))
    }

    fn make_folder(&self, path: &Path) -> io::Result<()> {
        self.step(|| SystemDisk.make_folder(path))
    }

    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        self.step(|| path.metadata().map(drop))
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<PathBuf>> {
        is_dead(&self.0)?;
        SystemDisk.list(folder)
    }

    fn is_file(&self, path: &Path) -> bool {
        SystemDisk.is_file(path)
    }
}
