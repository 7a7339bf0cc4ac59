//! Whether reasons are true: without the items that are named, the recommended item scores lower than without as many others.

use rand::seq::index::sample;
use rayon::prelude::*;
use serde::Serialize;
use souk_common::eval::Split;
use souk_common::rng::stream;
use souk_common::stack::{Shopper, Stack};

use super::mean::mean_and_error;

/// What deleting items does to the score of the first recommended one, over customers; in units of the stack's score.
#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct Faithfulness {
    pub(super) customers: usize,
    /// Mean fall of the score without the named items.
    pub(super) named: f64,
    /// Without as many others, drawn.
    pub(super) others: f64,
    /// Of the difference.
    pub(super) standard_error: f64,
}

impl Faithfulness {
    /// Of each shop's stack, on some of its customers who have enough other items.
    pub(super) fn of(split: &Split, shops: &[(&[usize], &Stack)], seed: u64) -> Option<Self> {
        let falls: Vec<(f64, f64)> = shops
            .iter()
            .flat_map(|(users, stack)| {
                let enough = |user: &&usize| split.train.histories[**user].len() >= 2 * NAMED;
                let users: Vec<usize> = users.iter().filter(enough).take(MOST_A_SHOP).copied().collect();
                let fall =
                    |user: &usize| falls(stack, &split.train.histories[*user].items, seed ^ *user as u64);
                users.par_iter().filter_map(fall).collect::<Vec<_>>()
            })
            .collect();
        let differences: Vec<f64> = falls.iter().map(|(named, others)| named - others).collect();
        let mean = |of: fn(&(f64, f64)) -> f64| falls.iter().map(of).sum::<f64>() / falls.len() as f64;
        (!falls.is_empty()).then(|| Self {
            customers: falls.len(),
            named: mean(|fall| fall.0),
            others: mean(|fall| fall.1),
            standard_error: mean_and_error(&differences).1,
        })
    }

    /// Whether the difference is there, beyond chance.
    pub(super) fn holds(&self) -> bool {
        self.named - self.others > 2.0 * self.standard_error
    }
}

/// How far the first recommended item falls without the items that are named for it, and without as many others.
fn falls(stack: &Stack, history: &[u32], seed: u64) -> Option<(f64, f64)> {
    let shopper = Shopper {
        history,
        session: &[],
    };
    let (wanted, before) = stack.top(shopper, 1, false).first().copied()?;
    let mut parts: Vec<(f32, u32)> = history.iter().map(|item| (0.0, *item)).collect();
    for evidence in stack.evidence(history, &[wanted]).into_iter().flatten() {
        let own = parts.iter_mut().find(|(_, item)| Some(*item) == evidence.item);
        own.into_iter().for_each(|(sum, _)| *sum += evidence.part);
    }
    parts.sort_by(|a, b| b.0.total_cmp(&a.0));
    let (named, rest) = parts.split_at(NAMED.min(parts.len()));
    let mut rng = stream(seed, "faithfulness");
    let others: Vec<u32> = sample(&mut rng, rest.len(), NAMED.min(rest.len()))
        .into_iter()
        .map(|at| rest[at].1)
        .collect();
    let named: Vec<u32> = named.iter().map(|(_, item)| *item).collect();
    let without = |gone: &[u32]| {
        let left: Vec<u32> = history
            .iter()
            .filter(|item| !gone.contains(item))
            .copied()
            .collect();
        let mut scores = Vec::new();
        stack.score(&left, &mut scores);
        f64::from(before - scores[wanted as usize])
    };
    Some((without(&named), without(&others)))
}

/// Items that a list names as reasons.
const NAMED: usize = 3;
const MOST_A_SHOP: usize = 60;
