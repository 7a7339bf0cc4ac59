//! The whole federation: coordinator, agents, masks and ledgers as in production, on virtual time.

use anyhow::Context;
use souk_client::training::training_update::TrainingCache;
use souk_common::dataset::Dataset;
use souk_common::learned::Learned;
use souk_common::update::UpdateValues;
use statrs::distribution::{ChiSquared, ContinuousCDF};

use super::findings::Finding;
use super::mechanism::{AuditedPlan, AuditedRound, signed};
use super::mutations::AuditMutation;
use super::statistics::normal_cdf;
use super::subject::Subject;
use crate::cluster::mutations::Mutation;
use crate::world::{Line, Members, Out, RoundLine, Watch, World};
use crate::{adversary, commands::storm};

/// Runs the plan once, whole, and takes all that is known off each release that it publishes: what is left must be the noise of all
/// shops, no less and nothing else. None for a plan that trains a model, whose sums are not published,
/// and where an aggregation rule stands in place of the sum.
///
/// # Errors
/// When the federation does not come to its end.
pub(crate) fn releases(
    subject: &Subject,
    plan: &AuditedPlan,
    significance: f64,
) -> anyhow::Result<Option<Vec<Finding>>> {
    if !subject.plan.is_of_releases() || !subject.plan.aggregation.is_mean() {
        return Ok(None);
    }
    let members = members(plan);
    let datasets: Vec<Dataset> = members.iter().map(|members| members.dataset.clone()).collect();
    let world = World::new(
        &subject.plan,
        &subject.known.catalogue,
        members,
        Line::default(),
        subject.seed,
    )?;
    let mut published = Published::new(|_| true);
    world.run_watched(&mut published)?;
    let mut before = plan.initial();
    let mut findings = Vec::new();
    for (number, learned) in published.versions {
        let round = plan.round(&before, number)?;
        if subject.plan.release_at(number).is_some() {
            let Learned::Releases(releases) = &learned else {
                continue;
            };
            let last = releases.last.as_ref().context("a release was published")?;
            findings.extend(left_over(
                plan,
                &round,
                &datasets,
                &last.sum.values,
                significance,
            )?);
        }
        before = learned;
    }
    Ok(Some(findings))
}

/// What a federation published, after the rounds that are wanted.
pub(super) struct Published<F> {
    /// Rounds and what was out after them.
    pub(super) versions: Vec<(u64, Learned)>,
    is_wanted: F,
}

impl<F: Fn(u64) -> bool> Published<F> {
    /// Nothing yet.
    pub(super) fn new(is_wanted: F) -> Self {
        Self {
            versions: Vec::new(),
            is_wanted,
        }
    }
}

impl<F: Fn(u64) -> bool> Watch for Published<F> {
    fn ended(&mut self, line: RoundLine, out: Option<&Out>) -> anyhow::Result<()> {
        if let Some(out) = out.filter(|_| (self.is_wanted)(line.round)) {
            let learned = match out {
                Out::Releases(learned) => (**learned).clone(),
                Out::Model { params, .. } => Learned::Model(params.to_vec()),
            };
            self.versions.push((line.round, learned));
        }
        Ok(())
    }
}

fn members(plan: &AuditedPlan) -> Vec<Members> {
    plan.shops()
        .iter()
        .map(|shop| Members {
            name: shop.terms.name.clone(),
            dataset: shop.dataset.clone(),
            forbidden: Vec::new(),
        })
        .collect()
}

/// Of a published sum, less all shops' integers.
fn left_over(
    plan: &AuditedPlan,
    round: &AuditedRound,
    datasets: &[Dataset],
    published: &UpdateValues,
    significance: f64,
) -> anyhow::Result<Vec<Finding>> {
    let mut known = vec![0i64; round.coordinates];
    for (shop, dataset) in datasets.iter().enumerate() {
        let source = &mut plan.stream("not used: everybody is in a release");
        let (values, _) = plan.bare(round, shop, dataset, &mut TrainingCache::default(), source)?;
        for (sum, value) in known.iter_mut().zip(signed(&values)) {
            *sum = sum.wrapping_add(value);
        }
    }
    // Everything is far from half the modulus, where lifting would matter.
    let left: Vec<f64> = signed(published)
        .iter()
        .zip(&known)
        .map(|(sum, known)| sum.wrapping_sub(*known) as f64)
        .collect();
    let shops = datasets.len() as f64;
    let stddev = round.grid.noise_stddev.ceil() * shops.sqrt();
    if stddev == 0.0 {
        return Ok(vec![Finding {
            name: format!("whole federation: {}", round.name),
            ok: left.iter().all(|value| *value == 0.0),
            detail: "without noise the published sum is what the customers add, bit for bit".to_owned(),
        }]);
    }
    let count = left.len() as f64;
    let squares: f64 = left.iter().map(|value| (value / stddev).powi(2)).sum();
    let below = ChiSquared::new(count).map_or(0.0, |chi_squared| chi_squared.cdf(squares));
    let variance = 2.0 * below.min(1.0 - below);
    // Whether anything of the customers is left, more or less than once.
    let length = known
        .iter()
        .map(|value| (*value as f64).powi(2))
        .sum::<f64>()
        .sqrt();
    let along: f64 = left
        .iter()
        .zip(&known)
        .map(|(left, known)| left * *known as f64)
        .sum();
    let along = along / (length.max(1.0) * stddev);
    let of_customers = 2.0 * normal_cdf(-along.abs());
    let level = significance / 2.0;
    Ok(vec![Finding {
        name: format!("whole federation: {}", round.name),
        ok: variance >= level && of_customers >= level,
        detail: format!(
            "what the federation published, by coordinator and shops as in production{}, less what all customers add: noise of standard \
             deviation {:.4} of {} shops' (probability {variance:.2e}), {along:.2} standard errors along the customers' own sum \
             (probability {of_customers:.2e})",
            match plan.plan().masking {
                Some(_) => ", under masks",
                None => "",
            },
            (squares / count).sqrt(),
            datasets.len(),
        ),
    }])
}

/// Whether a spend is on disk before its update leaves, whatever crashes when.
///
/// # Errors
/// When a federation can't be set up.
pub(crate) fn ledger(
    mutation: Option<AuditMutation>,
    federations: u64,
    seed: u64,
) -> anyhow::Result<Finding> {
    let plant = (mutation == Some(AuditMutation::ChargedAfterSending)).then_some(Mutation::SpendAfterSend);
    let failures = storm::failures(federations, 10, 1 + seed, plant)?;
    Ok(Finding {
        name: "every update that left is in its shop's ledger".to_owned(),
        ok: failures.is_empty(),
        detail: match failures.first() {
            None => format!(
                "{federations} federations with crashes, power cuts and failing disks: no spend was lost, none was counted short"
            ),
            Some(first) => format!("in {federations} federations: {first}"),
        },
    })
}

/// Whether a lying coordinator can compute a sum of fewer shops than the guarantee says.
pub(crate) fn masks(mutation: Option<AuditMutation>, seed: u64) -> Finding {
    let (cases, attack) = adversary::attacks(mutation == Some(AuditMutation::OldMaskRules), seed);
    Finding {
        name: "no sum of too few shops can be unmasked".to_owned(),
        ok: attack.is_none(),
        detail: match attack {
            None => format!(
                "{cases} attempts of a coordinator that shows shops different lists: none gives it such a sum"
            ),
            Some(attempts) => format!(
                "{cases} attempts of a coordinator that shows shops different lists; it succeeds with {attempts}"
            ),
        },
    }
}
