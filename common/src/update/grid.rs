//! The integer grid that updates stand on: scale, sensitivity, and the unit of quality counts.

use serde::{Deserialize, Serialize};

use super::modulus::ModulusBits;

/// The grid that updates of one plan live on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Grid {
    /// b.
    pub bits: ModulusBits,
    /// C*s as a power of two: `1 << log2_clip`. A user's integer vector has at most this L2 norm.
    pub log2_clip: u32,
    /// C.
    pub clip_norm: f64,
    /// Standard deviation of one shop's noise in grid units: z*C*s over the root of the noise's shares; 0 without
    /// privacy.
    pub noise_stddev: f64,
}

impl Grid {
    /// s: grid units per unit of the update.
    pub fn scale(&self) -> f64 {
        self.clip_units() / self.clip_norm
    }

    /// C*s: the sensitivity of the integer sum.
    pub fn clip_units(&self) -> f64 {
        (1u64 << self.log2_clip) as f64
    }
}

/// Quality counts on a plan's grid: two coordinates after the model's. A user who could be ranked adds one unit to the first,
/// and one to the second for a hit.
///
/// Every coordinate carries the same noise. z_e sets the unit: sqrt(2) of them, the most that a user adds in L2, are at
/// most z*C*s / z_e.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct CountsGrid {
    /// Grid units of one user.
    pub unit: u64,
}

impl CountsGrid {
    /// How many coordinates they take.
    pub const COORDINATES: usize = 2;

    /// What the two summed coordinates say, whose noise has a standard deviation of `noise_stddev` grid units.
    pub fn read(&self, sums: [i64; 2], noise_stddev: f64) -> Counts {
        let unit = self.unit as f64;
        let [users, hits] = sums.map(|sum| sum as f64 / unit);
        Counts {
            users,
            hits,
            stddev: noise_stddev / unit,
        }
    }
}

/// How the broadcast model ranked the newest purchase of the users that were drawn, summed over shops and noised.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Serialize)]
pub struct Counts {
    /// Users who could be ranked; not a whole number, for the noise.
    pub users: f64,
    /// Of those, the ones whose newest purchase was among the first ten.
    pub hits: f64,
    /// Standard deviation of the noise in either.
    pub stddev: f64,
}

impl Counts {
    /// Hit rate at 10, and the standard deviation that the noise leaves in it (to first order); none when the noise is as
    /// large as the count.
    pub fn hit_rate(&self) -> Option<(f64, f64)> {
        let rate = self.hits / self.users;
        (self.users > 4.0 * self.stddev)
            .then(|| (rate.clamp(0.0, 1.0), self.stddev / self.users * rate.hypot(1.0)))
    }
}
