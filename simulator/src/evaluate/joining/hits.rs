//! Users' scores and expected hit rates.

use souk_common::eval::candidates::NEGATIVES;
use souk_common::eval::{Scorer, Split, expected_hit};

use super::K;

/// Expected hit rates, for every seed of the noise one a user; none of users who are not evaluated.
pub(crate) struct Hits(pub(super) Vec<Vec<Option<f64>>>);

impl Hits {
    /// Over the noise.
    pub(crate) fn mean(&self) -> Vec<Option<f64>> {
        let users = self.0.first().map_or(0, Vec::len);
        let mean = |user: usize| -> Option<f64> {
            let hits: Option<Vec<f64>> = self.0.iter().map(|seed| seed[user]).collect();
            hits.map(|hits| hits.iter().sum::<f64>() / hits.len() as f64)
        };
        (0..users).map(mean).collect()
    }
}

/// Every user's scores of all items.
pub(super) struct Scored(pub(super) Vec<Vec<f32>>);

impl Scored {
    /// The user's hit rate@10 in expectation over the drawn items; ties count against it.
    pub(super) fn expected(&self, split: &Split, user: usize) -> Option<f64> {
        expected(split, user, &self.0[user])
    }
}

/// The hit rate@10 of `user`, whose scores of all items these are, in expectation over the drawn items; ties count against it. None of
/// a user who is not evaluated.
pub(crate) fn expected(split: &Split, user: usize, scores: &[f32]) -> Option<f64> {
    let held = split.held_out[user]?;
    let mut known = split.train.histories[user].items.clone();
    known.extend([held.validation, held.test]);
    known.sort_unstable();
    let others = (0..scores.len()).filter(|item| known.binary_search(&(*item as u32)).is_err());
    let above = others
        .filter(|item| scores[*item] >= scores[held.test as usize])
        .count();
    Some(expected_hit(scores.len() - known.len(), above, NEGATIVES, K))
}

impl Scorer for Scored {
    fn score(&self, user: usize, items: &[u32], out: &mut Vec<f32>) {
        out.clear();
        out.extend(items.iter().map(|item| self.0[user][*item as usize]));
    }

    fn score_all(&self, user: usize, out: &mut Vec<f32>) {
        out.clear();
        out.extend_from_slice(&self.0[user]);
    }
}
