//! What was learned, as channels of a stack.

use std::sync::Arc;

use super::{LearnedError, Learner, Releases};
use crate::channels::{Channels, content};
use crate::ids::Digest;
use crate::release::state::{Released, ReleasedError};
use crate::training::channels::{ModelChannel, TowerChannel};
use crate::training::clicks::inputs::ClickInputs;
use crate::training::clicks::tower::ClickTower;
use crate::training::inputs::TowerInputs;
use crate::training::phases::TrainingKind;
use crate::training::tower::Tower;
use crate::training::trained::Trained;
use crate::transfer::Carried;

impl Learner {
    /// The phases that came to their end: what is half trained is not used.
    pub(super) fn done<'a>(&'a self, releases: &'a Releases) -> impl Iterator<Item = &'a Trained> {
        let phases = self.plan.training.iter().zip(&releases.trained);
        let done = phases.filter(|(phase, trained)| trained.state.steps >= phase.rounds);
        done.map(|(_, trained)| trained)
    }

    /// Changes when [`Self::channels`] do.
    pub fn channels_digest(&self, releases: &Releases) -> Digest {
        let last = releases.last.as_ref().map_or(Digest::ZERO, |last| last.digest());
        let mut bytes = last.0.to_vec();
        bytes.extend(self.done(releases).flat_map(Trained::to_bytes));
        bytes.extend(releases.carried.iter().flat_map(Carried::to_bytes));
        Digest::of(&bytes)
    }

    /// The channels of all shops: the release's, and those of the training that came to its end.
    ///
    /// # Errors
    /// When the releases are of another plan or catalogue.
    pub fn channels(&self, releases: &Releases) -> Result<Channels, LearnedError> {
        let carried = self.carried_channels(releases)?;
        let Some(last) = &releases.last else {
            return Ok(carried);
        };
        let mut channels = last.channels(&self.features).map_err(ReleasedError::from)?;
        for trained in self.done(releases) {
            match trained.kind {
                TrainingKind::Model => {
                    let recommender = self.recommender().ok_or(LearnedError::NotThisPlan)?;
                    if trained.params.len() != recommender.layout().len() {
                        return Err(LearnedError::NotThisPlan);
                    }
                    let model = recommender.load(trained.params.clone());
                    channels.push(Arc::new(ModelChannel::new(Arc::new(model))));
                }
                TrainingKind::Tower => {
                    let tower =
                        Tower::from_params(trained.params.clone()).ok_or(LearnedError::NotThisPlan)?;
                    let inputs = self.inputs(last)?;
                    channels.push(Arc::new(TowerChannel::new(tower, inputs)));
                }
                // It ranks ads, not what customers buy.
                TrainingKind::Clicks => {}
            }
        }
        channels.extend(carried);
        Ok(channels)
    }

    /// What a tower over this release is fed.
    ///
    /// # Errors
    /// When the release is of another catalogue.
    pub fn inputs(&self, last: &Released) -> Result<TowerInputs, LearnedError> {
        let federated = last.channels(&self.features).map_err(ReleasedError::from)?;
        let forms = last.forms(&self.features).map_err(ReleasedError::from)?;
        Ok(TowerInputs::new(self.content(), &federated, &forms, self.items))
    }

    /// What a click tower is fed.
    ///
    /// # Errors
    /// When the plan is not of releases.
    pub fn click_inputs(&self) -> Result<ClickInputs, LearnedError> {
        let catalogue = self.catalogue.as_ref().ok_or(LearnedError::NotThisPlan)?;
        Ok(ClickInputs::new(catalogue))
    }

    /// The click tower, once its training has come to its end.
    ///
    /// # Errors
    /// When it is of another plan.
    pub fn click_tower(&self, releases: &Releases) -> Result<Option<ClickTower>, LearnedError> {
        let clicks = self
            .done(releases)
            .find(|trained| trained.kind == TrainingKind::Clicks);
        clicks
            .map(|trained| ClickTower::from_params(trained.params.clone()).ok_or(LearnedError::NotThisPlan))
            .transpose()
    }

    fn content(&self) -> &Channels {
        self.content.get_or_init(|| content::channels(&self.features))
    }

    /// Channels of the versions that stand beside the run.
    pub(super) fn carried_channels(&self, releases: &Releases) -> Result<Channels, LearnedError> {
        let mut channels = Channels::new();
        for carried in &releases.carried {
            let catalogue = self.catalogue.as_ref().ok_or(LearnedError::NotThisPlan)?;
            channels.extend(carried.channels((catalogue, &self.features), self.content())?);
        }
        Ok(channels)
    }
}
