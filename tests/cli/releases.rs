//! `plan new --releases` and `plan check` of what it wrote: which releases, at which noise, and what can't be.

use std::fs;
use std::process::Output;

use serde_json::Value;
use souk_tests::federation::{Federation, bad, good, text};

const SOUK: &str = env!("CARGO_BIN_EXE_souk");

/// A federation with a catalogue of 40 items, with features, and no plan yet.
fn federation() -> Federation {
    let federation = Federation::prepare(SOUK, "");
    fs::remove_file(federation.plan()).expect("it was there");
    federation
}

/// Writes a plan anew, for shops of so many customers.
fn new(federation: &Federation, customers: &[u64], flags: &[&str]) -> Output {
    let _ = fs::remove_file(federation.plan());
    let plan = federation.plan();
    let shops: Vec<String> = (0..)
        .zip(customers)
        .map(|(shop, customers)| format!("shop-{shop}={customers}"))
        .collect();
    let mut args = vec!["plan", "new", text(&plan), "--releases"];
    args.extend(shops.iter().flat_map(|shop| ["--shop", shop.as_str()]));
    args.extend(flags);
    federation.coordinator(&args)
}

fn check(federation: &Federation) -> Value {
    federation.coordinator_json(&["plan", "check", text(&federation.plan())])
}

/// Names and coordinates of the releases.
fn releases(cost: &Value) -> Vec<(String, u64)> {
    let tensors = cost["tensors"].as_array().expect("a list");
    let of = |tensor: &Value| tensor["coordinates"].as_u64().expect("a number");
    let name = |tensor: &Value| tensor["name"].as_str().expect("a name").to_owned();
    tensors.iter().map(|tensor| (name(tensor), of(tensor))).collect()
}

fn is_eight(cost: &Value) {
    let epsilon = cost["epsilon_per_shop"]["epsilon"].as_f64().expect("a number");
    assert!(epsilon <= 8.0 && epsilon > 8.0 - 1e-6, "{cost}");
}

#[test]
fn a_catalogue_with_features_and_enough_customers_makes_two_releases_at_epsilon_eight() {
    let federation = federation();
    good(&new(&federation, &[4000, 2000, 3000], &[]));
    let cost = check(&federation);
    is_eight(&cost);
    let names: Vec<String> = releases(&cost).into_iter().map(|(name, _)| name).collect();
    assert_eq!(
        names,
        [
            "release 1, popularity (share 0.4, z 0.949)",
            "release 2, collaborative (share 0.6, z 0.775)"
        ]
    );
    assert_eq!(releases(&cost)[0].1, 40);
    assert_eq!((&cost["rounds"], &cost["shops"]), (&2.into(), &3.into()));
    assert_eq!(cost["masking"]["min_shops"], 3, "{cost}");
    let said = good(&federation.coordinator(&["plan", "check", text(&federation.plan())]));
    for line in [
        "a shop in all releases spends epsilon 8.0",
        "also if attempts fail",
        "release 1, popularity (share 0.4, z 0.949)",
    ] {
        assert!(said.contains(line), "{line}: {said}");
    }
}

#[test]
fn every_shop_with_all_of_the_noise_needs_no_masks_and_two_shops_can_not_share_it() {
    let federation = federation();
    let (code, said) = bad(&new(&federation, &[4000, 2000], &[]));
    assert!(
        code == 64 && said.contains("2 shops are too few"),
        "{code} {said}"
    );
    assert!(!federation.plan().exists());
    good(&new(&federation, &[4000, 2000], &["--local-noise"]));
    let cost = check(&federation);
    is_eight(&cost);
    assert!(cost["masking"].is_null() && releases(&cost).len() == 2, "{cost}");
}

#[test]
fn few_customers_leave_popularity_and_no_features_take_three_releases() {
    let federation = federation();
    good(&new(&federation, &[10, 10, 10], &[]));
    let cost = check(&federation);
    is_eight(&cost);
    assert_eq!(
        releases(&cost),
        [("release 1, popularity (share 1, z 0.600)".to_owned(), 40)]
    );
    let bare: String = (0..40).map(|item| format!("i{item},,,,\n")).collect();
    let items = federation.home().join("bare.csv");
    fs::write(&items, format!("item_id,title,category,brand,price\n{bare}")).expect("a file");
    good(&federation.coordinator(&["catalogue", "import", text(&items)]));
    good(&new(&federation, &[4000, 2000, 3000], &[]));
    let cost = check(&federation);
    is_eight(&cost);
    let names: Vec<String> = releases(&cost).into_iter().map(|(name, _)| name).collect();
    assert_eq!(
        names,
        [
            "release 1, popularity (share 0.2, z 1.342)",
            "release 2, collaborative (share 0.4, z 0.949)",
            "release 3, second_collaborative (share 0.4, z 0.949)"
        ]
    );
    good(&new(&federation, &[10, 10, 10], &[]));
    assert_eq!(releases(&check(&federation)).len(), 1);
    fs::remove_file(federation.home().join("catalogue.jsonl")).expect("it was there");
    let (code, said) = bad(&new(&federation, &[10, 10, 10], &[]));
    assert!(
        code == 64 && said.contains("first `souk-coordinator catalogue import`"),
        "{code} {said}"
    );
}
