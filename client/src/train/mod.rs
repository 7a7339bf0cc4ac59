//! A shop's part in one round: noise, a secret draw of users, each user's whole update, one sum of integers.

use rand::{RngExt, SeedableRng};
use rayon::prelude::*;
use souk_common::dataset::Dataset;
use souk_common::model::config::TrainConfig;
use souk_common::model::{Loaded, UserVector};
use souk_common::privacy::{NoiseVector, UserSum};
use souk_common::rng::Stream;
use souk_common::round::grid::Grid;
use souk_common::round::plan::{Plan, ShopTerms};

/// Users' own vectors, in the order of the data set; none before a user's first round. They never leave the shop.
pub type Vectors = Vec<Option<UserVector>>;

/// What one round made of a shop's data; `sum` is not to be had before its ledger was charged.
pub struct RoundUpdate {
    /// Noise plus the drawn users' clipped updates.
    pub sum: UserSum,
    /// The drawn users' own vectors after the round; only for solvers that start from them.
    pub vectors: Vec<(usize, UserVector)>,
}

/// Draws the noise, then users with probability q, and sums their updates.
///
/// Every user with at least one interaction may be drawn. `secret` must come from the operating system wherever the
/// data is anybody's; a seeded stream makes a simulation reproducible. The result is the same on any number of threads.
///
/// `previous` has one entry a user of `dataset`, or is empty.
pub fn round_update(
    model: &Loaded,
    dataset: &Dataset,
    previous: &[Option<UserVector>],
    plan: &Plan,
    grid: &Grid,
    terms: &ShopTerms,
    secret: &mut Stream,
) -> RoundUpdate {
    // Before any data is read.
    let noise = NoiseVector::draw(grid, model.layout().len(), secret);
    let mut sum = UserSum::new(grid, terms.weight, noise);
    let rate = plan.privacy.sampling_rate.get();
    let drawn: Vec<(usize, [u8; 32])> = dataset
        .histories
        .iter()
        .enumerate()
        .filter(|(_, history)| !history.is_empty() && secret.random_bool(rate))
        .map(|(user, _)| user)
        .collect::<Vec<_>>()
        .into_iter()
        .map(|user| (user, secret.random()))
        .collect();
    let keeps_vectors = matches!(plan.train, TrainConfig::Sgd(_));
    // As many parts as threads, each of model size, not one a task.
    let share = drawn
        .len()
        .div_ceil(rayon::current_num_threads())
        .max(LEAST_SHARE);
    let shares: Vec<_> = drawn
        .par_chunks(share)
        .map(|users| {
            let mut part = sum.part();
            let mut vectors = Vec::new();
            for (user, seed) in users {
                let mut rng = Stream::from_seed(*seed);
                let before = previous.get(*user).and_then(Option::as_ref);
                let (update, after) = model.user_update(&dataset.histories[*user], before, &[], &mut rng);
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
