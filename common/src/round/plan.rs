//! The plan: everything the operator fixes for a training run. A TOML file for people; its canonical JSON travels to
//! the shops and its digest is signed in every announcement.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::grid::{CountsGrid, Grid, GridError, ModulusBits};
use crate::format::Format;
use crate::ids::{Digest, ShopName};
use crate::model::config::{ModelConfig, ModelConfigError, ModelKind, TrainConfig};
use crate::privacy::params::{ClipNorm, Delta, NoiseMultiplier, SamplingRate, Weight};

/// A training run.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// Of the file; absent: 1.
    #[serde(default, skip_serializing)]
    pub format: Format<1>,
    /// A name for people.
    pub name: String,
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
    /// Secure aggregation; none: the coordinator sees every shop's noised update.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub masking: Option<MaskingPlan>,
    /// Quality counts that travel with the updates; none: the operator sees none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metrics: Option<MetricsPlan>,
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

/// The keystream that masks are made of.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum MaskCipher {
    /// Fast everywhere.
    #[default]
    Chacha20,
    /// Faster where the processor has AES.
    #[serde(rename = "aes128_ctr")]
    Aes128Ctr,
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
    /// Attempts at a round before the run pauses for the operator.
    #[serde(default = "default_attempts")]
    pub attempts: u32,
}

/// `[server]`.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(tag = "optimiser", rename_all = "snake_case", deny_unknown_fields)]
pub enum ServerPlan {
    /// model += learning_rate * mean update.
    Plain {
        /// Step size; 1 is federated averaging.
        learning_rate: f64,
    },
    /// Adam with the mean update as the (negative) gradient (Reddi et al. 2021, FedAdam, with bias correction).
    Adam {
        /// Step size.
        learning_rate: f64,
        /// Decay of the mean.
        #[serde(default = "default_beta1")]
        beta1: f64,
        /// Decay of the mean square.
        #[serde(default = "default_beta2")]
        beta2: f64,
        /// Added to the root.
        #[serde(default = "default_adam_epsilon")]
        epsilon: f64,
        /// The step size falls linearly to this fraction at the last round; 1 keeps it.
        #[serde(default = "default_final_fraction")]
        final_fraction: f64,
    },
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
        let plan: Self = toml::from_str(text).map_err(|source| PlanError::Syntax(Box::new(source)))?;
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

    /// A shop's terms.
    pub fn terms_of(&self, shop: &ShopName) -> Option<&ShopTerms> {
        self.shops.iter().find(|terms| terms.name == *shop)
    }

    /// z as the ledger is charged: of the update and its quality counts together.
    pub fn charged_noise_multiplier(&self) -> Option<NoiseMultiplier> {
        let noise = self.privacy.noise_multiplier.filter(|_| self.privacy.enabled)?;
        match &self.metrics {
            None => Some(noise),
            Some(metrics) => {
                let (update, counts) = (noise.get(), metrics.noise_multiplier.get());
                // (z^-2 + z_e^-2)^-1/2 as a quotient of numbers that do not overflow, a little less for the rounding.
                let both = update * counts / update.hypot(counts);
                NoiseMultiplier::new(both * (1.0 - 4.0 * f64::EPSILON)).ok()
            }
        }
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

    /// Coordinates of an update for a model of `coordinates` parameters: quality counts come after them.
    pub fn update_len(&self, coordinates: usize) -> usize {
        coordinates + self.metrics.map_or(0, |_| CountsGrid::COORDINATES)
    }

    /// The integer grid for a model of `coordinates` parameters.
    ///
    /// # Errors
    /// When no scale fits; it names the remedy.
    pub fn grid(&self, coordinates: usize) -> Result<Grid, GridError> {
        Grid::for_plan(self, coordinates)
    }

    /// Checks that the numbers make sense together.
    ///
    /// # Errors
    /// The first one that does not, with its value and what it may be.
    pub fn validate(&self) -> Result<(), PlanError> {
        let refuse = |field: &str, value: String, rule: &str| {
            Err(PlanError::Value {
                field: field.to_owned(),
                value,
                rule: rule.to_owned(),
            })
        };
        self.model.validate()?;
        if self.rounds == 0 || self.rounds > MAX_ROUNDS {
            return refuse("rounds", self.rounds.to_string(), "1 to 1,000,000");
        }
        if self.privacy.enabled && self.privacy.noise_multiplier.is_none() {
            return refuse(
                "privacy.noise_multiplier",
                "missing".into(),
                "set while privacy.enabled is true",
            );
        }
        if !self.privacy.enabled && self.privacy.noise_multiplier.is_some() {
            return refuse(
                "privacy.noise_multiplier",
                "set".into(),
                "absent while privacy.enabled is false",
            );
        }
        if self.cohort.quorum == 0 {
            return refuse("cohort.quorum", "0".into(), "at least 1");
        }
        if self.cohort.quorum > self.shops.len() {
            let rule = format!("at most the number of [[shops]], {}", self.shops.len());
            return refuse("cohort.quorum", self.cohort.quorum.to_string(), &rule);
        }
        if self.cohort.deadline.is_zero() || self.cohort.attempts == 0 {
            return refuse("cohort.deadline / cohort.attempts", "0".into(), "above 0");
        }
        let mut names: Vec<&ShopName> = self.shops.iter().map(|terms| &terms.name).collect();
        names.sort();
        if let Some(pair) = names.windows(2).find(|pair| pair[0] == pair[1]) {
            return refuse("shops.name", pair[0].to_string(), "named once");
        }
        if let Some(terms) = self
            .shops
            .iter()
            .find(|terms| !(1..=MAX_USERS).contains(&terms.declared_users))
        {
            let field = format!("declared_users of shop {}", terms.name);
            return refuse(&field, terms.declared_users.to_string(), "1 to 1,000,000,000");
        }
        self.validate_masking()?;
        self.validate_training()
    }

    fn validate_masking(&self) -> Result<(), PlanError> {
        let refuse = |field: &str, value: String, rule: String| {
            Err(PlanError::Value {
                field: field.to_owned(),
                value,
                rule,
            })
        };
        let Some(masking) = &self.masking else {
            if self.privacy.placement == Placement::Distributed {
                let rule =
                    "\"local\" without [masking]: a share of the noise protects only a sum of several shops";
                return refuse("privacy.placement", "distributed".into(), rule.into());
            }
            if self.metrics.is_some() {
                let rule = "absent without [masking]: the operator would see each shop's own figures";
                return refuse("[metrics]", "set".into(), rule.into());
            }
            return Ok(());
        };
        if masking.colluding == 0 || masking.colluding >= masking.min_shops {
            return refuse(
                "masking.colluding",
                masking.colluding.to_string(),
                format!(
                    "at least 1 (a shop knows its own noise) and below masking.min_shops, {}",
                    masking.min_shops
                ),
            );
        }
        if masking.min_shops > self.cohort.quorum {
            return refuse(
                "cohort.quorum",
                self.cohort.quorum.to_string(),
                format!("at least masking.min_shops, {}", masking.min_shops),
            );
        }
        if masking.step.is_zero() {
            return refuse("masking.step", "0".into(), "above 0".into());
        }
        if !self.privacy.enabled && self.metrics.is_some() {
            return refuse(
                "[metrics]",
                "set".into(),
                "absent while privacy.enabled is false: its noise would have nothing to be added up with"
                    .into(),
            );
        }
        crate::secagg::Terms::of(self, masking)
            .check(self.shops.len())
            .map_err(|error| PlanError::Value {
                field: error.field.into(),
                value: error.value,
                rule: error.rule,
            })
    }

    fn validate_training(&self) -> Result<(), PlanError> {
        let number = |field: &str, value: f64, above_zero: bool, below: f64| {
            let good = value.is_finite() && value < below && (value > 0.0 || (!above_zero && value == 0.0));
            if good {
                return Ok(());
            }
            let low = if above_zero { "above 0" } else { "0 or more" };
            Err(PlanError::Value {
                field: field.into(),
                value: value.to_string(),
                rule: format!("{low} and below {below}"),
            })
        };
        match &self.train {
            TrainConfig::Ials(ials) => {
                if self.model.kind != ModelKind::Mf {
                    return Err(PlanError::Value {
                        field: "train.solver".into(),
                        value: "ials".into(),
                        rule: "\"sgd\" unless model.kind is \"mf\"".into(),
                    });
                }
                number("train.alpha", ials.alpha, true, 1.0)?;
                number("train.lambda", ials.lambda, true, 1e9)?;
                number("train.recency", ials.recency, false, 10.0)?;
                number("train.train_recency", ials.train_recency, false, 10.0)?;
            }
            TrainConfig::Sgd(sgd) => {
                number("train.learning_rate", sgd.learning_rate, true, 1e6)?;
                number("train.user_learning_rate", sgd.user_learning_rate, true, 1e6)?;
                number("train.user_l2", sgd.user_l2, false, 1e6)?;
                number("train.user_dropout", sgd.user_dropout, false, 1.0)?;
                number("train.final_fraction", sgd.final_fraction, false, 1.000_001)?;
                number("train.fit_steps", sgd.fit_steps as f64, false, 10_001.0)?;
                number("train.fit_learning_rate", sgd.fit_learning_rate, true, 1e6)?;
                number("train.recency", sgd.recency, false, 10.0)?;
                number("train.negatives", sgd.negatives as f64, true, 1001.0)?;
                number("train.user_steps", sgd.user_steps as f64, false, 10_001.0)?;
                number("train.local_steps", sgd.local_steps as f64, true, 10_001.0)?;
            }
        }
        match self.server {
            ServerPlan::Plain { learning_rate } => number("server.learning_rate", learning_rate, true, 1e6),
            ServerPlan::Adam {
                learning_rate,
                beta1,
                beta2,
                epsilon,
                final_fraction,
            } => {
                number("server.learning_rate", learning_rate, true, 1e6)?;
                number("server.beta1", beta1, false, 1.0)?;
                number("server.beta2", beta2, false, 1.0)?;
                number("server.epsilon", epsilon, true, 1.0)?;
                number("server.final_fraction", final_fraction, false, 1.000_001)
            }
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

fn default_beta1() -> f64 {
    0.9
}

fn default_beta2() -> f64 {
    0.99
}

fn default_adam_epsilon() -> f64 {
    1e-8
}

fn default_final_fraction() -> f64 {
    1.0
}

const MAX_ROUNDS: u64 = 1_000_000;
const MAX_USERS: u64 = 1_000_000_000;
