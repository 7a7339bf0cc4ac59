//! What is tried, and what has to be found.

use souk_common::rng::stream;

use super::algebra;
use super::exhaustive::{Small, every, pairs, pairs_on_circle};
use super::judge::{Judge, Tally};
use super::report::{Report, Row};
use super::rules::Rules;
use super::search::{at_random, near};
use super::structured::{Numbers, Staged, gaps, isolation, rosters, two_groups, two_sharers};

/// How much is tried.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum Depth {
    /// Seconds: for `cargo test`.
    Short,
    /// About a minute.
    Usual,
    /// As long as it takes.
    Long,
}

/// Everything, under each of `rules`.
pub(super) fn examine(rules: &[Rules], depth: Depth, seed: u64) -> Report {
    let algebra = algebra::compare(seed, at(depth, [2000, 20_000, 500_000]));
    let mut near_these = Found::default();
    let mut rows = vec![small_federations(rules, depth), two_triples(rules, depth)];
    rows.push(two_triples_on_circles(rules, depth));
    if depth >= Depth::Usual {
        rows.push(small_circles(rules));
    }
    isolations(rules, depth, &mut near_these, &mut rows);
    two_rosters(rules, depth, &mut near_these, &mut rows);
    rows.push(circles(rules, depth, &mut near_these));
    rows.push(cut_off(rules, depth, &mut near_these));
    rows.push(random(rules, depth, seed));
    rows.push(changed(rules, depth, seed, &near_these));
    Report::new(seed, algebra, rows)
}

/// Attempts that some rules fell to, by size.
#[derive(Default)]
struct Found {
    to_64: Vec<Staged<1>>,
    to_256: Vec<Staged<4>>,
}

fn at<T: Copy>(depth: Depth, values: [T; 3]) -> T {
    values[depth as usize]
}

/// What two judges of the same rules found.
fn together<const V: usize, const W: usize>(one: Judge<V>, other: Judge<W>) -> Vec<(Rules, Tally)> {
    let mut both = one.into_tallies();
    for ((_, sum), (_, tally)) in both.iter_mut().zip(other.into_tallies()) {
        sum.add(tally);
    }
    both
}

/// The settings up to `depth`.
fn upto<T: Copy>(depth: Depth, settings: &[(Depth, T)]) -> Vec<T> {
    let chosen = settings.iter().filter(|(least, _)| *least <= depth);
    chosen.map(|(_, setting)| *setting).collect()
}

/// The least and the most of what was tried, as `5 to 7` or `5`.
fn span(sizes: impl Iterator<Item = usize> + Clone) -> String {
    let (least, most) = (sizes.clone().min().unwrap_or(0), sizes.max().unwrap_or(0));
    match least == most {
        true => least.to_string(),
        false => format!("{least} to {most}"),
    }
}

/// Each set of rules by itself through all settings, or until it is found broken. In complete graphs A is 1, the shop itself:
/// there rule 3 asks for nothing, and what was found without it is taken over.
fn each(
    rules: &[Rules],
    settings: &[Small],
    through: impl Fn(&Small, &Rules, &mut Judge<1>),
) -> Vec<(Rules, Tally)> {
    let complete = settings.iter().all(|setting| setting.neighbours.is_none());
    let mut done: Vec<(Rules, Tally)> = Vec::new();
    for rules in rules {
        let same = |other: &Rules| {
            *rules
                == Rules {
                    name: rules.name,
                    kind: rules.kind,
                    holders_before_charge: rules.holders_before_charge,
                    ..*other
                }
        };
        if let Some((_, before)) = done.iter().find(|(other, _)| complete && same(other)) {
            let taken_over = Tally {
                attack: before.attack.clone(),
                ..Tally::default()
            };
            done.push((*rules, taken_over));
            continue;
        }
        let mut sum = Tally::default();
        for setting in settings {
            let mut judge = Judge::new(&[*rules]);
            through(setting, rules, &mut judge);
            judge
                .into_tallies()
                .into_iter()
                .for_each(|(_, tally)| sum.add(tally));
            if sum.attack.is_some() {
                break;
            }
        }
        done.push((*rules, sum));
    }
    done
}

fn small_federations(rules: &[Rules], depth: Depth) -> Row {
    use Depth::{Long, Short, Usual};
    let absent = |small: Small| Small {
        absent_adversaries: true,
        ..small
    };
    let one_edition = |small: Small| Small {
        editions: false,
        ..small
    };
    let settings = [
        (Short, Small::complete(2, 0, 0, 0)),
        (Short, Small::complete(3, 0, 0, 0)),
        (Usual, Small::complete(4, 0, 0, 0)),
        (Usual, Small::complete(4, 0, 0, 1)),
        (Short, absent(Small::complete(2, 1, 0, 1))),
        (Usual, absent(Small::complete(3, 1, 0, 1))),
        (Usual, absent(Small::complete(3, 0, 1, 1))),
        (Usual, absent(Small::complete(2, 2, 0, 2))),
        (Usual, absent(Small::complete(2, 1, 1, 1))),
        (Usual, Small::complete(4, 0, 1, 0)),
        (Usual, one_edition(Small::complete(4, 1, 0, 1))),
        (Long, Small::complete(4, 1, 0, 1)),
        (Long, Small::complete(4, 1, 1, 1)),
        (Long, Small::complete(4, 2, 0, 2)),
        (Long, absent(Small::complete(3, 1, 1, 1))),
        (Long, absent(Small::complete(3, 2, 0, 2))),
        (Long, absent(Small::complete(4, 1, 0, 1))),
        (Long, Small::complete(4, 2, 2, 2)),
    ];
    let settings = upto(depth, &settings);
    let honest = span(settings.iter().map(|small| small.honest));
    let tallies = each(rules, &settings, every);
    Row::new(format!("every choice for each, {honest} honest"), tallies, &[])
}

fn small_circles(rules: &[Rules]) -> Row {
    let tallies = each(rules, &[Small::circle(4, 2)], every);
    Row::new("every choice for each, a circle of 4".to_owned(), tallies, &[])
}

fn two_triples(rules: &[Rules], depth: Depth) -> Row {
    use Depth::{Long, Short, Usual};
    let settings = [
        (Short, Small::complete(5, 0, 0, 1)),
        (Short, Small::complete(5, 1, 0, 1)),
        (Usual, Small::complete(5, 0, 1, 1)),
        (Usual, Small::complete(5, 1, 1, 1)),
        (Usual, Small::complete(5, 2, 0, 2)),
        (Usual, Small::complete(6, 0, 0, 1)),
        (Usual, Small::complete(6, 1, 0, 1)),
        (Long, Small::complete(6, 1, 1, 1)),
        (Usual, Small::complete(7, 1, 0, 1)),
        (Long, Small::complete(7, 0, 1, 1)),
        (Long, Small::complete(7, 0, 0, 0)),
        (Long, Small::complete(7, 0, 0, 1)),
        (Long, Small::complete(7, 1, 1, 1)),
        (Long, Small::complete(7, 2, 0, 2)),
        (Long, Small::complete(7, 1, 2, 1)),
    ];
    let settings = upto(depth, &settings);
    let honest = span(settings.iter().map(|small| small.honest));
    let tallies = each(rules, &settings, |small, _, judge| pairs(small, judge));
    Row::new(format!("two triples, {honest} honest"), tallies, &["old", "2"])
}

fn two_triples_on_circles(rules: &[Rules], depth: Depth) -> Row {
    let settings = [
        (Depth::Short, Small::circle(5, 2)),
        (Depth::Long, Small::circle(6, 2)),
        (Depth::Usual, Small::circle(6, 4)),
        (Depth::Long, Small::circle(7, 4)),
    ];
    let settings = upto(depth, &settings);
    let honest = span(settings.iter().map(|small| small.honest));
    let tallies = each(rules, &settings, |small, _, judge| pairs_on_circle(small, judge));
    Row::new(format!("two triples, circles of {honest}"), tallies, &[])
}

const fn numbers(shops: usize, min_shops: usize, neighbours: usize, colluding: usize) -> Numbers {
    Numbers {
        shops,
        min_shops,
        neighbours: Some(neighbours),
        colluding,
    }
}

/// Issue 12's, of which the old rules lost a bare update.
const ISOLATED: [Numbers; 5] = [
    numbers(12, 6, 6, 1),
    numbers(18, 12, 6, 1),
    numbers(64, 24, 40, 1),
    numbers(100, 58, 42, 2),
    numbers(200, 140, 54, 5),
];

const ISOLATED_1000: Numbers = numbers(1000, 700, 76, 10);

fn isolations(rules: &[Rules], depth: Depth, found: &mut Found, rows: &mut Vec<Row>) {
    let mut row = |numbers: &Numbers, tallies| {
        let Numbers {
            shops,
            min_shops,
            neighbours,
            ..
        } = numbers;
        let degree = neighbours.unwrap_or(shops - 1);
        let title = format!("isolation by R2, {shops}/{min_shops}/{degree}");
        rows.push(Row::new(title, tallies, &["old", "2"]));
    };
    for numbers in &ISOLATED {
        if numbers.shops <= 64 {
            let mut judge = Judge::new(rules);
            isolation(numbers, &mut judge, &mut found.to_64);
            row(numbers, judge.into_tallies());
        } else {
            let mut judge = Judge::new(rules);
            isolation(numbers, &mut judge, &mut found.to_256);
            row(numbers, judge.into_tallies());
        }
    }
    if depth >= Depth::Usual {
        let mut judge = Judge::<16>::new(rules);
        isolation(&ISOLATED_1000, &mut judge, &mut Vec::new());
        row(&ISOLATED_1000, judge.into_tallies());
    }
}

const fn complete(shops: usize, min_shops: usize) -> Numbers {
    Numbers {
        shops,
        min_shops,
        neighbours: None,
        colluding: 1,
    }
}

/// With so many colluding shops: issue 12's, of which the old rules lost the sum of too few.
const TWO_GROUPS: [(Numbers, usize); 4] = [
    (complete(8, 5), 1),
    (complete(14, 8), 0),
    (complete(20, 11), 0),
    (complete(32, 17), 0),
];

fn two_rosters(rules: &[Rules], depth: Depth, found: &mut Found, rows: &mut Vec<Row>) {
    use Depth::{Long, Short, Usual};
    for (numbers, adversaries) in &TWO_GROUPS {
        let mut judge = Judge::new(rules);
        two_groups(numbers, *adversaries, &mut judge, &mut found.to_64);
        let title = format!("two rosters, {}/{} complete", numbers.shops, numbers.min_shops);
        rows.push(Row::new(title, judge.into_tallies(), &["old", "2"]));
    }
    // With so many colluding shops, and up to so many different parts.
    let any = [
        (Short, (complete(8, 5), 1, 3)),
        (Usual, (complete(8, 5), 1, 4)),
        (Usual, (complete(14, 8), 0, 3)),
        (Long, (complete(20, 11), 0, 3)),
        (Long, (complete(14, 8), 1, 4)),
        (Long, (complete(20, 11), 0, 4)),
    ];
    let mut judge = Judge::new(rules);
    let any = upto(depth, &any);
    let shops = span(any.iter().map(|(numbers, ..)| numbers.shops));
    for (numbers, adversaries, kinds) in any {
        rosters(&numbers, adversaries, kinds, &mut judge, &mut found.to_64);
    }
    rows.push(Row::new(
        format!("two rosters, any parts, {shops}"),
        judge.into_tallies(),
        &[],
    ));
}

fn circles(rules: &[Rules], depth: Depth, found: &mut Found) -> Row {
    use Depth::{Long, Short, Usual};
    let settings = [
        (Short, numbers(34, 16, 22, 1)),
        (Short, numbers(34, 17, 22, 1)),
        (Usual, numbers(36, 17, 24, 1)),
        (Usual, numbers(40, 19, 26, 1)),
        (Usual, numbers(64, 24, 40, 1)),
        (Long, numbers(64, 31, 40, 1)),
    ];
    let mut judge = Judge::new(rules);
    for numbers in upto(depth, &settings) {
        two_sharers(&numbers, &mut judge, &mut found.to_64);
    }
    if depth >= Depth::Usual {
        let mut larger = Judge::new(rules);
        two_sharers(&numbers(100, 45, 66, 1), &mut larger, &mut found.to_256);
        let both = together(judge, larger);
        return Row::new("two R2 of one R1, circles of 34 to 100".to_owned(), both, &["1"]);
    }
    Row::new(
        "two R2 of one R1, a circle of 34".to_owned(),
        judge.into_tallies(),
        &["1"],
    )
}

fn cut_off(rules: &[Rules], depth: Depth, found: &mut Found) -> Row {
    let settings = [
        (Depth::Short, numbers(16, 8, 4, 0)),
        (Depth::Short, numbers(24, 12, 6, 1)),
        (Depth::Usual, numbers(30, 15, 8, 1)),
        (Depth::Usual, numbers(40, 20, 8, 2)),
        (Depth::Usual, numbers(64, 24, 16, 2)),
        (Depth::Usual, numbers(64, 40, 12, 1)),
    ];
    let mut judge = Judge::new(rules);
    let settings = upto(depth, &settings);
    let shops = span(settings.iter().map(|numbers| numbers.shops));
    for numbers in settings {
        gaps(&numbers, &mut judge, &mut found.to_64);
    }
    Row::new(format!("gaps in circles of {shops}"), judge.into_tallies(), &[])
}

fn random(rules: &[Rules], depth: Depth, seed: u64) -> Row {
    let mut random = stream(seed, "adversary: at random");
    let mut judge = Judge::<1>::new(rules);
    at_random(
        &mut random,
        5..=14,
        at(depth, [20_000, 600_000, 30_000_000]),
        &mut judge,
    );
    at_random(
        &mut random,
        12..=64,
        at(depth, [4000, 100_000, 5_000_000]),
        &mut judge,
    );
    let mut larger = Judge::<4>::new(rules);
    at_random(
        &mut random,
        65..=200,
        at(depth, [200, 8000, 400_000]),
        &mut larger,
    );
    Row::new("at random, 5 to 200".to_owned(), together(judge, larger), &[])
}

fn changed(rules: &[Rules], depth: Depth, seed: u64, found: &Found) -> Row {
    let mut random = stream(seed, "adversary: near");
    let mut judge = Judge::new(rules);
    for staged in &found.to_64 {
        near(&mut random, staged, at(depth, [200, 8000, 500_000]), &mut judge);
    }
    let mut larger = Judge::new(rules);
    for staged in &found.to_256 {
        near(&mut random, staged, at(depth, [20, 1000, 30_000]), &mut larger);
    }
    Row::new("near what fell above".to_owned(), together(judge, larger), &[])
}
