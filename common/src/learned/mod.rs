//! What a plan's rounds publish: a model, or what its releases say so far. One file each, which the manifest names.

mod channels;
mod releases;
mod start;

use std::io::{self, Write};
use std::sync::{Arc, OnceLock};

pub use releases::{Releases, ReleasesFileError};
pub use start::{StartError, Version};

use crate::catalogue::Catalogue;
use crate::channels::Channels;
use crate::features::Features;
use crate::ids::AttemptId;
use crate::model::Recommender;
use crate::model::file::{self, ModelFileError, ModelMeta};
use crate::model::init::initial_parameters;
use crate::model::layout::{Layout, Vocabulary};
use crate::params::NoiseMultiplier;
use crate::plan::{GridError, Plan, RoundKind};
use crate::release::schedule::{ReleaseKind, ScheduleError};
use crate::release::state::{NoisedSum, PublicParameters, Released, ReleasedError, coordinates};
use crate::training::clicks::tower::ClickTower;
use crate::training::embeddings;
use crate::training::phases::{TrainingKind, TrainingPhase};
use crate::training::tower::Tower;
use crate::training::trained::{Trained, TrainedError};
use crate::transfer::{Carried, CarriedError};
use crate::update::Grid;

/// What was published last, in memory.
#[derive(Clone, Debug, PartialEq)]
pub enum Learned {
    /// The parameters of a model, in its layout.
    Model(Vec<f32>),
    /// Of a plan of releases.
    Releases(Releases),
}

impl Learned {
    /// z of the attempts that were charged so far; only of releases.
    pub fn charged(&self) -> Vec<NoiseMultiplier> {
        match self {
            Self::Model(_) => Vec::new(),
            Self::Releases(releases) => releases.noise(),
        }
    }
}

/// How a plan over a catalogue learns: shapes, files, what it begins with, and what comes of a release's sum.
#[derive(Clone)]
pub struct Learner {
    plan: Plan,
    layout: Layout,
    items: usize,
    features: Arc<Features>,
    /// Of a plan of releases.
    catalogue: Option<Arc<Catalogue>>,
    /// Of a plan one of whose phases trains its model.
    recommender: Option<Arc<Recommender>>,
    /// Made when a tower is fed.
    content: Arc<OnceLock<Channels>>,
}

impl Learner {
    /// Of `plan` over `catalogue`.
    pub fn new(plan: &Plan, catalogue: &Catalogue) -> Self {
        Self {
            layout: Layout::new(&plan.model, &Vocabulary::from(catalogue)),
            items: catalogue.len(),
            features: Arc::new(match plan.is_of_releases() {
                true => Features::of(catalogue),
                false => Features::default(),
            }),
            catalogue: plan.is_of_releases().then(|| Arc::new(catalogue.clone())),
            recommender: plan
                .training
                .iter()
                .any(|phase| phase.kind == TrainingKind::Model)
                .then(|| Recommender::new(&plan.model, &plan.train, catalogue)),
            content: Arc::default(),
            plan: plan.clone(),
        }
    }

    /// With the catalogue's content channels, where they are made already.
    pub fn with_content(self, content: Channels) -> Self {
        let content = Arc::new(OnceLock::from(content));
        Self { content, ..self }
    }

    /// The recommender that a phase trains; none if no phase does.
    pub fn recommender(&self) -> Option<&Arc<Recommender>> {
        self.recommender.as_ref()
    }

    /// The plan.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// The items' features; none in a plan that trains a model.
    pub fn features(&self) -> &Arc<Features> {
        &self.features
    }

    /// How many items the catalogue has.
    pub fn items(&self) -> usize {
        self.items
    }

    /// What [`Self::round`] needs to know of what was published: all of releases, nothing of a model, whose file is not read.
    ///
    /// # Errors
    /// As [`Self::decode`], and that of `read`.
    pub fn known<E: From<LearnedError>>(
        &self,
        read: impl FnOnce() -> Result<Vec<u8>, E>,
    ) -> Result<Learned, E> {
        match self.plan.is_of_releases() {
            true => Ok(self.decode(&read()?)?),
            false => Ok(Learned::Model(Vec::new())),
        }
    }

    /// Refuses what `round` can't follow on: another release than the one before it, or a first release that is not what its
    /// own sum makes, so that p, v0 or the map were changed behind it. Later ones follow from it, and are checked by whoever
    /// has the record.
    ///
    /// # Errors
    /// Which part it is.
    pub fn check(&self, learned: &Learned, round: u64) -> Result<(), LearnedError> {
        let Learned::Releases(releases) = learned else {
            return Ok(());
        };
        let last = releases.last.as_ref().map(|last| last.kind);
        let expected = match self.plan.kind_at(round) {
            Some(RoundKind::Training { phase, step }) => {
                let fits = self.plan.training[..=phase].iter().zip(0..).all(|(terms, at)| {
                    let steps = if at < phase { terms.rounds } else { step };
                    releases.trained.get(at).is_some_and(|trained| {
                        (trained.kind, trained.state.steps) == (terms.kind, steps)
                            && trained.params.len() == self.parameters(terms)
                    })
                });
                if !fits || releases.trained.len() != phase + 1 {
                    return Err(LearnedError::NotTheOneBefore { round });
                }
                self.last_release()
            }
            _ => round
                .checked_sub(1)
                .and_then(|before| self.plan.release_at(before)),
        };
        if last != expected {
            return Err(LearnedError::NotTheOneBefore { round });
        }
        match last {
            Some(ReleaseKind::Popularity) => {
                let public = self.public();
                let is_last = self.last_release() == last;
                releases
                    .last
                    .as_ref()
                    .map_or(Ok(()), |last| Ok(last.verify(None, is_last, &public)?))
            }
            _ => Ok(()),
        }
    }

    /// Makes the last release, or the last step of training, again from its own sum and what was published `before`, and compares.
    ///
    /// # Errors
    /// Which part is another.
    pub fn verify(&self, releases: &Releases, before: &Releases) -> Result<(), LearnedError> {
        let Some(last) = &releases.last else {
            return Ok(());
        };
        if releases.steps() > before.steps() {
            let again = self.stepped(before, || {
                let sum = releases
                    .trained
                    .iter()
                    .rev()
                    .find_map(|trained| trained.sum.clone());
                sum.ok_or(LearnedError::NotThisPlan)
            })?;
            let kept = before.last == releases.last && before.carried == releases.carried;
            return match again.trained == releases.trained && kept {
                true => Ok(()),
                false => Err(LearnedError::OtherStep),
            };
        }
        if releases.carried != before.carried {
            return Err(LearnedError::OtherCarried);
        }
        let is_last = self.last_release() == Some(last.kind);
        last.verify(before.last.as_deref(), is_last, &self.public())?;
        let begun = match is_last {
            true => self.begun(last, Vec::new(), &releases.carried)?,
            false => Vec::new(),
        };
        match begun == releases.trained {
            true => Ok(()),
            false => Err(LearnedError::OtherStep),
        }
    }

    /// The last kind that the plan releases.
    fn last_release(&self) -> Option<ReleaseKind> {
        self.plan.release.last().map(|release| release.kind)
    }

    /// How many parameters a phase trains.
    fn parameters(&self, phase: &TrainingPhase) -> usize {
        match phase.kind {
            TrainingKind::Model => self.layout.len(),
            TrainingKind::Tower => Tower::len_of(phase.hidden),
            TrainingKind::Clicks => ClickTower::len_of(phase.hidden),
        }
    }

    /// With the next phase of training, about to begin, if there is one.
    fn begun(
        &self,
        last: &Released,
        mut trained: Vec<Trained>,
        carried: &[Carried],
    ) -> Result<Vec<Trained>, LearnedError> {
        let Some(phase) = self.plan.training.get(trained.len()) else {
            return Ok(trained);
        };
        let params = match phase.kind {
            TrainingKind::Model => {
                let forms = last.forms(&self.features).map_err(ReleasedError::from)?;
                let model = (&self.plan.model, &self.plan.train);
                let started = self.plan.start.and(carried.first());
                match started
                    .zip(self.catalogue.as_ref())
                    .and_then(|(started, catalogue)| self.continued(started, catalogue))
                {
                    Some((params, _)) => params,
                    None => embeddings::initial(model, &self.layout, self.plan.seed, &forms),
                }
            }
            TrainingKind::Tower => Tower::initial(phase.hidden, self.plan.seed).params().to_vec(),
            TrainingKind::Clicks => ClickTower::initial(phase.hidden, self.plan.seed)
                .params()
                .to_vec(),
        };
        trained.push(Trained::initial(phase, &self.plan.server, params));
        Ok(trained)
    }

    /// What was published before, and one step of training more.
    fn stepped(
        &self,
        before: &Releases,
        sum: impl FnOnce() -> Result<NoisedSum, LearnedError>,
    ) -> Result<Releases, LearnedError> {
        let last = before.last.as_ref().ok_or(LearnedError::NotThisPlan)?;
        let mut trained = before.trained.clone();
        let here = trained.pop().ok_or(LearnedError::NotThisPlan)?;
        let phase = self
            .plan
            .training
            .get(trained.len())
            .ok_or(LearnedError::NotThisPlan)?;
        let customers: f64 = self
            .plan
            .shops
            .iter()
            .map(|terms| terms.declared_users as f64)
            .sum();
        let next = here.step(phase, &self.plan.server, customers, sum()?)?;
        let is_done = next.state.steps >= phase.rounds;
        trained.push(next);
        Ok(Releases {
            charged: before.charged.clone(),
            last: Some(last.clone()),
            trained: if is_done {
                self.begun(last, trained, &before.carried)?
            } else {
                trained
            },
            carried: before.carried.clone(),
        })
    }

    /// The plan as it is for the round that follows on `learned`, and its grid.
    ///
    /// # Errors
    /// When nothing is left of the budget of its releases, or no grid holds the round.
    pub fn round(&self, learned: &Learned, round: u64) -> Result<(Plan, Grid), LearnedError> {
        let plan = self.plan.for_round(round, &learned.charged())?;
        let grid = plan.grid(self.coordinates(round))?;
        Ok((plan, grid))
    }

    /// Coordinates of what `round`, from 1, sums before its counts.
    pub fn coordinates(&self, round: u64) -> usize {
        match self.plan.kind_at(round) {
            None => self.layout.len(),
            Some(RoundKind::Release(kind)) => coordinates(kind, self.items, &self.features),
            Some(RoundKind::Training { phase, .. }) => self.parameters(&self.plan.training[phase]),
        }
    }

    /// Length of an update in bytes, by round; the last is that of all rounds that follow.
    pub fn update_bytes(&self) -> Vec<u64> {
        let releases = self.plan.release.len() as u64;
        let phases = self.plan.training.split_last().map_or(0, |(_, before)| {
            before.iter().map(|phase| phase.rounds).sum::<u64>() + 1
        });
        let rounds = 1..=(releases + phases).max(1);
        rounds
            .map(|round| self.plan.update_bytes(self.coordinates(round)))
            .collect()
    }

    /// What a run begins with.
    pub fn initial(&self) -> Learned {
        let plan = &self.plan;
        match plan.is_of_releases() {
            true => Learned::Releases(Releases::default()),
            false => Learned::Model(initial_parameters(
                &plan.model,
                &plan.train,
                &self.layout,
                plan.seed,
            )),
        }
    }

    /// What comes of the sum of attempt `id`, a release's or a step's of training, after what was released before.
    ///
    /// # Errors
    /// When the sum is none of this round's.
    pub fn release(
        &self,
        releases: &Releases,
        id: AttemptId,
        noise: Option<NoiseMultiplier>,
        sum: NoisedSum,
    ) -> Result<Releases, LearnedError> {
        let mut next = match self.plan.kind_at(id.round).ok_or(LearnedError::NotThisPlan)? {
            RoundKind::Training { .. } => self.stepped(releases, || Ok(sum))?,
            RoundKind::Release(kind) => {
                let is_last = self.last_release() == Some(kind);
                let last = Released::compute(kind, sum, releases.last.as_deref(), is_last, &self.public())?;
                let trained = if is_last {
                    self.begun(&last, Vec::new(), &releases.carried)?
                } else {
                    Vec::new()
                };
                Releases {
                    charged: releases.charged.clone(),
                    last: Some(Box::new(last)),
                    trained,
                    carried: releases.carried.clone(),
                }
            }
        };
        next.charge(id, noise);
        Ok(next)
    }

    fn public(&self) -> PublicParameters<'_> {
        PublicParameters {
            features: &self.features,
            items: self.items,
            seed: self.plan.seed,
        }
    }

    /// Writes the file of `learned`, a piece at a time.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn write(&self, out: &mut impl Write, learned: &Learned, meta: &ModelMeta) -> io::Result<()> {
        match learned {
            Learned::Model(params) => file::write(out, params, &self.layout, meta),
            Learned::Releases(releases) => out.write_all(&releases.to_bytes()),
        }
    }

    /// The file of `learned`.
    pub fn encode(&self, learned: &Learned, meta: &ModelMeta) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.write(&mut bytes, learned, meta)
            .expect("a vector takes all bytes");
        bytes
    }

    /// Reads what [`Self::write`] wrote.
    ///
    /// # Errors
    /// When it is no such file of this plan, or has numbers that are not finite.
    pub fn decode(&self, bytes: &[u8]) -> Result<Learned, LearnedError> {
        if !self.plan.is_of_releases() {
            return Ok(Learned::Model(file::decode(bytes, &self.layout)?.0));
        }
        let releases = Releases::from_bytes(bytes)?;
        let fits = releases
            .last
            .as_ref()
            .is_none_or(|last| last.direction.len() == self.items)
            && releases.carried.iter().all(|carried| carried.items == self.items);
        match fits {
            true => Ok(Learned::Releases(releases)),
            false => Err(LearnedError::NotThisPlan),
        }
    }

    /// Refuses what has numbers that are not finite.
    ///
    /// # Errors
    /// With the first one's tensor and index.
    pub fn finite(&self, learned: &Learned) -> Result<(), LearnedError> {
        match learned {
            Learned::Model(params) => Ok(file::finite(params, &self.layout)?),
            // Integers, and what their file is refused for.
            Learned::Releases(_) => Ok(()),
        }
    }
}

/// Why bytes, or numbers, are nothing that a plan's rounds publish; or why there is no further round.
#[derive(Debug, thiserror::Error)]
pub enum LearnedError {
    /// No model of the plan.
    #[error(transparent)]
    Model(#[from] ModelFileError),
    /// No releases.
    #[error(transparent)]
    File(#[from] ReleasesFileError),
    /// Of another plan or catalogue.
    #[error("the releases are of another plan or catalogue")]
    NotThisPlan,
    /// A round is to follow on something that is not the release before it.
    #[error(
        "round {round} does not follow on what was published: that is not the release before it, nor the step"
    )]
    NotTheOneBefore {
        /// The round.
        round: u64,
    },
    /// A sum that makes no release.
    #[error(transparent)]
    Release(#[from] ReleasedError),
    /// A sum that makes no step.
    #[error(transparent)]
    Trained(#[from] TrainedError),
    /// Published parameters that the sums do not make.
    #[error("the published training is not what the sum of its last step makes")]
    OtherStep,
    /// Versions that stand beside the run are other ones than before.
    #[error("the versions that the plan carries are not the ones it began with")]
    OtherCarried,
    /// A carried version that does not fit.
    #[error(transparent)]
    Carried(#[from] CarriedError),
    /// Nothing is left of the budget.
    #[error(transparent)]
    Spent(#[from] ScheduleError),
    /// No grid holds the round.
    #[error(transparent)]
    Grid(#[from] GridError),
}
