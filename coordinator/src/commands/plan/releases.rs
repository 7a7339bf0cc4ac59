//! `plan new --shop`: the plan of releases that suits a catalogue and its shops, as a file for people.

use std::time::Duration;

use humantime_serde::re::humantime::format_duration;
use souk_common::accountant::gaussian::{self, mu_of};
use souk_common::learned::Learner;
use souk_common::params::{Delta, Epsilon, NoiseMultiplier, Weight, rounded_up};
use souk_common::plan::{Placement, Plan, ReleaseTerms, ShopTerms};
use souk_common::release::schedule::{ReleaseKind, ReleaseShare};
use souk_common::task::Task;
use souk_common::terminal::tell;
use souk_common::training::phases::TrainingKind;

use super::{gain, phases, stars};
use crate::error::{Failure, failed, refused, usage};
use crate::folder::{FederationFolder, HomeError};

/// What is typed of a plan of releases.
#[derive(clap::Args, Debug)]
pub(in crate::commands) struct Wishes {
    /// A plan of releases, as --shop alone means.
    #[arg(long, requires = "shops")]
    releases: bool,
    /// A sample plan that trains a model, as without --shop.
    #[arg(long, conflicts_with_all = ["releases", "shops"])]
    training: bool,
    /// Of all releases together, above 0: user level, add/remove.
    #[arg(long, default_value = "8", value_parser = spendable, requires = "shops")]
    epsilon: Epsilon,
    /// At this delta.
    #[arg(long, default_value = "1e-5", value_parser = delta, requires = "shops")]
    delta: Delta,
    /// Epsilon is for all plans of this time, and this is one of them.
    #[arg(long, value_enum, requires = "shops")]
    per: Option<Per>,
    /// How many such plans there are in that time.
    #[arg(long, default_value_t = 4, value_name = "N", requires = "per", value_parser = clap::value_parser!(u32).range(1..=366))]
    times: u32,
    /// A shop and its declared, coarse number of customers with at least two products; once for each.
    #[arg(long = "shop", value_name = "NAME=CUSTOMERS", value_parser = shop)]
    shops: Vec<ShopTerms>,
    /// Every shop adds all of the noise, so that nothing rests on masks; with the same epsilon the sums are noisier. One or two
    /// shops do so in any case: three are the fewest that can share it.
    #[arg(long, requires = "shops")]
    local_noise: bool,
    /// What is recommended: it names the plan's preset, and shops' lists go by it. With rating, a plan that learns stars.
    #[arg(long, value_parser = preset, default_value = "product", requires = "shops")]
    task: Task,
    /// Releases alone: no tower trained behind them.
    #[arg(long, requires = "shops")]
    no_training: bool,
    /// Write it also if every shop's own bestsellers would be better than what it releases.
    #[arg(long, requires = "shops")]
    anyway: bool,
}

/// What a budget is for.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Per {
    /// Twelve months.
    Year,
}

impl Wishes {
    pub(super) fn are_wanted(&self) -> bool {
        !self.shops.is_empty()
    }

    /// Of the one plan: plans of equal mu cost together the root of their number times mu.
    fn of_one_plan(&self) -> Result<Epsilon, Failure> {
        if self.per.is_none() || self.times == 1 {
            return Ok(self.epsilon);
        }
        let mu = mu_of(self.epsilon, self.delta) / f64::from(self.times).sqrt();
        let noise = NoiseMultiplier::new(mu.recip()).map_err(usage)?;
        // A little below, so that the rounding of the way back costs nothing that was not asked for.
        Epsilon::new(gaussian::unsampled(&[(noise, 1)], self.delta) * (1.0 - 1e-9)).map_err(usage)
    }
}

/// The file.
pub(super) fn plan_file(wishes: &Wishes, home: &FederationFolder) -> Result<String, Failure> {
    let are_few = wishes.shops.len() < FEWEST_MASKED;
    if wishes.task == Task::Rating {
        let budget = (wishes.of_one_plan()?, wishes.delta);
        return stars::plan_file(&wishes.shops, budget, !(wishes.local_noise || are_few));
    }
    let catalogue = home.catalogue().map_err(|error| match error {
        HomeError::NoCatalogue => usage(format!(
            "which releases suit depends on the catalogue, and there is none in {}: first `souk-coordinator catalogue import`",
            home.path().display()
        )),
        error => failed(error),
    })?;
    let terms = ReleaseTerms {
        epsilon: Some(wishes.of_one_plan()?),
        delta: wishes.delta,
        placement: match wishes.local_noise || are_few {
            true => Placement::Local,
            false => Placement::Distributed,
        },
        training: wishes.no_training.then(Vec::new),
    };
    let mut plan =
        Plan::of_releases("releases", 1, wishes.shops.clone(), &terms, &catalogue).map_err(usage)?;
    plan.task = wishes.task;
    plan.cohort.upload_after = Some(upload_after(&plan, &Learner::new(&plan, &catalogue)));
    if let Some(why) = gain::drowned(&plan, catalogue.len()).filter(|_| !wishes.anyway) {
        return Err(refused(format!("{why}. Nothing was written; --anyway goes on")));
    }
    if are_few && !wishes.local_noise {
        tell(&format!(
            "{} of the {FEWEST_MASKED} shops that it takes to share noise under masks: each adds all of it, as with --local-noise",
            wishes.shops.len()
        ));
    }
    let text = written(&plan, wishes);
    // What is written is read again before it is promised to work.
    let read = Plan::from_toml(&text).map_err(failed)?;
    match read.begun_now() == plan {
        true => Ok(text),
        false => Err(failed(
            "the written plan is not the one that was made: a fault of this program",
        )),
    }
}

/// Longer than the slowest shop works, so that the time tells nothing (ADR 0017): twenty times the estimate for the largest one,
/// in whole seconds, and at most half of what masks leave of the deadline.
fn upload_after(plan: &Plan, learner: &Learner) -> Duration {
    let customers = phases::largest(plan);
    let releases = 1..=plan.release.len() as u64;
    let longest = releases
        .map(|round| phases::cpu_seconds(customers, learner.coordinates(round)))
        .chain(plan.training.iter().map(|_| phases::tower_seconds(customers)))
        .fold(0.0, f64::max);
    let mut at_once = plan.clone();
    at_once.cohort.upload_after = Some(Duration::ZERO);
    let masks = at_once.latest_upload().unwrap_or_default();
    let room = plan.cohort.deadline.saturating_sub(masks).as_secs() / 2;
    Duration::from_secs(((20.0 * longest).ceil() as u64).clamp(LEAST_OFFSET, room.max(LEAST_OFFSET)))
}

fn written(plan: &Plan, wishes: &Wishes) -> String {
    let privacy = &plan.privacy;
    let (epsilon, noise) = (
        wishes.epsilon,
        privacy.noise_multiplier.map_or(0.0, |noise| noise.get()),
    );
    let cost = match wishes.per {
        None => format!("epsilon {epsilon} at this delta, exactly"),
        Some(Per::Year) => {
            let own = privacy
                .noise_multiplier
                .map_or(0.0, |noise| gaussian::unsampled(&[(noise, 1)], privacy.delta));
            format!(
                "epsilon {} at this delta. For {} such plans a year,\n# each under its own name or seed: together epsilon {epsilon}",
                rounded_up(own, 3),
                wishes.times
            )
        }
    };
    let mut lines = vec![
        "# A plan of releases: each round publishes one noised sum over all customers, which the shops' own recommenders use."
            .to_owned(),
        "# What it costs and may gain: souk-coordinator plan check".to_owned(),
        format!("name = {:?}", plan.name),
        format!("seed = {}                 # of the public map", plan.seed),
    ];
    if !plan.task.is_usual() {
        lines.push(format!("task = {:?}", plan.task.name()));
    }
    lines.extend([
        "\n[privacy]".to_owned(),
        format!("# z of all rounds together: {cost}.\n# One of share s has z / sqrt(s)."),
        format!("noise_multiplier = {noise:?}"),
        format!("delta = {:?}", privacy.delta.get()),
        format!("modulus_bits = {}", privacy.modulus_bits.bits()),
        format!(
            "headroom = {}             # times declared_users that a sum has room for",
            plan.headroom()
        ),
    ]);
    match &plan.masking {
        Some(masking) => {
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
        None => lines.push(
            "placement = \"local\"        # every shop adds all of the noise; three or more could share it under masks".to_owned(),
        ),
    }
    lines.push("\n[cohort]".to_owned());
    lines.push(format!("quorum = {}", plan.cohort.quorum));
    lines.push("deadline = \"10m\"".to_owned());
    lines.extend(plan.cohort.upload_after.map(|after| {
        let from = if plan.masking.is_some() { "R2" } else { "the announcement" };
        format!(
            "upload_after = {:?}      # after {from}, so that the time of an update tells nobody how long it took",
            format_duration(after).to_string()
        )
    }));
    lines.extend(plan.release.iter().map(release));
    lines.extend(plan.training.iter().map(|phase| {
        let kind = match phase.kind {
            TrainingKind::Model => "model",
            TrainingKind::Tower => "tower",
            TrainingKind::Clicks => "clicks",
        };
        format!(
            "\n[[training]]             # a small network over what was released, for shops that can fit little themselves\nkind = \"{kind}\"\nrounds = {}\n\
             share = {:?}             # of all its rounds together",
            phase.rounds, phase.share
        )
    }));
    lines.extend(plan.shops.iter().map(|terms| {
        format!(
            "\n[[shops]]\nname = {:?}\ndeclared_users = {}",
            terms.name.as_str(),
            terms.declared_users
        )
    }));
    lines.join("\n") + "\n"
}

/// A task that there is a preset for.
fn preset(text: &str) -> Result<Task, String> {
    let tasks = [Task::Product, Task::Content, Task::Rating];
    let found = tasks.into_iter().find(|task| task.name() == text);
    found.ok_or_else(|| format!("{text:?} is no task with a preset; it is product, content or rating; deploy/examples/completejourney-ads.toml shows one of ads"))
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

fn spendable(text: &str) -> Result<Epsilon, String> {
    let epsilon = super::epsilon(text)?;
    match epsilon.get() > 0.0 {
        true => Ok(epsilon),
        false => Err("nothing can be released for an epsilon of 0; it must be above".to_owned()),
    }
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

/// Fewer can't share noise under masks.
const FEWEST_MASKED: usize = 3;
/// Seconds that every update waits at least.
const LEAST_OFFSET: u64 = 10;
