//! Everything that lists are made of at one moment, read and indexed once, so that a request costs only its own scores.

use std::collections::HashMap;
use std::sync::Arc;

use souk_common::catalogue::{Catalogue, bare_gtin};
use souk_common::channels::{Channel, Group};
use souk_common::clock::Timestamp;
use souk_common::dataset::History;
use souk_common::ids::Digest;
use souk_common::rng::stream;
use souk_common::stack::Stack;

use super::names::{UnknownName, find_item};
use super::related::{LEAST_CUSTOMERS, Neighbour, Related};
use super::{Ranker, Recommendable};
use crate::data::compared_id;
use crate::experiment::Arm;
use crate::stack::{ServedBy, ShopStack};

/// Lists, customers by name, items by whatever they are called, and what is related to what.
pub struct Shelf {
    /// What makes lists.
    pub lists: Recommendable,
    /// The shop's stacks, where they and no trained model make them.
    pub stack: Option<Arc<ShopStack>>,
    /// What customers' purchases say of items.
    pub related: Related,
    /// Changes with what it is made of.
    pub version: ShelfVersion,
    customers: HashMap<String, u32>,
    /// Rows by what else an item is called.
    other_names: HashMap<String, u32>,
    /// The shop's own numbers by the federation's ids, where they differ.
    own_numbers: HashMap<String, String>,
    /// The stack's channels that rest on what is public, and the others; popularity is among neither.
    alike: Option<[Stack; 2]>,
}

/// What a shelf is made of.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ShelfVersion {
    /// Of the shop's data.
    pub data: Digest,
    /// Of the catalogue.
    pub catalogue: Digest,
    /// Of what scores.
    pub ranker: Digest,
    /// Of the shop's own numbers.
    pub names: Digest,
    /// Of the owner's rules, and of the day if they depend on it.
    pub rules: Digest,
}

impl ShelfVersion {
    /// The digest of the shop's own numbers, whatever their order.
    pub fn of_names(own_names: &HashMap<String, String>) -> Digest {
        let mut lines: Vec<String> = own_names
            .iter()
            .map(|(own, item)| format!("{own:?} {item:?}\n"))
            .collect();
        lines.sort_unstable();
        Digest::of(lines.concat().as_bytes())
    }
}

impl Shelf {
    /// Of what makes lists; `own_names` are the federation's ids by the shop's own numbers.
    pub fn new(
        lists: Recommendable,
        stack: Option<Arc<ShopStack>>,
        own_names: &HashMap<String, String>,
        version: ShelfVersion,
        now: Timestamp,
    ) -> Self {
        let customers = lists.dataset.users.iter().zip(0u32..);
        let other_names = other_names(&lists.catalogue, own_names);
        Self {
            customers: customers.map(|(id, row)| (id.clone(), row)).collect(),
            related: Related::of(&lists.dataset, lists.catalogue.len(), now),
            alike: match &lists.ranker {
                Ranker::Stack(stack, _) => Some(alike(stack)),
                Ranker::Model(_) => None,
            },
            lists,
            stack,
            version,
            other_names,
            own_numbers: own_numbers(own_names),
        }
    }

    /// The row of a customer; none if the data do not have them.
    pub fn customer(&self, id: &str) -> Option<usize> {
        let id = compared_id(id);
        self.customers.get(id.as_ref()).map(|row| *row as usize)
    }

    /// The row of an item, by the federation's id or whatever else this shop may call it.
    ///
    /// # Errors
    /// When there is no such item; it names the nearest ones.
    pub fn item(&self, name: &str) -> Result<u32, UnknownName> {
        let name = name.trim();
        let other = || {
            let by_name = self.other_names.get(name);
            by_name
                .or_else(|| self.other_names.get(bare_gtin(name)?))
                .copied()
        };
        match self.lists.catalogue.row(name).or_else(other) {
            Some(row) => Ok(row),
            None => find_item(&self.lists.catalogue, name),
        }
    }

    /// What this shop itself calls an item, by the federation's id.
    pub fn own_number<'a>(&'a self, item: &'a str) -> &'a str {
        self.own_numbers.get(item).map_or(item, String::as_str)
    }

    /// Items that are like `item`, most alike first: by features and by what all shops learned, both of which are public; what
    /// this shop's customers bought counts only for pairs that at least [`LEAST_CUSTOMERS`] of them have.
    pub fn similar(&self, item: u32) -> Vec<Neighbour> {
        let customers = self.related.together(&self.lists.dataset, item);
        let scores = match (&self.alike, &self.lists.ranker) {
            (Some([public, own]), _) => {
                let (mut scores, mut by_customers) = (Vec::new(), Vec::new());
                public.score(&[item], &mut scores);
                own.score(&[item], &mut by_customers);
                let told = scores.iter_mut().zip(by_customers).zip(&customers);
                told.filter(|(_, customers)| **customers >= LEAST_CUSTOMERS)
                    .for_each(|((score, by_customers), _)| *score += by_customers);
                scores
            }
            (None, Ranker::Model(model)) => {
                let history = History {
                    items: vec![item],
                    times: vec![0],
                };
                let user = model.fit_user(&history, None, &[], &mut stream(0, "similar"));
                model.score_all(&user)
            }
            (None, Ranker::Stack(..)) => Vec::new(),
        };
        let rows = (0u32..).zip(scores).zip(customers);
        let mut found: Vec<Neighbour> = rows
            .filter(|((other, score), _)| *other != item && score.is_finite() && *score > 0.0)
            .map(|((item, score), customers)| Neighbour {
                item,
                score,
                customers,
            })
            .collect();
        found.sort_unstable_by(|a, b| b.score.total_cmp(&a.score).then(a.item.cmp(&b.item)));
        found
    }

    /// What makes an arm's lists, if there is such a thing; bestsellers are no scores ([`Related::popular`]).
    pub fn of_arm(&self, arm: Arm) -> Option<Recommendable> {
        let stack = |stack: &Stack, by| Recommendable {
            ranker: Ranker::Stack(stack.clone(), by),
            ..self.lists.clone()
        };
        match (arm, &self.stack) {
            (Arm::Bestsellers, _) | (Arm::Alone, None) => None,
            (Arm::Alone, Some(stacks)) => Some(stack(stacks.alone(), ServedBy::Alone)),
            (Arm::Together, Some(stacks)) => Some(stack(stacks.together()?, ServedBy::Together)),
            // A model was trained together.
            (Arm::Together, None) => Some(self.lists.clone()),
        }
    }
}

/// The first of the shop's own numbers of each item.
fn own_numbers(own_names: &HashMap<String, String>) -> HashMap<String, String> {
    let mut numbers: HashMap<String, String> = HashMap::new();
    for (own, item) in own_names {
        let first = numbers.entry(item.clone()).or_insert_with(|| own.clone());
        if own < first {
            first.clone_from(own);
        }
    }
    numbers
}

/// Rows by what an item may be called besides its id: the shop's own number, an alias, a barcode's number.
pub(super) fn other_names(
    catalogue: &Catalogue,
    own_names: &HashMap<String, String>,
) -> HashMap<String, u32> {
    let mut other_names = HashMap::new();
    for (item, row) in catalogue.items().iter().zip(0u32..) {
        let gtin = bare_gtin(&item.gtin).map(str::to_owned);
        for name in item.aliases.iter().cloned().chain(gtin) {
            other_names.entry(name).or_insert(row);
        }
    }
    for (own, federations) in own_names {
        if let Some(row) = catalogue.row(federations) {
            other_names.insert(own.clone(), row);
        }
    }
    other_names
}

/// The channels of features and of releases, and those of the shop's own customers.
fn alike(stack: &Stack) -> [Stack; 2] {
    let is_public = |channel: &dyn Channel| channel.is_federated() || channel.group() == Group::Content;
    let of_items = |channel: &dyn Channel| channel.decay().is_some();
    [
        stack.only(|channel| of_items(channel) && is_public(channel)),
        stack.only(|channel| of_items(channel) && !is_public(channel)),
    ]
}
