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
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::wire::codec::{self, CodecError};
use crate::wire::limits::{MAX_FRAME_BYTES, PROTOCOL_VERSION};
use crate::wire::messages::{Push, Reply, Request};

/// What may stand in a frame.
pub trait Framed: Serialize + DeserializeOwned {
    /// The header's kind.
    const KIND: u8;
}

impl Framed for Request {
    const KIND: u8 = 1;
}

impl Framed for Reply {
    const KIND: u8 = 2;
}

impl Framed for Push {
    const KIND: u8 = 3;
}

/// Writes one frame.
///
/// # Errors
/// When the message is too long, or the peer is gone.
pub async fn write_frame<T: Framed>(
    to: &mut (impl AsyncWrite + Unpin),
    message: &T,
) -> Result<(), FrameError> {
    let body = codec::encode(message)?;
    let mut bytes = Vec::with_capacity(HEADER_BYTES + body.len());
    bytes.extend_from_slice(MAGIC);
    bytes.extend_from_slice(&PROTOCOL_VERSION.to_le_bytes());
    bytes.push(T::KIND);
    bytes.extend_from_slice(&(body.len() as u32).to_le_bytes());
    bytes.extend_from_slice(&body);
    to.write_all(&bytes).await?;
    to.flush().await?;
    Ok(())
}

/// Reads one frame; none if the stream ends before its first byte.
///
/// # Errors
/// When it is no frame of this version and kind, too long, cut off, or its body is no such message.
pub async fn read_frame<T: Framed>(from: &mut (impl AsyncRead + Unpin)) -> Result<Option<T>, FrameError> {
    let mut header = [0; HEADER_BYTES];
    if from.read(&mut header[..1]).await? == 0 {
        return Ok(None);
    }
    from.read_exact(&mut header[1..]).await?;
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
    if length > MAX_FRAME_BYTES {
        return Err(FrameError::TooLong { got: length });
    }
    // Grows as bytes arrive: a header alone reserves nothing.
    let mut body = Vec::new();
    from.take(length as u64).read_to_end(&mut body).await?;
    if body.len() != length {
        return Err(FrameError::Cut {
            got: body.len(),
            expected: length,
        });
    }
    Ok(Some(codec::decode(&body)?))
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
    #[error("a frame of {got} bytes; the most is {MAX_FRAME_BYTES}")]
    TooLong {
        /// As announced.
        got: usize,
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

const MAGIC: &[u8; 4] = b"SOUK";
const HEADER_BYTES: usize = 11;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::Digest;

    #[tokio::test]
    async fn frames_survive_one_after_another_until_the_end() {
        let mut bytes = Vec::new();
        let message = Request::Blob {
            digest: Digest::of(b"x"),
            offset: 7,
        };
        write_frame(&mut bytes, &message).await.unwrap();
        write_frame(&mut bytes, &Request::Leave).await.unwrap();
        let mut reader = bytes.as_slice();
        assert_eq!(read_frame::<Request>(&mut reader).await.unwrap(), Some(message));
        assert_eq!(
            read_frame::<Request>(&mut reader).await.unwrap(),
            Some(Request::Leave)
        );
        assert_eq!(read_frame::<Request>(&mut reader).await.unwrap(), None);
    }

    #[tokio::test]
    async fn garbage_other_versions_oversize_and_cuts_are_told_apart() {
        let mut good = Vec::new();
        write_frame(&mut good, &Request::Leave).await.unwrap();
        let with = |at: usize, value: u8| {
            let mut bytes = good.clone();
            bytes[at] = value;
            bytes
        };
        let read = async |bytes: Vec<u8>| read_frame::<Request>(&mut bytes.as_slice()).await.unwrap_err();
        assert!(matches!(read(with(0, b'X')).await, FrameError::Magic));
        assert!(matches!(read(with(4, 9)).await, FrameError::Version { got: 9 }));
        assert!(matches!(
            read(with(6, 2)).await,
            FrameError::Kind { got: 2, expected: 1 }
        ));
        assert!(matches!(read(with(10, 1)).await, FrameError::TooLong { .. }));
        assert!(matches!(
            read(with(7, 200)).await,
            FrameError::Cut {
                got: 4,
                expected: 200
            }
        ));
        assert!(matches!(read(good[..5].to_vec()).await, FrameError::Broken(_)));
    }
}
