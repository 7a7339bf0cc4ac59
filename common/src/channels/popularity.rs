//! The same list for everybody: items by how many users have them, by what recent sales say, or by a release.

use super::shrinkage::{expected, mean, shrink};
use super::{Channel, Group, Recency, recency_weights};
use crate::dataset::Dataset;
use crate::eval::ranking::Scorer;
use crate::features::Features;

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

/// What the shop's own customers have, recent items more, drawn to what the features say: log(p + .3).
#[derive(Clone, Debug)]
pub struct LocalPopularity {
    sums: Vec<f64>,
    scores: Vec<f32>,
}

impl LocalPopularity {
    /// Fits to `train`. Each customer adds a vector of length 1 whose entries fall by rank^-.5; its spread over customers
    /// is the noise that shrinkage goes by.
    pub fn fit(train: &Dataset, features: &Features) -> Self {
        let (sums, noise) = recent_sales(train, features.items());
        let sums = shrink(&sums, &noise, features);
        let scores = sums.iter().map(|sum| libm::log(sum + 0.3) as f32).collect();
        Self { sums, scores }
    }

    /// The shrunk sums, 0 or more, one an item.
    pub fn sums(&self) -> &[f64] {
        &self.sums
    }
}

/// What each item's recent sales come to, and the variance of that over customers.
fn recent_sales(train: &Dataset, items: usize) -> (Vec<f64>, Vec<f64>) {
    let (mut sums, mut noise) = (vec![0.0; items], vec![0.0; items]);
    for history in train.histories.iter().filter(|history| !history.is_empty()) {
        let weights = recency_weights(history.len(), DECAY);
        let square: f64 = weights.iter().map(|weight| f64::from(*weight).powi(2)).sum();
        for (item, weight) in history.items.iter().zip(weights) {
            let weight = f64::from(weight);
            sums[*item as usize] += weight / square.sqrt();
            noise[*item as usize] += weight * weight / square;
        }
    }
    let least = 0.3 * mean(noise.iter().copied());
    noise.iter_mut().for_each(|noise| *noise += least);
    (sums, noise)
}

impl Channel for LocalPopularity {
    fn name(&self) -> &str {
        "popularity"
    }

    fn group(&self) -> Group {
        Group::Popularity
    }

    fn decay(&self) -> Option<f32> {
        None
    }

    fn score(&self, _: Recency<'_>, out: &mut [f32]) {
        out.copy_from_slice(&self.scores);
    }

    fn bytes(&self) -> usize {
        size_of_val(&*self.sums) + size_of_val(&*self.scores)
    }
}

/// An order that rests on no sale of this shop's own of the items that it places.
#[derive(Clone, Debug)]
pub struct FixedPopularity {
    name: &'static str,
    is_federated: bool,
    scores: Vec<f32>,
}

impl FixedPopularity {
    /// A released popularity: log(p + 1 + .3 z), from the denoised sums `p`, one an item, 0 or more, and the deviation `noise` of what
    /// was added to them.
    pub fn released(p: &[f64], noise: f64) -> Self {
        let score = |sum: &f64| libm::log(sum + 1.0 + 0.3 * noise) as f32;
        Self {
            name: "popularity of all shops",
            is_federated: true,
            scores: p.iter().map(score).collect(),
        }
    }

    /// What an item of these features is worth that nobody has bought yet: log(m + .3), where m is what the features say of sales, fitted
    /// to `train` as [`LocalPopularity`] does before it looks at an item's own.
    pub fn expected(train: &Dataset, features: &Features) -> Self {
        let (sums, noise) = recent_sales(train, features.items());
        let expected = expected(&sums, mean(noise.iter().copied()), features);
        Self {
            name: "expected popularity",
            is_federated: false,
            scores: expected.iter().map(|sum| libm::log(sum + 0.3) as f32).collect(),
        }
    }
}

impl Channel for FixedPopularity {
    fn name(&self) -> &str {
        self.name
    }

    fn group(&self) -> Group {
        Group::Popularity
    }

    fn is_federated(&self) -> bool {
        self.is_federated
    }

    fn decay(&self) -> Option<f32> {
        None
    }

    fn score(&self, _: Recency<'_>, out: &mut [f32]) {
        out.copy_from_slice(&self.scores);
    }

    fn bytes(&self) -> usize {
        size_of_val(&*self.scores)
    }
}

/// How fast a customer's older items fade in popularity.
const DECAY: f32 = 0.5;
