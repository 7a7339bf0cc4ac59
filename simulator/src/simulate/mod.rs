//! `souk-sim simulate`: plans carried out by any number of shops in this process, on virtual time.
//!
//! | module | what |
//! |---|---|
//! | this one | the command |
//! | [`source`] | whose histories: a data set or a made-up market, and how they are cut into shops |
//! | [`setting`] | shops, and what is the same for all plans and seeds |
//! | [`once`] | one run of one plan, scored |
//! | [`folder`] | what a run keeps, so that it goes on after it was killed |
//! | [`table`] | a line a round, as JSON lines or Parquet |
//! | [`report`] | what is said of one run |
//! | [`compare`], [`plot`] | several runs side by side, and the picture |

mod compare;
mod folder;
mod once;
mod plot;
mod report;
mod setting;
mod source;
mod table;
#[cfg(test)]
mod tests;

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, ensure};
use clap::Args;
use souk_common::clock::Stopwatch;
use souk_common::params::Epsilon;
use souk_common::terminal::{say, tell};

use crate::data::plans::Template;
use crate::error::WrongUsage;
use crate::world::{Line, Stragglers};
use compare::Asked;
use folder::RunFolder;
use setting::{Setting, Settings};
use source::Source;
use table::TableFile;

/// Carry out plans with any number of shops in this process, on virtual time.
///
/// Coordinator and shops are the same machines as in production, with real updates, noise, sums and ledgers; only
/// sockets, disks and waiting are left out. Each customer's last two purchases are kept back, and what the last round published
/// is scored on the latest. The same seed gives the same result, bit for bit, on any number of threads.
///
/// One plan gives one report. Several plans, or several values of --epsilon, are compared side by side, each over --seeds runs.
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  souk-sim simulate deploy/examples/ml-100k-ials-private.toml --data data/ml-100k\n  \
                        souk-sim simulate plan.toml --data data/completejourney --by user-hash --shops 1000 --dropout 0.1 \
                        --quorum 800\n\nTen thousand shops of twenty made-up customers each, unlike in size and taste, some of them slow; killed, it goes on \
                        when it is started again:\n  souk-sim simulate plan.toml --synthetic --shops 10000 --customers 20 --dirichlet 0.5 \
                        --stragglers 0.05:20 \\\n    --quorum 9000 --rounds 10 --out-dir my-run\n\nWhat an operator decides by:\n  souk-sim simulate plan.toml --data data/ml-100k \
                        --epsilon 1,2,4,8 --seeds 5 --plot utility.svg"
)]
pub struct SimulateArgs {
    /// The plans. If one names as many shops as there are, they keep their names and declared sizes.
    #[arg(value_name = "PLAN", required = true)]
    plans: Vec<PathBuf>,
    #[command(flatten)]
    source: Source,
    /// Least accepted updates to publish, instead of the plan's.
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=100_000))]
    quorum: Option<u64>,
    /// Rounds to train, instead of the plan's; not of plans of releases.
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
    /// This share of the shops has lines and machines that are so many times slower. What comes after the deadline is discarded.
    #[arg(long, value_name = "SHARE:SLOWER", value_parser = stragglers)]
    stragglers: Option<Stragglers>,
    /// Tastes move: each round learns from a window of so large a share of the whole time, which slides from the first purchases
    /// to the last.
    #[arg(long, value_name = "SHARE", num_args = 0..=1, require_equals = true, default_missing_value = "0.5", value_parser = window)]
    drift: Option<f64>,
    /// Of the cut, the model, users' draws, noise and the lines.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Runs of each plan, with this many seeds from --seed on; data and cut stay. Errors are over them.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=1000))]
    seeds: u64,
    /// Calibrate the noise of every plan so that all its rounds cost each of these, at the plan's delta, and compare.
    #[arg(long, value_name = "EPSILON,...", value_delimiter = ',', value_parser = epsilon)]
    epsilon: Vec<Epsilon>,
    /// Draw utility against epsilon here (SVG).
    #[arg(long, value_name = "FILE")]
    plot: Option<PathBuf>,
    /// Write the last model, or what was released, here (a model: safetensors).
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Keep the run here: a line a round, the result, and what it takes to go on if it is killed. Between rounds all programs are
    /// then stopped and started again, and what was on its way is lost.
    #[arg(long, value_name = "DIR")]
    out_dir: Option<PathBuf>,
    /// Keep it after every so many rounds.
    #[arg(long, default_value_t = 1, requires = "out_dir", value_parser = clap::value_parser!(u64).range(1..))]
    checkpoint_every: u64,
    /// Write a line a round here: JSON lines, or Parquet if the name ends in .parquet.
    #[arg(long, value_name = "FILE")]
    table: Option<PathBuf>,
    /// Score what every so many rounds published, not only the last; it takes a while.
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    score_every: Option<u64>,
    /// Threads to work on; by default as many as there are processors. The result is the same.
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,
    /// Print one JSON object instead of prose.
    #[arg(long)]
    json: bool,
}

/// Runs the command.
///
/// # Errors
/// When a plan or the data can't be used, or no quorum comes together.
pub fn run(args: &SimulateArgs) -> anyhow::Result<bool> {
    let Some(threads) = args.threads else {
        return carry_out(args);
    };
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(usize::from(threads))
        .build()
        .context("can't start the threads")?;
    pool.install(|| carry_out(args))
}

fn carry_out(args: &SimulateArgs) -> anyhow::Result<bool> {
    let watch = Stopwatch::start();
    let table = args.table.clone().map(TableFile::new).transpose()?;
    let templates = templates(args)?;
    let compares = args.plot.is_some() || args.plans.len() > 1 || args.seeds > 1 || !args.epsilon.is_empty();
    let kept = [
        ("--out", &args.out),
        ("--out-dir", &args.out_dir),
        ("--table", &args.table),
    ];
    if let Some((flag, _)) = kept.iter().find(|(_, file)| compares && file.is_some()) {
        let told = format!("{flag} keeps one run: leave it out where plans are compared");
        return Err(anyhow::Error::msg(WrongUsage(told)));
    }
    let named = templates[0].plan().shops.len();
    let setting = Setting::new(args.source.load(named, args.seed)?);
    if compares {
        return side_by_side(args, &setting, &templates, &watch);
    }
    let template = &templates[0];
    let plan = setting.plan(template, args.seed, args.quorum)?;
    setting.tell_outgrown(&plan);
    let settings = args.settings();
    let folder = match &args.out_dir {
        Some(dir) => Some(RunFolder::open(
            dir,
            args.checkpoint_every,
            &setting,
            (&plan, &settings, args.seed),
        )?),
        None => None,
    };
    if let Some(done) = folder.as_ref().and_then(RunFolder::result) {
        tell(&format!(
            "this run is complete: {}",
            args.out_dir.clone().unwrap_or_default().display()
        ));
        let text = match args.json {
            true => done.json.clone(),
            false => done.text.clone(),
        };
        return say(&text).map(|()| true).map_err(Into::into);
    }
    let run = once::run(&setting, &plan, &settings, args.seed, folder)
        .with_context(|| format!("{} with this data", template.origin()))?;
    if let Some(path) = &args.out {
        fs::write(path, &run.bytes).with_context(|| format!("can't write {}", path.display()))?;
    }
    if let Some(table) = table {
        table.write(&run.lines)?;
    }
    let report = report::Report::new(&setting, &plan, &run, watch.secs());
    let (json, text) = (serde_json::to_string(&report)?, report.text(&run.outcome));
    if let Some(folder) = &run.folder {
        folder.complete(&run.bytes, &run.lines, &json, text.trim_end())?;
    }
    say(if args.json { &json } else { text.trim_end() })?;
    Ok(true)
}

/// Compares, and says what came of it; false when a run did not come to its end.
fn side_by_side(
    args: &SimulateArgs,
    setting: &Setting,
    templates: &[Template],
    watch: &Stopwatch,
) -> anyhow::Result<bool> {
    let mut comparison = compare::compare(&args.asked(), setting, templates)?;
    comparison.seconds = watch.secs();
    let said = match args.json {
        true => serde_json::to_string(&comparison)?,
        false => comparison.text(),
    };
    say(said.trim_end())?;
    if let Some(path) = &args.plot {
        plot::draw(&comparison, path)?;
    }
    Ok(comparison.rows.iter().all(|row| row.failed.is_empty()))
}

/// Every plan, at every epsilon that was asked for.
fn templates(args: &SimulateArgs) -> anyhow::Result<Vec<Template>> {
    let mut all = Vec::new();
    for path in &args.plans {
        let template = Template::read(path)?;
        if let (true, Some(_)) = (template.plan().is_of_releases(), args.rounds) {
            let told = format!(
                "{} is a plan of releases, whose rounds follow from them: leave out --rounds",
                path.display()
            );
            return Err(anyhow::Error::msg(WrongUsage(told)));
        }
        let template = template.with_rounds(args.rounds);
        if args.epsilon.is_empty() {
            all.push(template);
            continue;
        }
        for epsilon in &args.epsilon {
            let delta = template.plan().privacy.delta;
            let calibrated = template.clone().at_epsilon(*epsilon, delta);
            all.push(calibrated.with_context(|| {
                WrongUsage(format!(
                    "no noise brings {} to --epsilon {}",
                    path.display(),
                    epsilon.get()
                ))
            })?);
        }
    }
    ensure!(!all.is_empty(), "there is no plan");
    Ok(all)
}

impl SimulateArgs {
    fn asked(&self) -> Asked<'_> {
        Asked {
            seed: self.seed,
            seeds: self.seeds,
            quorum: self.quorum,
            epsilons: &self.epsilon,
            settings: self.settings(),
        }
    }

    fn settings(&self) -> Settings {
        let usual = Line::default();
        Settings {
            line: Line {
                latency: self.latency,
                bytes_per_sec: self.bandwidth * 1e6 / 8.0,
                dropout: self.dropout,
                stragglers: self.stragglers.unwrap_or(usual.stragglers),
                ..usual
            },
            drift: self.drift,
            score_every: self.score_every,
            says_epsilon: self.table.is_some() || self.out_dir.is_some(),
        }
    }
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

fn window(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(value) if value > 0.0 && value <= 1.0 => Ok(value),
        _ => Err("a share of the whole time is expected, above 0 and up to 1".to_owned()),
    }
}

fn stragglers(text: &str) -> Result<Stragglers, String> {
    let parsed = text.split_once(':').and_then(|(share, slower)| {
        let (share, slower) = (share.parse().ok()?, slower.parse().ok()?);
        let fits = (0.0..=1.0).contains(&share) && (1.0..=MOST_SLOWER).contains(&slower);
        fits.then_some(Stragglers { share, slower })
    });
    parsed.ok_or_else(|| {
        format!("SHARE:SLOWER is expected, a share of the shops from 0 to 1 and a factor from 1 to {MOST_SLOWER}, such as 0.1:20")
    })
}

fn epsilon(text: &str) -> Result<Epsilon, String> {
    let value = text.parse().ok().filter(|value: &f64| *value > 0.0);
    value
        .and_then(|value| Epsilon::new(value).ok())
        .ok_or_else(|| "numbers above 0 are expected, with commas between them".to_owned())
}

/// Beyond it a machine is as good as off, and virtual time runs over.
const MOST_SLOWER: f64 = 1e6;
