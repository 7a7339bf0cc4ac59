//! Whatever the umask: what the programs make is its owner's only, over a whole life.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use souk_tests::federation::{Federation, good, masked_plan, run, text};

const SOUK: &str = env!("CARGO_BIN_EXE_souk");

/// The programs under umask 000, as one executable file.
fn careless(dir: &Path) -> PathBuf {
    let script = dir.join("souk");
    fs::write(&script, format!("#!/bin/sh\numask 000\nexec '{SOUK}' \"$@\"\n")).expect("a file");
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).expect("a mode");
    script
}

/// Everything in a folder and itself that others may open; what the test wrote there itself does not count.
fn open_to_others(path: &Path) -> Vec<String> {
    let about = fs::symlink_metadata(path).expect("it is there");
    let mut open = Vec::new();
    if about.mode() & 0o077 != 0 && !path.ends_with("run.log") {
        open.push(format!("{:o} {}", about.mode() & 0o7777, path.display()));
    }
    if about.is_dir() {
        for entry in fs::read_dir(path).expect("a folder").flatten() {
            open.extend(open_to_others(&entry.path()));
        }
    }
    open
}

fn count(path: &Path) -> usize {
    let entries = fs::read_dir(path).expect("a folder").flatten();
    entries
        .map(|entry| match entry.path().is_dir() {
            true => count(&entry.path()),
            false => 1,
        })
        .sum()
}

#[test]
fn nothing_that_a_federation_makes_in_its_life_can_be_opened_by_others_under_any_umask() {
    let dir = tempfile::tempdir().expect("a folder");
    let souk = careless(dir.path());
    let names = ["north", "south", "west", "east"];
    let mut federation = Federation::start(text(&souk), &masked_plan(2, 3, &names), &[]);
    for name in names {
        federation.join(name, 20);
    }
    federation.trust_each_other(&names);
    let mut running: Vec<_> = names
        .iter()
        .map(|name| federation.start_client(name, &["--exit-when-finished"]))
        .collect();
    let (backup, home_copy) = (dir.path().join("copy"), dir.path().join("home-copy"));
    good(&federation.client("north", &["backup", text(&backup)]));
    let shops = federation.shop("north");
    let mut open = open_to_others(&shops);
    for (name, shop) in names.iter().zip(&mut running) {
        assert!(shop.wait(), "{}", federation.log(name));
    }
    let lists = dir.path().join("lists.csv");
    let picture = dir.path().join("picture.svg");
    good(&federation.client("north", &["recommend", "--all", "--out", text(&lists)]));
    good(&federation.client("north", &["plot", "north-1", "--out", text(&picture)]));
    let (model, plan) = (dir.path().join("model.safetensors"), dir.path().join("new.toml"));
    good(&federation.coordinator(&["models", "export", "--out", text(&model)]));
    good(&federation.coordinator(&["ca", "rotate"]));
    good(&run(&souk, "coordinator", &["plan", "new", text(&plan)]));
    good(&federation.coordinator(&["backup", text(&home_copy)]));
    open.extend(open_to_others(&federation.home()));
    assert!(federation.stop_coordinator());
    for folder in names.map(|name| federation.shop(name)) {
        open.extend(open_to_others(&folder));
    }
    for made in [
        &federation.home(),
        &backup,
        &home_copy,
        &lists,
        &picture,
        &model,
        &plan,
    ] {
        open.extend(open_to_others(made));
    }
    assert_eq!(open, Vec::<String>::new());
    assert!(count(&federation.home()) > 10 && count(&shops) > 8 && count(&backup) >= 5);
}

#[test]
fn a_folder_of_an_older_program_is_closed_when_it_is_used_and_that_is_said_once() {
    let federation = Federation::start(SOUK, &souk_tests::federation::plan(1, 1, &["north"]), &[]);
    let shop = federation.join("north", 5);
    for folder in [&shop, &federation.home()] {
        fs::set_permissions(folder, fs::Permissions::from_mode(0o755)).expect("a mode");
        fs::set_permissions(
            folder.join(if folder == &shop {
                "membership.json"
            } else {
                "ca.der"
            }),
            fs::Permissions::from_mode(0o644),
        )
        .expect("a mode");
    }
    let both = |federation: &Federation| {
        [
            federation.client("north", &["sent"]),
            federation.coordinator(&["status"]),
        ]
        .map(|output| {
            good(&output);
            String::from_utf8_lossy(&output.stderr).into_owned()
        })
    };
    for said in both(&federation) {
        let line = "was open to other users (mode 0755): it is its owner's only now, and so are 1 files and folders in it";
        assert!(said.contains(line), "{said}");
    }
    assert_eq!(both(&federation), ["", ""]);
    assert_eq!(
        [open_to_others(&shop), open_to_others(&federation.home())].concat(),
        Vec::<String>::new()
    );
    // A folder that many share is nobody's to close.
    let shared = tempfile::tempdir().expect("a folder");
    fs::set_permissions(shared.path(), fs::Permissions::from_mode(0o1777)).expect("a mode");
    let refused = run(
        Path::new(SOUK),
        "coordinator",
        &["init", text(shared.path()), "--address", "127.0.0.1:0"],
    );
    let (code, said) = souk_tests::federation::bad(&refused);
    assert!(
        code == 2 && said.contains("(mode 1777)") && said.contains("a folder of its own"),
        "{said}"
    );
    assert_eq!(fs::read_dir(shared.path()).expect("a folder").count(), 0);
}
