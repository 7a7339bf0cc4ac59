//! Randomness as an argument.
//!
//! Two kinds that the types keep apart: [`Stream`], seeded and reproducible, for initialisation, negatives in
//! simulations, and tests; and [`secret_stream`], from the operating system, for keys, codes, noise and secret sampling.

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

/// A stream whose seed comes from the operating system: for noise, secret sampling and keys. It can't be repeated.
///
/// # Errors
/// When the operating system gives no entropy.
pub fn secret_stream() -> Result<Stream, EntropyError> {
    secret_bytes().map(Stream::from_seed)
}

/// A stream of its own for each name, under a key that is drawn once.
///
/// What one name draws depends on no other: with a user's id as the name, a user who comes or goes changes nobody else's
/// luck.
pub struct Coins {
    key: [u8; 32],
}

impl Coins {
    /// Draws the key from `rng`, which must be secret wherever the coins are.
    pub fn toss(rng: &mut Stream) -> Self {
        Self { key: rng.random() }
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
