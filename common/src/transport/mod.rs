//! QUIC between shops and coordinator: TLS 1.3, certificates of the federation's own CA on both sides.
//!
//! | module | what |
//! |---|---|
//! | [`frames`] | messages and blocks on a stream |
//! | [`endpoint`] | who is trusted, and who the peer is |
//! | [`admission`] | who is let in, and how connections end |
//! | [`token_bucket`] | rates |
//! | [`error`] | why there is no connection |
//! | [`platform`] | the clock and the sockets that drivers stand on |
//! | `tuning` | windows, datagrams |
//! | `reset` | how shops hear that a coordinator was started again |

pub mod admission;
pub mod endpoint;
pub mod error;
pub mod frames;
pub mod platform;
mod reset;
pub mod token_bucket;
mod tuning;

pub use admission::{CloseCode, Door, DoorRules, Verdict, address_of, admit};
pub use endpoint::{
    Identity, PeerIdentity, Trust, certificate_of, client_endpoint, client_endpoint_on, connect, peer_of,
    refusal_of, server_config, server_endpoint, server_endpoint_on,
};
pub use error::{CertificateRefusal, TransportError};
pub use frames::{FrameError, Framed, fill, read_frame, write_frame};
pub use platform::{Platform, Sockets, in_place};
pub use reset::ResetKey;
pub use token_bucket::{Bucket, Buckets, Rate};
