//! Whether a plan's numbers make sense together.

use super::{Placement, Plan, PlanError, ServerPlan};
use crate::ids::ShopName;
use crate::model::config::{ModelKind, SgdConfig, TrainConfig};
use crate::task::Task;
use crate::training::phases::TrainingKind;

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
        let trains_stars = matches!(self.train, TrainConfig::Stars(_));
        if trains_stars != (self.task == Task::Rating) {
            return refuse(
                "task",
                self.task.name().to_owned(),
                match trains_stars {
                    true => "\"rating\" where train.solver is \"stars\"",
                    false => "another unless train.solver is \"stars\"",
                },
            );
        }
        let trains_clicks = self
            .training
            .iter()
            .any(|phase| phase.kind == TrainingKind::Clicks);
        if trains_clicks != (self.task == Task::Ads) {
            return refuse(
                "task",
                self.task.name().to_owned(),
                match trains_clicks {
                    true => "\"ads\" where [[training]] has kind = \"clicks\"",
                    false => {
                        "another unless [[training]] has kind = \"clicks\", which learns which ads are clicked"
                    }
                },
            );
        }
        if trains_stars && self.metrics.is_some() {
            return refuse(
                "[metrics]",
                "set".into(),
                "absent where train.solver is \"stars\": they count hits of what was touched last, not stars",
            );
        }
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
        if let (Some(latest), Some(after)) = (self.latest_upload(), self.cohort.upload_after)
            && (latest >= self.cohort.deadline || after.is_zero())
        {
            let deadline = humantime_serde::re::humantime::format_duration(self.cohort.deadline);
            let rule = match &self.masking {
                None => format!("above 0 and below cohort.deadline, {deadline}"),
                Some(_) => format!(
                    "above 0 and so short that an update whose keys and shares took as long as they may (a step or a quarter of the \
                     deadline, and a step) leaves before cohort.deadline, {deadline}"
                ),
            };
            let after = humantime_serde::re::humantime::format_duration(after).to_string();
            return refuse("cohort.upload_after", after, &rule);
        }
        if !(1..=MAX_HEADROOM).contains(&self.headroom()) {
            return refuse("privacy.headroom", self.headroom().to_string(), "1 to 1,000");
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
        if !self.beside.is_empty() && !self.is_of_releases() {
            let named: Vec<String> = self.beside.iter().map(ToString::to_string).collect();
            let rule = "absent: only shops' stacks have room for further versions, which a plan with [[release]] feeds";
            return refuse("beside", named.join(", "), rule);
        }
        if self.beside.len() > MOST_BESIDE {
            return refuse(
                "beside",
                format!("{} versions", self.beside.len()),
                "at most 8 versions",
            );
        }
        self.validate_releases()?;
        self.validate_masking()?;
        self.validate_aggregation()?;
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
        self.masking_params()
            .map_or(Ok(()), |params| params.check(self.shops.len()))
            .map_err(|error| PlanError::Value {
                field: error.field.into(),
                value: error.value,
                rule: error.rule,
            })
    }

    fn validate_generator(
        &self,
        sgd: &SgdConfig,
        number: impl Fn(&str, f64, bool, f64) -> Result<(), PlanError>,
    ) -> Result<(), PlanError> {
        let refuse = |field: &str, value: String, rule: &str| {
            Err(PlanError::Value {
                field: field.into(),
                value,
                rule: rule.into(),
            })
        };
        if self.model.kind != ModelKind::Gan {
            return match sgd.generator {
                Some(_) => refuse(
                    "[train.generator]",
                    "set".into(),
                    "absent unless model.kind is \"gan\"",
                ),
                None => Ok(()),
            };
        }
        if sgd.local_steps != 1 {
            let rule = "1 where model.kind is \"gan\": what was drawn is of the generator as it was";
            return refuse("train.local_steps", sgd.local_steps.to_string(), rule);
        }
        let generator = sgd.generator.unwrap_or_default();
        number("train.generator.draws", generator.draws as f64, true, 1001.0)?;
        number("train.generator.own_share", generator.own_share, false, 1.0)?;
        number("train.generator.reward", generator.reward, false, 1e6)?;
        number("train.generator.likelihood", generator.likelihood, false, 1e6)?;
        number("train.generator.hard", generator.hard, false, 1.000_001)?;
        number("train.generator.user_l2", generator.user_l2, false, 1e6)
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
                // 1e300 without its zeros.
                value: format!("{value:?}"),
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
            TrainConfig::Stars(stars) => {
                let value = |field: &str, value: String, rule: &str| {
                    Err(PlanError::Value {
                        field: field.into(),
                        value,
                        rule: rule.into(),
                    })
                };
                if self.model.kind != ModelKind::Mf || !self.model.features.is_empty() {
                    return value(
                        "train.solver",
                        "stars".into(),
                        "another unless model.kind is \"mf\" without model.features",
                    );
                }
                number("train.lambda", stars.lambda, true, 1e9)?;
                number("train.bias_lambda", stars.bias_lambda, true, 1e9)?;
                number("train.embedding_step", stars.embedding_step, false, 1e3)?;
                number("train.lowest", stars.lowest, false, 1e6)?;
                number("train.highest", stars.highest, true, 1e6)?;
                if stars.lowest >= stars.highest {
                    return value(
                        "train.highest",
                        stars.highest.to_string(),
                        "more than train.lowest",
                    );
                }
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
                self.validate_generator(sgd, number)?;
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

/// Each is in every file that the run publishes.
const MOST_BESIDE: usize = 8;
const MAX_ROUNDS: u64 = 1_000_000;
const MAX_HEADROOM: u32 = 1000;
const MAX_USERS: u64 = 1_000_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    const PLAN: &str = "name = 't'\nrounds = 3\n[model]\nkind = 'mf'\ninit_stddev = 0.1\n[train]\nsolver = 'TRAIN'\n\
        [privacy]\nclip_norm = 1.0\nnoise_multiplier = 4.0\nsampling_rate = 0.5\ndelta = 1e-5\n\
        [cohort]\nquorum = 2\ndeadline = '10m'\n[server]\noptimiser = 'adam'\nlearning_rate = 0.05\nbeta1 = 0.9\n\
        beta2 = 0.99\nepsilon = 1e-8\nfinal_fraction = 1.0\n[[shops]]\nname = 'a'\ndeclared_users = 50\nweight = 1.0\n\
        [[shops]]\nname = 'b'\ndeclared_users = 50\n";
    const IALS: &str = "ials'\nalpha = 0.1\nlambda = 1.0\nrecency = 0.5\ntrain_recency = 0.5\n# '";
    const STARS: &str =
        "stars'\nlambda = 2.0\nbias_lambda = 2.0\nembedding_step = 0.5\nlowest = 1.0\nhighest = 5.0\n# '";
    const SGD: &str = "sgd'\nuser_learning_rate = 0.1\nuser_l2 = 0.1\nuser_dropout = 0.1\nfinal_fraction = 0.5\n\
        learning_rate = 0.1\nfit_learning_rate = 0.1\nrecency = 0.5\n# '";

    fn refusal(text: &str) -> String {
        Plan::from_toml(text).expect_err(text).to_string()
    }

    #[test]
    fn every_number_of_a_plan_that_is_not_finite_or_beyond_reason_is_refused_by_its_name() {
        let mut numbers = 0;
        for train in [IALS, SGD, STARS] {
            let task = if train == STARS { "task = 'rating'\n" } else { "" };
            let good = task.to_owned() + &PLAN.replace("TRAIN'", train);
            Plan::from_toml(&good).expect("every number is in range");
            let lines: Vec<&str> = good.lines().collect();
            for (at, line) in lines.iter().enumerate() {
                let Some((key, value)) = line.split_once(" = ") else {
                    continue;
                };
                if !value.contains(['.', 'e']) || value.contains('\'') {
                    continue;
                }
                numbers += 1;
                for bad in ["nan", "inf", "-inf", "1e300", "-1.0"] {
                    let mut lines = lines.clone();
                    let changed = format!("{key} = {bad}");
                    lines[at] = &changed;
                    let said = refusal(&lines.join("\n"));
                    assert!(said.contains(key), "{changed}: {said}");
                }
            }
        }
        assert_eq!(numbers, 3 * 11 + 4 + 7 + 5);
    }

    #[test]
    fn keys_of_a_gan_are_for_a_gan_have_bounds_and_are_absent_from_other_plans() {
        let plain = PLAN.replace("TRAIN'", SGD);
        let gan = plain.replace("kind = 'mf'", "kind = 'gan'");
        let with = |text: &str, model: &str, train: &str| {
            text.replace("[train]", &format!("{model}\n[train]"))
                .replace("[privacy]", &format!("{train}\n[privacy]"))
        };
        let written = |text: &str| {
            let plan = Plan::from_toml(text).expect(text);
            String::from_utf8(plan.to_bytes()).expect("JSON")
        };
        // So digests of plans that were made before there was a generator are what they were.
        let old = written(&plain);
        assert!(
            !old.contains("generator") && !old.contains("discriminator"),
            "{old}"
        );
        let whole = with(
            &gan,
            "discriminator = 'mf'\n[model.generator]\ndim = 4\ntemperature = 0.5\nserve = 'generator'",
            "[train.generator]\ndraws = 2\nown_share = 0.5\nreward = 0.0\nlikelihood = 2.0\nhard = 1.0\npretrain_rounds = 0\nuser_l2 = 0.0",
        );
        assert!(written(&whole).contains("\"discriminator\":\"mf\""));
        assert!(!written(&gan).contains("generator"), "defaults are not written");
        for (text, said) in [
            (
                with(&plain, "discriminator = 'mf'", ""),
                "model.discriminator is set; it is for kind",
            ),
            (
                with(&plain, "[model.generator]\ndim = 4", ""),
                "model.generator is set; it is for kind",
            ),
            (
                with(&plain, "", "[train.generator]\ndraws = 4"),
                "[train.generator]",
            ),
            (
                with(&gan, "discriminator = 'gan'", ""),
                "model.discriminator is \"gan\"",
            ),
            (
                with(&gan, "[model.generator]\ndim = 0", ""),
                "model.generator.dim is 0; it may be 1 to 1024",
            ),
            (
                with(&gan, "[model.generator]\ntemperature = 0.001", ""),
                "temperature is 0.001; it is 0.01 to 100",
            ),
            (
                with(&gan, "[model.generator]\ntemperature = nan", ""),
                "temperature is NaN",
            ),
            (
                with(&gan, "", "[train.generator]\ndraws = 0"),
                "train.generator.draws",
            ),
            (
                with(&gan, "", "[train.generator]\nown_share = 1.0"),
                "train.generator.own_share",
            ),
            (
                with(&gan, "", "[train.generator]\nhard = 1.5"),
                "train.generator.hard",
            ),
            (
                with(&gan, "", "[train.generator]\nreward = inf"),
                "train.generator.reward",
            ),
            (
                with(&gan, "", "[train.generator]\nlikelihood = -1.0"),
                "train.generator.likelihood",
            ),
            (
                with(&gan, "", "[train.generator]\nuser_l2 = nan"),
                "train.generator.user_l2",
            ),
            (with(&gan, "", "local_steps = 2"), "train.local_steps"),
            (gan.replace(SGD, IALS), "\"sgd\" unless model.kind"),
        ] {
            let refused = refusal(&text);
            assert!(refused.contains(said), "{said}: {refused}");
        }
    }

    #[test]
    fn updates_that_would_leave_after_the_deadline_are_refused_with_both_numbers() {
        let plan = PLAN.replace("TRAIN'", IALS);
        let with = |after: &str, masking: &str| {
            plan.replace(
                "deadline = '10m'",
                &format!("deadline = '10m'\nupload_after = '{after}'"),
            )
            .replace("[server]", &format!("{masking}[server]"))
        };
        let masking = "[masking]\nmin_shops = 2\nstep = '30s'\n";
        for (after, masking) in [("9m 59s", ""), ("6m 29s", masking)] {
            let plan = Plan::from_toml(&with(after, masking)).expect(after);
            assert!(
                plan.latest_upload()
                    .is_some_and(|latest| latest < plan.cohort.deadline)
            );
        }
        // Keys may take 2 m 30 s, a quarter of the deadline, shares 30 s, and looking at them 30 s.
        for (after, masking) in [("10m", ""), ("6m 30s", masking), ("0s", "")] {
            let said = refusal(&with(after, masking));
            assert!(
                said.contains("cohort.upload_after") && said.contains(after) && said.contains("10m"),
                "{said}"
            );
        }
    }

    #[test]
    fn a_plan_without_an_offset_is_written_as_it_always_was() {
        let plan = Plan::from_toml(&PLAN.replace("TRAIN'", IALS)).expect("a plan");
        let text = String::from_utf8(plan.to_bytes()).expect("JSON");
        assert!(!text.contains("upload_after") && !text.contains("headroom"));
    }
}
