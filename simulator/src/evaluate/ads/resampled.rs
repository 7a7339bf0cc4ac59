//! How sure the figures of click probabilities are: households drawn again with replacement, the same ones for every model.

use rand::RngExt;
use rayon::prelude::*;
use souk_common::rng::stream;

/// How often each household was drawn, a draw each.
pub(super) struct Draws(Vec<Vec<u8>>);

impl Draws {
    /// Of `households`.
    pub(super) fn new(households: usize) -> Self {
        let draw = |number: usize| {
            let mut rng = stream(number as u64, "households drawn again");
            let mut counts = vec![0u8; households];
            for _ in 0..households {
                let count = &mut counts[rng.random_range(0..households)];
                *count = count.saturating_add(1);
            }
            counts
        };
        Self((0..DRAWS).map(draw).collect())
    }

    /// Area under the curve and normalised entropy of each draw; none of a draw whose labels are all alike.
    ///
    /// # Shapes
    /// probabilities, labels, households: `[shown]`.
    pub(super) fn figures(
        &self,
        probabilities: &[f32],
        labels: &[f32],
        households: &[usize],
    ) -> Vec<Option<[f64; 2]>> {
        let mut order: Vec<u32> = (0..probabilities.len() as u32).collect();
        order.sort_unstable_by(|a, b| probabilities[*a as usize].total_cmp(&probabilities[*b as usize]));
        let sorted: Vec<(f32, bool, u32)> = order
            .iter()
            .map(|at| {
                let at = *at as usize;
                (probabilities[at], labels[at] > 0.5, households[at] as u32)
            })
            .collect();
        self.0
            .par_iter()
            .map(|counts| weighted(&sorted, counts))
            .collect()
    }
}

/// Of rows by probability.
fn weighted(sorted: &[(f32, bool, u32)], counts: &[u8]) -> Option<[f64; 2]> {
    let (mut below, mut wins, mut clicked, mut loss) = (0.0, 0.0, 0.0, 0.0);
    for tied in sorted.chunk_by(|a, b| a.0 == b.0) {
        let (mut positive, mut negative) = (0.0, 0.0);
        for (_, is_clicked, household) in tied {
            let weight = f64::from(counts[*household as usize]);
            *(if *is_clicked { &mut positive } else { &mut negative }) += weight;
        }
        let p = f64::from(tied[0].0).clamp(1e-12, 1.0 - 1e-12);
        loss -= positive * p.ln() + negative * (-p).ln_1p();
        wins += positive * (below + 0.5 * negative);
        below += negative;
        clicked += positive;
    }
    let all = clicked + below;
    let entropy = -(clicked * (clicked / all).ln() + below * (below / all).ln());
    (clicked > 0.0 && below > 0.0).then(|| [wins / (clicked * below), loss / entropy])
}

/// The standard deviation of what draws say, of those that say something.
pub(super) fn deviation(values: impl Iterator<Item = f64>) -> f64 {
    let values: Vec<f64> = values.collect();
    let count = values.len().max(1) as f64;
    let mean = values.iter().sum::<f64>() / count;
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    (squares / (count - 1.0).max(1.0)).sqrt()
}

const DRAWS: usize = 200;

#[cfg(test)]
mod tests {
    use souk_common::eval::ClickMetrics;

    use super::*;

    #[test]
    fn a_draw_of_everybody_once_is_the_figure_itself_and_twice_is_as_if_all_stood_there_twice() {
        let p: Vec<f32> = (0..60).map(|at| (at * 7 % 13) as f32 / 14.0 + 0.01).collect();
        let labels: Vec<f32> = (0..60).map(|at| f32::from(u8::from(at % 5 == 0))).collect();
        let households: Vec<usize> = (0..60).map(|at| at % 4).collect();
        let metrics = ClickMetrics::of(&p, &labels);
        for times in [1, 2] {
            let figures = Draws(vec![vec![times; 4]]).figures(&p, &labels, &households);
            let [auc, entropy] = figures[0].unwrap();
            assert!((auc - metrics.auc.unwrap()).abs() < 1e-9);
            assert!((entropy - metrics.normalised_entropy.unwrap()).abs() < 1e-9);
        }
        // Household 1 alone has no label of the other kind.
        let alike = vec![0.0; 60];
        assert_eq!(Draws(vec![vec![1; 4]]).figures(&p, &alike, &households), [None]);
    }

    #[test]
    fn draws_are_as_many_households_as_there_are() {
        let draws = Draws::new(50);
        assert!(
            draws
                .0
                .iter()
                .all(|counts| counts.iter().map(|count| u32::from(*count)).sum::<u32>() == 50)
        );
        assert_ne!(draws.0[0], draws.0[1]);
        assert!((deviation([1.0, 3.0].into_iter()) - 2f64.sqrt()).abs() < 1e-12);
    }
}
