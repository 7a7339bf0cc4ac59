//! Rényi differential privacy of the Poisson-sampled Gaussian (Mironov, Talwar, Zhang 2019), add/remove one user.
//!
//! The order-alpha moment of one round is A = E[((1-q) + q exp((2x-1)/(2z^2)))^alpha], x ~ N(0, z^2), an upper bound for
//! both directions of the relation. It is computed here for every real order alike, by the trapezoid rule on the real
//! line, whose error is known. With t = x/z, the integrand g is analytic for |Im t| < pi z, and there
//! |g(t + iy)| <= exp(y^2/2) g(t), as the absolute value of a sum is at most the sum of absolute values; so by Poisson's
//! summation formula a step h errs by at most 2 exp(y^2/2 - 2 pi y/h) A for every y in that strip. The step is chosen
//! to make this at most 2 exp(-36). The same argument with h = 1 grid unit says that the discrete Gaussian has the same
//! moments as the continuous one, up to less than that error, at a plan's scales.

use super::SampledGaussian;
use crate::privacy::params::{Delta, Epsilon, NoiseMultiplier, SamplingRate};

/// Epsilon of all these rounds together, rounded up; infinite only when numbers overflow.
///
/// Converted by Proposition 12 of Canonne, Kamath, Steinke 2020 at the best order found; each order gives a valid bound.
pub fn epsilon(rounds: &[(SampledGaussian, u64)], delta: Delta) -> f64 {
    let delta = delta.get();
    let mut scratch = Vec::new();
    let mut at = |log_excess: f64| {
        let excess = log_excess.exp();
        let moment: f64 = rounds
            .iter()
            .filter(|(_, count)| *count > 0)
            .map(|(mechanism, count)| *count as f64 * log_moment(mechanism, excess, &mut scratch))
            .sum();
        epsilon_at_order(moment, excess, delta)
    };
    // A coarse walk up the orders, then a golden-section search around the best of them.
    let (mut best, mut best_at, mut worse_in_a_row) = (f64::INFINITY, LEAST_LOG_EXCESS, 0);
    for step in 0..STEPS {
        let log_excess = LEAST_LOG_EXCESS + f64::from(step) * LOG_STEP;
        let value = at(log_excess);
        if value < best {
            (best, best_at, worse_in_a_row) = (value, log_excess, 0);
        } else {
            worse_in_a_row += 1;
        }
        if best == 0.0 || worse_in_a_row == GIVE_UP_AFTER {
            break;
        }
    }
    best.min(golden_section(&mut at, best_at - LOG_STEP, best_at + LOG_STEP))
}

/// The smallest noise multiplier (to one part in a million, rounded up) with which `rounds` rounds stay within
/// `epsilon`.
///
/// # Errors
/// When no noise multiplier that Souk takes is enough.
pub fn noise_multiplier(
    sampling_rate: SamplingRate,
    rounds: u64,
    epsilon: Epsilon,
    delta: Delta,
) -> Result<NoiseMultiplier, CalibrationError> {
    let within = |z: NoiseMultiplier| {
        let mechanism = SampledGaussian {
            noise_multiplier: z,
            sampling_rate,
        };
        self::epsilon(&[(mechanism, rounds)], delta) <= epsilon.get()
    };
    let least = NoiseMultiplier::new(LEAST_NOISE).expect("a noise multiplier");
    let most = NoiseMultiplier::new(MOST_NOISE).expect("a noise multiplier");
    if within(least) {
        return Ok(least);
    }
    if !within(most) {
        return Err(CalibrationError {
            epsilon: epsilon.get(),
            rounds,
        });
    }
    let (mut low, mut high) = (least.get(), most);
    while high.get() > low * (1.0 + 1e-6) {
        let Ok(middle) = NoiseMultiplier::new((low * high.get()).sqrt()) else {
            break;
        };
        if within(middle) {
            high = middle;
        } else {
            low = middle.get();
        }
    }
    Ok(high)
}

/// No noise is enough.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
#[error(
    "no noise multiplier up to {MOST_NOISE} keeps {rounds} rounds within epsilon {epsilon}; raise epsilon or delta, \
     or take fewer rounds"
)]
pub struct CalibrationError {
    epsilon: f64,
    rounds: u64,
}

/// `moment` = (alpha - 1) times the Rényi divergence at order alpha = 1 + excess.
fn epsilon_at_order(moment: f64, excess: f64, delta: f64) -> f64 {
    let divergence = moment / excess;
    // Total variation <= sqrt(1 - exp(-KL)) (Bretagnolle and Huber), and KL <= the divergence of any order above 1.
    if -(-divergence).exp_m1() < delta * delta {
        return 0.0;
    }
    let order = 1.0 + excess;
    let epsilon = divergence + (excess / order).ln() - (delta.ln() + order.ln()) / excess;
    if epsilon.is_nan() {
        f64::INFINITY
    } else {
        epsilon.max(0.0)
    }
}

/// log A of one round at order 1 + excess, rounded up.
fn log_moment(mechanism: &SampledGaussian, excess: f64, terms: &mut Vec<f64>) -> f64 {
    let (z, q) = (mechanism.noise_multiplier.get(), mechanism.sampling_rate.get());
    let order = 1.0 + excess;
    // Without sampling; an upper bound with it, too.
    let unsampled = order * excess / (2.0 * z * z);
    if q == 1.0 {
        return unsampled;
    }
    let (pi, square) = (std::f64::consts::PI, std::f64::consts::PI.powi(2));
    // y = 2 pi/h is best where it lies in the strip, else its edge pi z.
    let wide = (2.0 * square / DIGITS).sqrt();
    let step = if 2.0 * pi / wide < pi * z * 0.99 {
        wide
    } else {
        let y = 0.99 * pi * z;
        2.0 * pi * y / (DIGITS + y * y / 2.0)
    };
    // Beyond these ends the integrand is below 2^order times a Gaussian tail of A's own size.
    let reach = (2.0 * (DIGITS + order * std::f64::consts::LN_2)).sqrt();
    let points = (order / z + 2.0 * reach) / step;
    if points > MOST_POINTS {
        return unsampled;
    }
    let (log_q, log_rest) = (q.ln(), (-q).ln_1p());
    terms.clear();
    // The largest term, and the size of the numbers it is a difference of.
    let (mut largest, mut magnitude) = (f64::NEG_INFINITY, 0.0f64);
    for point in 0..=points as usize + 1 {
        let t = -reach + point as f64 * step;
        let drawn = log_q + t / z - 0.5 / (z * z);
        let mixture = drawn.max(log_rest) + (-(drawn - log_rest).abs()).exp().ln_1p();
        let term = order * mixture - 0.5 * t * t;
        if term > largest {
            (largest, magnitude) = (term, (order * mixture).abs() + 0.5 * t * t);
        }
        terms.push(term);
    }
    let sum: f64 = terms.iter().map(|term| (term - largest).exp()).sum();
    let log_a = largest + (sum * step / (2.0 * pi).sqrt()).ln();
    (log_a.max(0.0) + 1e-13 + 4e-15 * magnitude).min(unsampled)
}

fn golden_section(at: &mut impl FnMut(f64) -> f64, mut low: f64, mut high: f64) -> f64 {
    let ratio = (5f64.sqrt() - 1.0) / 2.0;
    let (mut left, mut right) = (high - ratio * (high - low), low + ratio * (high - low));
    let (mut at_left, mut at_right) = (at(left), at(right));
    for _ in 0..14 {
        if at_left < at_right {
            (high, right, at_right) = (right, left, at_left);
            left = high - ratio * (high - low);
            at_left = at(left);
        } else {
            (low, left, at_left) = (left, right, at_right);
            right = low + ratio * (high - low);
            at_right = at(right);
        }
    }
    at_left.min(at_right)
}

/// Truncation and discretisation errors are of the order exp(-DIGITS).
const DIGITS: f64 = 36.0;
const MOST_POINTS: f64 = 50_000.0;
/// Orders from 1.001 to about 1 + 10^6.
const LEAST_LOG_EXCESS: f64 = -6.9;
const LOG_STEP: f64 = 0.4;
const STEPS: u32 = 53;
const GIVE_UP_AFTER: u32 = 5;
const LEAST_NOISE: f64 = 0.01;
const MOST_NOISE: f64 = 1e6;
