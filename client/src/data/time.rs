//! Times as shops write them.
//!
//! Each value is read by itself: what one customer's line holds must not change what another's says. That works because
//! the ways to write a moment since 1990 as a number do not overlap: Excel's day numbers have five digits, `YYYYMMDD` has
//! eight, seconds ten, milliseconds thirteen. What may mean two things is refused, with both of them named.

mod unclear;

use jiff::civil::{Date, DateTime, Time};
use jiff::fmt::strtime::BrokenDownTime;
use jiff::tz::{AmbiguousOffset, Offset, TimeZone};
use jiff::{Timestamp as Instant, ToSpan};
use souk_common::clock::Timestamp;
use souk_common::table::Moment;

use crate::data::DataError;
use crate::data::config::ShopDataConfig;
use unclear::{short_year, two_readings};

/// Reads times as a shop's settings say, and counts what it took them for.
pub(super) struct Times {
    written: Written,
    zone: TimeZone,
    zone_name: Option<String>,
    earliest: i64,
    /// The end of tomorrow.
    latest: i64,
    counts: Counts,
}

/// How times are written, as far as it was said.
enum Written {
    Anyhow,
    Excel,
    /// Counts since 1970, so many a second.
    Count(f64),
    Pattern(String),
}

#[derive(Default)]
struct Counts {
    milliseconds: u64,
    days: u64,
    excel: u64,
    local: u64,
    gaps: u64,
    folds: u64,
}

/// Why a text is no time.
#[derive(Debug, Eq, PartialEq)]
pub(super) struct TimeFault {
    /// Faults are counted by it.
    pub(super) kind: &'static str,
    /// What is wrong, after the value.
    pub(super) reason: String,
}

impl TimeFault {
    fn new(kind: &'static str, reason: impl Into<String>) -> Self {
        let reason = reason.into();
        Self { kind, reason }
    }
}

impl Times {
    /// By a shop's settings; nothing can have happened after the day that follows `now`.
    ///
    /// # Errors
    /// When a setting says nothing.
    pub(super) fn new(config: &ShopDataConfig, now: Timestamp) -> Result<Self, DataError> {
        let wrong = |key: &'static str, value: &str, reason: String| DataError::Setting {
            key,
            value: value.to_owned(),
            reason,
        };
        let written = match config.time_format.as_deref() {
            None => Written::Anyhow,
            Some("excel") => Written::Excel,
            Some("seconds") => Written::Count(1.0),
            Some("milliseconds") => Written::Count(1e3),
            Some("microseconds") => Written::Count(1e6),
            Some(pattern) => {
                let shown = SAMPLE
                    .to_zoned_datetime(TimeZone::UTC)
                    .map_err(|error| error.to_string());
                let shown = shown.and_then(|sample| {
                    let broken = BrokenDownTime::from(&sample);
                    broken.to_string(pattern).map_err(|error| error.to_string())
                });
                match shown {
                    Ok(text) if pattern.contains('%') && text != pattern => {}
                    Ok(_) => return Err(wrong("time_format", pattern, "it names no part of a time".into())),
                    Err(reason) => return Err(wrong("time_format", pattern, reason)),
                }
                Written::Pattern(pattern.to_owned())
            }
        };
        let zone = match config.time_zone.as_deref() {
            None => TimeZone::UTC,
            Some(name) => TimeZone::get(name).map_err(|error| wrong("time_zone", name, error.to_string()))?,
        };
        let earliest = match config.earliest.as_deref() {
            None => EARLIEST,
            Some(text) => text
                .parse::<Date>()
                .and_then(|date| TimeZone::UTC.to_timestamp(date.into()))
                .map_err(|_| {
                    wrong(
                        "earliest",
                        text,
                        "it is no date; write it as \"1985-06-01\"".into(),
                    )
                })?
                .as_second(),
        };
        Ok(Self {
            written,
            zone,
            zone_name: config.time_zone.clone(),
            earliest,
            latest: (now.0.div_euclid(1000) / DAY + 2) * DAY,
            counts: Counts::default(),
        })
    }

    /// Seconds since 1970-01-01 UTC.
    pub(super) fn parse(&mut self, text: &str) -> Result<i64, TimeFault> {
        if text.is_empty() {
            return Err(TimeFault::new("no time", "is empty"));
        }
        match &self.written {
            Written::Anyhow => {}
            Written::Excel => {
                if let Some(days) = number(text) {
                    return self.excel(days).and_then(|time| self.checked(time));
                }
            }
            Written::Count(a_second) => {
                let count = number(text).ok_or_else(|| TimeFault::new("no time", "is no number"))?;
                return self.checked((count / a_second).floor() as i64);
            }
            Written::Pattern(pattern) => {
                if let Ok(parts) = BrokenDownTime::parse(pattern, text) {
                    if let Some(fault) = short_year(pattern, text, &parts) {
                        return Err(fault);
                    }
                    let time = self.of_parts(&parts)?;
                    return self.checked(time);
                }
                if number(text).is_some() || !starts_with_year(text) {
                    return Err(TimeFault::new(
                        "time not as time_format says",
                        format!("is not written as time_format = {pattern:?} says"),
                    ));
                }
            }
        }
        match number(text) {
            Some(number) => self.of_number(text, number),
            None => {
                let time = self.of_text(text)?;
                self.checked(time)
            }
        }
    }

    /// The same of a time that its source has as such.
    pub(super) fn of_moment(&mut self, moment: Moment) -> Result<i64, TimeFault> {
        let time = match moment {
            Moment::Utc(seconds) => seconds,
            Moment::Local(seconds) => {
                // A moment's own text names it where it is beyond all calendars.
                let civil = Instant::from_second(seconds).map(|time| Offset::UTC.to_datetime(time));
                self.local(civil.map_err(|_| self.outside(seconds))?)?
            }
        };
        self.checked(time)
    }

    /// What was guessed, and what of the zone is worth knowing; a sentence each.
    pub(super) fn told(&self) -> Vec<String> {
        let mut told = Vec::new();
        let mut count = |count: u64, what: &str| {
            if count > 0 {
                told.push(format!("times: {count} {what}"));
            }
        };
        let counts = &self.counts;
        if matches!(self.written, Written::Anyhow) {
            count(counts.milliseconds, "read as milliseconds since 1970");
            count(counts.days, "read as YYYYMMDD");
            count(counts.excel, "read as Excel's day numbers");
        }
        if self.zone_name.is_none() {
            count(
                counts.local,
                "without an offset, taken as UTC; if they are local times, set time_zone",
            );
        }
        let zone = self.zone_name.as_deref().unwrap_or("UTC");
        count(
            counts.gaps,
            &format!("that {zone}'s clocks passed over when they were put forward, taken as later"),
        );
        count(
            counts.folds,
            &format!("that {zone}'s clocks showed twice when they were put back, taken as the first"),
        );
        told
    }

    fn of_number(&mut self, text: &str, number: f64) -> Result<i64, TimeFault> {
        let seconds = number.floor() as i64;
        if self.has(seconds) {
            return Ok(seconds);
        }
        let of_milliseconds = (number / 1e3).floor() as i64;
        if number >= MILLISECONDS_FROM && self.has(of_milliseconds) {
            self.counts.milliseconds += 1;
            return Ok(of_milliseconds);
        }
        if let Some(date) = digits_date(text) {
            let time = self.local(date)?;
            self.counts.days += 1;
            return self.checked(time);
        }
        if (1.0..EXCEL_DAYS).contains(&number)
            && let Some(date) = excel_date(number)
            && let Ok(time) = self.zone.to_timestamp(date)
            && self.has(time.as_second())
        {
            return self.excel(number);
        }
        Err(self.strange(number))
    }

    /// A number that is no time, and what it looks like.
    fn strange(&self, number: f64) -> TimeFault {
        let as_of = |seconds: f64| show(seconds.floor() as i64);
        if (0.0..EXCEL_DAYS).contains(&number) {
            return TimeFault::new(
                "day number",
                format!(
                    "looks like a day number or a time cut short: as seconds since 1970 it would be {}, as days {}. Export dates, \
                     or if it is right set earliest",
                    as_of(number),
                    as_of(number * DAY as f64),
                ),
            );
        }
        let micro = number / 1e6;
        if micro >= 1e8 && self.has(micro as i64) {
            return TimeFault::new(
                "microseconds",
                format!(
                    "looks like microseconds ({}): set time_format = \"microseconds\"",
                    as_of(micro)
                ),
            );
        }
        match number >= MILLISECONDS_FROM {
            true => self.outside((number / 1e3) as i64),
            false => self.outside(number.floor() as i64),
        }
    }

    fn excel(&mut self, days: f64) -> Result<i64, TimeFault> {
        let date = excel_date(days).ok_or_else(|| TimeFault::new("no time", "is no day of Excel's"))?;
        self.counts.excel += 1;
        self.local(date)
    }

    fn of_parts(&mut self, parts: &BrokenDownTime) -> Result<i64, TimeFault> {
        if parts.offset().is_some() || parts.timestamp().is_some() {
            return parts
                .to_timestamp()
                .map(|time| time.as_second())
                .map_err(|error| TimeFault::new("no time", format!("is no time: {error}")));
        }
        let date = parts.to_date();
        let time = parts.to_time().unwrap_or(Time::midnight());
        match date {
            Ok(date) => self.local(date.to_datetime(time)),
            Err(error) => Err(TimeFault::new("no time", format!("is no date: {error}"))),
        }
    }

    /// Year first, in any of its usual ways.
    fn of_text(&mut self, text: &str) -> Result<i64, TimeFault> {
        let none = || {
            let ways =
                "is no time: use YYYY-MM-DD HH:MM:SS, RFC 3339 or seconds since 1970, or set time_format";
            TimeFault::new("no time", ways)
        };
        if !starts_with_year(text) {
            return Err(two_readings(text).unwrap_or_else(none));
        }
        if text.ends_with(']') {
            let zoned = text.parse::<jiff::ZonedDateTime>().map_err(|_| none())?;
            return Ok(zoned.timestamp().as_second());
        }
        let (civil, offset) = without_offset(text);
        let civil = match civil.as_bytes().get(4) {
            Some(b'/' | b'.') => civil.replacen(['/', '.'], "-", 2).parse::<DateTime>(),
            _ => civil.parse::<DateTime>(),
        };
        let civil = civil.map_err(|_| none())?;
        match offset {
            Some(offset) => offset
                .to_timestamp(civil)
                .map(|time| time.as_second())
                .map_err(|_| none()),
            None => self.local(civil),
        }
    }

    /// A time without an offset, in the shop's zone.
    fn local(&mut self, civil: DateTime) -> Result<i64, TimeFault> {
        let found = self.zone.to_ambiguous_timestamp(civil);
        self.counts.local += 1;
        match found.offset() {
            AmbiguousOffset::Unambiguous { .. } => {}
            AmbiguousOffset::Gap { .. } => self.counts.gaps += 1,
            AmbiguousOffset::Fold { .. } => self.counts.folds += 1,
        }
        let time = found.compatible();
        time.map(Instant::as_second)
            .map_err(|error| TimeFault::new("no time", format!("is no time: {error}")))
    }

    fn has(&self, seconds: i64) -> bool {
        (self.earliest..self.latest).contains(&seconds)
    }

    fn checked(&self, seconds: i64) -> Result<i64, TimeFault> {
        match self.has(seconds) {
            true => Ok(seconds),
            false => Err(self.outside(seconds)),
        }
    }

    fn outside(&self, seconds: i64) -> TimeFault {
        let when = show(seconds);
        match seconds < self.earliest {
            true => TimeFault::new(
                "time too early",
                format!(
                    "would be {when}, before {}: if that is right, set earliest",
                    day(self.earliest)
                ),
            ),
            false => TimeFault::new(
                "time in the future",
                format!("would be {when}, which is after tomorrow"),
            ),
        }
    }
}

/// A plain number, its decimals after a point or a comma.
fn number(text: &str) -> Option<f64> {
    let plain = |byte: u8| byte.is_ascii_digit() || matches!(byte, b'.' | b',' | b'-');
    if !text.bytes().all(plain) || text.bytes().skip(1).any(|byte| byte == b'-') {
        return None;
    }
    match text.contains(',') {
        true => text.replacen(',', ".", 1).parse().ok(),
        false => text.parse().ok(),
    }
}

/// `YYYYMMDD` or `YYYYMMDDhhmmss`.
fn digits_date(text: &str) -> Option<DateTime> {
    if !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let part = |range: std::ops::Range<usize>| text.get(range)?.parse::<i8>().ok();
    let date = |text: &str| Date::new(text.get(..4)?.parse().ok()?, part(4..6)?, part(6..8)?).ok();
    match text.len() {
        8 => Some(date(text)?.into()),
        14 => {
            let time = Time::new(part(8..10)?, part(10..12)?, part(12..14)?, 0).ok()?;
            Some(date(text)?.to_datetime(time))
        }
        _ => None,
    }
}

/// What Excel's day number means: days since 30 December 1899, of which the fraction is the time of day.
fn excel_date(days: f64) -> Option<DateTime> {
    if !(1.0..EXCEL_DAYS).contains(&days) {
        return None;
    }
    let seconds = (days * DAY as f64).round() as i64;
    EXCEL_ZERO.checked_add(seconds.seconds()).ok()
}

/// Whether `text` begins with four digits and a sign after them.
fn starts_with_year(text: &str) -> bool {
    let bytes = text.as_bytes();
    bytes.len() >= 8 && bytes[..4].iter().all(u8::is_ascii_digit) && matches!(bytes[4], b'-' | b'/' | b'.')
}

/// A time's text and its offset from UTC, if it has one, whatever stands between them.
fn without_offset(text: &str) -> (&str, Option<Offset>) {
    for mark in ["UTC", "GMT", "Z", "z"] {
        if let Some(civil) = text.strip_suffix(mark) {
            return (civil.trim_end(), Some(Offset::UTC));
        }
    }
    let offset = |at: usize| {
        let (civil, offset) = text.split_at_checked(at)?;
        let (sign, digits) = (offset.as_bytes()[0], &offset[1..]);
        let (hours, minutes) = match digits.len() {
            2 => (digits, "0"),
            4 => (digits.get(..2)?, digits.get(2..)?),
            5 if digits.as_bytes()[2] == b':' => (digits.get(..2)?, digits.get(3..)?),
            _ => return None,
        };
        let seconds =
            hours.parse::<u16>().ok()? * 60 + minutes.parse::<u16>().ok().filter(|more| *more < 60)?;
        let seconds = i32::from(seconds) * 60 * if sign == b'-' { -1 } else { 1 };
        Some((civil.trim_end(), Offset::from_seconds(seconds).ok()?))
    };
    // A date without a time of day has signs as well.
    let at = text.rfind(['+', '-']).filter(|at| text[..*at].contains(':'));
    match at.and_then(offset) {
        Some((civil, offset)) => (civil, Some(offset)),
        None => (text, None),
    }
}

/// `seconds` as RFC 3339, for reports.
pub(super) fn show(seconds: i64) -> String {
    Instant::from_second(seconds).map_or_else(|_| seconds.to_string(), |time| time.to_string())
}

fn day(seconds: i64) -> String {
    let shown = show(seconds);
    shown
        .split_once('T')
        .map_or(shown.clone(), |(day, _)| day.to_owned())
}

const DAY: i64 = 86_400;
/// 1990-01-01 UTC.
const EARLIEST: i64 = 631_152_000;
/// From about 1973 on, a count of milliseconds is beyond any count of seconds before the year 5138.
const MILLISECONDS_FROM: f64 = 1e11;
/// Excel's day numbers stay below this until 2173.
const EXCEL_DAYS: f64 = 100_000.0;
const EXCEL_ZERO: DateTime = DateTime::constant(1899, 12, 30, 0, 0, 0, 0);
const SAMPLE: DateTime = DateTime::constant(2024, 1, 15, 6, 7, 8, 0);

#[cfg(test)]
mod tests;
