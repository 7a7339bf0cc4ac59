//! Masks: keystream words, added to an update or taken off a sum, in place.

use chacha20::ChaCha20;
use ctr::Ctr128LE;
use ctr::cipher::{KeyIvInit, StreamCipher};
use serde::{Deserialize, Serialize};

use super::secrets::SecretBytes;
use crate::update::UpdateValues;

/// The keystream that masks are made of.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum MaskCipher {
    /// Fast everywhere.
    #[default]
    Chacha20,
    /// Faster where the processor has AES.
    #[serde(rename = "aes128_ctr")]
    Aes128Ctr,
}

/// One keystream and its sign.
pub struct Mask {
    /// For ChaCha20 all of it, with nonce and counter zero; for AES-128 in counter mode its first half, with the counter
    /// (little-endian) beginning at the other half.
    pub key: SecretBytes,
    /// Added or taken off.
    pub sign: Sign,
}

/// Added or taken off.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Sign {
    /// Added.
    Plus,
    /// Taken off.
    Minus,
}

impl Sign {
    /// Of the mask that shop `own` makes with shop `other`: places in R1.
    pub fn of(own: u32, other: u32) -> Self {
        if own < other { Self::Plus } else { Self::Minus }
    }

    /// The other one.
    pub fn opposite(self) -> Self {
        match self {
            Self::Plus => Self::Minus,
            Self::Minus => Self::Plus,
        }
    }
}

/// Adds all `masks` to `values`, modulo 2^b.
pub fn apply(cipher: MaskCipher, masks: &[Mask], values: &mut UpdateValues) {
    match values {
        UpdateValues::B32(words) => apply_words(cipher, masks, words),
        UpdateValues::B64(words) => apply_words(cipher, masks, words),
    }
}

/// As [`apply`], on bare words.
pub fn apply_words<W: MaskWord>(cipher: MaskCipher, masks: &[Mask], words: &mut [W]) {
    match cipher {
        MaskCipher::Chacha20 => {
            apply_streams(masks, words, |key| ChaCha20::new(&(*key).into(), &[0; 12].into()))
        }
        MaskCipher::Aes128Ctr => apply_streams(masks, words, |key| {
            let (key, counter) = key.split_at(16);
            let [key, counter] = [key, counter].map(|half| {
                let half: [u8; 16] = half.try_into().expect("half of 32 bytes");
                half
            });
            Ctr128LE::<aes::Aes128>::new(&key.into(), &counter.into())
        }),
    }
}

/// All masks on one block before the next: the words stay in the cache.
fn apply_streams<W: MaskWord, C: StreamCipher>(
    masks: &[Mask],
    words: &mut [W],
    begin: impl Fn(&[u8; 32]) -> C,
) {
    let mut streams: Vec<(C, Sign)> = masks.iter().map(|mask| (begin(&mask.key), mask.sign)).collect();
    let mut keystream = [0; BLOCK_BYTES];
    for block in words.chunks_mut(BLOCK_BYTES / W::BYTES) {
        let bytes = &mut keystream[..block.len() * W::BYTES];
        for (stream, sign) in &mut streams {
            stream.write_keystream(bytes);
            W::add(block, bytes, *sign);
        }
    }
    zeroize::Zeroize::zeroize(&mut keystream);
}

/// A word that masks are made of.
pub trait MaskWord: Copy {
    /// Its length.
    const BYTES: usize;

    /// Adds little-endian keystream words, or takes them off.
    fn add(words: &mut [Self], keystream: &[u8], sign: Sign);
}

macro_rules! mask_word {
    ($word:ty) => {
        impl MaskWord for $word {
            const BYTES: usize = size_of::<$word>();

            fn add(words: &mut [Self], keystream: &[u8], sign: Sign) {
                let keystream = keystream.as_chunks::<{ size_of::<$word>() }>().0;
                let pairs = words.iter_mut().zip(keystream);
                match sign {
                    Sign::Plus => {
                        pairs.for_each(|(word, key)| *word = word.wrapping_add(Self::from_le_bytes(*key)));
                    }
                    Sign::Minus => {
                        pairs.for_each(|(word, key)| *word = word.wrapping_sub(Self::from_le_bytes(*key)));
                    }
                }
            }
        }
    };
}

mask_word!(u32);
mask_word!(u64);

/// Half of a small first-level cache.
const BLOCK_BYTES: usize = 16 << 10;

#[cfg(test)]
mod tests {
    use super::*;
    use zeroize::Zeroizing;

    fn mask(byte: u8, sign: Sign) -> Mask {
        let key = Zeroizing::new([byte; 32]);
        Mask { key, sign }
    }

    #[test]
    fn what_is_added_and_taken_off_is_nothing_with_either_cipher_and_word() {
        for cipher in [MaskCipher::Chacha20, MaskCipher::Aes128Ctr] {
            let mut words: Vec<u64> = (0..10_001).collect();
            apply_words(cipher, &[mask(1, Sign::Plus), mask(2, Sign::Minus)], &mut words);
            assert_ne!(words[10_000], 10_000);
            apply_words(cipher, &[mask(2, Sign::Plus), mask(1, Sign::Minus)], &mut words);
            assert!(words.iter().copied().eq(0..10_001));
        }
    }

    #[test]
    fn chacha_keystream_is_the_standards() {
        // RFC 8439, appendix A.1, test vectors 1 and 2: key, nonce and counter zero.
        let mut words = [0u32; 17];
        apply_words(MaskCipher::Chacha20, &[mask(0, Sign::Plus)], &mut words);
        assert_eq!(words[0].to_le_bytes(), [0x76, 0xb8, 0xe0, 0xad]);
        assert_eq!(words[16].to_le_bytes(), [0x9f, 0x07, 0xe7, 0xbe]);
    }

    #[test]
    fn aes_keystream_is_the_standards() {
        // FIPS 197, appendix C.1: key 00..0f, block 00112233..ff.
        let mut key = Zeroizing::new([0; 32]);
        for at in 0..16 {
            key[at] = at as u8;
            key[16 + at] = (at * 0x11) as u8;
        }
        let mut words = [0u32; 4];
        let mask = Mask {
            key,
            sign: Sign::Plus,
        };
        apply_words(MaskCipher::Aes128Ctr, &[mask], &mut words);
        assert_eq!(words[0].to_le_bytes(), [0x69, 0xc4, 0xe0, 0xd8]);
    }
}
