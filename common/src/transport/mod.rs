//! QUIC between shops and coordinator: TLS 1.3, certificates of the federation's own CA on both sides.
//!
//! | module | what |
//! |---|---|
//! | [`frames`] | messages on a stream |
//! | [`endpoint`] | sockets, who is trusted, and who the peer is |

pub mod endpoint;
pub mod frames;

pub use endpoint::{
    Identity, Peer, TransportError, Trust, client_endpoint, connect, peer_of, server_endpoint,
};
pub use frames::{FrameError, read_frame, write_frame};
