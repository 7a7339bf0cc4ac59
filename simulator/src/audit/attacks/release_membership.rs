//! Whether a customer is among those of a release: the likelihood ratio of the published sum with and without the customer, by an
//! adversary who knows everybody else.

use super::ground::{Ground, guarantee};
use super::likelihood::{Worlds, compare};
use super::{Measured, Tried};
use crate::audit::findings::Protections;

pub(super) fn run(ground: &Ground<'_>) -> anyhow::Result<Tried> {
    let effort = ground.subject.effort;
    let worlds = worlds(ground, effort.pick(12, 60));
    if worlds.is_empty() {
        return Ok(Tried::Not(
            "no customer has two items besides the latest one".to_owned(),
        ));
    }
    let trials = effort.pick(300, 4000);
    let mut measures = [AREA, ADVANTAGE, HITS].map(Measured::of);
    let mut all = ground.protections();
    all.extend((ground.is_private() && !ground.plan().is_of_releases()).then_some(Protections::NoClip));
    for protections in all {
        let scenes = ground.scenes(protections)?;
        let allowed = guarantee(&scenes);
        let noisy = ground.noisy_shops(protections);
        let name = format!("release membership {protections:?}");
        let scores = compare(&scenes, &worlds, (trials, noisy), (ground.subject.seed, &name))?;
        let note = match protections {
            Protections::Plan => format!(
                "{}, with as little noise as is accounted for",
                ground.rounds_in_words()
            ),
            Protections::NoMasks => "one shop's share of the noise is all there is".to_owned(),
            Protections::NoClip => "noise as wide as before".to_owned(),
            Protections::NoNoise | Protections::None => String::new(),
        };
        let found = [
            (scores.area(), 0.5, allowed.map(|allowed| allowed.area())),
            (
                scores.advantage(),
                0.0,
                allowed.map(|allowed| allowed.advantage()),
            ),
            (
                scores.hits_at_one_percent(),
                0.01,
                allowed.map(|allowed| allowed.raised(0.01)),
            ),
        ];
        for (measured, (found, chance, allowed)) in measures.iter_mut().zip(found) {
            measured
                .rows
                .push(ground.row(protections, found, (chance, allowed), note.as_str()));
        }
    }
    Ok(Tried::Rows(measures.into()))
}

/// Customers who are there, or not.
pub(super) fn worlds(ground: &Ground<'_>, count: usize) -> Vec<Worlds> {
    let targets = ground.targets("membership", count, 2);
    let world = |user: &usize| Worlds {
        shop: ground.shop_of(*user),
        with: ground.alone(*user),
        without: Default::default(),
    };
    targets.iter().map(world).collect()
}

pub(super) const AREA: &str = "area under the ROC curve (DeLong)";
const ADVANTAGE: &str = "advantage: true less false positive rate (Clopper-Pearson)";
const HITS: &str = "true positive rate at a false positive rate of 1 % (Clopper-Pearson)";
