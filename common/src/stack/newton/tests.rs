use rand::RngExt;
use serde::Deserialize;

use super::super::gate::{GateRule, HitRate, compare, measured};
use super::*;
use crate::rng::stream;

#[derive(Deserialize)]
struct Vectors {
    fit: FitVectors,
}

#[derive(Deserialize)]
struct FitVectors {
    validation: Plain,
    tails: Plain,
    prior: Vec<f64>,
    weights: Vec<f64>,
}

#[derive(Deserialize)]
struct Plain {
    width: usize,
    values: Vec<f32>,
    masked: Vec<bool>,
}

fn cases(plain: Plain) -> Cases {
    Cases {
        width: plain.width,
        channels: plain.values.len() / plain.masked.len(),
        values: plain.values,
        masked: plain.masked,
    }
}

#[test]
fn weights_are_those_that_numpy_finds() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/vectors/joining.json");
    let text = std::fs::read_to_string(path).expect("made by tests/vectors/joining.py");
    let given = serde_json::from_str::<Vectors>(&text).expect("vectors").fit;
    let (validation, tails) = (cases(given.validation), cases(given.tails));
    let chosen: Vec<usize> = (0..validation.len()).collect();
    let problem = Problem {
        validation: &validation,
        chosen: &chosen,
        tails: &tails,
        columns: &[0, 1, 2],
        prior: &given.prior,
    };
    for (got, expected) in fit(&problem).iter().zip(&given.weights) {
        assert!((got - expected).abs() < 2e-3, "{got}, in numpy {expected}");
    }
    // A channel that is not in use has no say in the others.
    let two = Problem {
        columns: &[2, 0],
        prior: &given.prior[1..],
        ..problem
    };
    assert_eq!(fit(&two).len(), 2);
}

#[test]
fn separable_cases_and_huge_values_give_finite_weights() {
    for size in [1.0, 1e3, 1e18] {
        let validation = Cases {
            width: 3,
            channels: 2,
            values: [size, -size, 0.0, 0.0, 0.0, 0.0].repeat(50),
            masked: [false; 3].repeat(50),
        };
        let chosen: Vec<usize> = (0..50).collect();
        let problem = Problem {
            validation: &validation,
            chosen: &chosen,
            tails: &Cases::default(),
            columns: &[0, 1],
            prior: &[1.0, 0.5],
        };
        assert!(fit(&problem).iter().all(|weight| weight.is_finite()), "{size}");
    }
}

#[test]
fn no_case_leaves_the_prior_and_all_masked_ones_say_nothing() {
    let empty = Cases::default();
    let none = Problem {
        validation: &empty,
        chosen: &[],
        tails: &empty,
        columns: &[0],
        prior: &[0.7],
    };
    assert_eq!(fit(&none), [0.7]);
    let masked = Cases {
        width: 2,
        channels: 1,
        values: vec![1.0, -1.0],
        masked: vec![false, true],
    };
    let problem = Problem {
        validation: &masked,
        chosen: &[0],
        ..none
    };
    assert_eq!(fit(&problem), [0.7]);
}

/// Wanted items that one channel puts among the best ten of a hundred in every case, and another first of all in every other
/// case and low in the rest. Drawn ones are nearly normal in both.
fn sure_and_bold(count: usize) -> Cases {
    let mut rng = stream(5, "sure and bold");
    let mut normal = || (0..12).map(|_| rng.random_range(0.0..1.0_f32)).sum::<f32>() - 6.0;
    let width = 201;
    let mut values = Vec::new();
    for case in 0..count {
        values.extend([1.8, if case % 2 == 0 { 3.5 } else { -1.0 }]);
        values.extend((1..width).flat_map(|_| [normal(), normal()]));
    }
    Cases {
        width,
        channels: 2,
        values,
        masked: vec![false; count * width],
    }
}

#[test]
fn a_channel_that_wins_first_places_and_loses_hits_gets_little_weight_and_the_gate_keeps_it_out() {
    let validation = sure_and_bold(200);
    let chosen: Vec<usize> = (0..validation.len()).collect();
    let tails = Cases::default();
    let using = |columns, prior| {
        let problem = Problem {
            validation: &validation,
            chosen: &chosen,
            tails: &tails,
            columns,
            prior,
        };
        measured(&problem, 1)
    };
    let alone = using(&[0], &[0.5]);
    let together = using(&[0, 1], &[0.5, 0.5]);
    let report = compare(&alone, &together);
    assert!(HitRate::of(&alone).mean > 95.0, "{report:?}");
    // Against all 200 at once the loss gives up a third of the hits for first places.
    assert!(report.together_hit > 90.0, "{report:?}");
    assert!(report.loss_z > 1.0 && report.hit_gain < 0.0, "{report:?}");
    assert!(!GateRule::AnyGain.opens(&report), "{report:?}");
}
