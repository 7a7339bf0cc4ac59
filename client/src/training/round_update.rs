//! A shop's part in one round: noise, a secret draw of users, each user's whole update, one sum of integers.

use rand::RngExt;
use rayon::prelude::*;
use souk_common::dataset::Dataset;
use souk_common::model::config::TrainConfig;
use souk_common::model::{Loaded, UserVector};
use souk_common::plan::{Plan, ShopTerms};
use souk_common::privacy::{NoiseVector, UserSum};
use souk_common::rng::{Coins, Source, Stream};
use souk_common::update::Grid;

use crate::training::quality::hits_newest;

/// Users' own vectors, in the order of the data set; none before a user's first round. They never leave the shop.
pub type Vectors = Vec<Option<UserVector>>;

/// What one round made of a shop's data; `sum` is not to be had before its ledger was charged. `S` is where noise and
/// draw came from: what was made of a known seed is of another type than what a shop finishes and boxes.
///
/// ```compile_fail,E0308
/// use souk_client::training::round_update::RoundUpdate;
/// use souk_common::rng::{Secret, Stream};
/// fn boxed(update: RoundUpdate<Secret>) {}
/// fn known(update: RoundUpdate<Stream>) {
///     boxed(update);
/// }
/// ```
pub struct RoundUpdate<S> {
    /// Noise plus the drawn users' clipped updates.
    pub sum: UserSum<S>,
    /// The drawn users' own vectors after the round; only for solvers that start from them.
    pub vectors: Vec<(usize, UserVector)>,
}

/// Whom a shop trains on.
#[derive(Clone, Copy)]
pub struct Customers<'a> {
    /// What they bought.
    pub dataset: &'a Dataset,
    /// Their own vectors so far: one entry a user, or none at all.
    pub vectors: &'a [Option<UserVector>],
    /// Items that are never drawn as negatives, beside the user's own: an ascending list a user, or, as in every real
    /// shop, none at all. Published evaluations name the held-out items here, which leaks them (view A).
    pub forbidden: &'a [Vec<u32>],
}

/// Draws the noise, then users with probability q, and sums their updates.
///
/// Every user with at least one interaction may be drawn; where stars are learned, with at least one rating. `source` is a shop's [`Secret`](souk_common::rng::Secret), or a
/// seeded stream, which makes a simulation reproducible. The result is the same on any number of threads.
pub fn round_update<S: Source>(
    model: &Loaded,
    customers: Customers<'_>,
    plan: &Plan,
    grid: &Grid,
    terms: &ShopTerms,
    source: &mut S,
) -> RoundUpdate<S> {
    // Before any data is read.
    let noise = NoiseVector::draw(grid, plan.update_len(model.layout().len()), source);
    let counts = plan.counts(grid);
    let sum = UserSum::new(grid, terms.weight, noise).with_counts(counts);
    let rate = plan.privacy.sampling_rate.get();
    let histories = &customers.dataset.histories;
    let of_stars = matches!(plan.train, TrainConfig::Stars(_));
    let stars = |user: usize| customers.dataset.labelled_of(user).filter(|_| of_stars);
    // Keyed by the user's id: who else is a customer changes neither a user's draw nor what the user draws.
    let coins = Coins::toss(source);
    let mut drawn: Vec<(usize, Stream)> = histories
        .iter()
        .enumerate()
        .filter(|(user, history)| match of_stars {
            true => stars(*user).is_some(),
            false => !history.is_empty(),
        })
        .filter_map(|(user, _)| {
            let mut own = coins.of(&customers.dataset.users[user]);
            own.random_bool(rate).then_some((user, own))
        })
        .collect();
    let keeps_vectors = matches!(plan.train, TrainConfig::Sgd(_));
    let mut sum = sum.with_room(drawn.len() as u64, plan.room_for(terms));
    // As many parts as threads, each of model size, not one a task.
    let share = drawn
        .len()
        .div_ceil(rayon::current_num_threads())
        .max(LEAST_SHARE);
    let shares: Vec<_> = drawn
        .par_chunks_mut(share)
        .map(|users| {
            let mut part = sum.part();
            let mut vectors = Vec::new();
            for (user, own) in users {
                let before = customers.vectors.get(*user).and_then(Option::as_ref);
                let forbidden = customers.forbidden.get(*user).map_or(&[][..], Vec::as_slice);
                if counts.is_some()
                    && let Some(hit) = hits_newest(model, &histories[*user], forbidden, own)
                {
                    part.count(hit);
                }
                if let Some(labelled) = stars(*user) {
                    if let Some(update) = model.stars_update(labelled) {
                        part.add(&update);
                    }
                    continue;
                }
                let (update, after) = model.user_update(&histories[*user], before, forbidden, own);
                part.add(&update);
                if keeps_vectors {
                    vectors.push((*user, after));
                }
            }
            (part, vectors)
        })
        .collect();
    let mut vectors = Vec::new();
    for (part, learned) in shares {
        sum.merge(part);
        vectors.extend(learned);
    }
    RoundUpdate { sum, vectors }
}

/// Fewer users than this are not worth a thread and a copy of the model's shape.
const LEAST_SHARE: usize = 16;

#[cfg(test)]
mod tests;
