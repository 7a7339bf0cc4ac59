//! The journal's files, one a day: which there are, which are too old, and what of a customer is in them.

use std::io;
use std::path::{Path, PathBuf};

use jiff::civil::Date;
use jiff::tz::TimeZone;
use souk_common::clock::Timestamp;
use souk_common::storage::disk::destroy;

use super::Event;
use crate::folder::Folder;
use crate::forgotten::day;

/// A day of the journal, and how many events of a customer it has.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct DayOfCustomer {
    path: PathBuf,
    /// Events of the customer.
    pub(crate) events: u64,
    kept: Vec<u8>,
}

/// Days that are over: files that the store of interactions reads.
///
/// # Errors
/// Of the disk.
pub(crate) fn past_days(folder: &Folder, now: Timestamp) -> io::Result<Vec<PathBuf>> {
    let today = file_name(now);
    let mut days = days(folder)?;
    days.retain(|path| {
        path.file_name()
            .is_some_and(|name| *name.to_string_lossy() < *today)
    });
    Ok(days)
}

/// All days, earliest first.
///
/// # Errors
/// Of the disk.
pub(crate) fn days(folder: &Folder) -> io::Result<Vec<PathBuf>> {
    folder.files_ending(&folder.events(), ENDING)
}

/// The day's file.
pub(crate) fn file_name(now: Timestamp) -> String {
    format!("{}.{ENDING}", day(now))
}

/// Days of which every event was before `kept_since`, in seconds since 1970.
///
/// # Errors
/// Of the disk.
pub(crate) fn days_before(folder: &Folder, kept_since: Option<i64>) -> io::Result<Vec<PathBuf>> {
    if kept_since.is_none() {
        return Ok(Vec::new());
    }
    let mut days = days(folder)?;
    days.retain(|day| is_before(day, kept_since));
    Ok(days)
}

/// Whether every event of a day was before `kept_since`.
pub(crate) fn is_before(path: &Path, kept_since: Option<i64>) -> bool {
    let name = path.file_stem().and_then(|name| name.to_str());
    let date: Option<Date> = name.and_then(|name| name.parse().ok());
    let begins = date.and_then(|date| TimeZone::UTC.to_timestamp(date.into()).ok());
    begins
        .zip(kept_since)
        .is_some_and(|(begins, first)| begins.as_second() + LONGEST_DAY <= first)
}

/// Writes over days and removes them.
///
/// # Errors
/// Of the disk: those that are left are there.
pub(crate) fn delete_days(folder: &Folder, days: &[PathBuf]) -> io::Result<()> {
    days.iter().try_for_each(|day| destroy(folder.disk(), day))
}

/// The days that have events of a customer, named as compared.
///
/// # Errors
/// Of the disk.
pub(crate) fn days_of(folder: &Folder, customer: &str) -> io::Result<Vec<DayOfCustomer>> {
    let mut found = Vec::new();
    for path in days(folder)? {
        let bytes = folder.disk().read(&path)?;
        let (mut kept, mut events) = (Vec::with_capacity(bytes.len()), 0);
        for line in bytes.split_inclusive(|byte| *byte == b'\n') {
            match is_of(line, customer) {
                true => events += 1,
                false => kept.extend_from_slice(line),
            }
        }
        if events > 0 {
            found.push(DayOfCustomer { path, events, kept });
        }
    }
    Ok(found)
}

/// Writes days anew without a customer's events, each whole or not at all. How many days and events.
///
/// # Errors
/// Of the disk: some days may have been written then, and the others are as before.
pub(crate) fn forget_in_days(folder: &Folder, customer: &str) -> io::Result<(u64, u64)> {
    // What a crash left of a day that was being written: the day itself is there.
    let aside = folder.files_ending(&folder.events(), "new")?;
    aside.iter().try_for_each(|path| destroy(folder.disk(), path))?;
    let days = days_of(folder, customer)?;
    for day in &days {
        folder.write_whole(&day.path, &day.kept, true)?;
    }
    Ok((days.len() as u64, days.iter().map(|day| day.events).sum()))
}

/// Whether a line of the journal is a customer's; one that can't be read is, if it has their id.
fn is_of(line: &[u8], customer: &str) -> bool {
    match Event::of_line(line.trim_ascii_end()) {
        Some(event) => event.user == customer,
        None => {
            let id = serde_json::to_string(customer).unwrap_or_default();
            let id = id.trim_matches('"').as_bytes();
            !id.is_empty() && line.windows(id.len()).any(|part| part == id)
        }
    }
}

const ENDING: &str = "jsonl";
/// A day, and how far ahead a web shop's clock may be.
const LONGEST_DAY: i64 = 86_400 + 300;

#[cfg(test)]
mod tests {
    use super::super::purchase;
    use super::*;

    const NOON: Timestamp = Timestamp(1_795_867_200_000);

    #[test]
    fn a_day_is_too_old_when_all_of_it_is() {
        let day = Path::new("events/2026-11-28.jsonl");
        let midnight = 1_795_910_400;
        for (first, is_old) in [(midnight, false), (midnight + 299, false), (midnight + 300, true)] {
            assert_eq!(is_before(day, Some(first)), is_old, "{first}");
        }
        assert!(!is_before(day, None) && !is_before(Path::new("events/notes.jsonl"), Some(i64::MAX)));
    }

    #[test]
    fn a_customers_lines_leave_and_all_others_stay_as_they_are() {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::new(dir.path());
        assert_eq!(forget_in_days(&folder, "ann").unwrap(), (0, 0));
        std::fs::create_dir(folder.events()).unwrap();
        let line = |user: &str| purchase(user, "tea", NOON).line();
        let of = |name: &str| folder.events().join(name);
        let others = [
            line("anna"),
            b"no line of \"user\":\"bob\"\n".to_vec(),
            line("bob"),
        ]
        .concat();
        std::fs::write(
            of("2026-11-27.jsonl"),
            [
                line("ann"),
                others.clone(),
                line("ann"),
                b"{\"user_id\":\"ann".to_vec(),
            ]
            .concat(),
        )
        .unwrap();
        std::fs::write(of("2026-11-28.jsonl"), line("bob")).unwrap();
        std::fs::write(of("2026-11-26.new"), line("ann")).unwrap();
        assert_eq!(forget_in_days(&folder, "ann").unwrap(), (1, 3));
        assert_eq!(std::fs::read(of("2026-11-27.jsonl")).unwrap(), others);
        assert_eq!(std::fs::read(of("2026-11-28.jsonl")).unwrap(), line("bob"));
        assert!(!of("2026-11-26.new").exists());
        let days = days(&folder).unwrap();
        delete_days(&folder, &days).unwrap();
        assert_eq!(std::fs::read_dir(folder.events()).unwrap().count(), 0);
    }
}
