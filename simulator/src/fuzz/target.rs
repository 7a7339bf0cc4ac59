//! One decoder, what it is fed with, and what may come of an input.

use serde::Serialize;
use serde::de::{DeserializeOwned, IgnoredAny};

/// How far an input came.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Stage {
    /// Refused by its header, or as no text of its kind at all.
    Header,
    /// Refused behind that.
    Body,
    /// Decoded; what came of it survived being written and read again.
    Decoded,
}

/// A decoder of bytes that a peer, a file or a person gives.
pub struct FuzzTarget {
    /// Its name.
    pub name: &'static str,
    /// Good inputs, as released.
    pub golden: Vec<Vec<u8>>,
    /// Decodes. It may panic, and that is what is looked for.
    pub run: FuzzRun,
    /// Brings lengths and checksums of a damaged input in order, so that more than these are tried.
    pub repair: Option<fn(&mut Vec<u8>)>,
    /// Words that the format knows; none for binary ones.
    pub words: &'static [&'static str],
    /// Bytes it may take besides a multiple of the input: buffers of a fixed size.
    pub fixed_bytes: usize,
}

/// What decodes.
pub type FuzzRun = Box<dyn Fn(&[u8]) -> Stage + Send + Sync>;

impl FuzzTarget {
    pub(super) fn binary(
        name: &'static str,
        golden: Vec<Vec<u8>>,
        run: impl Fn(&[u8]) -> Stage + Send + Sync + 'static,
    ) -> Self {
        Self {
            name,
            golden,
            run: Box::new(run),
            repair: None,
            words: &[],
            fixed_bytes: FIXED_BYTES,
        }
    }

    pub(super) fn text(
        name: &'static str,
        golden: Vec<Vec<u8>>,
        run: impl Fn(&[u8]) -> Stage + Send + Sync + 'static,
    ) -> Self {
        Self {
            words: WORDS,
            ..Self::binary(name, golden, run)
        }
    }

    /// Of bincode.
    pub(super) fn framed(self) -> Self {
        Self {
            fixed_bytes: FRAME_BYTES,
            ..self
        }
    }

    pub(super) fn repaired(self, repair: fn(&mut Vec<u8>)) -> Self {
        Self {
            repair: Some(repair),
            ..self
        }
    }
}

/// A record as JSON, which must be written again as what is read to the same value.
pub(super) fn json<T>(name: &'static str, golden: &[&[u8]]) -> FuzzTarget
where
    T: DeserializeOwned + PartialEq + Serialize,
{
    json_and(name, golden, |_: &T| ())
}

/// The same, and `also` is done with what was read.
pub(super) fn json_and<T>(
    name: &'static str,
    golden: &[&[u8]],
    also: impl Fn(&T) + Send + Sync + 'static,
) -> FuzzTarget
where
    T: DeserializeOwned + PartialEq + Serialize,
{
    let golden = golden.iter().map(|bytes| bytes.to_vec()).collect();
    FuzzTarget::text(name, golden, move |bytes| {
        match serde_json::from_slice::<T>(bytes) {
            Ok(value) => {
                let written = serde_json::to_vec(&value).expect("what was read has a JSON form");
                let again = serde_json::from_slice::<T>(&written);
                assert!(
                    again.is_ok_and(|again| again == value),
                    "it reads back differently"
                );
                also(&value);
                Stage::Decoded
            }
            Err(_) => well_formed(bytes),
        }
    })
}

/// Of bytes that are not what they should be: whether they are JSON.
pub(super) fn well_formed(bytes: &[u8]) -> Stage {
    match serde_json::from_slice::<IgnoredAny>(bytes) {
        Ok(_) => Stage::Body,
        Err(_) => Stage::Header,
    }
}

/// Decoded if it is good, else refused behind the header.
pub(super) fn behind_header<T, E>(result: &Result<T, E>) -> Stage {
    if result.is_ok() {
        Stage::Decoded
    } else {
        Stage::Body
    }
}

const FIXED_BYTES: usize = 64 << 10;
/// For a list within a list within a list whose lengths lie: bincode refuses what claims more than a frame, and serde reserves
/// at most 1 MiB for what is claimed.
const FRAME_BYTES: usize = 4 << 20;

/// Edges of numbers and of nesting, and what separates things.
const WORDS: &[&str] = &[
    "0",
    "-1",
    "18446744073709551615",
    "18446744073709551616",
    "-9223372036854775808",
    "4294967296",
    "1e308",
    "1e999",
    "-0.0",
    "5e-324",
    "NaN",
    "inf",
    "null",
    "true",
    "\"\"",
    "[]",
    "{}",
    ":",
    ",",
    "=",
    "\n",
    "\r\n",
    "\t",
    "\"",
    "'",
    "\\u0000",
    "\\ud800",
    "\u{feff}",
    "\u{10ffff}",
    "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[",
    "{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":",
];
