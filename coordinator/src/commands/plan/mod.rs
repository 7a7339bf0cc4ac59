//! `plan new` and `plan check`: plans that work as they are, and what a plan will cost and may gain.

mod aggregation;
mod budget;
mod cost;
mod gain;
mod measured;
mod outlook;
mod phases;
mod releases;
mod stars;
mod trained;

use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use clap::Subcommand;
use souk_common::model::file::round_of;
use souk_common::params::Epsilon;
use souk_common::plan::Plan;
use souk_common::terminal::tell;

use super::{At, ask, home_at, show};
use crate::control::{Answer, Choice, Question};
use crate::engine::NoVersion;
use crate::engine::publish::not_kept;
use crate::error::{Failure, failed, refused, usage};
use crate::folder::FederationFolder;

#[derive(Subcommand)]
pub(super) enum PlanCommand {
    /// Writes a plan for these shops, ready to be served.
    ///
    /// With --shop a plan of releases that suits the catalogue: one to three rounds that release statistics of all customers
    /// under one budget, for the shops' own recommenders. It is not written (exit 1) if every shop's own bestsellers
    /// would be better than what it releases; --anyway writes it all the same. Without --shop, or with --training, a
    /// commented sample that trains a model.
    #[command(
        after_help = "Examples:\n  souk-coordinator plan new plan.toml --epsilon 8 --shop north=5000 --shop south=2000 \
                            --shop west=900 --dir federation\n  \
                            souk-coordinator plan new plan.toml --epsilon 8 --per year --times 4 --shop north=5000 \
                            --shop south=900 --dir federation\n  \
                            souk-coordinator plan new plan.toml --training --rounds 60"
    )]
    New {
        /// The file; it must not exist.
        file: PathBuf,
        /// Rounds of training.
        #[arg(long, conflicts_with = "shops")]
        rounds: Option<u64>,
        #[command(flatten)]
        releases: releases::Wishes,
        #[command(flatten)]
        at: At,
    },
    /// Says what a plan will cost and may gain.
    ///
    /// A plan of releases whose popularity would be worse than every shop's own bestsellers is refused: all is said, and the
    /// exit code is 1 unless --anyway is given. Plans that train a model where such models were measured to be worse than
    /// bestsellers are warned of; with --strict a warning makes the exit code 1.
    #[command(
        after_help = "Examples:\n  souk-coordinator plan check plan.toml --dir federation --json\n  \
                            souk-coordinator plan check plan.toml --target-epsilon 8"
    )]
    Check {
        /// The plan.
        file: PathBuf,
        /// Also say which noise multiplier keeps every shop within this epsilon, at the plan's delta.
        #[arg(long, value_parser = epsilon)]
        target_epsilon: Option<Epsilon>,
        /// Of one shop's line, for the estimate of seconds.
        #[arg(long, default_value_t = 20.0, value_name = "MBIT/S", value_parser = bandwidth)]
        bandwidth: f64,
        /// Exit with 0 also if the plan is refused.
        #[arg(long)]
        anyway: bool,
        /// Exit with 1 also if there are warnings.
        #[arg(long)]
        strict: bool,
        #[command(flatten)]
        at: At,
    },
}

pub(super) fn run(command: PlanCommand) -> Result<(), Failure> {
    match command {
        PlanCommand::New {
            file,
            rounds,
            releases,
            at,
        } => match releases.are_wanted() {
            true => {
                let text = releases::plan_file(&releases, &home_at(&at.dir)?)?;
                write_new(&file, &text)
            }
            false => write_sample(&file, rounds),
        },
        PlanCommand::Check {
            file,
            target_epsilon,
            bandwidth,
            anyway,
            strict,
            at,
        } => {
            let wishes = cost::CheckOptions {
                target_epsilon,
                bytes_per_sec: bandwidth * 1e6 / 8.0,
            };
            let home = home_at(&at.dir)?;
            let cost = cost::check(&file, &home, &wishes)?;
            show(&at, &cost.json(), || cost.text())?;
            if let Some(why) = missing_version(&read(&file)?, &home, &at).filter(|_| !anyway) {
                return Err(refused(format!("{} can't begin: {why}", file.display())));
            }
            let shown = file.display();
            if let Some(why) = cost.refusal().filter(|_| !anyway) {
                return Err(refused(format!("{shown} is refused: {why}. --anyway goes on")));
            }
            match cost.warnings().first() {
                Some(first) if strict => Err(refused(format!("{shown}: {first}"))),
                _ => Ok(()),
            }
        }
    }
}

/// Why a version that the plan starts from, or has beside it, can't be had; none if all can.
fn missing_version(plan: &Plan, home: &FederationFolder, at: &At) -> Option<String> {
    let mut names = plan.start.iter().chain(&plan.beside).peekable();
    names.peek()?;
    if !home.is_made() {
        tell(&format!(
            "no federation in {}: whether there are the versions that the plan starts from is not known",
            home.path().display()
        ));
        return None;
    }
    names.find_map(|name| {
        let choice = Choice {
            run: Some(name.run),
            round: name.round,
        };
        match ask(at, &Question::Model(choice)) {
            Ok(Answer::Model(model)) => match &model.path {
                None => Some(not_kept(model.manifest.body.id.round)),
                // As `serve` would refuse it.
                Some(path) => {
                    let taught = fs::read(path).ok().and_then(|bytes| round_of(&bytes));
                    (taught == Some(0)).then(|| NoVersion::Untrained { name: *name }.to_string())
                }
            },
            Ok(_) => None,
            Err(error) => Some(error.text),
        }
    })
}

/// Reads a plan file as it would be begun now; whatever is wrong with it is wrong usage.
pub(super) fn read(file: &Path) -> Result<Plan, Failure> {
    let shown = file.display();
    let text = fs::read_to_string(file).map_err(|error| usage(format!("{shown}: {error}")))?;
    let plan = Plan::from_toml(&text).map_err(|error| usage(format!("{shown}: {error}")))?;
    Ok(plan.begun_now())
}

/// Writes the commented sample.
fn write_sample(file: &Path, rounds: Option<u64>) -> Result<(), Failure> {
    let text = match rounds {
        Some(rounds) => SAMPLE.replace("rounds = 60", &format!("rounds = {rounds}")),
        None => SAMPLE.to_owned(),
    };
    Plan::from_toml(&text).map_err(usage)?;
    write_new(file, &text)
}

fn write_new(file: &Path, text: &str) -> Result<(), Failure> {
    let shown = file.display();
    let mut out = File::create_new(file).map_err(|error| match error.kind() {
        ErrorKind::AlreadyExists => usage(format!(
            "{shown} is there already and is not overwritten; name another file"
        )),
        _ => failed(format!("{shown}: {error}")),
    })?;
    out.write_all(text.as_bytes())
        .map_err(|error| failed(format!("{shown}: {error}")))
}

fn epsilon(text: &str) -> Result<Epsilon, String> {
    let number: f64 = text.parse().map_err(|_| format!("{text:?} is no number"))?;
    Epsilon::new(number).map_err(|error| error.to_string())
}

fn bandwidth(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(value) if value.is_finite() && value >= 0.001 => Ok(value),
        _ => Err(format!("{text:?} is no number of at least 0.001")),
    }
}

const SAMPLE: &str = include_str!("../../../../deploy/config/plan.toml");
