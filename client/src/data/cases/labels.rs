//! Files with stars, and with ads that were shown and clicked.

use souk_common::dataset::Dataset;
use souk_common::task::LabelKind;

use super::*;

fn read(labels: LabelKind, text: &str) -> (Dataset, DataReport) {
    let dir = tempfile::tempdir().expect("a folder");
    std::fs::write(dir.path().join("orders.csv"), text).expect("written");
    let config = ShopDataConfig {
        labels: Some(labels),
        ..ShopDataConfig::default()
    };
    let shop = read_shop(&config, dir.path(), None, NOW).expect("a shop");
    (shop.dataset, shop.report)
}

fn labels_of<'a>(dataset: &'a Dataset, user: &str) -> &'a [f32] {
    let at = dataset
        .users
        .iter()
        .position(|other| other == user)
        .expect("known");
    &dataset.labelled[at].labels
}

#[test]
fn stars_are_labels_and_purchases_and_those_out_of_range_are_purchases_alone_and_counted() {
    let text = "user_id,item_id,timestamp,rating\na,x,1700000000,4\na,y,1700000001,9\na,z,1700000002,\nb,x,1700000003,good\n\
                b,y,1700000004,0.5\nc,x,1700000005,2\nc,x,1700000009,5\n";
    let (dataset, report) = read(LabelKind::Stars, text);
    assert_eq!(dataset.histories[0].items.len(), 3);
    assert_eq!(labels_of(&dataset, "a"), [4.0]);
    assert_eq!(labels_of(&dataset, "b"), [0.0; 0]);
    assert_eq!(labels_of(&dataset, "c"), [5.0]);
    assert_eq!((report.rows, report.labels), (7, 2));
    let missing: u64 = report.sources[0].missing.values().sum();
    assert_eq!(missing, 3, "{:?}", report.sources[0].missing);
    assert!(report.to_text().contains("2 to learn from"));
}

#[test]
fn ads_are_no_purchases_and_who_was_only_shown_ads_is_a_customer_without_purchases() {
    let text = "user_id,item_id,timestamp,event\na,ad,1700000000,shown\na,ad,1700000001,Clicked\na,tea,1700000002,purchase\n\
                b,ad,1700000003,impression\nc,tea,1700000003,purchase\nc,ad,1700000004,click\n";
    let (dataset, report) = read(LabelKind::Clicks, text);
    assert_eq!(dataset.users, ["a", "b", "c"]);
    assert_eq!(labels_of(&dataset, "a"), [1.0]);
    assert_eq!(labels_of(&dataset, "b"), [0.0]);
    assert!(dataset.histories[1].is_empty());
    assert_eq!(report.clicks_not_shown, 1);
    assert!(report.to_text().contains("1 clicks on what was not shown before"));
    let plain = ShopDataConfig::default();
    assert_eq!(
        plain.labels, None,
        "without the key, such events are left out as before"
    );
}

#[test]
fn a_file_without_the_column_that_labels_are_in_is_said() {
    let text = "user_id,item_id,timestamp\na,x,1700000000\n";
    for (labels, column) in [
        (LabelKind::Stars, "columns.rating"),
        (LabelKind::Clicks, "columns.event"),
    ] {
        let (dataset, report) = read(labels, text);
        assert!(dataset.labelled.is_empty());
        assert!(
            report.warnings.iter().any(|told| told.contains(column)),
            "{:?}",
            report.warnings
        );
    }
}
