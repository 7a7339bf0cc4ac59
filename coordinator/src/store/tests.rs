//! The record's chain, changes that fail, other processes and other versions.

use souk_common::clock::Timestamp;
use souk_common::crypto::sign::SigningKey;
use souk_common::ids::AttemptId;
use souk_common::round::statements::{Manifest, Outcome, Receipt, UploadHeader};
use souk_common::wire::messages::Spent;

use super::backend::List;
use super::*;

fn ended() -> Entry {
    let key = SigningKey::from_bytes(&[1; 32]);
    Entry::Ended(key.sign(Outcome::BelowQuorum {
        accepted: 0,
        quorum: 1,
    }))
}

#[test]
fn the_record_is_a_chain_that_survives_closing() {
    conformance::every_store(record_is_a_chain);
}

fn record_is_a_chain(open: &dyn Fn() -> Store) {
    let mut store = open();
    for at in 0..3 {
        store
            .change(|change| change.append(Timestamp(at), ended()))
            .unwrap();
    }
    let head = store.log_head();
    drop(store);
    let store = open();
    assert_eq!(store.log_head(), head);
    let log = store.log().unwrap();
    let last = log.iter().fold(Digest::ZERO, |previous, record| {
        assert_eq!(record.previous, previous);
        record.digest()
    });
    assert_eq!((head.length, head.head), (3, last));
}

#[test]
fn a_shops_receipts_are_found_by_the_length_of_its_ledger_and_copied_with_all_else() {
    conformance::every_store(|open| receipts_are_found_and_copied(open()));
}

fn receipts_are_found_and_copied(mut store: Store) {
    let blobs = [store.files(), store.private()].map(|blobs| blobs.put(b"bytes").unwrap());
    let key = SigningKey::from_bytes(&[1; 32]);
    let spent = |shop: &str, length: u64, round: u64| Spent {
        receipt: key.sign(Receipt {
            shop: shop.parse().unwrap(),
            upload: UploadHeader {
                id: AttemptId { round, attempt: 1 },
                update: Digest::ZERO,
                len_bytes: 1,
                ledger_length: length,
                ledger_head: Digest::of(&round.to_le_bytes()),
            },
            stored_at: Timestamp(0),
            log: EMPTY,
        }),
        plan: Digest::ZERO,
    };
    let all = [
        ("north", 2),
        ("north", 7),
        ("north", 10),
        ("north-2", 50),
        ("northern", 60),
        ("nor", 70),
        ("north", 7),
    ];
    for (at, (shop, length)) in (0..).zip(all) {
        store
            .change(|change| {
                change.add_spent(&spent(shop, length, at))?;
                change.append(Timestamp(0), ended())
            })
            .unwrap();
    }
    let north = "north".parse().unwrap();
    let lengths = |store: &Store, below, most| -> Vec<u64> {
        let spent = store.spent(&north, below, most).unwrap();
        spent
            .iter()
            .map(|spent| spent.receipt.body.upload.ledger_length)
            .collect()
    };
    let other = tempfile::tempdir().unwrap();
    let copied = store.snapshot(other.path()).unwrap().write().unwrap();
    assert_eq!(copied, store.log_head());
    // What comes after the snapshot is not in it.
    let late_copy = other.path().join("late");
    let late = store.snapshot(&late_copy).unwrap();
    store
        .change(|change| change.append(Timestamp(0), ended()))
        .unwrap();
    assert_eq!(late.write().unwrap(), copied);
    let copy = Store::open(other.path(), None).unwrap();
    for store in [&store, &copy] {
        assert_eq!(lengths(store, u64::MAX, 9), [10, 7, 7, 2]);
        assert_eq!(lengths(store, u64::MAX, 2), [10, 7, 7], "all of one length");
        assert_eq!((lengths(store, 7, 9), lengths(store, 2, 9)), (vec![2], vec![]));
        let last = store.last_spent(&north).unwrap().unwrap();
        assert_eq!(
            last.receipt.body.upload.ledger_length, 7,
            "the last, not the longest"
        );
    }
    assert!(copy.files().contains(&blobs[0]) && copy.private().read(&blobs[1]).is_ok());
    assert_eq!((copy.log_head(), copy.log().unwrap().len()), (copied, all.len()));
}

#[test]
fn a_failed_change_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = Store::open(dir.path(), None).unwrap();
    let failed: Result<(), _> = store.change(|change| {
        change.append(Timestamp(0), ended())?;
        Err(StoreError::Damaged { key: "test".into() })
    });
    assert!(failed.is_err());
    assert_eq!((store.log_head(), store.log().unwrap().len()), (EMPTY, 0));
}

#[test]
fn the_newest_model_is_found_without_a_look_at_older_ones() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = Store::open(dir.path(), None).unwrap();
    assert_eq!(store.newest_model().unwrap(), None);
    let model = |round| {
        SigningKey::from_bytes(&[1; 32]).sign(Manifest {
            id: AttemptId { round, attempt: 1 },
            model: Digest::of(b"model"),
            parent: Digest::ZERO,
            plan: Digest::ZERO,
            catalogue: Digest::ZERO,
            updates: Vec::new(),
            published_at: Timestamp(0),
        })
    };
    store
        .change(|change| {
            change.transaction.put_entry(List::Models, 0, b"no model")?;
            (1..4).try_for_each(|round| change.add_model(&model(round)))
        })
        .unwrap();
    assert!(store.models().is_err(), "the oldest can't be read");
    assert_eq!(store.newest_model().unwrap(), Some(model(3)));
    let second = store.find_model(|manifest| manifest.id.round == 2).unwrap();
    assert_eq!(second, Some(model(2)));
}

#[test]
fn a_second_process_is_told_who_has_it() {
    let dir = tempfile::tempdir().unwrap();
    let _open = Store::open(dir.path(), None).unwrap();
    let error = Store::open(dir.path(), None).unwrap_err().to_string();
    assert!(error.contains("in use by another process"), "{error}");
}

#[test]
fn a_store_of_another_version_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = Store::open(dir.path(), None).unwrap();
    store.change(|change| change.set_meta("format", &2)).unwrap();
    drop(store);
    let error = Store::open(dir.path(), None).unwrap_err().to_string();
    assert!(
        error.contains("coordinator.redb: it has format 2 and this program reads format 1"),
        "{error}"
    );
}
