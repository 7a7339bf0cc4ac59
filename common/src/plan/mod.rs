//! The plan: everything the operator fixes for a training run. A TOML file for people; its canonical JSON travels to
//! the shops and its digest is signed in every announcement.

mod aggregation;
mod blocks;
mod grid;
mod masking;
mod releases;
mod validate;

pub use aggregation::AggregationPlan;
pub use grid::GridError;
pub use releases::{ReleaseTerms, ReleasesError, RoundKind};

pub use crate::training::optimiser::ServerPlan;

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::format::Format;
use crate::ids::{Digest, ShopName};
use crate::model::config::{ModelConfig, ModelConfigError, TrainConfig};
use crate::params::{ClipNorm, Delta, NoiseMultiplier, SamplingRate, Weight};
use crate::release::schedule::ReleaseShare;
use crate::secagg::mask::MaskCipher;
use crate::task::Task;
use crate::training::phases::TrainingPhase;
use crate::transfer::carried::VersionName;
use crate::update::ModulusBits;

/// A training run.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// Of the file; absent: 1.
    #[serde(default, skip_serializing)]
    pub format: Format<1>,
    /// A name for people.
    pub name: String,
    /// What is recommended; absent: products.
    #[serde(default, skip_serializing_if = "Task::is_usual")]
    pub task: Task,
    /// Rounds to publish.
    pub rounds: u64,
    /// Seed of the initial model; public.
    #[serde(default)]
    pub seed: u64,
    /// The architecture.
    pub model: ModelConfig,
    /// How a shop turns a user's records into an update.
    pub train: TrainConfig,
    /// The mechanism.
    pub privacy: PrivacyPlan,
    /// Who must take part.
    pub cohort: CohortPlan,
    /// What the coordinator does with the mean update.
    pub server: ServerPlan,
    /// How shops' updates become one; absent: their sum.
    #[serde(default, skip_serializing_if = "AggregationPlan::is_mean")]
    pub aggregation: AggregationPlan,
    /// Secure aggregation; none: the coordinator sees every shop's noised update.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub masking: Option<MaskingPlan>,
    /// Quality counts that travel with the updates; none: the operator sees none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metrics: Option<MetricsPlan>,
    /// What the first rounds release, one each; empty: all rounds train the model.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub release: Vec<ReleaseShare>,
    /// What the rounds after the releases train.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub training: Vec<TrainingPhase>,
    /// The version that the run begins with: `start = "run 3 round 40"`, or `"run 3"` for that run's last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start: Option<VersionName>,
    /// Further versions that stand beside a run of releases in every shop's stack.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub beside: Vec<VersionName>,
    /// Which run of its coordinator this is, from 2; the first one's has none. The coordinator writes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<u32>,
    /// The shops, their declared sizes and weights.
    #[serde(default)]
    pub shops: Vec<ShopTerms>,
}

/// `[privacy]`.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct PrivacyPlan {
    /// False: no noise and no guarantee, for simulations and benchmarks. A shop refuses such a plan unless its own
    /// file allows it.
    #[serde(default = "default_true")]
    pub enabled: bool,
    /// C, over the user's whole update.
    pub clip_norm: ClipNorm,
    /// z; required while `enabled`.
    #[serde(default)]
    pub noise_multiplier: Option<NoiseMultiplier>,
    /// q.
    pub sampling_rate: SamplingRate,
    /// For the figures that the plan quotes; each shop has its own.
    #[serde(default = "default_delta")]
    pub delta: Delta,
    /// Who adds the noise.
    #[serde(default)]
    pub placement: Placement,
    /// b: updates are integers modulo 2^b.
    #[serde(default)]
    pub modulus_bits: ModulusBits,
    /// How many times its declared users a shop's sum has room for; with more it is held back. Absent: 1, as plans were before
    /// there was a choice; a plan that is begun now gets [`Plan::HEADROOM`] ([`Plan::begun_now`]).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub headroom: Option<u32>,
}

/// Who adds the noise.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Placement {
    /// Every shop adds all of it: its update is private on its own.
    #[default]
    Local,
    /// Every shop adds a share, so that the masked sum carries all of it once the noise of the shops that collude is
    /// taken off. Takes `[masking]`.
    Distributed,
}

/// `[masking]`: the coordinator sees only sums (see [`crate::secagg`]).
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct MaskingPlan {
    /// n_min: fewer shops than these are never unmasked.
    pub min_shops: usize,
    /// t: shops that may collude, with each other and with the coordinator.
    #[serde(default = "default_colluding")]
    pub colluding: usize,
    /// What masks are made of.
    #[serde(default)]
    pub cipher: MaskCipher,
    /// d: with how many others a shop makes masks, who hold its shares besides itself; absent: all up to 32 shops, above as
    /// many as the number of shops takes ([`crate::secagg::Terms::degree`]).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub neighbours: Option<usize>,
    /// How long keys, shares, signatures and unmasking may take, each.
    #[serde(with = "humantime_serde", default = "default_step")]
    pub step: Duration,
}

/// `[metrics]`: how well the broadcast model ranks, counted over the users drawn for the round. Takes `[masking]`, so
/// that no shop's figures are seen.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct MetricsPlan {
    /// z_e: noise of the counts over their sensitivity. They are charged together with the update, at
    /// (z^-2 + z_e^-2)^-1/2.
    pub noise_multiplier: NoiseMultiplier,
}

/// `[cohort]`.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct CohortPlan {
    /// Least accepted updates to publish.
    pub quorum: usize,
    /// A round ends this long after its announcement, with what arrived.
    #[serde(with = "humantime_serde", default = "default_deadline")]
    pub deadline: Duration,
    /// A finished update leaves this long after its attempt was announced (of a masked plan: after its R2), however early
    /// it was ready. Absent: as soon as it is ready, so that the time tells how long training took, and with it something
    /// of who was drawn.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        with = "humantime_serde::option"
    )]
    pub upload_after: Option<Duration>,
    /// Attempts at a round before the run pauses for the operator.
    #[serde(default = "default_attempts")]
    pub attempts: u32,
}

/// `[[shops]]`: what a shop declared, publicly.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct ShopTerms {
    /// The shop.
    pub name: ShopName,
    /// N_k: its declared, coarse number of users. It sets denominators and headroom; it filters nobody.
    pub declared_users: u64,
    /// w_k, applied to each user's clipped vector before truncation.
    #[serde(default = "default_weight")]
    pub weight: Weight,
}

impl Plan {
    /// Reads a plan file.
    ///
    /// # Errors
    /// What is wrong, with line and column, or the value that makes no sense.
    pub fn from_toml(text: &str) -> Result<Self, PlanError> {
        let syntax = |source| PlanError::Syntax(Box::new(source));
        let mut file: toml::Table = text.parse().map_err(syntax)?;
        let plan: Self = match file.contains_key("release") {
            true => {
                releases::fill_in(&mut file);
                file.try_into().map_err(syntax)?
            }
            // From the text, so that an error knows its line.
            false => toml::from_str(text).map_err(syntax)?,
        };
        if let Some(run) = plan.run {
            return Err(PlanError::Value {
                field: "run".to_owned(),
                value: run.to_string(),
                rule: "absent: the coordinator counts runs".to_owned(),
            });
        }
        plan.validate()?;
        Ok(plan)
    }

    /// Reads what [`Plan::to_bytes`] wrote.
    ///
    /// # Errors
    /// When it is no plan, or one whose numbers make no sense.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, PlanError> {
        let plan: Self = serde_json::from_slice(bytes).map_err(PlanError::Json)?;
        plan.validate()?;
        Ok(plan)
    }

    /// The plan as canonical JSON.
    pub fn to_bytes(&self) -> Vec<u8> {
        // Strings, numbers that were checked to be finite, and lists of them: always has a JSON form.
        serde_json::to_vec(self).expect("a plan has a JSON form")
    }

    /// The digest of [`Plan::to_bytes`].
    pub fn digest(&self) -> Digest {
        Digest::of(&self.to_bytes())
    }

    /// Headroom of a plan that is begun now and does not name its own: declared numbers are coarse and shops grow, and no
    /// shop may sit out for it, for that would tell of its customers.
    pub const HEADROOM: u32 = 4;

    /// The plan of a file that is begun now.
    pub fn begun_now(mut self) -> Self {
        self.privacy.headroom.get_or_insert(Self::HEADROOM);
        self
    }

    /// The plan of the same file as it was begun before plans had headroom.
    pub fn begun_before_headroom(mut self) -> Self {
        self.privacy.headroom = None;
        self
    }

    /// How many times the declared users a sum has room for.
    pub fn headroom(&self) -> u32 {
        self.privacy.headroom.unwrap_or(1)
    }

    /// When the last shop's update leaves, counted from the announcement, if every step before takes as long as it may;
    /// none without [`CohortPlan::upload_after`].
    pub fn latest_upload(&self) -> Option<Duration> {
        let after = self.cohort.upload_after?;
        // Keys may take a quarter of the attempt, shares and looking at them a step each.
        let masks = self.masking.as_ref().map_or(Duration::ZERO, |masking| {
            masking
                .step
                .max(self.cohort.deadline / 4)
                .saturating_add(masking.step)
                .saturating_add(masking.step)
        });
        Some(masks.saturating_add(after))
    }

    /// A shop's terms.
    pub fn terms_of(&self, shop: &ShopName) -> Option<&ShopTerms> {
        self.shops.iter().find(|terms| terms.name == *shop)
    }

    /// Of how many shares the noise consists that is accounted for: n_min - t with distributed noise, else 1.
    pub fn noise_shares(&self) -> usize {
        match (self.privacy.placement, &self.masking) {
            (Placement::Distributed, Some(masking)) => {
                masking.min_shops - masking.colluding.min(masking.min_shops)
            }
            _ => 1,
        }
    }
}

/// What is wrong with a plan.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// No TOML, an unknown key, a wrong type, a parameter out of range.
    #[error("{0}")]
    Syntax(Box<toml::de::Error>),
    /// The bytes of a peer or a store are no plan.
    #[error("the bytes are no plan: {0}")]
    Json(serde_json::Error),
    /// A value that makes no sense.
    #[error("{field} is {value}; it must be {rule}")]
    Value {
        /// The key.
        field: String,
        /// As given.
        value: String,
        /// What it may be.
        rule: String,
    },
    /// `[model]`.
    #[error(transparent)]
    Model(#[from] ModelConfigError),
}

fn default_true() -> bool {
    true
}

fn default_delta() -> Delta {
    Delta::new(1e-5).expect("1e-5 is a delta")
}

fn default_colluding() -> usize {
    1
}

fn default_step() -> Duration {
    Duration::from_secs(30)
}

fn default_deadline() -> Duration {
    Duration::from_secs(600)
}

fn default_attempts() -> u32 {
    10
}

fn default_weight() -> Weight {
    Weight::new(1.0).expect("1 is a weight")
}
