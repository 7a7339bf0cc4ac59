//! The report for people.

use std::fmt::Write as _;

use souk_common::terminal::printable;

use super::{DataReport, MAX_EXAMPLES, counted};

impl DataReport {
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
            line(
                "returns",
                format!("{}; {} pairs wholly returned", self.returns, self.returned_pairs),
            );
        }
        if self.labels + self.clicks_not_shown + self.labels_not_in_catalogue > 0 {
            let mut told = format!("{} to learn from", self.labels);
            for (count, what) in [
                (self.clicks_not_shown, "clicks on what was not shown before"),
                (
                    self.labels_not_in_catalogue,
                    "of items that are not in the catalogue",
                ),
            ] {
                if count > 0 {
                    let _ = write!(told, "; {count} {what}, left out");
                }
            }
            line("labels", told);
        }
        if self.taken_back > 0 {
            line(
                "taken back",
                format!(
                    "{} lines of orders that a newer source has as not bought",
                    self.taken_back
                ),
            );
        }
        for source in &self.sources {
            line("read", source.summary());
            if !source.missing.is_empty() {
                let told = format!("{}: {}", source.name, counted(&source.missing));
                line("missing", told);
            }
            for guess in &source.guessed {
                line("taken as", format!("{}: {guess}", source.name));
            }
            if let Some(statuses) = source.told_statuses() {
                line("statuses", format!("{}: {statuses}", source.name));
            }
        }
        if !self.largest.is_empty() {
            let each = self
                .largest
                .iter()
                .map(|(name, orders)| format!("{name} {orders}"));
            line("largest", each.collect::<Vec<_>>().join(", "));
        }
        for warning in &self.warnings {
            line("look at", warning.clone());
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
