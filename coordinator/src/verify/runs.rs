//! What a run began with, and what became of it over another catalogue, made again.

use souk_common::ids::Digest;
use souk_common::learned::{Learned, Learner, Version};
use souk_common::model::file::ModelMeta;
use souk_common::round::statements::Manifest;
use souk_common::transfer::carried::VersionName;

use super::Verifier;
use super::report::{CHAIN, REPLAY};
use crate::engine::runs::{is_meant, number_of, opened, taught_in};

impl Verifier<'_> {
    /// The initial model follows from plan, catalogue, and the versions that the plan starts from.
    pub(super) fn initial(&mut self, manifest: &Manifest) {
        let Some((plan, catalogue)) = self.opened(manifest) else {
            return;
        };
        self.sound(manifest, &plan, &catalogue);
        let learner = Learner::new(&plan, &catalogue);
        let (mut start, mut beside) = (None, Vec::new());
        for (at, name) in plan.start.iter().chain(&plan.beside).enumerate() {
            let Some(source) = self.version(*name) else {
                self.checks[CHAIN]
                    .wrong
                    .push(format!("a run began with {name}, which the record does not have"));
                return;
            };
            let Ok(version) = opened(self.store, *name, &source) else {
                self.checks[REPLAY]
                    .not_kept(format!("the model that a run began with, from {name}"), NOT_KEPT);
                return;
            };
            match (at, plan.start) {
                (0, Some(_)) => start = Some(version),
                _ => beside.push(version),
            }
        }
        let parent = start.as_ref().map_or(Digest::ZERO, |version| version.file);
        self.checks[CHAIN].note(parent == manifest.parent, || {
            "a run did not begin with the version that its plan names".to_owned()
        });
        match learner.started(&catalogue, start.as_ref(), &beside) {
            Ok((learned, _)) => {
                let how = "the plan's seed and start make";
                self.made(manifest, (&learner, &learned, 0), how);
            }
            Err(error) => self.checks[REPLAY].wrong.push(error.to_string()),
        }
    }

    /// What was published before, over another catalogue.
    pub(super) fn grown(&mut self, manifest: &Manifest) {
        let before = self.run.manifest.clone();
        let follows = before.as_ref().filter(|before| {
            (before.model, before.plan, before.id.round)
                == (manifest.parent, manifest.plan, manifest.id.round)
        });
        self.checks[CHAIN].note(follows.is_some(), || {
            "a version over another catalogue does not follow from the one before".to_owned()
        });
        let (Some(before), Some((plan, catalogue))) = (follows, self.opened(manifest)) else {
            return;
        };
        let name = VersionName {
            run: number_of(&self.runs, &plan.digest()).unwrap_or(0),
            round: Some(before.id.round),
        };
        let Ok(version) = opened(self.store, name, before) else {
            self.checks[REPLAY].not_kept(
                format!("round {} over a new catalogue", before.id.round),
                NOT_KEPT,
            );
            return;
        };
        let learner = Learner::new(&plan, &catalogue);
        match learner.grown(&catalogue, &Version { name, ..version }) {
            Ok((learned, _)) => {
                let taught = taught_in(self.store, before);
                self.made(manifest, (&learner, &learned, taught), "the version before makes");
            }
            Err(error) => self.checks[REPLAY].wrong.push(error.to_string()),
        }
    }

    /// The model of a manifest is what was made again.
    fn made(&mut self, manifest: &Manifest, (learner, learned, round): (&Learner, &Learned, u64), how: &str) {
        let meta = ModelMeta {
            round,
            plan: manifest.plan,
        };
        let made = Digest::of(&learner.encode(learned, &meta));
        self.checks[REPLAY].note(made == manifest.model, || {
            format!(
                "{how} model {}, published was {}",
                made.short(),
                manifest.model.short()
            )
        });
    }

    /// The version of that name, as far as the record has been read.
    fn version(&self, name: VersionName) -> Option<Manifest> {
        let run = self.runs.get((name.run as usize).checked_sub(1)?)?;
        let meant = |manifest: &&Manifest| is_meant(name, &run.plan, manifest);
        self.versions.iter().rfind(meant).cloned()
    }

    /// An older model was made current again: with it, charges would be forgotten, unless it is the last one of another run.
    pub(super) fn rolled_back(&mut self, manifest: &Manifest) {
        let Some((plan, catalogue)) = self.opened(manifest) else {
            return;
        };
        let of_this_plan = |version: &&Manifest| version.plan == manifest.plan;
        let newest = self.versions.iter().rfind(of_this_plan);
        if plan.is_of_releases() && newest.is_none_or(|newest| newest.model != manifest.model) {
            self.checks[CHAIN]
                .wrong
                .push("releases were rolled back: that takes back what was charged".to_owned());
        }
        let same = |version: &Manifest| {
            (version.model, version.plan, version.catalogue)
                == (manifest.model, manifest.plan, manifest.catalogue)
        };
        if self.versions.iter().any(same) {
            return;
        }
        // From before the catalogue grew: made again from every version of that plan that is left.
        let learner = Learner::new(&plan, &catalogue);
        let name = VersionName {
            run: number_of(&self.runs, &manifest.plan).unwrap_or(0),
            round: Some(0),
        };
        let older = self
            .versions
            .iter()
            .filter(|version| version.plan == manifest.plan && version.catalogue != manifest.catalogue);
        let (mut made, mut gone) = (false, false);
        for version in older {
            let meta = ModelMeta {
                round: taught_in(self.store, version),
                plan: manifest.plan,
            };
            match opened(self.store, name, version) {
                Ok(version) => {
                    let grown = learner.grown(&catalogue, &version);
                    let digest = |learned| Digest::of(&learner.encode(&learned, &meta));
                    made |= grown.is_ok_and(|(learned, _)| digest(learned) == manifest.model);
                }
                Err(_) => gone = true,
            }
        }
        if gone && !made {
            self.checks[REPLAY].not_kept(
                format!("the model {} that was rolled back to", manifest.model.short()),
                NOT_KEPT,
            );
            return;
        }
        self.checks[CHAIN].note(made, || {
            format!(
                "the model {} was rolled back to, and never published",
                manifest.model.short()
            )
        });
    }
}

const NOT_KEPT: &str = "the version that it was made from is not kept (keep_models)";
