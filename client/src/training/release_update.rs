//! A shop's part in a release: noise, and every user's vector.

use rayon::prelude::*;
use souk_common::dataset::Dataset;
use souk_common::learned::{Learned, LearnedError, Learner};
use souk_common::model::update::UserUpdate;
use souk_common::plan::{Plan, ShopTerms};
use souk_common::privacy::{NoiseVector, UserSum};
use souk_common::release::collaborative::CollaborativeStatistic;
use souk_common::release::schedule::ReleaseKind;
use souk_common::release::{ReleaseHistory, for_release, popularity};
use souk_common::rng::Source;
use souk_common::update::Grid;

/// What a shop adds to the release that `round` makes of what was `learned` before: the noise of `plan`, the round's own, and
/// the vectors of all its users. The latest item of each is left out; it is what the shop validates on.
///
/// The result is the same on any number of threads.
///
/// # Errors
/// When nothing was released that this release is seen through.
pub fn release_update<S: Source>(
    (learner, learned): (&Learner, &Learned),
    round: u64,
    dataset: &Dataset,
    (plan, grid, terms): (&Plan, &Grid, &ShopTerms),
    source: &mut S,
) -> Result<UserSum<S>, LearnedError> {
    let (Learned::Releases(before), Some(kind)) = (learned, learner.plan().release_at(round)) else {
        return Err(LearnedError::NotThisPlan);
    };
    // Before any data is read.
    let noise = NoiseVector::draw(grid, plan.update_len(learner.coordinates(round)), source);
    let mut sum = UserSum::new(grid, terms.weight, noise);
    let statistic = match kind {
        ReleaseKind::Popularity => None,
        ReleaseKind::Collaborative | ReleaseKind::SecondCollaborative => {
            let last = before.last.as_ref().ok_or(LearnedError::NotThisPlan)?;
            let map = last.next.as_ref().ok_or(LearnedError::NotThisPlan)?;
            let statistic = CollaborativeStatistic::new(map, &last.direction);
            Some(statistic.map_err(|_| LearnedError::NotThisPlan)?)
        }
    };
    let items = learner.items();
    let vector = |history: &ReleaseHistory| -> Option<UserUpdate> {
        match &statistic {
            None => popularity::contribution(history, items),
            Some(statistic) => statistic.contribution(history),
        }
    };
    // As many parts as threads, each as large as the release, not one a task.
    let share = dataset
        .len()
        .div_ceil(rayon::current_num_threads())
        .max(LEAST_SHARE);
    let parts: Vec<_> = dataset
        .histories
        .par_chunks(share)
        .map(|histories| {
            let mut part = sum.part();
            let vectors = histories
                .iter()
                .filter_map(|history| vector(&for_release(history)));
            vectors.for_each(|vector| part.add(&vector));
            part
        })
        .collect();
    parts.into_iter().for_each(|part| sum.merge(part));
    Ok(sum)
}

/// Fewer users than this are not worth a thread and a copy of the release's shape.
const LEAST_SHARE: usize = 64;

#[cfg(test)]
mod tests;
