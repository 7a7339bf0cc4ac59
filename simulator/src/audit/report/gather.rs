//! A report from what was audited and what was found.

use std::collections::BTreeMap;

use anyhow::{Context, ensure};
use souk_common::accountant::{Composition, RELATION, SampledGaussian, UNIT, gaussian};
use souk_common::params::{Delta, Epsilon, NoiseMultiplier};
use souk_common::plan::{Placement, Plan, RoundKind};
use souk_common::privacy::{FailureCourse, PlannedSpend, ReleaseBudget};
use souk_common::training::phases::TrainingKind;

use super::model::{
    AuditFindings, FORMAT, FailureFacts, MechanismFacts, PhaseFacts, PrivacyFacts, Provenance, Report,
    ShopFacts, SubjectFacts,
};
use super::{front, observers, risks};
use crate::audit::subject::Subject;

impl Report {
    /// The report on `subject`.
    ///
    /// # Errors
    /// When the plan's schedule has nothing left for a round, or a figure is no number.
    pub(crate) fn new(
        subject: &Subject,
        findings: AuditFindings,
        provenance: Provenance,
    ) -> anyhow::Result<Self> {
        let provenance = Provenance {
            command: without_folders(&provenance.command),
            ..provenance
        };
        let plan = &subject.plan;
        let about = subject_facts(subject);
        let privacy = privacy(plan)?;
        let mechanism = mechanism(plan);
        let report = Self {
            format: FORMAT,
            front: front::front(privacy.as_ref(), &mechanism, &findings),
            risks: risks::of(plan, privacy.as_ref(), &findings),
            plan: serde_json::to_value(plan)?,
            observers: observers::of(plan),
            subject: about,
            privacy,
            mechanism,
            findings,
            provenance,
        };
        // JSON has no infinity: what is written must be what was found.
        let again: Self = serde_json::from_value(serde_json::to_value(&report)?)
            .context("a figure of the findings is infinite or no number, and can't be reported")?;
        ensure!(
            again == report,
            "a figure of the findings does not survive being written"
        );
        Ok(report)
    }
}

fn subject_facts(subject: &Subject) -> SubjectFacts {
    let (plan, known) = (&subject.plan, &subject.known);
    let shops = plan.shops.iter().map(|terms| ShopFacts {
        name: terms.name.to_string(),
        declared_users: terms.declared_users,
    });
    SubjectFacts {
        plan: plan.name.clone(),
        task: plan.task.name().to_owned(),
        data_set: known.name.to_owned(),
        customers: known.dataset.len() as u64,
        items: known.catalogue.len() as u64,
        interactions: known
            .dataset
            .histories
            .iter()
            .map(|history| history.len() as u64)
            .sum(),
        shops: shops.collect(),
        rounds: plan.rounds,
        effort: subject.effort,
    }
}

/// What the accountant states; none without noise.
fn privacy(plan: &Plan) -> anyhow::Result<Option<PrivacyFacts>> {
    let Some(spend) = PlannedSpend::of(plan) else {
        return Ok(None);
    };
    let budget = ReleaseBudget::of(plan)?;
    let sampling_rate = plan.privacy.sampling_rate.get();
    let epsilon = spend.epsilon.map(Epsilon::get);
    let rounds = if plan.is_of_releases() { 1 } else { plan.rounds };
    let mu = (rounds as f64).sqrt() / spend.noise_multiplier.get();
    let phases = match &budget {
        Some(budget) => budget
            .courses
            .first()
            .map_or_else(Vec::new, |course| phases_of_releases(plan, course, spend.delta)),
        None => vec![phase_of_training(plan, &spend)],
    };
    Ok(Some(PrivacyFacts {
        unit: UNIT.to_owned(),
        relation: RELATION.to_owned(),
        delta: spend.delta.get(),
        epsilon,
        most_certainty: most_certainty(epsilon, spend.delta).min(gaussian::most_certainty(mu)),
        sampling_rate,
        epsilon_without_sampling: spend.without_sampling.map(Epsilon::get),
        composition: match (plan.is_of_releases(), sampling_rate < 1.0) {
            (true, _) => "Gaussian mechanisms on all customers, whose 1/z^2 add up to one budget: exact, in closed form".to_owned(),
            (false, false) => "Gaussian mechanisms on all customers: exact, in closed form".to_owned(),
            (false, true) => "Poisson-sampled Gaussian mechanisms: the tightest of their privacy loss distributions, Rényi divergences and \
                              the closed form without sampling"
                .to_owned(),
        },
        epsilon_readers: others(&spend, |others| others.readers),
        epsilon_if_alone: others(&spend, |others| others.alone),
        phases,
        failures: budget.iter().flat_map(|budget| &budget.courses).map(failures).collect(),
        epsilon_with_another: budget.as_ref().map(|budget| budget.with_another),
        per_year: budget.map_or_else(BTreeMap::new, |budget| budget.per_year.into_iter().collect()),
    }))
}

fn others(
    spend: &PlannedSpend,
    which: impl Fn(&souk_common::privacy::OtherObservers) -> Option<Epsilon>,
) -> Option<f64> {
    spend.others.as_ref().and_then(which).map(Epsilon::get)
}

/// From even odds, by (epsilon, delta) alone (Wasserman, Zhou 2010; Kairouz et al. 2015): (e^epsilon + delta) / (1 + e^epsilon).
fn most_certainty(epsilon: Option<f64>, delta: Delta) -> f64 {
    epsilon.map_or(1.0, |epsilon| {
        let wrong = (1.0 - delta.get()) / (1.0 + epsilon.exp());
        1.0 - wrong
    })
}

fn phases_of_releases(plan: &Plan, course: &FailureCourse, delta: Delta) -> Vec<PhaseFacts> {
    let facts = |name: String, rounds: u64, share: f64, noise: NoiseMultiplier| PhaseFacts {
        name,
        rounds,
        share: Some(share),
        noise_multiplier: noise.get(),
        epsilon_of_one: finite(gaussian::unsampled(&[(noise, 1)], delta)),
        epsilon: finite(gaussian::unsampled(&[(noise, rounds)], delta)),
    };
    let mut phases = Vec::new();
    for (round, noise) in (1..).zip(&course.noise) {
        match plan.kind_at(round) {
            Some(RoundKind::Release(_)) => {
                let name = plan.round_in_words(round).unwrap_or_default();
                let share = plan
                    .release
                    .get(phases.len())
                    .map_or(0.0, |release| release.share);
                phases.push(facts(name, 1, share, *noise));
            }
            Some(RoundKind::Training { phase, step: 0 }) => {
                let training = &plan.training[phase];
                let what = match training.kind {
                    TrainingKind::Model => "the model",
                    TrainingKind::Tower => "the tower",
                    TrainingKind::Clicks => "which ads are clicked",
                };
                let name = format!("{} rounds that train {what}", training.rounds);
                phases.push(facts(name, training.rounds, training.share, *noise));
            }
            _ => {}
        }
    }
    phases
}

fn phase_of_training(plan: &Plan, spend: &PlannedSpend) -> PhaseFacts {
    let mechanism = SampledGaussian {
        noise_multiplier: spend.noise_multiplier,
        sampling_rate: plan.privacy.sampling_rate,
    };
    PhaseFacts {
        name: format!("{} rounds that train the model", plan.rounds),
        rounds: plan.rounds,
        share: None,
        noise_multiplier: spend.noise_multiplier.get(),
        epsilon_of_one: Composition::of(mechanism, 1)
            .epsilon(spend.delta)
            .map(Epsilon::get),
        epsilon: spend.epsilon.map(Epsilon::get),
    }
}

fn failures(course: &FailureCourse) -> FailureFacts {
    let noise = course.noise.iter().take(MOST_SHOWN);
    FailureFacts {
        failures: course.failures as u64,
        epsilon: course.epsilon,
        noise_multipliers: noise.map(|noise| noise.get()).collect(),
    }
}

fn mechanism(plan: &Plan) -> MechanismFacts {
    let privacy = &plan.privacy;
    let masking = plan.masking.as_ref();
    let is_private = privacy.noise_multiplier.is_some();
    MechanismFacts {
        name: is_private.then(|| match privacy.sampling_rate.get() < 1.0 {
            true => "discrete Gaussian on an integer grid, over Poisson-sampled customers".to_owned(),
            false => "discrete Gaussian on an integer grid, over all customers".to_owned(),
        }),
        sampler: is_private.then(|| {
            "exact: integers alone below a standard deviation of 64 grid units, a table with rejection from there; ChaCha20 keyed by the \
             operating system, drawn before data are read"
                .to_owned()
        }),
        clip_norm: privacy.clip_norm.get(),
        sensitivity: format!(
            "one customer moves a sum by at most {} in Euclidean length: the whole contribution is cut to that length, then every \
             coordinate is rounded toward zero",
            privacy.clip_norm.get()
        ),
        modulus_bits: privacy.modulus_bits.bits(),
        placement: match (is_private, privacy.placement, masking) {
            (false, ..) => "nobody adds noise".to_owned(),
            (true, Placement::Local, _) => "every shop adds all of the noise before anything leaves it".to_owned(),
            (true, Placement::Distributed, Some(masking)) => format!(
                "every shop adds a share; {} shares are in every sum that is unmasked, and {} of them are accounted for",
                masking.min_shops,
                plan.noise_shares()
            ),
            (true, Placement::Distributed, None) => "every shop adds a share of the noise".to_owned(),
        },
        least_shops: masking.map(|masking| masking.min_shops as u64),
        colluding: masking.map(|masking| masking.colluding as u64),
        upload_after_seconds: plan.cohort.upload_after.map(|after| after.as_secs_f64()),
    }
}

/// A command with the names of its files, but not of the folders that they are in: those are nobody's business.
fn without_folders(command: &str) -> String {
    let shortened = |word: &str| {
        let is_part = word.split('/').all(|number| number.parse::<u64>().is_ok());
        let trimmed = word.trim_end_matches('/');
        match trimmed.rsplit_once('/') {
            Some((_, name)) if !is_part => name.to_owned(),
            _ => word.to_owned(),
        }
    };
    let words = command.split(' ').map(|word| match word.split_once('=') {
        Some((flag, value)) => format!("{flag}={}", shortened(value)),
        None => shortened(word),
    });
    words.collect::<Vec<_>>().join(" ")
}

fn finite(epsilon: f64) -> Option<f64> {
    epsilon.is_finite().then_some(epsilon)
}

/// The releases, and the first step of training, as `plan check` shows them.
const MOST_SHOWN: usize = 4;
