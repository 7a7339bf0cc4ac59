//! The running sum of one attempt, modulo 2^b.

use souk_common::ids::ShopName;
use souk_common::secagg::{MaskingParams, Misfit, Session};
use souk_common::update::{ModulusBits, UpdateValues};

/// The sum of the updates of one attempt, coordinate by coordinate, modulo 2^b. It takes memory for one update,
/// however many are added.
#[derive(Debug)]
pub struct Accumulator {
    sum: Sum,
}

#[derive(Debug)]
enum Sum {
    B32(Vec<u32>),
    B64(Vec<u64>),
}

/// An update's integers, or a run of them.
#[derive(Clone, Copy, Debug)]
pub enum Integers<'a> {
    /// Modulo 2^32.
    B32(&'a [u32]),
    /// Modulo 2^64.
    B64(&'a [u64]),
}

impl Accumulator {
    /// Zero, for updates of `coordinates` integers modulo 2^`bits`.
    pub fn new(bits: ModulusBits, coordinates: usize) -> Self {
        let sum = match bits {
            ModulusBits::B32 => Sum::B32(vec![0; coordinates]),
            ModulusBits::B64 => Sum::B64(vec![0; coordinates]),
        };
        Self { sum }
    }

    /// Coordinates.
    pub fn len(&self) -> usize {
        match &self.sum {
            Sum::B32(sum) => sum.len(),
            Sum::B64(sum) => sum.len(),
        }
    }

    /// Whether there is no coordinate.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The modulus.
    pub fn bits(&self) -> ModulusBits {
        match &self.sum {
            Sum::B32(_) => ModulusBits::B32,
            Sum::B64(_) => ModulusBits::B64,
        }
    }

    /// Length of an update in bytes.
    pub fn update_bytes(&self) -> u64 {
        self.len() as u64 * self.bits().bytes() as u64
    }

    /// Adds a whole update.
    ///
    /// # Errors
    /// When its length or its modulus is another.
    pub fn add(&mut self, update: Integers<'_>) -> Result<(), AccumulatorError> {
        let got = match update {
            Integers::B32(words) => words.len(),
            Integers::B64(words) => words.len(),
        };
        if got != self.len() {
            return Err(AccumulatorError::Length {
                got,
                expected: self.len(),
            });
        }
        self.add_at(0, update)
    }

    /// Adds a run of integers from coordinate `first` on.
    ///
    /// # Errors
    /// When the run reaches beyond the last coordinate, or its modulus is another.
    pub fn add_at(&mut self, first: usize, words: Integers<'_>) -> Result<(), AccumulatorError> {
        match (&mut self.sum, words) {
            (Sum::B32(sum), Integers::B32(words)) => {
                for (total, word) in run(sum, first, words.len())?.iter_mut().zip(words) {
                    *total = total.wrapping_add(*word);
                }
            }
            (Sum::B64(sum), Integers::B64(words)) => {
                for (total, word) in run(sum, first, words.len())?.iter_mut().zip(words) {
                    *total = total.wrapping_add(*word);
                }
            }
            _ => return Err(AccumulatorError::Modulus),
        }
        Ok(())
    }

    /// Adds little-endian integers from coordinate `first` on; `bytes` holds whole integers.
    ///
    /// # Errors
    /// When the bytes end inside an integer or reach beyond the last coordinate.
    pub fn add_bytes_at(&mut self, first: usize, bytes: &[u8]) -> Result<(), AccumulatorError> {
        match &mut self.sum {
            Sum::B32(sum) => {
                let (words, rest) = bytes.as_chunks::<4>();
                whole(rest)?;
                for (total, word) in run(sum, first, words.len())?.iter_mut().zip(words) {
                    *total = total.wrapping_add(u32::from_le_bytes(*word));
                }
            }
            Sum::B64(sum) => {
                let (words, rest) = bytes.as_chunks::<8>();
                whole(rest)?;
                for (total, word) in run(sum, first, words.len())?.iter_mut().zip(words) {
                    *total = total.wrapping_add(u64::from_le_bytes(*word));
                }
            }
        }
        Ok(())
    }

    /// Takes off the masks that are left in the sum of a masked attempt; gives shops whose shares show that they lied.
    ///
    /// # Errors
    /// When shares are missing or of no use; the sum is as it was then.
    pub fn unmask(&mut self, session: &Session, terms: &MaskingParams) -> Result<Vec<ShopName>, Misfit> {
        match &mut self.sum {
            Sum::B32(sum) => session.unmask(terms, sum),
            Sum::B64(sum) => session.unmask(terms, sum),
        }
    }

    /// The sum at one coordinate, lifted to the integer nearest zero.
    ///
    /// # Panics
    /// If there is no such coordinate.
    pub fn lifted(&self, coordinate: usize) -> i64 {
        match &self.sum {
            Sum::B32(sum) => i64::from(sum[coordinate].cast_signed()),
            Sum::B64(sum) => sum[coordinate].cast_signed(),
        }
    }

    /// The integers as they are, modulo 2^b.
    pub fn values(&self) -> UpdateValues {
        match &self.sum {
            Sum::B32(sum) => UpdateValues::B32(sum.clone()),
            Sum::B64(sum) => UpdateValues::B64(sum.clone()),
        }
    }

    /// Makes it zero.
    pub fn clear(&mut self) {
        match &mut self.sum {
            Sum::B32(sum) => sum.fill(0),
            Sum::B64(sum) => sum.fill(0),
        }
    }
}

fn run<T>(sum: &mut [T], first: usize, len: usize) -> Result<&mut [T], AccumulatorError> {
    let expected = sum.len();
    let end = first.saturating_add(len);
    sum.get_mut(first..end)
        .ok_or(AccumulatorError::Length { got: end, expected })
}

fn whole(rest: &[u8]) -> Result<(), AccumulatorError> {
    if rest.is_empty() {
        Ok(())
    } else {
        Err(AccumulatorError::Cut { bytes: rest.len() })
    }
}

/// Why integers can't be added.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum AccumulatorError {
    /// Of another length than the model.
    #[error("the update has {got} coordinates; the model has {expected}")]
    Length {
        /// Coordinates that were (to be) reached.
        got: usize,
        /// The model's.
        expected: usize,
    },
    /// Modulo another power of two.
    #[error("the update has another modulus than the plan")]
    Modulus,
    /// The bytes end inside an integer.
    #[error("{bytes} bytes are left over after the last whole integer")]
    Cut {
        /// How many.
        bytes: usize,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_wrap_and_come_back_signed() {
        let mut sum = Accumulator::new(ModulusBits::B32, 2);
        sum.add(Integers::B32(&[u32::MAX, 5])).unwrap();
        sum.add(Integers::B32(&[u32::MAX - 1, 0])).unwrap();
        assert_eq!((sum.lifted(0), sum.lifted(1)), (-3, 5));
        let mut sum = Accumulator::new(ModulusBits::B64, 1);
        sum.add_bytes_at(0, &(-7i64).to_le_bytes()).unwrap();
        assert_eq!(sum.lifted(0), -7);
        sum.clear();
        assert_eq!(sum.lifted(0), 0);
    }

    #[test]
    fn streamed_pieces_in_any_order_make_the_same_sum() {
        let update: Vec<u32> = (0..1000u32)
            .map(|word| word.wrapping_mul(2_654_435_761))
            .collect();
        let bytes: Vec<u8> = update.iter().flat_map(|word| word.to_le_bytes()).collect();
        let (mut whole, mut pieces) = (
            Accumulator::new(ModulusBits::B32, 1000),
            Accumulator::new(ModulusBits::B32, 1000),
        );
        whole.add(Integers::B32(&update)).unwrap();
        for first in [600, 0, 300] {
            let end = if first == 600 { 1000 } else { first + 300 };
            pieces.add_bytes_at(first, &bytes[first * 4..end * 4]).unwrap();
        }
        assert!((0..1000).all(|at| whole.lifted(at) == pieces.lifted(at)));
    }

    #[test]
    fn wrong_lengths_are_refused_and_change_nothing() {
        let mut sum = Accumulator::new(ModulusBits::B32, 2);
        assert!(sum.add(Integers::B32(&[1])).is_err());
        assert!(sum.add_at(1, Integers::B32(&[1, 1])).is_err());
        assert!(sum.add_at(usize::MAX, Integers::B32(&[1])).is_err());
        assert!(sum.add(Integers::B64(&[1, 1])).is_err());
        assert!(sum.add_bytes_at(0, &[1, 0, 0]).is_err());
        assert_eq!((sum.lifted(0), sum.lifted(1)), (0, 0));
    }
}
