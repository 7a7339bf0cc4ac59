//! How much work one customer may take, and a count of what was taken.
//!
//! The draw of customers is secret. A customer whose training takes much longer than everybody else's would give it away:
//! the round would tell by its length whether that customer was drawn. So the work on one customer has a bound that is
//! public, and does not grow with the customer's history.

use std::cell::Cell;

use super::Recommender;
use super::config::TrainConfig;
use crate::dataset::History;

/// Most items of one customer that train and fit: the latest so many. Older ones are still never drawn as negatives, and
/// never recommended as new.
pub const MOST_ITEMS: usize = 1024;

/// The part of a history that trains and fits. It depends on nobody else's records.
pub fn trained(history: &History) -> &[u32] {
    latest(&history.items).1
}

/// What is beyond [`MOST_ITEMS`], and the rest.
pub(super) fn latest(items: &[u32]) -> (&[u32], &[u32]) {
    items.split_at(items.len().saturating_sub(MOST_ITEMS))
}

/// Most steps that one customer's update may take, by the plan and the public catalogue; `forbidden` items are beside the history
/// (none in a shop).
pub fn most_steps(recommender: &Recommender, forbidden: usize) -> u64 {
    let (items, width) = (recommender.items(), recommender.layout().width());
    let own = MOST_ITEMS.min(items);
    let steps = match recommender.train() {
        TrainConfig::Ials(_) => items + own * width,
        TrainConfig::Stars(_) => 2 * own * (width + 1),
        TrainConfig::Sgd(sgd) => {
            let samples = own * (1 + sgd.negatives);
            let passes = sgd.user_steps.saturating_sub(1) + sgd.local_steps;
            // A generator looks at all items: once for each step of the user's own vector, and to draw.
            let (draws, looks) = match recommender.config().generator() {
                Some(_) => (
                    own * sgd.generator.unwrap_or_default().draws,
                    1 + sgd.user_steps.max(1),
                ),
                None => (0, 0),
            };
            let drawn = own * sgd.negatives + draws;
            marking(items, items + forbidden) + drawn + (samples + draws) * passes + items * looks
        }
    };
    steps as u64
}

/// Steps of finding the complement of `excluded` items.
pub(super) fn marking(items: usize, excluded: usize) -> usize {
    items.div_ceil(64) + excluded
}

/// Steps taken on this thread so far. A step is an item marked or drawn, a sample's way through the network and back, an
/// item's row in the closed form, or an item's coefficient.
pub fn steps() -> u64 {
    STEPS.get()
}

pub(super) fn took(steps: usize) {
    STEPS.set(STEPS.get().wrapping_add(steps as u64));
}

thread_local! {
    static STEPS: Cell<u64> = const { Cell::new(0) };
}

#[cfg(test)]
mod tests {
    use rand::RngExt;

    use super::*;
    use crate::catalogue::{Catalogue, Item};
    use crate::model::Loaded;
    use crate::model::init::initial_parameters;
    use crate::rng::{Stream, stream};

    const ITEMS: usize = 20_000;

    fn model(kind: &str, train: &str) -> Loaded {
        let catalogue =
            Catalogue::new((0..ITEMS).map(|row| Item::bare(format!("i{row}"))).collect()).unwrap();
        let config = toml::from_str(&format!("kind = \"{kind}\"\ngmf_dim = 4")).unwrap();
        let train = toml::from_str(train).unwrap();
        let recommender = Recommender::new(&config, &train, &catalogue);
        recommender.load(initial_parameters(&config, &train, recommender.layout(), 1))
    }

    /// A customer who has bought so many of the items, in an order of its own.
    fn customer(count: usize) -> History {
        let mut items: Vec<u32> = (0..ITEMS as u32).collect();
        let mut rng = stream(9, "shuffle");
        for at in (1..ITEMS).rev() {
            items.swap(at, rng.random_range(0..=at));
        }
        items.truncate(count);
        History {
            times: vec![0; count],
            items,
        }
    }

    /// Steps and random words of one update.
    fn work(model: &Loaded, history: &History) -> (u64, u128) {
        let mut rng: Stream = stream(2, "user");
        let before = steps();
        model.user_update(history, None, &[], &mut rng);
        (steps() - before, rng.get_word_pos())
    }

    #[test]
    fn a_customer_who_has_nearly_everything_takes_no_more_steps_and_random_words_than_the_public_bound() {
        for (kind, train) in [
            (
                "mf",
                "solver = \"sgd\"\nnegatives = 4\nuser_steps = 2\nlocal_steps = 2",
            ),
            (
                "mf",
                "solver = \"ials\"\nalpha = 0.1\nlambda = 1.0\ntrain_recency = 0.5",
            ),
            ("gan", "solver = \"sgd\"\nnegatives = 4\nuser_steps = 2"),
        ] {
            let model = model(kind, train);
            let bound = most_steps(model.recommender(), 0);
            let (full, full_words) = work(&model, &customer(MOST_ITEMS));
            // Without a tenth of the bound the test would show nothing.
            assert!(full > bound / 10, "{full} of {bound}");
            for count in [1, 20, MOST_ITEMS + 1, ITEMS / 2, ITEMS - 1, ITEMS] {
                let (taken, words) = work(&model, &customer(count));
                assert!(taken <= bound, "{count} items: {taken} steps of {bound}");
                // A draw takes a word, or two in the rare case that one is not enough for a uniform rank.
                assert!(
                    words <= full_words + full_words / 50,
                    "{count} items: {words} random words, {full_words} at the cap"
                );
            }
        }
    }

    #[test]
    fn only_the_latest_items_of_a_long_history_train_and_the_others_are_no_negatives() {
        let sgd = model("mf", "solver = \"sgd\"\nnegatives = 10");
        let (older, latest) = ([7u32], 100..100 + MOST_ITEMS as u32);
        let long = History {
            times: vec![0; MOST_ITEMS + 1],
            items: older.into_iter().chain(latest).collect(),
        };
        assert_eq!(trained(&long), &long.items[1..]);
        let crate::model::UserUpdate::Sparse { ranges, .. } =
            sgd.user_update(&long, None, &[], &mut stream(3, "user")).0
        else {
            panic!("sgd's updates are sparse")
        };
        // Rows of the table are four numbers wide.
        let touched = |item: usize| ranges.iter().any(|range| range.contains(&(item * 4)));
        assert!(touched(100) && touched(100 + MOST_ITEMS - 1));
        for seed in 0..20 {
            let update = sgd.user_update(&long, None, &[], &mut stream(seed, "user")).0;
            let crate::model::UserUpdate::Sparse { ranges, .. } = update else {
                panic!("sgd's updates are sparse")
            };
            assert!(
                !ranges.iter().any(|range| range.contains(&(7 * 4))),
                "seed {seed}"
            );
        }
        let ials = model("mf", "solver = \"ials\"\nalpha = 0.1\nlambda = 1.0");
        let crate::model::UserUpdate::RankOne { rows, .. } =
            ials.user_update(&long, None, &[], &mut stream(3, "user")).0
        else {
            panic!("the closed form's updates are of rank one")
        };
        assert_eq!(rows[7], 0.0, "neither bought nor not bought");
        assert!(rows[100] != 0.0 && rows[8] != 0.0);
    }
}
