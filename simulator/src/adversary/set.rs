//! Sets of shops as bits.

use std::fmt;

/// Shops 0 to 64 W - 1.
#[derive(Clone, Copy, Eq, PartialEq)]
pub(super) struct Set<const W: usize>([u64; W]);

impl<const W: usize> Set<W> {
    /// Nobody.
    pub(super) const EMPTY: Self = Self([0; W]);

    /// Shops 0 to `end` - 1.
    pub(super) fn below(end: usize) -> Self {
        (0..end).collect()
    }

    pub(super) fn insert(&mut self, shop: usize) {
        self.0[shop / 64] |= 1 << (shop % 64);
    }

    pub(super) fn remove(&mut self, shop: usize) {
        self.0[shop / 64] &= !(1 << (shop % 64));
    }

    pub(super) fn with(mut self, shop: usize) -> Self {
        self.insert(shop);
        self
    }

    pub(super) fn has(&self, shop: usize) -> bool {
        self.0[shop / 64] >> (shop % 64) & 1 == 1
    }

    pub(super) fn len(&self) -> usize {
        self.0.iter().map(|word| word.count_ones() as usize).sum()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.iter().all(|word| *word == 0)
    }

    /// Those in both.
    pub(super) fn and(&self, other: &Self) -> Self {
        Self(std::array::from_fn(|at| self.0[at] & other.0[at]))
    }

    /// Those in either.
    pub(super) fn or(&self, other: &Self) -> Self {
        Self(std::array::from_fn(|at| self.0[at] | other.0[at]))
    }

    /// Those that the other lacks.
    pub(super) fn minus(&self, other: &Self) -> Self {
        Self(std::array::from_fn(|at| self.0[at] & !other.0[at]))
    }

    pub(super) fn is_part_of(&self, other: &Self) -> bool {
        self.minus(other).is_empty()
    }

    /// Ascending.
    pub(super) fn iter(&self) -> impl Iterator<Item = usize> + use<W> {
        self.0.into_iter().enumerate().flat_map(|(at, mut word)| {
            std::iter::from_fn(move || {
                let bit = (word != 0).then(|| word.trailing_zeros() as usize)?;
                word &= word - 1;
                Some(64 * at + bit)
            })
        })
    }
}

impl<const W: usize> FromIterator<usize> for Set<W> {
    fn from_iter<I: IntoIterator<Item = usize>>(shops: I) -> Self {
        shops.into_iter().fold(Self::EMPTY, Self::with)
    }
}

/// As `0-3,7`.
impl<const W: usize> fmt::Display for Set<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shops = self.iter().peekable();
        let mut first = true;
        while let Some(from) = shops.next() {
            let mut to = from;
            while shops.next_if_eq(&(to + 1)).is_some() {
                to += 1;
            }
            let comma = if std::mem::take(&mut first) { "" } else { "," };
            match to - from {
                0 => write!(f, "{comma}{from}")?,
                1 => write!(f, "{comma}{from},{to}")?,
                _ => write!(f, "{comma}{from}-{to}")?,
            }
        }
        if first {
            f.write_str("nobody")?;
        }
        Ok(())
    }
}

impl<const W: usize> fmt::Debug for Set<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{{{self}}}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_beyond_one_word_knows_its_members_and_says_them_in_short() {
        let set: Set<4> = [0, 1, 2, 63, 64, 200].into_iter().collect();
        assert_eq!(set.to_string(), "0-2,63,64,200");
        assert_eq!(set.len(), 6);
        assert!(set.has(200) && !set.has(199));
        assert_eq!(set.minus(&Set::below(64)).to_string(), "64,200");
        assert_eq!(set.iter().collect::<Set<4>>(), set);
        assert_eq!(Set::<1>::EMPTY.to_string(), "nobody");
        assert!(Set::<4>::below(3).is_part_of(&set) && !Set::<4>::below(4).is_part_of(&set));
    }
}
