//! Which releases a plan makes, and how much noise each attempt takes so that all together cost one budget.
//!
//! Every user is in every release, so that attempts compose as Gaussian mechanisms do: those charged with noise multipliers
//! z cost together as much as one whose 1/z^2 is the sum of theirs (Dong, Roth, Su 2022, Corollary 3.3), also where the
//! noise of later ones follows from what came of those before, as long as the sum stays within a budget that was fixed first
//! (Smith, Thakurta 2022). The budget is mu^2 with mu of
//! [`mu_of`](crate::accountant::gaussian::mu_of).
//!
//! # The rule
//! B = mu^2 less the sum of 1/z^2 over ALL attempts that were charged, failed or not. The next attempt, at release i of share
//! rho_i, gets B rho_i / (rho_i + ... + rho_n + reserve). It takes nothing but the plan and the public record of attempts, so
//! everybody can recompute z. Without a failure and without a reserve each release gets mu^2 rho_i, and the sum is mu^2. After
//! a failure what is left is divided in the same proportions.
//!
//! With a reserve, an attempt always leaves something: any number of failures leaves a budget above 0. Without one, the last
//! release takes all that is left, and there is no second attempt at it: that is the price of using the whole budget.

use serde::{Deserialize, Serialize};

use crate::params::NoiseMultiplier;

/// What a release sums.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ReleaseKind {
    /// [`popularity::contribution`](super::popularity::contribution).
    Popularity,
    /// [`CollaborativeStatistic`](super::collaborative::CollaborativeStatistic) through
    /// [`PublicMap::new`](super::map::PublicMap::new).
    Collaborative,
    /// The same through [`second_map`](super::views::second_map).
    SecondCollaborative,
}

impl ReleaseKind {
    /// Whether these stand in an order that can be computed: popularity, then collaborative, then the second one; later ones may
    /// be left out.
    pub fn in_order(kinds: impl IntoIterator<Item = Self>) -> bool {
        let mut order = ORDER.into_iter();
        kinds.into_iter().all(|kind| order.next() == Some(kind))
    }
}

/// One release of a plan.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct ReleaseShare {
    /// What it sums.
    pub kind: ReleaseKind,
    /// rho: its part of the budget; above 0.
    pub share: f64,
}

/// The rounds of a plan in their order, with the budget that they share.
#[derive(Clone, Debug, PartialEq)]
pub struct Schedule {
    budget: f64,
    shares: Vec<f64>,
    reserve: f64,
}

impl Schedule {
    /// Rounds with these shares (adding up to 1) of `mu`^2. `reserve` is kept for attempts after a failure, as one more
    /// share: 0 for none.
    ///
    /// # Errors
    /// When `mu` or a share is not above 0, the shares do not add up to 1, or the reserve is negative or above 1.
    pub fn new(mu: f64, shares: Vec<f64>, reserve: f64) -> Result<Self, ScheduleError> {
        let budget = mu * mu;
        if !(mu > 0.0 && budget.is_finite() && budget > 0.0) {
            return Err(ScheduleError::Budget { mu });
        }
        let sum: f64 = shares.iter().sum();
        let are_shares = shares.iter().all(|share| *share > 0.0) && (sum - 1.0).abs() <= 1e-9;
        if !are_shares {
            return Err(ScheduleError::Shares { sum });
        }
        if !(0.0..=1.0).contains(&reserve) {
            return Err(ScheduleError::Reserve { reserve });
        }
        Ok(Self {
            budget,
            shares,
            reserve,
        })
    }

    /// S = mu N / (sqrt(M) f), what noise leaves of the counts: `users` is N, declared users with at least two items, `items`
    /// M, and `noise_factor` f, the noise of the sum over z (1 for central noise).
    pub fn signal(mu: f64, users: u64, items: usize, noise_factor: f64) -> f64 {
        mu * users as f64 / ((items.max(1) as f64).sqrt() * noise_factor.max(1.0))
    }

    /// The releases that a federation of this size should make, by its [`Self::signal`].
    pub fn choose(
        mu: f64,
        users: u64,
        items: usize,
        noise_factor: f64,
        has_features: bool,
    ) -> Vec<ReleaseShare> {
        let signal = Self::signal(mu, users, items, noise_factor);
        let shares: &[f64] = match has_features {
            true if signal >= SIGNAL_WITH_FEATURES => &[0.4, 0.6],
            false if signal >= SIGNAL_WITHOUT => &[0.2, 0.4, 0.4],
            _ => &[1.0],
        };
        let releases = ORDER.into_iter().zip(shares);
        releases
            .map(|(kind, share)| ReleaseShare { kind, share: *share })
            .collect()
    }

    /// The shares of the rounds, in their order.
    pub fn shares(&self) -> &[f64] {
        &self.shares
    }

    /// z of the next attempt, at the release of index `release`. `charged` are the z of all attempts that vectors left a shop
    /// for, at whichever release, whether or not a sum came.
    ///
    /// # Errors
    /// When there is no such release, or nothing is left for it.
    pub fn next_noise(
        &self,
        charged: &[NoiseMultiplier],
        release: usize,
    ) -> Result<NoiseMultiplier, ScheduleError> {
        let rest = self.shares.get(release..).filter(|rest| !rest.is_empty());
        let rest = rest.ok_or(ScheduleError::NoRelease {
            release,
            releases: self.shares.len(),
        })?;
        let spent: f64 = charged
            .iter()
            .map(|noise| 1.0 / (noise.get() * noise.get()))
            .sum();
        // What rounding may have hidden is not spent again.
        let left = self.budget - spent - ROUNDING * self.budget;
        let shares: f64 = rest.iter().sum::<f64>() + self.reserve;
        let exhausted = ScheduleError::Exhausted {
            spent,
            budget: self.budget,
            attempts: charged.len(),
        };
        if left <= LEAST_LEFT * self.budget {
            return Err(exhausted);
        }
        // Quotients and roots are the same on every machine.
        NoiseMultiplier::new(1.0 / (left * rest[0] / shares).sqrt()).map_err(|_| exhausted)
    }
}

/// Why there is no schedule, or no next attempt.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
pub enum ScheduleError {
    /// No budget.
    #[error("mu is {mu}; it must be a finite number above 0")]
    Budget {
        /// As given.
        mu: f64,
    },
    /// Shares that are none.
    #[error(
        "the shares of releases and training add up to {sum}; each must be above 0, and together they must be 1"
    )]
    Shares {
        /// As given.
        sum: f64,
    },
    /// A reserve out of range.
    #[error("the reserve is {reserve}; it must be from 0 to 1")]
    Reserve {
        /// As given.
        reserve: f64,
    },
    /// Not in the plan.
    #[error("there is no round {release} of the budget; the plan has {releases}, from 0")]
    NoRelease {
        /// As asked.
        release: usize,
        /// How many there are.
        releases: usize,
    },
    /// All spent.
    #[error(
        "{attempts} charged attempts have spent {spent:.6} of a budget of {budget:.6} (sums of 1/z^2): nothing is left for \
         another; a new plan has a new budget"
    )]
    Exhausted {
        /// Sum of 1/z^2 so far.
        spent: f64,
        /// mu^2.
        budget: f64,
        /// How many were charged.
        attempts: usize,
    },
}

const ORDER: [ReleaseKind; 3] = [
    ReleaseKind::Popularity,
    ReleaseKind::Collaborative,
    ReleaseKind::SecondCollaborative,
];
const SIGNAL_WITH_FEATURES: f64 = 15.0;
const SIGNAL_WITHOUT: f64 = 50.0;
/// Of the budget: more than sums and roots of a few hundred attempts lose.
const ROUNDING: f64 = 1e-13;
/// Of the budget: less is the rounding of what was spent.
const LEAST_LEFT: f64 = 1e-10;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::accountant::gaussian::mu_of;
    use crate::params::{Delta, Epsilon};

    /// z of every attempt, when the first ones at each release fail so many times; whether all releases came.
    fn run(schedule: &Schedule, failures: &[u8]) -> (Vec<f64>, bool) {
        let mut charged = Vec::new();
        for (release, failures) in failures.iter().enumerate().take(schedule.shares().len()) {
            for _ in 0..=*failures {
                match schedule.next_noise(&charged, release) {
                    Ok(noise) => charged.push(noise),
                    Err(ScheduleError::Exhausted { .. }) => return (noises(&charged), false),
                    Err(error) => panic!("{error}"),
                }
            }
        }
        (noises(&charged), true)
    }

    fn noises(charged: &[NoiseMultiplier]) -> Vec<f64> {
        charged.iter().map(|noise| noise.get()).collect()
    }

    fn spent(noises: &[f64]) -> f64 {
        noises.iter().map(|noise| noise.powi(-2)).sum()
    }

    #[test]
    fn without_failures_every_release_has_the_noise_of_the_table() {
        let delta = Delta::new(1e-5).unwrap();
        for (epsilon, with_features, without, popularity) in [
            (8.0, [0.949, 0.775], [1.342, 0.949], 0.600),
            (4.0, [1.709, 1.396], [2.418, 1.709], 1.081),
            (2.0, [3.152, 2.574], [4.458, 3.152], 1.994),
            (1.0, [5.899, 4.816], [8.342, 5.899], 3.731),
        ] {
            let mu = mu_of(Epsilon::new(epsilon).unwrap(), delta);
            let check = |has_features: bool, users: u64, wanted: &[f64]| {
                let releases = Schedule::choose(mu, users, 1600, 1.2, has_features);
                let shares = releases.iter().map(|release| release.share).collect();
                let schedule = Schedule::new(mu, shares, 0.0).unwrap();
                let (noises, all) = run(&schedule, &[0; 3]);
                assert!(all && noises.len() == wanted.len(), "{noises:?}");
                for (got, wanted) in noises.iter().zip(wanted) {
                    assert!(
                        (got - wanted).abs() < 1.5e-3,
                        "epsilon {epsilon}: {got} for {wanted}"
                    );
                }
                assert!((spent(&noises) - mu * mu).abs() <= 1e-12 * mu * mu);
                assert!(spent(&noises) <= mu * mu);
            };
            let many = 1_000_000;
            check(true, many, &with_features);
            check(false, many, &[without[0], without[1], without[1]]);
            check(false, 5, &[popularity]);
            check(true, 5, &[popularity]);
        }
    }

    #[test]
    fn kinds_have_an_order_whose_end_may_be_left_out() {
        let [first, second, third] = ORDER;
        assert!(ReleaseKind::in_order([]) && ReleaseKind::in_order([first, second]));
        for wrong in [
            &[second][..],
            &[second, first],
            &[first, third],
            &[first, second, third, third],
        ] {
            assert!(!ReleaseKind::in_order(wrong.iter().copied()), "{wrong:?}");
        }
    }

    #[test]
    fn signal_decides_which_releases_there_are() {
        let kinds = |users, has_features| Schedule::choose(1.0, users, 10_000, 1.0, has_features).len();
        // S = users / 100.
        assert_eq!([kinds(1499, true), kinds(1500, true)], [1, 2]);
        assert_eq!([kinds(4999, false), kinds(5000, false)], [1, 3]);
        assert_eq!(Schedule::choose(1.0, 1500, 10_000, 1.2, true).len(), 1);
    }

    proptest! {
        #[test]
        fn no_failures_spend_more_than_the_budget(
            failures in proptest::array::uniform3(0u8..40), first in 0.01f64..0.98, second in 0.05f64..0.95,
            mu in 0.01f64..5.0, reserve in prop_oneof![Just(0.0), 0.01f64..1.0],
        ) {
            let rest = 1.0 - first;
            let of = vec![first, rest * second, rest * (1.0 - second)];
            let schedule = Schedule::new(mu, of, reserve).unwrap();
            let (noises, _) = run(&schedule, &failures);
            prop_assert!(spent(&noises) <= mu * mu);
            let (smooth, all) = run(&schedule, &[0; 3]);
            let whole = mu * mu / (1.0 + reserve);
            prop_assert!(all && (spent(&smooth) - whole).abs() <= 1e-12 * mu * mu);
            // A failure leaves the same proportions: what the last two get is in the ratio of their shares.
            if reserve == 0.0 {
                let (noises, all) = run(&schedule, &[1, 0, 0]);
                let ratio = (noises[2] / noises[3]).powi(2);
                prop_assert!(all && (ratio - (1.0 - second) / second).abs() < 1e-6 * ratio.max(1.0));
            } else if reserve >= 0.1 && failures.iter().all(|failures| *failures < 2) {
                prop_assert!(run(&schedule, &failures).1, "with a reserve something is left");
            }
        }
    }

    #[test]
    fn without_a_reserve_the_last_release_has_one_attempt_and_with_one_more() {
        let run = |reserve| run(&Schedule::new(1.5, vec![0.4, 0.6], reserve).unwrap(), &[0, 1]);
        assert!(!run(0.0).1);
        let (noises, all) = run(0.1);
        assert!(all);
        // Of what the first left, 6/7; then 6/7 of the seventh.
        assert!(((noises[2] / noises[1]).powi(2) - 7.0).abs() < 1e-6, "{noises:?}");
        let exhausted = Schedule::new(1.5, vec![1.0], 0.0).unwrap();
        let noise = exhausted.next_noise(&[], 0).unwrap();
        let error = exhausted.next_noise(&[noise], 0).unwrap_err();
        assert!(error.to_string().contains("1 charged attempts"), "{error}");
    }

    #[test]
    fn senseless_schedules_are_refused() {
        let refused = |mu, of: Vec<f64>, reserve| Schedule::new(mu, of, reserve).unwrap_err();
        for mu in [0.0, -1.0, f64::NAN, f64::INFINITY, 1e-200] {
            assert!(matches!(
                refused(mu, vec![1.0], 0.0),
                ScheduleError::Budget { .. }
            ));
        }
        for of in [&[0.5][..], &[1.5, -0.5], &[f64::NAN, 1.0], &[1.0, 0.0], &[]] {
            assert!(
                matches!(refused(1.0, of.to_vec(), 0.0), ScheduleError::Shares { .. }),
                "{of:?}"
            );
        }
        assert!(matches!(
            refused(1.0, vec![1.0], -0.1),
            ScheduleError::Reserve { .. }
        ));
        let error = Schedule::new(1.0, vec![1.0], 0.0)
            .unwrap()
            .next_noise(&[], 1)
            .unwrap_err();
        assert_eq!(
            error.to_string(),
            "there is no round 1 of the budget; the plan has 1, from 0"
        );
    }
}
