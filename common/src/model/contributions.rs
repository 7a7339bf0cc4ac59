//! Why an item scores as it does: what each item of the user's history adds.

use super::config::{IalsConfig, TrainConfig};
use super::recommender::Loaded;
use super::samples::recency_weights;
use super::work::latest;
use crate::dataset::History;
use crate::numeric::{cholesky, dot};

impl Loaded {
    /// For each of `items`, what each item of the history contributes to its score.
    ///
    /// With the closed-form solver the score is a sum over the history, score_j = sum_i w_i q_j' A^-1 q_i with the
    /// ridge matrix A (Hu, Koren, Volinsky 2008, section 5), and these are its terms. Else: cosine of the item vectors.
    ///
    /// # Shapes
    /// `[items, history]`.
    pub fn contributions(&self, history: &History, items: &[u32]) -> Vec<Vec<f32>> {
        match self.recommender().train() {
            TrainConfig::Ials(ials) => self.ridge_terms(ials, history, items),
            TrainConfig::Sgd(_) | TrainConfig::Stars(_) => {
                let cosines = |item| {
                    history
                        .items
                        .iter()
                        .map(|own| self.similarity(item, *own))
                        .collect()
                };
                items.iter().map(|item| cosines(*item)).collect()
            }
        }
    }

    fn ridge_terms(&self, ials: &IalsConfig, history: &History, items: &[u32]) -> Vec<Vec<f32>> {
        let width = self.layout().width();
        let (older, own) = latest(&history.items);
        let weights = recency_weights(own.len(), ials.recency);
        let mut left: Vec<f64> = self.gram().iter().map(|value| ials.alpha * value).collect();
        for (own, weight) in own.iter().zip(&weights) {
            let vector = self.vector(*own);
            for (row, a) in vector.iter().enumerate() {
                let scaled = (weight - ials.alpha) * f64::from(*a);
                for (cell, b) in left[row * width..][..width].iter_mut().zip(vector) {
                    *cell += scaled * f64::from(*b);
                }
            }
        }
        for at in 0..width {
            left[at * width + at] += ials.lambda;
        }
        let mut terms = Vec::with_capacity(items.len());
        for item in items {
            let mut solved: Vec<f64> = self.vector(*item).iter().map(|value| f64::from(*value)).collect();
            if !cholesky::solve(&mut left.clone(), &mut solved) {
                solved.fill(0.0);
            }
            let solved: Vec<f32> = solved.into_iter().map(|value| value as f32).collect();
            let term = |(own, weight): (&u32, &f64)| *weight as f32 * dot(&solved, self.vector(*own));
            // What does not fit the vector adds nothing to a score.
            let nothing = older.iter().map(|_| 0.0);
            terms.push(nothing.chain(own.iter().zip(&weights).map(term)).collect());
        }
        terms
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue::{Catalogue, Item};
    use crate::model::Recommender;
    use crate::model::init::initial_parameters;
    use crate::rng::stream;

    #[test]
    fn the_terms_of_the_closed_form_add_up_to_the_score() {
        let item = |row: usize| Item::bare(format!("i{row}"));
        let catalogue = Catalogue::new((0..20).map(item).collect()).unwrap();
        let config =
            toml::from_str("kind = \"mf\"\ngmf_dim = 4\nitem_bias = false\ninit_stddev = 0.5").unwrap();
        let train = toml::from_str("solver = \"ials\"\nalpha = 0.1\nlambda = 0.5\nrecency = 0.3").unwrap();
        let recommender = Recommender::new(&config, &train, &catalogue);
        let loaded = recommender.load(initial_parameters(&config, &train, recommender.layout(), 3));
        let history = History {
            items: vec![3, 7, 11],
            times: vec![1, 2, 3],
        };
        let user = loaded.fit_user(&history, None, &[], &mut stream(1, "unused"));
        let items = [0, 5, 19];
        let scores = loaded.score(&user, &items);
        // The head's bias is the model's, not the history's.
        let offset = loaded.params()[loaded.layout().block("head.bias").unwrap().offset];
        for (terms, score) in loaded.contributions(&history, &items).iter().zip(scores) {
            let sum: f32 = terms.iter().sum::<f32>() + offset;
            assert!((sum - score).abs() < 1e-4, "{sum} against {score}");
        }
    }
}
