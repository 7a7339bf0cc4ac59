//! The ledger's file: `ledger.jsonl`, appended to and synchronised before anything leaves (the chain itself:
//! [`souk_common::privacy::ledger`]).

use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use souk_common::clock::Timestamp;
use souk_common::ids::ShopName;
use souk_common::privacy::ledger::{Chain, Ledger, LedgerError, LedgerSink};
use souk_common::storage::disk::{Access, Disk, DiskFile, SystemDisk, folder_of};

/// A shop's ledger, in a file that only this process appends to.
pub type FileLedger = Ledger<FileSink>;

/// An open ledger file. It stays locked until it is dropped.
#[derive(Debug)]
pub struct FileSink {
    file: Box<dyn DiskFile>,
}

impl LedgerSink for FileSink {
    fn append_durably(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)?;
        self.file.sync()
    }
}

impl FileSink {
    /// All that the file holds, durable when this returns: what another run wrote, and could not make durable, too.
    fn read_back(&mut self) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.file.seek(SeekFrom::Start(0))?;
        self.file.read_to_end(&mut bytes)?;
        self.file.sync()?;
        Ok(bytes)
    }
}

/// Goes on with a ledger whose file has failed (see [`Ledger::go_on`]): by itself, so that a disk that was full for a while
/// costs the attempts of that while and no more.
///
/// # Errors
/// As [`open_ledger`]; then nothing may be charged, as before.
pub fn mend_ledger(ledger: &mut FileLedger, path: &Path, now: Timestamp) -> Result<(), LedgerFileError> {
    let bytes = ledger
        .sink_mut()
        .read_back()
        .map_err(|source| LedgerFileError::io(path, source))?;
    ledger
        .go_on(&bytes, now)
        .map_err(|source| LedgerFileError::Ledger {
            path: path.into(),
            source,
        })
}

/// Opens a shop's ledger for charging, or creates it; recomputes its chain from the first record on.
///
/// A last line that a crash cut off is kept and charged for (see [`souk_common::privacy::ledger`]).
///
/// # Errors
/// When the file can't be read or written, another process has it open for charging, or the chain is broken, or another
/// shop's.
pub fn open_ledger(path: &Path, shop: &ShopName, now: Timestamp) -> Result<FileLedger, LedgerFileError> {
    open_ledger_on(&SystemDisk, path, shop, now)
}

/// The same, on any disk.
///
/// # Errors
/// As [`open_ledger`].
pub fn open_ledger_on(
    disk: &dyn Disk,
    path: &Path,
    shop: &ShopName,
    now: Timestamp,
) -> Result<FileLedger, LedgerFileError> {
    open_through(disk, path, shop, now, |sink| sink)
}

/// The same, with another sink around the file's: tests stop a process between two of its writes.
///
/// # Errors
/// As [`open_ledger`], or when the outer sink fails.
pub fn open_ledger_through<S: LedgerSink>(
    path: &Path,
    shop: &ShopName,
    now: Timestamp,
    around: impl FnOnce(FileSink) -> S,
) -> Result<Ledger<S>, LedgerFileError> {
    open_through(&SystemDisk, path, shop, now, around)
}

fn open_through<S: LedgerSink>(
    disk: &dyn Disk,
    path: &Path,
    shop: &ShopName,
    now: Timestamp,
    around: impl FnOnce(FileSink) -> S,
) -> Result<Ledger<S>, LedgerFileError> {
    let wrap = |source: io::Error| LedgerFileError::io(path, source);
    let file = disk
        .open(path, Access::Append)
        .map_err(|source| match source.kind() {
            io::ErrorKind::WouldBlock => LedgerFileError::InUse { path: path.into() },
            _ => wrap(source),
        })?;
    // The file's name is as durable as its bytes before the first record is.
    disk.sync_folder(folder_of(path)).map_err(wrap)?;
    let mut sink = FileSink { file };
    let bytes = sink.read_back().map_err(wrap)?;
    Ledger::open(around(sink), &bytes, shop, now).map_err(|source| LedgerFileError::Ledger {
        path: path.into(),
        source,
    })
}

/// Reads and checks a ledger, also while another process appends to it: a record that is being written at this moment is
/// in [`Chain::tail`].
///
/// # Errors
/// When the file can't be read, or the chain is broken.
pub fn read_ledger(path: &Path) -> Result<Chain, LedgerFileError> {
    read_ledger_on(&SystemDisk, path)
}

/// The same, on any disk.
///
/// # Errors
/// As [`read_ledger`].
pub fn read_ledger_on(disk: &dyn Disk, path: &Path) -> Result<Chain, LedgerFileError> {
    let bytes = disk
        .read(path)
        .map_err(|source| LedgerFileError::io(path, source))?;
    Chain::read(&bytes).map_err(|source| LedgerFileError::Ledger {
        path: path.into(),
        source,
    })
}

/// Why a ledger file can't be used.
#[derive(Debug, thiserror::Error)]
pub enum LedgerFileError {
    /// The file system.
    #[error("ledger {path}: {source}; check that the disk is there, has room, and that you may write to it")]
    Io {
        /// The file.
        path: PathBuf,
        /// What it said.
        source: io::Error,
    },
    /// A second process.
    #[error("ledger {path} is in use: another souk-client runs for this folder; stop it first")]
    InUse {
        /// The file.
        path: PathBuf,
    },
    /// Its content.
    #[error("{path}: {source}")]
    Ledger {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: LedgerError,
    },
}

impl LedgerFileError {
    fn io(path: &Path, source: io::Error) -> Self {
        Self::Io {
            path: path.into(),
            source,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

    use super::*;
    use souk_common::ids::Digest;
    use souk_common::params::{ClipNorm, Delta, NoiseMultiplier, SamplingRate};
    use souk_common::privacy::Spend;

    fn shop() -> ShopName {
        "north".parse().unwrap()
    }

    fn spend(round: u64) -> Spend {
        Spend {
            plan: Digest::ZERO,
            round,
            attempt: 1,
            noise_multiplier: Some(NoiseMultiplier::new(1.0).unwrap()),
            sampling_rate: SamplingRate::new(0.1).unwrap(),
            clip_norm: ClipNorm::new(1.0).unwrap(),
            shared: None,
        }
    }

    #[test]
    fn what_was_charged_is_there_after_a_restart_and_can_be_read_meanwhile() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ledger.jsonl");
        let mut ledger = open_ledger(&path, &shop(), Timestamp(1)).unwrap();
        for round in 1..=3 {
            let charged = ledger.charge(spend(round), Timestamp(2)).unwrap();
            let read = read_ledger(&path).unwrap();
            assert_eq!(read.head(), charged.head());
            assert_eq!(read.spends().count() as u64, round);
        }
        let (head, epsilon) = (ledger.head(), ledger.epsilon(Delta::new(1e-5).unwrap()));
        assert!(matches!(
            open_ledger(&path, &shop(), Timestamp(3)),
            Err(LedgerFileError::InUse { .. })
        ));
        drop(ledger);
        let again = open_ledger(&path, &shop(), Timestamp(4)).unwrap();
        assert_eq!(
            (again.head(), again.epsilon(Delta::new(1e-5).unwrap())),
            (head, epsilon)
        );
    }

    #[test]
    fn a_line_that_a_crash_cut_off_is_kept_and_charged_for() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ledger.jsonl");
        let mut ledger = open_ledger(&path, &shop(), Timestamp(1)).unwrap();
        for round in 1..=2 {
            ledger.charge(spend(round), Timestamp(2)).unwrap();
        }
        drop(ledger);
        let whole = std::fs::read(&path).unwrap();
        std::fs::write(&path, &whole[..whole.len() - 30]).unwrap();
        assert_eq!(read_ledger(&path).unwrap().spends().count(), 1);
        let ledger = open_ledger(&path, &shop(), Timestamp(3)).unwrap();
        assert_eq!(
            ledger.chain().spends().count(),
            2,
            "one of them for the torn line"
        );
        drop(ledger);
        assert!(
            std::fs::read(&path)
                .unwrap()
                .starts_with(&whole[..whole.len() - 30])
        );
        assert_eq!(read_ledger(&path).unwrap().spends().count(), 2);
    }

    /// A file on a disk that takes so many more bytes.
    #[derive(Debug)]
    struct Filling {
        file: std::fs::File,
        left: Arc<AtomicUsize>,
    }

    impl Read for Filling {
        fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
            self.file.read(out)
        }
    }

    impl Seek for Filling {
        fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
            self.file.seek(to)
        }
    }

    impl Write for Filling {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let left = self.left.load(Relaxed);
            let taken = self.file.write(&bytes[..bytes.len().min(left)])?;
            self.left.store(left - taken, Relaxed);
            match taken {
                0 => Err(io::ErrorKind::StorageFull.into()),
                taken => Ok(taken),
            }
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl DiskFile for Filling {
        fn sync(&self) -> io::Result<()> {
            self.file.sync_all()
        }
    }

    #[test]
    fn a_ledger_goes_on_by_itself_when_the_disk_has_room_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ledger.jsonl");
        let mut whole = open_ledger(&path, &shop(), Timestamp(1)).unwrap();
        whole.charge(spend(1), Timestamp(2)).unwrap();
        let head = whole.head();
        drop(whole);
        let mut append = std::fs::OpenOptions::new();
        let file = append.read(true).append(true).open(&path).unwrap();
        let left = Arc::new(AtomicUsize::new(100));
        let file = Box::new(Filling {
            file,
            left: Arc::clone(&left),
        });
        let bytes = std::fs::read(&path).unwrap();
        let mut ledger = Ledger::open(FileSink { file }, &bytes, &shop(), Timestamp(3)).unwrap();
        for _ in 0..2 {
            assert!(ledger.charge(spend(2), Timestamp(4)).is_err());
            let error = mend_ledger(&mut ledger, &path, Timestamp(5)).unwrap_err();
            assert!(error.to_string().contains("ledger.jsonl"), "{error}");
        }
        left.store(1 << 20, Relaxed);
        mend_ledger(&mut ledger, &path, Timestamp(6)).unwrap();
        ledger.charge(spend(3), Timestamp(7)).unwrap();
        let read = read_ledger(&path).unwrap();
        assert_eq!(read.head(), ledger.head());
        assert_eq!(read.spends().count(), 3, "the one that was cut off counts");
        read.must_contain(head).unwrap();
    }

    #[test]
    fn an_edited_file_is_refused_with_its_line_and_the_remedy() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ledger.jsonl");
        let mut ledger = open_ledger(&path, &shop(), Timestamp(1)).unwrap();
        ledger.charge(spend(1), Timestamp(2)).unwrap();
        drop(ledger);
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::write(
            &path,
            text.replace("\"noise_multiplier\":1.0", "\"noise_multiplier\":9.0"),
        )
        .unwrap();
        let error = open_ledger(&path, &shop(), Timestamp(3)).unwrap_err().to_string();
        assert!(
            error.contains("line 2") && error.contains("edited") && error.contains("put back"),
            "{error}"
        );
    }
}
