//! Versions of files: a key `format` that reads as the number this program knows, or not at all.
//!
//! Files without it are of the first format. Put it on top: whatever else a later format has is then read after it.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

/// The key `format` of a file whose format is `KNOWN`.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Format<const KNOWN: u32>;

impl<const KNOWN: u32> Serialize for Format<KNOWN> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        KNOWN.serialize(serializer)
    }
}

impl<'de, const KNOWN: u32> Deserialize<'de> for Format<KNOWN> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match u32::deserialize(deserializer)? {
            found if found == KNOWN => Ok(Self),
            found => Err(D::Error::custom(FormatError { found, known: KNOWN })),
        }
    }
}

/// A file of another format.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("it has format {found} and this program reads format {known}: use the release that wrote it")]
pub struct FormatError {
    /// As written.
    pub found: u32,
    /// As known.
    pub known: u32,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize, PartialEq, Serialize)]
    struct File {
        #[serde(default)]
        format: Format<2>,
    }

    #[test]
    fn the_known_format_and_none_are_read_and_another_is_named() {
        assert_eq!(
            serde_json::to_string(&File { format: Format }).unwrap(),
            "{\"format\":2}"
        );
        for text in ["{\"format\":2}", "{}"] {
            assert_eq!(
                serde_json::from_str::<File>(text).unwrap(),
                File { format: Format }
            );
        }
        let error = serde_json::from_str::<File>("{\"format\":7}")
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("format 7") && error.contains("reads format 2"),
            "{error}"
        );
    }
}
