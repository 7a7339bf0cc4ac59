//! Sockets, who is trusted, and who the peer is.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use quinn::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use quinn::{Connection, Endpoint, EndpointConfig};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{WebPkiServerVerifier, verify_server_cert_signed_by_trust_anchor};
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName, UnixTime};
use rustls::server::{ParsedCertificate, WebPkiClientVerifier};
use rustls::{DigitallySignedStruct, RootCertStore, SignatureScheme};
use zeroize::Zeroizing;

use super::error::{CertificateRefusal, TransportError, refusal};
use super::platform::Platform;
use super::reset::ResetKey;
use super::tuning::{bind, transport};
use crate::crypto::pki::{COORDINATOR_NAME, key_of, shop_of};
use crate::ids::{Digest, ShopName};
use crate::limits::{INCOMING_BYTES, MAX_INCOMING};

/// A certificate with its key.
pub struct Identity {
    /// DER, leaf first.
    pub chain: Vec<Vec<u8>>,
    /// PKCS#8, DER.
    pub key: Zeroizing<Vec<u8>>,
}

/// How a shop knows its coordinator.
pub enum Trust {
    /// By the federation's CA certificate, DER.
    Ca(Vec<u8>),
    /// By any of these: while one CA takes another's place.
    AnyOf(Vec<Vec<u8>>),
    /// By the CA certificate's digest, from a join code; the coordinator sends the certificate itself.
    Fingerprint(Digest),
}

/// Who is on the other end, by its certificate.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PeerIdentity {
    /// The shop's name.
    pub shop: ShopName,
    /// Digest of its certificate.
    pub fingerprint: Digest,
    /// The Ed25519 key in it, by which the shop signs.
    pub identity: [u8; 32],
}

/// Binds the coordinator's socket. Peers without a certificate are let in (they may only join); one by another CA is not.
/// After a restart with the same `resets`, shops hear at once that their connections are gone.
///
/// # Errors
/// When the address is taken, or certificate or key are of no use.
pub fn server_endpoint(
    address: SocketAddr,
    identity: Identity,
    ca: &[u8],
    resets: ResetKey,
) -> Result<Endpoint, TransportError> {
    server_endpoint_on(&Platform::system(), address, identity, ca, resets)
}

/// As [`server_endpoint`], on any platform.
///
/// # Errors
/// As [`server_endpoint`].
pub fn server_endpoint_on(
    platform: &Platform,
    address: SocketAddr,
    identity: Identity,
    ca: &[u8],
    resets: ResetKey,
) -> Result<Endpoint, TransportError> {
    let config = server_config(platform, &identity, &[ca.to_vec()])?;
    bind(
        &*platform.sockets,
        address,
        resets.endpoint_config(),
        Some(config),
    )
}

/// Who the coordinator is, and whom it lets in: shops with certificates by any of `cas`. A running endpoint can be given
/// another one; connections that stand are not touched.
///
/// # Errors
/// When certificate or key are of no use.
pub fn server_config(
    platform: &Platform,
    identity: &Identity,
    cas: &[Vec<u8>],
) -> Result<quinn::ServerConfig, TransportError> {
    let provider = provider();
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots(cas)?), Arc::clone(&provider))
        .allow_unauthenticated()
        .build()
        .map_err(|error| TransportError::Certificate(error.to_string()))?;
    let mut tls = rustls::ServerConfig::builder_with_details(provider, platform.tls_time())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(|error| TransportError::Certificate(error.to_string()))?
        .with_client_cert_verifier(verifier)
        .with_single_cert(chain(identity), key(identity))
        .map_err(|error| TransportError::Certificate(error.to_string()))?;
    tls.alpn_protocols = vec![ALPN.to_vec()];
    let quic =
        QuicServerConfig::try_from(tls).map_err(|error| TransportError::Certificate(error.to_string()))?;
    let mut config = quinn::ServerConfig::with_crypto(Arc::new(quic));
    config
        .transport_config(Arc::new(transport()))
        .max_incoming(MAX_INCOMING)
        .incoming_buffer_size(INCOMING_BYTES)
        .incoming_buffer_size_total(INCOMING_BYTES * MAX_INCOMING as u64);
    Ok(config)
}

/// A shop's socket, for a coordinator at an address like `remote`; without identity it may only join.
///
/// # Errors
/// When there is no socket, or certificate or key are of no use.
pub fn client_endpoint(
    remote: SocketAddr,
    trust: Trust,
    identity: Option<&Identity>,
) -> Result<Endpoint, TransportError> {
    client_endpoint_on(&Platform::system(), remote, trust, identity)
}

/// As [`client_endpoint`], on any platform.
///
/// # Errors
/// As [`client_endpoint`].
pub fn client_endpoint_on(
    platform: &Platform,
    remote: SocketAddr,
    trust: Trust,
    identity: Option<&Identity>,
) -> Result<Endpoint, TransportError> {
    let provider = provider();
    let builder = rustls::ClientConfig::builder_with_details(Arc::clone(&provider), platform.tls_time())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(|error| TransportError::Certificate(error.to_string()))?;
    let by_cas = |cas: &[Vec<u8>]| {
        WebPkiServerVerifier::builder_with_provider(Arc::new(roots(cas)?), Arc::clone(&provider))
            .build()
            .map_err(|error| TransportError::Certificate(error.to_string()))
    };
    let verifier: Arc<dyn ServerCertVerifier> = match trust {
        Trust::Ca(ca) => by_cas(&[ca])?,
        Trust::AnyOf(cas) => by_cas(&cas)?,
        Trust::Fingerprint(ca) => Arc::new(ByFingerprint {
            ca,
            algorithms: provider.signature_verification_algorithms,
        }),
    };
    // Not less strict than the usual way: both verifiers check chain, name and times; the second finds its root by digest.
    let builder = builder.dangerous().with_custom_certificate_verifier(verifier);
    let mut tls = match identity {
        Some(identity) => builder
            .with_client_auth_cert(chain(identity), key(identity))
            .map_err(|error| TransportError::Certificate(error.to_string()))?,
        None => builder.with_no_client_auth(),
    };
    tls.alpn_protocols = vec![ALPN.to_vec()];
    let quic =
        QuicClientConfig::try_from(tls).map_err(|error| TransportError::Certificate(error.to_string()))?;
    let mut config = quinn::ClientConfig::new(Arc::new(quic));
    config.transport_config(Arc::new(transport()));
    let address: SocketAddr = match remote {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let mut endpoint = bind(&*platform.sockets, address, EndpointConfig::default(), None)?;
    endpoint.set_default_client_config(config);
    Ok(endpoint)
}

/// Dials the coordinator.
///
/// # Errors
/// When nobody answers, or somebody without the right certificate.
pub async fn connect(endpoint: &Endpoint, remote: SocketAddr) -> Result<Connection, TransportError> {
    let connecting = endpoint
        .connect(remote, COORDINATOR_NAME)
        .map_err(|error| TransportError::Connect {
            remote,
            reason: error.to_string(),
        })?;
    connecting.await.map_err(|error| match refusal(&error) {
        Some(refusal) => TransportError::Refused { remote, refusal },
        None => TransportError::Connect {
            remote,
            reason: error.to_string(),
        },
    })
}

/// Why the handshake of `connection` failed, if a certificate was the reason. In TLS 1.3 a shop learns only after it has
/// connected that the coordinator does not take its certificate.
pub fn refusal_of(connection: &Connection) -> Option<CertificateRefusal> {
    refusal(&connection.close_reason()?)
}

/// The shop on the other end; none if it showed no certificate.
pub fn peer_of(connection: &Connection) -> Option<PeerIdentity> {
    PeerIdentity::of(&certificate_of(connection)?)
}

impl PeerIdentity {
    /// Whom a certificate (DER) is for; none if it is not a shop's.
    pub fn of(certificate: &[u8]) -> Option<Self> {
        Some(Self {
            shop: shop_of(certificate)?,
            fingerprint: Digest::of(certificate),
            identity: key_of(certificate)?,
        })
    }
}

/// The certificate that the other end showed, DER.
pub fn certificate_of(connection: &Connection) -> Option<Vec<u8>> {
    let identity = connection.peer_identity()?;
    let chain = identity.downcast_ref::<Vec<CertificateDer<'static>>>()?;
    chain.first().map(|leaf| leaf.to_vec())
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

const ALPN: &[u8] = b"souk/1";

#[cfg(test)]
mod tests;
