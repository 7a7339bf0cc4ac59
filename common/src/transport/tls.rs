//! Who is trusted, for QUIC and for the TLS of a tunnel: TLS 1.3 only, by the federation's own authority only.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{WebPkiServerVerifier, verify_server_cert_signed_by_trust_anchor};
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName, UnixTime};
use rustls::server::{NoClientAuth, ParsedCertificate, WebPkiClientVerifier};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, ServerConfig, SignatureScheme};
use zeroize::Zeroizing;

use super::error::TransportError;
use super::platform::Platform;
use crate::ids::Digest;

/// A certificate with its key.
#[derive(Clone)]
pub struct Identity {
    /// DER, leaf first.
    pub chain: Vec<Vec<u8>>,
    /// PKCS#8, DER.
    pub key: Zeroizing<Vec<u8>>,
}

/// How a shop knows its coordinator.
#[derive(Clone, Debug)]
pub enum Trust {
    /// By the federation's CA certificate, DER.
    Ca(Vec<u8>),
    /// By any of these: while one CA takes another's place.
    AnyOf(Vec<Vec<u8>>),
    /// By the CA certificate's digest, from a join code; the coordinator sends the certificate itself.
    Fingerprint(Digest),
}

/// Who the coordinator is, and whom it lets in: peers with certificates by any of `cas` and peers without one; with no `cas`
/// nobody is asked for one.
pub(super) fn server_tls(
    platform: &Platform,
    identity: &Identity,
    cas: &[Vec<u8>],
    alpn: &[u8],
) -> Result<ServerConfig, TransportError> {
    let provider = provider();
    let verifier = match cas {
        [] => Arc::new(NoClientAuth),
        cas => WebPkiClientVerifier::builder_with_provider(Arc::new(roots(cas)?), Arc::clone(&provider))
            .allow_unauthenticated()
            .build()
            .map_err(|error| TransportError::Certificate(error.to_string()))?,
    };
    let mut tls = ServerConfig::builder_with_details(provider, platform.tls_time())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(unusable)?
        .with_client_cert_verifier(verifier)
        .with_single_cert(chain(identity), key(identity))
        .map_err(unusable)?;
    tls.alpn_protocols = vec![alpn.to_vec()];
    Ok(tls)
}

/// What judges the coordinator's certificate.
pub(super) fn verifier(trust: &Trust) -> Result<Arc<dyn ServerCertVerifier>, TransportError> {
    let provider = provider();
    let by_cas = |cas: &[Vec<u8>]| {
        WebPkiServerVerifier::builder_with_provider(Arc::new(roots(cas)?), Arc::clone(&provider))
            .build()
            .map_err(|error| TransportError::Certificate(error.to_string()))
    };
    Ok(match trust {
        Trust::Ca(ca) => by_cas(std::slice::from_ref(ca))?,
        Trust::AnyOf(cas) => by_cas(cas)?,
        Trust::Fingerprint(ca) => Arc::new(ByFingerprint {
            ca: *ca,
            algorithms: provider.signature_verification_algorithms,
        }),
    })
}

/// A shop that judges the coordinator by `verifier`; without identity it may only join.
pub(super) fn client_tls(
    platform: &Platform,
    verifier: Arc<dyn ServerCertVerifier>,
    identity: Option<&Identity>,
    alpn: &[u8],
) -> Result<ClientConfig, TransportError> {
    // Not less strict than the usual way: both verifiers check chain, name and times; the second finds its root by digest.
    let builder = ClientConfig::builder_with_details(provider(), platform.tls_time())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(unusable)?
        .dangerous()
        .with_custom_certificate_verifier(verifier);
    let mut tls = match identity {
        Some(identity) => builder
            .with_client_auth_cert(chain(identity), key(identity))
            .map_err(unusable)?,
        None => builder.with_no_client_auth(),
    };
    tls.alpn_protocols = vec![alpn.to_vec()];
    Ok(tls)
}

fn unusable(error: rustls::Error) -> TransportError {
    TransportError::Certificate(error.to_string())
}

/// Trusts the CA whose certificate has a known digest, and nothing else.
#[derive(Debug)]
struct ByFingerprint {
    ca: Digest,
    algorithms: WebPkiSupportedAlgorithms,
}

impl ServerCertVerifier for ByFingerprint {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let ca = intermediates
            .iter()
            .find(|certificate| Digest::of(certificate) == self.ca);
        let ca = ca.ok_or(rustls::Error::InvalidCertificate(
            rustls::CertificateError::UnknownIssuer,
        ))?;
        let mut roots = RootCertStore::empty();
        roots.add(ca.clone())?;
        let leaf = ParsedCertificate::try_from(end_entity)?;
        verify_server_cert_signed_by_trust_anchor(&leaf, &roots, &[], now, self.algorithms.all)?;
        rustls::client::verify_server_name(&leaf, server_name)?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(rustls::Error::General("TLS 1.2 is not spoken".to_owned()))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls13_signature(message, certificate, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

fn roots(cas: &[Vec<u8>]) -> Result<RootCertStore, TransportError> {
    let mut roots = RootCertStore::empty();
    for ca in cas {
        roots
            .add(CertificateDer::from(ca.clone()))
            .map_err(|error| TransportError::Certificate(error.to_string()))?;
    }
    Ok(roots)
}

fn chain(identity: &Identity) -> Vec<CertificateDer<'static>> {
    identity.chain.iter().cloned().map(CertificateDer::from).collect()
}

fn key(identity: &Identity) -> PrivateKeyDer<'static> {
    PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(identity.key.to_vec()))
}
