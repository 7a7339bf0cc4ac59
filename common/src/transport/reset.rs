//! A coordinator that was started again tells its shops at their next datagram that it has forgotten their connections
//! (a stateless reset, RFC 9000 section 10.3). Without that they would wait for their idle timeout.

use std::sync::Arc;

use quinn::EndpointConfig;
use quinn::crypto::{CryptoError, HmacKey};
use quinn_proto::HashedConnectionIdGenerator;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

/// What a coordinator recognises its own connections by, also after a restart.
pub struct ResetKey(Zeroizing<[u8; 32]>);

impl ResetKey {
    /// Derived from a secret that the coordinator keeps, such as its CA's key; tells nothing about it.
    pub fn derive(secret: &[u8]) -> Self {
        Self(Zeroizing::new(blake3::derive_key(CONTEXT, secret)))
    }

    /// An endpoint whose connections have ids and tokens by this key.
    pub(super) fn endpoint_config(self) -> EndpointConfig {
        // Only tells this coordinator's ids from noise on the line: the token is what a shop believes.
        let ids = blake3::derive_key(IDS, &self.0[..]);
        let ids = u64::from_le_bytes(std::array::from_fn(|at| ids[at]));
        let mut config = EndpointConfig::new(Arc::new(self));
        config.cid_generator(move || Box::new(HashedConnectionIdGenerator::from_key(ids)));
        config
    }
}

impl HmacKey for ResetKey {
    fn sign(&self, data: &[u8], signature_out: &mut [u8]) {
        signature_out.copy_from_slice(blake3::keyed_hash(&self.0, data).as_bytes());
    }

    fn signature_len(&self) -> usize {
        blake3::OUT_LEN
    }

    fn verify(&self, data: &[u8], signature: &[u8]) -> Result<(), CryptoError> {
        match blake3::keyed_hash(&self.0, data)
            .as_bytes()
            .ct_eq(signature)
            .into()
        {
            true => Ok(()),
            false => Err(CryptoError),
        }
    }
}

const CONTEXT: &str = "souk 2026 stateless resets v1";
const IDS: &str = "souk 2026 connection ids v1";
