//! A shop's store of interactions on a disk that stops or fails at every write of an import: it has what it had or what was
//! imported, never anything between, and the next import goes on from it.

use std::fs;
use std::io::ErrorKind;

use souk_client::data::{Paths, ShopDataConfig};
use souk_client::folder::Folder;
use souk_client::interactions::import::import_changed;
use souk_client::interactions::read::read_store;
use souk_common::clock::Timestamp;

use super::*;

const NOW: Timestamp = Timestamp(1_800_000_000_000);

struct Shop {
    home: tempfile::TempDir,
    folder: Folder,
    config: ShopDataConfig,
}

impl Shop {
    fn new(disk: &FakeDisk) -> Self {
        let home = tempfile::tempdir().expect("a folder");
        Self {
            folder: Folder::on(Arc::new(disk.clone()), home.path()),
            home,
            config: ShopDataConfig {
                orders: Paths::Many(vec!["a.csv".into(), "b.csv".into()]),
                ..ShopDataConfig::default()
            },
        }
    }

    fn write(&self, name: &str, users: &[&str]) {
        let lines: String = users
            .iter()
            .map(|user| format!("{user},tea,1700000000\n"))
            .collect();
        let text = format!("user_id,item_id,timestamp\n{lines}");
        fs::write(self.home.path().join(name), text).expect("written");
    }

    /// Whether the import was whole.
    fn import(&self) -> bool {
        import_changed(&self.folder, &self.config, NOW).is_ok()
    }

    fn users(&self) -> Vec<String> {
        let read = read_store(&self.folder, &self.config, None).expect("the store can be read");
        read.shop.dataset.users
    }

    fn files(&self) -> usize {
        self.folder
            .disk()
            .list(&self.home.path().join("interactions"))
            .expect("a folder")
            .len()
    }
}

/// Imports two sources over two others on a disk to which `harm` was done first; whether that was whole.
fn harmed(seed: u64, harm: impl FnOnce(&FakeDisk), how: Stop) -> bool {
    let disk = FakeDisk::new(seed, "imports");
    let shop = Shop::new(&disk);
    shop.write("a.csv", &["ann", "old"]);
    shop.write("b.csv", &["bob"]);
    assert!(shop.import());
    shop.write("a.csv", &["ann", "new"]);
    shop.write("b.csv", &["bob", "cy"]);
    harm(&disk);
    let is_whole = shop.import();
    disk.restart(how);
    let found = shop.users();
    // Source by source, in this order.
    let allowed: [&[&str]; 3] = [
        &["ann", "bob", "old"],
        &["ann", "bob", "new"],
        &["ann", "bob", "cy", "new"],
    ];
    assert!(allowed.iter().any(|users| found == *users), "{found:?}");
    assert!(
        !is_whole || found == allowed[2],
        "what was said to be imported is there: {found:?}"
    );
    assert!(shop.import());
    assert_eq!(shop.users(), allowed[2]);
    // Manifest, lock, a segment each: what was left in the middle is swept by whoever imports next.
    shop.write("b.csv", &["bob", "dan"]);
    assert!(shop.import());
    assert_eq!(
        (shop.users(), shop.files()),
        (vec!["ann".into(), "bob".into(), "dan".into(), "new".into()], 4)
    );
    is_whole
}

#[test]
fn an_import_that_is_stopped_at_any_write_leaves_each_source_as_it_was_or_as_it_is() {
    for (how, seeds) in [(Stop::Kill, 1), (Stop::PowerCut, 6)] {
        for seed in 0..seeds {
            let stops = (0..200)
                .take_while(|writes| !harmed(seed, |disk| disk.stop_after(*writes), how))
                .count();
            assert!(
                (10..200).contains(&stops),
                "an import of two sources has some writes: {stops}"
            );
        }
    }
}

#[test]
fn an_import_whose_disk_is_full_or_fails_at_any_write_says_so_and_loses_nothing() {
    for kind in [ErrorKind::StorageFull, ErrorKind::Other] {
        let whole = (0..40).filter(|writes| harmed(1, |disk| disk.fail_after(*writes, kind), Stop::PowerCut));
        // Old segments that could not be removed are no failure.
        let whole = whole.count();
        assert!(
            (1..30).contains(&whole),
            "{whole} of 40 failed writes were not told"
        );
    }
}
