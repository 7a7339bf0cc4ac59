//! A federation of real processes in one folder: made, joined, run to its end, and asked for its records.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use anyhow::{Context, ensure};
use serde::Deserialize;
use souk_common::clock::Stopwatch;
use souk_common::ids::ShopName;

use super::processes::{Line, Process, next_line, output};

/// Where a federation keeps its things.
pub(super) struct Federation {
    dir: PathBuf,
    shops: Vec<ShopName>,
    coordinator: Process,
    running: Vec<Process>,
    lines: Receiver<Line>,
    lines_in: Sender<Line>,
}

/// What `souk-coordinator status --json` says, as far as the demo needs it.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Status {
    pub(super) state: String,
    pub(super) rounds_published: u64,
    pub(super) model_hash: String,
    pub(super) process_id: u32,
    pub(super) bytes_received: u64,
    pub(super) bytes_sent: u64,
    pub(super) connections: Vec<Connection>,
    /// How the model before the last round ranked, by the counts under masks.
    pub(super) quality: Option<Counted>,
}

/// Quality counts, as the coordinator decoded them.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Counted {
    pub(super) hit_rate_at_10: Option<f64>,
    pub(super) noise_stddev: Option<f64>,
}

/// One shop's connections, as the coordinator saw them.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Connection {
    pub(super) shop: ShopName,
    pub(super) fingerprint: String,
    pub(super) process_id: u32,
    pub(super) bytes_received: u64,
    pub(super) bytes_sent: u64,
}

/// What `souk-client budget --json` says, as far as the demo needs it.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Budget {
    pub(super) epsilon: Option<f64>,
    pub(super) epsilon_readers: Option<f64>,
    pub(super) epsilon_if_alone: Option<f64>,
    pub(super) delta: f64,
    pub(super) unit: String,
    pub(super) relation: String,
    pub(super) rounds_charged: u64,
    pub(super) model_hash: Option<String>,
}

impl Federation {
    /// Makes a federation in `dir`, starts its coordinator, and lets every shop join with a one-time code.
    ///
    /// `dir` holds `plan.toml`, `items.csv` and, for each shop, `data/NAME/orders.csv`.
    pub(super) fn start(dir: &Path, shops: &[ShopName]) -> anyhow::Result<Self> {
        let home = dir.join("coordinator");
        fs::create_dir_all(dir.join("logs")).context("can't create the folder for logs")?;
        let said = text(&home);
        output([
            "coordinator",
            "init",
            &said,
            "--name",
            "demo",
            "--address",
            "127.0.0.1:0",
        ])?;
        output([
            "coordinator",
            "catalogue",
            "import",
            &text(&dir.join("items.csv")),
            "--dir",
            &said,
        ])?;
        let (lines_in, lines) = channel();
        let serve = [
            "coordinator",
            "serve",
            "--dir",
            &said,
            "--plan",
            &text(&dir.join("plan.toml")),
            "--listen",
            "127.0.0.1:0",
            "--exit-when-finished",
        ];
        let coordinator = Process::start("coordinator", serve, &dir.join("logs/coordinator.log"), &lines_in)?;
        let mut federation = Self {
            dir: dir.to_owned(),
            shops: shops.to_vec(),
            coordinator,
            running: Vec::new(),
            lines,
            lines_in,
        };
        federation.wait_until_listening()?;
        for shop in shops {
            federation.join(shop)?;
        }
        for shop in shops {
            federation.confirm_others(shop)?;
        }
        Ok(federation)
    }

    /// Runs every shop as a process until the coordinator has published all rounds; `on_round` sees each round's line.
    pub(super) fn run(&mut self, most: Duration, mut on_round: impl FnMut(u64, &str)) -> anyhow::Result<()> {
        for shop in &self.shops {
            let home = text(&self.shop_dir(shop));
            let log = self.dir.join(format!("logs/{shop}.log"));
            let args = ["client", "run", "--dir", &home, "--exit-when-finished"];
            self.running
                .push(Process::start(shop.as_str(), args, &log, &self.lines_in)?);
        }
        let watch = Stopwatch::start();
        loop {
            if let Some(line) = next_line(&self.lines, POLL) {
                if line.process == "coordinator"
                    && let Some(round) = round_of(&line.text)
                {
                    on_round(round, &line.text);
                }
                continue;
            }
            for process in &mut self.running {
                process.check()?;
            }
            if self.coordinator.check()? {
                break;
            }
            ensure!(
                watch.secs() < most.as_secs_f64(),
                "the federation did not finish within {most:?}"
            );
        }
        self.running
            .iter_mut()
            .try_for_each(|process| process.wait(SHUTDOWN))
    }

    /// Process ids: the coordinator's, then the shops' in order.
    pub(super) fn process_ids(&self) -> Vec<u32> {
        std::iter::once(self.coordinator.id())
            .chain(self.running.iter().map(Process::id))
            .collect()
    }

    /// A shop's folder.
    pub(super) fn shop_dir(&self, shop: &ShopName) -> PathBuf {
        self.dir.join("shops").join(shop.as_str())
    }

    /// The coordinator's own account.
    pub(super) fn status(&self) -> anyhow::Result<Status> {
        let said = output([
            "coordinator",
            "status",
            "--json",
            "--dir",
            &text(&self.dir.join("coordinator")),
        ])?;
        serde_json::from_str(&said)
            .with_context(|| format!("the coordinator's status is not as expected: {said}"))
    }

    /// A shop's own account of what it spent.
    pub(super) fn budget(&self, shop: &ShopName) -> anyhow::Result<Budget> {
        let said = output(["client", "budget", "--json", "--dir", &text(&self.shop_dir(shop))])?;
        serde_json::from_str(&said)
            .with_context(|| format!("the budget of {shop} is not as expected: {said}"))
    }

    /// The last published model.
    pub(super) fn export_model(&self) -> anyhow::Result<Vec<u8>> {
        let file = self.dir.join("model.safetensors");
        let home = text(&self.dir.join("coordinator"));
        output([
            "coordinator",
            "models",
            "export",
            "--dir",
            &home,
            "--out",
            &text(&file),
        ])?;
        fs::read(&file).with_context(|| format!("can't read {}", file.display()))
    }

    /// Recommendations with reasons for one customer, as the shop's program prints them.
    pub(super) fn recommend(&self, shop: &ShopName, user: &str) -> anyhow::Result<String> {
        output([
            "client",
            "recommend",
            user,
            "-k",
            "10",
            "--explain",
            "--dir",
            &text(&self.shop_dir(shop)),
        ])
    }

    fn join(&self, shop: &ShopName) -> anyhow::Result<()> {
        #[derive(Deserialize)]
        struct Invitation {
            code: String,
        }
        let home = text(&self.dir.join("coordinator"));
        let said = output(["coordinator", "invite", shop.as_str(), "--json", "--dir", &home])?;
        let Invitation { code } = serde_json::from_str(&said).context("the invitation is not as expected")?;
        let data = text(&self.dir.join("data").join(shop.as_str()));
        output([
            "client",
            "join",
            &code,
            "--dir",
            &text(&self.shop_dir(shop)),
            "--data",
            &data,
        ])?;
        Ok(())
    }

    /// The owner of `shop` confirms the keys of all others. Real owners compare fingerprints first; here all are at one
    /// table.
    fn confirm_others(&self, shop: &ShopName) -> anyhow::Result<()> {
        let home = text(&self.shop_dir(shop));
        let mut args = vec!["client", "shops", "--dir", &home];
        let others = self.shops.iter().filter(|other| *other != shop);
        others.for_each(|other| args.extend(["--trust", other.as_str()]));
        if self.shops.len() > 1 {
            output(args)?;
        }
        Ok(())
    }

    fn wait_until_listening(&mut self) -> anyhow::Result<()> {
        let watch = Stopwatch::start();
        loop {
            if let Some(line) = next_line(&self.lines, POLL)
                && line.text.starts_with("listening on ")
            {
                return Ok(());
            }
            ensure!(
                !self.coordinator.check()?,
                "the coordinator ended before it listened"
            );
            ensure!(
                watch.secs() < START.as_secs_f64(),
                "the coordinator did not listen within {START:?}"
            );
        }
    }
}

/// `round 3/60 ...` -> 3.
fn round_of(line: &str) -> Option<u64> {
    line.strip_prefix("round ")?
        .split(['/', ' '])
        .next()?
        .parse()
        .ok()
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

const POLL: Duration = Duration::from_millis(100);
const START: Duration = Duration::from_secs(30);
const SHUTDOWN: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_lines_about_a_round_have_a_round() {
        assert_eq!(round_of("round 3/60 published"), Some(3));
        assert_eq!(round_of("listening on 127.0.0.1:1"), None);
        assert_eq!(round_of("round x/60"), None);
    }
}
