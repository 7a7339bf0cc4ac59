//! Frames: a fixed header and a body under a cap.
//!
//! | bytes | what |
//! |---|---|
//! | 4 | `SOUK` |
//! | 2 | protocol version, little-endian |
//! | 1 | kind: 1 request, 2 reply, 3 push |
//! | 4 | length of the body, little-endian |

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::codec::{self, CodecError};
use super::messages::{Push, Reply, Request};
use crate::limits::{MAX_FRAME_BYTES, MAX_REQUEST_BYTES, PROTOCOL_VERSION};

/// What may stand in a frame.
pub trait Framed: Serialize + DeserializeOwned {
    /// The header's kind.
    const KIND: u8;
    /// Most bytes of a body.
    const MAX_BYTES: usize = MAX_FRAME_BYTES;
}

impl Framed for Request {
    const KIND: u8 = 1;
    const MAX_BYTES: usize = MAX_REQUEST_BYTES;
}

impl Framed for Reply {
    const KIND: u8 = 2;
}

impl Framed for Push {
    const KIND: u8 = 3;
}

/// A message as a frame.
///
/// # Errors
/// When it is too long.
pub fn to_bytes<T: Framed>(message: &T) -> Result<Vec<u8>, FrameError> {
    let body = codec::encode(message)?;
    if body.len() > T::MAX_BYTES {
        return Err(too_long::<T>(body.len()));
    }
    let mut bytes = Vec::with_capacity(HEADER_BYTES + body.len());
    bytes.extend_from_slice(MAGIC);
    bytes.extend_from_slice(&PROTOCOL_VERSION.to_le_bytes());
    bytes.push(T::KIND);
    // The codec's cap is far under 2^32.
    bytes.extend_from_slice(&(body.len() as u32).to_le_bytes());
    bytes.extend_from_slice(&body);
    Ok(bytes)
}

/// How many bytes of body follow a header.
///
/// # Errors
/// When it is no header of this version and kind, or announces more than its most ([`Framed::MAX_BYTES`]).
pub fn parse_header<T: Framed>(header: [u8; HEADER_BYTES]) -> Result<usize, FrameError> {
    let [m0, m1, m2, m3, v0, v1, kind, l0, l1, l2, l3] = header;
    if [m0, m1, m2, m3] != *MAGIC {
        return Err(FrameError::Magic);
    }
    let version = u16::from_le_bytes([v0, v1]);
    if version != PROTOCOL_VERSION {
        return Err(FrameError::Version { got: version });
    }
    if kind != T::KIND {
        return Err(FrameError::Kind {
            got: kind,
            expected: T::KIND,
        });
    }
    let length = u32::from_le_bytes([l0, l1, l2, l3]) as usize;
    if length > T::MAX_BYTES {
        return Err(too_long::<T>(length));
    }
    Ok(length)
}

/// The message of a whole frame, and of nothing but it.
///
/// # Errors
/// When it is none of this version and kind, too long, cut off or followed by more, or its body can't be read.
pub fn from_bytes<T: Framed>(bytes: &[u8]) -> Result<T, FrameError> {
    let cut = FrameError::Cut {
        got: bytes.len(),
        expected: HEADER_BYTES,
    };
    let (header, body) = bytes.split_first_chunk().ok_or(cut)?;
    let length = parse_header::<T>(*header)?;
    if body.len() < length {
        return Err(FrameError::Cut {
            got: body.len(),
            expected: length,
        });
    }
    Ok(codec::decode(body)?)
}

fn too_long<T: Framed>(got: usize) -> FrameError {
    FrameError::TooLong {
        got,
        most: T::MAX_BYTES,
    }
}

/// Why there is no frame.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// The peer speaks something else.
    #[error("the peer does not speak Souk's protocol")]
    Magic,
    /// The peer is of another version.
    #[error(
        "the peer speaks protocol version {got}, this program {PROTOCOL_VERSION}: bring both to the same release"
    )]
    Version {
        /// The peer's.
        got: u16,
    },
    /// A message where another belongs.
    #[error("a frame of kind {got} where {expected} belongs")]
    Kind {
        /// As sent.
        got: u8,
        /// As due.
        expected: u8,
    },
    /// Over the cap.
    #[error("a frame of {got} bytes; the most is {most}")]
    TooLong {
        /// As announced.
        got: usize,
        /// The cap.
        most: usize,
    },
    /// The stream ended within the frame.
    #[error("a frame of {expected} bytes was cut off after {got}")]
    Cut {
        /// Bytes that came.
        got: usize,
        /// Bytes that were due.
        expected: usize,
    },
    /// The body.
    #[error(transparent)]
    Codec(#[from] CodecError),
    /// The connection.
    #[error("the connection broke")]
    Broken(#[from] std::io::Error),
}

/// Length of a header.
pub const HEADER_BYTES: usize = 11;
const MAGIC: &[u8; 4] = b"SOUK";
