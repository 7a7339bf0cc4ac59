//! A process that charges its ledger, killed before, within and after each of its writes.

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use souk_client::ledger::{FileLedger, LedgerFileError, open_ledger, read_ledger};
use souk_common::clock::{Stopwatch, Timestamp};
use souk_common::params::Delta;
use souk_tests::federation::{Federation, plan, until};
use souk_tests::spender::{ACKNOWLEDGED, STANDS, Stop, shop, spend};

const SOUK: &str = env!("CARGO_BIN_EXE_souk");
const ROUNDS: usize = 3;
const SIGKILL: i32 = 9;

/// Every place to stop at in one write.
fn stops(write: usize) -> impl Iterator<Item = Stop> {
    let within = [0, 250, 500, 750, 1000].map(|part| Stop::Within(write, part));
    [Stop::Before(write), Stop::After(write)]
        .into_iter()
        .chain(within)
}

/// Lets a process charge `file`, and kills it where it stops; how many spends it acknowledged.
fn killed(file: &Path, stop: Stop) -> usize {
    let mut child = Command::new(SOUK)
        .arg("spend-until-killed")
        .arg(file)
        .arg(ROUNDS.to_string())
        .args(stop.args())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let mut acknowledged = 0;
    let mut stands = false;
    for line in BufReader::new(child.stdout.take().expect("piped")).lines() {
        match line.expect("a line").as_str() {
            ACKNOWLEDGED => acknowledged += 1,
            STANDS => {
                stands = true;
                child.kill().expect("a child");
            }
            other => panic!("{stop:?}: {other}"),
        }
    }
    let ended = child.wait().expect("a child");
    assert!(stands && ended.signal() == Some(SIGKILL), "{stop:?}: {ended}");
    acknowledged
}

/// What must hold of the file after the kill: `before` spends were in it, `acknowledged` came.
fn holds_what_was_acknowledged(file: &Path, before: usize, acknowledged: usize, stop: Stop) {
    let left = fs::read(file).expect("a file");
    let ledger = opened(file);
    let spends: Vec<_> = ledger.chain().spends().map(|(_, spend)| spend.clone()).collect();
    let least = before + acknowledged;
    assert!(
        (least..=least + 1).contains(&spends.len()),
        "{stop:?}: {} spends, {least} acknowledged",
        spends.len()
    );
    let made: Vec<_> = (1..=acknowledged as u64).map(spend).collect();
    assert_eq!(spends[before..least], made, "{stop:?}");
    assert!(
        fs::read(file).expect("a file").starts_with(&left),
        "{stop:?}: the file only ever grows"
    );
    let head = ledger.head();
    drop(ledger);
    let read = read_ledger(file).expect("a chain");
    assert_eq!((read.head(), read.tail()), (head, &[][..]), "{stop:?}");
    // It goes on from there.
    let mut ledger = opened(file);
    let delta = Delta::new(1e-5).expect("a delta");
    let epsilon = ledger.epsilon(delta);
    ledger.charge(spend(9), Timestamp(5)).expect("a charge");
    assert!(ledger.epsilon(delta) > epsilon, "{stop:?}");
}

#[test]
fn a_ledger_whose_process_is_killed_before_within_and_after_each_write_holds_every_acknowledged_spend() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    // The first write is the record that names the shop.
    for (write, stop) in (0..=ROUNDS).flat_map(|write| stops(write).map(move |stop| (write, stop))) {
        let file = dir.path().join(format!("{stop:?}.jsonl"));
        let acknowledged = killed(&file, stop);
        assert_eq!(acknowledged, write.saturating_sub(1), "{stop:?}");
        let found = read_ledger(&file).expect("a chain");
        if write > 0 {
            let whole = acknowledged + usize::from(matches!(stop, Stop::After(_)));
            assert_eq!(found.spends().count(), whole, "{stop:?}: whole lines");
        }
        let torn = matches!(stop, Stop::Within(..));
        assert_eq!(!found.tail().is_empty(), torn, "{stop:?}");
        if torn && write > 1 {
            let charged = reopened(&file, &dir.path().join("copy.jsonl"));
            assert_eq!(
                charged,
                acknowledged + 1,
                "{stop:?}: the torn line is charged for"
            );
        }
        holds_what_was_acknowledged(&file, 0, acknowledged, stop);
    }
}

#[test]
fn a_repair_that_is_killed_before_within_and_after_its_write_loses_nothing_either() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let torn = dir.path().join("torn.jsonl");
    assert_eq!(killed(&torn, Stop::Within(ROUNDS, 500)), ROUNDS - 1);
    // Its first write is the repair, which charges for the torn line; the others are charges.
    for stop in (0..=1).flat_map(stops) {
        let file = dir.path().join(format!("{stop:?}.jsonl"));
        fs::copy(&torn, &file).expect("a copy");
        assert_eq!(killed(&file, stop), 0, "{stop:?}");
        let charged = reopened(&file, &dir.path().join("copy.jsonl"));
        assert!(
            (ROUNDS..=ROUNDS + 1).contains(&charged),
            "{stop:?}: {charged} spends, the torn one among them"
        );
        holds_what_was_acknowledged(&file, ROUNDS, 0, stop);
    }
}

/// The ledger, opened in this process. Another test that starts a process at this moment holds a copy of its lock until
/// that process is there.
fn opened(file: &Path) -> FileLedger {
    let mut ledger = None;
    until("the lock is free", || {
        match open_ledger(file, &shop(), Timestamp(3)) {
            Err(LedgerFileError::InUse { .. }) => {}
            other => ledger = Some(other.unwrap_or_else(|error| panic!("{}: {error}", file.display()))),
        }
        ledger.is_some()
    });
    ledger.expect("it was opened")
}

/// Spends of a copy of `file` once it was opened.
fn reopened(file: &Path, copy: &Path) -> usize {
    fs::copy(file, copy).expect("a copy");
    let ledger = opened(copy);
    ledger.chain().spends().count()
}

#[test]
fn a_shop_that_is_killed_as_its_spend_becomes_durable_never_forgets_it() {
    let federation = Federation::start(SOUK, &plan(6, 2, &["north", "south"]), &["--exit-when-finished"]);
    let file = federation.join("north", 40).join("ledger.jsonl");
    federation.join("south", 20);
    let mut south = federation.start_client("south", &["--exit-when-finished"]);
    let mut seen = Vec::new();
    for _ in 0..3 {
        let mut north = federation.start_client("north", &["--exit-when-finished"]);
        let watch = Stopwatch::start();
        while lines_in(&file) <= seen.len().max(1) {
            assert!(watch.secs() < 60.0, "no spend: {}", federation.log("north"));
            std::thread::sleep(Duration::from_millis(1));
        }
        north.kill();
        let kept: Vec<_> = read_ledger(&file).expect("a chain").records().to_vec();
        assert!(kept.starts_with(&seen), "no record goes");
        seen = kept;
    }
    let mut north = federation.start_client("north", &["--exit-when-finished"]);
    let ended = north.wait() && south.wait();
    assert!(ended, "{}\n{}", federation.log("north"), federation.log("south"));
    let chain = read_ledger(&file).expect("a chain");
    assert!(chain.records().starts_with(&seen));
    let spent: Vec<_> = chain
        .spends()
        .map(|(_, spend)| (spend.round, u64::from(spend.attempt)))
        .collect();
    let sent = federation.client_json("north", &["sent"]);
    let mut uploads: Vec<_> = sent["uploads"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|upload| {
            (
                upload["round"].as_u64().expect("a round"),
                upload["attempt"].as_u64().expect("an attempt"),
            )
        })
        .collect();
    assert!(
        uploads.len() >= 6 && uploads.iter().all(|upload| spent.contains(upload)),
        "{uploads:?} {spent:?}"
    );
    let all = spent.len();
    uploads.dedup();
    assert_eq!(
        sent["uploads"].as_array().map(Vec::len),
        Some(uploads.len()),
        "one an attempt"
    );
    assert_eq!(
        federation.client_json("north", &["budget"])["rounds_charged"].as_u64(),
        Some(all as u64)
    );
}

/// None while there is no file.
fn lines_in(file: &Path) -> usize {
    fs::read(file).map_or(0, |bytes| bytes.iter().filter(|byte| **byte == b'\n').count())
}
