//! The public catalogue of a federation: which items there are, in which order, with which public features.
//!
//! All shops use one catalogue, so that row `i` of the item table means the same product everywhere. It is public,
//! travels by digest, and its features may be used freely.

mod changes;
mod dates;

use std::collections::{BTreeMap, HashMap};

pub use changes::Changes;
pub use dates::Dates;
use serde::{Deserialize, Serialize};

use crate::format::FormatError;
use crate::ids::Digest;

/// The tag that makes an item an ad.
pub const AD: &str = "ad";

/// One product.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Item {
    /// The federation-wide id.
    pub id: String,
    /// A name for people; may be empty.
    #[serde(default)]
    pub title: String,
    /// May be empty: unknown.
    #[serde(default)]
    pub category: String,
    /// May be empty: unknown.
    #[serde(default)]
    pub brand: String,
    /// In the federation's currency; none if unknown.
    #[serde(default)]
    pub price: Option<f64>,
    /// What else the item is: genres, a department, a manufacturer. An empty list is not written.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// Other numbers by name, such as a film's year; finite. The one called [`crate::features::CODE`] is an article
    /// code, whose neighbours are alike. An empty map is not written.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub numbers: BTreeMap<String, f64>,
    /// When it came out, in seconds since 1970-01-01 UTC, below zero before that; not written where it is unknown. No feature:
    /// it says how old the item is, not what it is like.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub published: Option<i64>,
    /// The number on its barcode (GTIN, EAN, UPC): up to 14 digits, by which shops with article numbers of their own find
    /// it. An empty one is not written.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub gtin: String,
    /// Other ids that shops have for it. An empty list is not written.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub aliases: Vec<String>,
    /// What a model from outside makes of the item: 1 to [`VECTOR_NUMBERS`] numbers within [`MOST_IN_VECTOR`] of 0, as
    /// many for every item that has some. They are used as they stand; an import centres them and scales them to mean
    /// square length 1. An empty list, of an item without, is not written.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub vector: Vec<f32>,
    /// It is sold no more: it keeps its row, and nobody is recommended it. False is not written.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub retired: bool,
}

impl Item {
    /// Whether it is an ad: those are ranked by how likely they are clicked, and stand in no list of products.
    pub fn is_ad(&self) -> bool {
        self.tags.iter().any(|tag| tag == AD)
    }

    /// Whether lists of products may have it: it is sold still, and is no ad.
    pub fn is_listed(&self) -> bool {
        !self.retired && !self.is_ad()
    }

    /// An item of which nothing but the id is known.
    pub fn bare(id: impl Into<String>) -> Self {
        Self {
            id: id.into(),
            title: String::new(),
            category: String::new(),
            brand: String::new(),
            price: None,
            tags: Vec::new(),
            numbers: BTreeMap::new(),
            published: None,
            gtin: String::new(),
            aliases: Vec::new(),
            vector: Vec::new(),
            retired: false,
        }
    }
}

/// A barcode's number without leading zeros: an EAN of 13 digits and a GTIN of 14 are the same. None of what is no such
/// number.
pub fn bare_gtin(text: &str) -> Option<&str> {
    let is_number = (1..=GTIN_DIGITS).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    let bare = text.trim_start_matches('0');
    (is_number && !bare.is_empty()).then_some(bare)
}

/// The items in order, with their features as small integers.
#[derive(Clone, Debug)]
pub struct Catalogue {
    items: Vec<Item>,
    index: HashMap<String, u32>,
    categories: Vec<String>,
    brands: Vec<String>,
    price_edges: Vec<f64>,
    features: Vec<ItemFeatures>,
}

/// An item's features; index 0 of each means "unknown".
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct ItemFeatures {
    /// Index into [`Catalogue::categories`].
    pub category: u32,
    /// Index into [`Catalogue::brands`].
    pub brand: u32,
    /// Price bucket, 1 to [`PRICE_BUCKETS`]; quantiles of the public catalogue's prices.
    pub price_bucket: u32,
}

/// Price buckets beside "unknown".
pub const PRICE_BUCKETS: usize = 8;

impl Catalogue {
    /// A catalogue of `items`, in this order.
    ///
    /// # Errors
    /// An empty list, an empty or repeated id, a price that is negative or not finite, a vector that [`Item::vector`]
    /// does not allow, a barcode's number that is none, one or an alias that two items have, too many items.
    pub fn new(items: Vec<Item>) -> Result<Self, CatalogueError> {
        if items.is_empty() {
            return Err(CatalogueError::Empty);
        }
        if items.len() > MAX_ITEMS {
            return Err(CatalogueError::TooMany {
                got: items.len(),
                most: MAX_ITEMS,
            });
        }
        let vector_len = items
            .iter()
            .map(|item| item.vector.len())
            .find(|len| *len > 0)
            .unwrap_or(0);
        let mut index = HashMap::with_capacity(items.len());
        for (row, item) in items.iter().enumerate() {
            if item.id.is_empty() {
                return Err(CatalogueError::EmptyId { row });
            }
            if let Some(price) = item.price
                && !(price.is_finite() && price >= 0.0)
            {
                return Err(CatalogueError::Price {
                    id: item.id.clone(),
                    price,
                });
            }
            if let Some((name, value)) = item.numbers.iter().find(|(_, value)| !value.is_finite()) {
                return Err(CatalogueError::Number {
                    id: item.id.clone(),
                    name: name.clone(),
                    value: *value,
                });
            }
            check_vector(item, vector_len)?;
            if index.insert(item.id.clone(), row as u32).is_some() {
                return Err(CatalogueError::RepeatedId { id: item.id.clone() });
            }
        }
        check_other_names(&items, &index)?;
        let categories = vocabulary(items.iter().map(|item| item.category.as_str()));
        let brands = vocabulary(items.iter().map(|item| item.brand.as_str()));
        let price_edges = price_edges(&items);
        let features = items
            .iter()
            .map(|item| ItemFeatures {
                category: position(&categories, &item.category),
                brand: position(&brands, &item.brand),
                price_bucket: item.price.map_or(0, |price| {
                    1 + price_edges.partition_point(|edge| *edge < price) as u32
                }),
            })
            .collect();
        Ok(Self {
            items,
            index,
            categories,
            brands,
            price_edges,
            features,
        })
    }

    /// The items in order.
    pub fn items(&self) -> &[Item] {
        &self.items
    }

    /// How many items.
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// Never true: a catalogue has at least one item.
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// The row of the item called `id`.
    pub fn row(&self, id: &str) -> Option<u32> {
        self.index.get(id).copied()
    }

    /// Each item's features, in row order.
    pub fn features(&self) -> &[ItemFeatures] {
        &self.features
    }

    /// Category names, sorted; 0 is "unknown" (empty).
    pub fn categories(&self) -> &[String] {
        &self.categories
    }

    /// Brand names, sorted; 0 is "unknown" (empty).
    pub fn brands(&self) -> &[String] {
        &self.brands
    }

    /// The prices that separate the buckets, ascending; at most [`PRICE_BUCKETS`] - 1.
    pub fn price_edges(&self) -> &[f64] {
        &self.price_edges
    }

    /// The catalogue as bytes: one JSON object a line, in row order. Its digest names the catalogue.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for item in &self.items {
            // An item is strings and a finite number: it always has a JSON form.
            bytes.extend_from_slice(&serde_json::to_vec(item).expect("an item has a JSON form"));
            bytes.push(b'\n');
        }
        bytes
    }

    /// Reads what [`Catalogue::to_bytes`] wrote.
    ///
    /// # Errors
    /// A line that is no item, and all of [`Catalogue::new`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, CatalogueError> {
        let items = bytes
            .split(|byte| *byte == b'\n')
            .enumerate()
            .filter(|(_, line)| !line.is_empty())
            .map(|(number, line)| {
                serde_json::from_slice(line).map_err(|source| match later_format(number, line) {
                    Some(found) => CatalogueError::Format(FormatError { found, known: 1 }),
                    None => CatalogueError::Line {
                        line: number + 1,
                        source,
                    },
                })
            })
            .collect::<Result<Vec<Item>, _>>()?;
        Self::new(items)
    }

    /// The digest of [`Catalogue::to_bytes`].
    pub fn digest(&self) -> Digest {
        Digest::of(&self.to_bytes())
    }
}

/// The later format that a catalogue says it is of on its first line; one of the first format has no such line.
fn later_format(number: usize, line: &[u8]) -> Option<u32> {
    #[derive(Deserialize)]
    struct Head {
        format: u32,
    }
    let head = serde_json::from_slice::<Head>(line).ok()?;
    (number == 0).then_some(head.format)
}

fn check_vector(item: &Item, expected: usize) -> Result<(), CatalogueError> {
    let got = item.vector.len();
    if got > VECTOR_NUMBERS || (got > 0 && got != expected) {
        return Err(CatalogueError::VectorLength {
            id: item.id.clone(),
            got,
            expected: expected.min(VECTOR_NUMBERS),
        });
    }
    // Not a number is not within any bound.
    let within = |value: &&f32| value.abs() <= MOST_IN_VECTOR;
    match item.vector.iter().find(|value| !within(value)) {
        Some(value) => Err(CatalogueError::VectorNumber {
            id: item.id.clone(),
            value: *value,
        }),
        None => Ok(()),
    }
}

/// Whatever else an item is called, it is called alone.
fn check_other_names(items: &[Item], index: &HashMap<String, u32>) -> Result<(), CatalogueError> {
    let (mut gtins, mut aliases) = (HashMap::new(), HashMap::new());
    for (row, item) in items.iter().enumerate() {
        let shared = |name: &str, other: &str| CatalogueError::SharedName {
            name: name.to_owned(),
            ids: [other.to_owned(), item.id.clone()],
        };
        if !item.gtin.is_empty() {
            let bare = bare_gtin(&item.gtin).ok_or_else(|| CatalogueError::Gtin {
                id: item.id.clone(),
                gtin: item.gtin.clone(),
            })?;
            if let Some(other) = gtins.insert(bare, &item.id) {
                return Err(shared(&item.gtin, other));
            }
        }
        for alias in &item.aliases {
            let other = aliases
                .insert(alias.as_str(), &item.id)
                .filter(|other| **other != item.id);
            let named = index.get(alias).filter(|named| **named as usize != row);
            let named = named.map(|named| &items[*named as usize].id);
            if let Some(other) = other.or(named) {
                return Err(shared(alias, other));
            }
        }
    }
    Ok(())
}

fn vocabulary<'a>(names: impl Iterator<Item = &'a str>) -> Vec<String> {
    let distinct: std::collections::BTreeSet<&str> = names.filter(|name| !name.is_empty()).collect();
    std::iter::once("").chain(distinct).map(str::to_owned).collect()
}

fn position(vocabulary: &[String], name: &str) -> u32 {
    vocabulary
        .binary_search_by(|known| known.as_str().cmp(name))
        .unwrap_or(0) as u32
}

fn price_edges(items: &[Item]) -> Vec<f64> {
    let mut prices: Vec<f64> = items.iter().filter_map(|item| item.price).collect();
    prices.sort_by(f64::total_cmp);
    let mut edges: Vec<f64> = (1..PRICE_BUCKETS)
        .filter_map(|bucket| prices.get(bucket * prices.len() / PRICE_BUCKETS).copied())
        .collect();
    edges.dedup();
    edges
}

/// Why a list of items is no catalogue.
#[derive(Debug, thiserror::Error)]
pub enum CatalogueError {
    /// No items.
    #[error("the catalogue has no items")]
    Empty,
    /// Too many items.
    #[error("the catalogue has {got} items; at most {most} are supported")]
    TooMany {
        /// How many there are.
        got: usize,
        /// How many there may be.
        most: usize,
    },
    /// An item without id.
    #[error("item {row} of the catalogue has an empty item_id")]
    EmptyId {
        /// Its row, from 0.
        row: usize,
    },
    /// Two items with one id.
    #[error("item_id {id:?} stands in the catalogue twice")]
    RepeatedId {
        /// The id.
        id: String,
    },
    /// A price that is none.
    #[error("item {id:?} has the price {price}; a price is a finite number, 0 or more, or empty")]
    Price {
        /// The item's id.
        id: String,
        /// The price as read.
        price: f64,
    },
    /// A number that is none.
    #[error("item {id:?} has {value} as its {name:?}; a number is finite, or left out")]
    Number {
        /// The item's id.
        id: String,
        /// What the number is called.
        name: String,
        /// The number as read.
        value: f64,
    },
    /// A vector of another length than the others', or of too many numbers.
    #[error(
        "item {id:?} has a vector of {got} numbers; here it must have {expected}, at most {VECTOR_NUMBERS}, or be left out"
    )]
    VectorLength {
        /// The item's id.
        id: String,
        /// How many numbers it has.
        got: usize,
        /// How many the first vector of the catalogue has, or may have.
        expected: usize,
    },
    /// A number of a vector that is none, or too large.
    #[error(
        "item {id:?} has {value} in its vector; these numbers are finite, from -{MOST_IN_VECTOR} to {MOST_IN_VECTOR}"
    )]
    VectorNumber {
        /// The item's id.
        id: String,
        /// The number as read.
        value: f32,
    },
    /// A barcode's number that is none.
    #[error(
        "item {id:?} has the gtin {gtin:?}; one has up to {GTIN_DIGITS} digits and nothing else, or is left out"
    )]
    Gtin {
        /// The item's id.
        id: String,
        /// As read.
        gtin: String,
    },
    /// A barcode's number or an alias of two items.
    #[error("{name:?} is a name of two items, {:?} and {:?}: take it away from one", ids[0], ids[1])]
    SharedName {
        /// The number or alias.
        name: String,
        /// The items' ids.
        ids: [String; 2],
    },
    /// Of another format.
    #[error("the catalogue: {0}")]
    Format(FormatError),
    /// A line that is no item.
    #[error("line {line} of the catalogue is no item")]
    Line {
        /// From 1.
        line: usize,
        /// What is wrong with it.
        source: serde_json::Error,
    },
}

/// Most items of a catalogue.
pub const MAX_ITEMS: usize = 4_000_000;

/// Most digits of a barcode's number.
pub const GTIN_DIGITS: usize = 14;

/// Most numbers of an item's vector.
pub const VECTOR_NUMBERS: usize = 64;

/// The largest magnitude of a number in a vector. At mean square length 1 even a lone vector among [`MAX_ITEMS`] is
/// shorter than 2,001.
pub const MOST_IN_VECTOR: f32 = 1e4;

#[cfg(test)]
mod tests;
