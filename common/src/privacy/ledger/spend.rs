//! What one release costs, and to whose eyes.

use serde::{Deserialize, Serialize};

use crate::accountant::{Composition, SampledGaussian};
use crate::ids::{AttemptId, Digest};
use crate::params::{ClipNorm, NoiseMultiplier, SamplingRate};
use crate::plan::{Placement, Plan};

/// One release: which attempt, under which mechanism.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Spend {
    /// The plan's digest.
    pub plan: Digest,
    /// The round, from 1.
    pub round: u64,
    /// The attempt at it, from 1.
    pub attempt: u32,
    /// z; none for a release without noise, after which no epsilon bounds the ledger.
    pub noise_multiplier: Option<NoiseMultiplier>,
    /// q.
    pub sampling_rate: SamplingRate,
    /// C.
    pub clip_norm: ClipNorm,
    /// With distributed noise, how many shops share it; `noise_multiplier` is what their shares add up to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shared: Option<SharedNoise>,
}

/// How noise is distributed over the shops of a masked sum.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct SharedNoise {
    /// n_min: shops whose shares are in every sum that is unmasked.
    pub min_shops: usize,
    /// t: of those, shops that may take their shares off again.
    pub colluding: usize,
}

impl SharedNoise {
    /// Of `plan`; none unless its noise is distributed.
    pub fn of(plan: &Plan) -> Option<Self> {
        let masking = plan.masking.as_ref()?;
        (plan.privacy.placement == Placement::Distributed).then_some(Self {
            min_shops: masking.min_shops,
            colluding: masking.colluding,
        })
    }

    /// How many times the accounted noise protects against who reads the published models alone: nobody takes a share off.
    pub fn for_readers(&self) -> f64 {
        (self.min_shops as f64 / self.counted()).sqrt()
    }

    /// How many times it protects if every other shop is invented, and its noise known.
    pub fn alone(&self) -> f64 {
        1.0 / self.counted().sqrt()
    }

    /// Shares that the noise multiplier of the spend counts.
    pub fn counted(&self) -> f64 {
        self.min_shops.saturating_sub(self.colluding).max(1) as f64
    }

    /// What the noise is to an onlooker, over what was charged: sqrt(shares seen / shares counted).
    fn factor(&self, view: Observer) -> f64 {
        let seen = match view {
            Observer::Colluding => self.counted(),
            Observer::Readers => self.min_shops.max(1) as f64,
            Observer::Alone => 1.0,
        };
        (seen / self.counted()).sqrt()
    }
}

/// From whose place a spend with distributed noise is looked at. Every other spend is the same from everywhere.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Observer {
    /// t colluding shops, with the coordinator: what is charged, noise z.
    Colluding,
    /// Readers of the published model, who know nobody's noise: z * sqrt(n_min / (n_min - t)).
    Readers,
    /// A coordinator that has invented every other shop, so that this shop's own share is all that is left:
    /// z / sqrt(n_min - t).
    Alone,
}

impl Spend {
    /// What taking part in an attempt of `plan`, which has this digest, costs.
    pub fn of_attempt(plan: &Plan, digest: Digest, id: AttemptId) -> Self {
        Self {
            plan: digest,
            round: id.round,
            attempt: id.attempt,
            noise_multiplier: plan.charged_noise_multiplier(),
            sampling_rate: plan.privacy.sampling_rate,
            clip_norm: plan.privacy.clip_norm,
            shared: SharedNoise::of(plan),
        }
    }

    /// The attempt.
    pub fn id(&self) -> AttemptId {
        AttemptId {
            round: self.round,
            attempt: self.attempt,
        }
    }

    /// Counts it.
    pub fn add_to(&self, composition: &mut Composition) {
        self.add_as(Observer::Colluding, composition);
    }

    /// Counts it as `view` has it.
    pub fn add_as(&self, view: Observer, composition: &mut Composition) {
        match self.noise_as(view) {
            Some(noise_multiplier) => composition.add(
                SampledGaussian {
                    noise_multiplier,
                    sampling_rate: self.sampling_rate,
                },
                1,
            ),
            None => composition.add_unprotected(),
        }
    }

    /// z as `view` has it; none without noise, or with so little that it is none.
    fn noise_as(&self, view: Observer) -> Option<NoiseMultiplier> {
        let charged = self.noise_multiplier?;
        match self.shared {
            Some(shared) if view != Observer::Colluding => {
                // A little less for the rounding.
                let seen = charged.get() * shared.factor(view) * (1.0 - 4.0 * f64::EPSILON);
                // More than a noise multiplier can be is at least what was charged.
                let more = (seen > charged.get()).then_some(charged);
                NoiseMultiplier::new(seen).ok().or(more)
            }
            _ => Some(charged),
        }
    }
}
