//! The adversary finds what it has to find, and nothing else.

use super::algebra::Agreement;
use super::arena::{Arena, Lists, Shown, Until, terms};
use super::judge::{Judge, Tally};
use super::knowledge::Engine;
use super::plan::{Depth, examine};
use super::report::{Report, Row};
use super::rules::{ALL, Kind, NEW, NEW_WITH_3, Rules, WEAKENED};
use super::set::Set;
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
fn an_honest_attempt_gives_the_sum_over_all_honest_survivors_and_no_other() {
    for (neighbours, colluding) in [(None, 1), (Some(14), 1), (Some(14), 0)] {
        let arena: Arena<1> = Arena::new(terms(14, colluding, neighbours), 30 - colluding, colluding, 0);
        let all = Set::below(30);
        // One is gone before R2, one before it uploaded, one with an upload that came too late.
        let r2 = all.minus(&[3].into_iter().collect());
        let r3 = r2.minus(&[7, 19].into_iter().collect());
        let lists = [Lists {
            r1: all,
            r2,
            r3,
            edition: 0,
        }];
        let mut shown = vec![
            Shown {
                list: 0,
                until: Until::Survivors,
            };
            arena.honest
        ];
        for (shop, until) in [(3, Until::Shares), (7, Until::Update), (19, Until::Shares)] {
            shown[shop].until = until;
        }
        for rules in ALL {
            let mut engine = Engine::new();
            let held = engine.follow(&arena, &rules, &lists, &shown);
            let live = engine.components(&arena, &held, &lists, &shown);
            assert_eq!(
                live,
                [r3.minus(&arena.adversaries())],
                "{} {neighbours:?}",
                rules.name
            );
        }
    }
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
    let report = |rules: Rules, must_fall: &[&str]| {
        let numbers = on_circle(34, 16, 22, 1);
        let row = Row::new(
            "trial".to_owned(),
            vec![(rules, tally(rules, numbers, third_attack))],
            must_fall,
        );
        Report::new(1, Agreement::default(), vec![row])
    };
    let held = |rules| Rules {
        kind: Kind::Held,
        ..rules
    };
    let planted = |rules| Rules {
        kind: Kind::Planted,
        ..rules
    };
    assert!(report(planted(named("1")), &["1"]).ok);
    let idle = report(held(NEW), &[]);
    assert!(
        !idle.ok && idle.to_text().contains("no sum was ever computed"),
        "{}",
        idle.to_text()
    );
    let computes = Tally {
        cases: 1,
        computable: 1,
        attack: None,
    };
    let row = Row::new("honest".to_owned(), vec![(NEW, computes)], &[]);
    assert!(Report::new(1, Agreement::default(), vec![row]).ok);
    let broken = report(held(named("1")), &[]);
    assert!(!broken.ok);
    assert!(
        broken.to_text().contains("WRONG: rules 1 are broken by trial"),
        "{}",
        broken.to_text()
    );
    let unfound = report(planted(NEW), &["1+2"]);
    assert!(!unfound.ok);
    let text = unfound.to_text();
    assert!(
        text.contains("were planted as broken, and nothing was found"),
        "{text}"
    );
    assert!(
        text.contains("rules 1+2 must fall to trial, and did not"),
        "{text}"
    );
    let algebra = Agreement {
        cases: 2,
        computable: 1,
        wrong: 1,
    };
    assert!(!Report::new(1, algebra, Vec::new()).ok);
}

#[test]
fn wrong_usage_is_refused_by_name() {
    for line in ["souk-sim adversary --short --long", "souk-sim adversary --seed x"] {
        let args = line.split(' ').skip(1).map(std::ffi::OsString::from);
        assert_eq!(
            crate::commands::run(args),
            std::process::ExitCode::from(64),
            "{line}"
        );
    }
}
