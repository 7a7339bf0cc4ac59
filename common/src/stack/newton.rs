//! Mixing weights by Newton's method: softmax losses of wanted items, summed, with a ridge around prior weights.

use std::collections::BTreeMap;

use rayon::prelude::*;

use super::cases::Cases;
use crate::channels::{Channels, Group};
use crate::numeric::{Real, cholesky};
use ndarray::ArrayView2;

/// Some of the cases of each kind, in some of the channels.
#[derive(Clone, Copy)]
pub(super) struct Problem<'a> {
    pub(super) validation: &'a Cases,
    /// Which of them.
    pub(super) chosen: &'a [usize],
    pub(super) tails: &'a Cases,
    /// Positions of the channels in use.
    pub(super) columns: &'a [usize],
    /// Prior weights, one a channel in use.
    pub(super) prior: &'a [f64],
}

/// The weights of the channels in use.
pub(super) fn fit(problem: &Problem<'_>) -> Vec<f64> {
    let count = problem.columns.len();
    let mut weights = problem.prior.to_vec();
    let mut here = problem.terms(&weights, true);
    for _ in 0..MOST_STEPS {
        let mut step = here.gradient.clone();
        if !cholesky::solve(&mut here.hessian, &mut step) {
            break;
        }
        let mut length = 1.0;
        let next = loop {
            let tried: Vec<f64> = (0..count).map(|at| weights[at] + length * step[at]).collect();
            let loss = problem.terms(&tried, false).loss;
            if loss <= here.loss {
                break Some((tried, loss));
            }
            length /= 2.0;
            if length < SHORTEST {
                break None;
            }
        };
        let Some((tried, loss)) = next else { break };
        let gain = here.loss - loss;
        weights = tried;
        if gain < ENOUGH * problem.chosen.len() as f64 {
            break;
        }
        here = problem.terms(&weights, true);
    }
    weights
}

/// Prior weights of `columns`: each group's total in equal parts.
pub(super) fn prior(channels: &Channels, columns: &[usize]) -> Vec<f64> {
    let mut counts: BTreeMap<Group, f64> = BTreeMap::new();
    for column in columns {
        *counts.entry(channels[*column].group()).or_default() += 1.0;
    }
    let share = |column: &usize| {
        let group = channels[*column].group();
        total(group) / counts[&group]
    };
    columns.iter().map(share).collect()
}

fn total(group: Group) -> f64 {
    match group {
        Group::Popularity => 1.0,
        Group::Content => 0.6,
        Group::Lda => 0.4,
        Group::Local | Group::Federated => 0.5,
    }
}

/// The loss, and its falling direction and curvature.
struct Terms {
    loss: f64,
    gradient: Vec<f64>,
    hessian: Vec<f64>,
}

impl Problem<'_> {
    fn terms(&self, weights: &[f64], curved: bool) -> Terms {
        let count = self.columns.len();
        let mut terms = Terms {
            loss: 0.0,
            gradient: vec![0.0; count],
            hessian: vec![0.0; if curved { count * count } else { 0 }],
        };
        let narrow: Vec<f32> = weights.iter().map(|weight| *weight as f32).collect();
        let all: Vec<usize> = (0..self.tails.len()).collect();
        for (cases, chosen, weight) in [
            (self.validation, self.chosen, 1.0),
            (self.tails, &all[..], TAIL_WEIGHT),
        ] {
            // Parts of fixed size, added in order: the same bits on any number of threads.
            let parts: Vec<Terms> = chosen
                .par_chunks(AT_ONCE)
                .map(|part| chunk(cases, part, self.columns, &narrow, curved))
                .collect();
            for part in parts {
                terms.loss += weight * part.loss;
                add(weight, &part.gradient, &mut terms.gradient);
                add(weight, &part.hessian, &mut terms.hessian);
            }
        }
        for (at, (now, prior)) in weights.iter().zip(self.prior).enumerate() {
            terms.loss += RIDGE * (now - prior).powi(2);
            if curved {
                terms.gradient[at] -= 2.0 * RIDGE * (now - prior);
                terms.hessian[at * count + at] += 2.0 * RIDGE;
            }
        }
        terms
    }
}

fn add(weight: f64, part: &[f64], sum: &mut [f64]) {
    sum.iter_mut()
        .zip(part)
        .for_each(|(sum, value)| *sum += weight * value);
}

fn chunk(cases: &Cases, chosen: &[usize], columns: &[usize], weights: &[f32], curved: bool) -> Terms {
    let count = columns.len();
    let mut terms = Terms {
        loss: 0.0,
        gradient: vec![0.0; count],
        hessian: vec![0.0; if curved { count * count } else { 0 }],
    };
    let size = cases.width * count;
    let mut scaled = vec![0.0_f32; if curved { chosen.len() * size } else { 0 }];
    for (at, case) in chosen.iter().enumerate() {
        let values = picked(cases, *case, columns);
        let scores = scores(&values, cases.masked(*case), weights);
        let (loss, shares) = softmax(&scores);
        terms.loss += loss;
        if !curved {
            continue;
        }
        let mut mean = vec![0.0_f64; count];
        let rows = scaled[at * size..][..size].chunks_exact_mut(count);
        for ((row, share), out) in values.chunks_exact(count).zip(&shares).zip(rows) {
            let root = share.sqrt();
            for ((value, mean), out) in row.iter().zip(&mut mean).zip(out) {
                *mean += f64::from(share * value);
                *out = root * value;
            }
        }
        for row in 0..count {
            terms.gradient[row] += f64::from(values[row]) - mean[row];
            for column in 0..count {
                terms.hessian[row * count + column] -= mean[row] * mean[column];
            }
        }
    }
    if curved && count > 0 {
        let rows = chosen.len() * cases.width;
        let mut squares = ndarray::Array2::<f32>::zeros((count, count));
        if let Ok(scaled) = ArrayView2::from_shape((rows, count), &scaled) {
            f32::product(1.0, scaled.t(), scaled, 0.0, squares.view_mut());
        }
        for (sum, square) in terms.hessian.iter_mut().zip(&squares) {
            *sum += f64::from(*square);
        }
    }
    terms
}

/// A case's values in some channels. Shape: `[width, columns]`.
pub(super) fn picked(cases: &Cases, case: usize, columns: &[usize]) -> Vec<f32> {
    let rows = cases.values(case).chunks_exact(cases.channels.max(1));
    rows.flat_map(|row| columns.iter().map(|column| row[*column]))
        .collect()
}

/// One an item of the case; masked ones are out of the question.
pub(super) fn scores(values: &[f32], masked: &[bool], weights: &[f32]) -> Vec<f32> {
    let score = |(at, masked): (usize, &bool)| {
        if *masked {
            return MASKED;
        }
        let row = &values[at * weights.len()..][..weights.len()];
        row.iter()
            .zip(weights)
            .map(|(value, weight)| value * weight)
            .sum()
    };
    masked.iter().enumerate().map(score).collect()
}

/// The loss of the first, and each one's share.
pub(super) fn softmax(scores: &[f32]) -> (f64, Vec<f32>) {
    let top = scores.iter().copied().fold(f32::MIN, f32::max);
    let mut shares: Vec<f32> = scores.iter().map(|score| libm::expf(score - top)).collect();
    let sum: f32 = shares.iter().sum();
    shares.iter_mut().for_each(|share| *share /= sum);
    let first = scores.first().copied().unwrap_or(0.0);
    (libm::log(f64::from(sum)) - f64::from(first - top), shares)
}

pub(super) const MASKED: f32 = -1e9;

/// Half the precision of the prior.
const RIDGE: f64 = 5.0;
const TAIL_WEIGHT: f64 = 0.5;
const MOST_STEPS: usize = 15;
const SHORTEST: f64 = 1e-3;

/// Of the loss, for each validation case: less gain ends the search.
const ENOUGH: f64 = 1e-4;

/// Cases of one part of a sum.
const AT_ONCE: usize = 32;

#[cfg(test)]
mod tests;
