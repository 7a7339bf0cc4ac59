//! A shop's own files: orders, items, users.
//!
//! Bad lines are passed over and reported by number and reason; a file that can't be used as a whole is an error that
//! names the file, the column and the remedy. Nothing read here leaves the shop.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

use souk_common::catalogue::{Catalogue, CatalogueError, Item};
use souk_common::clock::Timestamp;
use souk_common::dataset::Dataset;
use souk_common::table::{Row, RowSource, TableError, TextOptions, TextTable};

#[cfg(test)]
mod cases;
mod columns;
pub mod config;
mod customers;
pub mod interaction;
mod item_names;
mod items;
mod keep_days;
mod layout;
mod orders;
pub mod outgrown;
pub mod reading;
pub mod report;
pub mod sources;
pub mod star_scale;
mod statuses;
#[cfg(test)]
mod tests;
mod time;
mod twins;
pub(crate) mod window;

pub(crate) use customers::compared_id;
pub(crate) use item_names::ItemNames;
pub(crate) use layout::is_header;
pub(crate) use orders::Orders;

pub use columns::{ItemColumns, OrderColumns};
pub use config::{FileFormat, Paths, ShopDataConfig};
pub use items::read_catalogue;
pub use reading::{Reading, read_interactions};
pub use report::{BadLine, DataReport, SourceReport, StatusCount};
use window::kept_since;

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
    let own = OwnFiles::read(config, folder, catalogue, &mut report)?;
    let mut orders = Orders::default();
    let levels = own.levels.as_ref();
    let reading = Reading {
        config,
        levels,
        now,
        kept_since: kept_since(config, now),
        forgotten: None,
    };
    for path in config.orders.as_slice() {
        let mut rows = open_orders(&folder.join(path), config)?;
        read_interactions(&mut rows, &reading, &mut orders, &mut report)?;
    }
    own.over_catalogue(config, folder, catalogue, orders, report)
}

/// What a shop says of its items.
pub(crate) struct OwnFiles {
    items: Option<Vec<Item>>,
    /// Which group takes an item's place, if groups are recommended.
    pub(crate) levels: Option<HashMap<String, String>>,
    /// The federation's ids by the shop's.
    map: HashMap<String, String>,
}

impl OwnFiles {
    /// Reads those that are needed with the federation's `catalogue`, or without one.
    ///
    /// # Errors
    /// When one is unreadable or lacks a column.
    pub(crate) fn read(
        config: &ShopDataConfig,
        folder: &Path,
        catalogue: Option<&Catalogue>,
        report: &mut DataReport,
    ) -> Result<Self, DataError> {
        let map = item_names::read_map(config, folder, report)?;
        let has_gtins = |catalogue: &Catalogue| catalogue.items().iter().any(|item| !item.gtin.is_empty());
        let wanted = catalogue.is_none_or(has_gtins);
        let level = config.item_level.as_deref();
        let path = existing(config.items.as_deref(), folder, "items.csv");
        let (items, levels) = match path {
            Some(path) if wanted || level.is_some() => {
                let columns = &config.item_columns;
                let (items, levels) =
                    items::read_items(&path, columns, config.format, config.delimiter, level, report)?;
                (Some(items), level.map(|_| levels))
            }
            None if level.is_some() => return Err(DataError::NoItemsFile),
            _ => (None, None),
        };
        Ok(Self { items, levels, map })
    }

    /// The shop's own items, as far as they were read.
    pub(crate) fn items(&self) -> &[Item] {
        self.items.as_deref().unwrap_or_default()
    }

    /// The rows of a catalogue by what the shop calls items.
    pub(crate) fn names<'a>(&'a self, catalogue: &'a Catalogue) -> ItemNames<'a> {
        ItemNames::new(catalogue, &self.map, self.items())
    }

    /// The ids that `catalogue` has for what the shop calls otherwise in its map or in its items file.
    pub(crate) fn federation_ids(&self, catalogue: &Catalogue) -> HashMap<String, String> {
        let names = self.names(catalogue);
        let own = self.map.keys().chain(self.items().iter().map(|item| &item.id));
        let known = own.filter_map(|own| Some((own, &catalogue.items()[names.row(own)? as usize].id)));
        known
            .filter(|(own, id)| own != id)
            .map(|(own, id)| (own.clone(), id.clone()))
            .collect()
    }

    /// The shop's data of `orders`, over the federation's catalogue or its own.
    ///
    /// # Errors
    /// When no order is left.
    pub(crate) fn over_catalogue(
        self,
        config: &ShopDataConfig,
        folder: &Path,
        catalogue: Option<&Catalogue>,
        mut orders: Orders,
        mut report: DataReport,
    ) -> Result<ShopData, DataError> {
        report.taken_back = orders.settle();
        report.profiles = count_profiles(config, folder, &mut report)?;
        let first = config
            .orders
            .as_slice()
            .first()
            .map_or(folder.to_owned(), |path| folder.join(path));
        let (catalogue, own_items) = match catalogue {
            Some(catalogue) => (catalogue.clone(), self.items.unwrap_or_default()),
            None => {
                let unlisted = self.items.is_none() || config.keep_unlisted;
                let mut items = self.items.unwrap_or_default();
                // Nobody else has names for a shop's own catalogue.
                for item in &mut items {
                    (item.gtin, item.aliases) = (String::new(), Vec::new());
                }
                if unlisted {
                    let listed: HashSet<String> = items.iter().map(|item| item.id.clone()).collect();
                    let missing = orders.item_ids().into_iter().filter(|id| !listed.contains(id));
                    items.extend(missing.map(Item::bare));
                }
                if items.is_empty() {
                    return Err(no_order(first, &report));
                }
                let own = Catalogue::new(items).map_err(|source| DataError::Catalogue {
                    path: folder.to_owned(),
                    source,
                })?;
                (own, Vec::new())
            }
        };
        report.catalogue_items = catalogue.len();
        let names = ItemNames::new(&catalogue, &self.map, &own_items);
        let dataset = orders.finish(|id| names.row(id), &mut report);
        if dataset.is_empty() {
            return Err(no_order(first, &report));
        }
        Ok(ShopData {
            dataset,
            catalogue,
            report,
        })
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
    Ok(TextTable::open(path, text_of_orders(config))?)
}

/// How a text about customers is written, as far as the owner says.
pub(crate) fn text_of_orders(config: &ShopDataConfig) -> TextOptions {
    TextOptions {
        style: FileFormat::style(config.format),
        delimiter: config.delimiter,
        spans: false,
    }
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
        taken_back: match report.taken_back {
            0 => String::new(),
            many => format!(", {many} lines of orders that a newer source has as not bought"),
        },
        unknown: report.rows_not_in_catalogue,
    }
}

impl DataError {
    /// That a file can't be read.
    pub(crate) fn read(path: &Path, source: std::io::Error) -> Self {
        let path = path.to_owned();
        Self::Table(TableError::Read { path, source })
    }
}

/// How programs are built that read everything which this crate can read; `README.md` says the same.
pub const RELEASE_BUILD: &str = "cargo build --release --locked --features souk-client/full";

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
    /// A source of a kind that this build does not read.
    #[error(
        "{name} is {what}, which this souk-client was built without: `{RELEASE_BUILD}` builds one that has it"
    )]
    NotBuilt {
        /// The source.
        name: String,
        /// Of what kind.
        what: &'static str,
    },
    /// A database that was asked.
    #[error("{name}: {reason}")]
    Database {
        /// The source.
        name: String,
        /// What went wrong, without what it was asked with.
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
        "{} has no usable order: {rows} rows, {bad_lines} bad lines, {unknown} of items not in the catalogue{taken_back}{first}",
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
        /// How many lines of orders of one source another takes back, if any.
        taken_back: String,
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
