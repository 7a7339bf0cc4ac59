//! Storms that once found something, as fixed lists: each is what the storm's seed came down to.

use super::*;
use crate::cluster::faults::Script;

fn outcome_of(masked: bool, script: Script) -> Outcome {
    let setup = Arc::new(Setup::new(SHOPS, 4, masked).unwrap());
    let weather = FaultConfig {
        seed: 1,
        pause_ms: DEFAULT_PAUSE_MS,
        plant: None,
        script: Some(script),
        lies: false,
        member: None,
    };
    one(&setup, weather).unwrap()
}

fn comes_through(masked: bool, script: Script) {
    let outcome = outcome_of(masked, script);
    assert!(outcome.faults.is_empty(), "{:?}", outcome.faults);
    assert_eq!(outcome.published, 4);
}

/// The store's file was made and filled, but its name was never made durable.
#[test]
fn a_power_cut_in_the_first_rounds_does_not_take_the_whole_store() {
    for at in [300, 900, 4_000] {
        for whom in [Whom::Coordinator, Whom::Shop(0)] {
            let op = Op::Crash {
                whom,
                how: Stop::PowerCut,
                writes: Some(3),
                down_ms: 500,
            };
            comes_through(false, vec![(Timestamp(at), op)]);
            comes_through(true, vec![(Timestamp(at), op)]);
        }
    }
}

/// The shop's machine thought that the upload it had asked for while there was no connection was still on its way.
#[test]
fn an_update_that_was_finished_while_the_line_was_cut_is_sent_on_the_next() {
    let cut = |at: i64| {
        let op = Op::Cut {
            shop: 1,
            for_ms: 6_000,
        };
        (Timestamp(at), op)
    };
    for masked in [false, true] {
        for first in [700, 1_100, 1_500, 1_900] {
            comes_through(masked, (0..6).map(|step| cut(first + step * 9_000)).collect());
        }
    }
}

/// The deadline was an hour ahead all of a sudden.
#[test]
fn a_coordinator_whose_clock_is_set_back_ends_its_attempts_all_the_same() {
    let script = vec![
        (
            Timestamp(1_500),
            Op::ClockJump {
                whom: Whom::Coordinator,
                by_ms: -3_600_000,
            },
        ),
        (
            Timestamp(1_600),
            Op::Cut {
                shop: 1,
                for_ms: 300_000,
            },
        ),
    ];
    comes_through(false, script.clone());
    comes_through(true, script);
}

/// A shop whose ledger could not be written once declined every attempt until somebody started its program again.
#[test]
fn a_disk_that_fails_once_under_every_ledger_costs_an_attempt_and_not_the_run() {
    for writes in 0..25 {
        let fail = |shop| {
            let op = Op::DiskError {
                whom: Whom::Shop(shop),
                writes,
                how: std::io::ErrorKind::StorageFull,
            };
            (Timestamp(1_000), op)
        };
        comes_through(writes % 2 == 0, (0..SHOPS).map(fail).collect());
    }
}
