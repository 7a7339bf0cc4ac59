//! What of a user's history goes into a release.

use std::collections::HashSet;

use crate::dataset::History;

/// The items of one user that may go into a release, latest first: rank k is at index k - 1.
///
/// Only [`for_release`] makes one, so that no statistic can be made of the item that the shop validates on.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct ReleaseHistory {
    items: Vec<u32>,
    /// The item that was left out.
    latest: Option<u32>,
}

/// The history without its latest item, which is the shop's own validation item: a target that is in a release would be
/// fitted to itself. Items are distinct, each at its first time.
pub fn for_release(history: &History) -> ReleaseHistory {
    let mut seen = HashSet::new();
    let mut items: Vec<u32> = history
        .items
        .iter()
        .copied()
        .filter(|item| seen.insert(*item))
        .collect();
    let latest = items.pop();
    items.reverse();
    ReleaseHistory { items, latest }
}

impl ReleaseHistory {
    /// Distinct items, latest first.
    pub fn items(&self) -> &[u32] {
        &self.items
    }

    /// The item that was left out; none in an empty history. Only training may want it: it is in no release.
    pub fn latest(&self) -> Option<u32> {
        self.latest
    }

    /// The items with their weights k^-exponent, latest first.
    pub(super) fn weighted(&self, exponent: f64) -> impl Iterator<Item = (usize, f64)> {
        let ranks = 1..=self.items.len();
        self.items
            .iter()
            .zip(ranks)
            .map(move |(item, rank)| (*item as usize, libm::pow(rank as f64, -exponent)))
    }

    /// Whether every item is a row of a catalogue of `items`.
    pub(super) fn fits(&self, items: usize) -> bool {
        self.items.iter().all(|item| (*item as usize) < items)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn history(items: &[u32]) -> History {
        History {
            items: items.to_vec(),
            times: (0..items.len() as i64).collect(),
        }
    }

    #[test]
    fn the_latest_item_is_left_out_and_the_latest_of_the_rest_has_rank_one() {
        let past = for_release(&history(&[7, 3, 9, 4]));
        assert_eq!(past.items(), [9, 3, 7]);
        let weights: Vec<(usize, f64)> = past.weighted(1.0).collect();
        assert_eq!(weights, [(9, 1.0), (3, 0.5), (7, 1.0 / 3.0)]);
        assert!(past.weighted(0.0).all(|(_, weight)| weight == 1.0));
        for none in [&[][..], &[5]] {
            assert!(for_release(&history(none)).items().is_empty());
        }
    }

    #[test]
    fn an_item_counts_once_at_its_first_time() {
        // 4 was touched first of all, so it is not the latest, though it is last in the list.
        assert_eq!(for_release(&history(&[4, 2, 8, 4])).items(), [2, 4]);
        assert!(for_release(&history(&[4, 4])).items().is_empty());
        assert!(for_release(&history(&[9, 1])).fits(10) && !for_release(&history(&[9, 1])).fits(9));
    }
}
