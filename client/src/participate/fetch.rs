//! The part of the machine that wants plans, catalogues and models, and has them fetched.

use std::collections::BTreeSet;

use souk_common::clock::Timestamp;
use souk_common::round::statements::{DeclineCode, Manifest};

use super::events::{Blob, Effect, Note};
use super::machine::{Attempt, LONGEST_BACKOFF, Machine, RETRY_AFTER, Stage};

impl Machine {
    pub(super) fn handle_blob(&mut self, blob: Blob) -> Vec<Effect> {
        self.fetching.remove(&blob);
        self.failed.remove(&blob);
        let mut effects = Vec::new();
        if let Some((_, missing)) = &mut self.wanted {
            missing.remove(&blob);
        }
        if let Some((manifest, _)) = self.wanted.take_if(|(_, missing)| missing.is_empty()) {
            self.memory.model = Some(manifest.model);
            effects.push(Effect::UseModel(manifest.clone()));
            effects.push(Effect::Report(Note::Model(manifest)));
            effects.extend(self.finish_if_complete());
        }
        if let Some(Attempt {
            announcement, stage, ..
        }) = &mut self.current
            && let Stage::Fetching(missing) = stage
        {
            missing.remove(&blob);
            if missing.is_empty() {
                *stage = Stage::Considering;
                effects.push(Effect::Consider(announcement.clone()));
            }
        }
        effects
    }

    pub(super) fn handle_blob_failed(&mut self, now: Timestamp, blob: Blob) -> Vec<Effect> {
        let wanted = self
            .wanted
            .as_ref()
            .is_some_and(|(_, missing)| missing.contains(&blob));
        let needed = matches!(&self.current, Some(Attempt { stage: Stage::Fetching(missing), .. }) if missing.contains(&blob));
        if !self.fetching.contains(&blob) {
            return Vec::new();
        }
        let failed = self.failed.entry(blob).or_default();
        *failed += 1;
        let (failed, mut effects) = (*failed, Vec::new());
        let given_up = needed && failed >= MOST_FETCHES;
        if let Some(current) = self.current.take_if(|_| given_up) {
            // Nobody shall wait for a shop that can't begin.
            effects.extend(self.decline(current.key(), DeclineCode::NotFetched));
        }
        if wanted || (needed && !given_up) {
            let span = if failed < MOST_FETCHES {
                RETRY_AFTER
            } else {
                LONGEST_BACKOFF
            };
            effects.push(Effect::Fetch { blob, at: now + span });
        } else {
            self.fetching.remove(&blob);
            self.failed.remove(&blob);
        }
        effects
    }

    pub(super) fn want(&mut self, now: Timestamp, manifest: Manifest) -> Vec<Effect> {
        let mut effects = Vec::new();
        if self.memory.model == Some(manifest.model) {
            self.wanted = None;
            return self.finish_if_complete();
        }
        let missing = BTreeSet::from(Blob::all(manifest.plan, manifest.catalogue, manifest.model));
        self.fetch(now, &missing, &mut effects);
        self.wanted = Some((manifest, missing));
        effects
    }

    pub(super) fn fetch(&mut self, at: Timestamp, missing: &BTreeSet<Blob>, effects: &mut Vec<Effect>) {
        for blob in missing {
            if self.fetching.insert(*blob) {
                effects.push(Effect::Fetch { blob: *blob, at });
            }
        }
    }
}

/// Tries at a blob over a connection that stands, before the shop declines for the lack of it.
const MOST_FETCHES: u32 = 5;
