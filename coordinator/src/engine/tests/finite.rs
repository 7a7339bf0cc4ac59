//! A model that is not finite is never published, never loaded, and never verified as good.

use souk_common::plan::ServerPlan;

use super::*;
use crate::engine::begin::BeginError;
use crate::round::PauseReason;
use crate::verify::check;

/// A plan as no file may have it: its steps leave what an f32 holds.
fn wild(server: ServerPlan) -> Plan {
    Plan {
        server,
        ..long_plan()
    }
}

fn lines(outputs: &[Output]) -> String {
    let line = |output: &Output| match output {
        Output::Report(line) => Some(line.clone()),
        _ => None,
    };
    outputs.iter().filter_map(line).collect::<Vec<_>>().join("\n")
}

/// Uploads both shops' updates; what the operator reads.
fn round(engine: &mut Engine) -> String {
    assert!(upload(engine, "a"));
    let (id, _) = engine.machine().open().unwrap();
    let len = engine.update_bytes() as usize;
    let bytes = vec![1; len];
    let header = UploadHeader {
        id,
        update: Digest::of(&bytes),
        len_bytes: len as u64,
        ledger_length: 1,
        ledger_head: Digest::ZERO,
    };
    engine.offer(Timestamp(2), shop("b"), header, None).unwrap();
    let staging = Staging::new(1 << 20, engine.store().shared_private());
    let mut staged = staging.begin(len as u64).unwrap();
    staged.push(&bytes).unwrap();
    lines(&engine.arrived(Timestamp(3), shop("b"), header, staged).unwrap())
}

#[test]
fn a_step_that_is_not_finite_publishes_nothing_pauses_the_run_and_says_where() {
    let adam = |learning_rate, beta2| ServerPlan::Adam {
        learning_rate,
        beta1: 0.9,
        beta2,
        epsilon: 1e-8,
        final_fraction: 1.0,
    };
    for (server, said) in [
        (
            ServerPlan::Plain { learning_rate: 1e300 },
            "\"item.embedding\" has",
        ),
        (adam(1e300, 0.99), "\"item.embedding\" has"),
        // The model moves by zero, and the moments are infinite.
        (adam(0.1, -1e300), "optimiser"),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let plan = wild(server);
        let mut engine = engine_of(dir.path(), 1, None, &plan);
        connect(&mut engine);
        let before = (engine.manifest().body.model, engine.learned.clone());
        let told = round(&mut engine);
        assert!(
            told.contains(said) && told.contains("paused") && told.contains("not finite"),
            "{told}"
        );
        assert_eq!(before, (engine.manifest().body.model, engine.learned.clone()));
        assert_eq!(
            (engine.machine().published(), engine.machine().paused()),
            (0, Some(PauseReason::NotFinite))
        );
        assert!(engine.machine().open().is_none());
        drop(engine);
        // Nor after a restart, until the operator has looked.
        let mut engine = engine_of(dir.path(), 1, None, &plan);
        connect(&mut engine);
        assert!(engine.machine().open().is_none() && engine.machine().paused().is_some());
        engine.set_paused(Timestamp(9), false).unwrap();
        assert_eq!(engine.machine().open().unwrap().0.attempt, 2);
    }
}

#[test]
fn a_model_that_an_older_build_published_without_looking_is_neither_loaded_nor_verified_as_good() {
    let dir = tempfile::tempdir().unwrap();
    let mut engine = engine_of(dir.path(), 9, None, &long_plan());
    connect(&mut engine);
    assert!(upload(&mut engine, "a"));
    let (id, _) = engine.machine().open().unwrap();
    let Learned::Model(params) = &mut engine.learned else {
        panic!("a model")
    };
    params[3] = f32::NAN;
    engine
        .publish(Timestamp(3), id, Vec::new(), &mut Vec::new())
        .unwrap();
    let key = engine.public_key();
    drop(engine);
    let report = check(dir.path(), &key).unwrap();
    let wrong: Vec<&String> = report.checks.iter().flat_map(|check| &check.wrong).collect();
    let named =
        |line: &&String| line.contains("round 1") && line.contains("\"item.embedding\" has NaN at index 3");
    assert!(!report.ok && wrong.iter().any(named), "{wrong:?}");
    let settings = Settings {
        keep_parts: 9,
        keep_models: 0,
        new_run: false,
    };
    let store = Store::open(dir.path(), None).unwrap();
    let key = SigningKey::from_bytes(&[3; 32]);
    let refused = Engine::begin(Timestamp(0), store, key, long_plan(), &catalogue(), settings);
    let refused = refused.err().expect("no finite model");
    assert!(matches!(refused, BeginError::Model(_)), "{refused}");
    assert!(refused.to_string().contains("NaN at index 3"), "{refused}");
}

#[test]
fn a_run_that_was_begun_before_plans_had_headroom_goes_on_on_its_own_grid() {
    let dir = tempfile::tempdir().unwrap();
    let file = long_plan();
    drop(publish(dir.path(), 1, 2));
    let engine = engine_of(dir.path(), 1, None, &file.clone().begun_now());
    assert_eq!((engine.machine().published(), engine.plan()), (2, &file));
    // And a new one has the headroom.
    let other = tempfile::tempdir().unwrap();
    let engine = engine_of(other.path(), 1, None, &file.begun_now());
    assert_eq!(engine.plan().headroom(), Plan::HEADROOM);
}
