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
use x509_parser::prelude::{FromDer, GeneralName, ParsedExtension, X509Certificate};
use zeroize::Zeroizing;

use crate::clock::Timestamp;
use crate::crypto::sign::SigningKey;
use crate::ids::{Digest, ShopName};
use crate::limits::MAX_CSR_BYTES;

/// The DNS name in the coordinator's certificate. Not a shop name: those have no dots.
pub const COORDINATOR_NAME: &str = "coordinator.souk";

/// How the names of federations' authorities begin.
pub const AUTHORITY_PREFIX: &str = "souk federation ";

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
        let key = KeyPair::generate_for(&PKCS_ED25519)?.serialize_der();
        Self::of_key(federation, Zeroizing::new(key), now)
    }

    /// The same, with a key (PKCS#8 DER, Ed25519) that is there already.
    ///
    /// # Errors
    /// When it is none.
    pub fn of_key(federation: &str, secret: SecretKey, now: Timestamp) -> Result<Self, PkiError> {
        let key = KeyPair::try_from(&PrivatePkcs8KeyDer::from(secret.as_slice()))?;
        // Two authorities of one federation have different names, so that it is clear which one a certificate is by.
        let which = Digest::of(key.public_key_raw()).short();
        let mut params = params(&format!("{AUTHORITY_PREFIX}{federation} {which}"), now, CA_LIFE);
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let certificate = params.self_signed(&key)?.der().to_vec();
        Ok(Self::open(certificate, secret))
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

    /// Whether the key is the one that the certificate is for.
    pub fn is_whole(&self) -> bool {
        SigningKey::from_pkcs8(&self.key).is_ok_and(|key| key_of(&self.certificate) == Some(key.public()))
    }

    /// A certificate for a shop's signing request, for [`SHOP_LIFE`]; of the request only the public key is used.
    ///
    /// # Errors
    /// When the request is none, or not signed by its own key.
    pub fn issue_shop(&self, csr: &[u8], shop: &ShopName, now: Timestamp) -> Result<Vec<u8>, PkiError> {
        self.issue_shop_for(SHOP_LIFE, csr, shop, now)
    }

    /// As [`Self::issue_shop`], valid for `life` from now on.
    ///
    /// # Errors
    /// As [`Self::issue_shop`].
    pub fn issue_shop_for(
        &self,
        life: Duration,
        csr: &[u8],
        shop: &ShopName,
        now: Timestamp,
    ) -> Result<Vec<u8>, PkiError> {
        if csr.len() > MAX_CSR_BYTES {
            return Err(PkiError::Request(format!(
                "{} bytes, the most is {MAX_CSR_BYTES}",
                csr.len()
            )));
        }
        let request =
            CertificateSigningRequestParams::from_der(&CertificateSigningRequestDer::from(csr.to_vec()))
                .map_err(|error| PkiError::Request(error.to_string()))?;
        let mut params = params(shop.as_str(), now, life);
        params.subject_alt_names = vec![dns(shop.as_str())?];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        Ok(params
            .signed_by(&request.public_key, &self.issuer()?)?
            .der()
            .to_vec())
    }

    /// A certificate for the coordinator, for [`COORDINATOR_LIFE`], with a new key.
    ///
    /// # Errors
    /// When there is no entropy.
    pub fn issue_coordinator(&self, now: Timestamp) -> Result<(Vec<u8>, SecretKey), PkiError> {
        self.issue_coordinator_for(COORDINATOR_LIFE, now)
    }

    /// As [`Self::issue_coordinator`], valid for `life` from now on.
    ///
    /// # Errors
    /// When there is no entropy.
    pub fn issue_coordinator_for(
        &self,
        life: Duration,
        now: Timestamp,
    ) -> Result<(Vec<u8>, SecretKey), PkiError> {
        let key = KeyPair::generate_for(&PKCS_ED25519)?;
        let mut params = params(COORDINATOR_NAME, now, life);
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
    let key = Zeroizing::new(KeyPair::generate_for(&PKCS_ED25519)?.serialize_der());
    let csr = request_for(&key)?;
    Ok((key, csr))
}

/// The request to certify a key that a shop has: a renewal keeps the key, for it is what other owners have compared.
///
/// # Errors
/// When `key` is no key.
pub fn request_for(key: &SecretKey) -> Result<Vec<u8>, PkiError> {
    let key = KeyPair::try_from(&PrivatePkcs8KeyDer::from(key.as_slice()))?;
    // The name in the request does not count: the coordinator knows whom it invited.
    let request = CertificateParams::default().serialize_request(&key)?;
    Ok(request.der().to_vec())
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

/// Whether `authority` is the CA of `certificate`, by the key identifiers in both. Says who must have signed; that it did was
/// checked by whoever let the certificate's holder in.
pub fn is_issued_by(certificate: &[u8], authority: &[u8]) -> bool {
    let (Ok((_, certificate)), Ok((_, authority))) = (
        X509Certificate::from_der(certificate),
        X509Certificate::from_der(authority),
    ) else {
        return false;
    };
    let named = certificate.iter_extensions().find_map(|extension| {
        let ParsedExtension::AuthorityKeyIdentifier(named) = extension.parsed_extension() else {
            return None;
        };
        named.key_identifier.as_ref().map(|named| named.0)
    });
    let own = authority.iter_extensions().find_map(|extension| {
        let ParsedExtension::SubjectKeyIdentifier(own) = extension.parsed_extension() else {
            return None;
        };
        Some(own.0)
    });
    named.is_some() && named == own
}

/// For whom a certificate (DER) is and who issued it, by their common names or else all of their names; empty if it is none.
pub fn names_in(certificate: &[u8]) -> (String, String) {
    let Ok((_, certificate)) = X509Certificate::from_der(certificate) else {
        return Default::default();
    };
    let name = |name: &x509_parser::x509::X509Name<'_>| {
        let common = name.iter_common_name().next().and_then(|name| name.as_str().ok());
        common.map_or_else(|| name.to_string(), str::to_owned)
    };
    (name(certificate.subject()), name(certificate.issuer()))
}

/// Whether a certificate is an authority's, of a kind that this program can check.
pub fn is_authority(certificate: &[u8]) -> bool {
    X509Certificate::from_der(certificate).is_ok_and(|(_, certificate)| certificate.is_ca())
        && key_of(certificate).is_some()
}

/// From when until when a certificate is valid.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Validity {
    /// From.
    pub from: Timestamp,
    /// Until.
    pub until: Timestamp,
}

impl Validity {
    /// Of a certificate; none if it is none.
    pub fn of(certificate: &[u8]) -> Option<Self> {
        let (_, certificate) = X509Certificate::from_der(certificate).ok()?;
        let validity = certificate.validity();
        Some(Self {
            from: Timestamp::from_secs(validity.not_before.timestamp()),
            until: Timestamp::from_secs(validity.not_after.timestamp()),
        })
    }

    /// When it is time for the next one: two thirds of its life have passed.
    pub fn renew_at(&self) -> Timestamp {
        self.from + self.until.since(self.from) * 2 / 3
    }

    /// After a try that failed, when to try again: often enough before the end, and not more than once a second.
    pub fn try_again_at(&self, now: Timestamp) -> Timestamp {
        now + (self.until.since(now) / 10).clamp(Duration::from_secs(1), Duration::from_secs(3600))
    }

    /// Whether it is valid at this time.
    pub fn holds_at(&self, now: Timestamp) -> bool {
        (self.from..=self.until).contains(&now)
    }
}

/// Until when a certificate is valid.
pub fn valid_until(certificate: &[u8]) -> Option<Timestamp> {
    Validity::of(certificate).map(|validity| validity.until)
}

fn params(name: &str, now: Timestamp, life: Duration) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    let epoch = rcgen::date_time_ymd(1970, 1, 1);
    let now = Duration::from_millis(u64::try_from(now.0).unwrap_or(0));
    // For clocks that are behind: a day, but never more than half of the whole.
    params.not_before = epoch + now.saturating_sub(CLOCK_TOLERANCE.min(life));
    params.not_after = epoch + now + life;
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

/// How far a peer's clock may be behind: certificates are valid from so long before they were issued.
pub const CLOCK_TOLERANCE: Duration = Duration::from_secs(86_400);
/// How long a shop's certificate is valid unless the operator says otherwise: renewed after 16 months, so that a shop may be
/// away for 8 at any time.
pub const SHOP_LIFE: Duration = Duration::from_secs(730 * 86_400);
/// How long the coordinator's own certificate is valid unless the operator says otherwise. `serve` renews it.
pub const COORDINATOR_LIFE: Duration = Duration::from_secs(90 * 86_400);
const CA_LIFE: Duration = Duration::from_secs(20 * 365 * 86_400);

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

    #[test]
    fn a_certificate_is_due_after_two_thirds_of_its_life_and_names_its_authority() {
        let (one, other) = (
            Authority::create("test", NOW).unwrap(),
            Authority::create("test", NOW).unwrap(),
        );
        let (key, _) = shop_key().unwrap();
        let csr = request_for(&key).unwrap();
        let (shop, life): (ShopName, _) = ("north".parse().unwrap(), Duration::from_secs(300 * 86_400));
        let certificate = other.issue_shop_for(life, &csr, &shop, NOW).unwrap();
        let validity = Validity::of(&certificate).unwrap();
        assert_eq!(
            validity,
            Validity {
                from: NOW - CLOCK_TOLERANCE,
                until: NOW + life
            }
        );
        assert!(
            validity.holds_at(NOW) && !validity.holds_at(NOW + life * 2) && !validity.holds_at(NOW - life)
        );
        assert_eq!(
            validity.renew_at(),
            NOW + (life + CLOCK_TOLERANCE) * 2 / 3 - CLOCK_TOLERANCE
        );
        assert_eq!(validity.try_again_at(NOW), NOW + Duration::from_secs(3600));
        assert_eq!(
            validity.try_again_at(NOW + life),
            NOW + life + Duration::from_secs(1)
        );
        assert!(
            is_issued_by(&certificate, other.certificate()) && !is_issued_by(&certificate, one.certificate())
        );
        assert!(is_authority(one.certificate()) && !is_authority(&certificate) && !is_authority(b"none"));
        // A life of seconds, for tests, is over in seconds.
        let short = other
            .issue_shop_for(Duration::from_secs(9), &csr, &shop, NOW)
            .unwrap();
        assert_eq!(
            Validity::of(&short).unwrap().renew_at(),
            NOW + Duration::from_secs(3)
        );
        let mixed = Authority::open(one.certificate().to_vec(), other.key().clone());
        assert!(one.is_whole() && !mixed.is_whole());
    }
}
