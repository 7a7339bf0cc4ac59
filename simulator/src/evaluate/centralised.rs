//! Training without a federation: one party, no clip, no noise, no grid.

use std::ops::ControlFlow;
use std::sync::Arc;

use ndarray::{ArrayView2, ArrayViewMut2};
use rand::RngExt;
use rayon::prelude::*;
use souk_common::dataset::Dataset;
use souk_common::model::{Recommender, UserUpdate, UserVector};
use souk_common::numeric::product;
use souk_common::plan::ServerPlan;
use souk_common::rng::{Stream, stream};
use souk_coordinator::aggregate::ServerOptimiser;

/// How one party trains.
pub(crate) struct Centralised<'a> {
    pub(crate) recommender: &'a Arc<Recommender>,
    pub(crate) server: &'a ServerPlan,
    /// Passes over the users.
    pub(crate) epochs: u64,
    /// Users of a step, drawn without replacement in each epoch; everybody, if there are fewer.
    pub(crate) batch: usize,
    pub(crate) data: &'a Dataset,
    /// As in `souk_client::training::round_update::Customers`.
    pub(crate) forbidden: &'a [Vec<u32>],
    pub(crate) seed: u64,
}

impl Centralised<'_> {
    /// Trains from `params` with the solver's own updates and the server's step, in floating-point sums.
    ///
    /// `after` sees the parameters and the users' own vectors after every epoch, and may end the training.
    pub(crate) fn train(
        &self,
        mut params: Vec<f32>,
        mut after: impl FnMut(u64, &[f32], &[Option<UserVector>]) -> ControlFlow<()>,
    ) -> Vec<f32> {
        let users = self.data.len();
        let batch = self.batch.clamp(1, users.max(1));
        let steps = self.epochs * users.div_ceil(batch) as u64;
        let mut optimiser = ServerOptimiser::new(self.server, steps, params.len());
        let mut vectors = vec![None; users];
        let mut rng = stream(self.seed, "alone");
        for epoch in 0..self.epochs {
            for drawn in shuffled(users, &mut rng).chunks(batch) {
                self.step(&mut params, &mut optimiser, &mut vectors, drawn, epoch);
            }
            if after(epoch, &params, &vectors).is_break() {
                break;
            }
        }
        params
    }

    fn step(
        &self,
        params: &mut [f32],
        optimiser: &mut ServerOptimiser,
        vectors: &mut [Option<UserVector>],
        drawn: &[usize],
        epoch: u64,
    ) {
        let model = self
            .recommender
            .load(params.to_vec())
            .in_round(epoch, self.epochs);
        let share = drawn.len().div_ceil(rayon::current_num_threads()).max(1);
        let parts: Vec<(Vec<f32>, Vec<UserVector>)> = drawn
            .par_chunks(share)
            .map(|users| {
                let mut sum = Sum::new(params.len());
                let learned = users.iter().map(|user| {
                    let mut rng = stream(self.seed, &format!("alone {epoch} {user}"));
                    let forbidden = self.forbidden.get(*user).map_or(&[][..], Vec::as_slice);
                    let (history, before) = (&self.data.histories[*user], vectors[*user].as_ref());
                    let (update, after) = model.user_update(history, before, forbidden, &mut rng);
                    sum.add(&update);
                    after
                });
                let learned = learned.collect();
                (sum.finish(), learned)
            })
            .collect();
        let count = drawn.len() as f64;
        let mean = |at: usize| parts.iter().map(|(part, _)| f64::from(part[at])).sum::<f64>() / count;
        optimiser.step(params, mean);
        let learned = parts.into_iter().flat_map(|(_, learned)| learned);
        for (user, vector) in drawn.iter().zip(learned) {
            vectors[*user] = Some(vector);
        }
    }
}

fn shuffled(users: usize, rng: &mut Stream) -> Vec<usize> {
    let mut order: Vec<usize> = (0..users).collect();
    for at in (1..users).rev() {
        order.swap(at, rng.random_range(0..=at));
    }
    order
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
            UserUpdate::RankOneExcept {
                rows,
                direction,
                own,
                values,
            } => {
                let width = direction.len();
                let starts = own.iter().map(|row| *row as usize * width);
                let places = starts.flat_map(|start| start..start + width);
                places
                    .zip(values)
                    .for_each(|(at, value)| self.values[at] += value);
                self.add(&UserUpdate::RankOne {
                    rows: rows.clone(),
                    direction: direction.clone(),
                });
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
        sum.add(&UserUpdate::RankOneExcept {
            rows: vec![1.0, 0.0, 0.0],
            direction: vec![1.0, -1.0],
            own: vec![2],
            values: vec![5.0, 7.0],
        });
        let n = (WAITING + 3) as f32;
        assert_eq!(
            sum.finish(),
            [n + 1.5, -n - 1.0, 2.0 * n, -2.0 * n, 5.0, 7.0, 4.0]
        );
    }
}
