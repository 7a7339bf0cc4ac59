//! Items that are alike by their public features: cosines, the cube of one, neighbouring article codes, and vectors that a
//! model from outside has made.
//!
//! Each is a kernel with an empty diagonal. They depend on the public catalogue alone.

use std::sync::Arc;

use super::kernel::{self, ItemKernel};
use super::{BOTH_DECAYS, Channel, Channels, Group, Recency};
use crate::features::{ColumnKind, Features};
use crate::numeric::Sparse;

/// Every content channel that the features allow, in a fixed order.
pub fn channels(features: &Features) -> Channels {
    let kinds = |kind| move |of: ColumnKind| of == kind;
    let mut channels = Channels::new();
    // Vectors are dense: their cosines stand alone, so that those of all other features stay sparse.
    if let Some(all) = unit_rows(features, 0.5, |kind| kind != ColumnKind::Vector) {
        let cube = cubed(&all);
        channels.extend(cosines("content", all));
        channels.extend(kernel::channels(
            "content cubed",
            Group::Content,
            cube,
            &BOTH_DECAYS,
        ));
    }
    if let Some(words) = unit_rows(features, 1.0, kinds(ColumnKind::Word)) {
        channels.extend(cosines("words", words));
    }
    if let Some(category) = unit_rows(features, 0.0, kinds(ColumnKind::Category)) {
        channels.extend(cosines("category", category));
    }
    if features.codes().iter().any(Option::is_some) {
        let kernel = neighbours(features.codes());
        channels.extend(kernel::channels("code", Group::Content, kernel, &BOTH_DECAYS));
    }
    if let Some(vectors) = unit_rows(features, 0.0, kinds(ColumnKind::Vector)) {
        channels.extend(cosines("vectors", vectors));
    }
    channels
}

/// Features of some kinds weighted by log(items / items that have it)^power, rows of length 1; none if there are none.
fn unit_rows(features: &Features, power: f64, wanted: impl Fn(ColumnKind) -> bool) -> Option<Sparse> {
    let items = features.items() as f64;
    let weights: Vec<Option<f64>> = features
        .described()
        .iter()
        .zip(features.item_counts())
        .map(|(column, count)| {
            let rarity = libm::log(items / f64::from(count.max(1)));
            wanted(column.kind).then(|| libm::pow(rarity, power))
        })
        .collect();
    weights.iter().any(Option::is_some).then(|| {
        let row = |item| {
            let (columns, values) = features.row(item);
            let entries = columns.iter().zip(values);
            let weighted: Vec<(u32, f64)> = entries
                .filter_map(|(column, value)| Some((*column, weights[*column as usize]? * f64::from(*value))))
                .collect();
            let length = weighted
                .iter()
                .map(|(_, value)| value * value)
                .sum::<f64>()
                .sqrt()
                .max(1e-6);
            weighted
                .into_iter()
                .map(|(column, value)| (column, (value / length) as f32))
                .collect()
        };
        Sparse::from_rows(features.columns(), (0..features.items()).map(row))
    })
}

/// The cube of the cosines of unit rows.
fn cubed(rows: &Sparse) -> ItemKernel {
    let turned = rows.transposed();
    ItemKernel::build(rows.rows(), |item, sums| {
        let (columns, values) = rows.row(item);
        for (column, value) in columns.iter().zip(values) {
            let (others, theirs) = turned.row(*column as usize);
            for (other, their) in others.iter().zip(theirs) {
                sums.add(*other, f64::from(*value) * f64::from(*their));
            }
        }
        sums.clear(item as u32);
        sums.map(|cosine| cosine * cosine * cosine);
    })
}

/// exp(-|c - c'| / 3) over the items that have a code.
fn neighbours(codes: &[Option<f64>]) -> ItemKernel {
    let mut sorted: Vec<(f64, u32)> = (0..)
        .zip(codes)
        .filter_map(|(item, code)| Some(((*code)?, item)))
        .collect();
    sorted.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
    ItemKernel::build(codes.len(), |item, sums| {
        let Some(code) = codes[item] else { return };
        let first = sorted.partition_point(|(other, _)| *other < code - FAR);
        for (other, at) in sorted[first..]
            .iter()
            .take_while(|(other, _)| *other <= code + FAR)
        {
            if *at as usize != item {
                sums.add(*at, libm::exp(-(code - other).abs() / CODE_SCALE));
            }
        }
    })
}

fn cosines(name: &str, rows: Sparse) -> Channels {
    let rows = Arc::new(rows);
    let squares: Vec<f32> = (0..rows.rows())
        .map(|item| rows.row(item).1.iter().map(|value| value * value).sum())
        .collect();
    let squares = Arc::new(squares);
    let channel = |decay: &f32| -> Arc<dyn Channel> {
        Arc::new(Cosine {
            name: format!("{name}:{decay}"),
            decay: *decay,
            rows: Arc::clone(&rows),
            squares: Arc::clone(&squares),
        })
    };
    BOTH_DECAYS.iter().map(channel).collect()
}

/// The cosine of an item's features with the user's items', less the item's own share: no item-to-item matrix is needed.
struct Cosine {
    name: String,
    decay: f32,
    rows: Arc<Sparse>,
    squares: Arc<Vec<f32>>,
}

impl Channel for Cosine {
    fn name(&self) -> &str {
        &self.name
    }

    fn group(&self) -> Group {
        Group::Content
    }

    fn decay(&self) -> Option<f32> {
        Some(self.decay)
    }

    fn score(&self, of: Recency<'_>, out: &mut [f32]) {
        let mut user = vec![0.0; self.rows.columns()];
        for (item, weight) in of.iter() {
            self.rows.add_row(item, weight, &mut user);
        }
        for (item, score) in out.iter_mut().enumerate() {
            *score = self.rows.dot(item, &user);
        }
        for (item, weight) in of.iter() {
            out[item] -= weight * self.squares[item];
        }
    }

    fn bytes(&self) -> usize {
        self.rows.bytes() + size_of_val(&**self.squares)
    }
}

/// Nearness falls by e for each of these between two codes.
const CODE_SCALE: f64 = 3.0;

/// Farther codes have nothing to do with each other.
const FAR: f64 = 60.0;
