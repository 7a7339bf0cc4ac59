//! Product feeds: files that say what can be had and what it costs, read again when they change.
//!
//! | module | what |
//! |---|---|
//! | [`source`], [`address`] | where a feed is: a file, or an address that may be read |
//! | [`fetch`] | feeds by address, fetched into files at their schedule |
//! | [`offers`] | what a file says |
//!
//! What was taken of a feed is kept in `feeds/` of the shop's folder: a file of which half has gone missing is more likely broken than
//! right, and an item that was in the feed and is no more can't be had.

pub mod address;
pub mod fetch;
pub mod offers;
pub mod source;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs::Metadata;
use std::io::ErrorKind;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::UNIX_EPOCH;

use serde::{Deserialize, Serialize};
use souk_common::clock::Timestamp;
use souk_common::date::date;
use souk_common::ids::Digest;

use crate::folder::Folder;
use crate::interactions::manifest::FileStamp;
use fetch::FetchState;
use offers::{FeedOffer, read_offers};
use source::FeedSource;

/// What was taken of a feed.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct KeptFeed {
    /// When the file was written.
    pub written: Timestamp,
    /// By the feed's ids.
    pub offers: BTreeMap<String, FeedOffer>,
    /// Ids that were in it and are no more.
    pub gone: BTreeSet<String>,
}

/// How a feed stands.
#[derive(Clone, Debug)]
pub struct FeedReport {
    /// As `rules.toml` names it.
    pub name: String,
    /// What is in force of it; none: nothing could ever be read.
    pub kept: Option<Arc<KeptFeed>>,
    /// What the owner should know of it.
    pub told: Vec<String>,
}

/// The feeds of one shop.
pub struct Feeds {
    folder: Folder,
    /// Whether what is taken of them is put in force, also for the next start.
    keeps: bool,
    known: Mutex<HashMap<FeedSource, KnownFeed>>,
}

#[derive(Clone)]
struct KnownFeed {
    seen: Seen,
    kept: Option<(Arc<KeptFeed>, Digest)>,
    told: Vec<String>,
    /// Of one by address: that it can't be fetched, or is not.
    fetch_told: Option<String>,
}

#[derive(Clone, Copy, PartialEq)]
struct Seen {
    stamp: Option<FileStamp>,
    /// As of when the server says that it is.
    written: Option<Timestamp>,
    /// Sales begin and end.
    day: i64,
}

impl Feeds {
    /// Of the shop in `folder`.
    pub fn new(folder: Folder) -> Self {
        Self {
            folder,
            keeps: true,
            known: Mutex::default(),
        }
    }

    /// The same, only to see what is wrong with them: nothing is written, as another program may keep them.
    pub fn to_look_at(folder: Folder) -> Self {
        Self {
            keeps: false,
            ..Self::new(folder)
        }
    }

    /// Looks whether these feeds have changed; what is in force of them, and its digest.
    pub fn look(&self, sources: &[FeedSource], now: Timestamp) -> (Vec<Arc<KeptFeed>>, Digest) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|source, _| sources.contains(source));
        for source in sources {
            let file = std::fs::metadata(source.file(&self.folder));
            let fetch = source
                .url
                .as_ref()
                .map(|_| FetchState::load(&self.folder, source));
            let seen = Seen {
                stamp: file.as_ref().ok().map(FileStamp::of),
                written: fetch.as_ref().and_then(|fetch| fetch.written),
                day: now.0.div_euclid(MS_OF_A_DAY),
            };
            if known.get(source).is_none_or(|feed| feed.seen != seen) {
                let before = known.remove(source).and_then(|feed| feed.kept);
                let file = file.map(|file| as_of(&file, fetch.as_ref()));
                let feed = self.read(source, file, before, seen, now);
                known.insert(source.clone(), feed);
            }
            if let Some(feed) = known.get_mut(source) {
                feed.fetch_told = fetch.and_then(|fetch| fetch.told(source, now));
            }
        }
        let kept: Vec<_> = sources
            .iter()
            .filter_map(|source| known.get(source)?.kept.clone())
            .collect();
        let digests: String = kept.iter().map(|(_, digest)| digest.to_string()).collect();
        let feeds = kept.into_iter().map(|(feed, _)| feed).collect();
        (feeds, Digest::of(digests.as_bytes()))
    }

    /// What is in force of the feeds that were looked at last.
    pub fn in_force(&self) -> Vec<Arc<KeptFeed>> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known
            .values()
            .filter_map(|feed| Some(Arc::clone(&feed.kept.as_ref()?.0)))
            .collect()
    }

    /// What is in force of each that was looked at last: as of when, and how much; a line each.
    pub fn words(&self) -> Vec<String> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let mut words: Vec<String> = known
            .iter()
            .filter_map(|(source, feed)| {
                let (kept, _) = feed.kept.as_ref()?;
                let read = match source.url {
                    Some(_) => "as it was fetched last",
                    None => "as it was read last",
                };
                let (at, items, gone) = (date(kept.written), kept.offers.len(), kept.gone.len());
                Some(format!(
                    "{source}, {read}, of {at}: {items} items, and {gone} that are in it no more"
                ))
            })
            .collect();
        words.sort();
        words
    }

    /// How each stands, by path.
    pub fn states(&self) -> Vec<FeedReport> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let mut states: Vec<FeedReport> = known
            .iter()
            .map(|(source, feed)| FeedReport {
                name: source.to_string(),
                kept: feed.kept.as_ref().map(|(kept, _)| Arc::clone(kept)),
                told: feed.told.clone(),
            })
            .collect();
        states.sort_by(|a, b| a.name.cmp(&b.name));
        states
    }

    /// What the owner should know of them.
    pub fn told(&self) -> Vec<String> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let mut told: Vec<String> = known
            .values()
            .flat_map(|feed| feed.told.iter().chain(&feed.fetch_told).cloned())
            .collect();
        told.sort();
        told
    }

    fn read(
        &self,
        source: &FeedSource,
        file: std::io::Result<Timestamp>,
        before: Option<(Arc<KeptFeed>, Digest)>,
        seen: Seen,
        now: Timestamp,
    ) -> KnownFeed {
        let (path, kept_in) = (source.file(&self.folder), source.kept_in(&self.folder));
        let shown = match source.url {
            Some(_) => source.to_string(),
            None => path.display().to_string(),
        };
        let mut told = Vec::new();
        let before = before.or_else(|| {
            self.load(&kept_in).unwrap_or_else(|error| {
                told.push(format!(
                    "{} is damaged, and what {shown} said before is forgotten: {error:#}",
                    kept_in.display()
                ));
                None
            })
        });
        let kept_as_it_was = match before {
            Some(_) => "what it said before stays in force",
            None => "nothing is known by it",
        };
        let was_fetched = source.url.is_none() || file.is_ok();
        let read = file
            .map_err(anyhow::Error::from)
            .and_then(|written| Ok((written, read_offers(&path, source.currency.as_deref(), now)?)));
        let (written, offers) = match read {
            Ok(read) => read,
            Err(error) => {
                // Of one that did not come the fetch tells why.
                told.extend(
                    was_fetched
                        .then(|| format!("the feed {shown} can't be used: {error:#}; {kept_as_it_was}")),
                );
                return KnownFeed {
                    seen,
                    kept: before,
                    told,
                    fetch_told: None,
                };
            }
        };
        let (had, gone_before) = before.as_ref().map_or_else(Default::default, |(feed, _)| {
            (feed.offers.keys().collect::<BTreeSet<_>>(), feed.gone.clone())
        });
        let still = had.iter().filter(|id| offers.by_id.contains_key(**id)).count();
        if had.len() >= LEAST_TO_MISS && 2 * still <= had.len() {
            told.push(format!(
                "the feed {shown} has only {still} of the {} items that it had, and is kept as it was: mend it, or remove {} if so few are \
                 right",
                had.len(),
                kept_in.display()
            ));
            return KnownFeed {
                seen,
                kept: before,
                told,
                fetch_told: None,
            };
        }
        let ids = had.into_iter().cloned().chain(gone_before);
        let feed = KeptFeed {
            gone: ids.filter(|id| !offers.by_id.contains_key(id)).collect(),
            written,
            offers: offers.by_id,
        };
        told.extend(
            offers
                .doubts
                .iter()
                .map(|doubt| format!("the feed {shown}: {doubt}")),
        );
        if before.as_ref().is_some_and(|(before, _)| **before == feed) {
            return KnownFeed {
                seen,
                kept: before,
                told,
                fetch_told: None,
            };
        }
        let bytes = serde_json::to_vec(&feed).expect("a feed has a JSON form");
        let store = || {
            self.folder.disk().make_folder(&self.folder.feeds())?;
            self.folder.write_whole(&kept_in, &bytes, false)
        };
        if self.keeps
            && let Err(error) = store()
        {
            told.push(format!(
                "{} can't be written, and a start will not know what was gone: {error}",
                kept_in.display()
            ));
        }
        KnownFeed {
            seen,
            kept: Some((Arc::new(feed), Digest::of(&bytes))),
            told,
            fetch_told: None,
        }
    }

    fn load(&self, path: &Path) -> anyhow::Result<Option<(Arc<KeptFeed>, Digest)>> {
        match self.folder.disk().read(path) {
            Ok(bytes) => Ok(Some((
                Arc::new(serde_json::from_slice(&bytes)?),
                Digest::of(&bytes),
            ))),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

/// As of when a feed is: what its server says, but never later than its file.
fn as_of(file: &Metadata, fetch: Option<&FetchState>) -> Timestamp {
    let said = fetch.and_then(|fetch| fetch.written);
    said.map_or(written(file), |said| said.min(written(file)))
}

/// When a file was written; 1970 where the system does not say, so that whatever was reported counts.
fn written(file: &Metadata) -> Timestamp {
    let since = file
        .modified()
        .ok()
        .and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    Timestamp(since.map_or(0, |since| i64::try_from(since.as_millis()).unwrap_or(i64::MAX)))
}

const MS_OF_A_DAY: i64 = 86_400_000;
/// Of fewer items half is soon gone.
const LEAST_TO_MISS: usize = 4;
