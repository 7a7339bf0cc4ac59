//! The federation's own certificates: one CA, one coordinator, a certificate a shop.
//!
//! A shop's certificate carries its name as DNS name and may only be used as a TLS client; the coordinator's only as a
//! TLS server, under [`COORDINATOR_NAME`]. So no shop can pass for the coordinator. All keys are Ed25519: a shop can also
//! sign words with its own.

use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose, PKCS_ED25519, SanType,
};
use rustls_pki_types::{CertificateDer, CertificateSigningRequestDer, PrivatePkcs8KeyDer};
use std::time::Duration;
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};
use zeroize::Zeroizing;

use crate::clock::Timestamp;
use crate::ids::{Digest, ShopName};
use crate::wire::limits::MAX_CSR_BYTES;

/// The DNS name in the coordinator's certificate. Not a shop name: those have no dots.
pub const COORDINATOR_NAME: &str = "coordinator.souk";

/// A private key, PKCS#8 DER. It is never printed.
pub type SecretKey = Zeroizing<Vec<u8>>;

/// The federation's CA.
pub struct Authority {
    certificate: Vec<u8>,
    key: SecretKey,
}

impl Authority {
    /// A new CA, valid for twenty years.
    ///
    /// # Errors
    /// When there is no entropy.
    pub fn create(federation: &str, now: Timestamp) -> Result<Self, PkiError> {
        let key = KeyPair::generate_for(&PKCS_ED25519)?;
        let mut params = params(&format!("souk federation {federation}"), now, CA_VALIDITY);
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let certificate = params.self_signed(&key)?.der().to_vec();
        Ok(Self {
            certificate,
            key: Zeroizing::new(key.serialize_der()),
        })
    }

    /// The CA that was stored as certificate and key, both DER.
    pub fn open(certificate: Vec<u8>, key: SecretKey) -> Self {
        Self { certificate, key }
    }

    /// Its certificate, DER.
    pub fn certificate(&self) -> &[u8] {
        &self.certificate
    }

    /// Its key, for the key file.
    pub fn key(&self) -> &SecretKey {
        &self.key
    }

    /// What join codes carry.
    pub fn fingerprint(&self) -> Digest {
        Digest::of(&self.certificate)
    }

    /// A certificate for a shop's signing request; of the request only the public key is used.
    ///
    /// # Errors
    /// When the request is none, or not signed by its own key.
    pub fn issue_shop(&self, csr: &[u8], shop: &ShopName, now: Timestamp) -> Result<Vec<u8>, PkiError> {
        if csr.len() > MAX_CSR_BYTES {
            return Err(PkiError::Request(format!(
                "{} bytes, the most is {MAX_CSR_BYTES}",
                csr.len()
            )));
        }
        let request =
            CertificateSigningRequestParams::from_der(&CertificateSigningRequestDer::from(csr.to_vec()))
                .map_err(|error| PkiError::Request(error.to_string()))?;
        let mut params = params(shop.as_str(), now, SHOP_VALIDITY);
        params.subject_alt_names = vec![dns(shop.as_str())?];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        Ok(params
            .signed_by(&request.public_key, &self.issuer()?)?
            .der()
            .to_vec())
    }

    /// A certificate for the coordinator, with a new key.
    ///
    /// # Errors
    /// When there is no entropy.
    pub fn issue_coordinator(&self, now: Timestamp) -> Result<(Vec<u8>, SecretKey), PkiError> {
        let key = KeyPair::generate_for(&PKCS_ED25519)?;
        let mut params = params(COORDINATOR_NAME, now, SHOP_VALIDITY);
        params.subject_alt_names = vec![dns(COORDINATOR_NAME)?];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let certificate = params.signed_by(&key, &self.issuer()?)?.der().to_vec();
        Ok((certificate, Zeroizing::new(key.serialize_der())))
    }

    fn issuer(&self) -> Result<Issuer<'static, KeyPair>, PkiError> {
        let der = PrivatePkcs8KeyDer::from(self.key.as_slice());
        let key = KeyPair::try_from(&der)?;
        Ok(Issuer::from_ca_cert_der(
            &CertificateDer::from(self.certificate.as_slice()),
            key,
        )?)
    }
}

/// A new key for a shop, and the request to certify it.
///
/// # Errors
/// When there is no entropy.
pub fn shop_key() -> Result<(SecretKey, Vec<u8>), PkiError> {
    let key = KeyPair::generate_for(&PKCS_ED25519)?;
    // The name in the request does not count: the coordinator knows whom it invited.
    let csr = CertificateParams::default()
        .serialize_request(&key)?
        .der()
        .to_vec();
    Ok((Zeroizing::new(key.serialize_der()), csr))
}

/// The shop that a certificate names; none if it names no shop.
pub fn shop_of(certificate: &[u8]) -> Option<ShopName> {
    let (_, certificate) = X509Certificate::from_der(certificate).ok()?;
    let names = certificate.subject_alternative_name().ok()??;
    match names.value.general_names.as_slice() {
        [GeneralName::DNSName(name)] => name.parse().ok(),
        _ => None,
    }
}

/// The Ed25519 key that a certificate is for; none if it is for another kind.
pub fn key_of(certificate: &[u8]) -> Option<[u8; 32]> {
    let (_, certificate) = X509Certificate::from_der(certificate).ok()?;
    let key = certificate.public_key();
    let ed25519 = key.algorithm.algorithm == x509_parser::oid_registry::OID_SIG_ED25519;
    key.subject_public_key
        .data
        .as_ref()
        .try_into()
        .ok()
        .filter(|_| ed25519)
}

/// Until when a certificate is valid.
pub fn valid_until(certificate: &[u8]) -> Option<Timestamp> {
    let (_, certificate) = X509Certificate::from_der(certificate).ok()?;
    Some(Timestamp::from_secs(certificate.validity().not_after.timestamp()))
}

fn params(name: &str, now: Timestamp, validity: Duration) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    let epoch = rcgen::date_time_ymd(1970, 1, 1);
    // A day back, for clocks that are behind.
    let since = Duration::from_millis(u64::try_from(now.0).unwrap_or(0)).saturating_sub(DAY);
    params.not_before = epoch + since;
    params.not_after = epoch + since + validity;
    params.use_authority_key_identifier_extension = true;
    params
}

fn dns(name: &str) -> Result<SanType, PkiError> {
    Ok(SanType::DnsName(name.try_into()?))
}

/// Why there is no certificate.
#[derive(Debug, thiserror::Error)]
pub enum PkiError {
    /// Of the library.
    #[error("the certificate could not be made: {0}")]
    Library(#[from] rcgen::Error),
    /// The request.
    #[error("the certificate request is of no use: {0}")]
    Request(String),
}

const DAY: Duration = Duration::from_secs(86_400);
const CA_VALIDITY: Duration = Duration::from_secs(20 * 365 * 86_400);
const SHOP_VALIDITY: Duration = Duration::from_secs(5 * 365 * 86_400);

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_800_000_000_000);

    #[test]
    fn a_certificate_names_the_shop_that_was_invited_and_nobody_else() {
        let authority = Authority::create("test", NOW).unwrap();
        let again = Authority::open(authority.certificate().to_vec(), authority.key().clone());
        let (key, csr) = shop_key().unwrap();
        let shop: ShopName = "north-1".parse().unwrap();
        let certificate = again.issue_shop(&csr, &shop, NOW).unwrap();
        assert_eq!(shop_of(&certificate), Some(shop));
        let identity = crate::crypto::sign::SigningKey::from_pkcs8(&key).unwrap();
        assert_eq!(key_of(&certificate), Some(identity.public()));
        assert!(valid_until(&certificate).unwrap() > NOW);
        let (coordinator, _) = authority.issue_coordinator(NOW).unwrap();
        assert_eq!(shop_of(&coordinator), None);
        assert_eq!(shop_of(authority.certificate()), None);
    }

    #[test]
    fn a_request_that_is_none_is_refused() {
        let authority = Authority::create("test", NOW).unwrap();
        let shop: ShopName = "north".parse().unwrap();
        let (_, mut csr) = shop_key().unwrap();
        *csr.last_mut().unwrap() ^= 1;
        for bad in [csr, vec![], vec![0x30; 100], vec![0; MAX_CSR_BYTES + 1]] {
            assert!(matches!(
                authority.issue_shop(&bad, &shop, NOW),
                Err(PkiError::Request(_))
            ));
        }
    }
}
