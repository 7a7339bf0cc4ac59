//! What is drawn for a customer, and what follows from it at the generator's logits.
//!
//! Items k = 1..K come from the mixture m = (1 - lambda) G + lambda (the own items, each alike), with importance weights w_k = G / m,
//! which are therefore at most 1 / (1 - lambda). With rewards r_k, the policy gradient at the logits (Wang et al. 2017, equation 5;
//! REINFORCE) is estimated by
//!
//!   1 / (K (K - 1)) sum over k, l of w_k w_l (r_k - r_l) grad log G(i_k)  =  sum over k of c_k grad log G(i_k),
//!   c_k = w_k W (r_k - b) / (K (K - 1)),  W = sum w,  b = sum w r / W.
//!
//! It is unbiased for every lambda: w_l has mean 1 over m, w_l grad log G(i_l) mean 0, and k and l are drawn apart from each other. And
//! the c_k add up to zero, because r_k - r_l changes its sign with k and l. So in grad log G(i) = e_i - G the dense part, -G_j
//! (sum of c), is zero for every item j: the gradient is c at the drawn items, and nothing elsewhere.

use rand::RngExt;

use crate::rng::Stream;

/// Items drawn for one customer.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Draws {
    /// Which, as they came.
    pub(super) items: Vec<u32>,
    /// w, one each.
    pub(super) weights: Vec<f64>,
}

impl Draws {
    /// `count` items, of the mixture with a share `own_share` of `own` items. None where the generator has nothing to draw from.
    ///
    /// # Shapes
    /// probabilities: G, `[items]`.
    pub(super) fn new(
        probabilities: &[f32],
        own: &[u32],
        own_share: f64,
        count: usize,
        rng: &mut Stream,
    ) -> Self {
        let mut mixture: Vec<f64> = probabilities
            .iter()
            .map(|probability| (1.0 - own_share) * f64::from(*probability))
            .collect();
        for item in own {
            mixture[*item as usize] += own_share / own.len() as f64;
        }
        let mut total = 0.0;
        let cumulative: Vec<f64> = mixture
            .iter()
            .map(|part| {
                total += part;
                total
            })
            .collect();
        let mut drawn = Self {
            items: Vec::new(),
            weights: Vec::new(),
        };
        if probabilities.iter().all(|probability| *probability == 0.0) {
            return drawn;
        }
        for _ in 0..count {
            let at = rng.random_range(0.0..total);
            let item = cumulative
                .partition_point(|until| *until <= at)
                .min(mixture.len() - 1);
            drawn.items.push(item as u32);
            drawn.weights.push(f64::from(probabilities[item]) / mixture[item]);
        }
        drawn
    }

    /// c, one a draw, for these rewards: the estimated gradient of sum_i G(i) r_i at the logits. It adds up to 0.
    pub(super) fn policy_gradient(&self, rewards: &[f64]) -> Vec<f64> {
        let count = self.weights.len() as f64;
        let total: f64 = self.weights.iter().sum();
        if count < 2.0 || total <= 0.0 {
            return vec![0.0; self.weights.len()];
        }
        let weighted = self.weights.iter().zip(rewards);
        let baseline = weighted
            .clone()
            .map(|(weight, reward)| weight * reward)
            .sum::<f64>()
            / total;
        let scale = total / (count * (count - 1.0));
        weighted
            .map(|(weight, reward)| scale * weight * (reward - baseline))
            .collect()
    }

    /// One a draw: what estimates G at the logits, without bias.
    pub(super) fn shares(&self) -> Vec<f64> {
        let count = self.weights.len().max(1) as f64;
        self.weights.iter().map(|weight| weight / count).collect()
    }
}
