//! Lists of a large catalogue by a model of products: only items that can be among the best are scored.

use souk_common::model::{Loaded, UserVector};

use super::{Customer, RecommendOptions, Recommendable};
use crate::rules::arrange::{Arranged, Wanted};
use crate::rules::file::ListKind;

impl Recommendable {
    /// The same list as from the scores of all items, but for rounding of these; none where it takes them all: the catalogue is
    /// small, the model makes no products, rules move, pin or spread items, or leave too few of the shortlist.
    pub(super) fn shortlisted(
        &self,
        model: &Loaded,
        user: &UserVector,
        customer: Customer<'_>,
        wishes: &RecommendOptions,
        allowed: impl Fn(u32) -> bool,
    ) -> Option<Arranged> {
        let kind = ListKind::Recommendations;
        let is_worth_it = self.catalogue.len() >= LARGE && wishes.k <= MOST_PLACES;
        if !is_worth_it || !customer.cart.is_empty() || !self.rules.takes_the_best(kind) {
            return None;
        }
        let left_out = self.left_out(customer, wishes);
        let allowed = |row| self.rules.may_list(row, kind) && !left_out.contains(&row) && allowed(row);
        // Variants of one product stand in a list once, brands so often.
        let shortlist = model.best_products(user, SPARE_PER_PLACE * wishes.k + SPARE, allowed)?;
        let wanted = Wanted {
            kind,
            k: wishes.k,
            cart: &[],
            beside: &[],
        };
        let arranged = self.rules.arrange(shortlist.into_iter(), allowed, &wanted);
        (arranged.items.len() == wishes.k).then_some(arranged)
    }
}

/// From so many items on.
const LARGE: usize = 20_000;
const MOST_PLACES: usize = 1000;
const SPARE_PER_PLACE: usize = 3;
const SPARE: usize = 64;

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use souk_common::catalogue::{Catalogue, Item};
    use souk_common::model::Recommender;
    use souk_common::model::init::initial_parameters;

    use super::super::{Ranker, tests};
    use super::*;
    use crate::rules::compiled::CompiledRules;

    #[test]
    fn a_list_from_the_shortlist_is_that_from_all_scores() {
        let item = |row: usize| Item {
            // Ten variants of each product.
            title: format!("Thing {}", row / 10),
            brand: "b".into(),
            ..Item::bare(format!("i{row}"))
        };
        let catalogue = Arc::new(Catalogue::new((0..LARGE).map(item).collect()).expect("good"));
        let config =
            toml::from_str("kind = \"mf\"\ngmf_dim = 8\nitem_bias = false\ninit_stddev = 0.5").expect("good");
        let train = toml::from_str("solver = \"ials\"\nalpha = 0.1\nlambda = 0.5").expect("good");
        let recommender = Recommender::new(&config, &train, &catalogue);
        let model = recommender.load(initial_parameters(&config, &train, recommender.layout(), 3));
        let mut lists = tests::shelf();
        lists.rules = Arc::new(CompiledRules::none(&catalogue));
        lists.ranker = Ranker::Model(Arc::new(model));
        lists.catalogue = catalogue;
        let wishes = RecommendOptions {
            k: 25,
            include_bought: false,
            explain: false,
        };
        let customer = Customer::of(0);
        let Ranker::Model(model) = &lists.ranker else {
            unreachable!("made above")
        };
        let user = lists.user_of(model, customer).0;
        let even: fn(u32) -> bool = |row| row.is_multiple_of(2);
        let short = lists
            .shortlisted(model, &user, customer, &wishes, even)
            .expect("nothing is in its way");
        let all = lists.best(customer, &lists.scores(customer).values, &wishes, even);
        let rows = |list: &Arranged| list.items.iter().map(|(row, _)| *row).collect::<Vec<_>>();
        assert_eq!(rows(&short), rows(&all));
        let ids =
            |list: &Arranged| -> Vec<String> { rows(list).iter().map(|row| format!("i{row}")).collect() };
        let listed = |allowed: fn(u32) -> bool| -> Vec<String> {
            let list = lists.recommend_among(customer, &wishes, allowed);
            list.items.into_iter().map(|item| item.item_id).collect()
        };
        assert_eq!(listed(even), ids(&all));
        for ((_, short), (_, all)) in short.items.iter().zip(&all.items) {
            assert!((short - all).abs() < 1e-4, "{short} {all}");
        }
        // So few are allowed that the shortlist runs dry.
        let few: fn(u32) -> bool = |row| row < 100;
        assert!(lists.shortlisted(model, &user, customer, &wishes, few).is_none());
        // Of ten products one is the customer's: i0, i3 and i9 are variants of it.
        assert_eq!(listed(few).len(), 10);
    }
}
