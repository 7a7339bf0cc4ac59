use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use proptest::prelude::*;
use souk_common::clock::Timestamp;
use souk_common::dataset::Dataset;
use souk_common::ids::Digest;
use souk_common::storage::disk::{Access, Disk, DiskFile, SystemDisk};
use tempfile::TempDir;

use super::import::{forget, import, import_changed};
use super::manifest::{StoreManifest, lock, store_folder};
use super::outcome::{ImportOutcome, ImportState};
use super::read::read_store;
use super::segment::{SegmentVisitor, SegmentWriter, StoredRow, read_segment, segment_path};
use super::*;
use crate::data::interaction::{Interaction, Kind, OrderKey, Sink};
use crate::data::{Paths, ShopDataConfig};
use crate::folder::Folder;

const NOW: Timestamp = Timestamp(1_800_000_000_000);
const HEADER: &str = "user_id,item_id,timestamp,quantity\n";

struct Shop {
    dir: TempDir,
    folder: Folder,
    config: ShopDataConfig,
}

impl Shop {
    fn new(orders: &[&str]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let names: Vec<PathBuf> = (0..orders.len()).map(|at| format!("{at}.csv").into()).collect();
        let shop = Self {
            folder: Folder::new(dir.path()),
            config: ShopDataConfig {
                orders: Paths::Many(names.clone()),
                ..ShopDataConfig::default()
            },
            dir,
        };
        for (name, lines) in names.iter().zip(orders) {
            shop.write(name, lines);
        }
        shop
    }

    fn write(&self, name: impl AsRef<Path>, lines: &str) {
        fs::write(self.dir.path().join(name), format!("{HEADER}{lines}")).unwrap();
    }

    fn changed(&self) -> ImportOutcome {
        import_changed(&self.folder, &self.config, NOW).unwrap()
    }

    fn all(&self) -> ImportOutcome {
        import(&self.folder, &self.config, &[], false, NOW).unwrap()
    }

    fn data(&self) -> Dataset {
        read_store(&self.folder, &self.config, None).unwrap().shop.dataset
    }

    /// Each user with the items of the own catalogue, by id.
    fn histories(&self) -> Vec<(String, Vec<String>)> {
        let shop = read_store(&self.folder, &self.config, None).unwrap().shop;
        let items = |items: &[u32]| {
            let ids = items
                .iter()
                .map(|item| shop.catalogue.items()[*item as usize].id.clone());
            ids.collect::<Vec<_>>()
        };
        let users = shop.dataset.users.iter().zip(&shop.dataset.histories);
        users
            .map(|(user, history)| (user.clone(), items(&history.items)))
            .collect()
    }

    fn files(&self) -> usize {
        fs::read_dir(store_folder(&self.folder)).unwrap().count()
    }
}

fn states(outcome: &ImportOutcome) -> Vec<ImportState> {
    outcome.sources.iter().map(|source| source.state).collect()
}

fn owned(histories: &[(&str, &[&str])]) -> Vec<(String, Vec<String>)> {
    let items = |items: &[&str]| items.iter().map(|item| (*item).to_owned()).collect();
    histories
        .iter()
        .map(|(user, of)| ((*user).to_owned(), items(of)))
        .collect()
}

#[test]
fn an_import_is_idempotent_and_a_changed_file_takes_the_place_of_what_it_was() {
    let shop = Shop::new(&[
        "ann,tea,1700000000,1\nann,jam,1700000001,1\n",
        "bob,tea,1700000002,1\n",
    ]);
    let first = shop.changed();
    assert_eq!(states(&first), [ImportState::Imported; 2]);
    assert!(first.is_news() && first.is_good() && first.has_data);
    let before = StoreManifest::load(&shop.folder).unwrap();
    for again in [shop.changed(), shop.all()] {
        assert_eq!(states(&again), [ImportState::Unchanged; 2]);
        assert!(!again.is_news());
    }
    assert_eq!(StoreManifest::load(&shop.folder).unwrap(), before);
    assert_eq!(
        shop.histories(),
        owned(&[("ann", &["tea", "jam"]), ("bob", &["tea"])])
    );
    // Manifest, lock, and one segment a source.
    assert_eq!(shop.files(), 4);
    shop.write("0.csv", "ann,tea,1700000000,1\ncy,jam,1700000001,1\n");
    assert_eq!(
        states(&shop.changed()),
        [ImportState::Imported, ImportState::Unchanged]
    );
    assert_eq!(
        shop.histories(),
        owned(&[("ann", &["tea"]), ("bob", &["tea"]), ("cy", &["jam"])])
    );
    assert_eq!(shop.files(), 4, "what it was is swept");
    // Written again with the same bytes, it is the same.
    shop.write("0.csv", "ann,tea,1700000000,1\ncy,jam,1700000001,1\n");
    assert_eq!(states(&shop.changed()), [ImportState::Unchanged; 2]);
}

#[test]
fn too_many_bad_lines_refuse_a_source_whole_until_it_is_mended_or_the_owner_allows_them() {
    let good = "ann,tea,1700000000,1\n".repeat(18);
    let mut shop = Shop::new(&[&format!("{good}bob,jam,1700000001,1\nbob,jam,soon,1\n")]);
    assert_eq!(
        states(&shop.changed()),
        [ImportState::Imported],
        "one in twenty is allowed"
    );
    let before = shop.histories();
    shop.write(
        "0.csv",
        &format!("{good}cy,jam,1700000001,1\ncy,jam,soon,1\ncy,jam,soon,1\n"),
    );
    for refused in [shop.changed(), shop.changed(), shop.all()] {
        assert_eq!(states(&refused), [ImportState::Refused]);
        let told: Vec<String> = refused.troubles().collect();
        assert!(
            told[0].contains("0.csv was not imported: 2 of 21 lines are bad"),
            "{told:?}"
        );
        assert!(
            told[0].contains("line 21") && told[0].contains("Above 5 %"),
            "{told:?}"
        );
        assert!(told[0].contains("what was imported before is used"), "{told:?}");
        assert_eq!(refused.sources[0].report.bad_lines, 2);
    }
    assert_eq!(shop.histories(), before);
    // Back as it was, and it is no longer refused.
    shop.write("0.csv", &format!("{good}bob,jam,1700000001,1\nbob,jam,soon,1\n"));
    assert_eq!(states(&shop.changed()), [ImportState::Unchanged]);
    shop.write(
        "0.csv",
        &format!("{good}cy,jam,1700000001,1\ncy,jam,soon,1\ncy,jam,soon,1\n"),
    );
    assert_eq!(states(&shop.changed()), [ImportState::Refused]);
    shop.config.max_bad = 0.1.try_into().unwrap();
    assert_eq!(states(&shop.changed()), [ImportState::Imported]);
    assert_eq!(shop.histories(), owned(&[("ann", &["tea"]), ("cy", &["jam"])]));
}

#[test]
fn what_is_refused_at_first_leaves_nothing_and_says_so() {
    let shop = Shop::new(&["ann,tea,soon,1\n"]);
    let outcome = shop.changed();
    assert!(!outcome.has_data);
    let error = outcome.nothing();
    assert!(error.is_of_no_customers(), "it takes part with noise alone");
    assert!(error.to_string().contains("nothing of it is used"), "{error}");
    assert_eq!(shop.files(), 2, "no segment");
}

#[test]
fn a_file_that_is_gone_keeps_what_was_imported_and_one_that_is_no_longer_named_is_let_go() {
    let mut shop = Shop::new(&["ann,tea,1700000000,1\n", "bob,tea,1700000002,1\n"]);
    shop.changed();
    fs::remove_file(shop.dir.path().join("1.csv")).unwrap();
    let gone = shop.changed();
    assert_eq!(states(&gone), [ImportState::Unchanged, ImportState::Failed]);
    assert!(gone.troubles().next().unwrap().contains("1.csv can't be read"));
    assert_eq!(shop.data().len(), 2);
    shop.config.orders = Paths::Many(vec!["other.csv".into()]);
    let missing = shop.changed();
    assert_eq!(
        states(&missing),
        [ImportState::Failed],
        "nothing is let go for a name that is wrong"
    );
    assert_eq!(shop.data().len(), 2);
    shop.config.orders = Paths::Many(vec!["0.csv".into()]);
    assert_eq!(
        states(&shop.changed()),
        [ImportState::Unchanged, ImportState::LetGo]
    );
    assert_eq!(shop.histories(), owned(&[("ann", &["tea"])]));
}

#[test]
fn a_given_file_stays_until_it_is_forgotten() {
    let shop = Shop::new(&["ann,tea,1700000000,1\n"]);
    shop.write("old.csv", "bob,jam,1600000000,1\n");
    let old = fs::canonicalize(shop.dir.path().join("old.csv")).unwrap();
    let given = import(&shop.folder, &shop.config, std::slice::from_ref(&old), false, NOW).unwrap();
    assert_eq!(states(&given), [ImportState::Imported]);
    fs::remove_file(&old).unwrap();
    assert_eq!(
        states(&shop.changed()),
        [ImportState::Imported],
        "of the named one alone"
    );
    assert_eq!(shop.data().len(), 2);
    assert!(!forget(&shop.folder, "no such").unwrap());
    assert!(forget(&shop.folder, old.to_str().unwrap()).unwrap());
    assert_eq!(shop.histories(), owned(&[("ann", &["tea"])]));
    // Given or named, it is one source.
    let named = shop.dir.path().join("0.csv");
    let again = import(&shop.folder, &shop.config, &[named], false, NOW).unwrap();
    assert_eq!(states(&again), [ImportState::Unchanged]);
}

#[test]
fn a_line_of_overlapping_exports_counts_as_often_as_in_the_one_that_says_it_most() {
    // January says tea twice (two order lines alike) and a return of one; February overlaps, and has it once.
    let january = "ann,tea,1700000000,1\nann,tea,1700000000,1\nann,tea,1700000005,-1\nbob,jam,1700000001,1\n";
    let february = "bob,jam,1700000001,1\nbob,jam,1700000009,-1\nann,tea,1700000000,1\n";
    let shop = Shop::new(&[january, february]);
    shop.changed();
    // Of ann's two one is left; of bob's one, said twice, none.
    assert_eq!(shop.histories(), owned(&[("ann", &["tea"])]));
    let read = read_store(&shop.folder, &shop.config, None).unwrap().shop.report;
    assert_eq!((read.rows, read.returned_pairs, read.duplicates), (7, 1, 1));
}

#[test]
fn settings_that_change_how_lines_are_read_have_them_read_again() {
    let mut shop = Shop::new(&["ann,tea,1700000000,1\nann,12,1700000000,1\n"]);
    shop.changed();
    shop.config.keep_unlisted = true;
    assert_eq!(
        states(&shop.changed()),
        [ImportState::Unchanged],
        "that is of items"
    );
    shop.config.leave_out = vec!["12".to_owned()];
    assert_eq!(states(&shop.changed()), [ImportState::Imported]);
    assert_eq!(shop.histories(), owned(&[("ann", &["tea"])]));
}

#[test]
fn a_damaged_segment_is_named_and_import_reads_its_source_again() {
    let shop = Shop::new(&["ann,tea,1700000000,1\n"]);
    shop.changed();
    let manifest = StoreManifest::load(&shop.folder).unwrap();
    let path = segment_path(&store_folder(&shop.folder), &manifest.sources[0].segments[0]);
    let whole = fs::read(&path).unwrap();
    for at in 0..whole.len() {
        let mut damaged = whole.clone();
        damaged[at] ^= 0x40;
        fs::write(&path, damaged).unwrap();
        let error = read_store(&shop.folder, &shop.config, None)
            .unwrap_err()
            .to_string();
        assert!(
            error.contains(".segment") && error.contains("0.csv again"),
            "byte {at}: {error}"
        );
        fs::write(&path, &whole[..at]).unwrap();
        assert!(
            read_store(&shop.folder, &shop.config, None).is_err(),
            "cut at {at}"
        );
    }
    assert_eq!(states(&shop.all()), [ImportState::Imported]);
    assert_eq!(shop.data().len(), 1);
    fs::remove_file(&path).unwrap();
    assert!(shop.changed().is_good(), "one that is gone is missed at once");
    assert_eq!(shop.data().len(), 1);
    let manifest = store_folder(&shop.folder).join("manifest.json");
    fs::write(&manifest, "{}").unwrap();
    assert!(
        StoreManifest::load(&shop.folder)
            .is_err_and(|error| error.to_string().contains("manifest.json is damaged"))
    );
}

#[test]
fn one_import_at_a_time_and_whoever_only_looks_does_not_wait() {
    let shop = Shop::new(&["ann,tea,1700000000,1\n"]);
    shop.changed();
    let held = lock(&shop.folder).unwrap();
    assert_eq!(states(&shop.changed()), [ImportState::Unchanged]);
    assert!(matches!(
        import(&shop.folder, &shop.config, &[], false, NOW),
        Err(InteractionsError::Busy)
    ));
    drop(held);
    shop.all();
}

/// A disk on which the shop system writes on to an export while it is being imported.
#[derive(Debug)]
struct GrowingExport {
    export: PathBuf,
    line: Mutex<Option<&'static str>>,
}

impl Disk for GrowingExport {
    fn database(&self, builder: &redb::Builder, path: &Path) -> Result<redb::Database, redb::DatabaseError> {
        SystemDisk.database(builder, path)
    }
    fn open(&self, path: &Path, access: Access) -> io::Result<Box<dyn DiskFile>> {
        SystemDisk.open(path, access)
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        // The segment is complete: what comes now was not read.
        if let Some(line) = self.line.lock().unwrap().take() {
            let mut export = fs::OpenOptions::new().append(true).open(&self.export)?;
            export.write_all(line.as_bytes())?;
        }
        SystemDisk.rename(from, to)
    }
    fn rename_anew(&self, from: &Path, to: &Path) -> io::Result<()> {
        SystemDisk.rename_anew(from, to)
    }
    fn remove(&self, path: &Path) -> io::Result<()> {
        SystemDisk.remove(path)
    }
    fn make_folder(&self, path: &Path) -> io::Result<()> {
        SystemDisk.make_folder(path)
    }
    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        SystemDisk.sync_folder(path)
    }
    fn list(&self, folder: &Path) -> io::Result<Vec<PathBuf>> {
        SystemDisk.list(folder)
    }
    fn is_file(&self, path: &Path) -> bool {
        SystemDisk.is_file(path)
    }
}

#[test]
fn a_file_that_grows_while_it_is_read_is_told_and_read_again() {
    let mut shop = Shop::new(&["ann,tea,1700000000,1\n"]);
    let disk = GrowingExport {
        export: shop.dir.path().join("0.csv"),
        line: Mutex::new(Some("bob,jam,1700000001,1\n")),
    };
    shop.folder = Folder::on(Arc::new(disk), shop.dir.path());
    let grew = shop.changed();
    assert_eq!(states(&grew), [ImportState::Imported]);
    let told: Vec<String> = grew.troubles().collect();
    assert!(
        told[0].contains("0.csv: it was written to while it was read"),
        "{told:?}"
    );
    assert_eq!(grew.not_imported().count(), 0);
    assert_eq!(shop.histories(), owned(&[("ann", &["tea"])]));
    assert!(shop.changed().is_good());
    assert_eq!(shop.histories(), owned(&[("ann", &["tea"]), ("bob", &["jam"])]));
}

#[derive(Default)]
struct Collected {
    users: Vec<String>,
    items: Vec<String>,
    rows: Vec<StoredRow>,
    not_bought: Vec<(OrderKey, String)>,
}

impl SegmentVisitor for Collected {
    fn user(&mut self, id: &str) {
        self.users.push(id.to_owned());
    }

    fn item(&mut self, id: &str) {
        self.items.push(id.to_owned());
    }

    fn row(&mut self, row: StoredRow) {
        self.rows.push(row);
    }

    fn not_bought(&mut self, order: OrderKey, item: &str) {
        self.not_bought.push((order, item.to_owned()));
    }
}

type Line = (String, String, i64, u8, u16, Option<u16>);

/// What a segment of these lines says when it is read back.
fn there_and_back(lines: &[Line]) -> Vec<Line> {
    let dir = tempfile::tempdir().unwrap();
    let aside = dir.path().join("segment.new");
    let mut writer = SegmentWriter::begin(&SystemDisk, &aside).unwrap();
    let kinds = [Kind::Purchase, Kind::Return, Kind::View, Kind::Cart];
    let mut not_bought = Vec::new();
    for (user, item, time, kind, quantity, price) in lines {
        let interaction = Interaction {
            user,
            item,
            time: *time,
            kind: kinds[usize::from(*kind)],
            quantity: f32::from(*quantity),
            price: price.map(f32::from),
            order: OrderKey::of(item, user),
        };
        writer.take(&interaction).unwrap();
        if let Some(order) = interaction.order.filter(|_| *quantity % 3 == 0) {
            writer.take_not_bought(order, item).unwrap();
            not_bought.push((order, item.clone()));
        }
    }
    let digest: Digest = writer.finish(&SystemDisk).unwrap();
    assert!(!aside.exists());
    let mut read = Collected::default();
    let path = segment_path(dir.path(), &digest);
    let rows = read_segment(&SystemDisk, &path, &digest, &mut read).unwrap();
    assert_eq!(rows as usize, lines.len());
    assert_eq!(read.not_bought, not_bought);
    let line = |row: &StoredRow| {
        let kind = kinds.iter().position(|kind| *kind == row.kind).unwrap() as u8;
        let (user, item) = (&read.users[row.user as usize], &read.items[row.item as usize]);
        let price = row.price.map(|price| price as u16);
        assert_eq!(row.order, OrderKey::of(item, user));
        (
            user.clone(),
            item.clone(),
            row.time,
            kind,
            row.quantity as u16,
            price,
        )
    };
    read.rows.iter().map(line).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn a_segment_says_what_it_was_given(
        lines in prop::collection::vec(
            ("[a-c]{0,2}", "[x-zé]{0,2}", any::<i64>(), 0..4u8, any::<u16>(), any::<Option<u16>>()),
            0..50,
        )
    ) {
        prop_assert_eq!(there_and_back(&lines), lines);
    }
}

#[test]
fn a_segment_of_several_blocks_says_what_it_was_given() {
    let line = |at: i64| (format!("u{}", at % 1000), format!("i{}", at % 77), at, 0, 3, None);
    let lines: Vec<Line> = (0..70_000).map(line).collect();
    assert_eq!(there_and_back(&lines), lines);
}
