//! Releases for an evaluation: a plan for the shops at hand, run by the simulated federation.

use std::fmt::Write;

use anyhow::{Context, ensure};
use clap::ValueEnum;
use souk_common::accountant::gaussian::mu_of;
use souk_common::channels::Channels;
use souk_common::dataset::Dataset;
use souk_common::eval::Split;
use souk_common::features::Features;
use souk_common::params::{Delta, Epsilon};
use souk_common::plan::Plan;
use souk_common::release::schedule::{ReleaseKind, Schedule};

use super::Known;
use crate::data::plans::{coarse, names};
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

/// What a plan of releases is made for.
#[derive(Clone, Copy, Debug)]
pub(super) struct ReleaseTerms {
    /// None: without privacy.
    pub(super) epsilon: Option<Epsilon>,
    pub(super) delta: Delta,
    pub(super) placement: NoisePlacement,
}

/// The plan that suits shops of these sizes and this catalogue.
///
/// # Errors
/// When there are too few shops, or no grid holds the sums.
pub(super) fn plan(known: &Known, sizes: &[usize], terms: &ReleaseTerms, seed: u64) -> anyhow::Result<Plan> {
    let shops = sizes.len();
    // n_min: three quarters of the shops; t = 1.
    let least = (3 * shops).div_ceil(4).max(2).min(shops);
    let distributed = terms.placement == NoisePlacement::Distributed;
    ensure!(
        !distributed || least >= 2,
        "{shops} shops can't share their noise: use --placement local"
    );
    let factor = match distributed {
        true => (shops as f64 / (least - 1) as f64).sqrt(),
        false => (shops as f64).sqrt(),
    };
    let users: u64 = sizes.iter().map(|size| coarse(*size)).sum();
    let mu = terms.epsilon.map(|epsilon| mu_of(epsilon, terms.delta));
    let has_features = !Features::of(&known.catalogue).is_empty();
    let schedule = Schedule::choose(
        mu.unwrap_or(1e6),
        users,
        known.catalogue.len(),
        factor,
        has_features,
    )?;
    let mut text = format!("name = \"{}-releases\"\nseed = {seed}\n[privacy]\n", known.name);
    // Writing to a string never fails.
    let _ = match mu {
        Some(mu) => writeln!(
            text,
            "noise_multiplier = {:?}\ndelta = {:e}",
            mu.recip() * (1.0 + 1e-12),
            terms.delta.get()
        ),
        None => writeln!(text, "enabled = false"),
    };
    if distributed && mu.is_some() {
        let _ = writeln!(
            text,
            "placement = \"distributed\"\n[masking]\nmin_shops = {least}\ncolluding = 1"
        );
    }
    let _ = writeln!(text, "[cohort]\nquorum = {shops}");
    for release in schedule.releases() {
        let kind = match release.kind {
            ReleaseKind::Popularity => "popularity",
            ReleaseKind::Collaborative => "collaborative",
            ReleaseKind::SecondCollaborative => "second_collaborative",
        };
        let _ = writeln!(
            text,
            "[[release]]\nkind = \"{kind}\"\nshare = {:?}",
            release.share
        );
    }
    for (at, size) in sizes.iter().enumerate() {
        let _ = writeln!(
            text,
            "[[shops]]\nname = \"shop-{}\"\ndeclared_users = {}",
            at + 1,
            coarse(*size)
        );
    }
    Ok(Plan::from_toml(&text)?.begun_now())
}

/// The plan in a line.
pub(super) fn describe(plan: &Plan) -> String {
    let kinds: Vec<String> = plan
        .release
        .iter()
        .map(|release| format!("{:?} {}", release.kind, release.share))
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

/// The channels of all shops, after a federation of releases on what may be learned of a split. A customer's validation item
/// is the latest that the shop has, and so it is left out of every release.
///
/// # Errors
/// When the federation does not come to its end.
pub(super) fn channels(
    known: &Known,
    split: &Split,
    features: &Features,
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
    let last = releases.last.context("nothing was released")?;
    Ok(last.channels(features)?)
}
