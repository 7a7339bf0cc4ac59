//! Plans for the shops at hand: the examples in deploy/examples, or a file of the operator's.

use std::fs;
use std::path::Path;

use anyhow::{Context, ensure};
use souk_common::accountant::calibrate::{CalibrationTarget, noise_multiplier};
use souk_common::accountant::gaussian::mu_of;
use souk_common::config::load_toml;
use souk_common::ids::ShopName;
use souk_common::model::config::{ModelConfig, ModelKind, TrainConfig};
use souk_common::params::{ClipNorm, Delta, Epsilon, NoiseMultiplier};
use souk_common::plan::{Placement, Plan, ServerPlan, ShopTerms};
use souk_common::task::Task;
use souk_common::update::ModulusBits;

use crate::error::WrongUsage;

/// A plan, before it is known which shops take part.
#[derive(Clone, Debug)]
pub(crate) struct Template {
    plan: Plan,
    origin: String,
}

impl Template {
    /// Of a file.
    ///
    /// # Errors
    /// When it can't be read, or is no plan.
    pub(crate) fn read(path: &Path) -> anyhow::Result<Self> {
        let wrong = || WrongUsage("the plan can't be used".to_owned());
        // The rounds of a plan of releases follow from them, and are not in its file.
        let of_releases = fs::read_to_string(path).ok().filter(|text| {
            text.parse::<toml::Table>()
                .is_ok_and(|file| file.contains_key("release"))
        });
        let plan: Plan = match of_releases {
            Some(text) => Plan::from_toml(&text)
                .with_context(|| path.display().to_string())
                .with_context(wrong)?,
            None => load_toml(path).with_context(wrong)?,
        };
        plan.validate()
            .with_context(|| path.display().to_string())
            .with_context(wrong)?;
        Ok(Self {
            plan,
            origin: path.display().to_string(),
        })
    }

    /// The example for a data set and a recommender; the one for any set where this set has none of its own.
    pub(crate) fn example(set: &str, recommender: &str, private: bool) -> anyhow::Result<Self> {
        let suffix = if private { "-private" } else { "" };
        let named = |set: &str| {
            let wanted = format!("{set}-{recommender}{suffix}.toml");
            EXAMPLES.iter().find(|(name, _)| *name == wanted)
        };
        let (name, text) = named(set)
            .or_else(|| named("uci-online-retail"))
            .or_else(|| named("ml-100k"))
            .with_context(|| format!("there is no example plan for {recommender}; name one with --plan"))?;
        Ok(Self {
            plan: Plan::from_toml(text).with_context(|| format!("deploy/examples/{name}"))?,
            origin: format!("deploy/examples/{name}"),
        })
    }

    /// The example of a task on a data set; none where this set has none of it.
    pub(crate) fn of_task(set: &str, task: Task) -> Option<Self> {
        let wanted = format!("{set}-{}.toml", task.name());
        let (name, text) = OF_TASKS.iter().find(|(name, _)| *name == wanted)?;
        Some(Self {
            plan: Plan::from_toml(text).ok()?,
            origin: format!("deploy/examples/{name}"),
        })
    }

    /// The example for a data set and `ials`, `mf`, `mlp`, `neumf` or `gan`. Dot products and the tower alone take the settings
    /// of both paths together.
    ///
    /// # Errors
    /// Never: there is one for every recommender.
    pub(crate) fn for_model(set: &str, model: &str, private: bool) -> anyhow::Result<Self> {
        let kind = match model {
            "mf" => ModelKind::Mf,
            "mlp" => ModelKind::Mlp,
            _ => return Self::example(set, model, private),
        };
        let mut template = Self::example(set, "neumf", private)?;
        let config = &mut template.plan.model;
        let width = config.width();
        (config.kind, config.gmf_dim, config.mlp_dim) = (kind, width, width);
        template.plan.name = template.plan.name.replace("neumf", model);
        Ok(template)
    }

    /// Its model, how a customer trains it, and what becomes of the mean update.
    pub(crate) fn learning(&self) -> (ModelConfig, TrainConfig, ServerPlan) {
        let plan = &self.plan;
        (plan.model.clone(), plan.train.clone(), plan.server.clone())
    }

    /// Where it is from.
    pub(crate) fn origin(&self) -> &str {
        &self.origin
    }

    /// The plan as it is written.
    pub(crate) fn plan(&self) -> &Plan {
        &self.plan
    }

    /// For other rounds.
    pub(crate) fn with_rounds(mut self, rounds: Option<u64>) -> Self {
        self.plan.rounds = rounds.unwrap_or(self.plan.rounds);
        self
    }

    /// With the noise that keeps all rounds within `epsilon` at `delta`.
    ///
    /// # Errors
    /// When no noise does.
    pub(crate) fn with_epsilon(mut self, epsilon: Epsilon, delta: Delta) -> anyhow::Result<Self> {
        let privacy = &mut self.plan.privacy;
        let target = CalibrationTarget::new(epsilon, delta);
        let noise = noise_multiplier(privacy.sampling_rate, self.plan.rounds, &target)?;
        (privacy.enabled, privacy.noise_multiplier, privacy.delta) = (true, Some(noise), delta);
        Ok(self)
    }

    /// With the noise that keeps all rounds, or all releases and steps of training, within `epsilon` at `delta`.
    ///
    /// # Errors
    /// When no noise does.
    pub(crate) fn at_epsilon(mut self, epsilon: Epsilon, delta: Delta) -> anyhow::Result<Self> {
        if !self.plan.is_of_releases() {
            return self.with_epsilon(epsilon, delta);
        }
        // Nothing is sampled: the closed form of the Gaussian mechanism.
        let privacy = &mut self.plan.privacy;
        privacy.noise_multiplier = Some(NoiseMultiplier::new(1.0 / mu_of(epsilon, delta))?);
        (privacy.enabled, privacy.delta) = (true, delta);
        Ok(self)
    }

    /// Without noise, and with a clip norm that no update should reach (see `Tally::clipped`).
    ///
    /// # Errors
    /// Never: the clip norm is one.
    pub(crate) fn without_privacy(mut self) -> anyhow::Result<Self> {
        let privacy = &mut self.plan.privacy;
        if privacy.enabled {
            (privacy.enabled, privacy.noise_multiplier) = (false, None);
            privacy.clip_norm = ClipNorm::new(OUT_OF_REACH)?;
            privacy.modulus_bits = ModulusBits::B64;
        }
        Ok(self)
    }

    /// For shops with these numbers of users. A plan that names as many shops as there are keeps its names and declared
    /// sizes, the largest first; else the shops are named by number and declare their size in two digits.
    ///
    /// # Errors
    /// When the plan makes no sense for them.
    pub(crate) fn for_shops(&self, sizes: &[usize], seed: u64) -> anyhow::Result<Plan> {
        ensure!(!sizes.is_empty(), "there is no shop");
        let mut plan = self.plan.clone();
        plan.seed = seed;
        let everybody = plan.cohort.quorum == plan.shops.len();
        if plan.shops.len() == sizes.len() {
            plan.shops
                .sort_by_key(|terms| std::cmp::Reverse(terms.declared_users));
        } else {
            let like = plan.shops[0].clone();
            let terms = |(number, users): (usize, &usize)| -> anyhow::Result<ShopTerms> {
                Ok(ShopTerms {
                    name: format!("shop-{}", number + 1).parse()?,
                    declared_users: coarse(*users),
                    ..like.clone()
                })
            };
            plan.shops = sizes
                .iter()
                .enumerate()
                .map(terms)
                .collect::<anyhow::Result<_>>()?;
        }
        match &mut plan.masking {
            Some(masking) if plan.shops.len() >= FEWEST_MASKED => {
                masking.min_shops = masking.min_shops.min((plan.shops.len() * 3).div_ceil(4));
            }
            // A sum of so few hides nobody: every shop adds all of the noise.
            _ => (plan.masking, plan.privacy.placement) = (None, Placement::Local),
        }
        if everybody || plan.cohort.quorum > plan.shops.len() {
            plan.cohort.quorum = plan.shops.len();
        }
        plan.validate()
            .with_context(|| WrongUsage(format!("{} for these shops", self.origin)))?;
        Ok(plan)
    }
}

/// The shops of a plan, in its order.
pub(crate) fn names(plan: &Plan) -> Vec<ShopName> {
    plan.shops.iter().map(|terms| terms.name.clone()).collect()
}

/// Two significant digits, rounded up: what a shop may say of its size.
pub(crate) fn coarse(users: usize) -> u64 {
    let users = users.max(1) as u64;
    let step = 10u64.pow(users.ilog10().saturating_sub(1));
    users.div_ceil(step) * step
}

/// Fewer shops than these have no masks.
const FEWEST_MASKED: usize = 3;

/// A clip norm above most updates; at 64 bits the grid is finer than a thousandth all the same.
const OUT_OF_REACH: f64 = 4096.0;

macro_rules! examples {
    ($($name:literal),* $(,)?) => {
        &[$(($name, include_str!(concat!("../../../deploy/examples/", $name)))),*]
    };
}

/// What `evaluate` takes without --plan.
const EXAMPLES: &[(&str, &str)] = examples![
    "ml-100k-ials.toml",
    "ml-100k-ials-private.toml",
    "ml-100k-neumf.toml",
    "ml-100k-neumf-private.toml",
    "ml-100k-rating.toml",
    "ml-100k-rating-private.toml",
    "uci-online-retail-ials.toml",
    "uci-online-retail-ials-private.toml",
    "ml-100k-gan.toml",
    "ml-100k-gan-private.toml",
    "uci-online-retail-neumf.toml",
    "uci-online-retail-neumf-private.toml",
    "uci-online-retail-gan.toml",
    "uci-online-retail-gan-private.toml",
    "completejourney-ials.toml",
    "completejourney-ials-private.toml",
    "completejourney-neumf.toml",
    "completejourney-neumf-private.toml",
];

/// What `evaluate --task` takes.
const OF_TASKS: &[(&str, &str)] = examples![
    "completejourney-ads.toml",
    "ml-100k-content.toml",
    "uci-online-retail-product.toml"
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_example_of_a_task_is_a_plan_for_it_at_epsilon_8() {
        for (name, text) in OF_TASKS {
            let plan = Plan::from_toml(text).unwrap_or_else(|error| panic!("{name}: {error}"));
            assert!(name.ends_with(&format!("-{}.toml", plan.task.name())), "{name}");
            let set = name.trim_end_matches(&format!("-{}.toml", plan.task.name()));
            assert!(Template::of_task(set, plan.task).is_some(), "{name}");
            let mu = mu_of(Epsilon::new(8.0).unwrap(), plan.privacy.delta);
            let noise = plan.privacy.noise_multiplier.unwrap().get();
            assert!((noise * mu - 1.0).abs() < 1e-9 && plan.is_of_releases(), "{name}");
        }
        assert!(Template::of_task("ml-100k", Task::Ads).is_none());
    }

    #[test]
    fn declared_sizes_are_coarse_and_never_too_small() {
        assert_eq!(
            [1, 9, 10, 99, 101, 943, 11_000].map(coarse),
            [1, 9, 10, 99, 110, 950, 11_000]
        );
    }

    #[test]
    fn every_example_is_a_plan_and_fits_other_shops() {
        for (name, text) in EXAMPLES {
            let template = Template {
                plan: Plan::from_toml(text).unwrap_or_else(|error| panic!("{name}: {error}")),
                origin: (*name).to_owned(),
            };
            let plan = template.for_shops(&[2000, 77], 5).unwrap();
            assert_eq!((plan.seed, plan.shops[1].declared_users), (5, 77), "{name}");
            assert_eq!(plan.cohort.quorum, 2, "{name}");
            assert_eq!(plan.privacy.enabled, name.ends_with("-private.toml"), "{name}");
        }
    }

    #[test]
    fn a_plan_keeps_its_shops_if_their_number_fits() {
        let template = Template::example("ml-100k", "ials", false).unwrap();
        let sizes = vec![100; template.plan().shops.len()];
        assert_eq!(
            names(&template.for_shops(&sizes, 0).unwrap()).len(),
            template.plan().shops.len()
        );
        assert_eq!(
            template.for_shops(&sizes, 0).unwrap().shops[0].declared_users,
            template.plan().shops[0].declared_users
        );
    }

    #[test]
    fn an_examples_noise_keeps_its_promise() {
        for (name, text) in EXAMPLES
            .iter()
            .filter(|(name, _)| name.ends_with("-private.toml"))
        {
            let plan = Plan::from_toml(text).unwrap();
            let wanted = Template {
                plan: plan.clone(),
                origin: String::new(),
            }
            .with_epsilon(Epsilon::new(8.0).unwrap(), plan.privacy.delta)
            .unwrap();
            let (is, least) = (
                plan.privacy.noise_multiplier.unwrap().get(),
                wanted.plan().privacy.noise_multiplier.unwrap().get(),
            );
            assert!(
                is >= least && is < least + 0.01,
                "{name}: {is}, epsilon 8 takes {least}"
            );
        }
    }
}
