//! The gate: a shop's update becomes sendable only when it was noised and charged for.

use super::ledger::Charged;
use super::noise::NoiseVector;
use crate::secagg::Masks;
use crate::update::{Grid, Update, UpdateValues};

/// Something that was clipped, noised and charged for. Only this module makes one, and only this can be encoded.
///
/// What holds nobody's data can be made from noise alone:
///
/// ```
/// use souk_common::privacy::{NoiseVector, Privatized};
/// use souk_common::update::{Grid, ModulusBits};
/// let grid = Grid { bits: ModulusBits::B32, log2_clip: 16, clip_norm: 1.0, noise_stddev: 65536.0 };
/// let noise = NoiseVector::draw(&grid, 3, &mut souk_common::rng::stream(1, "doc"));
/// assert_eq!(Privatized::of_nobody(noise).get().values.len(), 3);
/// ```
///
/// What holds data can't be wrapped from outside, though an [`Update`] can be built:
///
/// ```compile_fail,E0423
/// use souk_common::privacy::Privatized;
/// use souk_common::update::{Update, UpdateValues};
/// let raw = Update::from(UpdateValues::B32(vec![1, 2, 3]));
/// let leak = Privatized(raw);
/// ```
///
/// ```compile_fail,E0624
/// use souk_common::privacy::{Privatized, Charged};
/// use souk_common::update::{Update, UpdateValues};
/// use souk_common::update::Grid;
/// fn leak(raw: UpdateValues, grid: &Grid, charged: &Charged) {
///     let _ = Privatized::<Update>::release(raw, grid, u64::MAX, charged, None);
/// }
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Privatized<T>(T);

impl<T> Privatized<T> {
    /// What may leave.
    pub fn get(&self) -> &T {
        &self.0
    }

    /// What may leave, by value.
    pub fn into_inner(self) -> T {
        self.0
    }
}

impl Privatized<Update> {
    /// Lets a sum out against the proof that it was charged for; one with a share of the noise only under `masks`.
    pub(super) fn release(
        mut values: UpdateValues,
        grid: &Grid,
        noise_stddev: u64,
        charged: &Charged,
        masks: Option<Masks>,
    ) -> Result<Self, ReleaseError> {
        let spend = charged.spend();
        if spend.clip_norm.get() != grid.clip_norm {
            return Err(ReleaseError::Clip {
                sum: grid.clip_norm,
                charged: spend.clip_norm.get(),
            });
        }
        if spend.shared.is_some() && masks.is_none() {
            return Err(ReleaseError::Bare);
        }
        let shares = spend.shared.map_or(1.0, |shared| shared.counted());
        // C*s is a power of two: the product is exact.
        let charged = spend
            .noise_multiplier
            .map_or(0.0, |z| z.get() * grid.clip_units());
        // Variances of independent shares add up.
        if (noise_stddev as f64).powi(2) * shares < charged * charged {
            return Err(ReleaseError::Noise {
                sum: noise_stddev,
                charged,
            });
        }
        if let Some(masks) = masks {
            masks.hide(&mut values);
        }
        Ok(Self(values.into()))
    }

    /// Nothing but noise, under masks: of no user at all.
    pub fn of_nobody_under<S>(noise: NoiseVector<S>, masks: Masks) -> Self {
        let mut values = noise.into_values();
        masks.hide(&mut values);
        Self(values.into())
    }

    /// Nothing but noise: of no user at all. For benchmarks and for coordinators under test.
    pub fn of_nobody<S>(noise: NoiseVector<S>) -> Self {
        Self(noise.into_values().into())
    }
}

/// The ledger was charged for another mechanism than the sum went through: nothing is released.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
pub enum ReleaseError {
    /// Too little noise.
    #[error(
        "the sum carries noise of {sum} grid units, the ledger was charged for {charged}: nothing is released"
    )]
    Noise {
        /// Standard deviation in the sum.
        sum: u64,
        /// Standard deviation that the spend promises.
        charged: f64,
    },
    /// A share of the noise without masks.
    #[error("the sum carries a share of the noise and no masks: nothing is released")]
    Bare,
    /// Another clip norm.
    #[error("users were clipped to {sum}, the ledger was charged for {charged}: nothing is released")]
    Clip {
        /// C of the sum.
        sum: f64,
        /// C of the spend.
        charged: f64,
    },
}
