//! Blobs in memory: for tests and simulations. They are as durable as the process.

use std::collections::BTreeMap;
use std::io::{self, Cursor, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{BlobReader, BlobWriter, Blobs, Room};
use crate::ids::{Digest, Digester};

/// Blobs in memory; clones are the same ones.
#[derive(Clone, Debug, Default)]
pub struct MemoryBlobs {
    kept: Arc<Mutex<BTreeMap<Digest, Arc<[u8]>>>>,
    room: Room,
}

impl MemoryBlobs {
    /// None yet; at most `limit` bytes can be written, if given.
    pub fn new(limit: Option<u64>) -> Self {
        Self {
            kept: Arc::default(),
            room: Room::of(limit),
        }
    }

    fn kept(&self) -> MutexGuard<'_, BTreeMap<Digest, Arc<[u8]>>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Blobs for MemoryBlobs {
    fn writer(&self) -> io::Result<Box<dyn BlobWriter>> {
        Ok(Box::new(Writer {
            bytes: Vec::new(),
            digester: Digester::default(),
            blobs: self.clone(),
        }))
    }

    fn open(&self, digest: &Digest) -> io::Result<Box<dyn BlobReader>> {
        let found = self.kept().get(digest).cloned();
        let found = found.ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, digest.to_string()))?;
        Ok(Box::new(Cursor::new(found)))
    }

    fn contains(&self, digest: &Digest) -> bool {
        self.kept().contains_key(digest)
    }

    fn remove(&self, digest: &Digest) -> io::Result<()> {
        self.kept().remove(digest);
        Ok(())
    }

    fn remove_for_good(&self, digest: &Digest) -> io::Result<()> {
        self.remove(digest)
    }

    fn all(&self) -> io::Result<Vec<Digest>> {
        Ok(self.kept().keys().copied().collect())
    }
}

struct Writer {
    bytes: Vec<u8>,
    digester: Digester,
    blobs: MemoryBlobs,
}

impl BlobWriter for Writer {
    fn finish(self: Box<Self>, _: bool) -> io::Result<Digest> {
        let digest = self.digest();
        self.blobs.kept().insert(digest, self.bytes.into());
        Ok(digest)
    }

    fn digest(&self) -> Digest {
        self.digester.finish()
    }
}

impl Write for Writer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.blobs.room.take(bytes.len())?;
        self.digester.update(bytes);
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
