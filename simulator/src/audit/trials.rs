//! Trials: an attempt at every round of a plan, with fresh noise, with a canary and without it, and what an adversary scores.
//!
//! The adversary is the strongest one of the guarantee: it knows all other customers, of a masked plan it takes the t colluding
//! shops' noise off the sum of n_min, and it weighs the rounds by what they tell (Neyman, Pearson). A score is the likelihood
//! ratio of normal distributions, so that of a right mechanism it is normal around 0 without the canary, around mu with it.

use anyhow::Context;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use souk_client::training::training_update::TrainingCache;
use souk_common::accountant::{Composition, SampledGaussian};
use souk_common::params::{Delta, SamplingRate};
use souk_common::update::UpdateValues;
use souk_coordinator::aggregate::Accumulator;

use super::canaries::{CanaryKind, canary, without};
use super::mechanism::{AuditedRound, add, reduced};
use super::mutations::{Mechanism, summed};

/// A canary in some rounds of a plan.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub(crate) struct Target {
    /// The round, the phase, or `all rounds`.
    pub(crate) of: String,
    /// [`CanaryKind::name`].
    pub(crate) canary: String,
    /// What the accountant states of these rounds at the plan's delta, for a customer who is drawn for certain; none without
    /// privacy.
    pub(crate) upper: Option<f64>,
}

/// All that trials need.
pub(crate) struct Trials<'a> {
    mechanism: &'a Mechanism<'a>,
    rounds: Vec<PreparedRound<'a>>,
    targets: Vec<PreparedTarget>,
    left_out: Vec<String>,
}

struct PreparedRound<'a> {
    round: &'a AuditedRound,
    /// Of all shops, without any canary.
    base: UpdateValues,
    /// What canaries add.
    vectors: Vec<(CanaryKind, UpdateValues, Vec<f64>)>,
    stddev: f64,
}

struct PreparedTarget {
    target: Target,
    /// Places in the rounds and in their vectors, and the weight of the score there.
    parts: Vec<(usize, usize, f64)>,
}

impl<'a> Trials<'a> {
    /// For canaries of these kinds in the shop of place `shop`.
    ///
    /// # Errors
    /// When a round can't be carried out.
    pub(crate) fn new(
        mechanism: &'a Mechanism<'a>,
        rounds: &'a [AuditedRound],
        shop: usize,
        kinds: &[CanaryKind],
    ) -> anyhow::Result<Self> {
        let plan = mechanism.plan;
        let mut caches: Vec<TrainingCache> = plan.shops().iter().map(|_| TrainingCache::default()).collect();
        let (mut prepared, mut left_out) = (Vec::new(), Vec::new());
        for round in rounds {
            // The customer of its kind is real, and absent from the base; all others are added to it.
            let customer = canary(plan, round, shop, CanaryKind::Customer)?;
            let mut parts = Vec::new();
            for (at, of) in plan.shops().iter().enumerate() {
                let dataset = match at == shop && kinds.contains(&CanaryKind::Customer) {
                    true => &without(&of.dataset, &customer),
                    false => &of.dataset,
                };
                let source = &mut plan.stream(&format!("others in {}, {at}", round.name));
                parts.push(mechanism.shop_sum(round, at, dataset, &mut caches[at], source)?);
            }
            let mut vectors = Vec::new();
            for kind in kinds {
                let who = canary(plan, round, shop, *kind)?;
                let vector = mechanism.vector(round, shop, &who)?;
                if vector.iter().any(|value| *value != 0) {
                    let values = vector.iter().map(|value| *value as f64).collect();
                    vectors.push((*kind, reduced(&vector, &round.grid), values));
                } else {
                    left_out.push(format!(
                        "the canary `{}` in {}: it adds nothing to that round",
                        kind.name(),
                        round.name
                    ));
                }
            }
            prepared.push(PreparedRound {
                base: summed(&parts, &round.grid),
                vectors,
                // Without noise one grid unit stands for it: whatever is there is found.
                stddev: round.charged_stddev().max(1.0),
                round,
            });
        }
        let targets = targets(&prepared, plan.plan().privacy.delta)?;
        Ok(Self {
            mechanism,
            rounds: prepared,
            targets,
            left_out,
        })
    }

    /// Canaries that add nothing to a round, so that nothing of them was tried there.
    pub(crate) fn left_out(&self) -> impl Iterator<Item = &str> {
        self.left_out.iter().map(String::as_str)
    }

    /// What is looked at.
    pub(crate) fn targets(&self) -> impl Iterator<Item = &Target> {
        self.targets.iter().map(|prepared| &prepared.target)
    }

    /// Scores of one trial, one a target.
    ///
    /// # Errors
    /// When an update does not fit the sum.
    pub(crate) fn scores(&self, trial: u64, present: bool) -> anyhow::Result<Vec<f64>> {
        let parts: Vec<Vec<f64>> = self
            .rounds
            .iter()
            .map(|round| self.parts(round, trial, present))
            .collect::<anyhow::Result<_>>()?;
        let score = |target: &PreparedTarget| {
            let parts = target
                .parts
                .iter()
                .map(|(round, vector, weight)| weight * parts[*round][*vector]);
            parts.sum()
        };
        Ok(self.targets.iter().map(score).collect())
    }

    /// Of each vector of a round, its projection on what is left of the published sum when all that is known is taken off.
    fn parts(&self, round: &PreparedRound<'_>, trial: u64, present: bool) -> anyhow::Result<Vec<f64>> {
        let of = round.round;
        let mut sum = Accumulator::new(of.grid.bits, of.coordinates);
        add(&mut sum, &round.base)?;
        // Other attempts than those without the canary.
        let attempt = 2 * trial + u64::from(present);
        for share in 0..of.shares() {
            add(&mut sum, &self.mechanism.noise(of, attempt, share))?;
        }
        let published = sum.values();
        let projections = round.vectors.iter().map(|(_, integers, vector)| {
            let left = less(&published, &round.base, present.then_some(integers));
            let length = vector.iter().map(|value| value * value).sum::<f64>().sqrt();
            let dot: f64 = left.zip(vector).map(|(value, along)| value * along).sum();
            dot / (length * round.stddev)
        });
        Ok(projections.collect())
    }

    /// Scores of trials `first` to below `last`, in their order; a row a trial.
    ///
    /// # Errors
    /// As [`Self::scores`].
    pub(crate) fn range(&self, first: u64, last: u64, present: bool) -> anyhow::Result<Vec<Vec<f64>>> {
        (first..last)
            .into_par_iter()
            .map(|trial| self.scores(trial, present))
            .collect()
    }
}

/// `published`, with `more`, less `base`, modulo 2^b: the integers nearest zero.
fn less<'a>(
    published: &'a UpdateValues,
    base: &'a UpdateValues,
    more: Option<&'a UpdateValues>,
) -> Box<dyn Iterator<Item = f64> + 'a> {
    match (published, base, more) {
        (UpdateValues::B32(published), UpdateValues::B32(base), more) => {
            let more = match more {
                Some(UpdateValues::B32(more)) => Some(more),
                _ => None,
            };
            Box::new(
                published
                    .iter()
                    .zip(base)
                    .enumerate()
                    .map(move |(at, (published, base))| {
                        let more = more.map_or(0, |more| more[at]);
                        f64::from(published.wrapping_add(more).wrapping_sub(*base).cast_signed())
                    }),
            )
        }
        (UpdateValues::B64(published), UpdateValues::B64(base), more) => {
            let more = match more {
                Some(UpdateValues::B64(more)) => Some(more),
                _ => None,
            };
            Box::new(
                published
                    .iter()
                    .zip(base)
                    .enumerate()
                    .map(move |(at, (published, base))| {
                        let more = more.map_or(0, |more| more[at]);
                        published.wrapping_add(more).wrapping_sub(*base).cast_signed() as f64
                    }),
            )
        }
        // All of one grid.
        _ => Box::new(std::iter::empty()),
    }
}

/// Each release by each canary, each phase of training, and all rounds together.
fn targets(rounds: &[PreparedRound<'_>], delta: Delta) -> anyhow::Result<Vec<PreparedTarget>> {
    let phase = |round: &PreparedRound<'_>| {
        let name = &round.round.name;
        name.trim_end_matches(|letter: char| letter.is_ascii_digit() || letter == ' ')
            .to_owned()
    };
    let mut groups: Vec<(String, Vec<usize>)> = Vec::new();
    for (at, round) in rounds.iter().enumerate() {
        match groups.iter_mut().find(|(name, _)| *name == phase(round)) {
            Some((_, members)) => members.push(at),
            None => groups.push((phase(round), vec![at])),
        }
    }
    if groups.len() > 1 {
        groups.push(("all rounds".to_owned(), (0..rounds.len()).collect()));
    }
    let mut targets = Vec::new();
    for (of, members) in groups {
        for kind in CanaryKind::ALL {
            let parts: Vec<(usize, usize, f64)> = members
                .iter()
                .filter_map(|at| {
                    let vectors = &rounds[*at].vectors;
                    let vector = vectors.iter().position(|(of, ..)| *of == kind)?;
                    let length = vectors[vector]
                        .2
                        .iter()
                        .map(|value| value * value)
                        .sum::<f64>()
                        .sqrt();
                    Some((*at, vector, length / rounds[*at].stddev))
                })
                .collect();
            let together = parts.iter().map(|part| part.2 * part.2).sum::<f64>().sqrt();
            if parts.is_empty() {
                continue;
            }
            let charged: Vec<_> = members.iter().map(|at| rounds[*at].round.charged()).collect();
            let upper = match charged.into_iter().collect::<Option<Vec<_>>>() {
                None => None,
                Some(charged) => {
                    let mut composition = Composition::default();
                    for noise_multiplier in charged {
                        let certain = SampledGaussian {
                            noise_multiplier,
                            sampling_rate: SamplingRate::new(1.0).context("a rate of 1 is one")?,
                        };
                        composition.add(certain, 1);
                    }
                    composition.epsilon(delta).map(|epsilon| epsilon.get())
                }
            };
            targets.push(PreparedTarget {
                target: Target {
                    of: of.clone(),
                    canary: kind.name().to_owned(),
                    upper,
                },
                parts: parts
                    .into_iter()
                    .map(|(round, vector, weight)| (round, vector, weight / together))
                    .collect(),
            });
        }
    }
    Ok(targets)
}

/// What is left of one attempt at a round when all customers are taken off: its noise, signed.
pub(crate) fn residual(
    mechanism: &Mechanism<'_>,
    round: &AuditedRound,
    base: &UpdateValues,
    attempt: u64,
) -> anyhow::Result<Vec<f64>> {
    let mut sum = Accumulator::new(round.grid.bits, round.coordinates);
    add(&mut sum, base)?;
    for share in 0..round.shares() {
        add(&mut sum, &mechanism.noise(round, attempt, share))?;
    }
    Ok(less(&sum.values(), base, None).collect())
}
