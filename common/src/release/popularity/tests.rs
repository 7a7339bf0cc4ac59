use super::*;
use crate::release::vectors::{assert_close, past, vectors};

fn dense(update: &UserUpdate, items: usize) -> Vec<f64> {
    let UserUpdate::Sparse { ranges, values } = update else {
        panic!("sparse")
    };
    let mut vector = vec![0.0; items];
    for (at, value) in ranges.iter().cloned().flatten().zip(values) {
        vector[at] = f64::from(*value);
    }
    vector
}

#[test]
fn sum_and_estimate_are_numpys() {
    let vectors = vectors();
    let mut sum = vec![0.0; vectors.items];
    for history in vectors.histories() {
        if let Some(update) = contribution(&history, vectors.items) {
            add_scaled(1.0, &dense(&update, vectors.items), &mut sum);
        }
    }
    assert_close("sum", &sum, &vectors.popularity["sum"], 1e-6);
    let (noised, features) = (&vectors.popularity["noised"], vectors.features());
    let estimate = PopularityEstimate::new(noised, vectors.z1, &features);
    assert_close("p", estimate.values(), &vectors.popularity["p"], 1e-6);
    assert_close(
        "v0",
        &estimate.direction(),
        &vectors.popularity["direction"],
        1e-6,
    );
    let constant = vec![vectors.z1 * vectors.z1; vectors.items];
    for (what, variances, features) in [
        ("p", &constant, &features),
        ("of_variances", &vectors.popularity["variances"], &features),
        ("without_features", &constant, &Features::default()),
    ] {
        let got = denoise(noised, variances, features);
        // Features are f32.
        assert_close(what, &got, &vectors.popularity[what], 1e-7);
    }
}

#[test]
fn a_user_adds_a_vector_of_length_one_by_rank() {
    let update = contribution(&past(&[5, 1, 3, 0]), 6).expect("three items");
    let vector = dense(&update, 6);
    // Ranks: 3, 1, 5; item 0 is left out. 1 + 1/2 + 1/3 = 11/6.
    let unit = (6.0f64 / 11.0).sqrt();
    let wanted = [0.0, unit * 0.5f64.sqrt(), 0.0, unit, 0.0, unit / 3f64.sqrt()];
    assert_close("a_u", &vector, &wanted, 1e-6);
    assert!(dot(&vector, &vector) <= 1.0);
    assert_eq!(contribution(&past(&[2]), 6), None, "its only item is the shop's");
    assert_eq!(contribution(&past(&[6, 2]), 6), None, "no such item");
}

#[test]
fn without_noise_nothing_is_done_and_nothing_divides_by_zero() {
    let sums = [3.0, 0.0, 0.5];
    let estimate = PopularityEstimate::new(&sums, 0.0, &Features::default());
    assert_eq!(estimate.values(), [3.0, 0.0, 0.5]);
    assert!((f64::from(estimate.direction()[1]) - 1e-3 / 9.25f64.sqrt()).abs() < 1e-7);
    for sums in [&[0.0; 3][..], &[0.0]] {
        for noise in [0.0, 2.0] {
            let estimate = PopularityEstimate::new(sums, noise, &Features::default());
            let equal = 1.0 / (sums.len() as f64);
            assert!(
                estimate
                    .shares()
                    .iter()
                    .all(|share| (share - equal).abs() < 1e-12)
            );
            assert!(
                estimate
                    .smoothed_shares()
                    .iter()
                    .all(|share| (share - equal).abs() < 1e-12)
            );
            let direction = estimate.direction();
            assert!(
                direction
                    .iter()
                    .all(|value| f64::from(*value) > 0.99 * equal.sqrt())
            );
        }
    }
}

#[test]
fn features_that_say_nothing_do_no_harm() {
    let noised = [4.0, -1.0, 9.0, 2.0];
    // All equal; all zero (no row names a column); many collinear columns.
    for rows in [
        vec![vec![(0, 1.0)]; 4],
        vec![vec![]; 4],
        (0..4)
            .map(|item| (0..3).map(|column| (column, item as f32)).collect())
            .collect(),
    ] {
        let estimate = PopularityEstimate::new(&noised, 1.0, &Features::from_rows(3, rows));
        assert!(
            estimate
                .values()
                .iter()
                .all(|value| value.is_finite() && *value >= 0.0)
        );
        assert!(estimate.values()[2] > estimate.values()[0]);
    }
    let one = PopularityEstimate::new(&[5.0], 1.0, &Features::from_rows(1, vec![vec![(0, 2.0)]]));
    assert!(one.values()[0] > 0.0, "{one:?}");
}

#[test]
fn noise_is_drawn_toward_the_mean_and_what_is_sure_stays() {
    let noised = [100.0, 0.0, 90.0, 10.0];
    let sure = denoise(&noised, &[1e-6; 4], &Features::default());
    assert_close("sure", &sure, &noised, 1e-6);
    let unsure = denoise(&noised, &[1e6; 4], &Features::default());
    assert!(
        unsure.iter().all(|value| (value - 50.0).abs() < 1.0),
        "{unsure:?}"
    );
}
