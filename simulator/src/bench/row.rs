//! One figure, what it is held against, and the bound that it must keep.

use serde::Serialize;
use serde_json::{Map, Value};

/// A figure as it was measured.
#[derive(Debug, Serialize)]
pub(super) struct Row {
    name: String,
    value: f64,
    unit: &'static str,
    /// `value` as a share of what it is held against; none where nothing on the machine is its limit.
    ratio: Option<f64>,
    /// The row, of the same run, that it is held against.
    of: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    bounds: Vec<Bound>,
    #[serde(flatten)]
    more: Map<String, Value>,
}

/// What a figure must keep.
#[derive(Debug, Serialize)]
struct Bound {
    bound: String,
    ok: bool,
}

impl Row {
    /// A figure that is held against nothing yet.
    pub(super) fn new(name: impl Into<String>, value: f64, unit: &'static str) -> Self {
        Self {
            name: name.into(),
            value,
            unit,
            ratio: None,
            of: None,
            bounds: Vec::new(),
            more: Map::new(),
        }
    }

    /// Holds it against another row.
    pub(super) fn ratio(mut self, ratio: f64, of: impl Into<String>) -> Self {
        (self.ratio, self.of) = (Some(ratio), Some(of.into()));
        self
    }

    /// States what must hold.
    pub(super) fn bound(mut self, ok: bool, bound: impl Into<String>) -> Self {
        let bound = bound.into();
        self.bounds.push(Bound { bound, ok });
        self
    }

    /// Adds a key of its own.
    pub(super) fn with(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.more.insert(key.to_owned(), value.into());
        self
    }

    /// Whether all its bounds hold.
    pub(super) fn ok(&self) -> bool {
        self.bounds.iter().all(|bound| bound.ok)
    }

    /// A line of the table, and one for each bound and each further key.
    pub(super) fn to_text(&self) -> String {
        let held = match (self.ratio, &self.of) {
            (Some(ratio), Some(of)) => format!("{ratio:>8.3} of {of}"),
            _ => String::new(),
        };
        let value = format!("{} {}", scaled(self.value), self.unit);
        let mut text = format!("{:<34}{value:>22}{held}\n", self.name);
        for bound in &self.bounds {
            let mark = if bound.ok { "ok  " } else { "MISS" };
            text += &format!("    {mark} {}\n", bound.bound);
        }
        for (key, value) in &self.more {
            text += &format!("    {key}: {value}\n");
        }
        text
    }
}

/// Three or four digits, and a letter for the thousands.
fn scaled(value: f64) -> String {
    let letters = [(1e9, " G"), (1e6, " M"), (1e3, " k")];
    match letters.iter().find(|(size, _)| value >= *size) {
        Some((size, letter)) => format!("{:.2}{letter}", value / size),
        None => format!("{value:.2}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_has_the_keys_that_scripts_rely_on_and_says_what_it_missed() {
        let row = Row::new("a", 1_500.0, "samples/s")
            .ratio(0.25, "fma_peak")
            .bound(false, "at least 0.5 of fma_peak")
            .with("users", 64);
        assert!(!row.ok() && row.to_text().contains("MISS at least 0.5"));
        let json = serde_json::to_value(&row).unwrap();
        assert_eq!(
            json,
            serde_json::json!({
                "name": "a", "value": 1500.0, "unit": "samples/s", "ratio": 0.25, "of": "fma_peak", "users": 64,
                "bounds": [{ "bound": "at least 0.5 of fma_peak", "ok": false }],
            })
        );
    }

    #[test]
    fn large_numbers_are_written_short() {
        let written = [1.5, 1_234.0, 107e9].map(scaled);
        assert_eq!(written, ["1.50", "1.23 k", "107.00 G"]);
    }
}
