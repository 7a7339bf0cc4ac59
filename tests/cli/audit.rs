//! The auditor's command line: an audit in parts, one of a plan without privacy, and what is said of nonsense.

use std::fs;
use std::path::Path;
use std::process::Output;

use serde_json::Value;
use souk_tests::federation::{bad, good, run};
use tempfile::TempDir;

const SOUK: &str = env!("CARGO_BIN_EXE_souk");

fn sim(args: &[&str]) -> Output {
    run(Path::new(SOUK), "sim", args)
}

/// 60 users in two groups that buy apart from each other, and a release for three shops.
struct Ground(TempDir);

impl Ground {
    fn new() -> Self {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let mut orders = String::from("user_id,item_id,timestamp\n");
        for user in 0..60 {
            for step in 0..8 {
                let item = user % 2 * 30 + (user * 7 + step * 11) % 30;
                orders.push_str(&format!("u{user},i{item},{}\n", 1_700_000_000 + step * 86_400));
            }
        }
        fs::write(dir.path().join("orders.csv"), orders).expect("a file");
        let noise = "noise_multiplier = 0.8\nplacement = \"distributed\"\n[masking]\nmin_shops = 3\ncolluding = 1\nstep = \"30s\"\n";
        fs::write(dir.path().join("plan.toml"), plan(noise)).expect("a file");
        fs::write(dir.path().join("bare.toml"), plan("enabled = false\n")).expect("a file");
        Self(dir)
    }

    fn path(&self, name: &str) -> String {
        self.0.path().join(name).to_str().expect("plain").to_owned()
    }

    fn audit(&self, plan: &str, more: &[&str]) -> Output {
        let (plan, data) = (self.path(plan), self.path(""));
        let args = [&["audit", &plan, "--data", &data, "--short"][..], more].concat();
        sim(&args)
    }
}

fn plan(privacy: &str) -> String {
    format!(
        "name = \"small\"\n[privacy]\ndelta = 1e-5\n{privacy}[cohort]\nquorum = 3\n[[release]]\nkind = \"popularity\"\n\
         share = 1.0\n{}",
        ["a", "b", "c"]
            .map(|shop| format!("[[shops]]\nname = \"{shop}\"\ndeclared_users = 30\n"))
            .concat()
    )
}

#[test]
fn a_plan_without_privacy_is_red_and_its_report_verifies_until_a_byte_is_changed() {
    let ground = Ground::new();
    let out = ground.path("report");
    let done = ground.audit("bare.toml", &["--trials", "40", "--out", &out, "--json"]);
    assert_eq!(
        done.status.code(),
        Some(1),
        "{}",
        String::from_utf8_lossy(&done.stderr)
    );
    let said: Value = serde_json::from_slice(&done.stdout).expect("one JSON object");
    assert_eq!(said["ok"], false);
    let bounds = said["bounds"].as_array().expect("bounds");
    assert!(
        bounds
            .iter()
            .all(|bound| bound["upper"].is_null() && bound["ok"] == false),
        "{bounds:?}"
    );
    let red = |check: &&Value| check["ok"] == false;
    let checks = said["checks"].as_array().expect("checks");
    let named: Vec<&str> = checks
        .iter()
        .filter(red)
        .filter_map(|check| check["name"].as_str())
        .collect();
    assert!(named.contains(&"noise: popularity"), "{named:?}");
    for file in ["report.html", "report.json"] {
        good(&sim(&["audit", "verify", &ground.path(file)]));
        let text = fs::read_to_string(ground.path(file)).expect("a report");
        let at = text.rfind("small").expect("the plan's name");
        let changed = format!("{}sma1l{}", &text[..at], &text[at + 5..]);
        fs::write(ground.path(file), changed).expect("a file");
        let (code, said) = bad(&sim(&["audit", "verify", &ground.path(file)]));
        assert_eq!(code, 1, "{file}: {said}");
    }
    fs::write(ground.path("none.html"), "<p>hello</p>").expect("a file");
    let (code, said) = bad(&sim(&["audit", "verify", &ground.path("none.html")]));
    assert!(code == 1 && said.contains("none.html"), "{code}: {said}");
}

#[test]
fn parts_that_are_missing_doubled_or_of_another_plan_are_refused() {
    let ground = Ground::new();
    let [one, two] = ["1.jsonl", "2.jsonl"].map(|name| ground.path(name));
    let part = |plan: &str, shard: &str, out: &str| {
        ground.audit(plan, &["--trials", "20", "--shard", shard, "--out", out])
    };
    good(&part("plan.toml", "1/2", &one));
    let merge = |files: &[&str]| {
        let out = ground.path("merged");
        let args = [&["--trials", "20", "--out", &out, "--merge"][..], files].concat();
        bad(&ground.audit("plan.toml", &args))
    };
    let (code, said) = merge(&[&one]);
    assert!(
        code == 64 && said.contains("parts are missing: 2/2"),
        "{code}: {said}"
    );
    let (code, said) = merge(&[&one, &one]);
    assert!(
        code == 64 && said.contains("part 1/2 is there twice"),
        "{code}: {said}"
    );
    // Of the same plan without its noise.
    good(&part("bare.toml", "2/2", &two));
    let (code, said) = merge(&[&one, &two]);
    assert!(code == 64 && said.contains("another plan"), "{code}: {said}");
    let (code, said) = bad(&part("plan.toml", "2/2", &two));
    assert!(code == 64 && said.contains("another plan"), "{code}: {said}");
}

#[test]
fn nonsense_is_told_by_name() {
    let ground = Ground::new();
    let (code, _) = bad(&sim(&["audit"]));
    assert_eq!(code, 64);
    for (more, word) in [
        (&["--shard", "0/2", "--out", "x"][..], "0/2"),
        (&["--shard", "1/2"][..], "--out"),
        (&["--significance", "0.9"][..], "below 0.5"),
        (&["--trials", "3"][..], "3"),
    ] {
        let (code, said) = bad(&ground.audit("plan.toml", more));
        assert!(code == 64 && said.contains(word), "{code}: {said}");
    }
    let (code, said) = bad(&ground.audit("orders.csv", &[]));
    assert!(code == 64 && said.contains("orders.csv"), "{code}: {said}");
    let data = ground.path("nowhere");
    let (code, said) = bad(&sim(&["audit", &ground.path("plan.toml"), "--data", &data]));
    assert!(code != 0 && said.contains("nowhere"), "{code}: {said}");
}
