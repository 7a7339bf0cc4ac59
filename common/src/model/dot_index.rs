//! The items with the highest dot products, exactly, without computing all of them.
//!
//! Each row is kept a second time in 8 bits a number. Their product with the query, in 16 bits, differs from the true one by
//! at most the lengths of what rounding left out (Cauchy and Schwarz), so a row whose bound is below the k-th best so far is
//! passed over; only the others are multiplied in full. What is read of memory is a quarter.

use std::cmp::Ordering;

use crate::numeric::dot;
use crate::numeric::kernels::coded_dots::{Bounds, EIGHT, LANES, TILE, Tile, most_query};

/// Rows in 8 bits a number, with what each loses by that.
#[derive(Clone, Debug)]
pub struct DotIndex {
    rows: usize,
    width: usize,
    /// `width` up to a multiple of [`LANES`].
    padded: usize,
    /// Shape: `[rows up to a multiple of eight, padded]`; what is beyond them is 0.
    codes: Vec<i8>,
    /// What a code of 1 stands for; one a row.
    scales: Vec<f32>,
    /// By how much, at most, a product with a query of length 1 is off; one a row.
    errors: Vec<f32>,
}

impl DotIndex {
    /// Of rows of `width` numbers.
    ///
    /// # Shapes
    /// rows: `[rows, width]`, row-major.
    pub fn new(rows: &[f32], width: usize) -> Self {
        let count = rows.len().checked_div(width).unwrap_or(0);
        let padded = width.next_multiple_of(LANES);
        let mut index = Self {
            width,
            padded,
            rows: count,
            codes: vec![0; count.next_multiple_of(EIGHT) * padded],
            scales: Vec::with_capacity(count),
            errors: Vec::with_capacity(count),
        };
        // Of the query's own rounding and of f32, for a row of length 1; each with room to spare.
        let of_query = (padded as f64).sqrt() / f64::from(most_query(padded));
        let of_floats = (padded + 16) as f64 * f64::from(f32::EPSILON);
        let rows = rows.chunks_exact(width.max(1));
        for (row, codes) in rows.zip(index.codes.chunks_exact_mut(padded.max(1))) {
            let most = row.iter().fold(0.0_f32, |most, value| most.max(value.abs()));
            let scale = most / 127.0;
            let (mut left, mut square) = (0.0_f64, 0.0_f64);
            for (value, code) in row.iter().zip(codes) {
                if scale > 0.0 {
                    *code = (value / scale).round().clamp(-127.0, 127.0) as i8;
                }
                left += (f64::from(*value) - f64::from(*code) * f64::from(scale)).powi(2);
                square += f64::from(*value).powi(2);
            }
            let error = left.sqrt() + square.sqrt() * (of_query + of_floats);
            index.scales.push(scale);
            // Rounded up.
            index.errors.push((error * 1.000_001) as f32 + f32::MIN_POSITIVE);
        }
        let whole = count.next_multiple_of(EIGHT);
        index.scales.resize(whole, 0.0);
        index.errors.resize(whole, 0.0);
        index
    }

    /// How many rows.
    pub fn len(&self) -> usize {
        self.rows
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.rows == 0
    }

    /// For each query the `k` rows of those `allowed` (by query and row) with the highest products, best first, of equals the
    /// earlier; products are those of [`dot`]. Rows whose product is no number are left out.
    ///
    /// # Shapes
    /// rows: those that this was made of, `[rows, width]`; queries: each as wide as a row.
    pub fn top(
        &self,
        rows: &[f32],
        queries: &[&[f32]],
        k: usize,
        allowed: impl Fn(usize, u32) -> bool,
    ) -> Vec<Vec<(u32, f32)>> {
        let mut asked: Vec<Asked<'_>> = queries
            .iter()
            .map(|query| Asked::new(query, self.padded, k))
            .collect();
        let mut tile = Tile::default();
        let tiles = self.codes.chunks(TILE * self.padded.max(1));
        for (first, codes) in (0..).step_by(TILE).zip(tiles).filter(|_| k > 0) {
            tile.load(codes, self.padded, queries.len());
            let end = first + codes.len() / self.padded;
            let (scales, errors) = (&self.scales[first..end], &self.errors[first..end]);
            for (at, asked) in asked.iter_mut().enumerate() {
                let bounds = Bounds {
                    scales,
                    errors,
                    step: asked.step,
                    length: asked.length,
                    least: asked.least,
                };
                let mut above = tile.above(&asked.codes, &bounds);
                while above != 0 {
                    let row = first + above.trailing_zeros() as usize;
                    above &= above - 1;
                    // Rows that stand there to make whole eights are none.
                    if row < self.rows && allowed(at, row as u32) {
                        let values = &rows[row * self.width..][..self.width];
                        // Of zeros there is one.
                        asked.offer(row as u32, dot(values, asked.query) + 0.0);
                    }
                }
            }
        }
        asked.into_iter().map(|asked| asked.best).collect()
    }

    /// How wide rows are.
    pub fn width(&self) -> usize {
        self.width
    }
}

/// One query while the rows go by.
struct Asked<'a> {
    query: &'a [f32],
    codes: Vec<i16>,
    /// What a code of 1 stands for.
    step: f32,
    length: f32,
    k: usize,
    /// Best first.
    best: Vec<(u32, f32)>,
    /// What a row has to be above.
    least: f32,
}

impl<'a> Asked<'a> {
    fn new(query: &'a [f32], padded: usize, k: usize) -> Self {
        let most = query.iter().fold(0.0_f32, |most, value| most.max(value.abs()));
        let largest = f32::from(most_query(padded));
        let step = most / largest;
        let mut codes = vec![0; padded];
        if step > 0.0 {
            for (code, value) in codes.iter_mut().zip(query) {
                *code = (value / step).round().clamp(-largest, largest) as i16;
            }
        }
        let square: f64 = query.iter().map(|value| f64::from(*value).powi(2)).sum();
        Self {
            query,
            codes,
            step,
            length: (square.sqrt() * 1.000_001) as f32,
            k,
            best: Vec::with_capacity(k.min(MOST_AT_FIRST)),
            least: f32::NEG_INFINITY,
        }
    }

    fn offer(&mut self, row: u32, score: f32) {
        if !score.is_finite() || (self.best.len() == self.k && score <= self.least) {
            return;
        }
        let order = |(_, other): &(u32, f32)| other.total_cmp(&score) != Ordering::Less;
        self.best.insert(self.best.partition_point(order), (row, score));
        self.best.truncate(self.k);
        if self.best.len() == self.k {
            self.least = self.best[self.k - 1].1;
        }
    }
}

const MOST_AT_FIRST: usize = 1024;

#[cfg(test)]
mod tests {
    use ndarray::Array2;
    use proptest::prelude::*;
    use rand::RngExt;

    use super::*;
    use crate::rng::stream;

    fn plainly(
        rows: &Array2<f32>,
        query: &[f32],
        k: usize,
        allowed: impl Fn(u32) -> bool,
    ) -> Vec<(u32, f32)> {
        let mut all: Vec<(u32, f32)> = (0u32..)
            .zip(rows.rows())
            .map(|(row, values)| (row, dot(values.to_slice().expect("whole rows"), query) + 0.0))
            .filter(|(row, score)| allowed(*row) && score.is_finite())
            .collect();
        all.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        all.truncate(k);
        all
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(60))]

        #[test]
        fn the_best_rows_are_those_that_all_products_give_to_the_last_bit(
            seed in any::<u64>(), rows in 0usize..700, width in 1usize..70, k in 0usize..40,
            kind in 0u8..4, queries in 0usize..5,
        ) {
            let mut rng = stream(seed, "rows");
            let mut rows = Array2::from_shape_simple_fn((rows, width), || match kind {
                // Alike but for the last bits, all the same, of very different lengths.
                0 => 1.0 + rng.random_range(-1e-6f32..1e-6),
                1 => 0.5,
                2 => rng.random_range(-1.0f32..1.0) * 10f32.powi(rng.random_range(-20..10)),
                _ => rng.random_range(-1.0f32..1.0),
            });
            if let Some(value) = rows.get_mut((3, 0)).filter(|_| kind == 3) {
                *value = f32::NAN;
            }
            let queries: Vec<Vec<f32>> = (0..queries)
                .map(|_| (0..width).map(|_| rng.random_range(-2.0f32..2.0)).collect())
                .collect();
            let index = DotIndex::new(rows.as_slice().expect("whole"), width);
            let asked: Vec<&[f32]> = queries.iter().map(Vec::as_slice).collect();
            let found = index.top(rows.as_slice().expect("whole"), &asked, k, |at, row| row % 3 != at as u32);
            prop_assert_eq!(found.len(), queries.len());
            for (at, (found, query)) in found.iter().zip(&queries).enumerate() {
                let plain = plainly(&rows, query, k, |row| row % 3 != at as u32);
                prop_assert_eq!(found, &plain, "query {}", at);
            }
        }
    }

    #[test]
    fn a_query_of_zeros_gives_the_first_rows() {
        let rows: Vec<f32> = (0..300 * 8).map(|at| (at % 23) as f32).collect();
        let found = DotIndex::new(&rows, 8).top(&rows, &[&[0.0; 8]], 3, |_, row| row != 1);
        assert_eq!(found, [[(0, 0.0), (2, 0.0), (3, 0.0)]]);
    }
}
