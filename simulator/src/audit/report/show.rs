//! Figures as they stand in text.

use souk_common::params::rounded_up;

/// An upper bound on epsilon, never told smaller than it is.
pub(super) fn epsilon(value: Option<f64>) -> String {
    value.map_or_else(|| "without bound".to_owned(), |value| rounded_up(value, 3))
}

/// A delta as plans write it.
pub(super) fn delta(value: f64) -> String {
    format!("{value:e}")
}

/// A share in percent.
pub(super) fn percent(share: f64) -> String {
    format!("{:.1} %", 100.0 * share)
}

/// A figure with its interval.
pub(super) fn interval(value: f64, low: f64, high: f64) -> String {
    format!("{value:.3} ({low:.3} to {high:.3})")
}

/// Points of a hit rate with their standard error.
pub(super) fn points(lost: Option<f64>, standard_error: Option<f64>) -> String {
    match (lost, standard_error) {
        (Some(lost), Some(error)) => format!("{:.1} ± {:.1}", 100.0 * lost, 100.0 * error),
        (Some(lost), None) => format!("{:.1}", 100.0 * lost),
        (None, _) => "not compared".to_owned(),
    }
}

/// `count` of something: `1 shop`, `3 shops`.
pub(super) fn counted(count: u64, one: &str, more: &str) -> String {
    match count {
        1 => format!("1 {one}"),
        _ => format!("{} {more}", thousands(count)),
    }
}

/// With a comma behind each three digits.
pub(super) fn thousands(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
