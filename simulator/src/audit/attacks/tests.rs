use souk_common::catalogue::{Catalogue, Item};
use souk_common::dataset::{Dataset, History, Labelled};
use souk_common::params::{Delta, Epsilon, Weight};
use souk_common::plan::{Placement, Plan, ReleaseTerms, ShopTerms};
use souk_common::rng::stream;
use souk_common::training::phases::{TrainingKind, TrainingPhase};

use super::*;
use crate::audit::findings::Protections;
use crate::audit::subject::Effort;
use crate::data::known::Known;

const ITEMS: usize = 40;

/// Customers who like one of four kinds of items, spread over the shops.
pub(super) fn known(customers: usize, shops: usize) -> Known {
    use rand::RngExt;
    let item = |row: usize| Item {
        category: format!("kind {}", row % 4),
        brand: format!("brand {}", row % 7),
        ..Item::bare(format!("i{row}"))
    };
    let mut rng = stream(5, "customers");
    let mut history = |customer: usize| {
        let mut items: Vec<u32> = Vec::new();
        while items.len() < 6 {
            let any = rng.random_range(0..ITEMS as u32);
            let item = match rng.random_range(0..4) {
                0 => any,
                _ => any / 4 * 4 + customer as u32 % 4,
            };
            if !items.contains(&item) {
                items.push(item);
            }
        }
        History {
            times: (0..items.len() as i64).collect(),
            items,
        }
    };
    Known {
        name: "orders",
        dataset: Dataset {
            users: (0..customers).map(|user| format!("u{user:03}")).collect(),
            histories: (0..customers).map(&mut history).collect(),
            labelled: Vec::new(),
        },
        catalogue: Catalogue::new((0..ITEMS).map(item).collect()).unwrap(),
        shop_of: (0..customers).map(|user| user % shops).collect(),
        shops,
        groups: vec![String::new(); customers],
    }
}

/// A plan of both releases for four shops, or however many there are.
pub(super) fn subject(epsilon: Option<f64>, customers: usize, shops: usize) -> Subject {
    let known = known(customers, shops);
    let terms = |shop: usize| ShopTerms {
        name: format!("shop-{}", shop + 1).parse().unwrap(),
        declared_users: 2000,
        weight: Weight::new(1.0).unwrap(),
    };
    let release = ReleaseTerms {
        epsilon: epsilon.map(|epsilon| Epsilon::new(epsilon).unwrap()),
        delta: Delta::new(1e-5).unwrap(),
        placement: if shops < 3 {
            Placement::Local
        } else {
            Placement::Distributed
        },
        training: Some(Vec::new()),
    };
    let shops = (0..shops).map(terms).collect();
    Subject {
        plan: Plan::of_releases("t", 1, shops, &release, &known.catalogue).unwrap(),
        known,
        effort: Effort::Short,
        seed: 7,
    }
}

/// One attack alone.
pub(super) fn tried(subject: &Subject, name: &str) -> Vec<AttackFinding> {
    let attack = ATTACKS.iter().find(|attack| attack.name == name).unwrap();
    let context = Context::new(subject, &[]).unwrap();
    findings(attack, (attack.run)(&context))
}

pub(super) fn row(finding: &AttackFinding, protections: Protections) -> &AttackRow {
    let found = finding.rows.iter().find(|row| row.protections == protections);
    found.unwrap_or_else(|| panic!("{protections:?} of {finding:?}"))
}

#[test]
fn membership_is_within_what_epsilon_implies_and_certain_without_noise() {
    let found = tried(&subject(Some(8.0), 60, 4), "release_membership");
    assert_eq!(found.len(), 3);
    for finding in &found {
        let plan = row(finding, Protections::Plan);
        assert_eq!(plan.ok, Some(true), "{finding:?}");
        // The test is the most powerful one: it comes close to what is allowed, so more would be seen.
        assert!(
            plan.high > plan.allowed.unwrap() && plan.low > plan.chance,
            "{finding:?}"
        );
        let bare = row(finding, Protections::NoNoise);
        assert!(bare.success == 1.0 && bare.ok.is_none(), "{finding:?}");
        assert!(
            row(finding, Protections::NoMasks).success > plan.success,
            "{finding:?}"
        );
    }
    // Of the plan's epsilon, by the closed form and by (epsilon, delta).
    let allowed = row(&found[1], Protections::Plan).allowed.unwrap();
    let by_epsilon = (8f64.exp() - 1.0 + 2e-5) / (8f64.exp() + 1.0);
    assert!(
        allowed < by_epsilon && (allowed - 0.595).abs() < 0.01,
        "{allowed}"
    );
}

#[test]
fn all_items_are_read_off_a_bare_update_and_no_more_than_guessing_finds_under_the_plan() {
    let found = tried(&subject(Some(8.0), 80, 4), "item_set");
    let bare = row(&found[0], Protections::None);
    assert_eq!((bare.success, bare.ok), (1.0, None), "{bare:?}");
    assert!(bare.chance < 0.4, "{bare:?}");
    let plan = row(&found[0], Protections::Plan);
    assert!(
        plan.low <= plan.chance && plan.chance <= plan.high && plan.ok == Some(true),
        "{plan:?}"
    );
    assert!(row(&found[0], Protections::NoMasks).success < 1.0, "{found:?}");
}

#[test]
fn baskets_are_read_off_a_bare_statistic_and_not_off_a_noised_one() {
    let found = tried(&subject(Some(8.0), 60, 4), "basket_reconstruction");
    assert!(row(&found[0], Protections::NoNoise).success > 0.95, "{found:?}");
    let plan = row(&found[0], Protections::Plan);
    assert!(plan.ok == Some(true) && plan.success < 0.5, "{plan:?}");
    let mut alone = subject(Some(8.0), 60, 4);
    alone.plan.release.truncate(1);
    alone.plan.release[0].share = 1.0;
    alone.plan.rounds = 1;
    let found = tried(&alone, "basket_reconstruction");
    assert!(
        found[0].rows.is_empty() && found[0].not_run.is_some(),
        "{found:?}"
    );
}

#[test]
fn one_item_of_a_customer_is_told_without_noise_and_hardly_with_it() {
    let found = tried(&subject(Some(8.0), 60, 4), "interaction_membership");
    assert_eq!(row(&found[0], Protections::NoNoise).success, 1.0);
    let plan = row(&found[0], Protections::Plan);
    assert!(plan.ok == Some(true) && plan.success < 0.85, "{plan:?}");
}

#[test]
fn two_versions_tell_of_who_joined_no_more_than_one_release_does() {
    let found = tried(&subject(Some(8.0), 60, 4), "version_difference");
    assert_eq!(row(&found[0], Protections::NoNoise).success, 1.0);
    let plan = row(&found[0], Protections::Plan);
    assert!(
        plan.ok == Some(true) && plan.success < plan.allowed.unwrap(),
        "{plan:?}"
    );
}

#[test]
fn shops_that_collude_take_their_noise_off_and_more_than_are_counted_on_are_promised_nothing() {
    let found = tried(&subject(Some(8.0), 60, 4), "collusion");
    let [reader, counted, beyond] = &found[0].rows[..] else {
        panic!("{found:?}")
    };
    assert_eq!((reader.ok, counted.ok, beyond.ok), (Some(true), Some(true), None));
    assert!(
        reader.success < beyond.success && beyond.success > counted.allowed.unwrap(),
        "{found:?}"
    );
    let found = tried(&subject(Some(8.0), 20, 2), "collusion");
    assert!(
        found[0]
            .not_run
            .as_ref()
            .is_some_and(|why| why.contains("all of the noise")),
        "{found:?}"
    );
}

#[test]
fn a_gradient_of_a_network_names_its_items_and_under_the_plan_hardly_more_than_guessing_does() {
    let found = tried(&subject(Some(8.0), 40, 4), "gradient_inversion");
    assert!(row(&found[0], Protections::None).success > 0.99, "{found:?}");
    let plan = row(&found[0], Protections::Plan);
    assert!(plan.ok == Some(true) && plan.success < 0.5, "{plan:?}");
    assert!(plan.note.contains("as if it were"), "{plan:?}");
}

#[test]
fn labels_are_read_off_two_bare_gradients_and_not_off_noised_ones() {
    let found = tried(&subject(Some(8.0), 40, 4), "ratings");
    assert!(row(&found[0], Protections::None).success > 0.9, "{found:?}");
    let plan = row(&found[0], Protections::Plan);
    assert!(plan.ok == Some(true) && plan.success < 0.7, "{plan:?}");
}

#[test]
fn lists_without_the_rule_of_five_tell_a_purchase_and_with_it_far_fewer() {
    let found = tried(&subject(Some(8.0), 60, 4), "lists_oracle");
    let [with, order, without, own] = &found[0].rows[..] else {
        panic!("{found:?}")
    };
    assert!(
        without.success > 0.8 && with.success < 0.5 * without.success,
        "{found:?}"
    );
    assert!(
        own.success > with.success && order.success <= with.success && !found[0].in_scope,
        "{found:?}"
    );
    assert!(
        found[0]
            .rows
            .iter()
            .all(|row| row.ok.is_none() && row.allowed.is_none())
    );
}

#[test]
fn an_attribute_that_follows_from_purchases_is_told_and_one_that_is_not_there_is_not_tried() {
    let subject = subject(Some(8.0), 160, 4);
    let found = tried(&subject, "attribute_inference");
    assert!(found[0].rows.is_empty());
    assert!(
        found[0]
            .not_run
            .as_ref()
            .is_some_and(|why| why.contains("beside their purchases")),
        "{found:?}"
    );
    let of = |wanted: fn(usize) -> Option<bool>| Attribute {
        name: "kind".to_owned(),
        of: (0..160).map(wanted).collect(),
    };
    let context = |attributes: &[Attribute]| {
        let context = Context::new(&subject, attributes).unwrap();
        attribute_inference::run(&context).unwrap()
    };
    let Tried::Rows(found) = context(&[of(|user| Some(user % 4 == 1 || user % 4 == 2))]) else {
        panic!("it is there")
    };
    assert!(
        found[0].rows.len() == 2 && found[0].rows.iter().all(|row| row.low > 0.6),
        "{:?}",
        found[0].rows
    );
    // Known of too few.
    assert!(matches!(
        context(&[of(|user| (user < 12).then_some(user % 2 == 0))]),
        Tried::Not(_)
    ));
}

#[test]
fn without_privacy_the_attacks_succeed_and_the_rows_say_so() {
    let subject = subject(None, 40, 4);
    for name in [
        "item_set",
        "release_membership",
        "basket_reconstruction",
        "interaction_membership",
    ] {
        for finding in tried(&subject, name) {
            let plan = row(&finding, Protections::Plan);
            assert!(
                plan.success > plan.chance && plan.allowed.is_none(),
                "{name}: {finding:?}"
            );
            assert_eq!(plan.ok, Some(false), "{name}: {finding:?}");
        }
    }
}

#[test]
fn a_data_set_of_one_customer_and_one_of_nobody_are_no_panic() {
    let mut subject = subject(Some(8.0), 1, 1);
    let found = run(&subject, &[], |_| {}).unwrap();
    assert_eq!(
        found.iter().filter(|finding| finding.rows.is_empty()).count(),
        found.iter().filter(|finding| finding.not_run.is_some()).count()
    );
    assert!(found.iter().any(|finding| !finding.rows.is_empty()));
    assert!(
        found
            .iter()
            .flat_map(|finding| &finding.rows)
            .all(|row| row.success.is_finite() && row.ok != Some(false)),
        "{found:?}"
    );
    subject.known.dataset = Dataset::default();
    subject.known.shop_of.clear();
    let error = run(&subject, &[], |_| {}).unwrap_err().to_string();
    assert!(error.contains("no customer"), "{error}");
}

#[test]
fn one_seed_finds_the_same_on_any_number_of_threads() {
    let subject = subject(Some(8.0), 24, 3);
    let on = |threads| {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .unwrap();
        pool.install(|| ["item_set", "ratings", "version_difference"].map(|name| tried(&subject, name)))
    };
    assert_eq!(on(1), on(3));
}

#[test]
fn the_latest_item_is_told_by_a_bare_gradient_of_the_tower_and_not_by_a_noised_one() {
    let mut subject = subject(Some(8.0), 24, 4);
    subject.plan.release[1].share -= 0.05;
    subject.plan.training = vec![TrainingPhase::new(TrainingKind::Tower, 30, 0.05)];
    subject.plan.rounds += 30;
    let found = tried(&subject, "tower_inversion");
    assert!(row(&found[0], Protections::NoNoise).success > 0.9, "{found:?}");
    let plan = row(&found[0], Protections::Plan);
    assert!(plan.ok == Some(true) && plan.success < 0.4, "{plan:?}");
    let found = tried(&super::tests::subject(Some(8.0), 24, 4), "tower_inversion");
    assert!(
        found[0]
            .not_run
            .as_ref()
            .is_some_and(|why| why.contains("no tower")),
        "{found:?}"
    );
}

#[test]
fn stars_are_read_off_two_bare_gradients_and_not_off_noised_ones() {
    let mut subject = subject(Some(8.0), 40, 3);
    let text = "name = 't'\ntask = 'rating'\nrounds = 15\n[model]\nkind = 'mf'\ngmf_dim = 4\n[train]\nsolver = 'stars'\n\
        [privacy]\nclip_norm = 1.0\nnoise_multiplier = 2.3\nsampling_rate = 1.0\n[cohort]\nquorum = 3\n[server]\n\
        optimiser = 'plain'\nlearning_rate = 20.0\n[[shops]]\nname = 'a'\ndeclared_users = 20\n[[shops]]\nname = 'b'\n\
        declared_users = 20\n[[shops]]\nname = 'c'\ndeclared_users = 20\n";
    subject.plan = Plan::from_toml(text).unwrap();
    let histories = &subject.known.dataset.histories;
    let labelled = histories.iter().zip(0usize..).map(|(history, user)| Labelled {
        items: history.items.clone(),
        times: history.times.clone(),
        labels: (0..history.len())
            .map(|at| ((user * 3 + at * 2) % 5 + 1) as f32)
            .collect(),
    });
    subject.known.dataset.labelled = labelled.collect();
    let found = tried(&subject, "ratings");
    assert!(found[0].measure.contains("stars"), "{found:?}");
    let bare = row(&found[0], Protections::None);
    assert!(bare.success > 0.95 && bare.chance < 0.4, "{bare:?}");
    let plan = row(&found[0], Protections::Plan);
    assert!(plan.ok == Some(true) && plan.success < 0.5, "{plan:?}");
}
