//! `souk-sim storm`: federations in which everything goes wrong, thousands of them, on virtual time.
//!
//! What runs is the production code: the coordinator's engine, machine and store, the shops' agents, machines, ledgers,
//! stores, updates and masks, the frames and their codec. What is simulated is the world around it: time, lines, disks and
//! clocks. Only sockets and tasks are left out (they have tests of their own, and `souk-sim chaos` kills real processes).
//!
//! | module | what |
//! |---|---|
//! | [`crate::cluster::disk`] | a disk that forgets, tears, reorders, stops and fails |
//! | [`crate::cluster::faults`] | what goes wrong |
//! | [`crate::cluster`] | virtual time, lines, starts and stops |
//! | [`crate::cluster::coordinator`], [`crate::cluster::shop`] | the two programs, without their sockets |
//! | [`crate::cluster::checker`] | what must never happen |
//! | [`crate::cluster::leaks`] | what a coordinator could compute from all that was said |
//! | [`crate::cluster::liar`] | a coordinator that shows shops different models, plans and lists |
//! | [`crate::cluster::member`] | a member that lies to the others |
//! | [`crate::cluster::mutations`] | faults put in on purpose, that must be found |
//!
//! # What is a failure
//!
//! An update whose receipt was sent and that the coordinator's store or record does not have; an update of which a byte left
//! a shop whose ledger is not charged for it; two different updates of a shop under one attempt; both kinds of share of one
//! shop shown in one attempt; two lists of survivors signed by one shop; keys of one attempt used in another; two models of
//! one round; a published model whose file is gone or torn; a record that does not contain a head that was signed; a round
//! that counts an update that nobody sent; a bare sum of fewer updates than the noise is accounted for that the coordinator
//! could compute from what it was told; a program that panics; a federation that does not come to its end.
//!
//! # What is none
//!
//! Attempts that end without a model; updates that are refused; spends for which nothing was sent (a crash over-counts);
//! programs that end on an error of their disk and begin anew; a run that pauses until its operator (a simulated one) has
//! looked.
//!
//! # What a seed decides
//!
//! Everything, to the last byte on every disk: time, what goes wrong, and ([`crate::cluster::entropy`]) noise, keys and what is made of them.
//! The report's trace is a digest of all of it. A failure comes again with its seed as long as the code is the same; what it
//! was belongs into `reproduction.rs`, where it is looked for from then on, whatever the code becomes.

mod report;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::Context;
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use souk_common::clock::Timestamp;
use souk_common::terminal::say;

use report::Report;

use crate::cluster::disk::Stop;
use crate::cluster::faults::{Op, Whom};
use crate::cluster::member::MemberLie;
use crate::cluster::mutations::Mutation;
use crate::cluster::setup::Setup;
use crate::cluster::{FaultConfig, Outcome, Storm};

/// Run federations in which everything goes wrong, and check that nothing is lost.
#[derive(Debug, Args)]
#[command(
    after_help = "Each federation has 4 shops; two of three are masked. Crashes, power cuts, disks that forget, tear, \
    fail and fill up, lines that break, delay, repeat and corrupt, clocks that are set, shops that are slow.\n\
    A federation that fails is named with its seed, and fails again with --seed N --federations 1 (SOUK_LOG=debug says \
    more). The trace is a digest of all that happened: the same program and the same seeds give the same.\n\nExamples:\n  souk-sim storm\n  souk-sim storm --federations 1000 --rounds 50\n  souk-sim storm --plants\n  souk-sim storm --equivocate --federations 500 --rounds 3"
)]
pub(crate) struct StormArgs {
    /// How many federations.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..))]
    federations: u64,
    /// Rounds of each.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..))]
    rounds: u64,
    /// The first federation's seed; the others follow it.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Mean milliseconds (virtual) between two things that go wrong.
    #[arg(long, default_value_t = DEFAULT_PAUSE_MS, value_parser = clap::value_parser!(i64).range(40..))]
    pause_ms: i64,
    /// Put one fault in on purpose: then it is a success to find something.
    #[arg(long)]
    plant: Option<Mutation>,
    /// Every fault on purpose, each by itself: all must be found.
    #[arg(long, conflicts_with = "plant")]
    plants: bool,
    /// In place of drawn ones: one crash in each federation, at every single write of coordinator and shop, by power cut and
    /// by kill.
    #[arg(long, conflicts_with_all = ["plant", "plants", "federations"])]
    every_write: bool,
    /// Twelve masked shops on a circle, and a coordinator that shows them different models, plans, rosters and lists.
    #[arg(long, conflicts_with_all = ["plants", "every_write"])]
    equivocate: bool,
    /// In place of all that goes wrong, one shop that lies to the others, in every way by itself: the others must publish,
    /// be charged at most once more than they published, and the record must name the liar where it can be proved.
    #[arg(long, conflicts_with_all = ["plant", "plants", "every_write", "equivocate"])]
    lying_member: bool,
    /// Masked federations that each release two statistics for one budget, in place of --rounds of training.
    #[arg(long, conflicts_with_all = ["plant", "plants", "every_write", "equivocate", "lying_member"])]
    releases: bool,
    /// One JSON object on standard output.
    #[arg(long)]
    json: bool,
}

/// Whether nothing was found (or, with a fault put in, something).
///
/// # Errors
/// When a federation can't be set up.
pub(crate) fn run(args: &StormArgs) -> anyhow::Result<bool> {
    if args.plants {
        return find_plants(args);
    }
    if args.every_write {
        return every_write(args);
    }
    if args.lying_member {
        return lying_member(args);
    }
    let report = blow(args, args.plant)?;
    if args.json {
        say(&serde_json::to_string(&report)?)?;
    } else {
        report.print(args.plant.is_none() && !args.equivocate)?;
    }
    match args.plant {
        Some(_) => Ok(!report.failures.is_empty()),
        None => Ok(report.failures.is_empty() && (args.equivocate || report.is_stormy())),
    }
}

/// What the checker finds in `federations` of `rounds`, with a fault put in or without: a line each.
///
/// # Errors
/// When a federation can't be set up.
pub(crate) fn failures(
    federations: u64,
    rounds: u64,
    seed: u64,
    plant: Option<Mutation>,
) -> anyhow::Result<Vec<String>> {
    let args = StormArgs {
        federations,
        rounds,
        seed,
        pause_ms: DEFAULT_PAUSE_MS,
        plant: None,
        plants: false,
        every_write: false,
        equivocate: false,
        lying_member: false,
        releases: false,
        json: true,
    };
    let failures = blow(&args, plant)?.failures;
    Ok(failures.into_iter().flat_map(|failure| failure.what).collect())
}

fn find_plants(args: &StormArgs) -> anyhow::Result<bool> {
    let mut found = BTreeMap::new();
    for plant in Mutation::ALL {
        let report = blow(args, Some(plant))?;
        let first = report.failures.first();
        let name = format!("{plant:?}");
        if !args.json {
            match first {
                Some(failure) => say(&format!(
                    "{name:<22} found in {} of {} federations, first with seed {}: {}",
                    report.failures.len(),
                    report.federations,
                    failure.seed,
                    failure.what[0]
                ))?,
                None => say(&format!(
                    "{name:<22} NOT FOUND in {} federations",
                    report.federations
                ))?,
            }
        }
        found.insert(name, report.failures.len());
    }
    if args.json {
        say(&serde_json::json!({ "found_in_federations": found }).to_string())?;
    }
    Ok(found.values().all(|times| *times > 0))
}

/// One federation for each write of a machine: the first stops in the first write, and so on, until one gets to its end
/// without that many writes.
fn every_write(args: &StormArgs) -> anyhow::Result<bool> {
    let mut report = Report {
        rounds_each: args.rounds,
        ..Report::default()
    };
    for masked in [false, true] {
        let setup = Arc::new(Setup::new(SHOPS, args.rounds, masked)?);
        for (whom, how) in [Whom::Coordinator, Whom::Shop(1)]
            .into_iter()
            .flat_map(|whom| [(whom, Stop::PowerCut), (whom, Stop::Kill)])
        {
            for first in (0..).step_by(AT_ONCE) {
                let outcomes = side_by_side(AT_ONCE as u64, |at| {
                    let writes = first + at as u32;
                    let crash = Op::Crash {
                        whom,
                        how,
                        writes: Some(writes),
                        down_ms: 500,
                    };
                    let weather = FaultConfig {
                        seed: args.seed + u64::from(writes),
                        pause_ms: args.pause_ms,
                        plant: None,
                        lies: false,
                        member: None,
                        script: Some(vec![(Timestamp(0), crash)]),
                    };
                    one(&setup, weather)
                })?;
                let reached = outcomes.iter().all(|outcome| outcome.crashes > 0);
                for (writes, outcome) in outcomes.into_iter().enumerate() {
                    report.federations += 1;
                    report.add(u64::from(first) + writes as u64, outcome);
                }
                if !reached {
                    break;
                }
            }
        }
    }
    report.close()?;
    if args.json {
        say(&serde_json::to_string(&report)?)?;
    } else {
        report.print(false)?;
    }
    Ok(report.failures.is_empty())
}

/// A federation of four for each way to lie, and nothing else that goes wrong.
fn lying_member(args: &StormArgs) -> anyhow::Result<bool> {
    let setup = Arc::new(Setup::new(SHOPS, args.rounds, true)?);
    let (mut good, mut rows) = (true, Vec::new());
    for lie in MemberLie::ALL {
        let outcome = one(&setup, with_liar(args.seed, lie))?;
        let most = *outcome.charged[..SHOPS - 1].iter().max().unwrap_or(&0);
        let fine = is_borne(&outcome, lie, args.rounds);
        good &= fine;
        if !args.json {
            say(&format!(
                "{:<14} {} rounds published, {} attempts without a model, the others charged {most} times, named: {}{}",
                format!("{lie:?}"),
                outcome.published,
                outcome.abandoned,
                if outcome.named.is_empty() {
                    "nobody".to_owned()
                } else {
                    outcome.named.join(", ")
                },
                if fine { "" } else { "  FAILED" }
            ))?;
            for fault in &outcome.faults {
                say(&format!("  {fault}"))?;
            }
        }
        rows.push(serde_json::json!({
            "lie": format!("{lie:?}"),
            "published": outcome.published,
            "without_model": outcome.abandoned,
            "most_charged": most,
            "named": outcome.named,
            "good": fine,
        }));
    }
    if args.json {
        say(&serde_json::json!({ "lies": rows }).to_string())?;
    }
    Ok(good)
}

fn with_liar(seed: u64, lie: MemberLie) -> FaultConfig {
    FaultConfig {
        seed,
        pause_ms: DEFAULT_PAUSE_MS,
        plant: None,
        script: Some(Vec::new()),
        lies: false,
        member: Some(lie),
    }
}

/// Whether the others publish all rounds, pay for no more than it costs, and know who lies.
fn is_borne(outcome: &Outcome, lie: MemberLie, rounds: u64) -> bool {
    let charged = &outcome.charged[..SHOPS - 1];
    let named: &[String] = match lie.is_named() {
        true => &[format!("shop-{}", SHOPS - 1)],
        false => &[],
    };
    outcome.faults.is_empty()
        && outcome.published == rounds
        && outcome.abandoned == lie.costs()
        && charged.iter().all(|charged| *charged == rounds + lie.costs())
        && outcome.named == named
}

fn blow(args: &StormArgs, plant: Option<Mutation>) -> anyhow::Result<Report> {
    let plain = Arc::new(Setup::new(SHOPS, args.rounds, false)?);
    let masked = Arc::new(Setup::new(SHOPS, args.rounds, true)?);
    let lies = args.equivocate || plant.is_some_and(Mutation::takes_a_liar);
    let ring = Arc::new(Setup::ring(args.rounds)?);
    let releases = Arc::new(Setup::of_releases(SHOPS)?);
    // What goes wrong by itself hides what the lies come to: less of it.
    let pause_ms = if lies { args.pause_ms * 10 } else { args.pause_ms };
    let bar = progress(args.federations);
    let outcomes = side_by_side(args.federations, |at| {
        let weather = FaultConfig {
            seed: args.seed + at,
            pause_ms,
            plant,
            script: None,
            lies,
            member: None,
        };
        let setup = if args.releases {
            &releases
        } else if lies {
            &ring
        } else if weather.seed.is_multiple_of(3) {
            &plain
        } else {
            &masked
        };
        let outcome = one(setup, weather);
        bar.inc(1);
        outcome
    })?;
    bar.finish_and_clear();
    let mut report = Report {
        federations: args.federations,
        rounds_each: if args.releases {
            releases.plan.rounds
        } else {
            args.rounds
        },
        ..Report::default()
    };
    (args.seed..)
        .zip(outcomes)
        .for_each(|(seed, outcome)| report.add(seed, outcome));
    report.close()?;
    Ok(report)
}

/// What `work` comes to for all numbers below `many`, in their order; as many at once as there are processors.
///
/// Not a pool of threads that take over each other's work: a federation waits for its own thread ([`crate::cluster::entropy`]).
fn side_by_side<T: Send>(
    many: u64,
    work: impl Fn(u64) -> anyhow::Result<T> + Sync,
) -> anyhow::Result<Vec<T>> {
    let next = AtomicU64::new(0);
    let take = || {
        let numbers =
            std::iter::from_fn(|| Some(next.fetch_add(1, Ordering::Relaxed)).filter(|at| *at < many));
        numbers
            .map(|at| Ok((at, work(at)?)))
            .collect::<anyhow::Result<Vec<_>>>()
    };
    let mut all = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..rayon::current_num_threads())
            .map(|_| scope.spawn(take))
            .collect();
        let done = workers
            .into_iter()
            .map(|worker| worker.join().unwrap_or_else(|panic| resume_unwind(panic)));
        done.collect::<anyhow::Result<Vec<_>>>()
    })?
    .into_iter()
    .flatten()
    .collect::<Vec<_>>();
    all.sort_by_key(|(at, _)| *at);
    Ok(all.into_iter().map(|(_, done)| done).collect())
}

/// One federation; a panic of the programs is a failure like others.
fn one(setup: &Arc<Setup>, weather: FaultConfig) -> anyhow::Result<Outcome> {
    let (seed, run) = (weather.seed, || blow_one(setup, weather));
    crate::cluster::entropy::of_seed(seed, run)?
}

fn blow_one(setup: &Arc<Setup>, weather: FaultConfig) -> anyhow::Result<Outcome> {
    let storm = Storm::new(setup, weather).context("can't set up a federation")?;
    let ran = catch_unwind(AssertUnwindSafe(|| storm.run()));
    Ok(ran.unwrap_or_else(|panic| {
        let words = panic
            .downcast_ref::<String>()
            .cloned()
            .or_else(|| panic.downcast_ref::<&str>().map(|words| (*words).to_owned()));
        Outcome {
            faults: vec![format!("panic: {}", words.unwrap_or_default())],
            ..Outcome::default()
        }
    }))
}

fn progress(length: u64) -> ProgressBar {
    match std::io::stderr().is_terminal() {
        true => ProgressBar::new(length).with_style(
            ProgressStyle::with_template("{bar:30} {pos}/{len} federations  {elapsed}")
                .unwrap_or_else(|_| ProgressStyle::default_bar()),
        ),
        false => ProgressBar::hidden(),
    }
}

const SHOPS: usize = 4;
const AT_ONCE: usize = 32;
const DEFAULT_PAUSE_MS: i64 = 7_000;
