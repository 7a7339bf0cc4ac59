//! Who makes masks with whom.

use crate::ids::Digest;

/// Each shop's neighbours, ascending, in a roster of `shops` whose digest is `roster`: all others, or the `degree` / 2 on
/// either side in a circle (a Harary graph) whose order is that of BLAKE3(roster, place).
pub fn neighbours(roster: &Digest, shops: usize, degree: usize) -> Vec<Vec<u32>> {
    let everybody = 0..shops as u32;
    if degree + 1 >= shops {
        return everybody
            .clone()
            .map(|shop| everybody.clone().filter(|other| *other != shop).collect())
            .collect();
    }
    let circle = circle(roster, shops);
    let mut graph = vec![Vec::with_capacity(degree); shops];
    for (at, shop) in circle.iter().enumerate() {
        for step in 1..=degree / 2 {
            let other = circle[(at + step) % shops];
            graph[*shop as usize].push(other);
            graph[other as usize].push(*shop);
        }
    }
    graph.iter_mut().for_each(|list| list.sort_unstable());
    graph
}

/// The order in which shops stand in the circle.
pub(super) fn circle(roster: &Digest, shops: usize) -> Vec<u32> {
    let mut circle: Vec<u32> = (0..shops as u32).collect();
    circle.sort_by_cached_key(|shop| {
        let mut hasher = blake3::Hasher::new_derive_key("souk 2026 masking circle v1");
        hasher.update(&roster.0).update(&shop.to_le_bytes());
        *hasher.finalize().as_bytes()
    });
    circle
}

/// The holders of a shop's shares, ascending: its neighbours and itself.
pub(super) fn holders(neighbours: &[u32], place: u32) -> Vec<u32> {
    let mut holders = neighbours.to_vec();
    let at = holders.partition_point(|other| *other < place);
    holders.insert(at, place);
    holders
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbourhood_is_mutual_of_the_right_degree_and_hangs_on_the_roster() {
        let graph = neighbours(&Digest::of(b"a"), 50, 8);
        for (shop, others) in graph.iter().enumerate() {
            assert_eq!(others.len(), 8);
            assert!(others.windows(2).all(|pair| pair[0] < pair[1]));
            assert!(
                others
                    .iter()
                    .all(|other| graph[*other as usize].contains(&(shop as u32)))
            );
            assert!(!others.contains(&(shop as u32)));
        }
        assert_ne!(graph, neighbours(&Digest::of(b"b"), 50, 8));
        let all = neighbours(&Digest::of(b"a"), 5, 4);
        assert_eq!(all[2], [0, 1, 3, 4]);
    }
}
