//! Stars and clicks, row by row, into what each customer said of items.

use souk_common::dataset::Labelled;

use crate::data::report::DataReport;

/// What a row says.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Said {
    Stars(f32),
    Shown,
    Clicked,
}

/// Gathers what rows say: 32 bytes each. Rows that several exports have are the same rows.
#[derive(Default)]
pub(super) struct Labels(Vec<Row>);

#[derive(Clone, Copy)]
struct Row {
    user: u32,
    item: u32,
    time: i64,
    said: Said,
}

impl Labels {
    pub(super) fn add(&mut self, user: u32, item: u32, time: i64, said: Said) {
        self.0.push(Row {
            user,
            item,
            time,
            said,
        });
    }

    /// By user's number, over a catalogue of which `rows` says where each item is; in time order, of one time as the source has
    /// it. Of several ratings of one item the latest counts, of one time the last in the source. A click is of the latest time
    /// that the ad was shown before.
    pub(super) fn finish(self, rows: &[Option<u32>], report: &mut DataReport) -> Vec<(u32, Labelled)> {
        let all = self.0.len();
        let mut labels: Vec<(usize, Row)> = (0..)
            .zip(self.0)
            .filter_map(|(sequence, row)| {
                let item = rows[row.item as usize]?;
                Some((sequence, Row { item, ..row }))
            })
            .collect();
        report.labels_not_in_catalogue = (all - labels.len()) as u64;
        // What is shown at the time of a click was shown before it.
        let rank = |said: Said| u8::from(said == Said::Clicked);
        labels.sort_by_key(|(sequence, row)| (row.user, row.item, row.time, rank(row.said), *sequence));
        let mut kept: Vec<(usize, Row, f32)> = Vec::new();
        for pair in labels.chunk_by(|(_, a), (_, b)| (a.user, a.item) == (b.user, b.item)) {
            let first = kept.len();
            for (sequence, row) in pair {
                let here = kept.get_mut(first..).unwrap_or_default().last_mut();
                match (row.said, here) {
                    (Said::Stars(stars), Some(last)) => *last = (*sequence, *row, stars),
                    (Said::Stars(stars), None) => kept.push((*sequence, *row, stars)),
                    (Said::Shown, Some(last)) if last.1.time == row.time => {}
                    (Said::Shown, _) => kept.push((*sequence, *row, 0.0)),
                    (Said::Clicked, Some(last)) => last.2 = 1.0,
                    (Said::Clicked, None) => report.clicks_not_shown += 1,
                }
            }
        }
        report.labels = kept.len() as u64;
        kept.sort_by_key(|(sequence, row, _)| (row.user, row.time, *sequence));
        kept.chunk_by(|(_, a, _), (_, b, _)| a.user == b.user)
            .map(|of_user| {
                let mut labelled = Labelled::default();
                for (_, row, label) in of_user {
                    labelled.items.push(row.item);
                    labelled.times.push(row.time);
                    labelled.labels.push(*label);
                }
                (of_user[0].1.user, labelled)
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finish(said: &[(u32, u32, i64, Said)], rows: &[Option<u32>]) -> (Vec<(u32, Labelled)>, DataReport) {
        let (mut labels, mut report) = (Labels::default(), DataReport::default());
        for (user, item, time, said) in said {
            labels.add(*user, *item, *time, *said);
        }
        (labels.finish(rows, &mut report), report)
    }

    fn labelled(items: &[u32], times: &[i64], labels: &[f32]) -> Labelled {
        Labelled {
            items: items.to_vec(),
            times: times.to_vec(),
            labels: labels.to_vec(),
        }
    }

    #[test]
    fn the_latest_rating_of_an_item_counts_and_of_one_time_the_last() {
        let said = [
            (7, 0, 20, Said::Stars(2.0)),
            (7, 1, 10, Said::Stars(1.0)),
            (7, 0, 5, Said::Stars(5.0)),
            (7, 0, 20, Said::Stars(3.0)),
            (4, 2, 1, Said::Stars(4.0)),
        ];
        let (found, report) = finish(&said, &[Some(10), Some(11), None]);
        assert_eq!(found, [(7, labelled(&[11, 10], &[10, 20], &[1.0, 3.0]))]);
        assert_eq!((report.labels, report.labels_not_in_catalogue), (2, 1));
    }

    #[test]
    fn a_click_is_of_the_latest_showing_before_it_and_without_one_it_is_counted_and_left_out() {
        let said = [
            (1, 0, 30, Said::Clicked),
            (1, 0, 10, Said::Shown),
            (1, 0, 30, Said::Shown),
            (1, 0, 30, Said::Shown),
            (1, 0, 40, Said::Clicked),
            (1, 1, 5, Said::Clicked),
            (1, 1, 6, Said::Shown),
            (2, 1, 6, Said::Shown),
        ];
        let (found, report) = finish(&said, &[Some(0), Some(1)]);
        let expected = [
            (1, labelled(&[1, 0, 0], &[6, 10, 30], &[0.0, 0.0, 1.0])),
            (2, labelled(&[1], &[6], &[0.0])),
        ];
        assert_eq!(found, expected);
        assert_eq!((report.labels, report.clicks_not_shown), (4, 1));
    }
}
