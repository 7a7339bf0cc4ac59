//! Releases for an evaluation: a plan for the shops at hand, run by the simulated federation.

use anyhow::{Context, bail};
use clap::ValueEnum;
use souk_common::catalogue::{Catalogue, Item};
use souk_common::channels::Channels;
use souk_common::dataset::{Dataset, History};
use souk_common::eval::Split;
use souk_common::ids::Digest;
use souk_common::learned::{Learned, Learner, Releases, Version};
use souk_common::params::Weight;
use souk_common::plan::{Placement, Plan, ReleaseTerms, ShopTerms};
use souk_common::terminal::tell;
use souk_common::training::phases::TrainingKind;
use souk_common::transfer::carried::VersionName;

use super::Known;

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

/// Runs of a plan before the one that is looked at.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Earlier {
    /// How many.
    pub(crate) runs: u64,
    /// Share of the catalogue's items that they did not have.
    pub(crate) new_items: f64,
    /// Whether they stand alone: the run itself has released nothing yet.
    pub(crate) alone: bool,
}

/// The channels of all shops, after a federation of releases on what may be learned of a split. A customer's validation item
/// is the latest that the shop has, and so it is left out of every release.
///
/// # Errors
/// When the federation does not come to its end.
pub(crate) fn channels(
    known: &Known,
    split: &Split,
    content: &Channels,
    (plan, earlier): (&Plan, Earlier),
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
        labelled: Vec::new(),
    };
    let mut before = Vec::new();
    for run in 1..=earlier.runs {
        // Beyond the seeds that figures are means of.
        let seed = seed + 1_000_003 * run;
        before.push(version(known, &dataset, (plan, earlier.new_items), run, seed)?);
    }
    let learner = Learner::new(plan, &known.catalogue).with_content(content.clone());
    let (started, notes) = learner.started(
        &known.catalogue,
        before.first(),
        before.get(1..).unwrap_or_default(),
    )?;
    for note in notes {
        tell(&note.to_string());
    }
    let Learned::Releases(mut releases) = started else {
        bail!("a plan of releases releases")
    };
    if !earlier.alone {
        let carried = std::mem::take(&mut releases.carried);
        releases = Releases {
            carried,
            ..released(plan, &known.catalogue, &dataset, known, seed)?
        };
    }
    Ok(learner.channels(&releases)?)
}

/// What a run of `plan` releases of these histories.
fn released(
    plan: &Plan,
    catalogue: &Catalogue,
    dataset: &Dataset,
    known: &Known,
    seed: u64,
) -> anyhow::Result<Releases> {
    let members = members_of(dataset, &[], &known.shop_of, &names(plan));
    let world = World::new(plan, catalogue, members, Line::default(), seed)
        .context("the plan of releases does not fit these shops")?;
    world
        .run(|_, _| {})?
        .releases
        .context("a plan of releases releases")
}

/// An earlier run, over a catalogue that lacks a share of the items; which ones, their ids say.
fn version(
    known: &Known,
    dataset: &Dataset,
    (plan, new_items): (&Plan, f64),
    run: u64,
    seed: u64,
) -> anyhow::Result<Version> {
    let is_old = |item: &&Item| {
        let first = Digest::of(item.id.as_bytes()).0[0];
        f64::from(first) >= 256.0 * new_items
    };
    let items: Vec<Item> = known.catalogue.items().iter().filter(is_old).cloned().collect();
    let catalogue = Catalogue::new(items)?;
    let rows: Vec<Option<u32>> = known
        .catalogue
        .items()
        .iter()
        .map(|item| catalogue.row(&item.id))
        .collect();
    let histories = dataset.histories.iter().map(|history| {
        let kept = history
            .items
            .iter()
            .zip(&history.times)
            .filter_map(|(item, time)| Some((rows[*item as usize]?, *time)));
        let (items, times) = kept.unzip();
        History { items, times }
    });
    let dataset = Dataset {
        users: dataset.users.clone(),
        histories: histories.collect(),
        labelled: Vec::new(),
    };
    let releases = released(plan, &catalogue, &dataset, known, seed)?;
    let name = VersionName {
        run: u32::try_from(run)?,
        round: Some(plan.rounds),
    };
    Ok(Version {
        name,
        file: Digest::of(&releases.to_bytes()),
        learner: Learner::new(plan, &catalogue),
        catalogue,
        learned: Learned::Releases(releases),
    })
}
