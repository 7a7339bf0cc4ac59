//! What a shop's own stack of channels is worth, alone and, where there are releases, together with all shops.
//!
//! Views A, B and C are those of every evaluation; in D whole visits are held back. The expected hit rate is HR@10 of
//! view B over all draws of the 99 items: one draw is far noisier. Nothing is tuned here: weights are fitted in each
//! shop, to its customers' validation items. What goes by the clock is left out here, and measured in [`lists`].

use std::collections::BTreeMap;

use anyhow::ensure;
use rayon::prelude::*;
use souk_common::channels::timed;
use souk_common::channels::{Channels, content};
use souk_common::clock::Stopwatch;
use souk_common::eval::split::HeldOut;
use souk_common::eval::{
    Candidates, Metrics, Split, Target, View, evaluate_users, leave_last_two_out, next_visit,
};
use souk_common::features::Features;
use souk_common::params::Epsilon;
use souk_common::plan::Plan;
use souk_common::stack::{GateRule, HitRate, Stack, StackFit, StackInput, fit};
use souk_common::terminal::{say, tell};

mod cold_start;
mod faithfulness;
mod hits;
pub(super) mod lists;
pub(crate) mod mean;
mod report;
mod variant;

use faithfulness::Faithfulness;
use hits::Scored;
pub(crate) use hits::{Hits, expected};
use report::{Figures, Gain, Gate, Report, Row};
pub(crate) use variant::Variant;

use super::releases::{self, Earlier};
use super::{EvaluateArgs, K, Known, progress, users_of_shops};

/// Runs the command; false when a check failed.
pub(super) fn run(args: &EvaluateArgs) -> anyhow::Result<bool> {
    if let Some(share) = args.cold_start {
        return cold_start::run(args, share);
    }
    let watch = Stopwatch::start();
    let known = args.cut.load(None)?;
    let split = leave_last_two_out(&known.dataset);
    ensure!(
        split.evaluated_users() > 0,
        "nobody in {} has three distinct items: nothing can be kept back",
        args.cut.data.display()
    );
    let features = Features::of(&known.catalogue);
    tell(&format!(
        "{}: {} users in {} shops, {} items, {} features",
        known.name,
        known.dataset.len(),
        known.shops,
        known.catalogue.len(),
        features.columns()
    ));
    let plan = match args.quick {
        true => None,
        false => {
            let sizes: Vec<usize> = users_of_shops(&known).iter().map(Vec::len).collect();
            let plan = releases::plan(
                &known,
                &sizes,
                &args.release_terms()?,
                args.trained_model(),
                args.seed,
            )?;
            tell(&releases::describe(&plan));
            Some(plan)
        }
    };
    let epsilon = plan.as_ref().and(args.epsilon_or_default());
    let joining = Joining {
        seeds: args.seeds,
        plan,
        earlier: args.earlier(),
        trained_alone: args.trained_alone,
        ..Joining::new(&known, args.seed, epsilon)
    };
    let hidden: Vec<Vec<u32>> = (0..known.dataset.len())
        .map(|user| split.forbidden(View::Literature, user))
        .collect();
    let literature = joining.fit("view A", &split, &hidden)?;
    let leak_free = joining.fit("views B and C", &split, &[])?;
    let visits = next_visit(&known.dataset);
    let by_visit = joining.fit("view D", &visits, &[])?;
    let (mut rows, mut measured) = (Vec::new(), Vec::new());
    let variants: &[Variant] = match args.trained_alone {
        true => &[Variant::Model, Variant::Tower],
        false => &Variant::ALL,
    };
    for variant in variants.iter().copied() {
        let views = [View::LeakFree, View::Full];
        let (Some(a), Some(b), Some(d)) = (
            joining.measure(&split, &literature, variant, &[View::Literature]),
            joining.measure(&split, &leak_free, variant, &views),
            joining.measure(&visits, &by_visit, variant, &[View::LeakFree]),
        ) else {
            continue;
        };
        let mut figures = [a.figures, b.figures, d.figures].into_iter().flatten();
        let mut next = || figures.next().unwrap_or_default();
        rows.push(Row {
            model: variant.name(),
            literature: next(),
            leak_free: next(),
            full: next(),
            next_visit: next(),
        });
        measured.push((variant, b.hits, d.hits));
    }
    let hits = |wanted: Variant| measured.iter().find(|(variant, ..)| *variant == wanted);
    let gates = match (hits(Variant::Alone), hits(Variant::Together)) {
        (Some((_, alone, _)), Some((_, together, _))) => joining.gates(&leak_free, alone, together),
        _ => Vec::new(),
    };
    let report = Report {
        set: known.name,
        users: known.dataset.len(),
        evaluated_users: split.evaluated_users(),
        evaluated_by_visit: visits.evaluated_users(),
        items: known.catalogue.len(),
        features: joining.features.columns(),
        seeds: args.seeds,
        rows,
        gains: Gain::all(&measured),
        gates,
        faithfulness: match args.trained_alone {
            true => None,
            false => joining.faithfulness(&split, &leak_free),
        },
        seconds: watch.secs(),
    };
    let checks = if args.check { report.checks() } else { Vec::new() };
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

/// What joining is worth to the shops of a set.
pub(crate) struct Joining<'a> {
    known: &'a Known,
    seed: u64,
    /// Of the noise, and of the draws.
    seeds: u64,
    /// That what was released cost, by which the gate's rule goes; none without noise.
    epsilon: Option<Epsilon>,
    users: Vec<Vec<usize>>,
    features: Features,
    content: Channels,
    /// Of the federation; none to look at shops alone.
    plan: Option<Plan>,
    /// Runs of it that came before.
    earlier: Earlier,
    /// Whether stacks have channels that go by the clock.
    by_the_clock: bool,
    /// Whether what was trained stands by itself.
    trained_alone: bool,
}

/// The stacks of every shop, for every seed of the federation's noise; for one, if there is none.
pub(crate) type Fits = Vec<Vec<StackFit>>;

impl<'a> Joining<'a> {
    /// With one seed of the noise, and nothing released yet.
    pub(crate) fn new(known: &'a Known, seed: u64, epsilon: Option<Epsilon>) -> Self {
        let features = Features::of(&known.catalogue);
        Self {
            users: users_of_shops(known),
            content: content::channels(&features),
            features,
            known,
            seed,
            seeds: 1,
            epsilon,
            plan: None,
            earlier: Earlier::default(),
            by_the_clock: false,
            trained_alone: false,
        }
    }

    /// The catalogue's content channels.
    pub(crate) fn content(&self) -> &Channels {
        &self.content
    }

    /// Every shop's stacks on a split.
    fn fit(&self, what: &str, split: &Split, hidden: &[Vec<u32>]) -> anyhow::Result<Fits> {
        let Some(plan) = &self.plan else {
            return Ok(vec![self.fit_with(what, split, hidden, &Channels::new())?]);
        };
        // Without noise one seed is as good as another.
        let seeds = if plan.privacy.enabled { self.seeds } else { 1 };
        (self.seed..self.seed + seeds)
            .map(|seed| {
                let released =
                    releases::channels(self.known, split, &self.content, (plan, self.earlier), seed)?;
                match self.trained_alone {
                    true => self.trained_by_itself(&released),
                    false => self.fit_with(&format!("{what}, noise {seed}"), split, hidden, &released),
                }
            })
            .collect()
    }

    /// What was trained in place of every shop's stack.
    fn trained_by_itself(&self, released: &Channels) -> anyhow::Result<Vec<StackFit>> {
        let names = [Variant::Model.name(), Variant::Tower.name()];
        let trained = released.iter().filter(|channel| names.contains(&channel.name()));
        let trained: Channels = trained.cloned().collect();
        let weights = vec![1.0; trained.len()];
        let fit = StackFit {
            alone: Stack::new(trained, weights, self.known.catalogue.len())?,
            together: None,
            federated: None,
            newcomers: None,
            alone_hits: HitRate::default(),
            gate: None,
            collapsed: Vec::new(),
        };
        Ok(vec![fit; self.users.len()])
    }

    /// Every shop's stacks, with these channels of all shops.
    ///
    /// # Errors
    /// When the channels are of another catalogue.
    pub(crate) fn fit_with(
        &self,
        what: &str,
        split: &Split,
        hidden: &[Vec<u32>],
        federated: &Channels,
    ) -> anyhow::Result<Vec<StackFit>> {
        let bar = progress(what);
        bar.set_length(self.users.len() as u64);
        let mut fits = Vec::with_capacity(self.users.len());
        for users in &self.users {
            let mut part = split.subset(users);
            if !self.by_the_clock {
                part.train
                    .histories
                    .iter_mut()
                    .for_each(|history| history.times.clear());
            }
            let times: Vec<i64> = users
                .iter()
                .map(|user| self.time_of(*user, held_item(split, *user, |held| held.validation)))
                .collect();
            let validation: Vec<Option<u32>> = part
                .held_out
                .iter()
                .map(|held| held.map(|held| held.validation))
                .collect();
            let hidden: Vec<Vec<u32>> = users
                .iter()
                .filter_map(|user| hidden.get(*user).cloned())
                .collect();
            let input = StackInput {
                train: &part.train,
                validation: &validation,
                times: &times,
                hidden: &hidden,
                features: &self.features,
            };
            let fitted = fit(&input, &self.content, federated, self.seed, |stage| {
                bar.set_message(format!("{} customers, {stage:?}", users.len()));
            })?;
            let told = fitted.collapsed.iter();
            told.for_each(|collapsed| tell(&collapsed.words()));
            fits.push(fitted);
            bar.inc(1);
        }
        bar.finish_and_clear();
        Ok(fits)
    }

    /// By which the gate lets channels of all shops in.
    pub(crate) fn rule(&self) -> GateRule {
        GateRule::of(self.epsilon.map(Epsilon::get))
    }

    /// When a user took an item, in seconds since 1970; 0 without one.
    fn time_of(&self, user: usize, item: Option<u32>) -> i64 {
        let history = &self.known.dataset.histories[user];
        let at = history.items.iter().position(|own| Some(*own) == item);
        at.and_then(|at| history.times.get(at).copied())
            .unwrap_or_default()
    }

    /// Every user's scores by the stacks of the shops, as of the day of the test item.
    fn scores(&self, split: &Split, stacks: &[Stack]) -> Scored {
        let mut scores = vec![Vec::new(); split.train.len()];
        for (users, stack) in self.users.iter().zip(stacks) {
            let mut days: BTreeMap<i64, Vec<usize>> = BTreeMap::new();
            for user in users.iter().filter(|user| split.held_out[**user].is_some()) {
                let time = match stack.goes_by_the_clock() {
                    true => self.time_of(*user, held_item(split, *user, |held| held.test)),
                    false => 0,
                };
                days.entry(timed::day_of(time)).or_default().push(*user);
            }
            let scored: Vec<(usize, Vec<f32>)> = days
                .into_par_iter()
                .flat_map(|(day, users)| {
                    let then = stack.as_of(timed::start_of(day));
                    users.into_par_iter().map(move |user| {
                        let mut out = Vec::new();
                        then.score(&split.train.histories[user].items, &mut out);
                        (user, out)
                    })
                })
                .collect();
            for (user, out) in scored {
                scores[user] = out;
            }
        }
        Scored(scores)
    }

    /// The figures of one kind of stack, if there is one.
    pub(crate) fn measure(
        &self,
        split: &Split,
        fits: &Fits,
        variant: Variant,
        views: &[View],
    ) -> Option<Measured> {
        // Alone, the noise of others changes nothing.
        let fits = match variant {
            Variant::Alone | Variant::Popularity | Variant::Recent => &fits[..1],
            _ => fits,
        };
        let of_shops = |fits: &Vec<StackFit>| -> Option<Vec<Stack>> {
            let stacks = fits.iter().map(|fit| variant.of(fit, self.rule()));
            stacks.map(|stack| Some(stack?.into_owned())).collect()
        };
        let stacks: Vec<Vec<Stack>> = fits.iter().map(of_shops).collect::<Option<_>>()?;
        Some(self.measure_stacks(split, &stacks, views))
    }

    /// The figures of one stack a shop, for each seed of the noise. Everybody is scored once.
    fn measure_stacks(&self, split: &Split, stacks: &[Vec<Stack>], views: &[View]) -> Measured {
        let items = self.known.catalogue.len();
        let candidates: Vec<Candidates> = (self.seed..self.seed + self.seeds)
            .map(|seed| Candidates::draw(split, items, seed))
            .collect();
        let scored: Vec<Scored> = stacks.iter().map(|stacks| self.scores(split, stacks)).collect();
        let of_seed = |scored: &Scored| -> Vec<Option<f64>> {
            let users = (0..split.train.len()).into_par_iter();
            users.map(|user| scored.expected(split, user)).collect()
        };
        let hits = Hits(scored.iter().map(of_seed).collect());
        let mean = hits.mean();
        let everybody: Vec<usize> = (0..split.train.len()).collect();
        let figures = |view: &View| {
            let of = |users: &[usize]| {
                let draws = scored
                    .iter()
                    .flat_map(|scored| candidates.iter().map(move |drawn| (scored, drawn)));
                let seeds: Vec<Metrics> = draws
                    .map(|(scored, drawn)| {
                        evaluate_users(scored, split, drawn, users, items, (*view, Target::Test, K))
                    })
                    .collect();
                let hits: Vec<f64> = users.iter().filter_map(|user| mean[*user]).collect();
                Figures::new(&seeds, &hits)
            };
            Figures {
                shops: self.users.iter().map(|users| of(users)).collect(),
                ..of(&everybody)
            }
        };
        Measured {
            figures: views.iter().map(figures).collect(),
            hits,
        }
    }

    /// Of the reasons that the shops' lists come with.
    fn faithfulness(&self, split: &Split, fits: &Fits) -> Option<Faithfulness> {
        let served = self.users.iter().zip(fits.first()?);
        let shops: Vec<(&[usize], &Stack)> = served
            .map(|(users, fit)| (users.as_slice(), fit.gated(self.rule())))
            .collect();
        Faithfulness::of(split, &shops, self.seed)
    }

    /// Of every shop and seed of the noise: what the gate found, and what came of it on the test items.
    fn gates(&self, fits: &Fits, alone: &Hits, together: &Hits) -> Vec<Gate> {
        let mut gates = Vec::new();
        for ((seed, fits), together) in (self.seed..).zip(fits).zip(&together.0) {
            for (shop, (users, fit)) in (1..).zip(self.users.iter().zip(fits)) {
                let Some(found) = fit.gate else { continue };
                let gains: Vec<f64> = users
                    .iter()
                    .filter_map(|user| Some(together[*user]? - alone.0[0][*user]?))
                    .collect();
                gates.push(Gate {
                    shop,
                    seed,
                    open: self.rule().opens(&found),
                    test_gain: 100.0 * gains.iter().sum::<f64>() / gains.len().max(1) as f64,
                    found,
                });
            }
        }
        gates
    }
}

/// What is held back of a user.
fn held_item(split: &Split, user: usize, which: impl Fn(HeldOut) -> u32) -> Option<u32> {
    split.held_out[user].map(which)
}

/// What one kind of stack is worth.
pub(crate) struct Measured {
    /// One a view that was asked for.
    figures: Vec<Figures>,
    pub(crate) hits: Hits,
}

#[cfg(test)]
mod tests {
    use std::fs;

    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Typed {
        #[command(flatten)]
        args: EvaluateArgs,
    }

    #[test]
    fn every_kind_of_stack_is_measured_in_every_view() {
        let dir = tempfile::tempdir().expect("a folder");
        let mut orders = String::from("user_id,item_id,timestamp\n");
        for user in 0..24 {
            for at in 0..8 {
                orders += &format!(
                    "u{user},i{},{}\n",
                    (user * 7 + at * at) % 40,
                    1_700_000_000 + at / 2
                );
            }
        }
        fs::write(dir.path().join("orders.csv"), orders).expect("written");
        let data = dir.path().to_str().expect("a name");
        let typed = [
            "evaluate", "--stack", "--shops", "3", "--seeds", "1", "--data", data,
        ];
        let args = Typed::try_parse_from(typed).expect("good").args;
        assert!(run(&args).expect("figures"));
        for more in [
            &["--quick"][..],
            &["--no-privacy"],
            &["--no-privacy", "--trained-alone", "--training", "gan=2:0.1"],
            &["--placement", "local", "--epsilon", "1"],
        ] {
            let args = Typed::try_parse_from([&typed[..], more].concat())
                .expect("good")
                .args;
            assert!(run(&args).expect("figures"), "{more:?}");
        }
        assert!(Typed::try_parse_from([&typed[..], &["--model", "mf"]].concat()).is_err());
    }
}
