//! The outbox, its records and what survives a restart.

use std::fs;

use super::*;
use crate::participate::{Blob, BlobKind};
use souk_common::ids::AttemptId;
use souk_common::round::statements::UploadHeader;

pub(super) fn pending(round: u64, bytes: &[u8]) -> Pending {
    let id = AttemptId { round, attempt: 1 };
    let header = UploadHeader {
        id,
        update: Digest::of(bytes),
        len_bytes: bytes.len() as u64,
        ledger_length: round,
        ledger_head: Digest::ZERO,
    };
    Pending {
        key: AttemptKey {
            plan: Digest::ZERO,
            id,
        },
        header,
        binding: None,
        due: None,
    }
}

fn receipt(upload: UploadHeader) -> Signed<Receipt> {
    let shop = "north".parse().unwrap();
    let log = LogHead {
        length: 1,
        head: Digest::ZERO,
    };
    Signed {
        body: Receipt {
            shop,
            upload,
            stored_at: Timestamp(9),
            log,
        },
        signature: vec![0; 64],
    }
}

#[test]
fn the_outbox_survives_a_restart_until_its_receipt() {
    let dir = tempfile::tempdir().unwrap();
    let folder = Folder::new(dir.path());
    let waiting = pending(1, b"first");
    {
        let store = Store::open(&folder).unwrap();
        assert!(matches!(Store::open(&folder), Err(StoreError::Busy)));
        store
            .put_in_outbox(&waiting, b"first", None, Timestamp(1))
            .unwrap();
        store
            .note_sending(&waiting.header.update, 5, Timestamp(2))
            .unwrap();
        store
            .remember(
                &LogHead {
                    length: 3,
                    head: Digest::of(b"x"),
                },
                true,
            )
            .unwrap();
    }
    let store = Store::open(&folder).unwrap();
    let memory = store.memory([waiting.key]).unwrap();
    assert_eq!(memory.outbox, Some(waiting));
    assert_eq!(memory.announced.unwrap().length, 3);
    assert_eq!(memory.heads.get(&3), Some(&Digest::of(b"x")));
    assert_eq!(fs::read(folder.update(&waiting.header.update)).unwrap(), b"first");
    store.store_receipt(&receipt(waiting.header)).unwrap();
    assert_eq!(store.memory([]).unwrap().outbox, None);
    let sent = store.uploads().unwrap();
    assert_eq!(
        (sent[0].bytes_sent, sent[0].first_sent_at),
        (5, Some(Timestamp(2)))
    );
}

#[test]
fn bytes_of_old_updates_go_but_their_records_stay() {
    let dir = tempfile::tempdir().unwrap();
    let folder = Folder::new(dir.path());
    let store = Store::open(&folder).unwrap();
    for round in 1..=5u64 {
        let bytes = round.to_le_bytes();
        store
            .put_in_outbox(&pending(round, &bytes), &bytes, None, Timestamp(0))
            .unwrap();
    }
    assert_eq!(store.uploads().unwrap().len(), 5);
    assert_eq!(
        fs::read_dir(dir.path().join("outbox")).unwrap().count(),
        KEPT_UPDATES
    );
    assert_eq!(store.memory([]).unwrap().outbox.unwrap().header.id.round, 5);
    assert!(
        store
            .store_rejection(&Digest::of(b"never"), RejectCode::NotOpen)
            .is_err()
    );
}

#[test]
fn what_was_uploaded_yesterday_does_not_count_today() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(&Folder::new(dir.path())).unwrap();
    let day = Duration::from_secs(86_400);
    for (round, at) in [(1, 0), (2, 86_400_001)] {
        let waiting = pending(round, &round.to_le_bytes());
        store
            .put_in_outbox(&waiting, &round.to_le_bytes(), None, Timestamp(at))
            .unwrap();
        store
            .note_sending(&waiting.header.update, 8, Timestamp(at))
            .unwrap();
    }
    assert_eq!(store.uploaded_within(day, Timestamp(86_400_001)).unwrap(), 8);
}

#[test]
fn what_a_crash_left_in_the_outbox_and_among_fetched_files_is_gone_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let folder = Folder::new(dir.path());
    let waiting = pending(1, b"waits");
    Store::open(&folder)
        .unwrap()
        .put_in_outbox(&waiting, b"waits", None, Timestamp(1))
        .unwrap();
    let outbox = |name: &str| dir.path().join("outbox").join(name);
    fs::write(outbox("half.new"), b"wai").unwrap();
    fs::write(folder.update(&Digest::of(b"no record of it")), b"x").unwrap();
    fs::create_dir(dir.path().join("models")).unwrap();
    let begun = |name: &[u8]| {
        let (kind, digest) = (BlobKind::Model, Digest::of(name));
        let part = folder.part(&Blob { kind, digest });
        fs::write(&part, b"x").unwrap();
        part
    };
    let newest = begun(b"one");
    let store = Store::open(&folder).unwrap();
    assert_eq!(fs::read_dir(dir.path().join("outbox")).unwrap().count(), 1);
    assert_eq!(store.memory([]).unwrap().outbox, Some(waiting));
    assert!(newest.exists(), "its fetching goes on");
    drop(store);
    for name in [b"two", b"thr", b"fou"] {
        begun(name);
    }
    Store::open(&folder).unwrap();
    assert!(!newest.exists(), "of many none is asked for again");
}

#[test]
fn a_store_of_another_format_is_refused_by_name_and_number() {
    let dir = tempfile::tempdir().unwrap();
    let folder = Folder::new(dir.path());
    let store = Store::open(&folder).unwrap();
    let write = store.db.begin_write().unwrap();
    write
        .open_table(FACTS)
        .unwrap()
        .insert("format", b"2".as_slice())
        .unwrap();
    write.commit().unwrap();
    drop(store);
    let Err(error) = Store::open(&folder) else {
        panic!("opened")
    };
    let error = error.to_string();
    assert!(
        error.contains("shop.redb: it has format 2 and this program reads format 1"),
        "{error}"
    );
}

#[test]
fn vectors_of_customers_who_are_gone_leave_no_byte_once_the_store_was_opened_again() {
    let dir = tempfile::tempdir().unwrap();
    let folder = Folder::new(dir.path());
    let has = |user: &str| {
        let bytes = fs::read(folder.store()).unwrap();
        bytes.windows(user.len()).any(|part| part == user.as_bytes())
    };
    let users = ["anna@example.com", "bert@example.com", "carl@example.com"];
    let store = Store::open(&folder).unwrap();
    for plan in [Digest::ZERO, Digest::of(b"another")] {
        for user in users {
            store
                .store_vectors([(vector_name(&plan, user).as_str(), vec![7; 64])])
                .unwrap();
        }
    }
    store
        .put_in_outbox(&pending(1, b"first"), b"first", None, Timestamp(1))
        .unwrap();
    assert_eq!(store.vectors_of(users[0]).unwrap(), 2);
    store.forget_vectors(users[0]).unwrap();
    store.keep_vectors_of(|user| user == users[1]).unwrap();
    assert_eq!(users.map(|user| store.vectors_of(user).unwrap()), [0, 2, 0]);
    assert!(store.has_remains().unwrap());
    drop(store);
    // A start that was killed half-way has left something.
    fs::write(dir.path().join("shop.redb.rewritten"), users[2]).unwrap();
    let store = Store::open(&folder).unwrap();
    assert!(!store.has_remains().unwrap());
    assert_eq!(
        (store.vectors().unwrap().len(), store.uploads().unwrap().len()),
        (2, 1)
    );
    store.keep_vectors_of(|_| true).unwrap();
    assert!(!store.has_remains().unwrap(), "nobody left");
    drop(store);
    assert_eq!(users.map(has), [false, true, false]);
    assert!(!dir.path().join("shop.redb.rewritten").exists());
}
