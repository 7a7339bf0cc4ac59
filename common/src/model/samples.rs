//! A user's training samples: own items, and negatives drawn uniformly from the others, summed per distinct item.

use rand::RngExt;

use super::workspace::Sample;
use crate::dataset::History;
use crate::rng::Stream;

/// Each of the user's items with its weight, and `negatives` draws for each from items that are neither the user's nor
/// `forbidden`. Ascending by item; each item once, so that a row's gradient is complete before any norm is taken.
///
/// `weights`: one an item of the history. Without any item to draw from there are no negatives.
pub(super) fn draw(
    history: &History,
    weights: &[f64],
    negatives: usize,
    forbidden: &[u32],
    catalogue: usize,
    rng: &mut Stream,
) -> Vec<Sample<f32>> {
    let mut excluded = Marks::new(catalogue);
    for item in history.items.iter().chain(forbidden) {
        excluded.set(*item);
    }
    let mut samples: Vec<Sample<f32>> = history
        .items
        .iter()
        .zip(weights)
        .map(|(item, weight)| Sample {
            item: *item,
            positive: *weight as f32,
            negative: 0.0,
        })
        .collect();
    if excluded.count < catalogue {
        let draws = history.len() * negatives;
        samples.reserve(draws);
        for _ in 0..draws {
            let item = loop {
                let item = rng.random_range(0..catalogue as u32);
                if !excluded.has(item) {
                    break item;
                }
            };
            samples.push(Sample {
                item,
                positive: 0.0,
                negative: 1.0,
            });
        }
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

/// One bit an item.
struct Marks {
    words: Vec<u64>,
    count: usize,
}

impl Marks {
    fn new(items: usize) -> Self {
        Self {
            words: vec![0; items.div_ceil(64)],
            count: 0,
        }
    }

    fn set(&mut self, item: u32) {
        if !self.has(item) {
            self.words[item as usize / 64] |= 1 << (item % 64);
            self.count += 1;
        }
    }

    fn has(&self, item: u32) -> bool {
        self.words[item as usize / 64] >> (item % 64) & 1 == 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::stream;

    fn history(items: &[u32]) -> History {
        History {
            items: items.to_vec(),
            times: vec![0; items.len()],
        }
    }

    #[test]
    fn negatives_are_uniform_over_the_items_that_are_neither_owned_nor_forbidden() {
        let mut rng = stream(5, "negatives");
        let mut counts = [0.0f32; 10];
        for _ in 0..2_000 {
            for sample in draw(&history(&[9, 0]), &[1.0, 2.0], 4, &[3, 9], 10, &mut rng) {
                counts[sample.item as usize] += sample.negative;
                assert_eq!(sample.positive > 0.0, matches!(sample.item, 0 | 9));
            }
        }
        // 16,000 draws over 7 items: 2,286 each, standard deviation 44; six of those is one false alarm in 10^8.
        for (item, count) in counts.into_iter().enumerate() {
            match item {
                0 | 3 | 9 => assert_eq!(count, 0.0, "item {item}"),
                _ => assert!((count - 2_285.7).abs() < 270.0, "item {item}: {count}"),
            }
        }
    }

    #[test]
    fn a_user_who_has_everything_gets_no_negatives() {
        let samples = draw(&history(&[0, 1]), &[1.0, 1.0], 4, &[2], 3, &mut stream(1, "none"));
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
