//! Product feeds: files that say what can be had and what it costs, read again when they change.
//!
//! | module | what |
//! |---|---|
//! | [`offers`] | what a file says |
//!
//! What was taken of a feed is kept in `feeds/` of the shop's folder: a file of which half has gone missing is more likely broken than
//! right, and an item that was in the feed and is no more can't be had.

pub mod offers;
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
use souk_common::ids::Digest;

use super::file::FeedSource;
use crate::folder::Folder;
use crate::interactions::manifest::FileStamp;
use offers::{FeedOffer, read_offers};

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
    known: Mutex<HashMap<FeedSource, KnownFeed>>,
}

#[derive(Clone)]
struct KnownFeed {
    seen: Seen,
    kept: Option<(Arc<KeptFeed>, Digest)>,
    told: Vec<String>,
}

#[derive(Clone, Copy, PartialEq)]
struct Seen {
    stamp: Option<FileStamp>,
    /// Sales begin and end.
    day: i64,
}

impl Feeds {
    /// Of the shop in `folder`.
    pub fn new(folder: Folder) -> Self {
        Self {
            folder,
            known: Mutex::default(),
        }
    }

    /// Looks whether these feeds have changed; what is in force of them, and its digest.
    pub fn look(&self, sources: &[FeedSource], now: Timestamp) -> (Vec<Arc<KeptFeed>>, Digest) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|source, _| sources.contains(source));
        for source in sources {
            let file = std::fs::metadata(self.folder.path().join(&source.path));
            let seen = Seen {
                stamp: file.as_ref().ok().map(FileStamp::of),
                day: now.0.div_euclid(MS_OF_A_DAY),
            };
            if known.get(source).is_none_or(|feed| feed.seen != seen) {
                let before = known.remove(source).and_then(|feed| feed.kept);
                let feed = self.read(source, file, before, seen, now);
                known.insert(source.clone(), feed);
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

    /// How each stands, by path.
    pub fn states(&self) -> Vec<FeedReport> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let mut states: Vec<FeedReport> = known
            .iter()
            .map(|(source, feed)| FeedReport {
                name: source.path.display().to_string(),
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
            .flat_map(|feed| feed.told.iter().cloned())
            .collect();
        told.sort();
        told
    }

    fn read(
        &self,
        source: &FeedSource,
        file: std::io::Result<Metadata>,
        before: Option<(Arc<KeptFeed>, Digest)>,
        seen: Seen,
        now: Timestamp,
    ) -> KnownFeed {
        let path = self.folder.path().join(&source.path);
        let shown = path.display();
        let name = Digest::of(source.path.to_string_lossy().as_bytes()).short();
        let kept_in = self.folder.feeds().join(format!("{name}.json"));
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
        let read = file.map_err(anyhow::Error::from).and_then(|file| {
            Ok((
                written(&file),
                read_offers(&path, source.currency.as_deref(), now)?,
            ))
        });
        let (written, offers) = match read {
            Ok(read) => read,
            Err(error) => {
                told.push(format!(
                    "the feed {shown} can't be used: {error:#}; {kept_as_it_was}"
                ));
                return KnownFeed {
                    seen,
                    kept: before,
                    told,
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
            };
        }
        let bytes = serde_json::to_vec(&feed).expect("a feed has a JSON form");
        let stored = self
            .folder
            .disk()
            .make_folder(&self.folder.feeds())
            .and_then(|()| self.folder.write_whole(&kept_in, &bytes, false));
        if let Err(error) = stored {
            told.push(format!(
                "{} can't be written, and a start will not know what was gone: {error}",
                kept_in.display()
            ));
        }
        KnownFeed {
            seen,
            kept: Some((Arc::new(feed), Digest::of(&bytes))),
            told,
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
