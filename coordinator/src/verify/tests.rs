//! Records that were tampered with, entry by entry.

use std::path::Path;

use souk_common::crypto::sign::SigningKey;
use souk_common::storage::blobs::{Blobs, FileBlobs};

use super::*;
use crate::store::tamper;

mod flips;

fn key() -> SigningKey {
    SigningKey::from_bytes(&[3; 32])
}

/// A federation that has published two rounds, with all parts kept.
fn published() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    crate::engine::tests::publish_two_rounds(dir.path());
    dir
}

/// Applies `change` to the JSON of each entry of the record in turn, and gives what `check` says.
fn tampered(dir: &Path, at: u64, change: impl Fn(&str) -> Option<String>) -> Option<Report> {
    let before = tamper::entry(dir, at);
    let changed = change(std::str::from_utf8(&before).unwrap())?;
    tamper::set_entry(dir, at, Some(changed.as_bytes()));
    let report = check(dir, &key().public()).ok();
    tamper::set_entry(dir, at, Some(&before));
    report.or(Some(Report {
        ok: false,
        log_length: 0,
        checks: Vec::new(),
        unchecked: Vec::new(),
        ledgers: Vec::new(),
    }))
}

#[test]
fn an_untouched_record_passes_and_every_changed_digit_of_every_entry_is_found() {
    let dir = published();
    let report = check(dir.path(), &key().public()).unwrap();
    assert!(report.ok, "{report:?}");
    assert_eq!(report.checks[REPLAY].good, 3, "the initial model and two rounds");
    for at in 0..report.log_length {
        // The first and the last digit of the entry: times, numbers, digests and signatures all have some.
        for last in [false, true] {
            let change = |text: &str| {
                let digits = |byte: &u8| byte.is_ascii_digit();
                let place = match last {
                    false => text.bytes().position(|byte| digits(&byte)),
                    true => text.bytes().rposition(|byte| digits(&byte)),
                }?;
                let mut bytes = text.as_bytes().to_vec();
                bytes[place] = if bytes[place] == b'1' { b'2' } else { b'1' };
                String::from_utf8(bytes).ok()
            };
            let report = tampered(dir.path(), at, change).unwrap();
            assert!(!report.ok, "entry {at}");
        }
    }
    assert!(check(dir.path(), &key().public()).unwrap().ok);
}

#[test]
fn enrolments_stand_in_a_record_that_passes_and_can_not_be_changed_unseen() {
    let dir = published();
    let entries = [
        r#"{"enrolled":{"shop":"west","key":null,"from":"10.0.0.1","again":false}}"#,
        r#"{"enrolments_refused":{"since":5,"tries":12,"of":[{"cause":{"ended_code":"used"},"from":"2001:db8:0:7::/64","shop":"west","key":"0101010101010101010101010101010101010101010101010101010101010101","tries":2},{"cause":"wrong_code","from":"10.0.0.2","shop":null,"key":null,"tries":3}],"others":7}}"#,
    ];
    let mut store = Store::open(dir.path(), None).unwrap();
    for (at, text) in (1..).zip(entries) {
        let entry: Entry = serde_json::from_str(text).unwrap();
        assert_eq!(serde_json::to_string(&entry).unwrap(), text, "as it was released");
        let at = souk_common::clock::Timestamp(at);
        store.change(|change| change.append(at, entry)).unwrap();
    }
    let length = store.log_head().length;
    drop(store);
    let report = check(dir.path(), &key().public()).unwrap();
    assert!(report.ok && report.log_length == length, "{report:?}");
    for (at, from, to) in [
        (length - 2, "10.0.0.1", "10.0.0.9"),
        (length - 2, "west", "east"),
        (length - 1, "wrong_code", "expired_code"),
        (length - 1, "\"others\":7", "\"others\":6"),
    ] {
        let report = tampered(dir.path(), at, |text| Some(text.replacen(from, to, 1))).unwrap();
        assert!(!report.ok, "{from} to {to}");
    }
    // Nor does the coordinator itself write one that does not add up.
    let mut store = Store::open(dir.path(), None).unwrap();
    let wrong = serde_json::from_str(&entries[1].replace("\"tries\":12", "\"tries\":11")).unwrap();
    store
        .change(|change| change.append(souk_common::clock::Timestamp(9), wrong))
        .unwrap();
    drop(store);
    let report = check(dir.path(), &key().public()).unwrap();
    let said = report.checks[CHAIN].wrong.join("; ");
    assert!(said.contains("refused enrolments"), "{said}");
}

#[test]
fn a_missing_or_added_entry_and_words_by_another_key_are_found() {
    let dir = published();
    let said = |report: &Report, check: usize| report.checks[check].wrong.join("; ");
    let report = check(dir.path(), &SigningKey::from_bytes(&[4; 32]).public()).unwrap();
    assert_eq!(report.checks[SIGNATURES].wrong.len(), 1, "{report:?}");
    assert!(
        report
            .wrong_key()
            .unwrap()
            .contains("no word in the record is signed by this key")
    );
    assert_eq!(check(dir.path(), &key().public()).unwrap().wrong_key(), None);
    let length = report.log_length;
    let gone = tamper::entry(dir.path(), length - 1);
    tamper::set_entry(dir.path(), length - 1, None);
    let report = check(dir.path(), &key().public()).unwrap();
    assert!(said(&report, CHAIN).contains("ends after"), "{report:?}");
    // The same entry in place of one before: it does not follow.
    let report = tampered(dir.path(), 1, |_| String::from_utf8(gone.clone()).ok()).unwrap();
    assert!(said(&report, CHAIN).contains("does not follow"), "{report:?}");
}

#[test]
fn a_part_that_was_deleted_is_told_from_one_that_was_pruned() {
    let dir = published();
    let log = Store::open(dir.path(), None).unwrap().log().unwrap();
    let of_round = |round: u64| {
        log.iter().find_map(|record| match &record.entry {
            Entry::Received(receipt) if receipt.body.upload.id.round == round => {
                Some(receipt.body.upload.update)
            }
            _ => None,
        })
    };
    let private = FileBlobs::to_read(&dir.path().join("private"));
    let second = private.read(&of_round(2).unwrap()).unwrap();
    private.remove(&of_round(2).unwrap()).unwrap();
    let report = check(dir.path(), &key().public()).unwrap();
    assert!(
        !report.ok && report.checks[REPLAY].wrong[0].contains("round 2 attempt 1: parts are missing"),
        "{report:?}"
    );
    // By policy: round 1 goes, and the record says so.
    FileBlobs::open(&dir.path().join("private"), None)
        .unwrap()
        .put(&second)
        .unwrap();
    drop(crate::engine::tests::engine(dir.path(), 1, None));
    assert!(!private.contains(&of_round(1).unwrap()) && private.contains(&of_round(2).unwrap()));
    let report = check(dir.path(), &key().public()).unwrap();
    assert!(report.ok, "{report:?}");
    assert_eq!(
        (report.checks[REPLAY].good, report.checks[REPLAY].not_kept),
        (2, 1)
    );
}

#[test]
fn a_model_that_was_deleted_is_told_from_one_that_was_pruned() {
    let dir = tempfile::tempdir().unwrap();
    let mut engine = crate::engine::tests::with_models(dir.path(), 2);
    crate::engine::tests::publish_more(&mut engine, 3);
    drop(engine);
    let report = check(dir.path(), &key().public()).unwrap();
    assert!(report.ok, "{report:?}");
    assert_eq!(
        (report.checks[FILES].good, report.checks[FILES].not_kept),
        (10, 2),
        "plan and catalogue of each of four versions, two models"
    );
    assert_eq!(
        report.checks[REPLAY].good, 2,
        "the initial model and the kept round"
    );
    let log = Store::open(dir.path(), None).unwrap().models().unwrap();
    let files = FileBlobs::to_read(&dir.path().join("files"));
    // Of the two that are kept, the parent of the round that is kept.
    files.remove(&log[2].body.model).unwrap();
    let report = check(dir.path(), &key().public()).unwrap();
    assert!(
        !report.ok && report.checks[FILES].wrong[0].contains("model of round 2"),
        "{report:?}"
    );
    assert_eq!(report.checks[REPLAY].wrong.len(), 1, "{report:?}");
}

#[test]
fn a_plan_by_a_newer_program_is_not_skipped_and_one_that_is_none_is_told() {
    for (plan, newer) in [
        ("{\"format\":7,\"name\":\"a\"}", true),
        ("{\"name\":\"a\"}", false),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let mut store = Store::open(dir.path(), None).unwrap();
        let [plan, catalogue] = [plan, ""].map(|text| store.files().put(text.as_bytes()).unwrap());
        let manifest = key().sign(Manifest {
            id: AttemptId { round: 0, attempt: 0 },
            model: catalogue,
            parent: Digest::ZERO,
            plan,
            catalogue,
            updates: Vec::new(),
            published_at: souk_common::clock::Timestamp(0),
        });
        let at = souk_common::clock::Timestamp(0);
        store
            .change(|change| change.append(at, Entry::Began(manifest)))
            .unwrap();
        drop(store);
        match check(dir.path(), &key().public()) {
            Err(StoreError::Version { path, error }) if newer => {
                assert!(path.starts_with("plan of round 0"), "{path}");
                assert_eq!((error.found, error.known), (7, 1));
            }
            Ok(report) if !newer => assert!(
                report.checks[FILES].detail.starts_with("plan of round 0: "),
                "{report:?}"
            ),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_store_of_nothing_has_an_empty_record() {
    let dir = tempfile::tempdir().unwrap();
    assert!(check(dir.path(), &key().public()).is_err(), "no records at all");
    drop(Store::open(dir.path(), None).unwrap());
    let report = check(dir.path(), &key().public()).unwrap();
    assert!(report.ok && report.log_length == 0);
}

/// Digests are over the JSON that was written: numbers have to come back to the last bit.
#[test]
fn an_entry_with_fractions_has_the_same_digest_when_it_is_read_back() {
    use rand::RngExt;
    let mut rng = souk_common::rng::stream(1, "fractions");
    for round in 1..500 {
        let id = souk_common::ids::AttemptId { round, attempt: 1 };
        let [users, hits, stddev] = [(); 3].map(|()| rng.random::<f64>() * 1e4);
        let record = LogRecord {
            previous: Digest::ZERO,
            at: souk_common::clock::Timestamp(1),
            entry: Entry::Quality {
                id,
                counts: souk_common::update::Counts { users, hits, stddev },
            },
        };
        let text = serde_json::to_vec(&record).unwrap();
        let read: LogRecord = serde_json::from_slice(&text).unwrap();
        assert_eq!(read.digest(), record.digest());
    }
}
