//! The command line of `souk-client`: one file a command; `render` is how answers look to people.

mod backup;
mod budget;
mod check_data;
mod confirm;
mod doctor;
mod forget;
mod gain;
mod import;
mod init;
mod items;
mod join;
mod leave;
mod notice;
mod page;
mod recommend;
mod render;
mod rules;
mod sent;
mod shops;

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::{Parser, Subcommand};
use serde::Serialize;
use souk_common::storage::patience::open_patiently;
use souk_common::storage::private::{keep_to_the_owner, narrow};
use souk_common::terminal::{self, tell};

use crate::control::{Answer, Question};
use crate::error::{Answered, EXIT_CHECK_FAILED, EXIT_USAGE, exit_code};
use crate::folder::Folder;
use crate::run::StopRules;
use crate::store::StoreError;

/// Take part in a Souk federation without letting any customer's data leave this building.
#[derive(Debug, Parser)]
#[command(name = "souk-client", version, after_help = AFTER_HELP)]
struct Args {
    #[command(subcommand)]
    command: Command,
}

const AFTER_HELP: &str = "Exit codes: 0 good, 1 a check failed (starting again does not help), 2 error, 64 wrong usage or configuration.
SOUK_LOG=info (or debug, souk_client=trace, ...) logs to standard error.

Start with:
  souk-client join CODE --dir shop --data orders/
  souk-client check-data --dir shop
  souk-client run --dir shop";

#[derive(Debug, clap::Args)]
struct Place {
    /// The shop's folder.
    #[arg(long, default_value = ".", value_name = "DIR")]
    dir: PathBuf,
}

/// For commands that only show something.
#[derive(Debug, clap::Args)]
struct Shown {
    #[command(flatten)]
    place: Place,
    /// One JSON object on stdout.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Join a federation with the one-time code its operator gave you; the key is made here and stays here.
    #[command(after_help = "Example:\n  souk-client join souk1-... --dir shop --data /srv/orders")]
    Join(join::Join),
    /// Make a shop's folder that is no member of a federation yet, to try lists by your own customers alone.
    #[command(after_help = init::HELP)]
    Init(init::Init),
    /// Bring the store of interactions, which everything else reads, up to date with the shop's files and databases.
    #[command(after_help = import::HELP)]
    Import(import::Import),
    /// Say what is in the shop's data and what is wrong, line by line.
    #[command(
        after_help = "Exit code 1 when there are bad lines.\n\nExample:\n  souk-client check-data --dir shop"
    )]
    CheckData(Shown),
    /// Say which of the items that you sell the federation's catalogue does not have, and what may be meant.
    #[command(after_help = items::HELP)]
    Items(items::Items),
    /// Take part in rounds until stopped (Ctrl-C); in a folder that `init` made, serve lists by this shop's own customers alone.
    #[command(after_help = "Examples:\n  \
        souk-client run --dir shop\n  souk-client run --http --dir shop\n  souk-client run --exit-when-finished --give-up-after 2h --dir shop")]
    Run {
        #[command(flatten)]
        place: Place,
        #[command(flatten)]
        ends: StopRules,
        /// Serve the HTTP API for your web shop: without an address at 127.0.0.1:4480; see docs/api.md.
        #[arg(long, value_name = "ADDRESS", num_args = 0..=1, default_missing_value = "127.0.0.1:4480")]
        http: Option<SocketAddr>,
    },
    /// Recommend items to a user, to all of them, to somebody with a basket, or to anybody.
    #[command(
        after_help = "Examples:\n  souk-client recommend u1042 -k 10 --explain --dir shop\n  souk-client recommend --basket i17 --basket \
                      i4 --dir shop\n  souk-client recommend --all --out lists.csv --dir shop"
    )]
    Recommend(recommend::Recommend),
    /// Draw a user's scores of all items as a scatter plot, the best ones marked.
    #[command(after_help = "Example:\n  souk-client plot u1042 --out scores.svg --dir shop")]
    Plot(recommend::Plot),
    /// Look after the rules of your lists: what rules.toml would do, before it is in force.
    #[command(after_help = rules::HELP)]
    Rules(rules::Rules),
    /// Say how well your lists do: alone, and with what all shops released.
    #[command(after_help = gain::HELP)]
    Gain(Shown),
    /// Say what your customers' privacy has cost so far, and what is left.
    #[command(
        after_help = "--recover charges for updates that this shop has signed for, by the signatures that the coordinator keeps \
                      beside its receipts. It shows what it would charge and asks; --yes answers. Exit code 1 when nothing \
                      was charged though something is missing.\n\nExamples:\n  souk-client budget --json --dir shop\n  \
                      souk-client budget --recover --dir shop   (after a restore from a backup)"
    )]
    Budget(budget::Budget),
    /// Say what left this building: every update, its bytes, digest, time and receipt.
    #[command(after_help = "Example:\n  souk-client sent --dir shop")]
    Sent(Shown),
    /// Print a link that opens the page of a running `run --http` in your browser: for 10 minutes, once.
    #[command(after_help = page::HELP)]
    Page(Shown),
    /// Copy what this shop can't do without to another folder, also while `run` is up. It holds the key: guard it.
    #[command(after_help = "Example:\n  souk-client backup /mnt/backup/shop --dir shop")]
    Backup(backup::Backup),
    /// Show the other shops' keys, and confirm them: only confirmed shops count in sums under masks.
    #[command(after_help = shops::HELP)]
    Shops(shops::Shops),
    /// Confirm all other shops' keys in one step: from the operator's signed list, by a phrase that another owner reads to you.
    #[command(after_help = confirm::HELP)]
    Confirm(confirm::Confirm),
    /// Look whether everything is in order, and say what to do if not: network, certificates, disk, data, budget, lists, feeds.
    #[command(
        after_help = "Exit code 1 when something is BAD; a WARN is said, and changes nothing. It takes at most some ten seconds.\n\n\
                      Example:\n  souk-client doctor --dir shop"
    )]
    Doctor(Shown),
    /// Print a paragraph that tells your customers what becomes of their orders.
    #[command(after_help = notice::HELP)]
    Notice(notice::Notice),
    /// Take one customer out of everything in this folder, and keep them out; what stays elsewhere is said.
    #[command(after_help = forget::HELP)]
    Forget(forget::Forget),
    /// End the membership, and say what the coordinator keeps.
    #[command(after_help = "Example:\n  souk-client leave --erase --dir shop")]
    Leave(leave::Leave),
}

/// Parses and runs.
pub(crate) fn run(args: impl Iterator<Item = OsString>) -> ExitCode {
    let args = match Args::try_parse_from(std::iter::once(OsString::from("souk-client")).chain(args)) {
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
    souk_common::telemetry::init(false, 0);
    match carry_out(args.command) {
        Ok(good) => ExitCode::from(if good { 0 } else { EXIT_CHECK_FAILED }),
        Err(error) => {
            tell(&format!("souk-client: {error:#}"));
            ExitCode::from(exit_code(&error))
        }
    }
}

fn carry_out(command: Command) -> anyhow::Result<bool> {
    match command {
        Command::Join(args) => join::run(args),
        Command::Init(args) => init::run(args),
        Command::Import(args) => import::run(args),
        Command::Notice(args) => notice::run(args),
        Command::CheckData(args) => check_data::run(args),
        Command::Run { place, ends, http } => crate::run::run(&place.folder()?, ends, http),
        Command::Recommend(args) => recommend::recommend(args),
        Command::Plot(args) => recommend::plot(args),
        Command::Rules(args) => rules::run(args),
        Command::Gain(args) => gain::run(args),
        Command::Budget(args) => budget::run(args),
        Command::Sent(args) => sent::run(args),
        Command::Page(args) => page::run(args),
        Command::Backup(args) => backup::run(args),
        Command::Shops(args) => shops::run(args),
        Command::Confirm(args) => confirm::run(args),
        Command::Doctor(args) => doctor::run(args),
        Command::Leave(args) => leave::run(args),
        Command::Forget(args) => forget::run(args),
        Command::Items(args) => items::run(args),
    }
}

/// Asks the running program, or answers from the store.
fn ask(folder: &Folder, question: Question) -> anyhow::Result<Answer> {
    // A file that makes no sense is told before anything else.
    crate::config::ShopConfig::load(folder)?;
    let answer = answer_to(folder, &question)?;
    match answer {
        Answer::Failed { exit_code, reason } => Err(Answered { exit_code, reason }.into()),
        answer => Ok(answer),
    }
}

/// Asks the program that runs, or opens the store; one that is just starting or stopping has a moment to do so.
fn answer_to(folder: &Folder, question: &Question) -> anyhow::Result<Answer> {
    let is_busy = |error: &anyhow::Error| matches!(error.downcast_ref(), Some(StoreError::Busy));
    open_patiently(is_busy, || {
        let answer = crate::control::socket::ask(folder, question)
            .context("the running souk-client does not answer")?;
        match answer {
            Some(answer) => Ok(answer),
            None => crate::run::answer_alone(folder, question.clone()),
        }
    })
}

/// One JSON object, if so asked; else what `text` makes of it.
fn show<A: Serialize>(json: bool, answer: &A, text: impl FnOnce(&A) -> String) -> anyhow::Result<()> {
    say(&match json {
        true => serde_json::to_string(answer)?,
        false => text(answer),
    })
}

/// Prints to standard output.
fn say(text: &str) -> anyhow::Result<()> {
    Ok(terminal::say(text)?)
}

fn strange() -> anyhow::Error {
    anyhow::anyhow!("the running souk-client is of another version: stop it and start it again")
}

impl Place {
    /// The folder, which is its owner's only from here on.
    fn folder(self) -> anyhow::Result<Folder> {
        let folder = Folder::new(self.dir);
        if is_a_shops(&folder) {
            close(&folder, true)?;
        }
        Ok(folder)
    }

    /// The same, to become a shop's: what is in it already may be anybody's, and stays as it is.
    fn folder_to_join(self) -> anyhow::Result<Folder> {
        let folder = Folder::new(self.dir);
        close(&folder, is_a_shops(&folder))?;
        Ok(folder)
    }
}

fn is_a_shops(folder: &Folder) -> bool {
    folder.config().is_file() || folder.key().is_file()
}

fn close(folder: &Folder, deep: bool) -> anyhow::Result<()> {
    if let Some(line) = narrow(folder.path(), deep)? {
        tell(&line);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn every_command_has_help_with_an_example() {
        Args::command().debug_assert();
        for command in Args::command().get_subcommands_mut() {
            let help = command.render_long_help().to_string();
            assert!(help.contains("Example"), "{help}");
            assert!(help.contains("souk-client "), "{help}");
        }
    }

    #[test]
    fn wrong_usage_is_told_apart() {
        for bad in [
            &["recommend", "u", "-k", "0"][..],
            &["recommend", "u", "--all", "--out", "f"],
            &["recommend", "--all"],
            &["recommend"],
            &["recommend", "--anonymous", "--basket", "i1"],
            &["recommend", "u", "--anonymous"],
            &["shops", "--trust", "No Name"],
            &["shops", "--trust", "south"],
            &["run", "--dri", "x"],
            &["frobnicate"],
        ] {
            let args = std::iter::once("souk-client").chain(bad.iter().copied());
            assert!(Args::try_parse_from(args).is_err(), "{bad:?}");
        }
    }
}
