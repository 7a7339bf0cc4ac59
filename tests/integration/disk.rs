//! A disk without room: a clear error, and nothing is lost.

use std::fs;
use std::os::unix::fs::symlink;
use std::process::Command;

use serde_json::Value;
use souk_tests::federation::{Federation, bad, plan, text, until};

const SOUK: &str = env!("CARGO_BIN_EXE_souk");

#[test]
fn an_update_that_finds_no_room_stays_in_its_outbox_until_there_is_room() {
    let mut federation = Federation::start(SOUK, &plan(1, 1, &["north"]), &[]);
    federation.join("north", 20);
    // The next files that are begun in the store lie on a device that is always full.
    let aside = federation.home().join("private/tmp");
    for name in 0..1000 {
        symlink("/dev/full", aside.join(name.to_string())).expect("a link");
    }
    let mut north = federation.start_client("north", &["--exit-when-finished"]);
    until("the coordinator has no room", || {
        federation.complaints().contains("no room to write")
    });
    let kept = only_upload(&federation);
    assert_eq!(kept["receipt"], Value::Null);
    assert!(federation.stop_coordinator(), "{}", federation.complaints());
    // With the restart, what lies aside is removed: there is room again.
    federation.serve(&[]);
    assert!(north.wait(), "{}", federation.log("north"));
    let taken = only_upload(&federation);
    assert_eq!(taken["digest"], kept["digest"], "the same bytes");
    assert_ne!(taken["receipt"], Value::Null);
    assert_eq!(federation.client_json("north", &["budget"])["rounds_charged"], 1);
    assert_eq!(federation.coordinator_json(&["status"])["rounds_published"], 1);
}

#[test]
fn a_round_that_finds_no_room_for_its_model_is_published_after_a_restart() {
    let mut federation = Federation::start(SOUK, &plan(1, 1, &["north"]), &[]);
    federation.join("north", 20);
    let aside = federation.home().join("files/tmp");
    // The plan, the catalogue and the first model were written.
    for name in 3..1000 {
        symlink("/dev/full", aside.join(name.to_string())).expect("a link");
    }
    let mut north = federation.start_client("north", &["--exit-when-finished"]);
    assert!(!federation.wait_for_coordinator());
    let said = federation.complaints();
    assert!(
        said.contains("no room to write") && said.contains("start again"),
        "{said}"
    );
    federation.serve(&[]);
    assert!(north.wait(), "{}", federation.log("north"));
    assert_eq!(federation.coordinator_json(&["status"])["rounds_published"], 1);
    assert_eq!(federation.client_json("north", &["budget"])["rounds_charged"], 1);
}

#[test]
fn files_that_may_not_grow_end_serve_with_the_reason_and_harm_nothing() {
    let mut federation = Federation::prepare(SOUK, &plan(1, 1, &["north"]));
    let limited = |blocks: u32| {
        let serve = format!(
            "trap '' XFSZ; ulimit -f {blocks}; exec {SOUK} coordinator serve --listen 127.0.0.1:0 --dir {} --plan {}",
            text(&federation.home()),
            text(&federation.plan())
        );
        let output = Command::new("sh").args(["-c", &serve]).output();
        output.expect("a shell")
    };
    let (code, said) = bad(&limited(1));
    assert!(code == 2 && said.contains("no room to write"), "{code} {said}");
    federation.serve(&[]);
    federation.join("north", 20);
    let mut north = federation.start_client("north", &["--exit-when-finished"]);
    assert!(north.wait(), "{}", federation.log("north"));
}

fn only_upload(federation: &Federation) -> Value {
    let sent = federation.client_json("north", &["sent"]);
    let uploads = sent["uploads"].as_array().expect("a list");
    assert_eq!(uploads.len(), 1, "{sent}");
    uploads[0].clone()
}

#[test]
fn a_shop_without_room_for_its_key_does_not_use_up_its_code() {
    let federation = Federation::start(SOUK, &plan(1, 1, &["north"]), &[]);
    let code = federation.invite("north");
    let folder = federation.shop("north");
    fs::create_dir_all(folder.parent().expect("a folder")).expect("a folder");
    let join = format!(
        "trap '' XFSZ; ulimit -f 0; exec {SOUK} client join {code} --dir {}",
        text(&folder)
    );
    let output = Command::new("sh").args(["-c", &join]).output().expect("a shell");
    let (status, said) = bad(&output);
    assert!(
        status == 2 && said.contains("can't write the key"),
        "{status} {said}"
    );
    fs::remove_dir_all(&folder).expect("it was made");
    souk_tests::federation::good(&federation.client("north", &["join", &code]));
}
