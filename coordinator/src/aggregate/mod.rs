//! From accepted updates to the next model: an exact modular sum, then the server's optimiser.
//!
//! Updates are integers modulo 2^b, so the sum does not depend on the order in which they arrive, and anybody with
//! the parts can make the same model again, bit for bit (PRIVACY: the mechanism, step 4). A plan may name another rule, which
//! goes over the parts one by one ([`rules`]).

mod accumulator;
pub mod rules;

pub use accumulator::{Accumulator, AccumulatorError, Integers};
pub use souk_common::training::optimiser::{OptimiserState, OptimiserStateError, ServerOptimiser};

use souk_common::ids::{AttemptId, ShopName};
use souk_common::learned::{Learned, LearnedError, Learner};
use souk_common::plan::{GridError, Plan, ServerPlan};
use souk_common::release::state::NoisedSum;
use souk_common::secagg::Misfit;
use souk_common::update::{BlockName, Counts, Grid};

use crate::masking::MaskedAttempt;
use rules::{PartError, PartSource};

/// Accumulator and optimiser of one run, in memory: what the server drives with streamed bytes and the simulator
/// with vectors.
#[derive(Debug)]
pub struct Aggregator {
    plan: Plan,
    grid: Grid,
    accumulator: Accumulator,
    optimiser: ServerOptimiser,
}

impl Aggregator {
    /// For `plan` over models of `coordinates` parameters, before the first step.
    #[cfg(test)]
    fn new(plan: &Plan, coordinates: usize) -> Result<Self, GridError> {
        Self::resume(plan, ServerOptimiser::new(&plan.server, plan.rounds, coordinates))
    }

    /// For the round that follows on `learned`; with what the optimiser remembers, if it took steps before.
    ///
    /// # Errors
    /// When there is no grid for the round, or the state is none of this plan's optimiser.
    pub fn for_round(
        learner: &Learner,
        learned: &Learned,
        round: u64,
        state: Option<OptimiserState>,
    ) -> Result<Self, AggregatorError> {
        let mut plan = match learner.round(learned, round) {
            Ok((plan, _)) => plan,
            // No round follows: nothing is added to this one.
            Err(LearnedError::Spent(_)) => learner.plan().clone(),
            Err(error) => return Err(error.into()),
        };
        if plan.is_of_releases() {
            // What a phase of training remembers is published with it.
            plan.server = ServerPlan::Plain { learning_rate: 1.0 };
        }
        let mut optimiser = ServerOptimiser::new(&plan.server, plan.rounds, learner.coordinates(round));
        if let Some(state) = state {
            optimiser = optimiser.with_state(state)?;
        }
        Ok(Self::resume(&plan, optimiser).map_err(LearnedError::from)?)
    }

    /// As [`Self::new`], with an optimiser that has taken steps before.
    ///
    /// # Errors
    /// When the plan has no grid for that many coordinates.
    pub fn resume(plan: &Plan, optimiser: ServerOptimiser) -> Result<Self, GridError> {
        let coordinates = optimiser.coordinates();
        let grid = plan.grid(coordinates)?;
        Ok(Self {
            plan: plan.clone(),
            grid,
            accumulator: Accumulator::new(grid.bits, plan.update_len(coordinates)),
            optimiser,
        })
    }

    /// The plan's grid.
    pub fn grid(&self) -> &Grid {
        &self.grid
    }

    /// The running sum.
    pub fn accumulator(&mut self) -> &mut Accumulator {
        &mut self.accumulator
    }

    /// The optimiser, to store its state.
    pub fn optimiser(&self) -> &ServerOptimiser {
        &self.optimiser
    }

    /// Adds one shop's whole update.
    ///
    /// # Errors
    /// When its length or its modulus is not the plan's.
    pub fn add(&mut self, update: Integers<'_>) -> Result<(), AccumulatorError> {
        self.accumulator.add(update)
    }

    /// Takes the masks off the sum, if the attempt has any; gives shops whose shares show that they lied all the same.
    ///
    /// # Errors
    /// When shares are missing or of no use; the sum is as it was then.
    pub fn unmask(&mut self, masked: Option<&MaskedAttempt>) -> Result<Vec<ShopName>, Misfit> {
        masked.map_or(Ok(Vec::new()), |masked| {
            self.accumulator.unmask(masked.session(), masked.terms())
        })
    }

    /// The quality counts in the sum of `accepted` shops' updates, if the plan has any.
    pub fn counts(&self, accepted: usize) -> Option<Counts> {
        let counts = self.plan.counts(&self.grid)?;
        let blocks = self.plan.blocks(self.optimiser.coordinates());
        let block = blocks.iter().find(|block| block.name == BlockName::Counts)?;
        let first = block.coordinates.start;
        let sums = [first, first + 1].map(|at| self.accumulator.lifted(at));
        // As NoiseVector::draw rounds it, once a shop.
        let stddev = self.grid.noise_stddev.ceil() * (accepted as f64).sqrt();
        Some(counts.read(sums, stddev))
    }

    /// By how many times the largest sum is more than the declared customers of the `accepted` shops can come to, noise aside;
    /// none if it is not.
    pub fn times_declared(&self, accepted: &[ShopName]) -> Option<f64> {
        let sums = (0..self.accumulator.len()).map(|at| self.accumulator.lifted(at));
        self.plan.times_declared(&self.grid, accepted, sums)
    }

    /// Takes one step with the mean of what was added and makes the sum zero again.
    ///
    /// `model` has the layout's length; `accepted` are the shops whose updates were added. Without any, nothing moves.
    ///
    /// # Panics
    /// If `model` has another length than the layout.
    pub fn step<'a>(&mut self, model: &mut [f32], accepted: impl IntoIterator<Item = &'a ShopName>) {
        let denominator = self.plan.denominator(&self.grid, accepted);
        if denominator > 0.0 {
            let sum = &self.accumulator;
            self.optimiser
                .step(model, |at| sum.lifted(at) as f64 / denominator);
        }
        self.accumulator.clear();
    }

    /// As [`Self::step`], on whatever the plan's rounds publish, in attempt `id`, by the plan's rule: of another than the mean
    /// `parts` are the updates that were added.
    ///
    /// # Errors
    /// When what comes of it, or what the optimiser would remember, is not finite; when a rule can't read a part.
    ///
    /// # Panics
    /// As [`Self::step`].
    pub fn learn(
        &mut self,
        learner: &Learner,
        learned: &mut Learned,
        id: AttemptId,
        accepted: &[ShopName],
        parts: &dyn PartSource,
    ) -> Result<(), AggregatorError> {
        let coordinates = self.optimiser.coordinates();
        let combined = rules::combine((&self.plan, &self.grid), coordinates, accepted, parts)?;
        match learned {
            Learned::Model(params) => match &combined {
                None => self.step(params, accepted),
                Some(combined) => {
                    self.optimiser.step(params, |at| combined.mean[at]);
                    self.accumulator.clear();
                }
            },
            Learned::Releases(releases) => {
                let clip_units = self.grid.clip_units();
                let sum = match &combined {
                    None => NoisedSum {
                        values: self.accumulator.values(),
                        clip_units,
                        // As NoiseVector::draw rounds it, once a shop.
                        noise_stddev: self.grid.noise_stddev.ceil() * (accepted.len() as f64).sqrt()
                            / clip_units,
                    },
                    Some(combined) => {
                        let denominator = self.plan.denominator(&self.grid, accepted);
                        NoisedSum {
                            values: combined.on_grid(&self.grid, denominator),
                            clip_units,
                            noise_stddev: combined.noise_stddev * denominator / clip_units,
                        }
                    }
                };
                let noise = self.plan.charged_noise_multiplier();
                *releases = learner.release(releases, id, noise, sum)?;
                self.accumulator.clear();
            }
        }
        learner.finite(learned)?;
        match self.optimiser.state().is_finite() {
            true => Ok(()),
            false => Err(AggregatorError::Optimiser),
        }
    }

    /// Forgets what was added, for an attempt that ended without a model.
    pub fn abandon(&mut self) {
        self.accumulator.clear();
    }

    /// Forgets the optimiser's moments, for a model that was rolled back.
    pub fn reset_optimiser(&mut self) {
        self.optimiser =
            ServerOptimiser::new(&self.plan.server, self.plan.rounds, self.optimiser.coordinates());
    }
}

/// Why there is no sum to begin, or nothing comes of one.
#[derive(Debug, thiserror::Error)]
pub enum AggregatorError {
    /// The stored optimiser state is none of this plan.
    #[error(transparent)]
    State(#[from] OptimiserStateError),
    /// The plan has no grid for the round, or what comes of it is not finite.
    #[error(transparent)]
    Learned(#[from] LearnedError),
    /// The plan's rule can't go over the updates.
    #[error(transparent)]
    Part(#[from] PartError),
    /// In the optimiser's moments.
    #[error("what the optimiser would remember is not finite")]
    Optimiser,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan() -> Plan {
        Plan::from_toml(
            "name = 'a'\nrounds = 2\n[model]\nkind = 'mf'\n[train]\nsolver = 'ials'\nalpha = 0.1\nlambda = 1\n\
             [privacy]\nenabled = false\nclip_norm = 2\nsampling_rate = 0.5\n[cohort]\nquorum = 1\n\
             [server]\noptimiser = 'plain'\nlearning_rate = 1\n\
             [[shops]]\nname = 'a'\ndeclared_users = 4\n[[shops]]\nname = 'b'\ndeclared_users = 4\nweight = 0.5\n",
        )
        .unwrap()
    }

    fn words(grid: &Grid, values: &[f64]) -> Vec<u32> {
        values
            .iter()
            .map(|value| (value * grid.scale()) as i64 as u32)
            .collect()
    }

    #[test]
    fn the_mean_is_over_sampled_weighted_declared_users_of_the_accepted_shops() {
        let (plan, names): (_, Vec<ShopName>) = (plan(), ["a", "b"].map(|name| name.parse().unwrap()).into());
        let mut aggregator = Aggregator::new(&plan, 2).unwrap();
        let grid = *aggregator.grid();
        for part in [[1.5, -3.0], [1.5, 0.0]] {
            aggregator.add(Integers::B32(&words(&grid, &part))).unwrap();
        }
        let mut model = [10.0, 10.0];
        aggregator.step(&mut model, &names);
        // q (w_a N_a + w_b N_b) = 0.5 (4 + 2) = 3
        assert_eq!(model, [11.0, 9.0]);
        aggregator.step(&mut model, &names);
        assert_eq!(model, [11.0, 9.0], "the sum was made zero again");
    }

    #[test]
    fn four_times_the_declared_users_who_all_pull_one_way_do_not_wrap_the_sum() {
        let mut before = plan();
        before.shops.iter_mut().for_each(|terms| {
            terms.declared_users = 5_000;
            terms.weight = souk_common::params::Weight::new(1.0).unwrap();
        });
        let names: Vec<ShopName> = ["a", "b"].map(|name| name.parse().unwrap()).into();
        let moved = |plan: &Plan| {
            let mut aggregator = Aggregator::new(plan, 1).unwrap();
            // 20,000 users of each shop, each at the clip norm C = 2.
            let sum = 20_000.0 * aggregator.grid().clip_units();
            for _ in 0..2 {
                aggregator.add(Integers::B32(&[sum as i64 as u32])).unwrap();
            }
            let mut model = [0.0];
            aggregator.step(&mut model, &names);
            model[0]
        };
        // q = 0.5: 40,000 users of the 5,000 that are reckoned with, at 2.
        assert_eq!(moved(&before.clone().begun_now()), 16.0);
        assert!(moved(&before) < 0.0, "what a plan of before makes of it");
    }

    #[test]
    fn a_sum_beyond_what_the_declared_customers_can_come_to_is_seen_in_model_and_counts_and_noise_is_none() {
        let text = |privacy: &str, more: &str| {
            format!(
                "name = 'a'\nrounds = 2\n[model]\nkind = 'mf'\n[train]\nsolver = 'ials'\nalpha = 0.1\nlambda = 1\n\
                 [privacy]\nclip_norm = 2\nsampling_rate = 0.5\nheadroom = 4\n{privacy}[cohort]\nquorum = 3\n{more}\
                 [server]\noptimiser = 'plain'\nlearning_rate = 1\n\
                 [[shops]]\nname = 'a'\ndeclared_users = 1000\n[[shops]]\nname = 'b'\ndeclared_users = 1000\nweight = 0.5\n\
                 [[shops]]\nname = 'c'\ndeclared_users = 9000\n[[shops]]\nname = 'd'\ndeclared_users = 9000\n"
            )
        };
        let masked = "[masking]\nmin_shops = 3\ncolluding = 1\n[metrics]\nnoise_multiplier = 6.0\n";
        let noised = "placement = 'distributed'\nnoise_multiplier = 3.0\n";
        for (privacy, more) in [("enabled = false\n", ""), (noised, masked)] {
            let plan = Plan::from_toml(&text(privacy, more)).unwrap();
            let names: Vec<ShopName> = ["a", "b"].map(|name| name.parse().unwrap()).into();
            let mut aggregator = Aggregator::new(&plan, 2).unwrap();
            let grid = *aggregator.grid();
            // w N of the two that take part: 1,500 at the clip norm, and twelve standard deviations of two shops' noise.
            let most = 1500.0 * grid.clip_units() + 12.0 * grid.noise_stddev.ceil() * 2f64.sqrt();
            let counts = plan.counts(&grid).map(|counts| counts.unit);
            let mut times = |at: usize, sum: f64| {
                let mut update = vec![0; plan.update_len(2)];
                update[at] = sum as i64 as u32;
                aggregator.abandon();
                aggregator.add(Integers::B32(&update)).unwrap();
                aggregator.times_declared(&names)
            };
            assert_eq!((times(0, most.floor()), times(1, -most.floor())), (None, None));
            let seen = times(1, -(most + 1500.0 * grid.clip_units())).unwrap();
            assert!((seen - 2.0).abs() < 1e-3, "{seen}");
            if let Some(unit) = counts {
                // Counts are not weighted: 2,000 customers.
                let within = 2000.0 * unit as f64;
                assert_eq!(times(2, within), None);
                assert!(times(3, 2.0 * within).is_some(), "in the last block, too");
            }
        }
    }

    #[test]
    fn no_accepted_shop_moves_nothing() {
        let mut aggregator = Aggregator::new(&plan(), 1).unwrap();
        let mut model = [1.0];
        aggregator.step(&mut model, []);
        assert_eq!(model, [1.0]);
    }
}
