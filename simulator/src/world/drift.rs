//! Tastes that move: each round learns from a window of time that slides over the histories.

use souk_common::dataset::{Dataset, History};

/// The window: so long a share of the whole time, at the beginning in the first round and at the end in the last.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Drift {
    share: f64,
    rounds: u64,
    first: i64,
    last: i64,
}

impl Drift {
    /// Of `rounds` rounds over these histories; `share` is of their whole time, in (0, 1].
    pub(crate) fn new(share: f64, rounds: u64, dataset: &Dataset) -> Self {
        let times = || dataset.histories.iter().flat_map(|history| &history.times);
        Self {
            share,
            rounds,
            first: times().min().copied().unwrap_or(0),
            last: times().max().copied().unwrap_or(0),
        }
    }

    /// The first and the last second of a round, from 1.
    fn window(&self, round: u64) -> (i64, i64) {
        let whole = (self.last - self.first) as f64;
        let length = whole * self.share;
        let step = (whole - length) / (self.rounds.saturating_sub(1)).max(1) as f64;
        let begin = step * (round.clamp(1, self.rounds) - 1) as f64;
        // The very last purchase is in the last window, however the numbers were rounded.
        let end = match round >= self.rounds {
            true => self.last,
            false => self.first + (begin + length).floor() as i64,
        };
        (self.first + begin.ceil() as i64, end)
    }

    /// What of these histories a round sees. Everybody keeps their place; who bought nothing in the window has no history.
    pub(super) fn seen(&self, dataset: &Dataset, round: u64) -> Dataset {
        let (begin, end) = self.window(round);
        let of = |history: &History| {
            let pairs = history.items.iter().zip(&history.times);
            let (items, times) = pairs
                .filter(|(_, time)| (begin..=end).contains(*time))
                .map(|(item, time)| (*item, *time))
                .unzip();
            History { items, times }
        };
        Dataset {
            users: dataset.users.clone(),
            histories: dataset.histories.iter().map(of).collect(),
            labelled: dataset.labelled.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_window_slides_from_the_first_purchase_to_the_last() {
        let dataset = Dataset {
            users: vec!["a".to_owned(), "b".to_owned()],
            histories: vec![
                History {
                    items: vec![0, 1, 2],
                    times: vec![0, 50, 100],
                },
                History {
                    items: vec![3],
                    times: vec![99],
                },
            ],
            labelled: Vec::new(),
        };
        let drift = Drift::new(0.5, 3, &dataset);
        assert_eq!(
            [1, 2, 3].map(|round| drift.window(round)),
            [(0, 50), (25, 75), (50, 100)]
        );
        let items = |round| -> Vec<Vec<u32>> {
            let seen = drift.seen(&dataset, round);
            seen.histories.into_iter().map(|history| history.items).collect()
        };
        assert_eq!(items(1), [vec![0, 1], vec![]]);
        assert_eq!(items(2), [vec![1], vec![]]);
        assert_eq!(items(3), [vec![1, 2], vec![3]]);
        let whole = Drift::new(1.0, 3, &dataset);
        assert!((1..=3).all(|round| whole.seen(&dataset, round).histories == dataset.histories));
    }
}
