//! What a plan will spend, before anybody has paid it: in total, against whom, after failures and in a year.

use super::SharedNoise;
use crate::accountant::{Composition, Relation, SampledGaussian, gaussian};
use crate::params::{Delta, Epsilon, NoiseMultiplier};
use crate::plan::Plan;
use crate::release::schedule::ScheduleError;

/// The spending of a shop that takes part in all rounds: every shop adds the same noise and draws at the same rate.
#[derive(Clone, Debug)]
pub struct PlannedSpend {
    /// Every epsilon is at this delta.
    pub delta: Delta,
    /// z of update and quality counts together; of a plan of releases, of all of them together.
    pub noise_multiplier: NoiseMultiplier,
    /// None if nothing bounds it.
    pub epsilon: Option<Epsilon>,
    /// With every user in each round: what holds if sampling is not secret.
    pub without_sampling: Option<Epsilon>,
    /// With distributed noise, against others than the coordinator with t shops.
    pub others: Option<OtherObservers>,
}

/// Epsilon of distributed noise from other places.
#[derive(Clone, Debug)]
pub struct OtherObservers {
    /// Against who reads the published models and nothing else.
    pub readers: Option<Epsilon>,
    /// If every other shop is invented: this shop's own share.
    pub alone: Option<Epsilon>,
}

impl PlannedSpend {
    /// None without noise.
    pub fn of(plan: &Plan) -> Option<Self> {
        let noise_multiplier = plan.charged_noise_multiplier()?;
        let composition = |factor: f64| {
            // Out of range only for noise that no plan can have.
            let noise_multiplier = NoiseMultiplier::new(noise_multiplier.get() * factor).ok()?;
            let mechanism = SampledGaussian {
                noise_multiplier,
                sampling_rate: plan.privacy.sampling_rate,
            };
            // z of a plan of releases is that of all of them together.
            let rounds = if plan.is_of_releases() { 1 } else { plan.rounds };
            Some(Composition::of(mechanism, rounds))
        };
        let delta = plan.privacy.delta;
        let epsilon = |factor| composition(factor).and_then(|composition| composition.epsilon(delta));
        Some(Self {
            delta,
            noise_multiplier,
            epsilon: epsilon(1.0),
            without_sampling: composition(1.0)
                .and_then(|composition| composition.epsilon_without_sampling(Relation::AddRemove, delta)),
            others: SharedNoise::of(plan).map(|shared| OtherObservers {
                readers: epsilon(shared.for_readers()),
                alone: epsilon(shared.alone()),
            }),
        })
    }
}

/// The spending of one plan of releases after charged failures, and of several a year.
#[derive(Clone, Debug)]
pub struct ReleaseBudget {
    /// By the failures at the first release, from none; with one release, which is the last as well, no more than that.
    pub courses: Vec<FailureCourse>,
    /// Of this plan and another one like it.
    pub with_another: f64,
    /// Plans a year, and their epsilon together.
    pub per_year: Vec<(u64, f64)>,
}

/// How a run goes whose first release fails so many times after it was charged.
#[derive(Clone, Debug)]
pub struct FailureCourse {
    /// How many times.
    pub failures: usize,
    /// Of all attempts.
    pub epsilon: f64,
    /// z of each round that comes.
    pub noise: Vec<NoiseMultiplier>,
}

impl ReleaseBudget {
    /// None without noise, or where a model is trained.
    ///
    /// # Errors
    /// When nothing is left of the budget for an attempt.
    pub fn of(plan: &Plan) -> Result<Option<Self>, ScheduleError> {
        let Some(all) = plan.privacy.noise_multiplier.filter(|_| plan.is_of_releases()) else {
            return Ok(None);
        };
        let failures = match plan.rounds {
            1 => 0..=0,
            _ => 0..=MOST_FAILURES,
        };
        let delta = plan.privacy.delta;
        Ok(Some(Self {
            courses: failures
                .map(|failures| FailureCourse::of(plan, failures))
                .collect::<Result<_, _>>()?,
            with_another: gaussian::unsampled(&[(all, 2)], delta),
            per_year: TIMES_A_YEAR
                .map(|times| (times, gaussian::unsampled(&[(all, times)], delta)))
                .to_vec(),
        }))
    }
}

impl FailureCourse {
    fn of(plan: &Plan, failures: usize) -> Result<Self, ScheduleError> {
        let mut charged = Vec::new();
        let attempt = |round: u64, charged: &mut Vec<NoiseMultiplier>| {
            let noise = plan.for_round(round, charged)?.privacy.noise_multiplier;
            charged.extend(noise);
            Ok::<_, ScheduleError>(())
        };
        for _ in 0..failures {
            attempt(1, &mut charged)?;
        }
        for round in 1..=plan.rounds {
            attempt(round, &mut charged)?;
        }
        let attempts: Vec<(NoiseMultiplier, u64)> = charged.iter().map(|noise| (*noise, 1)).collect();
        Ok(Self {
            failures,
            epsilon: gaussian::unsampled(&attempts, plan.privacy.delta),
            noise: charged.split_off(failures),
        })
    }
}

const MOST_FAILURES: usize = 2;
const TIMES_A_YEAR: [u64; 3] = [1, 4, 12];

#[cfg(test)]
mod tests {
    use super::*;

    const RELEASES: &str = "name = 'r'\n[privacy]\nnoise_multiplier = 0.6002291\n[cohort]\nquorum = 1\n\
        [[release]]\nkind = 'popularity'\nshare = 0.4\n[[release]]\nkind = 'collaborative'\nshare = 0.6\n\
        [[shops]]\nname = 'a'\ndeclared_users = 100\n";

    #[test]
    fn all_releases_together_cost_what_their_common_noise_says_with_and_without_failures() {
        let plan = Plan::from_toml(RELEASES).unwrap();
        let spend = PlannedSpend::of(&plan).unwrap();
        let total = spend.epsilon.unwrap().get();
        assert!((total - 8.0).abs() < 1e-4 && spend.others.is_none(), "{spend:?}");
        // Nothing is sampled.
        assert_eq!(spend.without_sampling.unwrap().get(), total);
        let budget = ReleaseBudget::of(&plan).unwrap().unwrap();
        assert_eq!(budget.courses.len(), 3);
        for course in &budget.courses {
            assert!((course.epsilon - total).abs() < 1e-4, "{course:?}");
            assert_eq!(course.noise.len(), 2);
        }
    }

    #[test]
    fn without_noise_nothing_is_planned() {
        let off = RELEASES.replace("noise_multiplier = 0.6002291", "enabled = false");
        let plan = Plan::from_toml(&off).unwrap();
        assert!(PlannedSpend::of(&plan).is_none() && ReleaseBudget::of(&plan).unwrap().is_none());
    }
}
