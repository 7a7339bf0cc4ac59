//! Mixing weights by Newton's method: softmax losses, summed, with a ridge around prior weights.
//!
//! A wanted item stands against [`AT_A_TIME`] drawn ones at a time, not against all that were drawn: to be among the best
//! ten beside 99 others is roughly to be the best of eleven. Against 200 the loss asks for the first place, and falls with
//! channels that move wanted items up among the very first while others leave the ten.

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
        Group::Time => 0.2,
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
        for (cases, chosen) in [(self.validation, self.chosen), (self.tails, &all[..])] {
            // Parts of fixed size, added in order: the same bits on any number of threads.
            let parts: Vec<Terms> = chosen
                .par_chunks(AT_ONCE)
                .map(|part| chunk(cases, part, self.columns, &narrow, curved))
                .collect();
            for part in parts {
                terms.loss += part.loss;
                add(&part.gradient, &mut terms.gradient);
                add(&part.hessian, &mut terms.hessian);
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

fn add(part: &[f64], sum: &mut [f64]) {
    sum.iter_mut().zip(part).for_each(|(sum, value)| *sum += value);
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
        if !curved {
            terms.loss += comparisons(&scores).map(|(_, loss, _)| loss).sum::<f64>();
            continue;
        }
        let scaled = &mut scaled[at * size..][..size];
        let (wanted, drawn) = values.split_at(count);
        let (wanted_out, drawn_out) = scaled.split_at_mut(count);
        let mut wanted_share = 0.0;
        for (first, loss, shares) in comparisons(&scores) {
            terms.loss += loss;
            wanted_share += shares[0];
            let mut mean: Vec<f64> = wanted.iter().map(|value| f64::from(shares[0] * value)).collect();
            let rows = drawn[first * count..].chunks_exact(count);
            let outs = drawn_out[first * count..].chunks_exact_mut(count);
            for ((row, share), out) in rows.zip(&shares[1..]).zip(outs) {
                let root = share.sqrt();
                for ((value, mean), out) in row.iter().zip(&mut mean).zip(out) {
                    *mean += f64::from(share * value);
                    *out = root * value;
                }
            }
            for row in 0..count {
                terms.gradient[row] += f64::from(wanted[row]) - mean[row];
                for column in 0..count {
                    terms.hessian[row * count + column] -= mean[row] * mean[column];
                }
            }
        }
        let root = wanted_share.sqrt();
        for (value, out) in wanted.iter().zip(wanted_out) {
            *out = root * value;
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

/// Mean loss of a case's comparisons; 0 without any.
pub(super) fn mean_loss(scores: &[f32]) -> f64 {
    let losses: Vec<f64> = comparisons(scores).map(|(_, loss, _)| loss).collect();
    losses.iter().sum::<f64>() / losses.len().max(1) as f64
}

/// The wanted item, which is the first, against the drawn ones, [`AT_A_TIME`]: the first drawn one's position among the drawn,
/// the loss, and the shares, the wanted item's first.
fn comparisons(scores: &[f32]) -> impl Iterator<Item = (usize, f64, Vec<f32>)> {
    let (wanted, drawn) = scores.split_at(1.min(scores.len()));
    let compare = move |(at, drawn): (usize, &[f32])| {
        let (loss, shares) = softmax(&[wanted, drawn].concat());
        (at * AT_A_TIME, loss, shares)
    };
    drawn.chunks(AT_A_TIME).enumerate().map(compare)
}

/// The loss of the first, and each one's share.
fn softmax(scores: &[f32]) -> (f64, Vec<f32>) {
    let top = scores.iter().copied().fold(f32::MIN, f32::max);
    let mut shares: Vec<f32> = scores.iter().map(|score| libm::expf(score - top)).collect();
    let sum: f32 = shares.iter().sum();
    shares.iter_mut().for_each(|share| *share /= sum);
    let first = scores.first().copied().unwrap_or(0.0);
    (libm::log(f64::from(sum)) - f64::from(first - top), shares)
}

pub(super) const MASKED: f32 = -1e9;

/// Drawn items that a wanted one is compared with at once.
const AT_A_TIME: usize = 10;

/// Half the precision of the prior; a validation case has some twenty comparisons, one of a tail ten.
const RIDGE: f64 = 33.0;
const MOST_STEPS: usize = 15;
const SHORTEST: f64 = 1e-3;

/// Of the loss, for each validation case: less gain ends the search.
const ENOUGH: f64 = 5e-4;

/// Cases of one part of a sum.
const AT_ONCE: usize = 32;

#[cfg(test)]
mod tests;
