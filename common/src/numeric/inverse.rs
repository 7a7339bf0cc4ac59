//! The inverse of a large symmetric positive definite matrix, in place, on all cores.
//!
//! The symmetric sweep, a block of columns at a time: with pivot block D = A_kk, every other block becomes
//! A_ij - A_ik D^-1 A_kj, the pivot's own row and column A_ik D^-1, the pivot -D^-1; after all blocks the matrix is
//! -A^-1. It stays symmetric, so only the lower triangle is worked on: n^3 operations in matrix products.

use ndarray::linalg::general_mat_mul;
use ndarray::{Array2, ArrayView2, ArrayViewMut2, s};
use rayon::prelude::*;

/// Replaces the symmetric `matrix` (`n` x `n`, row after row; only its lower triangle is read) by its inverse, both
/// triangles filled.
///
/// # Errors
/// When a pivot is not positive: the matrix is not positive definite (or holds a number that is none).
pub(crate) fn invert(matrix: &mut [f64], n: usize) -> Result<(), NotPositiveDefinite> {
    assert_eq!(matrix.len(), n * n, "a square matrix");
    mirror(matrix, n);
    for start in (0..n).step_by(BLOCK) {
        let end = (start + BLOCK).min(n);
        let columns = panel(matrix, n, start, end);
        let pivot = invert_small(columns.slice(s![start..end, ..]).to_owned(), start)?;
        let scaled = parallel_product(&columns, &pivot);
        matrix
            .par_chunks_mut(BLOCK * n)
            .enumerate()
            .for_each(|(block, rows)| {
                let (first, count) = (block * BLOCK, rows.len() / n);
                let last = first + count;
                let mut rows = view_mut(rows, count, n);
                general_mat_mul(
                    -1.0,
                    &scaled.slice(s![first..last, ..]),
                    &columns.slice(s![..last, ..]).t(),
                    1.0,
                    &mut rows.slice_mut(s![.., ..last]),
                );
                if first == start {
                    rows.slice_mut(s![.., ..start])
                        .assign(&scaled.slice(s![..start, ..]).t());
                    rows.slice_mut(s![.., start..end]).assign(&(-&pivot));
                } else if first > start {
                    rows.slice_mut(s![.., start..end])
                        .assign(&scaled.slice(s![first..last, ..]));
                }
            });
    }
    matrix.par_iter_mut().for_each(|value| *value = -*value);
    mirror(matrix, n);
    Ok(())
}

/// Columns `start..end` of the symmetric matrix, read from its lower triangle.
fn panel(matrix: &[f64], n: usize, start: usize, end: usize) -> Array2<f64> {
    let whole = view(matrix, n, n);
    let mut columns = Array2::zeros((n, end - start));
    columns
        .slice_mut(s![..start, ..])
        .assign(&whole.slice(s![start..end, ..start]).t());
    columns
        .slice_mut(s![start.., ..])
        .assign(&whole.slice(s![start.., start..end]));
    for row in start..end {
        for column in row + 1..end {
            columns[[row, column - start]] = whole[[column, row]];
        }
    }
    columns
}

fn parallel_product(tall: &Array2<f64>, small: &Array2<f64>) -> Array2<f64> {
    let (rows, width) = tall.dim();
    let mut out = vec![0.0; rows * width];
    out.par_chunks_mut(BLOCK * width)
        .enumerate()
        .for_each(|(block, part)| {
            let (first, count) = (block * BLOCK, part.len() / width);
            general_mat_mul(
                1.0,
                &tall.slice(s![first..first + count, ..]),
                small,
                0.0,
                &mut view_mut(part, count, width),
            );
        });
    Array2::from_shape_vec((rows, width), out).expect("rows x width numbers were made")
}

/// The inverse of one block, by the same sweep one column at a time; `offset` is its place in the whole.
fn invert_small(mut a: Array2<f64>, offset: usize) -> Result<Array2<f64>, NotPositiveDefinite> {
    let n = a.nrows();
    for k in 0..n {
        let pivot = a[[k, k]];
        if !(pivot.is_finite() && pivot > 0.0) {
            return Err(NotPositiveDefinite {
                row: offset + k,
                pivot,
            });
        }
        let column = a.column(k).to_owned();
        for i in 0..n {
            let factor = column[i] / pivot;
            a.row_mut(i).scaled_add(-factor, &column);
        }
        for i in 0..n {
            a[[i, k]] = column[i] / pivot;
            a[[k, i]] = column[i] / pivot;
        }
        a[[k, k]] = -1.0 / pivot;
    }
    Ok(-a)
}

/// Copies the lower triangle onto the upper one.
fn mirror(matrix: &mut [f64], n: usize) {
    let tiles = n.div_ceil(BLOCK);
    for tile_row in 0..tiles {
        for tile_column in 0..=tile_row {
            for row in tile_row * BLOCK..((tile_row + 1) * BLOCK).min(n) {
                for column in tile_column * BLOCK..((tile_column + 1) * BLOCK).min(row) {
                    matrix[column * n + row] = matrix[row * n + column];
                }
            }
        }
    }
}

fn view(numbers: &[f64], rows: usize, columns: usize) -> ArrayView2<'_, f64> {
    ArrayView2::from_shape((rows, columns), numbers).expect("the slice has rows x columns numbers")
}

fn view_mut(numbers: &mut [f64], rows: usize, columns: usize) -> ArrayViewMut2<'_, f64> {
    ArrayViewMut2::from_shape((rows, columns), numbers).expect("the slice has rows x columns numbers")
}

/// A pivot was not positive.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
#[error("the matrix is not positive definite: pivot {pivot} at row {row}; use a larger lambda")]
pub struct NotPositiveDefinite {
    row: usize,
    pivot: f64,
}

/// Columns swept at a time; a block's panel stays in the second-level cache.
const BLOCK: usize = 128;

#[cfg(test)]
mod tests {
    use rand::RngExt;

    use super::*;
    use crate::rng::stream;

    #[test]
    fn a_matrix_times_its_inverse_is_one_at_every_block_edge() {
        for n in [1, 2, 127, 128, 129, 300] {
            let mut rng = stream(3, "inverse");
            let root = Array2::from_shape_simple_fn((n, n), || rng.random::<f64>() - 0.5);
            let mut a = root.dot(&root.t());
            a.diag_mut().mapv_inplace(|value| value + 0.1);
            let mut inverse = a.as_slice().expect("row-major").to_vec();
            // Only the lower triangle may be read.
            for row in 0..n {
                inverse[row * n + row + 1..(row + 1) * n].fill(f64::NAN);
            }
            invert(&mut inverse, n).expect("positive definite");
            let one = a.dot(&view(&inverse, n, n));
            for ((i, j), value) in one.indexed_iter() {
                let wanted = f64::from(u8::from(i == j));
                assert!((value - wanted).abs() < 1e-8, "n {n}, ({i}, {j}): {value}");
            }
        }
    }

    #[test]
    fn what_is_not_positive_definite_is_refused() {
        let mut indefinite = vec![1.0, 2.0, 2.0, 1.0];
        assert!(matches!(
            invert(&mut indefinite, 2),
            Err(NotPositiveDefinite { row: 1, .. })
        ));
        assert!(invert(&mut [f64::NAN], 1).is_err());
        assert!(invert(&mut [], 0).is_ok());
    }
}
