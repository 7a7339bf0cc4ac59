//! Rules by which the updates of a round's shops become one where a few of them may lie ([`AggregationPlan`]).
//!
//! Every shop's update is brought to the mean of one customer: its lifted integers over s q w_k N_k, as it declared them. A rule
//! then goes over blocks of coordinates, so that memory does not grow with shops. Only `+ - * /`, the square root and
//! comparisons on f64, shops in the order of their names: IEEE 754 fixes every bit, and an auditor makes the same again.
//!
//! | rule | file |
//! |---|---|
//! | `mean` | the exact sum of integers, without any of this |
//! | `norm_bound` | [`norm_bound`] |
//! | `median`, `trimmed_mean` | [`trimmed_mean`] |
//! | `krum` | [`krum`] |

mod krum;
mod norm_bound;
mod parts;
#[cfg(test)]
mod tests;
mod trimmed_mean;

use souk_common::ids::ShopName;
use souk_common::plan::{AggregationPlan, Plan};
use souk_common::rng::normals;
use souk_common::update::{Grid, ModulusBits, UpdateValues};

use krum::Krum;
use norm_bound::NormBound;
pub use parts::{PartError, PartSource, StoredParts};
use trimmed_mean::TrimmedMean;

/// A rule at work on one round.
trait AggregationRule {
    /// Whether every coordinate has to be [looked at](Self::look) before one can be combined.
    fn looks_first(&self) -> bool {
        false
    }

    /// Sees the numbers of all shops at one coordinate; coordinates come in their order.
    fn look(&mut self, _: &[f64]) {}

    /// Draws its conclusions, once all were looked at.
    fn conclude(&mut self) {}

    /// What becomes of the numbers of all shops at one coordinate, after all were looked at. Their order is lost.
    fn combine(&self, values: &mut [f64]) -> f64;

    /// Standard deviation of the noise in what [`Self::combine`] gives, by those of the shops' numbers; before all were looked at,
    /// the most that it can be.
    fn noise(&self, stddevs: &[f64]) -> f64;
}

/// A shop as a rule takes it into account.
#[derive(Clone, Copy, Debug)]
struct ShopTerm {
    /// w_k N_k.
    weight: f64,
    /// Standard deviation of its noise in a coordinate of its mean.
    noise: f64,
}

/// What a rule makes of a round.
#[derive(Clone, Debug, PartialEq)]
pub struct Combined {
    /// The mean update of one customer. Shape: `[coordinates]`.
    pub mean: Vec<f64>,
    /// Standard deviation of the noise in a coordinate of it.
    pub noise_stddev: f64,
}

/// The rule of a plan for `coordinates` numbers of these shops; none for the mean.
fn rule_of(plan: &Plan, shops: &[ShopTerm], coordinates: usize) -> Option<Box<dyn AggregationRule>> {
    match plan.aggregation {
        AggregationPlan::Mean {} => None,
        AggregationPlan::NormBound { bound } => {
            let bound = bound * plan.privacy.clip_norm.get();
            Some(Box::new(NormBound::new(shops, bound, coordinates)))
        }
        AggregationPlan::Median {} => Some(Box::new(TrimmedMean::median(shops.len()))),
        AggregationPlan::TrimmedMean { trim } => Some(Box::new(TrimmedMean::new(shops.len(), trim))),
        AggregationPlan::Krum { liars } => Some(Box::new(Krum::new(shops.len(), liars))),
    }
}

/// What the plan's rule makes of these shops' updates; none for the mean. `accepted` are the shops, in any order.
///
/// # Errors
/// When a shop's update can't be had again, or is of another length.
pub fn combine(
    (plan, grid): (&Plan, &Grid),
    coordinates: usize,
    accepted: &[ShopName],
    parts: &dyn PartSource,
) -> Result<Option<Combined>, PartError> {
    combine_by((plan, grid), coordinates, accepted, parts, BLOCK_NUMBERS)
}

/// As [`combine`], with at most `block_numbers` numbers in memory.
fn combine_by(
    (plan, grid): (&Plan, &Grid),
    coordinates: usize,
    accepted: &[ShopName],
    parts: &dyn PartSource,
    block_numbers: usize,
) -> Result<Option<Combined>, PartError> {
    let mut shops: Vec<&ShopName> = accepted.iter().collect();
    shops.sort();
    let denominators: Vec<f64> = shops.iter().map(|shop| plan.denominator(grid, [*shop])).collect();
    let terms: Vec<ShopTerm> = denominators
        .iter()
        .map(|denominator| ShopTerm {
            weight: *denominator,
            // As NoiseVector::draw rounds it.
            noise: grid.noise_stddev.ceil() / denominator,
        })
        .collect();
    let Some(mut rule) = rule_of(plan, &terms, coordinates) else {
        return Ok(None);
    };
    // A round without shops publishes nothing; see `Aggregator::step`.
    if shops.is_empty() {
        return Ok(None);
    }
    let count = shops.len();
    let block = (block_numbers / count).clamp(1, coordinates.max(1));
    let mut values = vec![0.0; block * count];
    let mut each = |done: &mut dyn FnMut(&mut [f64])| -> Result<(), PartError> {
        for first in (0..coordinates).step_by(block) {
            let run = first..(first + block).min(coordinates);
            let numbers = &mut values[..run.len() * count];
            for (at, (shop, denominator)) in shops.iter().zip(&denominators).enumerate() {
                let integers = parts.read(shop, grid.bits, run.clone())?;
                let mut set = |coordinate: usize, lifted: f64| {
                    numbers[coordinate * count + at] = lifted / denominator;
                };
                match integers {
                    UpdateValues::B32(integers) => (0..)
                        .zip(integers)
                        .for_each(|(coordinate, value)| set(coordinate, f64::from(value.cast_signed()))),
                    UpdateValues::B64(integers) => (0..)
                        .zip(integers)
                        .for_each(|(coordinate, value)| set(coordinate, value.cast_signed() as f64)),
                }
            }
            numbers.chunks_exact_mut(count).for_each(&mut *done);
        }
        Ok(())
    };
    if rule.looks_first() {
        each(&mut |values| rule.look(values))?;
        rule.conclude();
    }
    let mut mean = Vec::with_capacity(coordinates);
    each(&mut |values| mean.push(rule.combine(values)))?;
    let stddevs: Vec<f64> = terms.iter().map(|shop| shop.noise).collect();
    Ok(Some(Combined {
        mean,
        noise_stddev: rule.noise(&stddevs),
    }))
}

/// The noise of what a plan's rule publishes of all its shops, over that of one shop's update; none for the mean.
pub fn noise_factor(plan: &Plan) -> Option<f64> {
    let terms = plan.shops.iter().map(|shop| {
        let weight = shop.weight.get() * shop.declared_users as f64;
        ShopTerm {
            weight,
            noise: weight.recip(),
        }
    });
    let terms: Vec<ShopTerm> = terms.collect();
    let rule = rule_of(plan, &terms, 0)?;
    let stddevs: Vec<f64> = terms.iter().map(|shop| shop.noise).collect();
    let all: f64 = terms.iter().map(|shop| shop.weight).sum();
    Some(rule.noise(&stddevs) * all)
}

impl Combined {
    /// The sum that is published for it: the mean, times what a sum of these shops would be divided by, on the grid.
    pub fn on_grid(&self, grid: &Grid, denominator: f64) -> UpdateValues {
        // What a modulus holds: beyond it a sum would come back with another sign.
        let most = 2f64.powi(grid.bits.bits() as i32 - 1);
        let integers = self.mean.iter().map(|mean| (mean * denominator).round());
        match grid.bits {
            ModulusBits::B32 => UpdateValues::B32(
                integers
                    .map(|value| (value.clamp(-most, most - 1.0) as i32).cast_unsigned())
                    .collect(),
            ),
            // Of the integers that f64 has, `as` takes the largest below 2^63.
            ModulusBits::B64 => UpdateValues::B64(
                integers
                    .map(|value| (value.clamp(-most, most) as i64).cast_unsigned())
                    .collect(),
            ),
        }
    }
}

/// The noise that a rule leaves in a coordinate in which the shops say the same but for their noise: the rule itself on noise
/// alone, [`DRAWS`] times, of a public seed. So the root of the mean square is within 3 % of it.
fn noise_by_trial(stddevs: &[f64], combine: impl Fn(&mut [f64]) -> f64) -> f64 {
    if stddevs.iter().all(|stddev| *stddev == 0.0) {
        return 0.0;
    }
    let draws = (MOST_NORMALS / stddevs.len()).clamp(LEAST_DRAWS, DRAWS);
    let numbers = normals(0, "noise of an aggregation rule", draws * stddevs.len());
    let mut values = vec![0.0; stddevs.len()];
    let squares: f64 = numbers
        .chunks_exact(stddevs.len())
        .map(|numbers| {
            for ((value, stddev), number) in values.iter_mut().zip(stddevs).zip(numbers) {
                *value = stddev * number;
            }
            let combined = combine(&mut values);
            combined * combined
        })
        .sum();
    (squares / draws as f64).sqrt()
}

/// Numbers of all shops that are looked at together: 16 MB.
const BLOCK_NUMBERS: usize = 2 << 20;
const DRAWS: usize = 4096;
const LEAST_DRAWS: usize = 1024;
/// 32 MB of them.
const MOST_NORMALS: usize = 4 << 20;
