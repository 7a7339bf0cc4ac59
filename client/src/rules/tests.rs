//! Rules over a small catalogue: what may stand in a list, and in which order.

use std::collections::HashMap;
use std::sync::Arc;

use proptest::prelude::*;
use souk_common::catalogue::{Catalogue, Item};
use souk_common::clock::Timestamp;

use super::arrange::{Arranged, Wanted};
use super::compiled::{CompiledRules, NotListed, Over};
use super::file::{ListKind, ListRules};
use super::item_states::{ItemStates, StateChange};
use crate::folder::Folder;

/// Noon of 28 November 2026.
const NOON: Timestamp = Timestamp(1_795_867_200_000);
const DAY: i64 = 86_400;

/// Ten items: i0 to i9, price 10 to 100 but for i9 without one, brands a a a b b b c c - -, categories odd and even.
fn catalogue() -> Arc<Catalogue> {
    let item = |row: usize| Item {
        title: format!("Thing {row}"),
        category: ["even", "odd"][row % 2].into(),
        brand: ["a", "a", "a", "b", "b", "b", "c", "c", "", ""][row].into(),
        price: (row < 9).then(|| 10.0 * (row + 1) as f64),
        tags: vec![format!("group:{}", row / 2)],
        ..Item::bare(format!("i{row}"))
    };
    Arc::new(Catalogue::new((0..10).map(item).collect()).unwrap())
}

fn compiled_with(text: &str, states: Option<&Arc<ItemStates>>) -> CompiledRules {
    let catalogue = catalogue();
    let first_sold = || {
        let secs = NOON.0 / 1000;
        (0..10).map(|row| (row != 3).then(|| secs - row * DAY)).collect()
    };
    let over = Over {
        catalogue: &catalogue,
        states,
        row_called: &|name| (name == "our-7").then_some(7),
        groups: &[(8, "x".to_owned()), (9, "x".to_owned())].into(),
        first_sold: &first_sold,
        now: NOON,
    };
    CompiledRules::new(Arc::new(ListRules::parse(text, None).unwrap()), &over)
}

fn compiled(text: &str) -> CompiledRules {
    compiled_with(text, None)
}

/// i0 has the highest score, 10.
fn list_of(rules: &CompiledRules, kind: ListKind, k: usize, cart: &[u32]) -> Arranged {
    let scored = (0u32..10).map(|row| (row, 10.0 - row as f32));
    rules.arrange(
        scored,
        |_| true,
        &Wanted {
            kind,
            k,
            cart,
            beside: &[],
        },
    )
}

fn rows(text: &str) -> Vec<u32> {
    let list = list_of(&compiled(text), ListKind::Recommendations, 10, &[]);
    list.items.into_iter().map(|(row, _)| row).collect()
}

#[test]
fn without_rules_a_list_is_by_score_and_k_is_how_long_it_is() {
    assert_eq!(rows(""), (0..10).collect::<Vec<u32>>());
    let list = list_of(&compiled(""), ListKind::New, 3, &[]);
    assert_eq!(
        (list.items, list.left_out),
        (vec![(0, 10.0), (1, 9.0), (2, 8.0)], 0)
    );
}

#[test]
fn filters_keep_what_is_true_and_not_what_is_unknown_where_they_say() {
    let rules =
        compiled("[[filter]]\nkeep = 'price < 40'\n[[filter]]\nkeep = 'brand != \"b\"'\nwhere = 'similar'");
    let list = list_of(&rules, ListKind::Recommendations, 5, &[]);
    assert_eq!(list.items.len(), 3);
    assert_eq!(list.left_out, 7, "i9, whose price is not known, is among them");
    assert_eq!(rules.listed(ListKind::Similar), 3);
    assert_eq!(rows("[[filter]]\nkeep = 'price > 80 || price == none'"), [8, 9]);
}

#[test]
fn a_never_list_and_the_shops_own_names_hold() {
    assert_eq!(rows("never = ['i0', 'our-7']"), [1, 2, 3, 4, 5, 6, 8, 9]);
    let rules = compiled("never = ['i0', 'i77']\nalways = [{ item = 'i78', place = 1 }]");
    assert_eq!(rules.unknown(), ["i77", "i78"]);
}

#[test]
fn boosts_move_by_standard_deviations_on_any_scale() {
    let text = "[[boost]]\nwhen = 'brand == \"b\"'\nby = 0.5\n[[boost]]\nwhen = 'id == \"i0\"'\nby = -100";
    let rules = compiled(text);
    let rows = |scale: f32, offset: f32| {
        let scored = (0u32..10).map(move |row| (row, offset - scale * row as f32));
        let wanted = Wanted {
            kind: ListKind::Recommendations,
            k: 10,
            cart: &[],
            beside: &[],
        };
        let list = rules.arrange(scored, |_| true, &wanted).items;
        list.into_iter().map(|(row, _)| row).collect::<Vec<u32>>()
    };
    // The standard deviation of 0 to 9 is 2.87: brand b rises by 1.44 places.
    assert_eq!(rows(1.0, 10.0), [1, 3, 2, 4, 5, 6, 7, 8, 9, 0]);
    assert_eq!(rows(1.0, 10.0), rows(0.001, -5.0));
    assert_eq!(rows(1.0, 10.0), rows(1000.0, 0.0));
    // All the same: what is moved moves all the same.
    assert_eq!(rows(0.0, 1.0)[..3], [3, 4, 5]);
    let bestsellers = list_of(&rules, ListKind::Popular, 10, &[]);
    assert_eq!(
        bestsellers.items[0],
        (0, 10.0),
        "facts keep their order unless a rule names them"
    );
    assert_eq!(
        rules.why(0, ListKind::Recommendations, false),
        ["moved down by 100: id == \"i0\""]
    );
}

#[test]
fn at_most_so_many_of_a_brand_and_unknown_brands_do_not_count() {
    assert_eq!(rows("at_most_of_a_brand = 1"), [0, 3, 6, 8, 9]);
    assert_eq!(rows("at_most_of_a_category = 2"), [0, 1, 2, 3]);
    let list = list_of(&compiled("at_most_of_a_brand = 1"), ListKind::Similar, 10, &[]);
    assert_eq!(list.left_out, 5);
    assert_eq!(rows("at_most_of_a_brand = 1\ndiversity = 0.5").len(), 5);
}

#[test]
fn variants_are_told_by_a_tag_or_a_number_or_by_title_and_brand() {
    assert_eq!(rows("one_per_variant = 'group'"), [0, 2, 4, 6, 8]);
    assert_eq!(rows("one_per_variant = 'grou'"), (0..10).collect::<Vec<u32>>());
    assert_eq!(
        rows("one_per_variant = 'item_group_id'"),
        (0..9).collect::<Vec<u32>>()
    );
    let item = |row: u32, title: &str, group: f64| Item {
        title: title.into(),
        numbers: [("group".to_owned(), group)].into(),
        ..Item::bare(format!("i{row}"))
    };
    let items = vec![
        item(0, "Tea", 1.0),
        item(1, " tea ", 2.0),
        item(2, "", 2.0),
        item(3, "", 3.0),
    ];
    let catalogue = Arc::new(Catalogue::new(items).unwrap());
    for (text, expected) in [
        ("", vec![1, 2, 3]),
        ("one_per_variant = 'group'", vec![0, 1, 3]),
        ("one_per_variant = 'off'", vec![0, 1, 2, 3]),
    ] {
        let over = Over {
            catalogue: &catalogue,
            states: None,
            row_called: &|_| None,
            groups: &HashMap::new(),
            first_sold: &Vec::new,
            now: NOON,
        };
        let rules = CompiledRules::new(Arc::new(ListRules::parse(text, None).unwrap()), &over);
        let wanted = Wanted {
            kind: ListKind::Recommendations,
            k: 9,
            cart: &[],
            beside: &[],
        };
        // The best of two variants stands in the list.
        let scored = [1.0, 5.0, 3.0, 2.0]
            .into_iter()
            .zip(0u32..)
            .map(|(score, row)| (row, score));
        let mut rows: Vec<u32> = rules
            .arrange(scored, |_| true, &wanted)
            .items
            .iter()
            .map(|(row, _)| *row)
            .collect();
        rows.sort_unstable();
        assert_eq!(rows, expected, "{text}");
    }
}

#[test]
fn pinned_items_stand_at_their_place_until_their_day_is_over() {
    let text = "always = [{ item = 'i9', place = 1 }, { item = 'i8', place = 3, until = '2026-11-28' }, \
                { item = 'i7', place = 1, until = '2026-11-27' }, { item = 'i6', place = 50 }]";
    assert_eq!(rows(text)[..5], [9, 0, 8, 1, 2]);
    let rules = compiled(text);
    assert_eq!(
        rules.why(9, ListKind::Recommendations, false),
        ["pinned to place 1"]
    );
    assert_eq!(list_of(&rules, ListKind::Similar, 1, &[]).items, [(0, 10.0)]);
    assert_eq!(
        list_of(&rules, ListKind::Recommendations, 1, &[]).items,
        [(9, 1.0)]
    );
    assert_eq!(
        list_of(&rules, ListKind::Recommendations, 3, &[9]).items[..2],
        [(0, 10.0), (1, 9.0)],
        "it is in the cart"
    );
    // A filter does not hide it, and its brand counts.
    let text =
        "at_most_of_a_brand = 1\nalways = [{ item = 'i2', place = 2 }]\n[[filter]]\nkeep = 'id != \"i2\"'";
    assert_eq!(rows(text), [3, 2, 6, 8, 9]);
}

#[test]
fn diversity_puts_unlike_items_next_to_each_other() {
    let rows = rows("diversity = 0.6");
    let catalogue = catalogue();
    assert_eq!(rows[0], 0);
    let brand = |row: u32| catalogue.items()[row as usize].brand.as_str();
    assert_ne!(brand(rows[1]), "a", "{rows:?}");
    let mut all = rows.clone();
    all.sort_unstable();
    assert_eq!(all, (0..10).collect::<Vec<u32>>());
    let long = compiled("diversity = 1");
    assert_eq!(list_of(&long, ListKind::Recommendations, 10, &[]).items.len(), 10);
    assert_eq!(
        list_of(&long, ListKind::Trending, 10, &[]).items[1].0,
        1,
        "facts keep their order"
    );
}

#[test]
fn what_is_new_gains_and_loses_half_of_it_each_half_life() {
    let rules = compiled("freshness = 1");
    let gain = |row| rules.why(row, ListKind::Similar, false);
    assert_eq!(gain(0), ["moved up by 1.00: new here"]);
    assert_eq!(gain(2), ["moved up by 0.25: new here"]);
    assert!(gain(3).is_empty(), "nobody bought it yet");
    assert!(gain(9).is_empty() && rules.why(0, ListKind::New, false).is_empty());
}

#[test]
fn what_lies_in_the_cart_is_left_out_unless_it_is_to_be_shown() {
    let list = list_of(&compiled(""), ListKind::Recommendations, 2, &[0]);
    assert_eq!(list.items, [(1, 9.0), (2, 8.0)]);
    let list = list_of(
        &compiled("show_in_cart = true"),
        ListKind::Recommendations,
        1,
        &[0],
    );
    assert_eq!(list.items, [(0, 10.0)]);
    let text = "show_in_cart = true\n[[filter]]\nkeep = '!in_cart || brand == \"a\"'\n[[boost]]\nwhen = 'in_cart'\nby = -100";
    let list = list_of(&compiled(text), ListKind::Recommendations, 10, &[0, 3]);
    let rows: Vec<u32> = list.items.iter().map(|(row, _)| *row).collect();
    assert_eq!(rows, [1, 2, 4, 5, 6, 7, 8, 9, 0]);
}

#[test]
fn stock_prices_and_hidden_items_count_when_they_are_caught_up_with() {
    let dir = tempfile::tempdir().unwrap();
    let states = Arc::new(ItemStates::open(&Folder::new(dir.path())).unwrap());
    let put = |item: &str, change: StateChange| states.put(item, change, NOON).unwrap();
    let sold_out = StateChange {
        stock: Some(Some(0.0)),
        ..StateChange::default()
    };
    put("i0", sold_out);
    let text = "[[filter]]\nkeep = 'price < 50'\n[[boost]]\nwhen = 'stock > 100'\nby = 9";
    let rules = compiled_with(text, Some(&states));
    let rows = || {
        let list = list_of(&rules, ListKind::Recommendations, 10, &[]);
        list.items.into_iter().map(|(row, _)| row).collect::<Vec<u32>>()
    };
    assert_eq!(rows(), [1, 2, 3]);
    let hidden = StateChange {
        hidden: Some(true),
        ..StateChange::default()
    };
    put("i1", hidden);
    let cheap = StateChange {
        price: Some(Some(4.5)),
        stock: Some(Some(200.0)),
        ..StateChange::default()
    };
    put("i9", cheap);
    put("gone", hidden);
    assert_eq!(rows(), [1, 2, 3], "nobody has told these rules");
    rules.catch_up();
    assert_eq!(rows(), [9, 2, 3]);
    assert_eq!((rules.price(9), rules.price(2)), (Some(4.5), Some(30.0)));
    let show = compiled_with("show_out_of_stock = true", Some(&states));
    assert!(show.may_list(0, ListKind::New) && !show.may_list(1, ListKind::New));
}

#[test]
fn scores_that_are_no_number_are_never_listed_and_many_variants_do_not_shorten_a_list() {
    let item = |row: u32| Item {
        title: if row < 900 { "one".into() } else { String::new() },
        retired: row == 901,
        ..Item::bare(format!("i{row}"))
    };
    let catalogue = Arc::new(Catalogue::new((0..1000).map(item).collect()).unwrap());
    let rules = CompiledRules::none(&catalogue);
    let scored = (0u32..1000).map(|row| (row, if row == 900 { f32::NAN } else { -(row as f32) }));
    let wanted = Wanted {
        kind: ListKind::Recommendations,
        k: 3,
        cart: &[],
        beside: &[],
    };
    let list = rules.arrange(scored, |row| row != 902, &wanted).items;
    assert_eq!(list, [(0, -0.0), (903, -903.0), (904, -904.0)]);
}

#[test]
fn ads_stand_in_no_list_and_that_is_said() {
    let item = |row: u32| Item {
        tags: vec![if row == 1 { "ad" } else { "advent" }.into()],
        ..Item::bare(format!("i{row}"))
    };
    let catalogue = Arc::new(Catalogue::new((0..4).map(item).collect()).unwrap());
    let rules = CompiledRules::none(&catalogue);
    for kind in ListKind::ALL {
        let wanted = Wanted {
            kind,
            k: 4,
            cart: &[],
            beside: &[],
        };
        let list = rules.arrange((0u32..4).map(|row| (row, -(row as f32))), |_| true, &wanted);
        assert_eq!(
            list.items.iter().map(|(row, _)| *row).collect::<Vec<_>>(),
            [0, 2, 3]
        );
        assert_eq!(
            (rules.why_not(1, kind), rules.why_not(0, kind)),
            (Some(NotListed::Ad), None)
        );
    }
}

proptest! {
    #[test]
    fn lists_are_short_enough_free_of_repeats_and_of_what_is_hidden(
        scores in prop::collection::vec(prop_oneof![-1e6f32..1e6, Just(f32::NAN), Just(0.0f32)], 10),
        k in 1usize..12,
        diversity in 0.0f32..=1.0,
        brand in 1usize..4,
        by in -5.0f32..5.0,
        place in 1usize..12,
        cart in prop::collection::vec(0u32..10, 0..4),
    ) {
        let text = format!(
            "never = ['i4']\nat_most_of_a_brand = {brand}\ndiversity = {diversity:.3}\nfreshness = 3\n\
             always = [{{ item = 'i5', place = {place} }}]\n[[filter]]\nkeep = 'price > 10'\n[[boost]]\nwhen = 'price > 50'\nby = {by:.3}"
        );
        let rules = compiled(&text);
        for kind in ListKind::ALL {
            let scored = (0u32..).zip(scores.iter().copied());
            let list = rules.arrange(scored, |row| row != 7, &Wanted { kind, k, cart: &cart, beside: &[] });
            let rows: Vec<u32> = list.items.iter().map(|(row, _)| *row).collect();
            let distinct: std::collections::BTreeSet<u32> = rows.iter().copied().collect();
            prop_assert_eq!(distinct.len(), rows.len());
            prop_assert!(rows.len() <= k);
            prop_assert!(rows.iter().all(|row| ![4, 7, 0, 9].contains(row) && !cart.contains(row)), "{:?}", rows);
            prop_assert!(list.items.iter().all(|(_, score)| score.is_finite()));
            let of_b = rows.iter().filter(|row| [3, 4, 5].contains(*row)).count();
            prop_assert!(of_b <= brand);
        }
    }
}
