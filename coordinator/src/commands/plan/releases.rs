//! `plan new --releases`: the plan of releases that suits a catalogue and its shops, as a file for people.

use souk_common::params::{Delta, Epsilon, Weight};
use souk_common::plan::{Placement, Plan, ReleaseTerms, ShopTerms};
use souk_common::release::schedule::{ReleaseKind, ReleaseShare};

use super::epsilon;
use crate::error::{Failure, failed, usage};
use crate::folder::{FederationFolder, HomeError};

/// What is typed of a plan of releases.
#[derive(clap::Args, Debug)]
pub(in crate::commands) struct Wishes {
    /// Statistics of all customers instead of a trained model.
    #[arg(long, requires = "shops")]
    releases: bool,
    /// Of all releases together: user level, add/remove.
    #[arg(long, default_value = "8", value_parser = epsilon, requires = "releases")]
    epsilon: Epsilon,
    /// At this delta.
    #[arg(long, default_value = "1e-5", value_parser = delta, requires = "releases")]
    delta: Delta,
    /// A shop and its declared, coarse number of customers with at least two products; once for each.
    #[arg(long = "shop", value_name = "NAME=CUSTOMERS", value_parser = shop, requires = "releases")]
    shops: Vec<ShopTerms>,
    /// Every shop adds all of the noise, so that nothing rests on masks; with the same epsilon the sums are noisier.
    #[arg(long, requires = "releases")]
    local_noise: bool,
}

impl Wishes {
    pub(super) fn are_wanted(&self) -> bool {
        self.releases
    }
}

/// The file.
pub(super) fn plan_file(wishes: &Wishes, home: &FederationFolder) -> Result<String, Failure> {
    let catalogue = home.catalogue().map_err(|error| match error {
        HomeError::NoCatalogue => usage(format!(
            "which releases suit depends on the catalogue, and there is none in {}: first `souk-coordinator catalogue import`",
            home.path().display()
        )),
        error => failed(error),
    })?;
    let terms = ReleaseTerms {
        epsilon: Some(wishes.epsilon),
        delta: wishes.delta,
        placement: match wishes.local_noise {
            true => Placement::Local,
            false => Placement::Distributed,
        },
        training: Vec::new(),
    };
    let plan = Plan::of_releases("releases", 1, wishes.shops.clone(), &terms, &catalogue).map_err(usage)?;
    let text = written(&plan, wishes.epsilon);
    // What is written is read again before it is promised to work.
    let read = Plan::from_toml(&text).map_err(failed)?;
    match read.begun_now() == plan {
        true => Ok(text),
        false => Err(failed(
            "the written plan is not the one that was made: a fault of this program",
        )),
    }
}

fn written(plan: &Plan, epsilon: Epsilon) -> String {
    let privacy = &plan.privacy;
    let noise = privacy.noise_multiplier.map_or(0.0, |noise| noise.get());
    let mut lines = vec![
        "# A plan of releases: each round publishes one noised statistic of all customers, which the shops' own recommenders use."
            .to_owned(),
        "# What it costs: souk-coordinator plan check".to_owned(),
        format!("name = {:?}", plan.name),
        format!("seed = {}                 # of the public map", plan.seed),
        "\n[privacy]".to_owned(),
        format!("# z of all releases together: epsilon {epsilon} at this delta, exactly. One of share s has z / sqrt(s)."),
        format!("noise_multiplier = {noise:?}"),
        format!("delta = {:?}", privacy.delta.get()),
        format!("modulus_bits = {}", privacy.modulus_bits.bits()),
        format!("headroom = {}             # times declared_users that a sum has room for", plan.headroom()),
    ];
    if let Some(masking) = &plan.masking {
        lines.push("placement = \"distributed\"  # the shops share the noise, under masks".to_owned());
        lines.push("\n[masking]".to_owned());
        lines.push(format!(
            "min_shops = {}            # fewer are never unmasked",
            masking.min_shops
        ));
        lines.push(format!(
            "colluding = {}            # shops that may work together with the coordinator",
            masking.colluding
        ));
        lines.push("step = \"30s\"".to_owned());
    }
    lines.push("\n[cohort]".to_owned());
    lines.push(format!("quorum = {}", plan.cohort.quorum));
    lines.push("deadline = \"10m\"".to_owned());
    lines.extend(plan.release.iter().map(release));
    lines.extend(plan.shops.iter().map(|terms| {
        format!(
            "\n[[shops]]\nname = {:?}\ndeclared_users = {}",
            terms.name.as_str(),
            terms.declared_users
        )
    }));
    lines.join("\n") + "\n"
}

fn release(release: &ReleaseShare) -> String {
    let (kind, about) = match release.kind {
        ReleaseKind::Popularity => ("popularity", "how much each product is bought"),
        ReleaseKind::Collaborative => (
            "collaborative",
            "which products go together, through a public map",
        ),
        ReleaseKind::SecondCollaborative => (
            "second_collaborative",
            "the same, through what the one before found",
        ),
    };
    format!(
        "\n[[release]]              # {about}\nkind = \"{kind}\"\nshare = {:?}",
        release.share
    )
}

fn delta(text: &str) -> Result<Delta, String> {
    let number: f64 = text.parse().map_err(|_| format!("{text:?} is no number"))?;
    Delta::new(number).map_err(|error| error.to_string())
}

fn shop(text: &str) -> Result<ShopTerms, String> {
    let (name, users) = text
        .split_once('=')
        .ok_or_else(|| format!("{text:?} is no NAME=CUSTOMERS"))?;
    Ok(ShopTerms {
        name: name.parse().map_err(|error| format!("{name:?}: {error}"))?,
        declared_users: users
            .parse()
            .map_err(|_| format!("{users:?} is no number of customers"))?,
        weight: Weight::new(1.0).map_err(|error| error.to_string())?,
    })
}
