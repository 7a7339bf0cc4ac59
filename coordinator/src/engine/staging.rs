//! Where an update waits between its first byte and its digest: in memory while there is room, else in a blob.

use std::io::{self, Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use souk_common::ids::{Digest, Digester};
use souk_common::storage::blobs::{BlobWriter, Blobs};

use crate::aggregate::Accumulator;
use crate::engine::EngineError;

/// Memory that all updates on their way share.
#[derive(Clone, Debug)]
pub struct Staging {
    room: Arc<AtomicU64>,
    blobs: Arc<dyn Blobs>,
}

/// One update on its way, or arrived.
pub struct Staged {
    place: Place,
    len_bytes: u64,
}

enum Place {
    Memory(Vec<u8>, Box<Digester>, Reserved),
    /// The writer has a digest of its own.
    Blob(Box<dyn BlobWriter>),
}

/// Memory taken from [`Staging`], given back on drop.
pub(super) struct Reserved {
    room: Arc<AtomicU64>,
    bytes: u64,
}

impl Drop for Reserved {
    fn drop(&mut self) {
        self.room.fetch_add(self.bytes, Ordering::SeqCst);
    }
}

impl Staging {
    /// At most `memory_bytes` of memory; beyond that, `blobs`.
    pub fn new(memory_bytes: u64, blobs: Arc<dyn Blobs>) -> Self {
        Self {
            room: Arc::new(AtomicU64::new(memory_bytes)),
            blobs,
        }
    }

    /// Makes room for an update of `len_bytes`.
    ///
    /// # Errors
    /// When it takes a blob that can't be made.
    pub fn begin(&self, len_bytes: u64) -> io::Result<Staged> {
        let taken = self
            .room
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| {
                left.checked_sub(len_bytes)
            });
        let place = if taken.is_ok() {
            let room = self.room.clone();
            let reserved = Reserved {
                room,
                bytes: len_bytes,
            };
            Place::Memory(Vec::with_capacity(len_bytes as usize), Box::default(), reserved)
        } else {
            Place::Blob(self.blobs.writer()?)
        };
        Ok(Staged { place, len_bytes: 0 })
    }
}

impl Staged {
    /// Takes in the next bytes.
    ///
    /// # Errors
    /// Of the blobs.
    pub fn push(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.len_bytes += bytes.len() as u64;
        match &mut self.place {
            Place::Memory(memory, digester, _) => {
                digester.update(bytes);
                memory.extend_from_slice(bytes);
                Ok(())
            }
            Place::Blob(blob) => blob.write_all(bytes),
        }
    }

    /// Bytes so far.
    pub fn len_bytes(&self) -> u64 {
        self.len_bytes
    }

    /// Whether the bytes go to no blob.
    pub fn is_in_memory(&self) -> bool {
        matches!(self.place, Place::Memory(..))
    }

    /// Digest of the bytes so far.
    pub fn digest(&self) -> Digest {
        match &self.place {
            Place::Memory(_, digester, _) => digester.finish(),
            Place::Blob(blob) => blob.digest(),
        }
    }

    /// Brings it to where it can be added from; `keep` makes it a durable blob.
    pub(super) fn settle(self, blobs: &dyn Blobs, keep: bool) -> io::Result<Part> {
        match self.place {
            Place::Memory(bytes, _, reserved) => {
                if keep {
                    blobs.put(&bytes)?;
                }
                Ok(Part::Memory(bytes, reserved))
            }
            Place::Blob(blob) => Ok(Part::Blob(blob.finish(keep)?)),
        }
    }
}

/// An update ready to be added.
pub(super) enum Part {
    Memory(
        Vec<u8>,
        #[expect(dead_code, reason = "gives the memory back on drop")] Reserved,
    ),
    Blob(Digest),
}

impl Part {
    pub(super) fn add_to(&self, sum: &mut Accumulator, blobs: &dyn Blobs) -> Result<(), EngineError> {
        match self {
            Self::Memory(bytes, _) => Ok(sum.add_bytes_at(0, bytes)?),
            Self::Blob(digest) => add_blob(sum, blobs, digest),
        }
    }

    pub(super) fn remove(&self, blobs: &dyn Blobs) -> io::Result<()> {
        match self {
            Self::Memory(..) => Ok(()),
            Self::Blob(digest) => blobs.remove(digest),
        }
    }
}

/// Adds a stored update piece by piece.
pub(crate) fn add_blob(sum: &mut Accumulator, blobs: &dyn Blobs, digest: &Digest) -> Result<(), EngineError> {
    let mut blob = blobs.open(digest)?;
    let mut piece = vec![0; PIECE_BYTES];
    let mut first = 0;
    loop {
        let mut filled = 0;
        while filled < piece.len() {
            match blob.read(&mut piece[filled..])? {
                0 => break,
                read => filled += read,
            }
        }
        if filled == 0 {
            return Ok(());
        }
        sum.add_bytes_at(first, &piece[..filled])?;
        first += filled / sum.bits().bytes();
    }
}

const PIECE_BYTES: usize = 64 << 10;

#[cfg(test)]
mod tests {
    use souk_common::storage::blobs::FileBlobs;
    use souk_common::update::ModulusBits;

    use super::*;

    #[test]
    fn memory_and_file_give_the_same_sum_and_memory_comes_back() {
        let dir = tempfile::tempdir().unwrap();
        let files: Arc<dyn Blobs> = Arc::new(FileBlobs::open(dir.path(), None).unwrap());
        let staging = Staging::new(400, Arc::clone(&files));
        let bytes: Vec<u8> = (0..400u32).map(|byte| byte as u8).collect();
        let mut both = Vec::new();
        for _ in 0..2 {
            let mut staged = staging.begin(400).unwrap();
            bytes.chunks(7).for_each(|piece| staged.push(piece).unwrap());
            assert_eq!((staged.digest(), staged.len_bytes()), (Digest::of(&bytes), 400));
            both.push(staged);
        }
        let sums = both.into_iter().map(|staged| {
            let mut sum = Accumulator::new(ModulusBits::B32, 100);
            let part = staged.settle(&*files, false).unwrap();
            part.add_to(&mut sum, &*files).unwrap();
            part.remove(&*files).unwrap();
            (0..100).map(|at| sum.lifted(at)).collect::<Vec<_>>()
        });
        let sums: Vec<_> = sums.collect();
        assert_eq!(sums[0], sums[1]);
        assert!(!files.contains(&Digest::of(&bytes)));
        assert_eq!(staging.room.load(Ordering::SeqCst), 400);
    }
}
