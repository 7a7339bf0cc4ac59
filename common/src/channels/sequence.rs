//! What follows what: T_lj is the sum of 1/d over all customers who have j at most [`REACH`] items after l, at distance
//! d; rows and columns are scaled by (sum + 1)^-1/2.

use super::kernel::ItemKernel;
use super::owners;
use crate::dataset::History;

/// Fitted to a shop's histories.
pub fn kernel(histories: &[History], items: usize) -> ItemKernel {
    let owners = owners(histories, items);
    let (mut from, mut to) = (vec![0.0_f64; items], vec![0.0_f64; items]);
    for history in histories {
        for (position, item) in history.items.iter().enumerate() {
            for (later, share) in following(history, position) {
                from[*item as usize] += share;
                to[later as usize] += share;
            }
        }
    }
    let scale =
        |sums: Vec<f64>| -> Vec<f64> { sums.into_iter().map(|sum| 1.0 / (sum + 1.0).sqrt()).collect() };
    let (from, to) = (scale(from), scale(to));
    ItemKernel::build(items, |item, sums| {
        for (user, position) in &owners[item] {
            for (later, share) in following(&histories[*user as usize], *position as usize) {
                sums.add(later, from[item] * share * to[later as usize]);
            }
        }
    })
}

fn following(history: &History, position: usize) -> impl Iterator<Item = (u32, f64)> {
    let later = history.items[position + 1..].iter().take(REACH);
    later
        .zip(1..)
        .map(|(item, distance)| (*item, 1.0 / f64::from(distance)))
}

/// Farthest apart that two items are taken for a sequence.
pub const REACH: usize = 8;
