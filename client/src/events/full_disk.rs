//! A disk that is full, for tests.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use souk_common::storage::disk::{Access, Disk, DiskFile, SystemDisk};

/// A disk whose files take `room` bytes in all, and half of what does not fit.
#[derive(Debug)]
struct Full {
    room: Mutex<usize>,
}

#[derive(Debug)]
struct FullFile(Box<dyn DiskFile>, Arc<Full>);

impl io::Read for FullFile {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.0.read(into)
    }
}

impl io::Seek for FullFile {
    fn seek(&mut self, to: io::SeekFrom) -> io::Result<u64> {
        self.0.seek(to)
    }
}

impl Write for FullFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut room = self.1.room.lock().unwrap();
        let taken = bytes.len().min(*room);
        if taken == 0 {
            return Err(io::ErrorKind::StorageFull.into());
        }
        *room -= taken;
        self.0.write(&bytes[..taken])
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

impl DiskFile for FullFile {
    fn sync(&self) -> io::Result<()> {
        self.0.sync()
    }
}

/// The disk.
#[derive(Debug)]
pub(crate) struct FullDisk(Arc<Full>);

impl FullDisk {
    /// With room for so many bytes.
    pub(crate) fn with_room(bytes: usize) -> Arc<Self> {
        let room = Mutex::new(bytes);
        Arc::new(Self(Arc::new(Full { room })))
    }

    /// Somebody uses up what was left.
    pub(crate) fn fill(&self) {
        *self.0.room.lock().unwrap() = 0;
    }

    /// Somebody tidies up.
    pub(crate) fn make_room(&self) {
        *self.0.room.lock().unwrap() = 1 << 20;
    }
}

impl Disk for FullDisk {
    fn database(&self, builder: &redb::Builder, path: &Path) -> Result<redb::Database, redb::DatabaseError> {
        SystemDisk.database(builder, path)
    }

    fn open(&self, path: &Path, access: Access) -> io::Result<Box<dyn DiskFile>> {
        let file = SystemDisk.open(path, access)?;
        Ok(Box::new(FullFile(file, Arc::clone(&self.0))))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        SystemDisk.rename(from, to)
    }

    fn rename_anew(&self, from: &Path, to: &Path) -> io::Result<()> {
        SystemDisk.rename_anew(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        SystemDisk.remove(path)
    }

    fn make_folder(&self, path: &Path) -> io::Result<()> {
        SystemDisk.make_folder(path)
    }

    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        SystemDisk.sync_folder(path)
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<PathBuf>> {
        SystemDisk.list(folder)
    }

    fn is_file(&self, path: &Path) -> bool {
        SystemDisk.is_file(path)
    }
}
