//! An update as raw bytes: its integers, little-endian, one after another. Only what was clipped, noised and charged for
//! has such a form.

use crate::privacy::Privatized;
use crate::update::{Update, UpdateValues};

/// The bytes that leave the shop. Length: coordinates times 4 or 8.
pub fn encode(update: &Privatized<Update>) -> Vec<u8> {
    match &update.get().values {
        UpdateValues::B32(values) => words(values, u32::to_le_bytes),
        UpdateValues::B64(values) => words(values, u64::to_le_bytes),
    }
}

/// One copy, where a chain of iterators would push byte after byte.
fn words<T: Copy, const N: usize>(values: &[T], bytes_of: fn(T) -> [u8; N]) -> Vec<u8> {
    let mut bytes = vec![0; values.len() * N];
    for (place, value) in bytes.as_chunks_mut::<N>().0.iter_mut().zip(values) {
        *place = bytes_of(*value);
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::privacy::NoiseVector;
    use crate::rng::stream;
    use crate::update::{Grid, ModulusBits};

    #[test]
    fn integers_are_little_endian_and_none_is_lost() {
        let grid = Grid {
            bits: ModulusBits::B32,
            log2_clip: 16,
            clip_norm: 1.0,
            noise_stddev: 65536.0,
        };
        let update = Privatized::of_nobody(NoiseVector::draw(&grid, 5, &mut stream(1, "t")));
        let bytes = encode(&update);
        let UpdateValues::B32(values) = &update.get().values else {
            panic!("b = 32")
        };
        let read: Vec<u32> = bytes
            .as_chunks::<4>()
            .0
            .iter()
            .map(|word| u32::from_le_bytes(*word))
            .collect();
        assert_eq!((bytes.len(), &read), (20, values));
    }
}
