//! The demo's shops: made up, or read from folders; the last two purchases of each customer are kept back.

use std::fs;
use std::ops::Range;
use std::path::Path;

use anyhow::Context;
use souk_common::catalogue::Catalogue;
use souk_common::dataset::{Dataset, History};
use souk_common::eval::{Split, leave_last_two_out};
use souk_common::ids::ShopName;
use souk_common::params::{Delta, Epsilon, Weight};
use souk_common::plan::{Placement, Plan, ReleaseTerms, ShopTerms};
use souk_common::training::phases::TrainingPhase;

use crate::data::folders::read_folders;
use crate::data::known::Known;
use crate::data::plans::coarse;
use crate::data::split::{write_items, write_orders};
use crate::data::synthetic;

/// Shops, their users, and what was kept back.
pub(crate) struct Market {
    pub(crate) catalogue: Catalogue,
    pub(crate) split: Split,
    pub(crate) shops: Vec<(ShopName, Range<usize>)>,
    origin: String,
}

impl Market {
    /// The made-up market of `seed`, with about so many customers in shops of very different sizes.
    pub(crate) fn synthetic(seed: u64, customers: usize) -> anyhow::Result<Self> {
        let all: usize = synthetic::SHOP_USERS.iter().sum();
        let sizes = synthetic::SHOP_USERS.map(|users| (users * customers / all).max(LEAST_CUSTOMERS));
        let made = synthetic::generate_sized(seed, &sizes).context("making up a market")?;
        let shops = made
            .shops
            .into_iter()
            .map(|(name, users)| Ok((name.parse()?, users)))
            .collect::<anyhow::Result<_>>()?;
        Ok(Self::new(
            made.dataset,
            made.catalogue,
            shops,
            "made up, a year of retail".to_owned(),
        ))
    }

    /// Shops in folders, as `souk-sim split` writes them.
    pub(crate) fn read(dir: &Path) -> anyhow::Result<Self> {
        let (dataset, catalogue, shops) = read_folders(dir)?;
        Ok(Self::new(dataset, catalogue, shops, dir.display().to_string()))
    }

    fn new(
        dataset: Dataset,
        catalogue: Catalogue,
        shops: Vec<(ShopName, Range<usize>)>,
        origin: String,
    ) -> Self {
        Self {
            catalogue,
            split: leave_last_two_out(&dataset),
            shops,
            origin,
        }
    }

    /// Moves all purchases by as many whole days as bring the latest to within a day of `end`, seconds since 1970.
    pub(crate) fn end_at(&mut self, end: i64) {
        let times = || {
            self.split
                .train
                .histories
                .iter()
                .flat_map(|history| &history.times)
        };
        let Some(latest) = times().max() else { return };
        let days = (end - latest).div_euclid(86_400);
        for time in self
            .split
            .train
            .histories
            .iter_mut()
            .flat_map(|history| &mut history.times)
        {
            *time += days * 86_400;
        }
    }

    /// One line for people.
    pub(crate) fn describe(&self) -> String {
        format!(
            "{} shops, {} customers, {} products ({}); each customer's last two purchases are kept back",
            self.shops.len(),
            self.split.train.len(),
            self.catalogue.len(),
            self.origin
        )
    }

    /// The shops' names.
    pub(crate) fn names(&self) -> Vec<ShopName> {
        self.shops.iter().map(|(name, _)| name.clone()).collect()
    }

    /// The same as a set that can be evaluated: all that the shops have, and what was kept back.
    pub(crate) fn known(&self) -> Known {
        let mut shop_of = vec![0; self.split.train.len()];
        let mut groups = vec![String::new(); self.split.train.len()];
        for (shop, (name, users)) in self.shops.iter().enumerate() {
            shop_of[users.clone()].fill(shop);
            groups[users.clone()].fill(name.to_string());
        }
        Known {
            name: "demo",
            dataset: self.split.train.clone(),
            catalogue: self.catalogue.clone(),
            shop_of,
            shops: self.shops.len(),
            groups,
        }
    }

    /// The plan of releases, and of training behind them, at `epsilon`.
    pub(crate) fn plan_of_releases(
        &self,
        seed: u64,
        epsilon: Epsilon,
        training: Vec<TrainingPhase>,
    ) -> anyhow::Result<Plan> {
        let shops: Vec<ShopTerms> = self
            .shops
            .iter()
            .map(|(name, users)| -> anyhow::Result<ShopTerms> {
                Ok(ShopTerms {
                    name: name.clone(),
                    declared_users: coarse(users.len()),
                    weight: Weight::new(1.0)?,
                })
            })
            .collect::<anyhow::Result<_>>()?;
        let terms = ReleaseTerms {
            epsilon: Some(epsilon),
            delta: Delta::new(1e-5)?,
            // Nobody to share noise with.
            placement: match shops.len() {
                0..3 => Placement::Local,
                _ => Placement::Distributed,
            },
            training: Some(training),
        };
        Ok(Plan::of_releases("demo", seed, shops, &terms, &self.catalogue)?)
    }

    /// A plan that trains a model from nothing.
    pub(crate) fn plan(&self, seed: u64, rounds: Option<u64>) -> anyhow::Result<Plan> {
        let mut plan = Plan::from_toml(PLAN).context("the demo's plan")?;
        plan.seed = seed;
        plan.rounds = rounds.unwrap_or(plan.rounds);
        plan.shops = self
            .shops
            .iter()
            .map(|(name, users)| ShopTerms {
                name: name.clone(),
                declared_users: coarse(users.len()),
                ..plan.shops[0].clone()
            })
            .collect();
        let shops = plan.shops.len();
        if shops < 2 {
            // Nobody to share noise with.
            (plan.masking, plan.metrics) = (None, None);
            plan.privacy.placement = Placement::Local;
        }
        plan.cohort.quorum = shops;
        if let Some((terms, masking)) = plan.masking_params().zip(plan.masking.as_mut()) {
            // One shop may drop out, as far as the shares of the others can make up for it.
            let least = terms.threshold(shops, 0);
            masking.min_shops = (shops - 1).max(least).min(shops);
            plan.cohort.quorum = masking.min_shops;
        }
        plan.validate().context("the demo's plan")?;
        Ok(plan)
    }

    /// Writes `items.csv`, `plan.toml` and each shop's data below `dir`: all but the customers' latest items.
    pub(crate) fn write(&self, dir: &Path, plan: &Plan) -> anyhow::Result<()> {
        write_items(&dir.join("items.csv"), &self.catalogue)?;
        let text = toml::to_string(plan).context("writing the plan")?;
        fs::write(dir.join("plan.toml"), text).context("writing plan.toml")?;
        for (name, users) in &self.shops {
            let folder = dir.join("data").join(name.as_str());
            fs::create_dir_all(&folder).with_context(|| format!("creating {}", folder.display()))?;
            let histories: Vec<History> = users.clone().map(|user| self.shown(user)).collect();
            let rows = self.split.train.users[users.clone()].iter().zip(&histories);
            write_orders(&folder.join("orders.csv"), &self.catalogue, rows)?;
        }
        Ok(())
    }

    /// A customer of the smallest shop with a fair number of purchases.
    pub(crate) fn named_customer(&self) -> (&ShopName, &str) {
        let (name, users) = self
            .shops
            .iter()
            .min_by_key(|(_, users)| users.len())
            .unwrap_or(&self.shops[0]);
        let chosen = users
            .clone()
            .find(|user| self.history(*user).len() >= 8)
            .unwrap_or(users.start);
        (name, &self.split.train.users[chosen])
    }

    /// What the shop has of a user: the training items and the one that it validates on.
    fn shown(&self, user: usize) -> History {
        let mut history = self.history(user).clone();
        if let Some(held) = self.split.held_out[user] {
            history.items.push(held.validation);
            history
                .times
                .push(history.times.last().map_or(0, |last| last + 1));
        }
        history
    }

    fn history(&self, user: usize) -> &History {
        &self.split.train.histories[user]
    }
}

/// That are made up where nothing else is said.
pub(crate) const CUSTOMERS: usize = 20_000;
/// Of the smallest shop.
const LEAST_CUSTOMERS: usize = 20;
/// Replaced in part by the shops at hand.
const PLAN: &str = r#"
name = "demo"
rounds = 40

[model]
kind = "mf"
gmf_dim = 32
features = ["category", "brand", "price"]
item_bias = false

[train]
solver = "ials"
alpha = 0.07
lambda = 1.0
recency = 0.5

[privacy]
clip_norm = 0.3
noise_multiplier = 1.7
sampling_rate = 0.2
delta = 1e-5
placement = "distributed"

[masking]
min_shops = 2
colluding = 1

[metrics]
noise_multiplier = 12

[cohort]
quorum = 2
deadline = "5m"

[server]
optimiser = "adam"
learning_rate = 0.03
beta1 = 0.8
beta2 = 0.99

[[shops]]
name = "any"
declared_users = 1

[[shops]]
name = "other"
declared_users = 1
"#;
