//! What a soak measures: memory every minute, everything else every hour.

use std::path::Path;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use std::{fmt, fs};

use anyhow::{Context as _, bail};
use plotters::prelude::{ChartBuilder, IntoDrawingArea, LineSeries, RGBColor, SVGBackend, WHITE};
use serde::Serialize;
use souk_common::clock::Timestamp;
use souk_common::round::statements::{Outcome, RejectCode};
use souk_coordinator::control::{Answer, Question, ask};
use souk_coordinator::folder::FederationFolder;
use souk_coordinator::store::{Entry, Store};
use tokio::time::sleep;

use crate::bench::memory::status;
use crate::virtual_net::Net;

/// What the shops count.
pub(crate) struct Tally {
    connected: AtomicI64,
    dials: AtomicU64,
    updates: AtomicU64,
    refused: AtomicU64,
    rejoined: AtomicU64,
    last: Vec<Mutex<Timestamp>>,
}

/// An hour.
#[derive(Debug, Serialize)]
pub(crate) struct Row {
    hour: u64,
    /// Median of the hour's minutes.
    pub(crate) rss_bytes: u64,
    /// The most of any minute.
    most_rss_bytes: u64,
    /// All below are totals since the start, or at this moment.
    pub(crate) rounds: u64,
    connected: i64,
    dials: u64,
    rejoined: u64,
    updates: u64,
    refused: u64,
    store_bytes: u64,
    file_bytes: u64,
    log_entries: u64,
    datagrams: u64,
}

pub(crate) struct Gauge {
    home: FederationFolder,
    tally: Arc<Tally>,
    net: Arc<Net>,
}

/// A connection that stands while it is held.
pub(crate) struct Open<'a>(&'a Tally);

impl Tally {
    pub(crate) fn new(shops: usize) -> Self {
        Self {
            connected: AtomicI64::new(0),
            dials: AtomicU64::new(0),
            updates: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            rejoined: AtomicU64::new(0),
            last: (0..shops).map(|_| Mutex::default()).collect(),
        }
    }

    pub(crate) fn open(&self) -> Open<'_> {
        self.dials.fetch_add(1, Ordering::Relaxed);
        self.connected.fetch_add(1, Ordering::Relaxed);
        Open(self)
    }

    pub(crate) fn counted(&self, shop: usize, now: Timestamp) {
        self.updates.fetch_add(1, Ordering::Relaxed);
        if let Some(last) = self.last.get(shop) {
            *last.lock().unwrap_or_else(PoisonError::into_inner) = now;
        }
    }

    pub(crate) fn refused(&self, code: RejectCode) {
        tracing::debug!(?code, "an update was refused");
        self.refused.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn rejoined(&self) {
        self.rejoined.fetch_add(1, Ordering::Relaxed);
    }

    /// Shops that had no receipt since then.
    pub(crate) fn silent_since(&self, then: Timestamp) -> Vec<String> {
        let silent = |last: &Mutex<Timestamp>| *last.lock().unwrap_or_else(PoisonError::into_inner) < then;
        let all = self.last.iter().enumerate();
        all.filter(|(_, last)| silent(last))
            .map(|(number, _)| format!("shop-{number}"))
            .collect()
    }
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.0.connected.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Gauge {
    pub(crate) fn new(home: FederationFolder, tally: Arc<Tally>, net: Arc<Net>) -> Self {
        Self { home, tally, net }
    }

    /// Measures an hour, from now on.
    pub(crate) async fn hour(&mut self, hour: u64) -> anyhow::Result<Row> {
        let mut minutes = Vec::new();
        for _ in 0..60 {
            sleep(Duration::from_secs(60)).await;
            minutes.push(status(std::process::id(), "VmRSS")?);
        }
        minutes.sort_unstable();
        // As the operator would ask.
        let home = self.home.clone();
        let answer = tokio::task::spawn_blocking(move || ask(&home, &Question::Status)).await??;
        let Answer::Status(stands) = answer.context("the coordinator takes no commands")?? else {
            bail!("the coordinator answered something else than a status");
        };
        let tally = &self.tally;
        Ok(Row {
            hour,
            rss_bytes: minutes[minutes.len() / 2],
            most_rss_bytes: minutes[minutes.len() - 1],
            rounds: stands.rounds_published,
            connected: tally.connected.load(Ordering::Relaxed),
            dials: tally.dials.load(Ordering::Relaxed),
            rejoined: tally.rejoined.load(Ordering::Relaxed),
            updates: tally.updates.load(Ordering::Relaxed),
            refused: tally.refused.load(Ordering::Relaxed),
            store_bytes: fs::metadata(self.home.path().join("coordinator.redb"))?.len(),
            file_bytes: bytes_below(&self.home.path().join("files"))?
                + bytes_below(&self.home.path().join("private"))?,
            log_entries: stands.log.length,
            datagrams: self.net.datagrams(),
        })
    }
}

impl Row {
    /// A line of the table.
    pub(crate) fn line(&self) -> String {
        let mb = |bytes: u64| bytes as f64 / 1e6;
        format!(
            "{:4} {:8.2} {:8.2} {:7} {:9} {:7} {:8} {:8} {:7} {:9.2} {:9.2} {:8} {:10.2}",
            self.hour,
            mb(self.rss_bytes),
            mb(self.most_rss_bytes),
            self.rounds,
            self.connected,
            self.dials,
            self.rejoined,
            self.updates,
            self.refused,
            mb(self.store_bytes),
            mb(self.file_bytes),
            self.log_entries,
            self.datagrams as f64 / 1e6,
        )
    }
}

/// What stays in the store for ever, in bytes of its records; the file has them with up to as much room again.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Kept {
    /// For each update: its receipt, and the same in the record.
    per_update: f64,
    /// For each update: its place in the round's manifest, which the store and the record have.
    per_update_in_manifests: f64,
    /// For each round, besides.
    per_round: f64,
}

impl Kept {
    /// Reads it off a store that nobody has open.
    pub(crate) fn of(home: &FederationFolder) -> anyhow::Result<Self> {
        let store = Store::open(home.path(), None)?;
        let (mut kept, mut updates, mut rounds) = ([0.0; 3], 0.0, 0.0);
        for record in store.log()? {
            let bytes = json_len(&record)?;
            match &record.entry {
                Entry::Received(receipt) => {
                    updates += 1.0;
                    kept[0] += bytes + json_len(receipt)?;
                }
                Entry::Ended(outcome) => {
                    rounds += 1.0;
                    if let Outcome::Published(manifest) = &outcome.body {
                        let names = json_len(&manifest.updates)?;
                        kept[1] += 2.0 * names;
                        kept[2] += 2.0 * (bytes - names);
                    }
                }
                _ => kept[2] += bytes,
            }
        }
        let [per_update, per_update_in_manifests, per_round] = kept;
        Ok(Self {
            per_update: per_update / updates,
            per_update_in_manifests: per_update_in_manifests / updates,
            per_round: per_round / rounds,
        })
    }

    /// In a year of hourly rounds, in bytes.
    pub(crate) fn in_a_year(&self, shops: u64) -> f64 {
        let rounds = 365.0 * 24.0;
        rounds * (shops as f64 * (self.per_update + self.per_update_in_manifests) + self.per_round)
    }
}

impl fmt::Display for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "the store keeps {:.0} bytes for each update, {:.0} in manifests, and {:.0} for each round",
            self.per_update, self.per_update_in_manifests, self.per_round
        )
    }
}

fn json_len(value: &impl Serialize) -> anyhow::Result<f64> {
    Ok(serde_json::to_vec(value)?.len() as f64)
}

/// Draws memory (blue) and store (grey) over the hours.
pub(crate) fn draw(rows: &[Row], path: &Path) -> anyhow::Result<()> {
    let mb = |bytes: u64| bytes as f64 / 1e6;
    let most = |row: &Row| mb(row.rss_bytes.max(row.store_bytes));
    let top = rows.iter().map(most).fold(1.0, f64::max) * 1.1;
    let hours = rows.last().map_or(1.0, |row| row.hour as f64);
    let area = SVGBackend::new(path, (720, 360)).into_drawing_area();
    let failed = |error: &dyn std::fmt::Display| anyhow::anyhow!("can't draw {}: {error}", path.display());
    area.fill(&WHITE).map_err(|error| failed(&error))?;
    let chart = ChartBuilder::on(&area)
        .margin(20)
        .build_cartesian_2d(1.0..hours, 0.0..top);
    let mut chart = chart.map_err(|error| failed(&error))?;
    let memory = rows.iter().map(|row| (row.hour, row.rss_bytes));
    let store = rows.iter().map(|row| (row.hour, row.store_bytes));
    let lines: [(_, Vec<_>); 2] = [
        (RGBColor(30, 90, 200), memory.collect()),
        (RGBColor(150, 150, 150), store.collect()),
    ];
    for (colour, points) in lines {
        let points = points.into_iter().map(|(hour, bytes)| (hour as f64, mb(bytes)));
        chart
            .draw_series(LineSeries::new(points, &colour))
            .map_err(|error| failed(&error))?;
    }
    area.present().map_err(|error| failed(&error))
}

fn bytes_below(folder: &Path) -> std::io::Result<u64> {
    let mut sum = 0;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let metadata = entry.metadata()?;
        sum += match metadata.is_dir() {
            true => bytes_below(&entry.path())?,
            false => metadata.len(),
        };
    }
    Ok(sum)
}

/// Above the table.
pub(crate) const HEAD: &str = "hour   RSS MB  most MB  rounds connected   dials rejoined  updates refused  store MB  files MB      log datagrams M";
