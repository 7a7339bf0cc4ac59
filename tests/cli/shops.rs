//! `souk-client shops`: keys shown, confirmed, and noticed when they change.

use std::fs;

use serde_json::Value;
use souk_tests::federation::{Federation, bad, good, plan};

const SOUK: &str = env!("CARGO_BIN_EXE_souk");

fn standing<'a>(shops: &'a Value, name: &str) -> &'a str {
    let members = shops["members"].as_array().expect("members");
    let member = members.iter().find(|member| member["shop"] == name);
    member.expect("a member")["standing"].as_str().expect("text")
}

fn fingerprint(shops: &Value) -> String {
    shops["fingerprint"].as_str().expect("text").to_owned()
}

#[test]
fn keys_are_confirmed_by_name_also_while_run_is_up_and_a_change_is_an_alarm() {
    let federation = Federation::start(SOUK, &plan(1, 3, &["north", "south", "west"]), &[]);
    let config = federation.join("north", 5).join("shop.toml");
    federation.join("south", 5);
    let seen = federation.client_json("north", &["shops"]);
    assert_eq!(
        (standing(&seen, "north"), standing(&seen, "south")),
        ("own", "not_confirmed")
    );
    // What each sees of the other is what the other sees of itself.
    let other = federation.client_json("south", &["shops"]);
    assert_eq!(seen["members"][1]["fingerprint"], fingerprint(&other).as_str());
    assert_eq!(other["members"][0]["fingerprint"], fingerprint(&seen).as_str());
    let south = federation.read_aloud("south");
    let of = |name: &str| format!("{name}={}", fingerprint(&other));
    let wrong = [
        (of("west"), "no member"),
        (of("north"), "itself"),
        ("south".to_owned(), "NAME=FINGERPRINT"),
        ("all".to_owned(), "NAME=FINGERPRINT"),
    ];
    for (name, why) in &wrong {
        let before = fs::read(&config).expect("a file");
        let (code, said) = bad(&federation.client("north", &["shops", "--trust", &south, "--trust", name]));
        assert!(code == 64 && said.contains(why), "{code} {said}");
        assert_eq!(
            fs::read(&config).expect("a file"),
            before,
            "nothing is half confirmed"
        );
    }
    let before = fs::read_to_string(&config).expect("a file");
    let _running = federation.start_client("north", &[]);
    let said = good(&federation.client("north", &["shops", "--trust", &south]));
    assert!(said.contains("south: confirmed"), "{said}");
    let after = fs::read_to_string(&config).expect("a file");
    let line = format!("south = \"{}\"\n", fingerprint(&other));
    assert_eq!(
        after.replace(&line, ""),
        before,
        "one line more, and no other change"
    );
    // Another key than the one confirmed: exit code 1, in capitals, until it is confirmed anew.
    fs::write(&config, after.replace(&fingerprint(&other), &"0".repeat(64))).expect("a file");
    let changed = federation.client("north", &["shops"]);
    let said = String::from_utf8_lossy(&changed.stdout).into_owned();
    assert!(
        changed.status.code() == Some(1) && said.contains("south: CHANGED"),
        "{said}"
    );
    good(&federation.client("north", &["shops", "--trust", &south]));
    assert_eq!(fs::read_to_string(&config).expect("a file"), after);
}
