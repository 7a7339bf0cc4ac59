//! The folders of a federation on this machine, and the programs' commands that fill them and ask them.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender};
use std::time::Duration;

use anyhow::{Context, ensure};
use serde::Deserialize;
use souk_client::folder::Folder;
use souk_client::membership::Membership;
use souk_common::clock::Stopwatch;
use souk_common::ids::ShopName;
use souk_common::secagg::records::fingerprint;

use crate::processes::{Line, Process, next_line, output};

/// One folder with the coordinator's, the shops' and their logs.
#[derive(Debug)]
pub(crate) struct Folders {
    dir: PathBuf,
    shops: Vec<ShopName>,
}

/// What `souk-coordinator status --json` says, as far as it is needed here.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Status {
    pub(crate) state: String,
    pub(crate) rounds_published: u64,
    pub(crate) model_hash: String,
    pub(crate) process_id: u32,
    pub(crate) bytes_received: u64,
    pub(crate) bytes_sent: u64,
    pub(crate) connections: Vec<Connection>,
}

/// One shop's connections, as the coordinator saw them.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Connection {
    pub(crate) shop: ShopName,
    pub(crate) fingerprint: String,
    pub(crate) process_id: u32,
    pub(crate) bytes_received: u64,
    pub(crate) bytes_sent: u64,
}

/// What `souk-client budget --json` says, as far as it is needed here.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Budget {
    pub(crate) epsilon: Option<f64>,
    pub(crate) epsilon_readers: Option<f64>,
    pub(crate) epsilon_if_alone: Option<f64>,
    pub(crate) delta: f64,
    pub(crate) unit: String,
    pub(crate) relation: String,
    pub(crate) rounds_charged: u64,
    pub(crate) model_hash: Option<String>,
}

impl Folders {
    /// Makes the coordinator's folder in `dir`, which holds `plan.toml`, `items.csv` and, for each shop,
    /// `data/NAME/orders.csv`.
    pub(crate) fn make(dir: &Path, shops: &[ShopName]) -> anyhow::Result<Self> {
        let folders = Self {
            dir: dir.to_owned(),
            shops: shops.to_vec(),
        };
        fs::create_dir_all(dir.join("logs")).context("can't create the folder for logs")?;
        let home = text(&folders.home());
        output([
            "coordinator",
            "init",
            &home,
            "--name",
            "demo",
            "--address",
            ANY_PORT,
        ])?;
        let items = text(&dir.join("items.csv"));
        output(["coordinator", "catalogue", "import", &items, "--dir", &home])?;
        Ok(folders)
    }

    /// The shops, in the plan's order.
    pub(crate) fn shops(&self) -> &[ShopName] {
        &self.shops
    }

    /// The coordinator's folder.
    pub(crate) fn home(&self) -> PathBuf {
        self.dir.join("coordinator")
    }

    /// A shop's folder.
    pub(crate) fn shop_dir(&self, shop: &ShopName) -> PathBuf {
        self.dir.join("shops").join(shop.as_str())
    }

    /// Where a program's complaints go.
    pub(crate) fn log(&self, program: &str) -> PathBuf {
        self.dir.join(format!("logs/{program}.log"))
    }

    /// Starts the coordinator, to listen at `address`; `flags` go to `serve`.
    pub(crate) fn serve(
        &self,
        address: &str,
        flags: &[&str],
        lines: &Sender<Line>,
    ) -> anyhow::Result<Process> {
        let (home, plan) = (text(&self.home()), text(&self.dir.join("plan.toml")));
        let serve = ["coordinator", "serve", "--dir", &home, "--plan", &plan];
        let args = serve.into_iter().chain(["--listen", address]);
        let args = args.chain(flags.iter().copied());
        Process::start(COORDINATOR, args, &self.log(COORDINATOR), lines)
    }

    /// Starts a shop's `run` with `flags`.
    pub(crate) fn run(
        &self,
        shop: &ShopName,
        flags: &[&str],
        lines: &Sender<Line>,
    ) -> anyhow::Result<Process> {
        let home = text(&self.shop_dir(shop));
        let run = ["client", "run", "--dir", &home];
        let args = run.into_iter().chain(flags.iter().copied());
        Process::start(shop.as_str(), args, &self.log(shop.as_str()), lines)
    }

    /// Lets every shop join with a one-time code, and confirm the keys of all others.
    pub(crate) fn join_all(&self) -> anyhow::Result<()> {
        self.shops.iter().try_for_each(|shop| self.join(shop))?;
        self.shops.iter().try_for_each(|shop| self.confirm_others(shop))
    }

    /// The coordinator's own account.
    pub(crate) fn status(&self) -> anyhow::Result<Status> {
        let said = output(["coordinator", "status", "--json", "--dir", &text(&self.home())])?;
        serde_json::from_str(&said)
            .with_context(|| format!("the coordinator's status is not as expected: {said}"))
    }

    /// A shop's own account of what it spent.
    pub(crate) fn budget(&self, shop: &ShopName) -> anyhow::Result<Budget> {
        let said = output(["client", "budget", "--json", "--dir", &text(&self.shop_dir(shop))])?;
        serde_json::from_str(&said)
            .with_context(|| format!("the budget of {shop} is not as expected: {said}"))
    }

    /// What was published last.
    pub(crate) fn published(&self) -> anyhow::Result<Vec<u8>> {
        let file = self.dir.join("published");
        let home = text(&self.home());
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
    pub(crate) fn recommend(&self, shop: &ShopName, user: &str) -> anyhow::Result<String> {
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

    /// A link to the page of a shop's owner, while it is served.
    pub(crate) fn page_link(&self, shop: &ShopName) -> anyhow::Result<String> {
        let said = output(["client", "page", "--dir", &text(&self.shop_dir(shop))])?;
        Ok(said.trim().to_owned())
    }

    fn join(&self, shop: &ShopName) -> anyhow::Result<()> {
        #[derive(Deserialize)]
        struct Invitation {
            code: String,
        }
        let home = text(&self.home());
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

    /// The owner of `shop` confirms the keys of all others. Real owners read their fingerprints to each other; here all are at
    /// one table, and each folder has its own.
    fn confirm_others(&self, shop: &ShopName) -> anyhow::Result<()> {
        let home = text(&self.shop_dir(shop));
        let mut args = vec!["client", "shops", "--dir", &home];
        let others = self.shops.iter().filter(|other| *other != shop);
        let read = |other: &ShopName| {
            let folder = Folder::new(self.shop_dir(other));
            let key = Membership::load(&folder)?.signing_identity(&folder)?.public();
            anyhow::Ok(format!("{other}={}", fingerprint(&key)))
        };
        let read = others.map(read).collect::<anyhow::Result<Vec<_>>>()?;
        read.iter()
            .for_each(|read| args.extend(["--trust", read.as_str()]));
        if self.shops.len() > 1 {
            output(args)?;
        }
        Ok(())
    }
}

/// Waits for the line with which `coordinator` says where it listens.
pub(crate) fn wait_until_listening(
    coordinator: &mut Process,
    lines: &Receiver<Line>,
) -> anyhow::Result<String> {
    let watch = Stopwatch::start();
    loop {
        let line = next_line(lines, POLL).filter(|line| line.process == COORDINATOR);
        if let Some(address) = line.and_then(|line| line.text.strip_prefix(LISTENING).map(str::to_owned)) {
            return Ok(address);
        }
        ensure!(!coordinator.check()?, "the coordinator ended before it listened");
        ensure!(
            watch.secs() < START.as_secs_f64(),
            "the coordinator did not listen within {START:?}"
        );
    }
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

/// What the coordinator's process is called.
pub(crate) const COORDINATOR: &str = "coordinator";
/// An address on this machine, with whatever port is free.
pub(crate) const ANY_PORT: &str = "127.0.0.1:0";
const LISTENING: &str = "listening on ";
const POLL: Duration = Duration::from_millis(100);
const START: Duration = Duration::from_secs(30);
