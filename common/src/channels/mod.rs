//! Ways to score items for a user without a trained network.
//!
//! | module | what |
//! |---|---|
//! | [`popularity`], [`shrinkage`] | the same order for everybody; what few sales say, drawn to what the features say |
//! | [`content`] | items that are alike by their public features |
//! | [`lda`] | the features that a user's items have more of than the catalogue |
//! | [`item_ease`], [`knn`], [`sequence`] | items that customers of this shop have together, or one after the other |
//! | [`timed`] | what is new, and what is bought these days: as of a day |
//! | [`low_rank`], [`named`] | a released view: user and item vectors; a channel under another name |
//! | [`kernel`] | an item-to-item matrix, whole or as lists |
//! | [`scale`] | how scores of different channels are made comparable |
//! | [`ease`] | EASE as a baseline that stands alone |
//!
//! A [`Channel`] is one way to score. All but popularity and what goes by the clock are linear in the user's items, which
//! is where reasons come from. Local channels are fitted to the shop's own customers; nothing of them, nor any count of them, leaves.

pub mod content;
pub mod ease;
pub mod item_ease;
pub mod kernel;
pub mod knn;
pub mod lda;
pub mod low_rank;
pub mod popularity;
pub mod renamed;
pub mod scale;
pub mod sequence;
pub mod shrinkage;
pub mod timed;

use std::sync::Arc;

pub use ease::Ease;
pub use lda::Lda;
pub use low_rank::LowRank;
pub use popularity::{FixedPopularity, LocalPopularity, Popularity};
pub use renamed::Renamed;

use crate::dataset::{Dataset, History};
use crate::features::Features;

/// What kind of evidence a channel is; channels of one group share one prior weight.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Group {
    /// The same order for everybody.
    Popularity,
    /// Features of items.
    Content,
    /// Features of the user's items against the catalogue's.
    Lda,
    /// Other customers of the shop.
    Local,
    /// Customers of all shops, by a release.
    Federated,
    /// The clock, and other customers of the shop.
    Time,
}

/// A user's distinct items, earliest first, and what each of them counts.
#[derive(Clone, Copy, Debug)]
pub struct Recency<'a> {
    /// Rows of the catalogue.
    pub items: &'a [u32],
    /// One an item.
    pub weights: &'a [f32],
}

impl Recency<'_> {
    /// The items with their weights.
    pub fn iter(&self) -> impl Iterator<Item = (usize, f32)> {
        self.items
            .iter()
            .zip(self.weights)
            .map(|(item, weight)| (*item as usize, *weight))
    }
}

/// The weights of `items` items in time order: the latest has rank k = 1 and each counts k^-decay, scaled to sum to 1.
pub fn recency_weights(items: usize, decay: f32) -> Vec<f32> {
    let raw: Vec<f64> = (1..=items)
        .rev()
        .map(|rank| libm::pow(rank as f64, -f64::from(decay)))
        .collect();
    let sum: f64 = raw.iter().sum();
    raw.into_iter().map(|weight| (weight / sum) as f32).collect()
}

/// One way to score all items for a user.
pub trait Channel: Send + Sync {
    /// What it is called; unique in a stack.
    fn name(&self) -> &str;

    /// What kind of evidence it is.
    fn group(&self) -> Group;

    /// Whether it rests on a release of all shops.
    fn is_federated(&self) -> bool {
        false
    }

    /// How fast older items fade: they count rank^-decay. None if the score is the same for everybody.
    fn decay(&self) -> Option<f32>;

    /// Whether scores are linear in the weights of a user's items, so that they fall into parts of these; else only leaving an
    /// item out tells what it adds.
    fn is_linear(&self) -> bool {
        true
    }

    /// Where scores are not linear: what each of the user's items adds to the raw scores of `wanted` to the first order, if the
    /// channel can say; for each wanted item, pairs of the user's item and its part.
    fn attributed(&self, _history: &[u32], _wanted: &[u32]) -> Option<Vec<Vec<(u32, f32)>>> {
        None
    }

    /// Whether scores depend on the day that they are for.
    fn goes_by_the_clock(&self) -> bool {
        false
    }

    /// The channel as of the day (UTC) of `time`, in seconds since 1970: what customers did on that day or later does not
    /// count. None where that is this channel as it is.
    fn as_of(&self, _time: i64) -> Option<Arc<dyn Channel>> {
        None
    }

    /// Raw scores of all items, written over `out`.
    ///
    /// # Shapes
    /// out: `[items]`.
    fn score(&self, of: Recency<'_>, out: &mut [f32]);

    /// Bytes in memory that it alone, or with its like, takes.
    fn bytes(&self) -> usize;
}

/// Channels, shared between stacks.
pub type Channels = Vec<Arc<dyn Channel>>;

/// The channels that are fitted to a shop's own customers.
pub fn local(train: &Dataset, features: &Features) -> Channels {
    let items = features.items();
    let popularity = LocalPopularity::fit(train, features);
    let mut channels: Channels = Vec::new();
    if let Some(lda) = Lda::fit(features, popularity.sums(), false) {
        channels.push(Arc::new(lda));
    }
    channels.insert(0, Arc::new(popularity));
    if let Some(kernel) = item_ease::kernel(&train.histories, items) {
        channels.extend(kernel::channels("ease", Group::Local, kernel, &BOTH_DECAYS));
    }
    let kernel = knn::kernel(&train.histories, items);
    channels.extend(kernel::channels("knn", Group::Local, kernel, &BOTH_DECAYS));
    let kernel = sequence::kernel(&train.histories, items);
    channels.extend(kernel::channels("sequence", Group::Local, kernel, &[1.0]));
    channels
}

/// Slow and fast fading.
pub const BOTH_DECAYS: [f32; 2] = [0.3, 1.0];

/// Which customers have each item, and where in their history, in the customers' order.
pub(crate) fn owners(histories: &[History], items: usize) -> Vec<Vec<(u32, u32)>> {
    let mut owners = vec![Vec::new(); items];
    for (user, history) in (0..).zip(histories) {
        for (position, item) in (0..).zip(&history.items) {
            owners[*item as usize].push((user, position));
        }
    }
    owners
}

#[cfg(test)]
mod tests;
