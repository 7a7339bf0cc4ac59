//! The command line: what was typed becomes a command, what it is answered becomes lines or JSON.
//!
//! One file a group of commands; `table` is how they show things to people.

mod backup;
mod ca;
mod catalogue;
mod init;
mod invite;
mod members;
mod models;
mod plan;
mod serve;
mod status;
mod table;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use serde::Serialize;
use souk_common::ids::ShopName;
use souk_common::storage::private::{keep_to_the_owner, narrow};
use souk_common::terminal::{self, tell};

use crate::control::{Answer, Question, execute};
use crate::error::{EXIT_USAGE, Failure, failed, usage};
use crate::folder::FederationFolder;

/// Runs a federation of shops that train one recommender together.
#[derive(Parser)]
#[command(
    name = "souk-coordinator",
    version,
    after_help = "Example: souk-coordinator init federation --address coordinator.example:4433"
)]
struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Makes a federation: configuration, certificate authority, signing key, empty store.
    #[command(after_help = "Example: souk-coordinator init federation --name demo --address 192.0.2.1:4433")]
    Init(init::Init),
    /// Makes or checks a plan.
    #[command(subcommand)]
    Plan(plan::PlanCommand),
    /// Takes in the public catalogue.
    #[command(subcommand)]
    Catalogue(catalogue::CatalogueCommand),
    /// A one-time join code for a shop, valid for 24 hours; it ends all earlier codes of that name.
    #[command(after_help = invite::HELP)]
    Invite(invite::Invite),
    /// Who is enrolled, and seen when.
    #[command(after_help = members::HELP)]
    Shops(members::ShopsArgs),
    /// Ends a shop's membership, at once, and every pending code of its name.
    #[command(after_help = "Example: souk-coordinator revoke north --dir federation")]
    Revoke {
        /// The shop.
        shop: ShopName,
        #[command(flatten)]
        at: At,
    },
    /// Lets a shop take part again that is left out because it lied in a masked attempt (`status` says who and why).
    #[command(
        after_help = "Ask its owner first what went wrong: each lie costs every other shop a charged attempt.\n\n\
                            Example: souk-coordinator readmit north --dir federation"
    )]
    Readmit {
        /// The shop.
        shop: ShopName,
        #[command(flatten)]
        at: At,
    },
    /// The certificate authority: who certifies whom, and how another one takes its place.
    #[command(subcommand)]
    Ca(ca::CaCommand),
    /// A copy of the federation that can be put in its place, made while `serve` runs. It holds the keys: guard it.
    #[command(
        after_help = "An earlier backup in that folder is brought up to date.\n\nExample: souk-coordinator backup \
                      /mnt/backup/federation --dir federation"
    )]
    Backup {
        /// The folder: new, empty, or with an earlier backup.
        folder: PathBuf,
        #[command(flatten)]
        at: At,
    },
    /// Runs the federation.
    #[command(after_help = "Example: souk-coordinator serve --dir federation --plan plan.toml")]
    Serve(serve::Serve),
    /// Where the run stands.
    #[command(after_help = "Example: souk-coordinator status --json --dir federation")]
    Status(At),
    /// Lets no further attempt begin.
    #[command(after_help = "Example: souk-coordinator pause --dir federation")]
    Pause(At),
    /// Lets the run go on.
    #[command(after_help = "Example: souk-coordinator resume --dir federation")]
    Resume(At),
    /// The registry of models.
    #[command(subcommand)]
    Models(models::ModelsCommand),
}

#[derive(clap::Args)]
struct At {
    /// The federation's folder.
    #[arg(long, default_value = ".")]
    dir: PathBuf,
    /// One JSON object on standard output.
    #[arg(long)]
    json: bool,
}

/// Runs the program with `args` (program name excluded).
pub(crate) fn run(args: impl Iterator<Item = OsString>) -> ExitCode {
    let name = OsString::from("souk-coordinator");
    let args = match Args::try_parse_from(std::iter::once(name).chain(args)) {
        Ok(args) => args,
        Err(error) => {
            if error.use_stderr() {
                tell(error.render().to_string().trim_end());
                return ExitCode::from(EXIT_USAGE);
            }
            let _ = error.print();
            return ExitCode::SUCCESS;
        }
    };
    keep_to_the_owner();
    match dispatch(args.command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            tell(&format!("souk-coordinator: {}", failure.text));
            failure.exit_code()
        }
    }
}

fn dispatch(command: Command) -> Result<(), Failure> {
    match command {
        Command::Init(init) => init::run(&init),
        Command::Plan(command) => plan::run(command),
        Command::Catalogue(command) => catalogue::run(command),
        Command::Invite(invite) => invite::run(invite),
        Command::Shops(args) => members::shops(args),
        Command::Revoke { shop, at } => members::revoke(shop, &at),
        Command::Readmit { shop, at } => members::readmit(shop, &at),
        Command::Ca(command) => ca::run(command),
        Command::Backup { folder, at } => backup::run(folder, &at),
        Command::Serve(serve) => serve::run(serve),
        Command::Status(at) => status::status(&at),
        Command::Pause(at) => status::pause(&at),
        Command::Resume(at) => status::resume(&at),
        Command::Models(command) => models::run(command),
    }
}

/// Has the running `serve` answer, or answers here.
fn ask(at: &At, question: &Question) -> Result<Answer, Failure> {
    Ok(execute(&configured(at)?, question)?)
}

/// For an answer of another kind than was asked for.
fn other_version() -> Failure {
    failed("the running `serve` is of another version: stop it and start it again")
}

/// One JSON object with its keys in order, if so asked; else what `text` says.
fn show(at: &At, answer: &impl Serialize, text: impl FnOnce() -> String) -> Result<(), Failure> {
    say(&match at.json {
        true => serde_json::to_value(answer).map_err(failed)?.to_string(),
        false => text(),
    });
    Ok(())
}

/// Prints a line at once; if that can't be done there is nobody to tell.
fn say(line: &str) {
    let _ = terminal::say(line);
}

/// The folder of a federation whose configuration can be read.
fn configured(at: &At) -> Result<FederationFolder, Failure> {
    let home = home_at(&at.dir)?;
    home.config().map_err(usage)?;
    Ok(home)
}

/// The federation's folder, which is its owner's only from here on.
fn home_at(folder: &Path) -> Result<FederationFolder, Failure> {
    let home = FederationFolder::new(folder);
    if home.is_made() {
        close(&home, true)?;
    }
    Ok(home)
}

/// `deep`: also what is in it. In a folder that is no federation's yet that may be anybody's.
fn close(home: &FederationFolder, deep: bool) -> Result<(), Failure> {
    if let Some(line) = narrow(home.path(), deep).map_err(failed)? {
        tell(&line);
    }
    Ok(())
}
