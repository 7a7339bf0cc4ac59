//! The same list for everybody: items by how many users have them.

use crate::dataset::Dataset;
use crate::eval::ranking::Scorer;

/// Scores an item by its number of users in training.
#[derive(Clone, Debug)]
pub struct Popularity {
    counts: Vec<f32>,
}

impl Popularity {
    /// Counts over `train`; `items` is the catalogue's length.
    pub fn fit(train: &Dataset, items: usize) -> Self {
        let mut counts = vec![0.0; items];
        for item in train.histories.iter().flat_map(|history| &history.items) {
            counts[*item as usize] += 1.0;
        }
        Self { counts }
    }

    /// How many users have each item, in row order.
    pub fn counts(&self) -> &[f32] {
        &self.counts
    }
}

impl Scorer for Popularity {
    fn score(&self, _user: usize, items: &[u32], out: &mut Vec<f32>) {
        out.clear();
        out.extend(items.iter().map(|item| self.counts[*item as usize]));
    }

    fn score_all(&self, _user: usize, out: &mut Vec<f32>) {
        out.clear();
        out.extend_from_slice(&self.counts);
    }
}
