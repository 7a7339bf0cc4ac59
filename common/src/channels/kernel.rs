//! An item-to-item matrix: whole where the catalogue is small, the strongest entries of each row where it is large.

use std::sync::Arc;

use rayon::prelude::*;

use super::{Channel, Channels, Group, Recency};
use crate::numeric::{Sparse, add_scaled};

/// Row i holds what the item i says of all others.
#[derive(Debug)]
pub struct ItemKernel {
    items: usize,
    rows: Rows,
}

#[derive(Debug)]
enum Rows {
    Whole(Vec<f32>),
    Lists(Sparse),
}

impl ItemKernel {
    /// Built row by row on all cores: `fill` adds the entries of its row to its sums. Above [`MOST_WHOLE`] items
    /// each row keeps its [`LISTED`] strongest entries.
    pub fn build(items: usize, fill: impl Fn(usize, &mut RowSums) + Sync) -> Self {
        Self::build_as(items, items <= MOST_WHOLE, fill)
    }

    pub(super) fn build_as(items: usize, whole: bool, fill: impl Fn(usize, &mut RowSums) + Sync) -> Self {
        let start = || RowSums::new(items);
        let rows = if whole {
            let mut matrix = vec![0.0; items * items];
            matrix
                .par_chunks_mut(items.max(1))
                .enumerate()
                .with_min_len(ROWS_AT_ONCE)
                .for_each_init(start, |sums, (item, row)| {
                    fill(item, sums);
                    sums.drain(|other, value| row[other as usize] = value as f32);
                });
            Rows::Whole(matrix)
        } else {
            let lists: Vec<Vec<(u32, f32)>> = (0..items)
                .into_par_iter()
                .with_min_len(ROWS_AT_ONCE)
                .map_init(start, |sums, item| {
                    fill(item, sums);
                    let mut list = Vec::new();
                    sums.drain(|other, value| list.push((other, value as f32)));
                    strongest(list)
                })
                .collect();
            Rows::Lists(Sparse::from_rows(items, lists))
        };
        Self { items, rows }
    }

    /// `out += scale row`. Shape: `[items]`.
    pub fn add_row(&self, item: usize, scale: f32, out: &mut [f32]) {
        match &self.rows {
            Rows::Whole(matrix) => add_scaled(scale, &matrix[item * self.items..][..self.items], out),
            Rows::Lists(lists) => lists.add_row(item, scale, out),
        }
    }

    /// Bytes in memory.
    pub fn bytes(&self) -> usize {
        match &self.rows {
            Rows::Whole(matrix) => size_of_val(&**matrix),
            Rows::Lists(lists) => lists.bytes(),
        }
    }
}

/// Sums of one row, and which entries have any.
#[derive(Debug)]
pub struct RowSums {
    sums: Vec<f64>,
    marked: Vec<bool>,
    touched: Vec<u32>,
}

impl RowSums {
    fn new(items: usize) -> Self {
        Self {
            sums: vec![0.0; items],
            marked: vec![false; items],
            touched: Vec::new(),
        }
    }

    /// Adds to an entry.
    pub fn add(&mut self, item: u32, value: f64) {
        let at = item as usize;
        if !self.marked[at] {
            self.marked[at] = true;
            self.touched.push(item);
        }
        self.sums[at] += value;
    }

    /// Takes an entry out.
    pub fn clear(&mut self, item: u32) {
        self.sums[item as usize] = 0.0;
    }

    /// Replaces each sum.
    pub fn map(&mut self, of: impl Fn(f64) -> f64) {
        for item in &self.touched {
            let sum = &mut self.sums[*item as usize];
            *sum = of(*sum);
        }
    }

    fn drain(&mut self, mut each: impl FnMut(u32, f64)) {
        // Many are sorted faster by walking past all.
        if self.touched.len() > self.sums.len() / DENSE {
            self.touched.clear();
            self.touched.extend(
                (0..)
                    .zip(&self.marked)
                    .filter(|(_, marked)| **marked)
                    .map(|(at, _)| at),
            );
        } else {
            self.touched.sort_unstable();
        }
        for item in self.touched.drain(..) {
            let at = item as usize;
            if self.sums[at] != 0.0 {
                each(item, self.sums[at]);
            }
            (self.sums[at], self.marked[at]) = (0.0, false);
        }
    }
}

/// The entries that are largest in size, of equals the first, by item.
fn strongest(mut list: Vec<(u32, f32)>) -> Vec<(u32, f32)> {
    if list.len() > LISTED {
        list.select_nth_unstable_by(LISTED, |a, b| b.1.abs().total_cmp(&a.1.abs()).then(a.0.cmp(&b.0)));
        list.truncate(LISTED);
        list.sort_unstable_by_key(|(item, _)| *item);
    }
    // A hundred thousand lists would keep the room of all that was cut.
    list.shrink_to_fit();
    list
}

/// A kernel as channels, one for each way to fade.
pub fn channels(name: &str, group: Group, kernel: ItemKernel, decays: &[f32]) -> Channels {
    let kernel = Arc::new(kernel);
    let channel = |decay: &f32| -> Arc<dyn Channel> {
        Arc::new(KernelChannel {
            name: format!("{name}:{decay}"),
            group,
            decay: *decay,
            kernel: Arc::clone(&kernel),
        })
    };
    decays.iter().map(channel).collect()
}

struct KernelChannel {
    name: String,
    group: Group,
    decay: f32,
    kernel: Arc<ItemKernel>,
}

impl Channel for KernelChannel {
    fn name(&self) -> &str {
        &self.name
    }

    fn group(&self) -> Group {
        self.group
    }

    fn decay(&self) -> Option<f32> {
        Some(self.decay)
    }

    fn score(&self, of: Recency<'_>, out: &mut [f32]) {
        out.fill(0.0);
        for (item, weight) in of.iter() {
            self.kernel.add_row(item, weight, out);
        }
    }

    fn bytes(&self) -> usize {
        self.kernel.bytes()
    }
}

/// Catalogues up to here have whole matrices: 64 MB each at most.
pub const MOST_WHOLE: usize = 4000;

/// Entries of a row that are kept above that.
pub const LISTED: usize = 400;

/// A row is full if more than one in these many entries has a sum.
const DENSE: usize = 16;

/// Rows that share their sums.
const ROWS_AT_ONCE: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_keep_the_strongest_entries_and_are_the_whole_where_they_fit() {
        let fill = |item: usize, sums: &mut RowSums| {
            for other in 0..50 {
                sums.add(other, f64::from(other) - item as f64);
            }
        };
        let (whole, lists) = (
            ItemKernel::build_as(50, true, fill),
            ItemKernel::build_as(50, false, fill),
        );
        for item in 0..50 {
            let (mut a, mut b) = (vec![0.0; 50], vec![0.0; 50]);
            whole.add_row(item, 2.0, &mut a);
            lists.add_row(item, 2.0, &mut b);
            assert_eq!(a, b);
            assert_eq!(a[3], 2.0 * (3.0 - item as f32));
        }
        let many = (0..2 * LISTED as u32).map(|item| (item, if item % 2 == 0 { -9.0 } else { 1.0 }));
        let kept = strongest(many.collect());
        assert_eq!(kept.len(), LISTED);
        assert!(kept.iter().all(|(item, _)| item % 2 == 0) && kept.is_sorted_by_key(|(item, _)| *item));
    }
}
