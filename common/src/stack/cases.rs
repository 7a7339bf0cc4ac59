//! What weights are fitted to: for each customer a wanted item beside drawn ones, with every channel's score of each.

use rand::RngExt;
use rayon::prelude::*;

use super::StackInput;
use crate::channels::Channels;
use crate::channels::scale::score_rows;
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

    fn gather(width: usize, channels: usize, parts: Vec<Self>) -> Self {
        let mut all = Self {
            width,
            channels,
            ..Self::default()
        };
        for part in parts {
            all.values.extend(part.values);
            all.masked.extend(part.masked);
        }
        all
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
            let mut case = new_case(channels);
            case.masked.push(false);
            case.masked.extend(drawn.iter().map(masked));
            let rows: Vec<u32> = std::iter::once(wanted).chain(drawn).collect();
            case.values.resize(rows.len() * channels.len(), 0.0);
            score_rows(channels, history, shop.items(), &rows, &mut case.values);
            Some(case)
        })
        .collect();
    Cases::gather(DRAWN + 1, channels.len(), parts)
}

/// The last training items of each of `users`, at most [`MOST_TAIL`], each against [`DRAWN_TAIL`] items, scored from what
/// comes before all of them; `channels` were fitted without them.
pub(super) fn of_tails(channels: &Channels, shop: &StackInput<'_>, users: &[usize], seed: u64) -> Cases {
    let parts = users
        .par_iter()
        .map(|user| {
            let history = &shop.train.histories[*user].items;
            let (before, tail) = history.split_at(history.len() - tail_len(history.len()));
            let mut rng = stream(seed, &format!("stack tail {}", shop.train.users[*user]));
            let hidden = shop.hidden(*user);
            let mut rows = Vec::new();
            let mut cases = new_case(channels);
            for wanted in tail.iter().rev() {
                let drawn: Vec<u32> = (0..DRAWN_TAIL)
                    .map(|_| rng.random_range(0..shop.items() as u32))
                    .collect();
                cases.masked.push(false);
                let masked = |item: &u32| history.contains(item) || hidden.contains(item);
                cases.masked.extend(drawn.iter().map(masked));
                rows.push(*wanted);
                rows.extend(drawn);
            }
            cases.values.resize(rows.len() * channels.len(), 0.0);
            if !rows.is_empty() {
                score_rows(channels, before, shop.items(), &rows, &mut cases.values);
            }
            cases
        })
        .collect();
    Cases::gather(DRAWN_TAIL + 1, channels.len(), parts)
}

fn new_case(channels: &Channels) -> Cases {
    Cases {
        channels: channels.len(),
        ..Cases::default()
    }
}

/// How many of a training history's items are wanted in turn: a third, at most [`MOST_TAIL`].
pub(super) fn tail_len(items: usize) -> usize {
    MOST_TAIL.min(items / 3)
}

const DRAWN: usize = 200;
const DRAWN_TAIL: usize = 100;
const MOST_TAIL: usize = 3;
