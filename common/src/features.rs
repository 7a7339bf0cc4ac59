//! The public features of a catalogue's items, by one rule for every set.
//!
//! A column for each category, brand and tag; for each word of three or more letters in a title; and for numbers (the
//! price, in logarithms, and every number column) triangular bins around quantiles of the catalogue's own values. Only
//! columns that at least [`LEAST_ITEMS`] items have are kept. Behind them stands a column for each number of the items'
//! vectors, as they are: at mean square length 1, as an import makes them, an item's vector weighs as much as its one
//! category, whose column is 1. Nothing but the public catalogue goes in.

use std::collections::{BTreeMap, BTreeSet};

use crate::catalogue::{Catalogue, Item};

/// Where a column comes from.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum ColumnKind {
    /// A category.
    Category,
    /// A brand.
    Brand,
    /// A tag.
    Tag,
    /// A word of titles.
    Word,
    /// A bin of a number.
    Number,
    /// A number of the items' vectors.
    Vector,
}

/// One column of features.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Column {
    /// Where it comes from.
    pub kind: ColumnKind,
    /// The value, the word, the number's name and the middle of the bin, or the place in the vector.
    pub name: String,
}

/// A sparse matrix, a row an item: `value[indptr[i]..indptr[i + 1]]` stand in the columns `index[..]`, ascending.
#[derive(Clone, Debug, PartialEq)]
pub struct Features {
    described: Vec<Column>,
    columns: usize,
    indptr: Vec<usize>,
    index: Vec<u32>,
    value: Vec<f32>,
    codes: Vec<Option<f64>>,
    published: Vec<Option<i64>>,
}

impl Default for Features {
    fn default() -> Self {
        Self::from_rows(0, Vec::new())
    }
}

impl Features {
    /// Those of a catalogue, a row an item in its order.
    pub fn of(catalogue: &Catalogue) -> Self {
        let items = catalogue.items();
        let knots = knots(items);
        let rows: Vec<BTreeMap<Column, f32>> = items.iter().map(|item| described(item, &knots)).collect();
        let mut counts: BTreeMap<&Column, usize> = BTreeMap::new();
        for column in rows.iter().flat_map(BTreeMap::keys) {
            *counts.entry(column).or_default() += 1;
        }
        counts.retain(|_, count| *count >= LEAST_ITEMS);
        let places: BTreeMap<&Column, u32> = (0..)
            .zip(counts.keys())
            .map(|(at, column)| (*column, at))
            .collect();
        let dimensions = dimensions(items);
        let sparse = rows
            .iter()
            .zip(items)
            .map(|(row, item)| {
                let kept = row
                    .iter()
                    .filter_map(|(column, value)| Some((*places.get(column)?, *value)));
                let vector = (places.len() as u32..)
                    .zip(&dimensions)
                    .filter_map(|(at, place)| {
                        let value = item.vector.get(*place)?;
                        (*value != 0.0).then_some((at, *value))
                    });
                kept.chain(vector).collect()
            })
            .collect();
        let mut features = Self::from_rows(places.len() + dimensions.len(), sparse);
        let vector = dimensions.iter().map(|place| Column {
            kind: ColumnKind::Vector,
            name: place.to_string(),
        });
        features.described = places.into_keys().cloned().chain(vector).collect();
        features.codes = items.iter().map(|item| item.numbers.get(CODE).copied()).collect();
        features.published = items.iter().map(|item| item.published).collect();
        features
    }

    /// From rows of (column, value) below `columns`; each row is sorted by column, and entries of one column are added.
    /// Entries beyond `columns` are dropped.
    pub fn from_rows(columns: usize, rows: Vec<Vec<(u32, f32)>>) -> Self {
        let column = |at: usize| Column {
            kind: ColumnKind::Tag,
            name: at.to_string(),
        };
        let mut features = Self {
            described: (0..columns).map(column).collect(),
            columns,
            indptr: vec![0],
            index: Vec::new(),
            value: Vec::new(),
            codes: vec![None; rows.len()],
            published: vec![None; rows.len()],
        };
        for row in rows {
            let mut sums: BTreeMap<u32, f32> = BTreeMap::new();
            for (column, value) in row {
                if (column as usize) < columns {
                    *sums.entry(column).or_default() += value;
                }
            }
            features.index.extend(sums.keys());
            features.value.extend(sums.values());
            features.indptr.push(features.index.len());
        }
        features
    }

    /// How many items, with features or without.
    pub fn items(&self) -> usize {
        self.indptr.len() - 1
    }

    /// How many columns.
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// What each column is, in order.
    pub fn described(&self) -> &[Column] {
        &self.described
    }

    /// An item's columns, ascending, and their values; none of an item that there is not.
    pub fn row(&self, item: usize) -> (&[u32], &[f32]) {
        let bounds = self.indptr.get(item).zip(self.indptr.get(item + 1));
        let range = bounds.map_or(0..0, |(from, to)| *from..*to);
        (&self.index[range.clone()], &self.value[range])
    }

    /// Whether there is no column: nothing is known of any item.
    pub fn is_empty(&self) -> bool {
        self.columns == 0
    }

    /// Each item's article code, if it has one; an item's number called [`CODE`].
    pub fn codes(&self) -> &[Option<f64>] {
        &self.codes
    }

    /// When each item came out, in seconds since 1970, if that is known; in no column.
    pub fn published(&self) -> &[Option<i64>] {
        &self.published
    }

    /// The same with these dates, one an item.
    pub fn with_published(mut self, published: Vec<Option<i64>>) -> Self {
        self.published = published;
        self.published.resize(self.items(), None);
        self
    }

    /// How many items have each column (a value other than 0), in order.
    pub fn item_counts(&self) -> Vec<u32> {
        let mut counts = vec![0; self.columns];
        for (column, value) in self.index.iter().zip(&self.value) {
            counts[*column as usize] += u32::from(*value != 0.0);
        }
        counts
    }
}

/// A number of this name is an article code: it gets no bins.
pub const CODE: &str = "code";

/// Columns of fewer items say nothing.
pub const LEAST_ITEMS: usize = 3;

/// Most bins of a number.
const BINS: usize = 16;

/// Fewest letters of a word.
const LETTERS: usize = 3;

const PRICE: &str = "price";

/// Prices below this are taken for this, in the catalogue's currency.
const LEAST_PRICE: f64 = 0.05;

/// An item's numbers on the scale of their bins.
fn numbers(item: &Item) -> impl Iterator<Item = (&str, f64)> {
    let price = item.price.map(|price| (PRICE, libm::log(price.max(LEAST_PRICE))));
    let others = item.numbers.iter().map(|(name, value)| (name.as_str(), *value));
    price.into_iter().chain(others.filter(|(name, _)| *name != CODE))
}

/// The middles of each number's bins: distinct quantiles of the catalogue's values, ascending.
fn knots(items: &[Item]) -> BTreeMap<&str, Vec<f64>> {
    let mut values: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
    for (name, value) in items.iter().flat_map(numbers) {
        values.entry(name).or_default().push(value);
    }
    for sorted in values.values_mut() {
        sorted.sort_by(f64::total_cmp);
        let last = sorted.len() - 1;
        let mut knots: Vec<f64> = (0..BINS).map(|at| sorted[at * last / (BINS - 1)]).collect();
        knots.dedup();
        *sorted = knots;
    }
    values
}

/// The places of the vectors at which enough items have a number other than 0, ascending.
fn dimensions(items: &[Item]) -> Vec<usize> {
    let mut counts = vec![0; items.iter().map(|item| item.vector.len()).max().unwrap_or(0)];
    for vector in items.iter().map(|item| &item.vector) {
        for (count, value) in counts.iter_mut().zip(vector) {
            *count += usize::from(*value != 0.0);
        }
    }
    (0..counts.len())
        .filter(|place| counts[*place] >= LEAST_ITEMS)
        .collect()
}

fn described(item: &Item, knots: &BTreeMap<&str, Vec<f64>>) -> BTreeMap<Column, f32> {
    let column = |kind, name: &str| Column {
        kind,
        name: name.to_owned(),
    };
    let mut row = BTreeMap::new();
    let named = [
        (ColumnKind::Category, &item.category),
        (ColumnKind::Brand, &item.brand),
    ]
    .into_iter()
    .chain(item.tags.iter().map(|tag| (ColumnKind::Tag, tag)));
    for (kind, name) in named.filter(|(_, name)| !name.is_empty()) {
        row.insert(column(kind, name), 1.0);
    }
    for word in words(&item.title) {
        row.insert(column(ColumnKind::Word, &word), 1.0);
    }
    for (name, value) in numbers(item) {
        for (knot, weight) in bins(&knots[name], value) {
            row.insert(
                column(ColumnKind::Number, &format!("{name} {knot}")),
                weight as f32,
            );
        }
    }
    row
}

fn words(title: &str) -> BTreeSet<String> {
    title
        .to_lowercase()
        .split(|letter: char| !letter.is_alphabetic())
        .filter(|word| word.chars().count() >= LETTERS)
        .map(str::to_owned)
        .collect()
}

/// The one or two knots around `value` and how near it is to each; the weights add up to 1.
fn bins(knots: &[f64], value: f64) -> Vec<(f64, f64)> {
    let above = knots.partition_point(|knot| *knot < value);
    match (above.checked_sub(1).map(|below| knots[below]), knots.get(above)) {
        (Some(low), Some(high)) => {
            let share = (value - low) / (high - low);
            let both = [(low, 1.0 - share), (*high, share)];
            both.into_iter().filter(|(_, weight)| *weight > 0.0).collect()
        }
        (Some(only), None) => vec![(only, 1.0)],
        (None, Some(only)) => vec![(*only, 1.0)],
        (None, None) => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn film(at: usize, title: &str) -> Item {
        Item {
            title: title.into(),
            category: "film".into(),
            price: Some(1.0),
            tags: vec![if at.is_multiple_of(2) { "even" } else { "odd" }.into()],
            numbers: BTreeMap::from([("year".into(), 1990.0 + at as f64), (CODE.into(), 7.0)]),
            ..Item::bare(format!("i{at}"))
        }
    }

    #[test]
    fn words_tags_and_numbers_become_columns_that_three_items_have() {
        let titles = [
            "Thé VERT au citron",
            "thé vert",
            "Vert, thé!",
            "rot",
            "ein",
            "aus",
        ];
        let items = titles.iter().enumerate().map(|(at, title)| film(at, title));
        let features = Features::of(&Catalogue::new(items.collect()).unwrap());
        let names: Vec<&str> = features
            .described()
            .iter()
            .map(|column| column.name.as_str())
            .collect();
        assert_eq!(names, ["film", "even", "odd", "thé", "vert", "price 0"]);
        assert_eq!(features.row(0), (&[0, 1, 3, 4, 5][..], &[1.0; 5][..]));
        assert_eq!(features.row(5).0, [0, 2, 5]);
        assert_eq!(features.item_counts(), [6, 3, 3, 3, 3, 6]);
        assert_eq!(features.codes()[3], Some(7.0));
    }

    #[test]
    fn bins_are_hats_that_add_up_to_one() {
        assert_eq!(bins(&[1.0, 3.0, 4.0], 2.5), [(1.0, 0.25), (3.0, 0.75)]);
        assert_eq!(bins(&[1.0, 3.0], 3.0), [(3.0, 1.0)]);
        assert_eq!(bins(&[1.0, 3.0], 0.0), [(1.0, 1.0)]);
        assert_eq!(bins(&[1.0, 3.0], 9.0), [(3.0, 1.0)]);
        assert!(bins(&[], 9.0).is_empty());
        let items = (0..300)
            .map(|at| film(at % 100, ""))
            .enumerate()
            .map(|(at, item)| Item {
                id: at.to_string(),
                ..item
            });
        let features = Features::of(&Catalogue::new(items.collect()).unwrap());
        let years: Vec<u32> = (0..)
            .zip(features.described())
            .filter(|(_, column)| column.name.starts_with("year"))
            .map(|(at, _)| at)
            .collect();
        assert_eq!(years.len(), BINS);
        for item in 0..features.items() {
            let (columns, values) = features.row(item);
            let sum: f32 = columns
                .iter()
                .zip(values)
                .filter(|(at, _)| years.contains(at))
                .map(|(_, v)| v)
                .sum();
            assert!((sum - 1.0).abs() < 1e-6, "{item}: {sum}");
        }
    }

    #[test]
    fn vectors_stand_behind_the_other_columns_as_they_are() {
        let vectors: [&[f32]; 5] = [
            &[0.5, 1.0, 0.0],
            &[0.25, 0.0, 1.0],
            &[],
            &[-1.0, 0.0, 2.0],
            &[2.0, 1.0, 3.0],
        ];
        let items = vectors.iter().enumerate().map(|(at, vector)| Item {
            vector: vector.to_vec(),
            retired: false,
            ..film(at, "")
        });
        let features = Features::of(&Catalogue::new(items.clone().collect()).unwrap());
        let bare = items.map(|item| Item {
            vector: Vec::new(),
            retired: false,
            ..item
        });
        let bare = Features::of(&Catalogue::new(bare.collect()).unwrap());
        let (before, added) = features.described().split_at(bare.columns());
        assert_eq!(before, bare.described());
        // Two items only have something at place 1.
        let names: Vec<&str> = added.iter().map(|column| column.name.as_str()).collect();
        assert_eq!(names, ["0", "2"]);
        assert!(added.iter().all(|column| column.kind == ColumnKind::Vector));
        for (at, wanted) in [&[0.5][..], &[0.25, 1.0], &[], &[-1.0, 2.0], &[2.0, 3.0]]
            .iter()
            .enumerate()
        {
            let (known, values) = (bare.row(at).0.len(), features.row(at).1);
            assert_eq!((&values[..known], &values[known..]), (bare.row(at).1, *wanted));
        }
    }

    #[test]
    fn a_catalogue_of_bare_items_has_no_column() {
        let items = (0..4).map(|at| Item::bare(at.to_string())).collect();
        let features = Features::of(&Catalogue::new(items).unwrap());
        assert!(features.is_empty());
        assert_eq!(
            (features.items(), features.columns(), features.row(3).0.len()),
            (4, 0, 0)
        );
    }
}
