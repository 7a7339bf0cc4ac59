//! Stars with real processes: a plan of `plan new --task rating`, rounds under masks, and lists that say how many are expected.

use std::fs;
use std::path::Path;

use serde_json::Value;
use souk_tests::federation::{Federation, good, orders, run, text};

const SOUK: &str = env!("CARGO_BIN_EXE_souk");
const SHOPS: [&str; 3] = ["east", "north", "west"];

/// Customers who give items of even numbers five stars and others one; the last one gives a number that is beyond the scale.
fn rated(shop: &str, users: usize) -> String {
    let line = |line: &str| {
        let item = line
            .split(',')
            .nth(1)
            .and_then(|item| item[1..].parse::<u32>().ok());
        match item {
            None => format!("{line},rating\n"),
            Some(item) => format!("{line},{}\n", if item.is_multiple_of(2) { 5 } else { 1 }),
        }
    };
    let lines: String = orders(shop, users).lines().map(line).collect();
    lines + &format!("{shop}-0,i39,1700000000,11\n")
}

#[test]
fn three_shops_learn_stars_and_their_lists_say_how_many_are_expected() {
    let mut federation = Federation::prepare(SOUK, "");
    let plan = federation.plan();
    fs::remove_file(&plan).expect("it was there");
    let mut args = vec!["plan", "new", text(&plan), "--task", "rating"];
    for shop in ["east=100", "north=100", "west=100"] {
        args.extend(["--shop", shop]);
    }
    good(&federation.coordinator(&args));
    let made = fs::read_to_string(&plan).expect("a plan");
    let short = made
        .replace("upload_after = \"10s\"", "upload_after = \"1s\"")
        .replace("rounds = 15", "rounds = 2");
    assert_ne!(made, short);
    fs::write(&plan, short).expect("a file");
    federation.serve(&["--exit-when-finished"]);
    for shop in SHOPS {
        let folder = federation.join(shop, 40);
        // Where `join` was told that the orders are.
        let said = federation.client_json(shop, &["check-data"]);
        let file = said["files"][0].as_str().expect("a file").to_owned();
        fs::write(folder.join(&file), rated(shop, 40)).expect("a file");
        let config = folder.join("shop.toml");
        let settings = fs::read_to_string(&config).expect("settings");
        let labelled = settings.replacen("[data]\n", "[data]\nlabels = \"stars\"\n", 1);
        assert_ne!(settings, labelled);
        fs::write(&config, labelled).expect("a file");
        let said = good(&federation.client(shop, &["check-data"]));
        assert!(said.contains("240 to learn from"), "{said}");
        assert!(said.contains("not within stars"), "{said}");
    }
    federation.trust_each_other(&SHOPS);
    let mut running: Vec<_> = SHOPS
        .iter()
        .map(|shop| federation.start_client(shop, &["--exit-when-finished"]))
        .collect();
    for (process, shop) in running.iter_mut().zip(SHOPS) {
        assert!(process.wait(), "{shop}: {}", federation.log(shop));
    }
    assert!(federation.wait_for_coordinator(), "{}", federation.complaints());
    let list = federation.client_json(
        "east",
        &["recommend", "east-3", "--explain", "-k", "40", "--include-bought"],
    );
    assert_eq!(list["personal"], true, "{list}");
    let stars = |even: bool| -> Vec<f64> {
        let items = list["items"].as_array().expect("a list").iter();
        let of = items.filter(|item| {
            let id = item["item_id"].as_str().expect("an id");
            id[1..]
                .parse::<u32>()
                .is_ok_and(|id| id.is_multiple_of(2) == even)
        });
        of.map(|item| item["stars"].as_f64().expect("stars")).collect()
    };
    let (good_ones, bad_ones) = (stars(true), stars(false));
    assert_eq!(good_ones.len() + bad_ones.len(), 40);
    assert!(
        good_ones
            .iter()
            .chain(&bad_ones)
            .all(|stars| (1.0..=5.0).contains(stars))
    );
    let mean = |stars: &[f64]| stars.iter().sum::<f64>() / stars.len() as f64;
    assert!(
        mean(&good_ones) > mean(&bad_ones) + 0.5,
        "{good_ones:?} {bad_ones:?}"
    );
    let home = federation.home();
    let said = run(Path::new(SOUK), "sim", &["verify", text(&home), "--json"]);
    let report: Value = serde_json::from_slice(&said.stdout).expect("a report");
    assert_eq!(report["ok"], true, "{report}");
}
