//! Orders that one source says were bought and a newer one says were not.
//!
//! How a line of an order stands is what the newest source says that has it; and where the newest source that has the order
//! has all of its lines as not bought, so are those that it no longer names. Of sources of the same age, the one that says
//! that it was not bought is believed.

use std::collections::{HashMap, HashSet};
use std::hash::Hash;

use crate::data::interaction::OrderKey;

/// What one piece says of a line of an order.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(super) struct Line {
    pub(super) order: OrderKey,
    /// The item's hash.
    pub(super) item: u64,
    /// Which says so, from 1.
    pub(super) piece: u32,
}

/// As of when, and whether it is that it was not bought.
type Said = (i64, bool);

/// How those orders stand of which a line was ever said to be not bought.
#[derive(Debug, Default)]
pub(super) struct Standings {
    lines: HashMap<(OrderKey, u64), Said>,
    orders: HashMap<OrderKey, Said>,
}

impl Standings {
    /// Of what the pieces say, whose `ages` these are. A piece that has a line twice, once bought and once not, has it bought.
    pub(super) fn new(not_bought: &[Line], bought: impl Iterator<Item = Line>, ages: &[i64]) -> Self {
        let bought: HashSet<Line> = bought.collect();
        let bought_orders: HashSet<(OrderKey, u32)> =
            bought.iter().map(|line| (line.order, line.piece)).collect();
        let age = |piece: u32| ages[piece as usize - 1];
        let mut standings = Self::default();
        for line in &bought {
            let said = (age(line.piece), false);
            note(&mut standings.lines, (line.order, line.item), said);
            note(&mut standings.orders, line.order, said);
        }
        for line in not_bought {
            let said = (age(line.piece), true);
            if !bought.contains(line) {
                note(&mut standings.lines, (line.order, line.item), said);
            }
            if !bought_orders.contains(&(line.order, line.piece)) {
                note(&mut standings.orders, line.order, said);
            }
        }
        standings
    }

    /// Whether the line is one that was not bought after all.
    pub(super) fn is_taken_back(&self, order: OrderKey, item: u64) -> bool {
        let is_not_bought = |said: Option<&Said>| said.is_some_and(|(_, not_bought)| *not_bought);
        is_not_bought(self.lines.get(&(order, item))) || is_not_bought(self.orders.get(&order))
    }
}

fn note<K: Eq + Hash>(known: &mut HashMap<K, Said>, key: K, said: Said) {
    let newest = known.entry(key).or_insert(said);
    *newest = said.max(*newest);
}
