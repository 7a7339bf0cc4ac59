//! Orders that have stopped coming, and files with too many bad lines.

use std::time::Duration;

use souk_common::clock::Timestamp;

use crate::data::{DataReport, SourceReport};

/// Orders that have stopped coming.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct StaleOrders {
    /// The source with the newest one.
    pub(crate) source: String,
    /// When that was bought.
    pub(crate) newest: Timestamp,
    /// Whole days since then.
    pub(crate) days: u64,
    /// After how many days without one something is wrong, by the shop's own pace.
    pub(crate) usual_days: u64,
}

/// Whether the newest order of all `sources` is older than this shop's pace lets one expect.
///
/// Lines that come one after the other by chance, at a mean distance g, leave a gap of 20 g once in half a billion: several
/// lines are one order, and nights and holidays have none, so a gap of that length is a stop also where they are not independent. A
/// shop that exports once a week is well for [`LEAST_DAYS`] days.
pub(crate) fn stale<'a>(
    sources: impl IntoIterator<Item = &'a SourceReport>,
    now: Timestamp,
) -> Option<StaleOrders> {
    let spans = sources
        .into_iter()
        .filter_map(|source| Some((source, source.span?)));
    let (source, (first, last)) = spans.max_by_key(|(_, (_, last))| *last)?;
    let mean_gap_secs = last.saturating_sub(first).unsigned_abs() / source.taken.saturating_sub(1).max(1);
    let usual_days = (GAPS * mean_gap_secs)
        .div_ceil(DAY.as_secs())
        .clamp(LEAST_DAYS, MOST_DAYS);
    let newest = Timestamp::from_secs(last);
    let days = now.since(newest).as_secs() / DAY.as_secs();
    (days > usual_days).then(|| StaleOrders {
        source: source.name.clone(),
        newest,
        days,
        usual_days,
    })
}

/// A file of which a noticeable part is bad.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct BadShare {
    pub(crate) source: String,
    pub(crate) bad: u64,
    pub(crate) rows: u64,
    /// The first bad line's place and fault, or how many there are of the commonest fault.
    pub(crate) reason: String,
}

impl BadShare {
    /// In words, with what to do.
    pub(crate) fn words(&self) -> String {
        format!(
            "{} of {} lines of {} are bad and do not count ({}): mend the export, or say under [data] in shop.toml how it is \
             written; `souk-client check-data` lists them",
            self.bad, self.rows, self.source, self.reason
        )
    }
}

/// The files of a report with more than 1 % and more than ten bad lines.
pub(crate) fn too_many_bad(report: &DataReport) -> Vec<BadShare> {
    let share = |source: &SourceReport| {
        let (bad, rows) = (source.bad_rows(), source.rows);
        let is_much = bad > FEW_BAD && bad * 100 > rows;
        let first = report.bad.iter().find(|line| line.file == source.name);
        let commonest = source.bad.iter().max_by_key(|(_, count)| **count);
        is_much.then(|| BadShare {
            source: source.name.clone(),
            bad,
            rows,
            reason: match (first, commonest) {
                (Some(line), _) => format!("the first, line {}: {}", line.line, line.reason),
                (None, Some((kind, count))) => format!("{count} for {kind}"),
                (None, None) => String::new(),
            },
        })
    };
    report.sources.iter().filter_map(share).collect()
}

const DAY: Duration = Duration::from_secs(86_400);
const GAPS: u64 = 20;
/// A week, and the day on which the next export is made.
const LEAST_DAYS: u64 = 8;
/// Of a shop that sells once a month nothing more is expected.
const MOST_DAYS: u64 = 90;
/// Some lines of any export are odd.
const FEW_BAD: u64 = 10;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::report::BadLine;

    fn source(name: &str, taken: u64, days: (i64, i64)) -> SourceReport {
        SourceReport {
            name: name.into(),
            taken,
            rows: taken,
            span: Some((days.0 * 86_400, days.1 * 86_400)),
            ..SourceReport::default()
        }
    }

    #[test]
    fn orders_are_stale_by_the_pace_of_the_shop_and_the_newest_source_counts() {
        let days_on = |days: i64| Timestamp::from_secs(days * 86_400);
        // Ten a day.
        let busy = source("orders.csv", 3000, (0, 300));
        assert_eq!(stale([&busy], days_on(308)), None);
        let found = stale([&busy], days_on(309)).unwrap();
        assert_eq!(
            (found.source.as_str(), found.days, found.usual_days),
            ("orders.csv", 9, 8)
        );
        assert_eq!(found.newest, days_on(300));
        // One in two days: forty days without any are still no stop.
        let slow = source("orders.csv", 151, (0, 300));
        assert_eq!(stale([&slow], days_on(340)), None);
        assert_eq!(stale([&slow], days_on(341)).unwrap().usual_days, 40);
        // One a year: nobody waits for twenty.
        let rare = source("orders.csv", 3, (0, 730));
        assert_eq!(stale([&rare], days_on(730 + 91)).unwrap().usual_days, 90);
        // An archive is as old as it is.
        let archive = source("orders-2024.csv", 3000, (-700, -400));
        assert_eq!(stale([&archive, &busy], days_on(305)), None);
        assert_eq!(
            stale([&archive, &busy], days_on(320)).unwrap().source,
            "orders.csv"
        );
        // Without a time nothing is known; one order, or a clock that is behind, is no reason to panic.
        assert_eq!(stale([&SourceReport::default()], days_on(300)), None);
        assert!(stale([&source("one", 1, (0, 0))], days_on(9)).is_some());
        assert_eq!(stale([&busy], days_on(0)), None);
    }

    #[test]
    fn bad_lines_are_too_many_above_one_percent_and_ten() {
        let report = |bad: u64, rows: u64| DataReport {
            sources: vec![SourceReport {
                name: "orders.csv".into(),
                rows,
                bad: [("time".to_owned(), bad)].into(),
                ..SourceReport::default()
            }],
            bad: vec![BadLine {
                file: "orders.csv".into(),
                line: 7,
                reason: "no time".into(),
            }],
            ..DataReport::default()
        };
        for (bad, rows) in [(0, 0), (10, 20), (11, 1100), (11, 5000)] {
            assert_eq!(too_many_bad(&report(bad, rows)), vec![], "{bad} of {rows}");
        }
        let found = too_many_bad(&report(11, 1099));
        let words = found[0].words();
        assert!(
            words.contains("11 of 1099 lines of orders.csv") && words.contains("line 7: no time"),
            "{words}"
        );
        let mut unlisted = report(20, 100);
        unlisted.bad.clear();
        assert_eq!(too_many_bad(&unlisted)[0].reason, "20 for time");
    }
}
