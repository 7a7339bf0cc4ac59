//! Moments for people.

use crate::clock::Timestamp;
use jiff::Timestamp as Instant;

/// UTC, to the second.
pub fn date(at: Timestamp) -> String {
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
