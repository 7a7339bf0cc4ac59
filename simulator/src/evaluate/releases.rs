//! Releases for an evaluation: a plan for the shops at hand, run by the simulated federation.

use anyhow::Context;
use clap::ValueEnum;
use souk_common::channels::Channels;
use souk_common::dataset::Dataset;
use souk_common::eval::Split;
use souk_common::learned::Learner;
use souk_common::params::Weight;
use souk_common::plan::{Placement, Plan, ReleaseTerms, ShopTerms};

use super::Known;
use souk_common::training::phases::TrainingKind;

use crate::data::plans::{Template, coarse, names};
use crate::world::{Line, World, members_of};

/// Who adds the noise.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, ValueEnum)]
pub(crate) enum NoisePlacement {
    /// Every shop a share of it, under masks; one shop may collude.
    #[default]
    Distributed,
    /// Every shop all of it.
    Local,
}

/// The plan that suits shops of these sizes and this catalogue.
///
/// # Errors
/// When there are too few shops, or no grid holds the sums.
pub(super) fn plan(
    known: &Known,
    sizes: &[usize],
    terms: &ReleaseTerms,
    model: &str,
    seed: u64,
) -> anyhow::Result<Plan> {
    let shops = (1..)
        .zip(sizes)
        .map(|(number, size)| -> anyhow::Result<ShopTerms> {
            Ok(ShopTerms {
                name: format!("shop-{number}").parse()?,
                declared_users: coarse(*size),
                weight: Weight::new(1.0)?,
            })
        });
    let shops = shops.collect::<anyhow::Result<_>>()?;
    let name = format!("{}-releases", known.name);
    let mut plan = Plan::of_releases(&name, seed, shops, terms, &known.catalogue)?;
    if plan
        .training
        .iter()
        .any(|phase| phase.kind == TrainingKind::Model)
    {
        let example = Template::for_model(known.name, model, plan.privacy.enabled)?;
        (plan.model, plan.train, plan.server) = example.learning();
        plan.validate()?;
    }
    Ok(plan)
}

/// The plan in a line.
pub(super) fn describe(plan: &Plan) -> String {
    let kinds: Vec<String> = plan
        .release
        .iter()
        .map(|release| format!("{:?} {}", release.kind, release.share))
        .chain(
            plan.training
                .iter()
                .map(|phase| format!("{} rounds of {:?} {}", phase.rounds, phase.kind, phase.share)),
        )
        .collect();
    let noise = plan
        .privacy
        .noise_multiplier
        .map_or("none".to_owned(), |z| format!("{:.4}", z.get()));
    format!(
        "releases: {}; noise multiplier of all together: {noise}",
        kinds.join(", ")
    )
}

impl From<NoisePlacement> for Placement {
    fn from(placement: NoisePlacement) -> Self {
        match placement {
            NoisePlacement::Distributed => Self::Distributed,
            NoisePlacement::Local => Self::Local,
        }
    }
}

/// The channels of all shops, after a federation of releases on what may be learned of a split. A customer's validation item
/// is the latest that the shop has, and so it is left out of every release.
///
/// # Errors
/// When the federation does not come to its end.
pub(super) fn channels(
    known: &Known,
    split: &Split,
    content: &Channels,
    plan: &Plan,
    seed: u64,
) -> anyhow::Result<Channels> {
    let histories = split.train.histories.iter().zip(&split.held_out);
    let dataset = Dataset {
        users: split.train.users.clone(),
        histories: histories
            .map(|(history, held)| {
                let mut history = history.clone();
                if let Some(held) = held {
                    history.items.push(held.validation);
                    history
                        .times
                        .push(history.times.last().copied().unwrap_or_default());
                }
                history
            })
            .collect(),
    };
    let members = members_of(&dataset, &[], &known.shop_of, &names(plan));
    let world = World::new(plan, &known.catalogue, members, Line::default(), seed)
        .context("the plan of releases does not fit these shops")?;
    let releases = world
        .run(|_, _| {})?
        .releases
        .context("a plan of releases releases")?;
    let learner = Learner::new(plan, &known.catalogue).with_content(content.clone());
    Ok(learner.channels(&releases)?)
}
