//! The list of members and their keys that an operator hands out signed, and the phrase by which two owners see that they
//! hold the same one.
//!
//! The coordinator knows every member, so a list of its making proves nothing about the keys: it could invent shops, and it
//! could hand different lists to different owners. Each owner's program checks that its own key is in its list, so two lists
//! that deceive differ, and the phrase tells them apart.

mod words;

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::crypto::sign::Signable;
use crate::ids::ShopName;
use words::WORDS;

/// Who is a member, by which key.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct ShopList {
    /// When it was made.
    pub made_at: Timestamp,
    /// In ascending order of names.
    pub shops: Vec<ListedShop>,
}

/// A member.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct ListedShop {
    /// Its name.
    pub shop: ShopName,
    /// Its long-term Ed25519 key.
    #[serde(with = "crate::hex")]
    pub identity: [u8; 32],
}

impl Signable for ShopList {
    const DOMAIN: &'static str = "souk 2026 shop list v1";
}

impl ShopList {
    /// Of these members.
    pub fn new(made_at: Timestamp, mut shops: Vec<ListedShop>) -> Self {
        shops.sort_by(|a, b| a.shop.cmp(&b.shop));
        Self { made_at, shops }
    }

    /// Twelve words that follow from names and keys, and from nothing else: 96 bits, as the first bytes of a digest that
    /// takes 2^20 hashes to make.
    ///
    /// Whoever makes the lists can look for two of one phrase, which takes about 2^48 lists, so 2^68 hashes; for another list
    /// of a given phrase it takes 2^96 of them. Shorter phrases of more than 66 bits would leave the first of the two within
    /// reach.
    pub fn phrase(&self) -> String {
        let mut hasher = blake3::Hasher::new_derive_key("souk 2026 shop list phrase v1");
        for member in &self.shops {
            let name = member.shop.as_str().as_bytes();
            hasher.update(&(name.len() as u64).to_le_bytes());
            hasher.update(name);
            hasher.update(&member.identity);
        }
        let mut digest = *hasher.finalize().as_bytes();
        for _ in 0..HASHES {
            digest = *blake3::hash(&digest).as_bytes();
        }
        let words: Vec<&str> = WORDS.split_whitespace().collect();
        let chosen: Vec<&str> = digest[..PHRASE_WORDS]
            .iter()
            .map(|byte| words[usize::from(*byte)])
            .collect();
        chosen.join(" ")
    }
}

/// Whether two phrases are the same, however they were typed.
pub fn is_same_phrase(one: &str, other: &str) -> bool {
    let words = |text: &str| -> Vec<String> {
        text.split(|letter: char| !letter.is_alphabetic())
            .filter(|word| !word.is_empty())
            .map(str::to_lowercase)
            .collect()
    };
    words(one) == words(other)
}

/// Bits of a phrase: those of a byte for each word.
pub const PHRASE_BITS: usize = 8 * PHRASE_WORDS;

const PHRASE_WORDS: usize = 12;
const HASHES: u32 = 1 << 20;

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn list(keys: &[(&str, u8)]) -> ShopList {
        let shops = keys.iter().map(|(name, key)| ListedShop {
            shop: name.parse().unwrap(),
            identity: [*key; 32],
        });
        ShopList::new(Timestamp(5), shops.collect())
    }

    #[test]
    fn there_is_a_word_for_every_byte_and_no_two_can_be_mistaken() {
        let words: Vec<&str> = WORDS.split_whitespace().collect();
        assert_eq!(words.len(), 256);
        let begins: BTreeSet<&str> = words.iter().map(|word| word.get(..4).unwrap_or(word)).collect();
        assert_eq!(begins.len(), 256);
        let one_letter_apart = |a: &str, b: &str| {
            let (short, long) = if a.len() <= b.len() { (a, b) } else { (b, a) };
            let same = short
                .bytes()
                .zip(long.bytes())
                .take_while(|(a, b)| a == b)
                .count();
            let (left, right) = (&short.as_bytes()[same..], &long.as_bytes()[same..]);
            match right.len() - left.len() {
                0 => left.len() <= 1 || left[1..] == right[1..],
                1 => *left == right[1..],
                _ => false,
            }
        };
        for (at, word) in words.iter().enumerate() {
            assert!(
                words[..at].iter().all(|other| !one_letter_apart(other, word)),
                "{word}"
            );
            assert!(word.bytes().all(|letter| letter.is_ascii_lowercase()));
        }
    }

    #[test]
    fn a_phrase_follows_from_names_and_keys_alone_and_from_all_of_them() {
        let phrase = list(&[("north", 1), ("south", 2)]).phrase();
        assert_eq!(phrase.split(' ').count() * 8, PHRASE_BITS);
        const { assert!(PHRASE_BITS >= 66) };
        let mut later = list(&[("south", 2), ("north", 1)]);
        later.made_at = Timestamp(9);
        assert_eq!(later.phrase(), phrase);
        for other in [
            list(&[("north", 1), ("south", 3)]),
            list(&[("north", 1), ("souths", 2)]),
            list(&[("north", 1)]),
            list(&[("north", 2), ("south", 1)]),
        ] {
            assert_ne!(other.phrase(), phrase);
        }
        // Phrases that owners have compared stay what they are.
        assert_eq!(
            list(&[("north", 1)]).phrase(),
            "pencil puzzle candle otter berry tomato piano nickel attic berry flannel yogurt"
        );
    }

    #[test]
    fn a_phrase_is_the_same_however_it_is_typed() {
        assert!(is_same_phrase("Acorn, actor\n AGENT", "acorn actor agent"));
        assert!(!is_same_phrase("acorn actor", "acorn actor agent"));
        assert!(!is_same_phrase("acorn agent actor", "acorn actor agent"));
    }
}
