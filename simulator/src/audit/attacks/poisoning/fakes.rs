//! Customers that were made up, each to push one item.
//!
//! A release takes a customer's items but the latest, and the one before counts the most. Whoever makes up customers knows that,
//! so the target stands there, and a filler behind it.

use rand::RngExt;
use rand::seq::IndexedRandom;
use souk_common::dataset::{Dataset, History};
use souk_common::rng::{Stream, stream};

/// How fake customers are made.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(crate) enum PoisoningAttack {
    /// The target among items at random.
    Random,
    /// Half of the other items are bestsellers, half are at random (Burke et al. 2005).
    Bandwagon,
    /// The target in profiles of real customers, of whose interactions a twentieth is public: the item is pulled toward the
    /// customers whose lists lack it (FedRecAttack, Rong et al. 2022, there on gradients).
    FedRec,
    /// Half of the fakes have the target and next to nothing else (explicit promotion), half have it among bestsellers alone
    /// (its place is where popular items are): PipAttack, Zhang et al. 2022, there on gradients.
    Pip,
}

impl PoisoningAttack {
    /// All of them.
    pub(crate) const ALL: [Self; 4] = [Self::Random, Self::Bandwagon, Self::FedRec, Self::Pip];

    /// As reports call it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Random => "random",
            Self::Bandwagon => "bandwagon",
            Self::FedRec => "FedRecAttack",
            Self::Pip => "PipAttack",
        }
    }
}

/// What whoever makes them up knows of the honest.
pub(super) struct Public {
    /// Items by how many customers have them, the most first. The popularity that a federation publishes says about that.
    popular: Vec<u32>,
    /// Items of a customer, in the middle.
    typical: usize,
    /// The part of each customer's items that is public.
    profiles: Vec<Vec<u32>>,
}

impl Public {
    pub(super) fn of(dataset: &Dataset, items: usize, seed: u64) -> Self {
        let owners = owners(dataset, items);
        let mut popular: Vec<u32> = (0..items as u32).collect();
        popular.sort_by_key(|item| (std::cmp::Reverse(owners[*item as usize]), *item));
        let mut lengths: Vec<usize> = dataset.histories.iter().map(History::len).collect();
        lengths.sort_unstable();
        let mut rng = stream(seed, "what is public of customers");
        let profiles = dataset.histories.iter().map(|history| {
            let items = history.items.iter().copied();
            items.filter(|_| rng.random_bool(PUBLIC_SHARE)).collect()
        });
        Self {
            profiles: profiles.collect(),
            typical: lengths
                .get(lengths.len() / 2)
                .copied()
                .unwrap_or(1)
                .clamp(2, MOST_ITEMS),
            popular,
        }
    }

    /// `count` fakes that push `target`.
    pub(super) fn fakes(&self, attack: PoisoningAttack, target: u32, count: usize, seed: u64) -> Dataset {
        let mut rng = stream(seed, "fake customers");
        let histories: Vec<History> = (0..count)
            .map(|fake| {
                let fillers = self.fillers(attack, target, fake, &mut rng);
                // The last one is in no release.
                let last = fillers.last().copied();
                let before = fillers.iter().copied().take(fillers.len().saturating_sub(1));
                let items: Vec<u32> = before.chain([target]).chain(last).collect();
                History {
                    times: (0..items.len() as i64).map(|at| FIRST_TIME + at).collect(),
                    items,
                }
            })
            .collect();
        Dataset {
            users: (0..count).map(|fake| format!("fake-{fake:06}")).collect(),
            histories,
            labelled: Vec::new(),
        }
    }

    /// Distinct items beside the target.
    fn fillers(&self, attack: PoisoningAttack, target: u32, fake: usize, rng: &mut Stream) -> Vec<u32> {
        let others = self.typical - 1;
        let popular = self.popular.iter().copied().filter(|item| *item != target);
        match attack {
            PoisoningAttack::Random => self.at_random(&[target], others, rng),
            PoisoningAttack::Bandwagon => {
                let mut fillers: Vec<u32> = popular.take(others.div_ceil(2)).collect();
                let taken: Vec<u32> = fillers.iter().copied().chain([target]).collect();
                fillers.extend(self.at_random(&taken, others / 2, rng));
                fillers
            }
            PoisoningAttack::FedRec => {
                let useful = |profile: &&Vec<u32>| profile.len() > 1 && !profile.contains(&target);
                let profiles: Vec<&Vec<u32>> = self.profiles.iter().filter(useful).collect();
                let chosen = profiles.choose(rng);
                chosen.map_or_else(|| popular.take(2).collect(), |profile| profile.to_vec())
            }
            // One item more, so that the map of a collaborative release sees something.
            PoisoningAttack::Pip if fake.is_multiple_of(2) => {
                let first = popular.clone().nth(1 + fake / 2 % (BESTSELLERS - 1));
                first.into_iter().chain(popular.take(1)).collect()
            }
            PoisoningAttack::Pip => popular.take(BESTSELLERS).collect(),
        }
    }

    fn at_random(&self, taken: &[u32], count: usize, rng: &mut Stream) -> Vec<u32> {
        let left: Vec<u32> = self
            .popular
            .iter()
            .copied()
            .filter(|item| !taken.contains(item))
            .collect();
        left.sample(rng, count).copied().collect()
    }
}

/// How many customers have each item.
pub(super) fn owners(dataset: &Dataset, items: usize) -> Vec<u32> {
    let mut owners = vec![0; items];
    for item in dataset.histories.iter().flat_map(|history| &history.items) {
        owners[*item as usize] += 1;
    }
    owners
}

/// Rong et al. try 1 % to 10 % of the interactions.
const PUBLIC_SHARE: f64 = 0.05;
const MOST_ITEMS: usize = 60;
const BESTSELLERS: usize = 10;
/// In 1998, for data sets whose channels go by the clock.
const FIRST_TIME: i64 = 890_000_000;
