//! What the plan's noise costs: how well what is published ranks each customer's last product, with the noise and without it, for
//! everybody and for parts of the customers.
//!
//! The federation runs as in production, in this process. Nothing of a shop's own goes into the ranking: it is what the noise can
//! spoil. What a shop's customers see rests on its own data as well, and loses less.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::Context;
use rayon::prelude::*;
use souk_common::channels::scale::score_channel;
use souk_common::channels::{Channels, content};
use souk_common::eval::{Scorer, Split, leave_last_two_out};
use souk_common::features::Features;
use souk_common::model::Recommender;
use souk_common::plan::{Placement, Plan};
use souk_common::task::Task;

use super::front::ALL;
use super::model::UtilityFinding;
use crate::audit::subject::Subject;
use crate::data::known::Known;
use crate::data::plans::names;
use crate::evaluate::fitted_users::Personal;
use crate::evaluate::joining::expected;
use crate::evaluate::releases::{self, Earlier};
use crate::world::{Line, World, members_of};

/// What was measured, and what was not.
#[derive(Clone, Debug, Default)]
pub(crate) struct MeasuredUtility {
    /// Everybody by all that is published first, then parts of them, then everybody by each channel alone.
    pub(crate) findings: Vec<UtilityFinding>,
    /// For the report's list of what was not tested.
    pub(crate) not_tested: Vec<String>,
}

/// Of the subject's plan on its customers. `genders` has one a customer, empty where it is not known; none at all if the data set has
/// no such thing.
///
/// # Errors
/// When the federation does not come to its end.
pub(crate) fn measure(subject: &Subject, genders: &[String]) -> anyhow::Result<MeasuredUtility> {
    let (plan, known) = (&subject.plan, &subject.known);
    let mut measured = MeasuredUtility::default();
    let mut skip = |why: &str| measured.not_tested.push(why.to_owned());
    if matches!(plan.task, Task::Rating | Task::Ads) {
        skip(&format!(
            "what privacy costs a plan of the task {}: `souk-sim evaluate --task {0}` measures it",
            plan.task.name()
        ));
        return Ok(measured);
    }
    let split = leave_last_two_out(&known.dataset);
    if split.evaluated_users() == 0 {
        skip("what privacy costs: nobody has three products, so that none can be kept back");
        return Ok(measured);
    }
    if genders.iter().all(String::is_empty) {
        skip("what privacy costs by gender: the data set does not say it");
    }
    let seeds = match plan.privacy.noise_multiplier {
        Some(_) => subject.effort.pick(1, 3),
        None => 1,
    };
    let trial = Trial::new(known, &split);
    let with_plan = (subject.seed..)
        .take(seeds)
        .map(|seed| trial.hits(plan, seed))
        .collect::<anyhow::Result<Vec<_>>>()?;
    let with_plan = mean(with_plan);
    let without_noise = match plan.privacy.noise_multiplier {
        Some(_) => Some(trial.hits(&without_noise(plan)?, subject.seed)?),
        None => None,
    };
    let everybody: Vec<usize> = (0..split.train.len())
        .filter(|user| split.held_out[*user].is_some())
        .collect();
    let row = |ranked_by: &str, parted_by: &str, part: &str, users: &[usize]| {
        let hits = with_plan.get(ranked_by)?;
        let open = without_noise.as_ref().and_then(|open| open.get(ranked_by));
        Some(finding((ranked_by, parted_by, part), users, hits, open))
    };
    let mut rows = Vec::new();
    rows.extend(row(TOGETHER, ALL, ALL, &everybody));
    for (parted_by, part, users) in parts(known, &everybody, genders) {
        rows.extend(row(TOGETHER, parted_by, &part, &users));
    }
    if with_plan.len() > 2 {
        let channels = with_plan.keys().filter(|name| name.as_str() != TOGETHER);
        rows.extend(channels.filter_map(|name| row(name, ALL, ALL, &everybody)));
    }
    measured.findings = rows;
    Ok(measured)
}

/// The same plan, clip and all, without its noise; masks change no sum and are left out.
fn without_noise(plan: &Plan) -> anyhow::Result<Plan> {
    let mut open = plan.clone();
    (open.privacy.enabled, open.privacy.noise_multiplier) = (false, None);
    (open.privacy.placement, open.masking, open.metrics) = (Placement::Local, None, None);
    open.validate().context("the plan without its noise")?;
    Ok(open)
}

/// Expected hits by what ranks: one a customer, 0 of those who are not evaluated.
type HitsBy = BTreeMap<String, Vec<f64>>;

/// What no seed changes.
struct Trial<'a> {
    known: &'a Known,
    split: &'a Split,
    content: Channels,
}

impl<'a> Trial<'a> {
    fn new(known: &'a Known, split: &'a Split) -> Self {
        Self {
            known,
            split,
            content: content::channels(&Features::of(&known.catalogue)),
        }
    }

    /// After a run of `plan`.
    fn hits(&self, plan: &Plan, seed: u64) -> anyhow::Result<HitsBy> {
        match plan.is_of_releases() {
            true => {
                let run = (plan, Earlier::default());
                let channels = releases::channels(self.known, self.split, &self.content, run, seed)?;
                Ok(self.by_channels(&channels))
            }
            false => self.by_model(plan, seed),
        }
    }

    /// Each channel alone, and the sum of all, each made comparable over a customer's items.
    fn by_channels(&self, channels: &Channels) -> HitsBy {
        let items = self.known.catalogue.len();
        let of_user = |user: usize| -> Vec<f64> {
            let history = &self.split.train.histories[user].items;
            let (mut scores, mut sum) = (vec![0.0_f32; items], vec![0.0_f32; items]);
            let mut hits: Vec<f64> = channels
                .iter()
                .map(|channel| {
                    let standard = score_channel(&**channel, history, &mut scores);
                    let added = sum.iter_mut().zip(&scores);
                    added.for_each(|(sum, score)| *sum += standard.apply(*score));
                    expected(self.split, user, &scores).unwrap_or(0.0)
                })
                .collect();
            hits.push(expected(self.split, user, &sum).unwrap_or(0.0));
            hits
        };
        let users: Vec<Vec<f64>> = (0..self.split.train.len()).into_par_iter().map(of_user).collect();
        let names = channels.iter().map(|channel| channel.name().to_owned());
        names
            .chain([TOGETHER.to_owned()])
            .enumerate()
            .map(|(at, name)| (name, users.iter().map(|hits| hits[at]).collect()))
            .collect()
    }

    /// The model that the plan trains.
    fn by_model(&self, plan: &Plan, seed: u64) -> anyhow::Result<HitsBy> {
        let (known, train) = (self.known, &self.split.train);
        let members = members_of(train, &[], &known.shop_of, &names(plan));
        let world = World::new(plan, &known.catalogue, members, Line::default(), seed)
            .context("the plan does not fit these shops")?;
        let outcome = world.run(|_, _| {})?;
        let recommender = Recommender::new(&plan.model, &plan.train, &known.catalogue);
        let model = Arc::new(recommender.load(outcome.params));
        let personal = Personal::fit(&model, train, &[], seed);
        let hits = (0..train.len()).into_par_iter().map(|user| {
            let mut scores = Vec::new();
            personal.score_all(user, &mut scores);
            expected(self.split, user, &scores).unwrap_or(0.0)
        });
        Ok(BTreeMap::from([(TOGETHER.to_owned(), hits.collect())]))
    }
}

/// Over the seeds of the noise.
fn mean(seeds: Vec<HitsBy>) -> HitsBy {
    let count = seeds.len().max(1) as f64;
    let mut sums = HitsBy::new();
    for (name, hits) in seeds.into_iter().flatten() {
        let sum = sums.entry(name).or_insert_with(|| vec![0.0; hits.len()]);
        sum.iter_mut()
            .zip(hits)
            .for_each(|(sum, hit)| *sum += hit / count);
    }
    sums
}

fn finding(
    (ranked_by, parted_by, part): (&str, &str, &str),
    users: &[usize],
    hits: &[f64],
    open: Option<&Vec<f64>>,
) -> UtilityFinding {
    let count = users.len() as f64;
    let mean = |of: &dyn Fn(usize) -> f64| users.iter().map(|user| of(*user)).sum::<f64>() / count;
    let difference = open.map(|open| |user: usize| open[user] - hits[user]);
    let lost = difference.as_ref().map(|of| mean(of));
    let error = difference
        .as_ref()
        .zip(lost)
        .filter(|_| users.len() > 1)
        .map(|(of, lost)| {
            let squares = users.iter().map(|user| (of(*user) - lost).powi(2)).sum::<f64>();
            (squares / (count - 1.0) / count).sqrt()
        });
    UtilityFinding {
        ranked_by: ranked_by.to_owned(),
        parted_by: parted_by.to_owned(),
        part: part.to_owned(),
        customers: users.len() as u64,
        with_plan: mean(&|user| hits[user]),
        without_noise: open.map(|open| mean(&|user| open[user])),
        lost,
        standard_error: error,
    }
}

/// Thirds of the shops by size, thirds of the customers by how many products they have, and genders; empty ones are left out.
fn parts(known: &Known, everybody: &[usize], genders: &[String]) -> Vec<(&'static str, String, Vec<usize>)> {
    let mut sizes = vec![0usize; known.shops];
    known.shop_of.iter().for_each(|shop| sizes[*shop] += 1);
    let mut shops: Vec<usize> = (0..known.shops).collect();
    shops.sort_by_key(|shop| (sizes[*shop], *shop));
    let mut third_of_shop = vec![0; known.shops];
    for (place, shop) in shops.iter().enumerate() {
        third_of_shop[*shop] = third(place, shops.len());
    }
    let bought = |user: usize| known.dataset.histories[user].len();
    let mut by_activity = everybody.to_vec();
    by_activity.sort_by_key(|user| (bought(*user), *user));
    let mut parts = Vec::new();
    for (at, name) in ["smallest third", "middle third", "largest third"]
        .into_iter()
        .enumerate()
    {
        let users: Vec<usize> = everybody
            .iter()
            .copied()
            .filter(|user| third_of_shop[known.shop_of[*user]] == at)
            .collect();
        let of_third = shops
            .iter()
            .filter(|shop| third_of_shop[**shop] == at)
            .map(|shop| sizes[*shop]);
        parts.push((
            "shop size",
            format!("{name}, {} customers a shop", range(of_third)),
            users,
        ));
    }
    for (at, name) in ["least active third", "middle third", "most active third"]
        .into_iter()
        .enumerate()
    {
        let users: Vec<usize> = by_activity
            .iter()
            .enumerate()
            .filter(|(place, _)| third(*place, by_activity.len()) == at)
            .map(|(_, user)| *user)
            .collect();
        let part = format!(
            "{name}, {} products",
            range(users.iter().map(|user| bought(*user)))
        );
        parts.push(("activity", part, users));
    }
    let mut by_gender: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for user in everybody {
        if let Some(gender) = genders.get(*user).filter(|gender| !gender.is_empty()) {
            by_gender.entry(gender).or_default().push(*user);
        }
    }
    parts.extend(
        by_gender
            .into_iter()
            .map(|(gender, users)| ("gender", gender.to_owned(), users)),
    );
    parts.retain(|(_, _, users)| !users.is_empty());
    parts
}

/// Which third the place is in.
fn third(place: usize, of: usize) -> usize {
    3 * place / of.max(1)
}

fn range(values: impl Iterator<Item = usize> + Clone) -> String {
    match (values.clone().min(), values.max()) {
        (Some(least), Some(most)) if least < most => format!("{least} to {most}"),
        (Some(only), _) => only.to_string(),
        (None, _) => "no".to_owned(),
    }
}

/// What ranks if all that is published does, with equal weights, or the model if that is what is.
const TOGETHER: &str = "all that is published";
