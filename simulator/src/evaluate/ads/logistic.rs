//! Logistic regression on plain columns, as a baseline: what is known of the ad, of the household, and how often it clicked.

use std::collections::BTreeMap;

use souk_common::numeric::cholesky::solve;
use souk_common::numeric::sparse::Sparse;
use souk_common::plan::ServerPlan;
use souk_common::training::clicks::inputs::{INPUTS, WIDTH};
use souk_common::training::optimiser::ServerOptimiser;

use super::shown::Shown;
use crate::data::coupons::Coupons;
use crate::data::synthetic::random::Draws;

/// Rows of a few columns of many.
pub(super) struct Columns {
    /// `[shown, columns]`
    rows: Sparse,
    columns: usize,
}

impl Columns {
    /// Plain columns: a constant, the campaign's kind and length, how many products the coupon covers, the season, the ad's
    /// category, what is known of the household, how many ads it was shown and its click rate. Categories that have less than 50 ads shown in
    /// training stand together.
    pub(super) fn plain(coupons: &Coupons, shown: &Shown, training: &[usize]) -> Self {
        let items = coupons.known.catalogue.items();
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        for at in training {
            *counts
                .entry(&items[shown.ads[*at] as usize].category)
                .or_default() += 1;
        }
        counts.retain(|_, count| *count >= FEWEST);
        let mut names: BTreeMap<String, u32> = BTreeMap::new();
        let mut number = |name: String| {
            let next = DENSE + names.len() as u32;
            *names.entry(name).or_insert(next)
        };
        let households: Vec<Vec<u32>> = coupons
            .households
            .iter()
            .map(|known| known.iter().map(|value| number(value.clone())).collect())
            .collect();
        let [before, rate] = ["shown before", "own click rate"].map(|name| place(name) as usize);
        let mut rows = Vec::with_capacity(shown.ads.len());
        for (at, ad) in shown.ads.iter().enumerate() {
            let coupon = &coupons.ads[(ad - coupons.first_ad) as usize];
            let year = std::f32::consts::TAU * (shown.times[at] / 86_400) as f32 / 365.25;
            let own = &shown.inputs[at * WIDTH..][..WIDTH];
            let dense = [
                1.0,
                coupon.days as f32 / 30.0 - 1.5,
                ((coupon.products as f32).ln_1p() - 3.0) / 1.5,
                year.sin(),
                year.cos(),
                own[before],
                own[rate],
            ];
            let category = items[*ad as usize].category.as_str();
            let category = counts.get_key_value(category).map_or("other", |(name, _)| *name);
            let ones = [format!("kind {}", coupon.kind), format!("category {category}")].map(&mut number);
            let ones = ones.iter().chain(&households[shown.users[at]]);
            let mut row: Vec<(u32, f32)> = (0..)
                .zip(dense)
                .chain(ones.map(|column| (*column, 1.0)))
                .collect();
            row.sort_unstable_by_key(|(column, _)| *column);
            rows.push(row);
        }
        let columns = DENSE as usize + names.len();
        Self {
            rows: Sparse::from_rows(columns, rows),
            columns,
        }
    }

    /// The click tower's own inputs.
    pub(super) fn of_tower(shown: &Shown) -> Self {
        let rows = shown.inputs.chunks_exact(WIDTH);
        Self {
            rows: Sparse::from_rows(WIDTH, rows.map(|row| (0..).zip(row.iter().copied()).collect())),
            columns: WIDTH,
        }
    }

    fn probability(&self, weights: &[f32], at: usize) -> f64 {
        let score = f64::from(self.rows.dot(at, weights));
        1.0 / (1.0 + (-score).exp())
    }

    /// Weights fitted to these rows by Newton's method, with a ridge of `lambda` on all but the constant.
    pub(super) fn fit(&self, shown: &Shown, training: &[usize], lambda: f64) -> Vec<f32> {
        let n = self.columns;
        let mut weights = vec![0.0f32; n];
        weights[0] = FIRST_LOG_ODDS;
        for _ in 0..STEPS {
            let (mut hessian, mut gradient) = (vec![0.0f64; n * n], vec![0.0f64; n]);
            for at in training {
                let p = self.probability(&weights, *at);
                let error = f64::from(shown.labels[*at]) - p;
                let (columns, values) = self.rows.row(*at);
                for (column, value) in columns.iter().zip(values) {
                    let row = *column as usize;
                    gradient[row] += error * f64::from(*value);
                    let scaled = p * (1.0 - p) * f64::from(*value);
                    for (other, value) in columns
                        .iter()
                        .zip(values)
                        .take_while(|(other, _)| **other <= *column)
                    {
                        hessian[row * n + *other as usize] += scaled * f64::from(*value);
                    }
                }
            }
            for at in 0..n {
                let ridge = if at == 0 { 1e-6 } else { lambda };
                hessian[at * n + at] += ridge;
                gradient[at] -= ridge * f64::from(weights[at]);
            }
            if !solve(&mut hessian, &mut gradient) {
                break;
            }
            let step = |weight: &mut f32, by: &f64| *weight += by.clamp(-MOST, MOST) as f32;
            weights
                .iter_mut()
                .zip(&gradient)
                .for_each(|(weight, by)| step(weight, by));
        }
        weights
    }

    /// Weights trained as the click tower is: rounds of one clipped gradient a customer, with noise on their sum, and Adam. `noise` is in
    /// clip norms, `customers` the public number.
    pub(super) fn federated(
        &self,
        shown: &Shown,
        training: &[usize],
        (rounds, noise, customers): (u64, f64, f64),
        server: &ServerPlan,
        seed: u64,
    ) -> Vec<f32> {
        let mut weights = vec![0.0f32; self.columns];
        weights[0] = FIRST_LOG_ODDS;
        let mut optimiser = ServerOptimiser::new(server, rounds, self.columns);
        let mut draws = Draws::new(seed, 0);
        for _ in 0..rounds {
            let mut sum = vec![0.0f64; self.columns];
            for customer in training.chunk_by(|a, b| shown.users[*a] == shown.users[*b]) {
                let mut own = vec![0.0f32; self.columns];
                for at in customer {
                    let error = f64::from(shown.labels[*at]) - self.probability(&weights, *at);
                    self.rows.add_row(*at, error as f32 / ONE_CUSTOMER, &mut own);
                }
                let norm = own
                    .iter()
                    .map(|value| f64::from(*value).powi(2))
                    .sum::<f64>()
                    .sqrt();
                let scale = norm.max(1.0).recip();
                sum.iter_mut()
                    .zip(&own)
                    .for_each(|(sum, own)| *sum += scale * f64::from(*own));
            }
            for value in &mut sum {
                *value = (*value + noise * draws.normal()) / customers;
            }
            optimiser.step(&mut weights, |at| sum[at]);
        }
        weights
    }

    /// Probabilities of rows.
    pub(super) fn probabilities(&self, weights: &[f32], rows: &[usize]) -> Vec<f32> {
        rows.iter()
            .map(|at| self.probability(weights, *at) as f32)
            .collect()
    }
}

/// Where an input stands.
fn place(name: &str) -> u32 {
    (0..)
        .zip(INPUTS)
        .find(|(_, input)| *input == name)
        .map_or(0, |(at, _)| at)
}

/// Columns that are numbers.
const DENSE: u32 = 7;
const FEWEST: usize = 50;
const STEPS: usize = 15;
/// A weight moves by no more in a step.
const MOST: f64 = 2.0;
/// As the click tower's.
const FIRST_LOG_ODDS: f32 = -5.0;
const ONE_CUSTOMER: f32 = 12.0;
