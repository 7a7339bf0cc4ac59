//! Arithmetic under the recommenders: products, small solves, and the few loops that need the machine's vectors.

pub mod cholesky;
pub mod components;
pub mod eigen;
pub mod inverse;
pub mod kernels;
pub mod real;
pub mod sparse;

use ndarray::{ArrayView2, ArrayViewMut2};

pub use real::Real;
pub use sparse::Sparse;

/// `c = alpha a b + beta c`: the one door to matrix products. With `beta` 0 what `c` held does not matter.
///
/// # Shapes
/// a: `[m, k]`, b: `[k, n]`, c: `[m, n]`.
///
/// # Panics
/// If the shapes do not fit.
pub fn product<F: Real>(
    alpha: F,
    a: ArrayView2<'_, F>,
    b: ArrayView2<'_, F>,
    beta: F,
    c: ArrayViewMut2<'_, F>,
) {
    F::product(alpha, a, b, beta, c);
}

/// Sum of products, over the shorter of the two.
pub fn dot<F: Real>(a: &[F], b: &[F]) -> F {
    F::dot(a, b)
}

/// `y += scale x`, over the shorter of the two.
pub fn add_scaled<F: Real>(scale: F, x: &[F], y: &mut [F]) {
    F::add_scaled(scale, x, y);
}

/// `items' items` in f64. Shape: `[width, width]` row-major.
pub fn gram(items: ArrayView2<'_, f32>) -> Vec<f64> {
    let width = items.ncols();
    let mut gram = vec![0.0f64; width * width];
    let mut wide = vec![0.0f64; width];
    for vector in items.rows() {
        wide.iter_mut()
            .zip(vector)
            .for_each(|(wide, value)| *wide = f64::from(*value));
        for row in 0..width {
            for column in 0..=row {
                gram[row * width + column] += wide[row] * wide[column];
            }
        }
    }
    for row in 0..width {
        for column in row + 1..width {
            gram[row * width + column] = gram[column * width + row];
        }
    }
    gram
}
