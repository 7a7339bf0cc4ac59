//! QUIC between shops and coordinator: TLS 1.3, certificates of the federation's own CA on both sides. And the way from a
//! command to a program of the same folder.
//!
//! | module | what |
//! |---|---|
//! | [`frames`] | messages and blocks on a stream |
//! | [`endpoint`] | who is trusted, and who the peer is |
//! | [`admission`] | who is let in, and how connections end |
//! | [`bucket`] | rates |
//! | [`control`] | questions to a program that runs, over a local socket |
//! | [`platform`] | the clock and the sockets that drivers stand on |
//! | `tuning` | windows, datagrams |

pub mod admission;
pub mod bucket;
pub mod control;
pub mod endpoint;
pub mod frames;
pub mod platform;
mod tuning;

pub use admission::{CloseCode, Door, DoorRules, Verdict, admit};
pub use bucket::{Bucket, Buckets, Rate};
pub use endpoint::{
    Identity, Peer, TransportError, Trust, client_endpoint, client_endpoint_on, connect, peer_of,
    server_endpoint, server_endpoint_on,
};
pub use frames::{FrameError, Framed, fill, read_frame, write_frame};
pub use platform::{Platform, Sockets, in_place};
