//! Sockets, who is trusted, and who the peer is.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use quinn::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use quinn::{Connection, ConnectionError, Endpoint, EndpointConfig, TransportErrorCode};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{WebPkiServerVerifier, verify_server_cert_signed_by_trust_anchor};
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName, UnixTime};
use rustls::server::{ParsedCertificate, WebPkiClientVerifier};
use rustls::{DigitallySignedStruct, RootCertStore, SignatureScheme};
use zeroize::Zeroizing;

use super::platform::Platform;
use super::reset::ResetKey;
use super::tuning::{bind, transport};
use crate::crypto::pki::{COORDINATOR_NAME, key_of, shop_of};
use crate::ids::{Digest, ShopName};
use crate::wire::limits::{INCOMING_BYTES, MAX_INCOMING};

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
pub struct Peer {
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
pub fn refusal_of(connection: &Connection) -> Option<Refusal> {
    refusal(&connection.close_reason()?)
}

fn refusal(error: &ConnectionError) -> Option<Refusal> {
    let (code, theirs) = match error {
        ConnectionError::TransportError(error) => (error.code, false),
        ConnectionError::ConnectionClosed(close) => (close.error_code, true),
        _ => return None,
    };
    let is = |alert| code == TransportErrorCode::crypto(alert);
    match theirs {
        false if is(ALERT_EXPIRED) => Some(Refusal::CoordinatorsTime),
        false if is(ALERT_UNKNOWN_CA) => Some(Refusal::CoordinatorsAuthority),
        true if is(ALERT_EXPIRED) => Some(Refusal::OwnTime),
        true if is(ALERT_UNKNOWN_CA) => Some(Refusal::OwnAuthority),
        _ => None,
    }
}

/// The shop on the other end; none if it showed no certificate.
pub fn peer_of(connection: &Connection) -> Option<Peer> {
    let leaf = certificate_of(connection)?;
    Some(Peer {
        shop: shop_of(&leaf)?,
        fingerprint: Digest::of(&leaf),
        identity: key_of(&leaf)?,
    })
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

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum TransportError {
    /// Another program has the socket.
    #[error(
        "UDP {address} is taken by another program (a coordinator that still runs?): stop that, or listen on another port"
    )]
    Taken {
        /// Where.
        address: SocketAddr,
    },
    /// The socket.
    #[error("can't bind UDP {address}: is it an address of this machine?")]
    Bind {
        /// Where.
        address: SocketAddr,
        /// What the system says.
        #[source]
        source: std::io::Error,
    },
    /// A certificate or key of no use.
    #[error("certificate or key are of no use: {0}")]
    Certificate(String),
    /// Nobody, or the wrong one.
    #[error("no connection to the coordinator at {remote}: {reason}")]
    Connect {
        /// Where.
        remote: SocketAddr,
        /// What went wrong.
        reason: String,
    },
    /// A certificate was not taken.
    #[error("no connection to the coordinator at {remote}: {refusal}")]
    Refused {
        /// Where.
        remote: SocketAddr,
        /// Why.
        refusal: Refusal,
    },
}

/// Why two sides do not take each other's certificates, as the shop sees it.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Refusal {
    /// By this machine's clock.
    #[error(
        "by this machine's clock its certificate is not valid yet, or not any more: is this clock right?"
    )]
    CoordinatorsTime,
    /// It is of another federation, or its CA was replaced.
    #[error(
        "it shows a certificate by an authority that this shop does not know: it is another federation's coordinator, or \
         its authority was replaced while this shop was away; ask the operator"
    )]
    CoordinatorsAuthority,
    /// By the coordinator's clock.
    #[error("by the coordinator's clock this shop's certificate is not valid yet, or not any more")]
    OwnTime,
    /// The CA was replaced, or it is another federation's certificate.
    #[error(
        "the coordinator does not know the authority by which this shop is certified: it was replaced while this shop was \
         away, or this is another federation's coordinator; ask the operator"
    )]
    OwnAuthority,
}

const ALPN: &[u8] = b"souk/1";
/// Of TLS: RFC 8446, 6.2. It has one for "expired or not currently valid".
const ALERT_EXPIRED: u8 = 45;
const ALERT_UNKNOWN_CA: u8 = 48;

#[cfg(test)]
mod moves;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{Clock, SystemClock};
    use crate::crypto::pki::{Authority, shop_key};
    use crate::wire::limits::{CONNECTION_WINDOW_BYTES, MAX_DATAGRAM_BYTES};
    use std::time::Duration;

    pub(super) const LIMIT: Duration = Duration::from_secs(20);

    pub(super) fn resets() -> ResetKey {
        ResetKey::derive(b"a secret")
    }

    pub(super) fn coordinator(authority: &Authority) -> Identity {
        let (leaf, key) = authority.issue_coordinator(SystemClock.now()).unwrap();
        Identity {
            chain: vec![leaf, authority.certificate().to_vec()],
            key,
        }
    }

    pub(super) fn shop(authority: &Authority, name: &str) -> Identity {
        let (key, csr) = shop_key().unwrap();
        let leaf = authority
            .issue_shop(&csr, &name.parse().unwrap(), SystemClock.now())
            .unwrap();
        Identity {
            chain: vec![leaf],
            key,
        }
    }

    /// Dials; the peer as the server sees it, or none if the handshake fails on either side.
    async fn meet(
        server: Identity,
        ca: &[u8],
        trust: Trust,
        identity: Option<&Identity>,
    ) -> Option<Option<Peer>> {
        let server = server_endpoint((Ipv4Addr::LOCALHOST, 0).into(), server, ca, resets()).unwrap();
        let remote = server.local_addr().unwrap();
        let client = client_endpoint(remote, trust, identity).unwrap();
        let accepted = async {
            server
                .accept()
                .await?
                .await
                .ok()
                .map(|peer| (peer_of(&peer), peer))
        };
        let both = async { tokio::join!(accepted, connect(&client, remote)) };
        let (accepted, dialled) = tokio::time::timeout(LIMIT, both)
            .await
            .expect("a handshake in time");
        // In TLS 1.3 the client ends first: it learns of a refusal by its first read.
        let dialled = dialled.ok()?;
        let (peer, _alive) = accepted?;
        dialled.close_reason().is_none().then_some(peer)
    }

    #[tokio::test]
    async fn a_shop_is_known_by_its_certificate_and_a_joiner_by_none() {
        let authority = Authority::create("a", SystemClock.now()).unwrap();
        let ca = authority.certificate();
        let north = shop(&authority, "north");
        let met = meet(coordinator(&authority), ca, Trust::Ca(ca.to_vec()), Some(&north)).await;
        let peer = met.unwrap().unwrap();
        assert_eq!(
            (peer.shop.as_str(), peer.fingerprint),
            ("north", Digest::of(&north.chain[0]))
        );
        let joiner = meet(
            coordinator(&authority),
            ca,
            Trust::Fingerprint(authority.fingerprint()),
            None,
        )
        .await;
        assert_eq!(joiner, Some(None));
    }

    #[tokio::test]
    async fn certificates_of_another_authority_or_for_another_use_are_refused() {
        let ours = Authority::create("a", SystemClock.now()).unwrap();
        let other = Authority::create("a", SystemClock.now()).unwrap();
        let ca = ours.certificate();
        let trust = || Trust::Ca(ca.to_vec());
        let foreign = shop(&other, "north");
        assert_eq!(
            meet(coordinator(&ours), ca, trust(), Some(&foreign)).await,
            None,
            "foreign shop"
        );
        assert_eq!(
            meet(coordinator(&other), ca, trust(), None).await,
            None,
            "foreign coordinator"
        );
        assert_eq!(
            meet(shop(&ours, "north"), ca, trust(), None).await,
            None,
            "a shop as coordinator"
        );
        let by_digest = || Trust::Fingerprint(ours.fingerprint());
        assert_eq!(
            meet(coordinator(&other), ca, by_digest(), None).await,
            None,
            "another fingerprint"
        );
        // A chain that shows the right CA certificate but was signed by another.
        let (leaf, key) = other.issue_coordinator(SystemClock.now()).unwrap();
        let forged = Identity {
            chain: vec![leaf, ca.to_vec()],
            key,
        };
        assert_eq!(
            meet(forged, ca, by_digest(), None).await,
            None,
            "borrowed CA certificate"
        );
        let mut posing = shop(&ours, "north");
        posing.chain.push(ca.to_vec());
        assert_eq!(
            meet(posing, ca, by_digest(), None).await,
            None,
            "a shop as coordinator, to a joiner"
        );
    }

    #[tokio::test]
    async fn the_coordinators_own_or_an_expired_certificate_is_no_shops() {
        let authority = Authority::create("a", SystemClock.now()).unwrap();
        let ca = authority.certificate();
        let trust = || Trust::Ca(ca.to_vec());
        let posing = coordinator(&authority);
        let met = meet(coordinator(&authority), ca, trust(), Some(&posing)).await;
        assert_eq!(met, None, "the coordinator as a shop");
        let (key, csr) = shop_key().unwrap();
        let long_ago = SystemClock.now() - Duration::from_secs(6 * 365 * 86_400);
        let leaf = authority
            .issue_shop(&csr, &"north".parse().unwrap(), long_ago)
            .unwrap();
        let expired = Identity {
            chain: vec![leaf],
            key,
        };
        let met = meet(coordinator(&authority), ca, trust(), Some(&expired)).await;
        assert_eq!(met, None, "expired");
    }

    /// Dials; what the shop is told, at once or by its first read.
    async fn told(server: Identity, cas: &[Vec<u8>], trust: Trust, identity: &Identity) -> Option<Refusal> {
        let platform = Platform::system();
        let config = server_config(&platform, &server, cas).unwrap();
        let any = (Ipv4Addr::LOCALHOST, 0).into();
        let server = bind(&*platform.sockets, any, EndpointConfig::default(), Some(config)).unwrap();
        let remote = server.local_addr().unwrap();
        let client = client_endpoint(remote, trust, Some(identity)).unwrap();
        let accepted = async { server.accept().await.unwrap().await };
        let dialled = async {
            match connect(&client, remote).await {
                Ok(connection) => {
                    // A peer that is taken is told nothing.
                    let _ = tokio::time::timeout(Duration::from_millis(300), connection.closed()).await;
                    refusal_of(&connection)
                }
                Err(TransportError::Refused { refusal, .. }) => Some(refusal),
                Err(other) => panic!("{other}"),
            }
        };
        let both = async { tokio::join!(accepted, dialled) };
        let (_alive, told) = tokio::time::timeout(LIMIT, both).await.expect("in time");
        told
    }

    #[tokio::test]
    async fn while_one_authority_takes_anothers_place_both_are_taken_and_then_one() {
        let (old, new) = (
            Authority::create("a", SystemClock.now()).unwrap(),
            Authority::create("a", SystemClock.now()).unwrap(),
        );
        let both = || vec![new.certificate().to_vec(), old.certificate().to_vec()];
        for authority in [&old, &new] {
            let met = told(
                coordinator(&old),
                &both(),
                Trust::AnyOf(both()),
                &shop(authority, "north"),
            )
            .await;
            assert_eq!(met, None);
        }
        let one = [new.certificate().to_vec()];
        let met = told(
            coordinator(&new),
            &one,
            Trust::AnyOf(both()),
            &shop(&new, "north"),
        )
        .await;
        assert_eq!(met, None);
        let met = told(
            coordinator(&new),
            &one,
            Trust::AnyOf(both()),
            &shop(&old, "north"),
        )
        .await;
        assert_eq!(met, Some(Refusal::OwnAuthority));
        let trust = Trust::Ca(old.certificate().to_vec());
        let met = told(coordinator(&new), &one, trust, &shop(&new, "north")).await;
        assert_eq!(met, Some(Refusal::CoordinatorsAuthority));
    }

    #[tokio::test]
    async fn a_clock_that_is_years_off_is_called_that_on_either_side() {
        let years = Duration::from_secs(6 * 365 * 86_400);
        let now = SystemClock.now();
        for (theirs, ours, expected) in [
            (now + years, now, Refusal::CoordinatorsTime),
            (now - years, now, Refusal::CoordinatorsTime),
            (now, now + years, Refusal::OwnTime),
            (now, now - years, Refusal::OwnTime),
        ] {
            // An authority of long ago, as they are.
            let authority = Authority::create("a", now - years * 2).unwrap();
            let (leaf, key) = authority.issue_coordinator(theirs).unwrap();
            let chain = vec![leaf, authority.certificate().to_vec()];
            let (shop_key, csr) = shop_key().unwrap();
            let leaf = authority
                .issue_shop(&csr, &"north".parse().unwrap(), ours)
                .unwrap();
            let north = Identity {
                chain: vec![leaf],
                key: shop_key,
            };
            let trust = Trust::Ca(authority.certificate().to_vec());
            let cas = [authority.certificate().to_vec()];
            let met = told(Identity { chain, key }, &cas, trust, &north).await;
            assert_eq!(met, Some(expected));
            assert!(expected.to_string().contains("clock"));
        }
    }

    #[tokio::test]
    async fn blocks_beyond_every_window_arrive_whole_in_large_datagrams() {
        let authority = Authority::create("a", SystemClock.now()).unwrap();
        let ca = authority.certificate();
        let server = server_endpoint(
            (Ipv4Addr::LOCALHOST, 0).into(),
            coordinator(&authority),
            ca,
            resets(),
        )
        .unwrap();
        let remote = server.local_addr().unwrap();
        let north = shop(&authority, "north");
        let client = client_endpoint(remote, Trust::Ca(ca.to_vec()), Some(&north)).unwrap();
        let block: Vec<u8> = (0..5 * CONNECTION_WINDOW_BYTES)
            .map(|at| (at % 251) as u8)
            .collect();
        let echo = async {
            let connection = server.accept().await.unwrap().await.unwrap();
            let (mut send, mut receive) = connection.accept_bi().await.unwrap();
            tokio::io::copy(&mut receive, &mut send).await.unwrap();
            send.finish().unwrap();
            send.stopped().await.unwrap();
            connection.stats().path.current_mtu
        };
        let shop = async {
            let connection = connect(&client, remote).await.unwrap();
            let (mut send, mut receive) = connection.open_bi().await.unwrap();
            let sent = async {
                send.write_all(&block).await.unwrap();
                send.finish().unwrap();
            };
            let (back, ()) = tokio::join!(receive.read_to_end(block.len()), sent);
            back.unwrap()
        };
        let both = async { tokio::join!(echo, shop) };
        let (mtu, back) = tokio::time::timeout(LIMIT, both).await.expect("in time");
        assert!(back == block);
        // Found on the way: loopback carries more than the Internet's 1,452, and never more than asked for.
        assert!((1_453..=MAX_DATAGRAM_BYTES).contains(&mtu), "{mtu}");
    }
}
