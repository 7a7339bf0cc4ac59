//! Faults put into the mechanism on purpose, each by itself: checks that find nothing prove nothing unless they would have.

use souk_client::training::training_update::TrainingCache;
use souk_common::dataset::Dataset;
use souk_common::rng::Stream;
use souk_common::update::{Grid, ModulusBits, UpdateValues};

use super::canaries::latest_buyer;
use super::mechanism::{AuditedPlan, AuditedRound, Canary, noise, reduced, signed};

/// One of them.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum AuditMutation {
    /// Half of the noise's standard deviation.
    NoiseHalved,
    /// Vectors are clipped to twice the clip norm.
    ClipOffByTwo,
    /// One shop adds no noise.
    ShareMissing,
    /// One shop draws its noise from the same seed in every attempt.
    ReusedSeed,
    /// A fixed number of customers is drawn where each is drawn by a coin of its own.
    FixedBatch,
    /// Updates leave before the ledger has the spend on disk.
    ChargedAfterSending,
    /// Vectors have length sqrt(2): two parts, each of length 1.
    SensitivityOff,
    /// Every vector has the item that the shop sold last: a local channel in what leaves.
    AnotherCustomersData,
    /// Coordinates are rounded to the nearest integer, not toward zero.
    RoundingToNearest,
    /// The first protocol's rules for lists of shops under masks.
    OldMaskRules,
}

impl AuditMutation {
    /// All of them.
    pub(crate) const ALL: [Self; 10] = [
        Self::NoiseHalved,
        Self::ClipOffByTwo,
        Self::ShareMissing,
        Self::ReusedSeed,
        Self::FixedBatch,
        Self::ChargedAfterSending,
        Self::SensitivityOff,
        Self::AnotherCustomersData,
        Self::RoundingToNearest,
        Self::OldMaskRules,
    ];

    /// As reports call it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::NoiseHalved => "noise halved",
            Self::ClipOffByTwo => "clip off by 2",
            Self::ShareMissing => "one shop's share missing",
            Self::ReusedSeed => "reused seed",
            Self::FixedBatch => "fixed batch for Poisson",
            Self::ChargedAfterSending => "ledger charged after sending",
            Self::SensitivityOff => "sensitivity of a release off by sqrt 2",
            Self::AnotherCustomersData => "another customer's data in a vector",
            Self::RoundingToNearest => "rounding toward nearest",
            Self::OldMaskRules => "old mask rules",
        }
    }

    /// What it does, for people.
    pub(crate) fn what(self) -> &'static str {
        match self {
            Self::NoiseHalved => "every shop adds half of the noise that its ledger is charged for",
            Self::ClipOffByTwo => "one customer can count twice as much as the guarantee says",
            Self::ShareMissing => "one of the shops that share the noise adds none",
            Self::ReusedSeed => {
                "one shop's noise is the same in every attempt, so that a difference has none"
            }
            Self::FixedBatch => {
                "a fixed number of customers is drawn each round: the sampling that epsilon counts on is not there"
            }
            Self::ChargedAfterSending => "a crash can leave an update in the world that no ledger knows of",
            Self::SensitivityOff => "a customer's vector in a release is longer than the guarantee says",
            Self::AnotherCustomersData => {
                "what a shop shows its own customers gets into what every customer adds"
            }
            Self::RoundingToNearest => {
                "on the integer grid a customer's vector can become longer than the guarantee says"
            }
            Self::OldMaskRules => "a lying coordinator can have one shop's update unmasked by itself",
        }
    }
}

/// The mechanism of a plan, as it is or with a fault.
pub(crate) struct Mechanism<'a> {
    /// The plan and its shops.
    pub(crate) plan: &'a AuditedPlan,
    /// The fault; none in an honest audit.
    pub(crate) mutation: Option<AuditMutation>,
}

impl Mechanism<'_> {
    fn has(&self, mutation: AuditMutation) -> bool {
        self.mutation == Some(mutation)
    }

    /// The noise of one share in attempt `trial`.
    pub(crate) fn noise(&self, round: &AuditedRound, trial: u64, share: usize) -> UpdateValues {
        let mut grid = round.grid;
        if self.has(AuditMutation::NoiseHalved) {
            grid.noise_stddev /= 2.0;
        }
        if share == 0 && self.has(AuditMutation::ShareMissing) {
            grid.noise_stddev = 0.0;
        }
        let attempt = match share == 0 && self.has(AuditMutation::ReusedSeed) {
            true => 0,
            false => trial,
        };
        let name = format!("noise of {}, attempt {attempt}, share {share}", round.name);
        noise(&grid, round.coordinates, &mut self.plan.stream(&name))
    }

    /// The integers that a customer adds.
    pub(crate) fn vector(
        &self,
        round: &AuditedRound,
        shop: usize,
        canary: &Canary,
    ) -> anyhow::Result<Vec<i64>> {
        let mut vector = self.plan.vector(round, shop, canary)?;
        match self.mutation {
            Some(AuditMutation::ClipOffByTwo) => vector.iter_mut().for_each(|value| *value *= 2),
            Some(AuditMutation::SensitivityOff) => vector
                .iter_mut()
                .for_each(|value| *value = (*value as f64 * std::f64::consts::SQRT_2) as i64),
            Some(AuditMutation::RoundingToNearest) => {
                let mut fine = round.again();
                fine.grid = finer(&round.grid);
                let fine = self.plan.vector(&fine, shop, canary)?;
                vector = fine
                    .iter()
                    .map(|value| (*value as f64 / f64::from(1u32 << FINER)).round() as i64)
                    .collect();
            }
            _ => {}
        }
        Ok(vector)
    }

    /// The integers that a shop with these records adds, without noise.
    pub(crate) fn shop_sum(
        &self,
        round: &AuditedRound,
        shop: usize,
        dataset: &Dataset,
        cache: &mut TrainingCache,
        source: &mut Stream,
    ) -> anyhow::Result<Vec<i64>> {
        let leaking;
        let dataset = match self.has(AuditMutation::AnotherCustomersData) {
            true => {
                leaking = with_what_was_sold_last(dataset);
                *cache = TrainingCache::default();
                &leaking
            }
            false => dataset,
        };
        let (values, _) = self.plan.bare(round, shop, dataset, cache, source)?;
        Ok(signed(&values))
    }

    /// How many of `dataset`'s customers one attempt drew.
    pub(crate) fn drawn(
        &self,
        round: &AuditedRound,
        shop: usize,
        dataset: &Dataset,
        source: &mut Stream,
    ) -> anyhow::Result<u64> {
        match self.has(AuditMutation::FixedBatch) {
            true => Ok((round.sampling_rate().get() * dataset.len() as f64).round() as u64),
            false => Ok(self
                .plan
                .bare(round, shop, dataset, &mut TrainingCache::default(), source)?
                .1),
        }
    }
}

/// Everybody's histories begin with the item that the shop sold last.
fn with_what_was_sold_last(dataset: &Dataset) -> Dataset {
    let mut leaking = dataset.clone();
    let item = latest_buyer(dataset).and_then(|user| dataset.histories[user].items.last().copied());
    for history in &mut leaking.histories {
        if let Some(item) = item.filter(|item| !history.items.contains(item)) {
            history.items.insert(0, item);
            history.times.insert(0, i64::MIN);
        }
    }
    leaking
}

fn finer(grid: &Grid) -> Grid {
    Grid {
        bits: ModulusBits::B64,
        log2_clip: grid.log2_clip + FINER,
        ..*grid
    }
}

/// Binary digits that a finer grid has more.
const FINER: u32 = 10;

/// Integers modulo 2^b of a sum of signed ones.
pub(crate) fn summed(parts: &[Vec<i64>], grid: &Grid) -> UpdateValues {
    let mut sum = vec![0i64; parts.first().map_or(0, Vec::len)];
    for part in parts {
        for (total, value) in sum.iter_mut().zip(part) {
            *total = total.wrapping_add(*value);
        }
    }
    reduced(&sum, grid)
}
