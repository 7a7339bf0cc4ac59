//! `souk-sim demo`: a coordinator and its shops, each a process of its own, train one recommender over QUIC on this
//! machine; then what it is worth, what it cost in privacy, and what a customer would be shown.

use std::fs;
use std::io::Read;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use clap::Args;
use clap::builder::RangedU64ValueParser;
use indicatif::{ProgressBar, ProgressStyle};
use souk_common::clock::{Clock, Stopwatch, SystemClock};
use souk_common::ids::ShopName;
use souk_common::learned::Learner;
use souk_common::params::Epsilon;
use souk_common::terminal::{say, tell};
use souk_common::training::phases::{TrainingKind, TrainingPhase};

mod check;
mod report;
mod score;

use crate::commands::epsilon::epsilon;
use crate::data::market::{CUSTOMERS, Market};
use crate::processes::federation::{Federation, PageShop};
use report::Report;

/// Train a whole federation on this machine and show what comes of it.
///
/// A coordinator and five shops run as processes of their own and speak QUIC with mutual certificates on 127.0.0.1.
/// Each shop clips every customer's update and adds noise before anything is sent. The data is made up (a year of
/// retail in five regions, 20,000 customers; with --page a year up to yesterday) unless --data names shops of your own.
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  souk-sim demo\n  souk-sim demo --page\n  souk-sim demo --check --json\n  souk-sim split --synthetic \
                        --shops 3 --out my-shops && souk-sim demo --data my-shops"
)]
pub struct DemoArgs {
    /// Exit with 1 unless every claim of the demo holds; list them.
    #[arg(long)]
    check: bool,
    /// Use these shops: a folder as `souk-sim split` writes it (items.csv, and a folder with orders.csv a shop).
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Seed of the made-up data and of the model's initial values (noise and sampling have none).
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// About how many customers are made up.
    #[arg(long, default_value_t = CUSTOMERS, conflicts_with = "data",
          value_parser = RangedU64ValueParser::<usize>::new().range(100..=200_000))]
    customers: usize,
    /// What all rounds together may cost each customer, at delta 1e-5.
    #[arg(long, default_value = "4", value_parser = epsilon)]
    epsilon: Epsilon,
    /// Serve the smallest shop's page meanwhile, print a link to it, and stay up until Enter is pressed.
    #[arg(long, value_name = "ADDRESS", num_args = 0..=1, default_missing_value = "127.0.0.1:4480")]
    page: Option<SocketAddr>,
    /// Print one JSON object instead of tables.
    #[arg(long)]
    json: bool,
    /// Keep the federation's folders here instead of in a temporary folder.
    #[arg(long, value_name = "DIR")]
    keep: Option<PathBuf>,
}

/// Runs the demo; false when a check failed.
///
/// # Errors
/// When a folder can't be written, the data can't be read, or a process fails; it says which and how.
pub fn run(args: &DemoArgs) -> anyhow::Result<bool> {
    let watch = Stopwatch::start();
    let temporary;
    let dir: &Path = match &args.keep {
        Some(dir) => new_folder(dir)?,
        None => {
            temporary = tempfile::tempdir().context("can't create a temporary folder")?;
            temporary.path()
        }
    };
    let mut market = match &args.data {
        Some(data) => Market::read(data)?,
        None => Market::synthetic(args.seed, args.customers)?,
    };
    if args.page.is_some() && args.data.is_none() {
        // A page is right to complain of a shop that has sold nothing for months.
        market.end_at(SystemClock.now().0 / 1000);
    }
    narrate(args, &market.describe());
    let plan = market.plan_of_releases(args.seed, args.epsilon, training())?;
    market.write(dir, &plan)?;

    narrate(
        args,
        "starting a coordinator and letting the shops join with one-time codes ...",
    );
    let (shop, user) = market.named_customer();
    let page = args.page.map(|address| PageShop {
        shop: shop.clone(),
        address,
    });
    let mut federation = Federation::start(dir, &market.names(), page)?;
    let bar = progress(args, plan.rounds);
    let on_round = |round, line: &str| {
        bar.set_position(round);
        if bar.is_hidden() && (round == 1 || round % LINE_EVERY == 0 || round == plan.rounds) {
            narrate(args, line);
        }
    };
    federation.run(plan.rounds, LONGEST, on_round, |folders, shop| {
        let link = folders.page_link(shop)?;
        narrate(
            args,
            &format!("the page of {shop}'s owner, for customers such as {user}: {link}"),
        );
        Ok(())
    })?;
    bar.finish_and_clear();
    let trained_secs = watch.secs();

    narrate(
        args,
        "measuring each shop alone and together, on purchases that none of them has ...",
    );
    let learner = Learner::new(&plan, &market.catalogue);
    let published = federation.folders.published()?;
    let scores = score::score(&market, &learner, &published, args.epsilon, args.seed)?;
    let records = check::Records::gather(&federation, &market)?;
    let checks = args.check.then(|| check::check(&federation, &records, &scores));
    let recommendations = federation.folders.recommend(shop, user)?;
    let report = Report {
        scores,
        records,
        recommendations,
        user: user.to_owned(),
        trained_secs,
        checks,
        plan,
        learner,
    };
    let good = report
        .checks
        .as_ref()
        .is_none_or(|checks| checks.iter().all(|check| check.ok));
    if args.json {
        say(&report.to_json(watch.secs()).to_string())?;
    } else {
        say(report.to_text(watch.secs()).trim_end())?;
    }
    if args.page.is_some() {
        stay(args, &federation, shop)?;
    }
    Ok(good)
}

/// Leaves all programs up until somebody has had enough of the page.
fn stay(args: &DemoArgs, federation: &Federation, shop: &ShopName) -> anyhow::Result<()> {
    let link = federation.folders.page_link(shop)?;
    narrate(
        args,
        &format!("\nThe page of {shop}'s owner stays up until you press Enter. A fresh link: {link}"),
    );
    // An end of the input is as good as an Enter.
    let _ = std::io::stdin()
        .read(&mut [0])
        .context("can't read from the terminal")?;
    Ok(())
}

/// Makes the folder of `--keep`.
pub(crate) fn new_folder(dir: &Path) -> anyhow::Result<&Path> {
    anyhow::ensure!(
        fs::read_dir(dir).map_or(true, |mut entries| entries.next().is_none()),
        "{} is not empty; name a new folder with --keep",
        dir.display()
    );
    fs::create_dir_all(dir).with_context(|| format!("can't create {}", dir.display()))?;
    Ok(dir)
}

/// Progress goes where the answer does not.
fn narrate(args: &DemoArgs, line: &str) {
    if args.json {
        tell(line);
    } else {
        // The report is what must arrive.
        let _ = say(line);
    }
}

fn progress(args: &DemoArgs, rounds: u64) -> ProgressBar {
    // indicatif draws on standard error, and only if that is a terminal.
    let bar = if args.json {
        ProgressBar::hidden()
    } else {
        ProgressBar::new(rounds)
    };
    if let Ok(style) =
        ProgressStyle::with_template("round {pos}/{len} {wide_bar} {elapsed_precise}, {eta} left")
    {
        bar.set_style(style);
    }
    bar
}

/// What is trained behind the releases.
fn training() -> Vec<TrainingPhase> {
    vec![TrainingPhase::new(TrainingKind::Tower, 20, 0.05)]
}

const LONGEST: Duration = Duration::from_secs(3600);
const LINE_EVERY: u64 = 10;
