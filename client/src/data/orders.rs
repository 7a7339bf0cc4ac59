//! Orders, row by row, into histories.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::path::Path;

use souk_common::catalogue::Catalogue;
use souk_common::dataset::{Dataset, History};

use crate::data::config::ShopDataConfig;
use crate::data::items::parse_price;
use crate::data::report::{DataReport, MAX_EXAMPLES};
use crate::data::table::SourceTable;
use crate::data::{DataError, time};

/// Gathers orders: 24 bytes each, and each distinct id once.
#[derive(Default)]
pub(super) struct Orders {
    users: Names,
    items: Names,
    rows: Vec<Order>,
}

#[derive(Clone, Copy)]
struct Order {
    user: u32,
    item: u32,
    time: i64,
    sequence: u32,
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

/// Where the columns of an open file of orders are.
struct Places {
    user: usize,
    item: usize,
    time: usize,
    event: Option<usize>,
    quantity: Option<usize>,
    price: Option<usize>,
    rating: Option<usize>,
}

impl Places {
    fn find(table: &SourceTable, config: &ShopDataConfig) -> Result<Self, DataError> {
        let names = &config.columns;
        Ok(Self {
            user: table.required("columns.user", names.user.as_deref(), "user_id")?,
            item: table.required("columns.item", names.item.as_deref(), "item_id")?,
            time: table.required("columns.timestamp", names.timestamp.as_deref(), "timestamp")?,
            event: table.optional("columns.event", names.event.as_deref(), "event")?,
            quantity: table.optional("columns.quantity", names.quantity.as_deref(), "quantity")?,
            price: table.optional("columns.price", names.price.as_deref(), "price")?,
            rating: table.optional("columns.rating", names.rating.as_deref(), "rating")?,
        })
    }
}

/// What a good line says.
enum Line {
    Order { time: i64 },
    Return,
    OtherEvent,
}

impl Orders {
    /// Reads one file; `levels` maps item ids to the groups that take their place, if any.
    pub(super) fn read(
        &mut self,
        path: &Path,
        config: &ShopDataConfig,
        levels: Option<&HashMap<String, String>>,
        report: &mut DataReport,
    ) -> Result<(), DataError> {
        let mut table = SourceTable::open(path, config.format, config.delimiter)?;
        let places = Places::find(&table, config)?;
        let file = path.display().to_string();
        report.files.push(file.clone());
        while let Some(row) = table.next_row()? {
            report.rows += 1;
            let parsed = row
                .fields
                .and_then(|fields| parse(&fields, &places, config).map(|line| (line, fields)));
            match parsed {
                Err(reason) => report.add_bad(&file, row.line, reason),
                Ok((Line::Return, _)) => report.returns += 1,
                Ok((Line::OtherEvent, fields)) => {
                    let event = places.event.map_or("", |column| &fields[column]);
                    let known =
                        report.other_events.len() < MAX_EVENTS || report.other_events.contains_key(event);
                    let event = if known { event } else { "(others)" };
                    *report.other_events.entry(event.to_owned()).or_default() += 1;
                }
                Ok((Line::Order { time }, fields)) => {
                    let item = fields[places.item].as_str();
                    // An item without a group counts as one that the catalogue does not have.
                    let grouped = levels
                        .and_then(|levels| levels.get(item))
                        .filter(|group| !group.is_empty());
                    self.add(&fields[places.user], grouped.map_or(item, String::as_str), time);
                }
            }
        }
        Ok(())
    }

    fn add(&mut self, user: &str, item: &str, time: i64) {
        let order = Order {
            user: self.users.intern(user),
            item: self.items.intern(item),
            time,
            sequence: self.rows.len() as u32,
        };
        self.rows.push(order);
    }

    /// The ids of all items that were ordered, sorted.
    pub(super) fn item_ids(&self) -> Vec<String> {
        let mut ids = self.items.names.clone();
        ids.sort_unstable();
        ids
    }

    /// The histories over `catalogue`'s rows, users sorted by id; what the catalogue does not have is left out and
    /// reported.
    ///
    /// A pair that is repeated keeps its first time: a history is of discoveries, and what is held out last was new to
    /// the user then. Of items of one time, the one that the file has first counts as the latest (as if rows were
    /// ranked by falling time), which is what the reference figures of The Complete Journey do with a basket.
    pub(super) fn finish(self, catalogue: &Catalogue, report: &mut DataReport) -> Dataset {
        let rows: Vec<Option<u32>> = self.items.names.iter().map(|id| catalogue.row(id)).collect();
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
        report.catalogue_items = catalogue.len();
        let all = self.rows.len();
        let mut orders: Vec<Order> = self
            .rows
            .into_iter()
            .filter_map(|order| rows[order.item as usize].map(|item| Order { item, ..order }))
            .collect();
        report.rows_not_in_catalogue = (all - orders.len()) as u64;
        report.note_span(orders.iter().fold(None, |span, order| {
            let (first, last) = span.unwrap_or((order.time, order.time));
            Some((first.min(order.time), last.max(order.time)))
        }));
        let counted = orders.len();
        orders.sort_unstable_by_key(|order| (order.user, order.item, order.sequence));
        orders.dedup_by(|next, kept| {
            let same = (next.user, next.item) == (kept.user, kept.item);
            if same {
                kept.time = kept.time.min(next.time);
            }
            same
        });
        report.pairs = orders.len();
        report.duplicates = (counted - orders.len()) as u64;
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
        let (users, histories) = users.into_iter().unzip();
        Dataset { users, histories }
    }
}

fn parse(fields: &[String], places: &Places, config: &ShopDataConfig) -> Result<Line, String> {
    for (name, column) in [("user", places.user), ("item", places.item)] {
        if fields[column].is_empty() {
            return Err(format!("the {name} id is empty"));
        }
        if fields[column].len() > MAX_ID_BYTES {
            return Err(format!("the {name} id is longer than {MAX_ID_BYTES} bytes"));
        }
    }
    let when = &fields[places.time];
    let time = time::parse(when).map_err(|reason| format!("timestamp {when:?} {reason}"))?;
    if let Some(column) = places.price {
        parse_price(&fields[column])?;
    }
    let number = |name: &str, column: Option<usize>| match column.map(|column| fields[column].as_str()) {
        None | Some("") => Ok(None),
        Some(text) => match text.parse::<f64>() {
            Ok(number) if number.is_finite() => Ok(Some(number)),
            _ => Err(format!("{name} {text:?} is not a number")),
        },
    };
    number("rating", places.rating)?;
    let returned = number("quantity", places.quantity)?.is_some_and(|quantity| quantity < 0.0);
    if let Some(column) = places.event
        && !config.events.is_empty()
        && !config.events.contains(&fields[column])
    {
        return Ok(Line::OtherEvent);
    }
    Ok(if returned {
        Line::Return
    } else {
        Line::Order { time }
    })
}

/// Longest id of a user or an item.
const MAX_ID_BYTES: usize = 256;
/// Most kinds of event that are counted one by one.
const MAX_EVENTS: usize = 20;
