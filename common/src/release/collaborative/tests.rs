use proptest::prelude::*;

use super::*;
use crate::params::Weight;
use crate::privacy::noise::NoiseVector;
use crate::privacy::user_sum::UserSum;
use crate::release::popularity;
use crate::release::vectors::{assert_close, past, vectors};
use crate::rng::stream;
use crate::update::{Grid, ModulusBits};

fn dense(update: &UserUpdate) -> Vec<f64> {
    let UserUpdate::RankOneExcept {
        rows,
        direction,
        own,
        values,
    } = update
    else {
        panic!("rank one and rows")
    };
    let outer = rows
        .iter()
        .flat_map(|row| direction.iter().map(|value| f64::from(*row) * f64::from(*value)));
    let mut dense: Vec<f64> = outer.collect();
    for (row, values) in own.iter().zip(values.chunks(direction.len())) {
        for (at, value) in values.iter().enumerate() {
            dense[*row as usize * direction.len() + at] = f64::from(*value);
        }
    }
    dense
}

#[test]
fn contributions_and_their_sum_are_numpys() {
    let vectors = vectors();
    let (map, direction) = (vectors.map(), vectors.estimate().direction());
    let statistic = CollaborativeStatistic::new(&map, &direction).unwrap();
    let mut sum = vec![0.0; vectors.sum.len()];
    for (user, history) in vectors.histories().iter().enumerate() {
        let added = statistic.contribution(history).map(|update| dense(&update));
        if let Some(wanted) = vectors.contributions.get(&user) {
            let zeros = vec![0.0; wanted.len()];
            assert_close("B_u", added.as_ref().unwrap_or(&zeros), wanted, 2e-6);
        }
        if let Some(added) = added {
            sum.iter_mut().zip(added).for_each(|(sum, value)| *sum += value);
        }
    }
    assert_close("W", &sum, &vectors.sum, 2e-6);
}

#[test]
fn users_of_whom_nothing_can_be_said_add_nothing() {
    let map = PublicMap::published(2, vec![1.0, 0.0, 0.0, 1.0, 1.0, 1.0]).unwrap();
    let even = [0.57735; 3];
    let statistic = CollaborativeStatistic::new(&map, &even).unwrap();
    assert!(statistic.contribution(&past(&[0, 1, 2])).is_some());
    for items in [&[][..], &[1], &[1, 2], &[0, 7, 1], &[7, 8, 9]] {
        assert_eq!(statistic.contribution(&past(items)), None, "{items:?}");
    }
    // Both items are all that there is.
    let two = PublicMap::published(1, vec![1.0, -0.5]).unwrap();
    let statistic = CollaborativeStatistic::new(&two, &[0.5f32.sqrt(); 2]).unwrap();
    assert_eq!(statistic.contribution(&past(&[0, 1, 5])), None);
    let blind = PublicMap::published(1, vec![0.0; 3]).unwrap();
    let statistic = CollaborativeStatistic::new(&blind, &even).unwrap();
    assert_eq!(statistic.contribution(&past(&[0, 1, 2])), None);
    let error = CollaborativeStatistic::new(&blind, &[1.0; 2])
        .unwrap_err()
        .to_string();
    assert_eq!(error, "the map has 3 items, the direction 2");
}

const ITEMS: usize = 24;

/// What one user adds as integers, noise aside.
fn integers(update: &UserUpdate, bits: ModulusBits, log2_clip: u32, coordinates: usize) -> u128 {
    let grid = Grid {
        bits,
        log2_clip,
        clip_norm: 1.0,
        noise_stddev: 0.0,
    };
    let noise = NoiseVector::draw(&grid, coordinates, &mut stream(1, "no noise"));
    let mut sum = UserSum::new(&grid, Weight::new(1.0).unwrap(), noise);
    sum.add(update);
    assert_eq!((sum.tally().users, sum.tally().clipped), (1, 0));
    let squares = |value: i64| u128::from(value.unsigned_abs()).pow(2);
    sum.integers().iter().map(|value| squares(*value)).sum()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    #[test]
    fn from_a_history_to_integers_nobody_adds_more_than_the_sensitivity(
        items in Just((0..ITEMS as u32).collect::<Vec<_>>()).prop_shuffle(), count in 2usize..=ITEMS,
        columns in 1usize..20, seed in any::<u64>(), log10 in -12f32..12.0, steep in 0f32..9.0, log2_clip in 4u32..=16,
        wide in any::<bool>(),
    ) {
        let mut rng = stream(seed, "sensitivity");
        use rand::RngExt;
        let numbers = (0..ITEMS * columns).map(|_| (rng.random::<f32>() - 0.5) * 10f32.powf(log10)).collect();
        let map = PublicMap::published(columns, numbers).unwrap();
        let popular: Vec<f32> = (0..ITEMS).map(|_| rng.random::<f32>().powf(steep)).collect();
        let direction = popularity::PopularityEstimate::published(popular, 0.1).direction();
        let history = past(&items[..count]);
        let statistic = CollaborativeStatistic::new(&map, &direction).unwrap();
        let bits = if wide { ModulusBits::B64 } else { ModulusBits::B32 };
        let most = 1u128 << (2 * log2_clip);
        if let Some(update) = statistic.contribution(&history) {
            let squares = integers(&update, bits, log2_clip, ITEMS * columns);
            prop_assert!(squares <= most);
            // At the finest grid nearly all of it arrives.
            prop_assert!(log2_clip < 16 || squares as f64 > 0.995 * most as f64);
        } else {
            prop_assert!(count < 3 || columns < 3, "{count} items, {columns} columns");
        }
        let update = popularity::contribution(&history, ITEMS).unwrap();
        prop_assert!(integers(&update, bits, log2_clip, ITEMS) <= most);
    }
}
