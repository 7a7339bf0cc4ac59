//! A customer's basket, from the collaborative release: the customer's statistic is an outer product but for the own rows, which stand
//! out from its one direction.

use souk_common::release::schedule::ReleaseKind;

use super::context::Context;
use super::decode;
use super::extraction::{Background, PRECISION, extract, items_of, precision};
use super::statistics::{Guarantee, mean};
use super::{Measured, Tried};

pub(super) fn run(context: &Context<'_>) -> anyhow::Result<Tried> {
    let plan = context.plan();
    let round = plan
        .release
        .iter()
        .position(|release| release.kind == ReleaseKind::Collaborative);
    let Some(round) = round else {
        return Ok(Tried::Not(
            "the plan releases nothing of which items go together".to_owned(),
        ));
    };
    let targets = context.targets("baskets", context.subject.effort.pick(60, 600), 2);
    if targets.is_empty() {
        return Ok(Tried::Not(
            "no customer has two items besides the latest one".to_owned(),
        ));
    }
    let popular = popularity(context);
    let mut rows = Vec::new();
    for protections in context.protections() {
        let (observed, _) = context.observed(round + 1, protections)?;
        let background = Background::noise_of(context.noisy_shops(protections));
        let seed = context.subject.seed;
        let right = |user: usize, seen: &[Vec<f64>]| {
            let own = items_of(context, &observed, user);
            let width = seen[0].len() / observed.items().max(1);
            precision(
                &decode::basket(&seen[0], width, own.len()),
                &own,
                seed ^ user as u64,
            )
        };
        let extracted = extract(
            context,
            &[(&observed, &background)],
            &targets,
            &format!("baskets {protections:?}"),
            right,
        )?;
        let by_popularity: Vec<f64> = targets
            .iter()
            .map(|user| {
                precision(
                    &popular,
                    &items_of(context, &observed, *user),
                    seed ^ *user as u64,
                )
            })
            .collect();
        let guessed = extracted.guessed();
        let note = format!(
            "everybody else is known and taken off; naming the bestsellers instead is right for {:.1} %",
            100.0 * mean(&by_popularity)
        );
        let allowed = extracted.allowed(Guarantee::of([observed.noise_multiplier()]));
        rows.push(context.row(protections, extracted.found(), (guessed.value, allowed), note));
    }
    Ok(Tried::Rows(vec![Measured {
        measure: PRECISION,
        rows,
    }]))
}

/// How many customers have each item.
pub(super) fn popularity(context: &Context<'_>) -> Vec<f64> {
    let known = &context.subject.known;
    let mut counts = vec![0.0; known.catalogue.len()];
    for item in known.dataset.histories.iter().flat_map(|history| &history.items) {
        counts[*item as usize] += 1.0;
    }
    counts
}
