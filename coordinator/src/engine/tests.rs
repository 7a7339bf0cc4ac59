//! Rounds through a real store, with restarts in between.

use std::path::Path;

use souk_common::catalogue::{Catalogue, Item};
use souk_common::crypto::sign::verify;
use souk_common::ids::Digest;

use super::*;

const QUORUM: usize = 2;

fn catalogue() -> Catalogue {
    let item = |id: &str| Item::bare(id);
    Catalogue::new(vec![item("a"), item("b")]).unwrap()
}

fn plan() -> Plan {
    Plan::from_toml(&format!(
        "name = 'a'\nrounds = 2\n[model]\nkind = 'mf'\ngmf_dim = 2\n[train]\nsolver = 'ials'\nalpha = 0.1\n\
         lambda = 1\n[privacy]\nenabled = false\nclip_norm = 1\nsampling_rate = 1\n\
         [cohort]\nquorum = {QUORUM}\ndeadline = '10s'\n[server]\noptimiser = 'adam'\nlearning_rate = 0.1\n\
         [[shops]]\nname = 'a'\ndeclared_users = 4\n[[shops]]\nname = 'b'\ndeclared_users = 4\n"
    ))
    .unwrap()
}

fn long_plan() -> Plan {
    Plan { rounds: 7, ..plan() }
}

pub(crate) fn engine(dir: &Path, keep_parts: u64, limit: Option<u64>) -> Engine {
    engine_of(dir, keep_parts, limit, &plan())
}

/// Begins a run of `plan`, or goes on with it; one of another plan is given up.
fn engine_of(dir: &Path, keep_parts: u64, limit: Option<u64>, plan: &Plan) -> Engine {
    let store = Store::open(dir, limit).unwrap();
    let settings = Settings {
        keep_parts,
        new_run: true,
    };
    let key = SigningKey::from_bytes(&[3; 32]);
    let mut engine = Engine::begin(Timestamp(0), store, key, plan.clone(), &catalogue(), settings).unwrap();
    engine.handle(Timestamp(0), Event::Started).unwrap();
    engine
}

fn shop(name: &str) -> ShopName {
    name.parse().unwrap()
}

fn connect(engine: &mut Engine) {
    for name in ["a", "b"] {
        engine.handle(Timestamp(1), Event::Connected(shop(name))).unwrap();
    }
}

/// Uploads what the shop always sends in this round; true if it was receipted.
fn upload(engine: &mut Engine, name: &str) -> bool {
    let (id, _) = engine.machine().open().unwrap();
    let len = engine.update_bytes() as usize;
    let bytes: Vec<u8> = (0..len)
        .map(|at| match at % 4 {
            0 => id.round as u8,
            1 => name.as_bytes()[0] ^ at as u8,
            _ => 0,
        })
        .collect();
    let header = UploadHeader {
        id,
        update: Digest::of(&bytes),
        len_bytes: len as u64,
        ledger_length: 1,
        ledger_head: Digest::ZERO,
    };
    let outputs = engine.offer(Timestamp(2), shop(name), header).unwrap();
    if let Some(Output::Reply { reply, .. }) = outputs.first() {
        return matches!(reply, Reply::Receipt(_));
    }
    let staging = Staging::new(1 << 20, engine.store().private().clone());
    let mut staged = staging.begin(len as u64).unwrap();
    staged.push(&bytes).unwrap();
    let outputs = engine.arrived(Timestamp(3), shop(name), header, staged).unwrap();
    let receipted = |output: &Output| {
        matches!(output, Output::Reply { reply: Reply::Receipt(receipt), .. }
            if verify(receipt, &engine.key.public()).is_ok())
    };
    outputs.iter().any(receipted)
}

/// A store with two published rounds, whose parts are all kept.
pub(crate) fn publish_two_rounds(dir: &Path) {
    let mut engine = engine(dir, 9, None);
    connect(&mut engine);
    for _ in 0..2 {
        assert!(upload(&mut engine, "a") && upload(&mut engine, "b"));
    }
}

fn undisturbed() -> Digest {
    let dir = tempfile::tempdir().unwrap();
    let mut engine = engine(dir.path(), 1, None);
    connect(&mut engine);
    for _ in 0..2 {
        assert!(upload(&mut engine, "a") && upload(&mut engine, "b"));
    }
    assert_eq!(engine.machine().phase(), Phase::Finished);
    assert_eq!(engine.store().models().unwrap().len(), 3);
    engine.manifest().body.model
}

#[test]
fn a_restart_at_any_point_gives_the_same_model_and_loses_no_receipt() {
    let dir = tempfile::tempdir().unwrap();
    for _ in 0..2 {
        let mut first = engine(dir.path(), 1, None);
        connect(&mut first);
        assert!(upload(&mut first, "a"));
        drop(first);
        let mut second = engine(dir.path(), 1, None);
        connect(&mut second);
        assert_eq!(
            second.machine().open().unwrap().0.attempt,
            1,
            "the attempt goes on"
        );
        assert!(upload(&mut second, "a"), "a repeat gets its receipt");
        assert!(upload(&mut second, "b"));
    }
    let mut last = engine(dir.path(), 1, None);
    assert_eq!(last.machine().phase(), Phase::Finished);
    assert_eq!(last.manifest().body.model, undisturbed());
    let stored = last.store().files().read(&undisturbed()).unwrap();
    assert_eq!(Digest::of(&stored), undisturbed());
}

#[test]
fn without_kept_parts_a_restart_ends_the_attempt_and_opens_a_new_one() {
    let dir = tempfile::tempdir().unwrap();
    let mut first = engine(dir.path(), 0, None);
    connect(&mut first);
    assert!(upload(&mut first, "a"));
    drop(first);
    let mut second = engine(dir.path(), 0, None);
    connect(&mut second);
    assert_eq!(second.machine().open().unwrap().0.attempt, 2);
    assert!(upload(&mut second, "a") && upload(&mut second, "b"));
    assert_eq!(second.machine().published(), 1);
}

#[test]
fn a_full_disk_rejects_the_update_and_keeps_what_was_receipted() {
    let dir = tempfile::tempdir().unwrap();
    drop(engine(dir.path(), 1, None));
    let mut full = engine(dir.path(), 1, Some(30));
    connect(&mut full);
    assert!(upload(&mut full, "a"), "the first still fits");
    assert!(!upload(&mut full, "b"));
    drop(full);
    let mut engine = engine(dir.path(), 1, None);
    connect(&mut engine);
    assert!(upload(&mut engine, "b"));
    assert_eq!(engine.machine().published(), 1);
}

#[test]
fn an_older_model_can_be_made_current_between_attempts() {
    let dir = tempfile::tempdir().unwrap();
    let mut engine = engine(dir.path(), 1, None);
    let initial = engine.manifest().body.model;
    connect(&mut engine);
    engine.set_paused(Timestamp(2), true).unwrap();
    assert!(engine.roll_back(Timestamp(2), 0).is_err(), "an attempt is open");
    assert!(upload(&mut engine, "a") && upload(&mut engine, "b"));
    assert_ne!(engine.manifest().body.model, initial);
    engine.roll_back(Timestamp(4), 0).unwrap();
    let manifest = engine.manifest().body.clone();
    assert_eq!(
        (manifest.model, manifest.id.round, manifest.id.attempt),
        (initial, 1, 0)
    );
    assert!(engine.roll_back(Timestamp(4), 7).is_err(), "no such round");
    engine.set_paused(Timestamp(5), false).unwrap();
    assert_eq!(engine.run.open.as_ref().unwrap().body.model, initial);
}

/// Bytes of files that nobody may fetch: updates and optimiser states.
fn parts(engine: &mut Engine) -> usize {
    engine.store().private().all().unwrap().len()
}

/// Publishes `rounds` more, whose parts are kept for `keep_parts`.
fn publish(dir: &Path, keep_parts: u64, rounds: usize) -> Engine {
    let mut engine = engine_of(dir, keep_parts, None, &long_plan());
    connect(&mut engine);
    for _ in 0..rounds {
        assert!(upload(&mut engine, "a") && upload(&mut engine, "b"));
    }
    engine
}

#[test]
fn a_lower_number_of_kept_rounds_strands_no_part_and_a_higher_one_keeps_what_is_left() {
    let dir = tempfile::tempdir().unwrap();
    // Two updates a round, and the states before rounds 2 to 4 and after round 4.
    assert_eq!(parts(&mut publish(dir.path(), 9, 4)), 8 + 4);
    assert_eq!(parts(&mut publish(dir.path(), 2, 0)), 4 + 3, "at once");
    assert_eq!(parts(&mut publish(dir.path(), 2, 1)), 4 + 3);
    assert_eq!(parts(&mut publish(dir.path(), 5, 1)), 6 + 4);
    let mut none = publish(dir.path(), 0, 0);
    assert_eq!(parts(&mut none), 1, "the state that the run goes on from");
    assert_eq!(none.store().metas::<Digest>("optimiser_before_").unwrap(), []);
    let said: Vec<(u64, u64)> = none
        .store()
        .log()
        .unwrap()
        .into_iter()
        .filter_map(|record| match record.entry {
            Entry::Keeping(keeping) => Some((keeping.rounds, keeping.from)),
            _ => None,
        })
        .collect();
    assert_eq!(said, [(9, 1), (2, 1), (5, 4), (0, 4)]);
}

#[test]
fn what_a_crash_left_among_the_parts_is_removed_and_what_is_needed_stays() {
    let dir = tempfile::tempdir().unwrap();
    let mut first = publish(dir.path(), 1, 1);
    assert!(upload(&mut first, "a"), "of an open attempt");
    let good = parts(&mut first);
    first
        .store()
        .private()
        .put(b"stored, and no receipt for it")
        .unwrap();
    drop(first);
    let mut second = publish(dir.path(), 1, 0);
    assert_eq!(parts(&mut second), good);
    assert!(upload(&mut second, "a") && upload(&mut second, "b"));
    assert_eq!(second.machine().published(), 2);
}

#[test]
fn receipts_of_a_run_before_count_for_nothing_in_the_next_one() {
    let dir = tempfile::tempdir().unwrap();
    drop(publish(dir.path(), 9, 2));
    let mut other = long_plan();
    other.name = "another".to_owned();
    let begun = || {
        let mut engine = engine_of(dir.path(), 9, None, &other);
        connect(&mut engine);
        engine
    };
    let mut next = begun();
    assert_eq!(parts(&mut next), 0, "the former run's are gone");
    assert!(upload(&mut next, "a"));
    drop(next);
    let mut again = begun();
    assert_eq!(
        again.machine().open().unwrap().0.attempt,
        1,
        "the attempt goes on"
    );
    assert!(again.machine().published() == 0 && upload(&mut again, "b"));
    assert_eq!(again.machine().published(), 1);
}
