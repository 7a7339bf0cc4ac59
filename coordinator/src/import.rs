//! A catalogue from the operator's CSV file, and its items' vectors from another.

pub mod vectors;

use std::collections::BTreeMap;
use std::path::Path;

use clap::Args;
use serde::Deserialize;
use souk_common::catalogue::{Catalogue, CatalogueError, Item};

#[derive(Deserialize)]
struct Row {
    item_id: String,
    #[serde(default)]
    title: String,
    #[serde(default)]
    category: String,
    #[serde(default)]
    brand: String,
    #[serde(default)]
    price: String,
    #[serde(default)]
    gtin: String,
    #[serde(default)]
    aliases: String,
}

/// Further columns that say what an item is.
#[derive(Args, Clone, Debug, Default)]
pub struct FeatureColumns {
    /// A column of tags, such as genres.
    #[arg(long, value_name = "COLUMN")]
    pub tags: Option<String>,
    /// What separates the tags of an item.
    #[arg(long, value_name = "CHARACTER", default_value_t = '|', requires = "tags")]
    pub tag_separator: char,
    /// A column of numbers, such as a year; may be given more than once. One called `code` is an article code, whose
    /// neighbours are alike.
    #[arg(long = "number", value_name = "COLUMN")]
    pub numbers: Vec<String>,
}

/// Reads `item_id,title,category,brand,price,gtin,aliases` (aliases separated by `|`), of which all but the first may be missing or empty, and the further
/// columns that are named.
///
/// # Errors
/// The first line that makes no sense: a catalogue is public and exact, so none is left out. A named column that is not
/// there.
pub fn read(file: &Path, columns: &FeatureColumns) -> Result<Catalogue, ImportError> {
    let path = file.display().to_string();
    let refused = |error: csv::Error| ImportError::csv(&path, &error);
    let mut reader = csv::Reader::from_path(file).map_err(refused)?;
    let header = reader.headers().map_err(refused)?.clone();
    let place = |name: &str| {
        let found = || ImportError::Column {
            path: path.clone(),
            column: name.to_owned(),
            found: header.iter().collect::<Vec<_>>().join(", "),
        };
        header.iter().position(|column| column == name).ok_or_else(found)
    };
    place("item_id")?;
    let tags = columns.tags.as_deref().map(place).transpose()?;
    let numbers = columns
        .numbers
        .iter()
        .map(|name| Ok((name, place(name)?)))
        .collect::<Result<Vec<_>, ImportError>>()?;
    let mut items = Vec::new();
    let mut record = csv::StringRecord::new();
    while reader.read_record(&mut record).map_err(refused)? {
        let row: Row = record.deserialize(Some(&header)).map_err(refused)?;
        let number = |name: &str, text: &str| match text.trim() {
            "" => Ok(None),
            text => text.parse::<f64>().map(Some).map_err(|_| ImportError::Line {
                path: path.clone(),
                line: record.position().map_or(0, csv::Position::line),
                reason: format!("{name} is {text:?}; it must be a number, or empty"),
            }),
        };
        let price = number("price", &row.price)?;
        let text = |at: usize| record.get(at).unwrap_or_default();
        let mut known = BTreeMap::new();
        for (name, at) in &numbers {
            known.extend(number(name, text(*at))?.map(|value| ((*name).clone(), value)));
        }
        let list = |text: &str, separator: char| {
            let parts = text
                .split(separator)
                .map(str::trim)
                .filter(|part| !part.is_empty());
            parts.map(str::to_owned).collect()
        };
        items.push(Item {
            id: row.item_id,
            title: row.title,
            category: row.category,
            brand: row.brand,
            price,
            tags: list(tags.map_or("", text), columns.tag_separator),
            numbers: known,
            gtin: row.gtin.trim().to_owned(),
            aliases: list(&row.aliases, '|'),
            vector: Vec::new(),
        });
    }
    Catalogue::new(items).map_err(|source| ImportError::Items { path, source })
}

/// Why a file is no catalogue.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// It can't be read.
    #[error("{path}: {reason}")]
    File {
        /// The file.
        path: String,
        /// What is wrong.
        reason: String,
    },
    /// A column is not there.
    #[error("{path}: there is no column {column}; it has: {found}")]
    Column {
        /// The file.
        path: String,
        /// Which one.
        column: String,
        /// Its columns.
        found: String,
    },
    /// A line that makes no sense.
    #[error("{path}, line {line}: {reason}")]
    Line {
        /// The file.
        path: String,
        /// From 1.
        line: u64,
        /// What is wrong.
        reason: String,
    },
    /// All of them make no catalogue.
    #[error("{path}: {source}")]
    Items {
        /// The file.
        path: String,
        /// What is wrong.
        source: CatalogueError,
    },
}

impl ImportError {
    fn csv(path: &str, error: &csv::Error) -> Self {
        let path = path.to_owned();
        let reason = match error.kind() {
            csv::ErrorKind::UnequalLengths {
                expected_len, len, ..
            } => {
                format!("{len} fields where the header has {expected_len}")
            }
            csv::ErrorKind::Utf8 { .. } => "it is no UTF-8 text".to_owned(),
            _ => error.to_string(),
        };
        match error.position() {
            Some(position) => Self::Line {
                path,
                line: position.line(),
                reason,
            },
            None => Self::File { path, reason },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_text(text: &str, columns: &FeatureColumns) -> Result<Catalogue, ImportError> {
        let dir = tempfile::tempdir().expect("a folder");
        let file = dir.path().join("items.csv");
        std::fs::write(&file, text).expect("written");
        read(&file, columns)
    }

    #[test]
    fn barcodes_and_the_shops_own_numbers_are_taken_in() {
        let text = "item_id,gtin,aliases\na, 4006381333931 ,A-1| 77\nb,,\n";
        let catalogue = read_text(text, &FeatureColumns::default()).expect("a catalogue");
        let [a, b] = catalogue.items() else {
            panic!("two items")
        };
        assert_eq!(
            (a.gtin.as_str(), &a.aliases[..]),
            ("4006381333931", &["A-1".to_owned(), "77".to_owned()][..])
        );
        assert_eq!(*b, Item::bare("b"));
        let twice = read_text(
            "item_id,gtin\na,4006381333931\nb,04006381333931\n",
            &FeatureColumns::default(),
        );
        let twice = twice.expect_err("one barcode").to_string();
        assert!(twice.contains("two items, \"a\" and \"b\""), "{twice}");
    }

    #[test]
    fn named_columns_become_tags_and_numbers() {
        let columns = FeatureColumns {
            tags: Some("genres".into()),
            tag_separator: ' ',
            numbers: vec!["year".into()],
        };
        let text = "item_id,genres,year\na,Drama  War,1995\nb,,\n";
        let catalogue = read_text(text, &columns).expect("a catalogue");
        let [a, b] = catalogue.items() else {
            panic!("two items")
        };
        assert_eq!(
            (&a.tags[..], a.numbers["year"]),
            (&["Drama".to_owned(), "War".to_owned()][..], 1995.0)
        );
        assert_eq!(*b, Item::bare("b"));
        let wrong = read_text("item_id,genres,year\na,,soon\n", &columns).expect_err("no number");
        assert!(wrong.to_string().contains("line 2: year is \"soon\""), "{wrong}");
        let missing = read_text("item_id,genres\na,\n", &columns).expect_err("no year");
        assert!(missing.to_string().contains("no column year"), "{missing}");
    }
}
