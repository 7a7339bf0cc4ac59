//! Arithmetic under the recommenders: products, small solves, and the few loops that need the machine's vectors.

pub mod cholesky;
pub mod real;

use ndarray::linalg::general_mat_mul;
use ndarray::{ArrayView2, ArrayViewMut2};

pub use real::Real;

/// `c = alpha a b + beta c`: the one door to matrix products.
///
/// # Shapes
/// a: `[m, k]`, b: `[k, n]`, c: `[m, n]`.
pub fn product<F: Real>(
    alpha: F,
    a: ArrayView2<'_, F>,
    b: ArrayView2<'_, F>,
    beta: F,
    mut c: ArrayViewMut2<'_, F>,
) {
    general_mat_mul(alpha, &a, &b, beta, &mut c);
}

/// Sum of products.
pub fn dot<F: Real>(a: &[F], b: &[F]) -> F {
    let mut lanes = [F::ZERO; LANES];
    let (a_chunks, b_chunks) = (a.chunks_exact(LANES), b.chunks_exact(LANES));
    let tail = a_chunks
        .remainder()
        .iter()
        .zip(b_chunks.remainder())
        .fold(F::ZERO, |sum, (x, y)| sum + *x * *y);
    for (x, y) in a_chunks.zip(b_chunks) {
        for lane in 0..LANES {
            lanes[lane] = lanes[lane] + x[lane] * y[lane];
        }
    }
    lanes.iter().fold(tail, |sum, lane| sum + *lane)
}

/// `y += scale x`.
pub fn add_scaled<F: Real>(scale: F, x: &[F], y: &mut [F]) {
    for (y, x) in y.iter_mut().zip(x) {
        *y = *y + scale * *x;
    }
}

const LANES: usize = 8;
