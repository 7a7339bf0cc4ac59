//! The shop's agent in a world that moves: other addresses, late updates, changed files, a copy of its own folder.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use souk_tests::federation::{Federation, bad, large_plan, plan, until};
use souk_tests::relay::Relay;

const SOUK: &str = env!("CARGO_BIN_EXE_souk");
/// Bytes on the line when about half of a large update has left; handshake and probes of the path take 60,000.
const HALF: u64 = 500_000;

/// What `status` says of a shop of the plan.
fn told(federation: &Federation, shop: &str) -> Value {
    let status = federation.coordinator_json(&["status"]);
    let shops = status["shops"].as_array().expect("a list");
    let told = shops.iter().find(|told| told["shop"] == shop);
    told.expect("the shop").clone()
}

fn only_upload(federation: &Federation, shop: &str) -> Value {
    let sent = federation.client_json(shop, &["sent"]);
    let uploads = sent["uploads"].as_array().expect("a list");
    assert_eq!(uploads.len(), 1, "{sent}");
    uploads[0].clone()
}

#[test]
fn a_shop_that_gets_another_address_in_the_middle_of_an_upload_goes_on_over_the_same_connection() {
    let mut federation = Federation::prepare(SOUK, &large_plan(1, 1, &["north"]));
    federation.set_environment("SOUK_LOG", "souk_coordinator=info");
    federation.serve(&[]);
    federation.join("north", 10);
    let relay = Relay::start(federation.address(), 0, 1);
    federation.dial_through("north", relay.address());
    relay.move_after(HALF);
    let mut north = federation.start_client("north", &["--exit-when-finished"]);
    assert!(
        north.wait(),
        "{}\n{}",
        federation.log("north"),
        federation.complaints()
    );
    let upload = only_upload(&federation, "north");
    assert!(
        upload["update_bytes"].as_u64() > Some(1_000_000) && !upload["receipt"].is_null(),
        "{upload}"
    );
    // Each byte was offered once, by one connection, from one socket of the shop's.
    assert_eq!(upload["bytes_sent"], upload["update_bytes"]);
    assert_eq!(
        (relay.moves(), relay.dials()),
        (1, 1),
        "{}",
        federation.log("north")
    );
    let log = federation.log("north");
    assert!(!log.contains("trying again"), "{log}");
    let seen = federation.complaints();
    assert_eq!(seen.matches("a shop connected").count(), 1, "{seen}");
}

#[test]
fn a_late_update_is_discarded_and_still_charged_and_both_sides_say_so() {
    let shops = ["north", "south"];
    let late = large_plan(2, 1, &shops).replace("deadline = \"50s\"", "deadline = \"25s\"");
    let mut federation = Federation::start(SOUK, &late, &[]);
    shops.iter().for_each(|shop| drop(federation.join(shop, 10)));
    let relay = Relay::start(federation.address(), 0, 1);
    federation.dial_through("north", relay.address());
    relay.cut_after(HALF);
    let mut north = federation.start_client("north", &[]);
    until("it is in the middle of its upload", || relay.is_cut());
    let mut south = federation.start_client("south", &[]);
    until("the round goes on without it", || {
        federation.coordinator_json(&["status"])["rounds_published"].as_u64() >= Some(1)
    });
    relay.cut(false);
    until("its update comes too late", || {
        federation.log("north").contains("update refused")
    });
    let sent = federation.client_json("north", &["sent"]);
    let first = &sent["uploads"][0];
    assert_eq!(
        (&first["rejected"], &first["receipt"]),
        (&"not_open".into(), &Value::Null)
    );
    assert!(
        federation.log("north").contains("the spend stays"),
        "{}",
        federation.log("north")
    );
    let said = federation.client("north", &["sent"]).stdout;
    assert!(String::from_utf8_lossy(&said).contains("refused: the attempt is not open"));
    assert!(federation.client_json("north", &["budget"])["rounds_charged"].as_u64() >= Some(1));
    let discarded = &told(&federation, "north")["discarded"];
    assert_eq!(
        (&discarded["round"], &discarded["attempt"]),
        (&first["round"], &first["attempt"])
    );
    assert_eq!(told(&federation, "south")["discarded"], Value::Null);
    south.kill();
    north.kill();
    // A restart does not forget it.
    let before = discarded.clone();
    assert!(federation.stop_coordinator());
    federation.serve(&[]);
    assert_eq!(told(&federation, "north")["discarded"], before);
}

#[test]
fn orders_that_change_while_it_runs_are_trained_on_and_a_broken_file_is_told() {
    let federation = Federation::start(SOUK, &plan(1_000_000, 1, &["north"]), &[]);
    federation.join("north", 20);
    let config = fs::read_to_string(federation.shop("north").join("shop.toml")).expect("a file");
    let orders = config.lines().find_map(|line| line.strip_prefix("orders = "));
    let orders = PathBuf::from(orders.expect("a path").trim_matches('"'));
    let _north = federation.start_client("north", &[]);
    let says = |words: &str| {
        until(words, || federation.log("north").contains(words));
    };
    says("model of round 1 in use");
    assert!(!federation.log("north").contains("was imported"));
    let good = fs::read_to_string(&orders).expect("a file");
    fs::write(&orders, format!("{good}new-customer,i1,1700000000\n")).expect("a file");
    says("was imported: ");
    fs::write(&orders, "no such columns\n1,2,3\n").expect("a file");
    says("was not imported: ");
    let published = || federation.coordinator_json(&["status"])["rounds_published"].as_u64();
    let before = published();
    until("rounds go on", || published() > before.map(|rounds| rounds + 1));
    assert!(
        !federation.log("north").contains("declined"),
        "{}",
        federation.log("north")
    );
}

#[test]
fn two_programs_with_one_shops_key_do_not_take_turns_for_ever() {
    let federation = Federation::start(SOUK, &plan(1, 1, &["north", "south"]), &[]);
    let original = federation.join("north", 20);
    let copy = original.with_file_name("copy-of-north");
    copy_folder(&original, &copy);
    let mut first = federation.start_client("north", &[]);
    until("the original is connected", || {
        told(&federation, "north")["state"] != "away"
    });
    let mut second = federation.start_copy(&copy);
    // One of them gives up, and says what that means; the other stays.
    let mut ended = [None, None];
    until("one of them stops", || {
        ended = [&mut first, &mut second].map(|program| program.ended());
        ended.iter().any(Option::is_some)
    });
    let stopped = match ended[0] {
        Some(code) => (code, federation.log("north")),
        None => (
            ended[1].expect("one of them"),
            fs::read_to_string(copy.join("run.log")).expect("a file"),
        ),
    };
    // By the turns that they took, or earlier: by the first update that the other has sent meanwhile.
    assert_eq!(stopped.0, Some(1), "{}", stopped.1);
    for words in ["another", "ledger", "copy"] {
        assert!(stopped.1.contains(words), "{}", stopped.1);
    }
}

fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder");
    for entry in fs::read_dir(from).expect("a folder").flatten() {
        let target = to.join(entry.file_name());
        match entry.path().is_dir() {
            true => copy_folder(&entry.path(), &target),
            false => drop(fs::copy(entry.path(), target).expect("a copy")),
        }
    }
}

#[test]
fn a_shop_whose_coordinator_is_gone_ends_after_as_long_as_its_owner_bears() {
    let mut federation = Federation::prepare(SOUK, &plan(1, 1, &["north"]));
    federation.serve(&[]);
    federation.join("north", 5);
    assert!(federation.stop_coordinator());
    let (code, said) = bad(&federation.client("north", &["run", "--give-up-after", "2s"]));
    assert!(
        code == 2 && said.contains("for 2s (--give-up-after)"),
        "{code} {said}"
    );
    let (code, said) = bad(&federation.client("north", &["run", "--give-up-after", "soon"]));
    assert!(code == 64 && said.contains("soon"), "{code} {said}");
}
