//! The shop's folder: what is where.
//!
//! | path | what |
//! |---|---|
//! | `shop.toml` | what the owner decides |
//! | `membership.json`, `key.der` | which federation, under which certificate; the key (0600) never leaves |
//! | `ledger.jsonl` | every spend, a hash chain |
//! | `interactions/` | what was imported of the shop's files and databases: segments named by digest, and a manifest |
//! | `shop.redb` | where things stand: heads seen, uploads and receipts, current model, users' own vectors |
//! | `attempts/` | sealed secrets of the masked attempt under way (0600); destroyed after it |
//! | `outbox/` | the bytes of the last uploads |
//! | `models/`, `plans/`, `catalogues/` | fetched, by digest |
//! | `catalogue.jsonl` | the catalogue in use |
//! | `stack.json` | weights of the shop's own stack; fitted again if it is gone |
//! | `events/` | what a web shop reported: a journal of JSON lines, one file a day |
//! | `experiment/` | who saw which arm's lists, by experiment |
//! | `forgotten.json` | salted digests of customers who were forgotten (0600) |
//! | `rules.toml` | what the owner decides of lists; `rules.last-good.toml` is the last one that made sense, `rules.previous.toml` what the page replaced |
//! | `feeds/` | what was taken of product feeds, and what was fetched of those by address |
//! | `item-states.jsonl` | stock, prices and hidden items, as the web shop said them |
//! | `http/` | secrets of the HTTP service (0600): its token, and the key of customers' tokens |
//! | `control.sock` | where a running `run` takes questions (0600) |

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use souk_common::ids::Digest;
use souk_common::storage::disk::{self, Disk, SystemDisk};

use crate::participate::{Blob, BlobKind};

/// A shop's folder, and the disk that has what `run` writes into it: ledger, store, outbox, fetched files. What people and
/// `join` write (`shop.toml`, orders, membership, key) is on this machine's in any case.
#[derive(Clone, Debug)]
pub struct Folder {
    path: PathBuf,
    disk: Arc<dyn Disk>,
}

impl Folder {
    /// The folder at `path`; it need not exist yet.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self::on(SystemDisk::shared(), path)
    }

    /// The same, on any disk.
    pub fn on(disk: Arc<dyn Disk>, path: impl Into<PathBuf>) -> Self {
        let path = path.into();
        Self { path, disk }
    }

    /// Its disk.
    pub fn disk(&self) -> &dyn Disk {
        &*self.disk
    }

    /// Writes one of its files so that after a crash it is there whole or not at all.
    ///
    /// # Errors
    /// Of the disk; what was there before is there then.
    pub fn write_whole(&self, path: &Path, bytes: &[u8], secret: bool) -> io::Result<()> {
        disk::write_whole(self.disk(), path, bytes, secret)
    }

    /// The files of one of its folders that end so, by name; none if there is no such folder.
    ///
    /// # Errors
    /// Of the disk.
    pub(crate) fn files_ending(&self, of: &Path, ending: &str) -> io::Result<Vec<PathBuf>> {
        let mut files = match self.disk().list(of) {
            Ok(files) => files,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(error),
        };
        files.retain(|path| path.extension().is_some_and(|found| found == ending));
        files.sort();
        Ok(files)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// `shop.toml`.
    pub fn config(&self) -> PathBuf {
        self.path.join("shop.toml")
    }

    /// `membership.json`.
    pub fn membership(&self) -> PathBuf {
        self.path.join("membership.json")
    }

    /// `key.der`.
    pub fn key(&self) -> PathBuf {
        self.path.join("key.der")
    }

    /// `ledger.jsonl`.
    pub fn ledger(&self) -> PathBuf {
        self.path.join("ledger.jsonl")
    }

    /// `shop.redb`.
    pub fn store(&self) -> PathBuf {
        self.path.join("shop.redb")
    }

    /// Where the secrets of a masked attempt are.
    pub fn attempts(&self) -> PathBuf {
        self.path.join("attempts")
    }

    /// `catalogue.jsonl`.
    pub fn catalogue(&self) -> PathBuf {
        self.path.join("catalogue.jsonl")
    }

    /// `stack.json`.
    pub fn stack(&self) -> PathBuf {
        self.path.join("stack.json")
    }

    /// Where it is noted who is in which arm of an experiment.
    pub fn experiments(&self) -> PathBuf {
        self.path.join("experiment")
    }

    /// `forgotten.json`.
    pub fn forgotten(&self) -> PathBuf {
        self.path.join("forgotten.json")
    }

    /// `rules.toml`.
    pub fn rules(&self) -> PathBuf {
        self.path.join("rules.toml")
    }

    /// `rules.last-good.toml`.
    pub fn last_good_rules(&self) -> PathBuf {
        self.path.join("rules.last-good.toml")
    }

    /// `rules.previous.toml`.
    pub fn previous_rules(&self) -> PathBuf {
        self.path.join("rules.previous.toml")
    }

    /// `item-states.jsonl`.
    pub fn item_states(&self) -> PathBuf {
        self.path.join("item-states.jsonl")
    }

    /// Where what was taken of product feeds is kept.
    pub fn feeds(&self) -> PathBuf {
        self.path.join("feeds")
    }

    /// Where the secrets of the HTTP service are.
    pub fn http(&self) -> PathBuf {
        self.path.join("http")
    }

    /// Where events wait that a web shop reported.
    pub fn events(&self) -> PathBuf {
        self.path.join("events")
    }

    /// `control.sock`.
    pub fn control(&self) -> PathBuf {
        self.path.join("control.sock")
    }

    /// Where an update waits, and stays for a while after it was sent.
    pub fn update(&self, update: &Digest) -> PathBuf {
        self.path.join("outbox").join(format!("{update}.update"))
    }

    /// Where a fetched blob is kept.
    pub fn blob(&self, blob: &Blob) -> PathBuf {
        let (kind, ending) = match blob.kind {
            BlobKind::Plan => ("plans", "json"),
            BlobKind::Catalogue => ("catalogues", "jsonl"),
            BlobKind::Model => ("models", "safetensors"),
        };
        self.path.join(kind).join(format!("{}.{ending}", blob.digest))
    }

    /// Where a blob grows while it is fetched.
    pub fn part(&self, blob: &Blob) -> PathBuf {
        self.blob(blob).with_extension("part")
    }
}

/// Makes names in a folder durable.
///
/// # Errors
/// Of the file system.
pub fn sync_folder(folder: &Path) -> io::Result<()> {
    SystemDisk.sync_folder(folder)
}
