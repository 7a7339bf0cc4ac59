//! The command line of `souk-sim`.

pub mod epsilon;
pub mod soak;
pub(crate) mod storm;
pub mod verify;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use souk_client::data::DataError;
use souk_common::storage::private::keep_to_the_owner;
use souk_common::table::TableError;
use souk_common::terminal::tell;

use crate::data::split;
use crate::error::{Unusable, WrongUsage};
use crate::{adversary, audit, bench, chaos, demo, evaluate, fuzz, simulate};

/// Simulate, evaluate and check a Souk federation on one machine.
#[derive(Debug, Parser)]
#[command(
    name = "souk-sim",
    version,
    after_help = "Exit codes: 0 good, 1 a check failed, 2 error, 64 wrong usage or configuration.\n\
                   SOUK_LOG=info (or debug, ...) logs to standard error.\n\nStart with:\n  souk-sim demo"
)]
struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Demo(demo::DemoArgs),
    Chaos(chaos::ChaosArgs),
    Split(split::SplitArgs),
    Simulate(simulate::SimulateArgs),
    Evaluate(evaluate::EvaluateArgs),
    Epsilon(epsilon::EpsilonArgs),
    Calibrate(epsilon::CalibrateArgs),
    Verify(verify::VerifyArgs),
    Audit(audit::command::AuditArgs),
    Bench(bench::BenchArgs),
    Storm(storm::StormArgs),
    Adversary(adversary::AdversaryArgs),
    Fuzz(fuzz::FuzzArgs),
    Soak(soak::SoakArgs),
}

/// Parses and runs.
pub(crate) fn run(args: impl Iterator<Item = OsString>) -> ExitCode {
    let args = match Args::try_parse_from(std::iter::once(OsString::from("souk-sim")).chain(args)) {
        Ok(args) => args,
        Err(error) => {
            if error.use_stderr() {
                tell(error.render().to_string().trim_end());
                return ExitCode::from(EXIT_USAGE);
            }
            // Help and version; a closed pipe while printing them is no error either.
            let _ = error.print();
            return ExitCode::SUCCESS;
        }
    };
    keep_to_the_owner();
    match args.command {
        Command::Storm(_) | Command::Audit(_) => souk_common::telemetry::init_silent(),
        _ => souk_common::telemetry::init(false, 0),
    }
    let done = match args.command {
        Command::Demo(args) => demo::run(&args),
        Command::Chaos(args) => chaos::run(&args),
        Command::Split(args) => split::run(&args),
        Command::Simulate(args) => simulate::run(&args),
        Command::Evaluate(args) => evaluate::run(&args),
        Command::Verify(args) => verify::run(&args),
        Command::Audit(args) => audit::command::run(&args),
        Command::Bench(args) => bench::run(&args),
        Command::Storm(args) => storm::run(&args),
        Command::Adversary(args) => adversary::run(&args),
        Command::Fuzz(args) => fuzz::run(&args),
        Command::Soak(args) => soak::run(&args),
        Command::Epsilon(args) => return epsilon::run_epsilon(&args),
        Command::Calibrate(args) => return epsilon::run_calibrate(&args),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(EXIT_CHECK_FAILED),
        Err(error) => {
            tell(&format!("souk-sim: {error:#}"));
            ExitCode::from(exit_code(&error))
        }
    }
}

fn exit_code(error: &anyhow::Error) -> u8 {
    if error.is::<WrongUsage>() {
        EXIT_USAGE
    } else if error.is::<Unusable>() || error.chain().any(is_unusable) {
        EXIT_CHECK_FAILED
    } else {
        EXIT_ERROR
    }
}

/// A file that is there, and is not what it must be.
fn is_unusable(cause: &(dyn std::error::Error + 'static)) -> bool {
    let data = match cause.downcast_ref() {
        Some(DataError::Table(table)) => Some(table),
        Some(DataError::Sink { .. }) => return false,
        Some(_) => return true,
        None => cause.downcast_ref(),
    };
    data.is_some_and(|table| !matches!(table, TableError::Read { .. }))
}

const EXIT_CHECK_FAILED: u8 = 1;
const EXIT_ERROR: u8 = 2;
const EXIT_USAGE: u8 = 64;
