//! A file whose digest is that of the bytes that were read of it, whatever is written to it meanwhile.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use souk_common::ids::{Digest, Digester};

/// The reading end.
pub(super) struct DigestedSource {
    file: File,
    seen: Seen,
}

/// What has been read so far; clones are of the same file.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen(Arc<Mutex<Progress>>);

#[derive(Debug, Default)]
struct Progress {
    digester: Digester,
    bytes: u64,
    ended: bool,
}

impl Seen {
    /// How many bytes.
    pub(super) fn bytes(&self) -> u64 {
        self.progress().bytes
    }

    fn progress(&self) -> MutexGuard<'_, Progress> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl DigestedSource {
    /// Opens `path`; and what has been read of it, which [`finish`] ends.
    pub(super) fn open(path: &Path) -> io::Result<(Self, Rest)> {
        let file = File::open(path)?;
        let seen = Seen::default();
        let rest = Self {
            file: file.try_clone()?,
            seen: seen.clone(),
        };
        Ok((Self { file, seen }, Rest(rest)))
    }

    pub(super) fn seen(&self) -> Seen {
        self.seen.clone()
    }
}

impl Read for DigestedSource {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let mut progress = self.seen.progress();
        // Behind the end that the reader was told of there may be lines by now that it will not see: they are of the next
        // version of the file.
        if progress.ended {
            return Ok(0);
        }
        let read = self.file.read(bytes)?;
        progress.digester.update(&bytes[..read]);
        progress.bytes += read as u64;
        progress.ended = read == 0 && !bytes.is_empty();
        Ok(read)
    }
}

/// What a reader may leave unread, as what follows the end of a gzip file.
pub(crate) struct Rest(DigestedSource);

impl Rest {
    /// The digest of the whole file as it was read.
    pub(crate) fn finish(mut self) -> io::Result<Digest> {
        io::copy(&mut self.0, &mut io::sink())?;
        Ok(self.0.seen.progress().digester.finish())
    }
}

/// The digest of a file as it is now.
pub(crate) fn digest_of(path: &Path) -> io::Result<Digest> {
    DigestedSource::open(path)?.1.finish()
}
