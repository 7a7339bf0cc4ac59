//! The files that manifests name: there, of the named bytes, and readable.

use serde::Deserialize;
use souk_common::catalogue::{Catalogue, CatalogueError};
use souk_common::format::FormatError;
use souk_common::learned::Learner;
use souk_common::plan::Plan;
use souk_common::round::statements::Manifest;

use super::Verifier;
use super::report::FILES;
use crate::store::StoreError;

impl Verifier<'_> {
    /// The files that a manifest names.
    pub(super) fn named(&mut self, manifest: &Manifest) {
        let blobs = [
            ("plan", manifest.plan),
            ("catalogue", manifest.catalogue),
            ("model", manifest.model),
        ];
        // An older version, and no newer one with the same file.
        let not_kept = self.said.len() < self.models_since && !self.store.files().contains(&manifest.model);
        for (what, digest) in blobs {
            let place = || format!("{what} of round {}: {}", manifest.id.round, digest.short());
            if what == "model" && not_kept {
                self.checks[FILES].not_kept(
                    place(),
                    "models of older versions are not kept (keep_models in coordinator.toml)",
                );
                continue;
            }
            let read = self.store.files().read(&digest);
            if let Ok(bytes) = &read
                && what != "model"
                && self.readable.insert(digest)
                && let Err(error) = is_readable(what, bytes)
            {
                match error {
                    Unreadable::Newer(error) => {
                        let path = place();
                        self.newer.get_or_insert(StoreError::Version { path, error });
                    }
                    Unreadable::Damaged(error) => {
                        self.checks[FILES].wrong.push(format!("{}: {error}", place()));
                    }
                }
            }
            self.checks[FILES].note(read.is_ok(), || {
                let error = read.err().map(|error| error.to_string()).unwrap_or_default();
                format!("{}: {error}", place())
            });
        }
    }

    /// A model that is kept is one of its plan, and finite.
    pub(super) fn sound(&mut self, manifest: &Manifest, plan: &Plan, catalogue: &Catalogue) {
        let learner = Learner::new(plan, catalogue);
        // Missing or damaged: told already.
        if let Ok(bytes) = self.store.files().read(&manifest.model)
            && let Err(error) = learner.decode(&bytes)
        {
            let round = manifest.id.round;
            let model = manifest.model.short();
            self.checks[FILES]
                .wrong
                .push(format!("model of round {round}: {model}: {error}"));
        }
    }

    /// What the files of a manifest say; none if one is missing or damaged, which is told already.
    pub(super) fn opened(&self, manifest: &Manifest) -> Option<(Plan, Catalogue)> {
        let plan = Plan::from_bytes(&self.store.files().read(&manifest.plan).ok()?).ok()?;
        let catalogue = Catalogue::from_bytes(&self.store.files().read(&manifest.catalogue).ok()?).ok()?;
        Some((plan, catalogue))
    }
}

enum Unreadable {
    Newer(FormatError),
    Damaged(String),
}

/// Whether these bytes are a plan, or a catalogue, that this program knows.
fn is_readable(what: &str, bytes: &[u8]) -> Result<(), Unreadable> {
    if what == "catalogue" {
        return match Catalogue::from_bytes(bytes) {
            Ok(_) => Ok(()),
            Err(CatalogueError::Format(error)) => Err(Unreadable::Newer(error)),
            Err(error) => Err(Unreadable::Damaged(error.to_string())),
        };
    }
    let Err(error) = Plan::from_bytes(bytes) else {
        return Ok(());
    };
    match serde_json::from_slice(bytes) {
        Ok(Versioned { format: found }) if found > PLAN_FORMAT => Err(Unreadable::Newer(FormatError {
            found,
            known: PLAN_FORMAT,
        })),
        _ => Err(Unreadable::Damaged(error.to_string())),
    }
}

#[derive(Deserialize)]
struct Versioned {
    format: u32,
}

const PLAN_FORMAT: u32 = 1;
