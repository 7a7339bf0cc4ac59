//! What turns rounds into epsilon, for adding or removing one user.
//!
//! | module | bound |
//! |---|---|
//! | [`calibrate`] | the other way: from an epsilon to the noise |
//! | [`gaussian`] | exact, where every user is in every round |
//! | [`pld`] | the privacy loss distribution of the Poisson-sampled Gaussian, composed by Fourier transform |
//! | [`rdp`] | Rényi differential privacy of the Poisson-sampled Gaussian, composed round by round |

pub mod calibrate;
pub mod gaussian;
pub mod pld;
pub mod rdp;
#[cfg(test)]
mod vectors;

use std::collections::BTreeMap;

use super::params::{Delta, Epsilon, NoiseMultiplier, SamplingRate};

/// The relation that every figure of this module is for.
pub const RELATION: &str = "add-remove";
/// Whose privacy: one user with all their records.
pub const UNIT: &str = "user";

/// Which data sets are neighbours.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Relation {
    /// One has one user more.
    #[default]
    AddRemove,
    /// One user's records differ.
    Replace,
}

/// Which bound.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Accountant {
    /// By Rényi divergences alone.
    Rdp,
    /// By privacy loss distributions, or whichever of the others is tighter.
    #[default]
    Pld,
}

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

    /// Epsilon at `delta` for adding or removing one user, by the tightest bound; None when nothing bounds it.
    pub fn epsilon(&self, delta: Delta) -> Option<Epsilon> {
        self.epsilon_by(Accountant::Pld, Relation::AddRemove, delta)
    }

    /// Epsilon at `delta`; None when nothing bounds it, or the accountant does not know the relation.
    pub fn epsilon_by(&self, accountant: Accountant, relation: Relation, delta: Delta) -> Option<Epsilon> {
        if self.unprotected > 0 {
            return None;
        }
        let rounds: Vec<(SampledGaussian, u64)> = self.mechanisms().collect();
        let by_rdp = || match relation {
            Relation::AddRemove => rdp::epsilon(&rounds, delta),
            Relation::Replace => f64::INFINITY,
        };
        let epsilon = match accountant {
            Accountant::Rdp => by_rdp(),
            Accountant::Pld => {
                if pld::delta_covers(&rounds, delta, relation) {
                    return Epsilon::new(0.0).ok();
                }
                // What holds without sampling holds with it, too.
                let unsampled = gaussian::epsilon(&rounds, delta, relation);
                let sampled = |(mechanism, _): &(SampledGaussian, u64)| mechanism.sampling_rate.get() < 1.0;
                if !rounds.iter().any(sampled) {
                    unsampled
                } else if self.rounds() > MOST_COMPOSED {
                    unsampled.min(by_rdp())
                } else {
                    unsampled
                        .min(by_rdp())
                        .min(pld::epsilon(&rounds, delta, relation))
                }
            }
        };
        Epsilon::new(epsilon).ok()
    }

    /// Epsilon at `delta` if it were known who was drawn.
    pub fn epsilon_without_sampling(&self, relation: Relation, delta: Delta) -> Option<Epsilon> {
        if self.unprotected > 0 {
            return None;
        }
        let rounds: Vec<(SampledGaussian, u64)> = self.mechanisms().collect();
        Epsilon::new(gaussian::epsilon(&rounds, delta, relation)).ok()
    }
}

/// Convolution powers beyond this lose too many digits; Rényi divergences do not.
const MOST_COMPOSED: u64 = 10_000_000;
