//! Why there is no tunnel.

use std::io;

use crate::terminal::printable;
use crate::transport::error::CertificateRefusal;

/// Why there is no tunnel, as the shop sees it.
#[derive(Debug, thiserror::Error)]
pub(in crate::transport) enum TunnelError {
    /// No TCP connection.
    #[error("no TCP connection ({0})")]
    Unreachable(#[source] io::Error),
    /// No answer in time.
    #[error("nothing comes back over TCP")]
    Silent,
    /// It was closed before a word was said.
    #[error(
        "the connection is closed before a word is said: a firewall does that, or the coordinator, when too many tunnels come \
         from this address"
    )]
    ClosedAtOnce,
    /// Whoever answers speaks no TLS.
    #[error(
        "something else answers there: it speaks no TLS and says {:?}; {ELSE}",
        printable(said)
    )]
    PlainText {
        /// Its first line.
        said: String,
    },
    /// Whoever answers is no coordinator of Souk's.
    #[error(
        "something else answers there: it shows a TLS certificate for {:?} by {:?}; {ELSE}",
        printable(subject),
        printable(issuer)
    )]
    OtherAuthority {
        /// For whom.
        subject: String,
        /// By whom.
        issuer: String,
    },
    /// Whoever answers speaks TLS, and takes no tunnel.
    #[error("something else answers there: it speaks TLS and takes no tunnel; {ELSE}")]
    OtherProgram,
    /// A certificate of a federation's was not taken.
    #[error("{0}")]
    Refused(CertificateRefusal),
    /// It broke.
    #[error("the handshake broke off ({0})")]
    Broken(String),
    /// What this shop has of certificates is of no use.
    #[error("{0}")]
    Unusable(String),
}

/// What to do about it.
const ELSE: &str = "often that is the sign-in page of a guest network, or a proxy that opens TLS: sign in there with a browser, or \
                    have the network let this address through untouched";
