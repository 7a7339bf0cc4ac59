//! What weights are fitted to: for each customer a wanted item beside drawn ones, with every channel's score of each: as of the
//! day on which the wanted item was taken, where a channel goes by the clock.

use std::collections::BTreeMap;

use rand::RngExt;
use rayon::prelude::*;

use super::StackInput;
use crate::channels::scale::{score_channel, score_rows};
use crate::channels::{Channels, timed};
use crate::dataset::History;
use crate::rng::stream;

/// Cases of one kind: the wanted item first, then the drawn ones.
#[derive(Clone, Debug, Default)]
pub(super) struct Cases {
    /// Items of a case: the wanted one and the drawn ones.
    pub(super) width: usize,
    /// Scores of an item.
    pub(super) channels: usize,
    /// `[cases, width, channels]`: standardised and compressed.
    pub(super) values: Vec<f32>,
    /// `[cases, width]`: drawn items that the customer has, or that are wanted; they do not count.
    pub(super) masked: Vec<bool>,
}

impl Cases {
    pub(super) fn len(&self) -> usize {
        self.masked.len() / self.width.max(1)
    }

    pub(super) fn values(&self, case: usize) -> &[f32] {
        let size = self.width * self.channels;
        &self.values[case * size..][..size]
    }

    pub(super) fn masked(&self, case: usize) -> &[bool] {
        &self.masked[case * self.width..][..self.width]
    }

    fn gather(width: usize, channels: &Channels, items: usize, parts: Vec<Part>) -> Self {
        let mut all = Self {
            width,
            channels: channels.len(),
            ..Self::default()
        };
        let (mut rows, mut days) = (Vec::new(), BTreeMap::<i64, Vec<usize>>::new());
        for part in parts {
            for (case, time) in (all.len()..).zip(&part.times) {
                days.entry(timed::day_of(*time)).or_default().push(case);
            }
            all.values.extend(part.values);
            all.masked.extend(part.masked);
            rows.extend(part.rows);
        }
        all.at_their_days(channels, items, &rows, &days);
        all
    }

    /// Scores by channels that go by the clock, as of each case's day; 0, which says nothing, where that is not known.
    ///
    /// # Shapes
    /// rows: `[cases, width]`, the items.
    fn at_their_days(
        &mut self,
        channels: &Channels,
        items: usize,
        rows: &[u32],
        days: &BTreeMap<i64, Vec<usize>>,
    ) {
        for (at, channel) in channels.iter().enumerate() {
            if !channel.goes_by_the_clock() {
                continue;
            }
            let scored = days.par_iter().map(|(day, cases)| {
                let mut scores = vec![0.0; items];
                if *day > 0 {
                    let then = timed::as_of(&vec![channel.clone()], timed::start_of(*day));
                    let standard = score_channel(&*then[0], &[], &mut scores);
                    scores
                        .iter_mut()
                        .for_each(|score| *score = standard.apply(*score));
                }
                let of_case = |case: &usize| -> Vec<f32> {
                    let rows = &rows[case * self.width..][..self.width];
                    rows.iter().map(|row| scores[*row as usize]).collect()
                };
                (cases, cases.iter().map(of_case).collect::<Vec<_>>())
            });
            let scored: Vec<_> = scored.collect();
            for (cases, values) in scored {
                for (case, values) in cases.iter().zip(values) {
                    for (place, value) in values.into_iter().enumerate() {
                        self.values[(case * self.width + place) * self.channels + at] = value;
                    }
                }
            }
        }
    }
}

/// Cases of one customer.
#[derive(Default)]
struct Part {
    values: Vec<f32>,
    masked: Vec<bool>,
    /// Items of all cases.
    rows: Vec<u32>,
    /// When each case's wanted item was taken.
    times: Vec<i64>,
}

impl Part {
    fn add(&mut self, wanted: u32, drawn: &[u32], time: i64, masked: impl Fn(&u32) -> bool) {
        self.masked.push(false);
        self.masked.extend(drawn.iter().map(masked));
        self.rows.push(wanted);
        self.rows.extend(drawn);
        self.times.push(time);
    }

    fn scored(mut self, channels: &Channels, history: &[u32], items: usize) -> Self {
        self.values.resize(self.rows.len() * channels.len(), 0.0);
        if !self.rows.is_empty() {
            score_rows(channels, history, items, &self.rows, &mut self.values);
        }
        self
    }
}

/// The validation item of each of `users` against [`DRAWN`] items.
pub(super) fn of_validation(channels: &Channels, shop: &StackInput<'_>, users: &[usize], seed: u64) -> Cases {
    let parts = users
        .par_iter()
        .filter_map(|user| {
            let wanted = shop.validation[*user]?;
            let history = &shop.train.histories[*user].items;
            let mut rng = stream(seed, &format!("stack validation {}", shop.train.users[*user]));
            let drawn: Vec<u32> = (0..DRAWN)
                .map(|_| rng.random_range(0..shop.items() as u32))
                .collect();
            let hidden = shop.hidden(*user);
            let masked = |item: &u32| *item == wanted || history.contains(item) || hidden.contains(item);
            let time = shop.times.get(*user).copied().unwrap_or_default();
            let mut case = Part::default();
            case.add(wanted, &drawn, time, masked);
            Some(case.scored(channels, history, shop.items()))
        })
        .collect();
    Cases::gather(DRAWN + 1, channels, shop.items(), parts)
}

/// The last training items of each of `users`, at most [`MOST_TAIL`], each against [`DRAWN_TAIL`] items, scored from what
/// comes before all of them; `channels` were fitted without them.
pub(super) fn of_tails(channels: &Channels, shop: &StackInput<'_>, users: &[usize], seed: u64) -> Cases {
    let parts = users
        .par_iter()
        .map(|user| {
            let History { items, times } = &shop.train.histories[*user];
            let first = items.len() - tail_len(items.len());
            let mut rng = stream(seed, &format!("stack tail {}", shop.train.users[*user]));
            let hidden = shop.hidden(*user);
            let mut cases = Part::default();
            for at in (first..items.len()).rev() {
                let drawn: Vec<u32> = (0..DRAWN_TAIL)
                    .map(|_| rng.random_range(0..shop.items() as u32))
                    .collect();
                let masked = |item: &u32| items.contains(item) || hidden.contains(item);
                let time = times.get(at).copied().unwrap_or_default();
                cases.add(items[at], &drawn, time, masked);
            }
            cases.scored(channels, &items[..first], shop.items())
        })
        .collect();
    Cases::gather(DRAWN_TAIL + 1, channels, shop.items(), parts)
}

/// How many of a training history's items are wanted in turn: a third, at most [`MOST_TAIL`].
pub(super) fn tail_len(items: usize) -> usize {
    MOST_TAIL.min(items / 3)
}

const DRAWN: usize = 200;
const DRAWN_TAIL: usize = 100;
const MOST_TAIL: usize = 3;
