//! How far this machine's clock and the coordinator's are apart.
//!
//! Rounds do not depend on it: deadlines are the coordinator's, and no shop compares them with its own clock. Certificates
//! bear a day of it, and a budget for a period of days is counted by the shop's own clock, whatever the coordinator says.

use std::fmt;
use std::time::Duration;

use souk_common::clock::Timestamp;
use souk_common::limits::MAX_CLOCK_SKEW_SECS;

/// What one question and answer tell of two clocks.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ClockSkew {
    /// Milliseconds by which this clock is ahead of the coordinator's.
    pub ahead_ms: i64,
    /// What is not known of it, either way: half of the time that the answer took.
    pub within: Duration,
}

impl ClockSkew {
    /// From this clock before the question and after the answer, and the other one's time in the answer.
    pub fn between(asked_at: Timestamp, theirs: Timestamp, answered_at: Timestamp) -> Self {
        let within = answered_at.since(asked_at) / 2;
        let middle = asked_at + within;
        Self {
            ahead_ms: middle.0.saturating_sub(theirs.0),
            within,
        }
    }

    /// Whether they are further apart than [`MAX_CLOCK_SKEW_SECS`], however slow the answer was.
    pub fn is_off(&self) -> bool {
        let apart = Duration::from_millis(self.ahead_ms.unsigned_abs());
        apart.saturating_sub(self.within) > Duration::from_secs(MAX_CLOCK_SKEW_SECS)
    }
}

impl fmt::Display for ClockSkew {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let secs = self.ahead_ms.unsigned_abs() as f64 / 1000.0;
        let way = if self.ahead_ms < 0 { "behind" } else { "ahead of" };
        write!(
            f,
            "{secs:.1} s {way} the coordinator's (give or take {:.1} s)",
            self.within.as_secs_f64()
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slow_answer_is_no_skew_and_a_real_one_is_told_with_its_direction() {
        let at = |secs| Timestamp::from_secs(secs);
        let slow = ClockSkew::between(at(1000), at(1170), at(1180));
        assert!(!slow.is_off(), "{slow}");
        let behind = ClockSkew::between(at(1000), at(1100), at(1001));
        assert!(
            behind.is_off() && behind.to_string().starts_with("99.5 s behind"),
            "{behind}"
        );
        let ahead = ClockSkew::between(at(1000), at(900), at(1000));
        assert!(
            ahead.is_off() && ahead.to_string().starts_with("100.0 s ahead"),
            "{ahead}"
        );
        assert!(!ClockSkew::between(at(1000), at(1060), at(1000)).is_off());
    }
}
