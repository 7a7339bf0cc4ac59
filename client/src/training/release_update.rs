//! A shop's part in a round of a plan of releases: noise, and every user's vector.

use souk_common::dataset::{Dataset, History};
use souk_common::learned::{Learned, LearnedError, Learner};
use souk_common::model::update::UserUpdate;
use souk_common::plan::{Plan, RoundKind, ShopTerms};
use souk_common::privacy::{NoiseVector, UserSum};
use souk_common::release::collaborative::CollaborativeStatistic;
use souk_common::release::schedule::ReleaseKind;
use souk_common::release::{ReleaseHistory, for_release, popularity};
use souk_common::rng::Source;
use souk_common::update::Grid;

use super::training_update::{TrainingCache, add_all_with, training_update};

/// What a shop adds to the release, or the step of training, that `round` makes of what was `learned` before: the noise of `plan`,
/// the round's own, and the vectors of all its users. The latest item of each is in no release; it is what the shop validates on.
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
    cache: &mut TrainingCache,
    source: &mut S,
) -> Result<UserSum<S>, LearnedError> {
    let (Learned::Releases(before), Some(kind)) = (learned, learner.plan().kind_at(round)) else {
        return Err(LearnedError::NotThisPlan);
    };
    let kind = match kind {
        RoundKind::Release(kind) => kind,
        RoundKind::Training { phase, step } => {
            let of = (learner, before);
            return training_update(of, (phase, step), dataset, (grid, terms), cache, source);
        }
    };
    // Before any data is read.
    let noise = NoiseVector::draw(grid, plan.update_len(learner.coordinates(round)), source);
    let users = dataset.histories.len() as u64;
    let mut sum = UserSum::new(grid, terms.weight, noise).with_room(users, plan.room_for(terms));
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
    let update = |history: &History| Some((vector(&for_release(history))?, ()));
    let _: Vec<()> = add_all_with(&mut sum, &dataset.histories, update);
    Ok(sum)
}

#[cfg(test)]
mod tests;
