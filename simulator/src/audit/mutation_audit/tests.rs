use super::*;
use crate::audit::subject::tests::made_up;

#[test]
fn every_mutation_is_flagged_and_the_mechanism_as_it_is_is_not() {
    let (honest, found) = audit(&made_up(1), |_| {}).unwrap();
    assert!(honest.ok, "{}", honest.detail);
    for mutation in &found {
        assert!(mutation.flagged, "{}: {}", mutation.mutation, mutation.what);
    }
    assert_eq!(found.len(), AuditMutation::ALL.len());
}

/// By hand: some minutes.
#[test]
#[ignore = "twenty honest audits; .ci/long runs it"]
fn the_mechanism_as_it_is_is_flagged_in_none_of_twenty_seeds() {
    for seed in 1..=20 {
        let faults = Grounds::new(&made_up(seed)).unwrap().faults(None).unwrap();
        assert!(faults.is_empty(), "seed {seed}: {faults:?}");
    }
}

#[test]
fn each_fault_is_found_by_the_check_that_it_is_for() {
    let grounds = Grounds::new(&made_up(2)).unwrap();
    for (mutation, check) in [
        (AuditMutation::NoiseHalved, "noise is as much as charged"),
        (AuditMutation::ShareMissing, "noise is as much as charged"),
        (AuditMutation::ReusedSeed, "noise of each attempt is its own"),
        (AuditMutation::ClipOffByTwo, "sensitivity"),
        (AuditMutation::SensitivityOff, "sensitivity"),
        (AuditMutation::RoundingToNearest, "sensitivity"),
        (AuditMutation::AnotherCustomersData, "nobody else's part"),
        (AuditMutation::FixedBatch, "each customer is drawn by a coin"),
    ] {
        let faults = grounds.faults(Some(mutation)).unwrap();
        assert!(
            faults.iter().any(|fault| fault.name.starts_with(check)),
            "{}: {faults:?}",
            mutation.name()
        );
        assert!(
            faults
                .iter()
                .all(|fault| fault.name.starts_with(check) || fault.name.starts_with("noise")),
            "{}: {faults:?}",
            mutation.name()
        );
    }
}
