//! Against jax-privacy, and against what is known of the Gaussian.

use rand::RngExt;
use rand_distr::StandardNormal;
use serde::Deserialize;
use souk_common::accountant::gaussian::{epsilon_of, mu_of};
use souk_common::params::{Delta, Epsilon};
use souk_common::rng::stream;

use super::one_run::Guessed;
use super::*;

#[derive(Deserialize)]
struct Vectors {
    delta: f64,
    cases: Vec<Case>,
    one_run: Vec<OneRun>,
    one_shot: Vec<OneShot>,
}

#[derive(Deserialize)]
struct Case {
    name: String,
    significance: f64,
    threshold: f64,
    thresholds: usize,
    present: std::collections::BTreeMap<i64, usize>,
    absent: std::collections::BTreeMap<i64, usize>,
    bounds: std::collections::BTreeMap<String, f64>,
}

#[derive(Deserialize)]
struct OneRun {
    canaries: u64,
    guesses: u64,
    right: u64,
    significance: f64,
    plain: f64,
    f_dp: f64,
}

#[derive(Deserialize)]
struct OneShot {
    mean: f64,
    stddev: f64,
    coordinates: usize,
    epsilon: f64,
}

fn vectors() -> Vectors {
    serde_json::from_str(include_str!("../../../../tests/vectors/audit_statistics.json")).unwrap()
}

fn spread(counts: &std::collections::BTreeMap<i64, usize>) -> Vec<f64> {
    let each = counts
        .iter()
        .flat_map(|(hundredths, count)| std::iter::repeat_n(*hundredths, *count));
    each.map(|hundredths| hundredths as f64 / 100.0).collect()
}

#[test]
fn every_bound_is_jax_privacys_on_the_same_scores() {
    let vectors = vectors();
    let delta = Delta::new(vectors.delta).unwrap();
    for case in vectors.cases {
        let scores = Scores {
            present: spread(&case.present),
            absent: spread(&case.absent),
        };
        assert_eq!(scores.frontier().len(), case.thresholds, "{}", case.name);
        for (name, expected) in case.bounds {
            let (procedure, choice) = name.rsplit_once('_').unwrap();
            let threshold = match choice {
                "best" => Threshold::Best,
                _ => Threshold::At(case.threshold),
            };
            let level = case.significance;
            let ours = match procedure {
                "gdp" => gdp::epsilon(&scores, threshold, level, delta),
                "clopper_pearson" => clopper_pearson::epsilon(&scores, threshold, level, delta.get()),
                "one_run" => one_run::epsilon(&scores, threshold, level, delta.get()),
                "f_dp" => f_dp::epsilon(&scores, threshold, level, delta),
                other => panic!("{other} is no procedure"),
            };
            if case.name == "nothing to be told" && procedure == "gdp" {
                assert_eq!(ours, 0.0, "see gdp::mu");
                continue;
            }
            assert!(
                (ours - expected).abs() < 1e-6,
                "{}, {name}: {ours}, not {expected}",
                case.name
            );
        }
    }
}

#[test]
fn guesses_of_one_run_refute_what_jax_privacy_says() {
    let vectors = vectors();
    let delta = Delta::new(vectors.delta).unwrap();
    for of in vectors.one_run {
        let guessed = Guessed {
            canaries: of.canaries,
            guesses: of.guesses,
            right: of.right,
        };
        let plain = one_run::of_guesses(guessed, of.significance, delta.get(), 0.0);
        assert!(
            (plain - of.plain).abs() < 1e-6,
            "{guessed:?}: {plain}, not {}",
            of.plain
        );
        let f_dp = f_dp::of_guesses(guessed, of.significance, delta, 0.0);
        assert!(
            (f_dp - of.f_dp).abs() < 1e-6,
            "{guessed:?}: {f_dp}, not {}",
            of.f_dp
        );
    }
}

#[test]
fn the_one_shot_estimate_is_the_divergence_of_the_two_normals() {
    let vectors = vectors();
    for of in vectors.one_shot {
        // Two points have this mean and this deviation exactly.
        let off = of.stddev * std::f64::consts::FRAC_1_SQRT_2;
        let estimate = one_shot::epsilon(&[of.mean - off, of.mean + off], of.coordinates, vectors.delta);
        assert!(
            (estimate - of.epsilon).abs() < 1e-4,
            "{estimate}, not {}",
            of.epsilon
        );
    }
}

/// Scores of the pure Gaussian: with the canary around `mu`, without it around 0.
fn gaussian(trials: usize, mu: f64, seed: u64) -> Scores {
    let mut draws = stream(seed, "scores of a Gaussian");
    let mut drawn = |mean: f64| -> Vec<f64> {
        (0..trials)
            .map(|_| mean + draws.sample::<f64, _>(StandardNormal))
            .collect()
    };
    Scores {
        present: drawn(mu),
        absent: drawn(0.0),
    }
}

#[test]
fn on_the_gaussian_at_z_1_the_gdp_audit_is_just_below_the_truth() {
    let delta = Delta::new(1e-5).unwrap();
    assert!((epsilon_of(1.0, delta) - 4.3772).abs() < 1e-4);
    let bounds = (0..20).map(|seed| {
        // The threshold of other scores.
        gdp::epsilon(&gaussian(10_000, 1.0, seed), Threshold::At(0.5), 0.05, delta)
    });
    let bounds: Vec<f64> = bounds.collect();
    let mean = bounds.iter().sum::<f64>() / 20.0;
    assert!((3.9..4.3).contains(&mean), "{bounds:?}");
    // One in twenty may be above the truth; of twenty, more than four once in 400 times.
    let above = bounds.iter().filter(|bound| **bound > 4.3772).count();
    assert!(
        above <= 4 && bounds.iter().all(|bound| (3.6..4.5).contains(bound)),
        "{bounds:?}"
    );
}

/// As many canaries as `m`, each there by a coin.
fn one_run_of(m: usize, mu: f64, seed: u64) -> Scores {
    let mut draws = stream(seed, "one run");
    let mut scores = Scores::default();
    for _ in 0..m {
        let noise: f64 = draws.sample(StandardNormal);
        match draws.random_bool(0.5) {
            true => scores.present.push(mu + noise),
            false => scores.absent.push(noise),
        }
    }
    scores
}

#[test]
fn one_run_in_f_dp_lands_where_it_should_and_flags_halved_noise() {
    let delta = Delta::new(1e-5).unwrap();
    let bound = |mu: f64, seed: u64| {
        f_dp::epsilon(
            &one_run_of(5_000, mu, seed),
            Threshold::At(2.0 + 0.5 * mu),
            0.05,
            delta,
        )
    };
    let honest: Vec<f64> = (0..20).map(|seed| bound(1.0, seed)).collect();
    let mean = honest.iter().sum::<f64>() / 20.0;
    assert!(
        (2.33..3.25).contains(&mean) && honest.iter().all(|bound| *bound < 4.3772),
        "{mean}: {honest:?}"
    );
    let halved = (0..20).filter(|seed| bound(2.0, *seed) > 4.3772).count();
    assert!(halved >= 19, "{halved} of 20");
}

#[test]
fn the_plain_one_run_has_its_known_ceiling() {
    for (right, ceiling) in [(100, 3.493), (1000, 5.809)] {
        let guessed = Guessed {
            canaries: right,
            guesses: right,
            right,
        };
        // Of pure epsilon, as the reference states it.
        let bound = one_run::of_guesses(guessed, 0.05, 0.0, 0.0);
        assert!((bound - ceiling).abs() < 1e-3, "{bound}");
    }
}

#[test]
fn intervals_hold_the_probability_and_reach_their_ends() {
    assert_eq!(clopper_pearson::interval(0, 10, 0.05).0, 0.0);
    assert_eq!(clopper_pearson::interval(10, 10, 0.05).1, 1.0);
    // Published values for 5 of 10.
    let (low, high) = clopper_pearson::interval(5, 10, 0.05);
    assert!(
        (low - 0.187_086).abs() < 1e-6 && (high - 0.812_914).abs() < 1e-6,
        "{low} {high}"
    );
}

#[test]
fn mu_and_epsilon_are_each_others_inverse() {
    let delta = Delta::new(1e-5).unwrap();
    for epsilon in [0.5, 2.0, 8.0] {
        let back = epsilon_of(mu_of(Epsilon::new(epsilon).unwrap(), delta), delta);
        assert!((back - epsilon).abs() < 1e-6);
    }
}
