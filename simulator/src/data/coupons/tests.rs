use std::fs::write;

use souk_common::dataset::History;
use tempfile::TempDir;

use super::*;

const DAY: i64 = 86_400;

/// Two products that are known, of two households.
fn known() -> Known {
    let item = |id: &str, category: &str| Item {
        category: category.into(),
        tags: vec!["department X".into()],
        ..Item::bare(id.to_owned())
    };
    let items = vec![item("tea", "DRINKS"), item("soap", "HOME")];
    let history = || History {
        items: vec![0, 1],
        times: vec![0, 1],
    };
    Known {
        name: "completejourney",
        dataset: Dataset {
            users: vec!["h1".into(), "h2".into()],
            histories: vec![history(), history()],
            labelled: Vec::new(),
        },
        catalogue: Catalogue::new(items).unwrap(),
        shop_of: vec![0, 0],
        shops: 1,
        groups: vec![String::new(); 2],
    }
}

/// A set whose redemptions, and lines of the campaigns beside two that are sound, are these.
fn set(redemptions: &str, further: &str) -> TempDir {
    let dir = TempDir::new().unwrap();
    let file = |name: &str, text: String| write(dir.path().join(name), text).unwrap();
    file(
        "campaign_descriptions.csv",
        "campaign_id,campaign_type,start_date,end_date\n7,Type B,1970-02-01,1970-03-03\n8,Type A,1970-01-02,1970-01-12\n".into(),
    );
    file(
        "coupons.csv",
        "coupon_upc,product_id,campaign_id\n100,tea,7\n100,milk,7\n200,soap,7\n200,tea,7\n300,beer,8\n"
            .into(),
    );
    file(
        "campaigns.csv",
        format!("campaign_id,household_id\n7,h1\n7,h2\n8,h1\n{further}"),
    );
    file(
        "coupon_redemptions.csv",
        format!("household_id,coupon_upc,campaign_id,redemption_date\n{redemptions}"),
    );
    file(
        "demographics.csv",
        "household_id,age,income,home_ownership,marital_status,household_size,household_comp,kids_count\n\
         h2,65+,,Homeowner,Married,2,,0\nh9,65+,,,,,,\n"
            .into(),
    );
    dir
}

#[test]
fn a_coupon_is_an_ad_of_its_campaign_that_shares_a_tag_with_what_it_covers() {
    let dir = set("h1,200,7,1970-02-05\n", "");
    let coupons = Coupons::of(dir.path(), known()).unwrap();
    let items = coupons.known.catalogue.items();
    let ids: Vec<&str> = items.iter().map(|item| item.id.as_str()).collect();
    assert_eq!(
        ids,
        ["tea", "soap", "coupon 7-100", "coupon 7-200", "coupon 8-300"]
    );
    assert_eq!(items[0].tags, ["coupon 7-100", "coupon 7-200"]);
    assert_eq!(items[2].tags, ["ad", "coupon 7-100"]);
    // One product of each category: the first by name. No catalogue has beer.
    assert_eq!(
        [2, 3, 4].map(|row| items[row].category.as_str()),
        ["DRINKS", "DRINKS", ""]
    );
    assert_eq!((coupons.first_ad, coupons.campaigns), (2, 2));
    let coupon = |kind: &str, days, products| Coupon {
        kind: kind.into(),
        days,
        products,
    };
    assert_eq!(
        coupons.ads,
        [coupon("B", 30, 2), coupon("B", 30, 2), coupon("A", 10, 1)]
    );
    assert_eq!(
        coupons.households,
        [
            Vec::new(),
            vec![
                "age 65+".to_owned(),
                "home_ownership Homeowner".into(),
                "marital_status Married".into(),
                "household_size 2".into(),
                "kids_count 0".into(),
                "demographics".into(),
            ]
        ]
    );
    assert!(coupons.left_out.is_empty(), "{:?}", coupons.left_out);
}

#[test]
fn what_a_household_was_sent_stands_in_time_order_with_what_it_redeemed() {
    let dir = set("h1,200,7,1970-02-05\nh1,200,7,1970-02-09\n", "");
    let labelled = Coupons::of(dir.path(), known()).unwrap().known.dataset.labelled;
    assert_eq!(labelled[0].items, [4, 2, 3]);
    assert_eq!(labelled[0].times, [DAY, 31 * DAY, 31 * DAY]);
    assert_eq!(labelled[0].labels, [0.0, 0.0, 1.0]);
    // Shown, and never clicked.
    assert_eq!(
        (labelled[1].items.as_slice(), labelled[1].labels.as_slice()),
        (&[2, 3][..], &[0.0; 2][..])
    );
}

#[test]
fn redemptions_of_what_nobody_was_sent_and_of_coupons_that_are_not_there_are_counted_and_said() {
    // h2 was not sent campaign 8; there is no coupon 999; campaign 5 is not described, h9 is not known.
    let dir = set("h2,300,8,1970-01-05\nh1,999,7,1970-02-05\n", "5,h1\n7,h9\n");
    let coupons = Coupons::of(dir.path(), known()).unwrap();
    let all = coupons
        .known
        .dataset
        .labelled
        .iter()
        .flat_map(|labelled| &labelled.labels);
    assert!(all.copied().all(|label| label == 0.0));
    let said = coupons.left_out.join("\n");
    assert!(
        said.contains("1 redemptions are of coupons that coupons.csv"),
        "{said}"
    );
    assert!(
        said.contains("1 redemptions are of coupons that the household was not sent"),
        "{said}"
    );
    assert!(said.contains("2 campaigns were sent to households"), "{said}");
}

#[test]
fn a_campaign_that_one_household_got_is_a_campaign() {
    let coupons = Coupons::of(set("h1,300,8,1970-01-05\n", "").path(), known()).unwrap();
    assert_eq!(coupons.known.dataset.labelled[0].labels, [1.0, 0.0, 0.0]);
}

#[test]
fn files_that_are_not_there_or_have_no_dates_are_named() {
    let dir = set("", "");
    write(
        dir.path().join("campaign_descriptions.csv"),
        "campaign_id,campaign_type,start_date,end_date\n7,Type B,soon,1970-03-03\n",
    )
    .unwrap();
    let told = |dir: &TempDir| Coupons::of(dir.path(), known()).err().unwrap().to_string();
    assert!(told(&dir).contains("\"soon\" is no date"), "{}", told(&dir));
    std::fs::remove_file(dir.path().join("coupons.csv")).unwrap();
    let dir = set("", "");
    std::fs::remove_file(dir.path().join("coupons.csv")).unwrap();
    assert!(told(&dir).contains("has no coupons.csv"), "{}", told(&dir));
}
