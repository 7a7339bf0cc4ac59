//! The estimates against exact sums, the updates against first principles.

mod vectors;

use super::draw::Draws;
use crate::catalogue::{Catalogue, Item};
use crate::dataset::History;
use crate::model::config::{ModelConfig, TrainConfig};
use crate::model::init::initial_parameters;
use crate::model::network::sigmoid;
use crate::model::work::MOST_ITEMS;
use crate::model::{Loaded, Recommender, UserUpdate, UserVector};
use crate::rng::stream;

pub(super) fn catalogue(items: usize) -> Catalogue {
    Catalogue::new((0..items).map(|row| Item::bare(format!("i{row:05}"))).collect()).expect("a catalogue")
}

pub(super) fn loaded(items: usize, model: &str, train: &str) -> Loaded {
    let model: ModelConfig = toml::from_str(&format!("kind = 'gan'\n{model}")).expect("a model");
    let train: TrainConfig = toml::from_str(&format!("solver = 'sgd'\n{train}")).expect("settings");
    let recommender = Recommender::new(&model, &train, &catalogue(items));
    let params = initial_parameters(&model, &train, recommender.layout(), 3);
    recommender.load(params)
}

fn history(items: &[u32]) -> History {
    History {
        items: items.to_vec(),
        times: (0..items.len() as i64).collect(),
    }
}

/// G of six items, and what each is rewarded with.
const PROBABILITIES: [f32; 6] = [0.4, 0.25, 0.15, 0.1, 0.07, 0.03];
const REWARDS: [f64; 6] = [-0.6, 0.9, 0.1, -0.2, 0.7, 0.5];

/// d/d logit_j of sum_i G_i r_i = G_j (r_j - sum_i G_i r_i).
fn exact() -> Vec<f64> {
    let mean: f64 = PROBABILITIES
        .iter()
        .zip(REWARDS)
        .map(|(g, r)| f64::from(*g) * r)
        .sum();
    let of = |(g, r): (&f32, f64)| f64::from(*g) * (r - mean);
    PROBABILITIES.iter().zip(REWARDS).map(of).collect()
}

#[test]
fn the_policy_gradient_is_unbiased_at_every_share_of_own_items_and_adds_up_to_nothing() {
    const TIMES: usize = 60_000;
    for own_share in [0.0, 0.3, 0.8] {
        let mut rng = stream(7, &format!("draws {own_share}"));
        let (mut sums, mut squares, mut shares) = ([0.0f64; 6], [0.0f64; 6], [0.0f64; 6]);
        for _ in 0..TIMES {
            let draws = Draws::new(&PROBABILITIES, &[1, 5], own_share, 5, &mut rng);
            let rewards: Vec<f64> = draws.items.iter().map(|item| REWARDS[*item as usize]).collect();
            let climbs = draws.policy_gradient(&rewards);
            // So an item that was not drawn has no gradient: -G_j times this sum.
            assert!(climbs.iter().sum::<f64>().abs() < 1e-12, "{climbs:?}");
            let mut once = [0.0f64; 6];
            for ((item, climb), share) in draws.items.iter().zip(climbs).zip(draws.shares()) {
                once[*item as usize] += climb;
                shares[*item as usize] += share;
            }
            for at in 0..6 {
                sums[at] += once[at];
                squares[at] += once[at] * once[at];
            }
        }
        for (at, exact) in exact().into_iter().enumerate() {
            let mean = sums[at] / TIMES as f64;
            let error = ((squares[at] / TIMES as f64 - mean * mean) / TIMES as f64).sqrt();
            // Of eighteen figures one is beyond 4.5 errors once in 8,000 seeds.
            assert!(
                (mean - exact).abs() < 4.5 * error,
                "{own_share}, {at}: {mean} +- {error}, exactly {exact}"
            );
            let share = shares[at] / TIMES as f64;
            assert!(
                (share - f64::from(PROBABILITIES[at])).abs() < 0.006,
                "{own_share}, {at}: {share}"
            );
        }
    }
}

#[test]
fn importance_weights_are_bounded_by_the_share_that_the_generator_draws() {
    let mut rng = stream(8, "weights");
    let draws = Draws::new(&PROBABILITIES, &[0, 3], 0.25, 500, &mut rng);
    assert_eq!(draws.items.len(), 500);
    let (least, most) = draws
        .weights
        .iter()
        .fold((f64::MAX, 0.0f64), |(least, most), weight| {
            (least.min(*weight), most.max(*weight))
        });
    assert!(
        most <= 1.0 / 0.75 + 1e-12 && least > 0.0 && least < 1.0,
        "{least} to {most}"
    );
    // Nothing can be drawn where everything is forbidden, and nothing compared with one draw.
    let none = Draws::new(&[0.0; 3], &[1], 0.5, 4, &mut rng);
    assert!(none.items.is_empty() && none.policy_gradient(&[]).is_empty());
    let one = Draws::new(&PROBABILITIES, &[1], 0.5, 1, &mut rng);
    assert_eq!(one.policy_gradient(&[0.7]), [0.0]);
}

#[test]
fn an_update_names_what_was_bought_or_drawn_and_never_what_is_forbidden() {
    let model = loaded(
        400,
        "gmf_dim = 3\nmlp_dim = 2\ntower = [4]\n[generator]\ndim = 5",
        "negatives = 2",
    );
    let forbidden: Vec<u32> = (300..400).collect();
    let own = [7, 250, 3, 299];
    let (update, user) = model.user_update(&history(&own), None, &forbidden, &mut stream(1, "user"));
    assert_eq!(user.values.len(), 3 + 2 + 5);
    let UserUpdate::Sparse { ranges, values } = update else {
        panic!("sgd's updates are sparse")
    };
    let touched: Vec<usize> = ranges.iter().cloned().flatten().collect();
    assert_eq!(touched.len(), values.len());
    let items: std::collections::BTreeSet<usize> = touched
        .iter()
        .filter(|at| **at < 4000)
        .map(|at| at / 10)
        .collect();
    // Four own items, eight uniform negatives and sixteen draws.
    assert!(
        items.len() <= 4 + 8 + 16 && items.iter().all(|item| *item < 300),
        "{items:?}"
    );
    let of =
        |item: usize, column: usize| values[touched.iter().position(|at| *at == item * 10 + column).unwrap()];
    for item in own {
        assert!(
            (5..10).any(|column| of(item as usize, column) != 0.0),
            "the generator's columns of {item}"
        );
        assert!(
            (0..5).any(|column| of(item as usize, column) != 0.0),
            "the discriminator's of {item}"
        );
    }
}

#[test]
fn steps_along_the_updates_raise_likelihood_and_reward() {
    let model = loaded(60, "gmf_dim = 3\nmlp_dim = 2\ntower = [4]", "fit_steps = 60");
    let history = history(&[4, 9, 30, 31, 55]);
    let columns = model.generator().unwrap().columns(model.layout().width());
    let judged = |model: &Loaded, user: &UserVector| -> (f64, f64) {
        let generator = model.generator().unwrap();
        let probabilities = generator.probabilities(&user.values[columns.clone()], &[]);
        let likelihood = history
            .items
            .iter()
            .map(|item| f64::from(probabilities[*item as usize]).ln());
        let scores = model.score_all(user);
        let logits = generator.logits(&user.values[columns.clone()]);
        // Both together serve: less the generator's, the discriminator's are left.
        let rewards = scores
            .iter()
            .zip(&logits)
            .map(|(both, own)| 2.0 * sigmoid(f64::from(both - own)) - 1.0);
        (
            likelihood.sum(),
            rewards
                .zip(&probabilities)
                .map(|(reward, g)| reward * f64::from(*g))
                .sum(),
        )
    };
    for (only, which) in [("reward = 0.0", 0), ("likelihood = 0.0\nreward = 25.0", 1)] {
        let train = format!(
            "solver = 'sgd'\nlearning_rate = 0.02\nfit_steps = 60\n[generator]\ndraws = 40\nhard = 0.0\n{only}"
        );
        let recommender = Recommender::new(model.config(), &toml::from_str(&train).unwrap(), &catalogue(60));
        let user = model.fit_user(&history, None, &[], &mut stream(2, "fit"));
        let mut params = model.params().to_vec();
        let before = judged(&recommender.load(params.clone()), &user);
        for round in 0..10 {
            let now = recommender.load(params.clone());
            let (update, _) = now.user_update(&history, Some(&user), &[], &mut stream(round, "step"));
            let UserUpdate::Sparse { ranges, values } = update else {
                panic!("sgd's updates are sparse")
            };
            // Of the generator alone: the discriminator stays what it is judged by.
            let own = |at: &usize| {
                *at < model.layout().dense_start() - 60 && columns.contains(&(at % model.layout().width()))
            };
            let changes = ranges.into_iter().flatten().zip(values).filter(|(at, _)| own(at));
            changes.for_each(|(at, value)| params[at] += value);
        }
        let after = judged(&recommender.load(params), &user);
        let (before, after) = ([before.0, before.1][which], [after.0, after.1][which]);
        assert!(after > before + 0.02, "{only}: {before} then {after}");
    }
}

#[test]
fn before_the_game_begins_negatives_are_uniform_and_nothing_is_rewarded() {
    let settings =
        "negatives = 3\n[generator]\nhard = 1.0\nreward = 9.0\nlikelihood = 0.0\npretrain_rounds = 4";
    let model = loaded(
        80,
        "gmf_dim = 3\nmlp_dim = 2\ntower = [4]\n[generator]\ndim = 2",
        settings,
    );
    let columns = 5..7;
    let moved = |round: u64| -> f32 {
        let model = model.clone().in_round(round, 10);
        let (update, _) = model.user_update(&history(&[1, 2, 3]), None, &[], &mut stream(4, "user"));
        let UserUpdate::Sparse { ranges, values } = update else {
            panic!("sgd's updates are sparse")
        };
        let own = ranges.into_iter().flatten().zip(values);
        own.filter(|(at, _)| *at < 80 * 7 && columns.contains(&(at % 7)))
            .map(|(_, value)| value.abs())
            .sum()
    };
    assert_eq!(moved(3), 0.0);
    assert!(moved(4) > 0.0);
}

#[test]
fn what_serves_is_the_generator_the_discriminator_or_their_sum_and_products_are_found_as_such() {
    let model = |serve: &str, kind: &str| {
        let config = format!(
            "discriminator = '{kind}'\ngmf_dim = 3\nmlp_dim = 2\ntower = [4]\nitem_bias = false\ninit_stddev = 0.6\n\
             [generator]\ndim = 4\ntemperature = 0.5\nserve = '{serve}'"
        );
        loaded(300, &config, "")
    };
    let user = |model: &Loaded| model.fit_user(&history(&[5, 17, 200]), None, &[], &mut stream(1, "fit"));
    let scores = |serve: &str| {
        let model = model(serve, "neumf");
        let user = user(&model);
        let all = model.score_all(&user);
        assert_eq!(model.score(&user, &[299, 0]), [all[299], all[0]], "{serve}");
        all
    };
    let (both, generator, discriminator) = (scores("both"), scores("generator"), scores("discriminator"));
    for ((both, generator), discriminator) in both.iter().zip(&generator).zip(&discriminator) {
        assert!((both - generator - discriminator).abs() < 1e-5);
    }
    for (serve, kind, is_product) in [
        ("both", "neumf", false),
        ("discriminator", "neumf", false),
        ("generator", "neumf", true),
        ("generator", "mlp", true),
        ("both", "mf", true),
        ("discriminator", "mf", true),
    ] {
        let model = model(serve, kind);
        let user = user(&model);
        let found = model.best_products(&user, 12, |row| row % 3 != 0);
        assert_eq!(found.is_some(), is_product, "{serve} {kind}");
        let Some(found) = found else { continue };
        let all = model.score_all(&user);
        let mut rows: Vec<u32> = (0..300).filter(|row| row % 3 != 0).collect();
        rows.sort_by(|a, b| all[*b as usize].total_cmp(&all[*a as usize]));
        assert_eq!(
            found.iter().map(|(row, _)| *row).collect::<Vec<_>>(),
            rows[..12],
            "{serve} {kind}"
        );
        assert!(
            found
                .iter()
                .all(|(row, score)| (score - all[*row as usize]).abs() < 1e-4),
            "{serve} {kind}"
        );
    }
}

#[test]
fn a_generator_without_anything_to_tell_items_apart_by_has_collapsed_and_a_fitted_one_has_not() {
    let model = loaded(
        200,
        "gmf_dim = 2\nmlp_dim = 2\ntower = [2]\n[generator]\ndim = 8",
        "fit_steps = 40",
    );
    let customers: Vec<Vec<u32>> = (0..40u32)
        .map(|user| (0..5).map(|at| (user * 5 + at) % 200).collect())
        .collect();
    let histories: Vec<&[u32]> = customers.iter().map(Vec::as_slice).collect();
    let spread = |params: Vec<f32>, histories: &[&[u32]]| {
        model
            .recommender()
            .load(params)
            .spread(histories)
            .expect("a generator and customers")
    };
    let good = spread(model.params().to_vec(), &histories);
    assert!(
        !good.is_collapsed() && good.lists == 40 && good.items > 60.0,
        "{good:?}"
    );
    assert!((good.bought - 200.0).abs() < 1e-6, "{good:?}");
    let width = model.layout().width();
    let with_rows = |of: fn(usize, usize) -> f32| {
        let mut params = model.params().to_vec();
        for row in 0..200 {
            for column in 0..8 {
                params[row * width + width - 8 + column] = of(row, column);
            }
        }
        params
    };
    // All alike; and ten items that are far from all others, whoever asks.
    let alike = spread(with_rows(|_, _| 0.4), &histories);
    assert!(
        alike.is_collapsed() && (alike.items - 10.0).abs() < 1e-9,
        "{alike:?}"
    );
    let beyond = spread(with_rows(|_, _| f32::MAX), &histories);
    assert!(beyond.is_collapsed(), "{beyond:?}");
    // Of few customers nothing is said.
    assert!(!spread(with_rows(|_, _| 0.4), &histories[..19]).is_collapsed());
    assert_eq!(model.spread(&[&[]]), None);
    let plain = Recommender::new(
        &toml::from_str("kind = 'mf'").unwrap(),
        model.recommender().train(),
        &catalogue(3),
    );
    assert_eq!(
        plain.load(vec![0.0; plain.layout().len()]).spread(&histories),
        None
    );
}

#[test]
fn a_customer_with_nearly_everything_is_trained_on_the_latest_items_alone() {
    let model = loaded(
        3000,
        "gmf_dim = 2\nmlp_dim = 2\ntower = [2]\n[generator]\ndim = 2",
        "negatives = 1",
    );
    let all: Vec<u32> = (0..3000).collect();
    let (_, words) = {
        let mut rng = stream(1, "all");
        (
            model.user_update(&history(&all), None, &[], &mut rng),
            rng.get_word_pos(),
        )
    };
    let mut rng = stream(1, "cap");
    model.user_update(&history(&all[..MOST_ITEMS]), None, &[], &mut rng);
    assert!(words <= rng.get_word_pos() + rng.get_word_pos() / 50);
}
