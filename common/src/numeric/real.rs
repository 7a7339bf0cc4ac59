//! `f32` for training, `f64` for proofs: the same code for both.

use std::fmt::Debug;

use ndarray::LinalgScalar;

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
}

macro_rules! real {
    ($type:ty) => {
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
        }
    };
}

real!(f32);
real!(f64);
