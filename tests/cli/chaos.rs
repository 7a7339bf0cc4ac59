//! `souk-sim chaos`, a few kills long.

use std::process::{Command, Stdio};

use serde_json::Value;
use souk_tests::federation::{bad, good};

const SOUK: &str = env!("CARGO_BIN_EXE_souk");

fn chaos(args: &[&str]) -> std::process::Output {
    Command::new(SOUK)
        .args(["sim", "chaos"])
        .args(args)
        .env("SOUK_DEMO_PREFIX", "sim")
        .stdin(Stdio::null())
        .output()
        .expect("the program starts")
}

#[test]
fn a_run_completes_though_both_programs_are_killed_and_every_check_holds() {
    let said = good(&chaos(&[
        "--coordinator-kills",
        "3",
        "--shop-kills",
        "3",
        "--rounds",
        "2",
        "--most",
        "100s",
        "--json",
    ]));
    let report: Value = serde_json::from_str(&said).expect("one JSON object");
    let figure = |key: &str| report[key].as_u64().unwrap_or_else(|| panic!("{key}: {report}"));
    assert_eq!((figure("coordinator_kills"), figure("shop_kills")), (3, 3));
    assert_eq!((figure("published"), figure("starts")), (2, 6));
    let steps = report["steps"].as_array().expect("a list");
    let kills: u64 = steps.iter().filter_map(|step| step[1].as_u64()).sum();
    assert_eq!(kills, 6);
    let checks = report["checks"].as_array().expect("a list");
    assert!(
        checks.len() >= 8 && checks.iter().all(|check| check["ok"] == true),
        "{report}"
    );
}

#[test]
fn a_run_that_does_not_end_in_time_has_failed_and_shows_the_ends_of_all_logs() {
    let (code, said) = bad(&chaos(&["--rounds", "1000", "--most", "5s"]));
    assert_eq!(code, 2, "{said}");
    for words in ["did not complete within 5s", "--- coordinator", "--- east"] {
        assert!(said.contains(words), "{words}: {said}");
    }
    // What a shop said first, or last.
    assert!(said.contains("takes part") || said.contains("round "), "{said}");
}
