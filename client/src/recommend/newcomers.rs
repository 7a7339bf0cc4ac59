//! Places of a list that are kept for items which nobody in this shop has bought yet.
//!
//! By the shop's stack such an item comes behind all that were ever bought: most of the stack's channels know it not. So
//! `new_items` of the owner's rules keeps the last places of a list for them, and they are compared with each other alone,
//! by what they are like.

use std::collections::HashSet;

use souk_common::dataset::Dataset;
use souk_common::stack::Stack;

use super::{Customer, RecommendOptions, Recommendable};
use crate::rules::arrange::{Arranged, Wanted};
use crate::rules::file::ListKind;

/// What new items are compared by, and which these are.
pub struct Newcomers {
    /// Weights of channels that know an item by what it is like.
    pub stack: Stack,
    /// One an item: whether somebody in this shop has bought it.
    bought: Vec<bool>,
}

impl Newcomers {
    /// Of a shop's customers.
    pub fn new(stack: Stack, dataset: &Dataset) -> Self {
        let mut bought = vec![false; stack.items()];
        for item in dataset.histories.iter().flat_map(|history| &history.items) {
            if let Some(bought) = bought.get_mut(*item as usize) {
                *bought = true;
            }
        }
        Self { stack, bought }
    }

    fn is_new(&self, row: u32) -> bool {
        self.bought.get(row as usize) == Some(&false)
    }

    /// How many items of those that `may` stand in a list are new.
    pub(super) fn count(&self, may: impl Fn(u32) -> bool) -> usize {
        (0..self.bought.len() as u32)
            .filter(|row| self.is_new(*row) && may(*row))
            .count()
    }
}

impl Recommendable {
    /// Puts new items into the last places of a list, as many as the rules keep for them, at most half of it: instead of those
    /// that stand there, but for pinned ones. Gives the rows that came in; none where no item is new, or nothing is known of
    /// items but their ids.
    pub(super) fn let_newcomers_in(
        &self,
        list: &mut Arranged,
        customer: Customer<'_>,
        wishes: &RecommendOptions,
        allowed: impl Fn(u32) -> bool,
    ) -> HashSet<u32> {
        let mut places = self.rules.new_items().min(wishes.k / 2);
        let Some(newcomers) = self.newcomers.as_deref().filter(|_| places > 0) else {
            return HashSet::new();
        };
        let interests = self.interests_of(customer, &self.items_of(customer));
        let mut scores = Vec::new();
        newcomers.stack.score(&interests, &mut scores);
        let left_out = self.left_out(customer, wishes);
        let is_new = |row: u32| newcomers.is_new(row) && !left_out.contains(&row);
        loop {
            let kept = self.without_last(&list.items, wishes.k - places);
            let beside: Vec<u32> = kept.iter().map(|(row, _)| *row).collect();
            let wanted = Wanted {
                kind: ListKind::Recommendations,
                k: places.min(wishes.k.saturating_sub(kept.len())),
                cart: customer.cart,
                beside: &beside,
            };
            let scored = (0u32..).zip(scores.iter().copied());
            let found = self
                .rules
                .arrange(scored, |row| is_new(row) && allowed(row), &wanted);
            // Where fewer are new, those that were put out for them come back.
            if found.items.len() < places {
                places = found.items.len();
                if places > 0 {
                    continue;
                }
                return HashSet::new();
            }
            let new = found.items.iter().map(|(row, _)| *row).collect();
            list.items = kept;
            list.items.extend(found.items);
            return new;
        }
    }

    /// A list without the last items that are not pinned, of which at most `most` stay, or as many as are pinned.
    fn without_last(&self, items: &[(u32, f32)], most: usize) -> Vec<(u32, f32)> {
        let mut kept = items.to_vec();
        for at in (0..items.len()).rev() {
            if kept.len() > most && !self.rules.is_pinned(items[at].0, ListKind::Recommendations) {
                kept.remove(at);
            }
        }
        kept
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use souk_common::catalogue::Catalogue;
    use souk_common::channels::content;
    use souk_common::features::Features;

    use std::collections::HashMap;

    use souk_common::clock::Timestamp;

    use super::super::{Recommended, tests};
    use super::*;
    use crate::rules::compiled::{CompiledRules, Over};
    use crate::rules::file::ListRules;

    const WISHES: RecommendOptions = RecommendOptions {
        k: 10,
        include_bought: false,
        explain: true,
    };

    /// The 30 items in 3 categories of other tests, of which 8 were ever bought, and rules.
    fn shelf(rules: &str) -> Recommendable {
        let mut shelf = tests::shelf();
        let stack = content_stack(&shelf.catalogue);
        shelf.newcomers = Some(Arc::new(Newcomers::new(stack, &shelf.dataset)));
        let rules = ListRules::parse(rules, None).expect("good rules");
        let over = Over {
            catalogue: &shelf.catalogue,
            states: None,
            row_called: &|_| None,
            groups: &HashMap::new(),
            first_sold: &Vec::new,
            now: Timestamp::default(),
        };
        shelf.rules = Arc::new(CompiledRules::new(Arc::new(rules), &over));
        shelf
    }

    fn list(rules: &str) -> Vec<(String, bool)> {
        let list = shelf(rules).recommend(Customer::of(0), &WISHES);
        let said = |item: Recommended| (item.item_id.clone(), is_kept(&item));
        list.items.into_iter().map(said).collect()
    }

    fn is_kept(item: &Recommended) -> bool {
        item.rules.iter().any(|said| said.contains("new_items"))
    }

    fn ids(list: &[(String, bool)]) -> Vec<&str> {
        list.iter().map(|(id, _)| id.as_str()).collect()
    }

    const BOUGHT: [&str; 8] = ["i0", "i2", "i3", "i4", "i5", "i6", "i8", "i9"];

    fn content_stack(catalogue: &Catalogue) -> Stack {
        let channels = content::channels(&Features::of(catalogue));
        let weights = vec![1.0; channels.len()];
        Stack::new(channels, weights, catalogue.len()).expect("weights fit")
    }

    #[test]
    fn the_last_places_are_for_items_that_nobody_has_bought_and_say_so() {
        let (without, with) = (list(""), list("new_items = 3"));
        assert_eq!((without.len(), with.len()), (10, 10));
        assert!(without.iter().all(|(_, is_kept)| !is_kept));
        let new: Vec<&(String, bool)> = with.iter().filter(|(_, is_kept)| *is_kept).collect();
        assert_eq!(new, [&with[7], &with[8], &with[9]]);
        assert!(new.iter().all(|(id, _)| !BOUGHT.contains(&id.as_str())));
        // The others are the best of the list that there was, in its order.
        let stayed: Vec<&str> = ids(&without)
            .into_iter()
            .filter(|id| !ids(&with)[7..].contains(id))
            .collect();
        assert_eq!(ids(&with)[..7], stayed[..7]);
        // They are alike: of the customer's items all are of one category.
        assert!(
            new.iter()
                .all(|(id, _)| id[1..].parse::<usize>().expect("a number") % 3 == 0),
            "{new:?}"
        );
    }

    #[test]
    fn what_the_customer_has_just_bought_first_of_all_is_in_no_kept_place() {
        let shelf = shelf("new_items = 5");
        let kept = |basket: &[u32], wishes: &RecommendOptions| -> Vec<String> {
            let customer = Customer {
                basket,
                ..Customer::of(0)
            };
            let items = shelf.recommend(customer, wishes).items;
            items
                .into_iter()
                .filter(is_kept)
                .map(|item| item.item_id)
                .collect()
        };
        let before = kept(&[], &WISHES);
        let bought: Vec<u32> = before
            .iter()
            .map(|id| id[1..].parse().expect("a number"))
            .collect();
        let after = kept(&bought, &WISHES);
        assert_eq!((before.len(), after.len()), (5, 5));
        assert!(
            after.iter().all(|id| !before.contains(id)),
            "{before:?} {after:?}"
        );
        let again = RecommendOptions {
            include_bought: true,
            ..WISHES
        };
        assert!(kept(&bought, &again).iter().any(|id| before.contains(id)));
    }

    #[test]
    fn never_more_than_half_of_a_list_is_kept() {
        let kept = |rules| list(rules).iter().filter(|(_, is_kept)| *is_kept).count();
        assert_eq!((kept("new_items = 1"), kept("new_items = 100")), (1, 5));
    }

    #[test]
    fn pinned_items_stay_and_caps_and_never_lists_hold_for_the_whole_list() {
        let pinned = list("new_items = 3\nalways = [{ item = 'i20', place = 9 }]");
        assert!(ids(&pinned)[..7].contains(&"i20"), "{pinned:?}");
        assert_eq!(pinned.iter().filter(|(_, is_kept)| *is_kept).count(), 3);
        // All items are of one brand.
        assert_eq!(list("new_items = 3\nat_most_of_a_brand = 8").len(), 8);
        let never: Vec<String> = (0..30)
            .map(|row| format!("'i{row}'"))
            .filter(|id| !BOUGHT.contains(&id.trim_matches('\'')) && id != "'i13'")
            .collect();
        let rules = format!(
            "new_items = 3\nnever = [{}]\n[[boost]]\nwhen = 'id == \"i13\"'\nby = -9",
            never.join(", ")
        );
        // One is new, and would be the last of all: of two places that are kept of four, one goes back.
        let wishes = RecommendOptions { k: 4, ..WISHES };
        let few = shelf(&rules).recommend(Customer::of(0), &wishes).items;
        let kept: Vec<bool> = few.iter().map(is_kept).collect();
        assert_eq!(
            (kept, few[3].item_id.as_str()),
            (vec![false, false, false, true], "i13")
        );
    }
}
