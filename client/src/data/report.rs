//! What reading a shop's data found, for people and for programs.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::{Deserialize, Serialize};
use souk_common::terminal::printable;

use crate::data::time;

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
    /// Orders of less than zero pieces: returns, which do not count.
    pub returns: u64,
    /// Orders left out because of their kind of event, by kind.
    pub other_events: BTreeMap<String, u64>,
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

    pub(super) fn add_bad(&mut self, file: &str, line: u64, reason: String) {
        self.bad_lines += 1;
        if self.bad.len() < MAX_LISTED {
            self.bad.push(BadLine {
                file: file.to_owned(),
                line,
                reason,
            });
        }
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

    /// The report as text, some lines, each ended.
    pub fn to_text(&self) -> String {
        let mut text = format!("files       {}\n", printable(&self.files.join(", ")));
        let mut line = |name: &str, value: String| {
            // Writing to a string can't fail.
            let _ = writeln!(text, "{name:<11} {}", printable(&value));
        };
        line("rows", self.rows.to_string());
        line(
            "users",
            format!("{} ({} with fewer than 3 items)", self.users, self.short_users),
        );
        line(
            "items",
            format!("{} of {} in the catalogue", self.items, self.catalogue_items),
        );
        line(
            "pairs",
            format!("{} distinct, {} repeats", self.pairs, self.duplicates),
        );
        if let (Some(first), Some(last)) = (&self.first, &self.last) {
            line("span", format!("{first} to {last}"));
        }
        if let Some(profiles) = self.profiles {
            line("users file", format!("{profiles} rows"));
        }
        if self.returns > 0 {
            line("returns", format!("{} left out", self.returns));
        }
        for (event, count) in &self.other_events {
            line("event", format!("{event:?}: {count} left out"));
        }
        if self.rows_not_in_catalogue > 0 {
            let examples = self.examples_not_in_catalogue.join(", ");
            line(
                "unknown",
                format!(
                    "{} orders of {} items that are not in the catalogue: {examples}{}",
                    self.rows_not_in_catalogue,
                    self.items_not_in_catalogue,
                    if self.items_not_in_catalogue > MAX_EXAMPLES {
                        ", ..."
                    } else {
                        ""
                    }
                ),
            );
        }
        if let Some((first, last)) = self.first_spanning {
            let many = self.spanning_items;
            line(
                "items file",
                format!("{many} items with line breaks inside quotes, the first on lines {first} to {last}"),
            );
        }
        line("bad lines", self.bad_lines.to_string());
        for bad in &self.bad {
            let _ = writeln!(
                text,
                "  {}:{}: {}",
                printable(&bad.file),
                bad.line,
                printable(&bad.reason)
            );
        }
        let more = self.bad_lines.saturating_sub(self.bad.len() as u64);
        if more > 0 {
            let _ = writeln!(text, "  and {more} more");
        }
        text
    }
}

fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// Most bad lines that are listed; the rest are counted.
pub const MAX_LISTED: usize = 50;
/// Most unknown items that are named.
pub(super) const MAX_EXAMPLES: usize = 5;
