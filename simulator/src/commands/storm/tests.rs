//! The storm itself, in small.

mod reproduction;

use super::*;

fn blown(seed: u64, masked: bool, plant: Option<Mutation>) -> Outcome {
    blown_over(&Arc::new(Setup::new(SHOPS, 6, masked).unwrap()), seed, plant)
}

fn blown_over(setup: &Arc<Setup>, seed: u64, plant: Option<Mutation>) -> Outcome {
    let weather = FaultConfig {
        seed,
        pause_ms: DEFAULT_PAUSE_MS,
        plant,
        script: None,
        lies: false,
        member: None,
    };
    one(setup, weather).unwrap()
}

#[test]
fn federations_come_through_and_lose_nothing() {
    for seed in 0..12 {
        let outcome = blown(seed, seed % 3 != 0, None);
        assert!(outcome.faults.is_empty(), "seed {seed}: {:?}", outcome.faults);
        assert_eq!(outcome.published, 6);
        assert!(!outcome.ops.is_empty());
    }
}

/// No shop is charged for more than the plan's budget, whatever fails, and an auditor finds nothing wrong.
#[test]
fn federations_that_release_statistics_stay_within_their_budget_and_their_records_verify() {
    let setup = Arc::new(Setup::of_releases(SHOPS).unwrap());
    let mut spent = 0;
    for seed in 0..12 {
        let outcome = blown_over(&setup, seed, None);
        assert!(outcome.faults.is_empty(), "seed {seed}: {:?}", outcome.faults);
        assert!(outcome.spent || outcome.published == setup.plan.rounds);
        spent += u64::from(outcome.spent);
    }
    assert!(spent < 12, "some come to their end");
}

/// Down to the last byte on every disk, noise and keys included.
#[test]
fn the_same_seed_is_the_same_storm() {
    assert!(
        crate::cluster::entropy::is_decided().unwrap() || !cfg!(target_os = "linux"),
        "build.rs lets libraries find our getrandom"
    );
    for seed in 100..104 {
        let [first, second] = [(); 2].map(|()| blown(seed, seed % 2 == 0, None));
        if crate::cluster::entropy::is_decided().unwrap() {
            assert_eq!(first.trace, second.trace, "seed {seed}");
        }
        assert_eq!(
            (first.ops, first.faults),
            (second.ops, second.faults),
            "seed {seed}"
        );
        assert_ne!(first.trace, blown(seed + 50, seed % 2 == 0, None).trace);
    }
}

/// Whoever is told a seed finds what was found.
#[test]
fn what_a_seed_found_it_finds_again() {
    if !crate::cluster::entropy::is_decided().unwrap() {
        return;
    }
    // Two that are found soon.
    for plant in [Mutation::ReceiptBeforeFsync, Mutation::ReusedKeys] {
        let found = (1..100).map(|seed| (seed, blown(seed, true, Some(plant)).faults));
        let (seed, faults) = found.into_iter().find(|(_, faults)| !faults.is_empty()).unwrap();
        assert_eq!(
            blown(seed, true, Some(plant)).faults,
            faults,
            "{plant:?}, seed {seed}"
        );
    }
}

#[test]
fn elsewhere_entropy_is_the_operating_systems() {
    let drawn = || souk_common::rng::secret_bytes::<16>().unwrap();
    let seeded = crate::cluster::entropy::of_seed(1, drawn).unwrap();
    assert_ne!(drawn(), drawn());
    assert_ne!(seeded, drawn());
    assert_ne!(seeded, std::thread::spawn(drawn).join().unwrap());
}

/// Honest shops are charged at most once for a liar, the next attempt publishes, and the liar is named where it can be proved.
#[test]
fn one_member_that_lies_costs_the_others_at_most_one_charged_attempt() {
    for lie in MemberLie::ALL {
        let setup = Arc::new(Setup::new(SHOPS, 2, true).unwrap());
        let outcome = one(&setup, with_liar(7, lie)).unwrap();
        assert!(is_borne(&outcome, lie, 2), "{lie:?}: {outcome:?}");
    }
}

/// A coordinator that shows shops different lists learns nothing; without the rules that stand against it, it does.
#[test]
fn a_coordinator_that_equivocates_computes_no_bare_sum_and_would_under_the_first_rules() {
    let setup = Arc::new(Setup::ring(2).unwrap());
    let blow = |seed, plant| {
        let weather = FaultConfig {
            seed,
            pause_ms: DEFAULT_PAUSE_MS * 10,
            plant,
            script: None,
            lies: true,
            member: None,
        };
        one(&setup, weather).unwrap()
    };
    let mut lies = 0;
    for seed in 0..6 {
        let outcome = blow(seed, None);
        assert_eq!(outcome.faults, Vec::<String>::new(), "{seed}");
        lies += outcome.ops.keys().filter(|name| name.starts_with("lied")).count();
    }
    assert!(lies > 6, "{lies}");
    for plant in [Mutation::FirstRules, Mutation::UnboundUploads] {
        let found = (0..40).any(|seed| {
            let faults = blow(seed, Some(plant)).faults;
            faults.iter().any(|fault| fault.contains("bare sum"))
        });
        assert!(found, "{plant:?}");
    }
}
