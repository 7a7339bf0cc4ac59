//! Rounds through a real store, with restarts in between.

use std::path::Path;

use souk_common::catalogue::{Catalogue, Item};
use souk_common::chain::LogHead;
use souk_common::crypto::sign::verify;
use souk_common::ids::Digest;
use souk_common::transfer::carried::VersionName;

use super::*;
use crate::store::conformance::every_store;

mod aggregation;
pub(crate) mod charged;
mod finite;
pub(crate) mod masking;
mod outgrown;
mod releases;
mod runs;

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
    let settings = Settings {
        keep_parts,
        keep_models: 0,
        new_run: is_other_plan(dir, limit, plan),
    };
    engine_with(dir, settings, limit, plan)
}

fn is_other_plan(dir: &Path, limit: Option<u64>, plan: &Plan) -> bool {
    let run = Store::open(dir, limit).unwrap().run().unwrap();
    run.is_some_and(|run| run.plan != plan.digest())
}

fn engine_with(dir: &Path, settings: Settings, limit: Option<u64>, plan: &Plan) -> Engine {
    engine_on(Store::open(dir, limit).unwrap(), settings, plan)
}

fn engine_on(store: Store, settings: Settings, plan: &Plan) -> Engine {
    let key = SigningKey::from_bytes(&[3; 32]);
    let mut engine = Engine::begin(Timestamp(0), store, key, plan.clone(), &catalogue(), settings).unwrap();
    engine.handle(Timestamp(0), Event::Started).unwrap();
    engine
}

fn version(run: u32, round: u64) -> VersionName {
    VersionName {
        run,
        round: Some(round),
    }
}

fn shop(name: &str) -> ShopName {
    name.parse().unwrap()
}

fn connect(engine: &mut Engine) {
    for name in ["a", "b"] {
        engine.handle(Timestamp(1), Event::Connected(shop(name))).unwrap();
    }
}

const FIRST_SPEND: LogHead = LogHead {
    length: 1,
    head: Digest::ZERO,
};

/// Uploads what the shop always sends in this round; true if it was receipted.
fn upload(engine: &mut Engine, name: &str) -> bool {
    upload_after(engine, name, FIRST_SPEND)
}

/// The same, by a shop whose ledger stands there.
fn upload_after(engine: &mut Engine, name: &str, ledger: LogHead) -> bool {
    let (id, _) = engine.machine().open().unwrap();
    let len = engine.update_bytes() as usize;
    let bytes: Vec<u8> = (0..len)
        .map(|at| match at % 4 {
            0 => id.round as u8,
            1 => name.as_bytes()[0] ^ at as u8,
            _ => 0,
        })
        .collect();
    send_after(engine, name, &bytes, ledger)
}

/// Uploads these bytes; true if they were receipted.
fn send(engine: &mut Engine, name: &str, bytes: &[u8]) -> bool {
    send_after(engine, name, bytes, FIRST_SPEND)
}

/// The same, by a shop whose ledger stands there.
fn send_after(engine: &mut Engine, name: &str, bytes: &[u8], ledger: LogHead) -> bool {
    let (id, _) = engine.machine().open().unwrap();
    let len = bytes.len();
    let header = UploadHeader {
        id,
        update: Digest::of(bytes),
        len_bytes: len as u64,
        ledger_length: ledger.length,
        ledger_head: ledger.head,
    };
    let outputs = engine.offer(Timestamp(2), shop(name), header, None).unwrap();
    if let Some(Output::Reply { reply, .. }) = outputs.first() {
        return matches!(reply, Reply::Receipt(_));
    }
    let staging = Staging::new(1 << 20, engine.store().shared_private());
    let mut staged = staging.begin(len as u64).unwrap();
    staged.push(bytes).unwrap();
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
    assert!(
        engine.roll_back(Timestamp(2), version(1, 0)).is_err(),
        "an attempt is open"
    );
    assert!(upload(&mut engine, "a") && upload(&mut engine, "b"));
    assert_ne!(engine.manifest().body.model, initial);
    let told = engine.roll_back(Timestamp(4), version(1, 0)).unwrap();
    let manifest = engine.manifest().clone();
    let welcome = Push::Welcome { manifest };
    assert!(
        matches!(&told[..], [Output::Push { shops: None, push }, Output::Report(_)] if *push == welcome),
        "everybody who is connected is told at once: {told:?}"
    );
    let manifest = engine.manifest().body.clone();
    assert_eq!(
        (manifest.model, manifest.id.round, manifest.id.attempt),
        (initial, 1, 0)
    );
    assert!(
        engine.roll_back(Timestamp(4), version(1, 7)).is_err(),
        "no such round"
    );
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

/// Goes on with the seven rounds, of which `keep_models` versions are kept and the parts of the last round.
pub(crate) fn with_models(dir: &Path, keep_models: u64) -> Engine {
    with_models_on(Store::open(dir, None).unwrap(), keep_models)
}

fn with_models_on(store: Store, keep_models: u64) -> Engine {
    let settings = Settings {
        keep_parts: 1,
        keep_models,
        new_run: true,
    };
    let mut engine = engine_on(store, settings, &long_plan());
    connect(&mut engine);
    engine
}

pub(crate) fn publish_more(engine: &mut Engine, rounds: usize) {
    for _ in 0..rounds {
        assert!(upload(engine, "a") && upload(engine, "b"));
    }
}

/// Which versions' files are there.
fn models(engine: &Engine) -> Vec<bool> {
    let there = |signed: Signed<Manifest>| engine.store.files().contains(&signed.body.model);
    engine.store.models().unwrap().into_iter().map(there).collect()
}

#[test]
fn files_of_old_models_go_and_one_that_was_rolled_back_to_counts_as_new() {
    every_store(old_models_go);
}

fn old_models_go(open: &dyn Fn() -> Store) {
    let mut engine = with_models_on(open(), 3);
    publish_more(&mut engine, 3);
    engine.set_paused(Timestamp(4), true).unwrap();
    publish_more(&mut engine, 1);
    assert_eq!(models(&engine), [false, false, true, true, true]);
    let gone = engine
        .roll_back(Timestamp(5), version(1, 1))
        .unwrap_err()
        .to_string();
    assert!(gone.contains("round 1") && gone.contains("keep_models"), "{gone}");
    engine.roll_back(Timestamp(5), version(1, 2)).unwrap();
    engine.roll_back(Timestamp(6), version(1, 2)).unwrap();
    // Rounds 0 to 4, and round 2 twice again: versions 2, 5 and 6 are one file.
    assert_eq!(models(&engine), [false, false, true, false, true, true, true]);
    engine.set_paused(Timestamp(7), false).unwrap();
    publish_more(&mut engine, 1);
    assert_eq!(models(&engine)[4..], [false, true, true, true]);
    drop(engine);
    // Fewer from now on: at once, but never fewer than a kept round takes.
    let engine = with_models_on(open(), 1);
    assert_eq!(models(&engine)[5..], [true, true, true]);
    assert_eq!(
        models(&engine).iter().filter(|there| **there).count(),
        4,
        "two files"
    );
    drop(engine);
    // More bring none back.
    let mut engine = with_models_on(open(), 0);
    publish_more(&mut engine, 2);
    assert_eq!(models(&engine)[5..], [true; 5]);
    let said: Vec<(u64, u64)> = engine
        .store()
        .log()
        .unwrap()
        .into_iter()
        .filter_map(|record| match record.entry {
            Entry::KeepingModels(keeping) => Some((keeping.versions, keeping.from)),
            _ => None,
        })
        .collect();
    assert_eq!(said, [(3, 0), (2, 5), (0, 6)]);
    let key = engine.public_key();
    let report = crate::verify::check_store(engine.store(), &key).unwrap();
    assert!(report.ok, "{report:?}");
}

#[test]
fn files_of_models_that_a_crash_left_are_removed_at_the_next_start() {
    let dir = tempfile::tempdir().unwrap();
    let mut engine = with_models(dir.path(), 2);
    publish_more(&mut engine, 1);
    let initial = engine.store().models().unwrap()[0].body.model;
    let bytes = engine.store().files().read(&initial).unwrap();
    // Within the step that removes the initial model's file: the next model is recorded already.
    publish_more(&mut engine, 1);
    engine.store().files().put(&bytes).unwrap();
    engine
        .store
        .change(|change| change.set_meta("models_from", &0))
        .unwrap();
    assert_eq!(models(&engine), [true; 3]);
    drop(engine);
    assert_eq!(models(&with_models(dir.path(), 2)), [false, true, true]);
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
