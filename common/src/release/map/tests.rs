use super::*;
use crate::catalogue::{Catalogue, Item};
use crate::release::vectors::{assert_close, vectors};

fn estimate(values: &[f32]) -> PopularityEstimate {
    PopularityEstimate::published(values.to_vec(), 0.5)
}

/// One category an item, of `count`, and a column that is the same for all.
fn categories(items: u32, count: u32) -> Features {
    let row = |item: u32| vec![(item % count, 1.0), (count, 2.0)];
    Features::from_rows(count as usize + 1, (0..items).map(row).collect())
}

#[test]
fn principal_components_are_numpys() {
    let vectors = vectors();
    let weights = vectors.estimate().smoothed_shares();
    let width = vectors.feature_columns.len() / vectors.items;
    let columns = feature_columns(&vectors.features(), &weights, width);
    assert_close("feature map", &columns.values, &vectors.feature_columns, 1e-5);
}

#[test]
fn a_map_is_centred_scaled_and_the_same_for_one_seed() {
    let popularity = estimate(&(0..40).map(|item| item as f32 / 7.0).collect::<Vec<_>>());
    let features = categories(40, 6);
    let map = PublicMap::new(&popularity, &features, 3);
    assert_eq!(
        (map.items(), map.columns(), map_columns(&features)),
        (40, 6 + 16, 22)
    );
    let means = |weights: &[f64], power: i32| -> Vec<f64> {
        let column = |column: usize| {
            let values = (0..40).map(|item| f64::from(map.row(item)[column]).powi(power));
            values.zip(weights).map(|(value, weight)| value * weight).sum()
        };
        (0..map.columns()).map(column).collect()
    };
    assert!(
        means(&popularity.shares(), 1)
            .iter()
            .all(|mean| mean.abs() < 1e-6)
    );
    let random: f64 = means(&popularity.smoothed_shares(), 2)[6..].iter().sum::<f64>() / 16.0;
    assert!(
        (random - 1.0).abs() < 0.2,
        "before it was centred: 1; now {random}"
    );
    assert_eq!(map, PublicMap::new(&popularity, &features, 3));
    assert_ne!(map, PublicMap::new(&popularity, &features, 4));
}

#[test]
fn numbers_of_vectors_are_columns_like_others() {
    let item = |at: u8| Item {
        category: if at < 20 { "tea" } else { "cup" }.into(),
        vector: match at.is_multiple_of(7) {
            true => Vec::new(),
            false => (1..=5)
                .map(|place| f32::from(at * place % 11) / 9.0 - 0.5)
                .collect(),
        },
        ..Item::bare(at.to_string())
    };
    let features = Features::of(&Catalogue::new((0..40).map(item).collect()).unwrap());
    assert_eq!((features.columns(), map_columns(&features)), (7, 7 + 16));
    let popularity = estimate(&(0..40).map(|item| item as f32 / 7.0).collect::<Vec<_>>());
    let map = PublicMap::new(&popularity, &features, 3);
    assert_eq!(map.columns(), map_columns(&features));
    assert!(map.values().iter().all(|value| value.is_finite()));
    let estimate = PopularityEstimate::new(&[3.0; 40], 1.0, &features);
    assert!(estimate.values().iter().all(|value| (value - 3.0).abs() < 1e-3));
}

#[test]
fn without_features_all_columns_are_random() {
    let popularity = estimate(&[2.0, 0.0, 1.0]);
    let same = Features::from_rows(2, vec![vec![(1, 3.0)]; 3]);
    for features in [Features::default(), same] {
        let map = PublicMap::new(&popularity, &features, 1);
        assert_eq!((map.columns(), map_columns(&features)), (48, 48));
        assert!(map.values().iter().all(|value| value.is_finite()));
    }
    // One item, centred, is nothing; nothing bought is centred by equal shares.
    let one = PublicMap::new(&estimate(&[4.0]), &Features::default(), 1);
    assert!(one.values().iter().all(|value| *value == 0.0));
    let nothing = PublicMap::new(&estimate(&[0.0; 5]), &Features::default(), 1);
    let sum: f32 = (0..5).map(|item| nothing.row(item)[0]).sum();
    assert!(sum.abs() < 1e-5 && nothing.row(0)[0] != 0.0);
}

#[test]
fn thousands_of_columns_take_seconds() {
    // Categories without any order among them, and words as words are: the n-th as rare as 1/n.
    let words = |item: usize| {
        let mut row: Vec<(u32, f32)> = (0..8)
            .map(|at| {
                let luck = ((item * 8 + at) * 7919 % 10_007) as f64 / 10_007.0;
                (3000f64.powf(luck) as u32, 1.0)
            })
            .collect();
        row.sort_unstable_by_key(|(column, _)| *column);
        row.dedup_by_key(|(column, _)| *column);
        row
    };
    let words = Features::from_rows(3001, (0..10_000).map(words).collect());
    for (what, features) in [("700 categories", categories(3000, 700)), ("3,000 words", words)] {
        let items = features.items();
        let popularity = estimate(&(0..items).map(|item| (item % 17) as f32).collect::<Vec<_>>());
        let clock = crate::clock::Stopwatch::start();
        let map = PublicMap::new(&popularity, &features, 1);
        eprintln!("a map of {items} items and {what}: {:.2} s", clock.secs());
        assert_eq!(map.columns(), 48);
        assert!(map.values().iter().all(|value| value.is_finite()));
    }
}

#[test]
fn numbers_that_make_no_map_are_refused() {
    assert!(PublicMap::published(2, vec![0.0; 3]).is_err() && PublicMap::published(0, Vec::new()).is_err());
    let error = PublicMap::published(1, vec![0.0, f32::NAN])
        .unwrap_err()
        .to_string();
    assert!(error.contains("number 1"), "{error}");
}
