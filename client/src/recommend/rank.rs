//! From scores to a list.

use std::cmp::Ordering;
use std::collections::HashSet;

use souk_common::catalogue::{Catalogue, Item};

/// Rows of the `k` best items, best first; equal scores in catalogue order, scores that are no number never.
///
/// Items that are not `allowed` and those that the catalogue has retired are not listed, and of several items with one title and
/// brand only the best.
pub fn best(scores: &[f32], catalogue: &Catalogue, allowed: impl Fn(u32) -> bool, k: usize) -> Vec<u32> {
    let mut rows: Vec<u32> = (0..scores.len() as u32)
        .filter(|row| scores[*row as usize].is_finite() && allowed(*row))
        .filter(|row| !catalogue.items()[*row as usize].retired)
        .collect();
    let better =
        |a: &u32, b: &u32| -> Ordering { scores[*b as usize].total_cmp(&scores[*a as usize]).then(a.cmp(b)) };
    let mut list = Vec::with_capacity(k.min(rows.len()));
    let mut seen = HashSet::new();
    // Sort only as much as is needed; duplicates may ask for more.
    let mut from = 0;
    let mut batch = k.saturating_mul(2).max(64);
    while from < rows.len() && list.len() < k {
        let rest = &mut rows[from..];
        let take = batch.min(rest.len());
        if take < rest.len() {
            rest.select_nth_unstable_by(take, better);
        }
        rest[..take].sort_unstable_by(better);
        for row in &rest[..take] {
            let item = &catalogue.items()[*row as usize];
            if list.len() < k && twin_key(item).is_none_or(|key| seen.insert(key)) {
                list.push(*row);
            }
        }
        from += take;
        batch = batch.saturating_mul(4);
    }
    list
}

/// What two listings of one product share; none for an item without a title.
pub(super) fn twin_key(item: &Item) -> Option<(String, String)> {
    let plain = |text: &str| text.trim().to_lowercase();
    (!item.title.trim().is_empty()).then(|| (plain(&item.title), plain(&item.brand)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn catalogue(titles: &[&str]) -> Catalogue {
        let item = |(row, title): (usize, &&str)| Item {
            title: (*title).into(),
            brand: "b".into(),
            ..Item::bare(format!("i{row}"))
        };
        Catalogue::new(titles.iter().enumerate().map(item).collect()).unwrap()
    }

    #[test]
    fn ties_keep_catalogue_order_and_scores_that_are_no_number_are_left_out() {
        let items = catalogue(&["a", "b", "c", "d", "e"]);
        let scores = [1.0, f32::NAN, 2.0, 1.0, f32::INFINITY];
        assert_eq!(best(&scores, &items, |_| true, 9), [2, 0, 3]);
        assert_eq!(best(&scores, &items, |row| row != 2, 1), [0]);
        assert_eq!(best(&scores, &items, |_| true, 0), [0u32; 0]);
    }

    #[test]
    fn two_listings_of_one_product_are_one() {
        let items = catalogue(&["Tea", " tea ", "", "", "Tea pot"]);
        assert_eq!(
            best(&[1.0, 5.0, 3.0, 2.0, 0.0], &items, |_| true, 9),
            [1, 2, 3, 4]
        );
    }

    #[test]
    fn many_duplicates_at_the_top_do_not_shorten_the_list() {
        let titles: Vec<&str> = (0..1000).map(|row| if row < 900 { "one" } else { "" }).collect();
        let scores: Vec<f32> = (0..1000).map(|row| -(row as f32)).collect();
        assert_eq!(best(&scores, &catalogue(&titles), |_| true, 3), [0, 900, 901]);
    }
}
