//! What the columns of a shop's files are called.

use serde::{Deserialize, Serialize};

/// Names of the columns of the orders. A column that is named here must exist; the optional ones are used under their
/// default names if they exist, unless they are named `""`.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct OrderColumns {
    /// Who bought; default `user_id`. E-mail addresses are compared without case.
    pub user: Option<String>,
    /// What; default `item_id`.
    pub item: Option<String>,
    /// When; default `timestamp`. Seconds or milliseconds since 1970, RFC 3339, `YYYY-MM-DD[ HH:MM[:SS]][ offset]`,
    /// `YYYYMMDD`, Excel's day numbers, or as `time_format` says.
    pub timestamp: Option<String>,
    /// The time of day, where `timestamp` is only a date; optional, no default.
    pub time: Option<String>,
    /// The kind of event; optional, default `event`.
    pub event: Option<String>,
    /// The status of the order; optional, default `status`.
    pub status: Option<String>,
    /// The order's number; optional, default `order_id`.
    pub order: Option<String>,
    /// How many; optional, default `quantity`. Less than zero is a return, which takes a purchase back.
    pub quantity: Option<String>,
    /// What one cost; optional, default `price`.
    pub price: Option<String>,
    /// What the item is called; optional, default `title`. Only used to leave out what is no product.
    pub title: Option<String>,
    /// Stars; optional, default `rating`. Learned from with `labels = "stars"`; else only checked to be a number.
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
    /// When the item came out: a year, `YYYY-MM-DD`, or a moment; optional, default `published`.
    pub published: Option<String>,
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
