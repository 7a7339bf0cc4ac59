//! A cell of a workbook as what a text file would have in its place.

use calamine::{Data, ExcelDateTime};
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::Offset;
use souk_common::table::Moment;

/// What a cell holds, if it is not empty.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Cell {
    Text(String),
    /// A time, also as text.
    Time(String, Moment),
    /// The name of an error, such as `#N/A`.
    Error(String),
}

/// What a value is, in a workbook that counts days from 1904 or, as most do, from 1900.
pub(super) fn cell(value: Data, since_1904: bool) -> Option<Cell> {
    let text = match value {
        Data::Empty => return None,
        Data::Error(error) => return Some(Cell::Error(error.to_string())),
        Data::String(text) => text,
        Data::Bool(is) => is.to_string(),
        Data::Int(number) => number.to_string(),
        Data::Float(number) => {
            let text = number_text(number);
            // A day number without a date's format: text could not say what it is counted from.
            return Some(match since_1904 && DAYS_FROM_1990.contains(&number) {
                true => Cell::Time(text, moment(number, true)),
                false => Cell::Text(text),
            });
        }
        Data::DateTime(time) => return Some(date(time, since_1904)),
        Data::DateTimeIso(text) => match text.parse::<DateTime>() {
            Ok(time) => return Some(Cell::Time(shown(time), local(time))),
            Err(_) => text,
        },
        Data::DurationIso(text) => match text.parse::<jiff::SignedDuration>() {
            Ok(time) => time_of_day(time.as_secs()),
            Err(_) => text,
        },
    };
    (!text.trim().is_empty()).then_some(Cell::Text(text))
}

fn date(time: ExcelDateTime, since_1904: bool) -> Cell {
    let days = time.as_f64();
    if time.is_duration() || (0.0..1.0).contains(&days) {
        return Cell::Text(time_of_day((days * DAY).round() as i64));
    }
    let moment = moment(days, since_1904);
    let Moment::Local(seconds) = moment else {
        return Cell::Text(number_text(days));
    };
    match Timestamp::from_second(seconds) {
        Ok(time) => Cell::Time(shown(Offset::UTC.to_datetime(time)), moment),
        Err(_) => Cell::Text(number_text(days)),
    }
}

/// A day number, whose fraction is the time of day.
fn moment(days: f64, since_1904: bool) -> Moment {
    let zero = if since_1904 { DAYS_OF_1904 } else { 0.0 };
    Moment::Local(((days + zero - DAYS_OF_1970) * DAY).round() as i64)
}

fn local(time: DateTime) -> Moment {
    let seconds = Offset::UTC.to_timestamp(time);
    Moment::Local(seconds.map_or(i64::MAX, Timestamp::as_second))
}

/// A date, with its time of day if it has one.
fn shown(time: DateTime) -> String {
    match time.time() == jiff::civil::Time::midnight() {
        true => time.date().to_string(),
        false => time.strftime("%Y-%m-%d %H:%M:%S").to_string(),
    }
}

pub(super) fn time_of_day(seconds: i64) -> String {
    let sign = if seconds < 0 { "-" } else { "" };
    let seconds = seconds.unsigned_abs();
    format!(
        "{sign}{:02}:{:02}:{:02}",
        seconds / 3600,
        seconds / 60 % 60,
        seconds % 60
    )
}

/// A number as it would stand in a text: ids keep no `.0`. Beyond fifteen digits spreadsheets have lost the rest, and write it like this.
pub(super) fn number_text(number: f64) -> String {
    match number.abs() >= 1e15 {
        true => format!("{number:E}").replacen('E', "E+", 1),
        false => number.to_string(),
    }
}

const DAY: f64 = 86_400.0;
/// From the zero of the 1900 system, 1899-12-30, on.
const DAYS_OF_1904: f64 = 1462.0;
const DAYS_OF_1970: f64 = 25_569.0;
/// In the 1904 system, until 2173.
const DAYS_FROM_1990: std::ops::Range<f64> = 31_412.0..98_538.0;

#[cfg(test)]
mod tests {
    use calamine::ExcelDateTimeType;

    use super::*;

    fn days(days: f64, since_1904: bool) -> Option<Cell> {
        let time = ExcelDateTime::new(days, ExcelDateTimeType::DateTime, since_1904);
        cell(Data::DateTime(time), since_1904)
    }

    #[test]
    fn numbers_dates_and_errors_are_what_a_text_file_would_have() {
        let text = |text: &str| Some(Cell::Text(text.to_owned()));
        assert_eq!(cell(Data::Float(17850.0), false), text("17850"));
        assert_eq!(cell(Data::Float(2.55), false), text("2.55"));
        assert_eq!(
            cell(Data::Float(4_006_381_333_931.0), false),
            text("4006381333931")
        );
        // More digits than a spreadsheet keeps: refused as an id.
        assert_eq!(
            cell(Data::Float(1.234_567_890_123_456e17), false),
            text("1.234567890123456E+17")
        );
        assert_eq!(cell(Data::Float(f64::NAN), false), text("NaN"));
        assert_eq!(cell(Data::String(" ".into()), false), None);
        let noon = Moment::Local(1_704_456_000);
        assert_eq!(
            days(45_296.5, false),
            Some(Cell::Time("2024-01-05 12:00:00".into(), noon))
        );
        assert_eq!(
            days(43_834.5, true),
            days(45_296.5, false),
            "the same moment in the 1904 system"
        );
        assert_eq!(
            cell(Data::Float(43_834.5), true),
            Some(Cell::Time("43834.5".into(), noon))
        );
        assert_eq!(days(0.25, false), text("06:00:00"));
        let iso = Data::DateTimeIso("2024-01-05T00:00:00".into());
        assert_eq!(
            cell(iso, false),
            Some(Cell::Time("2024-01-05".into(), Moment::Local(1_704_412_800)))
        );
        assert_eq!(
            cell(Data::DurationIso("PT10H22M33S".into()), false),
            text("10:22:33")
        );
        assert_eq!(
            cell(Data::Error(calamine::CellErrorType::NA), false),
            Some(Cell::Error("#N/A".into()))
        );
    }
}
