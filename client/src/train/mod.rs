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

mod quality;

use quality::hits_newest;

/// Users' own vectors, in the order of the data set; none before a user's first round. They never leave the shop.
pub type Vectors = Vec<Option<UserVector>>;

/// What one round made of a shop's data; `sum` is not to be had before its ledger was charged. `S` is where noise and
/// draw came from: what was made of a known seed is of another type than what a shop finishes and boxes.
///
/// ```compile_fail,E0308
/// use souk_client::train::RoundUpdate;
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
/// Every user with at least one interaction may be drawn. `source` is a shop's [`Secret`](souk_common::rng::Secret), or a
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
    let mut sum = UserSum::new(grid, terms.weight, noise).with_counts(counts);
    let rate = plan.privacy.sampling_rate.get();
    let histories = &customers.dataset.histories;
    // Keyed by the user's id: who else is a customer changes neither a user's draw nor what the user draws.
    let coins = Coins::toss(source);
    let mut drawn: Vec<(usize, Stream)> = histories
        .iter()
        .enumerate()
        .filter(|(_, history)| !history.is_empty())
        .filter_map(|(user, _)| {
            let mut own = coins.of(&customers.dataset.users[user]);
            own.random_bool(rate).then_some((user, own))
        })
        .collect();
    let keeps_vectors = matches!(plan.train, TrainConfig::Sgd(_));
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
mod proofs;

#[cfg(test)]
mod tests {
    use super::*;
    use souk_common::catalogue::{Catalogue, Item};
    use souk_common::clock::Timestamp;
    use souk_common::dataset::History;
    use souk_common::ids::Digest;
    use souk_common::model::Recommender;
    use souk_common::model::init::initial_parameters;
    use souk_common::privacy::{Ledger, MemorySink, Spend};
    use souk_common::rng::stream;
    use souk_common::update::UpdateValues;

    const PLAN: &str = "name = \"t\"\nrounds = 1\n[model]\nkind = \"mf\"\ngmf_dim = 4\nitem_bias = false\n\
        [train]\nsolver = \"ials\"\nalpha = 0.1\nlambda = 1.0\n[privacy]\nclip_norm = 1.0\nnoise_multiplier = 4.0\n\
        sampling_rate = 0.5\n[cohort]\nquorum = 1\n[server]\noptimiser = \"plain\"\nlearning_rate = 1.0\n\
        [[shops]]\nname = \"north\"\ndeclared_users = 100\n";

    struct Shop {
        plan: Plan,
        model: Loaded,
        grid: Grid,
        dataset: Dataset,
    }

    fn shop(plan: &str) -> Shop {
        let plan = Plan::from_toml(plan).unwrap();
        let item = |row: usize| Item::bare(format!("i{row}"));
        let catalogue = Catalogue::new((0..40).map(item).collect()).unwrap();
        let recommender = Recommender::new(&plan.model, &plan.train, &catalogue);
        let model = recommender.load(initial_parameters(
            &plan.model,
            &plan.train,
            recommender.layout(),
            3,
        ));
        let grid = plan.grid(model.layout().len()).unwrap();
        let history = |user: u32| History {
            items: vec![user % 40, (user * 7 + 1) % 40],
            times: vec![0, 1],
        };
        let dataset = Dataset {
            users: (0..100).map(|user| format!("u{user}")).collect(),
            histories: (0..100).map(history).collect(),
        };
        Shop {
            plan,
            model,
            grid,
            dataset,
        }
    }

    impl Shop {
        fn update(&self, dataset: &Dataset, seed: u64) -> Vec<u32> {
            let terms = &self.plan.shops[0];
            let mut secret = stream(seed, "round");
            let made = round_update(
                &self.model,
                Customers {
                    dataset,
                    vectors: &[],
                    forbidden: &[],
                },
                &self.plan,
                &self.grid,
                terms,
                &mut secret,
            );
            let name = "north".parse().unwrap();
            let mut ledger = Ledger::open(MemorySink::default(), &[], &name, Timestamp(0)).unwrap();
            let spend = Spend {
                plan: Digest::ZERO,
                round: 1,
                attempt: 1,
                noise_multiplier: self.plan.privacy.noise_multiplier,
                sampling_rate: self.plan.privacy.sampling_rate,
                clip_norm: self.plan.privacy.clip_norm,
                shared: None,
            };
            let charged = ledger.charge(spend, Timestamp(0)).unwrap();
            match made.sum.finish(&charged).unwrap().into_inner().values {
                UpdateValues::B32(values) => values,
                UpdateValues::B64(_) => panic!("the plan has b = 32"),
            }
        }
    }

    #[test]
    fn any_number_of_threads_makes_the_same_integers() {
        let shop = shop(PLAN);
        let on = |threads| {
            let pool = rayon::ThreadPoolBuilder::new()
                .num_threads(threads)
                .build()
                .unwrap();
            pool.install(|| shop.update(&shop.dataset, 7))
        };
        assert_eq!(on(1), on(4));
        assert_ne!(
            on(1),
            shop.update(&shop.dataset, 8),
            "another seed is another draw"
        );
    }

    #[test]
    fn about_half_of_the_users_are_drawn_and_each_adds_at_most_the_clip_norm() {
        let without = PLAN
            .replace("noise_multiplier = 4.0\n", "enabled = false\n")
            .replace("0.5", "1.0");
        let everybody = shop(&without);
        let one = Dataset {
            users: vec!["u".into()],
            histories: vec![everybody.dataset.histories[3].clone()],
        };
        let values = everybody.update(&one, 1);
        let squares: f64 = values.iter().map(|value| f64::from(*value as i32).powi(2)).sum();
        assert!(
            squares > 0.0 && squares.sqrt() <= everybody.grid.clip_units(),
            "{squares}"
        );
        // With q = 1 the sum of two shops is the shop of both: the draw leaves nobody out.
        let half = |from: usize| Dataset {
            users: everybody.dataset.users[from..from + 50].to_vec(),
            histories: everybody.dataset.histories[from..from + 50].to_vec(),
        };
        let (first, second) = (everybody.update(&half(0), 1), everybody.update(&half(50), 2));
        let sum: Vec<u32> = first
            .iter()
            .zip(&second)
            .map(|(a, b)| a.wrapping_add(*b))
            .collect();
        assert_eq!(sum, everybody.update(&everybody.dataset, 3));
        // With q = 1/2, 400 draws of one user: outside 150..250 once in three million seeds.
        let half_rate = shop(&PLAN.replace("noise_multiplier = 4.0\n", "enabled = false\n"));
        let drawn = (0..400)
            .filter(|seed| half_rate.update(&one, *seed).iter().any(|value| *value != 0))
            .count();
        assert!((150..250).contains(&drawn), "{drawn}");
    }

    #[test]
    fn a_shop_without_customers_sends_noise_all_the_same() {
        let shop = shop(PLAN);
        let nobody = Dataset {
            users: vec!["u".into()],
            histories: vec![History::default()],
        };
        let noise = shop.update(&nobody, 5);
        assert_eq!(noise, shop.update(&Dataset::default(), 5));
        assert!(noise.iter().filter(|value| **value != 0).count() > noise.len() / 2);
    }
}
