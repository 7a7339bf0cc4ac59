//! Items read off an update: one score an item, higher for those that the customer has.

use souk_common::model::config::TrainConfig;
use souk_common::numeric::eigen::symmetric;

use super::observed_round::ObservedRound;

/// By what the round sums: counts of a popularity release as they are; else the rows of a table along the direction that
/// most of them have, which is the customer's own vector; with biases of items, their sign.
pub(super) fn items(observed: &ObservedRound, seen: &[f64]) -> Vec<f64> {
    let count = observed.items();
    let Some(model) = observed.model() else {
        return match seen.len() == count {
            true => seen.to_vec(),
            false => along(seen, seen.len() / count.max(1)),
        };
    };
    let layout = model.layout();
    let table = &seen[..count * layout.width()];
    let biases = layout.block("item.bias").map(|block| &seen[block.range()]);
    match (model.recommender().train(), biases) {
        // Bought pulls up, drawn ones down.
        (TrainConfig::Sgd(_), Some(biases)) => biases.to_vec(),
        // Rated items alone are touched, whichever way.
        (TrainConfig::Stars(_), _) => {
            let rows = table.chunks_exact(layout.width());
            rows.map(|row| row.iter().map(|value| value * value).sum())
                .collect()
        }
        _ => along(table, layout.width()),
    }
}

/// Each row's part along the leading right singular vector, the largest of them above 0.
///
/// # Shapes
/// table: `[items, width]`; result: `[items]`.
pub(super) fn along(table: &[f64], width: usize) -> Vec<f64> {
    let direction = leading(table, width);
    let rows = table.chunks_exact(width.max(1));
    let mut scores: Vec<f64> = rows
        .map(|row| {
            row.iter()
                .zip(&direction)
                .map(|(value, along)| value * along)
                .sum()
        })
        .collect();
    let largest = scores
        .iter()
        .fold(0.0, |largest: f64, score| match score.abs() > largest.abs() {
            true => *score,
            false => largest,
        });
    if largest < 0.0 {
        scores.iter_mut().for_each(|score| *score = -*score);
    }
    scores
}

/// By a collaborative statistic: rows of items that the customer does not have are all against one direction, the others are not. Each
/// row's length, less that of its part against that direction; the direction is found again without the `count` rows that look most
/// unlike it.
///
/// # Shapes
/// table: `[items, width]`; result: `[items]`.
pub(super) fn basket(table: &[f64], width: usize, count: usize) -> Vec<f64> {
    let rows = || table.chunks_exact(width.max(1));
    let mut others = table.to_vec();
    let mut scores = Vec::new();
    for _ in 0..PASSES {
        let direction = leading(&others, width);
        let part = |row: &[f64]| {
            row.iter()
                .zip(&direction)
                .map(|(value, along)| value * along)
                .sum::<f64>()
        };
        // Most rows are against it.
        let sign = if others.chunks_exact(width.max(1)).map(part).sum::<f64>() > 0.0 {
            -1.0
        } else {
            1.0
        };
        let length = |row: &[f64]| row.iter().map(|value| value * value).sum::<f64>().sqrt();
        scores = rows().map(|row| length(row) + sign * part(row)).collect();
        let mut order: Vec<usize> = (0..scores.len()).collect();
        order.sort_by(|a, b| scores[*b].total_cmp(&scores[*a]));
        others.copy_from_slice(table);
        for item in order.into_iter().take(count) {
            others[item * width..][..width].fill(0.0);
        }
    }
    scores
}

/// The leading right singular vector. Shape: `[width]`.
pub(super) fn leading(table: &[f64], width: usize) -> Vec<f64> {
    let mut gram = vec![0.0; width * width];
    for row in table.chunks_exact(width.max(1)) {
        for (at, value) in row.iter().enumerate() {
            let cells = gram[at * width..][..width].iter_mut();
            cells.zip(row).for_each(|(cell, other)| *cell += value * other);
        }
    }
    let found = symmetric(&gram, width).vectors.into_iter().next();
    found.unwrap_or_else(|| vec![0.0; width])
}

const PASSES: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_of_an_outer_product_are_read_off_whatever_its_sign() {
        let (rows, columns) = ([0.1, -2.0, 0.3, 1.5], [0.6, -0.8]);
        for sign in [1.0, -1.0] {
            let outer = rows
                .iter()
                .flat_map(|row| columns.iter().map(move |column| sign * row * column));
            let table: Vec<f64> = outer.collect();
            let found = along(&table, 2);
            for (found, row) in found.iter().zip(rows) {
                assert!((found + row).abs() < 1e-9, "{found} {row}");
            }
        }
        assert_eq!(along(&[0.0; 6], 2), [0.0; 3]);
    }
}
