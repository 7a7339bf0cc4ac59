//! Principal components of dense rows: few numbers that keep most of what tells the rows apart.

use ndarray::ArrayView2;

use super::eigen::{add_scaled, dot, largest};
use super::gram;

/// Rows on their principal components.
#[derive(Clone, Debug, PartialEq)]
pub struct Components {
    /// How many components, the one of the largest variance first.
    pub width: usize,
    /// At mean square length 1. Shape: `[rows, width]`, row-major.
    pub values: Vec<f32>,
    /// The share of the rows' variance that lies on these components, above 0, at most 1.
    pub variance_kept: f64,
}

/// The rows less their mean on their first `most` principal components (Pearson 1901), or on fewer where the rows span
/// fewer; none where all rows are the same up to rounding. The same bits every time.
///
/// # Shapes
/// rows: `[rows, width]`, row-major.
///
/// # Panics
/// If `rows` does not have that shape.
pub fn components(rows: &[f32], width: usize, most: usize) -> Option<Components> {
    let count = rows.len().checked_div(width).unwrap_or(0);
    assert_eq!(rows.len(), count * width, "rows of one width");
    let wide = |row: &[f32]| -> Vec<f64> { row.iter().map(|value| f64::from(*value)).collect() };
    let mut mean = vec![0.0; width];
    let mut square = 0.0;
    for row in rows.chunks_exact(width.max(1)).map(wide) {
        square += dot(&row, &row);
        add_scaled(1.0 / count as f64, &row, &mut mean);
    }
    let centred = rows.iter().zip(mean.iter().cycle());
    let centred: Vec<f32> = centred
        .map(|(value, mean)| (f64::from(*value) - mean) as f32)
        .collect();
    let scatter = gram(ArrayView2::from_shape((count, width), &centred).expect("rows of one width"));
    let all: f64 = (0..width).map(|at| scatter[at * width + at]).sum();
    if all.is_nan() || all <= EQUAL * square {
        return None;
    }
    let mut eigen = largest(width, most, |x| {
        scatter.chunks_exact(width).map(|row| dot(row, x)).collect()
    });
    let spanned = eigen
        .values
        .iter()
        .take_while(|value| **value > LEAST_SHARE * all)
        .count();
    eigen.values.truncate(spanned);
    let kept: f64 = eigen.values.iter().sum();
    let scale = (count as f64 / kept).sqrt();
    let axes = &eigen.vectors[..spanned];
    let values = centred
        .chunks_exact(width)
        .map(wide)
        .flat_map(|row| axes.iter().map(move |axis| (scale * dot(axis, &row)) as f32));
    Some(Components {
        width: spanned,
        values: values.collect(),
        variance_kept: (kept / all).min(1.0),
    })
}

/// Of the mean square length: rows whose variance is less differ by the rounding of f32 alone.
const EQUAL: f64 = 1e-12;
/// Of the variance: a component of less is rounding.
const LEAST_SHARE: f64 = 1e-9;

#[cfg(test)]
mod tests {
    use rand::RngExt;

    use super::*;
    use crate::rng::stream;

    fn square(values: &[f32]) -> f64 {
        values.iter().map(|value| f64::from(*value).powi(2)).sum()
    }

    #[test]
    fn rows_on_a_line_have_one_number_and_their_order_along_it() {
        let row = |at: u8| [1.0, -2.0, 3.0].map(|slope| f32::from(at) * slope + 7.0);
        let rows = [0, 1, 2, 3, 4].map(row).concat();
        let found = components(&rows, 3, 2).expect("they differ");
        assert_eq!((found.width, found.values.len()), (1, 5));
        assert!((found.variance_kept - 1.0).abs() < 1e-9);
        assert!((square(&found.values) / 5.0 - 1.0).abs() < 1e-6);
        // Along (1, -2, 3), whose largest entry is positive.
        let expected = [-2.0, -1.0, 0.0, 1.0, 2.0].map(|at: f32| at / 2.0_f32.sqrt());
        for (got, expected) in found.values.iter().zip(expected) {
            assert!((got - expected).abs() < 1e-5, "{found:?}");
        }
    }

    #[test]
    fn distances_survive_where_all_components_are_kept_and_less_variance_where_not() {
        let mut rng = stream(3, "rows");
        // Wider than eigen's dense limit, with fewer directions than numbers.
        let (count, width) = (40, 200);
        let rows: Vec<f32> = (0..count * width).map(|_| rng.random::<f32>() - 0.5).collect();
        let all = components(&rows, width, width).expect("they differ");
        assert_eq!(all.width, count - 1);
        let distance = |a: &[f32], b: &[f32]| {
            a.iter()
                .zip(b)
                .map(|(a, b)| f64::from(a - b).powi(2))
                .sum::<f64>()
        };
        let row = |at: usize| &rows[at * width..][..width];
        let reduced = |at: usize| &all.values[at * all.width..][..all.width];
        let ratio = distance(reduced(0), reduced(1)) / distance(row(0), row(1));
        for (a, b) in [(2, 3), (0, 39), (17, 8)] {
            let other = distance(reduced(a), reduced(b)) / distance(row(a), row(b));
            assert!((ratio / other - 1.0).abs() < 1e-4, "{ratio} {other}");
        }
        let few = components(&rows, width, 8).expect("they differ");
        assert_eq!(few.width, 8);
        assert!(
            few.variance_kept > 8.0 / 39.0 && few.variance_kept < 0.9,
            "{few:?}"
        );
        assert!((square(&few.values) / count as f64 - 1.0).abs() < 1e-5);
        let bits = |found: &Components| {
            found
                .values
                .iter()
                .map(|value| value.to_bits())
                .collect::<Vec<_>>()
        };
        assert_eq!(bits(&few), bits(&components(&rows, width, 8).expect("again")));
    }

    #[test]
    fn rows_that_are_the_same_have_no_components() {
        assert_eq!(components(&[0.1; 36], 4, 3), None);
        assert_eq!(components(&[0.0; 36], 4, 3), None);
        assert_eq!(components(&[2.0; 4], 4, 3), None);
        assert_eq!(components(&[], 4, 3), None);
        assert_eq!(components(&[], 0, 3), None);
        assert_eq!(components(&[f32::NAN; 6], 2, 3), None);
    }
}
