//! A sum that shows that a shop has more customers than it declared: the operator is told in the log and by `status`.

use super::*;
use crate::control::{Answer, Question, execute};
use crate::engine::OutgrownSum;
use crate::folder::FederationFolder;

/// Sends an update of b's whose every integer is `value`, and says what the operator reads.
fn send(engine: &mut Engine, value: u32) -> String {
    assert!(upload(engine, "a"));
    let (id, _) = engine.machine().open().unwrap();
    let len = engine.update_bytes() as usize;
    let bytes: Vec<u8> = value.to_le_bytes().into_iter().cycle().take(len).collect();
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
    let outputs = engine.arrived(Timestamp(3), shop("b"), header, staged).unwrap();
    let line = |output: &Output| match output {
        Output::Report(line) => Some(line.clone()),
        _ => None,
    };
    outputs.iter().filter_map(line).collect::<Vec<_>>().join("\n")
}

fn in_status(home: &FederationFolder) -> Option<OutgrownSum> {
    match execute(home, &Question::Status).unwrap() {
        Answer::Status(status) => status.outgrown,
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_operator_is_told_of_a_sum_that_the_declared_customers_can_not_come_to_until_another_run_begins() {
    let dir = tempfile::tempdir().unwrap();
    let home = FederationFolder::new(dir.path().join("federation"));
    home.init(Timestamp(0), "test", "127.0.0.1:4433", "127.0.0.1:4433")
        .unwrap();
    let mut engine = engine_of(home.path(), 1, None, &plan());
    connect(&mut engine);
    // Two shops of four customers each, at 2^16: within.
    let told = send(&mut engine, 7 << 16);
    assert!(
        told.contains("round 1/2 published") && !told.contains("declares"),
        "{told}"
    );
    // Twice what they can come to, and a little, by the other's update.
    let told = send(&mut engine, 16 << 16);
    assert!(
        told.contains("at least 2.0 times")
            && told.contains("room for 1 times the declared")
            && told.contains("next plan"),
        "{told}"
    );
    drop(engine);
    let seen = in_status(&home).expect("status says it");
    assert_eq!((seen.id.round, seen.headroom), (2, 1));
    // Another plan, which may declare more.
    let mut larger = plan();
    larger
        .shops
        .iter_mut()
        .for_each(|terms| terms.declared_users = 40);
    drop(engine_of(home.path(), 1, None, &larger));
    assert_eq!(in_status(&home), None);
}
