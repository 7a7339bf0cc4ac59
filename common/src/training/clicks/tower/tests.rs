use super::*;

/// So many rows of inputs, a pattern anybody can make again.
fn case(shown: usize, clicked: &[usize]) -> ClickCase {
    let value = |at: usize| ((at * 31 % 17) as f32 - 8.0) / 8.0;
    let mut inputs: Vec<f32> = (0..shown * WIDTH).map(value).collect();
    inputs.chunks_exact_mut(WIDTH).for_each(|row| row[0] = 1.0);
    let mut labels = vec![0.0; shown];
    clicked.iter().for_each(|at| labels[*at] = 1.0);
    ClickCase { inputs, labels }
}

/// A tower away from its start, so that no gradient is 0 by symmetry.
fn tower(hidden: usize) -> ClickTower {
    let length = ClickTower::len_of(hidden);
    let params = (0..length).map(|at| ((at * 37 % 19) as f32 - 9.0) / 20.0);
    ClickTower::from_params(params.collect()).unwrap()
}

fn gradient(tower: &ClickTower, case: &ClickCase) -> Vec<f32> {
    let UserUpdate::Sparse { values, .. } = tower.update(case).0 else {
        panic!("an outer product")
    };
    values
}

#[test]
fn the_update_is_the_negative_gradient_of_the_loss() {
    let (case, tower) = (case(12, &[1, 5]), tower(3));
    let mut seen = 0;
    for (at, value) in gradient(&tower, &case).iter().enumerate() {
        let loss = |by: f32| {
            let mut params = tower.params().to_vec();
            params[at] += by;
            ClickTower::from_params(params).unwrap().update(&case).1
        };
        let step = 1e-2;
        let slope = (loss(step) - loss(-step)) / f64::from(2.0 * step);
        let diff = (slope + f64::from(*value)).abs();
        assert!(diff < 2e-3, "parameter {at}: {value} for {slope}");
        seen += usize::from(value.abs() > 1e-3);
    }
    assert!(seen > 30, "{seen} gradients are not 0");
}

#[test]
fn what_all_is_clicked_or_nothing_is_has_a_finite_gradient() {
    let tower = tower(8);
    for clicked in [&[][..], &[0, 1, 2, 3]] {
        let (update, loss) = tower.update(&case(4, clicked));
        let UserUpdate::Sparse { values, .. } = update else {
            panic!("an outer product")
        };
        assert!(loss.is_finite() && loss > 0.0, "{loss}");
        assert!(values.iter().all(|value| value.is_finite()));
        // The constant is pulled towards what happened.
        assert_eq!(values[0] > 0.0, !clicked.is_empty(), "{}", values[0]);
    }
    // Scores far out of reach of a probability stay finite, too.
    let far = ClickTower::from_params(vec![1e6; ClickTower::len_of(2)]).unwrap();
    let (_, loss) = far.update(&case(4, &[2]));
    assert!(loss.is_finite(), "{loss}");
    assert!(
        far.probabilities(&case(4, &[]).inputs)
            .iter()
            .all(|p| (0.0..=1.0).contains(p))
    );
}

#[test]
fn a_tower_begins_with_one_click_in_150_and_has_its_length() {
    for hidden in [0, 1, 8] {
        let tower = ClickTower::initial(hidden, 3);
        assert_eq!(tower.params().len(), ClickTower::len_of(hidden));
        assert_eq!(
            ClickTower::from_params(tower.params().to_vec()),
            Some(tower.clone())
        );
        for p in tower.probabilities(&case(3, &[]).inputs) {
            assert!((p - 1.0 / 149.4).abs() < 1e-4, "{p}");
        }
    }
    assert!(ClickTower::from_params(vec![0.0; WIDTH + 1]).is_none());
}

#[test]
fn reasons_are_what_inputs_add_largest_first() {
    let mut params = vec![0.0; WIDTH];
    (params[0], params[2], params[5]) = (-5.0, 1.0, -2.0);
    let tower = ClickTower::from_params(params).unwrap();
    let mut row = vec![0.5; WIDTH];
    row[5] = -1.0;
    let reasons = tower.reasons(&row);
    assert_eq!(reasons[..2], [(INPUTS[5], 2.0), (INPUTS[2], 0.5)]);
    assert_eq!(reasons.len(), WIDTH - 1);
}

/// The same in numpy, in doubles.
#[test]
fn probabilities_loss_and_gradient_are_those_of_numpy() {
    let (case, tower) = (case(4, &[1]), tower(2));
    let close = |values: &[f32], expected: &[f32]| {
        for (value, expected) in values.iter().zip(expected) {
            assert!((value - expected).abs() < 1e-6, "{value} for {expected}");
        }
    };
    close(
        &tower.probabilities(&case.inputs),
        &[0.542_079_9, 0.322_205_83, 0.347_268_6, 0.653_620_1],
    );
    assert!((tower.update(&case).1 - 0.283_369_508).abs() < 1e-6);
    let gradient = gradient(&tower, &case);
    let places = [0, 5, 13, 29, 39, 40, 41, 42];
    close(
        &places.map(|at| gradient[at]),
        &[
            -0.0720979, 0.0998589, -0.0168733, -0.0127357, -0.0168733, 0.0029038, -0.0072676, -0.0547484,
        ],
    );
}
