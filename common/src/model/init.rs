//! The initial model: a function of the plan's public seed alone, so that anybody can make it again.

use rand_distr::{Distribution, Normal};

use super::config::{Activation, ModelConfig, TrainConfig};
use super::layout::Layout;
use crate::rng;

/// Initial parameters: embeddings normal with the configured spread, dense layers by He et al. 2015 (rectifiers) or Glorot,
/// Bengio 2010, the dot-product weights at 1, biases at 0 but the common one at -ln(4), the log-odds of one positive
/// among four negatives, or the middle of the stars; dot products of the closed-form solver aim at 1 and 0, not at log-odds, and have none.
///
/// Feature rows start at zero: an item's vector starts as its own row.
pub fn initial_parameters(config: &ModelConfig, train: &TrainConfig, layout: &Layout, seed: u64) -> Vec<f32> {
    let mut params = vec![0.0f32; layout.len()];
    for block in layout.blocks() {
        let values = &mut params[block.range()];
        let mut rng = rng::stream(seed, &block.name);
        let name = block.name.as_str();
        let fan_in = block.shape.last().copied().unwrap_or(1) as f32;
        let stddev = match name {
            "item.embedding" => config.init_stddev,
            "head.weight" => (1.0 / fan_in).sqrt(),
            _ if name.starts_with("tower.") && name.ends_with(".weight") => match config.activation {
                Activation::Relu => (2.0 / fan_in).sqrt(),
                Activation::Tanh | Activation::Sigmoid => (2.0 / (fan_in + block.shape[0] as f32)).sqrt(),
            },
            "gmf.weight" => {
                values.fill(1.0);
                continue;
            }
            "head.bias" => {
                match train {
                    TrainConfig::Sgd(_) => values.fill(-(4f32.ln())),
                    TrainConfig::Stars(stars) => values.fill(((stars.lowest + stars.highest) / 2.0) as f32),
                    TrainConfig::Ials(_) => {}
                }
                continue;
            }
            _ => continue,
        };
        let normal = Normal::new(0.0, stddev).expect("the spread is finite: the plan was checked");
        values
            .iter_mut()
            .for_each(|value| *value = normal.sample(&mut rng));
    }
    params
}
