//! The `[data]` table of `shop.toml`: where a shop's orders are and what their columns are called.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use souk_common::table::Style;
use souk_common::task::LabelKind;

use crate::data::columns::{ItemColumns, OrderColumns};
use crate::data::customers;
use crate::data::keep_days::KeepDays;
use crate::data::sources::{BadShare, SourceConfig};
use crate::data::star_scale::StarScale;

/// Where a shop's data is and how to read it. Relative paths are relative to the shop's folder.
///
/// Unknown keys are refused. All keys have a default that fits a folder with `orders.csv` (and, if there, `items.csv`
/// and `users.csv`).
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct ShopDataConfig {
    /// How the files with orders are laid out: `"columns"` (one order line each, columns as named under `[data.columns]`;
    /// also `"csv"`), `"recbole"` (RecBole atomic files: tabs, and a header like `user_id:token`), or what a shop system
    /// exports: `"shopify"`, `"woocommerce"`, `"square"`, `"magento"`, `"amazon"`. Default: told from the header, and said.
    pub format: Option<FileFormat>,
    /// The files with orders, read one after another: `orders = ["orders.csv"]` (the default) or a single name.
    pub orders: Paths,
    /// The file with the shop's own catalogue: `items = "items.csv"`. Default: `items.csv` if there is one. Not needed
    /// in a federation, whose catalogue comes from the coordinator.
    pub items: Option<PathBuf>,
    /// Of workbooks with orders (.xlsx, .ods), the sheet: `sheet = "Orders"`. Default: the first that has the columns.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sheet: Option<String>,
    /// Further places with interactions: `[[data.source]]`.
    pub source: Vec<SourceConfig>,
    /// The largest share of a source's lines that may be bad before it is refused whole: `max_bad = 0.05` (the default).
    pub max_bad: BadShare,
    /// Most bytes that a compressed file, or a part of a workbook, may expand to: `max_bytes = 68_719_476_736` (the default, 64 GiB).
    pub max_bytes: u64,
    /// The federation's ids of items that the shop has numbers of its own for, a file with the columns `item_id` and
    /// `federation_id`: `item_map = "item_map.csv"`. Default: `item_map.csv` if there is one.
    pub item_map: Option<PathBuf>,
    /// The file with what the shop knows of its users: `users = "users.csv"`. Only counted, never sent. Default:
    /// `users.csv` if there is one.
    pub users: Option<PathBuf>,
    /// What separates the columns, one character: `delimiter = ";"`. Default: the one of `,` `;` tab and `|` that the header
    /// has most of, or what a first line such as `sep=;` says.
    pub delimiter: Option<char>,
    /// Which kinds of event count, by the event column's values: `events = ["purchase", "view"]`. Default: purchases, in
    /// the words that shop systems have for them.
    pub events: Vec<String>,
    /// What customers say of items, to be learned from: `labels = "stars"` of the column of stars, or `labels = "clicks"` of the
    /// events `shown` and `clicked`. Default: nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub labels: Option<LabelKind>,
    /// The fewest and the most stars: `stars = [1, 5]` (the default). Others are taken as missing, and counted.
    #[serde(skip_serializing_if = "is_usual_scale")]
    pub stars: StarScale,
    /// Which statuses of an order or a line mean that nothing was bought, whatever their case: `not_bought = ["cancelled"]`.
    /// Default: cancelled, refunded, voided and the like.
    pub not_bought: Vec<String>,
    /// Lines that are no products, by item id or title, whatever their case; a `*` at the end stands for anything:
    /// `leave_out = ["postage", "gift card*"]`. Default: postage, vouchers, gift cards, fees, tips in their usual words.
    pub leave_out: Vec<String>,
    /// Customer ids that stand for no customer, whatever their case: `nobody = ["0", "guest", "counter sale"]`. Default:
    /// `0`, `nan`, `null`, `guest`, `-` and the like. An empty id is always no customer.
    pub nobody: Vec<String>,
    /// For how many days interactions are kept, 1 or more: `keep_days = 730`. Older ones leave the store, and are left out of what is
    /// read. Default: all are kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keep_days: Option<KeepDays>,
    /// How times are written: `"excel"`, `"seconds"`, `"milliseconds"`, `"microseconds"`, or a pattern of strptime such as
    /// `time_format = "%d/%m/%Y %H:%M"`. Default: every unambiguous way, told from each value by itself.
    pub time_format: Option<String>,
    /// Where times without an offset are from, an IANA name: `time_zone = "Europe/Berlin"`. Default UTC.
    pub time_zone: Option<String>,
    /// The first day on which an order can have been, in UTC: `earliest = "1985-06-01"`. Default `"1990-01-01"`: what is
    /// before is more likely a number that means something else.
    pub earliest: Option<String>,
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
            format: None,
            orders: Paths::default(),
            sheet: None,
            source: Vec::new(),
            max_bad: BadShare::default(),
            max_bytes: 64 << 30,
            item_map: None,
            items: None,
            users: None,
            delimiter: None,
            events: Vec::new(),
            labels: None,
            stars: StarScale::default(),
            not_bought: owned(&customers::NOT_BOUGHT),
            leave_out: owned(&customers::LEAVE_OUT),
            nobody: owned(&customers::NOBODY),
            keep_days: None,
            time_format: None,
            time_zone: None,
            earliest: None,
            item_level: None,
            keep_unlisted: false,
            columns: OrderColumns::default(),
            item_columns: ItemColumns::default(),
        }
    }
}

fn is_usual_scale(stars: &StarScale) -> bool {
    *stars == StarScale::default()
}

fn owned(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

/// How a file of orders is laid out.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum FileFormat {
    /// One order line each, its columns as the owner names them.
    #[default]
    #[serde(alias = "csv")]
    Columns,
    /// RecBole atomic files: tab separated, header fields `name:type`, no quotes.
    Recbole,
    /// Orders exported from Shopify's admin.
    Shopify,
    /// WooCommerce, by the common export plugins.
    Woocommerce,
    /// Square's item details.
    Square,
    /// Magento (Adobe Commerce): order items with their orders.
    Magento,
    /// Amazon's order reports that name buyers.
    Amazon,
}

impl FileFormat {
    /// The style of the text, where the format settles it.
    pub(super) fn style(format: Option<Self>) -> Option<Style> {
        format.map(|format| match format {
            Self::Recbole => Style::Recbole,
            _ => Style::Quoted,
        })
    }
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

impl Default for Paths {
    fn default() -> Self {
        Self::One("orders.csv".into())
    }
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
