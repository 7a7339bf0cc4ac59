//! A shop with a customer in every file that may have one.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use souk_common::clock::Timestamp;
use souk_common::ids::Digest;
use tempfile::TempDir;

mod dying_disk;
mod retention;

use super::forget::{forget, readmit};
use super::traces::{SourceTrace, Traces};
use super::*;
use crate::config::ShopConfig;
use crate::data::DataReport;
use crate::data::reading::FORGOTTEN;
use crate::events::{Event, purchase};
use crate::experiment::exposures::Exposures;
use crate::experiment::{Arm, ExperimentConfig};
use crate::forgotten::ForgottenList;
use crate::interactions::import::import;
use crate::interactions::outcome::ImportOutcome;
use crate::interactions::read::read_store;
use crate::store::vector_name;
use dying_disk::DyingDisk;

/// Noon of 28 November 2026.
const NOON: Timestamp = Timestamp(1_795_867_200_000);
const DAY: Duration = Duration::from_secs(86_400);
const ANNA: &str = "anna.forgotten@example.com";
const SHOP_TOML: &str = "[data]\norders = ['orders.csv', 'late.csv']\nmax_bad = 0.5\n[[data.source]]\nkind = 'jsonl'\npath = 'web.jsonl'\n";
const ORDERS: &str = "order_id,status,user_id,item_id,timestamp\n\
    1,paid,Anna.Forgotten@example.com,tea,2026-11-01\n2,paid,bert,tea,2026-11-02\n3,paid,carl,pot,2026-11-03\n\
    4,paid,anna.forgotten@EXAMPLE.com,jam,2026-11-04\n5,paid,bert,jam,2026-11-05\n8,paid,carl,cup,anna.forgotten@example.com\n";
const LATE: &str = "order_id,status,user_id,item_id,timestamp\n\
    4,refunded,anna.forgotten@example.com,jam,2026-11-04\n5,refunded,bert,jam,2026-11-05\n6,cancelled,anna.forgotten@example.com,cup,2026-11-06\n\
    7,paid,carl,tea,2026-11-07\no-9,refunded,bert,cup,2026-11-27\n";
const OWN: [&str; 5] = ["shop.toml", "orders.csv", "late.csv", "web.jsonl", "given.csv"];

type Histories = BTreeMap<String, Vec<String>>;

struct Shop {
    dir: TempDir,
    folder: Folder,
    config: ShopConfig,
}

impl Shop {
    /// With a file that was given, a day of the journal that is over, today's, experiments, a vector and a stack.
    fn new() -> Self {
        let shop = Self::without_store();
        let store = Store::open(&shop.folder).unwrap();
        for user in ["bert", ANNA, "carl"] {
            let name = vector_name(&Digest::ZERO, user);
            store.store_vectors([(name.as_str(), vec![7; 256])]).unwrap();
        }
        shop
    }

    /// The same without the vector.
    fn without_store() -> Self {
        let shop = Self::bare(SHOP_TOML);
        shop.write("orders.csv", ORDERS, NOON - 10 * DAY);
        shop.write("late.csv", LATE, NOON);
        let web = "{\"user_id\":\"ANNA.forgotten@example.com\",\"item_id\":\"pot\",\"timestamp\":\"2026-11-08\"}\n\
                   {\"user_id\":\"bert\",\"item_id\":\"pot\",\"timestamp\":\"2026-11-08\"}\n";
        shop.write("web.jsonl", web, NOON - 10 * DAY);
        let given = "order_id,status,user_id,item_id,timestamp\n9,paid,anna.forgotten@example.com,oil,2026-11-09\n\
                     10,cancelled,carl,rye,2026-11-09\n11,paid,carl,oil,2026-11-09\n";
        let given = shop.write("given.csv", given, NOON - 10 * DAY);
        fs::create_dir(shop.folder.events()).unwrap();
        let yesterday = NOON - DAY;
        let of_order = Event {
            order: Some("o-9".to_owned()),
            ..purchase("bert", "cup", yesterday)
        };
        let days = [
            ("2026-11-27", vec![of_order, purchase(ANNA, "rye", yesterday)]),
            (
                "2026-11-28",
                vec![purchase(ANNA, "cup", NOON), purchase("dora", "cup", NOON)],
            ),
        ];
        for (day, events) in days {
            let lines: Vec<u8> = events.iter().flat_map(Event::line).collect();
            fs::write(shop.folder.events().join(format!("{day}.jsonl")), lines).unwrap();
        }
        for name in ["spring", "autumn"] {
            let exposures = Exposures::open(&shop.folder, &experiment(name)).unwrap();
            for user in [ANNA, "bert"] {
                exposures.note(user, Arm::Alone, NOON - 30 * DAY);
            }
        }
        fs::write(shop.folder.stack(), "{}").unwrap();
        shop.import();
        import(&shop.folder, &shop.config.data, &[given], false, NOON).unwrap();
        shop
    }

    fn bare(config: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("shop.toml"), config).unwrap();
        let folder = Folder::on(DyingDisk::living(), dir.path().canonicalize().unwrap());
        let config = ShopConfig::load(&folder).unwrap();
        Self { dir, folder, config }
    }

    fn write(&self, name: &str, text: &str, at: Timestamp) -> PathBuf {
        let path = self.folder.path().join(name);
        fs::write(&path, text).unwrap();
        let time = SystemTime::UNIX_EPOCH + Duration::from_millis(at.0 as u64);
        let file = fs::File::options().write(true).open(&path).unwrap();
        file.set_modified(time).unwrap();
        path
    }

    fn import_at(&self, now: Timestamp) -> ImportOutcome {
        import(&self.folder, &self.config.data, &[], false, now).unwrap()
    }

    fn import(&self) -> ImportOutcome {
        self.import_at(NOON)
    }

    fn forget_on(&self, folder: &Folder) -> anyhow::Result<super::forget::ForgetReport> {
        let has_store = self.folder.store().exists();
        let store = has_store.then(|| Store::open(&self.folder)).transpose()?;
        let holdings = CustomerHoldings {
            folder,
            store: store.as_ref(),
            holder: None,
            now: NOON,
        };
        forget(holdings, "Anna.Forgotten@Example.COM ", false)
    }

    fn read(&self) -> (Histories, DataReport) {
        let shop = read_store(&self.folder, &self.config.data, None).unwrap().shop;
        let named = |rows: &[u32]| {
            let mut items: Vec<String> = rows
                .iter()
                .map(|row| shop.catalogue.items()[*row as usize].id.clone())
                .collect();
            items.sort_unstable();
            items
        };
        let histories = shop.dataset.histories.iter().map(|history| named(&history.items));
        (
            shop.dataset.users.iter().cloned().zip(histories).collect(),
            shop.report,
        )
    }

    fn histories(&self) -> Histories {
        self.read().0
    }

    /// Files that name Anna, in any case, but for the owner's own.
    fn files_with_anna(&self) -> Vec<PathBuf> {
        let (mut found, mut folders) = (Vec::new(), vec![self.dir.path().to_owned()]);
        while let Some(folder) = folders.pop() {
            for path in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
                let is_own = OWN.iter().any(|own| self.dir.path().join(own) == path);
                if path.is_dir() {
                    folders.push(path);
                } else if !is_own && has(&fs::read(&path).unwrap(), ANNA) {
                    found.push(path);
                }
            }
        }
        found
    }
}

fn experiment(name: &str) -> ExperimentConfig {
    toml::from_str(&format!("name = '{name}'\nalone = 1\ntogether = 1")).unwrap()
}

fn has(bytes: &[u8], text: &str) -> bool {
    let same = |part: &[u8]| part.eq_ignore_ascii_case(text.as_bytes());
    bytes.windows(text.len()).any(same)
}

fn named(histories: &[(&str, &[&str])]) -> Histories {
    let items = |items: &[&str]| items.iter().map(|item| (*item).to_owned()).collect();
    histories
        .iter()
        .map(|(user, of)| ((*user).to_owned(), items(of)))
        .collect()
}

#[test]
fn a_forgotten_customer_is_in_no_byte_of_the_folder_and_everybody_else_is_as_before() {
    let shop = Shop::new();
    let before = shop.histories();
    // Order 4 was refunded, and o-9, which the journal has as bought.
    let others: [(&str, &[&str]); 2] = [("bert", &["pot", "tea"]), ("carl", &["oil", "pot", "tea"])];
    assert_eq!(before[ANNA], ["oil", "pot", "rye", "tea"]);
    assert_eq!(before.len(), 3);
    let report = shop.forget_on(&shop.folder).unwrap();
    let rows = |source: &str| {
        let all = report.traces.interactions.iter();
        all.filter(|trace| trace.source.ends_with(source))
            .map(|trace| trace.rows)
            .sum::<u64>()
    };
    let sources = [
        "orders.csv",
        "late.csv",
        "web.jsonl",
        "given.csv",
        "2026-11-27.jsonl",
    ];
    assert_eq!(sources.map(rows), [2, 0, 1, 1, 1]);
    let traces = &report.traces;
    assert_eq!(
        (traces.journal_days, traces.journal_events, traces.vectors),
        (2, 2, 1)
    );
    assert_eq!(traces.experiments, ["autumn", "spring"]);
    // Carl's cancelled order in the file that was given: nobody can tell there that it is not Anna's.
    let [SourceTrace { source, rows: 1 }] = &report.digests_of_orders[..] else {
        panic!("{:?}", report.digests_of_orders)
    };
    assert!(source.ends_with("given.csv"));
    assert_eq!(report.troubles, [""; 0]);
    // The store of vectors was open: its free pages are written anew when it is opened next.
    assert!(report.remains_until_restart);
    let store = Store::open(&shop.folder).unwrap();
    assert!(!store.has_remains().unwrap());
    assert_eq!(store.vectors().unwrap().len(), 2);
    // A round that began before comes to its end.
    let name = vector_name(&Digest::ZERO, ANNA);
    store.store_vectors([(name.as_str(), vec![7; 256])]).unwrap();
    assert_eq!(store.vectors_of(ANNA).unwrap(), 0);
    drop(store);
    assert_eq!(shop.files_with_anna(), [] as [PathBuf; 0]);
    assert!(!shop.folder.stack().exists());
    assert_eq!(shop.histories(), named(&others));
    // The owner's files are as they were, are read again, and Anna stays out.
    assert_eq!(
        fs::read_to_string(shop.folder.path().join("orders.csv")).unwrap(),
        ORDERS
    );
    import(&shop.folder, &shop.config.data, &[], true, NOON).unwrap();
    let (histories, report) = shop.read();
    assert_eq!(histories, named(&others));
    let left_out: u64 = report
        .sources
        .iter()
        .filter_map(|source| source.left_out.get(FORGOTTEN))
        .sum();
    // Of orders.csv three, one of which names her where a time belongs, of late.csv two, of web.jsonl and given.csv one.
    assert_eq!(left_out, 7);
    assert!(
        report
            .sources
            .iter()
            .all(|source| { source.rows == source.taken + source.left_out_rows() + source.bad_rows() })
    );
    assert_eq!(shop.files_with_anna(), [] as [PathBuf; 0]);
    // Tomorrow today's events are a source.
    shop.import_at(NOON + DAY);
    assert_eq!(shop.histories()["dora"], ["cup"]);
    assert!(!shop.histories().contains_key(ANNA));
}

#[test]
fn who_is_unknown_is_refused_unless_asked_for_anyway_and_who_is_let_in_again_is_read_again() {
    let shop = Shop::bare("");
    let text = "user_id,item_id,timestamp\nann,tea,2026-11-01\nbert,tea,2026-11-01\n";
    shop.write("orders.csv", text, NOON);
    shop.import();
    let holdings = CustomerHoldings {
        folder: &shop.folder,
        store: None,
        holder: None,
        now: NOON,
    };
    for unknown in ["Ann", "cy", "0", ""] {
        let error = forget(holdings, unknown, false).unwrap_err();
        assert_eq!(crate::error::exit_code(&error), 1);
        assert!(error.to_string().contains("--anyway"), "{error}");
        assert_eq!(
            crate::error::exit_code(&readmit(holdings, unknown).unwrap_err()),
            1
        );
    }
    assert!(!shop.folder.forgotten().exists(), "nobody was forgotten");
    assert!(Traces::of(holdings, "cy").unwrap().is_nothing());
    forget(holdings, "cy", true).unwrap();
    forget(holdings, "ann", false).unwrap();
    shop.write("orders.csv", &format!("{text}cy,tea,2026-11-02\n"), NOON);
    let outcome = shop.import();
    assert_eq!(outcome.report().sources[0].left_out[FORGOTTEN], 2);
    assert_eq!(shop.histories(), named(&[("bert", &["tea"])]));
    assert_eq!(readmit(holdings, "ann").unwrap(), [""; 0]);
    assert_eq!(readmit(holdings, "cy").unwrap(), [""; 0]);
    let everybody: [(&str, &[&str]); 3] = [("ann", &["tea"]), ("bert", &["tea"]), ("cy", &["tea"])];
    assert_eq!(shop.histories(), named(&everybody));
    // Of a file that was given the owner is told.
    let given = shop.write(
        "given.csv",
        "user_id,item_id,timestamp\nann,pot,2026-11-01\n",
        NOON,
    );
    import(
        &shop.folder,
        &shop.config.data,
        std::slice::from_ref(&given),
        false,
        NOON,
    )
    .unwrap();
    forget(holdings, "ann", false).unwrap();
    assert_eq!(readmit(holdings, "ann").unwrap(), [given.display().to_string()]);
}

#[test]
fn a_kill_at_any_step_loses_nobody_else_and_the_same_command_finishes() {
    let (mut steps, mut interrupted) = (0usize, 0usize);
    loop {
        // A database takes its time at every step.
        let has_store = steps % 10 == 0;
        let shop = if has_store {
            Shop::new()
        } else {
            Shop::without_store()
        };
        let before = shop.histories();
        let folder = Folder::on(DyingDisk::after(steps), shop.folder.path());
        let done = shop
            .forget_on(&folder)
            .is_ok_and(|report| report.troubles.is_empty());
        let of_others = |mut histories: Histories| {
            histories.remove(ANNA);
            histories
        };
        // Either the old store or the new one.
        let after = shop.histories();
        assert_eq!(
            of_others(after.clone()),
            of_others(before.clone()),
            "step {steps}"
        );
        assert!(
            after.get(ANNA).is_none_or(|own| before[ANNA] == *own),
            "step {steps}: {after:?}"
        );
        if done {
            break;
        }
        let told = ForgottenList::load(&shop.folder).unwrap().told();
        interrupted += usize::from(told.is_some());
        if steps % 2 == 0 {
            // Somebody imports in between.
            let outcome = shop.import();
            assert_eq!(
                outcome
                    .doubts
                    .iter()
                    .any(|doubt| doubt.contains("was interrupted")),
                told.is_some()
            );
            assert_eq!(
                of_others(shop.histories()),
                of_others(before.clone()),
                "step {steps}"
            );
        }
        match shop.forget_on(&shop.folder) {
            Ok(report) => assert_eq!(report.troubles, [""; 0]),
            Err(error) => panic!("step {steps}: {error:#}"),
        }
        if has_store {
            // Written anew.
            drop(Store::open(&shop.folder).unwrap());
        }
        assert_eq!(shop.files_with_anna(), [] as [PathBuf; 0], "step {steps}");
        assert_eq!(shop.histories(), of_others(before), "step {steps}");
        assert_eq!(ForgottenList::load(&shop.folder).unwrap().told(), None);
        steps += 1;
        assert!(steps < 1000);
    }
    assert!(
        steps > 40 && interrupted > 30 && interrupted < steps,
        "{steps} steps, {interrupted} interrupted"
    );
}

#[test]
fn a_rewritten_day_of_the_journal_is_as_old_as_its_last_event() {
    let shop = Shop::new();
    // late.csv, of noon, says that what the journal of the day before has as bought was refunded.
    assert!(!shop.histories()["bert"].contains(&"cup".to_owned()));
    shop.forget_on(&shop.folder).unwrap();
    let day = shop.folder.events().join("2026-11-27.jsonl");
    // The file that was written anew is of a later time than late.csv.
    let later = SystemTime::UNIX_EPOCH + Duration::from_millis(NOON.0 as u64) + DAY;
    let touch = |time| {
        let file = fs::File::options().write(true).open(&day).unwrap();
        file.set_modified(time).unwrap();
    };
    touch(later);
    shop.import();
    assert!(!shop.histories()["bert"].contains(&"cup".to_owned()));
    // So it is after a restore from a backup, where all files are of now.
    touch(later + DAY);
    shop.import();
    assert!(!shop.histories()["bert"].contains(&"cup".to_owned()));
}

#[test]
fn a_backup_has_the_list_and_a_store_with_remains_is_copied_without_them() {
    let shop = Shop::new();
    fs::write(shop.folder.key(), b"key").unwrap();
    let to = tempfile::tempdir().unwrap();
    let store = Store::open(&shop.folder).unwrap();
    let holdings = CustomerHoldings {
        folder: &shop.folder,
        store: Some(&store),
        holder: None,
        now: NOON,
    };
    forget(holdings, ANNA, false).unwrap();
    let there = Folder::new(to.path().join("backup"));
    crate::backup::copy(&shop.folder, &store, there.path()).unwrap();
    assert_eq!(ForgottenList::load(&there).unwrap().since(ANNA), Some(NOON));
    assert!(!has(&fs::read(there.store()).unwrap(), ANNA));
}

#[test]
fn without_the_list_nothing_is_taken_in() {
    let shop = Shop::new();
    let before = shop.histories();
    shop.forget_on(&shop.folder).unwrap();
    let list = fs::read(shop.folder.forgotten()).unwrap();
    fs::write(shop.folder.forgotten(), "{").unwrap();
    let error = import(&shop.folder, &shop.config.data, &[], true, NOON).unwrap_err();
    assert!(error.to_string().contains("forgotten.json is damaged"), "{error}");
    assert!(crate::events::journal::Journal::open(&shop.folder, NOON).is_err());
    let store = Store::open(&shop.folder).unwrap();
    assert!(store.store_vectors([("plan/anna", vec![7])]).is_err());
    drop(store);
    let error = shop.forget_on(&shop.folder).unwrap_err().to_string();
    assert!(error.contains("put it back from a backup"), "{error}");
    // Nothing of the others is lost meanwhile, and it goes on when the list is put back.
    let histories = shop.histories();
    assert_eq!(histories.len(), before.len() - 1);
    fs::write(shop.folder.forgotten(), list).unwrap();
    import(&shop.folder, &shop.config.data, &[], true, NOON).unwrap();
    assert_eq!(shop.histories(), histories);
}
