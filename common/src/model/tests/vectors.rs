//! The shipped training step against PyTorch's numbers, frozen in `tests/vectors/torch_neumf.json`.

use serde::Deserialize;
use std::collections::BTreeMap;

use crate::catalogue::{Catalogue, Item};
use crate::model::Recommender;
use crate::model::config::{ModelConfig, TrainConfig};
use crate::model::local::Local;
use crate::model::samples::per_item;
use crate::model::update::UserUpdate;
use crate::model::workspace::{Sample, Workspace};
use crate::numeric::Real;

#[derive(Deserialize)]
struct Vectors {
    categories: Vec<u32>,
    samples: Vec<(u32, u32)>,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    kind: String,
    gmf_dim: usize,
    mlp_dim: usize,
    tower: Vec<usize>,
    activation: String,
    parameters: BTreeMap<String, Vec<f64>>,
    user: Vec<f64>,
    logits: Vec<f64>,
    loss: f64,
    gradients: BTreeMap<String, Vec<f64>>,
    user_gradient: Vec<f64>,
}

impl Case {
    fn config(&self) -> ModelConfig {
        let config = serde_json::json!({
            "kind": self.kind, "gmf_dim": self.gmf_dim.max(1), "mlp_dim": self.mlp_dim.max(1),
            "tower": self.tower, "activation": self.activation, "features": ["category"],
        });
        serde_json::from_value(config).expect("a model")
    }
}

fn vectors() -> Vectors {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/vectors/torch_neumf.json");
    let text = std::fs::read_to_string(path)
        .unwrap_or_else(|error| panic!("{path}: {error}; make it with tests/vectors/torch_neumf.py"));
    serde_json::from_str(&text).expect("the vectors that the script writes")
}

fn catalogue(categories: &[u32]) -> Catalogue {
    let item = |(row, category): (usize, &u32)| Item {
        category: format!("category {category}"),
        ..Item::bare(format!("i{row}"))
    };
    Catalogue::new(categories.iter().enumerate().map(item).collect()).expect("a catalogue")
}

fn assert_close(got: f64, expected: f64, what: &str) {
    assert!(
        (got - expected).abs() < 2e-5 * (1.0 + expected.abs()),
        "{what}: {got} here, {expected} in PyTorch"
    );
}

fn check(case: &Case, categories: &[u32], samples: &[(u32, u32)]) {
    let config = case.config();
    let train: TrainConfig = toml::from_str("solver = 'sgd'").expect("defaults");
    let recommender = Recommender::new(&config, &train, &catalogue(categories));
    let layout = recommender.layout();
    let mut params = vec![0.0f32; layout.len()];
    for block in layout.blocks() {
        let values = &case.parameters[&block.name];
        assert_eq!(values.len(), block.len(), "{}", block.name);
        for (to, from) in params[block.range()].iter_mut().zip(values) {
            *to = *from as f32;
        }
    }
    let model = recommender.load(params);
    let user: Vec<f32> = case.user.iter().map(|value| *value as f32).collect();
    let each = samples.iter().map(|(item, label)| Sample {
        item: *item,
        positive: *label as f32,
        negative: 1.0 - *label as f32,
    });
    let distinct = per_item(each.collect());

    let items: Vec<u32> = samples.iter().map(|(item, _)| *item).collect();
    let logits = model.score(&crate::model::UserVector::new(user.clone()), &items);
    for (at, (got, expected)) in logits.iter().zip(&case.logits).enumerate() {
        assert_close(f64::from(*got), *expected, &format!("logit {at}"));
    }

    // One step of size one: the change is minus the gradient.
    let mut workspace = Workspace::new();
    let mut local = Local::new(&model, &distinct);
    local.gradients(&mut workspace, &user);
    local.descend(&workspace, 1.0);
    assert_close(workspace.loss(&distinct).to_f64(), case.loss, "loss");
    for (at, (got, expected)) in workspace
        .user_gradient
        .iter()
        .zip(&case.user_gradient)
        .enumerate()
    {
        assert_close(f64::from(*got), *expected, &format!("user {at}"));
    }
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
            assert_close(*got, *expected, &format!("{} {at}", block.name));
        }
    }
}

#[test]
fn logits_loss_and_every_gradient_are_pytorchs() {
    let vectors = vectors();
    let kinds: Vec<&str> = vectors.cases.iter().map(|case| case.kind.as_str()).collect();
    assert!(["mf", "mlp", "neumf"].iter().all(|kind| kinds.contains(kind)));
    for case in &vectors.cases {
        check(case, &vectors.categories, &vectors.samples);
    }
}
