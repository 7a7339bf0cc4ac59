//! The server's optimiser: what the coordinator does with the mean update.
//!
//! Only `+ - * /` and the square root on f64, in the order of the coordinates, without fused multiply-add or functions of
//! a maths library, and powers by repeated multiplication: IEEE 754 then fixes every bit on every machine.

use serde::{Deserialize, Serialize};

/// `[server]`.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(tag = "optimiser", rename_all = "snake_case", deny_unknown_fields)]
pub enum ServerPlan {
    /// model += learning_rate * mean update.
    Plain {
        /// Step size; 1 is federated averaging.
        learning_rate: f64,
    },
    /// Adam with the mean update as the (negative) gradient (Reddi et al. 2021, FedAdam, with bias correction).
    Adam {
        /// Step size.
        learning_rate: f64,
        /// Decay of the mean.
        #[serde(default = "default_beta1")]
        beta1: f64,
        /// Decay of the mean square.
        #[serde(default = "default_beta2")]
        beta2: f64,
        /// Added to the root.
        #[serde(default = "default_adam_epsilon")]
        epsilon: f64,
        /// The step size falls linearly to this fraction at the last round; 1 keeps it.
        #[serde(default = "default_final_fraction")]
        final_fraction: f64,
    },
}

/// Plain averaging, or Adam with its moments.
#[derive(Clone, Debug)]
pub struct ServerOptimiser {
    plan: ServerPlan,
    rounds: u64,
    coordinates: usize,
    state: OptimiserState,
}

/// What Adam remembers from step to step; empty for plain averaging.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct OptimiserState {
    /// Steps taken.
    pub steps: u64,
    /// Decayed mean of the mean updates; one number a coordinate, or none.
    pub mean: Vec<f32>,
    /// Decayed mean of their squares; one number a coordinate, or none.
    pub square: Vec<f32>,
}

impl OptimiserState {
    /// Whether every number is finite.
    pub fn is_finite(&self) -> bool {
        self.mean
            .iter()
            .chain(&self.square)
            .all(|value| value.is_finite())
    }

    /// Reads it as it is stored: steps (8 bytes), means, mean squares (4 bytes a number), all little-endian; none if the
    /// bytes are no state, or one of its numbers is not finite.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (steps, moments) = bytes.split_first_chunk::<8>()?;
        let (words, rest) = moments.as_chunks::<4>();
        if !rest.is_empty() || words.len() % 2 != 0 {
            return None;
        }
        let (mean, square) = words.split_at(words.len() / 2);
        let read = |words: &[[u8; 4]]| words.iter().map(|word| f32::from_le_bytes(*word)).collect();
        let state = Self {
            steps: u64::from_le_bytes(*steps),
            mean: read(mean),
            square: read(square),
        };
        state.is_finite().then_some(state)
    }
}

impl ServerOptimiser {
    /// Before the first of `rounds` steps over `coordinates` parameters.
    pub fn new(plan: &ServerPlan, rounds: u64, coordinates: usize) -> Self {
        let moments = match plan {
            ServerPlan::Plain { .. } => 0,
            ServerPlan::Adam { .. } => coordinates,
        };
        let state = OptimiserState {
            steps: 0,
            mean: vec![0.0; moments],
            square: vec![0.0; moments],
        };
        Self {
            plan: plan.clone(),
            rounds,
            coordinates,
            state,
        }
    }

    /// With a state that was stored.
    ///
    /// # Errors
    /// When the state is not of this plan and this number of coordinates.
    pub fn with_state(self, state: OptimiserState) -> Result<Self, OptimiserStateError> {
        if state.mean.len() != self.state.mean.len() || state.square.len() != self.state.square.len() {
            return Err(OptimiserStateError {
                got: state.mean.len(),
                expected: self.state.mean.len(),
            });
        }
        Ok(Self { state, ..self })
    }

    /// What has to be stored to go on later.
    pub fn state(&self) -> &OptimiserState {
        &self.state
    }

    /// Parameters of the model.
    pub fn coordinates(&self) -> usize {
        self.coordinates
    }

    /// One step by the mean update that `mean_update` tells of each coordinate: `model += rate * f(mean)`.
    ///
    /// # Panics
    /// If `model` has another length than this was made for.
    pub fn step(&mut self, model: &mut [f32], mean_update: impl Fn(usize) -> f64) {
        assert!(
            model.len() == self.coordinates,
            "model and optimiser are of one layout"
        );
        self.state.steps += 1;
        match self.plan {
            ServerPlan::Plain { learning_rate } => {
                for (coordinate, value) in model.iter_mut().enumerate() {
                    *value = (f64::from(*value) + learning_rate * mean_update(coordinate)) as f32;
                }
            }
            ServerPlan::Adam {
                learning_rate,
                beta1,
                beta2,
                epsilon,
                final_fraction,
            } => {
                let rate = learning_rate * self.decay(final_fraction);
                let correction1 = 1.0 - power(beta1, self.state.steps);
                let correction2 = 1.0 - power(beta2, self.state.steps);
                let moments = self.state.mean.iter_mut().zip(&mut self.state.square);
                for (coordinate, (value, (mean, square))) in model.iter_mut().zip(moments).enumerate() {
                    let update = mean_update(coordinate);
                    *mean = (beta1 * f64::from(*mean) + (1.0 - beta1) * update) as f32;
                    *square = (beta2 * f64::from(*square) + (1.0 - beta2) * (update * update)) as f32;
                    let root = (f64::from(*square) / correction2).sqrt();
                    let step = (f64::from(*mean) / correction1) / (root + epsilon);
                    *value = (f64::from(*value) + rate * step) as f32;
                }
            }
        }
    }

    /// 1 at the first round, falling linearly to `last` at the last.
    fn decay(&self, last: f64) -> f64 {
        if self.rounds < 2 {
            return 1.0;
        }
        let done = (self.state.steps - 1).min(self.rounds - 1) as f64 / (self.rounds - 1) as f64;
        1.0 - (1.0 - last) * done
    }
}

/// A stored state of another plan.
#[derive(Clone, Debug, thiserror::Error)]
#[error("the stored optimiser state has {got} coordinates; the plan's optimiser needs {expected}")]
pub struct OptimiserStateError {
    got: usize,
    expected: usize,
}

/// `base` to the `exponent`, by repeated multiplication. It stops when nothing is left to multiply.
fn power(base: f64, exponent: u64) -> f64 {
    let mut product = 1.0;
    for _ in 0..exponent {
        product *= base;
        if product == 0.0 {
            break;
        }
    }
    product
}

fn default_beta1() -> f64 {
    0.9
}

fn default_beta2() -> f64 {
    0.99
}

fn default_adam_epsilon() -> f64 {
    1e-8
}

fn default_final_fraction() -> f64 {
    1.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn adam() -> ServerPlan {
        ServerPlan::Adam {
            learning_rate: 0.1,
            beta1: 0.9,
            beta2: 0.99,
            epsilon: 1e-8,
            final_fraction: 0.25,
        }
    }

    /// Ten steps from (0.5, -0.25, 1) with sums that change sign and size.
    fn ten_steps(optimiser: &mut ServerOptimiser) -> [f32; 3] {
        let mut model = [0.5f32, -0.25, 1.0];
        for step in 1..=10i32 {
            let sum = [step * 1000, -(step * step * 77), (step % 3 - 1) * 5000];
            optimiser.step(&mut model, |at| f64::from(sum[at]) / 40_960.0);
        }
        model
    }

    #[test]
    fn ten_adam_steps_give_the_frozen_bits() {
        let model = ten_steps(&mut ServerOptimiser::new(&adam(), 10, 3));
        assert_eq!(model.map(f32::to_bits), GOLDEN, "{model:?}");
    }

    #[test]
    fn a_stored_state_goes_on_where_it_stopped() {
        let mut whole = ServerOptimiser::new(&adam(), 20, 3);
        ten_steps(&mut whole);
        let mut resumed = ServerOptimiser::new(&adam(), 20, 3)
            .with_state(whole.state().clone())
            .unwrap();
        assert_eq!(
            ten_steps(&mut whole).map(f32::to_bits),
            ten_steps(&mut resumed).map(f32::to_bits)
        );
        assert!(
            ServerOptimiser::new(&adam(), 20, 4)
                .with_state(whole.state().clone())
                .is_err()
        );
    }

    #[test]
    fn plain_averaging_adds_the_mean() {
        let mut optimiser = ServerOptimiser::new(&ServerPlan::Plain { learning_rate: 0.5 }, 1, 2);
        let mut model = [1.0, 1.0];
        optimiser.step(&mut model, |at| [8.0, -8.0][at] / 4.0);
        assert_eq!(model, [2.0, 0.0]);
        assert!(
            optimiser.state().mean.is_empty(),
            "plain averaging remembers nothing"
        );
    }

    /// Made by an independent script of exact IEEE double arithmetic (Python floats, struct for f32).
    const GOLDEN: [u32; 3] = [0x3f8e_023e, 0xbf50_6743, 0x3f8a_7339];
}
