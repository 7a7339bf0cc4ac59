//! `souk-sim bench`: the shape of what it prints, not the figures.

use std::path::Path;

use serde_json::Value;
use souk_tests::federation::{bad, good, run};

const SOUK: &str = env!("CARGO_BIN_EXE_souk");

fn bench(args: &[&str]) -> std::process::Output {
    run(Path::new(SOUK), "sim", &[&["bench"], args].concat())
}

#[test]
fn help_teaches_and_an_unknown_figure_is_wrong_usage() {
    let help = good(&bench(&["--help"]));
    assert!(
        help.contains("Example") && help.contains("--only round_16x1m"),
        "{help}"
    );
    let (code, said) = bad(&bench(&["--only", "nonsense"]));
    assert!(
        code == 64 && said.contains("coordinator_memory_100x10m"),
        "{said}"
    );
}

#[test]
fn json_has_only_what_was_asked_for_with_the_keys_that_scripts_rely_on() {
    let asked = [
        "--only",
        "rdp",
        "--only",
        "clip_quantise_noise",
        "--short",
        "--json",
    ];
    let said = good(&bench(&asked));
    let answer: Value = serde_json::from_str(&said).expect("one JSON object and nothing else");
    let rows = answer["rows"].as_array().expect("rows");
    let names: Vec<_> = rows
        .iter()
        .map(|row| row["name"].as_str().expect("a name"))
        .collect();
    assert_eq!(names, ["rdp", "memcpy", "clip_quantise_noise"]);
    for row in rows {
        assert!(row["value"].as_f64().expect("a number") > 0.0, "{row}");
        assert!(
            row["unit"].is_string() && row["ratio"].is_number() == row["of"].is_string(),
            "{row}"
        );
    }
    let held = rows.last().expect("three rows");
    assert_eq!(held["of"], "memcpy");
}
