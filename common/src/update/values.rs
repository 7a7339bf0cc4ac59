//! An update as it is summed: integers modulo 2^b.

use super::modulus::ModulusBits;

/// Integers modulo 2^b, one a coordinate.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum UpdateValues {
    /// b = 32.
    B32(Vec<u32>),
    /// b = 64.
    B64(Vec<u64>),
}

impl UpdateValues {
    /// `coordinates` zeros.
    pub fn zeros(bits: ModulusBits, coordinates: usize) -> Self {
        match bits {
            ModulusBits::B32 => Self::B32(vec![0; coordinates]),
            ModulusBits::B64 => Self::B64(vec![0; coordinates]),
        }
    }

    /// How many coordinates.
    pub fn len(&self) -> usize {
        match self {
            Self::B32(values) => values.len(),
            Self::B64(values) => values.len(),
        }
    }

    /// Whether there is no coordinate.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// b.
    pub fn bits(&self) -> ModulusBits {
        match self {
            Self::B32(_) => ModulusBits::B32,
            Self::B64(_) => ModulusBits::B64,
        }
    }
}

/// A shop's summed update, on the integer grid.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Update {
    /// b.
    pub bits: ModulusBits,
    /// The coordinates.
    pub values: UpdateValues,
}

impl From<UpdateValues> for Update {
    fn from(values: UpdateValues) -> Self {
        Self {
            bits: values.bits(),
            values,
        }
    }
}
