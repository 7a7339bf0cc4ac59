//! A federation on the virtual network: the coordinator's `serve` and shops' `run` as the programs have them, stores on disk
//! included.

use std::fs;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::Context as _;
use souk_client::config::ShopConfig;
use souk_client::folder::Folder;
use souk_client::membership::Membership;
use souk_client::run::StopRules;
use souk_common::catalogue::{Catalogue, Item};
use souk_common::clock::{Clock, Timestamp};
use souk_common::crypto::pki::shop_key;
use souk_common::ids::ShopName;
use souk_common::params::Epsilon;
use souk_common::plan::Plan;
use souk_common::rng::secret_bytes;
use souk_common::storage::write_whole;
use souk_coordinator::folder::FederationFolder;
use souk_coordinator::membership::registry::{Applicant, enrol, invite};
use souk_coordinator::serve::{Options, ServeError, run_on};
use souk_coordinator::store::Store;
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::{Host, Net, lock};

/// What a federation is made for.
#[derive(Clone, Debug)]
pub struct Setting {
    /// Shops, all of which are members.
    pub shops: usize,
    /// Customers of each.
    pub users: usize,
    /// Items in the catalogue.
    pub items: usize,
    /// Numbers by which the model describes each.
    pub columns: usize,
    /// Rounds to publish.
    pub rounds: u64,
    /// Least updates to publish.
    pub quorum: usize,
    /// When a round ends at the latest.
    pub deadline: Duration,
    /// When updates leave; none: as soon as they are ready.
    pub upload_after: Option<Duration>,
}

/// A coordinator's folder and its shops' folders.
pub struct Federation {
    dir: TempDir,
    net: Arc<Net>,
    plan: Plan,
    /// The coordinator's folder.
    pub home: FederationFolder,
    /// The machine it runs on.
    pub coordinator: Arc<Host>,
    /// Its shops.
    pub shops: Vec<VirtualShop>,
}

/// A member, with a machine of its own.
pub struct VirtualShop {
    /// Its name.
    pub name: ShopName,
    /// Its folder.
    pub folder: Folder,
    /// The machine it runs on.
    pub host: Arc<Host>,
}

/// A program that runs.
pub struct Running<E> {
    stop: CancellationToken,
    task: JoinHandle<Result<(), E>>,
    said: Arc<Mutex<Vec<(Timestamp, String)>>>,
}

impl Federation {
    /// Makes folders, keys and memberships.
    ///
    /// # Errors
    /// Of the file system, or when the numbers make no plan.
    pub fn new(net: &Arc<Net>, setting: &Setting) -> anyhow::Result<Self> {
        let dir = tempfile::tempdir().context("can't create a temporary folder")?;
        let (home, coordinator) = (FederationFolder::new(dir.path().join("coordinator")), net.host());
        let (now, address) = (net.clock().now(), format!("{}:{PORT}", coordinator.address()));
        home.init(now, "netsim", &address, &address)?;
        let item = |item: usize| Item::bare(item.to_string());
        home.set_catalogue(&Catalogue::new((0..setting.items).map(item).collect())?)?;
        let mut federation = Self {
            net: Arc::clone(net),
            plan: setting.plan()?,
            home,
            coordinator,
            shops: Vec::new(),
            dir,
        };
        let mut store = Store::open(federation.home.path(), None)?;
        for number in 0..setting.shops {
            let shop = federation.member(&mut store, &name(number)?, setting)?;
            federation.shops.push(shop);
        }
        Ok(federation)
    }

    /// The plan that its shops are members for.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Starts the coordinator; it ends by itself when all rounds are published and every shop knows.
    pub fn serve(&self) -> Running<ServeError> {
        self.serve_plan(&self.plan, false)
    }

    /// The same with any plan, in place of what was before if `new_run` says so.
    pub fn serve_plan(&self, plan: &Plan, new_run: bool) -> Running<ServeError> {
        let options = Options {
            plan: plan.clone(),
            listen: None,
            exit_when_finished: true,
            new_run,
        };
        let (stop, said) = (CancellationToken::new(), Arc::default());
        let shutdown = stop.clone().cancelled_owned();
        let platform = self.coordinator.platform();
        let report = self.listen(&said);
        let task = tokio::spawn(run_on(platform, self.home.clone(), options, shutdown, report));
        Running { stop, task, said }
    }

    /// Starts a shop; it ends by itself when it has the last model.
    pub fn run(&self, shop: &VirtualShop) -> Running<anyhow::Error> {
        let ends = StopRules {
            when_finished: true,
            after_alone: None,
        };
        self.run_until(shop, ends)
    }

    /// The same; it ends by itself as `ends` says.
    pub fn run_until(&self, shop: &VirtualShop, ends: StopRules) -> Running<anyhow::Error> {
        let (stop, said) = (CancellationToken::new(), Arc::default());
        let (folder, platform, shutdown) = (
            shop.folder.clone(),
            shop.host.platform(),
            stop.clone().cancelled_owned(),
        );
        let tell = self.listen(&said);
        let task =
            tokio::spawn(
                async move { souk_client::run::run_on(platform, &folder, ends, shutdown, tell).await },
            );
        Running { stop, task, said }
    }

    fn listen(&self, said: &Arc<Mutex<Vec<(Timestamp, String)>>>) -> impl Fn(&str) + Send + Sync + 'static {
        let (said, clock) = (Arc::clone(said), self.net.clock());
        move |line| lock(&said).push((clock.now(), line.to_owned()))
    }

    fn member(&self, store: &mut Store, name: &ShopName, setting: &Setting) -> anyhow::Result<VirtualShop> {
        let now = self.net.clock().now();
        let folder = Folder::new(self.dir.path().join(name.as_str()));
        let (authority, (key, request)) = (self.home.authority()?, shop_key()?);
        let certificate = authority.issue_shop(&request, name, now)?;
        let secret = secret_bytes()?;
        invite(store, now, name, &secret)?;
        enrol(
            store,
            now,
            name,
            &certificate,
            Applicant {
                secret: &secret,
                from: None,
            },
        )?;
        write_whole(&folder.key(), &key, true)?;
        Membership {
            shop: name.clone(),
            address: self.home.config()?.address,
            ca: authority.certificate().to_vec(),
            certificate,
            signing_key: self.home.signing_key()?.public().to_vec(),
            joined_at: now,
            left_at: None,
            other_cas: Vec::new(),
            authorities: 0,
            former_certificate: None,
        }
        .store(&folder)?;
        fs::write(folder.path().join("orders.csv"), setting.orders())?;
        fs::write(folder.config(), toml::to_string(&config()?)?)?;
        Ok(VirtualShop {
            name: name.clone(),
            folder,
            host: self.net.host(),
        })
    }
}

impl<E> Running<E> {
    /// Lets it stop, and waits until it has.
    ///
    /// # Errors
    /// Those it ended with.
    pub async fn stop(&mut self) -> Result<(), E> {
        self.stop.cancel();
        self.wait().await
    }

    /// Waits for its end, once.
    ///
    /// # Errors
    /// Those it ended with.
    ///
    /// # Panics
    /// When it panicked.
    pub async fn wait(&mut self) -> Result<(), E> {
        (&mut self.task)
            .await
            .expect("a program of the simulation panicked")
    }

    /// What it has said so far, and when.
    pub fn said(&self) -> Vec<(Timestamp, String)> {
        lock(&self.said).clone()
    }
}

impl Setting {
    /// The plan.
    ///
    /// # Errors
    /// When the numbers make none.
    pub fn plan(&self) -> anyhow::Result<Plan> {
        let mut text = format!(
            "name = \"netsim\"\nrounds = {}\n[model]\nkind = \"mf\"\ngmf_dim = {}\nitem_bias = false\n[train]\n\
             solver = \"ials\"\nalpha = 0.1\nlambda = 1.0\n[privacy]\nclip_norm = 1.0\nnoise_multiplier = 4.0\n\
             sampling_rate = 0.5\n[cohort]\nquorum = {}\ndeadline = \"{}\"\n[server]\noptimiser = \"adam\"\n\
             learning_rate = 0.05\n",
            self.rounds,
            self.columns,
            self.quorum,
            humantime::format_duration(self.deadline),
        );
        if let Some(after) = self.upload_after {
            let line = format!(
                "upload_after = \"{}\"\n[server]",
                humantime::format_duration(after)
            );
            text = text.replace("[server]", &line);
        }
        for number in 0..self.shops {
            text += &format!("[[shops]]\nname = \"{}\"\ndeclared_users = 100\n", name(number)?);
        }
        Ok(Plan::from_toml(&text)?)
    }

    fn orders(&self) -> String {
        let mut text = String::from("user_id,item_id,timestamp\n");
        for user in 0..self.users {
            for step in 0..5 {
                let item = (user * 7 + step * 3) % self.items;
                text += &format!("{user},{item},{}\n", 1_700_000_000 + 86_400 * step);
            }
        }
        text
    }
}

/// An owner who lets everything pass: a simulation goes on for longer than a budget would.
fn config() -> anyhow::Result<ShopConfig> {
    let mut config = ShopConfig::default();
    config.policy.max_epsilon = Epsilon::new(1e9)?;
    Ok(config)
}

fn name(number: usize) -> anyhow::Result<ShopName> {
    Ok(format!("shop-{number}").parse()?)
}

const PORT: u16 = 4433;
