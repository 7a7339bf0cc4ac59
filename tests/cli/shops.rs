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

#[test]
fn one_list_and_one_phrase_confirm_all_shops_and_whatever_is_wrong_with_either_confirms_none() {
    let federation = Federation::start(SOUK, &plan(1, 3, &["north", "south", "west"]), &[]);
    for shop in ["north", "south", "west"] {
        federation.join(shop, 5);
    }
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("shops.json");
    let path = file.to_str().expect("text");
    let exported = federation.coordinator_json(&["shops", "--export", path]);
    assert_eq!(exported["shops"], serde_json::json!(["north", "south", "west"]));
    let shown = |shop: &str| federation.client_json(shop, &["confirm", "--list", path]);
    let (north, south) = (shown("north"), shown("south"));
    assert_eq!(north["phrase"], south["phrase"]);
    assert_eq!(
        (&north["confirmed"], &north["shops"]),
        (&false.into(), &serde_json::json!(["south", "west"]))
    );
    let phrase = north["phrase"].as_str().expect("text");
    assert_eq!(phrase.split(' ').count(), 12);
    let config = federation.shop("north").join("shop.toml");
    let before = fs::read_to_string(&config).expect("a file");
    let refused = |file: &str, phrase: &str, exit: i32, why: &str| {
        let (code, said) = bad(&federation.client("north", &["confirm", "--list", file, "--phrase", phrase]));
        assert!(code == exit && said.contains(why), "{code} {said}");
        assert_eq!(
            fs::read_to_string(&config).expect("a file"),
            before,
            "nothing is half confirmed"
        );
    };
    let words: Vec<&str> = phrase.split(' ').collect();
    refused(path, &words[1..].join(" "), 1, "not the phrase");
    // Another signature, another federation's file, no list at all.
    let text = fs::read_to_string(&file).expect("a file");
    let written = |name: &str, text: &str| {
        let file = dir.path().join(name);
        fs::write(&file, text).expect("a file");
        file.to_str().expect("text").to_owned()
    };
    let other = text.replacen("south", "soutb", 1);
    refused(
        &written("forged.json", &other),
        phrase,
        1,
        "not signed by the coordinator",
    );
    refused(&written("torn.json", &text[..40]), phrase, 64, "shops --export");
    refused(&written("none", "")[..3], phrase, 64, "");
    // As it was typed on the phone.
    let typed = phrase.to_uppercase().replace(' ', ",  ");
    let confirmed = federation.client_json("north", &["confirm", "--list", path, "--phrase", &typed]);
    assert_eq!(confirmed["confirmed"], true);
    let seen = federation.client_json("north", &["shops"]);
    assert_eq!(
        (standing(&seen, "south"), standing(&seen, "west")),
        ("confirmed", "confirmed")
    );
    // A key that changed since is a matter of its own.
    let after = fs::read_to_string(&config).expect("a file");
    let south = fingerprint(&federation.client_json("south", &["shops"]));
    fs::write(&config, after.replace(&south, &"0".repeat(64))).expect("a file");
    let (code, said) = bad(&federation.client("north", &["confirm", "--list", path, "--phrase", phrase]));
    assert!(
        code == 1 && said.contains("south has another key"),
        "{code} {said}"
    );
}

#[test]
fn a_list_in_which_a_shop_has_another_key_than_its_own_is_an_alarm() {
    let federation = Federation::start(SOUK, &plan(1, 2, &["north", "south"]), &[]);
    federation.join("north", 5);
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("shops.json");
    let path = file.to_str().expect("text");
    federation.coordinator_json(&["shops", "--export", path]);
    federation.join("south", 5);
    let (code, said) = bad(&federation.client("south", &["confirm", "--list", path]));
    assert!(code == 1 && said.contains("is not in the list"), "{code} {said}");
    // What a lying coordinator would sign.
    use souk_common::clock::Timestamp;
    use souk_common::crypto::sign::SigningKey;
    use souk_common::round::shop_list::{ListedShop, ShopList};
    let secret = fs::read(federation.home().join("signing.key")).expect("a key");
    let key = SigningKey::from_bytes(&secret.try_into().expect("32 bytes"));
    let shops = ["north", "south"].map(|shop| ListedShop {
        shop: shop.parse().expect("a name"),
        identity: [9; 32],
    });
    let list = key.sign(ShopList::new(Timestamp(0), shops.to_vec()));
    fs::write(&file, serde_json::to_vec(&list).expect("JSON")).expect("a file");
    let (code, said) = bad(&federation.client("south", &["confirm", "--list", path]));
    assert!(
        code == 1 && said.contains("another key than its own"),
        "{code} {said}"
    );
}
