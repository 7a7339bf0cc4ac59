//! `souk-sim evaluate --task rating`: how far off the stars are that customers are expected to give.
//!
//! Of each customer the latest tenth of the stars is kept for the test, of those with five at least. The federation is that of
//! every evaluation: production's coordinator and shops over memory.

mod measure;
mod report;

use anyhow::{Context, ensure};
use souk_common::clock::Stopwatch;
use souk_common::dataset::{Dataset, Labelled};
use souk_common::model::stars::ShopStars;
use souk_common::model::{Loaded, Recommender};
use souk_common::params::{Delta, Epsilon};
use souk_common::plan::Plan;
use souk_common::task::{LabelKind, Task};
use souk_common::terminal::{say, tell};

use super::{DEFAULT_DELTA, EvaluateArgs, Known, progress, users_of_shops};
use crate::data::plans::{Template, names};
use crate::error::WrongUsage;
use crate::world::{Line, World, members_of};
use measure::{Biases, Errors, item_means};
use report::Report;

/// Runs the command; false when a check failed.
pub(super) fn run(args: &EvaluateArgs) -> anyhow::Result<bool> {
    let watch = Stopwatch::start();
    let known = args.cut.load_labelled(LabelKind::Stars)?;
    let (train, test) = split(&known.dataset);
    ensure!(
        test.iter().any(|labelled| !labelled.is_empty()),
        "nobody in {} has given five items stars: there is nothing to measure (columns.rating under [data] names their column)",
        args.cut.data.display()
    );
    let users = users_of_shops(&known);
    let template = template(args, &known)?;
    let sizes: Vec<usize> = users.iter().map(Vec::len).collect();
    let stars = |data: &[Labelled]| data.iter().map(Labelled::len).sum::<usize>();
    tell(&format!(
        "{}: {} customers in {} shops, {} items; {} stars to learn from, {} to be told; plan {}",
        known.name,
        known.dataset.len(),
        users.len(),
        known.catalogue.len(),
        stars(&train.labelled),
        stars(&test),
        template.origin()
    ));
    let mut report = Report::new(&known, &test);
    let means = item_means(&train.labelled, known.catalogue.len());
    report.add("item means", &Errors::of(&test, |_, item| means[item as usize]));
    let alone = per_shop(&users, |members| {
        let own = members
            .iter()
            .map(|user| train.labelled[*user].clone())
            .collect::<Vec<_>>();
        item_means(&own, known.catalogue.len())
    });
    report.add(
        "item means of the own shop",
        &Errors::of(&test, |user, item| alone[known.shop_of[user]][item as usize]),
    );
    let alone = per_shop(&users, |members| {
        Biases::fit(&train.labelled, members, known.catalogue.len())
    });
    report.add(
        "each shop alone",
        &Errors::of(&test, |user, item| {
            alone[known.shop_of[user]].expected(user, item)
        }),
    );
    let seeds = if args.no_privacy { 1 } else { args.seeds };
    for seed in args.seed..args.seed + seeds {
        let bar = progress(&format!("seed {seed}"));
        let plan = template.for_shops(&sizes, seed)?;
        let (model, epsilon) = federation(&known, &train, &plan, seed, |round| {
            bar.set_length(plan.rounds);
            bar.set_position(round);
        })?;
        bar.finish_and_clear();
        report.epsilon(epsilon, &plan);
        let own: Vec<_> = train
            .labelled
            .iter()
            .map(|labelled| model.own_stars(labelled).context("a plan of stars"))
            .collect::<anyhow::Result<_>>()?;
        let expected = |user: usize, item: u32| model.expected_stars(&own[user], item).unwrap_or_default();
        report.add("federated", &Errors::of(&test, expected));
        let shops = per_shop(&users, |members| {
            ShopStars::fit(&model, members.iter().map(|user| &train.labelled[*user]))
        });
        let together = |user: usize, item: u32| {
            let shop = shops[known.shop_of[user]].as_ref();
            shop.and_then(|shop| shop.expected(&model, &own[user], item))
                .unwrap_or_default()
        };
        report.add("together", &Errors::of(&test, together));
    }
    let checks = if args.check { report.checks() } else { Vec::new() };
    if args.json {
        say(&serde_json::to_string(&report.json(&checks, watch.secs()))?)?;
    } else {
        say(report.text().trim_end())?;
        for check in &checks {
            say(&check.line())?;
        }
        say(&format!("{:.0} s", watch.secs()))?;
    }
    Ok(checks.iter().all(|check| check.ok))
}

/// The plan that is asked for, by the example for the set.
fn template(args: &EvaluateArgs, known: &Known) -> anyhow::Result<Template> {
    let template = match &args.plan {
        Some(path) => Template::read(path)?,
        None => Template::example(known.name, "rating", !args.no_privacy)?,
    };
    ensure!(
        template.plan().task == Task::Rating,
        WrongUsage(format!(
            "{} is of the task {}; it must say task = \"rating\"",
            template.origin(),
            template.plan().task.name()
        ))
    );
    let template = template.with_rounds(args.rounds);
    match (args.no_privacy, args.epsilon_or_default()) {
        (false, Some(epsilon)) => {
            let delta = args.delta.map_or_else(|| Delta::new(DEFAULT_DELTA), Ok)?;
            template.with_epsilon(epsilon, delta)
        }
        _ => template.without_privacy(),
    }
}

/// What is learned from, and of each customer what is kept.
fn split(dataset: &Dataset) -> (Dataset, Vec<Labelled>) {
    let cut = |labelled: &Labelled| match labelled.len() {
        few @ 0..FEWEST => few,
        count => count - count.div_ceil(KEPT),
    };
    let test = dataset
        .labelled
        .iter()
        .map(|labelled| labelled.only(cut(labelled)..labelled.len()));
    let train = Dataset {
        labelled: dataset
            .labelled
            .iter()
            .map(|labelled| labelled.only(0..cut(labelled)))
            .collect(),
        ..dataset.clone()
    };
    (train, test.collect())
}

fn per_shop<T>(users: &[Vec<usize>], fit: impl FnMut(&Vec<usize>) -> T) -> Vec<T> {
    users.iter().map(fit).collect()
}

/// What all shops learn together, and what it cost.
fn federation(
    known: &Known,
    train: &Dataset,
    plan: &Plan,
    seed: u64,
    mut after: impl FnMut(u64),
) -> anyhow::Result<(Loaded, Option<Epsilon>)> {
    let members = members_of(train, &[], &known.shop_of, &names(plan));
    let world = World::new(plan, &known.catalogue, members, Line::default(), seed)
        .context("the plan does not fit these shops")?;
    let outcome = world.run(|round, _| after(round))?;
    let recommender = Recommender::new(&plan.model, &plan.train, &known.catalogue);
    Ok((recommender.load(outcome.params), outcome.epsilon))
}

/// Of customers with fewer stars nothing is kept.
const FEWEST: usize = 5;
/// One of so many is kept.
const KEPT: usize = 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_tenth_is_kept_and_who_has_few_stars_keeps_them_to_learn_from() {
        let of = |count: usize| Labelled {
            items: (0..count as u32).collect(),
            times: (0..count as i64).collect(),
            labels: vec![3.0; count],
        };
        let dataset = Dataset {
            users: vec!["a".into(), "b".into(), "c".into()],
            histories: vec![Default::default(); 3],
            labelled: vec![of(25), of(4), of(5)],
        };
        let (train, test) = split(&dataset);
        let lengths = |data: &[Labelled]| data.iter().map(Labelled::len).collect::<Vec<_>>();
        assert_eq!(lengths(&train.labelled), [22, 4, 4]);
        assert_eq!(lengths(&test), [3, 0, 1]);
        assert_eq!(test[0].times, [22, 23, 24]);
    }
}
