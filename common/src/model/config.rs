//! `[model]` and `[train]` of a plan: the architecture and how a shop fits it to one user.

use std::ops::Range;

use serde::{Deserialize, Serialize};

/// Which recommender.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ModelKind {
    /// Dot product with biases.
    Mf,
    /// Two or more layers over `[p_u, q_i]`.
    Mlp,
    /// Both paths (He et al. 2017).
    Neumf,
    /// A generator that draws items for a customer, against a discriminator of one of the other kinds (IRGAN, Wang et al. 2017).
    Gan,
}

/// The tower's activation `s`.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Activation {
    /// max(0, x)
    Relu,
    /// tanh(x)
    Tanh,
    /// 1 / (1 + exp(-x))
    Sigmoid,
}

/// A public item feature that adds a row to the item vector.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Feature {
    /// `category` of the catalogue.
    Category,
    /// `brand` of the catalogue.
    Brand,
    /// Price bucket of the catalogue.
    Price,
}

/// `[model]` of a plan.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct ModelConfig {
    /// `mf`, `mlp`, `neumf` or `gan`.
    pub kind: ModelKind,
    /// Of `gan` alone: what the discriminator is, `mf`, `mlp` or `neumf`; absent: `neumf`. The keys of its paths are those of its kind.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub discriminator: Option<ModelKind>,
    /// Of `gan` alone: the generator; absent: with its defaults.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generator: Option<GeneratorConfig>,
    /// Width of the dot-product path (`mf`, `neumf`). Ignored by `mlp`.
    #[serde(default = "default_dim")]
    pub gmf_dim: usize,
    /// Width of each of user's and item's vector that enter the tower (`mlp`, `neumf`). Ignored by `mf`.
    #[serde(default = "default_dim")]
    pub mlp_dim: usize,
    /// Widths of the tower's layers, input excluded, e.g. `[32, 16, 8]`. Ignored by `mf`.
    #[serde(default = "default_tower")]
    pub tower: Vec<usize>,
    /// The tower's activation.
    #[serde(default = "default_activation")]
    pub activation: Activation,
    /// Public item features added to the item vector.
    #[serde(default)]
    pub features: Vec<Feature>,
    /// Whether items have a bias.
    #[serde(default = "default_true")]
    pub item_bias: bool,
    /// Standard deviation of the initial embeddings.
    #[serde(default = "default_init_stddev")]
    pub init_stddev: f32,
}

impl ModelConfig {
    /// The kind of the network that says how likely a purchase is: a `gan`'s discriminator, else the model itself.
    pub fn network(&self) -> ModelKind {
        match self.kind {
            ModelKind::Gan => self.discriminator.unwrap_or(ModelKind::Neumf),
            kind => kind,
        }
    }

    /// The generator of a `gan`; none of other kinds.
    pub fn generator(&self) -> Option<GeneratorConfig> {
        (self.kind == ModelKind::Gan).then(|| self.generator.unwrap_or_default())
    }

    /// Columns of the dot-product path: 0 for `mlp`.
    pub fn gmf_width(&self) -> usize {
        if self.network() == ModelKind::Mlp {
            0
        } else {
            self.gmf_dim
        }
    }

    /// Columns of the tower path: 0 for `mf`.
    pub fn mlp_width(&self) -> usize {
        if self.network() == ModelKind::Mf {
            0
        } else {
            self.mlp_dim
        }
    }

    /// Columns of the generator: 0 but for `gan`. They are the last ones.
    pub fn generator_width(&self) -> usize {
        self.generator().map_or(0, |generator| generator.dim)
    }

    /// Columns of the item table that the dot product, the tower and the generator have, in this order; those of a path that the model
    /// does not have are none.
    pub fn paths(&self) -> [Range<usize>; 3] {
        let (gmf, network) = (self.gmf_width(), self.gmf_width() + self.mlp_width());
        [0..gmf, gmf..network, network..network + self.generator_width()]
    }

    /// Columns of the item table, and length of a user's vector.
    pub fn width(&self) -> usize {
        self.paths()[2].end
    }

    /// Checks that the numbers make sense together.
    ///
    /// # Errors
    /// The field, its value and what it may be.
    pub fn validate(&self) -> Result<(), ModelConfigError> {
        let dim = |field, value: usize, used: bool| {
            if used && !(1..=MAX_DIM).contains(&value) {
                return Err(ModelConfigError::Width {
                    field,
                    value,
                    most: MAX_DIM,
                });
            }
            Ok(())
        };
        let network = self.network();
        dim("gmf_dim", self.gmf_dim, network != ModelKind::Mlp)?;
        dim("mlp_dim", self.mlp_dim, network != ModelKind::Mf)?;
        if network != ModelKind::Mf {
            if self.tower.is_empty() || self.tower.len() > MAX_LAYERS {
                return Err(ModelConfigError::Layers {
                    got: self.tower.len(),
                    most: MAX_LAYERS,
                });
            }
            self.tower
                .iter()
                .try_for_each(|width| dim("tower", *width, true))?;
        }
        if !(self.init_stddev > 0.0 && self.init_stddev <= MAX_INIT_STDDEV) {
            return Err(ModelConfigError::InitStddev {
                value: self.init_stddev,
            });
        }
        self.validate_generator()?;
        let mut seen = self.features.clone();
        seen.sort();
        seen.dedup();
        if seen.len() != self.features.len() {
            return Err(ModelConfigError::RepeatedFeature);
        }
        Ok(())
    }

    fn validate_generator(&self) -> Result<(), ModelConfigError> {
        let Some(generator) = self.generator() else {
            let set = [
                ("discriminator", self.discriminator.is_some()),
                ("generator", self.generator.is_some()),
            ];
            return match set.into_iter().find(|(_, is_set)| *is_set) {
                Some((field, _)) => Err(ModelConfigError::OfGan { field }),
                None => Ok(()),
            };
        };
        if self.discriminator == Some(ModelKind::Gan) {
            return Err(ModelConfigError::Discriminator);
        }
        if !(1..=MAX_DIM).contains(&generator.dim) {
            return Err(ModelConfigError::Width {
                field: "generator.dim",
                value: generator.dim,
                most: MAX_DIM,
            });
        }
        if !(LEAST_TEMPERATURE..=MAX_TEMPERATURE).contains(&generator.temperature) {
            return Err(ModelConfigError::Temperature {
                value: generator.temperature,
            });
        }
        Ok(())
    }
}

/// `[model.generator]`: G(i | u) = softmax over all items i of g_u . v_i / temperature.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct GeneratorConfig {
    /// Columns of g and v.
    pub dim: usize,
    /// Above 1 it draws more evenly, below 1 more of the likeliest items.
    pub temperature: f32,
    /// What scores.
    pub serve: Served,
}

impl Default for GeneratorConfig {
    fn default() -> Self {
        Self {
            dim: default_dim(),
            temperature: 1.0,
            serve: Served::Both,
        }
    }
}

/// Which part of a `gan` scores items.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Served {
    /// The sum of both logits.
    Both,
    /// The generator's logit.
    Generator,
    /// The discriminator's logit.
    Discriminator,
}

/// What is wrong with `[model]`.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum ModelConfigError {
    /// A width out of range.
    #[error("model.{field} is {value}; it may be 1 to {most}")]
    Width {
        /// The key.
        field: &'static str,
        /// As given.
        value: usize,
        /// The largest allowed.
        most: usize,
    },
    /// Too few or too many layers.
    #[error("model.tower has {got} layers; it may have 1 to {most}")]
    Layers {
        /// As given.
        got: usize,
        /// The most allowed.
        most: usize,
    },
    /// A spread that is none.
    #[error("model.init_stddev is {value}; it is above 0 and at most 1000")]
    InitStddev {
        /// As given.
        value: f32,
    },
    /// A key of another kind's model.
    #[error("model.{field} is set; it is for kind = \"gan\" alone")]
    OfGan {
        /// The key.
        field: &'static str,
    },
    /// A discriminator that is no kind of network.
    #[error("model.discriminator is \"gan\"; it may be \"mf\", \"mlp\" or \"neumf\"")]
    Discriminator,
    /// A temperature that is none.
    #[error("model.generator.temperature is {value}; it is 0.01 to 100")]
    Temperature {
        /// As given.
        value: f32,
    },
    /// A feature named twice.
    #[error("model.features names a feature twice")]
    RepeatedFeature,
}

fn default_dim() -> usize {
    16
}

fn default_tower() -> Vec<usize> {
    vec![32, 16, 8]
}

fn default_activation() -> Activation {
    Activation::Relu
}

fn default_true() -> bool {
    true
}

fn default_init_stddev() -> f32 {
    0.1
}

const MAX_INIT_STDDEV: f32 = 1000.0;
const LEAST_TEMPERATURE: f32 = 0.01;
const MAX_TEMPERATURE: f32 = 100.0;
const MAX_DIM: usize = 1024;
const MAX_LAYERS: usize = 8;

/// How a shop turns one user's records into an update, and fits the user's own vector.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(tag = "solver", rename_all = "snake_case", deny_unknown_fields)]
pub enum TrainConfig {
    /// Closed form for the user, rank-one gradient for the items (Hu, Koren, Volinsky 2008); `mf` only.
    Ials(IalsConfig),
    /// Gradient steps on binary cross-entropy with sampled negatives; every kind.
    Sgd(SgdConfig),
    /// Squared errors of stars, in closed form for the user (Koren, Bell, Volinsky 2009); `mf` only.
    Stars(StarsConfig),
}

/// `solver = "stars"`.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct StarsConfig {
    /// Ridge on the user's vector.
    #[serde(default = "default_stars_lambda")]
    pub lambda: f64,
    /// Ridge on the user's bias.
    #[serde(default = "default_bias_lambda")]
    pub bias_lambda: f64,
    /// What embeddings' part of an update is multiplied by, beside that of biases, before it is clipped.
    #[serde(default = "default_embedding_step")]
    pub embedding_step: f64,
    /// The fewest stars.
    #[serde(default = "default_lowest")]
    pub lowest: f64,
    /// The most.
    #[serde(default = "default_highest")]
    pub highest: f64,
}

fn default_stars_lambda() -> f64 {
    20.0
}

fn default_bias_lambda() -> f64 {
    5.0
}

fn default_embedding_step() -> f64 {
    0.25
}

fn default_lowest() -> f64 {
    1.0
}

fn default_highest() -> f64 {
    5.0
}

/// `solver = "ials"`.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct IalsConfig {
    /// Weight of items the user did not touch, against 1 for those they did.
    pub alpha: f64,
    /// Ridge on the user's vector.
    pub lambda: f64,
    /// g: when the user's vector is fitted for scoring, the k-th latest item weighs k^-g (mean one); 0 turns it off.
    #[serde(default)]
    pub recency: f64,
    /// The same for the fit inside a round.
    #[serde(default)]
    pub train_recency: f64,
}

/// `solver = "sgd"`.
///
/// In each round a drawn user's own vector takes `user_steps` steps of Adam (its state stays in the shop from round to
/// round), and the shared parameters take `local_steps` plain steps; the last of the former and the first of the latter
/// go down one gradient. Losses are sums over the user's samples.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct SgdConfig {
    /// Sampled negatives per positive.
    #[serde(default = "default_negatives")]
    pub negatives: usize,
    /// Adam steps of the user's own vector in a round.
    #[serde(default = "default_user_steps")]
    pub user_steps: usize,
    /// Step size of those.
    #[serde(default = "default_user_learning_rate")]
    pub user_learning_rate: f64,
    /// L2 penalty on the user's own vector.
    #[serde(default)]
    pub user_l2: f64,
    /// Share of the user's own vector that is dropped, anew in each round, while the shared parameters learn.
    #[serde(default)]
    pub user_dropout: f64,
    /// Rounds over which the own vector's step size rises to its full height; 0 or 1: at once.
    #[serde(default)]
    pub warmup_rounds: u64,
    /// The own vector's step size falls linearly to this fraction at the last round; 1 keeps it.
    #[serde(default = "default_final_fraction")]
    pub final_fraction: f64,
    /// Full-batch steps on the shared parameters that a user touched.
    #[serde(default = "default_local_steps")]
    pub local_steps: usize,
    /// Step size of those.
    #[serde(default = "default_learning_rate")]
    pub learning_rate: f64,
    /// Adam steps that fit the user's own vector before it scores.
    #[serde(default = "default_fit_steps")]
    pub fit_steps: usize,
    /// First step size of those; it falls linearly to a tenth.
    #[serde(default = "default_fit_learning_rate")]
    pub fit_learning_rate: f64,
    /// g: when the vector is fitted for scoring, a user's k-th latest item weighs k^-g (mean one); 0 turns it off.
    #[serde(default)]
    pub recency: f64,
    /// Of `gan` alone: how generator and discriminator learn from each other; absent: by its defaults.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generator: Option<GeneratorTraining>,
}

/// `[train.generator]`, beside the discriminator's `[train]`.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct GeneratorTraining {
    /// Items drawn for a customer and round, per own item.
    pub draws: usize,
    /// lambda: the share of these that is drawn from the customer's own items, in place of by the generator (Wang et al. 2017).
    pub own_share: f64,
    /// Weight of the reward, the discriminator's 2 sigmoid(f) - 1, in what the generator climbs.
    pub reward: f64,
    /// Weight of the log-likelihood of the customer's own items in it.
    pub likelihood: f64,
    /// Part of the discriminator's negatives, by weight, that the generator draws; the others are uniform.
    pub hard: f64,
    /// First rounds without the game: the generator climbs the likelihood alone, the discriminator's negatives are uniform.
    pub pretrain_rounds: u64,
    /// L2 penalty on the generator's part of the user's own vector.
    pub user_l2: f64,
}

impl Default for GeneratorTraining {
    fn default() -> Self {
        Self {
            draws: 4,
            own_share: 0.2,
            reward: 1.0,
            likelihood: 1.0,
            hard: 0.25,
            pretrain_rounds: 5,
            user_l2: 0.1,
        }
    }
}

fn default_negatives() -> usize {
    4
}

fn default_user_steps() -> usize {
    1
}

fn default_user_learning_rate() -> f64 {
    0.1
}

fn default_learning_rate() -> f64 {
    0.01
}

fn default_final_fraction() -> f64 {
    1.0
}

fn default_fit_steps() -> usize {
    30
}

fn default_fit_learning_rate() -> f64 {
    0.05
}

fn default_local_steps() -> usize {
    1
}
