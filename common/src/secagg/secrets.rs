//! Keys of one attempt: X25519 pairs, what two of them agree on, and what is derived from it.

use chacha20poly1305::aead::{Aead, KeyInit};
use chacha20poly1305::{ChaCha20Poly1305, Key, Nonce};
use hkdf::Hkdf;
use sha2::Sha256;
use x25519_dalek::{PublicKey, StaticSecret};
use zeroize::Zeroizing;

use super::records::Context;
use crate::ids::Digest;

/// 32 secret bytes.
pub type SecretBytes = Zeroizing<[u8; 32]>;

/// The public key of an X25519 secret.
pub fn public_key(secret: &[u8; 32]) -> [u8; 32] {
    PublicKey::from(&StaticSecret::from(*secret)).to_bytes()
}

/// What two keys agree on; none for a public key of small order, whose holder could know it beforehand.
pub fn agree(secret: &[u8; 32], public: &[u8; 32]) -> Option<SecretBytes> {
    let shared = StaticSecret::from(*secret).diffie_hellman(&PublicKey::from(*public));
    shared
        .was_contributory()
        .then(|| Zeroizing::new(*shared.as_bytes()))
}

/// The seed of the mask that two shops make, from what their mask keys agree on; `sharers` is H(R1, R2), `pair` their places,
/// in either order.
pub fn pair_seed(agreed: &[u8; 32], context: &Context, sharers: &Digest, pair: [u32; 2]) -> SecretBytes {
    // Two keys that differ in an ignored bit, or by a point of small order, agree with every third on the same: without the
    // places a shop that copies another one's key so would take that one's masks off its neighbours' updates.
    let (lower, higher) = (pair[0].min(pair[1]), pair[0].max(pair[1]));
    derive(
        agreed,
        &[
            b"souk pair mask v1",
            &context.to_bytes(),
            &sharers.0,
            &lower.to_le_bytes(),
            &higher.to_le_bytes(),
        ],
    )
}

/// The key of a shop's own mask, from its seed.
pub fn self_key(seed: &[u8; 32], context: &Context, sharers: &Digest) -> SecretBytes {
    derive(seed, &[b"souk self mask v1", &context.to_bytes(), &sharers.0])
}

/// The key of the share that `from` seals for `to`, from what their sealing keys agree on; `roster` is H(R1).
fn sealing_key(agreed: &[u8; 32], context: &Context, roster: &Digest, from: u32, to: u32) -> SecretBytes {
    let (from, to) = (from.to_le_bytes(), to.to_le_bytes());
    derive(
        agreed,
        &[
            b"souk sealed share v1",
            &context.to_bytes(),
            &roster.0,
            &from,
            &to,
        ],
    )
}

/// Seals two shares for one receiver.
pub fn seal(
    agreed: &[u8; 32],
    context: &Context,
    roster: &Digest,
    (from, to): (u32, u32),
    shares: &[u8; 64],
) -> Vec<u8> {
    let key = sealing_key(agreed, context, roster, from, to);
    // Every key seals once: it hangs on keys that are made for one attempt, and on the direction.
    let sealed = ChaCha20Poly1305::new(&Key::from(*key)).encrypt(&Nonce::default(), shares.as_slice());
    sealed.expect("64 bytes are far below the cipher's limit")
}

/// Opens what [`seal`] made; none if it is anything else.
pub fn open(
    agreed: &[u8; 32],
    context: &Context,
    roster: &Digest,
    (from, to): (u32, u32),
    sealed: &[u8],
) -> Option<Zeroizing<[u8; 64]>> {
    let key = sealing_key(agreed, context, roster, from, to);
    let opened = ChaCha20Poly1305::new(&Key::from(*key))
        .decrypt(&Nonce::default(), sealed)
        .ok()?;
    let opened = Zeroizing::new(opened);
    opened.as_slice().try_into().ok().map(Zeroizing::new)
}

/// HKDF-SHA256 without salt.
fn derive(secret: &[u8; 32], info: &[&[u8]]) -> SecretBytes {
    let mut key = Zeroizing::new([0; 32]);
    let expanded = Hkdf::<Sha256>::new(None, secret).expand_multi_info(info, key.as_mut_slice());
    expanded.expect("32 bytes are far below HKDF's limit");
    key
}
