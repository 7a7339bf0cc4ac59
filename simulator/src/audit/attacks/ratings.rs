//! A customer's ratings, from two successive gradients of matrix factorisation: each is the errors times the customer's own vector,
//! and the same ratings stand behind both.
//!
//! With the solver `ials` ratings are 1 for what was bought and 0 for the rest. A gradient's coefficient of item i is, but for a
//! factor that is the same for all, -alpha s_i for what was not bought and 1/a - s_i for what was, with s_i the part of the item along
//! the customer's direction and a the length of the customer's vector. With `stars`, a bias has the error e_i itself, its row
//! e_i times the customer's vector p, and the ridge says the rest: the errors' sum is that of the own bias, their sum over the items'
//! vectors lambda p.

use souk_common::dataset::Labelled;
use souk_common::model::Loaded;
use souk_common::model::config::{StarsConfig, TrainConfig};

use super::context::Context;
use super::decode::leading;
use super::extraction::{Background, Extracted, extract, items_of};
use super::observed_round::{ObservedRound, is_summed, published, under};
use super::statistics::Guarantee;
use super::{Measured, Tried};
use crate::audit::findings::Protections;

pub(super) fn run(context: &Context<'_>) -> anyhow::Result<Tried> {
    let has_stars = context
        .subject
        .known
        .dataset
        .labelled
        .iter()
        .any(|labelled| !labelled.is_empty());
    let fits = |plan: &souk_common::plan::Plan| match plan.train {
        TrainConfig::Ials(_) => true,
        TrainConfig::Stars(_) => has_stars,
        TrainConfig::Sgd(_) => false,
    };
    let (plan, example) = context.trained_by("ials", fits)?;
    let of_stars = matches!(plan.train, TrainConfig::Stars(_));
    let mut targets = context.targets("ratings", context.subject.effort.pick(80, 600), 2);
    targets.retain(|user| !of_stars || context.subject.known.dataset.labelled_of(*user).is_some());
    if targets.is_empty() {
        return Ok(Tried::Not(
            "no customer has two items besides the latest one".to_owned(),
        ));
    }
    let known = &context.subject.known;
    let states = published(&plan, known, 1, context.subject.seed)?;
    let mut measured = Measured::of(if of_stars { STARS } else { LABELS });
    for protections in [
        Protections::Plan,
        Protections::NoNoise,
        Protections::NoMasks,
        Protections::NoClip,
        Protections::None,
    ] {
        let masked = is_summed(&plan, Protections::Plan);
        let makes_none = match protections {
            Protections::Plan | Protections::None => false,
            Protections::NoMasks => !masked || !context.is_private(),
            Protections::NoNoise | Protections::NoClip => !context.is_private(),
        };
        if makes_none {
            continue;
        }
        let now = under(&plan, protections)?;
        let observed =
            |state: usize| ObservedRound::new(&now, &known.catalogue, &states[state], state as u64 + 1);
        let rounds = [observed(0)?, observed(1)?];
        let mut background = Vec::new();
        for (state, round) in (1..).zip(&states) {
            background.push(match is_summed(&now, protections) {
                true => {
                    let quiet = under(&now, Protections::NoNoise)?;
                    Background::other_shops(
                        context,
                        &ObservedRound::new(&quiet, &known.catalogue, round, state)?,
                    )?
                }
                false => Background::noise_of(1),
            });
        }
        let pairs: Vec<(&ObservedRound, &Background)> = rounds.iter().zip(&background).collect();
        let name = format!("ratings {protections:?}");
        let right = |user: usize, seen: &[Vec<f64>]| match &now.train {
            TrainConfig::Stars(stars) => stars_right(context, (stars, &rounds), user, seen),
            _ => labels_right(&items_of(context, &rounds[0], user), &rounds, seen),
        };
        let extracted = extract(context, &pairs, &targets, &name, right)?;
        let chance = match of_stars {
            true => most_frequent(context, &targets),
            false => extracted.guessed().value,
        };
        let guarantee = Guarantee::of(rounds.iter().map(ObservedRound::noise_multiplier));
        let allowed = extracted.allowed(guarantee).map(|allowed| allowed.max(chance));
        measured
            .rows
            .push(row(context, protections, &extracted, (chance, allowed), &example));
    }
    Ok(Tried::Rows(vec![measured]))
}

fn row(
    context: &Context<'_>,
    protections: Protections,
    extracted: &Extracted,
    of: (f64, Option<f64>),
    example: &str,
) -> crate::audit::findings::AttackRow {
    let note = [
        "two successive gradients of a customer who was drawn for both",
        example,
    ];
    let note: Vec<&str> = note.into_iter().filter(|part| !part.is_empty()).collect();
    context.row(protections, extracted.found(), of, note.join("; "))
}

/// The share of labels told right, of a customer's items and of as many others.
fn labels_right(own: &[u32], rounds: &[ObservedRound], seen: &[Vec<f64>]) -> f64 {
    let items = rounds[0].items();
    let mut evidence = vec![0.0; items];
    for (observed, seen) in rounds.iter().zip(seen) {
        let Some(model) = observed.model() else { continue };
        let read = bought(model, seen, own.len());
        evidence
            .iter_mut()
            .zip(read)
            .for_each(|(sum, read)| *sum += read / rounds.len() as f64);
    }
    let told = |item: &u32| evidence[*item as usize] > 0.5;
    let others: Vec<u32> = (0..items as u32).filter(|item| !own.contains(item)).collect();
    // Spread over the catalogue.
    let step = (others.len() / own.len().max(1)).max(1);
    let drawn: Vec<&u32> = others.iter().step_by(step).take(own.len()).collect();
    let hits = own.iter().filter(|item| told(item)).count();
    let misses = drawn.iter().filter(|item| !told(item)).count();
    (hits + misses) as f64 / (own.len() + drawn.len()).max(1) as f64
}

/// How much each item looks bought by one gradient: near 1 if it was, 0 if not. `count` items were.
fn bought(model: &Loaded, seen: &[f64], count: usize) -> Vec<f64> {
    let width = model.layout().width();
    let table = &seen[..model.items().nrows() * width];
    let direction = leading(table, width);
    let along = |values: &mut dyn Iterator<Item = f64>| -> f64 {
        values.zip(&direction).map(|(value, along)| value * along).sum()
    };
    let coefficients: Vec<f64> = table
        .chunks_exact(width)
        .map(|row| along(&mut row.iter().copied()))
        .collect();
    let parts: Vec<f64> = model
        .items()
        .rows()
        .into_iter()
        .map(|row| along(&mut row.iter().map(|value| f64::from(*value))))
        .collect();
    let slope = slope(&parts, &coefficients);
    let mut lifted: Vec<f64> = coefficients
        .iter()
        .zip(&parts)
        .map(|(coefficient, part)| coefficient - slope * part)
        .collect();
    let sign = lifted.iter().fold(
        0.0,
        |most: f64, value| if value.abs() > most.abs() { *value } else { most },
    );
    if sign < 0.0 {
        lifted.iter_mut().for_each(|value| *value = -*value);
    }
    let mut order = lifted.clone();
    order.sort_unstable_by(|a, b| b.total_cmp(a));
    let typical = order[count.saturating_sub(1).min(order.len() - 1) / 2];
    if typical > 0.0 {
        lifted.iter_mut().for_each(|value| *value /= typical);
    }
    lifted
}

/// Of a line through the origin that most points are on: least squares, thrice, each time without the fifth that is farthest off.
fn slope(x: &[f64], y: &[f64]) -> f64 {
    let fit = |kept: &[usize]| {
        let (xy, xx) = kept.iter().fold((0.0, 0.0), |(xy, xx), at| {
            (xy + x[*at] * y[*at], xx + x[*at] * x[*at])
        });
        if xx > 0.0 { xy / xx } else { 0.0 }
    };
    let mut kept: Vec<usize> = (0..x.len()).collect();
    let mut slope = fit(&kept);
    for _ in 0..3 {
        kept = (0..x.len()).collect();
        kept.sort_by(|a, b| {
            (y[*a] - slope * x[*a])
                .abs()
                .total_cmp(&(y[*b] - slope * x[*b]).abs())
        });
        kept.truncate((4 * x.len()).div_ceil(5));
        slope = fit(&kept);
    }
    slope
}

/// The share of a customer's stars told to within half a star, of items that are known to be rated.
fn stars_right(
    context: &Context<'_>,
    (stars, rounds): (&StarsConfig, &[ObservedRound]),
    user: usize,
    seen: &[Vec<f64>],
) -> f64 {
    let Some(labelled) = context.subject.known.dataset.labelled_of(user) else {
        return 0.0;
    };
    let mut told = vec![0.0; labelled.len()];
    for (observed, seen) in rounds.iter().zip(seen) {
        let Some(model) = observed.model() else { continue };
        let read = stars_of(model, stars, labelled, seen);
        told.iter_mut()
            .zip(read)
            .for_each(|(sum, read)| *sum += read / rounds.len() as f64);
    }
    let right = told
        .iter()
        .zip(&labelled.labels)
        .filter(|(told, label)| (**told - f64::from(**label)).abs() < 0.5);
    right.count() as f64 / labelled.len().max(1) as f64
}

/// What one gradient says of the stars of items that were rated.
fn stars_of(model: &Loaded, stars: &StarsConfig, labelled: &Labelled, seen: &[f64]) -> Vec<f64> {
    let (layout, width) = (model.layout(), model.layout().width());
    let middle = (stars.lowest + stars.highest) / 2.0;
    let Some(biases) = layout.block("item.bias").map(|block| block.offset) else {
        return vec![middle; labelled.len()];
    };
    let errors: Vec<f64> = labelled
        .items
        .iter()
        .map(|item| seen[biases + *item as usize])
        .collect();
    let squares: f64 = errors.iter().map(|error| error * error).sum();
    let (mut own, mut pull) = (vec![0.0; width], vec![0.0; width]);
    for (item, error) in labelled.items.iter().zip(&errors) {
        let row = &seen[*item as usize * width..][..width];
        for ((own, pull), (cell, value)) in own
            .iter_mut()
            .zip(&mut pull)
            .zip(row.iter().zip(model.items().row(*item as usize)))
        {
            *own += error * cell / (stars.embedding_step * squares.max(f64::MIN_POSITIVE));
            *pull += error * f64::from(*value);
        }
    }
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    // What the clip left of the length.
    let factor = (dot(&pull, &own) / (stars.lambda * dot(&own, &own)).max(f64::MIN_POSITIVE)).max(1e-9);
    let bias = errors.iter().sum::<f64>() / factor / stars.bias_lambda;
    let head = f64::from(model.network().head_bias.0);
    let items = labelled.items.iter().zip(&errors);
    let of = |(item, error): (&u32, &f64)| {
        let row = model
            .items()
            .row(*item as usize)
            .iter()
            .map(|value| f64::from(*value))
            .collect::<Vec<f64>>();
        let fitted = head + f64::from(model.params()[biases + *item as usize]) + bias + dot(&own, &row);
        (fitted + error / factor).clamp(stars.lowest, stars.highest)
    };
    items.map(of).collect()
}

/// The share of stars that are the most frequent ones.
fn most_frequent(context: &Context<'_>, targets: &[usize]) -> f64 {
    let labels = targets
        .iter()
        .filter_map(|user| context.subject.known.dataset.labelled_of(*user));
    let mut counts = std::collections::BTreeMap::<u32, usize>::new();
    let labels = labels.flat_map(|labelled| &labelled.labels);
    labels.for_each(|label| *counts.entry(label.to_bits()).or_default() += 1);
    let all: usize = counts.values().sum();
    counts.values().max().copied().unwrap_or_default() as f64 / all.max(1) as f64
}

const LABELS: &str = "share of labels (bought or not) told right, of the customer's items and as many others (resampled customers)";
const STARS: &str =
    "share of stars told to within half a star (resampled customers); chance: the most frequent stars";
