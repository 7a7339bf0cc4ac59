//! Whether a customer is among those of a release: the likelihood ratio of the published sum with and without the customer, by an
//! adversary who knows everybody else.

use super::context::{Context, guarantee};
use super::likelihood::{Hypotheses, compare};
use super::{Measured, Tried};
use crate::audit::findings::Protections;

pub(super) fn run(context: &Context<'_>) -> anyhow::Result<Tried> {
    let effort = context.subject.effort;
    let hypotheses = hypotheses(context, effort.pick(12, 60));
    if hypotheses.is_empty() {
        return Ok(Tried::Not(
            "no customer has two items besides the latest one".to_owned(),
        ));
    }
    let trials = effort.pick(200, 4000);
    let mut measures = [AREA, ADVANTAGE, HITS].map(Measured::of);
    let mut all = context.protections();
    all.extend((context.is_private() && !context.plan().is_of_releases()).then_some(Protections::NoClip));
    for protections in all {
        let rounds = context.rounds(protections)?;
        let allowed = guarantee(&rounds);
        let noisy = context.noisy_shops(protections);
        let name = format!("release membership {protections:?}");
        let scores = compare(
            &rounds,
            &hypotheses,
            (trials, noisy),
            (context.subject.seed, &name),
        )?;
        let note = match protections {
            Protections::Plan => format!(
                "{}, with as little noise as is accounted for",
                context.rounds_in_words()
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
                .push(context.row(protections, found, (chance, allowed), note.as_str()));
        }
    }
    Ok(Tried::Rows(measures.into()))
}

/// Customers who are there, or not.
pub(super) fn hypotheses(context: &Context<'_>, count: usize) -> Vec<Hypotheses> {
    let targets = context.targets("membership", count, 2);
    let hypothesis = |user: &usize| Hypotheses {
        shop: context.shop_of(*user),
        with: context.alone(*user),
        without: Default::default(),
    };
    targets.iter().map(hypothesis).collect()
}

pub(super) const AREA: &str = "area under the ROC curve (DeLong)";
const ADVANTAGE: &str = "advantage: true less false positive rate (Clopper-Pearson)";
const HITS: &str = "true positive rate at a false positive rate of 1 % (Clopper-Pearson)";
