//! What reading a shop's data found, for people and for programs.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use souk_common::terminal::printable;

use crate::data::interaction::Kind;
use crate::data::{time, twins};

mod text;

/// What reading a shop's data found.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct DataReport {
    /// The files that were read, as given.
    pub files: Vec<String>,
    /// Lines with an order, good or bad (headers and blank lines not counted).
    pub rows: u64,
    /// Users with at least one order that counts.
    pub users: usize,
    /// Distinct items among the orders that count.
    pub items: usize,
    /// Distinct (user, item) pairs.
    pub pairs: usize,
    /// Orders that count but repeat a pair; the first time is kept.
    pub duplicates: u64,
    /// Time of the first order, RFC 3339.
    pub first: Option<String>,
    /// Time of the last order, RFC 3339.
    pub last: Option<String>,
    /// Rows of returns: each takes back what the same customer bought of the same item.
    pub returns: u64,
    /// Pairs that were bought and wholly returned; they do not count.
    #[serde(default)]
    pub returned_pairs: usize,
    /// Lines of orders that one source has as bought and a newer one as cancelled or refunded; they do not count.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub taken_back: u64,
    /// Stars that items were given, or ads that were shown, which are learned from; left out of the JSON if there are none.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub labels: u64,
    /// Clicks on what was not shown before; they do not count.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub clicks_not_shown: u64,
    /// Labels of items that the catalogue does not have; they do not count.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub labels_not_in_catalogue: u64,
    /// What became of every row of every file.
    #[serde(default)]
    pub sources: Vec<SourceReport>,
    /// The customers with the most orders, the largest first.
    #[serde(default)]
    pub largest: Vec<(String, u64)>,
    /// What the owner should look at, a sentence each.
    #[serde(default)]
    pub warnings: Vec<String>,
    /// Orders of items that the catalogue does not have; they do not count.
    pub rows_not_in_catalogue: u64,
    /// How many such items there are.
    pub items_not_in_catalogue: usize,
    /// The first few of them, sorted.
    pub examples_not_in_catalogue: Vec<String>,
    /// Items of the catalogue.
    pub catalogue_items: usize,
    /// Users with fewer than three distinct items: they train, but can't be used to measure.
    pub short_users: usize,
    /// Rows of the users file; none if there is no such file.
    pub profiles: Option<u64>,
    /// Items whose row goes on over several lines, within quotes; left out of the JSON if there are none.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub spanning_items: u64,
    /// The lines of the first of them, first and last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_spanning: Option<(u64, u64)>,
    /// How many lines are bad, in all files.
    pub bad_lines: u64,
    /// The first [`MAX_LISTED`] of them.
    pub bad: Vec<BadLine>,
}

/// What became of the rows of one file: `rows` = `taken` + all of `left_out` + all of `bad`.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct SourceReport {
    /// The file, as given, or a query's name.
    pub name: String,
    /// Its rows, headers and blank lines not counted.
    pub rows: u64,
    /// Those that were taken: as interactions, items or users.
    pub taken: u64,
    /// Those that are fine and do not count, by reason.
    pub left_out: BTreeMap<String, u64>,
    /// Those that make no sense, by kind of fault.
    pub bad: BTreeMap<String, u64>,
    /// Optional values that make no sense and are taken as missing, by column; their rows count.
    pub missing: BTreeMap<String, u64>,
    /// How it was taken to be written where nobody said so, a sentence each.
    pub guessed: Vec<String>,
    /// The statuses of its orders, in lower case.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub statuses: BTreeMap<String, StatusCount>,
    /// Whether its orders have numbers.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub has_orders: bool,
    /// The first and the last time of its lines that were bought, or would have been but for their status or their pieces, in
    /// seconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub span: Option<(i64, i64)>,
}

/// What was made of a status of orders.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct StatusCount {
    /// In how many lines it stands, or holds from their order's first line.
    pub lines: u64,
    /// Whether they counted as bought.
    pub bought: bool,
    /// Whether there is no doubt about that.
    pub known: bool,
}

impl SourceReport {
    /// What became of its rows, in a line: all of them add up.
    pub fn summary(&self) -> String {
        let told = |rows: u64, what: &str, counts: &BTreeMap<String, u64>| match rows {
            0 => String::new(),
            rows => format!(", {rows} {what} ({})", counted(counts)),
        };
        printable(&format!(
            "{}: {} rows: {} taken{}{}",
            self.name,
            self.rows,
            self.taken,
            told(self.left_out_rows(), "left out", &self.left_out),
            told(self.bad_rows(), "bad", &self.bad),
        ))
        .to_string()
    }

    /// Each status with the number of its lines and whether they counted, in a line; none where there are no statuses.
    pub fn told_statuses(&self) -> Option<String> {
        let each = self.statuses.iter().map(|(status, count)| {
            let counted = if count.bought { "bought" } else { "not bought" };
            format!("{status} {} ({counted})", count.lines)
        });
        (!self.statuses.is_empty()).then(|| each.collect::<Vec<_>>().join(", "))
    }

    /// How many rows were left out.
    pub fn left_out_rows(&self) -> u64 {
        self.left_out.values().sum()
    }

    /// How many rows are bad.
    pub fn bad_rows(&self) -> u64 {
        self.bad.values().sum()
    }
}

/// A line that was passed over.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct BadLine {
    /// In which file.
    pub file: String,
    /// Which line, from 1.
    pub line: u64,
    /// What is wrong with it.
    pub reason: String,
}

impl DataReport {
    /// Whether nothing is wrong: no bad line, no item unknown to the catalogue.
    pub fn is_clean(&self) -> bool {
        self.bad_lines == 0 && self.rows_not_in_catalogue == 0
    }

    /// Begins a file: what is counted from here on is of it.
    pub fn begin(&mut self, name: &str) {
        self.files.push(name.to_owned());
        self.sources.push(SourceReport {
            name: name.to_owned(),
            ..SourceReport::default()
        });
    }

    /// Counts a row that was taken.
    pub fn take(&mut self, kind: Kind) {
        self.returns += u64::from(kind == Kind::Return);
        self.take_row();
    }

    pub(super) fn note_time(&mut self, time: Option<i64>) {
        if let Some(time) = time {
            let span = &mut self.source().span;
            let (first, last) = span.unwrap_or((time, time));
            *span = Some((first.min(time), last.max(time)));
        }
    }

    pub(super) fn take_row(&mut self) {
        let source = self.source();
        source.rows += 1;
        source.taken += 1;
    }

    /// Counts a row that is left out.
    pub fn leave_out(&mut self, reason: &str) {
        let source = self.source();
        source.rows += 1;
        count(&mut source.left_out, reason);
    }

    /// Counts a row that is left out for its kind of event.
    pub fn leave_out_event(&mut self, event: &str) {
        let reason = format!("event {event:?}");
        let out = &self.source().left_out;
        let known = out.len() < MAX_REASONS || out.contains_key(&reason);
        self.leave_out(if known { &reason } else { "other events" });
    }

    /// Counts a bad row, and lists it if it is among the first: `kind` is what faults are counted by.
    pub fn add_bad(&mut self, line: u64, kind: &str, reason: String) {
        let source = self.source();
        source.rows += 1;
        count(&mut source.bad, kind);
        let file = source.name.clone();
        self.bad_lines += 1;
        if self.bad.len() < MAX_LISTED {
            self.bad.push(BadLine { file, line, reason });
        }
    }

    /// Counts an optional value that is taken as missing.
    pub fn missing(&mut self, column: &str) {
        count(&mut self.source().missing, column);
    }

    /// Says how the file was taken to be written.
    pub fn guessed(&mut self, told: String) {
        self.source().guessed.push(told);
    }

    /// Says which statuses the file's orders have, warns of those that count and may not, and says whether orders have numbers.
    pub(super) fn note_statuses<'s>(
        &mut self,
        statuses: impl Iterator<Item = (&'s str, StatusCount)>,
        has_orders: bool,
    ) {
        let (mut warnings, mut more) = (Vec::new(), 0);
        let source = self.source();
        source.has_orders = has_orders;
        for (status, count) in statuses {
            if !count.known && warnings.len() == MOST_DOUBTFUL {
                more += 1;
            } else if !count.known {
                warnings.push(format!(
                    "{} lines of {} have the status {status:?}, which is none that is known, and count as bought: if it means that \
                     nothing was bought, name it in not_bought under [data], beside the words that are to stay",
                    count.lines, source.name
                ));
            }
            // Others may be of both kinds, and the owner's list may let count what another column says was cancelled.
            let name = match source.statuses.contains_key(status) {
                true => format!("{status} (bought: {})", count.bought),
                false => status.to_owned(),
            };
            source.statuses.insert(name, count);
        }
        if more > 0 {
            warnings.push(format!(
                "{more} more statuses of {} are not known and count as bought: if the column is no status, set status = \"\" under \
                 [data.columns]",
                source.name
            ));
        }
        self.warnings.extend(warnings);
    }

    /// Adds what another reading of rows found; the rows' files are then files of both.
    pub fn add(&mut self, other: &Self) {
        self.files.extend(other.files.iter().cloned());
        self.rows += other.rows;
        self.returns += other.returns;
        self.sources.extend(other.sources.iter().cloned());
        let warnings = other.warnings.iter();
        let new: Vec<String> = warnings
            .filter(|told| !self.warnings.contains(told))
            .cloned()
            .collect();
        self.warnings.extend(new);
        self.bad_lines += other.bad_lines;
        let room = MAX_LISTED.saturating_sub(self.bad.len());
        self.bad.extend(other.bad.iter().take(room).cloned());
    }

    /// What became of the rows, in a line.
    pub fn summary(&self) -> String {
        let of_all = |count: fn(&SourceReport) -> u64| self.sources.iter().map(count).sum::<u64>();
        format!(
            "{} rows, {} taken, {} left out, {} bad",
            self.rows,
            of_all(|source| source.taken),
            of_all(SourceReport::left_out_rows),
            self.bad_lines
        )
    }

    fn source(&mut self) -> &mut SourceReport {
        if self.sources.is_empty() {
            self.begin("");
        }
        let last = self.sources.len() - 1;
        &mut self.sources[last]
    }

    /// Looks at each customer and how many orders it has: who is largest.
    pub fn note_customers<'a>(&mut self, customers: impl Iterator<Item = (&'a str, u64)> + Clone) {
        let mut largest: Vec<(&str, u64)> = Vec::with_capacity(MAX_EXAMPLES + 1);
        let (mut all, mut count) = (0, 0usize);
        for customer in customers.clone() {
            (all, count) = (all + customer.1, count + 1);
            let at = largest.partition_point(|other| (other.1, customer.0) >= (customer.1, other.0));
            largest.insert(at, customer);
            largest.truncate(MAX_EXAMPLES);
        }
        if let Some((name, orders)) = largest.first()
            && count >= FEW_CUSTOMERS
            && orders * LARGE_SHARE > all
        {
            self.warnings.push(format!(
                "customer {name:?} has {orders} of {all} orders: if that is no person, add it to nobody under [data]"
            ));
        }
        self.largest = largest
            .into_iter()
            .map(|(name, orders)| (name.to_owned(), orders))
            .collect();
    }

    /// Warns of ids of `what` that are one number written in two ways.
    pub(super) fn note_twins<'a>(&mut self, what: &str, ids: impl Iterator<Item = &'a str> + Clone) {
        self.warnings.extend(twins::warning(what, ids));
    }

    pub(super) fn note_lines(&mut self, first: u64, lines: u64) {
        if lines > 1 {
            self.spanning_items += 1;
            self.first_spanning.get_or_insert((first, first + lines - 1));
        }
    }

    pub(super) fn note_span(&mut self, span: Option<(i64, i64)>) {
        self.first = span.map(|(first, _)| time::show(first));
        self.last = span.map(|(_, last)| time::show(last));
    }
}

fn counted(counts: &BTreeMap<String, u64>) -> String {
    let each = counts.iter().map(|(reason, count)| format!("{count} {reason}"));
    each.collect::<Vec<_>>().join(", ")
}

fn count(counts: &mut BTreeMap<String, u64>, what: &str) {
    match counts.get_mut(what) {
        Some(count) => *count += 1,
        None => {
            counts.insert(what.to_owned(), 1);
        }
    }
}

fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// Most bad lines that are listed; the rest are counted.
pub const MAX_LISTED: usize = 50;
/// Most statuses that are warned of one by one.
const MOST_DOUBTFUL: usize = 20;
/// Most unknown items that are named.
pub(super) const MAX_EXAMPLES: usize = 5;
/// Most reasons that are counted one by one.
const MAX_REASONS: usize = 30;
/// A customer with more than one in so many orders is no ordinary one.
const LARGE_SHARE: u64 = 20;
/// Among fewer customers than this, large shares mean nothing.
const FEW_CUSTOMERS: usize = 50;
