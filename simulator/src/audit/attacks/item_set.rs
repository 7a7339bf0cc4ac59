//! A customer's items, read off the update of a shop in which nobody else is: 100 % by construction without protection.

use super::decode;
use super::extraction::{Beside, PRECISION, extract, items_of, precision};
use super::ground::Ground;
use super::scene::{Scene, is_summed};
use super::statistics::Guarantee;
use super::{Measured, Tried};
use crate::audit::findings::{AttackRow, Protections};

pub(super) fn run(ground: &Ground<'_>) -> anyhow::Result<Tried> {
    let rows = rows_of(ground, |protections| ground.scene(1, protections), "item set", "")?;
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
    ground: &Ground<'_>,
    scene: impl Fn(Protections) -> anyhow::Result<(Scene, Scene)>,
    name: &str,
    note: &str,
) -> anyhow::Result<Option<Vec<AttackRow>>> {
    let targets = ground.targets(name, ground.subject.effort.pick(120, 1000), 2);
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
        let (scene, quiet) = scene(protections)?;
        let masked = is_summed(scene.plan(), Protections::Plan);
        let is_another = match protections {
            Protections::Plan | Protections::None => true,
            Protections::NoNoise => ground.is_private(),
            Protections::NoMasks => ground.is_private() && masked,
            Protections::NoClip => ground.is_private() && scene.model().is_some(),
        };
        if !is_another {
            continue;
        }
        let beside = match is_summed(scene.plan(), protections) {
            true => Beside::other_shops(ground, &quiet)?,
            false => Beside::noise_of(1),
        };
        let seed = ground.subject.seed;
        let right = |user: usize, seen: &[Vec<f64>]| {
            let own = items_of(ground, &scene, user);
            precision(&decode::items(&scene, &seen[0]), &own, seed ^ user as u64)
        };
        let of = format!("{name} {protections:?}");
        let extracted = extract(ground, &[(&scene, &beside)], &targets, &of, right)?;
        let guarantee = Guarantee::of([scene.noise_multiplier()]);
        let place = match is_summed(scene.plan(), protections) {
            true => "seen in the sum of all shops",
            false => "the customer's shop, in which nobody else is, is seen by itself",
        };
        let note = [place, note]
            .into_iter()
            .filter(|part| !part.is_empty())
            .collect::<Vec<_>>()
            .join("; ");
        let (guessed, allowed) = (extracted.guessed(), extracted.allowed(guarantee));
        rows.push(ground.row(protections, extracted.found(), (guessed.value, allowed), note));
    }
    Ok(Some(rows))
}
