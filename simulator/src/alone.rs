//! Training without a federation: one party, every user in every round, no clip, no noise, no grid.

use std::sync::Arc;

use rayon::prelude::*;
use souk_common::dataset::Dataset;
use souk_common::model::{Recommender, UserUpdate};
use souk_common::rng::stream;
use souk_common::round::plan::ServerPlan;

/// Trains from `params` on `data` with the solver's own updates and the server's step, in f64 sums, and returns the
/// parameters. The settings of the plan are used as they are; only privacy is left out.
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
        let parts: Vec<Vec<f64>> = data
            .histories
            .par_chunks(chunk)
            .zip(vectors.par_chunks_mut(chunk))
            .enumerate()
            .map(|(part, (histories, vectors))| {
                let mut sum = vec![0.0f64; params.len()];
                let mut rng = stream(seed, &format!("alone {round} {part}"));
                for (history, vector) in histories.iter().zip(vectors) {
                    let (update, after) = model.user_update(history, vector.as_ref(), &[], &mut rng);
                    add(&update, &mut sum);
                    *vector = Some(after);
                }
                sum
            })
            .collect();
        let count = data.len().max(1) as f64;
        let mean = |at: usize| parts.iter().map(|part| part[at]).sum::<f64>() / count;
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

fn add(update: &UserUpdate, sum: &mut [f64]) {
    match update {
        UserUpdate::Sparse { ranges, values } => {
            let places = ranges.iter().cloned().flatten();
            places
                .zip(values)
                .for_each(|(at, value)| sum[at] += f64::from(*value));
        }
        UserUpdate::RankOne { rows, direction } => {
            for (row, places) in rows.iter().zip(sum.chunks_exact_mut(direction.len().max(1))) {
                let row = f64::from(*row);
                places
                    .iter_mut()
                    .zip(direction)
                    .for_each(|(place, along)| *place += row * f64::from(*along));
            }
        }
    }
}
