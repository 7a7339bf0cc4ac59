//! A shop's part in a step of training after the releases of a plan: noise, and every user's clipped gradient.

use rayon::prelude::*;
use souk_common::dataset::{Dataset, History};
use souk_common::ids::Digest;
use souk_common::learned::{LearnedError, Learner, Releases};
use souk_common::model::update::UserUpdate;
use souk_common::plan::ShopTerms;
use souk_common::privacy::{NoiseVector, UserSum};
use souk_common::release::for_release;
use souk_common::rng::{Coins, Source};
use souk_common::training::clicks::tower::{ClickCase, ClickTower};
use souk_common::training::phases::TrainingKind;
use souk_common::training::tower::{Tower, TowerCase};
use souk_common::update::Grid;

use super::round_update::Vectors;

/// What a shop keeps from step to step over the same data; none of it leaves.
#[derive(Default)]
pub struct TrainingCache {
    /// The tower's cases, a user each, of the release with this digest.
    cases: Option<(Digest, Vec<Option<TowerCase>>)>,
    /// The click tower's, a user each.
    clicks: Option<Vec<Option<ClickCase>>>,
    /// Users' own vectors of the model that is trained.
    vectors: Vectors,
}

/// What a shop adds to step `step` of the plan's training phase `phase`: noise, and the gradients of all its users. Each user's
/// latest item is what the tower is to find; a model is trained without it.
///
/// The result is the same on any number of threads.
///
/// # Errors
/// When what was released is of another plan, or not as far.
pub(super) fn training_update<S: Source>(
    (learner, releases): (&Learner, &Releases),
    (phase, step): (usize, u64),
    dataset: &Dataset,
    (grid, terms): (&Grid, &ShopTerms),
    cache: &mut TrainingCache,
    source: &mut S,
) -> Result<UserSum<S>, LearnedError> {
    let plan = learner.plan();
    let trained = releases.trained.get(phase).ok_or(LearnedError::NotThisPlan)?;
    // Before any data is read.
    let noise = NoiseVector::draw(grid, plan.update_len(trained.params.len()), source);
    let users = dataset.histories.len() as u64;
    let mut sum = UserSum::new(grid, terms.weight, noise).with_room(users, plan.room_for(terms));
    match plan.training[phase].kind {
        TrainingKind::Tower => {
            let tower = Tower::from_params(trained.params.clone()).ok_or(LearnedError::NotThisPlan)?;
            let cases = cache.cases(learner, releases, dataset)?;
            let update = |case: &Option<TowerCase>| Some(tower.update(case.as_ref()?).0);
            add_all(&mut sum, cases, update);
        }
        TrainingKind::Clicks => {
            let tower = ClickTower::from_params(trained.params.clone()).ok_or(LearnedError::NotThisPlan)?;
            let cases = cache.clicks(learner, dataset)?;
            let update = |case: &Option<ClickCase>| Some(tower.update(case.as_ref()?).0);
            add_all(&mut sum, cases, update);
        }
        TrainingKind::Model => {
            let recommender = learner.recommender().ok_or(LearnedError::NotThisPlan)?;
            let rounds = plan.training[phase].rounds;
            let model = recommender.load(trained.params.clone()).in_round(step, rounds);
            // Keyed by the user's id: who else is a customer does not change what a user draws.
            let coins = Coins::toss(source);
            cache.vectors.resize(dataset.len(), None);
            let users: Vec<(usize, History)> =
                (0..).zip(dataset.histories.iter().map(without_latest)).collect();
            let vectors = &cache.vectors;
            let made = add_all_with(&mut sum, &users, |(user, history)| {
                if history.is_empty() {
                    return None;
                }
                let mut own = coins.of(&dataset.users[*user]);
                let (update, after) = model.user_update(history, vectors[*user].as_ref(), &[], &mut own);
                Some((update, (*user, after)))
            });
            made.into_iter()
                .for_each(|(user, after)| cache.vectors[user] = Some(after));
        }
    }
    Ok(sum)
}

impl TrainingCache {
    /// They are of the data and the catalogue alone, which a cache is for.
    fn clicks(&mut self, learner: &Learner, dataset: &Dataset) -> Result<&[Option<ClickCase>], LearnedError> {
        let cases = match self.clicks.take() {
            Some(cases) => cases,
            None => {
                let inputs = learner.click_inputs()?;
                let users = (0..dataset.len()).into_par_iter();
                let case =
                    |user| ClickCase::new(&inputs, &dataset.histories[user], dataset.labelled_of(user)?);
                let cases: Vec<Option<ClickCase>> = users.map(case).collect();
                cases
            }
        };
        Ok(self.clicks.insert(cases))
    }

    fn cases(
        &mut self,
        learner: &Learner,
        releases: &Releases,
        dataset: &Dataset,
    ) -> Result<&[Option<TowerCase>], LearnedError> {
        let last = releases.last.as_ref().ok_or(LearnedError::NotThisPlan)?;
        let of = last.digest();
        let kept = self.cases.take().filter(|(kept, _)| *kept == of);
        let cases = match kept {
            Some((_, cases)) => cases,
            None => {
                let (inputs, seed) = (learner.inputs(last)?, learner.plan().seed);
                let users = dataset.users.par_iter().zip(&dataset.histories);
                users
                    .map(|(id, history)| TowerCase::new(&inputs, &for_release(history), id, seed))
                    .collect()
            }
        };
        Ok(&self.cases.insert((of, cases)).1)
    }
}

/// Distinct items in the order of their first times, without the latest, which the shop validates on.
fn without_latest(history: &History) -> History {
    let mut items = for_release(history).items().to_vec();
    items.reverse();
    let times = (0..items.len() as i64).collect();
    History { items, times }
}

fn add_all<S: Source, U: Sync>(
    sum: &mut UserSum<S>,
    users: &[U],
    update: impl Fn(&U) -> Option<UserUpdate> + Sync,
) {
    let _: Vec<()> = add_all_with(sum, users, |user| Some((update(user)?, ())));
}

/// Adds every user's update, and gives what else came of it. As many parts as threads, each as large as the sum, not one a task.
pub(super) fn add_all_with<S: Source, U: Sync, T: Send>(
    sum: &mut UserSum<S>,
    users: &[U],
    update: impl Fn(&U) -> Option<(UserUpdate, T)> + Sync,
) -> Vec<T> {
    let share = users
        .len()
        .div_ceil(rayon::current_num_threads())
        .max(LEAST_SHARE);
    let parts: Vec<_> = users
        .par_chunks(share)
        .map(|users| {
            let mut part = sum.part();
            let mut more = Vec::new();
            for (update, other) in users.iter().filter_map(&update) {
                part.add(&update);
                more.push(other);
            }
            (part, more)
        })
        .collect();
    let mut all = Vec::new();
    for (part, more) in parts {
        sum.merge(part);
        all.extend(more);
    }
    all
}

/// Fewer users than this are not worth a thread and a copy of the sum's shape.
const LEAST_SHARE: usize = 64;
