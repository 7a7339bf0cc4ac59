//! Whether a plan's numbers make sense together.

use super::{Placement, Plan, PlanError, ServerPlan};
use crate::ids::ShopName;
use crate::model::config::{ModelKind, TrainConfig};

impl Plan {
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

const MAX_ROUNDS: u64 = 1_000_000;
const MAX_USERS: u64 = 1_000_000_000;
