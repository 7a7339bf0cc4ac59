//! A year of a federation: the catalogue grows every week, a shop joins late, the operator rolls back, a pause heals, a second run
//! follows the first, and backups are put back.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use souk_client::config::ShopConfig;
use souk_client::folder::Folder;
use souk_client::ledger::read_ledger;
use souk_client::recommend::RecommendOptions;
use souk_client::recommend::service::{Asked, ListService};
use souk_client::store::Store as ShopStore;
use souk_common::catalogue::Item;
use souk_common::ids::{AttemptId, Digest};
use souk_common::plan::Plan;
use souk_coordinator::backup;
use souk_coordinator::control::{Choice, Question, execute};
use souk_coordinator::store::{Entry, Store};
use souk_coordinator::verify;

use super::*;
use crate::virtual_net::federation::VirtualShop;

const WEEKS: u64 = 52;
const WEEK: Duration = Duration::from_secs(7 * 86_400);
/// Of which the first so many run the first plan.
const FIRST_RUN: u64 = 26;
const JOINS_LATE: u64 = 6;
const ROLLBACK: u64 = 12;
const PAUSE: u64 = 18;
const SHOP_RESTORED: u64 = 31;
const COORDINATOR_RESTORED: u64 = 40;

/// What is known of the federation from outside, week by week.
struct Year {
    federation: Federation,
    plan: Plan,
    published: u64,
    /// Where each shop's lists came from last.
    served: Vec<Option<(Digest, u64)>>,
}

impl Year {
    fn shops(&self, week: u64) -> Vec<&VirtualShop> {
        let late = |at: usize| at == 2 && week < JOINS_LATE;
        let shops = self.federation.shops.iter().enumerate();
        shops.filter(|(at, _)| !late(*at)).map(|(_, shop)| shop).collect()
    }

    fn store(&self) -> Store {
        Store::open(self.federation.home.path(), None).unwrap()
    }

    fn said(&self, what: Question) {
        execute(&self.federation.home, &what).unwrap_or_else(|error| panic!("{what:?}: {error}"));
    }

    /// One new product; every third week one is sold no more.
    fn grow(&self, week: u64) {
        let before = self.federation.home.catalogue().unwrap();
        let mut items = before.items().to_vec();
        items.retain(|item| !item.retired);
        if week.is_multiple_of(3) {
            items.remove(week as usize);
        }
        items.push(Item::bare(format!("new in week {week}")));
        let (next, changes) = before.updated(items).unwrap();
        assert_eq!(
            (changes.new.len(), changes.gone.len() as u64),
            (1, u64::from(week.is_multiple_of(3)))
        );
        self.federation.home.set_catalogue(&next).unwrap();
    }

    /// A week: coordinator and shops run until a round is published, then stop, at whatever they were.
    async fn pass(&mut self, week: u64, new_run: bool) {
        let mut serving = self.federation.serve_plan(&self.plan, new_run);
        let shops = self.shops(week);
        let mut running: Vec<_> = shops.iter().map(|shop| self.federation.run(shop)).collect();
        until(&serving, "published:").await;
        // The model reaches everybody.
        tokio::time::sleep(Duration::from_secs(20)).await;
        for shop in &mut running {
            shop.stop().await.unwrap();
        }
        serving.stop().await.unwrap();
        self.look(week);
        tokio::time::sleep(WEEK).await;
    }

    /// Every shop serves what was trained, of the newest run that has trained anything, and never less than before.
    fn look(&mut self, week: u64) {
        let manifest = self.store().newest_model().unwrap().unwrap().body;
        self.published = manifest.id.round;
        for (at, shop) in self.federation.shops.iter().enumerate() {
            if at == 2 && week < JOINS_LATE {
                continue;
            }
            let store = Arc::new(ShopStore::open(&shop.folder).unwrap());
            let lists = ListService::new(shop.folder.clone(), Some(store), |_| {});
            let learned = lists.serving().unwrap().learned.expect("it was trained");
            assert!(learned.round > 0, "week {week}, {}: {learned:?}", shop.name);
            let wishes = RecommendOptions {
                k: 5,
                include_bought: false,
                explain: true,
            };
            let asked = Asked {
                user: Some("1"),
                basket: &[],
            };
            let (list, _) = lists.recommend(asked, &wishes, false).unwrap();
            assert_eq!(list.items.len(), 5, "week {week}");
            let catalogue = self.federation.home.catalogue().unwrap();
            for item in &list.items {
                let row = catalogue.row(&item.item_id).unwrap();
                assert!(
                    !catalogue.items()[row as usize].retired,
                    "week {week}: {}",
                    item.item_id
                );
            }
            let before = self.served[at].replace((learned.plan.digest, learned.round));
            let goes_on = match before {
                Some((plan, round)) => {
                    plan != learned.plan.digest || round <= learned.round || week == ROLLBACK
                }
                None => true,
            };
            assert!(
                goes_on,
                "week {week}, {}: {before:?}, then {learned:?}",
                shop.name
            );
        }
    }

    /// Attempts that a shop's ledger was charged for: each once.
    fn charged(&self, shop: &VirtualShop) -> usize {
        let chain = read_ledger(&shop.folder.ledger()).unwrap();
        let spends: Vec<(Digest, AttemptId)> = chain
            .spends()
            .map(|(_, spend)| (spend.plan, spend.id()))
            .collect();
        let once: BTreeSet<&(Digest, AttemptId)> = spends.iter().collect();
        assert_eq!(once.len(), spends.len(), "{}: charged twice", shop.name);
        spends.len()
    }
}

fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        match entry.file_type().unwrap().is_dir() {
            true => copy_folder(&entry.path(), &to),
            false => fs::copy(entry.path(), to).map(drop).unwrap(),
        }
    }
}

#[test]
fn a_year_loses_no_model_charges_nothing_twice_and_serves_no_untrained_list() {
    virtually(async {
        let net = Net::new(52, START);
        let setting = Setting {
            users: 6,
            items: 200,
            columns: 4,
            // No second round of a week comes about before everybody has the first one's model.
            upload_after: Some(Duration::from_secs(60)),
            ..setting(3, 2 * WEEKS)
        };
        let federation = Federation::new(&net, &Setting { quorum: 2, ..setting }).unwrap();
        let mut year = Year {
            plan: federation.plan().clone(),
            federation,
            published: 0,
            served: vec![None; 3],
        };
        for week in 1..=WEEKS {
            let mut new_run = false;
            if week > 1 {
                year.grow(week);
            }
            if week == ROLLBACK {
                // What is open ends first.
                year.said(Question::Pause);
                let mut serving = year.federation.serve();
                tokio::time::sleep(Duration::from_secs(5)).await;
                serving.stop().await.unwrap();
                let round = Some(year.published - 2);
                year.said(Question::Rollback(Choice { run: None, round }));
                year.said(Question::Resume);
            }
            if week == PAUSE {
                pauses_and_heals(&year).await;
            }
            if week == FIRST_RUN + 1 {
                year.plan = Plan {
                    name: "second".to_owned(),
                    start: Some("run 1".parse().unwrap()),
                    ..year.plan.clone()
                };
                new_run = true;
            }
            if week == SHOP_RESTORED {
                shop_is_restored(&year.federation.shops[1].folder);
            }
            if week == COORDINATOR_RESTORED {
                coordinator_is_restored(&year);
            }
            year.pass(week, new_run).await;
        }
        let store = year.store();
        let entries: Vec<Entry> = store
            .log()
            .unwrap()
            .into_iter()
            .map(|record| record.entry)
            .collect();
        let count = |wanted: fn(&Entry) -> bool| entries.iter().filter(|entry| wanted(entry)).count();
        assert_eq!(count(|entry| matches!(entry, Entry::Began(_))), 2);
        assert_eq!(count(|entry| matches!(entry, Entry::RolledBack(_))), 1);
        // The second run began over its own week's catalogue.
        assert_eq!(count(|entry| matches!(entry, Entry::Grown(_))) as u64, WEEKS - 2);
        let versions = store.models().unwrap();
        let last = |run: usize| {
            let plan = store.runs().unwrap()[run].plan;
            versions
                .iter()
                .rfind(|version| version.body.plan == plan)
                .unwrap()
                .body
                .id
                .round
        };
        for run in 0..2 {
            let plan = store.runs().unwrap()[run].plan;
            let rounds: BTreeSet<u64> = versions
                .iter()
                .filter(|version| version.body.plan == plan)
                .map(|version| version.body.id.round)
                .collect();
            assert!(rounds.into_iter().eq(0..=last(run)), "every round has its model");
            assert!(last(run) >= FIRST_RUN, "{}", last(run));
        }
        drop(store);
        let charged: Vec<usize> = year
            .federation
            .shops
            .iter()
            .map(|shop| year.charged(shop))
            .collect();
        assert!(
            charged
                .iter()
                .all(|charged| *charged as u64 >= WEEKS - JOINS_LATE),
            "{charged:?}"
        );
        let key = year.federation.home.signing_key().unwrap().public();
        let report = verify::check(year.federation.home.path(), &key).unwrap();
        assert!(report.ok, "{:?}", report.checks);
    })
    .unwrap();
}

/// Two of three owners pause, so no quorum can be reached; when they go on, so does the run, by itself.
async fn pauses_and_heals(year: &Year) {
    let owners = |pause: bool| {
        for shop in &year.federation.shops[1..] {
            let mut config = ShopConfig::load(&shop.folder).unwrap();
            config.policy.pause = pause;
            fs::write(shop.folder.config(), toml::to_string(&config).unwrap()).unwrap();
        }
    };
    owners(true);
    let mut serving = year.federation.serve();
    let shops = year.federation.shops.iter();
    let mut running: Vec<_> = shops.map(|shop| year.federation.run(shop)).collect();
    until(&serving, "paused: so many shops declined").await;
    owners(false);
    until(&serving, "published:").await;
    for shop in &mut running {
        shop.stop().await.unwrap();
    }
    serving.stop().await.unwrap();
}

async fn until<E>(running: &Running<E>, words: &str) {
    let said = async {
        while lines(running, words).is_empty() {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    };
    tokio::time::timeout(LONGEST, said)
        .await
        .unwrap_or_else(|_| panic!("never {words:?}: {:?}", running.said()));
}

/// The shop's machine is lost; its backup of the night before is put back, its own files come from its till.
fn shop_is_restored(folder: &Folder) {
    let aside = tempfile::tempdir().unwrap();
    let copy = aside.path().join("backup");
    let store = ShopStore::open(folder).unwrap();
    souk_client::backup::copy(folder, &store, &copy).unwrap();
    drop(store);
    let orders = fs::read(folder.path().join("orders.csv")).unwrap();
    fs::remove_dir_all(folder.path()).unwrap();
    copy_folder(&copy, folder.path());
    fs::write(folder.path().join("orders.csv"), orders).unwrap();
}

fn coordinator_is_restored(year: &Year) {
    let home = &year.federation.home;
    let aside = tempfile::tempdir().unwrap();
    let copy = aside.path().join("backup");
    let store = year.store();
    let begun = backup::begin(home, &store).unwrap();
    let about = backup::finish(&begun, START).unwrap();
    drop(store);
    backup::copy(home, &copy, about).unwrap();
    fs::remove_dir_all(home.path()).unwrap();
    copy_folder(&copy, home.path());
}
