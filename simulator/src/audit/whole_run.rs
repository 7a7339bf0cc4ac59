//! One run of a whole federation, coordinator, agents, masks and ledgers as in production, with made-up customers in the shops'
//! records: each is there by a coin, and what is published is asked who was (Steinke, Nasr, Jagielski 2023).

use anyhow::Context;
use rand::RngExt;
use souk_client::training::training_update::TrainingCache;
use souk_common::dataset::Dataset;
use souk_common::learned::Learned;

use super::bounds::Evidence;
use super::federation::Published;
use super::mechanism::{AuditedPlan, AuditedRound, Canary, buyer, signed, with};
use super::statistics::Scores;
use super::subject::Subject;
use crate::world::{Line, Members, World};

/// What it says of epsilon over the whole run, beside what the ledgers state; and what a release's sum has beside the noise of all
/// shops is not asked here.
///
/// # Errors
/// When the federation does not come to its end.
pub(crate) fn evidence(
    subject: &Subject,
    plan: &AuditedPlan,
    most_canaries: usize,
) -> anyhow::Result<Vec<Evidence>> {
    let canaries = canaries(plan, most_canaries);
    let members = plan.shops().iter().enumerate().map(|(at, shop)| {
        let here = canaries
            .iter()
            .filter(|canary| canary.present && canary.shop == at);
        Members {
            name: shop.terms.name.clone(),
            dataset: here.fold(shop.dataset.clone(), |all, canary| with(&all, &canary.records)),
            forbidden: Vec::new(),
        }
    });
    let catalogue = &subject.known.catalogue;
    let world = World::new(
        &subject.plan,
        catalogue,
        members.collect(),
        Line::default(),
        subject.seed,
    )?;
    let every = (subject.plan.rounds / MOST_ROUNDS).max(1);
    let of_releases = subject.plan.is_of_releases();
    // Of many rounds some are asked, each with the one before it.
    let mut published = Published::new(|round: u64| {
        of_releases || round.is_multiple_of(every) || (round + 1).is_multiple_of(every)
    });
    let outcome = world.run_watched(&mut published)?;
    let mut scores = vec![0.0; canaries.len()];
    let mut before = (0, plan.initial());
    for (number, learned) in published.versions {
        if before.0 + 1 == number {
            let round = plan.round(&before.1, number)?;
            if let Some(told) = told(plan, &round, &before.1, &learned)? {
                for (score, canary) in scores.iter_mut().zip(&canaries) {
                    *score += along(plan, &round, canary, &told)?;
                }
            }
        }
        before = (number, learned);
    }
    let mut split = Scores::default();
    for (canary, score) in canaries.iter().zip(&scores) {
        match canary.present {
            true => split.present.push(*score),
            false => split.absent.push(*score),
        }
    }
    // Whom to call present may follow from all scores: they are what was published. One in ten is.
    scores.sort_unstable_by(f64::total_cmp);
    let threshold = scores[scores.len() - (scores.len() / 10).max(1)];
    let upper = outcome.epsilon.map(|epsilon| epsilon.get());
    let upper = upper.filter(|_| subject.plan.privacy.enabled);
    Ok(Evidence::of_one_run(
        ("whole run", "records"),
        split,
        threshold,
        upper,
        subject.plan.privacy.delta,
    ))
}

/// A made-up customer.
struct Recorded {
    shop: usize,
    present: bool,
    records: Dataset,
}

/// Customers who each bought ten items that were drawn for them.
fn canaries(plan: &AuditedPlan, most: usize) -> Vec<Recorded> {
    let mut draws = plan.stream("who is made up");
    let (items, shops) = (plan.catalogue().len() as u32, plan.shops().len());
    (0..most)
        .map(|canary| {
            let mut bought: Vec<u32> = (0..BOUGHT).map(|_| draws.random_range(0..items)).collect();
            let mut seen = std::collections::BTreeSet::new();
            bought.retain(|item| seen.insert(*item));
            Recorded {
                shop: canary % shops,
                present: draws.random_bool(0.5),
                records: buyer(&format!("canary {canary}"), bought),
            }
        })
        .collect()
}

/// What a round tells: of a release its sum less all real customers; of a model by how much it moved. None of a step of training
/// behind releases, whose sum is not published.
fn told(
    plan: &AuditedPlan,
    round: &AuditedRound,
    before: &Learned,
    after: &Learned,
) -> anyhow::Result<Option<Vec<f64>>> {
    match (before, after) {
        (Learned::Model(before), Learned::Model(after)) => {
            let moved = after
                .iter()
                .zip(before)
                .map(|(after, before)| f64::from(after - before));
            Ok(Some(moved.collect()))
        }
        (_, Learned::Releases(releases)) if plan.plan().release_at(round.number).is_some() => {
            let last = releases.last.as_ref().context("a release was published")?;
            let mut told: Vec<f64> = signed(&last.sum.values)
                .iter()
                .map(|value| *value as f64)
                .collect();
            for (shop, of) in plan.shops().iter().enumerate() {
                let source = &mut plan.stream("not used: everybody is in a release");
                let cache = &mut TrainingCache::default();
                let (values, _) = plan.bare(round, shop, &of.dataset, cache, source)?;
                for (told, value) in told.iter_mut().zip(signed(&values)) {
                    *told -= value as f64;
                }
            }
            let stddev = round.charged_stddev().max(1.0);
            told.iter_mut().for_each(|value| *value /= stddev);
            Ok(Some(told))
        }
        _ => Ok(None),
    }
}

fn along(plan: &AuditedPlan, round: &AuditedRound, canary: &Recorded, told: &[f64]) -> anyhow::Result<f64> {
    let vector = plan.vector(round, canary.shop, &Canary::Records(canary.records.clone()))?;
    let length = vector
        .iter()
        .map(|value| (*value as f64).powi(2))
        .sum::<f64>()
        .sqrt();
    let dot: f64 = told
        .iter()
        .zip(&vector)
        .map(|(told, value)| told * *value as f64)
        .sum();
    Ok(dot / length.max(1.0))
}

/// Items of a made-up customer.
const BOUGHT: usize = 10;
/// Rounds that are asked, of a plan that trains a model.
const MOST_ROUNDS: u64 = 10;
