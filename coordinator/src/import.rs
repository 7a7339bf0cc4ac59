//! A catalogue from the operator's CSV file.

use std::path::Path;

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
}

/// Reads `item_id,title,category,brand,price`; all but the first may be missing or empty.
///
/// # Errors
/// The first line that makes no sense: a catalogue is public and exact, so none is left out.
pub fn read(file: &Path) -> Result<Catalogue, ImportError> {
    let path = file.display().to_string();
    let refused = |error: csv::Error| ImportError::csv(&path, &error);
    let mut reader = csv::Reader::from_path(file).map_err(refused)?;
    let header = reader.headers().map_err(refused)?.clone();
    if !header.iter().any(|column| column == "item_id") {
        let found = header.iter().collect::<Vec<_>>().join(", ");
        return Err(ImportError::Column { path, found });
    }
    let mut items = Vec::new();
    let mut record = csv::StringRecord::new();
    while reader.read_record(&mut record).map_err(refused)? {
        let row: Row = record.deserialize(Some(&header)).map_err(refused)?;
        let price = match row.price.trim() {
            "" => None,
            price => Some(price.parse().map_err(|_| ImportError::Line {
                path: path.clone(),
                line: record.position().map_or(0, csv::Position::line),
                reason: format!("price is {price:?}; it must be a number, or empty"),
            })?),
        };
        items.push(Item {
            title: row.title,
            category: row.category,
            brand: row.brand,
            price,
            ..Item::bare(row.item_id)
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
    /// Items have no ids.
    #[error("{path}: there is no column item_id; it has: {found}")]
    Column {
        /// The file.
        path: String,
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
