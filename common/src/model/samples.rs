//! A user's training samples: own items, and negatives drawn uniformly from the others, summed per distinct item.

use rand::RngExt;

use super::work;
use super::workspace::Sample;
use crate::rng::Stream;

/// The items that are neither a user's nor forbidden, by rank: the r-th of them is found without a loop of tries, however
/// few they are.
pub(super) struct Complement {
    /// Ascending, each once.
    excluded: Vec<u32>,
    free: u32,
}

impl Complement {
    /// Of `own` and `forbidden` in a catalogue of `catalogue` items.
    pub(super) fn of(own: &[u32], forbidden: &[u32], catalogue: usize) -> Self {
        work::took(work::marking(catalogue, own.len() + forbidden.len()));
        let mut marks = vec![0u64; catalogue.div_ceil(64)];
        for item in own.iter().chain(forbidden) {
            marks[*item as usize / 64] |= 1 << (item % 64);
        }
        let mut excluded = Vec::with_capacity(own.len() + forbidden.len());
        for (word, marks) in marks.iter().enumerate() {
            let mut left = *marks;
            while left != 0 {
                excluded.push(word as u32 * 64 + left.trailing_zeros());
                left &= left - 1;
            }
        }
        Self {
            free: (catalogue - excluded.len()) as u32,
            excluded,
        }
    }

    /// The item with `rank` free ones before it.
    fn item(&self, rank: u32) -> u32 {
        // Before the k-th excluded item there are as many free ones as its number less k: these grow with k.
        let (mut low, mut high) = (0, self.excluded.len());
        while low < high {
            let middle = low + (high - low) / 2;
            match self.excluded[middle] - middle as u32 <= rank {
                true => low = middle + 1,
                false => high = middle,
            }
        }
        rank + low as u32
    }
}

/// Each of `own` items with its weight, and `negatives` draws for each, uniform over `others`. Ascending by item; each
/// item once, so that a row's gradient is complete before any norm is taken.
///
/// `weights`: one an item. Without any item to draw from there are no negatives.
pub(super) fn draw(
    own: &[u32],
    weights: &[f64],
    negatives: usize,
    others: &Complement,
    rng: &mut Stream,
) -> Vec<Sample<f32>> {
    let mut samples: Vec<Sample<f32>> = own
        .iter()
        .zip(weights)
        .map(|(item, weight)| Sample {
            item: *item,
            positive: *weight as f32,
            negative: 0.0,
        })
        .collect();
    if others.free > 0 {
        let draws = own.len() * negatives;
        work::took(draws);
        samples.reserve(draws);
        samples.extend((0..draws).map(|_| Sample {
            item: others.item(rng.random_range(0..others.free)),
            positive: 0.0,
            negative: 1.0,
        }));
    }
    per_item(samples)
}

/// Sums the weights of samples that name the same item.
pub(super) fn per_item(mut samples: Vec<Sample<f32>>) -> Vec<Sample<f32>> {
    samples.sort_unstable_by_key(|sample| sample.item);
    samples.dedup_by(|next, kept| {
        let same = next.item == kept.item;
        if same {
            kept.positive += next.positive;
            kept.negative += next.negative;
        }
        same
    });
    samples
}

/// k^-g for the k-th latest of `count` items (the last is the latest), scaled to a mean of one.
pub(super) fn recency_weights(count: usize, g: f64) -> Vec<f64> {
    if g == 0.0 {
        return vec![1.0; count];
    }
    let weights: Vec<f64> = (0..count).map(|at| ((count - at) as f64).powf(-g)).collect();
    let scale = count as f64 / weights.iter().sum::<f64>().max(f64::MIN_POSITIVE);
    weights.into_iter().map(|weight| weight * scale).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::stream;

    #[test]
    fn every_rank_is_one_item_that_is_neither_owned_nor_forbidden() {
        let mut rng = stream(4, "sets");
        for catalogue in [1usize, 7, 64, 65, 200] {
            for _ in 0..50 {
                let mut own: Vec<u32> = (0..catalogue as u32).filter(|_| rng.random_bool(0.5)).collect();
                let forbidden = own.split_off(own.len() / 2);
                // In any order, and some twice.
                own.reverse();
                own.extend(forbidden.first());
                let others = Complement::of(&own, &forbidden, catalogue);
                let listed: Vec<u32> = (0..others.free).map(|rank| others.item(rank)).collect();
                let expected: Vec<u32> = (0..catalogue as u32)
                    .filter(|item| !own.contains(item) && !forbidden.contains(item))
                    .collect();
                assert_eq!(listed, expected);
            }
        }
    }

    #[test]
    fn negatives_are_uniform_over_the_items_that_are_neither_owned_nor_forbidden() {
        let mut rng = stream(5, "negatives");
        let mut counts = [0.0f64; 40];
        let (own, forbidden) = ([39, 0, 20, 21], [3, 39]);
        let others = Complement::of(&own, &forbidden, 40);
        for _ in 0..2_000 {
            for sample in draw(&own, &[1.0, 2.0, 1.0, 1.0], 4, &others, &mut rng) {
                counts[sample.item as usize] += f64::from(sample.negative);
                assert_eq!(sample.positive > 0.0, own.contains(&sample.item));
            }
        }
        let free = |item: &usize| !own.contains(&(*item as u32)) && !forbidden.contains(&(*item as u32));
        let expected = 2_000.0 * 16.0 / 35.0;
        let chi_square: f64 = (0..40)
            .filter(free)
            .map(|item| (counts[item] - expected).powi(2) / expected)
            .sum();
        assert_eq!(
            (0..40)
                .filter(|item| !free(item))
                .map(|item| counts[item])
                .sum::<f64>(),
            0.0
        );
        // 34 degrees of freedom: above 76.4 once in 25,000 seeds, below 11.1 as rarely.
        assert!((11.1..76.4).contains(&chi_square), "{chi_square}");
    }

    #[test]
    fn a_customer_who_lacks_one_item_draws_just_that_one() {
        let own: Vec<u32> = (0..20_000).filter(|item| *item != 12_345).collect();
        let others = Complement::of(&own, &[], 20_000);
        let mut rng = stream(6, "one left");
        let samples = draw(&own[..100], &[1.0; 100], 4, &others, &mut rng);
        let drawn: Vec<_> = samples.iter().filter(|sample| sample.negative > 0.0).collect();
        assert_eq!(
            (drawn.len(), drawn[0].item, drawn[0].negative),
            (1, 12_345, 400.0)
        );
        assert!(rng.get_word_pos() <= 400, "{} words", rng.get_word_pos());
    }

    #[test]
    fn a_user_who_has_everything_gets_no_negatives() {
        let others = Complement::of(&[0, 1], &[2], 3);
        let samples = draw(&[0, 1], &[1.0, 1.0], 4, &others, &mut stream(1, "none"));
        assert_eq!(
            samples.iter().map(|sample| sample.item).collect::<Vec<_>>(),
            [0, 1]
        );
        assert!(samples.iter().all(|sample| sample.negative == 0.0));
    }

    #[test]
    fn recency_weights_fall_from_the_latest_and_have_mean_one() {
        let weights = recency_weights(4, 1.0);
        assert!(weights.windows(2).all(|pair| pair[0] < pair[1]));
        assert!((weights.iter().sum::<f64>() - 4.0).abs() < 1e-12);
        assert!((weights[3] / weights[0] - 4.0).abs() < 1e-12);
        assert_eq!(recency_weights(3, 0.0), [1.0; 3]);
    }
}
