//! The only use of `bincode`: message bodies, under a cap, refusing leftovers.

use bincode::config::{Configuration, Fixint, Limit, LittleEndian};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::limits::MAX_FRAME_BYTES;

/// A message as bytes.
///
/// # Errors
/// When it does not fit a frame.
#[expect(clippy::disallowed_methods, reason = "the one place that uses bincode")]
pub fn encode<T: Serialize>(message: &T) -> Result<Vec<u8>, CodecError> {
    let bytes = bincode::serde::encode_to_vec(message, CONFIG)
        .map_err(|error| CodecError::Unwritable(error.to_string()))?;
    if bytes.len() > MAX_FRAME_BYTES {
        return Err(CodecError::TooLong { got: bytes.len() });
    }
    Ok(bytes)
}

/// Reads a message; every byte must belong to it.
///
/// # Errors
/// When the bytes are no such message, or more than one.
#[expect(clippy::disallowed_methods, reason = "the one place that uses bincode")]
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, CodecError> {
    if bytes.len() > MAX_FRAME_BYTES {
        return Err(CodecError::TooLong { got: bytes.len() });
    }
    let (message, used) = bincode::serde::decode_from_slice(bytes, CONFIG)
        .map_err(|error| CodecError::Unreadable(error.to_string()))?;
    if used != bytes.len() {
        return Err(CodecError::Leftover {
            left: bytes.len() - used,
        });
    }
    Ok(message)
}

/// Why bytes are no message.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum CodecError {
    /// It has no form as bytes.
    #[error("the message can't be written: {0}")]
    Unwritable(String),
    /// Garbage.
    #[error("the bytes are no message: {0}")]
    Unreadable(String),
    /// More bytes than the message has.
    #[error("{left} bytes are left over after the message")]
    Leftover {
        /// How many.
        left: usize,
    },
    /// Over the cap.
    #[error("a message of {got} bytes; the most is {MAX_FRAME_BYTES}")]
    TooLong {
        /// Its length.
        got: usize,
    },
}

const CONFIG: Configuration<LittleEndian, Fixint, Limit<MAX_FRAME_BYTES>> = bincode::config::standard()
    .with_little_endian()
    .with_fixed_int_encoding()
    .with_limit::<MAX_FRAME_BYTES>();

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::Digest;
    use crate::wire::messages::{Reply, Request};

    #[test]
    fn messages_survive_and_leftovers_garbage_and_lying_lengths_are_refused() {
        let message = Request::Blob {
            digest: Digest::of(b"x"),
            offset: 7,
        };
        let mut bytes = encode(&message).unwrap();
        assert_eq!(decode::<Request>(&bytes), Ok(message));
        bytes.push(0);
        assert_eq!(decode::<Request>(&bytes), Err(CodecError::Leftover { left: 1 }));
        assert!(decode::<Request>(&bytes[..5]).is_err());
        // A join whose request claims 2^60 bytes must not make us reserve them.
        let mut lying = vec![0u8; 4 + 16];
        lying.extend((1u64 << 60).to_le_bytes());
        assert!(decode::<Request>(&lying).is_err());
        assert!(decode::<Reply>(&[0xff; 64]).is_err());
    }

    #[test]
    fn the_byte_layout_is_frozen() {
        let message = Request::Blob {
            digest: Digest([3; 32]),
            offset: 1,
        };
        let mut expected = vec![3, 0, 0, 0];
        expected.extend([3; 32]);
        expected.extend(1u64.to_le_bytes());
        assert_eq!(encode(&message).unwrap(), expected);
    }
}
