//! Overlapping exports: what the newest of them says of an order holds.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use proptest::prelude::*;
use souk_common::clock::Timestamp;
use tempfile::TempDir;

use super::import::{forget, import};
use super::outcome::ImportOutcome;
use super::read::{HistoriesError, read_store};
use crate::data::{DataReport, ShopDataConfig};
use crate::folder::Folder;

const NOW: Timestamp = Timestamp(1_800_000_000_000);
const HEADER: &str = "order_id,status,user_id,item_id,timestamp,quantity\n";

/// Each customer with the items that count, by id.
type Histories = Vec<(String, Vec<String>)>;

/// A shop to which files are given, each written at a moment of its own.
struct Shop {
    dir: TempDir,
    folder: Folder,
    config: ShopDataConfig,
}

impl Shop {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        Self {
            folder: Folder::new(dir.path()),
            // `orders.csv` is not there.
            config: toml::from_str("orders = []").unwrap(),
            dir,
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().canonicalize().unwrap().join(name)
    }

    /// Writes an export of the time `hours`.
    fn write(&self, name: &str, hours: u64, text: &str) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, text).unwrap();
        self.age(&path, hours);
        path
    }

    fn age(&self, path: &Path, hours: u64) {
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000 + 3600 * hours);
        File::options()
            .write(true)
            .open(path)
            .unwrap()
            .set_modified(time)
            .unwrap();
    }

    fn import(&self, path: &Path) -> ImportOutcome {
        import(&self.folder, &self.config, &[path.to_owned()], false, NOW).unwrap()
    }

    fn forget(&self, path: &Path) {
        assert!(forget(&self.folder, path.to_str().unwrap()).unwrap());
    }

    fn read(&self) -> Option<(Histories, DataReport)> {
        match read_store(&self.folder, &self.config, None) {
            Ok(read) => {
                let (shop, items) = (&read.shop, read.shop.catalogue.items());
                let named = |rows: &[u32]| rows.iter().map(|row| items[*row as usize].id.clone()).collect();
                let users = shop.dataset.users.iter().cloned();
                let histories = shop.dataset.histories.iter().map(|history| {
                    let mut named: Vec<String> = named(&history.items);
                    named.sort_unstable();
                    named
                });
                Some((users.zip(histories).collect(), read.shop.report.clone()))
            }
            Err(HistoriesError::Data(crate::data::DataError::NoOrder { .. })) => None,
            Err(error) => panic!("{error}"),
        }
    }

    fn histories(&self) -> Histories {
        self.read().map_or_else(Vec::new, |read| read.0)
    }
}

fn owned(histories: &[(&str, &[&str])]) -> Histories {
    let items = |items: &[&str]| items.iter().map(|item| (*item).to_owned()).collect();
    histories
        .iter()
        .map(|(user, of)| ((*user).to_owned(), items(of)))
        .collect()
}

const JANUARY: &str = "1,completed,ann,tea,1700000000,1\n1,completed,ann,jam,1700000000,1\n2,completed,bob,tea,1700000100,2\n\
                       3,failed,cy,tea,1700000200,1\n";
const FEBRUARY: &str = "1,refunded,ann,tea,1700000000,1\n1,refunded,ann,jam,1700000000,1\n3,completed,cy,tea,1700000200,1\n\
                        4,completed,ann,jam,1700009000,1\n";

#[test]
fn an_order_that_was_refunded_in_between_is_no_purchase_whichever_export_is_imported_first() {
    for january_first in [true, false] {
        let shop = Shop::new();
        let january = shop.write("january.csv", 1, &format!("{HEADER}{JANUARY}"));
        let february = shop.write("february.csv", 2, &format!("{HEADER}{FEBRUARY}"));
        let order = if january_first {
            [&january, &february]
        } else {
            [&february, &january]
        };
        for path in order {
            assert_eq!(shop.import(path).doubts, [""; 0]);
        }
        let (histories, report) = shop.read().unwrap();
        // Order 1 was refunded, and 3 was paid in the end; jam was bought again in order 4.
        assert_eq!(
            histories,
            owned(&[("ann", &["jam"]), ("bob", &["tea"]), ("cy", &["tea"])])
        );
        assert_eq!(report.taken_back, 2);
        assert!(
            report.to_text().contains("taken back  2 lines of orders"),
            "{}",
            report.to_text()
        );
        // Importing again changes nothing.
        order.into_iter().for_each(|path| drop(shop.import(path)));
        assert_eq!(shop.read().unwrap().0, histories);
        shop.forget(&february);
        assert_eq!(
            shop.histories(),
            owned(&[("ann", &["jam", "tea"]), ("bob", &["tea"])])
        );
    }
}

#[test]
fn the_newer_file_is_the_one_that_was_written_last_also_when_only_that_changes() {
    let shop = Shop::new();
    let january = shop.write("january.csv", 5, &format!("{HEADER}{JANUARY}"));
    let february = shop.write("february.csv", 2, &format!("{HEADER}{FEBRUARY}"));
    [&january, &february]
        .into_iter()
        .for_each(|path| drop(shop.import(path)));
    let before = super::manifest::StoreManifest::load(&shop.folder)
        .unwrap()
        .contents();
    assert_eq!(
        shop.histories(),
        owned(&[("ann", &["jam", "tea"]), ("bob", &["tea"])]),
        "January's order 3, which failed, is the newest word"
    );
    shop.age(&february, 9);
    shop.import(&february);
    assert_eq!(
        shop.histories(),
        owned(&[("ann", &["jam"]), ("bob", &["tea"]), ("cy", &["tea"])])
    );
    let after = super::manifest::StoreManifest::load(&shop.folder)
        .unwrap()
        .contents();
    assert_ne!(before, after, "whoever has read the store has to read it again");
    // Of the same age, that it was not bought is believed.
    shop.age(&january, 9);
    shop.import(&january);
    assert_eq!(shop.histories(), owned(&[("ann", &["jam"]), ("bob", &["tea"])]));
}

#[test]
fn one_line_of_an_order_can_be_taken_back_by_its_status_or_by_its_pieces() {
    let shop = Shop::new();
    let first = "1,paid,ann,tea,1700000000,1\n1,paid,ann,jam,1700000000,1\n1,paid,ann,rye,1700000000,2\n\
                 1,paid,ann,oil,1700000000,1\n";
    let second =
        "1,refunded,ann,tea,1700000000,1\n1,paid,ann,jam,1700000000,1\n1,paid,ann,rye,1700000000,0\n";
    let first = shop.write("1.csv", 1, &format!("{HEADER}{first}"));
    let second = shop.write("2.csv", 2, &format!("{HEADER}{second}"));
    [&first, &second]
        .into_iter()
        .for_each(|path| drop(shop.import(path)));
    // Of an order that still stands, what it no longer names was perhaps left in another file.
    assert_eq!(shop.histories(), owned(&[("ann", &["jam", "oil"])]));
    // Of one that does not, nothing was bought.
    let third = shop.write("3.csv", 3, &format!("{HEADER}1,cancelled,ann,jam,1700000000,1\n"));
    shop.import(&third);
    assert_eq!(shop.histories(), []);
    let nothing = read_store(&shop.folder, &shop.config, None)
        .unwrap_err()
        .to_string();
    assert!(
        nothing.contains("4 lines of orders that a newer source has as not bought"),
        "{nothing}"
    );
    shop.forget(&third);
    assert_eq!(shop.histories(), owned(&[("ann", &["jam", "oil"])]));
}

#[test]
fn another_customers_order_of_the_same_number_is_another_order() {
    let shop = Shop::new();
    let first = shop.write(
        "1.csv",
        1,
        &format!("{HEADER}1,paid,ann,tea,1700000000,1\n1,paid,Bob@x.org,tea,1700000000,1\n"),
    );
    let second = shop.write(
        "2.csv",
        2,
        &format!("{HEADER}1,voided,bob@X.ORG,tea,1700000000,1\n"),
    );
    [&first, &second]
        .into_iter()
        .for_each(|path| drop(shop.import(path)));
    assert_eq!(shop.histories(), owned(&[("ann", &["tea"])]));
}

#[test]
fn without_order_numbers_it_is_told_that_purchases_can_not_be_taken_back() {
    let without = |text: &str| {
        let lines = text.lines().map(|line| line.split_once(',').unwrap().1);
        lines.map(|line| format!("{line}\n")).collect::<String>()
    };
    let header = without(HEADER);
    let shop = Shop::new();
    let january = shop.write("january.csv", 1, &format!("{header}{}", without(JANUARY)));
    let february = shop.write("february.csv", 2, &format!("{header}{}", without(FEBRUARY)));
    assert_eq!(shop.import(&january).doubts, [""; 0]);
    let outcome = shop.import(&february);
    let [doubt] = &outcome.doubts[..] else {
        panic!("{outcome:?}")
    };
    for part in [
        "january.csv",
        "february.csv",
        "columns.order",
        "cancelled or refunded",
    ] {
        assert!(doubt.contains(part), "{doubt}");
    }
    assert!(outcome.lines().contains(doubt));
    // Nobody knows better: they count.
    assert_eq!(
        shop.histories(),
        owned(&[("ann", &["jam", "tea"]), ("bob", &["tea"]), ("cy", &["tea"])])
    );
    // Exports of other times have no order in common, and of two without statuses nothing is refunded.
    let shop = Shop::new();
    let later = without("1,refunded,ann,tea,1710000000,1\n4,completed,ann,jam,1710000001,1\n");
    let later = shop.write("later.csv", 3, &format!("{header}{later}"));
    let bare = shop.write("bare.csv", 3, "user_id,item_id,timestamp\nann,tea,1700000000\n");
    let bare_too = shop.write(
        "bare_too.csv",
        3,
        "user_id,item_id,timestamp\nann,tea,1700000000\n",
    );
    for path in [later, bare, bare_too] {
        assert_eq!(shop.import(&path).doubts, [""; 0]);
    }
}

/// What each export says of an order: 0 nothing, 1 bought, 2 refunded.
type Export = Vec<u8>;

const ORDERS: usize = 5;

fn export_text(export: &Export) -> String {
    let lines = export
        .iter()
        .enumerate()
        .filter(|(_, said)| **said > 0)
        .map(|(order, said)| {
            let status = ["", "completed", "refunded"][usize::from(*said)];
            format!(
                "{order},{status},u{},i{order},{},1\n",
                order % 2,
                1_700_000_000 + order
            )
        });
    format!(
        "{HEADER}9,completed,x,y,1700000000,1\n{}",
        lines.collect::<String>()
    )
}

/// Whose orders count, by the newest export that has them; exports come oldest first.
fn expected(exports: &[&Export]) -> Histories {
    let mut bought: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for order in 0..ORDERS {
        let newest = exports
            .iter()
            .rev()
            .map(|export| export[order])
            .find(|said| *said > 0);
        if newest == Some(1) {
            bought
                .entry(format!("u{}", order % 2))
                .or_default()
                .push(format!("i{order}"));
        }
    }
    if !exports.is_empty() {
        bought.insert("x".to_owned(), vec!["y".to_owned()]);
    }
    bought.into_iter().collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn the_newest_export_that_has_an_order_says_how_it_stands_in_any_order_of_imports(
        exports in prop::collection::vec(prop::collection::vec(0..3u8, ORDERS), 1..4),
        imports in prop::collection::vec(any::<prop::sample::Index>(), 0..4),
        forgotten: prop::sample::Index,
    ) {
        let shop = Shop::new();
        let paths: Vec<PathBuf> = exports
            .iter()
            .enumerate()
            .map(|(at, export)| shop.write(&format!("{at}.csv"), at as u64, &export_text(export)))
            .collect();
        // Some of them in any order and more than once, then the others.
        imports.iter().for_each(|at| drop(shop.import(&paths[at.index(paths.len())])));
        paths.iter().for_each(|path| drop(shop.import(path)));
        let all: Vec<&Export> = exports.iter().collect();
        prop_assert_eq!(shop.histories(), expected(&all));
        let forgotten = forgotten.index(paths.len());
        shop.forget(&paths[forgotten]);
        let mut rest = all;
        rest.remove(forgotten);
        prop_assert_eq!(shop.histories(), expected(&rest));
    }
}
