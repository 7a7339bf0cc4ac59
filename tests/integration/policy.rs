//! The owner's rules at work: what a shop declines, in the operator's `status`, and that nothing leaves it.

use std::fs;
use std::time::Duration;

use serde_json::{Value, json};
use souk_client::ledger::{open_ledger, read_ledger};
use souk_common::accountant::{Composition, SampledGaussian};
use souk_common::clock::{Clock, SystemClock, Timestamp};
use souk_common::ids::Digest;
use souk_common::params::{ClipNorm, Delta, NoiseMultiplier, SamplingRate};
use souk_common::privacy::Spend;
use souk_tests::federation::{Federation, good, plan, until};

const SOUK: &str = env!("CARGO_BIN_EXE_souk");
const DAY: Duration = Duration::from_secs(86_400);

/// A shop's rules in its file, the code the operator is told, and words of the reason.
type Rule<'a> = (&'a str, &'a str, &'a str, &'a str);

/// Lets each shop join with its rules; all decline by their own, and nothing leaves.
fn all_decline(plan: &str, rules: &[Rule<'_>]) {
    let federation = Federation::start(SOUK, plan, &[]);
    let mut running = Vec::new();
    for (shop, rule, ..) in rules {
        federation.join(shop, 20);
        set_rules(&federation, shop, rule);
        running.push(federation.start_client(shop, &[]));
    }
    for (shop, rule, code, reason) in rules {
        until(rule, || federation.log(shop).contains("declined"));
        assert!(federation.log(shop).contains(reason), "{}", federation.log(shop));
        nothing_left(&federation, shop);
        // The operator sees the same words, and no more.
        until("the operator hears of it", || {
            told(&federation, shop)["state"] == "declined"
        });
        let told = told(&federation, shop);
        assert_eq!(told["code"], *code, "{rule}");
        assert!(
            told["reason"]
                .as_str()
                .is_some_and(|words| words.contains(reason)),
            "{told}"
        );
        let doctor = federation.client(shop, &["doctor", "--json"]);
        assert_eq!(doctor.status.code(), Some(1), "{rule}");
        let said: Value = serde_json::from_slice(&doctor.stdout).expect("JSON");
        let checks = said["checks"].as_array().expect("a list");
        let plan = checks
            .iter()
            .find(|check| check["name"] == "plan")
            .expect("a check");
        let detail = plan["detail"].as_str().expect("a text");
        assert!(
            plan["ok"] == false && detail.contains("would decline round 1") && detail.contains("[policy]")
                || detail.contains("keys that are confirmed here"),
            "{rule}: {detail}"
        );
    }
    assert_eq!(federation.coordinator_json(&["status"])["rounds_published"], 0);
    assert!(running.iter_mut().all(|process| process.stop("-TERM")));
}

/// What `status` says of a shop of the plan.
fn told(federation: &Federation, shop: &str) -> Value {
    let status = federation.coordinator_json(&["status"]);
    let shops = status["shops"].as_array().expect("a list");
    shops
        .iter()
        .find(|told| told["shop"] == shop)
        .expect("the shop")
        .clone()
}

fn nothing_left(federation: &Federation, shop: &str) {
    assert_eq!(federation.client_json(shop, &["budget"])["rounds_charged"], 0);
    assert_eq!(federation.client_json(shop, &["sent"])["uploads"], json!([]));
}

/// `rules` are lines of `[policy]`, and tables after it.
fn set_rules(federation: &Federation, shop: &str, rules: &str) {
    let file = federation.shop(shop).join("shop.toml");
    let config = fs::read_to_string(&file).expect("a file");
    let orders = config
        .lines()
        .find(|line| line.starts_with("orders = "))
        .expect("a path");
    fs::write(&file, format!("[data]\n{orders}\n[policy]\n{rules}")).expect("a file");
}

#[test]
fn a_shop_declines_by_its_own_rules_and_nothing_leaves() {
    let rules = [
        ("north", "max_epsilon = 0.05\n", "over_budget", "privacy budget"),
        // The round takes epsilon 0.54 at delta 1e-5, 1.13 at 1e-12.
        (
            "centre",
            "max_epsilon = 1.0\ndelta = 1e-12\n",
            "over_budget",
            "privacy budget",
        ),
        (
            "south",
            "min_noise_multiplier = 5.0\n",
            "below_noise_minimum",
            "below the shop's minimum",
        ),
        ("west", "pause = true\n", "paused", "paused"),
        (
            "east",
            "max_epsilon = 1.0\nmax_upload_mb_per_day = 0\n",
            "over_upload_limit",
            "limit per day",
        ),
        (
            "harbour",
            "require_masking = true\n",
            "masking_required",
            "no masking",
        ),
        ("hill", "min_masked_shops = 2\n", "masking_required", "no masking"),
    ];
    all_decline(&plan(1, 1, &rules.map(|(shop, ..)| shop)), &rules);
}

#[test]
fn sums_of_fewer_shops_than_allowed_or_confirmed_are_declined() {
    let known = |shops: &[&str]| {
        let line = |shop: &&str| format!("{shop} = \"{}\"\n", Digest::of(shop.as_bytes()));
        format!("[known_shops]\n{}", shops.iter().map(line).collect::<String>())
    };
    let west = format!(
        "require_masking = true\nmin_masked_shops = 3\nmin_noise_multiplier = 5.0\n{}",
        known(&["north", "south"])
    );
    let south = format!("min_masked_shops = 4\n{}", known(&["north", "west"]));
    let north = known(&["south"]);
    let rules = [
        (
            "north",
            north.as_str(),
            "too_few_known_shops",
            "too few other shops",
        ),
        (
            "south",
            &south,
            "below_shop_minimum",
            "fewer shops than the shop allows",
        ),
        // Content with the masking, so that it comes to the next rule.
        ("west", &west, "below_noise_minimum", "below the shop's minimum"),
    ];
    let masked = plan(1, 3, &["north", "south", "west"]) + "[masking]\nmin_shops = 3\n";
    all_decline(&masked, &rules);
}

#[test]
fn a_plan_without_privacy_is_declined_unless_the_owner_allows_it() {
    let off = plan(1, 1, &["north"]).replace("noise_multiplier = 4.0\n", "enabled = false\n");
    let federation = Federation::start(SOUK, &off, &[]);
    let folder = federation.join("north", 20);
    let mut running = federation.start_client("north", &[]);
    until("it declines", || {
        federation.log("north").contains("adds no noise")
    });
    assert!(running.stop("-INT"));
    assert_eq!(federation.client_json("north", &["budget"])["epsilon"], 0.0);
    let config = fs::read_to_string(folder.join("shop.toml")).expect("a file");
    let allowed = config.replace("allow_no_privacy = false", "allow_no_privacy = true");
    assert_ne!(config, allowed);
    fs::write(folder.join("shop.toml"), allowed).expect("a file");
    let mut running = federation.start_client("north", &["--exit-when-finished"]);
    assert!(running.wait(), "{}", federation.log("north"));
    let budget = federation.client_json("north", &["budget"]);
    assert_eq!(
        (&budget["epsilon"], &budget["rounds_charged"]),
        (&serde_json::Value::Null, &1.into())
    );
}

#[test]
fn an_old_spend_falls_out_of_the_period_that_the_owner_names_and_stays_in_the_figure_of_all_time() {
    let federation = Federation::start(SOUK, &plan(1, 1, &["north"]), &[]);
    let folder = federation.join("north", 20);
    let now = SystemClock.now();
    {
        let file = folder.join("ledger.jsonl");
        let shop = "north".parse().expect("a name");
        let mut ledger = open_ledger(&file, &shop, now - DAY * 40).expect("a ledger");
        ledger.charge(spend(0.2), now - DAY * 31).expect("a charge");
        ledger.charge(spend(4.0), now - DAY * 29).expect("a charge");
    }
    let budget = || federation.client_json("north", &["budget"]);
    // Without a period nothing is ever forgotten.
    set_rules(&federation, "north", "max_epsilon = 2.0\n");
    let all = epsilon_of(&[0.2, 4.0]);
    assert!(all > 2.0, "{all}");
    close(&budget()["epsilon"], all);
    close(&budget()["epsilon_in_period"], all);
    let mut running = federation.start_client("north", &[]);
    until("it declines", || {
        told(&federation, "north")["code"] == "over_budget"
    });
    assert!(running.stop("-TERM"));
    set_rules(&federation, "north", "max_epsilon = 2.0\nperiod_days = 32\n");
    close(&budget()["epsilon_in_period"], all);
    set_rules(&federation, "north", "max_epsilon = 2.0\nperiod_days = 30\n");
    close(&budget()["epsilon"], all);
    close(&budget()["epsilon_in_period"], epsilon_of(&[4.0]));
    let said = good(&federation.client("north", &["budget"]));
    assert!(
        said.contains(&format!("epsilon {:.3} at delta", (1000.0 * all).ceil() / 1000.0))
            && said.contains("in the last 30 days, epsilon 0.5"),
        "{said}"
    );
    let mut running = federation.start_client("north", &["--exit-when-finished"]);
    good(&federation.coordinator(&["resume"]));
    assert!(running.wait(), "{}", federation.log("north"));
    assert_eq!(budget()["rounds_charged"], 3);
    close(&budget()["epsilon"], epsilon_of(&[0.2, 4.0, 4.0]));
    close(&budget()["epsilon_in_period"], epsilon_of(&[4.0, 4.0]));
}

#[test]
fn a_run_with_other_noise_is_charged_beside_the_one_before_each_round_as_it_was() {
    let first = plan(1, 1, &["north"]);
    let mut federation = Federation::start(SOUK, &first, &["--exit-when-finished"]);
    let folder = federation.join("north", 20);
    let takes_part = |federation: &mut Federation| {
        let mut north = federation.start_client("north", &["--exit-when-finished"]);
        assert!(north.wait(), "{}", federation.log("north"));
        assert!(federation.wait_for_coordinator());
    };
    takes_part(&mut federation);
    let second = first.replace("noise_multiplier = 4.0", "noise_multiplier = 2.0");
    fs::write(federation.plan(), second).expect("a file");
    federation.serve(&["--exit-when-finished", "--new-run"]);
    takes_part(&mut federation);
    let chain = read_ledger(&folder.join("ledger.jsonl")).expect("a chain");
    let noise: Vec<_> = chain
        .spends()
        .map(|(_, spend)| spend.noise_multiplier.map(|z| z.get()))
        .collect();
    assert_eq!(noise, [Some(4.0), Some(2.0)]);
    close(
        &federation.client_json("north", &["budget"])["epsilon"],
        epsilon_of(&[4.0, 2.0]),
    );
}

#[test]
fn a_plan_other_than_the_announced_one_is_not_taken_and_nothing_leaves() {
    let federation = Federation::start(SOUK, &plan(1, 1, &["north"]), &[]);
    let good_bytes = "\"noise_multiplier\":4.0";
    let (file, text) = plan_blob(&federation, good_bytes);
    fs::write(&file, text.replace(good_bytes, "\"noise_multiplier\":0.4")).expect("a file");
    federation.join("north", 20);
    let mut north = federation.start_client("north", &["--exit-when-finished"]);
    until("it refuses the bytes", || {
        federation.log("north").contains("do not have its digest")
    });
    nothing_left(&federation, "north");
    assert!(
        !federation.log("north").contains("accepted"),
        "{}",
        federation.log("north")
    );
    // It asks again, and goes on when it is given what was announced.
    fs::write(&file, text).expect("a file");
    assert!(north.wait(), "{}", federation.log("north"));
    close(
        &federation.client_json("north", &["budget"])["epsilon"],
        epsilon_of(&[4.0]),
    );
}

#[test]
fn a_shop_that_never_gets_the_announced_plan_declines_and_says_so() {
    let federation = Federation::start(SOUK, &plan(1, 1, &["north"]), &[]);
    let good_bytes = "\"noise_multiplier\":4.0";
    let (file, text) = plan_blob(&federation, good_bytes);
    fs::write(&file, text.replace(good_bytes, "\"noise_multiplier\":0.4")).expect("a file");
    federation.join("north", 20);
    let mut north = federation.start_client("north", &[]);
    until("it declines", || {
        federation.log("north").contains("did not get the plan")
    });
    until("the operator hears of it", || {
        told(&federation, "north")["code"] == "not_fetched"
    });
    nothing_left(&federation, "north");
    assert!(north.stop("-TERM"), "{}", federation.log("north"));
}

/// The coordinator's file of the plan, which holds `words`.
fn plan_blob(federation: &Federation, words: &str) -> (std::path::PathBuf, String) {
    let folders = fs::read_dir(federation.home().join("files")).expect("a folder");
    let files = folders
        .flatten()
        .filter_map(|folder| fs::read_dir(folder.path()).ok());
    files
        .flat_map(|files| files.flatten())
        .filter_map(|file| Some((file.path(), fs::read_to_string(file.path()).ok()?)))
        .find(|(_, text)| text.contains(words))
        .expect("the plan's file")
}

/// Of one round a noise multiplier, at the sampling rate of the plans here.
fn spend(noise_multiplier: f64) -> Spend {
    Spend {
        plan: Digest::of(b"another run"),
        round: 1,
        attempt: 1,
        noise_multiplier: NoiseMultiplier::new(noise_multiplier).ok(),
        sampling_rate: SamplingRate::new(0.5).expect("a rate"),
        clip_norm: ClipNorm::new(1.0).expect("a norm"),
        shared: None,
    }
}

/// Reading a number from JSON may change its last bit.
fn close(found: &Value, expected: f64) {
    let found = found.as_f64().expect("a number");
    assert!((found / expected - 1.0).abs() < 1e-9, "{found} {expected}");
}

fn epsilon_of(noise_multipliers: &[f64]) -> f64 {
    let mut composition = Composition::default();
    for z in noise_multipliers {
        let mechanism = SampledGaussian {
            noise_multiplier: NoiseMultiplier::new(*z).expect("noise"),
            sampling_rate: SamplingRate::new(0.5).expect("a rate"),
        };
        composition.add(mechanism, 1);
    }
    let delta = Delta::new(1e-5).expect("a delta");
    composition.epsilon(delta).expect("a bound").get()
}

#[test]
fn a_broken_or_foreign_ledger_is_named_with_its_line_and_the_remedy_and_nothing_leaves() {
    let federation = Federation::start(SOUK, &plan(1, 1, &["north"]), &[]);
    let folder = federation.join("north", 20);
    let file = folder.join("ledger.jsonl");
    let ledger_of = |shop: &str| {
        let path = folder.join("made.jsonl");
        let mut ledger = open_ledger(&path, &shop.parse().expect("a name"), Timestamp(1)).expect("a ledger");
        for z in [4.0, 3.0, 2.0] {
            ledger.charge(spend(z), Timestamp(2)).expect("a charge");
        }
        drop(ledger);
        let text = fs::read_to_string(&path).expect("a file");
        fs::remove_file(path).expect("it was there");
        text
    };
    let whole = ledger_of("north");
    let lines: Vec<&str> = whole.lines().collect();
    let joined = |lines: [&str; 4]| lines.join("\n") + "\n";
    let cases = [
        (
            joined([lines[0], &lines[1][..50], lines[2], lines[3]]),
            "line 2",
            "put back",
        ),
        (
            joined([lines[0], lines[2], lines[1], lines[3]]),
            "line 2",
            "put back",
        ),
        (
            whole.replace("\"noise_multiplier\":2.0", "\"noise_multiplier\":9.0"),
            "line 4",
            "put back",
        ),
        (
            ledger_of("south"),
            "belongs to shop south",
            "put its own ledger back",
        ),
    ];
    for (text, place, remedy) in cases {
        fs::write(&file, &text).expect("a file");
        for command in ["run", "budget"] {
            let (code, said) = souk_tests::federation::bad(&federation.client("north", &[command]));
            assert!(
                code == 2 && said.contains("ledger.jsonl"),
                "{command}: {code} {said}"
            );
            assert!(said.contains(place) && said.contains(remedy), "{command}: {said}");
        }
        assert_eq!(
            fs::read_to_string(&file).expect("a file"),
            text,
            "it stays as it is"
        );
    }
    let status = federation.coordinator_json(&["status"]);
    assert_eq!(
        (&status["state"], &status["rounds_published"]),
        (&"waiting".into(), &0.into())
    );
    // With its own ledger back it takes part.
    fs::write(&file, &whole).expect("a file");
    let mut north = federation.start_client("north", &["--exit-when-finished"]);
    assert!(north.wait(), "{}", federation.log("north"));
    assert_eq!(federation.client_json("north", &["budget"])["rounds_charged"], 4);
}
