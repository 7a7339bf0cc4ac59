//! The privacy loss distribution of the Poisson-sampled Gaussian, composed by Fourier transform (Koskela et al. 2020;
//! discretised by connecting the dots, Doroshenko et al. 2022). It rounds against us.
//!
//! For a pair (P, Q) of outputs with and without the user, the loss of an outcome is ln P/Q. The losses are cut into
//! steps of one width, and the outcomes between two grid points are split between these so that they keep their
//! probability under P and under Q alike: delta as a function of exp(epsilon) then runs through the true values at the grid
//! points and along chords between them, and as it is convex, never below the truth. The masses come from differences
//! of tails that are accurate to the last digits, so nothing cancels. Losses below the grid move up to it, those above
//! count as infinite.
//!
//! A composition's losses are sums, so its distribution is a convolution power. The window of the transform holds all
//! but a stated mass (Chernoff's bound, evaluated on the grid): what is too high for it is counted as infinite, what is too low
//! wraps around to the top and is counted as worse than it is. So is the transform's own rounding: what comes
//! out negative tells its size, and twice that is added. Where that leaves nothing of delta, [`tails`] has another bound.
//!
//! This is for the continuous Gaussian. Ours is discrete, on the integer grid: its integer Rényi orders are exactly the
//! continuous ones, and its loss distribution is the continuous one up to exp(-2 pi^2 stddev^2), where a plan's standard
//! deviation is at least 16 grid units. The latter is an argument, not a proof.

mod pair;
mod tails;
#[cfg(test)]
mod tests;

use realfft::RealFftPlanner;
use realfft::num_complex::Complex;

use super::{Relation, SampledGaussian};
use crate::params::Delta;
use pair::{Direction, Losses, Pair};
pub use tails::delta_covers;

/// Epsilon of all these rounds together, rounded up; infinite when it is beyond the window that can be computed.
pub fn epsilon(rounds: &[(SampledGaussian, u64)], delta: Delta, relation: Relation) -> f64 {
    let rounds: Vec<_> = rounds.iter().copied().filter(|(_, count)| *count > 0).collect();
    let directions: &[Direction] = match relation {
        Relation::AddRemove => &[Direction::Remove, Direction::Add],
        Relation::Replace => &[Direction::Replace],
    };
    directions
        .iter()
        .map(|direction| one_way(&rounds, *direction, delta.get()))
        .fold(0.0, f64::max)
}

fn one_way(rounds: &[(SampledGaussian, u64)], direction: Direction, delta: f64) -> f64 {
    let total: f64 = rounds.iter().map(|(_, count)| *count as f64).sum();
    if total == 0.0 {
        return 0.0;
    }
    let pairs: Vec<(Pair, u64)> = rounds
        .iter()
        .map(|(mechanism, count)| {
            let pair = Pair {
                direction,
                z: mechanism.noise_multiplier.get(),
                q: mechanism.sampling_rate.get(),
            };
            (pair, *count)
        })
        .collect();
    match by_transform(&pairs, total, delta) {
        epsilon if epsilon.is_finite() => epsilon,
        _ => tails::epsilon(&pairs, delta),
    }
}

fn by_transform(pairs: &[(Pair, u64)], total: f64, delta: f64) -> f64 {
    // So little that it can't be seen in epsilon, and so much that the window stays small.
    let lost = delta * LOST;
    let mass = lost / total;
    let window = Window::choose(pairs, lost, mass);
    if !window.step.is_finite() || window.step > COARSEST {
        return f64::INFINITY;
    }
    let losses: Vec<(Losses, u64)> = pairs
        .iter()
        .map(|(pair, count)| (pair.discretise(window.step, mass), *count))
        .collect();
    window.compose(&losses, delta)
}

/// The losses that the transform can tell apart.
struct Window {
    step: f64,
    first: i64,
    /// The order of the moment that bounds what is above the window.
    order: f64,
}

impl Window {
    /// A window that holds all of the composition but about `lost` on either side.
    fn choose(pairs: &[(Pair, u64)], lost: f64, mass: f64) -> Self {
        let (mut low, mut high) = (f64::INFINITY, f64::NEG_INFINITY);
        for (pair, _) in pairs {
            let (lowest, highest) = pair.losses(mass);
            (low, high) = (low.min(lowest), high.max(highest));
        }
        let coarse = (high - low) / COARSE as f64;
        if !coarse.is_finite() || coarse <= 0.0 {
            return Self {
                step: f64::INFINITY,
                first: 0,
                order: 1.0,
            };
        }
        let rough: Vec<(Losses, u64)> = pairs
            .iter()
            .map(|(pair, count)| (pair.discretise(coarse, mass), *count))
            .collect();
        let moment = |order: f64| -> f64 {
            let each = |(losses, count): &(Losses, u64)| *count as f64 * losses.log_moment(coarse, order);
            rough.iter().map(each).sum()
        };
        // P(loss > h) <= exp(moment(order) - order h).
        let reach = |sign: f64| {
            let bounds = ORDERS.map(|size| {
                let order = sign * size;
                ((moment(order) - lost.ln()) / size, order)
            });
            bounds
                .into_iter()
                .filter(|(bound, _)| bound.is_finite())
                .min_by(|a, b| a.0.total_cmp(&b.0))
                .unwrap_or((f64::INFINITY, sign))
        };
        let ((top, order), (bottom, _)) = (reach(1.0), reach(-1.0));
        // One round on its own must fit as well.
        let (top, bottom) = (top.max(high), (-bottom).min(low));
        let step = (top - bottom) / (SIZE - 8) as f64;
        Self {
            step,
            first: (bottom / step).floor() as i64 - 2,
            order,
        }
    }

    /// The epsilon of these rounds together.
    fn compose(&self, rounds: &[(Losses, u64)], delta: f64) -> f64 {
        let mut planner = RealFftPlanner::<f64>::new();
        let (forward, inverse) = (planner.plan_fft_forward(SIZE), planner.plan_fft_inverse(SIZE));
        let mut product = vec![Complex::new(1.0, 0.0); SIZE / 2 + 1];
        let (mut finite, mut log_tail) = (1.0, 0.0);
        for (losses, count) in rounds {
            finite *= (*count as f64 * (-losses.infinite).ln_1p()).exp();
            log_tail += *count as f64 * losses.log_moment(self.step, self.order);
            let mut circle = vec![0.0; SIZE];
            for (index, mass) in losses.at.iter().enumerate() {
                circle[(losses.first + index as i64).rem_euclid(SIZE as i64) as usize] += mass;
            }
            let mut spectrum = forward.make_output_vec();
            if forward.process(&mut circle, &mut spectrum).is_err() {
                return f64::INFINITY;
            }
            for (product, value) in product.iter_mut().zip(spectrum) {
                *product *= power(value, *count);
            }
        }
        let mut composed = inverse.make_output_vec();
        // Rounding leaves a trace in what must be real.
        product[0].im = 0.0;
        product[SIZE / 2].im = 0.0;
        if inverse.process(&mut product, &mut composed).is_err() {
            return f64::INFINITY;
        }
        let above = (log_tail - self.order * (self.first + SIZE as i64) as f64 * self.step).exp();
        let rounding: f64 = composed.iter().map(|value| (-value).max(0.0)).sum::<f64>() / SIZE as f64;
        let infinite = (1.0 - finite).max(0.0) + above + 2.0 * rounding;
        self.first_epsilon_within(&composed, infinite, delta)
    }

    /// The smallest epsilon with sum of mass (1 - exp(epsilon - loss)) above it, plus `infinite`, at most `delta`.
    fn first_epsilon_within(&self, composed: &[f64], infinite: f64, delta: f64) -> f64 {
        let spare = delta - infinite;
        if spare.is_nan() || spare <= 0.0 {
            return f64::INFINITY;
        }
        // Sums over the losses above: of the mass, and of mass * exp(-loss), scaled by exp(loss) of the last one seen.
        let (mut mass, mut scaled) = (0.0, 0.0);
        let shrink = (-self.step).exp();
        for position in (0..SIZE).rev() {
            let index = self.first + position as i64;
            let loss = index as f64 * self.step;
            // Were epsilon this loss:
            if position + 1 < SIZE {
                scaled *= shrink;
            }
            if mass - scaled > spare {
                // Between this loss and the next one up: mass - exp(epsilon - loss) scaled = spare.
                let within = (((mass - spare) / scaled).ln()).clamp(0.0, self.step);
                return (loss + within).max(0.0);
            }
            let here = composed[index.rem_euclid(SIZE as i64) as usize].max(0.0) / SIZE as f64;
            mass += here;
            scaled += here;
        }
        0.0
    }
}

fn power(base: Complex<f64>, exponent: u64) -> Complex<f64> {
    let (mut result, mut square, mut rest) = (Complex::new(1.0, 0.0), base, exponent);
    while rest > 0 {
        if rest & 1 == 1 {
            result *= square;
        }
        square *= square;
        rest >>= 1;
    }
    result
}

/// Share of delta that may fall out of the window on either side.
const LOST: f64 = 1e-4;
/// Points of the transform.
const SIZE: usize = 1 << 17;
/// Points of the rough look that chooses the window.
const COARSE: usize = 1 << 11;
/// A grid wider than this says nothing.
const COARSEST: f64 = 0.05;
/// Orders of the moments that bound the tails.
const ORDERS: [f64; 24] = [
    0.1, 0.2, 0.35, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 6.5, 8.0, 10.0, 13.0, 17.0, 22.0, 30.0, 40.0,
    55.0, 75.0, 100.0, 150.0, 250.0,
];
