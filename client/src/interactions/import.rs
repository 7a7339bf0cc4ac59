//! Bringing the store up to date with its sources, one transaction a source.

mod aging;

use std::fs;
use std::path::{Path, PathBuf};

use souk_common::clock::Timestamp;
use souk_common::ids::Digest;

use aging::days_of;

use super::InteractionsError;
use super::manifest::{
    FileStamp, ImportedSource, ReadVersion, RefusedImport, StoreManifest, lock, store_folder, sweep,
};
use super::outcome::{ImportOutcome, ImportState, SourceOutcome};
use super::rows;
use super::segment::{SegmentWriter, segment_path, verify_segment};
use super::source::{Wanted, WhatFor};
use crate::data::sources::{FileKind, QueryConfig};
use crate::data::window::kept_since;
use crate::data::{DataError, DataReport, Reading, ShopDataConfig, read_interactions};
use crate::folder::Folder;
use crate::forgotten::ForgottenList;

/// Imports what `[data]` names and has changed since it was last imported, as far as that is told without reading: queries
/// that were asked once are not asked again. What can't be read, or has too many bad lines, is told in the outcome; the store
/// keeps what it had of it.
///
/// # Errors
/// When another program imports, the store is damaged, or of its disk.
pub fn import_changed(
    folder: &Folder,
    config: &ShopDataConfig,
    now: Timestamp,
) -> Result<ImportOutcome, InteractionsError> {
    let manifest = StoreManifest::load(folder)?;
    let wanted = Wanted::configured(folder, config, now)?;
    let is_as_seen = |wanted: &Wanted| wanted.is_as_seen(folder, manifest.find(&wanted.name));
    let kept_since = kept_since(config, now);
    let nothing_is_old = manifest.kept_since == kept_since && days_of(folder, kept_since)?.is_empty();
    // Whoever only looks does not wait for anybody.
    if wanted.iter().all(is_as_seen) && names_only(&manifest, &wanted) && nothing_is_old {
        return Ok(ImportOutcome::unchanged(&manifest, &ForgottenList::load(folder)?));
    }
    let mut import = Import::begin(folder, now, kept_since)?;
    import.widen();
    for wanted in &wanted {
        let known = import.manifest.find(&wanted.name);
        match known.filter(|known| wanted.is_as_seen(folder, Some(known))) {
            Some(known) => import.outcomes.push(SourceOutcome::as_seen(known)),
            None => import.source(wanted)?,
        }
    }
    import.let_go(&wanted)?;
    import.leave_what_is_old()?;
    Ok(import.end())
}

/// Imports all that `[data]` names, or the `given` files: asks queries, compares files by their digest, and fills in for
/// segments that are damaged; `afresh`, reads all of it again.
///
/// # Errors
/// As [`import_changed`].
pub fn import(
    folder: &Folder,
    config: &ShopDataConfig,
    given: &[PathBuf],
    afresh: bool,
    now: Timestamp,
) -> Result<ImportOutcome, InteractionsError> {
    let wanted = match given {
        [] => Wanted::configured(folder, config, now)?,
        given => Wanted::given(folder, config, given, now)?,
    };
    let mut import = Import::begin(folder, now, kept_since(config, now))?;
    import.widen();
    match afresh {
        true => import.forget_versions(),
        false => import.drop_damaged(),
    }
    wanted.iter().try_for_each(|wanted| import.source(wanted))?;
    if given.is_empty() {
        import.let_go(&wanted)?;
    }
    import.leave_what_is_old()?;
    Ok(import.end())
}

/// Takes a source out of the store; false if it has none of the name.
///
/// # Errors
/// As [`import_changed`].
pub fn forget(folder: &Folder, name: &str) -> Result<bool, InteractionsError> {
    let mut import = Import::begin(folder, Timestamp(0), None)?;
    let before = import.manifest.sources.len();
    import.manifest.sources.retain(|source| source.name != name);
    let is_gone = import.manifest.sources.len() < before;
    if is_gone {
        import.manifest.store(folder)?;
        import.end();
    }
    Ok(is_gone)
}

/// Whether the store has nothing but the sources that are wanted, in their order, and files that were given once.
fn names_only(manifest: &StoreManifest, wanted: &[Wanted]) -> bool {
    let kept = manifest.sources.iter().filter(|source| !source.given);
    kept.map(|source| &source.name)
        .eq(wanted.iter().map(|wanted| &wanted.name))
}

/// An import under way: it holds the store.
struct Import<'a> {
    folder: &'a Folder,
    now: Timestamp,
    kept_since: Option<i64>,
    forgotten: ForgottenList,
    manifest: StoreManifest,
    outcomes: Vec<SourceOutcome>,
    /// What left for its age, a sentence each.
    aged: Vec<String>,
    _held: Box<dyn souk_common::storage::disk::DiskFile>,
}

impl<'a> Import<'a> {
    fn begin(folder: &'a Folder, now: Timestamp, kept_since: Option<i64>) -> Result<Self, InteractionsError> {
        let held = lock(folder)?;
        // Only now: another may have changed it.
        let manifest = StoreManifest::load(folder)?;
        sweep(folder, &manifest);
        Ok(Self {
            folder,
            now,
            kept_since,
            // Under the lock: who was put on it before stays out.
            forgotten: ForgottenList::load(folder)?,
            manifest,
            outcomes: Vec::new(),
            aged: Vec::new(),
            _held: held,
        })
    }

    fn reading<'w>(&'w self, wanted: &'w Wanted) -> Reading<'w> {
        Reading {
            config: &wanted.config,
            // Groups take items' places when the store is read.
            levels: None,
            now: self.now,
            kept_since: self.kept_since,
            forgotten: Some(&self.forgotten),
        }
    }

    fn end(self) -> ImportOutcome {
        sweep(self.folder, &self.manifest);
        ImportOutcome {
            aged: self.aged,
            ..ImportOutcome::of(&self.manifest, &self.forgotten, self.outcomes)
        }
    }

    /// Forgets the versions of which a segment is damaged, so that they are read again.
    fn drop_damaged(&mut self) {
        let (store, disk) = (store_folder(self.folder), self.folder.disk());
        for source in &mut self.manifest.sources {
            let mut segments = source.segments.iter();
            if segments.any(|digest| verify_segment(disk, &segment_path(&store, digest), digest).is_err()) {
                tracing::warn!("a segment of {} is damaged: it is read again", source.name);
                source.outdate();
            }
        }
    }

    /// Has everything read again.
    fn forget_versions(&mut self) {
        self.manifest.sources.iter_mut().for_each(ImportedSource::outdate);
    }

    /// Lets go of what `shop.toml` no longer names, once all that it does name was read, and puts the rest in its order.
    fn let_go(&mut self, wanted: &[Wanted]) -> Result<(), InteractionsError> {
        let is_read = |outcome: &SourceOutcome| outcome.state != ImportState::Failed;
        if names_only(&self.manifest, wanted) || !self.outcomes.iter().all(is_read) {
            return Ok(());
        }
        let place = |source: &ImportedSource| wanted.iter().position(|wanted| wanted.name == source.name);
        let sources = std::mem::take(&mut self.manifest.sources).into_iter();
        let (mut kept, gone): (Vec<_>, Vec<_>) =
            sources.partition(|source| source.given || place(source).is_some());
        kept.sort_by_key(|source| place(source).unwrap_or(usize::MAX));
        self.manifest.sources = kept;
        self.manifest.store(self.folder)?;
        // Days of events that are too old to be kept are told of together.
        let old = days_of(self.folder, self.kept_since)?;
        let gone = gone
            .iter()
            .filter(|source| !old.contains(&self.folder.path().join(&source.name)))
            .map(|source| SourceOutcome::of(source, ImportState::LetGo));
        self.outcomes.extend(gone);
        Ok(())
    }

    fn source(&mut self, wanted: &Wanted) -> Result<(), InteractionsError> {
        let known = self.manifest.find(&wanted.name).cloned();
        let entry = known.unwrap_or_else(|| ImportedSource::new(&wanted.name, wanted.given));
        let outcome = match &wanted.what {
            WhatFor::File(path, kind) => self.file(wanted, path, *kind, entry)?,
            WhatFor::Query(query) => self.query(wanted, query, entry)?,
        };
        self.outcomes.push(outcome);
        Ok(())
    }

    fn file(
        &mut self,
        wanted: &Wanted,
        path: &Path,
        kind: Option<FileKind>,
        mut entry: ImportedSource,
    ) -> Result<SourceOutcome, InteractionsError> {
        // Before it is opened: what is written meanwhile is noticed the next time.
        let stamp = match fs::metadata(path) {
            Ok(file) => FileStamp::of(&file),
            Err(error) => return Ok(SourceOutcome::failed(&entry, DataError::read(path, error))),
        };
        if entry.is_whole(self.folder)
            && entry
                .seen_last()
                .is_some_and(|seen| seen.settings == wanted.settings)
        {
            match rows::digest_of(path) {
                Ok(digest) if is_touched(&mut entry, &wanted.version(Some(stamp), digest)) => {
                    if wanted.of_events {
                        entry.last_event = last_time(&entry.report);
                    }
                    if self.manifest.find(&entry.name) != Some(&entry) {
                        self.manifest.put(entry.clone());
                        self.manifest.store(self.folder)?;
                    }
                    return Ok(SourceOutcome::as_seen(&entry));
                }
                Ok(_) => {}
                Err(error) => return Ok(SourceOutcome::failed(&entry, DataError::read(path, error))),
            }
        }
        let mut digest = Digest::ZERO;
        let read = self.segment(wanted, |sink, report| {
            let (mut rows, rest) = rows::open(path, kind, &wanted.config)?;
            read_interactions(&mut *rows, &self.reading(wanted), sink, report)?;
            drop(rows);
            digest = rest.finish().map_err(|error| DataError::read(path, error))?;
            Ok(())
        })?;
        let read = match read {
            Ok(read) => read,
            Err(error) => return Ok(SourceOutcome::failed(&entry, error)),
        };
        if wanted.of_events && read.refused.is_none() {
            entry.last_event = last_time(&read.report);
        }
        let grew = fs::metadata(path).is_ok_and(|file| FileStamp::of(&file) != stamp);
        let state = self.take(&mut entry, read, wanted.version(Some(stamp), digest), false)?;
        Ok(SourceOutcome {
            grew,
            ..SourceOutcome::of(&entry, state)
        })
    }

    #[cfg(feature = "sql")]
    fn query(
        &mut self,
        wanted: &Wanted,
        query: &QueryConfig,
        mut entry: ImportedSource,
    ) -> Result<SourceOutcome, InteractionsError> {
        let is_same = |read: &ReadVersion| read.settings == wanted.settings;
        let since = entry
            .watermark
            .clone()
            .filter(|_| entry.read.as_ref().is_some_and(is_same));
        let mut watermark = None;
        let read = self.segment(wanted, |sink, report| {
            let password = rows::password(query, self.folder)?;
            let mut rows = rows::QueryRows::ask(&wanted.name, query, password.as_deref(), since.as_deref())?;
            watermark = rows.watermark().map(str::to_owned);
            read_interactions(&mut rows, &self.reading(wanted), sink, report)
        })?;
        let read = match read {
            Ok(read) => read,
            Err(error) => return Ok(SourceOutcome::failed(&entry, error)),
        };
        if read.refused.is_none() {
            entry.watermark = watermark.or(since.clone());
        }
        let version = wanted.version(None, Digest::ZERO);
        let state = self.take(&mut entry, read, version, since.is_some())?;
        Ok(SourceOutcome::of(&entry, state))
    }

    #[cfg(not(feature = "sql"))]
    fn query(
        &mut self,
        wanted: &Wanted,
        _: &QueryConfig,
        entry: ImportedSource,
    ) -> Result<SourceOutcome, InteractionsError> {
        let error = DataError::NotBuilt {
            name: wanted.name.clone(),
            what: "a query",
        };
        Ok(SourceOutcome::failed(&entry, error))
    }

    /// Reads into a segment, which stays aside if it has too many bad lines; the inner error is the source's.
    fn segment(
        &self,
        wanted: &Wanted,
        read: impl FnOnce(&mut SegmentWriter, &mut DataReport) -> Result<(), DataError>,
    ) -> Result<Result<Segment, DataError>, InteractionsError> {
        let (disk, aside) = (self.folder.disk(), store_folder(self.folder).join("segment.new"));
        let of_disk = |source| InteractionsError::Disk {
            path: aside.clone(),
            source,
        };
        let mut writer = SegmentWriter::begin(disk, &aside).map_err(of_disk)?;
        let mut report = DataReport::default();
        let read = read(&mut writer, &mut report);
        let refused = match read {
            Ok(()) => too_bad(&wanted.config, &report),
            Err(DataError::Sink { source }) => return Err(of_disk(source)),
            Err(error) => {
                drop(writer);
                // At the latest it is swept with the next import.
                let _ = disk.remove(&aside);
                return Ok(Err(error));
            }
        };
        if refused.is_some() || writer.is_empty() {
            drop(writer);
            let _ = disk.remove(&aside);
            let digest = None;
            return Ok(Ok(Segment {
                digest,
                report,
                refused,
            }));
        }
        let digest = writer.finish(disk).map_err(of_disk)?;
        disk.sync_folder(&store_folder(self.folder)).map_err(of_disk)?;
        Ok(Ok(Segment {
            digest: Some(digest),
            report,
            refused,
        }))
    }

    /// Makes what was read the store's, beside the source's earlier segments or in their place; or notes that it was refused.
    fn take(
        &mut self,
        entry: &mut ImportedSource,
        read: Segment,
        version: ReadVersion,
        beside: bool,
    ) -> Result<ImportState, InteractionsError> {
        let state = match read.refused {
            Some(reason) => {
                let report = read.report;
                entry.refused = Some(RefusedImport {
                    version,
                    reason,
                    report,
                });
                ImportState::Refused
            }
            None => {
                let is_known = match beside {
                    true => read.digest.is_none_or(|digest| entry.segments.contains(&digest)),
                    false => {
                        let read_before = entry.read.as_ref();
                        read_before.is_some_and(|before| before.settings == version.settings)
                            && entry.segments.iter().eq(&read.digest)
                    }
                };
                match beside {
                    true if is_known => {}
                    true => entry.report.add(&read.report),
                    false => entry.report = read.report,
                }
                let asked = version.stamp.is_none().then_some(self.now);
                entry.note_segment(read.digest, beside, asked);
                entry.read = Some(version);
                entry.refused = None;
                match is_known {
                    true => ImportState::Unchanged,
                    false => ImportState::Imported,
                }
            }
        };
        self.manifest.put(entry.clone());
        self.manifest.store(self.folder)?;
        Ok(state)
    }
}

/// What came of reading a source.
struct Segment {
    /// None if it says nothing, or was refused.
    digest: Option<Digest>,
    report: DataReport,
    refused: Option<String>,
}

/// The time of the last line of what was read, nanoseconds since 1970.
fn last_time(report: &DataReport) -> Option<i64> {
    let spans = report.sources.iter().filter_map(|source| source.span);
    spans.map(|(_, last)| last.saturating_mul(1_000_000_000)).max()
}

/// Whether a file with another stamp has the bytes that were seen before, or is back as it was; the new stamp is noted then.
fn is_touched(entry: &mut ImportedSource, now: &ReadVersion) -> bool {
    let is_same = |seen: &ReadVersion| seen.digest == now.digest && seen.settings == now.settings;
    if let Some(read) = entry.read.as_mut().filter(|read| is_same(read)) {
        read.stamp = now.stamp;
        entry.refused = None;
        return true;
    }
    match entry.refused.as_mut().filter(|refused| is_same(&refused.version)) {
        Some(refused) => {
            refused.version.stamp = now.stamp;
            true
        }
        None => false,
    }
}

/// Why an import is refused whole, if it is.
fn too_bad(config: &ShopDataConfig, report: &DataReport) -> Option<String> {
    let (bad, rows, most) = (report.bad_lines, report.rows, config.max_bad.get());
    let first = report.bad.first().map_or_else(String::new, |bad| {
        format!(", the first on line {}: {}", bad.line, bad.reason)
    });
    (bad as f64 > most * rows as f64).then(|| {
        format!(
            "{bad} of {rows} lines are bad{first}. Above {} % a source is refused whole: mend it, or set max_bad under [data] \
             in shop.toml",
            (1e6 * most).round() / 1e4
        )
    })
}
