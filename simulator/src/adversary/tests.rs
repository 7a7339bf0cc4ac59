//! The adversary finds what it has to find, and nothing else.

use super::judge::{Judge, Tally};
use super::plan::{Depth, examine};
use super::rules::{ALL, Kind, NEW, NEW_WITH_3, Rules, WEAKENED};
use super::structured::{Numbers, gaps, two_sharers};

fn on_circle(shops: usize, min_shops: usize, neighbours: usize, colluding: usize) -> Numbers {
    Numbers {
        shops,
        min_shops,
        neighbours: Some(neighbours),
        colluding,
    }
}

fn named(name: &str) -> Rules {
    let mut all = ALL.iter().chain(&WEAKENED);
    *all.find(|rules| rules.name == name).unwrap()
}

fn tally(rules: Rules, numbers: Numbers, stage: fn(&Numbers, &mut Judge<1>)) -> Tally {
    let mut judge = Judge::new(&[rules]);
    stage(&numbers, &mut judge);
    judge.into_tallies().remove(0).1
}

fn third_attack(numbers: &Numbers, judge: &mut Judge<1>) {
    two_sharers(numbers, judge, &mut Vec::new());
}

fn cut_off(numbers: &Numbers, judge: &mut Judge<1>) {
    gaps(numbers, judge, &mut Vec::new());
}

#[test]
fn nothing_is_found_under_the_rules_in_force_and_each_that_fell_falls_again() {
    let report = examine(&ALL, Depth::Short, 1);
    assert!(report.ok, "{}", report.to_text());
    let again = examine(&ALL, Depth::Short, 1);
    assert_eq!(
        serde_json::to_string(&report).unwrap(),
        serde_json::to_string(&again).unwrap()
    );
}

#[test]
fn under_rule_1_alone_34_shops_on_a_circle_lose_a_sum_of_14_where_noise_of_15_is_charged() {
    let numbers = on_circle(34, 16, 22, 1);
    let attack = tally(named("1"), numbers, third_attack).attack.unwrap();
    assert_eq!((attack.learned_shops, attack.noise_shares), (14, 15));
    for rules in [NEW, NEW_WITH_3] {
        assert_eq!(tally(rules, numbers, third_attack).attack, None);
    }
}

#[test]
fn one_share_or_one_holder_less_is_found_and_one_confirmation_less_with_either() {
    for name in ["T-1", "A-1"] {
        let fell = [on_circle(16, 8, 4, 0), on_circle(24, 12, 6, 1)]
            .into_iter()
            .filter(|numbers| tally(named(name), *numbers, cut_off).attack.is_some());
        assert!(fell.count() > 0, "{name}");
    }
    for numbers in [on_circle(16, 8, 4, 0), on_circle(24, 12, 6, 1)] {
        assert_eq!(tally(NEW, numbers, cut_off).attack, None);
    }
    let report = examine(&WEAKENED, Depth::Short, 1);
    assert!(report.ok, "{}", report.to_text());
}

#[test]
fn on_a_circle_of_34_the_third_attack_would_take_five_confirmations_less() {
    let falls = |fewer: usize| {
        let rules = Rules {
            fewer_confirmations: fewer,
            ..NEW
        };
        (15..19).any(|least| {
            tally(rules, on_circle(34, least, 22, 1), third_attack)
                .attack
                .is_some()
        })
    };
    assert_eq!((0..18).find(|fewer| falls(*fewer)), Some(5));
}

#[test]
fn rules_in_force_that_are_broken_and_planted_ones_that_are_not_found_make_the_report_bad() {
    let broken = Rules {
        kind: Kind::Held,
        ..named("old")
    };
    let report = examine(&[broken], Depth::Short, 1);
    assert!(!report.ok);
    assert!(
        report.to_text().contains("WRONG: rules old are broken by"),
        "{}",
        report.to_text()
    );
    let sound = Rules {
        kind: Kind::Planted,
        ..NEW
    };
    let report = examine(&[sound], Depth::Short, 1);
    assert!(!report.ok);
    let text = report.to_text();
    assert!(
        text.contains("were planted as broken, and nothing was found"),
        "{text}"
    );
}
