//! What the store holds: one small file that is replaced whole with every source that was imported.

use std::fs::Metadata;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use souk_common::clock::Timestamp;
use souk_common::format::Format;
use souk_common::ids::Digest;
use souk_common::storage::disk::{Access, DiskFile};

use crate::data::DataReport;
use crate::folder::Folder;
use crate::interactions::InteractionsError;
use crate::interactions::segment::{SEGMENT_ENDING, segment_path};

/// `interactions/manifest.json`: the sources, in the order in which their interactions count as read.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct StoreManifest {
    format: Format<1>,
    /// One entry a source.
    pub sources: Vec<ImportedSource>,
    /// What was before, in seconds since 1970, has left the segments; none: nothing has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kept_since: Option<i64>,
}

/// A source as it was last imported, and as it was last refused.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct ImportedSource {
    /// The file as `shop.toml` or the owner names it, or the query's name.
    pub name: String,
    /// Given to `import` by the owner: nobody looks for it again.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub given: bool,
    /// What is in the store; none if nothing of the source was ever good enough.
    pub read: Option<ReadVersion>,
    /// The files of interactions, by digest, oldest first.
    pub segments: Vec<Digest>,
    /// Of a query: when each of them was asked last, nanoseconds since 1970. A file's one is as old as the file.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub asked: Vec<i64>,
    /// Of a day of the journal of events: when the last of them was, nanoseconds since 1970. The file's own time may be later, for it is
    /// written anew when a customer is forgotten.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_event: Option<i64>,
    /// Where the next query begins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub watermark: Option<String>,
    /// What reading found.
    pub report: DataReport,
    /// A newer version of the source that is not in the store.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<RefusedImport>,
}

impl ImportedSource {
    pub(crate) fn new(name: &str, given: bool) -> Self {
        Self {
            name: name.to_owned(),
            given,
            read: None,
            segments: Vec::new(),
            asked: Vec::new(),
            last_event: None,
            watermark: None,
            report: DataReport::default(),
            refused: None,
        }
    }

    /// The version of the source that was looked at last.
    pub(crate) fn seen_last(&self) -> Option<&ReadVersion> {
        match &self.refused {
            Some(refused) => Some(&refused.version),
            None => self.read.as_ref(),
        }
    }

    /// Notes a segment that was read, `beside` the earlier ones or in their place, and of a query, when it was `asked`. One that
    /// is there already is as new as the last answer that says it.
    pub(crate) fn note_segment(&mut self, segment: Option<Digest>, beside: bool, asked: Option<Timestamp>) {
        if !beside {
            self.segments.clear();
            self.asked.clear();
        }
        let Some(segment) = segment else { return };
        let Some(asked) = asked else {
            self.segments.push(segment);
            return;
        };
        // Stores from before this was noted know the order alone.
        self.asked.resize(self.segments.len(), i64::MIN);
        let last = self.asked.last().copied();
        if let Some(at) = self.segments.iter().position(|known| *known == segment) {
            self.segments.remove(at);
            self.asked.remove(at);
        }
        // Answers follow one another, also where a clock was put back.
        let asked = asked.0.saturating_mul(1_000_000);
        self.asked
            .push(last.map_or(asked, |last| asked.max(last.saturating_add(1))));
        self.segments.push(segment);
    }

    /// Its segments, each with the time as of which it says how orders stand, nanoseconds since 1970: when the file was
    /// written, the query asked, or the last event was. Whoever imports them when makes no difference.
    pub(crate) fn aged_segments(&self) -> impl Iterator<Item = (&Digest, i64)> {
        let stamp = self.read.as_ref().and_then(|read| read.stamp);
        let age = move |at: usize| match (self.last_event, stamp) {
            (Some(last), _) => last,
            (None, Some(stamp)) => stamp.written,
            (None, None) => self.asked.get(at).copied().unwrap_or(i64::MIN),
        };
        self.segments
            .iter()
            .enumerate()
            .map(move |(at, digest)| (digest, age(at)))
    }

    /// Has it read again, whole, at the next occasion.
    pub(crate) fn outdate(&mut self) {
        let refused = self.refused.as_mut().map(|refused| &mut refused.version);
        for version in self.read.iter_mut().chain(refused) {
            version.settings = Digest::ZERO;
        }
        self.watermark = None;
    }

    /// Whether its segments are there.
    pub(crate) fn is_whole(&self, folder: &Folder) -> bool {
        let store = store_folder(folder);
        self.segments
            .iter()
            .all(|digest| folder.disk().is_file(&segment_path(&store, digest)))
    }
}

/// A version of a source that was read, and how.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct ReadVersion {
    /// Of a file: how it looked from outside before it was read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stamp: Option<FileStamp>,
    /// Of the bytes that were read, or of the query's text.
    pub digest: Digest,
    /// Of the settings that it was read under.
    pub settings: Digest,
}

/// A version of a source that had too many bad lines.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct RefusedImport {
    /// Which.
    pub version: ReadVersion,
    /// Why, and what to do.
    pub reason: String,
    /// What reading found.
    pub report: DataReport,
}

/// How a file looks from outside: what changes when it is written to.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct FileStamp {
    bytes: u64,
    inode: u64,
    /// Nanoseconds since 1970 of the last write, and of the last change of any kind.
    written: i64,
    changed: i64,
}

impl FileStamp {
    /// When the file was last written to.
    pub fn last_write(&self) -> Timestamp {
        Timestamp(self.written / 1_000_000)
    }

    pub(crate) fn of(file: &Metadata) -> Self {
        let nanoseconds =
            |seconds: i64, rest: i64| seconds.saturating_mul(1_000_000_000).saturating_add(rest);
        Self {
            bytes: file.len(),
            inode: file.ino(),
            written: nanoseconds(file.mtime(), file.mtime_nsec()),
            changed: nanoseconds(file.ctime(), file.ctime_nsec()),
        }
    }
}

impl StoreManifest {
    /// That of a folder's store; an empty one where nothing was imported yet.
    ///
    /// # Errors
    /// When it is damaged, or of the disk.
    pub fn load(folder: &Folder) -> Result<Self, InteractionsError> {
        let path = manifest_path(folder);
        match folder.disk().read(&path) {
            Ok(bytes) => {
                serde_json::from_slice(&bytes).map_err(|source| InteractionsError::Manifest { path, source })
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Self::default()),
            Err(source) => Err(InteractionsError::Disk { path, source }),
        }
    }

    /// Makes it what the store holds; durable when this returns.
    pub(crate) fn store(&self, folder: &Folder) -> Result<(), InteractionsError> {
        let path = manifest_path(folder);
        let written = serde_json::to_vec(self)
            .map_err(io::Error::other)
            .and_then(|bytes| folder.write_whole(&path, &bytes, false));
        written.map_err(|source| InteractionsError::Disk { path, source })
    }

    /// A digest that changes with what the store holds and which of it is newer, and with nothing else.
    pub fn contents(&self) -> Digest {
        let ages = || self.sources.iter().flat_map(ImportedSource::aged_segments);
        let mut distinct: Vec<i64> = ages().map(|(_, age)| age).collect();
        distinct.sort_unstable();
        distinct.dedup();
        let place = |age: &i64| distinct.binary_search(age).unwrap_or_default();
        let places: Vec<usize> = ages().map(|(_, age)| place(&age)).collect();
        let named: Vec<_> = self
            .sources
            .iter()
            .map(|source| (&source.name, &source.segments))
            .collect();
        Digest::of(&serde_json::to_vec(&(named, places)).expect("names and digests have a JSON form"))
    }

    /// Whether nothing was ever imported.
    pub fn is_empty(&self) -> bool {
        self.sources.iter().all(|source| source.read.is_none())
    }

    /// The entry of a source.
    pub(crate) fn find(&self, name: &str) -> Option<&ImportedSource> {
        self.sources.iter().find(|source| source.name == name)
    }

    /// Puts an entry in the place of the one of its name, or behind all others.
    pub(crate) fn put(&mut self, entry: ImportedSource) {
        match self.sources.iter_mut().find(|source| source.name == entry.name) {
            Some(known) => *known = entry,
            None => self.sources.push(entry),
        }
    }
}

/// The store's folder.
pub(crate) fn store_folder(folder: &Folder) -> PathBuf {
    folder.path().join("interactions")
}

fn manifest_path(folder: &Folder) -> PathBuf {
    store_folder(folder).join("manifest.json")
}

/// Holds the store for one import; others who want to import see that it is busy.
pub(crate) fn lock(folder: &Folder) -> Result<Box<dyn DiskFile>, InteractionsError> {
    let store = store_folder(folder);
    let path = store.join("lock");
    let disk = folder.disk();
    let opened = disk
        .make_folder(&store)
        .and_then(|()| disk.open(&path, Access::Append));
    opened.map_err(|source| match source.kind() {
        io::ErrorKind::WouldBlock => InteractionsError::Busy,
        _ => InteractionsError::Disk { path, source },
    })
}

/// Removes what no manifest names: files of imports that ended in the middle, and segments that others have replaced.
pub(crate) fn sweep(folder: &Folder, manifest: &StoreManifest) {
    let store = store_folder(folder);
    let named: Vec<PathBuf> = manifest
        .sources
        .iter()
        .flat_map(|source| &source.segments)
        .map(|digest| segment_path(&store, digest))
        .collect();
    let disk = folder.disk();
    let is_ours = |path: &Path| {
        let ending = path.extension().and_then(|ending| ending.to_str());
        ending == Some("new") || ending == Some(SEGMENT_ENDING)
    };
    for path in disk.list(&store).unwrap_or_default() {
        if is_ours(&path)
            && !named.contains(&path)
            && let Err(error) = disk.remove(&path)
        {
            // It is of no harm but its size; the next import tries again.
            tracing::warn!("can't remove {}: {error}", path.display());
        }
    }
}
