//! `souk-sim evaluate`: is the federated recommender any good, in three views, beside what it must be compared with.
//!
//! | module | what |
//! |---|---|
//! | [`trial`] | one seed: the federation, the shops alone, everything in one place |
//! | [`row`] | figures over the seeds |
//! | [`expected`] | what `--check` holds them against |
//! | [`ads`] | coupons: which are redeemed |
//! | [`rating`] | stars, where customers give them |
//! | [`joining`] | what a shop's own stack of channels is worth, with and without those of all shops |

mod ads;
pub(crate) mod centralised;
mod expected;
pub(crate) mod fitted_users;
pub(crate) mod joining;
mod rating;
pub(crate) mod releases;
mod row;
mod trial;

use std::path::PathBuf;

use anyhow::ensure;
use clap::{Args, ValueEnum};
use indicatif::{ProgressBar, ProgressStyle};
use souk_common::accountant::{RELATION, UNIT};
use souk_common::clock::Stopwatch;
use souk_common::eval::{Split, leave_last_two_out};
use souk_common::ids::ShopName;
use souk_common::params::{Delta, Epsilon};
use souk_common::plan::{Plan, ReleaseTerms};
use souk_common::task::Task;
use souk_common::terminal::{say, tell};
use souk_common::training::phases::{TrainingKind, TrainingPhase};

use crate::check::Check;
use crate::commands::epsilon::{delta, epsilon};
use crate::data::plans::Template;
use crate::data::split::{Cut, Known};
use crate::error::WrongUsage;
use releases::{Earlier, NoisePlacement};
use row::Table;
use trial::Trial;

/// Train a federation on a real data set and say how good its recommendations are, beside the baselines.
///
/// Every shop and the coordinator run as in production (the same machines, updates, clipping, truncation, sums, noise
/// and ledgers), in one process and on virtual time. For each customer the latest purchase is kept for the test and the
/// one before for tuning. Three views, always together: A (literature) ranks against 99 sampled items, and training
/// never draws the kept items as negatives, which leaks them; B (leak-free) is A without that leak; C (full) ranks
/// against everything.
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  souk-sim evaluate --data data/ml-100k --model neumf --no-privacy\n  \
                        souk-sim evaluate --data data/uci-online-retail --model ials --epsilon 8 --json\n  \
                        souk-sim evaluate --data data/completejourney --items types --stack\n  \
                        souk-sim evaluate --data data/ml-100k --task rating\n  \
                        souk-sim evaluate --data data/ml-100k --task content --check\n  \
                        souk-sim evaluate --data data/completejourney --task ads --check\n\n\
                        deploy/get-data.sh fetches the data. The plans it uses by default are those in deploy/examples."
)]
pub struct EvaluateArgs {
    #[command(flatten)]
    cut: Cut,
    /// The recommender.
    #[arg(long, value_enum, default_value_t = Model::Ials)]
    model: Model,
    /// Instead: what a task is about, by its own measures beside a simple baseline.
    #[arg(long, value_enum, conflicts_with_all = ["model", "stack", "cold_start", "training", "no_training", "earlier_runs", "new_items", "no_run"])]
    task: Option<EvaluatedTask>,
    /// Instead of a trained recommender: each shop's own stack of channels, its weights fitted in the shop; alone, and together
    /// with what all shops release. A fourth view D holds back whole visits. With --quick, alone.
    #[arg(long, conflicts_with_all = ["model", "plan", "rounds"])]
    stack: bool,
    /// Train by this plan instead of the example for this set and model.
    #[arg(long, value_name = "FILE")]
    plan: Option<PathBuf>,
    /// No noise, and no clipping that matters.
    #[arg(long, conflicts_with_all = ["epsilon", "delta"])]
    no_privacy: bool,
    /// Noise so that no shop's epsilon exceeds this (user level, add/remove, every shop adds all of it).
    #[arg(long, value_parser = epsilon)]
    epsilon: Option<Epsilon>,
    /// Who adds the noise of releases.
    #[arg(long, value_enum, default_value_t, requires = "stack")]
    placement: NoisePlacement,
    /// What is trained behind the releases in place of what `plan new` writes, for which share of the budget: `tower=30:0.05` is 30 rounds of the tower for a
    /// twentieth of it; ials, mf, mlp, neumf and gan are the examples' models, which start from what was released.
    #[arg(long, value_name = "KIND=ROUNDS:SHARE", value_parser = training_phase, requires = "stack")]
    training: Vec<TypedPhase>,
    /// Only what was trained, by itself: no stack is fitted, which takes most of the time.
    #[arg(long, requires = "training", conflicts_with_all = ["quick", "no_training"])]
    trained_alone: bool,
    /// Releases alone.
    #[arg(long, requires = "stack", conflicts_with = "training")]
    no_training: bool,
    /// So many runs of the same plan came before this one, each at its own epsilon; their last versions stand beside it in every
    /// stack.
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u64).range(0..=8), requires = "stack")]
    earlier_runs: u64,
    /// The catalogue of the earlier runs lacked this share of today's items, which are then scored by what they are like.
    #[arg(long, value_name = "SHARE", default_value_t = 0.0, value_parser = share, requires = "earlier_runs")]
    new_items: f64,
    /// The earlier runs alone: what they are worth before this one has released anything.
    #[arg(long, requires = "earlier_runs")]
    no_run: bool,
    /// Instead: how well each shop's own stack recommends items that nobody has bought yet. This share of the items is taken out of
    /// all training, and ranked by what the items are like: by their features, and with vectors made from titles.
    #[arg(long, value_name = "SHARE", value_parser = held_out_share, requires = "stack",
          conflicts_with_all = ["quick", "training", "no_training", "earlier_runs", "epsilon", "no_privacy", "placement", "delta"])]
    cold_start: Option<f64>,
    /// At this delta.
    #[arg(long, value_parser = delta)]
    delta: Option<Delta>,
    /// How many seeds the figures are means of.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..=1000))]
    seeds: u64,
    /// The first of them.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Rounds to train, instead of the plan's.
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=100_000))]
    rounds: Option<u64>,
    /// Only the federation and popularity: no EASE, and no training of the shops alone and of everything in one place.
    #[arg(long)]
    quick: bool,
    /// Exit with 1 unless the figures are what they should be on this set; list what was compared.
    #[arg(long)]
    check: bool,
    /// Print one JSON object instead of a table.
    #[arg(long)]
    json: bool,
}

/// Which recommender.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, ValueEnum)]
enum Model {
    /// Dot products, the closed-form solver.
    #[default]
    Ials,
    /// Dot products, sampled negatives.
    Mf,
    /// The tower alone.
    Mlp,
    /// Both paths.
    Neumf,
    /// A generator against both paths.
    Gan,
}

/// Which task.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
enum EvaluatedTask {
    /// Which coupons are redeemed: the click tower beside logistic regression, on The Complete Journey, by the task's example plan.
    Ads,
    /// How many stars a customer gives: errors of the latest tenth of each customer's stars, beside item means.
    Rating,
    /// What is bought next: shops' lists beside bestsellers, with and without what goes by the clock, by the task's example plan.
    /// With --quick, without other shops.
    Product,
    /// What is read or watched next: the same beside bestsellers by age.
    Content,
}

impl Model {
    fn name(self) -> &'static str {
        match self {
            Self::Ials => "ials",
            Self::Mf => "mf",
            Self::Mlp => "mlp",
            Self::Neumf => "neumf",
            Self::Gan => "gan",
        }
    }
}

impl EvaluateArgs {
    /// None without privacy.
    fn epsilon_or_default(&self) -> Option<Epsilon> {
        match self.no_privacy {
            true => None,
            false => self.epsilon.or(Epsilon::new(DEFAULT_EPSILON).ok()),
        }
    }

    /// The model that a phase trains.
    fn trained_model(&self) -> &'static str {
        let trained = self.training.iter().find_map(|typed| typed.model);
        trained.unwrap_or_default().name()
    }

    fn earlier(&self) -> Earlier {
        Earlier {
            runs: self.earlier_runs,
            new_items: self.new_items,
            alone: self.no_run,
        }
    }

    fn release_terms(&self) -> anyhow::Result<ReleaseTerms> {
        Ok(ReleaseTerms {
            epsilon: self.epsilon_or_default(),
            delta: match self.delta {
                Some(delta) => delta,
                None => Delta::new(DEFAULT_DELTA)?,
            },
            placement: self.placement.into(),
            training: match (self.no_training, self.training.is_empty()) {
                (true, _) => Some(Vec::new()),
                (false, true) => None,
                (false, false) => Some(self.training.iter().map(|typed| typed.phase).collect()),
            },
        })
    }
}

/// A phase as typed, and which model it trains.
#[derive(Clone, Debug)]
struct TypedPhase {
    phase: TrainingPhase,
    model: Option<Model>,
}

fn share(text: &str) -> Result<f64, String> {
    let share: f64 = text.parse().map_err(|_| format!("{text:?} is no number"))?;
    match (0.0..0.9).contains(&share) {
        true => Ok(share),
        false => Err(format!("{share} is no share of the items; it must be 0 to 0.9")),
    }
}

fn held_out_share(text: &str) -> Result<f64, String> {
    match share(text)? {
        0.0 => Err("with 0 no item is held out; say 0.2 for every fifth".to_owned()),
        share => Ok(share),
    }
}

fn training_phase(text: &str) -> Result<TypedPhase, String> {
    let wrong = || format!("{text:?} is no KIND=ROUNDS:SHARE, like tower=30:0.05");
    let (kind, rest) = text.split_once('=').ok_or_else(wrong)?;
    let (rounds, share) = rest.split_once(':').ok_or_else(wrong)?;
    let (kind, model) = match (kind, Model::from_str(kind, true)) {
        ("tower", _) => (TrainingKind::Tower, None),
        (_, Ok(model)) => (TrainingKind::Model, Some(model)),
        _ => {
            return Err(format!(
                "{kind:?} can't be trained; it is tower, ials, mf, mlp, neumf or gan"
            ));
        }
    };
    let (rounds, share) = (
        rounds.parse().map_err(|_| wrong())?,
        share.parse().map_err(|_| wrong())?,
    );
    let phase = TrainingPhase::new(kind, rounds, share);
    match phase.fault() {
        Some((key, value, rule)) => Err(format!("{key} is {value}; it must be {rule}")),
        None => Ok(TypedPhase { phase, model }),
    }
}

/// Everything about a set that no seed changes.
struct Setting {
    known: Known,
    split: Split,
    /// Users of each shop, ascending.
    users: Vec<Vec<usize>>,
    /// What is asked for.
    asked: Template,
    /// The same without privacy: for the baselines.
    open: Template,
}

impl Setting {
    fn load(args: &EvaluateArgs) -> anyhow::Result<Self> {
        let known = args.cut.load(None)?;
        let split = leave_last_two_out(&known.dataset);
        ensure!(
            split.evaluated_users() > 0,
            "nobody in {} has three distinct items: nothing can be kept back",
            args.cut.data.display()
        );
        let users = users_of_shops(&known);
        let example = |private| Template::for_model(known.name, args.model.name(), private);
        let (asked, open) = match &args.plan {
            Some(path) => {
                let read = Template::read(path)?;
                ensure!(
                    !matches!(read.plan().task, Task::Rating | Task::Ads),
                    WrongUsage(format!(
                        "{} is of the task {task}: add --task {task}",
                        path.display(),
                        task = read.plan().task.name()
                    ))
                );
                (read.clone(), read.without_privacy()?)
            }
            None => (example(!args.no_privacy)?, example(false)?),
        };
        let (asked, open) = (asked.with_rounds(args.rounds), open.with_rounds(args.rounds));
        let asked = if args.no_privacy {
            asked.without_privacy()?
        } else if args.epsilon.is_some() || args.plan.is_none() || args.delta.is_some() {
            let delta = args.delta.unwrap_or(asked.plan().privacy.delta);
            asked.with_epsilon(args.epsilon.unwrap_or(Epsilon::new(DEFAULT_EPSILON)?), delta)?
        } else {
            asked
        };
        Ok(Self {
            known,
            split,
            users,
            asked,
            open,
        })
    }

    fn sizes(&self) -> Vec<usize> {
        self.users.iter().map(Vec::len).collect()
    }

    fn plan(&self, seed: u64) -> anyhow::Result<Plan> {
        self.asked.for_shops(&self.sizes(), seed)
    }

    fn open_plan(&self, seed: u64) -> anyhow::Result<Plan> {
        self.open.for_shops(&self.sizes(), seed)
    }

    fn names(&self) -> anyhow::Result<Vec<ShopName>> {
        Ok(crate::data::plans::names(&self.plan(0)?))
    }

    fn describe(&self) -> String {
        format!(
            "{}: {} users in {} shops, {} items, {} pairs; plan {}",
            self.known.name,
            self.known.dataset.len(),
            self.users.len(),
            self.known.catalogue.len(),
            self.known
                .dataset
                .histories
                .iter()
                .map(|history| history.len())
                .sum::<usize>(),
            self.asked.origin()
        )
    }
}

/// Users of each shop, ascending.
fn users_of_shops(known: &Known) -> Vec<Vec<usize>> {
    let mut users = vec![Vec::new(); known.shops];
    for (user, shop) in known.shop_of.iter().enumerate() {
        users[*shop].push(user);
    }
    users
}

/// Runs the command; false when a check failed.
///
/// # Errors
/// When the data or the plan can't be used.
pub fn run(args: &EvaluateArgs) -> anyhow::Result<bool> {
    if matches!(args.task, Some(EvaluatedTask::Rating | EvaluatedTask::Ads)) {
        ensure!(
            !args.quick,
            WrongUsage("--quick is not for this task: it has no baselines to leave out".to_owned())
        );
    }
    match args.task {
        Some(EvaluatedTask::Ads) => return ads::run(args),
        Some(EvaluatedTask::Rating) => return rating::run(args),
        Some(EvaluatedTask::Product) => return joining::lists::run(args, Task::Product),
        Some(EvaluatedTask::Content) => return joining::lists::run(args, Task::Content),
        None if args.stack => return joining::run(args),
        None => {}
    }
    let watch = Stopwatch::start();
    let setting = Setting::load(args)?;
    tell(&setting.describe());
    let mut table = Table::default();
    for seed in args.seed..args.seed + args.seeds {
        let bar = progress(&format!("seed {seed}"));
        Trial::new(&setting, seed).run(args.model, args.quick, &bar, &mut table)?;
        bar.finish_and_clear();
    }
    let checks = args
        .check
        .then(|| expected::check(&setting, args.model, args.no_privacy, &table));
    let ok = checks
        .as_ref()
        .is_none_or(|checks| checks.iter().all(|check| check.ok));
    let plan = setting.plan(args.seed)?;
    if args.json {
        let report = row::Report::new(&setting, &plan, &table, checks, args.seeds, watch.secs());
        say(&serde_json::to_string(&report)?)?;
    } else {
        say(row::text(&plan, &table, args.seeds).trim_end())?;
        for check in checks.iter().flatten() {
            say(&check.line())?;
        }
        say(&format!("{:.0} s", watch.secs()))?;
    }
    Ok(ok)
}

/// Draws on standard error, and only if that is a terminal; else it prints nothing.
fn progress(what: &str) -> ProgressBar {
    let bar = ProgressBar::new(1);
    if let Ok(style) =
        ProgressStyle::with_template("{prefix}: {msg} {wide_bar} {pos}/{len} {elapsed_precise}")
    {
        bar.set_style(style);
    }
    bar.set_prefix(what.to_owned());
    bar
}

const DEFAULT_EPSILON: f64 = 8.0;
const DEFAULT_DELTA: f64 = 1e-5;
const K: usize = 10;
