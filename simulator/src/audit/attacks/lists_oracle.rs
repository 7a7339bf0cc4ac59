//! What a shop's own lists tell another of its customers: lists are watched before and after one purchase, and the item that
//! rises beside what somebody is known to have is named. Local lists are out of the guarantee's scope; that nothing is told which
//! fewer than five customers stand behind is what they have. The shop's service answers with scores, whole lists on demand.

use rand::RngExt;
use rayon::prelude::*;
use souk_client::recommend::related::{LEAST_CUSTOMERS, Related};
use souk_common::channels::{Recency, knn, recency_weights};
use souk_common::clock::Timestamp;
use souk_common::dataset::{Dataset, History};
use souk_common::rng::stream;

use super::context::Context;
use super::statistics::Estimate;
use super::{Measured, Tried};
use crate::audit::findings::Protections;

pub(super) fn run(context: &Context<'_>) -> anyhow::Result<Tried> {
    let targets = context.targets("lists", context.subject.effort.pick(60, 600), 3);
    if targets.is_empty() {
        return Ok(Tried::Not(
            "no customer has three items besides the latest one".to_owned(),
        ));
    }
    let watched: Vec<Watched> = targets
        .par_iter()
        .map(|user| Watched::of(context, *user))
        .collect();
    let items = context.subject.known.catalogue.len();
    let chance = 1.0 / items.saturating_sub(KNOWN).max(1) as f64;
    let told = |name: &str, scores: fn(&Dataset, &[u32], usize) -> Vec<f64>| {
        let hits = watched
            .par_iter()
            .map(|one| u64::from(one.is_told(scores, items)))
            .sum();
        (
            Estimate::proportion(hits, watched.len() as u64),
            format!("{name}; {KNOWN} of the customer's items are known"),
        )
    };
    let rows = [
        (
            Protections::Plan,
            told(SCORES, |data, known, items| {
                public_lists(data, known, items, LEAST_CUSTOMERS)
            }),
        ),
        (Protections::Plan, told(ORDER, order_of_lists)),
        (
            Protections::None,
            told(WITHOUT_RULE, |data, known, items| {
                public_lists(data, known, items, 1)
            }),
        ),
        (Protections::Plan, told(OWN_LIST, own_list)),
    ];
    let mut measured = Measured::of(MEASURE);
    for (protections, (found, note)) in rows {
        let mut row = context.row(protections, found, (chance, None), note);
        // Not what the plan's guarantee is of.
        row.ok = None;
        measured.rows.push(row);
    }
    Ok(Tried::Rows(vec![measured]))
}

/// A shop before and after one purchase of one of its customers.
struct Watched {
    before: Dataset,
    after: Dataset,
    /// Items of the customer that are known.
    known: Vec<u32>,
    bought: u32,
    seed: u64,
}

impl Watched {
    fn of(context: &Context<'_>, user: usize) -> Self {
        let history = &context.subject.known.dataset.histories[user];
        let (bought, earlier) = history.items.split_last().unwrap_or((&0, &[]));
        let mut before = context.others(context.shop_of(user), Some(user));
        let mut after = before.clone();
        before.histories.push(History {
            items: earlier.to_vec(),
            times: history.times[..earlier.len()].to_vec(),
        });
        after.histories.push(history.clone());
        for shop in [&mut before, &mut after] {
            shop.users.push("the customer".to_owned());
            shop.labelled.clear();
        }
        Self {
            before,
            after,
            known: earlier.iter().rev().take(KNOWN).copied().collect(),
            bought: *bought,
            seed: context.subject.seed ^ user as u64,
        }
    }

    /// Whether the item that rose most is the one that was bought.
    fn is_told(&self, scores: fn(&Dataset, &[u32], usize) -> Vec<f64>, items: usize) -> bool {
        let (before, after) = (
            scores(&self.before, &self.known, items),
            scores(&self.after, &self.known, items),
        );
        let rise: Vec<f64> = (0..items)
            .map(|item| match self.known.contains(&(item as u32)) {
                true => f64::NEG_INFINITY,
                false => after[item] - before[item],
            })
            .collect();
        let most = rise
            .iter()
            .fold(f64::NEG_INFINITY, |most, value| most.max(*value));
        let named: Vec<usize> = (0..items).filter(|item| rise[*item] >= most).collect();
        let drawn = stream(self.seed, "named").random_range(0..named.len().max(1));
        named.get(drawn) == Some(&(self.bought as usize))
    }
}

/// How much each item counts on the lists of what is bought together with the known items, which anybody may read, if pairs of `least`
/// customers are told.
fn public_lists(shop: &Dataset, known: &[u32], items: usize, least: u32) -> Vec<f64> {
    let related = Related::of(shop, items, Timestamp(0));
    let mut sum = vec![0.0; items];
    for item in known {
        if least == LEAST_CUSTOMERS {
            let list = related.bought_together(shop, *item);
            list.iter()
                .for_each(|beside| sum[beside.item as usize] += f64::from(beside.score));
            continue;
        }
        let own = f64::from(related.customers(*item));
        for (other, count) in (0u32..)
            .zip(related.together(shop, *item))
            .filter(|(_, count)| *count >= least)
        {
            let both = (own * f64::from(related.customers(other))).sqrt();
            sum[other as usize] += f64::from(count) / (both + SHRINKAGE);
        }
    }
    sum
}

/// The same by places alone, of the first ten.
fn order_of_lists(shop: &Dataset, known: &[u32], items: usize) -> Vec<f64> {
    let related = Related::of(shop, items, Timestamp(0));
    let mut sum = vec![0.0; items];
    for item in known {
        let list = related.bought_together(shop, *item);
        for (place, beside) in list.iter().take(SHOWN).enumerate() {
            sum[beside.item as usize] += (SHOWN - place) as f64;
        }
    }
    sum
}

/// The list of a customer who has just the known items, by the shop's own nearest neighbours; no pair of it needs five customers.
fn own_list(shop: &Dataset, known: &[u32], items: usize) -> Vec<f64> {
    let mut shop = shop.clone();
    shop.users.push("the one who watches".to_owned());
    shop.histories.push(History {
        items: known.to_vec(),
        times: vec![0; known.len()],
    });
    let kernel = knn::kernel(&shop.histories, items);
    let channels =
        souk_common::channels::kernel::channels("knn", souk_common::channels::Group::Local, kernel, &[0.0]);
    let mut scores = vec![0.0f32; items];
    let weights = recency_weights(known.len(), 0.0);
    let of = Recency {
        items: known,
        weights: &weights,
    };
    if let Some(channel) = channels.first() {
        channel.score(of, &mut scores);
    }
    scores.into_iter().map(f64::from).collect()
}

/// Items of a list on a page.
const SHOWN: usize = 10;
/// As in the shop's own lists.
const SHRINKAGE: f64 = 10.0;
/// Items of a customer that the other one knows.
const KNOWN: usize = 4;
const MEASURE: &str = "share of purchases that are named, of one each (Clopper-Pearson)";
const SCORES: &str = "lists of what is bought together, which anybody may read, whole and with their scores: pairs of at least five customers";
const ORDER: &str = "the first ten of each of these lists, without their scores";
const WITHOUT_RULE: &str = "whole lists with scores, if pairs of one customer were told as well";
const OWN_LIST: &str =
    "the list of another customer who has the same items, by nearest neighbours alone, whole and with scores";
