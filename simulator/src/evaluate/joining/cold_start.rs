//! Items that nobody has bought yet: are they recommended to the right customers, by what they are like?
//!
//! A share of the catalogue is drawn by the seed, and all purchases of it are taken out of the training data of every
//! shop. A customer's wanted item is the latest of these; its history is what it had bought before that. The wanted item
//! is ranked against drawn others that are as new, and against drawn others of the whole catalogue, in expectation over
//! the draws. Shops are looked at alone: releases say nothing of an item that nobody has bought.
//!
//! The bar is the popularity of categories: an item is worth the mean sales, in the shop, of the items that share its
//! categories and tags (words of its title, where a catalogue has neither), over all customers, or each multiplied by
//! how many of the customer's own items share it.

use std::collections::HashMap;

use anyhow::Context;
use rand::RngExt;
use rayon::prelude::*;
use serde::Serialize;
use souk_common::catalogue::{Catalogue, Item};
use souk_common::channels::popularity::Popularity;
use souk_common::clock::Stopwatch;
use souk_common::dataset::History;
use souk_common::eval::candidates::NEGATIVES;
use souk_common::eval::split::HeldOut;
use souk_common::eval::{Split, expected_hit};
use souk_common::rng::stream;
use souk_common::terminal::{say, tell};

use super::mean::mean_and_error;
use super::{EvaluateArgs, Joining, K, Known, Variant, users_of_shops};
use crate::check::Check;
use crate::data::title_vectors::with_title_vectors;

/// Runs the command with this share of the items held out; false when a check failed.
pub(super) fn run(args: &EvaluateArgs, share: f64) -> anyhow::Result<bool> {
    let watch = Stopwatch::start();
    let plain = args.cut.load(None)?;
    let outside = Known {
        catalogue: with_title_vectors(&plain.catalogue)?,
        ..plain.clone()
    };
    let mut rows: Vec<Row> = Vec::new();
    let mut targets = 0;
    for seed in args.seed..args.seed + args.seeds {
        let world = World::draw(&plain, share, seed)?;
        tell(&format!(
            "{}: seed {seed} holds {} of {} items out, which {} customers came to buy",
            plain.name,
            world.held_out,
            plain.catalogue.len(),
            world.split.evaluated_users()
        ));
        targets += world.split.evaluated_users();
        add(&mut rows, "popularity by category", world.popularity(false));
        add(
            &mut rows,
            "popularity in the customer's categories",
            world.popularity(true),
        );
        for (stack, newcomers, known) in [(STACK, FEATURES, &plain), (STACK_VECTORS, VECTORS, &outside)] {
            let [all, new] = world.stacks(known, seed)?;
            add(&mut rows, stack, all);
            add(&mut rows, newcomers, new);
        }
    }
    let report = Report {
        set: plain.name,
        share,
        seeds: args.seeds,
        targets,
        rows: rows.iter().map(Row::figures).collect(),
        vectors_gain: gain(&rows, FEATURES, VECTORS),
        seconds: watch.secs(),
    };
    let checks = if args.check { report.checks() } else { Vec::new() };
    match args.json {
        true => say(&serde_json::to_string(&report)?)?,
        false => {
            say(&report.text())?;
            for check in &checks {
                say(&check.line())?;
            }
        }
    }
    Ok(checks.iter().all(|check| check.ok))
}

/// A set whose held-out items nobody has bought.
struct World<'a> {
    known: &'a Known,
    /// One an item.
    new: Vec<bool>,
    held_out: usize,
    /// The wanted item of each customer who came to buy a new one is `test`.
    split: Split,
}

/// Hit rates of one way to score, in expectation; one a customer with a wanted item.
struct Hits {
    among_new: Vec<f64>,
    among_all: Vec<f64>,
}

impl<'a> World<'a> {
    fn draw(known: &'a Known, share: f64, seed: u64) -> anyhow::Result<Self> {
        let mut rng = stream(seed, "items held out");
        let new: Vec<bool> = (0..known.catalogue.len())
            .map(|_| rng.random::<f64>() < share)
            .collect();
        let mut split = Split {
            train: known.dataset.clone(),
            held_out: Vec::with_capacity(known.dataset.len()),
        };
        for history in &mut split.train.histories {
            let (rest, held) = cut(history, &new);
            *history = rest;
            split.held_out.push(held);
        }
        anyhow::ensure!(
            split.evaluated_users() > 0,
            "of {} items held out nobody bought one after two others: hold out more",
            new.iter().filter(|new| **new).count()
        );
        Ok(Self {
            known,
            held_out: new.iter().filter(|new| **new).count(),
            new,
            split,
        })
    }

    /// The hits of scores, which `of` gives for a customer (a position) over all items.
    fn hits(&self, of: impl Fn(usize) -> Vec<f32> + Sync) -> Hits {
        let one = |user: usize| -> Option<(f64, f64)> {
            let wanted = self.split.held_out[user]?.test;
            let scores = of(user);
            // What the customer ever bought is no wrong answer.
            let bought = &self.known.dataset.histories[user].items;
            let (mut pool, mut above) = ([0; 2], [0; 2]);
            for item in (0..scores.len()).filter(|item| !bought.contains(&(*item as u32))) {
                let is_above = usize::from(scores[item] >= scores[wanted as usize]);
                for (at, counts) in [self.new[item], true].into_iter().enumerate() {
                    pool[at] += usize::from(counts);
                    above[at] += usize::from(counts) * is_above;
                }
            }
            let hit = |at: usize| expected_hit(pool[at], above[at], NEGATIVES, K);
            Some((hit(0), hit(1)))
        };
        let users = (0..self.split.train.len()).into_par_iter();
        let hits: Vec<(f64, f64)> = users.filter_map(one).collect();
        let (among_new, among_all) = hits.into_iter().unzip();
        Hits { among_new, among_all }
    }

    /// All that a customer had bought before the wanted item, but for new items.
    fn history(&self, user: usize) -> Vec<u32> {
        let validation = self.split.held_out[user].map(|held| held.validation);
        let train = &self.split.train.histories[user].items;
        train.iter().copied().chain(validation).collect()
    }

    /// Each shop's stack and its weights for new items, on this catalogue.
    fn stacks(&self, known: &Known, seed: u64) -> anyhow::Result<[Hits; 2]> {
        let joining = Joining::new(known, seed, None);
        let fits = joining.fit_with("new items", &self.split, &[], &Vec::new())?;
        let of = |variant: Variant| -> anyhow::Result<Hits> {
            let stacks: Option<Vec<_>> = fits.iter().map(|fit| variant.of(fit, joining.rule())).collect();
            let stacks = stacks.context("nothing is known of the items but their ids")?;
            Ok(self.hits(|user| {
                let mut scores = Vec::new();
                stacks[known.shop_of[user]].score(&self.history(user), &mut scores);
                scores
            }))
        };
        Ok([of(Variant::Alone)?, of(Variant::Newcomers)?])
    }

    /// By the shop's mean sales of an item's categories; items that were sold by their own.
    fn popularity(&self, personal: bool) -> Hits {
        let categories = Categories::of(&self.known.catalogue);
        let shops: Vec<(Vec<f32>, Vec<f64>)> = users_of_shops(self.known)
            .iter()
            .map(|users| {
                let sold = Popularity::fit(&self.split.subset(users).train, self.new.len());
                let means = categories.means(sold.counts(), &self.new);
                (sold.counts().to_vec(), means)
            })
            .collect();
        self.hits(|user| {
            let (sold, means) = &shops[self.known.shop_of[user]];
            let mut weights = means.clone();
            if personal {
                let own = categories.counts(&self.history(user));
                weights
                    .iter_mut()
                    .zip(own)
                    .for_each(|(weight, own)| *weight *= own);
            }
            (0..self.new.len())
                .map(|item| match personal || self.new[item] {
                    true => categories.mean_of(item, &weights) as f32,
                    false => sold[item],
                })
                .collect()
        })
    }
}

/// What came before the latest new item that has two others before it, without any new one; all others, if there is none.
fn cut(history: &History, new: &[bool]) -> (History, Option<HeldOut>) {
    let is_new = |at: &usize| new[history.items[*at] as usize];
    let wanted = (0..history.len()).rev().find(is_new).filter(|at| {
        let before = (0..*at).filter(|at| !is_new(at));
        before.count() >= 2
    });
    let end = wanted.unwrap_or(history.len());
    let mut kept: Vec<usize> = (0..end).filter(|at| !is_new(at)).collect();
    let held = wanted.and_then(|at| {
        Some(HeldOut {
            validation: history.items[kept.pop()?],
            test: history.items[at],
        })
    });
    let rest = History {
        items: kept.iter().map(|at| history.items[*at]).collect(),
        times: kept.iter().map(|at| history.times[*at]).collect(),
    };
    (rest, held)
}

/// Which categories each item is in.
struct Categories {
    count: usize,
    of_item: Vec<Vec<usize>>,
}

impl Categories {
    /// Category, brand and tags; words of titles where no item has any of these.
    fn of(catalogue: &Catalogue) -> Self {
        let described = |item: &Item| -> Vec<String> {
            let one = [&item.category, &item.brand].into_iter().chain(&item.tags);
            one.filter(|name| !name.is_empty()).cloned().collect()
        };
        let words = |item: &Item| -> Vec<String> {
            let words = item.title.split(|letter: char| !letter.is_alphanumeric());
            words
                .filter(|word| word.chars().count() >= 3)
                .map(str::to_lowercase)
                .collect()
        };
        let items = catalogue.items();
        let has_any = items.iter().any(|item| !described(item).is_empty());
        let mut places: HashMap<String, usize> = HashMap::new();
        let of_item = items
            .iter()
            .map(|item| if has_any { described(item) } else { words(item) })
            .map(|names| {
                let mut found: Vec<usize> = names
                    .into_iter()
                    .map(|name| {
                        let next = places.len();
                        *places.entry(name).or_insert(next)
                    })
                    .collect();
                found.sort_unstable();
                found.dedup();
                found
            })
            .collect();
        Self {
            count: places.len(),
            of_item,
        }
    }

    /// The mean of `sold` over the items of each category that are not new.
    fn means(&self, sold: &[f32], new: &[bool]) -> Vec<f64> {
        let (mut sums, mut counts) = (vec![0.0; self.count], vec![0.0_f64; self.count]);
        for (item, categories) in self.of_item.iter().enumerate().filter(|(item, _)| !new[*item]) {
            for category in categories {
                sums[*category] += f64::from(sold[item]);
                counts[*category] += 1.0;
            }
        }
        sums.iter()
            .zip(counts)
            .map(|(sum, count)| sum / count.max(1.0))
            .collect()
    }

    /// How many of these items are in each category.
    fn counts(&self, items: &[u32]) -> Vec<f64> {
        let mut counts = vec![0.0; self.count];
        for category in items.iter().flat_map(|item| &self.of_item[*item as usize]) {
            counts[*category] += 1.0;
        }
        counts
    }

    /// The mean weight of an item's categories; 0 without any.
    fn mean_of(&self, item: usize, weights: &[f64]) -> f64 {
        let categories = &self.of_item[item];
        let sum: f64 = categories.iter().map(|category| weights[*category]).sum();
        sum / categories.len().max(1) as f64
    }
}

/// One way to score, over the seeds.
struct Row {
    model: &'static str,
    hits: Hits,
}

fn add(rows: &mut Vec<Row>, model: &'static str, hits: Hits) {
    match rows.iter_mut().find(|row| row.model == model) {
        Some(row) => {
            row.hits.among_new.extend(hits.among_new);
            row.hits.among_all.extend(hits.among_all);
        }
        None => rows.push(Row { model, hits }),
    }
}

impl Row {
    fn figures(&self) -> Figures {
        let of = |hits: &[f64]| {
            let (mean, error) = mean_and_error(hits);
            (100.0 * mean, 100.0 * error)
        };
        Figures {
            model: self.model,
            among_new: of(&self.hits.among_new),
            among_all: of(&self.hits.among_all),
        }
    }
}

/// Of one way over another among new items, in points, with its standard error over customers.
fn gain(rows: &[Row], less: &str, more: &str) -> (f64, f64) {
    let hits = |model: &str| {
        let row = rows.iter().find(|row| row.model == model);
        row.map_or(&[][..], |row| &row.hits.among_new)
    };
    let gains: Vec<f64> = hits(less)
        .iter()
        .zip(hits(more))
        .map(|(less, more)| 100.0 * (more - less))
        .collect();
    mean_and_error(&gains)
}

/// HR@10 in expectation over the draws of the 99 others, in percent, and its standard error over customers.
#[derive(Serialize)]
struct Figures {
    model: &'static str,
    /// Among others that are as new.
    among_new: (f64, f64),
    /// Among others of the whole catalogue.
    among_all: (f64, f64),
}

#[derive(Serialize)]
struct Report {
    set: &'static str,
    /// Of the items, that was held out.
    share: f64,
    seeds: u64,
    /// Customers with a wanted item, over all seeds.
    targets: usize,
    rows: Vec<Figures>,
    /// Of the stack with vectors over that with features alone, among new items: points and standard error.
    vectors_gain: (f64, f64),
    seconds: f64,
}

impl Report {
    fn text(&self) -> String {
        let (gain, error) = self.vectors_gain;
        let mut text = format!(
            "{}, {:.0} % of the items held out, {} seeds, {} customers: HR@10 among 99 drawn others, in %\n\n{:<42}{:>16}{:>16}\n",
            self.set,
            100.0 * self.share,
            self.seeds,
            self.targets,
            "",
            "as new",
            "of all"
        );
        for row in &self.rows {
            let pair = |(mean, error): (f64, f64)| format!("{mean:.1} ± {error:.1}");
            text += &format!(
                "{:<42}{:>16}{:>16}\n",
                row.model,
                pair(row.among_new),
                pair(row.among_all)
            );
        }
        text + &format!(
            "\nvectors add {gain:+.1} ± {error:.1} points among items as new; {:.0} s",
            self.seconds
        )
    }

    fn checks(&self) -> Vec<Check> {
        let figure = |model: &str| {
            let row = self.rows.iter().find(|row| row.model == model);
            row.map_or(0.0, |row| row.among_new.0)
        };
        let stack = figure(FEATURES);
        let bar = self
            .rows
            .iter()
            .filter(|row| row.model.starts_with("popularity"))
            .map(|row| row.among_new.0)
            .fold(0.0, f64::max);
        vec![Check {
            name: "new items".to_owned(),
            ok: stack > bar,
            detail: format!(
                "{stack:.1} by what they are like, {bar:.1} by the popularity of their categories"
            ),
        }]
    }
}

const STACK: &str = "the shop's stack";
const FEATURES: &str = "its weights for new items";
const STACK_VECTORS: &str = "the stack, with vectors from titles";
const VECTORS: &str = "its weights for new items, with vectors";
