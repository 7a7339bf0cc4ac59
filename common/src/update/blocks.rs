//! Blocks: the parts of the one vector that a round sums.

use std::ops::Range;

use crate::params::NoiseMultiplier;

/// What a block holds.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum BlockName {
    /// The clipped model update.
    Update,
    /// [`Counts`](super::Counts) of how well the broadcast model ranked.
    Counts,
}

/// One part of the vector that a round sums. Every coordinate of every block carries the same noise; a block that wants more
/// or less of it for its own sensitivity has another scale.
#[derive(Clone, Debug, PartialEq)]
pub struct Block {
    /// What it holds.
    pub name: BlockName,
    /// Where it stands.
    pub coordinates: Range<usize>,
    /// The most that one user adds to it in L2, as a multiple of C*s.
    pub sensitivity: f64,
    /// The noise over the sensitivity: the z that this block alone would be charged at; none without privacy.
    pub noise_multiplier: Option<NoiseMultiplier>,
}

/// z of several blocks of one user together: (sum of z_i^-2)^-1/2, a little less for the rounding; none if one has none.
pub fn together(blocks: &[Block]) -> Option<NoiseMultiplier> {
    let all: Option<Vec<f64>> = blocks
        .iter()
        .map(|block| block.noise_multiplier.map(NoiseMultiplier::get))
        .collect();
    // As quotients of numbers that do not overflow.
    let both = |a: f64, b: f64| a * b / a.hypot(b) * (1.0 - 4.0 * f64::EPSILON);
    NoiseMultiplier::new(all?.into_iter().reduce(both)?).ok()
}
