//! Small federations that run to their end, whatever the lines do.

mod saved;

use std::ops::ControlFlow;
use std::time::Duration;

use souk_common::accountant::Composition;
use souk_common::catalogue::Item;
use souk_common::dataset::{Dataset, History};
use souk_common::ids::ShopName;
use souk_common::model::init::initial_parameters;

use super::*;
use crate::evaluate::centralised::Centralised;

const PLAN: &str = "name = 't'\nrounds = 6\n[model]\nkind = 'mf'\ngmf_dim = 4\nitem_bias = false\n\
    [train]\nsolver = 'ials'\nalpha = 0.2\nlambda = 1\n[privacy]\nclip_norm = 1\nnoise_multiplier = 2\n\
    sampling_rate = 0.5\n[cohort]\nquorum = 2\ndeadline = '1m'\n[server]\noptimiser = 'adam'\nlearning_rate = 0.05\n\
    [[shops]]\nname = 'a'\ndeclared_users = 30\n[[shops]]\nname = 'b'\ndeclared_users = 30\n[[shops]]\nname = 'c'\n\
    declared_users = 30\n";

fn catalogue() -> Catalogue {
    let item = |row: usize| Item::bare(format!("i{row}"));
    Catalogue::new((0..20).map(item).collect()).unwrap()
}

fn dataset() -> Dataset {
    let history = |user: u32| History {
        items: vec![user % 20, (user * 3 + 1) % 20, (user * 7 + 2) % 20],
        times: vec![0, 1, 2],
    };
    Dataset {
        users: (0..90).map(|user| format!("u{user}")).collect(),
        histories: (0..90).map(history).collect(),
        labelled: Vec::new(),
    }
}

fn run(plan: &str, line: Line, seed: u64) -> anyhow::Result<Outcome> {
    world(plan, (line, None), seed, None)?.run(|_, _| {})
}

fn world(plan: &str, with: (Line, Option<Drift>), seed: u64, saved: Option<Saved>) -> anyhow::Result<World> {
    let plan = Plan::from_toml(plan).unwrap();
    let shop_of: Vec<usize> = (0..90).map(|user| user % 3).collect();
    let names: Vec<ShopName> = plan.shops.iter().map(|terms| terms.name.clone()).collect();
    let members = members_of(&dataset(), &[], &shop_of, &names);
    World::from(&plan, &catalogue(), members, with, seed, saved)
}

#[test]
fn one_seed_is_one_model_on_any_number_of_threads_and_another_seed_another() {
    let on = |threads, seed| {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .unwrap();
        pool.install(|| run(PLAN, Line::default(), seed)).unwrap().params
    };
    assert_eq!(on(1, 3), on(4, 3));
    assert_ne!(on(1, 3), on(1, 4));
}

#[test]
fn every_round_is_charged_once_if_no_line_is_cut() {
    let plan = Plan::from_toml(PLAN).unwrap();
    let outcome = run(PLAN, Line::default(), 1).unwrap();
    assert_eq!((outcome.abandoned, outcome.updates), (0, 18));
    let mechanism = souk_common::accountant::SampledGaussian {
        noise_multiplier: plan.privacy.noise_multiplier.unwrap(),
        sampling_rate: plan.privacy.sampling_rate,
    };
    let expected = souk_common::accountant::Composition::of(mechanism, 6).epsilon(plan.privacy.delta);
    assert_eq!(outcome.epsilon, expected);
    // Four bytes a coordinate, 20 items of 4 columns and what else the layout has, 18 times, and nothing else.
    assert_eq!(outcome.bytes_up % 18, 0);
    assert!(outcome.bytes_up / 18 >= 4 * 20 * 4 && outcome.virtual_secs > 6.0);
}

#[test]
fn cut_lines_cost_attempts_and_epsilon_but_the_run_comes_to_its_end() {
    let line = Line {
        dropout: 0.4,
        work: Duration::from_secs(20),
        ..Line::default()
    };
    let plan = PLAN
        .replace("'1m'", "'10s'")
        .replace("quorum = 2", "quorum = 2\nattempts = 1000");
    let (mut abandoned, mut smaller) = (0, 0);
    for seed in 0..8 {
        let outcome = run(&plan, line, seed).unwrap();
        assert!((12..=18).contains(&outcome.updates), "{}", outcome.updates);
        abandoned += outcome.abandoned;
        smaller += u64::from(outcome.updates < 18);
        let without = run(PLAN, Line::default(), seed).unwrap();
        assert!(outcome.epsilon.unwrap() >= without.epsilon.unwrap() || outcome.updates < 18);
    }
    assert!(abandoned > 0 && smaller > 0, "{abandoned} {smaller}");
}

#[test]
fn a_quorum_that_never_comes_together_is_an_error_that_says_so() {
    let plan = PLAN.replace("quorum = 2", "quorum = 3").replace("'1m'", "'1s'");
    let error = run(
        &plan,
        Line {
            work: Duration::from_secs(60),
            ..Line::default()
        },
        1,
    )
    .unwrap_err();
    assert!(error.to_string().contains("round 1"), "{error}");
}

#[test]
fn without_noise_clip_and_sampling_the_federation_is_one_party_up_to_truncation() {
    let plan_text = PLAN
        .replace("noise_multiplier = 2\n", "enabled = false\nmodulus_bits = 64\n")
        .replace("clip_norm = 1\n", "clip_norm = 64\n")
        .replace("sampling_rate = 0.5", "sampling_rate = 1.0");
    let outcome = run(&plan_text, Line::default(), 1).unwrap();
    assert_eq!(
        (outcome.tally.clipped, outcome.tally.users, outcome.epsilon),
        (0, 540, None)
    );
    let plan = Plan::from_toml(&plan_text).unwrap();
    let recommender = Recommender::new(&plan.model, &plan.train, &catalogue());
    let data = dataset();
    let alone = Centralised {
        recommender: &recommender,
        server: &plan.server,
        epochs: plan.rounds,
        batch: usize::MAX,
        data: &data,
        forbidden: &[],
        seed: 1,
    };
    let start = initial_parameters(&plan.model, &plan.train, recommender.layout(), plan.seed);
    let expected = alone.train(start.clone(), |_, _, _| ControlFlow::Continue(()));
    let moved: f32 = start.iter().zip(&expected).map(|(a, b)| (a - b).abs()).sum();
    let apart: f32 = outcome
        .params
        .iter()
        .zip(&expected)
        .map(|(a, b)| (a - b).abs())
        .sum();
    assert!(
        moved > 1.0 && apart < 0.01 * moved,
        "moved {moved}, apart {apart}"
    );
}

/// Masked and with noise off, the same model as without masks, bit for bit, also when shops drop out of attempts.
#[test]
fn under_masks_the_model_is_the_same_to_the_last_bit() {
    let plain = PLAN
        .replace("noise_multiplier = 2\n", "enabled = false\n")
        .replace("sampling_rate = 0.5", "sampling_rate = 1.0")
        .replace("quorum = 2", "quorum = 3");
    let masked = format!("{plain}[masking]\nmin_shops = 3\nstep = '30s'\n");
    let [plain, masked] = [plain, masked].map(|plan| run(&plan, Line::default(), 5).unwrap());
    assert_eq!(plain.params, masked.params);
    assert_eq!((masked.abandoned, masked.updates), (0, 18));
}

#[test]
fn masked_runs_come_to_their_end_over_lines_that_are_cut_and_shared_noise_is_charged_as_one() {
    let plan = PLAN
        .replace("sampling_rate", "placement = 'distributed'\nsampling_rate")
        .replace(
            "quorum = 2\ndeadline = '1m'",
            "quorum = 2\nattempts = 1000\ndeadline = '30s'",
        );
    let plan = format!("{plan}[masking]\nmin_shops = 2\nstep = '5s'\n[metrics]\nnoise_multiplier = 5\n");
    // Of three shops two are unmasked, but three shares of three rebuild: a shop that is gone for good ends the attempt.
    assert!(Plan::from_toml(&plan).is_err());
    let plan = plan
        .replace("min_shops = 2", "min_shops = 3")
        .replace("quorum = 2", "quorum = 3");
    let calm = run(&plan.replace("'8s'", "'1m'"), Line::default(), 1).unwrap();
    let charged = Plan::from_toml(&plan)
        .unwrap()
        .charged_noise_multiplier()
        .unwrap();
    let mechanism = souk_common::accountant::SampledGaussian {
        noise_multiplier: charged,
        sampling_rate: Plan::from_toml(&plan).unwrap().privacy.sampling_rate,
    };
    let expected = Composition::of(mechanism, 6).epsilon(Plan::from_toml(&plan).unwrap().privacy.delta);
    assert_eq!(calm.epsilon, expected);
    // 45 users a round on average, three times noise of 5 * sqrt(2) * sqrt(3 / 2): what is counted is about right.
    let counts = calm.counts.unwrap();
    assert!(
        (counts.users - 45.0).abs() < 6.0 * counts.stddev + 25.0,
        "{counts:?}"
    );
    let cut = Line {
        dropout: 0.2,
        work: Duration::from_secs(20),
        ..Line::default()
    };
    for seed in 0..4 {
        let outcome = run(&plan, cut, seed).unwrap();
        assert!(outcome.updates >= 18 && outcome.epsilon.unwrap() >= calm.epsilon.unwrap());
    }
}
