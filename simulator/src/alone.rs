//! Training without a federation: one party, every user in every round, no clip, no noise, no grid.

use std::sync::Arc;

use ndarray::{ArrayView2, ArrayViewMut2};
use rayon::prelude::*;
use souk_common::dataset::Dataset;
use souk_common::model::{Recommender, UserUpdate};
use souk_common::numeric::product;
use souk_common::rng::stream;
use souk_common::round::plan::ServerPlan;

/// Trains from `params` on `data` with the solver's own updates and the server's step, in floating-point sums, and returns
/// the parameters. The settings of the plan are used as they are; only privacy is left out.
pub(crate) fn train_without_noise(
    recommender: &Arc<Recommender>,
    server: &ServerPlan,
    rounds: u64,
    mut params: Vec<f32>,
    data: &Dataset,
    seed: u64,
) -> Vec<f32> {
    let (mut first, mut second) = (vec![0.0f64; params.len()], vec![0.0f64; params.len()]);
    let mut vectors = vec![None; data.len()];
    for round in 0..rounds {
        let model = recommender.load(params.clone()).in_round(round, rounds);
        let chunk = data.len().div_ceil(rayon::current_num_threads()).max(1);
        let parts: Vec<Vec<f32>> = data
            .histories
            .par_chunks(chunk)
            .zip(vectors.par_chunks_mut(chunk))
            .enumerate()
            .map(|(part, (histories, vectors))| {
                let mut sum = Sum::new(params.len());
                let mut rng = stream(seed, &format!("alone {round} {part}"));
                for (history, vector) in histories.iter().zip(vectors) {
                    let (update, after) = model.user_update(history, vector.as_ref(), &[], &mut rng);
                    sum.add(&update);
                    *vector = Some(after);
                }
                sum.finish()
            })
            .collect();
        let count = data.len().max(1) as f64;
        let mean = |at: usize| parts.iter().map(|part| f64::from(part[at])).sum::<f64>() / count;
        step(
            server,
            (round, rounds),
            mean,
            (&mut first, &mut second),
            &mut params,
        );
    }
    params
}

fn step(
    server: &ServerPlan,
    (round, rounds): (u64, u64),
    mean: impl Fn(usize) -> f64,
    (first, second): (&mut [f64], &mut [f64]),
    params: &mut [f32],
) {
    for at in 0..params.len() {
        let gradient = mean(at);
        let change = match *server {
            ServerPlan::Plain { learning_rate } => learning_rate * gradient,
            ServerPlan::Adam {
                learning_rate,
                beta1,
                beta2,
                epsilon,
                final_fraction,
            } => {
                let done = round as f64 / rounds.max(1) as f64;
                let rate = learning_rate * (1.0 - (1.0 - final_fraction) * done);
                let exponent = i32::try_from(round + 1).unwrap_or(i32::MAX);
                first[at] = beta1 * first[at] + (1.0 - beta1) * gradient;
                second[at] = beta2 * second[at] + (1.0 - beta2) * gradient * gradient;
                let unbiased = second[at] / (1.0 - beta2.powi(exponent));
                rate * first[at] / (1.0 - beta1.powi(exponent)) / (unbiased.sqrt() + epsilon)
            }
        };
        params[at] += change as f32;
    }
}

/// A sum of updates. Outer products wait until there are enough for one matrix product.
struct Sum {
    values: Vec<f32>,
    rows: Vec<f32>,
    directions: Vec<f32>,
    waiting: usize,
}

impl Sum {
    fn new(coordinates: usize) -> Self {
        Self {
            values: vec![0.0; coordinates],
            rows: Vec::new(),
            directions: Vec::new(),
            waiting: 0,
        }
    }

    fn add(&mut self, update: &UserUpdate) {
        match update {
            UserUpdate::Sparse { ranges, values } => {
                let places = ranges.iter().cloned().flatten();
                places
                    .zip(values)
                    .for_each(|(at, value)| self.values[at] += value);
            }
            UserUpdate::RankOne { rows, direction } => {
                self.rows.extend_from_slice(rows);
                self.directions.extend_from_slice(direction);
                self.waiting += 1;
                if self.waiting == WAITING {
                    self.flush();
                }
            }
        }
    }

    fn flush(&mut self) {
        let each = |buffer: &[f32]| buffer.len().checked_div(self.waiting);
        if let (Some(rows), Some(width)) = (each(&self.rows), each(&self.directions)) {
            let shape = "every update of one model has one shape";
            let left = ArrayView2::from_shape((self.waiting, rows), &self.rows).expect(shape);
            let right = ArrayView2::from_shape((self.waiting, width), &self.directions).expect(shape);
            let sum =
                ArrayViewMut2::from_shape((rows, width), &mut self.values[..rows * width]).expect(shape);
            product(1.0, left.t(), right, 1.0, sum);
        }
        self.rows.clear();
        self.directions.clear();
        self.waiting = 0;
    }

    fn finish(mut self) -> Vec<f32> {
        self.flush();
        self.values
    }
}

const WAITING: usize = 128;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outer_products_and_sparse_updates_add_up_however_many_wait() {
        let mut sum = Sum::new(7);
        for _ in 0..WAITING + 3 {
            sum.add(&UserUpdate::RankOne {
                rows: vec![1.0, 2.0, 0.0],
                direction: vec![1.0, -1.0],
            });
        }
        sum.add(&UserUpdate::Sparse {
            ranges: vec![0..1, 6..7],
            values: vec![0.5, 4.0],
        });
        let n = (WAITING + 3) as f32;
        assert_eq!(sum.finish(), [n + 0.5, -n, 2.0 * n, -2.0 * n, 0.0, 0.0, 4.0]);
    }
}
