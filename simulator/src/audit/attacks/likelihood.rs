//! Which of two customers a shop has, told by the likelihood ratio of what is seen: the adversary knows all others, both
//! customers' records, and the mechanism. No test is more powerful (Neyman and Pearson 1933).

use anyhow::ensure;
use rayon::prelude::*;
use souk_common::dataset::Dataset;
use souk_common::rng::stream;

use super::observed_round::ObservedRound;
use super::statistics::{Estimate, quantile};

/// Two shops that differ in one customer.
pub(super) struct Hypotheses {
    /// Place of the shop in the plan.
    pub(super) shop: usize,
    /// Its customer, alone: what others add is known, and taken off.
    pub(super) with: Dataset,
    /// The other one, or nobody.
    pub(super) without: Dataset,
}

/// Standard deviations by which what is seen is nearer to the one than to the other; without the customer it is standard normal.
pub(super) struct Scores {
    inside: Vec<Score>,
    outside: Vec<Score>,
}

#[derive(Clone, Copy)]
struct Score {
    score: f64,
    /// Mean with the customer.
    apart: f64,
}

/// Scores of `trials` with and as many without, over all rounds together. Each has the same without noise beside it. The
/// noise is that of `noisy` shops.
///
/// # Errors
/// When nothing of any customer is in any round, or a shop can't make its update.
pub(super) fn compare(
    rounds: &[(ObservedRound, ObservedRound)],
    hypotheses: &[Hypotheses],
    (trials, noisy): (usize, usize),
    (seed, name): (u64, &str),
) -> anyhow::Result<Scores> {
    let known: Vec<Known> = hypotheses
        .par_iter()
        .map(|hypothesis| Known::of(rounds, hypothesis, noisy))
        .collect::<anyhow::Result<_>>()?;
    let told: Vec<(&Hypotheses, &Known)> = hypotheses
        .iter()
        .zip(&known)
        .filter(|(_, known)| known.apart > 0.0)
        .collect();
    ensure!(!told.is_empty(), "no customer adds anything to these rounds");
    // Without noise every trial of a customer is the same.
    let is_quiet = rounds
        .iter()
        .all(|(observed, _)| observed.noise_of_a_shop() == 0.0);
    let trials = if is_quiet { trials.min(MOST_QUIET) } else { trials };
    let run = |inside: bool| -> anyhow::Result<Vec<Score>> {
        (0..trials)
            .into_par_iter()
            .map(|trial| {
                let (hypothesis, known) = told[trial % told.len()];
                let dataset = if inside {
                    &hypothesis.with
                } else {
                    &hypothesis.without
                };
                let mut source = stream(seed, &format!("{name} {inside} {trial}"));
                let mut score = 0.0;
                for ((observed, _), round) in rounds.iter().zip(&known.rounds) {
                    let seen = observed.shop(hypothesis.shop, dataset, &mut source)?;
                    score += round.score(&seen);
                    for _ in 1..noisy {
                        let noise = observed.shop(hypothesis.shop, &Dataset::default(), &mut source)?;
                        score += round.of_noise(&noise);
                    }
                }
                Ok(Score {
                    score: score / known.apart,
                    apart: known.apart,
                })
            })
            .collect()
    };
    Ok(Scores {
        inside: run(true)?,
        outside: run(false)?,
    })
}

impl Scores {
    /// Area under the curve.
    pub(super) fn area(&self) -> Estimate {
        let plain = |scores: &[Score]| -> Vec<f64> { scores.iter().map(|one| one.score).collect() };
        Estimate::area(&plain(&self.inside), &plain(&self.outside))
    }

    /// True positive rate less false positive rate where both are equally likely.
    pub(super) fn advantage(&self) -> Estimate {
        let told = |scores: &[Score]| count(scores, |one| one.apart / 2.0);
        Estimate::advantage(told(&self.inside), told(&self.outside))
    }

    /// True positive rate at the threshold that one without in a hundred is above; where there is no noise, any between the two.
    pub(super) fn hits_at_one_percent(&self) -> Estimate {
        let has_noise = self.outside.iter().any(|other| other.score != 0.0);
        let threshold = |one: &Score| {
            if has_noise {
                quantile(0.99)
            } else {
                one.apart / 2.0
            }
        };
        let (hits, trials) = count(&self.inside, threshold);
        Estimate::proportion(hits, trials)
    }
}

fn count(scores: &[Score], threshold: impl Fn(&Score) -> f64) -> (u64, u64) {
    let above = scores.iter().filter(|one| one.score > threshold(one)).count();
    (above as u64, scores.len() as u64)
}

/// What the adversary knows before it looks.
struct Known {
    rounds: Vec<Round>,
    /// In standard deviations of the noise.
    apart: f64,
}

struct Round {
    without: Vec<f64>,
    /// With less without, over the variance of the noise.
    weights: Vec<f64>,
}

impl Known {
    fn of(
        rounds: &[(ObservedRound, ObservedRound)],
        hypothesis: &Hypotheses,
        noisy: usize,
    ) -> anyhow::Result<Self> {
        let mut squares = 0.0;
        let mut known = Vec::with_capacity(rounds.len());
        for (observed, quiet) in rounds {
            // Draws of items depend on the customer's own stream: any one will do, as the adversary can't know it either.
            let bare = |dataset| {
                quiet.shop(
                    hypothesis.shop,
                    dataset,
                    &mut stream(0, "what the adversary expects"),
                )
            };
            let (with, without) = (bare(&hypothesis.with)?, bare(&hypothesis.without)?);
            let variance = match observed.noise_of_a_shop() {
                0.0 => 1.0,
                stddev => stddev * stddev * noisy as f64,
            };
            let apart: Vec<f64> = with
                .iter()
                .zip(&without)
                .map(|(with, without)| with - without)
                .collect();
            squares += apart.iter().map(|value| value * value).sum::<f64>() / variance;
            known.push(Round {
                without,
                weights: apart.iter().map(|value| value / variance).collect(),
            });
        }
        Ok(Self {
            rounds: known,
            apart: squares.sqrt(),
        })
    }
}

impl Round {
    fn score(&self, seen: &[f64]) -> f64 {
        let terms = self.weights.iter().zip(seen).zip(&self.without);
        terms
            .map(|((weight, seen), without)| weight * (seen - without))
            .sum()
    }

    fn of_noise(&self, noise: &[f64]) -> f64 {
        self.weights
            .iter()
            .zip(noise)
            .map(|(weight, noise)| weight * noise)
            .sum()
    }
}

/// Trials without noise.
const MOST_QUIET: usize = 100;
