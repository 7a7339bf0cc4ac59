//! Open files of a fake disk, and a database's file on it.

use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

use souk_common::storage::disk::DiskFile;

use super::{Change, FakeDisk};

/// An open file of a fake disk.
#[derive(Debug)]
pub(crate) struct Handle {
    pub(crate) disk: FakeDisk,
    pub(crate) path: PathBuf,
    pub(crate) inode: u64,
    pub(crate) boots: u64,
    pub(crate) at: usize,
    pub(crate) appends: bool,
}

impl Handle {
    fn with<T>(&self, read: impl FnOnce(&[u8]) -> T) -> io::Result<T> {
        let platters = self.disk.platters();
        platters.reading_allowed(self.boots)?;
        Ok(read(
            platters.inodes.get(&self.inode).map_or(&[][..], |file| &file.now),
        ))
    }

    fn change(&self, change: Change) -> io::Result<()> {
        self.disk.platters().change(self.boots, self.inode, change)
    }
}

impl Read for Handle {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let at = self.at;
        let read = self.with(|bytes| {
            let rest = bytes.get(at..).unwrap_or_default();
            let length = rest.len().min(out.len());
            out[..length].copy_from_slice(&rest[..length]);
            length
        })?;
        self.at += read;
        Ok(read)
    }
}

impl Write for Handle {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.appends {
            self.at = self.with(<[u8]>::len)?;
        }
        self.change(Change::Write(self.at, bytes.to_vec()))?;
        self.at += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Seek for Handle {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let length = self.with(<[u8]>::len)? as i64;
        let at = match to {
            SeekFrom::Start(at) => i64::try_from(at).unwrap_or(i64::MAX),
            SeekFrom::End(by) => length.saturating_add(by),
            SeekFrom::Current(by) => (self.at as i64).saturating_add(by),
        };
        self.at = usize::try_from(at).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
        Ok(self.at as u64)
    }
}

impl DiskFile for Handle {
    fn sync(&self) -> io::Result<()> {
        self.disk.platters().sync(self.boots, &self.path, self.inode)
    }
}

/// A database's file.
#[derive(Debug)]
pub(crate) struct Backend(pub(crate) Mutex<Handle>);

impl Backend {
    fn handle(&self) -> MutexGuard<'_, Handle> {
        // A handle has nothing that a panic could leave half done.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl redb::StorageBackend for Backend {
    fn len(&self) -> io::Result<u64> {
        self.handle().with(|bytes| bytes.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let start = offset as usize;
        let done = self.handle().with(|bytes| {
            let part = bytes.get(start..start + out.len())?;
            out.copy_from_slice(part);
            Some(())
        })?;
        done.ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        self.handle().change(Change::Length(length as usize))
    }

    fn sync_data(&self) -> io::Result<()> {
        self.handle().sync()
    }

    fn write(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.handle()
            .change(Change::Write(offset as usize, bytes.to_vec()))
    }
}
