//! The updates of single shops, a run of coordinates at a time.

use std::io;
use std::ops::Range;

use souk_common::ids::{Digest, ShopName};
use souk_common::storage::blobs::Blobs;
use souk_common::update::{ModulusBits, UpdateValues};

/// Where the updates of a round's shops are.
pub trait PartSource {
    /// A shop's integers of these coordinates.
    ///
    /// # Errors
    /// When they can't be had, or there are fewer.
    fn read(
        &self,
        shop: &ShopName,
        bits: ModulusBits,
        coordinates: Range<usize>,
    ) -> Result<UpdateValues, PartError>;
}

/// Updates in a store, by their digests.
#[derive(Clone, Copy, Debug)]
pub struct StoredParts<'a> {
    /// The accepted updates.
    pub accepted: &'a [(ShopName, Digest)],
    /// Where they are stored.
    pub blobs: &'a dyn Blobs,
}

impl PartSource for StoredParts<'_> {
    fn read(
        &self,
        shop: &ShopName,
        bits: ModulusBits,
        coordinates: Range<usize>,
    ) -> Result<UpdateValues, PartError> {
        let unreadable = |source| PartError::Unreadable {
            shop: shop.clone(),
            source,
        };
        let part = self.accepted.iter().find(|(name, _)| name == shop);
        let (_, digest) = part.ok_or_else(|| unreadable(io::ErrorKind::NotFound.into()))?;
        let width = bits.bytes() as u64;
        let (from, most) = (coordinates.start as u64 * width, coordinates.len() as u64 * width);
        let bytes = self.blobs.read_range(digest, from, most).map_err(unreadable)?;
        if bytes.len() as u64 != most {
            return Err(PartError::Length {
                shop: shop.clone(),
                got: from + bytes.len() as u64,
                expected: from + most,
            });
        }
        Ok(match bits {
            ModulusBits::B32 => {
                let words = bytes.as_chunks::<4>().0.iter();
                UpdateValues::B32(words.map(|word| u32::from_le_bytes(*word)).collect())
            }
            ModulusBits::B64 => {
                let words = bytes.as_chunks::<8>().0.iter();
                UpdateValues::B64(words.map(|word| u64::from_le_bytes(*word)).collect())
            }
        })
    }
}

/// Why a rule can't go over the updates.
#[derive(Debug, thiserror::Error)]
pub enum PartError {
    /// It is not there, or the disk fails.
    #[error(
        "the update of {shop}, which the plan's aggregation rule looks at by itself, can't be read: {source}"
    )]
    Unreadable {
        /// Whose.
        shop: ShopName,
        /// Why.
        source: io::Error,
    },
    /// It ends before the coordinates do.
    #[error("the update of {shop} ends at byte {got}, and byte {expected} is looked for")]
    Length {
        /// Whose.
        shop: ShopName,
        /// Where it ends.
        got: u64,
        /// Where the coordinates end.
        expected: u64,
    },
}
