//! A shop's own files: orders, items, users.
//!
//! Bad lines are passed over and reported by number and reason; a file that can't be used as a whole is an error that
//! names the file, the column and the remedy. Nothing read here leaves the shop.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

use souk_common::catalogue::{Catalogue, CatalogueError, Item};
use souk_common::clock::Timestamp;
use souk_common::dataset::Dataset;
use souk_common::table::{Options, Row, Rows, TableError, TextTable};

pub mod config;
mod customers;
pub mod interaction;
mod items;
mod layout;
mod orders;
pub mod outgrown;
pub mod reading;
pub mod report;
#[cfg(test)]
mod tests;
mod time;

pub use config::{FileFormat, ItemColumns, OrderColumns, Paths, ShopDataConfig};
pub use items::read_catalogue;
pub use reading::{Reading, read_interactions};
pub use report::{BadLine, DataReport, SourceReport};

/// A shop's data, read.
#[derive(Debug)]
pub struct ShopData {
    /// The histories, over the rows of `catalogue`; users sorted by id.
    pub dataset: Dataset,
    /// The catalogue used.
    pub catalogue: Catalogue,
    /// What was found.
    pub report: DataReport,
}

/// Reads the data of the shop in `folder`.
///
/// With the federation's `catalogue`, orders of other items are left out and reported. Without, the items file is the
/// catalogue if there is one, else the items that were ordered, sorted by id.
///
/// # Errors
/// When a file is missing, unreadable or empty, lacks a column, or no order is left.
pub fn read_shop(
    config: &ShopDataConfig,
    folder: &Path,
    catalogue: Option<&Catalogue>,
    now: Timestamp,
) -> Result<ShopData, DataError> {
    let mut report = DataReport::default();
    let (items, levels) = read_own_items(config, folder, catalogue.is_none(), &mut report)?;
    let levels = config.item_level.is_some().then_some(&levels);
    let paths: Vec<PathBuf> = config
        .orders
        .as_slice()
        .iter()
        .map(|path| folder.join(path))
        .collect();
    let mut orders = orders::Orders::default();
    let reading = Reading { config, levels, now };
    for path in &paths {
        let mut rows = open_orders(path, config)?;
        read_interactions(&mut rows, &reading, &mut orders, &mut report)?;
    }
    report.profiles = count_profiles(config, folder, &mut report)?;
    let first = paths.first().cloned().unwrap_or_else(|| folder.to_owned());
    let catalogue = match catalogue {
        Some(catalogue) => catalogue.clone(),
        None => {
            let unlisted = items.is_none() || config.keep_unlisted;
            let mut items = items.unwrap_or_default();
            if unlisted {
                let listed: HashSet<String> = items.iter().map(|item| item.id.clone()).collect();
                let missing = orders.item_ids().into_iter().filter(|id| !listed.contains(id));
                items.extend(missing.map(Item::bare));
            }
            if items.is_empty() {
                return Err(no_order(first, &report));
            }
            Catalogue::new(items).map_err(|source| DataError::Catalogue {
                path: folder.to_owned(),
                source,
            })?
        }
    };
    let dataset = orders.finish(&catalogue, &mut report);
    if dataset.is_empty() {
        return Err(no_order(first, &report));
    }
    Ok(ShopData {
        dataset,
        catalogue,
        report,
    })
}

type OwnItems = (Option<Vec<Item>>, HashMap<String, String>);

fn read_own_items(
    config: &ShopDataConfig,
    folder: &Path,
    wanted: bool,
    report: &mut DataReport,
) -> Result<OwnItems, DataError> {
    let path = existing(config.items.as_deref(), folder, "items.csv");
    match path {
        Some(path) if wanted || config.item_level.is_some() => {
            let level = config.item_level.as_deref();
            let columns = &config.item_columns;
            let (items, levels) =
                items::read_items(&path, columns, config.format, config.delimiter, level, report)?;
            Ok((Some(items), levels))
        }
        None if config.item_level.is_some() => Err(DataError::NoItemsFile),
        _ => Ok((None, HashMap::new())),
    }
}

fn count_profiles(
    config: &ShopDataConfig,
    folder: &Path,
    report: &mut DataReport,
) -> Result<Option<u64>, DataError> {
    let Some(path) = existing(config.users.as_deref(), folder, "users.csv") else {
        return Ok(None);
    };
    let mut table = open_orders(&path, config)?;
    report.begin(table.name());
    let mut row = Row::default();
    let mut count = 0;
    while table.next_row(&mut row)? {
        match &row.fault {
            None => {
                count += 1;
                report.take_row();
            }
            Some(fault) => report.add_bad(row.line, fault.kind(), fault.to_string()),
        }
    }
    Ok(Some(count))
}

/// Opens a file about customers, in which each row is one line.
///
/// # Errors
/// When it can't be read, is empty, or is no text.
pub fn open_orders(path: &Path, config: &ShopDataConfig) -> Result<TextTable, DataError> {
    let options = Options {
        style: FileFormat::style(config.format),
        delimiter: config.delimiter,
        spans: false,
    };
    Ok(TextTable::open(path, options)?)
}

/// The file that was named, or `default` if it is there.
fn existing(named: Option<&Path>, folder: &Path, default: &str) -> Option<PathBuf> {
    match named {
        Some(path) => Some(folder.join(path)),
        None => Some(folder.join(default)).filter(|path| path.is_file()),
    }
}

fn no_order(path: PathBuf, report: &DataReport) -> DataError {
    DataError::NoOrder {
        path,
        rows: report.rows,
        bad_lines: report.bad_lines,
        first: report.bad.first().map_or_else(String::new, |bad| {
            format!("; the first: {}:{}: {}", bad.file, bad.line, bad.reason)
        }),
        unknown: report.rows_not_in_catalogue,
    }
}

/// Why files can't be used at all.
#[derive(Debug, thiserror::Error)]
pub enum DataError {
    /// A file is no table.
    #[error(transparent)]
    Table(#[from] TableError),
    /// A column is missing.
    #[error(
        "{} has no column {column:?}; it has: {have}; name the right one as {key} under [data] in shop.toml",
        path.display()
    )]
    NoColumn {
        /// The file.
        path: PathBuf,
        /// What was looked for.
        column: String,
        /// The key that names it.
        key: &'static str,
        /// What there is.
        have: String,
    },
    /// A setting under `[data]` says nothing.
    #[error("{key} = {value:?} under [data] in shop.toml: {reason}")]
    Setting {
        /// The key.
        key: &'static str,
        /// Its value.
        value: String,
        /// What is wrong with it.
        reason: String,
    },
    /// What was read could not be kept.
    #[error("what was read can't be kept")]
    Sink {
        /// Why.
        source: std::io::Error,
    },
    /// Items by level, but no items file.
    #[error("item_level needs an items file: set items under [data] in shop.toml")]
    NoItemsFile,
    /// No order is left.
    #[error(
        "{} has no usable order: {rows} rows, {bad_lines} bad lines, {unknown} of items not in the catalogue{first}",
        path.display()
    )]
    NoOrder {
        /// The first file.
        path: PathBuf,
        /// Rows read.
        rows: u64,
        /// Bad ones.
        bad_lines: u64,
        /// Orders of unknown items.
        unknown: u64,
        /// The first bad line, if any.
        first: String,
    },
    /// No item is left.
    #[error("{} has no usable item", path.display())]
    NoItem {
        /// The file.
        path: PathBuf,
    },
    /// The items are no catalogue.
    #[error("{} holds no catalogue", path.display())]
    Catalogue {
        /// The file.
        path: PathBuf,
        /// Why.
        source: CatalogueError,
    },
}
