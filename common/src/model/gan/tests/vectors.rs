//! A customer's step against complex steps through losses written down in numpy, frozen in `tests/vectors/gan.json`.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::super::draw::Draws;
use super::super::update::Game;
use super::loaded;
use crate::model::UserUpdate;
use crate::model::config::GeneratorTraining;
use crate::model::local::Local;
use crate::model::samples::per_item;
use crate::model::workspace::{Sample, Workspace};

#[derive(Deserialize)]
struct Vectors {
    gmf_dim: usize,
    mlp_dim: usize,
    dim: usize,
    tower: Vec<usize>,
    own: Vec<u32>,
    drawn: Vec<u32>,
    uniform: Vec<u32>,
    temperature: f64,
    own_share: f64,
    reward: f64,
    likelihood: f64,
    hard: f64,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    discriminator: String,
    parameters: BTreeMap<String, Vec<f64>>,
    user: Vec<f64>,
    probabilities: Vec<f64>,
    weights: Vec<f64>,
    policy: Vec<f64>,
    negative: Vec<f64>,
    gradients: BTreeMap<String, Vec<f64>>,
    user_gradient: Vec<f64>,
}

fn assert_close(got: f64, expected: f64, what: &str) {
    assert!(
        (got - expected).abs() < 2e-5 * (1.0 + expected.abs()),
        "{what}: {got} here, {expected} in numpy"
    );
}

fn check(vectors: &Vectors, case: &Case) {
    let kind = &case.discriminator;
    let config = format!(
        "discriminator = '{kind}'\ngmf_dim = {}\nmlp_dim = {}\ntower = {:?}\nactivation = 'tanh'\n\
         [generator]\ndim = {}\ntemperature = {}",
        vectors.gmf_dim, vectors.mlp_dim, vectors.tower, vectors.dim, vectors.temperature
    );
    let items = case.probabilities.len();
    let recommender = loaded(items, &config, "").recommender().clone();
    let layout = recommender.layout();
    let mut params = vec![0.0f32; layout.len()];
    assert_eq!(layout.blocks().len(), case.parameters.len(), "{kind}");
    for block in layout.blocks() {
        let values = &case.parameters[&block.name];
        assert_eq!(values.len(), block.len(), "{kind} {}", block.name);
        params[block.range()]
            .iter_mut()
            .zip(values)
            .for_each(|(to, from)| *to = *from as f32);
    }
    let model = recommender.load(params);
    let generator = model.generator().expect("a generator");
    let user: Vec<f32> = case.user.iter().map(|value| *value as f32).collect();
    let probabilities = generator.probabilities(&user[generator.columns(user.len())], &[]);
    for (at, (got, expected)) in probabilities.iter().zip(&case.probabilities).enumerate() {
        assert_close(f64::from(*got), *expected, &format!("{kind}: G {at}"));
    }
    let own = &vectors.own;
    let weight = |item: &u32| {
        let g = f64::from(probabilities[*item as usize]);
        let bought = if own.contains(item) {
            1.0 / own.len() as f64
        } else {
            0.0
        };
        g / ((1.0 - vectors.own_share) * g + vectors.own_share * bought)
    };
    let draws = Draws {
        items: vectors.drawn.clone(),
        weights: vectors.drawn.iter().map(weight).collect(),
    };
    for (at, (got, expected)) in draws.weights.iter().zip(&case.weights).enumerate() {
        assert_close(*got, *expected, &format!("{kind}: weight {at}"));
    }
    let sample = |item: &u32, positive: f32| Sample {
        item: *item,
        positive,
        negative: 1.0 - positive,
    };
    let bought = own.iter().map(|item| sample(item, 1.0));
    let mut samples = per_item(
        bought
            .chain(vectors.uniform.iter().map(|item| sample(item, 0.0)))
            .collect(),
    );
    let training = GeneratorTraining {
        reward: vectors.reward,
        likelihood: vectors.likelihood,
        hard: vectors.hard,
        own_share: vectors.own_share,
        ..GeneratorTraining::default()
    };
    let game = Game::of(
        &model,
        (generator, training),
        (own, &[]),
        draws.clone(),
        &mut samples,
    );
    for sample in &samples {
        let expected = case.negative[sample.item as usize];
        assert_close(
            f64::from(sample.negative),
            expected,
            &format!("{kind}: negative {}", sample.item),
        );
    }
    let mut workspace = Workspace::new();
    let mut local = Local::new(&model, &samples);
    local.gradients(&mut workspace, &user);
    let at = |item: &u32| {
        samples
            .iter()
            .position(|sample| sample.item == *item)
            .expect("drawn")
    };
    let reward = |item: &u32| 2.0 / (1.0 + (-f64::from(workspace.logits()[at(item)])).exp()) - 1.0;
    let rewards: Vec<f64> = vectors.drawn.iter().map(reward).collect();
    for (at, (got, expected)) in draws
        .policy_gradient(&rewards)
        .iter()
        .zip(&case.policy)
        .enumerate()
    {
        assert_close(*got, *expected, &format!("{kind}: c {at}"));
    }
    game.add_gradients(&mut workspace, &samples, &user);
    for (at, (got, expected)) in workspace
        .user_gradient
        .iter()
        .zip(&case.user_gradient)
        .enumerate()
    {
        assert_close(f64::from(*got), *expected, &format!("{kind}: user {at}"));
    }
    // One step of size one: the change is minus the gradient, and nothing where nothing was drawn.
    local.descend(&workspace, 1.0);
    let UserUpdate::Sparse { ranges, values } = local.into_update() else {
        panic!("sgd's updates are sparse")
    };
    let mut gradient = vec![0.0f64; layout.len()];
    for (at, value) in ranges.into_iter().flatten().zip(values) {
        gradient[at] = -f64::from(value);
    }
    for block in layout.blocks() {
        let expected = &case.gradients[&block.name];
        for (at, (got, expected)) in gradient[block.range()].iter().zip(expected).enumerate() {
            assert_close(*got, *expected, &format!("{kind}: {} {at}", block.name));
        }
    }
}

#[test]
fn draws_rewards_and_every_gradient_are_numpys() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/vectors/gan.json");
    let text = std::fs::read_to_string(path)
        .unwrap_or_else(|error| panic!("{path}: {error}; make it with tests/vectors/gan.py"));
    let vectors: Vectors = serde_json::from_str(&text).expect("the vectors that the script writes");
    assert_eq!(vectors.cases.len(), 3);
    for case in &vectors.cases {
        check(&vectors, case);
    }
}
