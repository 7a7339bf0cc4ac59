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
//! out negative tells its size, and twice that is added.
//!
//! Continuous Gaussian. Our discrete one on the integer grid is at most as revealing in every Rényi order; in this
//! distribution it is the continuous one up to exp(-2 pi^2 stddev^2), and a plan has at least 16 grid units.

use std::iter;

use realfft::RealFftPlanner;
use realfft::num_complex::Complex;

use super::{Relation, SampledGaussian};
use crate::privacy::params::Delta;

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

/// Which of the two outputs is P.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Direction {
    /// P with the user, Q without.
    Remove,
    /// P without the user, Q with.
    Add,
    /// P with the user's data, Q with other data in its place.
    Replace,
}

/// One round, one way.
#[derive(Clone, Copy, Debug)]
struct Pair {
    direction: Direction,
    z: f64,
    q: f64,
}

impl Pair {
    /// The normal components of P: mean and weight. Their standard deviation is z.
    fn p(&self) -> [(f64, f64); 2] {
        match self.direction {
            Direction::Remove | Direction::Replace => [(0.0, 1.0 - self.q), (1.0, self.q)],
            Direction::Add => [(0.0, 1.0), (1.0, 0.0)],
        }
    }

    /// Those of Q.
    fn q(&self) -> [(f64, f64); 2] {
        match self.direction {
            Direction::Remove => [(0.0, 1.0), (1.0, 0.0)],
            Direction::Add => [(0.0, 1.0 - self.q), (1.0, self.q)],
            Direction::Replace => [(0.0, 1.0 - self.q), (-1.0, self.q)],
        }
    }

    /// The loss at an outcome, or minus it for [`Direction::Add`], so that it rises with the outcome.
    fn rising_loss(&self, x: f64) -> f64 {
        let (q, square) = (self.q, self.z * self.z);
        let drawn = |exponent: f64| log_add((-q).ln_1p(), q.ln() + exponent);
        match self.direction {
            Direction::Remove | Direction::Add => drawn((x - 0.5) / square),
            Direction::Replace => drawn((x - 0.5) / square) - drawn((-x - 0.5) / square),
        }
    }

    /// The outcome at which [`Self::rising_loss`] is `loss`.
    fn outcome(&self, loss: f64) -> f64 {
        let (q, square) = (self.q, self.z * self.z);
        match self.direction {
            Direction::Remove | Direction::Add => {
                let ratio = loss.exp_m1() / q;
                if ratio <= -1.0 {
                    f64::NEG_INFINITY
                } else {
                    0.5 + square * ratio.ln_1p()
                }
            }
            // With u = exp(x / z^2): q c u^2 + (1-q)(1 - e^loss) u - e^loss q c = 0, c = exp(-1 / 2 z^2); odd in the loss.
            Direction::Replace => {
                let size = loss.abs();
                let (half, c) = ((1.0 - q) * size.exp_m1(), q * (-0.5 / square).exp());
                let root = (half * half + 4.0 * c * c * size.exp()).sqrt();
                (square * ((half + root) / (2.0 * c)).ln()).copysign(loss)
            }
        }
    }

    /// Lowest and highest loss; outside, P has at most twice `mass`.
    fn losses(&self, mass: f64) -> (f64, f64) {
        let reach = self.z * (-2.0 * mass.ln()).sqrt();
        match self.direction {
            Direction::Remove => (self.rising_loss(-reach), self.rising_loss(1.0 + reach)),
            Direction::Add => (-self.rising_loss(reach), -self.rising_loss(-reach)),
            Direction::Replace => (self.rising_loss(-1.0 - reach), self.rising_loss(1.0 + reach)),
        }
    }

    /// The distribution of the loss on a grid of `step`.
    fn discretise(&self, step: f64, mass: f64) -> Losses {
        let (low, high) = self.losses(mass);
        let (first, last) = ((low / step).floor() as i64, (high / step).ceil() as i64);
        let mut at = vec![0.0; (last - first + 1) as usize];
        let mut edge = self.edge(first as f64 * step);
        // Below the grid: moved up to it.
        at[0] = self.below(&edge).0;
        let (shrink, width) = ((-step).exp(), -(-step).exp_m1());
        for index in first..last {
            let next = self.edge((index + 1) as f64 * step);
            let (p, q) = self.between(&edge, &next);
            // w_left + w_right = p and w_left e^-left + w_right e^-right = q.
            let left = ((q * (index as f64 * step).exp() - p * shrink) / width).clamp(0.0, p);
            at[(index - first) as usize] += left;
            at[(index - first + 1) as usize] += p - left;
            edge = next;
        }
        Losses {
            first,
            infinite: self.above(&edge).0,
            at,
        }
    }

    /// Tails of every component at the outcome that has this loss.
    fn edge(&self, loss: f64) -> Edge {
        let x = match self.direction {
            Direction::Add => self.outcome(-loss),
            Direction::Remove | Direction::Replace => self.outcome(loss),
        };
        let tail = |(mean, weight): (f64, f64)| match weight {
            0.0 => Tail {
                above_mean: false,
                mass: 0.0,
            },
            _ => Tail::of((x - mean) / self.z),
        };
        Edge {
            p: self.p().map(tail),
            q: self.q().map(tail),
        }
    }

    /// Mass of P and of Q between two losses, the lower one first.
    fn between(&self, low: &Edge, high: &Edge) -> (f64, f64) {
        let (left, right) = match self.direction {
            Direction::Add => (high, low),
            Direction::Remove | Direction::Replace => (low, high),
        };
        let sum = |parts: [(f64, f64); 2], left: &[Tail; 2], right: &[Tail; 2]| {
            iter::zip(parts, iter::zip(left, right))
                .map(|((_, weight), (left, right))| weight * left.up_to(right))
                .sum::<f64>()
        };
        (sum(self.p(), &left.p, &right.p), sum(self.q(), &left.q, &right.q))
    }

    fn below(&self, edge: &Edge) -> (f64, f64) {
        self.between(&self.end(false), edge)
    }

    fn above(&self, edge: &Edge) -> (f64, f64) {
        self.between(edge, &self.end(true))
    }

    /// The end of the line with the highest losses, or with the lowest.
    fn end(&self, highest: bool) -> Edge {
        let falls = self.direction == Direction::Add;
        let tail = Tail {
            above_mean: highest != falls,
            mass: 0.0,
        };
        Edge {
            p: [tail; 2],
            q: [tail; 2],
        }
    }
}

/// What the components have beyond one outcome.
struct Edge {
    p: [Tail; 2],
    q: [Tail; 2],
}

/// The smaller side of a normal distribution at one point.
#[derive(Clone, Copy, Debug)]
struct Tail {
    above_mean: bool,
    mass: f64,
}

impl Tail {
    /// At `t` standard deviations from the mean.
    fn of(t: f64) -> Self {
        Self {
            above_mean: t > 0.0,
            mass: 0.5 * libm::erfc(t.abs() * std::f64::consts::FRAC_1_SQRT_2),
        }
    }

    /// The mass from here to `right`.
    fn up_to(&self, right: &Self) -> f64 {
        let mass = match (self.above_mean, right.above_mean) {
            (true, _) => self.mass - right.mass,
            (false, false) => right.mass - self.mass,
            (false, true) => 1.0 - self.mass - right.mass,
        };
        mass.max(0.0)
    }
}

/// A discrete distribution of losses: `at[i]` at (`first` + i) steps, and the rest at infinity.
struct Losses {
    first: i64,
    at: Vec<f64>,
    infinite: f64,
}

impl Losses {
    /// ln E exp(order * loss) over what is finite.
    fn log_moment(&self, step: f64, order: f64) -> f64 {
        let exponent = |index: usize| order * step * (self.first + index as i64) as f64;
        let ends = exponent(0).max(exponent(self.at.len() - 1));
        let sum: f64 = self
            .at
            .iter()
            .enumerate()
            .map(|(index, mass)| mass * (exponent(index) - ends).exp())
            .sum();
        ends + sum.ln()
    }
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
    // So little that it can't be seen in epsilon, and so much that the window stays small.
    let lost = delta * LOST;
    let mass = lost / total;
    let window = Window::choose(&pairs, lost, mass);
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

fn log_add(a: f64, b: f64) -> f64 {
    let most = a.max(b);
    if most == f64::NEG_INFINITY {
        return most;
    }
    most + (-(a - b).abs()).exp().ln_1p()
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Stopwatch;
    use crate::privacy::accountant::{gaussian, rdp, vectors};
    use crate::privacy::params::{NoiseMultiplier, SamplingRate};

    fn mechanism(z: f64, q: f64) -> SampledGaussian {
        SampledGaussian {
            noise_multiplier: NoiseMultiplier::new(z).unwrap(),
            sampling_rate: SamplingRate::new(q).unwrap(),
        }
    }

    fn eps(z: f64, q: f64, rounds: u64, delta: f64, relation: Relation) -> f64 {
        epsilon(&[(mechanism(z, q), rounds)], Delta::new(delta).unwrap(), relation)
    }

    #[test]
    fn every_cell_of_the_reference_agrees_and_rdp_is_never_below() {
        let rows = vectors::table("accountant.csv");
        assert_eq!(rows.len(), 540);
        let (mut checked, mut worst) = (0, 0.0f64);
        let clock = Stopwatch::start();
        for row in &rows {
            let [z, q, rounds, delta, _, by_pld, exact] = row[..] else {
                panic!("{row:?}")
            };
            if by_pld.is_nan() || by_pld >= 20.0 {
                continue;
            }
            let ours = eps(z, q, rounds as u64, delta, Relation::AddRemove);
            let allowed = (0.005 * by_pld).max(0.002);
            assert!((ours - by_pld).abs() <= allowed, "{row:?}: {ours}");
            assert!(
                exact.is_nan() || ours >= exact - 1e-9,
                "{row:?}: {ours} is below the closed form"
            );
            let loose = rdp::epsilon(&[(mechanism(z, q), rounds as u64)], Delta::new(delta).unwrap());
            assert!(loose >= ours - 1e-9, "{row:?}: {ours}, rdp {loose}");
            worst = worst.max((ours - by_pld).abs() / allowed);
            checked += 1;
        }
        let per_cell_ms = clock.secs() * 1000.0 / f64::from(checked);
        eprintln!("{checked} cells, worst {worst:.3} of what is allowed, {per_cell_ms:.1} ms each");
        assert!(checked > 350);
    }

    /// Every outcome's loss rounded down to the grid, and what is above the grid to its top: no epsilon can be smaller,
    /// but for what the window loses.
    fn from_below(z: f64, q: f64, rounds: u64, delta: f64) -> f64 {
        let one_way = |direction| {
            let (pair, mass) = (Pair { direction, z, q }, delta * LOST / rounds as f64);
            let window = Window::choose(&[(pair, rounds)], delta * LOST, mass);
            let mut losses = pair.discretise(window.step, mass);
            let first = losses.first;
            let edges: Vec<Edge> = (0..losses.at.len() as i64)
                .map(|index| pair.edge((first + index) as f64 * window.step))
                .collect();
            for (mass, edges) in losses.at.iter_mut().zip(edges.windows(2)) {
                *mass = pair.between(&edges[0], &edges[1]).0;
            }
            let last = losses.at.len() - 1;
            losses.at[last] = std::mem::take(&mut losses.infinite);
            window.compose(&[(losses, rounds)], delta * (1.0 + 10.0 * LOST))
        };
        one_way(Direction::Remove).max(one_way(Direction::Add))
    }

    #[test]
    fn it_is_above_a_bound_from_below_and_close_to_it() {
        for (z, q, rounds) in [
            (1.0, 0.01, 100),
            (2.0, 0.05, 20),
            (0.8, 0.3, 5),
            (4.0, 0.5, 10),
            (1.0, 0.1, 1),
        ] {
            let (ours, least) = (
                eps(z, q, rounds, 1e-6, Relation::AddRemove),
                from_below(z, q, rounds, 1e-6),
            );
            assert!(
                least <= ours && ours < least * 1.01 + 0.002,
                "{z} {q} {rounds}: {least} {ours}"
            );
        }
    }

    #[test]
    fn named_figures_of_both_relations() {
        for (z, q, rounds, delta, relation, expected) in [
            (1.0, 0.01, 1000, 1e-6, Relation::AddRemove, 2.1245),
            (1.0, 0.01, 1000, 1e-5, Relation::AddRemove, 1.8282),
            (1.0, 0.1, 100, 1e-6, Relation::AddRemove, 8.0586),
            (2.0, 0.05, 1000, 1e-6, Relation::AddRemove, 4.1626),
            (4.0, 0.5, 100, 1e-6, Relation::AddRemove, 6.5415),
            (1.0, 0.01, 1000, 1e-6, Relation::Replace, 3.2148),
            (2.0, 0.05, 1000, 1e-6, Relation::Replace, 8.2970),
        ] {
            let ours = eps(z, q, rounds, delta, relation);
            assert!(
                (ours - expected).abs() < 0.001f64.max(0.0005 * expected),
                "{z} {q} {rounds} {delta} {relation:?}: {ours}, expected {expected}"
            );
        }
    }

    #[test]
    fn rounds_of_different_kinds_add_up_in_any_order_and_equal_ones_as_one_kind() {
        let delta = Delta::new(1e-6).unwrap();
        let of = |rounds: &[(SampledGaussian, u64)]| epsilon(rounds, delta, Relation::AddRemove);
        let (a, b) = (mechanism(1.0, 0.01), mechanism(2.0, 0.1));
        let both = of(&[(a, 100), (b, 50)]);
        assert!((both - of(&[(b, 50), (a, 100)])).abs() < 1e-9);
        assert!((of(&[(a, 100)]) - of(&[(a, 40), (a, 60)])).abs() < 1e-9);
        assert!(both > of(&[(a, 100)]) && both > of(&[(b, 50)]));
        assert_eq!(of(&[]), 0.0);
        assert_eq!(of(&[(a, 0)]), 0.0);
    }

    #[test]
    fn without_sampling_it_is_the_closed_form() {
        for relation in [Relation::AddRemove, Relation::Replace] {
            for (z, rounds) in [(1.0, 1), (4.0, 7), (20.0, 100)] {
                let rounds = [(mechanism(z, 1.0), rounds)];
                let delta = Delta::new(1e-5).unwrap();
                let (ours, exact) = (
                    epsilon(&rounds, delta, relation),
                    gaussian::epsilon(&rounds, delta, relation),
                );
                assert!(
                    ours >= exact - 1e-9 && ours <= exact + 0.001 * exact.max(1.0),
                    "{ours} {exact}"
                );
            }
        }
    }

    #[test]
    fn extremes_are_bounds_or_infinite_but_never_panic() {
        for z in [1e-3, 0.1, 1.0, 1e3, 1e6] {
            for q in [1e-9, 0.3, 1.0] {
                for rounds in [1, 1_000_000_000] {
                    for relation in [Relation::AddRemove, Relation::Replace] {
                        let ours = eps(z, q, rounds, 1e-9, relation);
                        assert!(ours >= 0.0, "{z} {q} {rounds}: {ours}");
                    }
                }
            }
        }
    }
}
