//! The `[data]` table of `shop.toml`: where a shop's orders are and what their columns are called.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Where a shop's data is and how to read it. Relative paths are relative to the shop's folder.
///
/// Unknown keys are refused. All keys have a default that fits a folder with `orders.csv` (and, if there, `items.csv`
/// and `users.csv`).
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct ShopDataConfig {
    /// How the files are written: `"csv"` (a header line, then one order line each; the default) or `"recbole"` (RecBole
    /// atomic files: tabs, and a header like `user_id:token`). Either may be gzipped, whatever its name.
    pub format: FileFormat,
    /// The files with orders, read one after another: `orders = ["orders.csv"]` (the default) or a single name.
    pub orders: Paths,
    /// The file with the shop's own catalogue: `items = "items.csv"`. Default: `items.csv` if there is one. Not needed
    /// in a federation, whose catalogue comes from the coordinator.
    pub items: Option<PathBuf>,
    /// The file with what the shop knows of its users: `users = "users.csv"`. Only counted, never sent. Default:
    /// `users.csv` if there is one.
    pub users: Option<PathBuf>,
    /// What separates the columns of a `csv` file, one character: `delimiter = ";"`. Default `","`.
    pub delimiter: char,
    /// Which kinds of event count, by the event column's values: `events = ["purchase"]`. Default: all.
    pub events: Vec<String>,
    /// Recommend groups of products instead of products: a column of the items file, such as
    /// `item_level = "product_type"`, whose value takes the item's place. Default: products.
    pub item_level: Option<String>,
    /// Without a federation's catalogue: whether items that were ordered but do not stand in the items file are kept, as
    /// items without features: `keep_unlisted = true`. Default false: they are left out and reported.
    pub keep_unlisted: bool,
    /// What the columns of the orders are called: `[data.columns]`.
    pub columns: OrderColumns,
    /// What the columns of the items file are called: `[data.item_columns]`.
    pub item_columns: ItemColumns,
}

impl Default for ShopDataConfig {
    fn default() -> Self {
        Self {
            format: FileFormat::Csv,
            orders: Paths::One("orders.csv".into()),
            items: None,
            users: None,
            delimiter: ',',
            events: Vec::new(),
            item_level: None,
            keep_unlisted: false,
            columns: OrderColumns::default(),
            item_columns: ItemColumns::default(),
        }
    }
}

/// How a file of rows is written.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum FileFormat {
    /// Comma separated values with a header line; quotes as in RFC 4180.
    #[default]
    Csv,
    /// RecBole atomic files: tab separated, header fields `name:type`, no quotes.
    Recbole,
}

/// One path or several.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Paths {
    /// `"orders.csv"`
    One(PathBuf),
    /// `["2025.csv", "2026.csv.gz"]`
    Many(Vec<PathBuf>),
}

impl Paths {
    /// All of them.
    pub fn as_slice(&self) -> &[PathBuf] {
        match self {
            Self::One(path) => std::slice::from_ref(path),
            Self::Many(paths) => paths,
        }
    }
}

/// Names of the columns of the orders. A column that is named here must exist; the optional ones are used under their
/// default names if they exist.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct OrderColumns {
    /// Who bought; default `user_id`.
    pub user: Option<String>,
    /// What; default `item_id`.
    pub item: Option<String>,
    /// When: seconds or milliseconds since 1970, RFC 3339, or `YYYY-MM-DD[ HH:MM:SS]` (UTC); default `timestamp`.
    pub timestamp: Option<String>,
    /// The kind of event; optional, default `event`.
    pub event: Option<String>,
    /// How many; optional, default `quantity`. Less than zero is a return and does not count.
    pub quantity: Option<String>,
    /// What one cost; optional, default `price`.
    pub price: Option<String>,
    /// Stars; optional, default `rating`. Only checked to be a number.
    pub rating: Option<String>,
}

/// Names of the columns of the items file. A column that is named here must exist; all but the first are used under
/// their default names if they exist.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct ItemColumns {
    /// The item's id; default `item_id`.
    pub item: Option<String>,
    /// A name for people; optional, default `title`.
    pub title: Option<String>,
    /// Optional, default `category`.
    pub category: Option<String>,
    /// Optional, default `brand`.
    pub brand: Option<String>,
    /// Optional, default `price`.
    pub price: Option<String>,
    /// What else the item is, separated by `|`; optional, default `tags`.
    pub tags: Option<String>,
    /// The number on the barcode (GTIN, EAN), by which a shop's article is found in the federation's catalogue; optional,
    /// default `gtin`.
    pub gtin: Option<String>,
    /// Other ids of the item, separated by `|`; optional, default `aliases`.
    pub aliases: Option<String>,
    /// Columns of numbers, such as `numbers = ["year"]`; default none. The one called `code` is an article code, whose
    /// neighbours are alike.
    pub numbers: Vec<String>,
}
