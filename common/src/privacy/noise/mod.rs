//! Discrete Gaussian noise on the integers, exactly, and drawn before any data is read.
//!
//! | module | sampler |
//! |---|---|
//! | [`exact`] | compares integers with integers: slow, and the oracle |
//! | [`fast`] | one table entry and one comparison a draw: the same distribution, for large standard deviations |
//! | `digits` | settles what the fast one's floating-point numbers leave open |
//!
//! Neither has a distance to the discrete Gaussian, so the accountant adds nothing to delta for sampling. What is not
//! covered is what both take for granted: that the generator's words are uniform and independent.

mod digits;
pub mod exact;
pub mod fast;
#[cfg(test)]
mod tests;

pub use exact::DiscreteGaussian;
pub use fast::FastGaussian;

use std::marker::PhantomData;

use crate::rng::{Source, Stream, words};
use crate::update::{Grid, UpdateValues};

/// Noise for every coordinate of one update, drawn before any data is read. `S` is where it came from, so that noise of a
/// known seed does not pass for a shop's:
///
/// ```compile_fail,E0308
/// use souk_common::privacy::NoiseVector;
/// use souk_common::rng::{Secret, stream};
/// use souk_common::update::Grid;
/// fn leaves_a_shop(noise: NoiseVector<Secret>) {}
/// fn known(grid: &Grid) {
///     leaves_a_shop(NoiseVector::draw(grid, 3, &mut stream(1, "a seed")));
/// }
/// ```
pub struct NoiseVector<S> {
    values: UpdateValues,
    stddev: u64,
    source: PhantomData<S>,
}

impl<S: Source> NoiseVector<S> {
    /// One draw a coordinate, at the grid's standard deviation rounded up to a whole number of grid units; all zeros
    /// for a plan without privacy.
    pub fn draw(grid: &Grid, coordinates: usize, source: &mut S) -> Self {
        // Saturates; a grid never has a standard deviation that the samplers do not take (see Grid::for_plan).
        let stddev = (grid.noise_stddev.ceil() as u64).min(MOST_STDDEV);
        let mut values = UpdateValues::zeros(grid.bits, coordinates);
        let rng = words(source);
        match &mut values {
            UpdateValues::B32(words) => fill(words, stddev, rng),
            UpdateValues::B64(words) => fill(words, stddev, rng),
        }
        Self {
            values,
            stddev,
            source: PhantomData,
        }
    }
}

impl<S> NoiseVector<S> {
    /// How many coordinates.
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// Whether there is no coordinate.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// In grid units.
    pub fn stddev(&self) -> u64 {
        self.stddev
    }

    pub(super) fn into_values(self) -> UpdateValues {
        self.values
    }
}

/// Leaves `words` alone where there is no noise.
fn fill<W: Reduced>(words: &mut [W], stddev: u64, rng: &mut Stream) {
    if let Some(sampler) = FastGaussian::new(stddev) {
        sampler.fill(words, rng);
    } else if let Some(sampler) = DiscreteGaussian::new(stddev) {
        words
            .iter_mut()
            .for_each(|word| *word = W::reduced(sampler.sample(rng)));
    }
}

/// What a draw is kept as.
pub trait Reduced {
    /// Modulo 2^b.
    fn reduced(draw: i64) -> Self;
}

impl Reduced for u32 {
    #[inline(always)]
    fn reduced(draw: i64) -> Self {
        draw as Self
    }
}

impl Reduced for u64 {
    #[inline(always)]
    fn reduced(draw: i64) -> Self {
        draw as Self
    }
}

impl Reduced for i64 {
    #[inline(always)]
    fn reduced(draw: i64) -> Self {
        draw
    }
}

/// Largest standard deviation that the samplers take: squares of 64 of them stay well within 128 bits.
pub const MOST_STDDEV: u64 = 1 << 40;
