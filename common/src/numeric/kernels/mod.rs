//! The loops that need the machine's vectors, and the only place in Souk with `unsafe` code.
//!
//! Each kernel has a portable twin that is taken where the processor lacks AVX2 and FMA, found out when the program runs.
//! Callers come through [`super::product`], [`super::dot`] and [`super::add_scaled`].

#![allow(
    unsafe_code,
    reason = "vector instructions and raw strides; each block states what it relies on"
)]

#[cfg(target_arch = "x86_64")]
mod avx2;
pub mod clip_add;
pub mod coded_dots;
pub mod peak;

use ndarray::linalg::general_mat_mul;
use ndarray::{ArrayView2, ArrayViewMut2};

/// Whether this processor has the vector instructions that the fast kernels use.
pub fn is_fast() -> bool {
    #[cfg(target_arch = "x86_64")]
    {
        is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma")
    }
    #[cfg(not(target_arch = "x86_64"))]
    {
        false
    }
}

/// `c = alpha a b + beta c`; see [`super::product`].
pub(super) fn product(
    alpha: f32,
    a: ArrayView2<'_, f32>,
    b: ArrayView2<'_, f32>,
    beta: f32,
    mut c: ArrayViewMut2<'_, f32>,
) {
    #[cfg(target_arch = "x86_64")]
    if is_fast() {
        return avx2::product(alpha, a, b, beta, c);
    }
    general_mat_mul(alpha, &a, &b, beta, &mut c);
}

/// Sum of products; see [`super::dot`].
pub(super) fn dot(a: &[f32], b: &[f32]) -> f32 {
    #[cfg(target_arch = "x86_64")]
    if is_fast() {
        // Safety: the processor has AVX2 and FMA.
        return unsafe { avx2::dot(a, b) };
    }
    portable::dot(a, b)
}

/// `y += scale x`; see [`super::add_scaled`].
pub(super) fn add_scaled(scale: f32, x: &[f32], y: &mut [f32]) {
    #[cfg(target_arch = "x86_64")]
    if is_fast() {
        // Safety: the processor has AVX2 and FMA.
        return unsafe { avx2::add_scaled(scale, x, y) };
    }
    portable::add_scaled(scale, x, y);
}

/// The twins without vector instructions, for any width of number.
pub(super) mod portable {
    use crate::numeric::Real;

    pub(in crate::numeric) fn dot<F: Real>(a: &[F], b: &[F]) -> F {
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

    pub(in crate::numeric) fn add_scaled<F: Real>(scale: F, x: &[F], y: &mut [F]) {
        for (y, x) in y.iter_mut().zip(x) {
            *y = *y + scale * *x;
        }
    }

    const LANES: usize = 8;
}

#[cfg(test)]
mod tests {
    use ndarray::{Array2, s};
    use proptest::prelude::*;

    use super::*;

    fn filled(rows: usize, columns: usize, seed: usize) -> Array2<f32> {
        Array2::from_shape_fn((rows, columns), |(row, column)| {
            ((row * 31 + column * 17 + seed * 7) % 23) as f32 / 11.0 - 1.0
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]

        #[test]
        fn the_fast_product_is_the_plain_one_for_every_shape_and_layout(
            rows in 0usize..40, inner in 0usize..40, columns in 0usize..40,
            transpose in any::<[bool; 3]>(), beta in prop_oneof![Just(0.0f32), Just(1.0), Just(0.5)],
        ) {
            // Each operand is a window of a larger array, some of them transposed, so that strides matter.
            let window = |rows: usize, columns: usize, transpose: bool, seed| {
                let (r, c) = if transpose { (columns, rows) } else { (rows, columns) };
                (filled(r + 2, c + 3, seed), r, c)
            };
            let (a, a_rows, a_columns) = window(rows, inner, transpose[0], 1);
            let (b, b_rows, b_columns) = window(inner, columns, transpose[1], 2);
            let (mut c, c_rows, c_columns) = window(rows, columns, transpose[2], 3);
            let mut expected = c.clone();
            let a = a.slice(s![1..1 + a_rows, 2..2 + a_columns]);
            let a = if transpose[0] { a.reversed_axes() } else { a };
            let b = b.slice(s![1..1 + b_rows, 2..2 + b_columns]);
            let b = if transpose[1] { b.reversed_axes() } else { b };
            {
                let out = expected.slice_mut(s![1..1 + c_rows, 2..2 + c_columns]);
                let mut out = if transpose[2] { out.reversed_axes() } else { out };
                general_mat_mul(0.7, &a, &b, beta, &mut out);
            }
            let out = c.slice_mut(s![1..1 + c_rows, 2..2 + c_columns]);
            product(0.7, a, b, beta, if transpose[2] { out.reversed_axes() } else { out });
            // The whole array, so that writes beside the window are seen.
            for (got, expected) in c.iter().zip(&expected) {
                prop_assert!((got - expected).abs() < 1e-4, "{got} against {expected}");
            }
        }

        #[test]
        fn the_fast_loops_are_the_plain_ones(length in 0usize..100, scale in -2f32..2.0) {
            let values = filled(2, length, 5);
            let (x, y) = (values.row(0).to_vec(), values.row(1).to_vec());
            prop_assert!((dot(&x, &y) - portable::dot(&x, &y)).abs() < 1e-4);
            let (mut fast, mut plain) = (y.clone(), y);
            add_scaled(scale, &x, &mut fast);
            portable::add_scaled(scale, &x, &mut plain);
            for (fast, plain) in fast.iter().zip(&plain) {
                prop_assert!((fast - plain).abs() < 1e-5);
            }
        }
    }

    #[test]
    fn an_old_result_that_is_no_number_does_not_survive_beta_zero() {
        let (a, b) = (filled(3, 4, 1), filled(4, 9, 2));
        let mut c = Array2::from_elem((3, 9), f32::NAN);
        product(1.0, a.view(), b.view(), 0.0, c.view_mut());
        assert!(c.iter().all(|value| value.is_finite()));
    }
}
