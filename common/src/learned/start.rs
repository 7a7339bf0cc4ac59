//! A run that begins with a version of another run, and a run that goes on over a grown catalogue.

use super::{Learned, LearnedError, Learner, Releases};
use crate::catalogue::Catalogue;
use crate::ids::Digest;
use crate::model::layout::{Layout, Vocabulary};
use crate::release::state::ReleasedError;
use crate::training::embeddings;
use crate::training::phases::TrainingKind;
use crate::transfer::carried::{CarriedModel, VersionName};
use crate::transfer::parameters::{Shape, transferred};
use crate::transfer::{Carried, ItemMap};

/// A published version, with all that tells what it says.
pub struct Version {
    /// Its run and round.
    pub name: VersionName,
    /// Its file.
    pub file: Digest,
    /// How its plan learns.
    pub learner: Learner,
    /// Its catalogue.
    pub catalogue: Catalogue,
    /// What it says.
    pub learned: Learned,
}

impl Version {
    /// What it says to a stack, over its own catalogue; versions that it carries itself come behind it.
    fn carried(&self) -> Result<Vec<Carried>, StartError> {
        let plan = self.learner.plan();
        let bare = Carried {
            of: self.name,
            file: self.file,
            items: self.catalogue.len(),
            popularity: None,
            forms: Vec::new(),
            tower: None,
            model: None,
        };
        let model = |params: &Vec<f32>| CarriedModel {
            model: plan.model.clone(),
            train: plan.train.clone(),
            params: params.clone(),
        };
        let releases = match &self.learned {
            Learned::Model(_) if self.name.round == Some(0) => {
                return Err(StartError::Untrained { version: self.name });
            }
            Learned::Model(params) => {
                let model = Some(model(params));
                return Ok(vec![Carried { model, ..bare }]);
            }
            Learned::Releases(releases) => releases,
        };
        let mut carried = Vec::new();
        if let Some(last) = &releases.last {
            let forms = last
                .forms(self.learner.features())
                .map_err(|error| LearnedError::from(ReleasedError::from(error)))?;
            let done = |kind| {
                self.learner
                    .done(releases)
                    .find(move |trained| trained.kind == kind)
            };
            carried.push(Carried {
                popularity: Some((last.popularity.values().to_vec(), last.popularity.noise_stddev())),
                forms: forms.forms,
                tower: done(TrainingKind::Tower).map(|trained| trained.params.clone()),
                model: done(TrainingKind::Model).map(|trained| model(&trained.params)),
                ..bare
            });
        }
        carried.extend(releases.carried.iter().cloned());
        match carried.is_empty() {
            true => Err(StartError::Untrained { version: self.name }),
            false => Ok(carried),
        }
    }

    /// The same in the items of `catalogue`.
    fn carried_to(&self, catalogue: &Catalogue) -> Result<(Vec<Carried>, Option<String>), StartError> {
        let items = ItemMap::new(&self.catalogue, catalogue);
        let carried = self.carried()?;
        let moved = carried
            .iter()
            .map(|one| one.moved((&self.catalogue, catalogue), &items));
        let other = items.kept() < items.len() || items.kept() < items.before();
        Ok((moved.collect(), other.then(|| items.words())))
    }
}

impl Learner {
    /// What a run of this plan begins with when it starts from one version, and others stand beside it; in words, what was done
    /// with what did not fit. Nothing is charged for it.
    ///
    /// A plan of releases carries all of them into every shop's stack, and a phase that trains its model starts from the first
    /// one's. A plan of a model starts from that version's model, or from its view of the items.
    ///
    /// # Errors
    /// When a version has learned nothing, or nothing that this plan could start from.
    pub fn started(
        &self,
        catalogue: &Catalogue,
        start: Option<&Version>,
        beside: &[Version],
    ) -> Result<(Learned, Vec<String>), StartError> {
        let mut notes = Vec::new();
        let mut carried: Vec<Carried> = Vec::new();
        for version in start.into_iter().chain(beside) {
            let (moved, note) = version.carried_to(catalogue)?;
            notes.extend(note.map(|note| format!("{}: {note}", version.name)));
            for one in moved {
                if carried.iter().all(|known| known.file != one.file) {
                    carried.push(one);
                }
            }
        }
        if self.plan.is_of_releases() {
            if let Some((params, said)) = start
                .and(carried.first())
                .and_then(|one| self.continued(one, catalogue))
                && self
                    .plan
                    .training
                    .iter()
                    .any(|phase| phase.kind == TrainingKind::Model)
            {
                debug_assert_eq!(params.len(), self.layout.len());
                notes.extend(said);
            }
            return Ok((
                Learned::Releases(Releases {
                    carried,
                    ..Releases::default()
                }),
                notes,
            ));
        }
        let Some((version, first)) = start.zip(carried.first()) else {
            return Ok((self.initial(), notes));
        };
        let (params, said) = self
            .continued(first, catalogue)
            .or_else(|| {
                let model = (&self.plan.model, &self.plan.train);
                let views = (!first.forms.is_empty()).then(|| first.views())?;
                let params = embeddings::initial(model, &self.layout, self.plan.seed, &views);
                Some((params, vec!["items begin at the released view V".to_owned()]))
            })
            .ok_or(StartError::NoVectors {
                version: version.name,
            })?;
        notes.extend(said);
        Ok((Learned::Model(params), notes))
    }

    /// Parameters of this plan's model from those that a carried version trained; none if it trained none.
    pub(super) fn continued(
        &self,
        carried: &Carried,
        catalogue: &Catalogue,
    ) -> Option<(Vec<f32>, Vec<String>)> {
        let from = carried.model.as_ref()?;
        let shape = |model| Shape { model, catalogue };
        let base = crate::model::init::initial_parameters(
            &self.plan.model,
            &self.plan.train,
            &self.layout,
            self.plan.seed,
        );
        Some(transferred(
            (shape(&from.model), &from.params),
            (shape(&self.plan.model), base),
            &ItemMap::new(catalogue, catalogue),
        ))
    }

    /// What was published over an older catalogue, over this one: every row goes by its item's id, new items are scored by what
    /// they are like. Nothing is charged, and no round is run. In words, what was done with what did not fit.
    ///
    /// # Errors
    /// When a plan of releases has rounds to come: these sum over the catalogue that they were begun with.
    pub fn grown(
        &self,
        catalogue: &Catalogue,
        before: &Version,
    ) -> Result<(Learned, Vec<String>), StartError> {
        let items = ItemMap::new(&before.catalogue, catalogue);
        match &before.learned {
            Learned::Model(params) => {
                let (from, to) = self.shapes(&before.catalogue, catalogue);
                let Learned::Model(base) = self.initial() else {
                    return Err(LearnedError::NotThisPlan.into());
                };
                let (params, notes) = transferred((from, params), (to, base), &items);
                Ok((Learned::Model(params), notes))
            }
            Learned::Releases(releases) => {
                let done = before.name.round.unwrap_or(0);
                if done < self.plan.rounds && releases.last.is_some() {
                    return Err(StartError::Unfinished {
                        done,
                        rounds: self.plan.rounds,
                    });
                }
                let (carried, _) = match releases.says_something() {
                    true => before.carried_to(catalogue)?,
                    false => (Vec::new(), None),
                };
                let grown = Releases {
                    charged: releases.charged.clone(),
                    last: None,
                    trained: Vec::new(),
                    carried,
                };
                Ok((Learned::Releases(grown), vec![items.words()]))
            }
        }
    }

    fn shapes<'a>(&'a self, before: &'a Catalogue, after: &'a Catalogue) -> (Shape<'a>, Shape<'a>) {
        let shape = |catalogue| Shape {
            model: &self.plan.model,
            catalogue,
        };
        debug_assert_eq!(
            Layout::new(&self.plan.model, &Vocabulary::from(after)),
            self.layout
        );
        (shape(before), shape(after))
    }
}

/// Why a run can't begin with a version, or can't go on over another catalogue.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Nothing was learned.
    #[error(
        "{version} has learned nothing that another run could start from; `souk-coordinator models list` shows what was published"
    )]
    Untrained {
        /// Which.
        version: VersionName,
    },
    /// Popularity alone.
    #[error(
        "{version} has neither a model nor a view of the items, which a plan of a model starts from; start from a later round, or from a run that has"
    )]
    NoVectors {
        /// Which.
        version: VersionName,
    },
    /// Rounds are to come.
    #[error(
        "a plan of releases goes on over the catalogue that it was begun with: {done} of {rounds} rounds are done; the new catalogue is taken in after the last one"
    )]
    Unfinished {
        /// Rounds published.
        done: u64,
        /// Rounds planned.
        rounds: u64,
    },
    /// What was published does not fit its own plan.
    #[error(transparent)]
    Learned(#[from] LearnedError),
}

#[cfg(test)]
mod tests;
