//! Customers' lists of ten by what was published, channel by channel, and who sees an item there.

use std::sync::Arc;

use rayon::prelude::*;
use souk_common::catalogue::Catalogue;
use souk_common::channels::{Channels, Recency, recency_weights};
use souk_common::dataset::Dataset;
use souk_common::learned::{Learned, Learner};
use souk_common::model::{Loaded, Recommender};
use souk_common::rng::stream;

/// The first ten of every customer, by one channel.
pub(super) struct Lists {
    /// The channel.
    pub(super) name: String,
    /// One a customer.
    tens: Vec<Vec<u32>>,
}

impl Lists {
    /// Lists of `customers` by each federated channel of a run, or by its model.
    ///
    /// # Errors
    /// When what was learned is of another plan.
    pub(super) fn of(
        learner: &Learner,
        learned: &Learned,
        catalogue: &Catalogue,
        customers: &Dataset,
    ) -> anyhow::Result<Vec<Self>> {
        let plan = learner.plan();
        match learned {
            Learned::Model(params) => {
                let recommender = Recommender::new(&plan.model, &plan.train, catalogue);
                let model = Arc::new(recommender.load(params.clone()));
                Ok(vec![Self::by_model(&model, customers)])
            }
            Learned::Releases(releases) => {
                let mut channels: Channels = learner.channels(releases)?;
                channels.retain(|channel| channel.is_federated());
                let by = |channel: &Arc<dyn souk_common::channels::Channel>| {
                    let decay = channel.decay().unwrap_or(0.0);
                    let tens = customers.histories.par_iter().map(|history| {
                        let mut scores = vec![0.0; learner.items()];
                        let weights = recency_weights(history.len(), decay);
                        let of = Recency {
                            items: &history.items,
                            weights: &weights,
                        };
                        channel.score(of, &mut scores);
                        first_ten(&mut scores, &history.items)
                    });
                    Self {
                        name: channel.name().to_owned(),
                        tens: tens.collect(),
                    }
                };
                Ok(channels.iter().map(by).collect())
            }
        }
    }

    fn by_model(model: &Loaded, customers: &Dataset) -> Self {
        let users = customers.users.par_iter().zip(&customers.histories);
        let tens = users.map(|(user, history)| {
            let vector = model.fit_user(history, None, &[], &mut stream(0, user));
            let mut scores = model.score_all(&vector);
            first_ten(&mut scores, &history.items)
        });
        Self {
            name: "model".to_owned(),
            tens: tens.collect(),
        }
    }

    /// Share of the customers without `target` who find it among their ten.
    pub(super) fn exposure(&self, target: u32, customers: &Dataset) -> f64 {
        let without = self
            .tens
            .iter()
            .zip(&customers.histories)
            .filter(|(_, history)| !history.items.contains(&target));
        let (mut count, mut exposed) = (0u32, 0u32);
        for (ten, _) in without {
            count += 1;
            exposed += u32::from(ten.contains(&target));
        }
        f64::from(exposed) / f64::from(count.max(1))
    }
}

/// The ten highest, without `owned`; among equals the first.
fn first_ten(scores: &mut [f32], owned: &[u32]) -> Vec<u32> {
    for item in owned {
        scores[*item as usize] = f32::NEG_INFINITY;
    }
    let mut ten: Vec<u32> = Vec::with_capacity(LIST + 1);
    for (item, score) in (0..).zip(scores.iter()) {
        let is_full = ten.len() == LIST;
        // What is not a number is on no list.
        if score.is_nan()
            || *score == f32::NEG_INFINITY
            || (is_full && *score <= scores[ten[LIST - 1] as usize])
        {
            continue;
        }
        let at = ten.partition_point(|other| scores[*other as usize] >= *score);
        ten.insert(at, item);
        ten.truncate(LIST);
    }
    ten
}

const LIST: usize = 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_are_the_highest_without_what_is_owned_and_the_first_of_equals() {
        let mut scores: Vec<f32> = (0..30).map(|item| (item % 15) as f32).collect();
        scores[3] = f32::NAN;
        assert_eq!(
            first_ten(&mut scores, &[14]),
            [29, 13, 28, 12, 27, 11, 26, 10, 25, 9]
        );
        assert_eq!(first_ten(&mut [1.0, 2.0, 3.0], &[1]), [2, 0]);
    }
}
