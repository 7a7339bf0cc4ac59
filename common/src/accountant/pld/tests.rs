//! Against the reference, the closed form and a bound from below.

use super::pair::Edge;
use super::*;
use crate::accountant::{gaussian, rdp, vectors};
use crate::clock::Stopwatch;
use crate::params::{NoiseMultiplier, SamplingRate};

fn mechanism(z: f64, q: f64) -> SampledGaussian {
    SampledGaussian {
        noise_multiplier: NoiseMultiplier::new(z).unwrap(),
        sampling_rate: SamplingRate::new(q).unwrap(),
    }
}

fn eps(z: f64, q: f64, rounds: u64, delta: f64, relation: Relation) -> f64 {
    epsilon(&[(mechanism(z, q), rounds)], Delta::new(delta).unwrap(), relation)
}

#[test]
fn every_cell_of_the_reference_agrees_and_rdp_is_never_below() {
    let rows = vectors::table("accountant.csv");
    assert_eq!(rows.len(), 540);
    let (mut checked, mut worst) = (0, 0.0f64);
    let clock = Stopwatch::start();
    for row in &rows {
        let [z, q, rounds, delta, _, by_pld, exact] = row[..] else {
            panic!("{row:?}")
        };
        if by_pld.is_nan() || by_pld >= 20.0 {
            continue;
        }
        let ours = eps(z, q, rounds as u64, delta, Relation::AddRemove);
        let allowed = (0.005 * by_pld).max(0.002);
        assert!((ours - by_pld).abs() <= allowed, "{row:?}: {ours}");
        assert!(
            exact.is_nan() || ours >= exact - 1e-9,
            "{row:?}: {ours} is below the closed form"
        );
        let loose = rdp::epsilon(&[(mechanism(z, q), rounds as u64)], Delta::new(delta).unwrap());
        assert!(loose >= ours - 1e-9, "{row:?}: {ours}, rdp {loose}");
        worst = worst.max((ours - by_pld).abs() / allowed);
        checked += 1;
    }
    let per_cell_ms = clock.secs() * 1000.0 / f64::from(checked);
    eprintln!("{checked} cells, worst {worst:.3} of what is allowed, {per_cell_ms:.1} ms each");
    assert!(checked > 350);
}

/// Every outcome's loss rounded down to the grid, and what is above the grid to its top: no epsilon can be smaller,
/// but for what the window loses.
fn from_below(z: f64, q: f64, rounds: u64, delta: f64) -> f64 {
    let one_way = |direction| {
        let (pair, mass) = (Pair { direction, z, q }, delta * LOST / rounds as f64);
        let window = Window::choose(&[(pair, rounds)], delta * LOST, mass);
        let mut losses = pair.discretise(window.step, mass);
        let first = losses.first;
        let edges: Vec<Edge> = (0..losses.at.len() as i64)
            .map(|index| pair.edge((first + index) as f64 * window.step))
            .collect();
        for (mass, edges) in losses.at.iter_mut().zip(edges.windows(2)) {
            *mass = pair.between(&edges[0], &edges[1]).0;
        }
        let last = losses.at.len() - 1;
        losses.at[last] = std::mem::take(&mut losses.infinite);
        window.compose(&[(losses, rounds)], delta * (1.0 + 10.0 * LOST))
    };
    one_way(Direction::Remove).max(one_way(Direction::Add))
}

#[test]
fn it_is_above_a_bound_from_below_and_close_to_it() {
    for (z, q, rounds) in [
        (1.0, 0.01, 100),
        (2.0, 0.05, 20),
        (0.8, 0.3, 5),
        (4.0, 0.5, 10),
        (1.0, 0.1, 1),
    ] {
        let (ours, least) = (
            eps(z, q, rounds, 1e-6, Relation::AddRemove),
            from_below(z, q, rounds, 1e-6),
        );
        assert!(
            least <= ours && ours < least * 1.01 + 0.002,
            "{z} {q} {rounds}: {least} {ours}"
        );
    }
}

#[test]
fn named_figures_of_both_relations() {
    for (z, q, rounds, delta, relation, expected) in [
        (1.0, 0.01, 1000, 1e-6, Relation::AddRemove, 2.1245),
        (1.0, 0.01, 1000, 1e-5, Relation::AddRemove, 1.8282),
        (1.0, 0.1, 100, 1e-6, Relation::AddRemove, 8.0586),
        (2.0, 0.05, 1000, 1e-6, Relation::AddRemove, 4.1626),
        (4.0, 0.5, 100, 1e-6, Relation::AddRemove, 6.5415),
        (1.0, 0.01, 1000, 1e-6, Relation::Replace, 3.2148),
        (2.0, 0.05, 1000, 1e-6, Relation::Replace, 8.2970),
    ] {
        let ours = eps(z, q, rounds, delta, relation);
        assert!(
            (ours - expected).abs() < 0.001f64.max(0.0005 * expected),
            "{z} {q} {rounds} {delta} {relation:?}: {ours}, expected {expected}"
        );
    }
}

#[test]
fn rounds_of_different_kinds_add_up_in_any_order_and_equal_ones_as_one_kind() {
    let delta = Delta::new(1e-6).unwrap();
    let of = |rounds: &[(SampledGaussian, u64)]| epsilon(rounds, delta, Relation::AddRemove);
    let (a, b) = (mechanism(1.0, 0.01), mechanism(2.0, 0.1));
    let both = of(&[(a, 100), (b, 50)]);
    assert!((both - of(&[(b, 50), (a, 100)])).abs() < 1e-9);
    assert!((of(&[(a, 100)]) - of(&[(a, 40), (a, 60)])).abs() < 1e-9);
    assert!(both > of(&[(a, 100)]) && both > of(&[(b, 50)]));
    assert_eq!(of(&[]), 0.0);
    assert_eq!(of(&[(a, 0)]), 0.0);
}

#[test]
fn without_sampling_it_is_the_closed_form() {
    for relation in [Relation::AddRemove, Relation::Replace] {
        for (z, rounds) in [(1.0, 1), (4.0, 7), (20.0, 100)] {
            let rounds = [(mechanism(z, 1.0), rounds)];
            let delta = Delta::new(1e-5).unwrap();
            let (ours, exact) = (
                epsilon(&rounds, delta, relation),
                gaussian::epsilon(&rounds, delta, relation),
            );
            assert!(
                ours >= exact - 1e-9 && ours <= exact + 0.001 * exact.max(1.0),
                "{ours} {exact}"
            );
        }
    }
}

#[test]
fn extremes_are_bounds_or_infinite_but_never_panic() {
    for z in [1e-3, 0.1, 1.0, 1e3, 1e6] {
        for q in [1e-9, 0.3, 1.0] {
            for rounds in [1, 1_000_000_000] {
                for relation in [Relation::AddRemove, Relation::Replace] {
                    let ours = eps(z, q, rounds, 1e-9, relation);
                    assert!(ours >= 0.0, "{z} {q} {rounds}: {ours}");
                }
            }
        }
    }
}
