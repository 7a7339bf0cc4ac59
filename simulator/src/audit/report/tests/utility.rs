//! What privacy costs, on made-up customers.

use super::super::utility::measure;
use super::*;

fn genders() -> Vec<String> {
    let gender = |user: usize| ["F", "M", ""][user % 3].to_owned();
    (0..70).map(gender).collect()
}

#[test]
fn noise_costs_hits_and_every_part_of_the_customers_adds_up_to_everybody() {
    let measured = measure(&subject(RELEASES), &genders()).unwrap();
    let rows = &measured.findings;
    assert!(measured.not_tested.is_empty(), "{:?}", measured.not_tested);
    let all = &rows[0];
    assert_eq!((all.parted_by.as_str(), all.customers), ("all", 70));
    assert!(
        all.lost.unwrap() > 0.0 && all.standard_error.unwrap() > 0.0,
        "{all:?}"
    );
    assert!((all.without_noise.unwrap() - all.with_plan - all.lost.unwrap()).abs() < 1e-12);
    for (parted_by, parts, known) in [("shop size", 3, 70), ("activity", 3, 70), ("gender", 2, 47)] {
        let of: Vec<&UtilityFinding> = rows.iter().filter(|row| row.parted_by == parted_by).collect();
        assert_eq!(of.len(), parts, "{of:?}");
        assert_eq!(of.iter().map(|row| row.customers).sum::<u64>(), known, "{of:?}");
        if known == 70 {
            let sum: f64 = of.iter().map(|row| row.with_plan * row.customers as f64).sum();
            assert!((sum / 70.0 - all.with_plan).abs() < 1e-12, "{of:?}");
        }
    }
    let singly = rows.iter().filter(|row| row.ranked_by != all.ranked_by).count();
    assert!(singly >= 2, "each channel alone: {rows:?}");
}

#[test]
fn the_same_seed_finds_the_same_and_another_does_not() {
    let find = |seed: u64| {
        let subject = Subject {
            seed,
            ..subject(RELEASES)
        };
        measure(&subject, &[]).unwrap().findings
    };
    assert_eq!(find(1), find(1));
    assert_ne!(find(1)[0].with_plan, find(2)[0].with_plan);
}

#[test]
fn a_plan_without_noise_is_compared_with_nothing_and_what_is_not_known_is_said() {
    let measured = measure(&subject(&open_plan()), &[]).unwrap();
    assert!(
        measured
            .findings
            .iter()
            .all(|row| row.without_noise.is_none() && row.lost.is_none())
    );
    assert!(
        measured.not_tested[0].contains("by gender"),
        "{:?}",
        measured.not_tested
    );
    let mut short = subject(RELEASES);
    short.known.dataset.histories.iter_mut().for_each(|history| {
        history.items.truncate(2);
        history.times.truncate(2);
    });
    let measured = measure(&short, &[]).unwrap();
    assert!(
        measured.findings.is_empty() && measured.not_tested[0].contains("three products"),
        "{measured:?}"
    );
}

#[test]
fn a_plan_that_trains_a_model_is_measured_by_its_model() {
    let text = "name = 'm'\nrounds = 2\n[model]\nkind = 'mf'\ngmf_dim = 4\n[train]\nsolver = 'ials'\nalpha = 0.1\nlambda = 1.0\n\
        [server]\noptimiser = 'plain'\nlearning_rate = 1.0\n[privacy]\nclip_norm = 1.0\nsampling_rate = 1.0\nnoise_multiplier = 1.0\n\
        [cohort]\nquorum = 3\n[[shops]]\nname = 'a'\ndeclared_users = 40\n[[shops]]\nname = 'b'\ndeclared_users = 20\n\
        [[shops]]\nname = 'c'\ndeclared_users = 10\n";
    let measured = measure(&subject(text), &[]).unwrap();
    assert_eq!(measured.findings.len(), 7, "{:?}", measured.findings);
    assert!(measured.findings[0].lost.is_some());
}
