//! The storm itself, in small.

use super::*;

fn blown(seed: u64, masked: bool, plant: Option<Plant>) -> Outcome {
    let setup = Arc::new(Setup::new(SHOPS, 6, masked).unwrap());
    let weather = Weather {
        seed,
        pause_ms: DEFAULT_PAUSE_MS,
        plant,
        script: None,
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

#[test]
fn the_same_seed_is_the_same_storm() {
    for seed in 100..104 {
        let [first, second] = [(); 2].map(|()| blown(seed, seed % 2 == 0, None));
        assert_eq!(
            (first.trace, first.ops),
            (second.trace, second.ops),
            "seed {seed}"
        );
        assert_ne!(first.trace, blown(seed + 50, true, None).trace);
    }
}
