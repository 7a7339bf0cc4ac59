//! Orders, row by row, into histories.

use std::cmp::Reverse;
use std::collections::hash_map::RandomState;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::hash::BuildHasher;
use std::io;

use souk_common::dataset::{Dataset, History, Labelled};

use crate::data::interaction::{Interaction, Kind, OrderKey, Sink};
use crate::data::report::{DataReport, MAX_EXAMPLES};

mod labels;
mod taken_back;

use labels::{Labels, Said};
use taken_back::{Line, Standings};

/// Gathers orders: 32 bytes each, 40 where several sources may say the same, and each distinct id once.
#[derive(Default)]
pub(crate) struct Orders {
    users: Names,
    items: Names,
    rows: Vec<Order>,
    piece: u32,
    /// How old each further piece is.
    ages: Vec<i64>,
    /// Of each row of further pieces: which order it is of.
    keys: Vec<Option<OrderKey>>,
    not_bought: Vec<Line>,
    labels: Labels,
    hasher: RandomState,
}

#[derive(Clone, Copy)]
struct Order {
    user: u32,
    item: u32,
    time: i64,
    sequence: u32,
    /// Pieces; less than zero came back.
    quantity: f32,
    /// Bits; of no price, of not a number.
    price: u32,
    piece: u32,
}

impl Order {
    /// What two exports say alike of one line.
    fn said(&self) -> (u32, u32, i64, u32, u32) {
        (
            self.user,
            self.item,
            self.time,
            self.quantity.to_bits(),
            self.price,
        )
    }
}

#[derive(Default)]
struct Names {
    index: HashMap<String, u32>,
    names: Vec<String>,
}

impl Names {
    fn intern(&mut self, name: &str) -> u32 {
        if let Some(known) = self.index.get(name) {
            return *known;
        }
        let new = self.names.len() as u32;
        self.index.insert(name.to_owned(), new);
        self.names.push(name.to_owned());
        new
    }
}

impl Sink for Orders {
    fn take(&mut self, interaction: &Interaction<'_>) -> io::Result<()> {
        let (user, item) = (self.user(interaction.user), self.item(interaction.item));
        self.add(user, item, interaction);
        Ok(())
    }

    fn take_not_bought(&mut self, order: OrderKey, item: &str) -> io::Result<()> {
        self.add_not_bought(order, item);
        Ok(())
    }
}

impl Orders {
    /// What follows is of another export, which says how orders stood at the time `as_of` and may say again what others say.
    pub(crate) fn begin_piece(&mut self, as_of: i64) {
        self.piece += 1;
        self.ages.push(as_of);
    }

    /// The number of a customer's id.
    pub(crate) fn user(&mut self, id: &str) -> u32 {
        self.users.intern(id)
    }

    /// The number of an item's id.
    pub(crate) fn item(&mut self, id: &str) -> u32 {
        self.items.intern(id)
    }

    /// Takes that a line of an order was not bought, which is of concern to other pieces only.
    pub(crate) fn add_not_bought(&mut self, order: OrderKey, item: &str) {
        if self.piece > 0 {
            let (item, piece) = (self.hasher.hash_one(item), self.piece);
            self.not_bought.push(Line { order, item, piece });
        }
    }

    /// Takes an interaction whose ids have these numbers.
    pub(crate) fn add(&mut self, user: u32, item: u32, interaction: &Interaction<'_>) {
        let said = match interaction.kind {
            Kind::Rated => Some(Said::Stars(interaction.quantity)),
            Kind::Shown => Some(Said::Shown),
            Kind::Clicked => Some(Said::Clicked),
            Kind::Purchase | Kind::Return | Kind::View | Kind::Cart => None,
        };
        if let Some(said) = said {
            self.labels.add(user, item, interaction.time, said);
        }
        if matches!(said, Some(Said::Shown | Said::Clicked)) {
            return;
        }
        if self.piece > 0 {
            self.keys.push(interaction.order);
        }
        self.rows.push(Order {
            user,
            item,
            time: interaction.time,
            sequence: self.rows.len() as u32,
            quantity: match interaction.kind {
                Kind::Return => -interaction.quantity,
                Kind::Rated => 1.0,
                _ => interaction.quantity,
            },
            price: interaction.price.unwrap_or(f32::NAN).to_bits(),
            piece: self.piece,
        });
    }

    /// Each item's id, and how many lines have bought it.
    pub(crate) fn sold(&self) -> Vec<(&str, u64)> {
        let mut sold: Vec<(&str, u64)> = self.items.names.iter().map(|id| (id.as_str(), 0)).collect();
        for order in self.rows.iter().filter(|order| order.quantity > 0.0) {
            sold[order.item as usize].1 += 1;
        }
        sold
    }

    /// Makes one history of what several pieces say: an order stands as the newest says that has it, and a line that several
    /// have counts as often as in the one that has it most often. How many lines of orders were taken back.
    pub(crate) fn settle(&mut self) -> u64 {
        let taken_back = self.take_back();
        self.keep_the_most_often_said();
        taken_back
    }

    fn take_back(&mut self) -> u64 {
        let not_bought = std::mem::take(&mut self.not_bought);
        let keys = std::mem::take(&mut self.keys);
        if not_bought.is_empty() {
            return 0;
        }
        let touched: HashSet<OrderKey> = not_bought.iter().map(|line| line.order).collect();
        let (hasher, items) = (&self.hasher, &self.items.names);
        let line = |row: &Order| {
            let order = keys[row.sequence as usize].filter(|key| touched.contains(key))?;
            let item = hasher.hash_one(items[row.item as usize].as_str());
            let piece = row.piece;
            Some(Line { order, item, piece })
        };
        let bought = self.rows.iter().filter(|row| row.quantity > 0.0);
        let standings = Standings::new(&not_bought, bought.filter_map(line), &self.ages);
        // Several pieces may have had one as bought.
        let mut taken_back: HashSet<(OrderKey, u64)> = HashSet::new();
        // What came back of such an order is of no other purchase.
        self.rows.retain(|row| {
            let gone = line(row).filter(|line| standings.is_taken_back(line.order, line.item));
            taken_back.extend(
                gone.filter(|_| row.quantity > 0.0)
                    .map(|line| (line.order, line.item)),
            );
            gone.is_none()
        });
        taken_back.len() as u64
    }

    /// Of lines that several pieces say, those of the piece that says them most often; of equals, the first.
    fn keep_the_most_often_said(&mut self) {
        if self.rows.iter().all(|order| order.piece == self.piece) {
            return;
        }
        let rows = &mut self.rows;
        rows.sort_unstable_by_key(|order| (order.said(), order.sequence));
        let mut kept = Vec::with_capacity(rows.len());
        for alike in rows.chunk_by(|a, b| a.said() == b.said()) {
            let pieces = alike.chunk_by(|a, b| a.piece == b.piece);
            let most = pieces.reduce(|most, piece| if piece.len() > most.len() { piece } else { most });
            kept.extend_from_slice(most.unwrap_or_default());
        }
        kept.sort_unstable_by_key(|order| order.sequence);
        self.rows = kept;
    }

    /// The ids of all items that were ordered, sorted.
    pub(crate) fn item_ids(&self) -> Vec<String> {
        let mut ids = self.items.names.clone();
        ids.sort_unstable();
        ids
    }

    /// The histories over a catalogue's rows, of which `row` gives that of an item; users sorted by id. What the catalogue
    /// does not have is left out and reported.
    ///
    /// A pair that is repeated keeps its first time: a history is of discoveries, and what is held out last was new to
    /// the user then. Of items of one time, the one that the file has first counts as the latest (as if rows were
    /// ranked by falling time), which is what the reference figures of The Complete Journey do with a basket.
    pub(crate) fn finish(self, row: impl Fn(&str) -> Option<u32>, report: &mut DataReport) -> Dataset {
        let rows: Vec<Option<u32>> = self.items.names.iter().map(|id| row(id)).collect();
        let mut unknown: Vec<&String> = self
            .items
            .names
            .iter()
            .zip(&rows)
            .filter_map(|(id, row)| row.is_none().then_some(id))
            .collect();
        unknown.sort_unstable();
        report.items_not_in_catalogue = unknown.len();
        report.examples_not_in_catalogue = unknown.into_iter().take(MAX_EXAMPLES).cloned().collect();
        let is_purchase = |order: &Order| order.quantity > 0.0;
        let all = self.rows.iter().filter(|row| is_purchase(row)).count();
        let mut sizes = vec![0u64; self.users.names.len()];
        for order in self.rows.iter().filter(|row| is_purchase(row)) {
            sizes[order.user as usize] += 1;
        }
        let customers = self.users.names.iter().zip(&sizes);
        report.note_customers(customers.map(|(name, orders)| (name.as_str(), *orders)));
        report.note_twins("customers", self.users.names.iter().map(String::as_str));
        report.note_twins("items", self.items.names.iter().map(String::as_str));
        let mut orders: Vec<Order> = self
            .rows
            .into_iter()
            .filter_map(|order| rows[order.item as usize].map(|item| Order { item, ..order }))
            .collect();
        let counted = orders.iter().filter(|row| is_purchase(row)).count();
        report.rows_not_in_catalogue = (all - counted) as u64;
        orders.sort_unstable_by_key(|order| (order.user, order.item, order.sequence));
        let (mut bought, mut kept, mut start) = (0, 0, 0);
        while start < orders.len() {
            let of = |order: &Order| (order.user, order.item);
            let pair = &orders[start..];
            let pair = &pair[..pair.iter().take_while(|order| of(order) == of(&pair[0])).count()];
            start += pair.len();
            let purchases = || pair.iter().filter(|order| is_purchase(order));
            let Some(first) = purchases().next() else { continue };
            bought += 1;
            if is_kept(pair) {
                let time = purchases().map(|order| order.time).min().unwrap_or(first.time);
                orders[kept] = Order { time, ..*first };
                kept += 1;
            }
        }
        orders.truncate(kept);
        report.pairs = orders.len();
        report.returned_pairs = bought - orders.len();
        report.duplicates = (counted - bought) as u64;
        report.note_span(orders.iter().fold(None, |span, order| {
            let (first, last) = span.unwrap_or((order.time, order.time));
            Some((first.min(order.time), last.max(order.time)))
        }));
        orders.sort_unstable_by_key(|order| (order.user, order.time, Reverse(order.sequence)));
        let mut distinct: Vec<u32> = orders.iter().map(|order| order.item).collect();
        distinct.sort_unstable();
        distinct.dedup();
        report.items = distinct.len();
        let mut users: Vec<(String, History)> = orders
            .chunk_by(|a, b| a.user == b.user)
            .map(|orders| {
                let history = History {
                    items: orders.iter().map(|order| order.item).collect(),
                    times: orders.iter().map(|order| order.time).collect(),
                };
                (self.users.names[orders[0].user as usize].clone(), history)
            })
            .collect();
        users.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        report.users = users.len();
        report.short_users = users.iter().filter(|(_, history)| history.len() < 3).count();
        let labelled = self.labels.finish(&rows, report);
        if labelled.is_empty() {
            let (users, histories) = users.into_iter().unzip();
            return Dataset {
                users,
                histories,
                labelled: Vec::new(),
            };
        }
        let mut by_user: BTreeMap<String, (History, Labelled)> = users
            .into_iter()
            .map(|(user, history)| (user, (history, Labelled::default())))
            .collect();
        for (user, labelled) in labelled {
            let name = self.users.names[user as usize].clone();
            by_user.entry(name).or_default().1 = labelled;
        }
        let mut dataset = Dataset::default();
        for (user, (history, labelled)) in by_user {
            dataset.users.push(user);
            dataset.histories.push(history);
            dataset.labelled.push(labelled);
        }
        dataset
    }
}

/// Whether more was bought than came back, beyond what rounding leaves.
fn is_kept(pair: &[Order]) -> bool {
    let net: f64 = pair.iter().map(|order| f64::from(order.quantity)).sum();
    let all: f64 = pair.iter().map(|order| f64::from(order.quantity.abs())).sum();
    net > all * ROUNDING
}

const ROUNDING: f64 = 1e-6;
