//! Every user in every round: composition of Gaussians is one Gaussian, and its epsilon is known exactly.

use super::{Relation, SampledGaussian};
use crate::params::{Delta, Epsilon, NoiseMultiplier, SamplingRate};

/// Epsilon of these rounds if users were drawn for certain, to the last digits and rounded up (Balle, Wang 2018, Theorem
/// 8). Where they are not, it is what holds without secret sampling.
pub fn epsilon(rounds: &[(SampledGaussian, u64)], delta: Delta, relation: Relation) -> f64 {
    let squares: f64 = rounds
        .iter()
        .map(|(mechanism, count)| *count as f64 / mechanism.noise_multiplier.get().powi(2))
        .sum();
    let sensitivity = match relation {
        Relation::AddRemove => 1.0,
        Relation::Replace => 2.0,
    };
    of_shift(sensitivity * squares.sqrt(), delta.get())
}

/// Epsilon of so many Gaussian mechanisms of each z together, nothing sampled, for adding or removing one user.
pub fn unsampled(mechanisms: &[(NoiseMultiplier, u64)], delta: Delta) -> f64 {
    let sampling_rate = SamplingRate::new(1.0).expect("1 is a sampling rate");
    let rounds: Vec<(SampledGaussian, u64)> = mechanisms
        .iter()
        .map(|&(noise_multiplier, times)| {
            let mechanism = SampledGaussian {
                noise_multiplier,
                sampling_rate,
            };
            (mechanism, times)
        })
        .collect();
    epsilon(&rounds, delta, Relation::AddRemove)
}

/// The most that anybody can be right about which of two unit normal distributions `mu` apart a draw is of, from even odds: from
/// one half, which is guessing, to 1 (Dong, Roth, Su 2022).
pub fn most_certainty(mu: f64) -> f64 {
    tail_below(0.5 * mu)
}

/// mu: the largest shift of two unit normal distributions (to one part in 10^12, rounded down) whose epsilon at `delta` is at
/// most `epsilon`. Rounds in which every user is cost it together: the sum of 1/z^2 is mu^2 (Dong, Roth, Su 2022).
pub fn mu_of(epsilon: Epsilon, delta: Delta) -> f64 {
    let holds = |shift: f64| of_shift(shift, delta.get()) <= epsilon.get();
    let (mut low, mut high) = (0.0, 1.0);
    while holds(high) && high < 1e9 {
        (low, high) = (high, 2.0 * high);
    }
    while high - low > 1e-13 * high {
        let middle = 0.5 * (low + high);
        if middle <= low || middle >= high {
            break;
        }
        if holds(middle) {
            low = middle;
        } else {
            high = middle;
        }
    }
    low
}

/// Epsilon at `delta` of two unit normal distributions `mu` apart, to the last digits and rounded up: of mu-GDP (Dong, Roth, Su 2022,
/// Corollary 2.13).
pub fn epsilon_of(mu: f64, delta: Delta) -> f64 {
    of_shift(mu, delta.get())
}

/// Of two unit normal distributions `shift` apart.
fn of_shift(shift: f64, delta: f64) -> f64 {
    if !shift.is_finite() {
        return f64::INFINITY;
    }
    if shift == 0.0 || delta_of(shift, 0.0) <= delta {
        return 0.0;
    }
    let (mut low, mut high) = (0.0, 1.0);
    while delta_of(shift, high) > delta {
        (low, high) = (high, 2.0 * high);
        if high > 1e9 {
            return f64::INFINITY;
        }
    }
    while high - low > 1e-12 * high.max(1e-3) {
        let middle = 0.5 * (low + high);
        if delta_of(shift, middle) > delta {
            low = middle;
        } else {
            high = middle;
        }
    }
    high
}

fn delta_of(shift: f64, epsilon: f64) -> f64 {
    let (here, there) = (0.5 * shift - epsilon / shift, -0.5 * shift - epsilon / shift);
    // Where exp(epsilon) would overflow, the tail it multiplies is 0 already, and delta is rounded up.
    let second = tail_below(there);
    tail_below(here) - if second > 0.0 { epsilon.exp() * second } else { 0.0 }
}

fn tail_below(t: f64) -> f64 {
    0.5 * libm::erfc(-t * std::f64::consts::FRAC_1_SQRT_2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn from_even_odds_certainty_is_the_normal_distribution_at_half_of_mu() {
        // scipy.stats.norm.cdf(mu / 2)
        for (mu, right) in [
            (0.0, 0.5),
            (1.0, 0.691_462_461_274_013),
            (3.0, 0.933_192_798_731_141_9),
        ] {
            assert!((most_certainty(mu) - right).abs() < 1e-12, "{mu}");
        }
        assert_eq!(most_certainty(f64::INFINITY), 1.0);
    }

    #[test]
    fn mu_is_what_gives_the_epsilon_and_no_more() {
        let delta = Delta::new(1e-5).unwrap();
        // By bisection of Balle and Wang's closed form in numpy.
        for (epsilon, mu) in [
            (8.0, 1.666_030_597_8),
            (4.0, 0.924_930_897_7),
            (2.0, 0.501_551_689_2),
            (1.0, 0.268_051_123_2),
        ] {
            let found = mu_of(Epsilon::new(epsilon).unwrap(), delta);
            assert!((found - mu).abs() < 2e-10, "{epsilon}: {found}");
            assert!(of_shift(found, 1e-5) <= epsilon && of_shift(found * (1.0 + 1e-10), 1e-5) > epsilon);
        }
        // At epsilon 0 delta alone is left: mu is the total variation's.
        let least = mu_of(Epsilon::new(0.0).unwrap(), delta);
        assert!(
            least > 0.0 && delta_of(least, 0.0) <= 1e-5 && least < 3e-5,
            "{least}"
        );
        assert!(mu_of(Epsilon::new(1e15).unwrap(), delta).is_finite());
    }
}
