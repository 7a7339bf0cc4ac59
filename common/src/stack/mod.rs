//! The stack: a weighted sum of channels, with weights that the shop fits to its own customers.
//!
//! | module | what |
//! |---|---|
//! | [`cases`] | wanted items beside drawn ones, scored by every channel |
//! | [`newton`] | weights from cases |
//! | [`gate`] | whether channels of all shops help this shop |
//! | [`reasons`] | which of the user's items, through which channel, speaks for a recommended one |
//!
//! Everything here stays in the shop: it costs no privacy. Without any release the stack works with local channels
//! alone, from the first day.

mod cases;
pub mod gate;
mod newton;
pub mod reasons;

use std::cmp::Ordering;
use std::sync::Arc;

use rand::RngExt;
use rayon::prelude::*;

pub use gate::{GateReport, GateRule, HitRate};
pub use reasons::Evidence;

use crate::channels::scale::score_channel;
use crate::channels::{self, Channel, Channels, FixedPopularity, Group, timed};
use crate::dataset::{Dataset, History};
use crate::features::Features;
use crate::rng::stream;
use cases::Cases;
use newton::Problem;

/// Channels and their weights.
#[derive(Clone)]
pub struct Stack {
    channels: Channels,
    weights: Vec<f32>,
    items: usize,
}

impl Stack {
    /// Of channels over `items` items, each with its weight.
    ///
    /// # Errors
    /// When there are not as many weights as channels, or a weight is not finite.
    pub fn new(channels: Channels, weights: Vec<f32>, items: usize) -> Result<Self, StackError> {
        if channels.len() != weights.len() {
            return Err(StackError::Weights {
                got: weights.len(),
                channels: channels.len(),
            });
        }
        if let Some(at) = weights.iter().position(|weight| !weight.is_finite()) {
            return Err(StackError::Weight {
                channel: channels[at].name().to_owned(),
                weight: weights[at],
            });
        }
        Ok(Self {
            channels,
            weights,
            items,
        })
    }

    /// Weights by the names of their channels, which are looked for among `channels`, in any order.
    ///
    /// # Errors
    /// When a channel is missing, or a weight is not finite.
    pub fn named<'a>(
        weights: impl IntoIterator<Item = (&'a str, f32)>,
        channels: &Channels,
        items: usize,
    ) -> Result<Self, StackError> {
        let find = |(name, weight): (&str, f32)| {
            let found = channels.iter().find(|channel| channel.name() == name);
            let missing = || StackError::Missing {
                channel: name.to_owned(),
            };
            Ok((found.cloned().ok_or_else(missing)?, weight))
        };
        let found: Vec<_> = weights.into_iter().map(find).collect::<Result<_, _>>()?;
        let (channels, weights) = found.into_iter().unzip();
        Self::new(channels, weights, items)
    }

    /// The same weights on channels fitted anew: those of the same names, in any order.
    ///
    /// # Errors
    /// When a channel is missing.
    pub fn refitted(&self, channels: &Channels) -> Result<Self, StackError> {
        Self::named(self.named_weights(), channels, self.items)
    }

    /// The same with those channels only that are `wanted`.
    pub fn only(&self, wanted: impl Fn(&dyn Channel) -> bool) -> Self {
        let pairs = self.channels.iter().zip(&self.weights);
        let kept = pairs.filter(|(channel, _)| wanted(&***channel));
        let (channels, weights) = kept
            .map(|(channel, weight)| (Arc::clone(channel), *weight))
            .unzip();
        Self {
            channels,
            weights,
            items: self.items,
        }
    }

    /// Each channel's name and weight, in order.
    pub fn named_weights(&self) -> impl Iterator<Item = (&str, f32)> {
        let names = self.channels.iter().map(|channel| channel.name());
        names.zip(self.weights.iter().copied())
    }

    /// The channels, in the order of [`Stack::weights`].
    pub fn channels(&self) -> &Channels {
        &self.channels
    }

    /// One a channel.
    pub fn weights(&self) -> &[f32] {
        &self.weights
    }

    /// Whether its scores depend on the day that they are for.
    pub fn goes_by_the_clock(&self) -> bool {
        let mut used = self.channels.iter().zip(&self.weights);
        used.any(|(channel, weight)| *weight != 0.0 && channel.goes_by_the_clock())
    }

    /// The same as of the day (UTC) of a moment, in seconds since 1970 ([`timed`]).
    pub fn as_of(&self, time: i64) -> Self {
        Self {
            channels: timed::as_of(&self.channels, time),
            ..self.clone()
        }
    }

    /// How many items it scores.
    pub fn items(&self) -> usize {
        self.items
    }

    /// Scores of all items for a history of distinct items, earliest first; `out` is cleared first. No history: by
    /// popularity alone.
    pub fn score(&self, history: &[u32], out: &mut Vec<f32>) {
        out.clear();
        out.resize(self.items, 0.0);
        let add = |at: usize, scores: &mut [f32], out: &mut [f32]| {
            let standard = score_channel(&*self.channels[at], history, scores);
            let weight = self.weights[at];
            for (sum, score) in out.iter_mut().zip(scores) {
                *sum += weight * standard.apply(*score);
            }
        };
        let used: Vec<usize> = (0..self.weights.len())
            .filter(|at| self.weights[*at] != 0.0 && self.says_something(*at, history))
            .collect();
        if self.items < LARGE {
            let mut scores = vec![0.0; self.items];
            used.into_iter().for_each(|at| add(at, &mut scores, out));
            return;
        }
        let one = |at: usize| {
            let (mut scores, mut part) = (vec![0.0; self.items], vec![0.0; self.items]);
            add(at, &mut scores, &mut part);
            part
        };
        let parts: Vec<Vec<f32>> = used.into_par_iter().map(one).collect();
        for part in parts {
            out.iter_mut().zip(part).for_each(|(sum, score)| *sum += score);
        }
    }

    fn says_something(&self, channel: usize, history: &[u32]) -> bool {
        !history.is_empty() || self.channels[channel].decay().is_none()
    }

    /// The `k` best items for a shopper with their scores, best first; of equals the earlier in the catalogue.
    pub fn top(&self, shopper: Shopper<'_>, k: usize, include_own: bool) -> Vec<(u32, f32)> {
        let own = shopper.items(self.items);
        let mut scores = Vec::new();
        self.score(&own, &mut scores);
        let mut listed: Vec<(u32, f32)> = (0..).zip(scores).collect();
        if !include_own {
            let mut own = own;
            own.sort_unstable();
            listed.retain(|(item, _)| own.binary_search(item).is_err());
        }
        let order = |a: &(u32, f32), b: &(u32, f32)| -> Ordering { b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)) };
        if k < listed.len() {
            listed.select_nth_unstable_by(k, order);
            listed.truncate(k);
        }
        listed.sort_unstable_by(order);
        listed
    }
}

/// Whom to recommend to: a customer, an anonymous session (no history), or a basket.
#[derive(Clone, Copy, Debug, Default)]
pub struct Shopper<'a> {
    /// Items of earlier days, earliest first; empty if unknown.
    pub history: &'a [u32],
    /// Items of this visit, earliest first.
    pub session: &'a [u32],
}

impl Shopper<'_> {
    /// Distinct items that the catalogue of `items` items has, earliest first: this visit's are the latest.
    pub fn items(&self, items: usize) -> Vec<u32> {
        let mut distinct: Vec<u32> = Vec::with_capacity(self.history.len() + self.session.len());
        let mut taken: std::collections::HashSet<u32> = self.session.iter().copied().collect();
        distinct.extend(self.history.iter().filter(|item| taken.insert(**item)));
        taken = distinct.iter().copied().collect();
        distinct.extend(self.session.iter().filter(|item| taken.insert(**item)));
        distinct.retain(|item| (*item as usize) < items);
        distinct
    }
}

/// What a shop fits its stack to.
#[derive(Clone, Copy, Debug)]
pub struct StackInput<'a> {
    /// Histories without the validation items.
    pub train: &'a Dataset,
    /// One a customer: the item to predict, if there is one.
    pub validation: &'a [Option<u32>],
    /// One a customer: when that item was taken, in seconds since 1970; 0 where it is not known. Empty for none.
    pub times: &'a [i64],
    /// One a customer: items that may not be drawn against it; empty for none.
    pub hidden: &'a [Vec<u32>],
    /// Features of the catalogue's items.
    pub features: &'a Features,
}

impl StackInput<'_> {
    fn items(&self) -> usize {
        self.features.items()
    }

    fn hidden(&self, user: usize) -> &[u32] {
        self.hidden.get(user).map_or(&[], Vec::as_slice)
    }

    fn check(&self) -> Result<(), StackError> {
        if self.validation.len() != self.train.len() {
            return Err(StackError::Validation {
                got: self.validation.len(),
                customers: self.train.len(),
            });
        }
        let rows = self.train.histories.iter().flat_map(|history| &history.items);
        let beyond = rows
            .chain(self.validation.iter().flatten())
            .find(|item| **item as usize >= self.items());
        beyond.map_or(Ok(()), |item| {
            Err(StackError::Item {
                item: *item,
                items: self.items(),
            })
        })
    }
}

/// Why a stack can't be.
#[derive(Debug, thiserror::Error)]
pub enum StackError {
    /// Validation items are not one a customer.
    #[error("there are validation items for {got} customers, and histories of {customers}")]
    Validation {
        /// Entries given.
        got: usize,
        /// Customers.
        customers: usize,
    },
    /// An item that the catalogue does not have.
    #[error("a history has item {item}; the catalogue has {items}")]
    Item {
        /// Its row.
        item: u32,
        /// Rows that there are.
        items: usize,
    },
    /// Weights are not one a channel.
    #[error("there are {got} weights for {channels} channels")]
    Weights {
        /// Weights given.
        got: usize,
        /// Channels.
        channels: usize,
    },
    /// A weight that is no number.
    #[error("the weight of channel {channel:?} is {weight}; it must be finite")]
    Weight {
        /// Of which channel.
        channel: String,
        /// The weight.
        weight: f32,
    },
    /// A channel that the weights are for is not there.
    #[error("there is no channel {channel:?}, which the weights were fitted with")]
    Missing {
        /// Its name.
        channel: String,
    },
}

/// What is being done while a stack is fitted.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum StackStage {
    /// Channels are fitted, and cases scored.
    Channels,
    /// The same without each customer's last items.
    Tails,
    /// Weights are fitted.
    Weights,
    /// Both stacks are compared out of fold.
    Gate,
}

/// Stacks of one shop.
#[derive(Clone)]
pub struct StackFit {
    /// Content and local channels.
    pub alone: Stack,
    /// These and the federated ones; none without any.
    pub together: Option<Stack>,
    /// Content and federated channels; none without any.
    pub federated: Option<Stack>,
    /// Content channels, and sales that the features let expect: for items that nobody has bought yet; none without features.
    pub newcomers: Option<Stack>,
    /// How often alone hits.
    pub alone_hits: HitRate,
    /// How together compares with alone; none without federated channels.
    pub gate: Option<GateReport>,
}

impl StackFit {
    /// The stack to use: together where the gate opens, else alone.
    pub fn gated(&self, rule: GateRule) -> &Stack {
        match (&self.together, &self.gate) {
            (Some(together), Some(report)) if rule.opens(report) => together,
            _ => &self.alone,
        }
    }
}

/// Fits channels and weights to a shop. `content` are the channels of [`channels::content`], `federated` those of
/// releases; what is drawn depends on `seed` and the customers' ids alone.
///
/// Of more than [`MOST_CUSTOMERS`] customers that many, drawn, stand for all in the weights; channels see everybody.
///
/// # Errors
/// When the input does not fit together.
pub fn fit(
    input: &StackInput<'_>,
    content: &Channels,
    federated: &Channels,
    seed: u64,
    mut progress: impl FnMut(StackStage),
) -> Result<StackFit, StackError> {
    input.check()?;
    progress(StackStage::Channels);
    let users = fitted_on(input, seed);
    // As of a day they have nothing of it, and so nothing that is wanted on it: cases of tails need no others.
    let timed = timed::channels(input.train, input.features);
    let assemble = |train: &Dataset| -> Channels {
        let local = channels::local(train, input.features);
        let expected: Channels = vec![Arc::new(FixedPopularity::expected(train, input.features))];
        [content.clone(), local, timed.clone(), federated.clone(), expected].concat()
    };
    let all = assemble(input.train);
    let validation = cases::of_validation(&all, input, &users, seed);
    progress(StackStage::Tails);
    let tails = {
        let shorter = assemble(&without_tails(input.train));
        cases::of_tails(&shorter, input, &users, seed)
    };
    progress(StackStage::Weights);
    let fitting = Fitting {
        chosen: (0..validation.len()).collect(),
        channels: all,
        validation,
        tails,
        items: input.items(),
    };
    let expected = fitting.channels.len() - 1;
    let own = expected - federated.len();
    let likeness = (0..own).filter(|at| matches!(fitting.channels[*at].group(), Group::Content | Group::Lda));
    let newcomers = fitting.using(likeness.chain([expected]).collect());
    let alone = fitting.using((0..own).collect());
    let measured = gate::measured(&fitting.problem(&alone), seed);
    let fitted = StackFit {
        alone: fitting.stack(&alone)?,
        newcomers: match input.features.is_empty() {
            true => None,
            false => Some(fitting.stack(&newcomers)?),
        },
        alone_hits: HitRate::of(&measured),
        together: None,
        federated: None,
        gate: None,
    };
    if federated.is_empty() {
        return Ok(fitted);
    }
    let together = fitting.using((0..expected).collect());
    let public = (0..content.len()).chain(own..expected);
    let public = fitting.using(public.collect());
    let (stack, public) = (fitting.stack(&together)?, fitting.stack(&public)?);
    progress(StackStage::Gate);
    Ok(StackFit {
        together: Some(stack),
        federated: Some(public),
        gate: Some(gate::compare(
            &measured,
            &gate::measured(&fitting.problem(&together), seed),
        )),
        ..fitted
    })
}

/// All channels of a shop and the cases that they were scored on.
struct Fitting {
    channels: Channels,
    validation: Cases,
    chosen: Vec<usize>,
    tails: Cases,
    items: usize,
}

/// Positions of channels, and their prior weights.
struct Use {
    columns: Vec<usize>,
    prior: Vec<f64>,
}

impl Fitting {
    fn using(&self, columns: Vec<usize>) -> Use {
        let prior = newton::prior(&self.channels, &columns);
        Use { columns, prior }
    }

    fn problem<'a>(&'a self, of: &'a Use) -> Problem<'a> {
        Problem {
            validation: &self.validation,
            chosen: &self.chosen,
            tails: &self.tails,
            columns: &of.columns,
            prior: &of.prior,
        }
    }

    /// What goes by the clock says "new" and "bought these days": where that would count against an item, it does not count.
    fn stack(&self, of: &Use) -> Result<Stack, StackError> {
        let mut counted: Vec<usize> = (0..of.columns.len()).collect();
        let mut weights = vec![0.0; of.columns.len()];
        let is_timed = |at: usize| self.channels[of.columns[at]].group() == Group::Time;
        loop {
            let part = Use {
                columns: counted.iter().map(|at| of.columns[*at]).collect(),
                prior: counted.iter().map(|at| of.prior[*at]).collect(),
            };
            let fitted = newton::fit(&self.problem(&part));
            let against = |(at, weight): (&usize, &f64)| is_timed(*at) && *weight < 0.0;
            if !counted.iter().zip(&fitted).any(against) {
                for (at, weight) in counted.iter().zip(fitted) {
                    weights[*at] = weight as f32;
                }
                break;
            }
            let pairs = counted.iter().zip(&fitted);
            counted = pairs.filter(|pair| !against(*pair)).map(|(at, _)| *at).collect();
        }
        let channels = of.columns.iter().map(|at| self.channels[*at].clone()).collect();
        Stack::new(channels, weights, self.items)
    }
}

/// The customers whose cases weights are fitted to, ascending.
fn fitted_on(input: &StackInput<'_>, seed: u64) -> Vec<usize> {
    let mut users: Vec<usize> = (0..input.train.len()).collect();
    if users.len() > MOST_CUSTOMERS {
        let mut rng = stream(seed, "stack customers");
        for at in 0..MOST_CUSTOMERS {
            let other = rng.random_range(at..users.len());
            users.swap(at, other);
        }
        users.truncate(MOST_CUSTOMERS);
        users.sort_unstable();
    }
    users
}

fn without_tails(train: &Dataset) -> Dataset {
    let cut = |history: &History| {
        let kept = history.len() - cases::tail_len(history.len());
        History {
            items: history.items[..kept].to_vec(),
            times: history.times[..kept.min(history.times.len())].to_vec(),
        }
    };
    Dataset {
        users: train.users.clone(),
        histories: train.histories.iter().map(cut).collect(),
        labelled: Vec::new(),
    }
}

/// Most customers that weights are fitted to.
pub const MOST_CUSTOMERS: usize = 4000;

/// Catalogues from here on are scored channel by channel on all cores.
const LARGE: usize = 20_000;

#[cfg(test)]
mod tests;
