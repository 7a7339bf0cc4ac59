//! Users with their own vectors, each beside the model of their shop: what is scored.

use std::sync::Arc;

use rayon::prelude::*;
use souk_common::dataset::Dataset;
use souk_common::eval::Scorer;
use souk_common::model::{Loaded, UserVector};
use souk_common::rng::stream;

/// One a user.
pub(crate) struct Personal(Vec<(Arc<Loaded>, UserVector)>);

impl Personal {
    /// Fits every user's vector to `data`, the training items, as a shop does before it recommends. `forbidden` as in
    /// `souk_client::training::round_update::Customers`.
    pub(crate) fn fit(model: &Arc<Loaded>, data: &Dataset, forbidden: &[Vec<u32>], seed: u64) -> Self {
        let fit = |(user, name): (usize, &String)| {
            let forbidden = forbidden.get(user).map_or(&[][..], Vec::as_slice);
            let mut rng = stream(seed, name);
            let vector = model.fit_user(&data.histories[user], None, forbidden, &mut rng);
            (Arc::clone(model), vector)
        };
        Self(data.users.par_iter().enumerate().map(fit).collect())
    }

    /// With vectors as training left them; zero for users that were never drawn.
    pub(crate) fn as_trained(model: &Arc<Loaded>, vectors: &[Option<UserVector>]) -> Self {
        let zero = UserVector::new(vec![0.0; model.layout().width()]);
        let own = |vector: &Option<UserVector>| vector.clone().unwrap_or_else(|| zero.clone());
        let of = |vector| (Arc::clone(model), own(vector));
        Self(vectors.iter().map(of).collect())
    }

    /// Several shops' users in one order: `users[shop]` are the positions of the shop's users, in the shop's order.
    pub(crate) fn gather(shops: Vec<(Self, Vec<usize>)>) -> Self {
        let mut placed: Vec<(usize, (Arc<Loaded>, UserVector))> = shops
            .into_iter()
            .flat_map(|(shop, users)| users.into_iter().zip(shop.0))
            .collect();
        placed.sort_by_key(|(user, _)| *user);
        Self(placed.into_iter().map(|(_, user)| user).collect())
    }
}

impl Scorer for Personal {
    fn score(&self, user: usize, items: &[u32], out: &mut Vec<f32>) {
        let (model, vector) = &self.0[user];
        *out = model.score(vector, items);
    }

    fn score_all(&self, user: usize, out: &mut Vec<f32>) {
        let (model, vector) = &self.0[user];
        *out = model.score_all(vector);
    }
}
