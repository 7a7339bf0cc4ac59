//! Privacy parameters that can't be wrong: each is checked once, where it enters.

use std::fmt;

use serde::{Deserialize, Serialize};

macro_rules! checked_number {
    ($(#[$doc:meta])* $name:ident, $field:literal, $rule:literal, $value:ident => $check:expr) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Deserialize, PartialEq, PartialOrd, Serialize)]
        #[serde(try_from = "f64", into = "f64")]
        pub struct $name(f64);

        impl $name {
            #[doc = concat!("Checks that it is ", $rule, ".")]
            ///
            /// # Errors
            /// When it is not.
            pub fn new($value: f64) -> Result<Self, ParameterError> {
                if $check { Ok(Self($value)) } else { Err(ParameterError { field: $field, rule: $rule, value: $value }) }
            }

            /// The number.
            pub fn get(self) -> f64 {
                self.0
            }
        }

        impl TryFrom<f64> for $name {
            type Error = ParameterError;

            fn try_from(value: f64) -> Result<Self, ParameterError> {
                Self::new(value)
            }
        }

        impl From<$name> for f64 {
            fn from(value: $name) -> Self {
                value.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

checked_number! {
    /// C: the largest L2 norm of one user's update over all shared tensors.
    ClipNorm, "clip_norm", "a finite number above 0 (1e-9 to 1e9)", value => (1e-9..=1e9).contains(&value)
}
checked_number! {
    /// z: the noise's standard deviation is z times C.
    NoiseMultiplier, "noise_multiplier", "a finite number above 0 (1e-3 to 1e6)", value => (1e-3..=1e6).contains(&value)
}
checked_number! {
    /// q: the probability with which a user is drawn for a round.
    SamplingRate, "sampling_rate", "above 0 and at most 1", value => value > 0.0 && value <= 1.0
}
checked_number! {
    /// delta of (epsilon, delta).
    Delta, "delta", "above 0 and below 1", value => value > 0.0 && value < 1.0
}
checked_number! {
    /// epsilon of (epsilon, delta).
    Epsilon, "epsilon", "a finite number, 0 or more", value => value.is_finite() && value >= 0.0
}
checked_number! {
    /// w_k: a shop's public weight.
    Weight, "weight", "above 0 and at most 1", value => value > 0.0 && value <= 1.0
}

/// A privacy parameter out of its range.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
#[error("{field} is {value:?}; it must be {rule}")]
pub struct ParameterError {
    field: &'static str,
    rule: &'static str,
    value: f64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn senseless_numbers_are_refused_by_name() {
        for bad in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            assert!(ClipNorm::new(bad).is_err() && ClipNorm::new(1e300).is_err());
            assert!(NoiseMultiplier::new(bad).is_err());
            assert!(SamplingRate::new(bad).is_err());
            assert!(Delta::new(bad).is_err());
            assert!(Weight::new(bad).is_err());
        }
        assert!(SamplingRate::new(1.0001).is_err() && Delta::new(1.0).is_err());
        let message = ClipNorm::new(-1.0).expect_err("negative").to_string();
        assert!(message.contains("clip_norm is -1"), "{message}");
    }
}
