//! The command line of `souk-client`.

mod doctor;
mod recommend;
pub(crate) mod render;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use clap::{Parser, Subcommand};
use souk_common::privacy::ledger::LedgerError;
use souk_common::storage::private::{keep_to_the_owner, narrow};
use souk_common::terminal::{self, tell};

use crate::config::ShopConfigError;
use crate::control::{Answer, Question};
use crate::folder::Folder;
use crate::ledger::LedgerFileError;
use crate::membership::peers::Trusted;
use crate::membership::recover::Recovered;
use crate::recommend::RecommendOptions;
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

const SHOPS_HELP: &str = "The coordinator issues every certificate, so it could invent shops and learn from a sum \
of theirs and yours. So call the owner of each shop, at a number that you have from elsewhere. Each reads the fingerprint \
of their own key aloud from `souk-client shops`, and types what the other reads: `--trust NAME=FINGERPRINT` takes it only if \
the coordinator shows the same (small or capital letters, with or without blanks). A \
shop marked CHANGED has another key than the one you confirmed: call again, and ask why.

Exit code 1 when a key has changed.

Example:
  souk-client shops --dir shop
  souk-client shops --trust 'south=9f86d081 884c7d65 ...' --dir shop";

#[derive(Debug, clap::Args)]
struct Place {
    /// The shop's folder.
    #[arg(long, default_value = ".", value_name = "DIR")]
    dir: PathBuf,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Join a federation with the one-time code its operator gave you; the key is made here and stays here.
    #[command(after_help = "Example:\n  souk-client join souk1-... --dir shop --data /srv/orders")]
    Join {
        /// The code.
        code: String,
        #[command(flatten)]
        place: Place,
        /// The orders: a file, or a folder with orders.csv.
        #[arg(long, value_name = "FILE_OR_DIR", conflicts_with = "again")]
        data: Option<PathBuf>,
        /// Take part again with a folder that was a member's: same name, same key, same ledger. While the name is enrolled, its
        /// codes work in this way and with this key only. What the shop saw of the coordinator's record is forgotten: do it
        /// only when the operator has told you why.
        #[arg(long)]
        again: bool,
    },
    /// Read the shop's files and say what is in them and what is wrong, line by line.
    #[command(
        after_help = "Exit code 1 when there are bad lines.\n\nExample:\n  souk-client check-data --dir shop"
    )]
    CheckData {
        #[command(flatten)]
        place: Place,
        /// One JSON object on stdout.
        #[arg(long)]
        json: bool,
    },
    /// Take part in rounds until stopped (Ctrl-C).
    #[command(after_help = "Examples:\n  \
        souk-client run --dir shop\n  souk-client run --exit-when-finished --give-up-after 2h --dir shop")]
    Run {
        #[command(flatten)]
        place: Place,
        #[command(flatten)]
        ends: StopRules,
    },
    /// Recommend items to a user, or to all of them.
    #[command(
        after_help = "Examples:\n  souk-client recommend u1042 -k 10 --explain --dir shop\n  souk-client recommend --all --out lists.csv --dir shop"
    )]
    Recommend {
        /// The user's id, as in the orders.
        #[arg(required_unless_present = "all", conflicts_with = "all")]
        user: Option<String>,
        #[command(flatten)]
        place: Place,
        /// How many items.
        #[arg(short, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=10_000))]
        k: u32,
        /// Also items that the user bought already.
        #[arg(long)]
        include_bought: bool,
        /// Say why.
        #[arg(long, conflicts_with = "all")]
        explain: bool,
        /// For every user, into --out.
        #[arg(long, requires = "out")]
        all: bool,
        /// CSV file: user_id,rank,item_id,score,title
        #[arg(long, requires = "all", value_name = "FILE")]
        out: Option<PathBuf>,
        /// Draw all scores as a scatter plot (SVG) beside the list.
        #[arg(long, conflicts_with = "all", value_name = "FILE")]
        picture: Option<PathBuf>,
        /// One JSON object on stdout.
        #[arg(long)]
        json: bool,
    },
    /// Draw a user's scores of all items as a scatter plot, the best ones marked.
    #[command(after_help = "Example:\n  souk-client plot u1042 --out scores.svg --dir shop")]
    Plot {
        /// The user's id, as in the orders.
        user: String,
        #[command(flatten)]
        place: Place,
        /// SVG file.
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
        /// How many items to mark.
        #[arg(short, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=10_000))]
        k: u32,
    },
    /// Say what your customers' privacy has cost so far, and what is left.
    #[command(
        after_help = "--recover charges for updates that this shop has signed for, by the signatures that the coordinator keeps \
                      beside its receipts. It shows what it would charge and asks; --yes answers. Exit code 1 when nothing \
                      was charged though something is missing.\n\nExamples:\n  souk-client budget --json --dir shop\n  \
                      souk-client budget --recover --dir shop   (after a restore from a backup)"
    )]
    Budget {
        #[command(flatten)]
        place: Place,
        /// First charge the ledger for spends that it has lost and the coordinator has receipts of, and for one more.
        #[arg(long)]
        recover: bool,
        /// With --recover: also for receipts without this shop's own signature (made before shops signed, or by another key),
        /// at most as many as their plans can have. A coordinator that lies uses up your budget by that.
        #[arg(long, requires = "recover")]
        trust_coordinator: bool,
        /// With --recover: charge without asking.
        #[arg(long, requires = "recover")]
        yes: bool,
        /// One JSON object on stdout.
        #[arg(long)]
        json: bool,
    },
    /// Say what left this building: every update, its bytes, digest, time and receipt.
    #[command(after_help = "Example:\n  souk-client sent --dir shop")]
    Sent {
        #[command(flatten)]
        place: Place,
        /// One JSON object on stdout.
        #[arg(long)]
        json: bool,
    },
    /// Copy what this shop can't do without to another folder, also while `run` is up. It holds the key: guard it.
    #[command(after_help = "Example:\n  souk-client backup /mnt/backup/shop --dir shop")]
    Backup {
        /// Where to; an earlier backup there is replaced.
        folder: PathBuf,
        #[command(flatten)]
        place: Place,
        /// One JSON object on stdout.
        #[arg(long)]
        json: bool,
    },
    /// Show the other shops' keys, and confirm them: only confirmed shops count in sums under masks.
    #[command(after_help = SHOPS_HELP)]
    Shops {
        #[command(flatten)]
        place: Place,
        /// A shop and the fingerprint that its owner has read to you: it is written into shop.toml if it is the one that the
        /// coordinator shows. A name alone is refused: what the coordinator shows proves nothing. Repeatable.
        #[arg(long, value_name = "NAME=FINGERPRINT")]
        trust: Vec<Trusted>,
        /// One JSON object on stdout.
        #[arg(long)]
        json: bool,
    },
    /// Look whether everything is in order: name, connection, clock, certificate, disk, ledger.
    #[command(after_help = "Exit code 1 when something is not.\n\nExample:\n  souk-client doctor --dir shop")]
    Doctor {
        #[command(flatten)]
        place: Place,
        /// One JSON object on stdout.
        #[arg(long)]
        json: bool,
    },
    /// End the membership, and say what the coordinator keeps.
    #[command(after_help = "Example:\n  souk-client leave --dir shop")]
    Leave {
        #[command(flatten)]
        place: Place,
    },
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
            let usage = error
                .chain()
                .any(|cause| cause.is::<ShopConfigError>() || cause.is::<UsageError>());
            let failed = error
                .chain()
                .any(|cause| cause.is::<CheckFailed>() || is_rolled_back(cause));
            ExitCode::from(match (usage, failed) {
                (true, _) => EXIT_USAGE,
                (_, true) => EXIT_CHECK_FAILED,
                _ => EXIT_ERROR,
            })
        }
    }
}

fn carry_out(command: Command) -> anyhow::Result<bool> {
    match command {
        Command::Join {
            code,
            place,
            again: true,
            ..
        } => crate::membership::join::join_again(&code, &place.folder()?),
        Command::Join {
            code, place, data, ..
        } => crate::membership::join::join(&code, &place.folder_to_join()?, data.as_deref()),
        Command::Run { place, ends } => crate::run::run(&place.folder()?, ends),
        Command::CheckData { place, json } => {
            let Answer::Data {
                text,
                json: value,
                clean,
            } = ask(&place.folder()?, Question::CheckData)?
            else {
                return Err(strange());
            };
            match json {
                true => say(&value.to_string())?,
                false => say(text.trim_end())?,
            }
            Ok(clean)
        }
        Command::Recommend {
            user: Some(user),
            place,
            k,
            include_bought,
            explain,
            picture,
            json,
            ..
        } => {
            let wishes = RecommendOptions {
                k: k as usize,
                include_bought,
                explain,
            };
            recommend::recommend(&place.folder()?, user, wishes, picture.as_deref(), json)
        }
        Command::Recommend {
            place,
            k,
            include_bought,
            out,
            json,
            ..
        } => {
            let wishes = RecommendOptions {
                k: k as usize,
                include_bought,
                explain: false,
            };
            recommend::recommend_all(&place.folder()?, wishes, &out.unwrap_or_default(), json)
        }
        Command::Plot { user, place, out, k } => {
            let wishes = RecommendOptions {
                k: k as usize,
                include_bought: false,
                explain: false,
            };
            let (_, picture) = recommend::ask_for_list(&place.folder()?, user, wishes, true)?;
            recommend::draw(picture, &out)
        }
        Command::Budget {
            place,
            json,
            recover,
            trust_coordinator,
            yes,
        } => {
            let folder = place.folder()?;
            let mut good = true;
            if recover {
                let wants = |bill: &str| ask_owner(bill, yes);
                let recovered = crate::membership::recover::recover(&folder, trust_coordinator, wants)?;
                tell(&format!("{recovered}"));
                good = recovered != Recovered::NotWanted;
            }
            let Answer::Budget(budget) = ask(&folder, Question::Budget)? else {
                return Err(strange());
            };
            say(&if json {
                serde_json::to_string(&budget)?
            } else {
                render::budget(&budget)
            })?;
            Ok(good)
        }
        Command::Sent { place, json } => {
            let Answer::Sent { uploads } = ask(&place.folder()?, Question::Sent)? else {
                return Err(strange());
            };
            say(&if json {
                render::sent_json(&uploads).to_string()
            } else {
                render::sent(&uploads)
            })?;
            Ok(true)
        }
        Command::Backup {
            folder, place, json, ..
        } => {
            // The running program may have been started elsewhere.
            let folder = std::path::absolute(folder)?;
            let Answer::BackedUp { files } = ask(
                &place.folder()?,
                Question::Backup {
                    folder: folder.clone(),
                },
            )?
            else {
                return Err(strange());
            };
            say(&match json {
                true => serde_json::json!({ "backup": folder, "files": files }).to_string(),
                false => format!("{files} files in {}", folder.display()),
            })?;
            Ok(true)
        }
        Command::Shops { place, trust, json } => {
            let shops = crate::membership::peers::look(&place.folder()?, &trust)?;
            say(&match json {
                true => serde_json::to_string(&shops)?,
                false => render::shops(&shops),
            })?;
            Ok(shops.is_good())
        }
        Command::Doctor { place, json } => {
            let checks = crate::commands::doctor::examine(&place.folder()?)?;
            let ok = checks.iter().all(|check| check.ok);
            say(&match json {
                true => serde_json::json!({ "ok": ok, "checks": checks }).to_string(),
                false => render::checks(&checks),
            })?;
            Ok(ok)
        }
        Command::Leave { place } => {
            let Answer::Left { kept } = ask(&place.folder()?, Question::Leave)? else {
                return Err(strange());
            };
            say(&format!(
                "You have left the federation. What the coordinator keeps: {kept}"
            ))?;
            Ok(true)
        }
    }
}

/// Shows a bill, and whether the owner wants it charged: a typed `yes`, or `--yes`.
fn ask_owner(bill: &str, yes: bool) -> anyhow::Result<bool> {
    tell(&format!("{bill}."));
    if yes {
        return Ok(true);
    }
    tell("Charge for it? It can't be undone. Type yes (or say --yes):");
    let mut typed = String::new();
    std::io::stdin().read_line(&mut typed)?;
    Ok(typed.trim() == "yes")
}

/// Asks the running program, or answers from the store.
fn ask(folder: &Folder, question: Question) -> anyhow::Result<Answer> {
    // A file that makes no sense is told before anything else.
    crate::config::ShopConfig::load(folder)?;
    let answer = answer_to(folder, &question)?;
    match answer {
        Answer::Failed { usage: true, reason } => Err(UsageError(reason).into()),
        Answer::Failed { usage: false, reason } => Err(anyhow::Error::msg(reason)),
        answer => Ok(answer),
    }
}

/// Asks the program that runs, or opens the store; one that is just starting or stopping has a moment to do so.
fn answer_to(folder: &Folder, question: &Question) -> anyhow::Result<Answer> {
    let mut tries = 0;
    loop {
        if let Some(answer) = crate::control::socket::ask(folder, question)
            .context("the running souk-client does not answer")?
        {
            return Ok(answer);
        }
        match crate::run::answer_alone(folder, question.clone()) {
            Err(error) if tries < MOST_TRIES && matches!(error.downcast_ref(), Some(StoreError::Busy)) => {
                tries += 1;
                std::thread::sleep(Duration::from_millis(50));
            }
            answered => return answered,
        }
    }
}

/// Prints to standard output.
fn say(text: &str) -> anyhow::Result<()> {
    Ok(terminal::say(text)?)
}

fn strange() -> anyhow::Error {
    anyhow::anyhow!("the running souk-client is of another version: stop it and start it again")
}

/// A ledger that is not the newest is no accident that a restart heals.
fn is_rolled_back(error: &(dyn std::error::Error + 'static)) -> bool {
    let rolled_back = matches!(error.downcast_ref(), Some(LedgerError::RolledBack { .. }));
    rolled_back
        || matches!(
            error.downcast_ref(),
            Some(LedgerFileError::Ledger {
                source: LedgerError::RolledBack { .. },
                ..
            })
        )
}

/// Something is not as it must be, and starting again does not help: exit code 1.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct CheckFailed(pub(crate) String);

/// The question makes no sense: exit code 64.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct UsageError(pub(crate) String);

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

/// Three seconds.
const MOST_TRIES: u32 = 60;
const EXIT_CHECK_FAILED: u8 = 1;
const EXIT_ERROR: u8 = 2;
const EXIT_USAGE: u8 = 64;

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
            &["recommend"][..],
            &["recommend", "u", "-k", "0"],
            &["recommend", "u", "--all", "--out", "f"],
            &["recommend", "--all"],
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
