//! What a coordinator's process holds while shops fetch a model of ten million parameters and send it updates: its peak,
//! minus an idle coordinator whose as many shops have been through a round of next to no model and are still connected:
//! the model itself counts, what a connection costs anyway does not.

use std::fs;
use std::time::Duration;

use anyhow::Context;
use souk_common::terminal::tell;
use souk_coordinator::folder::Limits;
use tokio::runtime::Runtime;

use super::rounds::runtime;
use super::row::Row;
use crate::load::raw_shops::Shops;
use crate::processes::site::{Setting, Site};

/// `coordinator_memory_100x10m` with plain averaging and with Adam, each beside the same with a tenth of the shops.
pub(super) fn rows(short: bool) -> anyhow::Result<Vec<Row>> {
    let runtime = runtime()?;
    let (few, many) = if short { (10, 20) } else { (10, 100) };
    let limits = Limits::default();
    let mut rows = Vec::new();
    for (suffix, adam, most) in [("", false, 3.0), ("_adam", true, 5.0)] {
        let name = |shops: usize| format!("coordinator_memory_{shops}x10m{suffix}");
        let (small, large) = (peak(&runtime, few, adam)?, peak(&runtime, many, adam)?);
        let bound = limits.memory(MODEL_BYTES as u64, many as u64).total_bytes;
        let ratio = large.models() / small.models();
        rows.push(small.row(name(few)));
        rows.push(
            large
                .row(name(many))
                .ratio(ratio, name(few))
                .bound(large.models() <= most, format!("at most {most} models"))
                .bound(
                    (ratio - 1.0).abs() <= 0.05,
                    format!("within 5 % of that of {few} shops"),
                )
                .bound(
                    large.most_sending <= limits.max_concurrent_uploads,
                    format!(
                        "at most {} updates on their way, as configured; others wait",
                        limits.max_concurrent_uploads
                    ),
                )
                .bound(
                    large.round.max(large.start) <= bound,
                    format!("at most {bound} bytes, as the limits and the model add up to"),
                ),
        );
    }
    Ok(rows)
}

/// A coordinator's memory, in bytes.
struct Peak {
    /// An idle coordinator's, with as many shops connected, after a round of next to no model.
    idle: u64,
    /// Its largest from its start until it listened.
    start: u64,
    /// Its largest from then until the round was published.
    round: u64,
    most_sending: usize,
}

impl Peak {
    fn models(&self) -> f64 {
        self.round.max(self.start).saturating_sub(self.idle) as f64 / MODEL_BYTES
    }

    fn row(&self, name: String) -> Row {
        let limits = Limits::default();
        let models = |bytes: u64| bytes.saturating_sub(self.idle) as f64 / MODEL_BYTES;
        Row::new(name, self.models(), "models")
            .with("idle_bytes", self.idle)
            .with("start_models", models(self.start))
            .with("round_models", models(self.round))
            .with("most_uploads_at_once", self.most_sending)
            .with("max_concurrent_uploads", limits.max_concurrent_uploads)
            .with("max_concurrent_downloads", limits.max_concurrent_downloads)
    }
}

fn peak(runtime: &Runtime, shops: usize, adam: bool) -> anyhow::Result<Peak> {
    tell(&format!(
        "  {shops} shops, {} ...",
        if adam { "adam" } else { "plain averaging" }
    ));
    let setting = Setting {
        shops,
        parameters: PARAMETERS,
        rounds: 1,
        adam,
        keep_parts: 0,
        at_once: None,
        masking: None,
    };
    let small = Site::new(&Setting {
        parameters: 1,
        ..setting.clone()
    })?;
    let serving = small.serve()?;
    let idle = runtime.block_on(async {
        let shops = Shops::connect(&small, serving.address, 2).await?;
        shops.run().await?;
        // Nothing is on its way any more.
        tokio::time::sleep(SETTLE).await;
        status(serving.id(), "VmRSS")
    })?;
    drop(serving);
    let site = Site::new(&setting)?;
    let serving = site.serve()?;
    let start = high_water(serving.id())?;
    forget_high_water(serving.id());
    let (round, most_sending) = runtime.block_on(async {
        let shops = Shops::connect(&site, serving.address, PARAMETERS + 1).await?;
        let seen = shops.run().await?;
        // Before the shops go, and the coordinator with them.
        anyhow::Ok((high_water(serving.id())?, seen.most_sending))
    })?;
    serving.wait()?;
    Ok(Peak {
        idle,
        start,
        round,
        most_sending,
    })
}

/// The most memory that a process held since its start, or since it was made to forget.
fn high_water(process: u32) -> anyhow::Result<u64> {
    status(process, "VmHWM")
}

/// Bytes in a line of what Linux tells of a process.
pub(crate) fn status(process: u32, key: &str) -> anyhow::Result<u64> {
    let path = format!("/proc/{process}/status");
    let text = fs::read_to_string(&path)
        .with_context(|| format!("can't read {path}; memory is measured on Linux only"))?;
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix(key)?.strip_prefix(':'));
    let kilobytes = line.and_then(|line| line.trim().strip_suffix(" kB"));
    let kilobytes: u64 = kilobytes
        .and_then(|number| number.trim().parse().ok())
        .with_context(|| format!("{path} has no {key} in kB"))?;
    Ok(kilobytes * 1024)
}

/// Where the system does not allow it, the start counts into the round.
fn forget_high_water(process: u32) {
    let _ = fs::write(format!("/proc/{process}/clear_refs"), "5");
}

const PARAMETERS: usize = 10_000_000;
const MODEL_BYTES: f64 = 4.0 * PARAMETERS as f64;
const SETTLE: Duration = Duration::from_secs(1);
