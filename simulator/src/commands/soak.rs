//! `souk-sim soak`: the coordinator as it is, for a day of virtual time, with many shops on bad lines; does its memory grow?
//!
//! | module | what |
//! |---|---|
//! | [`crate::load::shop`] | a shop whose line drops, that dials again, that leaves and comes back |
//! | [`crate::load::gauge`] | what is measured |
//!
//! One process holds coordinator, shops and network, so what is flat in whole is flat in part. The shops keep next to
//! nothing between rounds: what grows is the coordinator's.

use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use clap::Args;
use serde_json::json;
use souk_common::clock::{Stopwatch, Timestamp};
use souk_common::rng::stream;
use souk_common::terminal::{say, tell};
use tokio::task::JoinSet;

use crate::load::gauge::{Gauge, Kept, Row, Tally};
use crate::load::shop::{Common, Shop};
use crate::virtual_net::federation::{Federation, Setting};
use crate::virtual_net::{Net, virtually};

/// Run a coordinator for a day of virtual time with many shops on bad lines, and hold its memory to its first hour's.
///
/// The coordinator is the production one: QUIC, sessions, rounds, store and files on disk. The shops are light: real
/// connections, certificates and uploads of nothing but noise; they lose their lines, dial again, leave and rejoin. Hour 0 is
/// the opening: all shops connect, restart once and go through their first rounds, so that every connection has the buffers
/// it will ever have. Then come the hours that count. Exits with 1 if the last one's memory is over 1.05 of the first's, or a
/// shop was not heard of in the last hour.
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  souk-sim soak --shops 200 --hours 24\n  souk-sim soak --shops 50 --hours 3 --json\n\n\
                        It runs with the allocator's settings of deploy/systemd/souk-coordinator.service, unless \
                        MALLOC_ARENA_MAX is set.\n\nThe store lies in the temporary folder (TMPDIR). Each update is made durable there, so a disk that is \
                        slow to sync takes most of the time."
)]
pub struct SoakArgs {
    /// Shops, each with a machine and a line of its own.
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u64).range(2..=1000))]
    shops: u64,
    /// Hours of virtual time after the opening; the first is the measure of the last.
    #[arg(long, default_value_t = 24, value_parser = clap::value_parser!(u64).range(2..=10_000))]
    hours: u64,
    /// A round takes this long, in minutes.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=60))]
    pace: u64,
    /// Of the lines and of what befalls the shops.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Draw memory and store over the hours, as SVG.
    #[arg(long, value_name = "FILE")]
    picture: Option<PathBuf>,
    /// Print one JSON object instead of a table.
    #[arg(long)]
    json: bool,
}

/// Runs the soak; false when memory grew or a shop was lost.
///
/// # Errors
/// When the temporary folder can't be written, or the coordinator ends.
pub fn run(args: &SoakArgs) -> anyhow::Result<bool> {
    if std::env::var_os(ALLOCATOR[0].0).is_none() {
        return again_as_a_service();
    }
    let watch = Stopwatch::start();
    let Day { rows, kept, lost } = virtually(day(args, watch))??;
    let [opening, first, .., last] = &rows[..] else {
        anyhow::bail!("no hour was measured");
    };
    let to = |row: &Row| last.rss_bytes as f64 / row.rss_bytes as f64;
    let ratio = to(first);
    let passed = ratio <= MOST_GROWTH && lost.is_empty();
    if let Some(path) = &args.picture {
        crate::load::gauge::draw(&rows, path)?;
    }
    if args.json {
        let report = json!({
            "shops": args.shops, "hours": args.hours, "pace_minutes": args.pace, "seed": args.seed,
            "rows": rows, "last_to_first": ratio, "last_to_opening": to(opening), "most": MOST_GROWTH, "lost_shops": lost,
            "kept_bytes": kept, "kept_bytes_in_a_year": kept.in_a_year(args.shops), "passed": passed,
            "seconds": watch.secs(),
        });
        say(&report.to_string())?;
    } else {
        say(&format!(
            "memory of the last hour to the first: {ratio:.3} (at most {MOST_GROWTH}); to the opening: {:.3}",
            to(opening)
        ))?;
        let year = kept.in_a_year(args.shops) / 1e9;
        say(&format!("{kept}: {year:.1} GB in a year of hourly rounds"))?;
        if !lost.is_empty() {
            say(&format!("not heard of in the last hour: {}", lost.join(", ")))?;
        }
        say(&format!("{} hours took {:.0} s", args.hours, watch.secs()))?;
    }
    Ok(passed)
}

/// The system's allocator takes its settings from the environment, before `main`: this program once more, with those of the
/// coordinator's unit.
fn again_as_a_service() -> anyhow::Result<bool> {
    let status = Command::new(std::env::current_exe()?)
        .args(std::env::args_os().skip(1))
        .envs(ALLOCATOR)
        .status()
        .context("can't start this program again with the settings of the coordinator's unit")?;
    match status.code() {
        Some(0) => Ok(true),
        Some(1) => Ok(false),
        _ => anyhow::bail!("the soak did not come to its end ({status})"),
    }
}

/// What came of it.
struct Day {
    rows: Vec<Row>,
    kept: Kept,
    /// Shops that were not heard of in the last hour.
    lost: Vec<String>,
}

async fn day(args: &SoakArgs, watch: Stopwatch) -> anyhow::Result<Day> {
    let net = Net::new(args.seed, START);
    let pace = Duration::from_secs(60 * args.pace);
    let setting = Setting {
        shops: args.shops as usize,
        users: 1,
        items: 40,
        columns: 8,
        // More than fit into the day: the run goes on.
        rounds: 1 + 2 * (1 + args.hours) * 60 / args.pace,
        quorum: args.shops as usize / 2,
        deadline: 2 * pace,
        upload_after: None,
    };
    let federation = Federation::new(&net, &setting)?;
    let mut serving = federation.serve();
    let tally = Arc::new(Tally::new(setting.shops));
    let common = Arc::new(Common::new(&federation, &setting, Arc::clone(&tally), pace)?);
    let mut shops = JoinSet::new();
    for (number, shop) in federation.shops.iter().enumerate() {
        let luck = stream(args.seed, &format!("what befalls shop {number}"));
        shops.spawn(Shop::new(number, shop, Arc::clone(&common), luck)?.live());
    }
    let mut gauge = Gauge::new(federation.home.clone(), Arc::clone(&tally), Arc::clone(&net));
    let mut rows = Vec::new();
    for hour in 0..=args.hours {
        let row = tokio::select! {
            row = gauge.hour(hour) => row?,
            ended = shops.join_next() => {
                return Err(ended.context("there are shops")??.err().context("a shop ended")?);
            }
            ended = serving.wait() => {
                ended?;
                anyhow::bail!("the coordinator ended before its day was over");
            }
        };
        if !args.json && hour == 0 {
            say(crate::load::gauge::HEAD)?;
        }
        if args.json {
            tell(&format!("{} ({:.0} s)", row.line(), watch.secs()));
        } else {
            say(&row.line())?;
        }
        rows.push(row);
    }
    let lost = tally.silent_since(net.now() - Duration::from_secs(3600));
    shops.shutdown().await;
    serving.stop().await?;
    let published = rows.last().map_or(0, |row| row.rounds);
    ensure!(published > 0, "no round was published");
    let kept = Kept::of(&federation.home)?;
    Ok(Day { rows, kept, lost })
}

/// As `deploy/systemd/souk-coordinator.service` has them: what is freed goes back to the system. Without them the allocator
/// keeps the room of large blocks between small ones, some tenth of all over a day.
const ALLOCATOR: [(&str, &str); 3] = [
    ("MALLOC_ARENA_MAX", "1"),
    ("MALLOC_MMAP_THRESHOLD_", "131072"),
    ("MALLOC_TRIM_THRESHOLD_", "131072"),
];
/// Any day in which nothing expires.
const START: Timestamp = Timestamp(1_800_000_000_000);
const MOST_GROWTH: f64 = 1.05;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_allocators_settings_are_those_of_the_coordinators_unit() {
        let unit = include_str!("../../../deploy/systemd/souk-coordinator.service");
        for (name, value) in ALLOCATOR {
            let line = format!("Environment={name}={value}");
            assert!(unit.lines().any(|found| found == line), "{line}");
        }
    }
}
