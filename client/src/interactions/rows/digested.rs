//! A file whose digest is that of the bytes that were read of it, whatever is written to it meanwhile.

use std::fs::File;
use std::io::{self, Read, Seek};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use souk_common::ids::{Digest, Digester};

/// The reading end.
pub(crate) struct DigestedSource {
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
        Ok((Self { file, seen }, Rest::Stream(rest)))
    }

    /// Opens `path` to be read in any order: its digest is that of before, so that what is written to it meanwhile is noticed by
    /// whoever looks the next time.
    pub(super) fn at_rest(path: &Path) -> io::Result<(File, Rest)> {
        let (source, rest) = Self::open(path)?;
        let digest = rest.finish()?;
        let mut file = source.file;
        file.rewind()?;
        Ok((file, Rest::Known(digest)))
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

/// What a reader may leave unread, as what follows the end of a gzip file; or nothing, where the digest was taken before.
pub(crate) enum Rest {
    /// To be read.
    Stream(DigestedSource),
    /// Taken before.
    Known(Digest),
}

impl Rest {
    /// The digest of the whole file as it was read.
    pub(crate) fn finish(self) -> io::Result<Digest> {
        match self {
            Self::Stream(mut source) => {
                io::copy(&mut source, &mut io::sink())?;
                Ok(source.seen.progress().digester.finish())
            }
            Self::Known(digest) => Ok(digest),
        }
    }
}

/// The digest of a file as it is now.
pub(crate) fn digest_of(path: &Path) -> io::Result<Digest> {
    DigestedSource::open(path)?.1.finish()
}
