//! Files of model versions that are no longer kept go.
//!
//! The record says first how many are kept, so that a file that is gone by the operator's policy is told from one that was
//! deleted. Manifests stay: they are what the record is about, and a few hundred bytes each.

use std::collections::VecDeque;

use souk_common::clock::Timestamp;
use souk_common::ids::Digest;

use super::{Engine, EngineError, Settings};
use crate::store::{Entry, KeepingModels, Store, StoreError};

/// The versions whose files are kept.
pub(super) struct KeptModels {
    /// How many; 0: all.
    versions: u64,
    /// Number of the oldest.
    from: u64,
    /// The oldest first. Empty where all are kept: then nobody asks.
    digests: VecDeque<Digest>,
}

impl Settings {
    /// How many versions are kept: where parts of rounds are, the models that these began with too, or nobody could make
    /// the round again. 0: all.
    fn kept_versions(&self) -> u64 {
        match self.keep_models {
            0 => 0,
            models => models.max(self.keep_parts.saturating_add(1)),
        }
    }
}

impl KeptModels {
    /// Records how many versions are kept, if that is new, and removes the files of all others: of a policy before, and
    /// what a crash left.
    pub(super) fn only(now: Timestamp, store: &mut Store, settings: Settings) -> Result<Self, StoreError> {
        let versions = settings.kept_versions();
        let before = store.meta::<KeepingModels>(KEEPING)?.unwrap_or_default();
        if versions == 0 && before.versions == 0 {
            return Ok(Self {
                versions,
                from: before.from,
                digests: VecDeque::new(),
            });
        }
        // All that came before this one are gone.
        let from = store.meta::<u64>(FROM)?.unwrap_or(before.from);
        let mut digests = VecDeque::from(store.models_since(from)?);
        let count = from + digests.len() as u64;
        let keeping = match before.versions == versions {
            true => before,
            // More versions from now on bring none back.
            false => KeepingModels {
                versions,
                from: before.since(count),
            },
        };
        if keeping != before {
            store.change(|change| {
                change.set_meta(KEEPING, &keeping)?;
                change.append(now, Entry::KeepingModels(keeping)).map(drop)
            })?;
        }
        if versions == 0 {
            digests.clear();
        }
        let mut kept = Self {
            versions,
            from,
            digests,
        };
        kept.shorten(store)?;
        Ok(kept)
    }

    /// Takes in a new version.
    fn add(&mut self, store: &mut Store, model: Digest) -> Result<(), StoreError> {
        if self.versions > 0 {
            self.digests.push_back(model);
            self.shorten(store)?;
        }
        Ok(())
    }

    fn shorten(&mut self, store: &mut Store) -> Result<(), StoreError> {
        let before = self.from;
        while self.digests.len() as u64 > self.versions {
            let Some(old) = self.digests.pop_front() else {
                break;
            };
            self.from += 1;
            // A version that was rolled back to is a newer one, too.
            if !self.digests.contains(&old) {
                store.files().remove_for_good(&old)?;
            }
        }
        if self.from == before {
            return Ok(());
        }
        // After the files: a crash in between removes them once more.
        let from = self.from;
        store.change_lazily(|change| change.set_meta(FROM, &from))
    }
}

impl Engine {
    /// Removes the files that the newest model has pushed out.
    pub(super) fn forget_old_models(&mut self) -> Result<(), EngineError> {
        let newest = self.manifest.body.model;
        Ok(self.kept_models.add(&mut self.store, newest)?)
    }
}

const KEEPING: &str = "keeping_models";
const FROM: &str = "models_from";
