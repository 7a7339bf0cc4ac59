//! A plan of releases with real processes: made by `plan new`, run, charged, verified; what fails, and who lies.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use souk_common::accountant::gaussian::mu_of;
use souk_common::ids::Digest;
use souk_common::learned::Releases;
use souk_common::params::{Delta, Epsilon};
use souk_tests::federation::{Federation, Running, bad, good, run, text, until};

const SOUK: &str = env!("CARGO_BIN_EXE_souk");
const SHOPS: [&str; 3] = ["east", "north", "west"];

/// A federation whose plan is the one that `plan new` makes, at epsilon 8, but for the time that updates wait, with everything kept.
fn federation(change: impl Fn(String) -> String, flags: &[&str]) -> Federation {
    let mut federation = Federation::prepare(SOUK, "");
    fs::remove_file(federation.plan()).expect("it was there");
    let plan = federation.plan();
    let mut args = vec!["plan", "new", text(&plan), "--no-training"];
    for shop in ["east=100", "north=100", "west=100"] {
        args.extend(["--shop", shop]);
    }
    good(&federation.coordinator(&args));
    let made = fs::read_to_string(&plan).expect("a plan");
    let soon = made.replace("upload_after = \"10s\"", "upload_after = \"1s\"");
    assert_ne!(made, soon);
    fs::write(&plan, change(soon)).expect("a file");
    let config = federation.home().join("coordinator.toml");
    let sample = fs::read_to_string(&config).expect("a file");
    let kept = sample.replace("# keep_parts = ", "keep_parts = 9\n# keep_parts = ");
    assert_ne!(sample, kept);
    fs::write(&config, kept).expect("a file");
    federation.serve(flags);
    for (shop, users) in SHOPS.iter().zip([30, 20, 10]) {
        federation.join(shop, users);
    }
    federation.trust_each_other(&SHOPS);
    federation
}

fn start(federation: &Federation, shop: &str) -> Running {
    federation.start_client(shop, &["--exit-when-finished"])
}

fn start_all(federation: &Federation) -> Vec<Running> {
    SHOPS.iter().map(|shop| start(federation, shop)).collect()
}

/// Exit code and report of an auditor who has the coordinator's folder, and all shops' ledgers.
fn verify(federation: &Federation) -> (i32, Value) {
    let home = federation.home();
    let all = federation.shop("east").with_file_name("");
    let args = ["verify", text(&home), "--json", "--ledger", text(&all)];
    let said = run(Path::new(SOUK), "sim", &args);
    let report = serde_json::from_slice(&said.stdout).unwrap_or_else(|error| {
        panic!("{error}: {}", String::from_utf8_lossy(&said.stderr));
    });
    (said.status.code().unwrap_or(-1), report)
}

/// What was published last, and its file.
fn released(federation: &Federation) -> (Releases, PathBuf) {
    let hash = federation.coordinator_json(&["status"])["model_hash"].clone();
    let hash: Digest = serde_json::from_value(hash).expect("a digest");
    let name = hash.to_string();
    let path = federation.home().join("files").join(&name[..2]).join(&name);
    let bytes = fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    (Releases::from_bytes(&bytes).expect("releases"), path)
}

#[test]
fn three_shops_publish_both_releases_for_the_epsilon_of_the_plan_and_the_record_verifies() {
    let mut federation = federation(|plan| plan, &["--exit-when-finished"]);
    let mut running = start_all(&federation);
    for (process, shop) in running.iter_mut().zip(SHOPS) {
        assert!(process.wait(), "{shop}: {}", federation.log(shop));
    }
    assert!(federation.wait_for_coordinator(), "{}", federation.complaints());
    let status = federation.coordinator_json(&["status"]);
    assert_eq!(status["rounds_published"], 2, "{status}");
    for shop in SHOPS {
        let budget = federation.client_json(shop, &["budget"]);
        assert_eq!(budget["rounds_charged"], 2, "{budget}");
        let epsilon = budget["epsilon"].as_f64().expect("a number");
        assert!(epsilon <= 8.0 && epsilon > 8.0 - 1e-6, "{budget}");
    }
    let (releases, _) = released(&federation);
    let mu = mu_of(Epsilon::new(8.0).expect("one"), Delta::new(1e-5).expect("one"));
    let spent: f64 = releases.noise().iter().map(|noise| noise.get().powi(-2)).sum();
    assert!(spent <= mu * mu && spent > mu * mu * (1.0 - 1e-9), "{spent}");
    let last = releases.last.expect("a release");
    assert!(last.through.is_some() && last.next.is_none());
    let (code, report) = verify(&federation);
    assert_eq!((code, &report["ok"]), (0, &true.into()), "{report}");
    // The empty beginning, and each release; nothing was left out.
    assert_eq!(report["checks"][5]["good"], 3, "{report}");
    assert_eq!(report["checks"][5]["not_kept"], 0, "{report}");
}

const TRAINING: &str = "\n[[training]]\nkind = \"tower\"\nrounds = 2\nshare = 0.05\n\n[[training]]\nkind = \"model\"\nrounds = 2\nshare = 0.05\n\n\
    [model]\nkind = \"neumf\"\ngmf_dim = 4\nmlp_dim = 4\ntower = [4]\n\n[train]\nsolver = \"sgd\"\nlearning_rate = 0.5\n\n\
    [server]\noptimiser = \"adam\"\nlearning_rate = 0.01\n";

#[test]
fn training_follows_the_releases_under_the_same_epsilon_and_its_channels_are_served() {
    let with_training = |plan: String| {
        let collaborative = plan.replace("share = 0.6", "share = 0.5");
        assert_ne!(collaborative, plan, "{plan}");
        let (head, shops) = collaborative.split_once("\n[[shops]]").expect("shops");
        format!("{head}{TRAINING}\n[[shops]]{shops}")
    };
    let mut federation = federation(with_training, &["--exit-when-finished"]);
    let mut running = start_all(&federation);
    for (process, shop) in running.iter_mut().zip(SHOPS) {
        assert!(process.wait(), "{shop}: {}", federation.log(shop));
    }
    assert!(federation.wait_for_coordinator(), "{}", federation.complaints());
    let status = federation.coordinator_json(&["status"]);
    assert_eq!(status["rounds_published"], 6, "{status}");
    for shop in SHOPS {
        let budget = federation.client_json(shop, &["budget"]);
        assert_eq!(budget["rounds_charged"], 6, "{budget}");
        let epsilon = budget["epsilon"].as_f64().expect("a number");
        assert!(epsilon <= 8.0 && epsilon > 8.0 - 1e-6, "{budget}");
    }
    let (releases, _) = released(&federation);
    let steps: Vec<u64> = releases
        .trained
        .iter()
        .map(|trained| trained.state.steps)
        .collect();
    assert_eq!(steps, [2, 2]);
    let (code, report) = verify(&federation);
    assert_eq!((code, &report["ok"]), (0, &true.into()), "{report}");
    assert_eq!(report["checks"][5]["good"], 7, "{report}");
    // Each shop's own stack has them among its channels, and lists come with reasons.
    let gain = federation.client_json("east", &["gain"]);
    assert!(gain["together"].is_number(), "{gain}");
    let kept = fs::read_to_string(federation.shop("east").join("stack.json")).expect("kept weights");
    let kept: Value = serde_json::from_str(&kept).expect("JSON");
    let together = kept["together"].to_string();
    assert!(
        together.contains("\"tower\"") && together.contains("\"model\""),
        "{together}"
    );
    let list = federation.client_json("east", &["recommend", "east-3", "--explain"]);
    let first = &list["items"][0]["reasons"];
    assert!(
        first.as_array().is_some_and(|reasons| !reasons.is_empty()),
        "{list}"
    );
}

/// Updates leave some seconds after R2, so that a shop can be stopped in between.
fn slow(plan: String) -> String {
    plan.replace("step = \"30s\"", "step = \"3s\"")
        .replace("deadline = \"10m\"", "deadline = \"15s\"")
        .replace("upload_after = \"1s\"", "upload_after = \"3s\"")
}

/// Waits until a shop's ledger has so many charges: then R2 of the attempt is fixed, and its update still waits.
fn until_charged(federation: &Federation, shop: &str, times: u64) {
    until("the shop is charged", || {
        let said = federation.client(shop, &["budget", "--json"]).stdout;
        let budget: Value = serde_json::from_slice(&said).unwrap_or_default();
        budget["rounds_charged"].as_u64() >= Some(times)
    });
}

fn attempts(releases: &Releases) -> Vec<(u64, u32)> {
    let charged = releases.charged.iter();
    charged.map(|(id, _)| (id.round, id.attempt)).collect()
}

#[test]
fn a_shop_that_is_killed_in_the_first_release_costs_noise_and_in_the_last_ends_the_run() {
    let mut federation = federation(slow, &[]);
    let mut running = start_all(&federation);
    until_charged(&federation, "west", 1);
    running[2].kill();
    until("the failed attempt is noted", || {
        attempts(&released(&federation).0) == [(1, 1)]
    });
    running[2] = start(&federation, "west");
    // What is left is divided anew: the second attempt at the first release has more noise.
    until_charged(&federation, "west", 3);
    running[2].kill();
    until("the failed attempt is noted", || {
        attempts(&released(&federation).0) == [(1, 1), (1, 2), (2, 1)]
    });
    let (releases, _) = released(&federation);
    let noise: Vec<f64> = releases.noise().iter().map(|noise| noise.get()).collect();
    assert!(noise[1] > noise[0] * 1.2, "{noise:?}");
    until("the run is paused", || {
        federation.coordinator_json(&["status"])["state"] == "paused"
    });
    let status = federation.coordinator_json(&["status"]);
    let why = status["paused_because"].as_str().expect("a reason");
    assert!(
        why.contains("nothing is left") && why.contains("new plan"),
        "{why}"
    );
    let (_, said) = bad(&federation.coordinator(&["resume"]));
    assert!(said.contains("a new plan has a new budget"), "{said}");
    for shop in ["east", "north"] {
        let budget = federation.client_json(shop, &["budget"]);
        let epsilon = budget["epsilon"].as_f64().expect("a number");
        assert!(epsilon <= 8.0 && budget["rounds_charged"] == 3, "{budget}");
    }
    assert!(federation.stop_coordinator());
    let (code, report) = verify(&federation);
    assert_eq!((code, &report["ok"]), (0, &true.into()), "{report}");
    // The last release, which the record names by its digest.
    let (_, path) = released(&federation);
    let mut bytes = fs::read(&path).expect("a file");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&path, bytes).expect("a file");
    let (code, report) = verify(&federation);
    assert!(code == 1 && report["checks"][2]["ok"] == false, "{report}");
}
