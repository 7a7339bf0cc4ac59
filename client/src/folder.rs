//! The shop's folder: what is where.
//!
//! | path | what |
//! |---|---|
//! | `shop.toml` | what the owner decides |
//! | `membership.json`, `key.der` | which federation, under which certificate; the key (0600) never leaves |
//! | `ledger.jsonl` | every spend, a hash chain |
//! | `shop.redb` | where things stand: heads seen, uploads and receipts, current model, users' own vectors |
//! | `outbox/` | the bytes of the last uploads |
//! | `models/`, `plans/`, `catalogues/` | fetched, by digest |
//! | `catalogue.jsonl` | the catalogue in use |
//! | `control.sock` | where a running `run` takes questions (0600) |

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use souk_common::ids::Digest;

use crate::participate::{Blob, BlobKind};

/// A shop's folder.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Folder(PathBuf);

impl Folder {
    /// The folder at `path`; it need not exist yet.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// `shop.toml`.
    pub fn config(&self) -> PathBuf {
        self.0.join("shop.toml")
    }

    /// `membership.json`.
    pub fn membership(&self) -> PathBuf {
        self.0.join("membership.json")
    }

    /// `key.der`.
    pub fn key(&self) -> PathBuf {
        self.0.join("key.der")
    }

    /// `ledger.jsonl`.
    pub fn ledger(&self) -> PathBuf {
        self.0.join("ledger.jsonl")
    }

    /// `shop.redb`.
    pub fn store(&self) -> PathBuf {
        self.0.join("shop.redb")
    }

    /// `catalogue.jsonl`.
    pub fn catalogue(&self) -> PathBuf {
        self.0.join("catalogue.jsonl")
    }

    /// `control.sock`.
    pub fn control(&self) -> PathBuf {
        self.0.join("control.sock")
    }

    /// Where an update waits, and stays for a while after it was sent.
    pub fn update(&self, update: &Digest) -> PathBuf {
        self.0.join("outbox").join(format!("{update}.update"))
    }

    /// Where a fetched blob is kept.
    pub fn blob(&self, blob: &Blob) -> PathBuf {
        let (kind, ending) = match blob.kind {
            BlobKind::Plan => ("plans", "json"),
            BlobKind::Catalogue => ("catalogues", "jsonl"),
            BlobKind::Model => ("models", "safetensors"),
        };
        self.0.join(kind).join(format!("{}.{ending}", blob.digest))
    }

    /// Where a blob grows while it is fetched.
    pub fn part(&self, blob: &Blob) -> PathBuf {
        self.blob(blob).with_extension("part")
    }
}

/// Writes a file so that after a crash it is there whole or not at all: aside, fsync, rename, fsync the folder.
///
/// # Errors
/// Of the file system; nothing is left in place then.
pub fn write_whole(path: &Path, bytes: &[u8], secret: bool) -> io::Result<()> {
    let folder = folder_of(path);
    fs::create_dir_all(folder)?;
    let aside = path.with_extension("new");
    let mut options = fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    if secret {
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    }
    let written = options.open(&aside).and_then(|mut file| {
        file.write_all(bytes)?;
        file.sync_all()
    });
    if let Err(error) = written.and_then(|()| fs::rename(&aside, path)) {
        // Half a file helps nobody; the first error is the one to tell.
        let _ = fs::remove_file(&aside);
        return Err(error);
    }
    sync_folder(folder)
}

/// Where a file is; a bare name is in the current folder.
fn folder_of(path: &Path) -> &Path {
    path.parent()
        .filter(|folder| !folder.as_os_str().is_empty())
        .unwrap_or(Path::new("."))
}

/// Makes names in a folder durable.
///
/// # Errors
/// Of the file system.
pub fn sync_folder(folder: &Path) -> io::Result<()> {
    fs::File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_bare_name_is_in_the_current_folder() {
        assert_eq!(folder_of(Path::new("scores.svg")), Path::new("."));
        assert_eq!(folder_of(Path::new("a/scores.svg")), Path::new("a"));
    }

    #[test]
    fn a_secret_file_is_the_owners_only_and_is_replaced_whole() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("deep/key.der");
        write_whole(&path, b"first", true).unwrap();
        write_whole(&path, b"second", true).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"second");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(
            fs::read_dir(path.parent().unwrap()).unwrap().count(),
            1,
            "nothing is left aside"
        );
        assert!(write_whole(&dir.path().join("deep/key.der/below"), b"x", false).is_err());
    }
}
