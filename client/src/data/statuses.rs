//! Statuses of orders: whether an order was bought, where one line may say it of all, and what was made of each status.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;

use souk_common::table::Row;

use crate::data::customers::{BOUGHT, Words, lower, shortened};
use crate::data::layout::{Layout, Places};
use crate::data::report::StatusCount;

/// What the orders of a source have as their status.
pub(super) struct Statuses {
    not_bought: Words,
    on_first_line: bool,
    /// By an order's hash: the place of its status among `found`. 16 bytes an order.
    orders: HashMap<u64, u8>,
    hasher: RandomState,
    found: Vec<Status>,
    scratch: String,
}

struct Status {
    name: String,
    /// Why its lines are left out, if they are.
    reason: Option<String>,
    lines: u64,
}

impl Statuses {
    pub(super) fn new(layout: &Layout, words: &[String]) -> Self {
        let more = layout.not_bought.iter().map(|word| (*word).to_owned());
        let words: Vec<String> = words.iter().cloned().chain(more).collect();
        Self {
            not_bought: Words::new(&words),
            on_first_line: layout.status_on_first_line,
            orders: HashMap::new(),
            hasher: RandomState::new(),
            found: Vec::new(),
            scratch: String::new(),
        }
    }

    /// Why the row's order counts for nothing, if so; the error is what is wrong with the row.
    pub(super) fn of(&mut self, places: &Places, row: &Row) -> Result<Option<&str>, &'static str> {
        let get = |place: Option<usize>| place.map_or("", |at| row.get(at));
        let (status, cancelled) = (get(places.status), !get(places.cancelled).is_empty());
        // As WooCommerce keeps it in its tables.
        let status = status.strip_prefix("wc-").unwrap_or(status);
        let order = match places.order {
            Some(at) if self.on_first_line && places.status.is_some() => Some(row.get(at)),
            _ => None,
        };
        let key = order.map(|order| self.hasher.hash_one(order));
        let at = match (status.is_empty() && !cancelled, key) {
            (true, None) => return Ok(None),
            (true, Some(key)) => *self
                .orders
                .get(&key)
                .ok_or("the order's first line, which has its status, is missing")?,
            (false, key) => {
                let at = self.place_of(status, cancelled);
                key.map(|key| self.orders.insert(key, at));
                at
            }
        };
        let found = &mut self.found[usize::from(at)];
        found.lines += 1;
        Ok(found.reason.as_deref())
    }

    fn place_of(&mut self, status: &str, cancelled: bool) -> u8 {
        let is_not_bought = self.not_bought.have(status, &mut self.scratch);
        match cancelled && !is_not_bought {
            true => CANCELLED.clone_into(&mut self.scratch),
            false => lower(shortened(status), &mut self.scratch),
        }
        let is_not_bought = is_not_bought || cancelled;
        let find = |found: &[Status], name: &str| {
            let is_it = |status: &Status| status.name == name && status.reason.is_some() == is_not_bought;
            found.iter().position(is_it)
        };
        let mut name = self.scratch.as_str();
        let mut known = find(&self.found, name);
        // A column of free text, or a `*` of the owner's, may stand for many.
        if known.is_none() && self.found.len() >= MOST_STATUSES {
            name = OTHERS;
            known = find(&self.found, name);
        }
        let at = known.unwrap_or_else(|| {
            self.found.push(Status {
                name: name.to_owned(),
                reason: is_not_bought.then(|| format!("order {name}")),
                lines: 0,
            });
            self.found.len() - 1
        });
        at as u8
    }

    /// Each status in lower case, and what was made of its lines.
    pub(super) fn found(&self) -> impl Iterator<Item = (&str, StatusCount)> {
        self.found.iter().map(|status| {
            let bought = status.reason.is_none();
            let count = StatusCount {
                lines: status.lines,
                bought,
                known: !bought || is_known(&status.name),
            };
            (status.name.as_str(), count)
        })
    }
}

/// Whether a status is one of an order that is surely bought.
fn is_known(status: &str) -> bool {
    let words = status.split([' ', '_', '-']).filter(|word| !word.is_empty());
    let spaced = words.collect::<Vec<_>>().join(" ");
    BOUGHT.contains(&spaced.as_str())
}

const CANCELLED: &str = "cancelled";
const OTHERS: &str = "other statuses";
/// Most that are told apart: with two for others, all have a place in a byte.
const MOST_STATUSES: usize = 50;
