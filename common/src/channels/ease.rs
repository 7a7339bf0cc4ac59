//! EASE, the strongest simple baseline: an item-item matrix in closed form.
//!
//! With P = (X'X + lambda I)^-1 over the users' item sets X, the weights are B_ij = -P_ij / P_jj off the diagonal and 0
//! on it; a user's score of item j is the sum of B_ij over the user's items i. Steck, "Embarrassingly shallow
//! autoencoders for sparse data", WWW 2019. Not private, not federated: it sees everybody's history.

use std::mem;

use crate::dataset::Dataset;
use crate::eval::{Candidates, Metrics, Scorer, Split, Target, View, evaluate};
pub use crate::numeric::inverse::NotPositiveDefinite;
use crate::numeric::inverse::invert;

/// A fitted EASE model together with the histories it scores from.
pub struct Ease<'a> {
    train: &'a Dataset,
    items: usize,
    lambda: f64,
    /// P, `items` x `items`; B is never stored.
    inverse: Vec<f64>,
}

impl<'a> Ease<'a> {
    /// Fits to `train`; `items` is the catalogue's length. Takes `items`^3 operations and 8 `items`^2 bytes.
    ///
    /// # Errors
    /// When `lambda` is not positive (or far too small to tell from 0).
    pub fn fit(train: &'a Dataset, items: usize, lambda: f64) -> Result<Self, NotPositiveDefinite> {
        Self::fit_into(train, items, lambda, Vec::new())
    }

    fn fit_into(
        train: &'a Dataset,
        items: usize,
        lambda: f64,
        mut matrix: Vec<f64>,
    ) -> Result<Self, NotPositiveDefinite> {
        matrix.clear();
        matrix.resize(items * items, 0.0);
        for history in &train.histories {
            for (at, a) in history.items.iter().enumerate() {
                for b in &history.items[..=at] {
                    let (row, column) = (*a.max(b) as usize, *a.min(b) as usize);
                    matrix[row * items + column] += 1.0;
                }
            }
        }
        for item in 0..items {
            matrix[item * items + item] += lambda;
        }
        invert(&mut matrix, items)?;
        Ok(Self {
            train,
            items,
            lambda,
            inverse: matrix,
        })
    }

    /// Fits once for each of `lambdas` and keeps the one with the best hit rate@10, then nDCG@10, of the validation
    /// items in view B.
    ///
    /// # Errors
    /// When a lambda is not positive.
    pub fn tune(
        split: &'a Split,
        candidates: &Candidates,
        items: usize,
        lambdas: &[f64],
    ) -> Result<Tuned<'a>, NotPositiveDefinite> {
        let mut trials: Vec<(f64, Metrics)> = Vec::new();
        let mut model = Self {
            train: &split.train,
            items,
            lambda: f64::NAN,
            inverse: Vec::new(),
        };
        for lambda in lambdas {
            model = Self::fit_into(&split.train, items, *lambda, mem::take(&mut model.inverse))?;
            let metrics = evaluate(
                &model,
                split,
                candidates,
                items,
                View::LeakFree,
                Target::Validation,
                TUNE_AT,
            );
            trials.push((*lambda, metrics));
        }
        let merit = |metrics: &Metrics| (metrics.hit_rate, metrics.ndcg);
        let best = trials
            .iter()
            .max_by(|a, b| {
                let ((hits_a, gain_a), (hits_b, gain_b)) = (merit(&a.1), merit(&b.1));
                hits_a.total_cmp(&hits_b).then(gain_a.total_cmp(&gain_b))
            })
            .map_or(LAMBDAS[0], |(lambda, _)| *lambda);
        if model.lambda.total_cmp(&best).is_ne() {
            model = Self::fit_into(&split.train, items, best, mem::take(&mut model.inverse))?;
        }
        Ok(Tuned { model, trials })
    }

    /// The ridge that it was fitted with.
    pub fn lambda(&self) -> f64 {
        self.lambda
    }
}

impl Scorer for Ease<'_> {
    fn score(&self, user: usize, items: &[u32], out: &mut Vec<f32>) {
        let history = &self.train.histories[user].items;
        out.clear();
        out.extend(items.iter().map(|item| {
            let row = &self.inverse[*item as usize * self.items..][..self.items];
            let sum: f64 = history
                .iter()
                .filter(|own| *own != item)
                .map(|own| row[*own as usize])
                .sum();
            (-sum / row[*item as usize]) as f32
        }));
    }

    fn score_all(&self, user: usize, out: &mut Vec<f32>) {
        let mut sums = vec![0.0; self.items];
        for own in &self.train.histories[user].items {
            let own = *own as usize;
            let row = &self.inverse[own * self.items..][..self.items];
            sums.iter_mut().zip(row).for_each(|(sum, value)| *sum += value);
            sums[own] -= row[own];
        }
        out.clear();
        out.extend(
            sums.iter()
                .enumerate()
                .map(|(item, sum)| (-sum / self.inverse[item * self.items + item]) as f32),
        );
    }
}

/// The best of several fits, and what each was worth on validation.
pub struct Tuned<'a> {
    /// The best one.
    pub model: Ease<'a>,
    /// Each lambda with its validation metrics, in the order given.
    pub trials: Vec<(f64, Metrics)>,
}

/// The grid to tune over.
pub const LAMBDAS: [f64; 5] = [30.0, 100.0, 300.0, 1000.0, 3000.0];

const TUNE_AT: usize = 10;

#[cfg(test)]
mod tests {
    use rand::RngExt;

    use super::*;
    use crate::dataset::History;
    use crate::eval::leave_last_two_out;
    use crate::rng::stream;

    /// Two groups of users, each with its own six items, of which everybody has five, in any order.
    fn two_groups() -> Dataset {
        let mut rng = stream(5, "two groups");
        let histories = (0..60_u32).map(|user| {
            let mut items: Vec<u32> = (0..6).map(|item| user % 2 * 6 + item).collect();
            for at in (1..6).rev() {
                items.swap(at, rng.random_range(0..=at));
            }
            items.truncate(5);
            History {
                times: vec![0; 5],
                items,
            }
        });
        Dataset {
            histories: histories.collect(),
            users: (0..60).map(|user| format!("u{user}")).collect(),
            labelled: Vec::new(),
        }
    }

    #[test]
    fn it_agrees_with_the_closed_form_of_two_items() {
        // X'X = [[2, 1], [1, 1]], lambda 1: P = [[2, -1], [-1, 3]] / 5, so B_01 = 1/3 and B_10 = 1/2.
        let train = Dataset {
            users: vec!["a".into(), "b".into()],
            histories: vec![
                History {
                    items: vec![0, 1],
                    times: vec![0, 0],
                },
                History {
                    items: vec![0],
                    times: vec![0],
                },
            ],
            labelled: Vec::new(),
        };
        let ease = Ease::fit(&train, 2, 1.0).expect("positive definite");
        let mut out = Vec::new();
        ease.score(1, &[1, 0], &mut out);
        assert!((out[0] - 1.0 / 3.0).abs() < 1e-6 && out[1] == 0.0, "{out:?}");
        ease.score_all(0, &mut out);
        assert!(
            (out[0] - 0.5).abs() < 1e-6 && (out[1] - 1.0 / 3.0).abs() < 1e-6,
            "{out:?}"
        );
        assert!(Ease::fit(&train, 2, -9.0).is_err());
    }

    #[test]
    fn it_finds_the_group_and_both_ways_to_score_agree() {
        let split = leave_last_two_out(&two_groups());
        let candidates = Candidates::draw(&split, 12, 1);
        let tuned = Ease::tune(&split, &candidates, 12, &[5.0, 20.0]).expect("positive");
        assert_eq!(tuned.trials.len(), 2);
        let metrics = evaluate(
            &tuned.model,
            &split,
            &candidates,
            12,
            View::LeakFree,
            Target::Test,
            3,
        );
        assert_eq!(metrics.hit_rate, 1.0);
        let (mut all, mut some) = (Vec::new(), Vec::new());
        for user in 0..split.train.len() {
            tuned.model.score_all(user, &mut all);
            tuned.model.score(user, &(0..12).collect::<Vec<_>>(), &mut some);
            assert!(all.iter().zip(&some).all(|(a, b)| (a - b).abs() < 1e-6));
        }
    }
}
