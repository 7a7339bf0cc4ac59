//! Secrets in a file: ChaCha20-Poly1305 under a key that is derived from one the owner has anyway.

use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{ChaCha20Poly1305, Key, Nonce};
use zeroize::Zeroizing;

use crate::rng::{EntropyError, secret_bytes};

/// Seals and opens.
pub struct Vault(ChaCha20Poly1305);

impl Vault {
    /// Under a key derived from `secret`; `name` tells apart what one secret is used for.
    pub fn new(name: &str, secret: &[u8]) -> Self {
        let key = Zeroizing::new(blake3::derive_key(name, secret));
        Self(ChaCha20Poly1305::new(&Key::from(*key)))
    }

    /// A nonce from the operating system, then the sealed bytes. They open only with the same `label`.
    ///
    /// # Errors
    /// When the operating system gives no entropy.
    pub fn seal(&self, label: &[u8], plain: &[u8]) -> Result<Vec<u8>, EntropyError> {
        let nonce = secret_bytes::<NONCE_BYTES>()?;
        let payload = Payload {
            msg: plain,
            aad: label,
        };
        let sealed = self.0.encrypt(&Nonce::from(nonce), payload);
        let sealed = sealed.expect("memory ends long before the cipher's limit of 256 GiB");
        Ok([nonce.as_slice(), &sealed].concat())
    }

    /// What was sealed; none if a bit of it, the label or the key is another.
    pub fn open(&self, label: &[u8], sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let (nonce, sealed) = sealed.split_first_chunk::<NONCE_BYTES>()?;
        let payload = Payload {
            msg: sealed,
            aad: label,
        };
        self.0
            .decrypt(&Nonce::from(*nonce), payload)
            .ok()
            .map(Zeroizing::new)
    }
}

const NONCE_BYTES: usize = 12;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_same_key_label_and_bytes_open_and_no_two_seals_are_alike() {
        let vault = Vault::new("test v1", b"secret");
        let sealed = vault.seal(b"label", b"what is hidden").unwrap();
        assert_eq!(
            vault.open(b"label", &sealed).unwrap().as_slice(),
            b"what is hidden"
        );
        assert_ne!(vault.seal(b"label", b"what is hidden").unwrap(), sealed);
        assert!(vault.open(b"other", &sealed).is_none());
        for other in [Vault::new("test v2", b"secret"), Vault::new("test v1", b"Secret")] {
            assert!(other.open(b"label", &sealed).is_none());
        }
        for at in 0..sealed.len() {
            let mut bent = sealed.clone();
            bent[at] ^= 1;
            assert!(vault.open(b"label", &bent).is_none(), "byte {at}");
            assert!(vault.open(b"label", &sealed[..at]).is_none());
        }
    }
}
