//! Attacks that read something off what is seen of one customer: the share that is right, with the customer there, and, as what
//! guessing achieves, without.

use rand::RngExt;
use rayon::prelude::*;
use souk_common::dataset::Dataset;
use souk_common::release::for_release;
use souk_common::rng::stream;

use super::context::Context;
use super::observed_round::ObservedRound;
use super::statistics::{Estimate, Guarantee};

/// What the adversary sees beside the customer.
pub(super) struct Background {
    /// What each shop's other customers add, where the adversary does not know it: one a shop of the plan.
    others: Vec<Vec<f64>>,
    /// How many shops add noise.
    noisy: usize,
}

impl Background {
    /// Nothing but the noise of so many shops: everybody else is known, or is not there.
    pub(super) fn noise_of(noisy: usize) -> Self {
        Self {
            others: Vec::new(),
            noisy,
        }
    }

    /// All other shops' customers, and the noise of all shops.
    ///
    /// # Errors
    /// When a shop can't make its update.
    pub(super) fn other_shops(context: &Context<'_>, quiet: &ObservedRound) -> anyhow::Result<Self> {
        let shops = context.plan().shops.len();
        let seed = context.subject.seed;
        let sum = |shop: usize| {
            let mut source = stream(seed, &format!("other shops {shop}"));
            quiet.shop(shop, &context.others(shop, None), &mut source)
        };
        Ok(Self {
            others: (0..shops).map(sum).collect::<anyhow::Result<_>>()?,
            noisy: shops,
        })
    }

    /// What is seen of a shop with these customers alone.
    fn seen(
        &self,
        observed: &ObservedRound,
        shop: usize,
        dataset: &Dataset,
        name: &str,
        seed: u64,
    ) -> anyhow::Result<Vec<f64>> {
        let mut source = stream(seed, name);
        let mut seen = observed.shop(shop, dataset, &mut source)?;
        let mut add = |part: &[f64]| seen.iter_mut().zip(part).for_each(|(sum, part)| *sum += part);
        let others = self.others.iter().enumerate().filter(|(other, _)| *other != shop);
        others.for_each(|(_, part)| add(part));
        add(&observed.nobody(self.noisy.saturating_sub(1), &mut source)?);
        Ok(seen)
    }
}

/// Shares that are right, one a customer.
pub(super) struct Extracted {
    with: Vec<f64>,
    without: Vec<f64>,
    seed: u64,
}

/// Tries customers `targets`. `right` says what share of a customer is read off what is seen in `rounds`, one entry each.
///
/// # Errors
/// When a shop can't make its update.
pub(super) fn extract(
    context: &Context<'_>,
    rounds: &[(&ObservedRound, &Background)],
    targets: &[usize],
    name: &str,
    right: impl Fn(usize, &[Vec<f64>]) -> f64 + Sync,
) -> anyhow::Result<Extracted> {
    let seed = context.subject.seed;
    let shares = |there: bool| -> anyhow::Result<Vec<f64>> {
        let share = |user: &usize| -> anyhow::Result<f64> {
            let (shop, name) = (context.shop_of(*user), format!("{name} {there} {user}"));
            let dataset = if there {
                context.alone(*user)
            } else {
                Dataset::default()
            };
            let seen: Vec<Vec<f64>> = (0..)
                .zip(rounds)
                .map(|(at, (observed, background))| {
                    background.seen(observed, shop, &dataset, &format!("{name} {at}"), seed)
                })
                .collect::<anyhow::Result<_>>()?;
            Ok(right(*user, &seen))
        };
        targets.par_iter().map(share).collect()
    };
    Ok(Extracted {
        with: shares(true)?,
        without: shares(false)?,
        seed,
    })
}

impl Extracted {
    /// With the customer there.
    pub(super) fn found(&self) -> Estimate {
        Estimate::mean_of(&self.with, self.seed)
    }

    /// Without: the same guess.
    pub(super) fn guessed(&self) -> Estimate {
        Estimate::mean_of(&self.without, self.seed)
    }

    /// The most that `guarantee` lets guessing rise to, at the upper end of what guessing achieves.
    pub(super) fn allowed(&self, guarantee: Option<Guarantee>) -> Option<f64> {
        guarantee.map(|guarantee| guarantee.raised(self.guessed().high))
    }
}

/// A customer's items, as `observed` sums them: all but the latest in a release.
pub(super) fn items_of(context: &Context<'_>, observed: &ObservedRound, user: usize) -> Vec<u32> {
    let history = &context.subject.known.dataset.histories[user];
    match observed.model() {
        Some(_) => souk_common::model::work::trained(history).to_vec(),
        None => for_release(history).items().to_vec(),
    }
}

/// The share of `own` items among as many with the highest scores; ties are broken by `seed`.
pub(super) fn precision(scores: &[f64], own: &[u32], seed: u64) -> f64 {
    let mut rng = stream(seed, "ties");
    let mut order: Vec<(f64, u64, u32)> = (0..)
        .zip(scores)
        .map(|(item, score)| (*score, rng.random(), item))
        .collect();
    order.sort_unstable_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
    let named = order.iter().take(own.len());
    named.filter(|(_, _, item)| own.contains(item)).count() as f64 / own.len().max(1) as f64
}

/// The measure of attacks that name items.
pub(super) const PRECISION: &str = "share of the customer's items among as many that are named (resampled customers); chance: the same without the customer";
