//! Lower bounds on epsilon from scores, beside what the accountant states.

use rand::RngExt;
use rand_distr::StandardNormal;
use souk_common::accountant::gaussian::epsilon_of;
use souk_common::model::update::UserUpdate;
use souk_common::params::Delta;
use souk_common::update::CountsGrid;
use souk_coordinator::aggregate::Accumulator;

use super::findings::EpsilonBound;
use super::mechanism::{AuditedRound, Canary, add, reduced, signed};
use super::mutations::Mechanism;
use super::statistics::{Scores, Threshold, clopper_pearson, f_dp, gdp, one_run, one_shot};
use super::trials::Target;

/// Scores of the trials of some targets: a row a trial, an entry a target.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct TrialScores {
    /// With the canary.
    pub(crate) present: Vec<Vec<f64>>,
    /// Without it.
    pub(crate) absent: Vec<Vec<f64>>,
}

/// A bound by some procedure, as a function of the significance.
pub(crate) struct Evidence {
    of: String,
    canary: String,
    upper: Option<f64>,
    procedure: &'static str,
    trials: u64,
    delta: f64,
    at: Box<dyn Fn(f64) -> f64>,
    is_bound: bool,
}

impl Evidence {
    /// Of canaries in one run, guessed to be present from `threshold` on: against the trade-off curve, and by the plain bound.
    pub(crate) fn of_one_run(
        (of, canary): (&str, &str),
        scores: Scores,
        threshold: f64,
        upper: Option<f64>,
        delta: Delta,
    ) -> Vec<Self> {
        let threshold = Threshold::At(threshold);
        let trials = (scores.present.len() + scores.absent.len()) as u64;
        let with = |procedure, at: Box<dyn Fn(f64) -> f64>| Self {
            of: of.to_owned(),
            canary: canary.to_owned(),
            upper,
            procedure,
            trials,
            delta: delta.get(),
            at,
            is_bound: true,
        };
        let plain = scores.clone();
        vec![
            with(
                "one_run_f_dp",
                Box::new(move |level| f_dp::epsilon(&scores, threshold, level, delta)),
            ),
            with(
                "one_run",
                Box::new(move |level| one_run::epsilon(&plain, threshold, level, delta.get())),
            ),
        ]
    }
}

/// Of every target by the GDP audit and, of customers over all rounds, by error rates alone. The first tenth of the trials
/// chooses the threshold; the others count.
pub(crate) fn of_trials(targets: &[Target], scores: &TrialScores, delta: Delta) -> Vec<Evidence> {
    let mut evidence = Vec::new();
    for (at, target) in targets.iter().enumerate() {
        let column = |rows: &[Vec<f64>]| -> Vec<f64> { rows.iter().map(|row| row[at]).collect() };
        let (present, absent) = (column(&scores.present), column(&scores.absent));
        let pilot = present.len() / 10;
        let mean = |scores: &[f64]| scores.iter().sum::<f64>() / scores.len() as f64;
        // Of a handful, none is spared to choose by.
        let (pilot, threshold) = match present.len() < FEW {
            true => (0, Threshold::Best),
            false => {
                let middle = 0.5 * (mean(&present[..pilot]) + mean(&absent[..pilot]));
                (pilot, Threshold::At(middle))
            }
        };
        let scores = Scores {
            present: present[pilot..].to_vec(),
            absent: absent[pilot..].to_vec(),
        };
        let trials = scores.present.len() as u64;
        let mut push = |procedure, at: Box<dyn Fn(f64) -> f64>| {
            evidence.push(Evidence {
                of: target.of.clone(),
                canary: target.canary.clone(),
                upper: target.upper,
                procedure,
                trials,
                delta: delta.get(),
                at,
                is_bound: true,
            });
        };
        let by_rates = scores.clone();
        push(
            "gdp",
            Box::new(move |significance| gdp::epsilon(&scores, threshold, significance, delta)),
        );
        if target.canary == "customer" {
            push(
                "clopper_pearson",
                Box::new(move |significance| {
                    clopper_pearson::epsilon(&by_rates, threshold, significance, delta.get())
                }),
            );
        }
    }
    evidence
}

/// Of directions as canaries in one run of `round`: guessed against the plain bound and against the trade-off curve, and the
/// one-shot estimate.
///
/// # Errors
/// When the round can't be carried out.
pub(crate) fn of_one_run(
    mechanism: &Mechanism<'_>,
    round: &AuditedRound,
    shop: usize,
    most_canaries: usize,
    delta: Delta,
) -> anyhow::Result<Vec<Evidence>> {
    let counts = round
        .plan
        .counts(&round.grid)
        .map_or(0, |_| CountsGrid::COORDINATES);
    let coordinates = round.coordinates - counts;
    let scores = in_one_run(mechanism, round, shop, coordinates, most_canaries)?;
    let upper = round.charged().map(|z| epsilon_of(z.get().recip(), delta));
    let mu = round.charged().map_or(1e6, |z| z.get().recip());
    // Fixed before the scores are seen: about where the reference's audits guess one in forty.
    let threshold = 2.0 + 0.5 * mu;
    let cosines = cosines(
        mechanism,
        round,
        shop,
        coordinates,
        ONE_SHOT.min(coordinates / 16).max(2),
    )?;
    let estimate = one_shot::epsilon(&cosines, coordinates, delta.get());
    let mut evidence = Evidence::of_one_run((&round.name, "direction"), scores, threshold, upper, delta);
    evidence.push(Evidence {
        of: round.name.clone(),
        canary: "direction".to_owned(),
        upper,
        procedure: "one_shot",
        trials: cosines.len() as u64,
        delta: delta.get(),
        at: Box::new(move |_| estimate),
        is_bound: false,
    });
    Ok(evidence)
}

/// Scores of canaries that each have coordinates of their own, so that none is in another's way; each is there by a coin.
fn in_one_run(
    mechanism: &Mechanism<'_>,
    round: &AuditedRound,
    shop: usize,
    coordinates: usize,
    most: usize,
) -> anyhow::Result<Scores> {
    let many = most.min(coordinates / 2).max(1);
    let block = coordinates / many;
    let mut draws = mechanism.plan.stream(&format!("one run of {}", round.name));
    let mut sum = Accumulator::new(round.grid.bits, round.coordinates);
    for share in 0..round.shares() {
        add(&mut sum, &mechanism.noise(round, ONE_RUN, share))?;
    }
    let mut canaries = Vec::with_capacity(many);
    for canary in 0..many {
        let values: Vec<f32> = (0..block)
            .map(|_| draws.sample::<f32, _>(StandardNormal))
            .collect();
        let range = canary * block..(canary + 1) * block;
        let update = over_long(range.clone(), values, round.grid.clip_norm);
        let vector = mechanism.vector(round, shop, &Canary::Update(update))?;
        let present = draws.random_bool(0.5);
        if present {
            add(&mut sum, &reduced(&vector, &round.grid))?;
        }
        canaries.push((present, range.clone(), vector[range].to_vec()));
    }
    let published = signed(&sum.values());
    let mut scores = Scores::default();
    let stddev = round.charged_stddev().max(1.0);
    for (present, range, vector) in canaries {
        let length = vector
            .iter()
            .map(|value| (*value as f64).powi(2))
            .sum::<f64>()
            .sqrt();
        let dot: f64 = published[range]
            .iter()
            .zip(&vector)
            .map(|(value, along)| *value as f64 * *along as f64)
            .sum();
        match present {
            true => scores.present.push(dot / (length * stddev)),
            false => scores.absent.push(dot / (length * stddev)),
        }
    }
    Ok(scores)
}

/// Cosines of random directions that all take part with what comes out.
fn cosines(
    mechanism: &Mechanism<'_>,
    round: &AuditedRound,
    shop: usize,
    coordinates: usize,
    many: usize,
) -> anyhow::Result<Vec<f64>> {
    let mut draws = mechanism.plan.stream(&format!("one shot of {}", round.name));
    let mut sum = Accumulator::new(round.grid.bits, round.coordinates);
    for share in 0..round.shares() {
        add(&mut sum, &mechanism.noise(round, ONE_RUN + 1, share))?;
    }
    let mut vectors = Vec::with_capacity(many);
    for _ in 0..many {
        let values: Vec<f32> = (0..coordinates)
            .map(|_| draws.sample::<f32, _>(StandardNormal))
            .collect();
        let update = over_long(0..coordinates, values, round.grid.clip_norm);
        let vector = mechanism.vector(round, shop, &Canary::Update(update))?;
        add(&mut sum, &reduced(&vector, &round.grid))?;
        vectors.push(vector);
    }
    let published = signed(&sum.values());
    let dot = |one: &[i64], other: &[i64]| -> f64 {
        one.iter()
            .zip(other)
            .take(coordinates)
            .map(|(one, other)| *one as f64 * *other as f64)
            .sum()
    };
    let all = dot(&published, &published).sqrt();
    let cosine = |vector: &Vec<i64>| dot(&published, vector) / (dot(vector, vector).sqrt() * all);
    Ok(vectors.iter().map(cosine).collect())
}

/// A vector twice as long as the clip norm.
fn over_long(range: std::ops::Range<usize>, mut values: Vec<f32>, clip_norm: f64) -> UserUpdate {
    let length = values
        .iter()
        .map(|value| f64::from(*value).powi(2))
        .sum::<f64>()
        .sqrt();
    let factor = (2.0 * clip_norm / length.max(1e-30)) as f32;
    values.iter_mut().for_each(|value| *value *= factor);
    UserUpdate::Sparse {
        ranges: std::iter::once(range).collect(),
        values,
    }
}

/// Bounds at `significance` each; each is right if it does not cross at the same significance over all of them together.
pub(crate) fn stated(evidence: &[Evidence], significance: f64) -> Vec<EpsilonBound> {
    let bounds = evidence
        .iter()
        .filter(|evidence| evidence.is_bound)
        .count()
        .max(1);
    evidence
        .iter()
        .map(|evidence| {
            let crosses =
                |upper: f64| evidence.is_bound && (evidence.at)(significance / bounds as f64) > upper;
            EpsilonBound {
                of: evidence.of.clone(),
                procedure: evidence.procedure.to_owned(),
                canary: evidence.canary.clone(),
                trials: evidence.trials,
                lower: (evidence.at)(significance),
                confidence: evidence.is_bound.then_some(1.0 - significance),
                upper: evidence.upper,
                delta: evidence.delta,
                ok: evidence.upper.is_some_and(|upper| !crosses(upper)),
            }
        })
        .collect()
}

/// Fewer trials choose their threshold among all.
const FEW: usize = 200;
/// Attempts beyond all trials'.
const ONE_RUN: u64 = u64::MAX - 1;
/// Directions of the one-shot estimate.
const ONE_SHOT: usize = 200;
