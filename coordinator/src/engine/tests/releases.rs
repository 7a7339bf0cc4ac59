//! Plans of releases: what is published, what a failed attempt leaves of the budget, restarts, and the verifier.

use super::*;
use crate::verify::{Report, check};

/// Two releases, under noise, of two shops.
pub(super) fn releases() -> Plan {
    let text = format!(
        "name = 'r'\n[privacy]\nnoise_multiplier = 0.6\n[cohort]\nquorum = {QUORUM}\ndeadline = '10s'\n\
         [[release]]\nkind = 'popularity'\nshare = 0.4\n[[release]]\nkind = 'collaborative'\nshare = 0.6\n\
         [[shops]]\nname = 'a'\ndeclared_users = 4\n[[shops]]\nname = 'b'\ndeclared_users = 4\n"
    );
    Plan::from_toml(&text).unwrap()
}

fn spent(engine: &Engine) -> Vec<(u64, u32)> {
    let Learned::Releases(releases) = &engine.learned else {
        panic!("releases")
    };
    let budget = 0.6f64.powi(-2);
    let sum: f64 = releases.noise().iter().map(|z| z.get().powi(-2)).sum();
    assert!(sum <= budget, "{sum} of {budget}");
    releases
        .charged
        .iter()
        .map(|(id, _)| (id.round, id.attempt))
        .collect()
}

fn sum_of_squares(engine: &Engine) -> f64 {
    engine.learned.charged().iter().map(|z| z.get().powi(-2)).sum()
}

/// The open attempt ends at its deadline.
pub(super) fn let_it_end(engine: &mut Engine) {
    let at = engine.machine().open().unwrap().1;
    engine
        .handle(at + std::time::Duration::from_secs(1), Event::Timer)
        .unwrap();
}

fn verified(dir: &Path, engine: Engine) -> Report {
    let key = engine.public_key();
    drop(engine);
    check(dir, &key).unwrap()
}

#[test]
fn two_releases_are_published_each_of_its_own_length_and_verify() {
    let dir = tempfile::tempdir().unwrap();
    let mut engine = engine_of(dir.path(), 9, None, &releases());
    connect(&mut engine);
    assert_eq!(engine.update_bytes(), 2 * 4, "an item a coordinate");
    assert!(upload(&mut engine, "a") && upload(&mut engine, "b"));
    let columns = engine.update_bytes() / (2 * 4);
    assert!(columns > 1, "a map's columns an item");
    assert!(upload(&mut engine, "a") && upload(&mut engine, "b"));
    assert_eq!(engine.machine().phase(), Phase::Finished);
    assert_eq!(spent(&engine), [(1, 1), (2, 1)]);
    let budget = 0.6f64.powi(-2);
    assert!(
        (sum_of_squares(&engine) - budget).abs() < 1e-9 * budget,
        "all of it"
    );
    let Learned::Releases(released) = engine.learned.clone() else {
        panic!("releases")
    };
    assert!(released.last.unwrap().through.is_some());
    let report = verified(dir.path(), engine);
    assert!(report.ok, "{report:?}");
    // A finished run begins again as it was.
    let again = engine_of(dir.path(), 9, None, &releases());
    assert_eq!(again.machine().phase(), Phase::Finished);
}

#[test]
fn a_failed_attempt_is_charged_the_next_takes_more_noise_and_the_record_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let mut engine = engine_of(dir.path(), 9, None, &releases());
    connect(&mut engine);
    let first = engine.manifest().body.model;
    assert!(upload(&mut engine, "a"));
    let_it_end(&mut engine);
    assert_eq!(spent(&engine), [(1, 1)]);
    assert_ne!(
        engine.manifest().body.model,
        first,
        "what shops begin the next attempt with"
    );
    let z = |engine: &Engine| {
        engine
            .learner
            .round(&engine.learned, 1)
            .unwrap()
            .0
            .privacy
            .noise_multiplier
    };
    let noise = z(&engine).unwrap().get();
    // .6 of the budget is left, and .4 of that is the first release's.
    assert!((noise - 0.6 / (0.6f64 * 0.4).sqrt()).abs() < 1e-9, "{noise}");
    drop(engine);
    let mut engine = engine_of(dir.path(), 9, None, &releases());
    connect(&mut engine);
    assert_eq!(z(&engine).unwrap().get(), noise, "over a restart, too");
    for _ in 0..2 {
        assert!(upload(&mut engine, "a") && upload(&mut engine, "b"));
    }
    assert_eq!(spent(&engine), [(1, 1), (1, 2), (2, 1)]);
    let budget = 0.6f64.powi(-2);
    assert!((sum_of_squares(&engine) - budget).abs() < 1e-9 * budget);
    let report = verified(dir.path(), engine);
    assert!(report.ok, "{report:?}");
}

#[test]
fn an_attempt_that_a_restart_ends_is_charged_with_its_end() {
    let dir = tempfile::tempdir().unwrap();
    let mut engine = engine_of(dir.path(), 0, None, &releases());
    connect(&mut engine);
    assert!(upload(&mut engine, "a"));
    drop(engine);
    let engine = engine_of(dir.path(), 0, None, &releases());
    assert_eq!(spent(&engine), [(1, 1)]);
    let report = verified(dir.path(), engine);
    assert!(report.ok, "{report:?}");
}

#[test]
fn when_nothing_is_left_the_run_pauses_says_why_and_can_not_be_resumed() {
    let dir = tempfile::tempdir().unwrap();
    let mut engine = engine_of(dir.path(), 9, None, &releases());
    connect(&mut engine);
    assert!(upload(&mut engine, "a") && upload(&mut engine, "b"));
    assert!(upload(&mut engine, "a"));
    let_it_end(&mut engine);
    assert!(engine.machine().open().is_none() && engine.machine().paused().is_some());
    let refused = engine.set_paused(Timestamp(99), false).unwrap_err().to_string();
    assert!(
        refused.contains("nothing is left") && refused.contains("new plan"),
        "{refused}"
    );
    drop(engine);
    // Nor by a restart.
    let mut engine = engine_of(dir.path(), 9, None, &releases());
    connect(&mut engine);
    assert!(engine.machine().open().is_none() && engine.machine().paused().is_some());
    assert!(
        engine
            .roll_back(Timestamp(99), version(1, 0))
            .unwrap_err()
            .to_string()
            .contains("can't be taken back")
    );
    assert!(verified(dir.path(), engine).ok);
}

#[test]
fn a_failed_attempt_that_the_record_does_not_charge_is_found_and_so_are_releases_rolled_back() {
    let dir = tempfile::tempdir().unwrap();
    let mut engine = engine_of(dir.path(), 9, None, &releases());
    connect(&mut engine);
    let before = engine.manifest().clone();
    assert!(upload(&mut engine, "a"));
    // Gone, so that no other attempt begins.
    engine.set_paused(Timestamp(2), true).unwrap();
    let_it_end(&mut engine);
    let key = engine.public_key();
    drop(engine);
    let report = check(dir.path(), &key).unwrap();
    assert!(report.ok, "{report:?}");
    let said = |report: &Report| report.checks[0].wrong.join("; ");
    // The charge stands last.
    let charge = report.log_length - 1;
    let entry = crate::store::tamper::entry(dir.path(), charge);
    assert!(entry.starts_with(b"{") && String::from_utf8_lossy(&entry).contains("charged"));
    crate::store::tamper::set_entry(dir.path(), charge, None);
    let found = said(&check(dir.path(), &key).unwrap());
    assert!(
        found.contains("round 1 attempt 1") && found.contains("is not charged"),
        "{found}"
    );
    crate::store::tamper::set_entry(dir.path(), charge, Some(&entry));
    // A coordinator that lies as to its own record: charged twice, or taken back.
    let mut store = Store::open(dir.path(), None).unwrap();
    let charged = store.newest_model().unwrap().unwrap();
    for (entry, words) in [
        (Entry::Charged(charged), "has not just failed"),
        (Entry::RolledBack(before), "takes back what was charged"),
    ] {
        store.change(|change| change.append(Timestamp(9), entry)).unwrap();
        let found = said(&crate::verify::check_store(&store, &key).unwrap());
        assert!(found.contains(words), "{found}");
    }
}

#[test]
fn an_attempt_that_is_announced_on_older_releases_is_found() {
    let dir = tempfile::tempdir().unwrap();
    let mut engine = engine_of(dir.path(), 9, None, &releases());
    connect(&mut engine);
    let mut announcement = engine.run.open.clone().unwrap().body;
    assert!(upload(&mut engine, "a"));
    let_it_end(&mut engine);
    // Without the charge of the first: with as little noise as that.
    announcement.id.attempt = 7;
    announcement.log = engine.store.log_head();
    let announcement = engine.key.sign(announcement);
    let append = |change: &mut crate::store::Change<'_>| {
        change
            .append(Timestamp(99), Entry::Announced(announcement))
            .map(|_| ())
    };
    engine.store.change(append).unwrap();
    let report = crate::verify::check_store(&engine.store, &engine.key.public()).unwrap();
    let found = report.checks[0].wrong.join("; ");
    assert!(
        found.contains("round 1 attempt 7 was announced on something else"),
        "{found}"
    );
}
