//! What a stack is fitted to: the shop's histories, the catalogue, and what was released last.

use std::sync::Arc;

use anyhow::{Context, ensure};
use souk_common::accountant::{Relation, SampledGaussian, gaussian};
use souk_common::catalogue::Catalogue;
use souk_common::channels::Channels;
use souk_common::dataset::Dataset;
use souk_common::ids::Digest;
use souk_common::learned::{Learner, Releases};
use souk_common::params::SamplingRate;
use souk_common::plan::Plan;

/// What a stack is fitted to.
#[derive(Clone)]
pub struct Sources {
    /// Whose items are scored.
    pub catalogue: Arc<Catalogue>,
    /// Its digest.
    pub catalogue_digest: Digest,
    /// The shop's users.
    pub dataset: Arc<Dataset>,
    /// Its digest, by [`digest_of`].
    pub data_digest: Digest,
    /// The last release; none before the first.
    pub release: Option<Arc<Release>>,
}

/// What the rounds of a plan of releases have published.
pub struct Release {
    /// How its plan learns.
    pub learner: Learner,
    /// What it says.
    pub releases: Releases,
    /// Epsilon of its plan at the plan's delta; none: without noise.
    pub epsilon: Option<f64>,
}

impl Sources {
    /// Changes when a stack has to be fitted anew.
    pub fn key(&self) -> Digest {
        let release = self.release.as_ref().map_or(Digest::ZERO, |release| {
            release.learner.channels_digest(&release.releases)
        });
        let mut bytes = RECIPE.to_vec();
        for digest in [self.data_digest, self.catalogue_digest, release] {
            bytes.extend(digest.0);
        }
        Digest::of(&bytes)
    }

    pub(super) fn epsilon(&self) -> Option<f64> {
        self.release.as_ref()?.epsilon
    }

    /// The channels of all shops; none before the first release. `content` are those of the catalogue.
    pub(super) fn federated(&self, content: &Channels) -> anyhow::Result<Channels> {
        let Some(release) = &self.release else {
            return Ok(Channels::new());
        };
        let (of, items) = (release.learner.items(), self.catalogue.len());
        ensure!(
            of == items,
            "the last release does not fit the catalogue: it is of {of} items, the catalogue of {items}"
        );
        let learner = release.learner.clone().with_content(content.clone());
        let channels = learner.channels(&release.releases);
        channels.context("what was released does not fit its own plan")
    }
}

/// Epsilon of a plan of releases, at its own delta; none if it is without noise.
pub fn epsilon_of(plan: &Plan) -> Option<f64> {
    let noise_multiplier = plan.privacy.noise_multiplier.filter(|_| plan.privacy.enabled)?;
    // Of all its releases together, with every user in each.
    let all = SampledGaussian {
        noise_multiplier,
        sampling_rate: SamplingRate::new(1.0).ok()?,
    };
    Some(gaussian::epsilon(
        &[(all, 1)],
        plan.privacy.delta,
        Relation::AddRemove,
    ))
}

/// Of users and histories, not of the files they came from: a file that was merely touched changes nothing.
pub fn digest_of(dataset: &Dataset) -> Digest {
    let mut bytes = Vec::with_capacity(16 * dataset.len() + 12 * dataset.pairs());
    for (user, history) in dataset.users.iter().zip(&dataset.histories) {
        bytes.extend((user.len() as u64).to_le_bytes());
        bytes.extend(user.as_bytes());
        bytes.extend((history.len() as u64).to_le_bytes());
        bytes.extend(history.items.iter().flat_map(|item| item.to_le_bytes()));
        bytes.extend(history.times.iter().flat_map(|time| time.to_le_bytes()));
    }
    // Nothing where nobody said anything: digests stay what they were.
    for labelled in &dataset.labelled {
        bytes.extend((labelled.len() as u64).to_le_bytes());
        bytes.extend(labelled.items.iter().flat_map(|item| item.to_le_bytes()));
        bytes.extend(labelled.labels.iter().flat_map(|label| label.to_le_bytes()));
    }
    Digest::of(&bytes)
}

/// Of the way stacks are fitted: another number fits all of them anew.
const RECIPE: &[u8] = b"souk stack 4";
