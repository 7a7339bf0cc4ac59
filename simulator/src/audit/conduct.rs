//! The order of an audit: everything but the trials, which may have been done elsewhere.

use std::collections::BTreeSet;
use std::path::Path;

use souk_client::training::training_update::TrainingCache;
use souk_common::dataset::Dataset;
use souk_common::terminal::tell;

use super::attacks::{self, attributes, poisoning};
use super::bounds::{TrialScores, of_one_run, of_trials, stated};
use super::checks::{CheckEffort, of_round};
use super::findings::{EpsilonBound, Finding, PoisoningFinding};
use super::mechanism::{AuditedPlan, AuditedRound, little_endian};
use super::mutations::Mechanism;
use super::report::model::AuditFindings;
use super::subject::{Effort, Subject};
use super::trials::Target;
use super::{federation, mutation_audit, report, whole_run};

/// What is asked of an audit.
pub(super) struct Options<'a> {
    /// Whether faults are put in on purpose.
    pub(super) mutations: bool,
    /// Of each bound, and of all that may turn the report red together.
    pub(super) significance: f64,
    /// The data set's folder, for what it says of people.
    pub(super) data: &'a Path,
}

/// Everything but the bounds.
pub(super) fn findings(
    subject: &Subject,
    (plan, rounds, shop): (&AuditedPlan, &[AuditedRound], usize),
    options: &Options<'_>,
) -> anyhow::Result<AuditFindings> {
    let mechanism = Mechanism { plan, mutation: None };
    let looked_at = looked_at(rounds);
    let share = options.significance / (2 * looked_at.len().max(1)) as f64;
    let effort = CheckEffort {
        attempts: subject.effort.pick(8, 40),
        customers: subject.effort.pick(4, 20),
        draws: subject.effort.pick(60, 300),
        significance: share,
    };
    let mut found = AuditFindings::default();
    for round in &looked_at {
        tell(&format!("checks of {}", round.name));
        found.mechanism.extend(of_round(&mechanism, round, shop, effort)?);
    }
    tell("the whole federation");
    match federation::releases(subject, plan, share)? {
        Some(findings) => found.mechanism.extend(findings),
        None => found.not_tested.push(
            "sums of a whole federation: of a plan that trains a model from nothing, or has an aggregation rule, they are not \
             published; the rounds were audited one shop at a time"
                .to_owned(),
        ),
    }
    found.mechanism.push(federation::ledger(
        None,
        subject.effort.pick(20, 100),
        subject.seed,
    )?);
    found.mechanism.push(federation::masks(None, subject.seed));
    tell("attacks");
    let attributes = attributes::read(options.data, &subject.known)?;
    found.attacks = attacks::run(subject, &attributes, |what| tell(&format!("  {what}")))?;
    found.side_channels = side_channels(&mechanism, &looked_at)?;
    match subject.plan.cohort.upload_after {
        Some(_) => {}
        None => found.not_tested.push(
            "what the time of an update tells: the plan has no upload_after, so a shop sends when it is done"
                .to_owned(),
        ),
    }
    tell("poisoning");
    found.poisoning = poisoned(subject)?;
    for rule in poisoning::Defence::ALL.map(poisoning::Defence::name) {
        if found.poisoning.iter().all(|finding| finding.rule != rule) {
            found.not_tested.push(format!(
                "poisoning against {rule}: the plan has too few shops for it, or does not bear it"
            ));
        }
    }
    let carried_out = poisoning::model_rounds(subject.effort);
    if !subject.plan.is_of_releases() && subject.plan.rounds > carried_out {
        found.not_tested.push(format!(
            "poisoning beyond the first {carried_out} of {} rounds",
            subject.plan.rounds
        ));
    } else if subject.plan.is_of_releases()
        && subject.effort == Effort::Short
        && !subject.plan.training.is_empty()
    {
        found.not_tested.push(
            "poisoning of what is trained behind the releases: an audit that is not short tries it"
                .to_owned(),
        );
    }
    match options.mutations {
        true => {
            tell("faults put in on purpose");
            let (honest, mutations) = mutation_audit::audit(subject, |what| tell(&format!("  {what}")))?;
            found.mechanism.push(honest);
            found.mutations = mutations;
        }
        false => found
            .not_tested
            .push("whether the checks find faults that are put in on purpose: --mutations does".to_owned()),
    }
    tell("what privacy costs");
    let gender = attributes.iter().find(|attribute| attribute.name == "gender");
    let genders: Vec<String> = gender.map_or(Vec::new(), |gender| {
        let word = |is_female: &Option<bool>| match is_female {
            Some(true) => "F",
            Some(false) => "M",
            None => "",
        };
        gender.of.iter().map(|of| word(of).to_owned()).collect()
    });
    let measured = report::utility::measure(subject, &genders)?;
    found.utility = measured.findings;
    found.not_tested.extend(measured.not_tested);
    let left_out = rounds.len() - looked_at.len();
    if left_out > 0 {
        found.not_tested.push(format!(
            "{left_out} later steps of training by themselves: they run the same code as the first of their phase, and all of them \
             count in the bounds over all rounds"
        ));
    }
    Ok(found)
}

/// Whether an update of a shop without any customer has the size of one with all of them.
fn side_channels(mechanism: &Mechanism<'_>, rounds: &[&AuditedRound]) -> anyhow::Result<Vec<Finding>> {
    let plan = mechanism.plan;
    rounds
        .iter()
        .map(|round| {
            let mut sizes = BTreeSet::new();
            for (at, shop) in plan.shops().iter().enumerate() {
                for dataset in [&shop.dataset, &Dataset::default()] {
                    let source = &mut plan.stream("sizes");
                    let cache = &mut TrainingCache::default();
                    sizes.insert(little_endian(&plan.bare(round, at, dataset, cache, source)?.0).len());
                }
            }
            Ok(Finding {
                name: format!("updates have one size: {}", round.name),
                ok: sizes.len() == 1,
                detail: format!(
                    "of {} shops, with all of their customers and with none: {} bytes",
                    plan.shops().len(),
                    sizes
                        .iter()
                        .map(usize::to_string)
                        .collect::<Vec<_>>()
                        .join(" or ")
                ),
            })
        })
        .collect()
}

/// Made-up customers against what everybody is recommended; of each attack the list that it gets furthest in.
fn poisoned(subject: &Subject) -> anyhow::Result<Vec<PoisoningFinding>> {
    let attacked = poisoning::PoisoningSubject {
        plan: &subject.plan,
        known: &subject.known,
    };
    let customers = subject.known.dataset.len() as f64;
    let found = poisoning::run(&attacked, subject.effort, subject.seed)?;
    let mut worst: Vec<poisoning::Exposure> = Vec::new();
    for exposure in found {
        let same = |other: &&mut poisoning::Exposure| {
            (other.attack, other.power, other.rule) == (exposure.attack, exposure.power, exposure.rule)
                && other.fakes == exposure.fakes
        };
        match worst.iter_mut().find(same) {
            Some(other) if other.exposure_after < exposure.exposure_after => *other = exposure,
            Some(_) => {}
            None => worst.push(exposure),
        }
    }
    Ok(worst
        .into_iter()
        .map(|exposure| PoisoningFinding {
            attack: exposure.attack.name().to_owned(),
            power: format!("{}; list by {}", exposure.power.in_words(), exposure.list),
            rule: exposure.rule.name().to_owned(),
            fakes: (exposure.fakes * customers).round() as u64,
            exposure_before: exposure.exposure_before,
            exposure_after: exposure.exposure_after,
            low: exposure.low,
            high: exposure.high,
            targets: exposure.targets as u64,
        })
        .collect())
}

/// Every release, and the first step of each phase.
fn looked_at(rounds: &[AuditedRound]) -> Vec<&AuditedRound> {
    rounds
        .iter()
        .filter(|round| {
            let number = round
                .name
                .rsplit_once(' ')
                .and_then(|(_, number)| number.parse::<u64>().ok());
            number.is_none_or(|step| step == 1)
        })
        .collect()
}

pub(super) fn bounds(
    mechanism: &Mechanism<'_>,
    rounds: &[AuditedRound],
    shop: usize,
    (targets, scores): (&[Target], &TrialScores),
    options: &Options<'_>,
    subject: &Subject,
) -> anyhow::Result<Vec<EpsilonBound>> {
    let delta = subject.plan.privacy.delta;
    let mut evidence = of_trials(targets, scores, delta);
    for round in looked_at(rounds) {
        tell(&format!("one run of {}", round.name));
        evidence.extend(of_one_run(
            mechanism,
            round,
            shop,
            subject.effort.pick(500, 5_000),
            delta,
        )?);
    }
    tell("one run of the whole federation");
    evidence.extend(whole_run::evidence(
        subject,
        mechanism.plan,
        subject.effort.pick(100, 400),
    )?);
    Ok(stated(&evidence, options.significance))
}
