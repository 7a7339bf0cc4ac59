//! Signed words, of the coordinator or of a shop: Ed25519 signatures over domain-separated digests of the canonical JSON of what is said.

use ed25519_dalek::{Signature, Signer, VerifyingKey};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::ids::Digest;

/// What may be signed. Each kind has a domain of its own, so a signature on one is none on another.
pub trait Signable: Serialize {
    /// Names the kind and its version.
    const DOMAIN: &'static str;
}

/// What somebody said, with its Ed25519 signature over a domain-separated digest.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Signed<T> {
    /// What is said.
    pub body: T,
    /// 64 bytes.
    pub signature: Vec<u8>,
}

/// The key that signs. It is never printed and never serialised but by [`Self::to_bytes`].
pub struct SigningKey(ed25519_dalek::SigningKey);

impl SigningKey {
    /// From 32 secret bytes.
    pub fn from_bytes(secret: &[u8; 32]) -> Self {
        Self(ed25519_dalek::SigningKey::from_bytes(secret))
    }

    /// From a PKCS#8 file, as a shop's certificate key is kept in.
    ///
    /// # Errors
    /// When it is no Ed25519 key.
    pub fn from_pkcs8(der: &[u8]) -> Result<Self, KeyError> {
        let key = ed25519_dalek::pkcs8::DecodePrivateKey::from_pkcs8_der(der);
        key.map(Self).map_err(|error| KeyError {
            reason: error.to_string(),
        })
    }

    /// The 32 secret bytes, for the key file.
    pub fn to_bytes(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(self.0.to_bytes())
    }

    /// The public key.
    pub fn public(&self) -> [u8; 32] {
        self.0.verifying_key().to_bytes()
    }

    /// Signs `body`.
    pub fn sign<T: Signable>(&self, body: T) -> Signed<T> {
        let signature = self.0.sign(&signable_digest(&body).0).to_bytes().to_vec();
        Signed { body, signature }
    }
}

/// What was said, if the holder of `public_key` said it.
///
/// # Errors
/// When the key is none, or the signature is not by it over this body.
pub fn verify<'a, T: Signable>(
    signed: &'a Signed<T>,
    public_key: &[u8; 32],
) -> Result<&'a T, SignatureError> {
    let key = VerifyingKey::from_bytes(public_key).map_err(|_| SignatureError)?;
    let signature = Signature::from_slice(&signed.signature).map_err(|_| SignatureError)?;
    key.verify_strict(&signable_digest(&signed.body).0, &signature)
        .map_err(|_| SignatureError)?;
    Ok(&signed.body)
}

/// A file holds no key that can sign.
#[derive(Clone, Debug, thiserror::Error)]
#[error("no Ed25519 key: {reason}")]
pub struct KeyError {
    reason: String,
}

/// The signature is not by the key over the body.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the signature is not by the right key over these words")]
pub struct SignatureError;

/// What is signed: a digest of the canonical JSON of `body` under the name of its kind.
pub fn signable_digest<T: Signable>(body: &T) -> Digest {
    // Every kind of word is structs, numbers and names: it always has a JSON form.
    let json = serde_json::to_vec(body).expect("a word has a JSON form");
    Digest(blake3::derive_key(T::DOMAIN, &json))
}
