//! What turns rounds into epsilon, for adding or removing one user.
//!
//! | module | bound |
//! |---|---|
//! | [`rdp`] | Rényi differential privacy of the Poisson-sampled Gaussian, composed round by round |

pub mod rdp;

use std::collections::BTreeMap;

use super::params::{Delta, Epsilon, NoiseMultiplier, SamplingRate};

/// The relation that every figure of this module is for.
pub const RELATION: &str = "add-remove";
/// Whose privacy: one user with all their records.
pub const UNIT: &str = "user";

/// One round's mechanism.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SampledGaussian {
    /// z.
    pub noise_multiplier: NoiseMultiplier,
    /// q.
    pub sampling_rate: SamplingRate,
}

/// Rounds as they were, each with its own noise and sampling rate.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Composition {
    /// By the bits of (z, q), which order positive numbers as the numbers do.
    rounds: BTreeMap<(u64, u64), (SampledGaussian, u64)>,
    unprotected: u64,
}

impl Composition {
    /// `rounds` rounds of the same mechanism.
    pub fn of(mechanism: SampledGaussian, rounds: u64) -> Self {
        let mut composition = Self::default();
        composition.add(mechanism, rounds);
        composition
    }

    /// Adds `rounds` rounds.
    pub fn add(&mut self, mechanism: SampledGaussian, rounds: u64) {
        let key = (
            mechanism.noise_multiplier.get().to_bits(),
            mechanism.sampling_rate.get().to_bits(),
        );
        let count = &mut self.rounds.entry(key).or_insert((mechanism, 0)).1;
        *count = count.saturating_add(rounds);
    }

    /// Adds a round without noise: no epsilon bounds the composition any more.
    pub fn add_unprotected(&mut self) {
        self.unprotected = self.unprotected.saturating_add(1);
    }

    /// Rounds of all kinds.
    pub fn rounds(&self) -> u64 {
        let protected = self.rounds.values().map(|(_, rounds)| *rounds);
        protected.fold(self.unprotected, u64::saturating_add)
    }

    /// The mechanisms, and how often each ran.
    pub fn mechanisms(&self) -> impl Iterator<Item = (SampledGaussian, u64)> {
        self.rounds.values().copied()
    }

    /// Epsilon at `delta` by [`rdp`]; None when nothing bounds it.
    pub fn epsilon(&self, delta: Delta) -> Option<Epsilon> {
        if self.unprotected > 0 {
            return None;
        }
        Epsilon::new(rdp::epsilon(
            &self.rounds.values().copied().collect::<Vec<_>>(),
            delta,
        ))
        .ok()
    }
}
