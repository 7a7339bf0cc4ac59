//! Coordinator and shops as processes: whole runs, questions during and after them, refusals, crashes.

use std::fs;

use souk_common::crypto::sign::{Signed, verify};
use souk_common::params::Delta;
use souk_common::round::statements::Receipt;
use souk_tests::federation::{Federation, Running, bad, good, plan, until};

const SOUK: &str = env!("CARGO_BIN_EXE_souk");
const SHOPS: [&str; 3] = ["north", "south", "west"];

#[test]
fn three_shops_train_one_model_with_receipts_and_a_ledger_that_adds_up() {
    let mut federation = Federation::start(SOUK, &plan(3, 3, &SHOPS), &["--exit-when-finished"]);
    for (shop, users) in SHOPS.iter().zip([60, 30, 10]) {
        federation.join(shop, users);
    }
    let mut running: Vec<Running> = SHOPS
        .iter()
        .map(|shop| federation.start_client(shop, &["--exit-when-finished"]))
        .collect();
    for (process, shop) in running.iter_mut().zip(SHOPS) {
        assert!(process.wait(), "{shop}: {}", federation.log(shop));
    }
    assert!(federation.wait_for_coordinator());
    let status = good(&federation.coordinator(&["status", "--json"]));
    let status: serde_json::Value = serde_json::from_str(&status).expect("JSON");
    assert_eq!(
        (status["state"].as_str(), status["rounds_published"].as_u64()),
        (Some("finished"), Some(3))
    );
    let mut digests = Vec::new();
    for shop in SHOPS {
        let budget = federation.client_json(shop, &["budget"]);
        assert_eq!(budget["model_hash"], status["model_hash"], "{shop}");
        assert_eq!(
            (&budget["unit"], &budget["relation"]),
            (&"user".into(), &"add-remove".into())
        );
        assert_eq!(budget["rounds_charged"], 3);
        let chain =
            souk_client::ledger::read_ledger(&federation.shop(shop).join("ledger.jsonl")).expect("a chain");
        let recomputed = chain
            .composition(None)
            .epsilon(Delta::new(1e-5).expect("a delta"))
            .expect("a bound");
        assert_eq!(budget["epsilon"].as_f64(), Some(recomputed.get()));
        let sent = federation.client_json(shop, &["sent"]);
        let uploads = sent["uploads"].as_array().expect("a list");
        assert_eq!(uploads.len(), 3);
        let key = signing_key(&federation, shop);
        for (upload, round) in uploads.iter().zip(1..) {
            assert_eq!(
                (upload["round"].as_u64(), &upload["bytes_sent"]),
                (Some(round), &upload["update_bytes"])
            );
            let receipt: Signed<Receipt> =
                serde_json::from_value(upload["receipt"].clone()).expect("a receipt");
            let body = verify(&receipt, &key).expect("the coordinator's signature");
            assert_eq!(
                (body.shop.as_str(), body.upload.update.to_string()),
                (shop, text(&upload["digest"]))
            );
            digests.push(text(&upload["digest"]));
        }
    }
    digests.sort();
    digests.dedup();
    assert_eq!(digests.len(), 9, "every update is another");
}

#[test]
fn every_command_works_while_run_is_up_and_when_it_is_not() {
    let federation = Federation::start(SOUK, &plan(2, 2, &["north", "south"]), &[]);
    federation.join("north", 40);
    federation.join("south", 20);
    let mut north = federation.start_client("north", &[]);
    let mut south = federation.start_client("south", &[]);
    until("both rounds are charged", || {
        federation
            .client("north", &["budget", "--json"])
            .stdout
            .windows(18)
            .any(|seen| seen == b"\"rounds_charged\":2")
            && federation.log("north").contains("the run is complete")
            && federation.log("south").contains("the run is complete")
    });
    let ask = || {
        let mut list = federation.client_json("north", &["recommend", "north-3", "-k", "5", "--explain"]);
        // It grows between the two.
        let learned = list["serving"]["learned"].as_object_mut();
        assert!(learned.and_then(|learned| learned.remove("age_secs")).is_some());
        let picture = federation.shop("north").join("scores.svg");
        good(&federation.client(
            "north",
            &["plot", "north-3", "--out", picture.to_str().expect("plain")],
        ));
        assert!(
            fs::read_to_string(&picture)
                .expect("a picture")
                .contains("<circle")
        );
        fs::remove_file(&picture).expect("it was there");
        let csv = federation.shop("north").join("all.csv");
        good(&federation.client(
            "north",
            &[
                "recommend",
                "--all",
                "-k",
                "3",
                "--out",
                csv.to_str().expect("plain"),
            ],
        ));
        let all = fs::read_to_string(&csv).expect("a file");
        assert_eq!(
            (all.lines().next(), all.lines().count()),
            (Some("user_id,rank,item_id,score,title"), 121)
        );
        let (code, said) = bad(&federation.client("north", &["recommend", "north-333"]));
        assert!(
            code == 2 && said.contains("near it") && said.contains("\"north-33\""),
            "{said}"
        );
        let data = federation.client_json("north", &["check-data"]);
        (
            list,
            federation.client_json("north", &["budget"]),
            federation.client_json("north", &["sent"]),
            data,
        )
    };
    assert!(federation.shop("north").join("control.sock").exists());
    let second = federation.client("north", &["run"]);
    assert!(
        bad(&second).1.contains("in use"),
        "two programs must not share a folder"
    );
    let up = ask();
    assert_eq!(up.0["items"].as_array().map(Vec::len), Some(5));
    assert!(north.stop("-INT"), "{}", federation.log("north"));
    assert!(!federation.shop("north").join("control.sock").exists());
    assert_eq!(ask(), up);
    let left = good(&federation.client("north", &["leave"]));
    assert!(left.contains("What the coordinator keeps"), "{left}");
    assert!(bad(&federation.client("north", &["run"])).1.contains("has left"));
    let left = good(&federation.client("south", &["leave"]));
    assert!(left.contains("What the coordinator keeps"), "{left}");
    assert!(
        south.wait(),
        "a shop that left stops: {}",
        federation.log("south")
    );
}

#[test]
fn a_shop_killed_in_the_middle_sends_one_update_an_attempt_and_goes_on() {
    let federation = Federation::start(SOUK, &plan(8, 2, &["north", "south"]), &["--exit-when-finished"]);
    federation.join("north", 40);
    federation.join("south", 20);
    let mut south = federation.start_client("south", &["--exit-when-finished"]);
    for at_round in [1, 3] {
        let mut north = federation.start_client("north", &["--exit-when-finished"]);
        let words = format!("round {at_round} attempt 1: accepted");
        until("a round begins", || federation.log("north").contains(&words));
        north.kill();
    }
    let mut north = federation.start_client("north", &["--exit-when-finished"]);
    let ended = north.wait() && south.wait();
    assert!(ended, "{}\n{}", federation.log("north"), federation.log("south"));
    let sent = federation.client_json("north", &["sent"]);
    let budget = federation.client_json("north", &["budget"]);
    let uploads = sent["uploads"].as_array().expect("a list");
    let mut attempts: Vec<_> = uploads
        .iter()
        .map(|upload| (upload["round"].as_u64(), upload["attempt"].as_u64()))
        .collect();
    attempts.dedup();
    assert_eq!(attempts.len(), uploads.len(), "{attempts:?}");
    assert!(budget["rounds_charged"].as_u64() >= Some(uploads.len() as u64));
}

#[test]
fn codes_work_once_and_only_with_the_right_coordinator() {
    let federation = Federation::start(SOUK, &plan(1, 1, &SHOPS), &[]);
    let other = Federation::start(SOUK, &plan(1, 1, &SHOPS), &[]);
    let code = federation.invite("north");
    let join = |code: &str, shop: &str| federation.client(shop, &["join", code]);
    good(&join(&code, "north"));
    let (status, said) = bad(&join(&code, "north"));
    assert!(status == 64 && said.contains("never overwritten"), "{said}");
    let (status, said) = bad(&join(&code, "again"));
    assert!(status == 1 && said.contains("wrong, used or expired"), "{said}");
    assert!(
        !federation.shop("again").join("key.der").exists(),
        "a key without certificate is left behind"
    );
    let mut typo = code.clone();
    typo.replace_range(20..21, if &code[20..21] == "a" { "b" } else { "a" });
    let (status, said) = bad(&join(&typo, "typo"));
    assert!(status == 64 && said.contains("damaged"), "{said}");
    // A code of one federation whose address leads to another.
    let ours: souk_common::crypto::join_code::JoinCode = federation.invite("south").parse().expect("a code");
    let theirs: souk_common::crypto::join_code::JoinCode = other.invite("south").parse().expect("a code");
    let crossed = souk_common::crypto::join_code::JoinCode {
        address: theirs.address,
        ..ours
    };
    let (status, said) = bad(&join(&crossed.to_string(), "crossed"));
    assert!(status == 2 && said.contains("certificate"), "{said}");
    // A member of one federation at the door of another.
    let membership = federation.shop("north").join("membership.json");
    let moved = fs::read_to_string(&membership).expect("a file");
    let address = |name: &Federation| {
        let code: souk_common::crypto::join_code::JoinCode = name.invite("west").parse().expect("a code");
        code.address
    };
    fs::write(
        &membership,
        moved.replace(&address(&federation), &address(&other)),
    )
    .expect("a file");
    let (status, said) = bad(&federation.client("north", &["leave"]));
    assert!(status == 2 && said.contains("certificate"), "{said}");
    let examined = federation.client("north", &["doctor", "--json"]);
    assert_eq!(examined.status.code(), Some(1));
}

fn signing_key(federation: &Federation, shop: &str) -> [u8; 32] {
    let folder = souk_client::folder::Folder::new(federation.shop(shop));
    souk_client::membership::Membership::load(&folder)
        .expect("a member")
        .words_key()
        .expect("a key")
}

fn text(value: &serde_json::Value) -> String {
    value.as_str().expect("a text").to_owned()
}
