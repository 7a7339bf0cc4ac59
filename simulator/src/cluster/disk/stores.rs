//! The coordinator's store on a disk that stops or fails at every write: what was acknowledged is there, nothing is there by
//! half, and the next start goes on from it. With `souk_coordinator::store`'s and `souk_common::storage::blobs`'s own tests
//! it is what a backend that has to survive a crash must pass.

use std::io::ErrorKind;

use souk_common::clock::Timestamp;
use souk_coordinator::store::{Entry, Store, StoreError};

use super::*;

fn open(disk: &FakeDisk) -> Result<Store, StoreError> {
    Store::open_on(Arc::new(disk.clone()), Path::new("/federation"), None)
}

/// What was acknowledged.
#[derive(Clone, Copy, Debug, Default)]
struct Done {
    steps: u64,
    removed: u64,
}

fn blob(step: u64) -> Vec<u8> {
    vec![step as u8; 2000]
}

/// Steps of a run: a blob, a change that names it, a lazy change, and a blob that is not kept any longer.
fn go_on(store: &mut Store, done: &mut Done) -> Result<(), StoreError> {
    for step in done.steps..STEPS {
        let digest = store.files().put(&blob(step))?;
        store.change(|change| {
            change.set_meta("steps", &(step + 1))?;
            change.set_meta(&format!("blob {step}"), &digest)?;
            let shop = "north".parse().expect("a name");
            change.append(Timestamp(0), Entry::Readmitted { shop }).map(drop)
        })?;
        done.steps = step + 1;
        store.change_lazily(|change| change.set_meta("lazy", &(step + 1)))?;
        for old in done.removed..(step + 1).saturating_sub(KEPT) {
            store.files().remove_for_good(&Digest::of(&blob(old)))?;
            done.removed = old + 1;
        }
    }
    Ok(())
}

/// Holds what is there against what was acknowledged; what was under way may be there, too.
fn check(store: &Store, done: &mut Done) {
    let steps = store.meta::<u64>("steps").unwrap().unwrap_or(0);
    assert!(
        steps == done.steps || steps == done.steps + 1,
        "{steps}, {done:?}"
    );
    assert!(store.meta::<u64>("lazy").unwrap().unwrap_or(0) <= steps);
    let log = store.log().unwrap();
    let last = log.iter().fold(Digest::ZERO, |previous, record| {
        assert_eq!(record.previous, previous);
        record.digest()
    });
    assert_eq!((log.len() as u64, last), (steps, store.log_head().head));
    assert_eq!(store.log_head().length, steps);
    assert_eq!(store.metas::<Digest>("blob ").unwrap().len() as u64, steps);
    for step in steps.saturating_sub(KEPT)..steps {
        let named = store.meta::<Digest>(&format!("blob {step}")).unwrap().unwrap();
        assert_eq!(store.files().read(&named).unwrap(), blob(step));
    }
    for digest in store.files().all().unwrap() {
        store.files().read(&digest).unwrap();
    }
    for step in 0..done.removed {
        assert!(!store.files().contains(&Digest::of(&blob(step))));
    }
    done.steps = steps;
}

/// Runs all steps on a disk to which `harm` was done first; whether it noticed.
fn harmed(disk: &FakeDisk, harm: impl FnOnce(&FakeDisk), how: Stop) -> Option<StoreError> {
    let mut done = Done::default();
    harm(disk);
    let ended = open(disk).and_then(|mut store| go_on(&mut store, &mut done));
    disk.restart(how);
    let mut store = open(disk).unwrap();
    check(&store, &mut done);
    go_on(&mut store, &mut done).unwrap();
    check(&store, &mut done);
    assert_eq!(done.steps, STEPS);
    ended.err()
}

#[test]
fn a_store_that_is_stopped_at_any_write_has_what_it_acknowledged_and_nothing_by_half() {
    for (how, seeds) in [(Stop::Kill, 1), (Stop::PowerCut, 4)] {
        for seed in 0..seeds {
            let stops = (0..).take_while(|writes| {
                let disk = FakeDisk::new(seed, "store");
                harmed(&disk, |disk| disk.stop_after(*writes), how).is_some()
            });
            assert!(stops.count() > 50, "a run has more writes than that");
        }
    }
}

#[test]
fn a_store_whose_disk_is_full_or_fails_at_any_write_says_so_and_loses_nothing() {
    for how in [ErrorKind::StorageFull, ErrorKind::Other] {
        let mut told = 0;
        for writes in 0..ALL_WRITES {
            let disk = FakeDisk::new(1, "store");
            let error = harmed(&disk, |disk| disk.fail_after(writes, how), Stop::PowerCut);
            let is_full = |error: &StoreError| matches!(error, StoreError::Full(_));
            let fits = error
                .as_ref()
                .is_none_or(|error| is_full(error) == (how == ErrorKind::StorageFull));
            assert!(fits, "write {writes}: {error:?}");
            told += u32::from(error.is_some());
        }
        // A database that is being closed can't tell: it is mended at the next start. And the last ones are behind the end.
        assert!(told > 50, "of {ALL_WRITES} failed writes {told} were told");
    }
}

const STEPS: u64 = 5;
const KEPT: u64 = 2;
/// At least.
const ALL_WRITES: u32 = 250;
