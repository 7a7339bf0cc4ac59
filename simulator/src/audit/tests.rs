use souk_common::accountant::gaussian::epsilon_of;
use souk_common::params::{Delta, Epsilon};

use super::bounds::{TrialScores, of_one_run, of_trials, stated};
use super::canaries::CanaryKind;
use super::checks::{CheckEffort, of_round};
use super::federation;
use super::findings::EpsilonBound;
use super::mechanism::AuditedPlan;
use super::mutation_audit::smallest_shop;
use super::mutations::{AuditMutation, Mechanism};
use super::subject::Subject;
use super::subject::tests::{made_up, made_up_of};
use super::trials::{Target, Trials};
use super::whole_run;

/// Bounds by trials, over canaries of these kinds.
fn bounds(subject: &Subject, mutation: Option<AuditMutation>, count: u64) -> Vec<EpsilonBound> {
    let plan = AuditedPlan::new(subject).unwrap();
    let rounds = plan.rounds(1).unwrap();
    let mechanism = Mechanism {
        plan: &plan,
        mutation,
    };
    let kinds = [CanaryKind::Items, CanaryKind::Customer];
    let trials = Trials::new(&mechanism, &rounds, smallest_shop(&plan), &kinds).unwrap();
    let scores = TrialScores {
        present: trials.range(0, count, true).unwrap(),
        absent: trials.range(0, count, false).unwrap(),
    };
    let targets: Vec<Target> = trials.targets().cloned().collect();
    stated(&of_trials(&targets, &scores, subject.plan.privacy.delta), 0.05)
}

#[test]
fn lower_bounds_are_near_and_below_what_the_accountant_states_and_halved_noise_crosses() {
    // Epsilon of the GDP audit in each round and over all of them.
    let subject = made_up(1);
    let honest = bounds(&subject, None, 400);
    let gdp = |bounds: &[EpsilonBound], of: &str, canary: &str| -> (f64, f64) {
        let found = bounds
            .iter()
            .find(|bound| bound.of == of && bound.canary == canary && bound.procedure == "gdp");
        let found = found.unwrap_or_else(|| panic!("{of} {canary}: {bounds:?}"));
        (found.lower, found.upper.unwrap())
    };
    assert!(honest.iter().all(|bound| bound.ok), "{honest:?}");
    let (lower, upper) = gdp(&honest, "popularity", "items");
    assert!(lower > 0.5 * upper && lower < upper, "{lower} {upper}");
    let halved = bounds(&subject, Some(AuditMutation::NoiseHalved), 400);
    let (lower, upper) = gdp(&halved, "popularity", "items");
    assert!(lower > upper, "{lower} {upper}");
    assert!(halved.iter().any(|bound| !bound.ok), "{halved:?}");
}

#[test]
fn all_rounds_together_state_the_plans_epsilon() {
    let subject = made_up(1);
    let bounds = bounds(&subject, None, 20);
    let all = bounds.iter().find(|bound| bound.of == "all rounds");
    let upper = match all {
        Some(bound) => bound.upper.unwrap(),
        // One release.
        None => bounds[0].upper.unwrap(),
    };
    assert!((upper - 8.0).abs() < 1e-3, "{upper}");
}

#[test]
fn a_plan_without_privacy_is_red_in_every_bound_and_check_of_its_noise() {
    let subject = made_up_of(1, None);
    for bound in bounds(&subject, None, 20) {
        assert!(
            !bound.ok && bound.upper.is_none() && bound.lower > 1.0,
            "{bound:?}"
        );
    }
    let plan = AuditedPlan::new(&subject).unwrap();
    let rounds = plan.rounds(1).unwrap();
    let mechanism = Mechanism {
        plan: &plan,
        mutation: None,
    };
    let effort = CheckEffort {
        attempts: 2,
        customers: 2,
        draws: 2,
        significance: 0.01,
    };
    let findings = of_round(&mechanism, &rounds[0], smallest_shop(&plan), effort).unwrap();
    let red: Vec<&str> = findings
        .iter()
        .filter(|finding| !finding.ok)
        .map(|finding| finding.name.as_str())
        .collect();
    assert_eq!(red, ["noise: popularity"]);
}

#[test]
fn a_whole_federation_publishes_all_customers_and_the_noise_of_all_shops() {
    let subject = made_up(5);
    let plan = AuditedPlan::new(&subject).unwrap();
    let findings = federation::releases(&subject, &plan, 0.001).unwrap().unwrap();
    assert_eq!(findings.len(), subject.plan.release.len());
    assert!(findings.iter().all(|finding| finding.ok), "{findings:?}");
    let bare = made_up_of(5, None);
    let plan = AuditedPlan::new(&bare).unwrap();
    let findings = federation::releases(&bare, &plan, 0.001).unwrap().unwrap();
    assert!(findings.iter().all(|finding| finding.ok), "{findings:?}");
    assert!(findings[0].detail.contains("bit for bit"), "{findings:?}");
}

#[test]
fn one_run_of_directions_is_below_the_accountant_and_the_one_shot_estimate_near_it() {
    let subject = made_up_of(1, Epsilon::new(4.0).ok());
    let plan = AuditedPlan::new(&subject).unwrap();
    let rounds = plan.rounds(1).unwrap();
    let mechanism = Mechanism {
        plan: &plan,
        mutation: None,
    };
    let delta = Delta::new(1e-5).unwrap();
    let evidence = of_one_run(&mechanism, &rounds[0], smallest_shop(&plan), 400, delta).unwrap();
    let bounds = stated(&evidence, 0.05);
    let upper = epsilon_of(1.0 / rounds[0].charged().unwrap().get(), delta);
    assert!(
        bounds.iter().all(|bound| bound.ok && bound.upper == Some(upper)),
        "{bounds:?}"
    );
    let estimate = bounds.iter().find(|bound| bound.procedure == "one_shot").unwrap();
    assert!(estimate.confidence.is_none());
    assert!(
        estimate.lower > 0.5 * upper && estimate.lower < 2.0 * upper,
        "{estimate:?} {upper}"
    );
}

#[test]
fn a_whole_run_says_who_was_there_without_noise_and_no_more_than_epsilon_with_it() {
    let of = |subject: &Subject| {
        let plan = AuditedPlan::new(subject).unwrap();
        stated(&whole_run::evidence(subject, &plan, 60).unwrap(), 0.05)
    };
    let with_noise = of(&made_up(2));
    assert!(with_noise.iter().all(|bound| bound.ok), "{with_noise:?}");
    assert!((with_noise[0].upper.unwrap() - 8.0).abs() < 1e-3);
    let bare = of(&made_up_of(2, None));
    // Six guesses, all right.
    assert!(
        bare.iter().all(|bound| !bound.ok && bound.upper.is_none()),
        "{bare:?}"
    );
    assert!(bare[0].lower > 0.5 && bare[1].lower > 0.3, "{bare:?}");
}
