//! Why there is no connection.

use std::net::SocketAddr;

use quinn::{ConnectionError, TransportErrorCode};

use super::carrier::Carrier;

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum TransportError {
    /// Another program has the socket.
    #[error(
        "{carrier} {address} is taken by another program (a coordinator that still runs?): stop that, or listen on another port"
    )]
    Taken {
        /// Of which kind.
        carrier: Carrier,
        /// Where.
        address: SocketAddr,
    },
    /// The socket.
    #[error(
        "can't bind {carrier} {address}: is it an address of this machine?{}",
        bind_remedy(source)
    )]
    Bind {
        /// Of which kind.
        carrier: Carrier,
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
    /// Neither UDP nor TCP leads there.
    #[error("no connection to the coordinator at {remote}: {tried}")]
    NoWay {
        /// Where.
        remote: SocketAddr,
        /// Each way that was tried, with what came of it.
        tried: String,
    },
    /// A certificate was not taken.
    #[error("no connection to the coordinator at {remote}: {refusal}")]
    Refused {
        /// Where.
        remote: SocketAddr,
        /// Why.
        refusal: CertificateRefusal,
    },
}

/// Why two sides do not take each other's certificates, as the shop sees it.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum CertificateRefusal {
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

/// What to do about a socket that the system does not give, where that is known.
fn bind_remedy(error: &std::io::Error) -> &'static str {
    match error.kind() {
        std::io::ErrorKind::PermissionDenied => {
            " Ports under 1024 take a permission (CAP_NET_BIND_SERVICE; docs/operations.md says how)"
        }
        _ => "",
    }
}

/// Which certificate a connection failed on, if one was the reason.
pub(super) fn refusal(error: &ConnectionError) -> Option<CertificateRefusal> {
    let (code, theirs) = match error {
        ConnectionError::TransportError(error) => (error.code, false),
        ConnectionError::ConnectionClosed(close) => (close.error_code, true),
        _ => return None,
    };
    let is = |alert| code == TransportErrorCode::crypto(alert);
    match theirs {
        false if is(ALERT_EXPIRED) => Some(CertificateRefusal::CoordinatorsTime),
        false if is(ALERT_UNKNOWN_CA) => Some(CertificateRefusal::CoordinatorsAuthority),
        true if is(ALERT_EXPIRED) => Some(CertificateRefusal::OwnTime),
        true if is(ALERT_UNKNOWN_CA) => Some(CertificateRefusal::OwnAuthority),
        _ => None,
    }
}

/// Of TLS: RFC 8446, 6.2. It has one for "expired or not currently valid".
const ALERT_EXPIRED: u8 = 45;
const ALERT_UNKNOWN_CA: u8 = 48;
