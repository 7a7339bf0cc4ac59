//! The modulus that updates are summed in.

use serde::{Deserialize, Serialize};

/// b: updates are integers modulo 2^b.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(try_from = "u32", into = "u32")]
pub enum ModulusBits {
    /// 4 bytes a coordinate.
    #[default]
    B32,
    /// 8 bytes a coordinate.
    B64,
}

impl ModulusBits {
    /// 32 or 64.
    pub fn bits(self) -> u32 {
        match self {
            Self::B32 => 32,
            Self::B64 => 64,
        }
    }

    /// Bytes of one coordinate.
    pub fn bytes(self) -> usize {
        self.bits() as usize / 8
    }
}

impl TryFrom<u32> for ModulusBits {
    type Error = ModulusError;

    fn try_from(bits: u32) -> Result<Self, ModulusError> {
        match bits {
            32 => Ok(Self::B32),
            64 => Ok(Self::B64),
            _ => Err(ModulusError { bits }),
        }
    }
}

impl From<ModulusBits> for u32 {
    fn from(bits: ModulusBits) -> Self {
        bits.bits()
    }
}

/// b that is not offered.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("privacy.modulus_bits is {bits}; it must be 32 or 64")]
pub struct ModulusError {
    /// As given.
    pub bits: u32,
}
