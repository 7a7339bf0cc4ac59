//! From records to integers: what one customer can change in a release.

use proptest::prelude::*;
use souk_common::catalogue::{Catalogue, Item};
use souk_common::clock::Timestamp;
use souk_common::dataset::History;
use souk_common::ids::AttemptId;
use souk_common::privacy::{Ledger, MemorySink, Spend};
use souk_common::release::state::NoisedSum;
use souk_common::rng::stream;
use souk_common::update::UpdateValues;

use super::*;

mod clicks;

const PLAN: &str = "name = 'r'\n[privacy]\nenabled = false\n[cohort]\nquorum = 1\n\
    [[release]]\nkind = 'popularity'\nshare = 0.4\n[[release]]\nkind = 'collaborative'\nshare = 0.4\n\
    [[training]]\nkind = 'tower'\nrounds = 1\nshare = 0.1\n[[training]]\nkind = 'model'\nrounds = 1\nshare = 0.1\n\
    [model]\nkind = 'neumf'\ngmf_dim = 4\nmlp_dim = 4\ntower = [4]\n\
    [train]\nsolver = 'sgd'\nlearning_rate = 0.5\n\
    [server]\noptimiser = 'plain'\nlearning_rate = 1.0\n\
    [[shops]]\nname = 'a'\ndeclared_users = 100\n";

fn learner() -> Learner {
    let item = |row: usize| Item {
        category: format!("c{}", row % 4),
        ..Item::bare(format!("i{row}"))
    };
    let catalogue = Catalogue::new((0..20).map(item).collect()).unwrap();
    Learner::new(&Plan::from_toml(PLAN).unwrap(), &catalogue)
}

fn dataset(histories: &[Vec<u32>]) -> Dataset {
    Dataset {
        users: (0..histories.len()).map(|user| format!("u{user}")).collect(),
        histories: histories
            .iter()
            .map(|items| History {
                items: items.clone(),
                times: (0..items.len() as i64).collect(),
            })
            .collect(),
        labelled: Vec::new(),
    }
}

/// The integers that the shop sends in `round`, bare: the plan is without noise.
fn sent(learner: &Learner, learned: &Learned, round: u64, dataset: &Dataset) -> (Vec<i64>, Grid) {
    let (plan, grid) = learner.round(learned, round).unwrap();
    let terms = plan.shops[0].clone();
    let mut source = stream(1, "noise");
    let sum = release_update(
        (learner, learned),
        round,
        dataset,
        (&plan, &grid, &terms),
        &mut TrainingCache::default(),
        &mut source,
    )
    .unwrap();
    let id = AttemptId { round, attempt: 1 };
    let mut ledger = Ledger::open(MemorySink::default(), &[], &terms.name, Timestamp(0)).unwrap();
    let spend = Spend::of_attempt(&plan, learner.plan().digest(), id);
    let charged = ledger.charge(spend, Timestamp(1)).unwrap();
    let UpdateValues::B32(values) = sum.finish(&charged).unwrap().into_inner().values else {
        panic!("b = 32")
    };
    (
        values.into_iter().map(|value| i64::from(value as i32)).collect(),
        grid,
    )
}

/// What is published after `round`, which follows on `learned`.
fn after(learner: &Learner, learned: &Learned, round: u64, dataset: &Dataset) -> Learned {
    let Learned::Releases(before) = learned else {
        panic!("a plan of releases")
    };
    let (values, grid) = sent(learner, learned, round, dataset);
    let sum = NoisedSum {
        values: UpdateValues::B32(values.into_iter().map(|value| value as u32).collect()),
        clip_units: grid.clip_units(),
        noise_stddev: 0.0,
    };
    let id = AttemptId { round, attempt: 1 };
    let after = learner.release(before, id, None, sum).unwrap();
    learner.verify(&after, before).unwrap();
    Learned::Releases(after)
}

fn after_popularity(learner: &Learner, dataset: &Dataset) -> Learned {
    after(learner, &learner.initial(), 1, dataset)
}

fn items() -> impl Strategy<Value = Vec<u32>> {
    proptest::sample::subsequence((0..20u32).collect::<Vec<_>>(), 0..12).prop_shuffle()
}

proptest! {
    #[test]
    fn one_customer_more_moves_no_release_by_more_than_its_sensitivity_and_moves_nobody_elses_part(
        others in proptest::collection::vec(items(), 1..8), one in items(),
    ) {
        let learner = learner();
        let without = dataset(&others);
        let with = dataset(&[&others[..], std::slice::from_ref(&one)].concat());
        let mut learned = learner.initial();
        for round in 1..=learner.plan().rounds {
            if round > 1 {
                learned = after(&learner, &learned, round - 1, &without);
                learner.check(&learned, round).unwrap();
                let beyond = learner.check(&learned, round + 1);
                prop_assert!(beyond.is_err(), "round {round} is not {}", round + 1);
            }
            let learned = &learned;
            let (before, grid) = sent(&learner, learned, round, &without);
            let (behind, _) = sent(&learner, learned, round, &with);
            let moved: Vec<i64> = behind.iter().zip(&before).map(|(a, b)| a - b).collect();
            let squares: i128 = moved.iter().map(|by| i128::from(*by).pow(2)).sum();
            prop_assert!(squares <= 1i128 << (2 * grid.log2_clip), "round {round}: {squares}");
            // Alone, the customer adds the same: nothing of the others is in it.
            let mut alone = dataset(std::slice::from_ref(&one));
            // What is drawn for a customer follows from the id.
            alone.users = with.users[others.len()..].to_vec();
            let (alone, _) = sent(&learner, learned, round, &alone);
            prop_assert_eq!(alone, moved);
        }
    }

    #[test]
    fn the_latest_item_changes_nothing(mut one in items(), latest in 0..20u32) {
        prop_assume!(!one.contains(&latest) && !one.is_empty());
        let learner = learner();
        let shorter = dataset(std::slice::from_ref(&one));
        // Another latest item in place of the one that was.
        *one.last_mut().unwrap() = latest;
        let other = dataset(std::slice::from_ref(&one));
        let after = after_popularity(&learner, &shorter);
        let initial = learner.initial();
        for (round, learned) in [(1, &initial), (2, &after)] {
            prop_assert_eq!(sent(&learner, learned, round, &shorter), sent(&learner, learned, round, &other));
        }
    }
}
