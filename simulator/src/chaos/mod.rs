//! `souk-sim chaos`: the real programs, killed without warning (SIGKILL) again and again while they train, and restarted at
//! once, as a service manager would; then what must hold is checked from the folders that are left.
//!
//! | module | what |
//! |---|---|
//! | [`schedule`] | when whom |
//! | [`watch`] | what is under way at that moment |
//! | [`crate::chaos::supervisor`] | starts, kills, restarts |
//! | [`check`] | what must hold |

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;
use souk_common::clock::Stopwatch;
use souk_common::plan::{Placement, Plan};
use souk_common::terminal::{say, tell};

use crate::check::Check;
use crate::data::market::{CUSTOMERS, Market};
use crate::demo;

mod check;
pub(crate) mod schedule;
pub(crate) mod supervisor;
pub(crate) mod watch;

use crate::chaos::supervisor::{Done, Supervisor};
use check::Account;
use schedule::Schedule;

/// Kill the real programs at random moments while they train, and check that nothing was lost.
///
/// A coordinator and five shops train on the demo's data in processes of their own. The supervisor kills them (SIGKILL), at
/// moments drawn from the seed, and starts them again at once. At the end the run must have completed, every receipt that a
/// shop holds must be in the coordinator's record, every update must be charged in its shop's ledger, and no shop may have
/// made two updates for one attempt. Exit code 1 if something does not hold.
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  souk-sim chaos\n  souk-sim chaos --coordinator-kills 100 --shop-kills 100 --rounds 40 --json"
)]
pub struct ChaosArgs {
    /// How often the coordinator is killed.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(0..=10_000))]
    coordinator_kills: u32,
    /// How often a shop is killed; which one is drawn.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(0..=10_000))]
    shop_kills: u32,
    /// Rounds to train; the kills are spread over them.
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u64).range(1..=10_000))]
    rounds: u64,
    /// Without masks: each shop's own noised update.
    #[arg(long)]
    plain: bool,
    /// Seed of the moments, the victims and the data. What the programs make of it depends on the machine.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// A run that takes longer hangs: it has failed, and the ends of all logs are shown.
    #[arg(long, default_value = "1h", value_name = "TIME", value_parser = humantime::parse_duration)]
    most: Duration,
    /// Print one JSON object instead of a table.
    #[arg(long)]
    json: bool,
    /// Keep the folders here instead of in a temporary folder.
    #[arg(long, value_name = "DIR")]
    keep: Option<PathBuf>,
}

/// What is reported.
#[derive(Serialize)]
struct Report {
    ok: bool,
    masked: bool,
    seed: u64,
    rounds: u64,
    coordinator_kills: u32,
    shop_kills: u32,
    /// Kills within a second of the one before.
    quick_kills: u32,
    starts: u32,
    /// By what was under way: kills.
    steps: Vec<(String, u32)>,
    #[serde(flatten)]
    account: Account,
    seconds: f64,
    checks: Vec<Check>,
}

/// Runs the command; false when something does not hold.
///
/// # Errors
/// When the run does not complete in time, or a program can't be started.
pub fn run(args: &ChaosArgs) -> anyhow::Result<bool> {
    let watch = Stopwatch::start();
    let temporary = tempfile::tempdir().context("can't create a temporary folder")?;
    let dir = match &args.keep {
        Some(dir) => demo::new_folder(dir)?,
        None => temporary.path(),
    };
    let market = Market::synthetic(args.seed, CUSTOMERS)?;
    let plan = plan(&market, args)?;
    market.write(dir, &plan)?;
    let shops = market.names();
    let mut schedule = Schedule::draw(
        args.seed,
        args.rounds,
        args.coordinator_kills,
        args.shop_kills,
        shops.len(),
    );
    let mut supervisor = Supervisor::start(dir, &shops)?;
    let bar = progress(args);
    supervisor.run(&mut schedule, args.most, &bar)?;
    bar.finish_and_clear();
    let (account, checks) = check::check(&supervisor.folders, args.rounds, &supervisor.done)?;
    let report = Report::new(args, &supervisor.done, account, checks, watch.secs());
    if !report.ok {
        tell(&supervisor.tails());
    }
    match args.json {
        true => say(&serde_json::to_string(&report)?)?,
        false => say(report.to_text().trim_end())?,
    }
    Ok(report.ok)
}

/// The demo's plan, with as many attempts as it takes: here the supervisor is what fails, not the shops.
fn plan(market: &Market, args: &ChaosArgs) -> anyhow::Result<Plan> {
    let mut plan = market.plan(args.seed, Some(args.rounds))?;
    plan.cohort.attempts = u32::MAX;
    plan.cohort.deadline = Duration::from_secs(60);
    if args.plain {
        (plan.masking, plan.metrics) = (None, None);
        plan.privacy.placement = Placement::Local;
    }
    plan.validate().context("the plan")?;
    Ok(plan)
}

impl Report {
    fn new(args: &ChaosArgs, done: &Done, account: Account, checks: Vec<Check>, seconds: f64) -> Self {
        let steps = done.steps.iter();
        Self {
            ok: checks.iter().all(|check| check.ok),
            masked: !args.plain,
            seed: args.seed,
            rounds: args.rounds,
            coordinator_kills: done.kills[0],
            shop_kills: done.kills[1],
            quick_kills: done.quick,
            starts: done.starts,
            steps: steps
                .map(|(step, kills)| (step.clone(), kills.iter().sum()))
                .collect(),
            account,
            seconds,
            checks,
        }
    }

    fn to_text(&self) -> String {
        let account = &self.account;
        let masks = if self.masked { "masked" } else { "plain" };
        let mut text = format!(
            "{} kills of the coordinator, {} of shops, {} of them within a second of the one before; {} restarts\n\
             {} rounds, {masks}, seed {}: {} attempts, {} published, {} abandoned; {} updates received, {} spends; {:.0} s\n\
             what was under way at a kill:\n",
            self.coordinator_kills,
            self.shop_kills,
            self.quick_kills,
            self.starts,
            self.rounds,
            self.seed,
            account.attempts,
            account.published,
            account.abandoned,
            account.received,
            account.spends,
            self.seconds
        );
        for (step, kills) in &self.steps {
            text += &format!("  {kills:>4}  {step}\n");
        }
        for check in &self.checks {
            let mark = if check.ok { "ok  " } else { "FAIL" };
            text += &format!("{mark} {}: {}\n", check.name, check.detail);
        }
        text
    }
}

fn progress(args: &ChaosArgs) -> ProgressBar {
    // indicatif draws on standard error, and only if that is a terminal.
    let bar = ProgressBar::new(args.rounds);
    if let Ok(style) = ProgressStyle::with_template("round {pos}/{len} {wide_bar} {elapsed_precise}, {msg}") {
        bar.set_style(style);
    }
    bar
}
