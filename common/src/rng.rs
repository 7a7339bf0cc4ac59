//! Randomness as an argument.
//!
//! Two kinds that the types keep apart: [`Stream`], seeded and reproducible, for initialisation, negatives in
//! simulations, and tests; and [`Secret`], from the operating system, for noise and secret sampling. Keys and codes are
//! [`secret_bytes`].

use std::convert::Infallible;
use std::fmt;

use rand::rngs::{ChaCha20Rng, SysRng};
use rand::{RngExt, SeedableRng, TryRng};

/// A reproducible stream of random numbers.
pub type Stream = ChaCha20Rng;

/// The stream called `name` under `seed`: streams of different names or seeds are independent.
pub fn stream(seed: u64, name: &str) -> Stream {
    let mut hasher = blake3::Hasher::new_derive_key("souk 2026 seeded stream v1");
    hasher.update(&seed.to_le_bytes()).update(name.as_bytes());
    Stream::from_seed(*hasher.finalize().as_bytes())
}

/// Standard normal numbers of the stream called `name` under a public `seed` (Box, Muller 1958): the same on every machine.
/// Noise that protects somebody is [`crate::privacy`]'s.
pub fn normals(seed: u64, name: &str, count: usize) -> Vec<f64> {
    let mut rng = stream(seed, name);
    let mut pair = || {
        // In (0, 1]: a logarithm is taken.
        let radius = libm::sqrt(-2.0 * libm::log(1.0 - rng.random::<f64>()));
        let angle = std::f64::consts::TAU * rng.random::<f64>();
        [radius * libm::cos(angle), radius * libm::sin(angle)]
    };
    let mut numbers: Vec<f64> = (0..count.div_ceil(2)).flat_map(|_| pair()).collect();
    numbers.truncate(count);
    numbers
}

/// A stream whose seed comes from the operating system. Only [`secret_stream`] makes one: it can't be seeded, copied,
/// printed or repeated.
///
/// ```compile_fail,E0423
/// use souk_common::rng::{Secret, stream};
/// let known = Secret(stream(1, "a seed"));
/// ```
///
/// ```compile_fail,E0277
/// let known = <souk_common::rng::Secret as rand::SeedableRng>::from_seed([0; 32]);
/// ```
///
/// ```compile_fail,E0599
/// let twice = souk_common::rng::secret_stream().unwrap().clone();
/// ```
pub struct Secret(Stream);

/// A new one.
///
/// # Errors
/// When the operating system gives no entropy.
pub fn secret_stream() -> Result<Secret, EntropyError> {
    secret_bytes().map(|seed| Secret(Stream::from_seed(seed)))
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

impl TryRng for Secret {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        self.0.try_next_u32()
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        self.0.try_next_u64()
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        self.0.try_fill_bytes(bytes)
    }
}

/// What noise and the draw of users may come from: [`Secret`] in a shop, a [`Stream`] in simulations and tests. What is
/// made of it keeps its type, so that the seeded kind never reaches a shop's outbox.
pub trait Source: sealed::Words + Send + Sync {}

impl Source for Secret {}

impl Source for Stream {}

mod sealed {
    /// Only this crate makes one: whoever had a secret's stream to write to could put a seeded one in its place.
    pub struct Here(pub(super) ());

    pub trait Words {
        fn words(&mut self, here: Here) -> &mut super::Stream;
    }
}

impl sealed::Words for Secret {
    fn words(&mut self, _: sealed::Here) -> &mut Stream {
        &mut self.0
    }
}

impl sealed::Words for Stream {
    fn words(&mut self, _: sealed::Here) -> &mut Stream {
        self
    }
}

/// The words of either kind, for this crate's own samplers.
pub(crate) fn words(source: &mut impl Source) -> &mut Stream {
    source.words(sealed::Here(()))
}

/// A stream of its own for each name, under a key that is drawn once.
///
/// What one name draws depends on no other: with a user's id as the name, a user who comes or goes changes nobody else's
/// luck.
pub struct Coins {
    key: [u8; 32],
}

impl Coins {
    /// Draws the key from `source`.
    pub fn toss(source: &mut impl Source) -> Self {
        Self {
            key: words(source).random(),
        }
    }

    /// The stream of `name`: always the same.
    pub fn of(&self, name: &str) -> Stream {
        Stream::from_seed(*blake3::keyed_hash(&self.key, name.as_bytes()).as_bytes())
    }
}

/// `N` bytes from the operating system.
///
/// # Errors
/// When the operating system gives no entropy.
pub fn secret_bytes<const N: usize>() -> Result<[u8; N], EntropyError> {
    let mut bytes = [0; N];
    SysRng.try_fill_bytes(&mut bytes).map_err(|error| EntropyError {
        reason: error.to_string(),
    })?;
    Ok(bytes)
}

/// The operating system gave no entropy.
#[derive(Clone, Debug, thiserror::Error)]
#[error("the operating system gave no random bytes: {reason}")]
pub struct EntropyError {
    reason: String,
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::Rng;

    #[test]
    fn no_two_secrets_are_alike_and_neither_kind_prints_its_seed() {
        let (mut one, mut other) = (secret_stream().unwrap(), secret_stream().unwrap());
        // Equal once in 2^128.
        let drawn = |secret: &mut Secret| [secret.next_u64(), secret.next_u64()];
        assert_ne!(drawn(&mut one), drawn(&mut other));
        assert_eq!(format!("{one:?}"), format!("{other:?}"));
        assert_eq!(
            format!("{:?}", stream(1, "a")),
            format!("{:?}", stream(2, "b")),
            "what is printed does not depend on the seed"
        );
    }

    #[test]
    fn normals_are_normal() {
        let numbers = normals(9, "a name", 100_001);
        assert_eq!(numbers.len(), 100_001);
        let moment = |power: i32| numbers.iter().map(|value| value.powi(power)).sum::<f64>() / 1e5;
        // Five standard errors.
        assert!(moment(1).abs() < 0.016 && (moment(2) - 1.0).abs() < 0.023 && (moment(4) - 3.0).abs() < 0.16);
    }
}
