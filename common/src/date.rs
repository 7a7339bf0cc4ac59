//! Moments for people.

use crate::clock::Timestamp;
use jiff::Timestamp as Instant;
use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;

/// UTC, to the second.
pub fn date(at: Timestamp) -> String {
    Instant::from_millisecond(at.0).map_or_else(
        |_| at.to_string(),
        |at| at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
    )
}

/// When an item came out, in seconds since 1970-01-01 UTC: a year (its first day), a month, a day, or a moment, whose year stands
/// first or whose month is a word; a date without an offset is one of UTC. None of an empty text.
///
/// # Errors
/// What is wrong with it, and how to write it; a day and a month that could change places.
pub fn published(text: &str) -> Result<Option<i64>, String> {
    let text = text.trim();
    if text.is_empty() {
        return Ok(None);
    }
    let moment = digits(text)
        .or_else(|| of_moment(text))
        .or_else(|| of_day(text))
        .filter(|seconds| (OLDEST..NEWEST).contains(seconds));
    match moment {
        Some(seconds) => Ok(Some(seconds)),
        None if begins_with_day_or_month(text) => Err(format!(
            "{text:?} begins with its day or its month, which could change places: write dates as YYYY-MM-DD"
        )),
        None => Err(format!(
            "{text:?} is no date: write it as YYYY-MM-DD, as a year, or leave it empty"
        )),
    }
}

/// A year, YYYYMM, YYYYMMDD, seconds or milliseconds since 1970; a year may have decimals, which must be zero.
fn digits(text: &str) -> Option<i64> {
    let whole = text.strip_suffix(".0").unwrap_or(text);
    if !whole.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let number: i64 = whole.parse().ok()?;
    let of = |year: i64, month: i64, day: i64| {
        let date = Date::new(
            year.try_into().ok()?,
            month.try_into().ok()?,
            day.try_into().ok()?,
        );
        seconds(date.ok()?.into())
    };
    match whole.len() {
        4 => of(number, 1, 1),
        6 => of(number / 100, number % 100, 1),
        8 => of(number / 10_000, number / 100 % 100, number % 100),
        10 => Some(number),
        13 => Some(number.div_euclid(1000)),
        _ => None,
    }
}

fn of_moment(text: &str) -> Option<i64> {
    let spelled = text.trim_end_matches("UTC").trim_end();
    if let Ok(instant) = text.parse::<Instant>() {
        return Some(instant.as_second());
    }
    starts_with_year(spelled).then_some(())?;
    let dashed = match spelled.as_bytes().get(4) {
        Some(b'/' | b'.') => spelled.replacen(['/', '.'], "-", 2),
        _ => spelled.to_owned(),
    };
    seconds(dashed.parse::<DateTime>().ok()?)
}

fn of_day(text: &str) -> Option<i64> {
    let date = PATTERNS
        .iter()
        .find_map(|pattern| Date::strptime(pattern, text).ok());
    // Also without leading zeros, and months without a day.
    let by_year = || {
        starts_with_year(text).then_some(())?;
        let dashed = text.replace(['/', '.'], "-");
        let month = || Date::strptime("%Y-%m-%d", format!("{dashed}-01")).ok();
        Date::strptime("%Y-%m-%d", &dashed).ok().or_else(month)
    };
    seconds(date.or_else(by_year)?.into())
}

fn seconds(civil: DateTime) -> Option<i64> {
    let found = TimeZone::UTC.to_timestamp(civil).ok()?;
    Some(found.as_second())
}

fn starts_with_year(text: &str) -> bool {
    let bytes = text.as_bytes();
    bytes.len() > 4 && bytes[..4].iter().all(u8::is_ascii_digit) && matches!(bytes[4], b'-' | b'/' | b'.')
}

fn begins_with_day_or_month(text: &str) -> bool {
    let end = text.find([' ', 'T']).unwrap_or(text.len());
    let parts: Vec<&str> = text[..end].split(['/', '.', '-']).collect();
    parts.len() == 3
        && parts
            .iter()
            .all(|part| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit()))
}

/// Days whose month is a word.
const PATTERNS: [&str; 6] = [
    "%d-%b-%Y",
    "%d %b %Y",
    "%d %B %Y",
    "%d-%B-%Y",
    "%B %d, %Y",
    "%b %d, %Y",
];

/// The year 1000: nothing in a catalogue is older.
const OLDEST: i64 = -30_610_224_000;

/// The year 2200: what is beyond is a number of something else.
const NEWEST: i64 = 7_258_118_400;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_of_items_are_read_in_every_clear_spelling() {
        let day = 820_454_400; // 1996-01-01
        for text in [
            "1996",
            "1996.0",
            " 1996-01-01 ",
            "1996/1/1",
            "1996/01/01",
            "19960101",
            "199601",
            "1996-01",
            "01-Jan-1996",
            "1 January 1996",
            "January 1, 1996",
            "1996-01-01T00:00:00Z",
            "1996-01-01 00:00:00",
            "1996-01-01 00:00:00 UTC",
            "1995-12-31T19:00:00-05:00",
            "0820454400",
        ] {
            assert_eq!(published(text), Ok(Some(day)), "{text}");
        }
        assert_eq!(published("1922"), Ok(Some(-1_514_764_800)));
        assert_eq!(published("1704450153000"), Ok(Some(1_704_450_153)));
        assert_eq!(published("  "), Ok(None));
    }

    #[test]
    fn a_date_that_is_none_or_two_is_refused_with_the_remedy() {
        for text in [
            "soon",
            "1996-13-01",
            "0",
            "45296",
            "99999999",
            "-5",
            "1996-02-30",
            "0001",
        ] {
            let said = published(text).expect_err(text);
            assert!(said.contains(text) && said.contains("YYYY-MM-DD"), "{said}");
        }
        for text in ["11/1/2000", "1.11.2000", "13/5/2024 10:00", "5/1/24"] {
            let said = published(text).expect_err(text);
            assert!(
                said.contains("change places") && said.contains("YYYY-MM-DD"),
                "{said}"
            );
        }
    }

    #[test]
    fn times_are_utc() {
        assert_eq!(date(Timestamp(0)), "1970-01-01T00:00:00Z");
    }
}
