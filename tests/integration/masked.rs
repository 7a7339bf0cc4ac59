//! Masked rounds with real processes: the coordinator sees sums, shops drop out, lines are bad, and both sides crash.

use std::time::Duration;
use std::{fs, thread};

use serde_json::Value;
use souk_tests::federation::{Federation, Running, masked_plan, until};
use souk_tests::relay::Relay;

const SOUK: &str = env!("CARGO_BIN_EXE_souk");
const SHOPS: [&str; 4] = ["east", "north", "south", "west"];

fn start(rounds: u64, flags: &[&str]) -> Federation {
    let federation = Federation::start(SOUK, &masked_plan(rounds, 3, &SHOPS), flags);
    for (shop, users) in SHOPS.iter().zip([40, 30, 20, 10]) {
        federation.join(shop, users);
    }
    federation.trust_each_other(&SHOPS);
    federation
}

fn run_all(federation: &Federation) -> Vec<Running> {
    let start = |shop: &&str| federation.start_client(shop, &["--exit-when-finished"]);
    SHOPS.iter().map(start).collect()
}

fn published(federation: &Federation) -> u64 {
    federation.coordinator_json(&["status"])["rounds_published"]
        .as_u64()
        .unwrap_or(0)
}

/// Entries of the coordinator's record, as `status` tells its length: here from its store, once it has stopped.
fn all_end(federation: &mut Federation, running: &mut [Running]) {
    for (process, shop) in running.iter_mut().zip(SHOPS) {
        assert!(process.wait(), "{shop}: {}", federation.log(shop));
    }
    assert!(federation.wait_for_coordinator(), "{}", federation.complaints());
}

#[test]
fn a_masked_run_publishes_and_each_budget_says_against_whom_it_holds() {
    let mut federation = start(3, &["--exit-when-finished"]);
    let mut running = run_all(&federation);
    all_end(&mut federation, &mut running);
    assert_eq!(published(&federation), 3);
    for shop in SHOPS {
        let budget = federation.client_json(shop, &["budget"]);
        let figure = |key: &str| budget[key].as_f64().unwrap_or_else(|| panic!("{key}: {budget}"));
        assert_eq!(budget["rounds_charged"], 3);
        // Noise against readers is 3 shares of 2 that count, alone it is one.
        assert!(figure("epsilon_readers") < figure("epsilon"));
        assert!(figure("epsilon") < figure("epsilon_if_alone"));
        // What may help to unmask is erased with the attempt.
        let log = federation.log(shop);
        assert!(log.contains("the run is complete"), "{log}");
    }
}

#[test]
fn a_shop_that_is_killed_in_the_middle_costs_no_round() {
    let mut federation = start(4, &["--exit-when-finished"]);
    let mut running = run_all(&federation);
    until("a round is published", || published(&federation) >= 1);
    running[0].kill();
    until("rounds go on without it", || published(&federation) >= 3);
    running[0] = federation.start_client(SHOPS[0], &["--exit-when-finished"]);
    all_end(&mut federation, &mut running);
}

#[test]
fn a_coordinator_that_is_killed_again_and_again_goes_on_or_begins_a_new_attempt() {
    let mut federation = start(6, &["--exit-when-finished"]);
    let mut running = run_all(&federation);
    for pause in [150, 400, 700, 1100] {
        thread::sleep(Duration::from_millis(pause));
        federation.kill_coordinator();
        federation.serve(&["--exit-when-finished"]);
    }
    all_end(&mut federation, &mut running);
    assert_eq!(published(&federation), 6);
}

#[test]
fn strangers_are_not_counted_until_the_owner_confirms_them() {
    let federation = Federation::start(SOUK, &masked_plan(1, 3, &SHOPS), &[]);
    for shop in SHOPS {
        federation.join(shop, 10);
    }
    let listed = federation.client_json("north", &["shops"]);
    assert_eq!(listed["members"].as_array().map(Vec::len), Some(4), "{listed}");
    // Two strangers are left: with itself it knows two, and the plan unmasks sums of three.
    federation.trust_each_other(&["north", "south"]);
    let mut north = federation.start_client("north", &[]);
    federation.trust_each_other(&["east", "south", "west"]);
    let _others: Vec<Running> = ["east", "south", "west"]
        .map(|shop| federation.start_client(shop, &[]))
        .into();
    until("it declines", || federation.log("north").contains("declined"));
    let told = |shop: &str| -> Value {
        let status = federation.coordinator_json(&["status"]);
        let shops = status["shops"].as_array().cloned().unwrap_or_default();
        shops
            .into_iter()
            .find(|told| told["shop"] == shop)
            .unwrap_or_default()
    };
    until("the operator hears of it", || {
        told("north")["code"] == "too_few_known_shops"
    });
    // The comments of the file are still there.
    let file = fs::read_to_string(federation.shop("north").join("shop.toml")).expect("a file");
    assert!(
        file.contains("# A shop's own file") && file.contains("south = "),
        "{file}"
    );
    assert!(north.stop("-TERM"));
}

#[test]
fn a_run_that_stands_still_for_keys_that_are_not_confirmed_goes_on_by_itself_when_they_are() {
    let federation = Federation::start(SOUK, &masked_plan(1, 3, &SHOPS), &[]);
    SHOPS.iter().for_each(|shop| drop(federation.join(shop, 10)));
    let _running: Vec<Running> = SHOPS
        .iter()
        .map(|shop| federation.start_client(shop, &[]))
        .collect();
    let status = || federation.coordinator_json(&["status"]);
    until("it stands still", || status()["state"] == "paused");
    assert_eq!(published(&federation), 0);
    federation.trust_each_other(&SHOPS);
    until("the round is published", || published(&federation) == 1);
    let log = federation.log("north");
    assert!(log.contains("would take part now"), "{log}");
}

/// Ten rounds over lines that lose one datagram in thirty each way and are cut for seconds at a time.
#[test]
fn ten_masked_rounds_over_bad_lines_come_to_their_end() {
    let mut federation = start(10, &["--exit-when-finished"]);
    let relays: Vec<Relay> = (0..SHOPS.len() as u64)
        .map(|seed| Relay::start(federation.address(), 33, seed * 1000))
        .collect();
    for (shop, relay) in SHOPS.iter().zip(&relays) {
        federation.dial_through(shop, relay.address());
    }
    let mut running = run_all(&federation);
    // One line after another.
    for relay in relays.iter().cycle().take(6) {
        thread::sleep(Duration::from_millis(400));
        relay.cut(true);
        thread::sleep(Duration::from_millis(900));
        relay.cut(false);
    }
    all_end(&mut federation, &mut running);
    assert_eq!(published(&federation), 10);
    for relay in &relays {
        let (passed, lost) = relay.counts();
        assert!(lost * 100 > passed, "{lost} of {passed} were lost");
    }
}
