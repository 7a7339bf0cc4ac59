//! What a plan's rounds publish: a model, or what its releases say so far. One file each, which the manifest names.

mod releases;

use std::io::{self, Write};
use std::sync::Arc;

pub use releases::{Releases, ReleasesFileError};

use crate::catalogue::Catalogue;
use crate::features::Features;
use crate::ids::AttemptId;
use crate::model::file::{self, ModelFileError, ModelMeta};
use crate::model::init::initial_parameters;
use crate::model::layout::{Layout, Vocabulary};
use crate::params::NoiseMultiplier;
use crate::plan::{GridError, Plan};
use crate::release::schedule::{ReleaseKind, ScheduleError};
use crate::release::state::{NoisedSum, PublicParameters, Released, ReleasedError, coordinates};
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
#[derive(Clone, Debug)]
pub struct Learner {
    plan: Plan,
    layout: Layout,
    items: usize,
    features: Arc<Features>,
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
            plan: plan.clone(),
        }
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
        let before = round
            .checked_sub(1)
            .and_then(|before| self.plan.release_at(before));
        if releases.last.as_ref().map(|last| last.kind) != before {
            return Err(LearnedError::NotTheOneBefore { round });
        }
        match before {
            Some(ReleaseKind::Popularity) => self.verify(releases, &Releases::default()),
            _ => Ok(()),
        }
    }

    /// Makes the last release again from its own sum and what was published `before`, and compares.
    ///
    /// # Errors
    /// Which part is another.
    pub fn verify(&self, releases: &Releases, before: &Releases) -> Result<(), LearnedError> {
        let Some(last) = &releases.last else {
            return Ok(());
        };
        let is_last = self.plan.release_at(self.plan.rounds) == Some(last.kind);
        Ok(last.verify(before.last.as_deref(), is_last, &self.public())?)
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
        match self.plan.release_at(round) {
            None => self.layout.len(),
            Some(kind) => coordinates(kind, self.items, &self.features),
        }
    }

    /// Length of an update in bytes, by round; the last is that of all rounds that follow.
    pub fn update_bytes(&self) -> Vec<u64> {
        let rounds = 1..=self.plan.release.len().max(1) as u64;
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

    /// What the release of attempt `id` is, after those before.
    ///
    /// # Errors
    /// When the sum is none of this release's.
    pub fn release(
        &self,
        releases: &Releases,
        id: AttemptId,
        noise: Option<NoiseMultiplier>,
        sum: NoisedSum,
    ) -> Result<Releases, LearnedError> {
        let kind = self.plan.release_at(id.round).ok_or(LearnedError::NotThisPlan)?;
        let is_last = id.round >= self.plan.rounds;
        let last = Released::compute(kind, sum, releases.last.as_deref(), is_last, &self.public())?;
        let mut charged = releases.charged.clone();
        charged.extend(noise.map(|noise| (id, noise)));
        Ok(Releases {
            charged,
            last: Some(Box::new(last)),
        })
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
        match &releases.last {
            Some(last) if last.direction.len() != self.items => Err(LearnedError::NotThisPlan),
            _ => Ok(Learned::Releases(releases)),
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
    #[error("round {round} does not follow on what was published: that is not the release before it")]
    NotTheOneBefore {
        /// The round.
        round: u64,
    },
    /// A sum that makes no release.
    #[error(transparent)]
    Release(#[from] ReleasedError),
    /// Nothing is left of the budget.
    #[error(transparent)]
    Spent(#[from] ScheduleError),
    /// No grid holds the round.
    #[error(transparent)]
    Grid(#[from] GridError),
}
