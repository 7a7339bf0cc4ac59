//! What is older than what is kept, on a clock of its own.

use proptest::prelude::*;

use super::super::exposures::delete_old_experiments;
use super::*;
use crate::data::reading::OLD;
use crate::interactions::import::import_changed;
use crate::interactions::manifest::StoreManifest;

fn orders(days_ago: &[(&str, &str, u32)]) -> String {
    let line = |(user, item, days): &(&str, &str, u32)| {
        let time = NOON - *days * DAY;
        format!("{user},{item},{}\n", time.0 / 1000)
    };
    format!(
        "user_id,item_id,timestamp\n{}",
        days_ago.iter().map(line).collect::<String>()
    )
}

#[test]
fn what_is_too_old_is_left_out_while_reading_and_leaves_the_store_as_days_go_by() {
    let shop = Shop::bare("[data]\nkeep_days = 30");
    let lines = orders(&[
        ("ann", "tea", 40),
        ("ann", "jam", 30),
        ("bert", "tea", 28),
        ("ann", "pot", 10),
    ]);
    let own = shop.write("orders.csv", &lines, NOON);
    let given = shop.write(
        "given.csv",
        &orders(&[("carl", "tea", 28), ("carl", "pot", 2)]),
        NOON,
    );
    let outcome = shop.import();
    assert_eq!(outcome.report().sources[0].left_out[OLD], 1);
    assert_eq!(outcome.aged, [""; 0]);
    import(&shop.folder, &shop.config.data, &[given], false, NOON).unwrap();
    let all: [(&str, &[&str]); 3] = [
        ("ann", &["jam", "pot"]),
        ("bert", &["tea"]),
        ("carl", &["pot", "tea"]),
    ];
    assert_eq!(shop.histories(), named(&all));
    // Three days later nobody has touched a file, and looking is enough.
    let later = import_changed(&shop.folder, &shop.config.data, NOON + 3 * DAY).unwrap();
    assert_eq!(later.aged.len(), 2, "{:?}", later.aged);
    assert!(
        later.aged[0].contains("2 interactions of orders.csv are older than keep_days"),
        "{:?}",
        later.aged
    );
    assert!(later.lines().contains(&later.aged[1]) && later.is_news());
    let left: [(&str, &[&str]); 2] = [("ann", &["pot"]), ("carl", &["pot"])];
    assert_eq!(shop.histories(), named(&left));
    let (_, report) = shop.read();
    assert_eq!((report.sources[0].taken, report.sources[0].left_out[OLD]), (1, 3));
    // The same day nothing is read again.
    let contents = StoreManifest::load(&shop.folder).unwrap();
    assert_eq!(
        import_changed(&shop.folder, &shop.config.data, NOON + 3 * DAY)
            .unwrap()
            .aged,
        [""; 0]
    );
    assert_eq!(StoreManifest::load(&shop.folder).unwrap(), contents);
    // More is kept: what a file still has comes back, and of the one that was given the owner is told.
    let wide = ShopConfig::default();
    let outcome = import_changed(&shop.folder, &wide.data, NOON + 3 * DAY).unwrap();
    assert!(
        outcome.aged[0].contains("given.csv") && outcome.aged[0].contains("import that file again"),
        "{:?}",
        outcome.aged
    );
    assert_eq!(shop.histories()["ann"], ["jam", "pot", "tea"]);
    assert_eq!(fs::read_to_string(own).unwrap(), lines, "the owner's file");
}

#[test]
fn days_of_events_and_experiments_that_are_wholly_too_old_are_deleted_and_no_others() {
    let shop = Shop::new();
    let before = shop.histories();
    let config: ShopConfig = toml::from_str(
        &format!("{SHOP_TOML}[experiment]\nname = 'autumn'\nalone = 1\ntogether = 1")
            .replace("[data]", "[data]\nkeep_days = 1"),
    )
    .unwrap();
    let day = |name: &str| shop.folder.events().join(name);
    let at = |now| import(&shop.folder, &config.data, &[], false, now).unwrap();
    // The window begins with the 27th.
    at(NOON);
    assert!(day("2026-11-27.jsonl").exists());
    assert_eq!(shop.histories()[ANNA], ["rye"]);
    let outcome = at(NOON + 2 * DAY);
    assert!(!day("2026-11-27.jsonl").exists() && day("2026-11-28.jsonl").exists());
    assert!(
        outcome
            .aged
            .iter()
            .any(|told| told.contains("1 days of the journal")),
        "{:?}",
        outcome.aged
    );
    assert!(
        !outcome
            .lines()
            .iter()
            .any(|line| line.contains("no longer named")),
        "{:?}",
        outcome.lines()
    );
    assert!(
        read_store(&shop.folder, &config.data, None).is_err(),
        "there is nothing left of the last day"
    );
    // Experiments: the one that runs stays, whatever its age.
    assert_eq!(
        delete_old_experiments(&shop.folder, &ShopConfig::default(), NOON).unwrap(),
        [""; 0]
    );
    let told = delete_old_experiments(&shop.folder, &config, NOON).unwrap();
    assert_eq!(told.len(), 1);
    assert!(told[0].contains("spring") && shop.folder.experiments().join("autumn.jsonl").exists());
    assert!(before.len() == 3);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn the_store_is_what_a_fresh_reading_of_what_is_kept_would_be(
        lines in prop::collection::vec((0..4u8, 0..5u8, 0..60u32), 1..30),
        keep in 1..40u32,
        later in 0..30u32,
    ) {
        let lines: Vec<(String, String, u32)> =
            lines.into_iter().map(|(user, item, days)| (format!("u{user}"), format!("i{item}"), days)).collect();
        let borrowed: Vec<(&str, &str, u32)> =
            lines.iter().map(|(user, item, days)| (user.as_str(), item.as_str(), *days)).collect();
        let text = format!("{}x,y,{}\n", orders(&borrowed), (NOON + 60 * DAY).0 / 1000 - 59 * 86_400);
        let [aged, fresh] = [0, 1].map(|_| {
            let shop = Shop::bare(&format!("[data]\nkeep_days = {keep}"));
            shop.write("orders.csv", &text, NOON);
            shop
        });
        aged.import();
        aged.import_at(NOON + later * DAY);
        fresh.import_at(NOON + later * DAY);
        let read = |shop: &Shop| read_store(&shop.folder, &shop.config.data, None).ok().map(|read| {
            let dataset = read.shop.dataset;
            let counts = read.shop.report.sources.into_iter().map(|source| (source.rows, source.taken, source.left_out));
            (dataset.users, dataset.histories, counts.collect::<Vec<_>>())
        });
        prop_assert_eq!(read(&aged), read(&fresh));
    }
}
