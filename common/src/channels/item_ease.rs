//! EASE on unit rows, as an item-to-item matrix: B_ij = -P_ij / P_jj, 0 on the diagonal, P = (X'X + lambda I)^-1, where a
//! customer's row of X has length 1. Steck, WWW 2019.
//!
//! Where there are fewer customers than items it goes by their side: with H = X'(XX' + lambda I)^-1 X, which is
//! I - lambda P, B_ij = H_ij / (1 - H_jj).

use rand::RngExt;
use rayon::prelude::*;

use super::kernel::ItemKernel;
use super::owners;
use crate::dataset::History;
use crate::numeric::inverse::invert;
use crate::rng::stream;

/// Fitted to a shop's histories; none above [`MOST_ITEMS`] items. Where customers and items are both more than
/// [`MOST_SIDE`], that many customers, drawn by a fixed seed, stand for all.
pub fn kernel(histories: &[History], items: usize) -> Option<ItemKernel> {
    if items > MOST_ITEMS {
        return None;
    }
    if items <= histories.len() && items <= MOST_SIDE {
        return by_items(histories, items);
    }
    if histories.len() <= MOST_SIDE {
        return by_customers(histories, items);
    }
    let mut rng = stream(0, "ease customers");
    let mut chosen: Vec<usize> = (0..histories.len()).collect();
    for at in 0..MOST_SIDE {
        let other = rng.random_range(at..chosen.len());
        chosen.swap(at, other);
    }
    chosen.truncate(MOST_SIDE);
    chosen.sort_unstable();
    let sample: Vec<History> = chosen.into_iter().map(|user| histories[user].clone()).collect();
    by_customers(&sample, items)
}

pub(super) fn by_items(histories: &[History], items: usize) -> Option<ItemKernel> {
    let mut matrix = vec![0.0; items * items];
    for history in histories {
        let share = 1.0 / history.len() as f64;
        for (at, a) in history.items.iter().enumerate() {
            for b in &history.items[..=at] {
                let (row, column) = (*a.max(b) as usize, *a.min(b) as usize);
                matrix[row * items + column] += share;
            }
        }
    }
    for item in 0..items {
        matrix[item * items + item] += LAMBDA;
    }
    invert(&mut matrix, items).ok()?;
    let pivots: Vec<f64> = (0..items)
        .map(|item| -1.0 / matrix[item * items + item])
        .collect();
    Some(ItemKernel::build(items, |item, sums| {
        let row = &matrix[item * items..][..items];
        for (other, (value, pivot)) in (0..).zip(row.iter().zip(&pivots)) {
            sums.add(other, value * pivot);
        }
        sums.clear(item as u32);
    }))
}

pub(super) fn by_customers(histories: &[History], items: usize) -> Option<ItemKernel> {
    let users = histories.len();
    let owners = owners(histories, items);
    let length: Vec<f64> = histories
        .iter()
        .map(|history| 1.0 / (history.len().max(1) as f64).sqrt())
        .collect();
    let mut matrix = vec![0.0; users * users];
    matrix
        .par_chunks_mut(users.max(1))
        .enumerate()
        .for_each(|(user, row)| {
            for item in &histories[user].items {
                for (other, _) in &owners[*item as usize] {
                    row[*other as usize] += length[user] * length[*other as usize];
                }
            }
            row[user] += LAMBDA;
        });
    invert(&mut matrix, users).ok()?;
    let entry =
        |a: u32, b: u32| matrix[a as usize * users + b as usize] * length[a as usize] * length[b as usize];
    let rest: Vec<f64> = owners
        .par_iter()
        .map(|own| {
            let pairs = own
                .iter()
                .flat_map(|(a, _)| own.iter().map(move |(b, _)| entry(*a, *b)));
            (1.0 - pairs.sum::<f64>()).max(LEAST_REST)
        })
        .collect();
    Some(ItemKernel::build(items, |item, sums| {
        let mut sides = vec![0.0; users];
        for (user, _) in &owners[item] {
            let row = &matrix[*user as usize * users..][..users];
            let scale = length[*user as usize];
            sides
                .iter_mut()
                .zip(row)
                .for_each(|(side, value)| *side += scale * value);
        }
        if owners[item].is_empty() {
            return;
        }
        for (history, (side, length)) in histories.iter().zip(sides.iter().zip(&length)) {
            for other in &history.items {
                sums.add(*other, side * length / rest[*other as usize]);
            }
        }
        sums.clear(item as u32);
    }))
}

const LAMBDA: f64 = 1.0;

/// The denominator 1 - H_jj is at least this.
const LEAST_REST: f64 = 1e-3;

/// Largest catalogue.
pub const MOST_ITEMS: usize = 20_000;

/// Largest matrix to invert: 288 MB, and some ten seconds on two cores.
pub const MOST_SIDE: usize = 6000;
