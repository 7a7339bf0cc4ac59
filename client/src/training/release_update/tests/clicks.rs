//! What one customer adds to a step that learns which ads are clicked.

use souk_common::dataset::Labelled;

use super::*;

const ADS: &str = "name = 'c'\ntask = 'ads'\n[privacy]\nenabled = false\n[cohort]\nquorum = 1\n\
    [[release]]\nkind = 'popularity'\nshare = 0.5\n[[training]]\nkind = 'clicks'\nrounds = 4\nshare = 0.5\n\
    learning_rate = 0.3\n[[shops]]\nname = 'a'\ndeclared_users = 3\n";

/// Items 18 and 19 are ads for the items of categories 0 and 1.
fn ads() -> Learner {
    let item = |row: usize| {
        let tag = |of: usize| format!("offer {}", of % 4);
        Item {
            category: format!("c{}", row % 4),
            tags: match row {
                18 => vec!["ad".into(), tag(0)],
                19 => vec!["ad".into(), tag(1)],
                _ => vec![tag(row)],
            },
            ..Item::bare(format!("i{row}"))
        }
    };
    let catalogue = Catalogue::new((0..20).map(item).collect()).unwrap();
    Learner::new(&Plan::from_toml(ADS).unwrap(), &catalogue)
}

/// Bought, and shown at some time with its label.
type Customer = (Vec<u32>, Vec<(u32, f32)>);

fn labelled(customers: &[Customer]) -> Dataset {
    let histories: Vec<Vec<u32>> = customers.iter().map(|(bought, _)| bought.clone()).collect();
    let labelled = customers.iter().map(|(_, shown)| Labelled {
        items: shown.iter().map(|(item, _)| *item).collect(),
        times: (0..shown.len() as i64).map(|at| 5 + at).collect(),
        labels: shown.iter().map(|(_, label)| *label).collect(),
    });
    Dataset {
        labelled: labelled.collect(),
        ..dataset(&histories)
    }
}

fn customer() -> impl Strategy<Value = Customer> {
    let label = proptest::bool::ANY.prop_map(|clicked| f32::from(u8::from(clicked)));
    (items(), proptest::collection::vec((18..20u32, label), 0..40))
}

proptest! {
    #[test]
    fn one_customer_more_adds_no_more_than_the_clip_and_what_it_adds_alone(
        others in proptest::collection::vec(customer(), 1..5), one in customer(),
    ) {
        let learner = ads();
        let without = labelled(&others);
        let with = labelled(&[&others[..], std::slice::from_ref(&one)].concat());
        let learned = after(&learner, &learner.initial(), 1, &without);
        let (before, grid) = sent(&learner, &learned, 2, &without);
        let moved: Vec<i64> = sent(&learner, &learned, 2, &with).0.iter().zip(&before).map(|(a, b)| a - b).collect();
        let squares: i128 = moved.iter().map(|by| i128::from(*by).pow(2)).sum();
        prop_assert!(squares <= 1i128 << (2 * grid.log2_clip), "{squares}");
        let (alone, _) = sent(&learner, &learned, 2, &labelled(std::slice::from_ref(&one)));
        prop_assert_eq!(&alone, &moved);
        prop_assert_eq!(moved.iter().all(|by| *by == 0), one.1.is_empty());
    }
}

#[test]
fn a_shop_without_labels_adds_nothing_but_noise() {
    let learner = ads();
    let none = dataset(&[vec![1, 2, 3], vec![2]]);
    let learned = after(&learner, &learner.initial(), 1, &none);
    assert!(
        sent(&learner, &learned, 2, &none)
            .0
            .iter()
            .all(|value| *value == 0)
    );
}

#[test]
fn what_is_clicked_by_who_bought_of_it_is_learned_and_there_is_a_tower_when_the_phase_is_done() {
    let learner = ads();
    let customer = |bought: Vec<u32>| (bought, vec![(18, 1.0), (19, 0.0), (18, 1.0), (19, 0.0)]);
    let data = labelled(&[
        customer(vec![0, 4, 8, 12]),
        customer(vec![0, 4, 16]),
        customer(vec![4, 8]),
    ]);
    let mut learned = after(&learner, &learner.initial(), 1, &data);
    for round in 2..=5 {
        let Learned::Releases(releases) = &learned else {
            panic!("a plan of releases")
        };
        assert_eq!(learner.click_tower(releases).unwrap(), None, "round {round}");
        learner.check(&learned, round).unwrap();
        learned = after(&learner, &learned, round, &data);
    }
    let Learned::Releases(releases) = &learned else {
        panic!("a plan of releases")
    };
    let tower = learner.click_tower(releases).unwrap().unwrap();
    let rows = learner
        .click_inputs()
        .unwrap()
        .rows(&data.histories[0], &Labelled::default(), &[18, 19], 5)
        .unwrap();
    let probabilities = tower.probabilities(&rows);
    assert!(probabilities[0] > 1.5 * probabilities[1], "{probabilities:?}");
    // It ranks ads; no stack gets a channel of it.
    let names: Vec<String> = learner
        .channels(releases)
        .unwrap()
        .iter()
        .map(|channel| channel.name().to_owned())
        .collect();
    assert!(!names.iter().any(|name| name.contains("click")), "{names:?}");
}
