//! Every user in every round: composition of Gaussians is one Gaussian, and its epsilon is known exactly.

use super::{Relation, SampledGaussian};
use crate::params::Delta;

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
