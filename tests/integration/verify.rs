//! An auditor with a federation's folder: good records pass, and any byte of a stored part that is changed is found.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use souk_tests::federation::{Federation, Running, bad, good, masked_plan, plan, run, text};

const SOUK: &str = env!("CARGO_BIN_EXE_souk");
const SHOPS: [&str; 3] = ["east", "north", "west"];

/// Runs a plan to its end with all rounds kept.
fn federation(plan: &str) -> Federation {
    federation_with(plan, "keep_parts = 9")
}

/// Runs a plan to its end with these lines in `[store]`.
fn federation_with(plan: &str, store: &str) -> Federation {
    let mut federation = Federation::prepare(SOUK, plan);
    let config = federation.home().join("coordinator.toml");
    let sample = fs::read_to_string(&config).expect("a file");
    let line = sample
        .lines()
        .find(|line| line.starts_with("# keep_parts ="))
        .expect("in the sample");
    fs::write(&config, sample.replace(line, store)).expect("a file");
    federation.serve(&["--exit-when-finished"]);
    for (shop, users) in SHOPS.iter().zip([30, 20, 10]) {
        federation.join(shop, users);
    }
    federation.trust_each_other(&SHOPS);
    let start = |shop: &&str| federation.start_client(shop, &["--exit-when-finished"]);
    let mut running: Vec<Running> = SHOPS.iter().map(start).collect();
    for (process, shop) in running.iter_mut().zip(SHOPS) {
        assert!(process.wait(), "{shop}: {}", federation.log(shop));
    }
    assert!(federation.wait_for_coordinator());
    federation
}

/// Exit code and report, with all shops' ledgers.
fn verify(federation: &Federation) -> (i32, Value) {
    let home = federation.home();
    let all = federation.shop("east").with_file_name("");
    let said = run(
        Path::new(SOUK),
        "sim",
        &["verify", text(&home), "--json", "--ledger", text(&all)],
    );
    let report = serde_json::from_slice(&said.stdout).unwrap_or_else(|error| {
        panic!("{error}: {}", String::from_utf8_lossy(&said.stderr));
    });
    (said.status.code().unwrap_or(-1), report)
}

fn files_below(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut files: Vec<PathBuf> = entries
        .flat_map(|entry| match entry.path() {
            path if path.is_dir() => files_below(&path),
            path => vec![path],
        })
        .collect();
    files.sort();
    files
}

fn every_flipped_byte_is_found(federation: &Federation, kept_rounds: u64) {
    let (code, report) = verify(federation);
    assert_eq!((code, &report["ok"]), (0, &true.into()), "{report}");
    let replayed = &report["checks"][5];
    // The initial model, and each round.
    assert_eq!(
        (&replayed["good"], &replayed["not_kept"]),
        (&(kept_rounds + 1).into(), &0.into())
    );
    let home = federation.home();
    let files = [
        files_below(&home.join("private")),
        files_below(&home.join("files")),
    ]
    .concat();
    // Three parts a round, states, models, plan and catalogue.
    assert!(files.len() > 3 * kept_rounds as usize, "{files:?}");
    for (number, path) in files.iter().enumerate() {
        let bytes = fs::read(path).expect("a file");
        // One byte of each: of its beginning, its middle, its end by turns.
        let at = [0, bytes.len() / 2, bytes.len() - 1][number % 3];
        let mut changed = bytes.clone();
        changed[at] ^= 1;
        fs::write(path, changed).expect("a file");
        let (code, report) = verify(federation);
        let name = path.file_name().expect("a name").to_string_lossy();
        assert!(
            code == 1 && report["checks"].to_string().contains(&*name),
            "byte {at} of {}: {report}",
            path.display()
        );
        fs::write(path, bytes).expect("a file");
    }
    assert_eq!(verify(federation).0, 0);
}

/// Each of the three ledgers has what the record says, and nothing else; the key is that of the shops.
fn every_shop_has_what_it_costs(report: &Value) {
    let ledgers = report["ledgers"].as_array().expect("a list");
    assert_eq!(ledgers.len(), SHOPS.len(), "{report}");
    for (ledger, shop) in ledgers.iter().zip(SHOPS) {
        assert_eq!(ledger["shop"], shop, "{ledger}");
        assert!(ledger["receipts"].as_u64() > Some(0), "{ledger}");
        assert_eq!(ledger["epsilon"], ledger["epsilon_by_record"], "{ledger}");
        assert_eq!(ledger["beyond"].as_array().map(Vec::len), Some(0), "{ledger}");
    }
    let left = report["unchecked"].to_string();
    assert!(
        !left.contains("the federation's key") && !left.contains("--ledger"),
        "{left}"
    );
}

#[test]
fn a_record_of_a_newer_program_is_named_with_both_formats_and_which_program_to_use() {
    let federation = federation(&plan(1, 3, &SHOPS));
    let home = federation.home();
    let records = home.join("coordinator.redb");
    {
        let database = redb::Database::create(&records).expect("records");
        let write = database.begin_write().expect("a transaction");
        let meta = redb::TableDefinition::<&str, &[u8]>::new("meta");
        write
            .open_table(meta)
            .and_then(|mut meta| Ok(meta.insert("format", b"3".as_slice()).map(drop)?))
            .expect("a row");
        write.commit().expect("written");
    }
    let said = run(Path::new(SOUK), "sim", &["verify", text(&home)]);
    let words = String::from_utf8_lossy(&said.stderr).into_owned();
    assert_eq!(said.status.code(), Some(2), "{words}");
    assert!(
        words.contains(text(&records))
            && words.contains(
                "written by a newer Souk (format 3; this one knows 1): use souk-sim of that version"
            ),
        "{words}"
    );
}

#[test]
fn masked_rounds_are_made_again_from_parts_and_shares_and_any_flipped_byte_is_found() {
    let federation = federation(&masked_plan(2, 3, &SHOPS));
    let (_, report) = verify(&federation);
    assert_eq!(report["checks"][4]["good"], 2, "{report}");
    every_shop_has_what_it_costs(&report);
    every_flipped_byte_is_found(&federation, 2);
    // Words of another federation.
    let stranger = "11".repeat(32);
    let said = run(
        Path::new(SOUK),
        "sim",
        &["verify", text(&federation.home()), "--key", &stranger],
    );
    assert_eq!(said.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&said.stdout).contains("no word in the record is signed by this key"));
}

#[test]
fn rounds_without_masks_are_made_again_and_a_folder_that_is_none_is_named() {
    let federation = federation(&plan(2, 3, &SHOPS));
    let (code, report) = verify(&federation);
    assert_eq!((code, &report["checks"][5]["good"]), (0, &3.into()), "{report}");
    let said = run(
        Path::new(SOUK),
        "sim",
        &["verify", text(&federation.shop("east"))],
    );
    assert_eq!(said.status.code(), Some(64));
    let said = String::from_utf8_lossy(&said.stderr).into_owned();
    assert!(
        said.contains("no signing key") && said.contains("--key"),
        "{said}"
    );
}

#[test]
fn old_models_are_pruned_by_policy_which_commands_and_auditors_are_told() {
    let federation = federation_with(&plan(4, 3, &SHOPS), "keep_parts = 1\nkeep_models = 2");
    let models = federation.coordinator_json(&["models", "list"]);
    let kept: Vec<&Value> = models["models"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|model| &model["kept"])
        .collect();
    assert_eq!(kept, [false, false, false, true, true]);
    let shown = federation.coordinator_json(&["models", "show", "--round", "1"]);
    assert!(
        shown["path"].is_null() && shown["manifest"]["body"]["id"]["round"] == 1,
        "{shown}"
    );
    let out = federation.home().join("model.safetensors");
    let export = |round| {
        let args = ["models", "export", "--round", round, "--out", text(&out)];
        federation.coordinator(&args)
    };
    let (code, said) = bad(&export("1"));
    assert!(
        code == 2 && said.contains("keep_models") && !out.exists(),
        "{code} {said}"
    );
    let (_, said) = bad(&federation.coordinator(&["models", "rollback", "2"]));
    assert!(said.contains("round 2") && said.contains("keep_models"), "{said}");
    good(&export("3"));
    assert!(out.exists());
    let (code, report) = verify(&federation);
    assert_eq!(
        (code, &report["checks"][2]["not_kept"]),
        (0, &3.into()),
        "{report}"
    );
    // The initial model, which follows from the plan, and the last round.
    assert_eq!(report["checks"][5]["good"], 2, "{report}");
}
