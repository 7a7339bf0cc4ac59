//! The command line: what was typed becomes a command, what it says becomes lines or JSON.

use std::ffi::OsString;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use serde_json::{Value, json};
use souk_common::catalogue::{Catalogue, Item};
use souk_common::clock::{Clock, SystemClock};
use souk_common::ids::ShopName;
use souk_common::model::layout::{Layout, Vocabulary};
use souk_common::round::plan::Plan;

use crate::home::Home;
use crate::serve::{self, Command as Control, Options, execute};

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
    /// A one-time join code for a shop, valid for 24 hours.
    #[command(after_help = "Example: souk-coordinator invite north --dir federation")]
    Invite {
        /// The shop: 1 to 63 of a-z, 0-9 and '-'.
        shop: ShopName,
        #[command(flatten)]
        at: At,
    },
    /// Who is enrolled, and seen when.
    #[command(after_help = "Example: souk-coordinator shops --dir federation")]
    Shops(At),
    /// Ends a shop's membership, at once.
    #[command(after_help = "Example: souk-coordinator revoke north --dir federation")]
    Revoke {
        /// The shop.
        shop: ShopName,
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
    #[command(after_help = "Example: souk-coordinator plan check plan.toml --dir federation --json")]
    Check {
        /// The plan.
        file: PathBuf,
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
struct Failure {
    code: u8,
    text: String,
}

fn usage(error: impl std::fmt::Display) -> Failure {
    let text = error.to_string();
    Failure { code: 64, text }
}

fn failed(error: impl std::fmt::Display) -> Failure {
    let text = error.to_string();
    Failure { code: 2, text }
}

/// Runs the program with `args` (program name excluded).
pub(crate) fn run(args: impl Iterator<Item = OsString>) -> ExitCode {
    let name = OsString::from("souk-coordinator");
    let args = match Args::try_parse_from(std::iter::once(name).chain(args)) {
        Ok(args) => args,
        Err(error) => {
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { 64 } else { 0 });
        }
    };
    match dispatch(args.command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("souk-coordinator: {}", failure.text);
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
            let home = Home::new(&folder);
            home.init(SystemClock.now(), &name, &address, &listen)
                .map_err(failed)?;
            say(&format!("a federation called {name} is in {}", folder.display()));
            Ok(())
        }
        Typed::Plan(PlanCommand::New { file, rounds }) => new_plan(&file, rounds),
        Typed::Plan(PlanCommand::Check { file, at }) => check_plan(&file, &at),
        Typed::Catalogue(CatalogueCommand::Import { file, at }) => import(&file, &at),
        Typed::Invite { shop, at } => control(&at, &Control::Invite(shop)),
        Typed::Shops(at) => control(&at, &Control::Shops),
        Typed::Revoke { shop, at } => control(&at, &Control::Revoke(shop)),
        Typed::Status(at) => control(&at, &Control::Status),
        Typed::Pause(at) => control(&at, &Control::Pause),
        Typed::Resume(at) => control(&at, &Control::Resume),
        Typed::Models(ModelsCommand::List(at)) => control(&at, &Control::Models),
        Typed::Models(ModelsCommand::Show { round, at }) => control(&at, &Control::Model(round)),
        Typed::Models(ModelsCommand::Rollback { round, at }) => control(&at, &Control::Rollback(round)),
        Typed::Models(ModelsCommand::Export { out, round, at }) => {
            let said = execute(&Home::new(&at.dir), &Control::Model(round)).map_err(failed)?;
            let path = said["path"].as_str().unwrap_or_default();
            std::fs::copy(path, &out).map_err(failed)?;
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
            let plan = read_plan(&plan)?;
            let options = Options {
                plan,
                listen,
                exit_when_finished,
                new_run,
            };
            run_server(Home::new(dir), options)
        }
    }
}

fn run_server(home: Home, options: Options) -> Result<(), Failure> {
    home.config().map_err(usage)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        // Threads that take over while others wait for the disk. Each keeps memory of its own to hand out again.
        .max_blocking_threads(STAND_INS)
        .enable_all()
        .build()
        .map_err(failed)?;
    runtime
        .block_on(serve::run(home, options, stopped(), say))
        .map_err(failed)
}

async fn stopped() {
    use tokio::signal::unix::{SignalKind, signal};
    match (signal(SignalKind::interrupt()), signal(SignalKind::terminate())) {
        (Ok(mut interrupt), Ok(mut terminate)) => tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        },
        _ => std::future::pending().await,
    }
}

fn control(at: &At, command: &Control) -> Result<(), Failure> {
    let said = execute(&Home::new(&at.dir), command).map_err(failed)?;
    print(at, &said);
    Ok(())
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

/// Prints a line at once; a reader that has gone is no error.
fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}

fn read_plan(file: &Path) -> Result<Plan, Failure> {
    let text =
        std::fs::read_to_string(file).map_err(|error| usage(format!("{}: {error}", file.display())))?;
    Plan::from_toml(&text).map_err(|error| usage(format!("{}: {error}", file.display())))
}

fn new_plan(file: &Path, rounds: Option<u64>) -> Result<(), Failure> {
    let text = match rounds {
        Some(rounds) => SAMPLE_PLAN.replace("rounds = 60", &format!("rounds = {rounds}")),
        None => SAMPLE_PLAN.to_owned(),
    };
    Plan::from_toml(&text).map_err(usage)?;
    let mut out =
        std::fs::File::create_new(file).map_err(|error| failed(format!("{}: {error}", file.display())))?;
    out.write_all(text.as_bytes()).map_err(failed)
}

fn check_plan(file: &Path, at: &At) -> Result<(), Failure> {
    let plan = read_plan(file)?;
    let mut said = json!({ "plan": plan.digest(), "rounds": plan.rounds, "shops": plan.shops.len() });
    if let Ok(catalogue) = Home::new(&at.dir).catalogue() {
        let layout = Layout::new(&plan.model, &Vocabulary::from(&catalogue));
        let grid = plan.grid(layout.len()).map_err(usage)?;
        said["coordinates"] = json!(layout.len());
        said["bytes_per_update"] = json!(layout.len() * grid.bits.bytes());
        said["bytes_per_round"] = json!(plan.shops.len() * layout.len() * (grid.bits.bytes() + 4));
        said["grid_units_per_clip_norm"] = json!(grid.clip_units());
        said["noise_stddev_in_grid_units"] = json!(grid.noise_stddev);
    } else {
        eprintln!("no catalogue in {}: sizes are not known yet", at.dir.display());
    }
    print(at, &said);
    Ok(())
}

fn import(file: &Path, at: &At) -> Result<(), Failure> {
    #[derive(serde::Deserialize)]
    struct Row {
        item_id: String,
        #[serde(default)]
        title: String,
        #[serde(default)]
        category: String,
        #[serde(default)]
        brand: String,
        #[serde(default)]
        price: Option<f64>,
    }
    let shown = file.display();
    let mut reader = csv::Reader::from_path(file).map_err(|error| failed(format!("{shown}: {error}")))?;
    let mut items = Vec::new();
    for row in reader.deserialize() {
        let row: Row = row.map_err(|error| failed(format!("{shown}: {error}")))?;
        items.push(Item {
            id: row.item_id,
            title: row.title,
            category: row.category,
            brand: row.brand,
            price: row.price,
        });
    }
    let catalogue = Catalogue::new(items).map_err(|error| failed(format!("{shown}: {error}")))?;
    let home = Home::new(&at.dir);
    home.config().map_err(usage)?;
    home.set_catalogue(&catalogue).map_err(failed)?;
    print(
        at,
        &json!({ "items": catalogue.len(), "digest": catalogue.digest() }),
    );
    Ok(())
}

const STAND_INS: usize = 1;
const SAMPLE_PLAN: &str = include_str!("../../deploy/config/plan.toml");
