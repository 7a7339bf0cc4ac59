//! Sockets, who is trusted, and who the peer is.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use quinn::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use quinn::{Connection, Endpoint, EndpointConfig};
use rustls::pki_types::CertificateDer;

use super::carrier::Carrier;
use super::error::{CertificateRefusal, TransportError, refusal};
use super::platform::Platform;
use super::reset::ResetKey;
use super::tls::{Identity, Trust, client_tls, server_tls, verifier};
use super::tuning::{bind, transport};
use crate::crypto::pki::{COORDINATOR_NAME, key_of, shop_of};
use crate::ids::{Digest, ShopName};
use crate::limits::{INCOMING_BYTES, MAX_INCOMING};

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
    quic_server(platform, Carrier::Udp, identity, cas)
}

/// As [`server_config`], for what `carrier` carries.
pub(super) fn quic_server(
    platform: &Platform,
    carrier: Carrier,
    identity: &Identity,
    cas: &[Vec<u8>],
) -> Result<quinn::ServerConfig, TransportError> {
    let tls = server_tls(platform, identity, cas, ALPN)?;
    let quic =
        QuicServerConfig::try_from(tls).map_err(|error| TransportError::Certificate(error.to_string()))?;
    let mut config = quinn::ServerConfig::with_crypto(Arc::new(quic));
    config
        .transport_config(Arc::new(transport(carrier)))
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
    let config = quic_client(platform, Carrier::Udp, &trust, identity)?;
    let address: SocketAddr = match remote {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let mut endpoint = bind(&*platform.sockets, address, EndpointConfig::default(), None)?;
    endpoint.set_default_client_config(config);
    Ok(endpoint)
}

/// How a shop speaks QUIC over `carrier`.
pub(super) fn quic_client(
    platform: &Platform,
    carrier: Carrier,
    trust: &Trust,
    identity: Option<&Identity>,
) -> Result<quinn::ClientConfig, TransportError> {
    let tls = client_tls(platform, verifier(trust)?, identity, ALPN)?;
    let quic =
        QuicClientConfig::try_from(tls).map_err(|error| TransportError::Certificate(error.to_string()))?;
    let mut config = quinn::ClientConfig::new(Arc::new(quic));
    config.transport_config(Arc::new(transport(carrier)));
    Ok(config)
}

/// Dials the coordinator, over UDP or whatever `endpoint` stands on.
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

const ALPN: &[u8] = b"souk/1";

#[cfg(test)]
mod tests;
