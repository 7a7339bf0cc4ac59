//! Ledgers that fit the record, and each way in which one does not.

use std::path::Path;

use souk_common::clock::Timestamp;
use souk_common::crypto::sign::SigningKey;
use souk_common::params::NoiseMultiplier;
use souk_common::privacy::ledger::{Ledger, MemorySink};

use super::*;
use crate::engine::tests::charged::{Of, Shops};
use crate::verify::{OutsideEvidence, Report, check_with};

fn key() -> [u8; 32] {
    SigningKey::from_bytes(&[3; 32]).public()
}

fn file(name: &str, bytes: Vec<u8>) -> LedgerFile {
    LedgerFile {
        name: name.to_owned(),
        bytes,
        ..LedgerFile::default()
    }
}

fn checked(dir: &Path, ledgers: Vec<LedgerFile>) -> Report {
    let evidence = OutsideEvidence {
        ledgers,
        ..OutsideEvidence::default()
    };
    check_with(dir, &key(), &evidence).unwrap()
}

/// What is wrong with this ledger.
fn wrong(dir: &Path, ledger: LedgerFile) -> String {
    let store = Store::open_to_read(dir).unwrap();
    check(&store, &key(), &[ledger]).unwrap().0.wrong.join("\n")
}

fn published(of: Of) -> (tempfile::TempDir, Shops) {
    let dir = tempfile::tempdir().unwrap();
    let shops = Shops::publish(dir.path(), of);
    (dir, shops)
}

/// A ledger of `shop` with the spends of `of`, each changed by `change` (none: left out).
fn rewritten(
    of: &[u8],
    shop: &str,
    change: impl Fn(usize, &mut souk_common::privacy::Spend) -> bool,
) -> Vec<u8> {
    let chain = souk_common::privacy::ledger::Chain::read(of).unwrap();
    let mut ledger = Ledger::open(MemorySink::default(), &[], &shop.parse().unwrap(), Timestamp(1)).unwrap();
    for (at, (time, spend)) in chain.spends().enumerate() {
        let mut spend = spend.clone();
        if change(at, &mut spend) {
            ledger.charge(spend, time).unwrap();
        }
    }
    ledger.sink().0.clone()
}

#[test]
fn ledgers_that_fit_are_good_and_what_lies_beyond_the_record_is_told_with_its_end() {
    for of in [Of::Training, Of::Releases] {
        let (dir, shops) = published(of);
        let ledgers = ["a", "b"].map(|shop| file(shop, shops.bytes(shop)));
        let report = checked(dir.path(), ledgers.to_vec());
        assert!(report.ok, "{of:?}: {report:?}");
        let [a, b] = &report.ledgers[..] else {
            panic!("{report:?}")
        };
        assert_eq!((a.records, a.spends, a.receipts), (4, 3, 3));
        assert_eq!((a.epsilon, &a.beyond), (a.epsilon_by_record, &Vec::new()));
        assert!(a.epsilons.ends_with("by both"), "{a:?}");
        // b was charged for the attempt that ended without it.
        assert_eq!((b.spends, b.receipts), (3, 2));
        assert!(b.epsilon > b.epsilon_by_record, "{b:?}");
        let [beyond] = &b.beyond[..] else { panic!("{b:?}") };
        assert_eq!((beyond.line, beyond.round, beyond.attempt), (2, 1, 1));
        assert!(beyond.why.contains("below quorum, 1 of 2"), "{beyond:?}");
        assert_eq!(a.epsilon, b.epsilon, "the same three attempts");
    }
}

#[test]
fn what_was_not_given_is_said_by_name() {
    let (dir, shops) = published(Of::Training);
    let left = |report: &Report, first: &str| {
        let left = report.unchecked.iter().find(|left| left.first.contains(first));
        left.map(|left| left.why.clone()).unwrap_or_default()
    };
    let report = checked(dir.path(), Vec::new());
    assert!(left(&report, "shops' ledgers").contains("--ledger"), "{report:?}");
    let report = checked(dir.path(), vec![file("a", shops.bytes("a"))]);
    assert!(
        left(&report, "the ledger of b").contains("not given"),
        "{report:?}"
    );
    let believed = OutsideEvidence {
        believes_the_folders_key: true,
        ..OutsideEvidence::default()
    };
    let report = check_with(dir.path(), &key(), &believed).unwrap();
    assert!(
        left(&report, "the federation's key").contains("--key"),
        "{report:?}"
    );
    // A shop's folder says whose words it takes.
    let confirmed = |signing_key| OutsideEvidence {
        believes_the_folders_key: true,
        ledgers: vec![LedgerFile {
            signing_key: Some(signing_key),
            ..file("a", shops.bytes("a"))
        }],
    };
    let report = check_with(dir.path(), &key(), &confirmed(key())).unwrap();
    assert!(
        report.ok && left(&report, "the federation's key").is_empty(),
        "{report:?}"
    );
    let report = check_with(dir.path(), &key(), &confirmed([9; 32])).unwrap();
    assert!(!report.ok && format!("{report:?}").contains("another federation's shop"));
}

#[test]
fn a_ledger_put_back_cut_off_or_of_another_shop_is_named_with_its_line() {
    let (dir, shops) = published(Of::Training);
    let whole = shops.bytes("a");
    let lines: Vec<&[u8]> = whole.split_inclusive(|byte| *byte == b'\n').collect();
    let said = wrong(dir.path(), file("a.jsonl", lines[..3].concat()));
    assert!(
        said.starts_with("a.jsonl line 3: the ledger ends after 3 records")
            && said.contains("put back from a backup"),
        "{said}"
    );
    let said = wrong(
        dir.path(),
        file("a.jsonl", [lines[0], lines[2], lines[3]].concat()),
    );
    assert!(said.starts_with("a.jsonl line 2: it is record 2"), "{said}");
    // b's, whose first spend no receipt is of.
    let theirs = LedgerFile {
        owner: "a".parse().ok(),
        ..file("a.jsonl", shops.bytes("b"))
    };
    let said = wrong(dir.path(), theirs);
    assert!(
        said.contains("line 1: it is the ledger of b") && said.contains("is of a"),
        "{said}"
    );
    let foreign = rewritten(&whole, "nobody", |_, _| true);
    let said = wrong(dir.path(), file("n.jsonl", foreign));
    assert!(said.contains("line 1") && said.contains("nothing"), "{said}");
    let twice = checked(
        dir.path(),
        vec![file("one", whole.clone()), file("two", whole.clone())],
    );
    assert!(!twice.ok && format!("{twice:?}").contains("a second ledger of a"));
    let said = wrong(dir.path(), file("e.jsonl", Vec::new()));
    assert!(said.contains("e.jsonl: it has no record"), "{said}");
}

#[test]
fn a_rewritten_ledger_does_not_meet_its_receipts_and_a_spend_that_was_made_up_is_named() {
    let (dir, shops) = published(Of::Training);
    let whole = shops.bytes("a");
    let less = rewritten(&whole, "a", |at, spend| {
        if at == 1 {
            spend.noise_multiplier = NoiseMultiplier::new(4.0).ok();
        }
        true
    });
    let said = wrong(dir.path(), file("a.jsonl", less));
    assert!(
        said.contains("a.jsonl line 3") && said.contains("names another record here"),
        "{said}"
    );
    assert!(
        said.contains("epsilon up to here"),
        "cheaper than the record: {said}"
    );
    let missing = rewritten(&whole, "a", |at, _| at != 0);
    let said = wrong(dir.path(), file("a.jsonl", missing));
    assert!(
        said.contains("entry") && said.contains("the receipt for round 1 attempt 1"),
        "{said}"
    );
    let mut ledger = Ledger::open(
        MemorySink(whole.clone()),
        &whole,
        &"a".parse().unwrap(),
        Timestamp(9),
    )
    .unwrap();
    let (_, spend) = ledger.chain().spends().last().unwrap();
    let mut never = spend.clone();
    (never.round, never.attempt) = (1, 7);
    ledger.charge(never.clone(), Timestamp(9)).unwrap();
    let said = wrong(dir.path(), file("a.jsonl", ledger.sink().0.clone()));
    assert!(
        said.contains("line 5: it charges round 1 attempt 7") && said.contains("never announced"),
        "{said}"
    );
    // After the record's end it may have been announced: told, not wrong.
    let mut ledger = Ledger::open(
        MemorySink(whole.clone()),
        &whole,
        &"a".parse().unwrap(),
        Timestamp(9),
    )
    .unwrap();
    (never.round, never.attempt) = (3, 1);
    ledger.charge(never, Timestamp(9)).unwrap();
    let report = checked(dir.path(), vec![file("a.jsonl", ledger.sink().0.clone())]);
    assert!(report.ok, "{report:?}");
    assert!(report.ledgers[0].beyond[0].why.contains("the record ends before"));
}

/// The coordinator's receipts are of whatever ledger the shop showed: here one that was charged too little from the start.
#[test]
fn a_spend_with_other_terms_than_plan_and_round_say_is_named_with_its_line() {
    for of in [Of::Training, Of::Releases] {
        type Change = fn(&mut souk_common::privacy::Spend);
        let changes: [(Change, &str); 5] = [
            (
                |spend| spend.noise_multiplier = NoiseMultiplier::new(0.01).ok(),
                "less noise than it should",
            ),
            (
                |spend| spend.noise_multiplier = NoiseMultiplier::new(900.0).ok(),
                "charged less than it cost",
            ),
            (|spend| spend.noise_multiplier = None, "no noise"),
            (
                |spend| spend.clip_norm = souk_common::params::ClipNorm::new(7.0).unwrap(),
                "clip norm 7",
            ),
            (
                |spend| spend.sampling_rate = souk_common::params::SamplingRate::new(0.125).unwrap(),
                "sampling rate 0.125",
            ),
        ];
        for (change, words) in changes {
            let dir = tempfile::tempdir().unwrap();
            let shops = Shops::publish_charging(dir.path(), of, |name, id, spend| {
                if (name, id.round, id.attempt) == ("a", 2, 1) {
                    change(spend);
                }
            });
            let said = wrong(dir.path(), file("a.jsonl", shops.bytes("a")));
            assert!(
                said.contains("a.jsonl line 4, charged for round 2 attempt 1") && said.contains(words),
                "{of:?}, {words}: {said}"
            );
            assert_eq!(wrong(dir.path(), file("b.jsonl", shops.bytes("b"))), "");
        }
    }
}

#[test]
fn a_ledger_that_charged_for_what_it_lost_accounts_for_its_receipts() {
    let (dir, shops) = published(Of::Training);
    let whole = shops.bytes("a");
    let copy: Vec<u8> = whole
        .split_inclusive(|byte| *byte == b'\n')
        .take(2)
        .flatten()
        .copied()
        .collect();
    let mut ledger = Ledger::open(
        MemorySink(copy.clone()),
        &copy,
        &"a".parse().unwrap(),
        Timestamp(9),
    )
    .unwrap();
    let store = Store::open_to_read(dir.path()).unwrap();
    let facts = Facts::of(&store).unwrap();
    let receipts = &facts.receipts[&"a".parse::<ShopName>().unwrap()];
    let spends: Vec<_> = shops.ledgers["a"]
        .chain()
        .spends()
        .map(|(_, spend)| spend.clone())
        .collect();
    let lost = souk_common::privacy::ledger::Lost {
        known: (1..3)
            .map(|at| (receipts[at].receipt.ledger().head, spends[at].clone()))
            .collect(),
        unknown: 0,
        newest: receipts[2].receipt.witnessed(),
    };
    ledger.charge_lost(lost, Timestamp(9)).unwrap();
    let report = checked(dir.path(), vec![file("a.jsonl", ledger.sink().0.clone())]);
    assert!(report.ok, "{report:?}");
    let beyond = &report.ledgers[0].beyond;
    assert!(
        beyond.len() == 1 && beyond[0].why.contains("charged in case"),
        "{beyond:?}"
    );
    assert!(report.ledgers[0].epsilon > report.ledgers[0].epsilon_by_record);
}
