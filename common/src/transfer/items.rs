//! Rows of one catalogue in the rows of an older one.

use std::collections::HashMap;

use crate::catalogue::Catalogue;
use crate::features::Features;
use crate::numeric::add_scaled;

/// Where each item of a catalogue stands in an older one, by its id; a new item has the items that its public features are most
/// like.
#[derive(Clone, Debug, PartialEq)]
pub struct ItemMap {
    rows: Vec<Origin>,
    /// Items of the older catalogue.
    before: usize,
}

/// Where the row of an item comes from.
#[derive(Clone, Debug, PartialEq)]
enum Origin {
    /// The row that it had.
    Same(u32),
    /// The mean of rows of items that are like it, by weights that add up to 1. Empty: nothing is like it.
    Like(Vec<(u32, f32)>),
}

impl ItemMap {
    /// From the rows of `before` to those of `after`.
    pub fn new(before: &Catalogue, after: &Catalogue) -> Self {
        let known: Vec<Option<u32>> = after.items().iter().map(|item| before.row(&item.id)).collect();
        let new = known.iter().filter(|row| row.is_none()).count();
        let likeness = (new > 0).then(|| Likeness::of(after, &known));
        let rows = (0..).zip(&known).map(|(row, known)| match known {
            Some(before) => Origin::Same(*before),
            None => Origin::Like(
                likeness
                    .as_ref()
                    .map_or_else(Vec::new, |likeness| likeness.nearest(row)),
            ),
        });
        Self {
            rows: rows.collect(),
            before: before.len(),
        }
    }

    /// Items of the newer catalogue.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether the newer catalogue is empty, which none is.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Items of the older catalogue.
    pub fn before(&self) -> usize {
        self.before
    }

    /// Items that the older catalogue has, too.
    pub fn kept(&self) -> usize {
        let kept = |origin: &&Origin| matches!(origin, Origin::Same(_));
        self.rows.iter().filter(kept).count()
    }

    /// New items that nothing known is like: their rows are 0.
    pub fn strangers(&self) -> usize {
        let stranger = |origin: &&Origin| matches!(origin, Origin::Like(like) if like.is_empty());
        self.rows.iter().filter(stranger).count()
    }

    /// How many items are as they were, new and gone, for people.
    pub fn words(&self) -> String {
        format!(
            "{} items as they were, {} new ({} of them like none that is known), {} gone",
            self.kept(),
            self.len() - self.kept(),
            self.strangers(),
            self.before - self.kept()
        )
    }

    /// A table of the older catalogue's items as one of the newer one's. New items have the mean of those that they are like.
    ///
    /// # Shapes
    /// values: `[before, width]`, row-major; returns `[after, width]`.
    pub fn table(&self, values: &[f32], width: usize) -> Vec<f32> {
        let mut table = vec![0.0; self.rows.len() * width];
        let old = |row: u32| {
            values
                .get(row as usize * width..)
                .and_then(|from| from.get(..width))
        };
        for (out, origin) in table.chunks_exact_mut(width.max(1)).zip(&self.rows) {
            match origin {
                Origin::Same(row) => {
                    if let Some(old) = old(*row) {
                        out.copy_from_slice(old);
                    }
                }
                Origin::Like(like) => {
                    for (row, weight) in like {
                        if let Some(old) = old(*row) {
                            add_scaled(*weight, old, out);
                        }
                    }
                }
            }
        }
        table
    }
}

/// Cosines of items by their public features, each column weighted by the root of its idf, as content channels have them.
struct Likeness {
    rows: Vec<Vec<(u32, f32)>>,
    /// By column: known items, by their row in the older catalogue, and their values.
    holders: HashMap<u32, Vec<(u32, f32)>>,
}

impl Likeness {
    fn of(after: &Catalogue, known: &[Option<u32>]) -> Self {
        let features = Features::of(after);
        let items = after.len() as f32;
        let idf: Vec<f32> = features
            .item_counts()
            .iter()
            .map(|count| (items / (*count).max(1) as f32).ln().max(0.0).sqrt())
            .collect();
        let unit = |row: usize| -> Vec<(u32, f32)> {
            let (columns, values) = features.row(row);
            let weighted: Vec<(u32, f32)> = columns
                .iter()
                .zip(values)
                .map(|(column, value)| (*column, value * idf[*column as usize]))
                .collect();
            let norm = weighted
                .iter()
                .map(|(_, value)| value * value)
                .sum::<f32>()
                .sqrt();
            let scale = if norm > 0.0 { 1.0 / norm } else { 0.0 };
            weighted
                .into_iter()
                .map(|(column, value)| (column, value * scale))
                .collect()
        };
        let rows: Vec<Vec<(u32, f32)>> = (0..after.len()).map(unit).collect();
        let mut holders: HashMap<u32, Vec<(u32, f32)>> = HashMap::new();
        for (row, before) in rows.iter().zip(known) {
            let Some(before) = before else { continue };
            for (column, value) in row {
                holders.entry(*column).or_default().push((*before, *value));
            }
        }
        Self { rows, holders }
    }

    /// The nearest few of the known items, weighted by the square of how near they are.
    fn nearest(&self, row: usize) -> Vec<(u32, f32)> {
        let mut sums: HashMap<u32, f32> = HashMap::new();
        for (column, value) in &self.rows[row] {
            for (before, other) in self.holders.get(column).map_or(&[][..], Vec::as_slice) {
                *sums.entry(*before).or_default() += value * other;
            }
        }
        let mut near: Vec<(u32, f32)> = sums.into_iter().filter(|(_, cosine)| *cosine > 0.0).collect();
        near.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        near.truncate(NEAREST);
        let total: f32 = near.iter().map(|(_, cosine)| cosine * cosine).sum();
        near.into_iter()
            .map(|(before, cosine)| (before, cosine * cosine / total))
            .collect()
    }
}

/// Of how many known items a new one's row is the mean.
const NEAREST: usize = 10;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue::Item;

    fn item(id: &str, category: &str) -> Item {
        Item {
            category: category.to_owned(),
            ..Item::bare(id)
        }
    }

    #[test]
    fn rows_follow_ids_and_a_new_item_has_the_mean_of_its_like() {
        let kinds = ["tea", "tea", "tea", "nuts", "nuts", "nuts"];
        let old: Vec<Item> = (0..)
            .zip(kinds)
            .map(|(at, kind)| item(&format!("i{at}"), kind))
            .collect();
        let mut new: Vec<Item> = old.iter().rev().filter(|item| item.id != "i1").cloned().collect();
        new.insert(2, item("new tea", "tea"));
        new.push(item("odd", "lamp"));
        let (old, new) = (Catalogue::new(old).unwrap(), Catalogue::new(new).unwrap());
        let map = ItemMap::new(&old, &new);
        assert_eq!(
            (map.len(), map.before(), map.kept(), map.strangers()),
            (7, 6, 5, 1)
        );
        let values: Vec<f32> = (0..12).map(|value| value as f32).collect();
        let table = map.table(&values, 2);
        let row = |id: &str| &table[2 * new.row(id).unwrap() as usize..][..2];
        assert_eq!(row("i0"), [0.0, 1.0]);
        assert_eq!(row("i5"), [10.0, 11.0]);
        // Of i0 and i2; i1 is gone from the catalogue, and the others are of another category.
        assert_eq!(row("new tea"), [2.0, 3.0]);
        assert_eq!(row("odd"), [0.0, 0.0]);
        let same = ItemMap::new(&old, &old);
        assert_eq!(same.table(&values, 2), values);
    }
}
