//! What a customer bought last, from the gradient of the tower: the adversary knows the customer's earlier items and which items are
//! drawn against the latest, makes the gradient for each candidate, and names the one nearest to what is seen.

use rand::RngExt;
use souk_common::dataset::History;
use souk_common::learned::{Learned, Learner};
use souk_common::model::UserUpdate;
use souk_common::release::for_release;
use souk_common::rng::stream;
use souk_common::training::inputs::TowerInputs;
use souk_common::training::phases::TrainingKind;
use souk_common::training::tower::{Tower, TowerCase};

use super::context::Context;
use super::extraction::{Background, extract};
use super::statistics::Guarantee;
use super::{Measured, Tried};

pub(super) fn run(context: &Context<'_>) -> anyhow::Result<Tried> {
    let plan = context.plan();
    let is_tower = plan
        .training
        .first()
        .is_some_and(|phase| phase.kind == TrainingKind::Tower);
    let Learned::Releases(releases) = context.last() else {
        return Ok(Tried::Not("the plan trains no tower behind releases".to_owned()));
    };
    let (Some(last), Some(begun), true) = (&releases.last, releases.trained.first(), is_tower) else {
        return Ok(Tried::Not(
            "the plan trains no tower right behind its releases".to_owned(),
        ));
    };
    let Some(tower) = Tower::from_params(begun.params.clone()) else {
        return Ok(Tried::Not("what was published is no tower".to_owned()));
    };
    let mut targets = context.targets("towers", context.subject.effort.pick(16, 200), 2);
    let items = context.subject.known.catalogue.len();
    targets.retain(|user| items > context.subject.known.dataset.histories[*user].len());
    if targets.is_empty() {
        return Ok(Tried::Not(
            "no customer has two items besides the latest one".to_owned(),
        ));
    }
    let inputs = Learner::new(plan, &context.subject.known.catalogue).inputs(last)?;
    let expected = |user: usize, latest: u32| gradient(context, (&tower, &inputs), user, latest);
    let mut measured = Measured::of(MEASURE);
    for protections in context.protections() {
        let (observed, _) = context.observed(plan.release.len() + 1, protections)?;
        let background = Background::noise_of(context.noisy_shops(protections));
        let right = |user: usize, seen: &[Vec<f64>]| {
            let history = &context.subject.known.dataset.histories[user];
            let candidates = candidates(context, user);
            let mut nearest = (f64::INFINITY, 0);
            for candidate in &candidates {
                let Some(gradient) = expected(user, *candidate) else {
                    continue;
                };
                let squares = gradient
                    .iter()
                    .zip(&seen[0])
                    .map(|(expected, seen)| (expected - seen).powi(2));
                let distance: f64 = squares.sum();
                if distance < nearest.0 {
                    nearest = (distance, *candidate);
                }
            }
            f64::from(u8::from(for_release(history).latest() == Some(nearest.1)))
        };
        let extracted = extract(
            context,
            &[(&observed, &background)],
            &targets,
            &format!("towers {protections:?}"),
            right,
        )?;
        let allowed = extracted.allowed(Guarantee::of([observed.noise_multiplier()]));
        let note = format!(
            "the first step of {}, everybody else known and taken off",
            plan.training[0].rounds
        );
        measured.rows.push(context.row(
            protections,
            extracted.found(),
            (extracted.guessed().value, allowed),
            note,
        ));
    }
    Ok(Tried::Rows(vec![measured]))
}

/// The latest item, and others that the customer does not have, in an order of the seed's.
fn candidates(context: &Context<'_>, user: usize) -> Vec<u32> {
    let known = &context.subject.known;
    let own = &known.dataset.histories[user].items;
    let mut rng = stream(context.subject.seed, &format!("candidates of {user}"));
    let mut candidates: Vec<u32> = own.last().copied().into_iter().collect();
    let others = known
        .catalogue
        .len()
        .saturating_sub(own.len())
        .min(CANDIDATES - 1);
    while candidates.len() <= others {
        let item = rng.random_range(0..known.catalogue.len() as u32);
        if !own.contains(&item) && !candidates.contains(&item) {
            candidates.push(item);
        }
    }
    // Of two that are as near, the first is named: its place may not say which it is.
    let place = rng.random_range(0..candidates.len());
    candidates.swap(0, place);
    candidates
}

/// The customer's clipped gradient, had `latest` been the latest item.
fn gradient(
    context: &Context<'_>,
    (tower, inputs): (&Tower, &TowerInputs),
    user: usize,
    latest: u32,
) -> Option<Vec<f64>> {
    let dataset = &context.subject.known.dataset;
    let mut items = dataset.histories[user].items.clone();
    *items.last_mut()? = latest;
    let history = History {
        times: (0..items.len() as i64).collect(),
        items,
    };
    let case = TowerCase::new(
        inputs,
        &for_release(&history),
        &dataset.users[user],
        context.plan().seed,
    )?;
    let UserUpdate::Sparse { values, .. } = tower.update(&case).0 else {
        return None;
    };
    let norm = values
        .iter()
        .map(|value| f64::from(*value).powi(2))
        .sum::<f64>()
        .sqrt();
    let shrink =
        norm.max(context.plan().privacy.clip_norm.get()).recip() * context.plan().privacy.clip_norm.get();
    Some(values.iter().map(|value| f64::from(*value) * shrink).collect())
}

const CANDIDATES: usize = 100;
const MEASURE: &str = "share of customers whose latest item is named, of 100 candidates (resampled customers); chance: the same without the customer";
