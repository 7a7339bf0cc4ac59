use proptest::prelude::*;

use super::*;
use crate::release::collaborative::CollaborativeStatistic;
use crate::release::file::ReleaseFileError;
use crate::release::vectors::{Vectors, vectors};
use crate::rng::stream;
use crate::update::ModulusBits;

const UNITS: f64 = 65_536.0;

/// Numbers as a noised integer sum.
fn summed(numbers: &[f64], bits: ModulusBits, noise_stddev: f64) -> NoisedSum {
    let integers = numbers.iter().map(|number| (number * UNITS).round() as i64);
    let values = match bits {
        ModulusBits::B32 => UpdateValues::B32(integers.map(|integer| integer as u32).collect()),
        ModulusBits::B64 => UpdateValues::B64(integers.map(|integer| integer as u64).collect()),
    };
    NoisedSum {
        values,
        clip_units: UNITS,
        noise_stddev,
    }
}

fn noise(count: usize, stddev: f64, name: &str) -> Vec<f64> {
    use rand::RngExt;
    let mut rng = stream(4, name);
    (0..count)
        .map(|_| (rng.random::<f64>() - 0.5) * 3.4 * stddev)
        .collect()
}

/// The three releases of the small catalogue's users.
fn chain(vectors: &Vectors, public: &PublicParameters<'_>, bits: ModulusBits) -> [Released; 3] {
    let popularity = summed(&vectors.popularity["noised"], bits, vectors.z1);
    let first = Released::compute(ReleaseKind::Popularity, popularity, None, false, public).unwrap();
    let after = |previous: &Released, kind, is_last| {
        let map = previous.next.as_ref().unwrap();
        let statistic = CollaborativeStatistic::new(map, &previous.direction).unwrap();
        let mut sum = noise(map.values().len(), vectors.z2, "noise");
        for history in vectors.histories() {
            let Some(UpdateParts {
                rows,
                direction,
                own,
                values,
            }) = parts(&statistic, &history)
            else {
                continue;
            };
            let width = direction.len();
            for (row, e) in rows.iter().enumerate() {
                (0..width).for_each(|at| sum[row * width + at] += e * direction[at]);
            }
            for (row, values) in own.iter().zip(values.chunks(width)) {
                (0..width).for_each(|at| sum[row * width + at] += values[at]);
            }
        }
        Released::compute(
            kind,
            summed(&sum, bits, vectors.z2),
            Some(previous),
            is_last,
            public,
        )
        .unwrap()
    };
    let second = after(&first, ReleaseKind::Collaborative, false);
    let third = after(&second, ReleaseKind::SecondCollaborative, true);
    [first, second, third]
}

struct UpdateParts {
    rows: Vec<f64>,
    direction: Vec<f64>,
    own: Vec<usize>,
    values: Vec<f64>,
}

fn parts(
    statistic: &CollaborativeStatistic<'_>,
    history: &crate::release::ReleaseHistory,
) -> Option<UpdateParts> {
    let wide = |values: Vec<f32>| values.into_iter().map(f64::from).collect();
    match statistic.contribution(history)? {
        crate::model::update::UserUpdate::RankOneExcept {
            rows,
            direction,
            own,
            values,
        } => Some(UpdateParts {
            rows: wide(rows),
            direction: wide(direction),
            own: own.into_iter().map(|row| row as usize).collect(),
            values: wide(values),
        }),
        other => panic!("{other:?}"),
    }
}

fn public<'a>(vectors: &Vectors, features: &'a Features) -> PublicParameters<'a> {
    PublicParameters {
        features,
        items: vectors.items,
        seed: 5,
    }
}

#[test]
fn releases_follow_one_another_verify_and_come_back_from_their_bytes() {
    let vectors = vectors();
    for features in [vectors.features(), Features::default()] {
        let public = public(&vectors, &features);
        for bits in [ModulusBits::B32, ModulusBits::B64] {
            let chain = chain(&vectors, &public, bits);
            let [first, second, third] = &chain;
            assert_eq!((first.previous, second.previous), (Digest::ZERO, first.digest()));
            assert_eq!(first.next, second.through);
            assert_eq!(second.next.as_ref().unwrap().columns(), RANK);
            let mut previous = None;
            for (at, released) in chain.iter().enumerate() {
                released.verify(previous, at == 2, &public).unwrap();
                // The plan ended earlier, or goes on; nothing comes after the third in any plan.
                assert!(at == 2 || released.verify(previous, true, &public).is_err());
                let bytes = released.to_bytes();
                assert_eq!(Released::from_bytes(&bytes).as_ref(), Ok(released));
                let forms = released.forms(&features).unwrap().forms;
                assert_eq!(forms.len(), if at == 0 { 0 } else { 4 });
                let channels = released.channels(&features).unwrap();
                let discriminant = usize::from(!features.is_empty());
                assert_eq!(channels.len(), 1 + discriminant + forms.len());
                assert!(channels.iter().all(|channel| channel.is_federated()));
                previous = Some(released);
            }
            assert_eq!(
                third.forms(&features).unwrap().forms.last().unwrap().rank,
                SECOND_RANK
            );
        }
    }
}

#[test]
fn a_part_that_the_sum_does_not_make_is_found() {
    let vectors = vectors();
    let features = vectors.features();
    let public = public(&vectors, &features);
    let [first, second, _] = chain(&vectors, &public, ModulusBits::B32);
    let changed = |released: &Released, change: &dyn Fn(&mut Released)| {
        let mut other = released.clone();
        change(&mut other);
        let previous = (released.kind == ReleaseKind::Collaborative).then_some(&first);
        other
            .verify(previous, false, &public)
            .map_err(|error| error.to_string())
    };
    let moved = |map: &Option<PublicMap>, by: f32| {
        let map = map.as_ref().unwrap();
        let mut values = map.values().to_vec();
        values[3] += by;
        Some(PublicMap::published(map.columns(), values).unwrap())
    };
    let popularity = |released: &mut Released| {
        let mut values = released.popularity.values().to_vec();
        values[2] += 0.1;
        released.popularity = PopularityEstimate::published(values, released.sum.noise_stddev);
    };
    let says = |result: Result<(), String>, what: &str| {
        assert_eq!(
            result,
            Err(format!("the published {what} is not what the sum makes"))
        );
    };
    says(changed(&first, &popularity), "popularity");
    says(
        changed(&first, &|released| released.direction[1] += 0.01),
        "direction",
    );
    says(
        changed(&first, &|released| released.next = moved(&released.next, 0.1)),
        "next map",
    );
    says(
        changed(&second, &|released| {
            released.through = moved(&released.through, 1e-6)
        }),
        "map",
    );
    says(
        changed(&second, &|released| released.previous = Digest::ZERO),
        "digest of the release before",
    );
    // What another machine's rounding may do, and another sign of a column, is let pass.
    assert_eq!(
        changed(&first, &|released| released.next = moved(&released.next, 1e-6)),
        Ok(())
    );
    let turned = |released: &mut Released| {
        let map = released.next.as_ref().unwrap();
        let mut values = map.values().to_vec();
        values
            .iter_mut()
            .step_by(map.columns())
            .for_each(|value| *value = -*value);
        released.next = Some(PublicMap::published(map.columns(), values).unwrap());
    };
    assert_eq!(changed(&first, &turned), Ok(()));
}

#[test]
fn a_release_out_of_its_order_or_of_another_length_is_refused() {
    let vectors = vectors();
    let features = vectors.features();
    let public = public(&vectors, &features);
    let [first, _, third] = chain(&vectors, &public, ModulusBits::B32);
    let sum = |count| summed(&vec![0.0; count], ModulusBits::B32, 1.0);
    let compute = |kind, count, previous: Option<&Released>| {
        Released::compute(kind, sum(count), previous, true, &public)
            .unwrap_err()
            .to_string()
    };
    let all = first.next.as_ref().unwrap().values().len();
    for error in [
        compute(ReleaseKind::Popularity, 14, Some(&first)),
        compute(ReleaseKind::Collaborative, all, None),
        compute(ReleaseKind::Collaborative, all, Some(&third)),
        compute(ReleaseKind::SecondCollaborative, all, Some(&first)),
    ] {
        assert!(error.contains("does not follow"), "{error}");
    }
    assert_eq!(
        compute(ReleaseKind::Popularity, 13, None),
        "the sum has 13 coordinates, the release 14"
    );
    let other = Features::from_rows(1, vec![vec![]; 3]);
    let public = PublicParameters {
        features: &other,
        ..public
    };
    assert!(Released::compute(ReleaseKind::Popularity, sum(14), None, true, &public).is_err());
}

#[test]
fn one_item_and_sums_of_zeros_make_releases() {
    let none = Features::default();
    for (items, value, noise) in [(1, 0.0, 0.0), (1, 3.0, 0.8), (5, 0.0, 0.0), (5, 0.0, 0.8)] {
        let public = PublicParameters {
            features: &none,
            items,
            seed: 1,
        };
        let numbers = vec![value; items];
        let sum = summed(&numbers, ModulusBits::B32, noise);
        let first = Released::compute(ReleaseKind::Popularity, sum, None, false, &public).unwrap();
        let zeros = summed(&vec![0.0; items * 48], ModulusBits::B32, noise);
        let second =
            Released::compute(ReleaseKind::Collaborative, zeros, Some(&first), false, &public).unwrap();
        second.verify(Some(&first), false, &public).unwrap();
        assert_eq!(Released::from_bytes(&second.to_bytes()), Ok(second));
    }
}

#[test]
fn damaged_bytes_are_refused_with_what_is_wrong() {
    let vectors = vectors();
    let features = vectors.features();
    let [_, second, _] = chain(&vectors, &public(&vectors, &features), ModulusBits::B32);
    let bytes = second.to_bytes();
    for cut in [0, 79, 80, bytes.len() - 1] {
        assert!(Released::from_bytes(&bytes[..cut]).is_err(), "{cut}");
    }
    let with = |at: usize, new: &[u8]| {
        let mut bytes = bytes.clone();
        bytes[at..at + new.len()].copy_from_slice(new);
        Released::from_bytes(&bytes).unwrap_err()
    };
    assert_eq!(with(7, b"2"), ReleaseFileError::Magic);
    for (at, new, what) in [
        (8, &[0][..], "kind"),
        (8, &[1], "map"),
        (8, &[3], "map"),
        (9, &[33], "modulus"),
        (11, &[1], "reserved bytes"),
        (12, &[0; 4], "number of items"),
        (12, &[0xff; 4], "number of items"),
        (16, &[0; 4], "map"),
        (20, &65u32.to_le_bytes(), "columns"),
        (24, &f64::NAN.to_le_bytes(), "grid units"),
        (32, &(-1.0f64).to_le_bytes(), "noise"),
        (40, &f64::INFINITY.to_le_bytes(), "noise"),
        (48, &[0; 32], "digest of the release before"),
    ] {
        assert_eq!(with(at, new), ReleaseFileError::Field { what }, "{at}");
    }
    assert!(matches!(
        with(12, &13u32.to_le_bytes()),
        ReleaseFileError::Length { .. }
    ));
    let last = with(bytes.len() - 4, &f32::NAN.to_le_bytes());
    assert!(
        matches!(last, ReleaseFileError::Number { what: "next map", .. }),
        "{last}"
    );
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic_and_what_is_read_is_written_the_same(
        changes in proptest::collection::vec((0usize..120, any::<u8>()), 0..4), cut in 0usize..400, tail in any::<bool>(),
    ) {
        let none = Features::default();
        let public = PublicParameters { features: &none, items: 2, seed: 1 };
        let sum = summed(&[1.0, 2.0], ModulusBits::B32, 0.5);
        let first = Released::compute(ReleaseKind::Popularity, sum, None, true, &public).unwrap();
        let mut bytes = first.to_bytes();
        for (at, byte) in changes {
            let at = at % bytes.len();
            bytes[at] = byte;
        }
        if tail { bytes.truncate(cut) }
        if let Ok(read) = Released::from_bytes(&bytes) {
            prop_assert_eq!(read.to_bytes(), bytes);
        }
    }
}
