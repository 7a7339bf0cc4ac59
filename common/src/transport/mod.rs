//! QUIC between shops and coordinator, over UDP or in a tunnel over TCP: TLS 1.3, certificates of the federation's own CA on
//! both sides.
//!
//! | module | what |
//! |---|---|
//! | [`frames`] | messages and blocks on a stream |
//! | [`endpoint`] | endpoints over UDP, and who the peer is |
//! | [`tls`] | who is trusted |
//! | [`tunnel`] | QUIC's datagrams over TCP |
//! | [`mod@dial`] | the way that leads there; [`ways`] remembers it |
//! | [`carrier`] | UDP or TCP |
//! | [`admission`] | who is let in, and how connections end |
//! | [`token_bucket`] | rates |
//! | [`error`] | why there is no connection |
//! | [`platform`] | the clock and the sockets that drivers stand on |
//! | `tuning` | windows, datagrams |
//! | `reset` | how shops hear that a coordinator was started again |

pub mod admission;
pub mod carrier;
pub mod dial;
pub mod endpoint;
pub mod error;
pub mod frames;
pub mod platform;
mod reset;
pub mod tls;
pub mod token_bucket;
mod tuning;
pub mod tunnel;
pub mod ways;

pub use admission::{CloseCode, Door, DoorRules, Verdict, address_of, admit};
pub use carrier::Carrier;
pub use dial::{Dialled, Way, dial};
pub use endpoint::{
    PeerIdentity, certificate_of, client_endpoint, client_endpoint_on, connect, peer_of, refusal_of,
    server_config, server_endpoint, server_endpoint_on,
};
pub use error::{CertificateRefusal, TransportError};
pub use frames::{FrameError, Framed, fill, read_frame, write_frame};
pub use platform::{ByteStream, Dialling, Platform, Sockets, StreamListener, in_place};
pub use reset::ResetKey;
pub use tls::{Identity, Trust};
pub use token_bucket::{Bucket, Buckets, Rate};
pub use tunnel::{TunnelRules, TunnelServer};
pub use ways::{TransportChoice, Ways};
