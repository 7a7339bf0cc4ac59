//! `souk-sim evaluate --task ads`: how well it is told which coupons households redeem, on The Complete Journey.
//!
//! Campaigns that ended before [`TEST_FROM`] are learned from, those that began from then until [`TEST_UNTIL`] are the test; what was chosen
//! (inputs, step size, ridges) was chosen on August and September. The federation is that of every evaluation: production's coordinator and shops
//! over memory.
//!
//! | module | what |
//! |---|---|
//! | [`logistic`] | the baseline |
//! | [`report`] | the table |
//! | [`shown`] | what households were shown, with its inputs |
//! | [`resampled`] | how sure its figures are |

mod logistic;
mod report;
mod resampled;
mod shown;

use anyhow::{Context, ensure};
use souk_common::accountant::gaussian::mu_of;
use souk_common::clock::Stopwatch;
use souk_common::dataset::{Dataset, History};
use souk_common::learned::Learner;
use souk_common::params::{Delta, Epsilon, NoiseMultiplier};
use souk_common::plan::{Plan, ServerPlan};
use souk_common::task::Task;
use souk_common::terminal::{say, tell};
use souk_common::training::clicks::inputs::{ClickInputs, WIDTH};
use souk_common::training::clicks::tower::ClickTower;

use super::{DEFAULT_DELTA, EvaluateArgs, progress, users_of_shops};
use crate::data::coupons::Coupons;
use crate::data::plans::{Template, names};
use crate::error::WrongUsage;
use crate::world::{Line, World, members_of};
use logistic::Columns;
use report::Report;
use shown::{Measured, Shown};

/// Runs the command; false when a check failed.
pub(super) fn run(args: &EvaluateArgs) -> anyhow::Result<bool> {
    let watch = Stopwatch::start();
    ensure!(
        args.plan.is_none() && args.rounds.is_none(),
        WrongUsage(
            "--task ads goes by its example plan, whose rounds follow from its releases: leave out --plan and --rounds".to_owned()
        )
    );
    let coupons = Coupons::load(&args.cut)?;
    coupons.left_out.iter().for_each(|line| tell(line));
    let known = &coupons.known;
    let shown = Shown::of(&known.dataset, &ClickInputs::new(&known.catalogue));
    let ended = |at: usize| {
        let coupon = &coupons.ads[(shown.ads[at] - coupons.first_ad) as usize];
        shown.times[at] + coupon.days * DAY < TEST_FROM
    };
    let training = shown.only(ended);
    let test = shown.only(|at| (TEST_FROM..TEST_UNTIL).contains(&shown.times[at]));
    let clicked = |rows: &[usize]| rows.iter().filter(|at| shown.labels[**at] > 0.5).count();
    ensure!(
        clicked(&training) > 0 && clicked(&test) > 0,
        "no coupon was redeemed in {}: labels that are all alike teach nothing, and nothing can be measured by them",
        args.cut.data.display()
    );
    let sizes: Vec<usize> = users_of_shops(known).iter().map(Vec::len).collect();
    let open = plan(args, &sizes, None)?;
    let private = args
        .epsilon_or_default()
        .map(|epsilon| plan(args, &sizes, Some(epsilon)))
        .transpose()?;
    tell(&format!(
        "{}: {} households in {} shops, {} products, {} coupons of {} campaigns; {} shown and {} redeemed to learn from, {} and {} to be told; \
         plan deploy/examples/{}-ads.toml",
        known.name,
        known.dataset.len(),
        sizes.len(),
        coupons.first_ad,
        coupons.ads.len(),
        coupons.campaigns,
        training.len(),
        clicked(&training),
        test.len(),
        clicked(&test),
        known.name,
    ));
    let measured = Measured {
        shown: &shown,
        test: &test,
        coupons: &coupons,
    };
    let mut report = Report::new(measured, args.epsilon_or_default());
    baselines(
        &mut report,
        &coupons,
        (&shown, &training, &test),
        private.as_ref().unwrap_or(&open),
        args.seed,
    );
    let train = before_test(&known.dataset, &coupons);
    let mut towers = |name: &str, plan: &Plan, seeds: u64| -> anyhow::Result<()> {
        let mut probabilities = Vec::new();
        for seed in args.seed..args.seed + seeds {
            let bar = progress(&format!("{name}, seed {seed}"));
            let mut plan = plan.clone();
            plan.seed = seed;
            let (tower, epsilon) = federation(&coupons, &train, &plan, seed, |round| {
                bar.set_length(plan.rounds);
                bar.set_position(round);
            })?;
            bar.finish_and_clear();
            report.cost(epsilon, &plan);
            let of_test = test.iter().flat_map(|at| &shown.inputs[at * WIDTH..][..WIDTH]);
            probabilities.push(tower.probabilities(&of_test.copied().collect::<Vec<f32>>()));
        }
        report.add(name, probabilities);
        Ok(())
    };
    towers(report::TOWER_OPEN, &open, args.seeds)?;
    if let Some(plan) = &private {
        towers(report::TOWER, plan, args.seeds)?;
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

fn baselines(
    report: &mut Report<'_>,
    coupons: &Coupons,
    (shown, training, test): (&Shown, &[usize], &[usize]),
    plan: &Plan,
    seed: u64,
) {
    let bar = progress("baselines");
    bar.set_length(6);
    let clicks: f64 = training.iter().map(|at| f64::from(shown.labels[*at])).sum();
    let rate = clicks / training.len() as f64;
    report.add("base rate", vec![vec![rate as f32; test.len()]]);
    bar.inc(1);
    // Each category's rate, drawn to the base rate as by so many ads as are clicked once.
    let items = coupons.known.catalogue.items();
    let category = |at: usize| items[shown.ads[at] as usize].category.as_str();
    let mut rates: std::collections::HashMap<&str, [f64; 2]> = std::collections::HashMap::new();
    for at in training {
        let of = rates.entry(category(*at)).or_default();
        *of = [of[0] + f64::from(shown.labels[*at]), of[1] + 1.0];
    }
    let smoothed = |at: &usize| {
        let [clicked, shown] = rates.get(category(*at)).copied().unwrap_or_default();
        ((clicked + 1.0) / (shown + 1.0 / rate)) as f32
    };
    report.add(
        "rate of the ad's category",
        vec![test.iter().map(smoothed).collect()],
    );
    bar.inc(1);
    let plain = Columns::plain(coupons, shown, training);
    let mut alone = vec![0.0; test.len()];
    for shop in 0..coupons.known.shops {
        let of_shop = |at: &usize| coupons.known.shop_of[shown.users[*at]] == shop;
        let own: Vec<usize> = training.iter().copied().filter(of_shop).collect();
        let weights = plain.fit(shown, &own, RIDGE_ALONE);
        let (places, rows): (Vec<usize>, Vec<usize>) = test
            .iter()
            .copied()
            .enumerate()
            .filter(|(_, at)| of_shop(at))
            .unzip();
        let probabilities = plain.probabilities(&weights, &rows);
        places
            .into_iter()
            .zip(probabilities)
            .for_each(|(place, p)| alone[place] = p);
    }
    report.add("logistic regression, alone", vec![alone]);
    bar.inc(1);
    let customers: f64 = plan.shops.iter().map(|terms| terms.declared_users as f64).sum();
    // What the sum of all shops carries: the accounted noise is that of fewer shares than come.
    let shares = plan.shops.len() as f64 / plan.noise_shares() as f64;
    let noise = plan
        .privacy
        .noise_multiplier
        .map_or(0.0, |z| z.get() * (ROUNDS as f64 * shares).sqrt());
    let weights = plain.federated(shown, training, (ROUNDS, noise, customers), &ADAM, seed);
    report.add(
        "logistic regression, federated",
        vec![plain.probabilities(&weights, test)],
    );
    bar.inc(1);
    let weights = plain.fit(shown, training, RIDGE);
    report.add(report::BASELINE, vec![plain.probabilities(&weights, test)]);
    bar.inc(1);
    let own = Columns::of_tower(shown);
    let weights = own.fit(shown, training, RIDGE_FEW);
    report.add(
        "the same, the tower's inputs",
        vec![own.probabilities(&weights, test)],
    );
    bar.finish_and_clear();
}

/// The example plan for shops of these sizes.
fn plan(args: &EvaluateArgs, sizes: &[usize], epsilon: Option<Epsilon>) -> anyhow::Result<Plan> {
    let example =
        Template::of_task("completejourney", Task::Ads).context("the example is part of this program")?;
    let mut plan = example.for_shops(sizes, args.seed)?;
    let delta = args.delta.map_or_else(|| Delta::new(DEFAULT_DELTA), Ok)?;
    let noise = epsilon.map(|epsilon| NoiseMultiplier::new(mu_of(epsilon, delta).recip() * (1.0 + 1e-12)));
    plan.privacy.delta = delta;
    (plan.privacy.enabled, plan.privacy.noise_multiplier) = (epsilon.is_some(), noise.transpose()?);
    let plan = plan.begun_now();
    plan.validate()?;
    Ok(plan)
}

/// What everybody had done, been shown and answered when the test began.
fn before_test(dataset: &Dataset, coupons: &Coupons) -> Dataset {
    let histories = dataset.histories.iter().map(|history| {
        let until = history.times.partition_point(|time| *time < TEST_FROM);
        History {
            items: history.items[..until].to_vec(),
            times: history.times[..until].to_vec(),
        }
    });
    let labelled = dataset.labelled.iter().map(|labelled| {
        let ended = |at: &usize| {
            let coupon = &coupons.ads[(labelled.items[*at] - coupons.first_ad) as usize];
            labelled.times[*at] + coupon.days * DAY < TEST_FROM
        };
        labelled.only((0..labelled.len()).filter(ended))
    });
    Dataset {
        users: dataset.users.clone(),
        histories: histories.collect(),
        labelled: labelled.collect(),
    }
}

/// What all shops learn together, and what it cost.
fn federation(
    coupons: &Coupons,
    train: &Dataset,
    plan: &Plan,
    seed: u64,
    mut after: impl FnMut(u64),
) -> anyhow::Result<(ClickTower, Option<Epsilon>)> {
    let known = &coupons.known;
    let members = members_of(train, &[], &known.shop_of, &names(plan));
    let world = World::new(plan, &known.catalogue, members, Line::default(), seed)
        .context("the plan does not fit these shops")?;
    let outcome = world.run(|round, _| after(round))?;
    let releases = outcome.releases.context("a plan of releases releases")?;
    let learner = Learner::new(plan, &known.catalogue);
    let tower = learner
        .click_tower(&releases)?
        .context("a plan of ads trains which are clicked")?;
    Ok((tower, outcome.epsilon))
}

const DAY: i64 = 86_400;
/// 2017-10-01 UTC.
const TEST_FROM: i64 = 17_440 * DAY;
/// 2017-12-15 UTC: redemptions are known until the end of the year.
const TEST_UNTIL: i64 = 17_515 * DAY;
/// Ridge of the baseline: of 1, 10 and 30 the best on August and September.
const RIDGE: f64 = 10.0;
/// A shop has a tenth of the households, so more of it; not chosen by data.
const RIDGE_ALONE: f64 = 30.0;
/// Of the few columns of the tower's inputs; not chosen by data.
const RIDGE_FEW: f64 = 1.0;
/// Of the federated baseline: as many as the click tower has, with all of the budget.
const ROUNDS: u64 = 30;
/// The click tower's.
const ADAM: ServerPlan = ServerPlan::Adam {
    learning_rate: 0.15,
    beta1: 0.9,
    beta2: 0.99,
    epsilon: 1e-8,
    final_fraction: 0.2,
};

#[cfg(test)]
mod tests;
