use super::*;
use crate::channels::{Channels, content};
use crate::dataset::History;
use crate::features::Features;
use crate::release::for_release;
use crate::release::views::FederatedForms;

fn inputs() -> TowerInputs {
    let forms = FederatedForms {
        forms: vec![crate::release::views::ViewForm {
            name: "view V".into(),
            g: 0.3,
            rank: 2,
            left: vec![0.5, 0.1, -0.2, 0.4, 0.3, 0.3, 0.9, -0.4, 0.1, 0.2, -0.6, 0.7].into(),
            right: vec![0.1, 0.2, 0.5, -0.3, 0.2, 0.8, -0.1, 0.6, 0.4, 0.4, -0.2, 0.3].into(),
        }],
    };
    let content: Channels = content::channels(&Features::default());
    TowerInputs::new(&content, &Channels::new(), &forms, 6)
}

fn history(items: &[u32]) -> crate::release::ReleaseHistory {
    for_release(&History {
        items: items.to_vec(),
        times: (0..items.len() as i64).collect(),
    })
}

/// A tower away from its start, so that no gradient is 0 by symmetry.
fn tower() -> Tower {
    let start = Tower::initial(3, 7);
    let params = start.params().iter().enumerate();
    let moved = params.map(|(at, value)| value + 0.3 * ((at * 37 % 19) as f32 / 19.0 - 0.5));
    Tower::from_params(moved.collect()).unwrap()
}

#[test]
fn the_update_is_the_negative_gradient_of_the_loss() {
    let case = TowerCase::new(&inputs(), &history(&[0, 1, 3]), "a", 1).unwrap();
    let tower = tower();
    let UserUpdate::Sparse { values, .. } = tower.update(&case).0 else {
        panic!("a dense update")
    };
    let mut seen = 0;
    for (at, value) in values.iter().enumerate() {
        let loss = |by: f32| {
            let mut params = tower.params().to_vec();
            params[at] += by;
            Tower::from_params(params).unwrap().update(&case).1
        };
        let step = 1e-2;
        let slope = (loss(step) - loss(-step)) / f64::from(2.0 * step);
        assert!(
            (slope + f64::from(*value)).abs() < 3e-3,
            "parameter {at}: {value} for {slope}"
        );
        seen += usize::from(value.abs() > 1e-3);
    }
    assert!(seen > 8, "{seen} gradients are not 0");
}

#[test]
fn scores_of_all_items_are_those_of_their_rows() {
    let (inputs, tower) = (inputs(), tower());
    let past = [0, 1];
    let (mut columns, mut rows, mut scores) = (Vec::new(), Vec::new(), vec![0.0; 6]);
    inputs.columns(&past, &mut columns);
    inputs.rows(&past, &[0, 1, 2, 3, 4, 5], &mut rows);
    for item in 0..6 {
        for column in 0..WIDTH {
            assert!((columns[column * 6 + item] - rows[item * WIDTH + column]).abs() < 1e-6);
        }
    }
    tower.score(&columns, &mut scores);
    // From the loss of two items alone: log(1 + e^(s1 - s0)).
    for other in 1..6 {
        let pair = [&rows[..WIDTH], &rows[other * WIDTH..][..WIDTH]].concat();
        let loss = tower.update(&TowerCase { inputs: pair }).1;
        let expected = f64::from(scores[other] - scores[0]).exp().ln_1p();
        assert!((loss - expected).abs() < 1e-4, "{other}: {loss} for {expected}");
    }
}

#[test]
fn who_has_no_latest_item_and_one_before_it_has_no_case() {
    for items in [&[][..], &[2], &[2, 2], &[1, 9], &[9, 1]] {
        assert!(
            TowerCase::new(&inputs(), &history(items), "a", 1).is_none(),
            "{items:?}"
        );
    }
    let case = |id| TowerCase::new(&inputs(), &history(&[4, 2]), id, 1).unwrap();
    assert_eq!(case("a").inputs, case("a").inputs);
    assert_ne!(case("a").inputs, case("b").inputs);
}

#[test]
fn a_tower_begins_as_a_stack_that_nobody_has_fitted_and_has_its_length() {
    for hidden in [0, 1, 8] {
        let tower = Tower::initial(hidden, 3);
        assert_eq!(tower.params().len(), Tower::len_of(hidden));
        assert_eq!(Tower::from_params(tower.params().to_vec()), Some(tower.clone()));
        let (mut columns, mut scores) = (vec![0.0; WIDTH * 2], vec![0.0; 2]);
        columns[1] = 2.0;
        tower.score(&columns, &mut scores);
        assert!(
            (scores[1] - scores[0] - 2.0).abs() < 1e-6,
            "popularity at weight 1: {scores:?}"
        );
    }
    assert!(Tower::from_params(vec![0.0; CHANNELS.len() + 1]).is_none());
    assert!(Tower::from_params(vec![0.0; 3]).is_none());
}

#[test]
fn parts_of_items_are_the_score_to_the_first_order() {
    let (inputs, past) = (inputs(), [4, 0, 1]);
    let start = Tower::initial(3, 7);
    // A tower that only weighs the products: then nothing is beyond the first order but compression.
    let mut params = vec![0.0; start.params().len()];
    for at in 0..2 {
        // Small, so that the unit is nearly straight.
        params[CHANNELS.len() + CHANNELS.len() + at] = 1e-3 * (1.0 + at as f32);
    }
    params[Tower::len_of(3) - 3] = 1.0;
    let tower = Tower::from_params(params).unwrap();
    let wanted = [2, 3, 5];
    let mut rows = Vec::new();
    inputs.rows(&past, &wanted, &mut rows);
    let slopes: Vec<Vec<f32>> = rows.chunks_exact(WIDTH).map(|row| tower.slopes(row)).collect();
    let mut columns = Vec::new();
    inputs.columns(&past, &mut columns);
    let mut scores = vec![0.0; 6];
    tower.score(&columns, &mut scores);
    for (parts, wanted) in inputs.attributed(&past, &wanted, &slopes).iter().zip(wanted) {
        assert_eq!(parts.iter().map(|(item, _)| *item).collect::<Vec<_>>(), past);
        let sum: f32 = parts.iter().map(|(_, part)| part).sum();
        let score = scores[wanted as usize];
        assert!((sum - score).abs() < 0.02 * score.abs(), "{sum} of {score}");
    }
}
