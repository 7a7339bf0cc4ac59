//! The command line: what was typed becomes a command, what it says becomes lines or JSON.

mod plan;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};
use serde_json::{Value, json};
use souk_common::clock::{Clock, SystemClock};
use souk_common::ids::ShopName;
use souk_common::params::Epsilon;
use souk_common::storage::private::{keep_to_the_owner, narrow};
use souk_common::telemetry;
use souk_common::terminal::{self, tell};

use crate::engine::publish::not_kept;
use crate::folder::FederationFolder;
use crate::serve::{self, Command as Control, Options, execute};
use crate::{backup, import};

/// Runs a federation of shops that train one recommender together.
#[derive(Parser)]
#[command(
    name = "souk-coordinator",
    version,
    after_help = "Example: souk-coordinator init federation --address coordinator.example:4433"
)]
struct Args {
    #[command(subcommand)]
    command: Typed,
}

#[derive(Subcommand)]
enum Typed {
    /// Makes a federation: configuration, certificate authority, signing key, empty store.
    #[command(after_help = "Example: souk-coordinator init federation --name demo --address 192.0.2.1:4433")]
    Init {
        /// The folder.
        folder: PathBuf,
        /// The federation's name.
        #[arg(long, default_value = "souk")]
        name: String,
        /// host:port for join codes.
        #[arg(long, default_value = "127.0.0.1:4433")]
        address: String,
        /// Where `serve` listens.
        #[arg(long, default_value = "[::]:4433")]
        listen: String,
    },
    /// Makes or checks a plan.
    #[command(subcommand)]
    Plan(PlanCommand),
    /// Takes in the public catalogue.
    #[command(subcommand)]
    Catalogue(CatalogueCommand),
    /// A one-time join code for a shop, valid for 24 hours; it ends all earlier codes of that name.
    #[command(after_help = INVITE_HELP)]
    Invite {
        /// The shop: 1 to 63 of a-z, 0-9 and '-'.
        #[arg(required_unless_present_any = ["list", "cancel"])]
        shop: Option<ShopName>,
        /// For a shop that is enrolled: the code works with its own key only (`souk-client join CODE --again`).
        #[arg(long, requires = "shop")]
        again: bool,
        /// Which codes are pending, without their secrets.
        #[arg(long, conflicts_with_all = ["shop", "cancel"])]
        list: bool,
        /// End the pending code of this name.
        #[arg(long, value_name = "NAME", conflicts_with = "shop")]
        cancel: Option<ShopName>,
        #[command(flatten)]
        at: At,
    },
    /// Who is enrolled, and seen when.
    #[command(after_help = "Example: souk-coordinator shops --dir federation")]
    Shops(At),
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
    Ca(CaCommand),
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
    Serve {
        /// The plan.
        #[arg(long)]
        plan: PathBuf,
        /// Where to listen, in place of coordinator.toml's.
        #[arg(long)]
        listen: Option<String>,
        /// End when all rounds are published.
        #[arg(long)]
        exit_when_finished: bool,
        /// Begin anew if another plan's run is unfinished.
        #[arg(long)]
        new_run: bool,
        /// The federation's folder.
        #[arg(long, default_value = ".")]
        dir: PathBuf,
    },
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
    Models(ModelsCommand),
}

const INVITE_HELP: &str = "Of each name at most one code works: a newer invitation, an enrolment, `revoke` and the shop's \
`leave` end all before it. A name that is enrolled is not invited again: if its owner has the folder and its key, `--again` \
makes a code that works with that key and no other; if the key is lost or stolen, `revoke` the name first, and a new code \
then works with any key (the other owners see that it has changed). Every enrolment, and every try that was refused, stands in \
the log of `serve` and in the record.

Examples:
  souk-coordinator invite north --dir federation
  souk-coordinator invite --list --dir federation
  souk-coordinator invite --cancel north --dir federation
  souk-coordinator invite north --again --dir federation";

#[derive(clap::Args)]
struct At {
    /// The federation's folder.
    #[arg(long, default_value = ".")]
    dir: PathBuf,
    /// One JSON object on standard output.
    #[arg(long)]
    json: bool,
}

#[derive(Subcommand)]
enum PlanCommand {
    /// Writes a commented sample plan.
    #[command(after_help = "Example: souk-coordinator plan new plan.toml --rounds 60")]
    New {
        /// The file; it must not exist.
        file: PathBuf,
        /// Rounds.
        #[arg(long)]
        rounds: Option<u64>,
    },
    /// Says what a plan will cost.
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
        #[command(flatten)]
        at: At,
    },
}

#[derive(Subcommand)]
enum CaCommand {
    /// Makes a new authority beside the old one: shops learn of it and renew under it by themselves.
    #[command(after_help = "Example: souk-coordinator ca rotate --dir federation")]
    Rotate(At),
    /// Which authorities count, and who still depends on the old one.
    #[command(after_help = "Example: souk-coordinator ca status --dir federation")]
    Status(At),
    /// Lets the old authority go; refused while a member depends on it.
    #[command(after_help = "Example: souk-coordinator ca retire --dir federation")]
    Retire {
        /// Leave members behind: they have to be invited again.
        #[arg(long)]
        force: bool,
        #[command(flatten)]
        at: At,
    },
}

#[derive(Subcommand)]
enum CatalogueCommand {
    /// From a CSV file: item_id,title,category,brand,price.
    #[command(after_help = "Example: souk-coordinator catalogue import items.csv --dir federation")]
    Import {
        /// The file.
        file: PathBuf,
        #[command(flatten)]
        at: At,
    },
}

#[derive(Subcommand)]
enum ModelsCommand {
    /// All versions.
    #[command(after_help = "Example: souk-coordinator models list --dir federation")]
    List(At),
    /// One version's manifest.
    #[command(after_help = "Example: souk-coordinator models show --round 3 --dir federation")]
    Show {
        /// The round; the latest if absent.
        #[arg(long)]
        round: Option<u64>,
        #[command(flatten)]
        at: At,
    },
    /// Copies a model file.
    #[command(
        after_help = "Example: souk-coordinator models export --out model.safetensors --dir federation"
    )]
    Export {
        /// Where to.
        #[arg(long)]
        out: PathBuf,
        /// The round; the latest if absent.
        #[arg(long)]
        round: Option<u64>,
        #[command(flatten)]
        at: At,
    },
    /// Makes an older model the current one, for the next round.
    #[command(after_help = "Example: souk-coordinator models rollback 3 --dir federation")]
    Rollback {
        /// The round whose model it is.
        round: u64,
        #[command(flatten)]
        at: At,
    },
}

/// A failure with its exit code: 64 for wrong usage or configuration, 2 for everything else.
pub(crate) struct Failure {
    code: u8,
    text: String,
}

pub(crate) fn usage(error: impl std::fmt::Display) -> Failure {
    let text = error.to_string();
    Failure { code: 64, text }
}

pub(crate) fn failed(error: impl std::fmt::Display) -> Failure {
    let text = error.to_string();
    Failure { code: 2, text }
}

/// Runs the program with `args` (program name excluded).
pub(crate) fn run(args: impl Iterator<Item = OsString>) -> ExitCode {
    let name = OsString::from("souk-coordinator");
    let args = match Args::try_parse_from(std::iter::once(name).chain(args)) {
        Ok(args) => args,
        Err(error) => {
            if error.use_stderr() {
                tell(error.render().to_string().trim_end());
                return ExitCode::from(64);
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
            ExitCode::from(failure.code)
        }
    }
}

fn dispatch(command: Typed) -> Result<(), Failure> {
    match command {
        Typed::Init {
            folder,
            name,
            address,
            listen,
        } => {
            let home = FederationFolder::new(&folder);
            close(&home, false)?;
            home.init(SystemClock.now(), &name, &address, &listen)
                .map_err(|error| {
                    if error.is_usage() {
                        usage(error)
                    } else {
                        failed(error)
                    }
                })?;
            say(&format!("a federation called {name} is in {}", folder.display()));
            Ok(())
        }
        Typed::Plan(PlanCommand::New { file, rounds }) => plan::write_sample(&file, rounds),
        Typed::Plan(PlanCommand::Check {
            file,
            target_epsilon,
            bandwidth,
            at,
        }) => {
            let wishes = plan::CheckOptions {
                target_epsilon,
                bytes_per_sec: bandwidth * 1e6 / 8.0,
            };
            let cost = plan::check(&file, &home_at(&at.dir)?, &wishes)?;
            say(&if at.json {
                cost.json().to_string()
            } else {
                cost.text()
            });
            Ok(())
        }
        Typed::Catalogue(CatalogueCommand::Import { file, at }) => {
            let home = home_at(&at.dir)?;
            home.config().map_err(usage)?;
            let catalogue = import::read(&file).map_err(failed)?;
            home.set_catalogue(&catalogue).map_err(failed)?;
            print(
                &at,
                &json!({ "items": catalogue.len(), "digest": catalogue.digest() }),
            );
            Ok(())
        }
        Typed::Invite {
            shop,
            again,
            cancel,
            at,
            ..
        } => match (shop, cancel) {
            (Some(shop), _) if again => control(&at, &Control::InviteAgain(shop)),
            (Some(shop), _) => control(&at, &Control::Invite(shop)),
            (None, Some(shop)) => control(&at, &Control::CancelInvitation(shop)),
            (None, None) => {
                let said = carry_out(&at, &Control::Invitations)?;
                if at.json {
                    print(&at, &said);
                } else {
                    say(&table_of_codes(&said));
                }
                Ok(())
            }
        },
        Typed::Shops(at) => control(&at, &Control::Shops),
        Typed::Revoke { shop, at } => control(&at, &Control::Revoke(shop)),
        Typed::Readmit { shop, at } => control(&at, &Control::Readmit(shop)),
        Typed::Status(at) => control(&at, &Control::Status),
        Typed::Ca(CaCommand::Rotate(at)) => control(&at, &Control::CaRotate),
        Typed::Ca(CaCommand::Status(at)) => control(&at, &Control::CaStatus),
        Typed::Ca(CaCommand::Retire { force, at }) => control(&at, &Control::CaRetire { force }),
        Typed::Backup { folder, at } => {
            let said = carry_out(&at, &Control::Snapshot)?;
            let about = serde_json::from_value(said).map_err(failed)?;
            let copied = backup::copy(&home_at(&at.dir)?, &folder, about).map_err(failed)?;
            print(&at, &json!({ "backup": folder, "copied": copied }));
            Ok(())
        }
        Typed::Pause(at) => control(&at, &Control::Pause),
        Typed::Resume(at) => control(&at, &Control::Resume),
        Typed::Models(ModelsCommand::List(at)) => control(&at, &Control::Models),
        Typed::Models(ModelsCommand::Show { round, at }) => control(&at, &Control::Model(round)),
        Typed::Models(ModelsCommand::Rollback { round, at }) => control(&at, &Control::Rollback(round)),
        Typed::Models(ModelsCommand::Export { out, round, at }) => {
            let said = carry_out(&at, &Control::Model(round))?;
            let Some(path) = said["path"].as_str() else {
                let round = &said["manifest"]["body"]["id"]["round"];
                return Err(failed(not_kept(round.as_u64().unwrap_or_default())));
            };
            std::fs::copy(path, &out).map_err(|error| failed(format!("{}: {error}", out.display())))?;
            print(
                &at,
                &json!({ "out": out, "model_hash": said["manifest"]["body"]["model"] }),
            );
            Ok(())
        }
        Typed::Serve {
            plan,
            listen,
            exit_when_finished,
            new_run,
            dir,
        } => {
            let plan = plan::read(&plan)?;
            let options = Options {
                plan,
                listen,
                exit_when_finished,
                new_run,
            };
            run_server(home_at(&dir)?, options)
        }
    }
}

fn run_server(home: FederationFolder, options: Options) -> Result<(), Failure> {
    home.config().map_err(usage)?;
    telemetry::init(false, 0);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        // Beside the engine's own thread. Each keeps memory of its own to hand out again, and one that takes the place of
        // another may be given other memory: over the days all of it would have been touched.
        .max_blocking_threads(FILE_THREADS)
        .thread_keep_alive(FOR_EVER)
        .enable_all()
        .build()
        .map_err(failed)?;
    runtime
        .block_on(async { serve::run(home, options, stopped(), say).await })
        .map_err(|error| {
            if error.is_usage() {
                usage(error)
            } else {
                failed(error)
            }
        })
}

/// Listens for signals from the call on, not only from the first wait.
fn stopped() -> impl Future<Output = ()> {
    use tokio::signal::unix::{SignalKind, signal};
    let signals = (signal(SignalKind::interrupt()), signal(SignalKind::terminate()));
    async {
        match signals {
            (Ok(mut interrupt), Ok(mut terminate)) => tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            },
            _ => std::future::pending().await,
        }
    }
}

fn control(at: &At, command: &Control) -> Result<(), Failure> {
    print(at, &carry_out(at, command)?);
    Ok(())
}

fn carry_out(at: &At, command: &Control) -> Result<Value, Failure> {
    let home = home_at(&at.dir)?;
    home.config().map_err(usage)?;
    execute(&home, command).map_err(failed)
}

fn print(at: &At, said: &Value) {
    if at.json {
        say(&said.to_string());
    } else if let Some(code) = said["code"].as_str() {
        say(code);
    } else {
        say(&serde_json::to_string_pretty(said).unwrap_or_default());
    }
}

/// The pending codes for people.
fn table_of_codes(said: &Value) -> String {
    let rows = said["invitations"].as_array().cloned().unwrap_or_default();
    if rows.is_empty() {
        return "no code is pending".to_owned();
    }
    let mut table = format!("{:<32}  {:<20}  {:<20}  for", "shop", "made", "expires");
    for row in rows {
        let text = |key: &str| row[key].as_str().unwrap_or("unknown").to_owned();
        let whom = match row["for_its_own_key_only"].as_bool() {
            Some(true) => "its own key only",
            _ => "any key",
        };
        let (shop, made, expires) = (text("shop"), text("made_at"), text("expires_at"));
        table.push_str(&format!("\n{shop:<32}  {made:<20}  {expires:<20}  {whom}"));
    }
    table
}

/// Prints a line at once; if that can't be done there is nobody to tell.
fn say(line: &str) {
    let _ = terminal::say(line);
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

/// Threads that read and write updates and blobs, and answer commands: what waits for the disk waits there, in a queue, and
/// never where connections are served.
const FILE_THREADS: usize = 2;
const FOR_EVER: Duration = Duration::from_secs(u32::MAX as u64);

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
