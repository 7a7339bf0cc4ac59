//! Moments for people.

use jiff::Timestamp as Instant;
use souk_common::clock::Timestamp;

/// UTC, to the second.
pub(crate) fn date(at: Timestamp) -> String {
    Instant::from_millisecond(at.0).map_or_else(
        |_| at.to_string(),
        |at| at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_utc() {
        assert_eq!(date(Timestamp(0)), "1970-01-01T00:00:00Z");
    }
}
