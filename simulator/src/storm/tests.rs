//! The storm itself, in small.

use super::*;

fn blown(seed: u64, masked: bool, plant: Option<Plant>) -> Outcome {
    let setup = Arc::new(Setup::new(SHOPS, 6, masked).unwrap());
    let weather = Weather {
        seed,
        pause_ms: DEFAULT_PAUSE_MS,
        plant,
        script: None,
        lies: false,
    };
    one(&setup, weather).unwrap()
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

/// Down to the last byte on every disk, noise and keys included.
#[test]
fn the_same_seed_is_the_same_storm() {
    assert!(
        entropy::is_decided().unwrap() || !cfg!(target_os = "linux"),
        "build.rs lets libraries find our getrandom"
    );
    for seed in 100..104 {
        let [first, second] = [(); 2].map(|()| blown(seed, seed % 2 == 0, None));
        if entropy::is_decided().unwrap() {
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
    if !entropy::is_decided().unwrap() {
        return;
    }
    // Two that are found soon.
    for plant in [Plant::ReceiptBeforeFsync, Plant::ReusedKeys] {
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
    let seeded = entropy::of_seed(1, drawn).unwrap();
    assert_ne!(drawn(), drawn());
    assert_ne!(seeded, drawn());
    assert_ne!(seeded, std::thread::spawn(drawn).join().unwrap());
}
