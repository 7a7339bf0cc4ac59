//! Solver `sgd`: binary cross-entropy on a user's items against sampled negatives.
//!
//! Everything here is a function of one user's history, the broadcast model, the plan, the public catalogue and the
//! user's own randomness: of nothing computed from other users.

use std::cell::RefCell;

use rand::RngExt;
use rand_distr::{Distribution, Normal};

use super::config::SgdConfig;
use super::gan::Game;
use super::local::Local;
use super::recommender::{Loaded, UserVector};
use super::samples::{Complement, draw, recency_weights};
use super::update::UserUpdate;
use super::work::trained;
use super::workspace::Workspace;
use crate::dataset::History;
use crate::rng::Stream;

impl Loaded {
    /// One round's work for one user: the user's own vector moves, and so do the shared parameters that the user touched.
    ///
    /// The last step of the user's own vector and the first of the shared parameters go down one gradient, taken with
    /// part of the user's vector dropped.
    pub(super) fn sgd_update(
        &self,
        sgd: &SgdConfig,
        history: &History,
        previous: Option<&UserVector>,
        forbidden: &[u32],
        rng: &mut Stream,
    ) -> (UserUpdate, UserVector) {
        let mut user = previous.cloned().unwrap_or_else(|| self.first_vector(rng));
        if history.is_empty() {
            let nothing = UserUpdate::Sparse {
                ranges: Vec::new(),
                values: Vec::new(),
            };
            return (nothing, user);
        }
        let own = trained(history);
        let others = Complement::of(&history.items, forbidden, self.items().nrows());
        let weights = vec![1.0; own.len()];
        let mut samples = draw(own, &weights, sgd.negatives, &others, rng);
        let update = with_workspace(|workspace| {
            for _ in 1..sgd.user_steps {
                Local::new(self, &samples).user_gradient(workspace, &user.values);
                let gradient = &mut workspace.user_gradient;
                self.add_fit_of_generator((own, &weights), forbidden, &user.values, gradient);
                self.add_penalty(sgd, &user.values, gradient);
                user.adam_step(gradient, sgd.user_learning_rate * self.pace());
            }
            let mask = dropout(user.values.len(), sgd.user_dropout, rng);
            let seen = masked(&user.values, &mask);
            let game = Game::new(self, sgd, (own, forbidden), &seen, &mut samples, rng);
            let mut local = Local::new(self, &samples);
            for step in 0..sgd.local_steps {
                if step > 0 {
                    local.refresh();
                }
                local.gradients(workspace, &seen);
                if let Some(game) = &game {
                    game.add_gradients(workspace, &samples, &seen);
                }
                local.descend(workspace, sgd.learning_rate as f32);
                if step == 0 && sgd.user_steps > 0 {
                    let mut gradient = masked(&workspace.user_gradient, &mask);
                    self.add_penalty(sgd, &user.values, &mut gradient);
                    user.adam_step(&gradient, sgd.user_learning_rate * self.pace());
                }
            }
            local.into_update()
        });
        (update, user)
    }

    /// The user's own vector for scoring: Adam steps from `previous` or zero, the latest items weighing most.
    pub(super) fn sgd_fit(
        &self,
        sgd: &SgdConfig,
        history: &History,
        previous: Option<&UserVector>,
        forbidden: &[u32],
        rng: &mut Stream,
    ) -> UserVector {
        let start = previous.map_or_else(
            || vec![0.0; self.layout().width()],
            |previous| previous.values.clone(),
        );
        // The running means of training belong to another loss.
        let mut user = UserVector::new(start);
        if history.is_empty() {
            return user;
        }
        let own = trained(history);
        let weights = recency_weights(own.len(), sgd.recency);
        let others = Complement::of(&history.items, forbidden, self.items().nrows());
        with_workspace(|workspace| {
            for step in 0..sgd.fit_steps {
                let samples = draw(own, &weights, sgd.negatives, &others, rng);
                let rate = sgd.fit_learning_rate * (1.0 - 0.9 * step as f64 / sgd.fit_steps as f64);
                Local::new(self, &samples).user_gradient(workspace, &user.values);
                let gradient = &mut workspace.user_gradient;
                self.add_fit_of_generator((own, &weights), forbidden, &user.values, gradient);
                self.add_penalty(sgd, &user.values, gradient);
                user.adam_step(gradient, rate);
            }
        });
        user
    }

    fn first_vector(&self, rng: &mut Stream) -> UserVector {
        let normal =
            Normal::new(0.0f32, self.config().init_stddev).expect("the spread was checked with the plan");
        UserVector::new((0..self.layout().width()).map(|_| normal.sample(rng)).collect())
    }
}

/// Lends this thread's buffers: they are large, and the next user needs the same.
fn with_workspace<T>(work: impl FnOnce(&mut Workspace<f32>) -> T) -> T {
    thread_local! {
        static WORKSPACE: RefCell<Workspace<f32>> = RefCell::default();
    }
    WORKSPACE.with_borrow_mut(work)
}

/// 1 / (1 - share) for what stays, 0 for the rest (Srivastava et al. 2014, inverted).
fn dropout(width: usize, share: f64, rng: &mut Stream) -> Vec<f32> {
    if share <= 0.0 {
        return vec![1.0; width];
    }
    let keep = (1.0 / (1.0 - share)) as f32;
    (0..width)
        .map(|_| if rng.random_bool(1.0 - share) { keep } else { 0.0 })
        .collect()
}

fn masked(values: &[f32], mask: &[f32]) -> Vec<f32> {
    values
        .iter()
        .zip(mask)
        .map(|(value, keep)| value * keep)
        .collect()
}
