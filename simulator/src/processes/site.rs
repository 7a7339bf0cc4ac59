//! A real coordinator process over a federation that was made for a benchmark, in a temporary folder.

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use anyhow::{Context, ensure};
use souk_common::catalogue::{Catalogue, Item};
use souk_common::clock::{Clock, Stopwatch, SystemClock};
use souk_common::crypto::pki::shop_key;
use souk_common::ids::ShopName;
use souk_common::plan::MaskingPlan;
use souk_common::rng::secret_bytes;
use souk_common::transport::Identity;
use souk_coordinator::folder::FederationFolder;
use souk_coordinator::membership::registry::{Applicant, enrol, invite};
use souk_coordinator::store::Store;
use tempfile::TempDir;

use crate::processes::{Line, Process, next_line};

/// What a federation is made for.
#[derive(Clone, Debug)]
pub(crate) struct Setting {
    pub(crate) shops: usize,
    /// Parameters of the model, a multiple of a thousand if there are more; it has one beside them, the bias.
    pub(crate) parameters: usize,
    pub(crate) rounds: u64,
    pub(crate) adam: bool,
    pub(crate) keep_parts: u64,
    /// Uploads, and downloads, at once; none: as many as a coordinator takes if it is not told.
    pub(crate) at_once: Option<usize>,
    /// Secure aggregation.
    pub(crate) masking: Option<MaskingPlan>,
}

/// A federation whose shops are members already. Its folder goes with it.
pub(crate) struct Site {
    dir: TempDir,
    /// The coordinator's folder.
    pub(crate) home: FederationFolder,
    /// The CA's certificate.
    pub(crate) ca: Vec<u8>,
    /// Each shop's certificate and key.
    pub(crate) shops: Vec<Identity>,
    /// The plan's secure aggregation.
    pub(crate) masking: Option<MaskingPlan>,
}

/// A coordinator that serves; it ends with this.
pub(crate) struct Serving {
    process: Process,
    lines: Receiver<Line>,
    /// Where it listens.
    pub(crate) address: SocketAddr,
}

impl Site {
    /// Makes the folder, the keys and the memberships.
    pub(crate) fn new(setting: &Setting) -> anyhow::Result<Self> {
        let dir = tempfile::tempdir().context("can't create a temporary folder")?;
        let home = FederationFolder::new(dir.path().join("coordinator"));
        let now = SystemClock.now();
        home.init(now, "bench", LISTEN, LISTEN)?;
        setting.write_config(&home)?;
        home.set_catalogue(&setting.catalogue()?)?;
        let authority = home.authority()?;
        let mut store = Store::open(home.path(), None)?;
        let shops = (0..setting.shops).map(|shop| {
            let (key, request) = shop_key()?;
            let name = shop_name(shop)?;
            let certificate = authority.issue_shop(&request, &name, now)?;
            let secret = secret_bytes()?;
            invite(&mut store, now, &name, &secret)?;
            enrol(
                &mut store,
                now,
                &name,
                &certificate,
                Applicant {
                    secret: &secret,
                    from: None,
                },
            )?;
            let chain = vec![certificate];
            Ok(Identity { chain, key })
        });
        let shops = shops.collect::<anyhow::Result<_>>()?;
        fs::write(dir.path().join("plan.toml"), setting.plan()?)?;
        let ca = authority.certificate().to_vec();
        let masking = setting.masking.clone();
        Ok(Self {
            dir,
            home,
            ca,
            shops,
            masking,
        })
    }

    /// The plan's file.
    pub(crate) fn plan(&self) -> PathBuf {
        self.dir.path().join("plan.toml")
    }

    /// Starts the coordinator and waits until it listens.
    pub(crate) fn serve(&self) -> anyhow::Result<Serving> {
        let (lines_in, lines) = channel();
        let (home, plan) = (self.home.path().as_os_str(), self.plan());
        let args = [
            "coordinator".as_ref(),
            "serve".as_ref(),
            "--dir".as_ref(),
            home,
            "--plan".as_ref(),
            plan.as_os_str(),
            "--exit-when-finished".as_ref(),
        ];
        let log = self.dir.path().join("coordinator.log");
        let mut process = Process::start("the coordinator", args, &log, &lines_in)?;
        let watch = Stopwatch::start();
        loop {
            if let Some(line) = next_line(&lines, Duration::from_millis(20))
                && let Some(address) = line.text.strip_prefix("listening on ")
            {
                let address = address
                    .parse()
                    .with_context(|| format!("the coordinator listens on {address:?}"))?;
                return Ok(Serving {
                    process,
                    lines,
                    address,
                });
            }
            ensure!(!process.check()?, "the coordinator ended before it listened");
            ensure!(
                watch.secs() < START.as_secs_f64(),
                "the coordinator did not listen within {START:?}"
            );
        }
    }
}

impl Serving {
    /// Its process id.
    pub(crate) fn id(&self) -> u32 {
        self.process.id()
    }

    /// Waits for its good end.
    pub(crate) fn wait(mut self) -> anyhow::Result<()> {
        self.process.wait(END)?;
        drop(self.lines);
        Ok(())
    }
}

impl Setting {
    /// Least rows for so many parameters, so that the catalogue weighs little beside the model.
    fn rows_and_width(&self) -> (usize, usize) {
        let width = self.parameters.min(1000);
        (self.parameters / width, width)
    }

    fn catalogue(&self) -> anyhow::Result<Catalogue> {
        let item = |row: usize| Item::bare(row.to_string());
        Ok(Catalogue::new((0..self.rows_and_width().0).map(item).collect())?)
    }

    fn write_config(&self, home: &FederationFolder) -> anyhow::Result<()> {
        let path = home.path().join("coordinator.toml");
        let mut text = fs::read_to_string(&path)?;
        let at_once = self.at_once.map(|most| most as u64);
        for (key, value) in [
            ("keep_parts", Some(self.keep_parts)),
            ("max_concurrent_uploads", at_once),
            ("max_concurrent_downloads", at_once),
        ] {
            let Some(value) = value else { continue };
            let line = text.lines().find(|line| line.starts_with(&format!("# {key} =")));
            let line = line.with_context(|| format!("the sample configuration has no {key}"))?;
            text = text.replace(line, &format!("{key} = {value}"));
        }
        Ok(fs::write(&path, text)?)
    }

    fn plan(&self) -> anyhow::Result<String> {
        let mut text = format!(
            "name = \"bench\"\nrounds = {}\n[model]\nkind = \"mf\"\ngmf_dim = {}\nitem_bias = false\n[train]\n\
             solver = \"ials\"\nalpha = 0.1\nlambda = 1.0\n[privacy]\nenabled = false\nclip_norm = 1.0\n\
             sampling_rate = 1.0\n[cohort]\nquorum = {}\ndeadline = \"10m\"\n[server]\n{}learning_rate = 0.05\n",
            self.rounds,
            self.rows_and_width().1,
            self.shops,
            if self.adam {
                "optimiser = \"adam\"\n"
            } else {
                "optimiser = \"plain\"\n"
            },
        );
        if let Some(masking) = &self.masking {
            text += &format!("[masking]\n{}", toml::to_string(masking)?);
        }
        for shop in 0..self.shops {
            text += &format!(
                "[[shops]]\nname = \"{}\"\ndeclared_users = 100\n",
                shop_name(shop)?
            );
        }
        Ok(text)
    }
}

fn shop_name(shop: usize) -> anyhow::Result<ShopName> {
    Ok(format!("shop-{shop}").parse()?)
}

const LISTEN: &str = "127.0.0.1:0";
const START: Duration = Duration::from_secs(60);
const END: Duration = Duration::from_secs(60);
