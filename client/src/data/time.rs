//! Times as shops write them.

use jiff::civil::DateTime;

/// Seconds since 1970-01-01 UTC from seconds or milliseconds (whole or not), RFC 3339, or `YYYY-MM-DD[ HH:MM:SS]` (taken
/// as UTC).
///
/// # Errors
/// A reason in words, when it is none of these, not after 1970-01-01, or not before 2100.
pub(super) fn parse(text: &str) -> Result<i64, &'static str> {
    let seconds = match text.parse::<f64>() {
        Ok(number) if !number.is_finite() => return Err("is no time"),
        // From about 1973 on, a count of milliseconds is beyond any count of seconds before the year 5138.
        Ok(number) if number >= MILLISECONDS_FROM => (number / 1000.0).floor() as i64,
        Ok(number) => number.floor() as i64,
        Err(_) => text
            .parse::<jiff::Timestamp>()
            .or_else(|_| text.parse::<DateTime>().and_then(civil))
            .map(|time| time.as_second())
            .map_err(|_| "is no time: use seconds since 1970, RFC 3339 or YYYY-MM-DD[ HH:MM:SS]")?,
    };
    if !(EARLIEST..LATEST).contains(&seconds) {
        return Err("is not between 1970 and 2100");
    }
    Ok(seconds)
}

fn civil(time: DateTime) -> Result<jiff::Timestamp, jiff::Error> {
    jiff::tz::TimeZone::UTC.to_timestamp(time)
}

/// `seconds` as RFC 3339, for reports.
pub(super) fn show(seconds: i64) -> String {
    jiff::Timestamp::from_second(seconds).map_or_else(|_| seconds.to_string(), |time| time.to_string())
}

const MILLISECONDS_FROM: f64 = 1e11;
const EARLIEST: i64 = 1;
const LATEST: i64 = 4_102_444_800;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_way_to_write_one_moment_agrees() {
        for text in [
            "1483815324",
            "1483815324.7",
            "1483815324000",
            "1483815324123.0",
            "2017-01-07T18:55:24Z",
            "2017-01-07T19:55:24+01:00",
            "2017-01-07 18:55:24",
            "2017-01-07T18:55:24",
        ] {
            assert_eq!(parse(text), Ok(1_483_815_324), "{text}");
        }
        assert_eq!(parse("2017-01-07"), Ok(1_483_747_200));
        assert_eq!(show(1_483_747_200), "2017-01-07T00:00:00Z");
    }

    #[test]
    fn absurd_times_are_refused() {
        for text in [
            "",
            "0",
            "-5",
            "NaN",
            "inf",
            "1e300",
            "yesterday",
            "2017-13-01",
            "2100-01-01",
            "9999999999",
            "07/01/2017",
            "1483815324000000",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
