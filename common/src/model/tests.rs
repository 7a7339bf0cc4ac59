//! The shipped backward pass against finite differences in f64, and the updates against first principles.

#[cfg(test)]
mod vectors;

use ndarray::ArrayView2;
use proptest::prelude::*;
use rand::RngExt;

use super::config::{Activation, Feature, IalsConfig, ModelConfig, ModelKind, SgdConfig, TrainConfig};
use super::init::initial_parameters;
use super::layout::{Layout, Vocabulary};
use super::network::Network;
use super::update::UserUpdate;
use super::workspace::{Sample, Workspace};
use super::{Recommender, file};
use crate::catalogue::{Catalogue, Item};
use crate::dataset::History;
use crate::ids::Digest;
use crate::rng;

fn config(kind: ModelKind, activation: Activation, features: Vec<Feature>) -> ModelConfig {
    ModelConfig {
        kind,
        discriminator: None,
        generator: None,
        gmf_dim: 3,
        mlp_dim: 2,
        tower: vec![4, 3],
        activation,
        features,
        item_bias: true,
        init_stddev: 0.5,
    }
}

fn catalogue(items: usize) -> Catalogue {
    let item = |at: usize| Item {
        id: format!("i{at}"),
        title: String::new(),
        category: format!("c{}", at % 3),
        brand: format!("b{}", at % 4),
        price: Some(at as f64),
        ..Item::bare("")
    };
    Catalogue::new((0..items).map(item).collect()).expect("a catalogue")
}

/// The loss of one user as a function of everything, in f64, through the shipped forward pass.
fn loss(
    config: &ModelConfig,
    layout: &Layout,
    dense: &[f64],
    user: &[f64],
    items: &[f64],
    bias: &[f64],
    samples: &[Sample<f64>],
) -> f64 {
    let network = Network::new(config, layout, dense);
    let view = ArrayView2::from_shape((samples.len(), layout.width()), items).expect("shape");
    let mut workspace = Workspace::new();
    workspace.forward(&network, user, view, bias);
    workspace.loss(samples)
}

fn close(analytic: f64, numeric: f64) -> bool {
    (analytic - numeric).abs() <= 1e-6 + 1e-5 * analytic.abs().max(numeric.abs())
}

fn check_all_gradients(kind: ModelKind, activation: Activation, seed: u64) -> Result<(), TestCaseError> {
    let config = config(kind, activation, vec![]);
    let vocabulary = Vocabulary {
        items: 5,
        categories: 1,
        brands: 1,
        price_buckets: 9,
    };
    let layout = Layout::new(&config, &vocabulary);
    let mut rng = rng::stream(seed, "proof");
    let mut draw = |count: usize| -> Vec<f64> { (0..count).map(|_| rng.random_range(-1.0..1.0)).collect() };
    let mut dense = draw(layout.len() - layout.dense_start());
    let mut user = draw(layout.width());
    let mut bias = draw(4);
    let mut items = draw(4 * layout.width());
    let weights = draw(8);
    let samples: Vec<Sample<f64>> = (0..4)
        .map(|at| Sample {
            item: at as u32,
            positive: weights[at].abs(),
            negative: 2.0 * weights[at + 4].abs(),
        })
        .collect();
    let mut workspace = Workspace::new();
    {
        let network = Network::new(&config, &layout, &dense);
        let view = ArrayView2::from_shape((4, layout.width()), &items[..]).expect("shape");
        workspace.forward(&network, &user, view, &bias);
        workspace.gradient_at_logits(&samples);
        workspace.backward_all(&network, &user, view, dense.len());
    }
    let step = 1e-6;
    macro_rules! compare {
        ($values:ident, $gradient:expr, $name:literal) => {
            for at in 0..$values.len() {
                let old = $values[at];
                $values[at] = old + step;
                let up = loss(&config, &layout, &dense, &user, &items, &bias, &samples);
                $values[at] = old - step;
                let down = loss(&config, &layout, &dense, &user, &items, &bias, &samples);
                $values[at] = old;
                let numeric = (up - down) / (2.0 * step);
                prop_assert!(
                    close($gradient[at], numeric),
                    "{} {}: {} against {}",
                    $name,
                    at,
                    $gradient[at],
                    numeric
                );
            }
        };
    }
    compare!(user, workspace.user_gradient, "user");
    compare!(items, workspace.item_gradient, "item");
    compare!(bias, workspace.logit_gradient, "bias");
    compare!(dense, workspace.dense_gradient, "dense");
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn every_gradient_is_the_finite_difference(
        seed in any::<u64>(),
        kind in prop_oneof![Just(ModelKind::Mf), Just(ModelKind::Mlp), Just(ModelKind::Neumf)],
        // A rectifier has kinks where differences say nothing; random points miss them.
        activation in prop_oneof![Just(Activation::Relu), Just(Activation::Tanh), Just(Activation::Sigmoid)],
    ) {
        check_all_gradients(kind, activation, seed)?;
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn a_damaged_model_file_is_an_error_or_another_finite_model_but_never_a_panic(
        at in any::<prop::sample::Index>(), byte in any::<u8>(), cut in any::<prop::sample::Index>(),
        garbage in proptest::collection::vec(any::<u8>(), 0..64),
    ) {
        let config = config(ModelKind::Mf, Activation::Relu, vec![Feature::Category]);
        let recommender = Recommender::new(&config, &TrainConfig::Sgd(sgd(1)), &catalogue(5));
        let layout = recommender.layout();
        let meta = file::ModelMeta { round: 1, plan: Digest::of(b"plan") };
        let mut bytes = file::encode(&initial_parameters(&config, recommender.train(), layout, 1), layout, &meta);
        prop_assert!(file::decode(&garbage, layout).is_err());
        prop_assert!(file::decode(&bytes[..cut.index(bytes.len())], layout).is_err());
        let at = at.index(bytes.len());
        bytes[at] = byte;
        if let Ok((params, _)) = file::decode(&bytes, layout) {
            prop_assert!(params.len() == layout.len() && params.iter().all(|value| value.is_finite()));
        }
        bytes.extend_from_slice(&[0, 1]);
        prop_assert!(file::decode(&bytes, layout).is_err(), "bytes after the end");
    }
}

fn sgd(local_steps: usize) -> SgdConfig {
    SgdConfig {
        negatives: 4,
        user_steps: 1,
        user_learning_rate: 0.1,
        user_l2: 0.1,
        user_dropout: 0.0,
        warmup_rounds: 0,
        final_fraction: 1.0,
        local_steps,
        learning_rate: 0.01,
        fit_steps: 20,
        fit_learning_rate: 0.1,
        recency: 0.5,
        generator: None,
    }
}

fn history(items: &[u32]) -> History {
    History {
        items: items.to_vec(),
        times: (0..items.len() as i64).collect(),
    }
}

#[test]
fn an_update_names_each_coordinate_once_and_touches_only_its_samples() {
    let catalogue = catalogue(12);
    let config = config(
        ModelKind::Neumf,
        Activation::Relu,
        vec![Feature::Category, Feature::Price],
    );
    let recommender = Recommender::new(&config, &TrainConfig::Sgd(sgd(2)), &catalogue);
    let model = recommender.load(initial_parameters(
        &config,
        recommender.train(),
        recommender.layout(),
        1,
    ));
    let mut rng = rng::stream(1, "update");
    let forbidden: Vec<u32> = (6..12).collect();
    let (update, _) = model.user_update(&history(&[3, 1]), None, &forbidden, &mut rng);
    let UserUpdate::Sparse { ranges, values } = update else {
        panic!("sgd's updates are sparse")
    };
    assert_eq!(
        ranges.iter().map(std::ops::Range::len).sum::<usize>(),
        values.len()
    );
    assert!(
        ranges.windows(2).all(|pair| pair[0].end <= pair[1].start),
        "ascending and disjoint: {ranges:?}"
    );
    let width = recommender.layout().width();
    for item in 6..12usize {
        assert!(
            !ranges.contains(&(item * width..(item + 1) * width)),
            "item {item} was forbidden"
        );
    }
    assert!(values.iter().any(|value| *value != 0.0) && values.iter().all(|value| value.is_finite()));
}

#[test]
fn a_step_along_the_update_lowers_the_users_loss() {
    let catalogue = catalogue(30);
    for kind in [ModelKind::Mf, ModelKind::Mlp, ModelKind::Neumf] {
        let config = config(kind, Activation::Tanh, vec![Feature::Brand]);
        let recommender = Recommender::new(&config, &TrainConfig::Sgd(sgd(1)), &catalogue);
        let model = recommender.load(initial_parameters(
            &config,
            recommender.train(),
            recommender.layout(),
            2,
        ));
        let history = history(&[0, 4, 8, 12]);
        let before = model.fit_user(&history, None, &[], &mut rng::stream(2, "fit"));
        let (update, _) = model.user_update(&history, Some(&before), &[], &mut rng::stream(2, "step"));
        let mut params = model.params().to_vec();
        let UserUpdate::Sparse { ranges, values } = update else {
            panic!("sgd's updates are sparse")
        };
        let coordinates = ranges.into_iter().flatten();
        coordinates
            .zip(values)
            .for_each(|(at, value)| params[at] += 20.0 * value);
        let after = recommender.load(params);
        let margin = |model: &super::Loaded| {
            let scores = model.score_all(&before);
            let own: f32 = history
                .items
                .iter()
                .map(|item| scores[*item as usize])
                .sum::<f32>()
                / 4.0;
            own - scores.iter().sum::<f32>() / scores.len() as f32
        };
        assert!(
            margin(&after) > margin(&model),
            "{kind:?}: {} then {}",
            margin(&model),
            margin(&after)
        );
    }
}

#[test]
fn the_closed_form_is_the_minimiser_and_its_update_the_negative_gradient() {
    let catalogue = catalogue(9);
    let features = vec![Feature::Category, Feature::Brand, Feature::Price];
    let config = ModelConfig {
        item_bias: false,
        ..config(ModelKind::Mf, Activation::Relu, features)
    };
    let ials = IalsConfig {
        alpha: 0.2,
        lambda: 0.7,
        recency: 0.0,
        train_recency: 0.5,
    };
    let recommender = Recommender::new(&config, &TrainConfig::Ials(ials.clone()), &catalogue);
    let layout = recommender.layout().clone();
    let mut rng = rng::stream(3, "ials");
    let params: Vec<f32> = (0..layout.len()).map(|_| rng.random_range(-1.0..1.0)).collect();
    let history = history(&[2, 7, 5]);
    let weights = super::samples::recency_weights(3, 0.5);
    let objective = |params: &[f32], user: &[f32], penalty: f64| -> f64 {
        let model = recommender.load(params.to_vec());
        let mut loss = 0.0;
        for item in 0..9u32 {
            let at = history.items.iter().position(|own| *own == item);
            let score: f64 = model
                .vector(item)
                .iter()
                .zip(user)
                .map(|(q, p)| f64::from(*q) * f64::from(*p))
                .sum();
            let (weight, target) = at.map_or((ials.alpha, 0.0), |at| (weights[at], 1.0));
            loss += 0.5 * weight * (target - score).powi(2);
        }
        loss + 0.5 * penalty * user.iter().map(|p| f64::from(*p).powi(2)).sum::<f64>()
    };
    let (update, user) = recommender
        .load(params.clone())
        .user_update(&history, None, &[], &mut rng);
    let best = objective(&params, &user.values, ials.lambda);
    for at in 0..user.values.len() {
        for step in [-1e-2, 1e-2] {
            let mut moved = user.values.clone();
            moved[at] += step;
            assert!(
                objective(&params, &moved, ials.lambda) > best,
                "moving {at} by {step} is better"
            );
        }
    }
    let UserUpdate::RankOne { rows, direction } = update else {
        panic!("ials's updates have rank one")
    };
    assert_eq!(rows.len(), layout.table_rows());
    for (row, coefficient) in rows.iter().enumerate() {
        for (column, along) in direction.iter().enumerate() {
            let at = row * layout.width() + column;
            let shift = |step: f32| {
                let mut moved = params.clone();
                moved[at] += step;
                objective(&moved, &user.values, 0.0)
            };
            let numeric = -(shift(5e-3) - shift(-5e-3)) / (2.0 * 5e-3);
            let analytic = f64::from(coefficient * along);
            assert!(
                (analytic - numeric).abs() < 2e-3 * (1.0 + numeric.abs()),
                "{row},{column}: {analytic} {numeric}"
            );
        }
    }
}

#[test]
fn an_item_nobody_bought_has_a_vector_from_its_features() {
    let catalogue = catalogue(12);
    let config = config(ModelKind::Mf, Activation::Relu, vec![Feature::Category]);
    let recommender = Recommender::new(&config, &TrainConfig::Sgd(sgd(1)), &catalogue);
    let mut params = vec![0.0; recommender.layout().len()];
    let row = recommender
        .layout()
        .first_row_of(Feature::Category)
        .expect("there is a table")
        + 2;
    params[row * 3..][..3].copy_from_slice(&[1.0, 2.0, 3.0]);
    let model = recommender.load(params);
    // Category c1 has index 2 (after "unknown" and c0); items 1, 4, 7, 10 are in it.
    assert_eq!(model.vector(10), [1.0, 2.0, 3.0]);
    assert_eq!(model.vector(11), [0.0; 3]);
}

#[test]
fn model_files_survive_and_bad_ones_are_named() {
    let config = config(ModelKind::Neumf, Activation::Relu, vec![Feature::Category]);
    let recommender = Recommender::new(&config, &TrainConfig::Sgd(sgd(1)), &catalogue(7));
    let layout = recommender.layout();
    let params = initial_parameters(&config, recommender.train(), layout, 9);
    let meta = file::ModelMeta {
        round: 7,
        plan: Digest::of(b"plan"),
    };
    let bytes = file::encode(&params, layout, &meta);
    assert_eq!(
        file::decode(&bytes, layout).expect("a model"),
        (params.clone(), meta.clone())
    );
    for cut in [0, 7, 8, 100, bytes.len() - 1] {
        assert!(file::decode(&bytes[..cut], layout).is_err(), "cut at {cut}");
    }
    let other = Recommender::new(&config, &TrainConfig::Sgd(sgd(1)), &catalogue(8));
    assert!(matches!(
        file::decode(&bytes, other.layout()),
        Err(file::ModelFileError::Shape { .. })
    ));
    let mut poisoned = params;
    poisoned[3] = f32::NAN;
    let bytes = file::encode(&poisoned, layout, &meta);
    let refused = file::decode(&bytes, layout).unwrap_err().to_string();
    assert!(
        refused.contains("\"item.embedding\" has NaN at index 3"),
        "{refused}"
    );
}
