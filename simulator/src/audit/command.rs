//! The command line of `souk-sim audit`, and the order of an audit.

use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use anyhow::Context;
use clap::{Args, Subcommand};
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;
use souk_client::data::outgrown::Outgrown;
use souk_common::clock::{Clock, Stopwatch, SystemClock, Timestamp};
use souk_common::ids::Digest;
use souk_common::terminal::{say, tell};

use super::bounds::TrialScores;
use super::canaries::CanaryKind;
use super::conduct::{Options, bounds, findings};
use super::findings::{EpsilonBound, Finding};
use super::mechanism::AuditedPlan;
use super::mutation_audit::smallest_shop;
use super::mutations::Mechanism;
use super::record;
use super::report::model::{AuditFindings, Provenance, RecordFacts, Report};
use super::report::verify::VerifyReportArgs;
use super::report::{self, write};
use super::shards::{self, FORMAT, Shard, ShardHeader};
use super::subject::{Effort, Subject};
use super::trials::Trials;
use crate::check::Check;
use crate::data::known::{Cut, Known};
use crate::data::plans::Template;
use crate::error::WrongUsage;

/// Attack a plan, measure what leaks, and write a signed report.
///
/// Runs the plan on a data set through the same code as in production: checks that clip, noise, draws, ledgers and masks are what
/// the plan says; states for made-up and real customers a lower bound on epsilon beside the accountant's upper bound; and
/// tries the known attacks on federated recommenders, with and without what protects. The report is one HTML file, and JSON.
#[derive(Args, Debug)]
#[command(
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true,
    after_help = "Exit codes: 0 nothing crosses, 1 the report is red, 2 error, 64 wrong usage.\n\nExamples:\n  \
                  souk-sim audit plan.toml --data data/ml-100k --short\n  \
                  souk-sim audit plan.toml --data data/ml-100k --mutations --out audit-2026 --key auditor.key\n  \
                  souk-sim audit plan.toml --data data/ml-100k --shard 3/8 --out part-3.jsonl\n  \
                  souk-sim audit plan.toml --data data/ml-100k --merge part-*.jsonl --out audit-2026\n  \
                  souk-sim audit verify audit-2026.html --key 9f86d0..08\n\nThe tutorial is docs/audit.md."
)]
pub struct AuditArgs {
    #[command(subcommand)]
    command: Option<AuditCommand>,
    /// The plan. If it names as many shops as there are, they keep their names and declared sizes.
    #[arg(value_name = "PLAN", required = true)]
    plan: Option<PathBuf>,
    #[command(flatten)]
    cut: Option<Cut>,
    /// A minute or two: a thousand trials a side, wide intervals, each attack once.
    #[arg(long)]
    short: bool,
    /// Put every known fault into the mechanism, one by one, and see that the checks find it.
    #[arg(long)]
    mutations: bool,
    /// Trials with a canary, and as many without; by default 10,000, with --short 1,000.
    #[arg(long, value_parser = clap::value_parser!(u64).range(20..=10_000_000))]
    trials: Option<u64>,
    /// Only part I of N of the trials, into the file --out; no report. A part that was stopped goes on.
    #[arg(long, value_name = "I/N", conflicts_with_all = ["merge", "mutations", "key"], requires = "out")]
    shard: Option<Shard>,
    /// Take the trials from these files, all parts of one audit, and write the report.
    #[arg(long, value_name = "FILE", num_args = 1..)]
    merge: Vec<PathBuf>,
    /// Where to write: OUT.html, OUT.json and OUT.registry.json, and while it runs OUT.trials.jsonl, from which an audit that was
    /// stopped goes on; with --shard the file itself. By default audit-NAME of the plan, here.
    #[arg(long, value_name = "OUT")]
    out: Option<PathBuf>,
    /// The auditor's signing key; made if there is none. By default OUT.key.
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    /// A coordinator's folder, or a copy: the report names the head of its record, and what failed or was declined.
    #[arg(long, value_name = "DIR", conflicts_with = "shard")]
    federation: Option<PathBuf>,
    /// Of each bound, and of everything that may turn the report red together.
    #[arg(long, default_value_t = 0.05, value_parser = significance)]
    significance: f64,
    /// Of every draw.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Print one JSON object instead of a table.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum AuditCommand {
    /// Check that a report is as it was signed.
    Verify(VerifyReportArgs),
    /// Print the JSON Schema of OUT.json.
    Schema,
}

/// Runs the command; false when the report is red, or is not as it was signed.
///
/// # Errors
/// When the plan, the data or the files of parts can't be used.
pub fn run(args: &AuditArgs) -> anyhow::Result<bool> {
    match &args.command {
        Some(AuditCommand::Verify(args)) => return report::verify::run(args),
        Some(AuditCommand::Schema) => {
            say(&serde_json::to_string_pretty(&report::schema::schema())?)?;
            return Ok(true);
        }
        None => {}
    }
    let started = SystemClock.now();
    let (path, cut) = args
        .plan
        .as_ref()
        .zip(args.cut.as_ref())
        .context(WrongUsage("an audit takes a PLAN and --data DIR".to_owned()))?;
    let subject = subject(args, path, cut)?;
    let plan = AuditedPlan::new(&subject)?;
    let out = args
        .out
        .clone()
        .unwrap_or_else(|| PathBuf::from(format!("audit-{}", subject.plan.name)));
    let out = match (args.shard, out.extension().and_then(|ending| ending.to_str())) {
        // The report's own endings, as people type them.
        (None, Some("html" | "json")) => out.with_extension(""),
        _ => out,
    };
    let watch = Stopwatch::start();
    tell(&format!(
        "the plan {:?} on {} customers of {} shops and {} items",
        subject.plan.name,
        subject.known.dataset.len(),
        subject.known.shops,
        subject.known.catalogue.len()
    ));
    for shop in plan.shops() {
        // What each owner would be told.
        let outgrown = Outgrown::of(Some(&subject.plan), &shop.terms.name, &shop.dataset);
        outgrown
            .lines()
            .for_each(|line| tell(&format!("{}: {line}", shop.terms.name)));
    }
    let rounds = plan.rounds(1)?;
    let mechanism = Mechanism {
        plan: &plan,
        mutation: None,
    };
    let shop = smallest_shop(&plan);
    let kinds: &[CanaryKind] = match subject.effort {
        Effort::Short => &[CanaryKind::Direction, CanaryKind::Items, CanaryKind::Customer],
        Effort::Full => &CanaryKind::ALL,
    };
    let trials = Trials::new(&mechanism, &rounds, shop, kinds)?;
    let header = ShardHeader {
        souk_audit_trials: FORMAT,
        plan: subject.plan.digest(),
        data: digest_of(&subject.known),
        seed: subject.seed,
        trials: args.trials.unwrap_or(subject.effort.pick(1_000, 10_000)),
        shard: args.shard.unwrap_or(Shard { number: 1, of: 1 }),
        targets: trials.targets().cloned().collect(),
    };
    if args.shard.is_some() {
        run_trials(&out, &header, &trials)?;
        tell(&format!(
            "part {}/{} is done: {}. When all are, name them with --merge",
            header.shard.number,
            header.shard.of,
            out.display()
        ));
        return Ok(true);
    }
    let scores = scores(args, &out, &header, &trials)?;
    let options = Options {
        mutations: args.mutations,
        significance: args.significance,
        data: &cut.data,
    };
    let mut findings = findings(&subject, (&plan, &rounds, shop), &options)?;
    findings.not_tested.extend(trials.left_out().map(str::to_owned));
    let record = match &args.federation {
        None => None,
        Some(dir) => {
            let (facts, finding) = record::read(dir)?;
            findings.mechanism.push(finding);
            Some(facts)
        }
    };
    findings.bounds = bounds(
        &mechanism,
        &rounds,
        shop,
        (&header.targets, &scores),
        &options,
        &subject,
    )?;
    let report = Report::new(&subject, findings, provenance(args, &header, started, record)?)?;
    let key = write::key(&args.key.clone().unwrap_or_else(|| with_ending(&out, ".key")))?;
    let files = write::write(&report, &key, &out)?;
    let checks = checks(&report.findings);
    let ok = checks.iter().all(|check| check.ok);
    let outcome = Outcome {
        ok,
        report: files.html.display().to_string(),
        json: files.json.display().to_string(),
        seconds: watch.secs(),
        bounds: &report.findings.bounds,
        checks,
    };
    match args.json {
        true => say(&serde_json::to_string(&outcome)?)?,
        false => say(outcome.text().trim_end())?,
    }
    Ok(ok)
}

#[derive(Serialize)]
struct Outcome<'a> {
    ok: bool,
    report: String,
    json: String,
    seconds: f64,
    bounds: &'a [EpsilonBound],
    checks: Vec<Check>,
}

impl Outcome<'_> {
    fn text(&self) -> String {
        let mut text = format!(
            "{:<22} {:<10} {:<16} {:>10} {:>10} {:>8}\n",
            "of", "canary", "procedure", "at least", "at most", "trials"
        );
        for bound in self.bounds {
            let most = bound
                .upper
                .map_or("no bound".to_owned(), |upper| format!("{upper:.3}"));
            let kind = match bound.confidence {
                Some(_) => "",
                None => " (an estimate)",
            };
            text += &format!(
                "{:<22} {:<10} {:<16} {:>10.3} {most:>10} {:>8}{}{kind}\n",
                bound.of,
                bound.canary,
                bound.procedure,
                bound.lower,
                bound.trials,
                if bound.ok { "" } else { "  CROSSES" },
            );
        }
        for check in self.checks.iter().filter(|check| !check.ok) {
            text += &check.line();
            text.push('\n');
        }
        text += &match self.ok {
            true => format!("nothing crosses: {} checks\n", self.checks.len()),
            false => "RED: see the report\n".to_owned(),
        };
        text + &format!("{}, {} ({:.0} s)\n", self.report, self.json, self.seconds)
    }
}

fn subject(args: &AuditArgs, path: &Path, cut: &Cut) -> anyhow::Result<Subject> {
    let template = Template::read(path)?;
    let known = cut.load(Some(template.plan().shops.len()))?;
    let mut sizes = vec![0; known.shops];
    known.shop_of.iter().for_each(|shop| sizes[*shop] += 1);
    let plan = template.for_shops(&sizes, template.plan().seed)?;
    Ok(Subject {
        plan,
        known,
        effort: match args.short {
            true => Effort::Short,
            false => Effort::Full,
        },
        seed: args.seed,
    })
}

/// Of who bought what when, of which shop's customers, and of the items.
fn digest_of(known: &Known) -> Digest {
    let mut digester = souk_common::ids::Digester::default();
    digester.update(&known.catalogue.digest().0);
    let users = known.dataset.users.iter().zip(&known.dataset.histories);
    for ((user, history), shop) in users.zip(&known.shop_of) {
        digester.update(&(user.len() as u64).to_le_bytes());
        digester.update(user.as_bytes());
        digester.update(&(*shop as u64).to_le_bytes());
        digester.update(&(history.len() as u64).to_le_bytes());
        for (item, time) in history.items.iter().zip(&history.times) {
            digester.update(&item.to_le_bytes());
            digester.update(&time.to_le_bytes());
        }
    }
    digester.finish()
}

fn scores(
    args: &AuditArgs,
    out: &Path,
    header: &ShardHeader,
    trials: &Trials<'_>,
) -> anyhow::Result<TrialScores> {
    let merged = match args.merge.is_empty() {
        true => {
            let path = with_ending(out, ".trials.jsonl");
            run_trials(&path, header, trials)?;
            shards::merge(&[path])?
        }
        false => shards::merge(&args.merge)?,
    };
    let (of, scores) = merged;
    shards::must_be_of(args.merge.first().map_or(out, PathBuf::as_path), &of, header)?;
    Ok(scores)
}

fn run_trials(path: &Path, header: &ShardHeader, trials: &Trials<'_>) -> anyhow::Result<()> {
    let bar = bar("trials");
    shards::run(path, header, trials, |done, all| {
        bar.set_length(all);
        bar.set_position(done);
    })?;
    bar.finish_and_clear();
    Ok(())
}

fn provenance(
    args: &AuditArgs,
    header: &ShardHeader,
    started: Timestamp,
    record: Option<RecordFacts>,
) -> anyhow::Result<Provenance> {
    let typed: Vec<String> = std::env::args().skip(1).collect();
    Ok(Provenance {
        command: format!("souk-sim {}", typed.join(" ")),
        seeds: vec![args.seed],
        version: env!("CARGO_PKG_VERSION").to_owned(),
        build: write::build_digest()?,
        data: header.data.to_string(),
        plan: header.plan.to_string(),
        record,
        started: utc(started),
        finished: utc(SystemClock.now()),
        trials: 2 * header.trials,
        machine: write::machine(),
    })
}

fn utc(at: Timestamp) -> String {
    let since = Duration::from_millis(u64::try_from(at.0).unwrap_or_default());
    humantime::format_rfc3339_seconds(UNIX_EPOCH + since).to_string()
}

/// All that decides on the exit code.
fn checks(findings: &AuditFindings) -> Vec<Check> {
    let of = |finding: &Finding| Check {
        name: finding.name.clone(),
        ok: finding.ok,
        detail: finding.detail.clone(),
    };
    let all = findings.mechanism.iter().chain(&findings.side_channels);
    let mut checks: Vec<Check> = all.map(of).collect();
    checks.extend(findings.bounds.iter().map(|bound| Check {
        name: format!("epsilon of {}, {}, {}", bound.of, bound.canary, bound.procedure),
        ok: bound.ok,
        detail: format!(
            "at least {:.4}, at most {}",
            bound.lower,
            bound.upper.map_or("nothing".to_owned(), |upper| format!("{upper:.4}"))
        ),
    }));
    for attack in &findings.attacks {
        checks.extend(attack.rows.iter().filter_map(|row| {
            Some(Check {
                name: format!("{} ({:?})", attack.attack, row.protections),
                ok: row.ok?,
                detail: format!(
                    "{:.4} ({:.4} to {:.4}); chance {:.4}, allowed {}",
                    row.success,
                    row.low,
                    row.high,
                    row.chance,
                    row.allowed
                        .map_or("-".to_owned(), |allowed| format!("{allowed:.4}"))
                ),
            })
        }));
    }
    checks.extend(findings.mutations.iter().map(|mutation| Check {
        name: format!("found on purpose: {}", mutation.mutation),
        ok: mutation.flagged,
        detail: mutation.by.clone(),
    }));
    checks
}

fn with_ending(out: &Path, ending: &str) -> PathBuf {
    let mut name = out.as_os_str().to_owned();
    name.push(ending);
    PathBuf::from(name)
}

fn bar(what: &'static str) -> ProgressBar {
    let bar = ProgressBar::new(0);
    if let Ok(style) =
        ProgressStyle::with_template("{msg} {pos}/{len} {wide_bar} {elapsed_precise}, {eta} left")
    {
        bar.set_style(style);
    }
    bar.with_message(what)
}

fn significance(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(value) if value > 0.0 && value < 0.5 => Ok(value),
        _ => Err("a number above 0 and below 0.5 is expected".to_owned()),
    }
}
