//! What is still there, by the record's own word.

use souk_common::ids::Digest;
use souk_common::round::statements::Outcome;

use crate::store::{Entry, Keeping, KeepingModels};

/// What the record says, at its end, of what is kept.
#[derive(Default)]
pub(super) struct Kept {
    /// Where the last run began, or was gone back to.
    began: Option<u64>,
    plan: Option<Digest>,
    /// Of its rounds, if the record says so, and how many it has published.
    parts: Option<Keeping>,
    published: u64,
    /// Of all model versions, and how many there are.
    models: KeepingModels,
    versions: u64,
}

impl Kept {
    pub(super) fn take(&mut self, at: u64, entry: &Entry) {
        match entry {
            Entry::Began(manifest) => {
                self.plan = Some(manifest.body.plan);
                (self.began, self.parts, self.published) = (Some(at), None, 0);
                self.versions += 1;
            }
            Entry::RolledBack(manifest) if self.plan.is_some_and(|plan| plan != manifest.body.plan) => {
                // Another run's rounds, of which nothing was kept.
                let published = manifest.body.id.round;
                (self.began, self.parts, self.published) = (Some(at), None, published);
                self.plan = Some(manifest.body.plan);
                self.versions += 1;
            }
            Entry::RolledBack(_) | Entry::Grown(_) | Entry::Charged(_) => self.versions += 1,
            Entry::Ended(outcome) => {
                if let Outcome::Published(manifest) = &outcome.body {
                    self.published = manifest.id.round;
                    self.versions += 1;
                }
            }
            Entry::Keeping(said) => self.parts = Some(*said),
            Entry::KeepingModels(said) => self.models = *said,
            _ => {}
        }
    }

    /// Where the last run began in the record, and from which of its rounds on the parts are kept; none if the record does
    /// not say.
    pub(super) fn parts_since(&self) -> Option<(u64, u64)> {
        Some((self.began?, self.parts?.since(self.published)))
    }

    /// The first model version whose file is kept.
    pub(super) fn models_since(&self) -> usize {
        usize::try_from(self.models.since(self.versions)).unwrap_or(usize::MAX)
    }
}
