//! The argument on components ([`knowledge`](super::knowledge)), checked by linear algebra: what is computable is the kernel of
//! the matrix that says which unknown masks stand in which upload.

use std::collections::BTreeMap;

use rand::RngExt;
use souk_common::rng::{Stream, stream};

use super::arena::{Arena, Lists, Shown, Until, terms};
use super::knowledge::{Engine, Held};
use super::rules;
use super::set::Set;

/// What the checks came to.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Agreement {
    pub(super) cases: u64,
    /// Cases in which something could be computed.
    pub(super) computable: u64,
    /// Cases in which the kernel is not what the components say.
    pub(super) wrong: u64,
}

/// `cases` random attempts of 2 to 7 honest shops, with random knowledge: what was followed, and anything else.
pub(super) fn compare(seed: u64, cases: u64) -> Agreement {
    let mut random = stream(seed, "adversary: algebra");
    let mut done = Agreement::default();
    let mut engine = Engine::<1>::new();
    while done.cases < cases {
        let (arena, lists, shown) = draw(&mut random);
        engine.forget_graphs();
        let followed = engine.follow(&arena, &rules::ALL[0], &lists, &shown);
        let mut some = |of: Set<1>, often: f64| of.iter().filter(|_| random.random_bool(often)).collect();
        let all = arena.honest_set();
        // Nobody uploads under lists without itself.
        let listed = all.iter().filter(|shop| lists[shown[*shop].list].r2.has(*shop));
        let invented = Held {
            uploaded: some(listed.collect(), 0.85),
            seeds: some(all, 0.85),
            keys: some(all, 0.25),
        };
        for held in [followed, invented] {
            let live = engine.components(&arena, &held, &lists, &shown);
            let (uploads, matrix) = unknown_masks(&engine, &arena, &held, &lists, &shown);
            let indicators = live
                .iter()
                .all(|component| vanishes(&matrix, &uploads, component));
            done.cases += 1;
            done.computable += u64::from(!live.is_empty());
            if !indicators || uploads.len() - rank(matrix) != live.len() {
                done.wrong += 1;
            }
        }
    }
    done
}

fn draw(random: &mut Stream) -> (Arena<1>, Vec<Lists<1>>, Vec<Shown>) {
    let honest = random.random_range(2..8);
    let neighbours = [None, None, Some(2), Some(4)][random.random_range(0..4)];
    let terms = terms(random.random_range(1..3), random.random_range(0..2), neighbours);
    let colluding = random.random_range(0..=terms.colluding);
    let mut arena: Arena<1> = Arena::new(terms, honest, colluding, 0);
    let last = random.random_range(0..arena.shops);
    arena.circle.swap(0, last);
    let mut some = |of: Set<1>, often: f64| {
        of.iter()
            .filter(|_| random.random_bool(often))
            .collect::<Set<1>>()
    };
    let everybody = Set::below(arena.shops);
    let lists: Vec<Lists<1>> = (0..2)
        .map(|_| {
            let r1 = some(everybody, 0.95);
            let r2 = some(r1, 0.8);
            let r3 = some(r2, 0.8);
            Lists {
                r1,
                r2,
                r3,
                edition: 0,
            }
        })
        .collect();
    let shown = (0..honest)
        .map(|_| Shown {
            list: random.random_range(0..2),
            until: Until::Survivors,
        })
        .collect();
    (arena, lists, shown)
}

/// Rows: uploads, in ascending order of shops. Columns: unknown masks.
fn unknown_masks(
    engine: &Engine<1>,
    arena: &Arena<1>,
    held: &Held<1>,
    lists: &[Lists<1>],
    shown: &[Shown],
) -> (Vec<usize>, Vec<Vec<u64>>) {
    #[derive(Eq, Ord, PartialEq, PartialOrd)]
    enum Mask {
        Own(usize),
        Pair(usize, usize, usize),
    }
    let uploads: Vec<usize> = held.uploaded.iter().collect();
    let rows: Vec<Vec<(Mask, u64)>> = uploads
        .iter()
        .map(|shop| {
            let (shop, list) = (*shop, shown[*shop].list);
            let own = (!held.seeds.has(shop)).then_some((Mask::Own(shop), 1));
            let others = (0..arena.honest).filter(|other| {
                engine.neighbours(list, shop).has(*other)
                    && lists[list].r2.has(*other)
                    && !held.keys.has(*other)
                    && !held.keys.has(shop)
            });
            let pairs = others.map(|other| {
                let sign = if shop < other { 1 } else { PRIME - 1 };
                (
                    Mask::Pair(shop.min(other), shop.max(other), engine.h2(list)),
                    sign,
                )
            });
            own.into_iter().chain(pairs).collect()
        })
        .collect();
    let mut columns = BTreeMap::new();
    for (mask, _) in rows.iter().flatten() {
        let next = columns.len();
        columns.entry(mask).or_insert(next);
    }
    let matrix = rows
        .iter()
        .map(|row| {
            let mut dense = vec![0; columns.len()];
            row.iter().for_each(|(mask, sign)| dense[columns[mask]] = *sign);
            dense
        })
        .collect();
    (uploads, matrix)
}

/// Whether no unknown mask is left in the sum over `component`.
fn vanishes(matrix: &[Vec<u64>], uploads: &[usize], component: &Set<1>) -> bool {
    let columns = matrix.first().map_or(0, Vec::len);
    (0..columns).all(|column| {
        let rows = uploads.iter().zip(matrix);
        let sum: u64 = rows
            .filter(|(shop, _)| component.has(**shop))
            .map(|(_, row)| row[column])
            .sum();
        sum.is_multiple_of(PRIME)
    })
}

/// By Gaussian elimination modulo [`PRIME`].
fn rank(mut matrix: Vec<Vec<u64>>) -> usize {
    let columns = matrix.first().map_or(0, Vec::len);
    let mut rank = 0;
    for column in 0..columns {
        let Some(pivot) = (rank..matrix.len()).find(|row| matrix[*row][column] != 0) else {
            continue;
        };
        matrix.swap(rank, pivot);
        let (above, below) = matrix.split_at_mut(rank + 1);
        let pivot = &above[rank];
        let inverse = power(pivot[column], PRIME - 2);
        for row in below.iter_mut().filter(|row| row[column] != 0) {
            let factor = PRIME - row[column] * inverse % PRIME;
            for (value, of_pivot) in row.iter_mut().zip(pivot) {
                *value = (*value + factor * of_pivot) % PRIME;
            }
        }
        rank += 1;
    }
    rank
}

fn power(mut base: u64, mut exponent: u64) -> u64 {
    let mut product = 1;
    while exponent > 0 {
        if exponent % 2 == 1 {
            product = product * base % PRIME;
        }
        base = base * base % PRIME;
        exponent /= 2;
    }
    product
}

/// 2^31 - 1: products fit into 64 bits.
const PRIME: u64 = (1 << 31) - 1;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_components_say_is_what_elimination_finds_in_four_thousand_random_attempts() {
        let done = compare(1, 4000);
        assert_eq!(done.wrong, 0, "{done:?}");
        assert!(done.computable > 400, "mostly nothing to compare: {done:?}");
    }

    #[test]
    fn elimination_knows_ranks() {
        assert_eq!(rank(vec![vec![1, 2], vec![2, 4]]), 1);
        assert_eq!(rank(vec![vec![0, 2, 1], vec![3, 0, 5], vec![3, 2, 6]]), 2);
        assert_eq!(rank(vec![vec![1, PRIME - 1], vec![1, 1]]), 2);
        assert_eq!(rank(Vec::new()), 0);
    }
}
