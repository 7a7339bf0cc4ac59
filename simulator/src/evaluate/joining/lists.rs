//! `evaluate --task product` and `--task content`: a shop's lists beside the bestsellers, and what it is worth that they know the day.
//!
//! A customer is scored as of the day of the wanted item, in fitting and in the test: nothing that anybody did on that day or
//! later is in the channels that go by the clock, nor in the bestsellers by age. All other rows know every customer's training
//! items, as everywhere in this command.

use std::fmt::Write;

use anyhow::ensure;
use serde::Serialize;
use souk_common::accountant::gaussian::mu_of;
use souk_common::channels::timed;
use souk_common::clock::Stopwatch;
use souk_common::eval::{Split, View, leave_last_two_out, next_visit};
use souk_common::params::{Delta, NoiseMultiplier};
use souk_common::plan::Plan;
use souk_common::stack::Stack;
use souk_common::task::Task;
use souk_common::terminal::{say, tell};

use super::mean::mean_and_error;
use super::report::{Figures, Gate};
use super::{EvaluateArgs, Hits, Joining, Known, Measured, Variant, releases, users_of_shops};
use crate::check::Check;
use crate::data::plans::Template;
use crate::error::WrongUsage;
use crate::evaluate::DEFAULT_DELTA;

/// Runs the command; false when a check failed.
pub(in crate::evaluate) fn run(args: &EvaluateArgs, task: Task) -> anyhow::Result<bool> {
    let watch = Stopwatch::start();
    if args.plan.is_some() || args.rounds.is_some() {
        let told = format!(
            "--task {} goes by its example plan, whose rounds follow from its releases: leave out --plan and --rounds",
            task.name()
        );
        return Err(anyhow::Error::msg(WrongUsage(told)));
    }
    let known = args.cut.load(None)?;
    let split = leave_last_two_out(&known.dataset);
    ensure!(
        split.evaluated_users() > 0,
        "nobody in {} has three distinct items: nothing can be kept back",
        args.cut.data.display()
    );
    let visits = next_visit(&known.dataset);
    let ages = Ages::of(&known);
    tell(&ages.words());
    let plan = match args.quick {
        true => None,
        false => Some(plan(args, &known, task)?),
    };
    let epsilon = plan.as_ref().and(args.epsilon_or_default());
    let joining = Joining {
        seeds: args.seeds,
        plan,
        by_the_clock: true,
        ..Joining::new(&known, args.seed, epsilon)
    };
    let without_clock = Joining {
        seeds: args.seeds,
        ..Joining::new(&known, args.seed, None)
    };
    let mut compared = Compared {
        rows: Vec::new(),
        hits: Vec::new(),
    };
    let splits = [
        ("views B and C", &split, &[View::LeakFree, View::Full][..]),
        ("view D", &visits, &[View::LeakFree]),
    ];
    let (mut fits, mut plain, mut by_age) = (Vec::new(), Vec::new(), Vec::new());
    for (what, split, _) in splits {
        fits.push(joining.fit(what, split, &[])?);
        plain.push(without_clock.fit(&format!("{what}, without the clock"), split, &[])?);
        by_age.push(joining.by_age(split));
    }
    let each = |of: &OfSplit<'_>| -> Option<[Measured; 2]> {
        let [one, two] = [0, 1].map(|at| of(at, splits[at].1, splits[at].2));
        Some([one?, two?])
    };
    let variant = |of: Variant| each(&|at, split, views| joining.measure(split, &fits[at], of, views));
    compared.add("bestsellers", variant(Variant::Popularity));
    compared.add(
        BY_AGE,
        each(&|at, split, views| {
            let stacks = std::slice::from_ref(by_age[at].as_ref()?);
            Some(joining.measure_stacks(split, stacks, views))
        }),
    );
    compared.add("recent bestsellers", variant(Variant::Recent));
    compared.add(
        WITHOUT,
        each(&|at, split, views| without_clock.measure(split, &plain[at], Variant::Alone, views)),
    );
    compared.add(ALONE, variant(Variant::Alone));
    let (together, gated) = (variant(Variant::Together), variant(Variant::Gated));
    let gates = match (compared.hits_of(ALONE), &together) {
        (Some([alone, _]), Some([together, _])) => joining.gates(&fits[0], alone, &together.hits),
        _ => Vec::new(),
    };
    compared.add(TOGETHER, together);
    compared.add(GATED, gated);
    let report = Report {
        task: task.name(),
        set: known.name,
        users: known.dataset.len(),
        evaluated_users: split.evaluated_users(),
        evaluated_by_visit: visits.evaluated_users(),
        items: known.catalogue.len(),
        ages,
        seeds: args.seeds,
        epsilon: epsilon.map(|epsilon| epsilon.get()),
        gains: compared.gains(),
        rows: compared.rows,
        gates,
        seconds: watch.secs(),
    };
    let checks = if args.check {
        report.checks(task)
    } else {
        Vec::new()
    };
    if args.json {
        say(&serde_json::to_string(&report)?)?;
    } else {
        say(report.text().trim_end())?;
        for check in &checks {
            say(&check.line())?;
        }
        say(&format!("{:.0} s", report.seconds))?;
    }
    Ok(checks.iter().all(|check| check.ok))
}

/// The task's example for this set with the epsilon that is asked for; what suits the shops where there is none, or where they
/// are others.
fn plan(args: &EvaluateArgs, known: &Known, task: Task) -> anyhow::Result<Plan> {
    let sizes: Vec<usize> = users_of_shops(known).iter().map(Vec::len).collect();
    let terms = args.release_terms()?;
    let example = Template::of_task(known.name, task)
        .filter(|example| example.plan().shops.len() == sizes.len())
        .zip(terms.epsilon);
    let Some((example, epsilon)) = example else {
        let mut plan = releases::plan(known, &sizes, &terms, args.trained_model(), args.seed)?;
        plan.task = task;
        tell(&releases::describe(&plan));
        return Ok(plan);
    };
    let mut plan = example.for_shops(&sizes, args.seed)?;
    let delta = args.delta.unwrap_or(Delta::new(DEFAULT_DELTA)?);
    let noise = mu_of(epsilon, delta).recip() * (1.0 + 1e-12);
    (plan.privacy.noise_multiplier, plan.privacy.delta) = (Some(NoiseMultiplier::new(noise)?), delta);
    let plan = plan.begun_now();
    plan.validate()?;
    tell(&format!("{}; {}", example.origin(), releases::describe(&plan)));
    Ok(plan)
}

impl Joining<'_> {
    /// Each shop's bestsellers by age; none without times.
    fn by_age(&self, split: &Split) -> Option<Vec<Stack>> {
        let of_shop = |users: &Vec<usize>| {
            let train = split.subset(users).train;
            let channel = timed::bestsellers_by_age(&train, &self.features)?;
            Stack::new(vec![channel], vec![1.0], self.known.catalogue.len()).ok()
        };
        self.users.iter().map(of_shop).collect()
    }
}

/// Where ages are from.
#[derive(Clone, Copy, Serialize)]
struct Ages {
    items: usize,
    /// Items with a date.
    dated: usize,
}

impl Ages {
    fn of(known: &Known) -> Self {
        let items = known.catalogue.items();
        Self {
            items: items.len(),
            dated: items.iter().filter(|item| item.published.is_some()).count(),
        }
    }

    fn words(self) -> String {
        match self.dated {
            0 => "no item has a date: age counts from an item's first sale in the shop".to_owned(),
            dated => format!(
                "{dated} of {} items have a date; the others count as neither new nor old",
                self.items
            ),
        }
    }
}

/// One way to make lists.
#[derive(Serialize)]
struct Row {
    model: &'static str,
    leak_free: Figures,
    full: Figures,
    next_visit: Figures,
}

/// How much one way is better than another for the same users, in points of the expected hit rate, with standard errors.
#[derive(Serialize)]
struct Gain {
    model: &'static str,
    over: &'static str,
    points: f64,
    standard_error: f64,
    next_visit_points: f64,
    next_visit_standard_error: f64,
}

/// What a way to make lists is worth on one of the two splits, in these views.
type OfSplit<'a> = dyn Fn(usize, &Split, &[View]) -> Option<Measured> + 'a;

struct Compared {
    rows: Vec<Row>,
    /// In views B and D.
    hits: Vec<(&'static str, [Hits; 2])>,
}

impl Compared {
    fn add(&mut self, model: &'static str, measured: Option<[Measured; 2]>) {
        let Some([by_item, by_visit]) = measured else {
            return;
        };
        let mut figures = by_item.figures.into_iter().chain(by_visit.figures);
        let mut next = || figures.next().unwrap_or_default();
        self.rows.push(Row {
            model,
            leak_free: next(),
            full: next(),
            next_visit: next(),
        });
        self.hits.push((model, [by_item.hits, by_visit.hits]));
    }

    fn hits_of(&self, model: &str) -> Option<&[Hits; 2]> {
        self.hits
            .iter()
            .find(|(name, _)| *name == model)
            .map(|(_, hits)| hits)
    }

    fn gains(&self) -> Vec<Gain> {
        let one = |(model, over): &(&'static str, &'static str)| -> Option<Gain> {
            let (more, less) = (self.hits_of(model)?, self.hits_of(over)?);
            let paired = |at: usize| {
                let pairs = more[at].mean().into_iter().zip(less[at].mean());
                let gains: Vec<f64> = pairs
                    .filter_map(|(more, less)| Some(100.0 * (more? - less?)))
                    .collect();
                mean_and_error(&gains)
            };
            let ((points, standard_error), (next_visit_points, next_visit_standard_error)) =
                (paired(0), paired(1));
            Some(Gain {
                model,
                over,
                points,
                standard_error,
                next_visit_points,
                next_visit_standard_error,
            })
        };
        COMPARED.iter().filter_map(one).collect()
    }
}

#[derive(Serialize)]
struct Report {
    task: &'static str,
    set: &'static str,
    users: usize,
    evaluated_users: usize,
    evaluated_by_visit: usize,
    items: usize,
    ages: Ages,
    seeds: u64,
    /// None where shops are looked at alone, or without noise.
    epsilon: Option<f64>,
    rows: Vec<Row>,
    gains: Vec<Gain>,
    /// One a shop and seed of the noise.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    gates: Vec<Gate>,
    seconds: f64,
}

impl Report {
    /// Markdown's table.
    fn text(&self) -> String {
        let mut out = String::new();
        // Writing to a string never fails.
        let _ = writeln!(
            out,
            "| | B leak-free | C full | D next visit | expected B | expected D |\n|-|-|-|-|-|-|"
        );
        for row in &self.rows {
            let _ = writeln!(
                out,
                "| {} | {} | {} | {} | {} | {} |",
                row.model,
                row.leak_free.pair_with_error(),
                row.full.pair_with_error(),
                row.next_visit.pair_with_error(),
                row.leak_free.expected(),
                row.next_visit.expected()
            );
        }
        let _ = writeln!(
            out,
            "HR@10/nDCG@10 in %, mean of {} draws of the 99 items, ± the standard error of HR over users; {} of {} users are \
             evaluated, {} in view D; expected: HR@10 over all draws. {}.\n",
            self.seeds,
            self.evaluated_users,
            self.users,
            self.evaluated_by_visit,
            self.ages.words()
        );
        for gain in &self.gains {
            let _ = writeln!(
                out,
                "{} over {}: {:+.2} ± {:.2} points of the expected hit rate, {:+.2} ± {:.2} in view D",
                gain.model,
                gain.over,
                gain.points,
                gain.standard_error,
                gain.next_visit_points,
                gain.next_visit_standard_error
            );
        }
        if !self.gates.is_empty() {
            let open = self.gates.iter().filter(|gate| gate.open).count();
            let _ = writeln!(
                out,
                "the gate let the channels of all shops in {open} times of {}",
                self.gates.len()
            );
        }
        out
    }

    /// Lists beat the baseline beyond chance, and neither the clock nor the other shops cost more than chance.
    fn checks(&self, task: Task) -> Vec<Check> {
        let baseline = if task == Task::Content {
            BY_AGE
        } else {
            "bestsellers"
        };
        let check = |gain: &Gain| {
            let (least, is_baseline) = match gain.over == baseline {
                true => (2.0 * gain.standard_error, true),
                false => (LEAST_GAIN - gain.standard_error, false),
            };
            let is_asked =
                is_baseline || [(ALONE, WITHOUT), (GATED, ALONE)].contains(&(gain.model, gain.over));
            is_asked.then(|| Check {
                name: format!("{} over {}", gain.model, gain.over),
                ok: gain.points >= least,
                detail: format!(
                    "{:+.2} ± {:.2} points; at least {least:.2}",
                    gain.points, gain.standard_error
                ),
            })
        };
        let checks: Vec<Check> = self.gains.iter().filter_map(check).collect();
        let has_baseline = self.gains.iter().any(|gain| gain.over == baseline);
        let missing = (!has_baseline).then(|| Check {
            name: baseline.to_owned(),
            ok: false,
            detail: "the data have no times: nothing is new or old".to_owned(),
        });
        checks.into_iter().chain(missing).collect()
    }
}

const BY_AGE: &str = "bestsellers by age";
const WITHOUT: &str = "alone+ without freshness";
const ALONE: &str = "alone+";
const TOGETHER: &str = "together";
const GATED: &str = "together, gated";

const COMPARED: [(&str, &str); 6] = [
    (ALONE, "bestsellers"),
    (ALONE, BY_AGE),
    (ALONE, WITHOUT),
    (TOGETHER, ALONE),
    (GATED, ALONE),
    (GATED, WITHOUT),
];

/// In points: what chance may take.
const LEAST_GAIN: f64 = -0.3;

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Typed {
        #[command(flatten)]
        args: EvaluateArgs,
    }

    fn typed(dir: &Path, task: &str, more: &[&str]) -> EvaluateArgs {
        let data = dir.to_str().expect("a name");
        let words = [
            "evaluate", "--task", task, "--shops", "3", "--seeds", "1", "--data", data,
        ];
        Typed::try_parse_from([&words[..], more].concat())
            .expect("good")
            .args
    }

    /// 36 readers of 9 articles, one a day, of the ten that came out last; `time` says when a reading was.
    fn write(dir: &Path, time: impl Fn(i64) -> i64) {
        let mut orders = String::from("user_id,item_id,timestamp\n");
        for user in 0..36_i64 {
            for at in 0..9_i64 {
                let day = user + at;
                let item = (day - (user * 7 + at * at) % 10).max(0);
                orders += &format!("u{user},i{item},{}\n", time(day));
            }
        }
        let mut items = String::from("item_id,title,published\n");
        for item in 0..44_i64 {
            let date = 1_700_000_000 + 86_400 * item;
            // One article has no date, and one a date that is still to come.
            let date = match item {
                3 => String::new(),
                43 => "2199-01-01".to_owned(),
                _ => date.to_string(),
            };
            items += &format!("i{item},article {},{date}\n", item % 5);
        }
        fs::write(dir.join("orders.csv"), orders).expect("written");
        fs::write(dir.join("items.csv"), items).expect("written");
    }

    #[test]
    fn lists_are_measured_with_and_without_the_clock_and_with_other_shops() {
        let dir = tempfile::tempdir().expect("a folder");
        write(dir.path(), |day| 1_700_000_000 + 86_400 * day);
        for (task, more) in [
            (Task::Content, &[][..]),
            (Task::Product, &["--quick", "--json"]),
            (Task::Content, &["--no-privacy"]),
        ] {
            assert!(
                run(&typed(dir.path(), task.name(), more), task).expect("figures"),
                "{more:?}"
            );
        }
    }

    #[test]
    fn data_of_one_day_have_no_bestsellers_by_age_and_the_check_says_so() {
        let dir = tempfile::tempdir().expect("a folder");
        write(dir.path(), |_| 1_700_000_000);
        assert!(run(&typed(dir.path(), "content", &["--quick"]), Task::Content).expect("figures"));
        let args = typed(dir.path(), "content", &["--quick", "--check"]);
        assert!(!run(&args, Task::Content).expect("figures"));
    }

    #[test]
    fn a_plan_of_ones_own_is_refused_by_name() {
        let dir = tempfile::tempdir().expect("a folder");
        write(dir.path(), |day| 1_700_000_000 + 86_400 * day);
        let args = typed(dir.path(), "content", &["--rounds", "3"]);
        let said = run(&args, Task::Content).expect_err("refused").to_string();
        assert!(
            said.contains("--task content") && said.contains("--rounds"),
            "{said}"
        );
    }
}
