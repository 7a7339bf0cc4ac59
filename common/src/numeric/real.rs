//! `f32` for training, `f64` for proofs: the same code for both.

use std::fmt::Debug;

use ndarray::linalg::general_mat_mul;
use ndarray::{ArrayView2, ArrayViewMut2, LinalgScalar};

use super::kernels;

/// A floating-point number of either width.
pub trait Real:
    LinalgScalar + Debug + Default + PartialOrd + Send + Sync + std::ops::Neg<Output = Self>
{
    /// 0.
    const ZERO: Self;
    /// 1.
    const ONE: Self;
    /// The nearest number of this width.
    fn from_f64(value: f64) -> Self;
    /// As f64.
    fn to_f64(self) -> f64;
    /// exp(self).
    fn exp(self) -> Self;
    /// ln(1 + self).
    fn ln_1p(self) -> Self;
    /// tanh(self).
    fn tanh(self) -> Self;
    /// The square root.
    fn sqrt(self) -> Self;
    /// The absolute value.
    fn abs(self) -> Self;
    /// The greater of the two.
    fn max(self, other: Self) -> Self;
    /// See [`super::product`].
    fn product(
        alpha: Self,
        a: ArrayView2<'_, Self>,
        b: ArrayView2<'_, Self>,
        beta: Self,
        mut c: ArrayViewMut2<'_, Self>,
    ) {
        general_mat_mul(alpha, &a, &b, beta, &mut c);
    }
    /// See [`super::dot`].
    fn dot(a: &[Self], b: &[Self]) -> Self {
        kernels::portable::dot(a, b)
    }
    /// See [`super::add_scaled`].
    fn add_scaled(scale: Self, x: &[Self], y: &mut [Self]) {
        kernels::portable::add_scaled(scale, x, y);
    }
}

macro_rules! real {
    ($type:ty { $($method:item)* }) => {
        impl Real for $type {
            const ZERO: Self = 0.0;
            const ONE: Self = 1.0;

            fn from_f64(value: f64) -> Self {
                value as Self
            }

            fn to_f64(self) -> f64 {
                f64::from(self)
            }

            fn exp(self) -> Self {
                self.exp()
            }

            fn ln_1p(self) -> Self {
                self.ln_1p()
            }

            fn tanh(self) -> Self {
                self.tanh()
            }

            fn sqrt(self) -> Self {
                self.sqrt()
            }

            fn abs(self) -> Self {
                self.abs()
            }

            fn max(self, other: Self) -> Self {
                self.max(other)
            }

            $($method)*
        }
    };
}

real!(f32 {
    fn product(
        alpha: Self,
        a: ArrayView2<'_, Self>,
        b: ArrayView2<'_, Self>,
        beta: Self,
        c: ArrayViewMut2<'_, Self>,
    ) {
        kernels::product(alpha, a, b, beta, c);
    }

    fn dot(a: &[Self], b: &[Self]) -> Self {
        kernels::dot(a, b)
    }

    fn add_scaled(scale: Self, x: &[Self], y: &mut [Self]) {
        kernels::add_scaled(scale, x, y);
    }
});
real!(f64 {});
