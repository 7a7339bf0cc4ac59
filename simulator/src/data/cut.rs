//! From what users have in common to shops of a sensible size.

use std::collections::BTreeMap;

use clap::ValueEnum;
use souk_common::ids::Digest;

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
