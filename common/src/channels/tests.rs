//! Every channel against numpy's numbers (`tests/vectors/joining.py`), and what may not break any.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::scale::Standard;
use super::*;
use crate::catalogue::{Catalogue, Item};
use crate::numeric::Sparse;

#[derive(Deserialize)]
struct Vectors {
    items: Vec<Item>,
    histories: Vec<Vec<u32>>,
    channels: BTreeMap<String, Vec<f32>>,
    popularity: BTreeMap<String, Vec<f64>>,
}

fn vectors() -> Vectors {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/vectors/joining.json");
    let text = std::fs::read_to_string(path)
        .unwrap_or_else(|error| panic!("{path}: {error}; make it with tests/vectors/joining.py"));
    serde_json::from_str(&text).expect("the vectors that the script writes")
}

fn dataset(histories: &[Vec<u32>]) -> Dataset {
    Dataset {
        users: (0..histories.len()).map(|user| format!("u{user}")).collect(),
        histories: histories
            .iter()
            .map(|items| History {
                times: vec![0; items.len()],
                items: items.clone(),
            })
            .collect(),
        labelled: Vec::new(),
    }
}

fn all_channels(features: &Features, data: &Dataset) -> Channels {
    let mut channels = content::channels(features);
    channels.extend(local(data, features));
    channels
}

fn raw(channel: &dyn Channel, items: &[u32], count: usize) -> Vec<f32> {
    let weights = recency_weights(items.len(), channel.decay().unwrap_or(0.0));
    let mut out = vec![f32::NAN; count];
    let of = Recency {
        items,
        weights: &weights,
    };
    channel.score(of, &mut out);
    out
}

#[test]
fn every_channel_is_the_formula() {
    let vectors = vectors();
    let features = Features::of(&Catalogue::new(vectors.items).expect("a catalogue"));
    let channels = all_channels(&features, &dataset(&vectors.histories));
    let names: Vec<&str> = channels.iter().map(|channel| channel.name()).collect();
    assert_eq!(names.len(), vectors.channels.len(), "{names:?}");
    let count = features.items();
    for channel in &channels {
        let expected = vectors
            .channels
            .get(channel.name())
            .unwrap_or_else(|| panic!("{} is in the vectors", channel.name()));
        for (history, expected) in vectors.histories.iter().zip(expected.chunks(count)) {
            let raw = raw(&**channel, history, count);
            let standard = Standard::of(&raw);
            for (item, (score, expected)) in raw.iter().zip(expected).enumerate() {
                let score = standard.apply(*score);
                assert!(
                    (score - expected).abs() < 1e-4,
                    "{} of {history:?}, item {item}: {score}, in numpy {expected}",
                    channel.name()
                );
            }
        }
    }
}

#[test]
fn popularity_shrinks_to_the_features_or_to_the_mean() {
    let vectors = vectors();
    let features = Features::of(&Catalogue::new(vectors.items).expect("a catalogue"));
    let given = &vectors.popularity;
    for (name, features) in [
        ("shrunk", features),
        (
            "bare",
            Features::from_rows(0, vec![Vec::new(); given["sums"].len()]),
        ),
    ] {
        let shrunk = shrinkage::shrink(&given["sums"], &given["noise"], &features);
        for (got, expected) in shrunk.iter().zip(&given[name]) {
            assert!(
                (got - expected).abs() < 1e-6,
                "{name}: {got}, in numpy {expected}"
            );
        }
    }
}

#[test]
fn ease_by_customers_is_ease_by_items() {
    let data = dataset(&vectors().histories);
    let (a, b) = (
        item_ease::by_items(&data.histories, 14).expect("positive"),
        item_ease::by_customers(&data.histories, 14).expect("positive"),
    );
    for item in 0..14 {
        let (mut x, mut y) = ([0.0; 14], [0.0; 14]);
        a.add_row(item, 1.0, &mut x);
        b.add_row(item, 1.0, &mut y);
        assert!(x.iter().zip(&y).all(|(x, y)| (x - y).abs() < 1e-5), "{x:?} {y:?}");
        assert_eq!((x[item], y[item]), (0.0, 0.0));
    }
}

#[test]
fn all_channels_but_popularity_are_linear_in_the_items() {
    let vectors = vectors();
    let features = Features::of(&Catalogue::new(vectors.items).expect("a catalogue"));
    for channel in all_channels(&features, &dataset(&vectors.histories)) {
        let Some(decay) = channel.decay() else { continue };
        let items = [3, 9, 1];
        let whole = raw(&*channel, &items, 14);
        let mut parts = vec![0.0_f32; 14];
        for (item, weight) in items.iter().zip(recency_weights(3, decay)) {
            let one = raw(&*channel, &[*item], 14);
            parts
                .iter_mut()
                .zip(one)
                .for_each(|(sum, score)| *sum += weight * score);
        }
        let close = whole.iter().zip(&parts).all(|(a, b)| (a - b).abs() < 1e-4);
        assert!(close, "{}: {whole:?} {parts:?}", channel.name());
    }
}

#[test]
fn a_low_rank_view_is_two_products() {
    let (left, right) = (Arc::new(vec![1.0, 0.0, 2.0, 3.0]), [1.0, 1.0, 0.5, -1.0]);
    let view = LowRank::new("view", 1.0, 2, left, &right);
    // Ranks 2 and 1 weigh 1/3 and 2/3: the user is (5/3, 2).
    let scores = raw(&view, &[0, 1], 2);
    assert!(
        (scores[0] - 11.0 / 3.0).abs() < 1e-6 && (scores[1] + 7.0 / 6.0).abs() < 1e-6,
        "{scores:?}"
    );
    let popular = raw(&FixedPopularity::released(&[0.0, 9.0], 10.0), &[], 2);
    assert!((popular[0] - 4.0_f32.ln()).abs() < 1e-6 && (popular[1] - 13.0_f32.ln()).abs() < 1e-6);
}

#[test]
fn empty_shops_lone_items_and_equal_features_give_finite_scores() {
    let equal = Features::from_rows(2, vec![vec![(0, 1.0), (1, 1.0)]; 5]);
    let bare = Features::from_rows(0, vec![Vec::new(); 5]);
    let one = Features::from_rows(1, vec![vec![(0, 1.0)]]);
    for (features, histories) in [
        (&equal, vec![]),
        (&equal, vec![vec![0], vec![], vec![4, 0]]),
        (&bare, vec![vec![2]]),
        (&bare, vec![vec![0, 1, 2, 3, 4]; 30]),
        (&one, vec![vec![0], vec![0]]),
    ] {
        for channel in all_channels(features, &dataset(&histories)) {
            for items in [&[][..], &[0], &[0, 4]] {
                let items: Vec<u32> = items
                    .iter()
                    .copied()
                    .filter(|item| (*item as usize) < features.items())
                    .collect();
                let raw = raw(&*channel, &items, features.items());
                let standard = Standard::of(&raw);
                assert!(
                    raw.iter().all(|score| standard.apply(*score).is_finite()),
                    "{}: {raw:?}",
                    channel.name()
                );
            }
        }
    }
}

/// Items of two kinds that only their vectors tell apart, even and odd; the last has none.
fn with_vectors() -> Features {
    let vector = |at: usize| match at {
        19 => Vec::new(),
        at if at.is_multiple_of(2) => vec![1.0, at as f32 / 40.0],
        at => vec![-1.0, at as f32 / 40.0],
    };
    let item = |at: usize| Item {
        vector: vector(at),
        ..Item::bare(at.to_string())
    };
    Features::of(&Catalogue::new((0..20).map(item).collect()).expect("a catalogue"))
}

#[test]
fn an_item_that_nobody_has_is_found_by_its_vector() {
    let features = with_vectors();
    // Nobody has the items 16 to 19; this customer's are even.
    let histories: Vec<Vec<u32>> = (0..8).map(|user| vec![user, user + 2, user + 4]).collect();
    let channels = all_channels(&features, &dataset(&histories));
    let by_vector: Vec<_> = channels
        .iter()
        .filter(|channel| channel.name().starts_with("vectors:") || channel.name() == "lda")
        .collect();
    assert_eq!(by_vector.len(), 3);
    for channel in by_vector {
        let scores = raw(&**channel, &[10, 12, 14], 20);
        let others = (1..20).step_by(2).map(|odd| scores[odd]);
        assert!(
            others.clone().all(|other| scores[16].min(scores[18]) > other),
            "{}: {scores:?}",
            channel.name()
        );
        // Without a vector an item is neither near nor far.
        assert!(channel.name() == "lda" || scores[19] == 0.0, "{scores:?}");
    }
    let names: Vec<&str> = channels.iter().map(|channel| channel.name()).collect();
    assert!(!names.iter().any(|name| name.starts_with("content")), "{names:?}");
}

#[test]
fn an_item_does_not_vote_for_itself_by_its_vector() {
    let channels = content::channels(&with_vectors());
    for channel in channels {
        let scores = raw(&*channel, &[4], 20);
        assert!(scores[4].abs() < 1e-6 && scores[6] > 0.9, "{scores:?}");
    }
}

#[test]
fn large_catalogues_have_lists_and_no_ease() {
    let items = item_ease::MOST_ITEMS + 1;
    let histories: Vec<Vec<u32>> = (0..40_u32)
        .map(|user| (0..30).map(|at| (user * 977 + at * 331) % items as u32).collect())
        .collect();
    let data = dataset(&histories);
    let features = Features::from_rows(50, (0..items as u32).map(|item| vec![(item % 50, 1.0)]).collect());
    let channels = all_channels(&features, &data);
    assert!(channels.iter().all(|channel| !channel.name().starts_with("ease")));
    let bytes: usize = channels.iter().map(|channel| channel.bytes()).sum();
    assert!(bytes < items * kernel::LISTED * 8 * 4, "{bytes}");
    let sparse = Sparse::from_rows(1, [vec![(0, 1.0)]]);
    assert!(sparse.bytes() > 0);
}
