//! The sources that `shop.toml` and the owner name, and whether they are as they were when they were last read.

use std::fs;
use std::path::{Path, PathBuf};

use souk_common::clock::Timestamp;
use souk_common::ids::{Digest, Digester};

use super::manifest::{FileStamp, ImportedSource, ReadVersion};
use crate::data::sources::{FileKind, QueryConfig, SourceConfig, SourcePlace};
use crate::data::window::kept_since;
use crate::data::{ItemColumns, Paths, ShopDataConfig};
use crate::events::days::{is_before, past_days};
use crate::folder::Folder;
use crate::interactions::InteractionsError;

/// A source to import.
#[derive(Clone, Debug)]
pub(crate) struct Wanted {
    /// As in the manifest.
    pub(crate) name: String,
    /// Whether the owner gave it, once.
    pub(crate) given: bool,
    /// Whether it is a day of the journal of events.
    pub(crate) of_events: bool,
    pub(crate) what: WhatFor,
    /// What it is read under.
    pub(crate) config: ShopDataConfig,
    /// Of these, and of how this program reads.
    pub(crate) settings: Digest,
}

/// Where it is.
#[derive(Clone, Debug)]
pub(crate) enum WhatFor {
    /// In a file of a kind; of none, its name and its first bytes tell.
    File(PathBuf, Option<FileKind>),
    Query(QueryConfig),
}

impl Wanted {
    /// All that `[data]` names, in its order, and the days of the journal of events that are over at `now` and not too old to be kept.
    ///
    /// # Errors
    /// When the journal's folder can't be read.
    pub(crate) fn configured(
        folder: &Folder,
        config: &ShopDataConfig,
        now: Timestamp,
    ) -> Result<Vec<Self>, InteractionsError> {
        let mut days = past_days(folder, now).map_err(|source| InteractionsError::Disk {
            path: folder.events(),
            source,
        })?;
        let kept_since = kept_since(config, now);
        days.retain(|day| !is_before(day, kept_since));
        let orders = config.orders.as_slice().iter().filter(|path| {
            // A shop whose orders are elsewhere need not say that there is no orders.csv.
            let has_others = !config.source.is_empty() || !days.is_empty();
            !has_others || config.orders != Paths::default() || folder.path().join(path).exists()
        });
        let orders = orders.map(|path| Self::file(folder, config, path, false));
        let sources = config
            .source
            .iter()
            .map(|source| Self::source(folder, config, source));
        let days = days.iter().map(|path| Self::day_of_events(folder, config, path));
        Ok(orders.chain(sources).chain(days).collect())
    }

    /// The same, and files that the owner gives.
    ///
    /// # Errors
    /// As [`Self::configured`].
    pub(crate) fn given(
        folder: &Folder,
        config: &ShopDataConfig,
        paths: &[PathBuf],
        now: Timestamp,
    ) -> Result<Vec<Self>, InteractionsError> {
        let configured = Self::configured(folder, config, now)?;
        let same = |wanted: &&Self, path: &Path| match &wanted.what {
            WhatFor::File(known, _) => fs::canonicalize(known).ok() == Some(path.to_owned()),
            WhatFor::Query(_) => false,
        };
        let given = paths.iter().map(|path| {
            // One that is not there is named as it was given.
            let whole = fs::canonicalize(path).unwrap_or_else(|_| path.clone());
            let known = configured.iter().find(|wanted| same(wanted, &whole));
            known
                .cloned()
                .unwrap_or_else(|| Self::file(folder, config, &whole, true))
        });
        Ok(given.collect())
    }

    /// A day of the journal, which this program wrote: no setting about layouts is for it.
    fn day_of_events(folder: &Folder, config: &ShopDataConfig, path: &Path) -> Self {
        let plain = ShopDataConfig::default();
        let config = ShopDataConfig {
            nobody: config.nobody.clone(),
            leave_out: config.leave_out.clone(),
            max_bad: config.max_bad,
            ..plain
        };
        let name = path.strip_prefix(folder.path()).unwrap_or(path);
        let what = WhatFor::File(path.to_owned(), Some(FileKind::Jsonl));
        Self {
            of_events: true,
            ..Self::new(name.display().to_string(), false, what, config)
        }
    }

    fn file(folder: &Folder, config: &ShopDataConfig, path: &Path, given: bool) -> Self {
        let what = WhatFor::File(folder.path().join(path), None);
        Self::new(path.display().to_string(), given, what, config.clone())
    }

    fn source(folder: &Folder, config: &ShopDataConfig, source: &SourceConfig) -> Self {
        let mut config = config.clone();
        if let Some(columns) = &source.columns {
            config.columns = columns.clone();
        }
        let what = match &source.place {
            SourcePlace::File { kind, path, sheet } => {
                config.sheet = sheet.clone().or(config.sheet);
                WhatFor::File(folder.path().join(path), Some(*kind))
            }
            SourcePlace::Query(query) => WhatFor::Query(query.clone()),
        };
        Self::new(source.name.clone(), false, what, config)
    }

    fn new(name: String, given: bool, what: WhatFor, config: ShopDataConfig) -> Self {
        Self {
            settings: settings_of(&config, &what),
            name,
            given,
            of_events: false,
            what,
            config,
        }
    }

    /// Whether the source is as it was when it was imported, or refused, as far as can be told without reading it. Of a query
    /// nobody can tell: whether it was asked at all.
    pub(crate) fn is_as_seen(&self, folder: &Folder, entry: Option<&ImportedSource>) -> bool {
        let Some(entry) = entry.filter(|entry| entry.is_whole(folder)) else {
            return false;
        };
        let Some(seen) = entry.seen_last().filter(|seen| seen.settings == self.settings) else {
            return false;
        };
        match &self.what {
            WhatFor::File(path, _) => {
                let stamp = fs::metadata(path).ok().map(|file| FileStamp::of(&file));
                stamp.is_some() && stamp == seen.stamp
            }
            WhatFor::Query(_) => true,
        }
    }

    /// What is noted of a version of it.
    pub(crate) fn version(&self, stamp: Option<FileStamp>, digest: Digest) -> ReadVersion {
        ReadVersion {
            stamp,
            digest,
            settings: self.settings,
        }
    }
}

/// A digest of all settings that decide how a source is read.
fn settings_of(config: &ShopDataConfig, what: &WhatFor) -> Digest {
    // What decides only what becomes of the lines afterwards is left out, and what names the sources.
    let relevant = ShopDataConfig {
        orders: Paths::default(),
        source: Vec::new(),
        items: None,
        users: None,
        item_level: None,
        keep_unlisted: false,
        // What is older leaves the store without its source being read again.
        keep_days: None,
        item_columns: ItemColumns::default(),
        ..config.clone()
    };
    let mut digester = Digester::default();
    digester.update(&READER.to_le_bytes());
    digester.update(&serde_json::to_vec(&relevant).expect("settings have a JSON form"));
    match what {
        WhatFor::File(_, kind) => {
            digester.update(&serde_json::to_vec(kind).expect("a kind has a JSON form"));
        }
        WhatFor::Query(query) => {
            let text = [
                &query.url,
                &query.query,
                query.watermark.as_deref().unwrap_or_default(),
            ];
            digester.update(&serde_json::to_vec(&text).expect("texts have a JSON form"));
        }
    }
    digester.finish()
}

/// Counted up when this program reads the same lines in another way: stores are then filled anew.
const READER: u32 = 2;
