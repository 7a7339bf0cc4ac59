//! The auditor's command line: `simulate` and `evaluate` on a small set, and what they say of nonsense.

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

/// 60 users in two groups that buy apart from each other, and a plan for three shops.
struct Set(TempDir);

impl Set {
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
        fs::write(dir.path().join("plan.toml"), plan("")).expect("a file");
        Self(dir)
    }

    fn path(&self, name: &str) -> String {
        self.0.path().join(name).to_str().expect("plain").to_owned()
    }

    fn data(&self) -> String {
        self.path("")
    }

    fn simulate(&self, more: &[&str]) -> Value {
        let (plan, data) = (self.path("plan.toml"), self.data());
        let said = good(&sim(
            &[&["simulate", &plan, "--data", &data, "--json"], more].concat()
        ));
        serde_json::from_str(&said).expect("one JSON object")
    }
}

fn plan(privacy: &str) -> String {
    let privacy = match privacy {
        "" => "noise_multiplier = 1.5\n",
        other => other,
    };
    format!(
        "name = \"small\"\nrounds = 12\n[model]\nkind = \"mf\"\ngmf_dim = 4\nitem_bias = false\n[train]\nsolver = \"ials\"\n\
         alpha = 0.2\nlambda = 1.0\n[privacy]\nclip_norm = 1.0\nsampling_rate = 0.5\n{privacy}[cohort]\nquorum = 3\n\
         [server]\noptimiser = \"adam\"\nlearning_rate = 0.1\n\
         [[shops]]\nname = \"north\"\ndeclared_users = 30\n[[shops]]\nname = \"south\"\ndeclared_users = 20\n\
         [[shops]]\nname = \"west\"\ndeclared_users = 10\n"
    )
}

#[test]
fn a_simulation_repeats_bit_for_bit_and_its_epsilon_is_the_accountants() {
    let set = Set::new();
    let first = set.simulate(&["--seed", "7", "--out", &set.path("a.safetensors")]);
    let again = set.simulate(&["--seed", "7", "--out", &set.path("b.safetensors")]);
    let other = set.simulate(&["--seed", "8"]);
    assert_eq!(first["model_hash"], again["model_hash"]);
    assert_ne!(first["model_hash"], other["model_hash"]);
    let read = |name: &str| fs::read(set.path(name)).expect("a model");
    assert_eq!(read("a.safetensors"), read("b.safetensors"));
    assert_eq!(
        (
            first["rounds"].as_u64(),
            first["shops"].as_u64(),
            first["updates"].as_u64()
        ),
        (Some(12), Some(3), Some(36))
    );
    let said = good(&sim(&[
        "epsilon",
        "--noise-multiplier",
        "1.5",
        "--sampling-rate",
        "0.5",
        "--rounds",
        "12",
        "--delta",
        "1e-5",
        "--json",
    ]));
    let expected: Value = serde_json::from_str(&said).expect("JSON");
    assert_eq!(first["epsilon"], expected["epsilon"]);
    assert_eq!(
        (&first["unit"], &first["relation"]),
        (&"user".into(), &"add-remove".into())
    );
}

#[test]
fn cut_lines_and_many_shops_are_survived_by_a_smaller_quorum() {
    let set = Set::new();
    let flags = [
        "--shops",
        "30",
        "--quorum",
        "15",
        "--dropout",
        "0.3",
        "--latency",
        "200ms",
    ];
    let report = set.simulate(&flags);
    assert_eq!(
        (report["shops"].as_u64(), report["rounds"].as_u64()),
        (Some(30), Some(12))
    );
    let updates = report["updates"].as_u64().expect("a number");
    assert!((180..=360).contains(&updates), "{updates}");
}

#[test]
fn evaluate_has_the_rows_and_keys_that_scripts_rely_on() {
    let set = Set::new();
    let (data, plan) = (set.data(), set.path("plan.toml"));
    let flags = ["--plan", &plan, "--shops", "3", "--seeds", "2", "--json"];
    let said = good(&sim(&[&["evaluate", "--data", &data], &flags[..]].concat()));
    let report: Value = serde_json::from_str(&said).expect("one JSON object");
    let rows = report["rows"].as_array().expect("rows");
    let names: Vec<&str> = rows.iter().filter_map(|row| row["model"].as_str()).collect();
    assert_eq!(
        names,
        [
            "ials",
            "popularity",
            "local_only",
            "central_ials",
            "central_mf",
            "central_neumf",
            "ease"
        ]
    );
    for row in rows {
        for view in ["literature", "leak_free", "full"] {
            for key in ["hit_rate_at_10", "ndcg_at_10", "seed_stddev"] {
                let value = row[view][key].as_f64().expect("a number");
                assert!((0.0..=1.0).contains(&value), "{row}");
            }
        }
    }
    let epsilon = &report["epsilon"];
    assert!(epsilon["epsilon"].as_f64().expect("a number") > 0.0);
    assert_eq!(
        (&epsilon["unit"], &epsilon["relation"]),
        (&"user".into(), &"add-remove".into())
    );
    // Within a group everybody buys everything sooner or later: whoever learns the groups beats the popular.
    let hit_rate = |name: &str| {
        let at = names.iter().position(|row| *row == name).expect("a row");
        rows[at]["leak_free"]["hit_rate_at_10"]
            .as_f64()
            .expect("a number")
    };
    assert!(hit_rate("central_ials") > hit_rate("popularity"), "{report}");

    let flags = [
        "--plan",
        &plan,
        "--shops",
        "3",
        "--seeds",
        "1",
        "--quick",
        "--no-privacy",
        "--check",
        "--json",
    ];
    let said = good(&sim(&[&["evaluate", "--data", &data], &flags[..]].concat()));
    let report: Value = serde_json::from_str(&said).expect("one JSON object");
    assert_eq!((&report["epsilon"], &report["ok"]), (&Value::Null, &true.into()));
    assert_eq!(report["updates_clipped"], 0);
}

#[test]
fn nonsense_is_told_apart_from_trouble() {
    let set = Set::new();
    let (data, plan_file) = (set.data(), set.path("plan.toml"));
    for args in [
        &["evaluate"][..],
        &["evaluate", "--data", &data, "--model", "magic"],
        &["evaluate", "--data", &data, "--epsilon", "-1"],
        &["evaluate", "--data", &data, "--epsilon", "8", "--no-privacy"],
        &["simulate", &plan_file, "--data", &data, "--dropout", "1"],
        &["simulate", &plan_file, "--data", &data, "--shops", "0"],
    ] {
        assert_eq!(bad(&sim(args)).0, 64, "{args:?}");
    }
    fs::write(&plan_file, plan("noise_multiplier = -1.0\n")).expect("a file");
    let (code, said) = bad(&sim(&["simulate", &plan_file, "--data", &data]));
    assert!(
        code == 64 && said.contains("noise_multiplier") && said.contains(&plan_file),
        "{said}"
    );
    let (code, said) = bad(&sim(&["simulate", &set.path("none.toml"), "--data", &data]));
    assert!(code == 64 && said.contains("none.toml"), "{said}");
    fs::write(&plan_file, plan("")).expect("a file");
    let empty = set.path("empty");
    fs::create_dir(&empty).expect("a folder");
    let (code, said) = bad(&sim(&["simulate", &plan_file, "--data", &empty]));
    assert!(code == 2 && said.contains("get-data.sh"), "{said}");
    // Shops' folders whose orders have no column of customers.
    let shops = set.path("shops");
    fs::create_dir_all(format!("{shops}/north")).expect("a folder");
    fs::write(format!("{shops}/items.csv"), "item_id,title\na,A\n").expect("a file");
    fs::write(
        format!("{shops}/north/orders.csv"),
        "who,item_id,timestamp\nu,a,1700000001\n",
    )
    .expect("a file");
    let (code, said) = bad(&sim(&["evaluate", "--data", &shops]));
    assert!(
        code == 1 && said.contains("user_id") && said.contains("it has: who"),
        "{code} {said}"
    );
    assert!(good(&sim(&["evaluate", "--help"])).contains("Example"));
    assert!(good(&sim(&["simulate", "--help"])).contains("Example"));
}

#[test]
fn epsilon_and_calibrate_name_a_number_that_makes_no_sense() {
    let setting = ["--sampling-rate", "0.01", "--rounds", "1000", "--delta", "1e-6"];
    let commands = [
        (
            ["epsilon", "--noise-multiplier", "1"],
            &["0", "-1", "nan", "inf", "-inf", "one"][..],
        ),
        (["calibrate", "--epsilon", "2"], &["-1", "nan", "inf"]),
    ];
    for (command, of_command) in commands {
        good(&sim(&[&command[..], &setting].concat()));
        let values = [
            (command[1], of_command),
            ("--sampling-rate", &["0", "-0.1", "1.0001", "nan", "inf"]),
            ("--rounds", &["0", "-1", "1000000001", "1.5", "nan"]),
            ("--delta", &["0", "-1e-6", "1", "nan", "inf"]),
        ];
        for (flag, values) in values {
            for value in values {
                let mut args = [&command[..], &setting].concat();
                let at = args.iter().position(|arg| *arg == flag).expect("a flag");
                let joined = format!("{flag}={value}");
                args.splice(at..at + 2, [joined.as_str()]);
                let output = sim(&args);
                let (code, said) = bad(&output);
                assert!(
                    code == 64 && !said.contains("panicked"),
                    "{args:?}: {code} {said}"
                );
                let name = flag.trim_start_matches('-');
                assert!(said.contains(name), "{args:?}: {said}");
                assert!(output.stdout.is_empty(), "{args:?}");
            }
        }
    }
}

#[test]
fn epsilon_of_the_most_rounds_is_a_bound_and_comes_at_once() {
    // Of the last, all rounds together are within delta.
    for (noise, rate, least) in [
        ("1", "0.01", 8e4),
        ("1", "1", 5e8),
        ("300", "0.5", 1e3),
        ("1000000", "1e-9", 0.0),
    ] {
        let watch = souk_common::clock::Stopwatch::start();
        let flags = ["--rounds", "1000000000", "--delta", "1e-6", "--json"];
        let mechanism = ["epsilon", "--noise-multiplier", noise, "--sampling-rate", rate];
        let said = good(&sim(&[&mechanism[..], &flags].concat()));
        let figure: Value = serde_json::from_str(&said).expect("JSON");
        let (sampled, whole) = (&figure["epsilon"], &figure["epsilon_without_sampling"]);
        assert!(
            sampled.as_f64() >= Some(least) && sampled.as_f64() <= whole.as_f64(),
            "{said}"
        );
        // Also on a busy machine; round by round it would take days.
        assert!(watch.secs() < 120.0, "{} s", watch.secs());
    }
}

#[test]
fn a_soak_says_what_each_hour_held_and_whether_that_is_flat() {
    let output = sim(&["soak", "--shops", "4", "--hours", "2", "--pace", "5", "--json"]);
    let report: Value = serde_json::from_slice(&output.stdout).expect("one JSON object");
    let rows = report["rows"].as_array().expect("a list");
    let hours: Vec<_> = rows.iter().map(|row| row["hour"].as_u64()).collect();
    assert_eq!(hours, [Some(0), Some(1), Some(2)], "the opening, and two");
    let number = |row: &Value, key: &str| row[key].as_u64().expect("a number");
    for row in rows {
        assert!(number(row, "rss_bytes") > 1 << 20, "{row}");
        assert!(
            number(row, "connected") >= 3 && number(row, "rounds") >= 8,
            "{row}"
        );
    }
    assert!(number(&rows[2], "updates") > number(&rows[1], "updates"));
    assert_eq!(report["lost_shops"], Value::Array(Vec::new()));
    assert!(report["kept_bytes_in_a_year"].as_f64() > Some(1e6));
    // So small a process may well grow by a twentieth: what counts is that it says so.
    let passed = report["last_to_first"].as_f64() <= report["most"].as_f64();
    assert_eq!(report["passed"], Value::Bool(passed));
    assert_eq!(output.status.code(), Some(i32::from(!passed)));
}
