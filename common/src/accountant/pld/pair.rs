//! One round: the distribution of its privacy loss, on a grid.

use std::iter;

/// Which of the two outputs is P.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Direction {
    /// P with the user, Q without.
    Remove,
    /// P without the user, Q with.
    Add,
    /// P with the user's data, Q with other data in its place.
    Replace,
}

/// One round, one way.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pair {
    pub(crate) direction: Direction,
    pub(crate) z: f64,
    pub(crate) q: f64,
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
    pub(crate) fn losses(&self, mass: f64) -> (f64, f64) {
        let reach = self.z * (-2.0 * mass.ln()).sqrt();
        match self.direction {
            Direction::Remove => (self.rising_loss(-reach), self.rising_loss(1.0 + reach)),
            Direction::Add => (-self.rising_loss(reach), -self.rising_loss(-reach)),
            Direction::Replace => (self.rising_loss(-1.0 - reach), self.rising_loss(1.0 + reach)),
        }
    }

    /// The distribution of the loss on a grid of `step`.
    pub(crate) fn discretise(&self, step: f64, mass: f64) -> Losses {
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
    pub(crate) fn edge(&self, loss: f64) -> Edge {
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
    pub(crate) fn between(&self, low: &Edge, high: &Edge) -> (f64, f64) {
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
pub(crate) struct Edge {
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
pub(crate) struct Losses {
    pub(crate) first: i64,
    pub(crate) at: Vec<f64>,
    pub(crate) infinite: f64,
}

impl Losses {
    /// ln E exp(order * loss) over what is finite.
    pub(crate) fn log_moment(&self, step: f64, order: f64) -> f64 {
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

fn log_add(a: f64, b: f64) -> f64 {
    let most = a.max(b);
    if most == f64::NEG_INFINITY {
        return most;
    }
    most + (-(a - b).abs()).exp().ln_1p()
}
