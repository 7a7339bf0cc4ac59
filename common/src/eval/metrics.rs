//! Ranks and what follows from them.

use serde::Serialize;

/// The mean over users of what the ranks say, at one cut-off `k`.
///
/// There is one held-out item a user, so recall@k equals the hit rate@k; both are reported since readers look for both.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Metrics {
    /// How many users were evaluated.
    pub users: usize,
    /// How many more have held-out items and nothing to rank them against; they are left out.
    pub without_candidates: usize,
    /// How many items a held-out item was ranked against: the fewest and the most of any user.
    pub candidates: (usize, usize),
    /// The cut-off.
    pub k: usize,
    /// Share of users whose held-out item is among the first `k`.
    pub hit_rate: f64,
    /// Mean share of the user's held-out items among the first `k`.
    pub recall: f64,
    /// Mean of 1 / log2(rank + 2) where the item is among the first `k` (ranks from 0), else 0.
    pub ndcg: f64,
    /// Share of the catalogue that is among the first `k` of some user's candidates.
    pub coverage: f64,
}

impl Metrics {
    /// From one rank a user (0 is best) and how many of `items` were recommended to anybody.
    ///
    /// No user or no item gives zeros, never NaN.
    pub fn from_ranks(ranks: &[f64], k: usize, recommended: usize, items: usize) -> Self {
        let mean = |of: fn(f64, usize) -> f64| {
            ranks.iter().map(|rank| of(*rank, k)).sum::<f64>() / ranks.len().max(1) as f64
        };
        let hit_rate = mean(hit);
        Self {
            users: ranks.len(),
            without_candidates: 0,
            candidates: (0, 0),
            k,
            hit_rate,
            recall: hit_rate,
            ndcg: mean(discounted_gain),
            coverage: recommended as f64 / items.max(1) as f64,
        }
    }
}

/// The rank of a held-out item with `score` among `others`: how many score above it, plus half of those that tie (the
/// expected rank if ties were broken at random).
///
/// A score that is not a number loses against everything, and wins against it if it is another's: a broken model never
/// looks good.
pub fn rank(score: f32, others: impl Iterator<Item = f32>) -> f64 {
    let (mut above, mut tied) = (0_u32, 0_u32);
    for other in others {
        if score.is_nan() || other.is_nan() || other > score {
            above += 1;
        } else if other == score {
            tied += 1;
        }
    }
    f64::from(above) + 0.5 * f64::from(tied)
}

/// 1 if `rank` (from 0) is among the first `k`.
pub fn hit(rank: f64, k: usize) -> f64 {
    f64::from(u8::from(rank < k as f64))
}

/// The normalised discounted gain of one item at `rank` (from 0), cut at `k`.
pub fn discounted_gain(rank: f64, k: usize) -> f64 {
    hit(rank, k) / (rank + 2.0).log2()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn perfect_worst_and_empty_are_as_they_must_be() {
        let perfect = Metrics::from_ranks(&[0.0; 3], 10, 5, 10);
        assert_eq!(
            (perfect.hit_rate, perfect.recall, perfect.ndcg, perfect.coverage),
            (1.0, 1.0, 1.0, 0.5)
        );
        let worst = Metrics::from_ranks(&[99.0; 3], 10, 0, 10);
        assert_eq!((worst.hit_rate, worst.recall, worst.ndcg), (0.0, 0.0, 0.0));
        let empty = Metrics::from_ranks(&[], 10, 0, 0);
        assert_eq!(
            empty,
            Metrics {
                k: 10,
                ..Metrics::default()
            }
        );
    }

    #[test]
    fn the_cut_off_is_exact() {
        let edge = Metrics::from_ranks(&[9.0, 9.5, 10.0], 10, 0, 1);
        assert!((edge.hit_rate - 2.0 / 3.0).abs() < 1e-12);
        let ndcg = Metrics::from_ranks(&[1.0], 10, 0, 1).ndcg;
        assert!((ndcg - 1.0 / 3.0_f64.log2()).abs() < 1e-12);
    }

    #[test]
    fn ties_count_half_and_broken_scores_never_win() {
        assert_eq!(rank(1.0, [2.0, 1.0, 1.0, 0.0].into_iter()), 2.0);
        assert_eq!(rank(1.0, [1.0; 99].into_iter()), 49.5);
        assert_eq!(rank(f32::NAN, [0.0; 99].into_iter()), 99.0);
        assert_eq!(rank(1.0, [f32::NAN; 99].into_iter()), 99.0);
        assert_eq!(rank(1.0, std::iter::empty()), 0.0);
    }
}
