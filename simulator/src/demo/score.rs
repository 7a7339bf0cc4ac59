//! How good the federated model is, beside popularity, each shop alone, and all data in one place.

use std::ops::ControlFlow;
use std::sync::Arc;

use anyhow::Context;
use serde::Serialize;
use souk_common::channels::{Ease, Popularity, ease};
use souk_common::eval::{Candidates, Scorer, Split, Target, View, evaluate};
use souk_common::model::config::TrainConfig;
use souk_common::model::init::initial_parameters;
use souk_common::model::{Loaded, Recommender, file};
use souk_common::plan::{Placement, Plan};

use crate::data::market::Market;
use crate::evaluate::centralised::Centralised;
use crate::evaluate::fitted_users::Personal;
use crate::world::{Line, World, members_of};

/// Two figures of merit over some users.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(super) struct Quality {
    pub(super) hit_rate_at_10: f64,
    pub(super) ndcg_at_10: f64,
}

/// One shop's line of the table; also the line over all shops.
pub(super) struct ShopScores {
    pub(super) name: String,
    pub(super) users: usize,
    pub(super) federated: Quality,
    pub(super) popularity: Quality,
    /// The same solver on the shop's own data, without noise, tuned on validation.
    pub(super) local_only: Quality,
    /// EASE on the shop's own data, tuned on validation.
    pub(super) ease: Quality,
    /// The same solver on all data in one place, without noise; only over all shops.
    pub(super) central: Option<Quality>,
    /// The same plan with every shop adding all of the noise, in one process; only over all shops of a masked plan.
    pub(super) local_noise: Option<Quality>,
}

/// The whole table.
pub(super) struct Scores {
    pub(super) shops: Vec<ShopScores>,
    pub(super) all: ShopScores,
}

impl Scores {
    /// The shop with the fewest users.
    pub(super) fn smallest(&self) -> &ShopScores {
        self.shops
            .iter()
            .min_by_key(|shop| shop.users)
            .unwrap_or(&self.all)
    }
}

/// Scores the model and the baselines on what was kept back (view B, leak-free).
///
/// Alone, every shop trains with the plan's settings; with `thorough`, the smallest also with others, and the best on
/// validation counts.
pub(super) fn score(
    market: &Market,
    plan: &Plan,
    model: &[u8],
    thorough: bool,
    seed: u64,
) -> anyhow::Result<Scores> {
    let items = market.catalogue.len();
    let recommender = Recommender::new(&plan.model, &plan.train, &market.catalogue);
    let (params, _) = file::decode(model, recommender.layout()).context("the published model")?;
    let federated = Arc::new(recommender.load(params));
    let candidates = Candidates::draw(&market.split, items, seed);
    let smallest = market
        .shops
        .iter()
        .map(|(_, users)| users.len())
        .min()
        .unwrap_or(0);

    let mut shops = Vec::new();
    for (name, range) in &market.shops {
        let users: Vec<usize> = range.clone().collect();
        let (split, candidates) = (market.split.subset(&users), candidates.subset(&users));
        let part = Part {
            split: &split,
            candidates: &candidates,
            items,
        };
        let is_smallest = users.len() == smallest;
        let thorough = thorough && is_smallest;
        let lambdas: &[f64] = if is_smallest {
            &ease::LAMBDAS
        } else {
            &LARGE_LAMBDAS
        };
        shops.push(ShopScores {
            name: name.to_string(),
            users: users.len(),
            federated: part.test(&Personal::fit(&federated, &split.train, &[], seed)),
            popularity: part.test(&Popularity::fit(&split.train, items)),
            local_only: part.alone(market, plan, thorough, seed)?,
            ease: part.test(&Ease::tune(&split, &candidates, items, lambdas)?.model),
            central: None,
            local_noise: None,
        });
    }
    let part = Part {
        split: &market.split,
        candidates: &candidates,
        items,
    };
    let central = load(&recommender, plan, &market.split, seed);
    let all = ShopScores {
        name: "all".into(),
        users: market.split.train.len(),
        federated: part.test(&Personal::fit(&federated, &market.split.train, &[], seed)),
        // Each shop's own popularity, EASE and model, over all users.
        popularity: mean(&shops, |shop| shop.popularity),
        local_only: mean(&shops, |shop| shop.local_only),
        ease: mean(&shops, |shop| shop.ease),
        central: Some(part.test(&Personal::fit(&central, &market.split.train, &[], seed))),
        local_noise: local_noise(market, plan, &recommender, seed)?
            .map(|model| part.test(&Personal::fit(&model, &market.split.train, &[], seed))),
    };
    Ok(Scores { shops, all })
}

/// For shops whose EASE is shown but decides nothing: an inverse each is most of the time.
const LARGE_LAMBDAS: [f64; 2] = [300.0, 1000.0];

/// What the same rounds make when no noise is shared: the epsilon of each shop is the same, the sum carries more.
fn local_noise(
    market: &Market,
    plan: &Plan,
    recommender: &Arc<Recommender>,
    seed: u64,
) -> anyhow::Result<Option<Arc<Loaded>>> {
    if plan.privacy.placement != Placement::Distributed {
        return Ok(None);
    }
    let mut local = plan.clone();
    local.privacy.placement = Placement::Local;
    (local.masking, local.metrics) = (None, None);
    local.privacy.noise_multiplier = plan.charged_noise_multiplier();
    let names = market.names();
    let shop_of: Vec<usize> = market
        .shops
        .iter()
        .enumerate()
        .flat_map(|(shop, (_, users))| users.clone().map(move |_| shop))
        .collect();
    let members = members_of(&market.split.train, &[], &shop_of, &names);
    let world = World::new(&local, &market.catalogue, members, Line::default(), seed)?;
    let outcome = world.run(|_, _| {})?;
    Ok(Some(Arc::new(recommender.load(outcome.params))))
}

struct Part<'a> {
    split: &'a Split,
    candidates: &'a Candidates,
    items: usize,
}

impl Part<'_> {
    fn test(&self, scorer: &dyn Scorer) -> Quality {
        self.measure(scorer, Target::Test)
    }

    fn measure(&self, scorer: &dyn Scorer, target: Target) -> Quality {
        let metrics = evaluate(
            scorer,
            self.split,
            self.candidates,
            self.items,
            View::LeakFree,
            target,
            10,
        );
        Quality {
            hit_rate_at_10: metrics.hit_rate,
            ndcg_at_10: metrics.ndcg,
        }
    }

    fn alone(&self, market: &Market, plan: &Plan, thorough: bool, seed: u64) -> anyhow::Result<Quality> {
        let mut best = (f64::NEG_INFINITY, Quality::default());
        for train in settings(&plan.train, thorough) {
            let recommender = Recommender::new(&plan.model, &train, &market.catalogue);
            let model = load(&recommender, plan, self.split, seed);
            let scorer = Personal::fit(&model, &self.split.train, &[], seed);
            let validation = self.measure(&scorer, Target::Validation).hit_rate_at_10;
            if validation > best.0 {
                best = (validation, self.test(&scorer));
            }
        }
        Ok(best.1)
    }
}

/// The plan's own setting and, when `thorough`, a grid around it for the closed-form solver.
fn settings(train: &TrainConfig, thorough: bool) -> Vec<TrainConfig> {
    let mut all = vec![train.clone()];
    if let (TrainConfig::Ials(ials), true) = (train, thorough) {
        for alpha in [0.03, 0.1, 0.3] {
            for lambda in [1.0, 4.0] {
                let mut other = ials.clone();
                (other.alpha, other.lambda) = (alpha, lambda);
                all.push(TrainConfig::Ials(other));
            }
        }
    }
    all
}

fn load(recommender: &Arc<Recommender>, plan: &Plan, split: &Split, seed: u64) -> Arc<Loaded> {
    let start = initial_parameters(&plan.model, &plan.train, recommender.layout(), plan.seed);
    let alone = Centralised {
        recommender,
        server: &plan.server,
        epochs: plan.rounds,
        batch: usize::MAX,
        data: &split.train,
        forbidden: &[],
        seed,
    };
    Arc::new(recommender.load(alone.train(start, |_, _, _| ControlFlow::Continue(()))))
}

fn mean(shops: &[ShopScores], of: impl Fn(&ShopScores) -> Quality) -> Quality {
    let users: f64 = shops.iter().map(|shop| shop.users as f64).sum();
    let over = |figure: fn(Quality) -> f64| {
        shops
            .iter()
            .map(|shop| figure(of(shop)) * shop.users as f64)
            .sum::<f64>()
            / users.max(1.0)
    };
    Quality {
        hit_rate_at_10: over(|quality| quality.hit_rate_at_10),
        ndcg_at_10: over(|quality| quality.ndcg_at_10),
    }
}
