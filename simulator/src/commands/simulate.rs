//! `souk-sim simulate`: a plan carried out by any number of shops in this process, on virtual time.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;
use souk_client::data::outgrown::Outgrown;
use souk_common::accountant::{RELATION, UNIT};
use souk_common::clock::Stopwatch;
use souk_common::eval::{Candidates, Metrics, Target, View, evaluate, leave_last_two_out};
use souk_common::ids::Digest;
use souk_common::model::Recommender;
use souk_common::model::file::{self, ModelMeta};
use souk_common::terminal::{say, tell};
use souk_common::update::Counts;

use crate::data::plans::{Template, names};
use crate::data::split::Cut;
use crate::error::WrongUsage;
use crate::evaluate::fitted_users::Personal;
use crate::world::{Line, Outcome, World, members_of};

/// Carry out a plan with any number of shops in this process, on virtual time.
///
/// Coordinator and shops are the same machines as in production, with real updates, noise, sums and ledgers; only
/// sockets, disks and waiting are left out. Each customer's last two purchases are kept back, and the last model is
/// scored on the latest. The same seed gives the same model, bit for bit.
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  souk-sim simulate deploy/examples/ml-100k-ials-private.toml --data data/ml-100k\n  \
                        souk-sim simulate plan.toml --data data/completejourney --by user-hash --shops 1000 --dropout 0.1 \
                        --quorum 800"
)]
pub struct SimulateArgs {
    /// The plan. If it names as many shops as there are, they keep their names and declared sizes.
    #[arg(value_name = "PLAN")]
    plan: PathBuf,
    #[command(flatten)]
    cut: Cut,
    /// Least accepted updates to publish, instead of the plan's.
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=100_000))]
    quorum: Option<u64>,
    /// Rounds to train, instead of the plan's.
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=100_000))]
    rounds: Option<u64>,
    /// Probability that a shop's line is cut while it works on an attempt.
    #[arg(long, default_value_t = 0.0, value_parser = probability)]
    dropout: f64,
    /// One way, of every line.
    #[arg(long, default_value = "30ms", value_parser = humantime::parse_duration)]
    latency: Duration,
    /// Of every line.
    #[arg(long, default_value_t = 20.0, value_name = "MBIT/S", value_parser = speed)]
    bandwidth: f64,
    /// Of the model, of users' draws, of noise and of the lines.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Write the last model here (safetensors).
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Print one JSON object instead of prose.
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Report<'a> {
    shops: usize,
    users: usize,
    rounds: u64,
    attempts_without_model: u64,
    updates: u64,
    upload_bytes: u64,
    virtual_seconds: f64,
    seconds: f64,
    model_hash: Digest,
    /// Null: nothing bounds it.
    epsilon: Option<f64>,
    delta: f64,
    unit: &'static str,
    relation: &'static str,
    leak_free: Metrics,
    full: Metrics,
    /// Quality counts of the last round, under noise; null in plans that do not count.
    quality: Option<Counts>,
    plan: &'a str,
}

/// Runs the command.
///
/// # Errors
/// When the plan or the data can't be used, or no quorum comes together.
pub fn run(args: &SimulateArgs) -> anyhow::Result<bool> {
    let watch = Stopwatch::start();
    let template = Template::read(&args.plan)?.with_rounds(args.rounds);
    let named = template.plan().shops.len();
    let known = args.cut.load(Some(named))?;
    let split = leave_last_two_out(&known.dataset);
    let mut sizes = vec![0; known.shops];
    known.shop_of.iter().for_each(|shop| sizes[*shop] += 1);
    let mut plan = template.for_shops(&sizes, args.seed)?;
    if let Some(quorum) = args.quorum {
        plan.cohort.quorum = usize::try_from(quorum)?;
        plan.validate().context(WrongUsage("--quorum".into()))?;
    }
    let line = Line {
        latency: args.latency,
        bytes_per_sec: args.bandwidth * 1e6 / 8.0,
        dropout: args.dropout,
        ..Line::default()
    };
    let members = members_of(&split.train, &[], &known.shop_of, &names(&plan));
    for member in &members {
        // What each owner would be told.
        let outgrown = Outgrown::of(Some(&plan), &member.name, &member.dataset);
        outgrown
            .lines()
            .for_each(|line| tell(&format!("{}: {line}", member.name)));
    }
    let world = World::new(&plan, &known.catalogue, members, line, args.seed)
        .with_context(|| format!("{} does not fit this data", args.plan.display()))?;
    let bar = ProgressBar::new(plan.rounds);
    if let Ok(style) =
        ProgressStyle::with_template("round {pos}/{len} {wide_bar} {elapsed_precise}, {eta} left")
    {
        bar.set_style(style);
    }
    let outcome = world.run(|round, _| bar.set_position(round))?;
    bar.finish_and_clear();

    let recommender = Recommender::new(&plan.model, &plan.train, &known.catalogue);
    let meta = ModelMeta {
        round: plan.rounds,
        plan: plan.digest(),
    };
    let bytes = file::encode(&outcome.params, recommender.layout(), &meta);
    if let Some(path) = &args.out {
        fs::write(path, &bytes).with_context(|| format!("can't write {}", path.display()))?;
    }
    let model = Arc::new(recommender.load(outcome.params.clone()));
    let scorer = Personal::fit(&model, &split.train, &[], args.seed);
    let items = known.catalogue.len();
    let candidates = Candidates::draw(&split, items, args.seed);
    let measure = |view| evaluate(&scorer, &split, &candidates, items, view, Target::Test, 10);
    let report = Report {
        shops: known.shops,
        users: known.dataset.len(),
        rounds: plan.rounds,
        attempts_without_model: outcome.abandoned,
        updates: outcome.updates,
        upload_bytes: outcome.bytes_up,
        virtual_seconds: outcome.virtual_secs,
        seconds: watch.secs(),
        model_hash: Digest::of(&bytes),
        epsilon: outcome.epsilon.map(|epsilon| epsilon.get()),
        delta: plan.privacy.delta.get(),
        unit: UNIT,
        relation: RELATION,
        leak_free: measure(View::LeakFree),
        full: measure(View::Full),
        quality: outcome.counts,
        plan: &plan.name,
    };
    if args.json {
        say(&serde_json::to_string(&report)?)?;
    } else {
        say(prose(&report, &outcome).trim_end())?;
    }
    Ok(true)
}

fn prose(report: &Report<'_>, outcome: &Outcome) -> String {
    let epsilon = report.epsilon.map_or_else(
        || "no noise and no guarantee".to_owned(),
        |epsilon| {
            format!(
                "epsilon {} at delta {} for the shop that spent most (unit: {UNIT}; relation: {RELATION})",
                souk_common::params::rounded_up(epsilon, 3),
                report.delta
            )
        },
    );
    let counted = report.quality.and_then(|counts| counts.hit_rate()).map_or_else(String::new, |(rate, stddev)| {
        format!(
            "counted under masks: {:.1} % (noise: {:.1}) of drawn users' newest items among the first ten\n",
            100.0 * rate,
            100.0 * stddev
        )
    });
    format!(
        "{} shops, {} users: {} rounds published, {} attempts without a model, {} updates counted\n\
         {epsilon}; {:.0} % of the users' updates were clipped\n\
         {:.1} MB sent by the shops; {:.0} s of virtual time, {:.1} s of this machine's\n\
         HR@10/nDCG@10 {:.1}/{:.1} % against {} unseen items (B), {:.1}/{:.1} % against all unseen ones (C)\n\
         {counted}model {}\n",
        report.shops,
        report.users,
        report.rounds,
        report.attempts_without_model,
        report.updates,
        100.0 * outcome.tally.clipped as f64 / outcome.tally.users.max(1) as f64,
        report.upload_bytes as f64 / 1e6,
        report.virtual_seconds,
        report.seconds,
        100.0 * report.leak_free.hit_rate,
        100.0 * report.leak_free.ndcg,
        report.leak_free.candidates.1,
        100.0 * report.full.hit_rate,
        100.0 * report.full.ndcg,
        report.model_hash,
    )
}

fn probability(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(value) if (0.0..1.0).contains(&value) => Ok(value),
        _ => Err("a number from 0 to below 1 is expected".to_owned()),
    }
}

fn speed(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(value) if value.is_finite() && value >= 0.001 => Ok(value),
        _ => Err("a number of at least 0.001 is expected".to_owned()),
    }
}
