//! From what users have in common to shops of a sensible size.

use std::collections::BTreeMap;

use clap::ValueEnum;
use souk_common::catalogue::Catalogue;
use souk_common::dataset::Dataset;
use souk_common::ids::Digest;

use super::synthetic::{apportion, dirichlet_shares};

/// What makes a shop.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub enum By {
    /// The user's most visited store.
    Store,
    /// The user's country.
    Country,
    /// The first character of the user's zip code.
    Zip,
    /// A digest of the user's id: no region at all.
    UserHash,
}

/// Assigns users to `shops` shops by their `groups`: a group far over the mean size is cut by a digest of the user id,
/// the smallest are put together. Returns a shop a user, the largest shop first, and how many shops there are (fewer
/// than asked only when there are fewer users).
pub(crate) fn assign(users: &[String], groups: &[String], shops: usize) -> (Vec<usize>, usize) {
    if users.is_empty() {
        return (Vec::new(), 0);
    }
    let shops = shops.clamp(1, users.len());
    let mut by_group: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (user, group) in groups.iter().enumerate() {
        by_group.entry(group).or_default().push(user);
    }
    let mut pieces: Vec<Vec<usize>> = if by_group.len() == shops {
        by_group.into_values().collect()
    } else {
        let mean = users.len().div_ceil(shops);
        by_group
            .into_values()
            .flat_map(|members| {
                let parts = (members.len() + mean / 2) / mean;
                pieces_of(members, parts.max(1), users)
            })
            .collect()
    };
    loop {
        // Ties go by the first user, so the result does not depend on the order of the groups.
        pieces.sort_by_key(|piece| (std::cmp::Reverse(piece.len()), piece.first().copied()));
        if pieces.len() > shops {
            let smallest = pieces.pop().unwrap_or_default();
            if let Some(next) = pieces.last_mut() {
                next.extend(smallest);
                next.sort_unstable();
            }
        } else if pieces.len() < shops {
            let largest = pieces.remove(0);
            let half = largest.len() / 2;
            let mut order = largest;
            order.sort_by_key(|user| (hash(&users[*user]), *user));
            let mut rest = order.split_off(half.max(1));
            order.sort_unstable();
            rest.sort_unstable();
            pieces.extend([order, rest]);
        } else {
            break;
        }
    }
    let mut shop_of = vec![0; users.len()];
    for (shop, piece) in pieces.iter().enumerate() {
        piece.iter().for_each(|user| shop_of[*user] = shop);
    }
    (shop_of, pieces.len())
}

/// Deals users out to `shops` shops, at most as many as there are users: for each category, the users who buy most of it go to
/// shops by a draw from a symmetric Dirichlet distribution, so that shops differ in size and in taste (Hsu, Qi and Brown, 2019).
/// A shop that came away empty gets a user of the largest. Gives a shop a user, the largest shop first.
pub(crate) fn dirichlet(
    dataset: &Dataset,
    catalogue: &Catalogue,
    shops: usize,
    alpha: f64,
    seed: u64,
) -> Vec<usize> {
    let items = catalogue.items();
    let mut by_category: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (user, history) in dataset.histories.iter().enumerate() {
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        for item in &history.items {
            *counts.entry(items[*item as usize].category.as_str()).or_default() += 1;
        }
        // Of equals, the first by name.
        let most = counts.into_iter().rev().max_by_key(|(_, count)| *count);
        let category = most.map_or("", |(category, _)| category);
        by_category.entry(category).or_default().push(user);
    }
    let mut pieces: Vec<Vec<usize>> = vec![Vec::new(); shops];
    for (category, mut users) in by_category {
        let shares = dirichlet_shares(&vec![alpha; shops], seed, &format!("shops of {category}"));
        users.sort_by_key(|user| (hash(&dataset.users[*user]), *user));
        let mut rest = users.as_slice();
        for (piece, count) in pieces.iter_mut().zip(apportion(&shares, rest.len())) {
            let (here, others) = rest.split_at(count);
            piece.extend(here);
            rest = others;
        }
    }
    let by_size = |pieces: &mut Vec<Vec<usize>>| {
        pieces.sort_by_key(|piece| (std::cmp::Reverse(piece.len()), piece.iter().min().copied()));
    };
    by_size(&mut pieces);
    let mut empty = pieces
        .iter()
        .rposition(|piece| !piece.is_empty())
        .map_or(0, |last| last + 1);
    let mut largest = 0;
    while empty < pieces.len() {
        // From the largest on, as long as they have more than one.
        let next = if largest + 1 < empty { largest + 1 } else { 0 };
        if pieces[largest].len() > 1
            && let Some(user) = pieces[largest].pop()
        {
            pieces[empty].push(user);
            empty += 1;
        }
        largest = next;
        if (0..empty).all(|piece| pieces[piece].len() <= 1) {
            break;
        }
    }
    by_size(&mut pieces);
    let mut shop_of = vec![0; dataset.len()];
    for (shop, piece) in pieces.iter().enumerate() {
        piece.iter().for_each(|user| shop_of[*user] = shop);
    }
    shop_of
}

fn pieces_of(members: Vec<usize>, parts: usize, users: &[String]) -> Vec<Vec<usize>> {
    let mut pieces = vec![Vec::new(); parts];
    for user in members {
        pieces[(hash(&users[user]) % parts as u64) as usize].push(user);
    }
    pieces.retain(|piece| !piece.is_empty());
    pieces
}

fn hash(id: &str) -> u64 {
    let [a, b, c, d, e, f, g, h, ..] = Digest::of(id.as_bytes()).0;
    u64::from_le_bytes([a, b, c, d, e, f, g, h])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::synthetic::generate_sized;

    fn sizes(groups: &[(&str, usize)], shops: usize) -> Vec<usize> {
        let groups: Vec<String> = groups
            .iter()
            .flat_map(|(name, count)| vec![(*name).to_owned(); *count])
            .collect();
        let users: Vec<String> = (0..groups.len()).map(|user| format!("u{user}")).collect();
        let (shop_of, count) = assign(&users, &groups, shops);
        assert_eq!(assign(&users, &groups, shops).0, shop_of);
        let mut sizes = vec![0; count];
        shop_of.iter().for_each(|shop| sizes[*shop] += 1);
        sizes
    }

    #[test]
    fn a_dirichlet_cut_is_skewed_by_its_alpha_and_leaves_no_shop_empty() {
        let market = generate_sized(1, &[120]).expect("a market");
        let cut = |shops, alpha| {
            let shop_of = dirichlet(&market.dataset, &market.catalogue, shops, alpha, 5);
            assert_eq!(
                shop_of,
                dirichlet(&market.dataset, &market.catalogue, shops, alpha, 5)
            );
            let mut sizes = vec![0; shops];
            shop_of.iter().for_each(|shop| sizes[*shop] += 1);
            assert!(
                sizes.iter().all(|size| *size > 0) && sizes.is_sorted_by(|a, b| a >= b),
                "{sizes:?}"
            );
            sizes
        };
        assert!(cut(6, 0.05)[0] > 2 * cut(6, 1000.0)[0] - 20);
        assert!(cut(6, 1000.0)[0] < 60 && cut(6, 0.05)[0] > 30);
        assert_eq!(cut(120, 0.1), [1; 120]);
        assert_eq!(cut(1, 0.1), [120]);
    }

    #[test]
    fn large_groups_are_cut_and_small_ones_put_together() {
        let skewed = sizes(&[("uk", 850), ("a", 30), ("b", 40), ("c", 30)], 5);
        assert_eq!((skewed.len(), skewed.iter().sum::<usize>()), (5, 950));
        assert_eq!(skewed[4], 100, "{skewed:?}");
        assert!(skewed[0] < 300, "{skewed:?}");
        assert_eq!(sizes(&[("a", 50), ("b", 7), ("c", 9)], 3), [50, 9, 7]);
        assert_eq!(sizes(&[("a", 64)], 4).len(), 4);
        assert_eq!(sizes(&[("a", 1), ("b", 1)], 9), [1, 1]);
        assert_eq!(sizes(&[], 3).len(), 0);
    }
}
