//! A customer's items, read off the update of a shop in which nobody else is: 100 % by construction without protection.

use super::context::Context;
use super::decode;
use super::extraction::{Background, PRECISION, extract, items_of, precision};
use super::observed_round::{ObservedRound, is_summed};
use super::statistics::Guarantee;
use super::{Measured, Tried};
use crate::audit::findings::{AttackRow, Protections};

pub(super) fn run(context: &Context<'_>) -> anyhow::Result<Tried> {
    let rows = rows_of(
        context,
        |protections| context.observed(1, protections),
        "item set",
        "",
    )?;
    Ok(match rows {
        Some(rows) => Tried::Rows(vec![Measured {
            measure: PRECISION,
            rows,
        }]),
        None => Tried::Not("no customer has two items besides the latest one".to_owned()),
    })
}

/// Items named by the update of one round under each set of protections that makes a difference; none without customers.
pub(super) fn rows_of(
    context: &Context<'_>,
    observed: impl Fn(Protections) -> anyhow::Result<(ObservedRound, ObservedRound)>,
    name: &str,
    note: &str,
) -> anyhow::Result<Option<Vec<AttackRow>>> {
    let targets = context.targets(name, context.subject.effort.pick(120, 1000), 2);
    if targets.is_empty() {
        return Ok(None);
    }
    let mut rows = Vec::new();
    for protections in [
        Protections::Plan,
        Protections::NoNoise,
        Protections::NoMasks,
        Protections::NoClip,
        Protections::None,
    ] {
        let (observed, quiet) = observed(protections)?;
        let masked = is_summed(observed.plan(), Protections::Plan);
        let is_another = match protections {
            Protections::Plan | Protections::None => true,
            Protections::NoNoise => context.is_private(),
            Protections::NoMasks => context.is_private() && masked,
            Protections::NoClip => context.is_private() && observed.model().is_some(),
        };
        if !is_another {
            continue;
        }
        let background = match is_summed(observed.plan(), protections) {
            true => Background::other_shops(context, &quiet)?,
            false => Background::noise_of(1),
        };
        let seed = context.subject.seed;
        let right = |user: usize, seen: &[Vec<f64>]| {
            let own = items_of(context, &observed, user);
            precision(&decode::items(&observed, &seen[0]), &own, seed ^ user as u64)
        };
        let of = format!("{name} {protections:?}");
        let extracted = extract(context, &[(&observed, &background)], &targets, &of, right)?;
        let guarantee = Guarantee::of([observed.noise_multiplier()]);
        let place = match is_summed(observed.plan(), protections) {
            true => "seen in the sum of all shops",
            false => "the customer's shop, in which nobody else is, is seen by itself",
        };
        let note = [place, note]
            .into_iter()
            .filter(|part| !part.is_empty())
            .collect::<Vec<_>>()
            .join("; ");
        let (guessed, allowed) = (extracted.guessed(), extracted.allowed(guarantee));
        rows.push(context.row(protections, extracted.found(), (guessed.value, allowed), note));
    }
    Ok(Some(rows))
}
