//! Bytes that are named by their digest: models, plans, catalogues, stored updates. What is read is what was written, or an
//! error.
//!
//! A blob appears whole or not at all, and never changes. Backends: [`FileBlobs`], [`MemoryBlobs`]; what all of them promise
//! is in the tests of this module.

mod files;
mod memory;
#[cfg(test)]
mod tests;

pub use files::FileBlobs;
pub use memory::MemoryBlobs;

use std::fmt::Debug;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::ids::Digest;
use crate::storage::disk::{SystemDisk, write_whole};

/// A set of blobs.
pub trait Blobs: Debug + Send + Sync {
    /// Begins a blob.
    ///
    /// # Errors
    /// Of the backend.
    fn writer(&self) -> io::Result<Box<dyn BlobWriter>>;

    /// Opens a blob to read any part of it; its digest is not checked. What was opened can be read to its end even when the
    /// blob is removed meanwhile.
    ///
    /// # Errors
    /// [`io::ErrorKind::NotFound`] when there is none; of the backend.
    fn open(&self, digest: &Digest) -> io::Result<Box<dyn BlobReader>>;

    /// Whether there is such a blob.
    fn contains(&self, digest: &Digest) -> bool;

    /// Removes a blob, if it is there; a power cut may bring it back.
    ///
    /// # Errors
    /// Of the backend.
    fn remove(&self, digest: &Digest) -> io::Result<()>;

    /// The same, so that not even a power cut brings it back.
    ///
    /// # Errors
    /// Of the backend.
    fn remove_for_good(&self, digest: &Digest) -> io::Result<()>;

    /// All blobs that are whole, in the order of their digests.
    ///
    /// # Errors
    /// Of the backend.
    fn all(&self) -> io::Result<Vec<Digest>>;

    /// Writes a whole blob; it is durable when this returns.
    ///
    /// # Errors
    /// [`io::ErrorKind::StorageFull`] when there is no room; of the backend.
    fn put(&self, bytes: &[u8]) -> io::Result<Digest> {
        let mut writer = self.writer()?;
        writer.write_all(bytes)?;
        writer.finish(true)
    }

    /// Reads a whole blob and checks its digest.
    ///
    /// # Errors
    /// As [`Self::open`], and [`io::ErrorKind::InvalidData`] when the bytes are not the named ones.
    fn read(&self, digest: &Digest) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.open(digest)?.read_to_end(&mut bytes)?;
        if Digest::of(&bytes) != *digest {
            let text = format!("the file {digest} is damaged");
            return Err(io::Error::new(io::ErrorKind::InvalidData, text));
        }
        Ok(bytes)
    }

    /// Opens a blob at byte `from`, or at its end if that is nearer; and its whole length in bytes.
    ///
    /// # Errors
    /// As [`Self::open`].
    fn open_from(&self, digest: &Digest, from: u64) -> io::Result<(Box<dyn BlobReader>, u64)> {
        let mut blob = self.open(digest)?;
        let length = blob.seek(SeekFrom::End(0))?;
        blob.seek(SeekFrom::Start(from.min(length)))?;
        Ok((blob, length))
    }

    /// Reads at most `most` bytes from byte `from` on: fewer at the end, none behind it. The digest is not checked.
    ///
    /// # Errors
    /// As [`Self::open`].
    fn read_range(&self, digest: &Digest, from: u64, most: u64) -> io::Result<Vec<u8>> {
        let (blob, _) = self.open_from(digest, from)?;
        let mut bytes = Vec::new();
        blob.take(most).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    /// Length of a blob in bytes.
    ///
    /// # Errors
    /// As [`Self::open`].
    fn len_bytes(&self, digest: &Digest) -> io::Result<u64> {
        self.open(digest)?.seek(SeekFrom::End(0))
    }

    /// Makes each blob known in another, new folder of this machine, as [`FileBlobs`] has them.
    ///
    /// # Errors
    /// Of either side.
    fn copy_all(&self, into: &Path) -> io::Result<()> {
        let copy = FileBlobs::open(into, None)?;
        for digest in self.all()? {
            let mut writer = copy.writer()?;
            io::copy(&mut self.open(&digest)?, &mut writer)?;
            writer.finish(false)?;
        }
        Ok(())
    }

    /// A file with a blob's bytes, for another program to read now: the backend's own, else `copy`, which is replaced.
    ///
    /// # Errors
    /// As [`Self::read`], or of the file system.
    fn as_file(&self, digest: &Digest, copy: &Path) -> io::Result<PathBuf> {
        write_whole(&SystemDisk, copy, &self.read(digest)?, false)?;
        Ok(copy.to_owned())
    }
}

/// A blob on its way; dropped unfinished, it is gone.
pub trait BlobWriter: Send + Sync + Write {
    /// Names it by its digest; `durable` waits until a power cut can't take it.
    ///
    /// # Errors
    /// Of the backend; the blob may be there then, but whole.
    fn finish(self: Box<Self>, durable: bool) -> io::Result<Digest>;

    /// Digest of what was written so far.
    fn digest(&self) -> Digest;
}

/// An open blob.
pub trait BlobReader: Read + Seek + Send {}

impl<T: Read + Seek + Send> BlobReader for T {}

/// Bytes that may still be written, if the operator set a limit.
#[derive(Clone, Debug, Default)]
struct Room(Option<Arc<AtomicU64>>);

impl Room {
    fn of(limit: Option<u64>) -> Self {
        Self(limit.map(|bytes| Arc::new(AtomicU64::new(bytes))))
    }

    fn take(&self, bytes: usize) -> io::Result<()> {
        let Some(room) = &self.0 else {
            return Ok(());
        };
        room.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| {
            left.checked_sub(bytes as u64)
        })
        .map(|_| ())
        .map_err(|_| io::Error::new(io::ErrorKind::StorageFull, "[limits] store_bytes is reached"))
    }
}
