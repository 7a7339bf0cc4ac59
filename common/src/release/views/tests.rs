use super::*;
use crate::release::vectors::{Vectors, assert_close, vectors};

fn forms(vectors: &Vectors, features: &Features, noise: f64) -> FederatedForms {
    let map = vectors.map();
    let sum = CollaborativeSum::new(vectors.noised.clone(), &map, noise).unwrap();
    FederatedForms::new(&vectors.estimate(), features, Some((&sum, &map)), 4)
}

fn form<'a>(forms: &'a FederatedForms, view: &str, g: f64) -> &'a ViewForm {
    let mut found = forms.forms.iter();
    let name = format!("view {view}");
    found
        .find(|form| form.name == name && form.g == g)
        .expect("the form")
}

#[test]
fn views_are_numpys() {
    let vectors = vectors();
    let features = vectors.features();
    for (features, noise, wanted) in [
        (&features, vectors.z2, &vectors.views),
        (&Features::default(), vectors.z2, &vectors.without_features),
        (&features, vectors.quiet, &vectors.noisier),
    ] {
        let forms = forms(&vectors, features, noise);
        for (view, g) in [("V", 0.3), ("V", 1.0), ("E", 0.3), ("E", 1.0)] {
            let form = form(&forms, view, g);
            assert_close(view, &form.left, &wanted[&format!("{view}_left")], 1e-5);
            assert_close(view, &form.right, &wanted[&format!("{view}_right")], 1e-5);
        }
        let map = vectors.map();
        let sum = CollaborativeSum::new(vectors.noised.clone(), &map, noise).unwrap();
        let spectrum = sum.spectrum(4);
        assert_close("s", &spectrum.singular, &wanted["s"], 1e-10);
        assert_close("weights", &spectrum.weights, &wanted["weights"], 0.0);
    }
    let forms = forms(&vectors, &features, vectors.z2);
    assert_eq!(forms.forms.len(), 4);
}

#[test]
fn the_second_map_is_numpys() {
    let vectors = vectors();
    let map = vectors.map();
    // Numpy keeps four directions, here up to twelve are kept: one more changes those before it by the scale alone.
    let sum = CollaborativeSum::new(vectors.noised.clone(), &map, vectors.z2).unwrap();
    let second = second_map(&sum, &vectors.estimate());
    let columns = map.columns().min(RANK);
    assert_eq!((second.items(), second.columns()), (vectors.items, columns));
    let first_four: Vec<f64> = (0..vectors.items)
        .flat_map(|item| second.row(item)[..4].iter().map(|value| f64::from(*value)))
        .collect();
    let scale = vectors.second_map[0] / first_four[0];
    let scaled: Vec<f64> = first_four.iter().map(|value| value * scale).collect();
    assert_close("A'", &scaled, &vectors.second_map, 1e-5);
    let shares = vectors.estimate().shares();
    let square = |item: usize| {
        second
            .row(item)
            .iter()
            .map(|value| f64::from(value * value))
            .sum::<f64>()
    };
    let mean: f64 = (0..vectors.items)
        .map(|item| shares[item] * square(item))
        .sum::<f64>()
        / columns as f64;
    assert!((mean - 1.0).abs() < 1e-5, "{mean}");
}

#[test]
fn catalogues_smaller_than_the_map_and_releases_of_zeros_give_finite_scores() {
    let same = Features::from_rows(1, vec![vec![(0, 1.0)]; 3]);
    for items in [1, 3] {
        for features in [&Features::default(), &same] {
            if features.items() > items {
                continue;
            }
            for (popular, noise) in [(0.0, 0.0), (0.0, 0.7), (2.0, 0.7)] {
                let popularity = PopularityEstimate::published(vec![popular; items], noise);
                let map = PublicMap::new(&popularity, features, 1);
                assert_eq!(map.columns(), 48);
                for value in [0.0, 0.3] {
                    let numbers = (0..items * 48)
                        .map(|at| value * ((at * 7 % 11) as f64 - 5.0))
                        .collect();
                    let sum = CollaborativeSum::new(numbers, &map, noise).unwrap();
                    let forms = FederatedForms::new(&popularity, features, Some((&sum, &map)), RANK);
                    let finite = |form: &ViewForm| {
                        form.left
                            .iter()
                            .chain(&*form.right)
                            .all(|value| value.is_finite())
                    };
                    assert!(
                        forms.forms.iter().all(finite),
                        "{items} items, {popular}, {noise}, {value}"
                    );
                    let second = second_map(&sum, &popularity);
                    assert!(second.values().iter().all(|value| value.is_finite()));
                    assert_eq!(second.columns(), RANK);
                }
            }
        }
    }
}

#[test]
fn after_the_first_release_there_is_popularity() {
    let vectors = vectors();
    for features in [vectors.features(), Features::default()] {
        let forms = FederatedForms::new(&vectors.estimate(), &features, None, RANK);
        assert!(forms.forms.is_empty());
    }
}

#[test]
fn a_sum_of_another_map_or_with_a_number_that_is_none_is_refused() {
    let map = PublicMap::published(2, vec![1.0; 6]).unwrap();
    let short = CollaborativeSum::new(vec![0.0; 5], &map, 1.0).unwrap_err();
    assert_eq!(short.to_string(), "the sum has 5 numbers, its map 6");
    assert!(CollaborativeSum::new(vec![f64::NAN; 6], &map, 1.0).is_err());
}

#[test]
fn a_large_catalogue_has_its_four_forms() {
    let (items, columns) = (5000usize, 600u32);
    let row = |item: usize| {
        vec![
            ((item * 31 % 600) as u32, 1.0),
            ((item * item) as u32 % columns, 0.5),
        ]
    };
    let mut rows: Vec<Vec<(u32, f32)>> = (0..items).map(row).collect();
    rows.iter_mut()
        .for_each(|row| row.dedup_by_key(|(column, _)| *column));
    let features = Features::from_rows(columns as usize, rows);
    let popularity = PopularityEstimate::published((0..items).map(|item| (item % 13) as f32).collect(), 0.9);
    let map = PublicMap::new(&popularity, &features, 1);
    let numbers = (0..items * map.columns())
        .map(|at| ((at * 7919 % 1009) as f64 - 504.0) / 300.0)
        .collect();
    let sum = CollaborativeSum::new(numbers, &map, 0.9).unwrap();
    let forms = FederatedForms::new(&popularity, &features, Some((&sum, &map)), RANK);
    assert_eq!(forms.forms.len(), 4);
}
