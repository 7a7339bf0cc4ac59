//! A customer's step: discriminator and generator from one set of samples.

use super::draw::Draws;
use super::generator::Generator;
use crate::model::config::{GeneratorTraining, SgdConfig};
use crate::model::network::sigmoid;
use crate::model::recommender::Loaded;
use crate::model::samples::per_item;
use crate::model::work;
use crate::model::workspace::{Sample, Workspace};
use crate::numeric::add_scaled;
use crate::rng::Stream;

/// What a customer's generator does in this round, beside the discriminator's training.
pub(in crate::model) struct Game<'m> {
    generator: &'m Generator,
    training: GeneratorTraining,
    width: usize,
    own: Vec<u32>,
    forbidden: Vec<u32>,
    draws: Draws,
}

impl<'m> Game<'m> {
    /// Draws items for a customer whose vector is `user`, and adds them to the discriminator's `samples`: those that the customer does not
    /// have are negatives, which take the plan's part of all negatives' weight, and the others are rewarded only.
    pub(in crate::model) fn new(
        model: &'m Loaded,
        sgd: &SgdConfig,
        (own, forbidden): (&[u32], &[u32]),
        user: &[f32],
        samples: &mut Vec<Sample<f32>>,
        rng: &mut Stream,
    ) -> Option<Self> {
        let generator = model.generator()?;
        let mut training = sgd.generator.unwrap_or_default();
        if model.round() < training.pretrain_rounds {
            (training.reward, training.hard) = (0.0, 0.0);
        }
        let columns = generator.columns(model.layout().width());
        let probabilities = generator.probabilities(&user[columns], forbidden);
        let count = own.len() * training.draws;
        work::took(probabilities.len() + count);
        let draws = Draws::new(&probabilities, own, training.own_share, count, rng);
        Some(Self::of(
            model,
            (generator, training),
            (own, forbidden),
            draws,
            samples,
        ))
    }

    /// With these `draws`.
    pub(super) fn of(
        model: &Loaded,
        (generator, training): (&'m Generator, GeneratorTraining),
        (own, forbidden): (&[u32], &[u32]),
        draws: Draws,
        samples: &mut Vec<Sample<f32>>,
    ) -> Self {
        let game = Self {
            generator,
            training,
            width: model.layout().width(),
            own: own.to_vec(),
            forbidden: forbidden.to_vec(),
            draws,
        };
        game.add_samples(samples);
        game
    }

    fn add_samples(&self, samples: &mut Vec<Sample<f32>>) {
        let mut own = self.own.clone();
        own.sort_unstable();
        let is_own = |item: &u32| own.binary_search(item).is_ok();
        let hard = self.draws.items.iter().filter(|item| !is_own(item)).count();
        let uniform: f32 = samples.iter().map(|sample| sample.negative).sum();
        // Of a customer with everything there is nothing to tell apart.
        let part = if hard > 0 && uniform > 0.0 {
            self.training.hard as f32
        } else {
            0.0
        };
        samples
            .iter_mut()
            .for_each(|sample| sample.negative *= 1.0 - part);
        let weight = part * uniform / hard.max(1) as f32;
        samples.extend(self.draws.items.iter().map(|item| Sample {
            item: *item,
            positive: 0.0,
            negative: if is_own(item) { 0.0 } else { weight },
        }));
        *samples = per_item(std::mem::take(samples));
    }

    /// Adds the generator's part to the gradients of items and user that the discriminator's pass over `samples` has left in
    /// `workspace`; `user` is where that pass was.
    pub(in crate::model) fn add_gradients(
        &self,
        workspace: &mut Workspace<f32>,
        samples: &[Sample<f32>],
        user: &[f32],
    ) {
        let columns = self.generator.columns(self.width);
        let mine = &user[columns.clone()];
        let slopes = self.slopes(workspace.logits(), samples);
        let rows = workspace.item_gradient.chunks_exact_mut(self.width);
        let rate = 1.0 / self.generator.temperature();
        for ((row, sample), (reward, likelihood)) in rows.zip(samples).zip(slopes) {
            add_scaled(rate * (reward + likelihood), mine, &mut row[columns.clone()]);
            let own_gradient = &mut workspace.user_gradient[columns.clone()];
            add_scaled(rate * reward, self.generator.vector(sample.item), own_gradient);
        }
        self.add_likelihood(&mut workspace.user_gradient, user);
    }

    /// Adds the exact gradient of the likelihood alone, by the user's vector.
    pub(in crate::model) fn add_likelihood(&self, gradient: &mut [f32], user: &[f32]) {
        let columns = self.generator.columns(self.width);
        let probabilities = self
            .generator
            .probabilities(&user[columns.clone()], &self.forbidden);
        work::took(probabilities.len());
        self.generator.add_likelihood_gradient(
            &probabilities,
            (&self.own, &vec![1.0; self.own.len()]),
            self.training.likelihood,
            &mut gradient[columns],
        );
    }

    /// What is to be descended at the generator's logits of the samples: of the reward, and of the likelihood.
    fn slopes(&self, logits: &[f32], samples: &[Sample<f32>]) -> Vec<(f32, f32)> {
        let at = |item: &u32| samples.partition_point(|sample| sample.item < *item);
        let reward = |item: &u32| 2.0 * sigmoid(f64::from(logits[at(item)])) - 1.0;
        let rewards: Vec<f64> = self.draws.items.iter().map(reward).collect();
        let count = self.own.len() as f64;
        let mut slopes = vec![(0.0f32, 0.0f32); samples.len()];
        let policy = self.draws.policy_gradient(&rewards);
        for ((item, climb), share) in self.draws.items.iter().zip(policy).zip(self.draws.shares()) {
            let slope = &mut slopes[at(item)];
            slope.0 -= (self.training.reward * count * climb) as f32;
            slope.1 += (self.training.likelihood * count * share) as f32;
        }
        // Without draws nothing would hold the own items back.
        if !self.draws.items.is_empty() {
            for item in &self.own {
                slopes[at(item)].1 -= self.training.likelihood as f32;
            }
        }
        slopes
    }
}

impl Loaded {
    /// Adds the gradient of `l2` penalties on the user's own vector: the generator's columns have their own.
    pub(in crate::model) fn add_penalty(&self, sgd: &SgdConfig, user: &[f32], gradient: &mut [f32]) {
        let rest = self.layout().width() - self.config().generator_width();
        let (values, own) = user.split_at(rest);
        let (gradient, own_gradient) = gradient.split_at_mut(rest);
        add_scaled(sgd.user_l2 as f32, values, gradient);
        if !own.is_empty() {
            let training = sgd.generator.unwrap_or_default();
            add_scaled(training.user_l2 as f32, own, own_gradient);
        }
    }

    /// Adds the gradient of the generator's likelihood of `own` items, weighted, when a user's vector is fitted; nothing for other kinds.
    pub(in crate::model) fn add_fit_of_generator(
        &self,
        (own, weights): (&[u32], &[f64]),
        forbidden: &[u32],
        user: &[f32],
        gradient: &mut [f32],
    ) {
        let Some(generator) = self.generator() else { return };
        let columns = generator.columns(self.layout().width());
        let probabilities = generator.probabilities(&user[columns.clone()], forbidden);
        work::took(probabilities.len());
        generator.add_likelihood_gradient(&probabilities, (own, weights), 1.0, &mut gradient[columns]);
    }
}
