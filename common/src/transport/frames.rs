//! Frames on a stream.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::wire::codec;
pub use crate::wire::frame::{FrameError, Framed};
use crate::wire::frame::{HEADER_BYTES, parse_header, to_bytes};

/// Writes one frame.
///
/// # Errors
/// When the message is too long, or the peer is gone.
pub async fn write_frame<T: Framed>(
    to: &mut (impl AsyncWrite + Unpin),
    message: &T,
) -> Result<(), FrameError> {
    to.write_all(&to_bytes(message)?).await?;
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
    let length = parse_header::<T>(header)?;
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

/// Fills `piece` with raw bytes; how many came before the stream's end or the error. A hash and a write for each datagram
/// cost more than gathering them.
pub async fn fill(from: &mut (impl AsyncRead + Unpin), piece: &mut [u8]) -> (usize, io::Result<()>) {
    let mut filled = 0;
    while filled < piece.len() {
        match from.read(&mut piece[filled..]).await {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) => return (filled, Err(error)),
        }
    }
    (filled, Ok(()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::Digest;
    use crate::wire::messages::Request;

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
    async fn pieces_are_filled_across_reads_and_what_came_before_the_end_counts() {
        let (mut ours, mut theirs) = tokio::io::duplex(3);
        let sent = tokio::spawn(async move { ours.write_all(&[7; 12]).await });
        let mut piece = [0; 10];
        assert!(matches!(fill(&mut theirs, &mut piece).await, (10, Ok(()))));
        assert!(matches!(fill(&mut theirs, &mut piece).await, (2, Ok(()))));
        assert_eq!(piece, [7; 10]);
        sent.await.unwrap().unwrap();
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
