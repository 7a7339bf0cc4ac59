//! Times that a setting has to make clear, and what to set.

use jiff::civil::Date;
use jiff::fmt::strtime::BrokenDownTime;

use super::TimeFault;

/// A year of two digits that is read as one of four, by the pattern.
pub(super) fn short_year(pattern: &str, text: &str, parts: &BrokenDownTime) -> Option<TimeFault> {
    let year = parts.to_date().ok()?.year();
    let right = pattern.replace("%Y", "%y");
    let read = BrokenDownTime::parse(&right, text).ok();
    (pattern.contains("%Y") && (0..100).contains(&year) && read.is_some()).then(|| {
        TimeFault::new(
            "year of two digits",
            format!("has a year of two digits, and %Y stands for one of four: set time_format = {right:?}"),
        )
    })
}

/// For a date that begins with its day or its month: refused, with what it may mean.
pub(super) fn two_readings(text: &str) -> Option<TimeFault> {
    let end = text.find([' ', 'T']).unwrap_or(text.len());
    let sign = text[..end].find(['/', '.', '-']).map(|at| &text[at..=at])?;
    let mut parts = text[..end].split(sign);
    let mut part = || parts.next()?.parse::<i16>().ok();
    let (first, second, year) = (part()?, part()?, part()?);
    let (year, letter) = if year < 100 {
        (2000 + year, "y")
    } else {
        (year, "Y")
    };
    let of = |month: i16, day: i16| Date::new(year, month.try_into().ok()?, day.try_into().ok()?).ok();
    let time = match text[end..].matches(':').count() {
        0 => "",
        1 => " %H:%M",
        _ => " %H:%M:%S",
    };
    let reading = |date: Option<Date>, days: &str| {
        date.map(|date| {
            format!(
                "{} with time_format = \"{days}{sign}%{letter}{time}\"",
                date.strftime("%-d %B %Y")
            )
        })
    };
    let readings: Vec<String> = [
        reading(of(second, first), &format!("%d{sign}%m")),
        reading(of(first, second), &format!("%m{sign}%d")),
    ]
    .into_iter()
    .flatten()
    .collect();
    let reason = match &readings[..] {
        [] => return None,
        // Its file has others that are not as clear: what is set holds for all.
        [only] => format!("begins with its day or its month, set which; it can only be {only}"),
        _ => format!(
            "may be written day first or month first, set which: {}",
            readings.join(", or ")
        ),
    };
    Some(TimeFault::new("day or month first", reason))
}
