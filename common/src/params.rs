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

/// `value`, 0 or more, with `digits` behind the point, rounded up: an epsilon, or the noise that it takes, is never told smaller
/// than it is. One part in 10^9 is left out of account: accountants round up by more.
pub fn rounded_up(value: f64, digits: usize) -> String {
    rounded(value, digits, 1.0)
}

/// The same, rounded down: what is left of a budget is never told larger than it is.
pub fn rounded_down(value: f64, digits: usize) -> String {
    rounded(value, digits, -1.0)
}

fn rounded(value: f64, digits: usize, up: f64) -> String {
    let text = format!("{value:.digits$}");
    let told: f64 = text.parse().unwrap_or(value);
    if up * (value - told) <= 1e-9 * value.abs() {
        return text;
    }
    let unit = 10f64.powi(-i32::try_from(digits).unwrap_or(i32::MAX));
    format!("{:.digits$}", told + up * unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_epsilon_is_never_told_smaller_and_what_is_left_never_larger_than_it_is() {
        for (value, up, down) in [
            (0.0, "0.000", "0.000"),
            (1e-12, "0.001", "0.000"),
            (0.0004, "0.001", "0.000"),
            (1.2341, "1.235", "1.234"),
            (1.2349, "1.235", "1.234"),
            (4.0, "4.000", "4.000"),
            (4.000_000_000_001, "4.000", "4.000"),
            (3.999_999, "4.000", "3.999"),
            (9.9999, "10.000", "9.999"),
        ] {
            assert_eq!(
                (rounded_up(value, 3).as_str(), rounded_down(value, 3).as_str()),
                (up, down)
            );
        }
        assert_eq!(rounded_up(f64::INFINITY, 3), "inf");
    }

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
