//! Readers that go away before all is said, as `| head -1` does: no program complains, and what it had to do is done.

use std::path::Path;
use std::process::{Command, Output, Stdio};

use souk_tests::federation::{Federation, plan, text};

const SOUK: &str = env!("CARGO_BIN_EXE_souk");

/// Runs a program whose standard output nobody reads any more.
fn unread(args: &[&str]) -> Output {
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    let child = Command::new(Path::new(SOUK))
        .args(args)
        .stdin(Stdio::null())
        .stdout(writer)
        .stderr(Stdio::piped())
        .spawn();
    child.expect("it starts").wait_with_output().expect("it ends")
}

fn ends_quietly(args: &[&str]) {
    let output = unread(args);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.code() == Some(0) && !said.contains("panicked") && !said.contains("pipe"),
        "{args:?}: {:?} {said}",
        output.status
    );
}

#[test]
fn a_closed_pipe_ends_no_program_with_an_error_and_leaves_nothing_undone() {
    let federation = Federation::start(SOUK, &plan(1, 1, &["north"]), &[]);
    let shop = federation.join("north", 5);
    let (home, file) = (federation.home(), federation.plan());
    let dir = tempfile::tempdir().expect("a folder");
    let (split, made) = (dir.path().join("split"), dir.path().join("federation"));
    let numbers = [
        "epsilon",
        "--noise-multiplier",
        "4",
        "--sampling-rate",
        "0.5",
        "--rounds",
        "9",
    ];
    let epsilon = [&["sim"], &numbers[..], &["--delta", "1e-5"]].concat();
    for args in [
        &["sim", "--help"][..],
        &["sim", "fuzz", "--list"],
        &epsilon,
        &[&epsilon[..], &["--json"]].concat(),
        &["sim", "verify", text(&home)],
        &[
            "sim",
            "split",
            "--synthetic",
            "--shops",
            "2",
            "--out",
            text(&split),
        ],
        &["coordinator", "--help"],
        &["coordinator", "status", "--dir", text(&home)],
        &[
            "coordinator",
            "plan",
            "check",
            text(&file),
            "--dir",
            text(&home),
            "--json",
            "--anyway",
        ],
        &["coordinator", "init", text(&made), "--address", "127.0.0.1:4433"],
        &["client", "--help"],
        &["client", "check-data", "--dir", text(&shop)],
        &["client", "budget", "--dir", text(&shop), "--json"],
        &["client", "shops", "--dir", text(&shop)],
    ] {
        ends_quietly(args);
    }
    assert!(split.join("items.csv").is_file() && made.join("coordinator.toml").is_file());
}
