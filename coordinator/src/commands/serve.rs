//! `serve`: runs the federation.

use std::path::PathBuf;
use std::time::Duration;

use souk_common::clock::{Clock, SystemClock};
use souk_common::date::date;
use souk_common::telemetry;

use super::{home_at, plan, say};
use crate::error::{Failure, failed, usage};
use crate::serve::{self, Options};

#[derive(clap::Args)]
pub(super) struct Serve {
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
}

pub(super) fn run(serve: Serve) -> Result<(), Failure> {
    let options = Options {
        plan: plan::read(&serve.plan)?,
        listen: serve.listen,
        exit_when_finished: serve.exit_when_finished,
        new_run: serve.new_run,
    };
    let home = home_at(&serve.dir)?;
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
    Ok(runtime.block_on(async { serve::run(home, options, stopped(), say_when).await })?)
}

/// Says a line with the time. The first one, which says where it listens, is read by programs and stays as it is.
fn say_when(line: &str) {
    match line.starts_with("listening on ") {
        true => say(line),
        false => say(&format!("{} {line}", date(SystemClock.now()))),
    }
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

/// Threads that read and write updates and blobs, and answer commands: what waits for the disk waits there, in a queue, and
/// never where connections are served.
const FILE_THREADS: usize = 2;
const FOR_EVER: Duration = Duration::from_secs(u32::MAX as u64);
