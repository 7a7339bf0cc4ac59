//! Several runs of one store, versions that they start from, and a catalogue that grows.

use souk_common::round::statements::{Decision, DeclineCode};

use super::*;
use crate::verify::check;

const RELEASES: &str = "name = 'r'\n[privacy]\nenabled = false\n[cohort]\nquorum = 2\ndeadline = '10s'\n\
    [[release]]\nkind = 'popularity'\nshare = 0.4\n[[release]]\nkind = 'collaborative'\nshare = 0.6\n\
    [[shops]]\nname = 'a'\ndeclared_users = 4\n[[shops]]\nname = 'b'\ndeclared_users = 4\n";

fn grown() -> Catalogue {
    let items = ["a", "aa", "b", "c"].map(Item::bare);
    Catalogue::new(items.to_vec()).unwrap()
}

fn begin(dir: &Path, plan: &Plan, catalogue: &Catalogue, new_run: bool) -> Result<Engine, BeginError> {
    let settings = Settings {
        keep_parts: 9,
        keep_models: 0,
        new_run,
    };
    let key = SigningKey::from_bytes(&[3; 32]);
    let store = Store::open(dir, None).unwrap();
    Engine::begin(Timestamp(0), store, key, plan.clone(), catalogue, settings)
}

/// What is told at the start.
fn start(engine: &mut Engine) -> Vec<String> {
    let outputs = engine.handle(Timestamp(0), Event::Started).unwrap();
    let said = outputs.into_iter().filter_map(|output| match output {
        Output::Report(line) => Some(line),
        _ => None,
    });
    said.collect()
}

fn publish(engine: &mut Engine, rounds: u64) {
    connect(engine);
    for _ in 0..rounds {
        assert!(upload(engine, "a") && upload(engine, "b"));
    }
}

fn entries(engine: &mut Engine) -> Vec<&'static str> {
    let log = engine.store().log().unwrap().into_iter();
    let said = log.filter_map(|record| match record.entry {
        Entry::Began(_) => Some("began"),
        Entry::Grown(_) => Some("grown"),
        Entry::RolledBack(_) => Some("rolled back"),
        _ => None,
    });
    said.collect()
}

fn verified(dir: &Path, engine: Engine) {
    let key = engine.public_key();
    drop(engine);
    let report = check(dir, &key).unwrap();
    assert!(report.ok, "{report:?}");
}

#[test]
fn a_finished_plan_begins_again_only_by_the_operators_word_and_is_another_run_to_everybody() {
    let dir = tempfile::tempdir().unwrap();
    let mut engine = begin(dir.path(), &plan(), &catalogue(), false).unwrap();
    publish(&mut engine, 2);
    assert_eq!(
        (engine.run_number(), engine.machine().phase()),
        (1, Phase::Finished)
    );
    let first = engine.plan().digest();
    drop(engine);
    let mut engine = begin(dir.path(), &plan(), &catalogue(), false).unwrap();
    let said = start(&mut engine).join("");
    assert!(
        said.contains("there is nothing to do") && said.contains("as run 2"),
        "{said}"
    );
    assert_eq!(
        (engine.machine().phase(), entries(&mut engine)),
        (Phase::Finished, vec!["began"])
    );
    drop(engine);
    let mut engine = begin(dir.path(), &plan(), &catalogue(), true).unwrap();
    assert_eq!((engine.run_number(), engine.plan().run), (2, Some(2)));
    assert_ne!(engine.plan().digest(), first);
    publish(&mut engine, 1);
    drop(engine);
    // Unfinished, it goes on, with or without that word: a service that always says it never starts over.
    for new_run in [false, true] {
        let engine = begin(dir.path(), &plan(), &catalogue(), new_run).unwrap();
        assert_eq!((engine.run_number(), engine.machine().published()), (2, 1));
    }
    // Another plan takes its place only by that word; then the first file is over.
    let refused = begin(dir.path(), &long_plan(), &catalogue(), false)
        .err()
        .unwrap();
    assert!(refused.to_string().contains("--new-run"), "{refused}");
    let mut engine = begin(dir.path(), &long_plan(), &catalogue(), true).unwrap();
    assert_eq!((engine.run_number(), engine.plan().run), (3, None));
    publish(&mut engine, 7);
    drop(engine);
    let refused = begin(dir.path(), &plan(), &catalogue(), false)
        .err()
        .unwrap()
        .to_string();
    assert!(
        refused.contains("was run 2, which is over; --new-run begins it again as run 4"),
        "{refused}"
    );
    let engine = begin(dir.path(), &plan(), &catalogue(), true).unwrap();
    assert_eq!(engine.plan().run, Some(4));
    verified(dir.path(), engine);
}

#[test]
fn a_run_starts_from_any_version_of_any_run_and_a_version_that_can_not_be_had_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let mut engine = begin(dir.path(), &plan(), &catalogue(), false).unwrap();
    publish(&mut engine, 2);
    let last = engine.manifest().body.model;
    drop(engine);
    let from = |start: &str| Plan {
        start: Some(start.parse().unwrap()),
        name: start.to_owned(),
        ..plan()
    };
    for (name, said) in [
        ("run 1 round 9", "there is no model of run 1 round 9"),
        ("run 2", "there is no model of run 2"),
        ("run 1 round 0", "has learned nothing"),
    ] {
        let refused = begin(dir.path(), &from(name), &catalogue(), false)
            .err()
            .unwrap()
            .to_string();
        assert!(refused.contains(said), "{name}: {refused}");
    }
    let mut engine = begin(dir.path(), &from("run 1 round 2"), &grown(), false).unwrap();
    let said = start(&mut engine).join("; ");
    assert!(
        said.contains("begins with run 1 round 2") && said.contains("2 items as they were, 2 new"),
        "{said}"
    );
    assert_eq!(engine.manifest().body.parent, last);
    let Learned::Model(params) = &engine.learned else {
        panic!("a model")
    };
    let old = engine.store.files().read(&last).unwrap();
    let before = Learner::new(&plan(), &catalogue()).decode(&old).unwrap();
    let Learned::Model(before) = before else {
        panic!("a model")
    };
    assert_eq!(
        (&params[..2], &params[4..6]),
        (&before[..2], &before[2..4]),
        "a and b"
    );
    publish(&mut engine, 2);
    drop(engine);
    // Both stand beside releases, each under its name.
    let releases = Plan {
        start: Some("run 2".parse().unwrap()),
        beside: vec!["run 1 round 1".parse().unwrap()],
        ..Plan::from_toml(RELEASES).unwrap()
    };
    let mut engine = begin(dir.path(), &releases, &grown(), false).unwrap();
    publish(&mut engine, 2);
    let Learned::Releases(learned) = &engine.learned else {
        panic!("releases")
    };
    let names: Vec<String> = learned
        .carried
        .iter()
        .map(|carried| carried.of.to_string())
        .collect();
    assert_eq!(names, ["run 2 round 2", "run 1 round 1"]);
    verified(dir.path(), engine);
    // A file that is gone.
    std::fs::remove_dir_all(dir.path().join("files").join(&last.to_string()[..2])).unwrap();
    let again = Plan {
        name: "again".to_owned(),
        ..from("run 1 round 2")
    };
    let refused = begin(dir.path(), &again, &grown(), false)
        .err()
        .unwrap()
        .to_string();
    assert!(refused.contains("keep_models"), "{refused}");
}

#[test]
fn a_catalogue_grows_within_a_run_between_attempts_and_keeps_every_row() {
    let dir = tempfile::tempdir().unwrap();
    let mut engine = begin(dir.path(), &long_plan(), &catalogue(), false).unwrap();
    publish(&mut engine, 1);
    assert!(upload(&mut engine, "a"));
    drop(engine);
    // The attempt that is open ends over the catalogue that it began with.
    let mut engine = begin(dir.path(), &long_plan(), &grown(), false).unwrap();
    start(&mut engine);
    connect(&mut engine);
    assert!(upload(&mut engine, "a") && upload(&mut engine, "b"));
    let Learned::Model(after) = &engine.learned else {
        panic!("a model")
    };
    assert_eq!(
        (engine.machine().published(), after.len()),
        (2, 4 * 2 + 4 + 1),
        "items, biases, head"
    );
    assert_eq!(entries(&mut engine), ["began", "grown"]);
    assert_eq!(engine.run.catalogue, grown().digest());
    publish(&mut engine, 1);
    // Back to a round from before, in today's items.
    engine.set_paused(Timestamp(5), true).unwrap();
    let at = engine.machine().open().unwrap().1 + std::time::Duration::from_secs(1);
    engine.handle(at, Event::Timer).unwrap();
    engine.roll_back(Timestamp(20), version(1, 1)).unwrap();
    let Learned::Model(back) = &engine.learned else {
        panic!("a model")
    };
    assert_eq!(back.len(), 4 * 2 + 4 + 1);
    engine.set_paused(Timestamp(21), false).unwrap();
    publish(&mut engine, 1);
    // The same catalogue changes nothing, another one with an item less is taken in as well.
    engine.take_in(Timestamp(22), grown()).unwrap();
    assert_eq!(entries(&mut engine), ["began", "grown", "rolled back"]);
    verified(dir.path(), engine);
}

#[test]
fn a_plan_of_releases_takes_the_new_catalogue_in_after_its_last_round() {
    let dir = tempfile::tempdir().unwrap();
    let plan = Plan::from_toml(RELEASES).unwrap();
    let mut engine = begin(dir.path(), &plan, &catalogue(), false).unwrap();
    publish(&mut engine, 1);
    drop(engine);
    let mut engine = begin(dir.path(), &plan, &grown(), false).unwrap();
    let said = start(&mut engine).join("");
    assert!(said.contains("1 of 2 rounds are done"), "{said}");
    publish(&mut engine, 1);
    assert_eq!(entries(&mut engine), ["began", "grown"]);
    let Learned::Releases(learned) = &engine.learned else {
        panic!("releases")
    };
    assert!(learned.last.is_none() && learned.carried[0].items == 4);
    verified(dir.path(), engine);
    let mut engine = begin(dir.path(), &plan, &grown(), false).unwrap();
    assert!(start(&mut engine).join("").contains("there is nothing to do"));
}

#[test]
fn a_catalogue_that_waits_is_dropped_when_the_one_of_the_run_is_imported_again() {
    let dir = tempfile::tempdir().unwrap();
    let plan = Plan::from_toml(RELEASES).unwrap();
    let mut engine = begin(dir.path(), &plan, &catalogue(), false).unwrap();
    publish(&mut engine, 1);
    engine.take_in(Timestamp(4), grown()).unwrap();
    assert!(start(&mut engine).join("").contains("not taken in yet"));
    engine.take_in(Timestamp(5), catalogue()).unwrap();
    publish(&mut engine, 1);
    assert_eq!(entries(&mut engine), ["began"]);
    verified(dir.path(), engine);
}

#[test]
fn a_run_whose_catalogue_grew_after_its_last_round_can_be_gone_back_to_and_a_finished_one_says_that_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let releases = Plan::from_toml(RELEASES).unwrap();
    let mut engine = begin(dir.path(), &releases, &catalogue(), false).unwrap();
    publish(&mut engine, 2);
    engine.take_in(Timestamp(9), grown()).unwrap();
    let last = engine.manifest().body.model;
    drop(engine);
    let mut engine = begin(dir.path(), &plan(), &grown(), false).unwrap();
    publish(&mut engine, 2);
    // Earlier rounds are charged; the last one is there in today's items.
    assert!(engine.roll_back(Timestamp(10), version(1, 1)).is_err());
    engine.roll_back(Timestamp(10), version(1, 2)).unwrap();
    assert_eq!(engine.manifest().body.model, last);
    drop(engine);
    let mut engine = begin(dir.path(), &releases, &grown(), false).unwrap();
    let outputs = engine.handle(Timestamp(11), Event::Started).unwrap();
    assert!(outputs.iter().any(|output| matches!(output, Output::Finished)));
    verified(dir.path(), engine);
}

#[test]
fn a_round_of_another_run_is_what_its_updates_made_also_if_that_run_had_gone_back() {
    let dir = tempfile::tempdir().unwrap();
    let mut engine = begin(dir.path(), &plan(), &catalogue(), false).unwrap();
    publish(&mut engine, 2);
    let second = engine.manifest().body.model;
    engine.roll_back(Timestamp(4), version(1, 1)).unwrap();
    assert_ne!(engine.manifest().body.model, second);
    drop(engine);
    let mut engine = begin(dir.path(), &long_plan(), &catalogue(), false).unwrap();
    engine.roll_back(Timestamp(5), version(1, 2)).unwrap();
    assert_eq!(engine.manifest().body.model, second);
    verified(dir.path(), engine);
}

#[test]
fn a_run_that_went_back_to_what_it_began_with_is_no_start_of_another_by_whatever_name() {
    let dir = tempfile::tempdir().unwrap();
    let mut engine = begin(dir.path(), &plan(), &catalogue(), false).unwrap();
    publish(&mut engine, 2);
    engine.roll_back(Timestamp(4), version(1, 0)).unwrap();
    drop(engine);
    let refused = |plan: Plan, catalogue: &Catalogue| {
        let refused = begin(dir.path(), &plan, catalogue, false).err();
        refused.map(|error| error.to_string()).unwrap_or_default()
    };
    let start = Plan {
        start: Some("run 1".parse().unwrap()),
        name: "next".to_owned(),
        ..plan()
    };
    let beside = Plan {
        beside: vec!["run 1".parse().unwrap()],
        ..Plan::from_toml(RELEASES).unwrap()
    };
    // Also over a catalogue that grew after that: the model is still the one that learned nothing.
    for catalogue in [catalogue(), grown()] {
        for plan in [start.clone(), beside.clone()] {
            let said = refused(plan, &catalogue);
            assert!(
                said.contains("run 1 round 2 has learned nothing")
                    && said.contains("start = \"run 1 round N\""),
                "{said:?}"
            );
        }
        drop(begin(dir.path(), &plan(), &grown(), false).unwrap());
    }
    // Its rounds are there by their names.
    let named = Plan {
        start: Some("run 1 round 2".parse().unwrap()),
        ..start
    };
    let mut engine = begin(dir.path(), &named, &grown(), false).unwrap();
    publish(&mut engine, 1);
    verified(dir.path(), engine);
}

#[test]
fn a_rollback_reaches_another_run_and_ends_this_one() {
    let dir = tempfile::tempdir().unwrap();
    let mut engine = begin(dir.path(), &plan(), &catalogue(), false).unwrap();
    publish(&mut engine, 2);
    let second = engine.manifest().body.model;
    drop(engine);
    let mut engine = begin(dir.path(), &long_plan(), &grown(), false).unwrap();
    publish(&mut engine, 1);
    let open = engine
        .roll_back(Timestamp(4), version(1, 2))
        .unwrap_err()
        .to_string();
    assert!(open.contains("an attempt is open"), "{open}");
    engine.set_paused(Timestamp(5), true).unwrap();
    let at = engine.machine().open().unwrap().1 + std::time::Duration::from_secs(1);
    engine.handle(at, Event::Timer).unwrap();
    assert!(engine.roll_back(Timestamp(20), version(5, 2)).is_err());
    engine.roll_back(Timestamp(20), version(1, 2)).unwrap();
    let manifest = engine.manifest().body.clone();
    assert_eq!(
        (manifest.model, manifest.plan, manifest.id.round),
        (second, plan().digest(), 2)
    );
    assert_eq!(
        (engine.run_number(), engine.machine().phase()),
        (1, Phase::Finished)
    );
    drop(engine);
    let mut engine = begin(dir.path(), &plan(), &catalogue(), false).unwrap();
    assert!(start(&mut engine).join("").contains("there is nothing to do"));
    verified(dir.path(), engine);
    // What was given up is over.
    let refused = begin(dir.path(), &long_plan(), &grown(), false)
        .err()
        .unwrap()
        .to_string();
    assert!(refused.contains("was run 2, which is over"), "{refused}");
}

#[test]
fn attempts_that_shops_have_spent_under_another_coordinator_are_told_with_what_to_do() {
    let said_when = |first: Decision| {
        let dir = tempfile::tempdir().unwrap();
        let mut engine = begin(dir.path(), &plan(), &catalogue(), false).unwrap();
        connect(&mut engine);
        let (id, _) = engine.machine().open().unwrap();
        let mut said = String::new();
        for answer in [first, Decision::Decline(DeclineCode::Interrupted)] {
            let shop = shop("a");
            let outputs = engine
                .handle(Timestamp(2), Event::Answered { shop, id, answer })
                .unwrap();
            for output in outputs {
                if let Output::Report(line) = output {
                    said += &line;
                }
            }
        }
        said
    };
    let before = said_when(Decision::Decline(DeclineCode::Interrupted));
    assert!(
        before.contains("has spent this very attempt before") && before.contains("--new-run"),
        "{before}"
    );
    // A shop that had begun it stopped in the middle.
    let stopped = said_when(Decision::Accept);
    assert!(
        stopped.contains("below quorum") && !stopped.contains("--new-run"),
        "{stopped}"
    );
    // And what is told helps: the plan by another name is another run.
    let dir = tempfile::tempdir().unwrap();
    let first = begin(dir.path(), &plan(), &catalogue(), false)
        .unwrap()
        .plan()
        .digest();
    let renamed = Plan {
        name: "another".to_owned(),
        ..plan()
    };
    let engine = begin(dir.path(), &renamed, &catalogue(), true).unwrap();
    assert!(engine.plan().digest() != first && engine.run_number() == 2);
}
