//! Lists by the stars that a customer is expected to give.

use souk_common::dataset::Labelled;
use souk_common::model::Loaded;
use souk_common::model::stars::{OwnStars, ShopStars};

use super::{Customer, Recommendable};

/// What the stars of a customer say of it; of nobody, nothing.
fn own_stars(lists: &Recommendable, model: &Loaded, customer: Customer<'_>) -> Option<OwnStars> {
    let nothing = Labelled::default();
    let labelled = customer.row.and_then(|row| lists.dataset.labelled_of(row));
    model.own_stars(labelled.unwrap_or(&nothing))
}

/// The shop's part of a model of stars; none of another model.
pub(super) fn of_shop(lists: &[Labelled], model: &Loaded) -> Option<ShopStars> {
    ShopStars::fit(model, lists.iter()).filter(|_| model.expects_stars())
}

impl Recommendable {
    /// How many stars the customer is expected to give each item, and whether that rests on any that it gave; none where no
    /// model of stars makes lists.
    pub(super) fn star_scores(&self, model: &Loaded, customer: Customer<'_>) -> Option<(Vec<f32>, bool)> {
        let shop = self.stars.as_ref()?;
        let own = own_stars(self, model, customer)?;
        let rated = customer.row.and_then(|row| self.dataset.labelled_of(row));
        Some((shop.scores(model, &own), rated.is_some()))
    }

    /// Items that the customer has given more stars than it gives in the mean, earliest first: why others are listed.
    pub(super) fn liked(&self, customer: Customer<'_>) -> Vec<u32> {
        let Some(labelled) = customer.row.and_then(|row| self.dataset.labelled_of(row)) else {
            return Vec::new();
        };
        let mean = labelled.labels.iter().sum::<f32>() / labelled.len() as f32;
        let pairs = labelled.items.iter().zip(&labelled.labels);
        let liked = pairs.filter(|(_, stars)| **stars >= mean);
        liked.map(|(item, _)| *item).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use souk_common::dataset::Labelled;
    use souk_common::model::Recommender;

    use super::super::tests::shelf;
    use super::super::{Customer, Ranker, RecommendOptions, Recommendable};
    use super::of_shop;

    fn of_stars() -> Recommendable {
        let mut lists = shelf();
        let config = toml::from_str("kind = \"mf\"\ngmf_dim = 2").expect("a model");
        let train = toml::from_str("solver = \"stars\"").expect("a solver");
        let recommender = Recommender::new(&config, &train, &lists.catalogue);
        let mut params = vec![0.0; recommender.layout().len()];
        let bias = recommender.layout().block("item.bias").expect("biases").range();
        // The first item is the best of all shops, and every next one a little worse.
        for (rank, value) in params[bias].iter_mut().enumerate() {
            *value = 1.0 - 0.1 * rank as f32;
        }
        *params.last_mut().expect("a head") = 3.0;
        let mut dataset = (*lists.dataset).clone();
        dataset.labelled = vec![Labelled::default(); dataset.len()];
        dataset.labelled[0] = Labelled {
            items: vec![0],
            times: vec![1],
            labels: vec![1.0],
        };
        let model = recommender.load(params);
        lists.stars = of_shop(&dataset.labelled, &model).map(Arc::new);
        lists.dataset = Arc::new(dataset);
        lists.ranker = Ranker::Model(Arc::new(model));
        lists
    }

    #[test]
    fn lists_say_how_many_stars_are_expected_and_the_shops_own_stars_count() {
        let lists = of_stars();
        let wishes = RecommendOptions {
            k: 3,
            include_bought: true,
            explain: true,
        };
        let list = lists.recommend(Customer::of(0), &wishes);
        assert!(list.personal);
        // One star of the only customer who rated the best item: it is below the others here.
        let first = &lists.catalogue.items()[0].id;
        assert!(list.items.iter().all(|item| item.item_id != *first), "{list:?}");
        for item in &list.items {
            let stars = item.stars.expect("stars are expected");
            assert!((1.0..=5.0).contains(&stars));
        }
        let nobody = lists.recommend(Customer::default(), &wishes);
        assert!(!nobody.personal);
        assert!(nobody.items[0].stars.expect("of everybody") > list.items[0].stars.expect("of a strict one"));
    }
}
