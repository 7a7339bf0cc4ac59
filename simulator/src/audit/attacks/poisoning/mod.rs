//! Poisoning: fake customers of one shop, or a shop that sends what it likes, push an item that few have into the lists of the
//! other shops' customers.
//!
//! | module | what |
//! |---|---|
//! | [`fakes`] | four ways to make customers up |
//! | [`defence`] | the plan as it is, and aggregation rules in place of its sum |
//! | [`federation`] | a run with them |
//! | [`lists`] | who sees the item among the first ten |

mod defence;
mod fakes;
mod federation;
mod lists;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use anyhow::ensure;
use rand::seq::IndexedRandom;
use rayon::prelude::*;
use souk_common::dataset::Dataset;
use souk_common::learned::Learner;
use souk_common::plan::Plan;
use souk_common::rng::stream;

use crate::audit::subject::Effort;
use crate::data::known::Known;
use crate::data::plans::names;
use crate::world::members_of;
pub(crate) use defence::Defence;
pub(crate) use fakes::PoisoningAttack;
use fakes::{Public, owners};
use federation::Federation;
use lists::Lists;

/// What is attacked: a plan, and the data set whose shops it names, in its order.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PoisoningSubject<'a> {
    /// The plan.
    pub(crate) plan: &'a Plan,
    /// The data set.
    pub(crate) known: &'a Known,
}

/// What the attacker can do.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(crate) enum Power {
    /// Fake records in the files of one shop, which is honest: they pass its clip and its noise like all others.
    Records,
    /// One shop sends what it likes in place of its update: here what its fakes would add, without noise, as many times as a
    /// quarter of the modulus holds.
    Vector,
}

impl Power {
    /// For people.
    pub(crate) fn in_words(self) -> &'static str {
        match self {
            Self::Records => "fake customers in one shop's records",
            Self::Vector => "a shop that sends what it likes",
        }
    }
}

/// How well one attack went against one defence, by one channel.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Exposure {
    /// How the fake customers are made.
    pub(crate) attack: PoisoningAttack,
    /// What the attacker can do.
    pub(crate) power: Power,
    /// How shops' updates become one.
    pub(crate) rule: Defence,
    /// Fake customers, as a share of all customers.
    pub(crate) fakes: f64,
    /// The channel whose lists of ten were looked at; `model` of a plan that trains one without releases.
    pub(crate) list: String,
    /// Share of the other shops' customers without the target who have it among their ten, without the attack; under the same
    /// rule and noise.
    pub(crate) exposure_before: f64,
    /// The same, with it: the mean over the targets.
    pub(crate) exposure_after: f64,
    /// Lower end of its 95 % interval (Student's t over the targets, each with a seed of its own).
    pub(crate) low: f64,
    /// Upper end.
    pub(crate) high: f64,
    /// How many targets.
    pub(crate) targets: usize,
}

/// Poisons a plan in every way, and finds how far each goes. Rules that the plan has too few shops for are left out. A short run
/// looks at the releases of a plan of releases, and not at what is trained behind them; of a plan that trains a model from nothing the
/// first [`model_rounds`] are carried out.
///
/// # Errors
/// When the plan names other shops than the data set has, or one of them does not fit the other.
pub(crate) fn run(
    subject: &PoisoningSubject<'_>,
    effort: Effort,
    seed: u64,
) -> anyhow::Result<Vec<Exposure>> {
    let PoisoningSubject { plan, known } = *subject;
    ensure!(
        plan.shops.len() == known.shops && known.shops > 1,
        "the plan names {} shops, the data set has {}; poisoning takes the same number, two or more",
        plan.shops.len(),
        known.shops
    );
    let defences: Vec<(Defence, Plan, usize)> = Defence::ALL
        .into_iter()
        .filter_map(|defence| {
            let (plan, groups) = defence.on(plan).ok()?;
            Some((defence, plan, groups))
        })
        .collect();
    let items = known.catalogue.len();
    let public = Public::of(&known.dataset, items, seed);
    let targets = targets(&known.dataset, items, effort.pick(2, 10), seed);
    let shares = effort.pick(&SHARES[1..], &SHARES[..]);
    // Against a vector that only the modulus limits, how it was made up matters little.
    let by_vector = effort.pick(&[PoisoningAttack::Pip][..], &PoisoningAttack::ALL[..]);
    let mut jobs = Vec::new();
    for (at, target) in targets.iter().enumerate() {
        for (defence, of_rule, groups) in &defences {
            let job = |what| Job {
                what,
                at,
                target: *target,
                defence: *defence,
                plan: of_rule,
                groups: *groups,
            };
            jobs.push(job(None));
            for share in shares {
                let by_records = PoisoningAttack::ALL.map(|attack| (attack, Power::Records, *share));
                jobs.extend(by_records.map(|what| job(Some(what))));
                let by_vector = by_vector.iter().map(|attack| (*attack, Power::Vector, *share));
                jobs.extend(by_vector.map(|what| job(Some(what))));
            }
        }
    }
    let honest: Vec<usize> = (0..known.shop_of.len())
        .filter(|user| known.shop_of[*user] != ATTACKED)
        .collect();
    let honest = known.dataset.subset(&honest);
    let found = jobs
        .par_iter()
        .map(|job| job.exposures(known, &public, &honest, effort, seed))
        .collect::<anyhow::Result<Vec<_>>>()?;
    Ok(findings(&jobs, &found))
}

/// Rounds of a plan that trains a model from nothing that are carried out, at most: each attack on each rule is a run of its own.
pub(crate) fn model_rounds(effort: Effort) -> u64 {
    effort.pick(5, 30)
}

/// One run of a federation.
struct Job<'a> {
    /// None: nobody attacks.
    what: Option<(PoisoningAttack, Power, f64)>,
    /// Number of the target.
    at: usize,
    target: u32,
    defence: Defence,
    plan: &'a Plan,
    groups: usize,
}

impl Job<'_> {
    /// By channel.
    fn exposures(
        &self,
        known: &Known,
        public: &Public,
        honest: &Dataset,
        effort: Effort,
        seed: u64,
    ) -> anyhow::Result<BTreeMap<String, f64>> {
        let seed = seed.wrapping_add(self.at as u64);
        let fakes = self.what.map(|(attack, _, share)| {
            let count = (share * known.dataset.len() as f64).round().max(1.0);
            public.fakes(attack, self.target, count as usize, seed)
        });
        let (mut dataset, mut shop_of) = (known.dataset.clone(), known.shop_of.clone());
        dataset.labelled.clear();
        let power = self.what.map(|(_, power, _)| power);
        if let Some(fakes) = fakes.as_ref().filter(|_| power == Some(Power::Records)) {
            shop_of.extend(fakes.users.iter().map(|_| ATTACKED));
            dataset.users.extend(fakes.users.iter().cloned());
            dataset.histories.extend(fakes.histories.iter().cloned());
        }
        let members = members_of(&dataset, &[], &shop_of, &names(self.plan));
        let federation = Federation {
            plan: self.plan,
            groups: self.groups,
            catalogue: &known.catalogue,
            members: &members,
            liar: fakes
                .as_ref()
                .filter(|_| power == Some(Power::Vector))
                .map(|fakes| (ATTACKED, fakes)),
            rounds: match self.plan.is_of_releases() {
                true => effort.pick(self.plan.release.len() as u64, self.plan.rounds),
                false => self.plan.rounds.min(model_rounds(effort)),
            },
            seed,
        };
        let learner = Learner::new(self.plan, &known.catalogue);
        let lists = Lists::of(&learner, &federation.run()?, &known.catalogue, honest)?;
        let by_name = lists
            .into_iter()
            .map(|lists| (lists.name.clone(), lists.exposure(self.target, honest)));
        Ok(by_name.collect())
    }
}

/// Means over the targets, in the order of the jobs.
fn findings(jobs: &[Job<'_>], found: &[BTreeMap<String, f64>]) -> Vec<Exposure> {
    let mut findings: Vec<Exposure> = Vec::new();
    for job in jobs.iter().filter(|job| job.at == 0) {
        let Some((attack, power, fakes)) = job.what else {
            continue;
        };
        let of = |what: Option<(PoisoningAttack, Power, f64)>, list: &str| -> Vec<f64> {
            let same = jobs
                .iter()
                .zip(found)
                .filter(|(other, _)| other.defence == job.defence && other.what == what);
            same.filter_map(|(_, exposures)| exposures.get(list).copied())
                .collect()
        };
        let lists = jobs
            .iter()
            .zip(found)
            .find(|(other, _)| std::ptr::eq(*other, job));
        for list in lists.into_iter().flat_map(|(_, exposures)| exposures.keys()) {
            let (before, after) = (of(None, list), of(job.what, list));
            let (exposure_after, low, high) = interval(&after);
            findings.push(Exposure {
                attack,
                power,
                rule: job.defence,
                fakes,
                list: list.clone(),
                exposure_before: interval(&before).0,
                exposure_after,
                low,
                high,
                targets: after.len(),
            });
        }
    }
    findings
}

/// Items that some have, but few: of the half that fewer have, at random.
fn targets(dataset: &Dataset, items: usize, count: usize, seed: u64) -> Vec<u32> {
    let owners = owners(dataset, items);
    let mut had: Vec<u32> = (0..items as u32)
        .filter(|item| owners[*item as usize] > 0)
        .collect();
    had.sort_by_key(|item| (owners[*item as usize], *item));
    had.truncate(had.len().div_ceil(2));
    let mut rng = stream(seed, "poisoned items");
    had.sample(&mut rng, count).copied().collect()
}

/// The mean of shares, and its 95 % interval; of one share alone the interval is everything.
fn interval(values: &[f64]) -> (f64, f64, f64) {
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count.max(1.0);
    let Some(quantile) = values
        .len()
        .checked_sub(2)
        .map(|at| STUDENT.get(at).copied().unwrap_or(1.96))
    else {
        return (mean, 0.0, 1.0);
    };
    let variance = values
        .iter()
        .map(|value| (value - mean) * (value - mean))
        .sum::<f64>()
        / (count - 1.0);
    let half = quantile * (variance / count).sqrt();
    (mean, (mean - half).max(0.0), (mean + half).min(1.0))
}

/// Of all customers.
const SHARES: [f64; 2] = [0.01, 0.05];
/// The shop with the fakes: the first, which is the largest.
const ATTACKED: usize = 0;
/// Quantile .975 of Student's t with 1, 2, ... degrees of freedom.
const STUDENT: [f64; 9] = [12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262];
