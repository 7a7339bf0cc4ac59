//! Proofs of the sum: its sensitivity, and that it depends on nothing but the users in it.
#![allow(clippy::single_range_in_vec_init, reason = "updates of one range are meant")]

mod capped;

use proptest::prelude::*;
use rand::RngExt;

use super::*;
use crate::privacy::noise::NoiseVector;
use crate::rng::{Stream, stream};
use crate::update::ModulusBits;

const COORDINATES: usize = 96;

fn grid(bits: ModulusBits, log2_clip: u32, clip_norm: f64) -> Grid {
    Grid {
        bits,
        log2_clip,
        clip_norm,
        noise_stddev: 0.0,
    }
}

fn bare(grid: &Grid, weight: f64, coordinates: usize) -> UserSum<Stream> {
    let noise = NoiseVector::draw(grid, coordinates, &mut stream(1, "no noise"));
    UserSum::new(grid, Weight::new(weight).unwrap(), noise)
}

pub(super) fn signed(values: &UpdateValues) -> Vec<i64> {
    match values {
        UpdateValues::B32(values) => values.iter().map(|value| i64::from(*value as i32)).collect(),
        UpdateValues::B64(values) => values.iter().map(|value| *value as i64).collect(),
    }
}

fn integers(grid: &Grid, weight: f64, coordinates: usize, updates: &[UserUpdate]) -> Vec<i64> {
    let mut sum = bare(grid, weight, coordinates);
    updates.iter().for_each(|update| sum.add(update));
    signed(&sum.sum.values)
}

fn squared_norm(integers: &[i64]) -> u128 {
    integers
        .iter()
        .map(|value| u128::from(value.unsigned_abs()).pow(2))
        .sum()
}

/// Every float there is, the nasty ones often.
fn nasty() -> impl Strategy<Value = f32> {
    prop_oneof![
        4 => any::<u32>().prop_map(f32::from_bits),
        4 => -2.0f32..2.0,
        1 => Just(f32::MAX),
        1 => Just(f32::MIN_POSITIVE),
        1 => Just(f32::from_bits(1)),
        1 => Just(-0.0f32),
    ]
}

fn update() -> impl Strategy<Value = UserUpdate> {
    let finite = |values: Vec<f32>| {
        values
            .into_iter()
            .map(|x| if x.is_finite() { x } else { 1e38 })
            .collect()
    };
    let dense = proptest::collection::vec(nasty(), COORDINATES).prop_map(finite);
    let rows = || proptest::collection::vec(nasty(), COORDINATES / 16).prop_map(finite);
    let direction = || proptest::collection::vec(nasty(), 16).prop_map(finite);
    // One value in every coordinate: all of them truncate, or all nearly reach the next integer.
    let even = (1e-6f32..1e6).prop_map(|value| vec![value; COORDINATES]);
    prop_oneof![
        prop_oneof![dense, even].prop_map(|values| UserUpdate::Sparse {
            ranges: vec![0..40, 40..COORDINATES],
            values,
        }),
        (rows(), direction()).prop_map(|(rows, direction)| UserUpdate::RankOne { rows, direction }),
        (
            rows(),
            direction(),
            proptest::collection::vec(nasty(), 32).prop_map(finite)
        )
            .prop_map(|(mut rows, direction, values)| {
                (rows[1], rows[4]) = (0.0, 0.0);
                UserUpdate::RankOneExcept {
                    rows,
                    direction,
                    own: vec![1, 4],
                    values,
                }
            }),
    ]
}

fn any_grid() -> impl Strategy<Value = Grid> {
    let bits = prop_oneof![Just((ModulusBits::B32, 16u32)), Just((ModulusBits::B64, 24u32))];
    (bits, 0u32..17, -9.0f64..9.0).prop_map(|((bits, most), less, log10)| {
        grid(bits, most - less.min(most), 10f64.powf(log10).max(1e-9))
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn the_integer_norm_of_a_user_never_exceeds_the_sensitivity(
        update in update(), grid in any_grid(), weight in 0.01f64..=1.0,
    ) {
        let added = integers(&grid, weight, COORDINATES, &[update]);
        prop_assert!(squared_norm(&added) <= 1u128 << (2 * grid.log2_clip));
    }

    #[test]
    fn the_order_of_users_and_threads_changes_no_bit(
        updates in proptest::collection::vec(update(), 2..6), grid in any_grid(),
    ) {
        let forward = integers(&grid, 1.0, COORDINATES, &updates);
        let mut backward = bare(&grid, 1.0, COORDINATES);
        let mut part = backward.part();
        for (index, update) in updates.iter().enumerate().rev() {
            if index % 2 == 0 { backward.add(update) } else { part.add(update) }
        }
        backward.merge(part);
        prop_assert_eq!(forward, signed(&backward.sum.values));
    }

    #[test]
    fn deleting_a_user_changes_the_sum_by_exactly_that_users_vector(
        updates in proptest::collection::vec(update(), 2..6), grid in any_grid(),
    ) {
        let all = integers(&grid, 0.7, COORDINATES, &updates);
        let without = integers(&grid, 0.7, COORDINATES, &updates[1..]);
        let alone = integers(&grid, 0.7, COORDINATES, &updates[..1]);
        let change: Vec<i64> = all.iter().zip(&without).map(|(all, without)| all - without).collect();
        prop_assert_eq!(&change, &alone);
        prop_assert!(squared_norm(&change) <= 1u128 << (2 * grid.log2_clip));
    }
}

#[test]
fn an_update_within_the_clip_norm_arrives_as_it_is_and_a_longer_one_at_the_clip_norm() {
    let grid = grid(ModulusBits::B32, 16, 2.0);
    let short = UserUpdate::Sparse {
        ranges: vec![3..4],
        values: vec![-1.0],
    };
    let added = integers(&grid, 1.0, 8, std::slice::from_ref(&short));
    assert_eq!((added[3], squared_norm(&added)), (-32_767, 32_767u128.pow(2)));
    let half = integers(&grid, 0.5, 8, &[short]);
    assert_eq!(half[3], -16_383, "the weight is applied before truncation");
    let long = UserUpdate::RankOne {
        rows: vec![300.0, 400.0],
        direction: vec![0.0, 9.0],
    };
    let added = integers(&grid, 1.0, 8, &[long]);
    assert_eq!(added[..4], [0, 39_321, 0, 52_428], "3/5 and 4/5 of 65,536");
}

#[test]
fn a_vector_that_is_not_finite_or_does_not_fit_the_model_adds_zeros() {
    let sparse = |range: std::ops::Range<usize>, values: Vec<f32>| UserUpdate::Sparse {
        ranges: vec![range],
        values,
    };
    let except = |rows: Vec<f32>, own: Vec<u32>, values: Vec<f32>| UserUpdate::RankOneExcept {
        rows,
        direction: vec![1.0; 2],
        own,
        values,
    };
    let bad = [
        sparse(0..2, vec![f32::NAN, 1.0]),
        sparse(0..2, vec![f32::INFINITY, 1.0]),
        sparse(0..2, vec![1.0]),
        sparse(7..9, vec![1.0, 1.0]),
        UserUpdate::Sparse {
            ranges: vec![0..2, 1..3],
            values: vec![1.0; 4],
        },
        UserUpdate::RankOne {
            rows: vec![1.0, f32::NAN],
            direction: vec![1.0],
        },
        UserUpdate::RankOne {
            rows: vec![1.0; 5],
            direction: vec![1.0; 2],
        },
        UserUpdate::RankOne {
            rows: vec![1.0; 2],
            direction: vec![0.0; 2],
        },
        except(vec![1.0, 0.0], vec![1], vec![f32::NAN, 1.0]),
        except(vec![1.0, 0.0], vec![1], vec![1.0]),
        except(vec![1.0, 0.0], vec![0], vec![1.0; 2]),
        except(vec![0.0, 0.0], vec![1, 1], vec![1.0; 4]),
        except(vec![0.0, 0.0], vec![1, 0], vec![1.0; 4]),
        except(vec![0.0, 0.0], vec![2], vec![1.0; 2]),
        except(vec![0.0; 5], vec![4], vec![1.0; 2]),
    ];
    for update in bad {
        assert_eq!(
            integers(
                &grid(ModulusBits::B32, 16, 1.0),
                1.0,
                8,
                std::slice::from_ref(&update)
            ),
            [0; 8],
            "{update:?}"
        );
    }
}

#[test]
fn what_is_longer_than_the_sensitivity_is_taken_back_bit_by_bit() {
    let update = UserUpdate::RankOne {
        rows: vec![3.0, 4.5],
        direction: vec![0.6, 0.8],
    };
    let mut sum = vec![u32::MAX, 5, 6, 7];
    // A factor too large by far, as if the clip were wrong; the last line of defence sees it.
    add(&mut sum, &update, 1000.0, 1 << 20, &mut Scratch::default());
    assert_eq!(sum, [u32::MAX, 5, 6, 7]);
}

#[test]
fn the_sum_begins_with_its_noise() {
    let grid = Grid {
        noise_stddev: 40_000.0,
        ..grid(ModulusBits::B32, 16, 1.0)
    };
    let draw = || NoiseVector::draw(&grid, 64, &mut stream(7, "noise"));
    let sum = UserSum::new(&grid, Weight::new(1.0).unwrap(), draw());
    assert_eq!(sum.sum.values, draw().into_values());
    assert!(
        signed(&sum.sum.values)
            .iter()
            .filter(|value| **value == 0)
            .count()
            < 3
    );
}

#[test]
fn rank_one_and_dense_forms_of_an_update_agree_to_one_grid_unit() {
    let mut rng = stream(3, "forms");
    let rows: Vec<f32> = (0..6).map(|_| rng.random::<f32>() - 0.5).collect();
    let direction: Vec<f32> = (0..16).map(|_| rng.random::<f32>() - 0.5).collect();
    let values = rows
        .iter()
        .flat_map(|row| direction.iter().map(move |d| row * d))
        .collect();
    let grid = grid(ModulusBits::B32, 16, 0.3);
    let outer = integers(
        &grid,
        1.0,
        COORDINATES,
        &[UserUpdate::RankOne { rows, direction }],
    );
    let dense = UserUpdate::Sparse {
        ranges: vec![0..COORDINATES],
        values,
    };
    let dense = integers(&grid, 1.0, COORDINATES, &[dense]);
    assert!(outer.iter().zip(&dense).all(|(a, b)| (a - b).abs() <= 1));
    assert!(squared_norm(&outer) > (1 << 32) * 99 / 100);
}

#[test]
fn rows_that_are_given_whole_arrive_beside_the_outer_product_of_the_rest() {
    let update = UserUpdate::RankOneExcept {
        rows: vec![1.0, 0.0, -1.0],
        direction: vec![0.0, 2.0],
        own: vec![1],
        values: vec![4.0, -2.0],
    };
    let grid = grid(ModulusBits::B64, 10, 5.3);
    // The norm is sqrt(2^2 + 2^2 + 4^2 + 2^2) = 5.29: 193.2 units for 1.
    let added = integers(&grid, 1.0, 6, std::slice::from_ref(&update));
    assert_eq!(added, [0, 386, 772, -386, 0, -386]);
    let mut sum = vec![1u64; 6];
    super::add(&mut sum, &update, 1000.0, 1 << 20, &mut Scratch::default());
    assert_eq!(sum, [1; 6], "what is too long is taken back");
}

#[test]
fn quality_counts_stand_after_the_model_and_no_update_reaches_them() {
    for bits in [ModulusBits::B32, ModulusBits::B64] {
        let grid = grid(bits, 16, 1.0);
        let mut sum = bare(&grid, 1.0, 6).with_counts(Some(CountsGrid { unit: 1000 }));
        let whole = |len: usize| UserUpdate::Sparse {
            ranges: vec![0..len],
            values: vec![0.5; len],
        };
        let mut part = sum.part();
        part.add(&whole(4));
        part.count(true);
        part.count(false);
        // As long as the sum, counts included: it does not fit the model, and adds zeros.
        part.add(&whole(6));
        sum.merge(part);
        let integers = signed(&sum.sum.values);
        assert!(integers[..4].iter().all(|value| *value > 0), "{integers:?}");
        assert_eq!(integers[4..], [2000, 1000]);
        // A plan without counts has nothing to tick.
        let mut without = bare(&grid, 1.0, 6).part();
        without.count(true);
        assert!(signed(&without.values).iter().all(|value| *value == 0));
    }
}
