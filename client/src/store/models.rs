//! Models on disk: the one that the federation is at, and the one that lists are made by.
//!
//! They differ while a run has not taught anything yet: its initial model is random rows, so the last trained one goes on
//! making lists. A rollback to an initial model takes the trained one back: then the shop's own channels make them.

use std::io::ErrorKind;

use souk_common::model::file::round_of;
use souk_common::round::statements::Manifest;

use super::{FACTS, ModelWord, Store, StoreError, json};
use crate::participate::{Blob, BlobKind};

/// What lists rest on: a published model or release, and which round taught it.
#[derive(Clone, Debug, PartialEq)]
pub struct ServedModel {
    /// What the coordinator said of it.
    pub manifest: Manifest,
    /// The round that taught it: of a rollback, the round that was gone back to.
    pub round: u64,
}

impl Store {
    /// Makes a fetched model the one in use; it also makes the lists if it was taught anything. Keeps the one before and the
    /// one that makes lists, removes older ones.
    ///
    /// # Errors
    /// When it can't be stored, or the word names no model.
    pub fn use_model(&self, word: &ModelWord) -> Result<(), StoreError> {
        let manifest = word.manifest().ok_or(StoreError::NoModel)?;
        let before = self.current_model()?;
        let served = match self.round_taught(manifest)? {
            Some(_) => Some(word.clone()),
            None if manifest.id.round > 0 => None,
            None => self.served_word()?,
        };
        let [_, catalogue, _] = blobs_of(manifest);
        let bytes = self
            .folder
            .disk()
            .read(&self.folder.blob(&catalogue))
            .map_err(StoreError::Blob)?;
        self.folder
            .write_whole(&self.folder.catalogue(), &bytes, false)
            .map_err(StoreError::Blob)?;
        let write = self.db.begin_write()?;
        {
            let mut facts = write.open_table(FACTS)?;
            facts.insert("model", json(word).as_slice())?;
            facts.insert("served", json(&served).as_slice())?;
        }
        write.commit()?;
        let served = served.as_ref().and_then(ModelWord::manifest);
        self.prune_models([Some(manifest), before.as_ref(), served]);
        Ok(())
    }

    /// What the coordinator signed about the model in use.
    ///
    /// # Errors
    /// When the store is damaged.
    pub fn model_word(&self) -> Result<Option<ModelWord>, StoreError> {
        self.fact("model")
    }

    /// The manifest of the model in use.
    ///
    /// # Errors
    /// When the store is damaged.
    pub fn current_model(&self) -> Result<Option<Manifest>, StoreError> {
        Ok(self.model_word()?.and_then(|word| word.manifest().cloned()))
    }

    /// The model or release that lists are made by: the last one that was taught anything. None before the first, or after a
    /// rollback to an initial model: then the shop's own channels make lists.
    ///
    /// # Errors
    /// When the store is damaged, or the model's file can't be read.
    pub fn served_model(&self) -> Result<Option<ServedModel>, StoreError> {
        let Some(manifest) = self.served_word()?.and_then(|word| word.manifest().cloned()) else {
            return Ok(None);
        };
        let round = self.round_taught(&manifest)?;
        Ok(round.map(|round| ServedModel { manifest, round }))
    }

    /// A store of before knows the model in use only.
    fn served_word(&self) -> Result<Option<ModelWord>, StoreError> {
        match self.fact::<Option<ModelWord>>("served")? {
            Some(served) => Ok(served),
            None => self.model_word(),
        }
    }

    /// The round that taught the model of this manifest; none of an initial one, also when a rollback made it current again.
    fn round_taught(&self, manifest: &Manifest) -> Result<Option<u64>, StoreError> {
        let [_, _, model] = blobs_of(manifest);
        let said = Some(manifest.id.round);
        if said == Some(0) {
            return Ok(None);
        }
        match self.folder.disk().read(&self.folder.blob(&model)) {
            // Releases say nothing of a round, and are never gone back to.
            Ok(bytes) => Ok(round_of(&bytes).map_or(said, |round| (round > 0).then_some(round))),
            // Whoever makes lists by it says what to do.
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(said),
            Err(error) => Err(StoreError::Blob(error)),
        }
    }

    /// Whether all files of the model in use are there: a folder that was put back from a backup may lack them.
    pub(super) fn has_files_of(&self, manifest: &Manifest) -> bool {
        let is_there = |blob: &Blob| self.folder.disk().is_file(&self.folder.blob(blob));
        blobs_of(manifest).iter().all(is_there)
    }

    fn prune_models(&self, kept: [Option<&Manifest>; 3]) {
        let kept = kept.map(|manifest| {
            manifest.map(|manifest| {
                self.folder.blob(&Blob {
                    kind: BlobKind::Model,
                    digest: manifest.model,
                })
            })
        });
        let models = self.folder.path().join("models");
        for path in self.folder.disk().list(&models).into_iter().flatten() {
            let is_model = path.extension().is_some_and(|ending| ending == "safetensors");
            if is_model && !kept.iter().flatten().any(|keep| *keep == path) {
                self.remove(&path);
            }
        }
    }
}

/// Plan, catalogue and model of a manifest.
pub fn blobs_of(manifest: &Manifest) -> [Blob; 3] {
    Blob::all(manifest.plan, manifest.catalogue, manifest.model)
}

/// The model files that a copy of the store needs: plan, catalogue and model of what is in use and of what makes lists.
pub(crate) fn needed(store: &Store) -> Result<Vec<Blob>, StoreError> {
    let served = store.served_model()?.map(|served| served.manifest);
    let mut blobs: Vec<Blob> = [store.current_model()?, served]
        .iter()
        .flatten()
        .flat_map(blobs_of)
        .collect();
    blobs.sort_unstable();
    blobs.dedup();
    Ok(blobs)
}
