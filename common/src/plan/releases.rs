//! `[[release]]` and `[[training]]`: a plan whose rounds each release one statistic of all users, and then, if it says so, train
//! from there.
//!
//! Every user is in every round, so the rounds of such a plan compose exactly: `privacy.noise_multiplier` is 1/mu, the z of all of
//! them together, and [`Schedule`] says how it is divided.

use std::time::Duration;

use toml::Table;

use super::{GridError, MaskingPlan, Placement, Plan, PlanError, ShopTerms};
use crate::accountant::gaussian::mu_of;
use crate::catalogue::Catalogue;
use crate::features::Features;
use crate::params::{Delta, Epsilon, NoiseMultiplier};
use crate::release::schedule::{ReleaseKind, ReleaseShare, Schedule, ScheduleError};
use crate::release::state::coordinates;
use crate::secagg::mask::MaskCipher;
use crate::training::phases::{TrainingKind, TrainingPhase};
use crate::update::ModulusBits;

/// What a plan of releases is made for.
#[derive(Clone, Debug)]
pub struct ReleaseTerms {
    /// Of all releases together, user level, add/remove; none: without privacy.
    pub epsilon: Option<Epsilon>,
    /// The delta it is stated at.
    pub delta: Delta,
    /// Who adds the noise. Distributed: three quarters of the shops, rounded up, make a sum, and one of them may collude.
    pub placement: Placement,
    /// What is trained behind the releases, which share what these phases leave; none: a tower for a twentieth of the budget, where
    /// customers are many enough for it to pay.
    pub training: Option<Vec<TrainingPhase>>,
}

impl Plan {
    /// The plan of releases that suits these shops and this catalogue: which releases there are, and their shares, follow from
    /// how much signal so many declared users leave ([`Schedule::choose`]).
    ///
    /// # Errors
    /// When there is no shop, too few for distributed noise, or no modulus holds the sums.
    pub fn of_releases(
        name: &str,
        seed: u64,
        shops: Vec<ShopTerms>,
        terms: &ReleaseTerms,
        catalogue: &Catalogue,
    ) -> Result<Self, ReleasesError> {
        let features = Features::of(catalogue);
        let count = shops.len();
        let masked = terms.placement == Placement::Distributed && terms.epsilon.is_some();
        let min_shops = (3 * count).div_ceil(4).max(LEAST_MASKED);
        if count == 0 || (masked && min_shops > count) {
            return Err(ReleasesError::TooFewShops { shops: count });
        }
        let shares = if masked { min_shops - COLLUDING } else { 1 };
        let users = shops.iter().map(|shop| shop.declared_users).sum();
        let mu = terms.epsilon.map(|epsilon| mu_of(epsilon, terms.delta));
        let factor = (count as f64 / shares as f64).sqrt();
        // Without noise there is signal for all of them.
        let most = mu.unwrap_or(f64::from(u32::MAX));
        let releases = Schedule::choose(most, users, catalogue.len(), factor, !features.is_empty());
        let signal = Schedule::signal(most, users, catalogue.len(), factor);
        let training = terms
            .training
            .clone()
            .unwrap_or_else(|| match signal < TOWER_SIGNAL {
                true => Vec::new(),
                false => vec![TrainingPhase::new(TrainingKind::Tower, TOWER_ROUNDS, TOWER_SHARE)],
            });
        let trained: f64 = training.iter().map(|phase| phase.share).sum();
        let releases: Vec<ReleaseShare> = releases
            .into_iter()
            .map(|release| ReleaseShare {
                share: release.share * (1.0 - trained),
                ..release
            })
            .collect();
        let mut file = Table::new();
        file.insert(
            "release".to_owned(),
            toml::Value::try_from(releases).unwrap_or(toml::Value::Array(Vec::new())),
        );
        file.insert("name".to_owned(), name.into());
        file.insert(
            "privacy".to_owned(),
            toml::Value::Table(Table::from_iter([("enabled".to_owned(), false.into())])),
        );
        file.insert(
            "cohort".to_owned(),
            toml::Value::Table(Table::from_iter([("quorum".to_owned(), 1.into())])),
        );
        fill_in(&mut file);
        let mut plan: Self = file
            .try_into()
            .map_err(|source| PlanError::Syntax(Box::new(source)))?;
        (plan.seed, plan.shops, plan.training) = (seed, shops, training);
        plan.rounds = plan.rounds_of_phases();
        plan.cohort.quorum = if masked { min_shops } else { count };
        plan.privacy.delta = terms.delta;
        plan.privacy.enabled = mu.is_some();
        // A little more noise than that, so that no rounding costs more than was asked for.
        plan.privacy.noise_multiplier =
            mu.and_then(|mu| NoiseMultiplier::new(mu.recip() * (1.0 + 1e-12)).ok());
        if masked {
            plan.privacy.placement = Placement::Distributed;
            plan.masking = Some(MaskingPlan {
                min_shops,
                colluding: COLLUDING,
                cipher: MaskCipher::default(),
                neighbours: None,
                step: Duration::from_secs(30),
            });
        }
        let mut plan = plan.begun_now();
        let holds = |plan: &Self| -> Result<(), ReleasesError> {
            for (round, release) in (1..).zip(&plan.release) {
                let coordinates = coordinates(release.kind, catalogue.len(), &features);
                plan.for_first_attempt_at(round)?.grid(coordinates)?;
            }
            Ok(())
        };
        if holds(&plan).is_err() {
            plan.privacy.modulus_bits = ModulusBits::B64;
            holds(&plan)?;
        }
        plan.validate()?;
        Ok(plan)
    }

    /// Whether its rounds release statistics, and train from there; else all of them train its model from nothing.
    pub fn is_of_releases(&self) -> bool {
        !self.release.is_empty()
    }

    /// What `round`, from 1, is of; none in a plan that is not of releases, or beyond the last.
    pub fn kind_at(&self, round: u64) -> Option<RoundKind> {
        if !self.is_of_releases() {
            return None;
        }
        let mut behind = round.checked_sub(1)?;
        if let Some(release) = self.release.get(usize::try_from(behind).ok()?) {
            return Some(RoundKind::Release(release.kind));
        }
        behind -= self.release.len() as u64;
        for (phase, training) in self.training.iter().enumerate() {
            if behind < training.rounds {
                return Some(RoundKind::Training { phase, step: behind });
            }
            behind -= training.rounds;
        }
        None
    }

    /// What `round`, from 1, is of, for people; none beyond the last.
    pub fn round_in_words(&self, round: u64) -> Option<String> {
        let words = match self.kind_at(round) {
            Some(RoundKind::Release(kind)) => {
                let what = match kind {
                    ReleaseKind::Popularity => "how popular each item is",
                    ReleaseKind::Collaborative => "which items are bought together",
                    ReleaseKind::SecondCollaborative => "a second view of which items are bought together",
                };
                format!("release {round} of {}: {what}", self.release.len())
            }
            Some(RoundKind::Training { phase, step }) => {
                let training = self.training.get(phase)?;
                let what = match training.kind {
                    TrainingKind::Model => "the model",
                    TrainingKind::Tower => "the tower",
                    TrainingKind::Clicks => "which ads are clicked",
                };
                format!("step {} of {} that train {what}", step + 1, training.rounds)
            }
            None if self.is_of_releases() || !(1..=self.rounds).contains(&round) => return None,
            None => format!("step {round} of {} that train the model", self.rounds),
        };
        Some(words)
    }

    /// What `round`, from 1, releases; none in other rounds.
    pub fn release_at(&self, round: u64) -> Option<ReleaseKind> {
        match self.kind_at(round)? {
            RoundKind::Release(kind) => Some(kind),
            RoundKind::Training { .. } => None,
        }
    }

    /// Rounds that follow from releases and training.
    fn rounds_of_phases(&self) -> u64 {
        let trained: u64 = self.training.iter().map(|phase| phase.rounds).sum();
        self.release.len() as u64 + trained
    }

    /// rho of each round.
    fn shares(&self) -> Vec<f64> {
        let releases = self.release.iter().map(|release| release.share);
        let training = self.training.iter().flat_map(|phase| {
            let rounds = usize::try_from(phase.rounds).unwrap_or(usize::MAX);
            std::iter::repeat_n(phase.share / phase.rounds as f64, rounds)
        });
        releases.chain(training).collect()
    }

    /// The plan as it is for the next attempt at `round`: with that release's own noise, after attempts that were charged at
    /// these z, whether or not a sum came of them. A plan that trains a model is the same in every round.
    ///
    /// # Errors
    /// When there is no such release, or nothing is left of the budget for it.
    pub fn for_round(&self, round: u64, charged: &[NoiseMultiplier]) -> Result<Self, ScheduleError> {
        let Some(all) = self.privacy.noise_multiplier.filter(|_| self.is_of_releases()) else {
            return Ok(self.clone());
        };
        let schedule = Schedule::new(all.get().recip(), self.shares(), 0.0)?;
        let index = usize::try_from(round).unwrap_or(usize::MAX).wrapping_sub(1);
        let mut plan = self.clone();
        plan.privacy.noise_multiplier = Some(schedule.next_noise(charged, index)?);
        Ok(plan)
    }

    /// As [`Self::for_round`], with the least noise that any attempt at `round` can have had: no other one failed.
    ///
    /// # Errors
    /// When there is no such release.
    pub fn for_first_attempt_at(&self, round: u64) -> Result<Self, ScheduleError> {
        let mut charged = Vec::new();
        for earlier in 1..round.min(self.rounds) {
            charged.extend(self.for_round(earlier, &charged)?.privacy.noise_multiplier);
        }
        self.for_round(round, &charged)
    }

    pub(super) fn validate_releases(&self) -> Result<(), PlanError> {
        if !self.is_of_releases() {
            return match self.training.is_empty() {
                true => Ok(()),
                false => Err(PlanError::Value {
                    field: "training".into(),
                    value: "set".into(),
                    rule: "behind [[release]]: it starts from what was released".into(),
                }),
            };
        }
        let refuse = |field: &str, value: String, rule: &str| {
            Err(PlanError::Value {
                field: field.to_owned(),
                value,
                rule: rule.to_owned(),
            })
        };
        if !ReleaseKind::in_order(self.release.iter().map(|release| release.kind)) {
            let kinds: Vec<String> = self
                .release
                .iter()
                .map(|release| format!("{:?}", release.kind))
                .collect();
            return refuse(
                "release",
                kinds.join(", ").to_lowercase(),
                "popularity, then collaborative, then second_collaborative; later ones may be left out",
            );
        }
        for (at, phase) in (1..).zip(&self.training) {
            if let Some((key, value, rule)) = phase.fault() {
                return refuse(&format!("{key} of [[training]] {at}"), value, &rule);
            }
            if self
                .training
                .iter()
                .filter(|other| other.kind == phase.kind)
                .count()
                > 1
            {
                let kind = format!("{:?}", phase.kind).to_lowercase();
                return refuse("training", format!("{kind} twice"), "each kind once");
            }
        }
        // Budget aside, which has its own rule.
        if let Err(error) = Schedule::new(1.0, self.shares(), 0.0) {
            let releases = self
                .release
                .iter()
                .map(|release| format!("{:?} {}", release.kind, release.share));
            let training = self
                .training
                .iter()
                .map(|phase| format!("{:?} {}", phase.kind, phase.share));
            let said: Vec<String> = releases.chain(training).collect();
            return refuse(
                "release",
                said.join(", ").to_lowercase(),
                &format!("made otherwise: {error}"),
            );
        }
        if self.rounds != self.rounds_of_phases() {
            let rule = format!(
                "the number of [[release]] and of rounds of [[training]] together, {}, or absent",
                self.rounds_of_phases()
            );
            return refuse("rounds", self.rounds.to_string(), &rule);
        }
        if self.privacy.sampling_rate.get() < 1.0 {
            let rate = self.privacy.sampling_rate.get().to_string();
            return refuse(
                "privacy.sampling_rate",
                rate,
                "1, or absent: a release is of all users",
            );
        }
        if self.privacy.clip_norm.get() != 1.0 {
            let norm = self.privacy.clip_norm.get().to_string();
            return refuse(
                "privacy.clip_norm",
                norm,
                "1, or absent: a user's vector has length 1",
            );
        }
        if let Some(terms) = self.shops.iter().find(|terms| terms.weight.get() != 1.0) {
            let field = format!("weight of shop {}", terms.name);
            return refuse(
                &field,
                terms.weight.get().to_string(),
                "1: a release counts every user alike",
            );
        }
        if self.metrics.is_some() {
            return refuse(
                "metrics",
                "set".into(),
                "absent: there is no model whose ranking could be counted",
            );
        }
        Ok(())
    }
}

/// What a plan of releases need not say: its rounds follow from its releases, every user is in each of them at length 1, and
/// of a model it has none. The smallest one stands in its canonical form.
pub(super) fn fill_in(file: &mut Table) {
    let Some(releases) = file.get("release").and_then(toml::Value::as_array).map(Vec::len) else {
        return;
    };
    let phases = file
        .get("training")
        .and_then(toml::Value::as_array)
        .cloned()
        .unwrap_or_default();
    let number = |phase: &toml::Value| phase.get("rounds").and_then(toml::Value::as_integer).unwrap_or(0);
    let trained = phases
        .iter()
        .fold(0i64, |sum, phase| sum.saturating_add(number(phase)));
    let trains_a_model = phases
        .iter()
        .any(|phase| phase.get("kind").and_then(toml::Value::as_str) == Some("model"));
    let mut absent = |key: &str, value: toml::Value| {
        file.entry(key).or_insert(value);
    };
    absent("rounds", (releases as i64).saturating_add(trained).into());
    let table = |text: &str| toml::Value::Table(text.parse().unwrap_or_default());
    // With a phase that trains a model, the plan has to say which and how.
    if !trains_a_model {
        absent("model", table("kind = 'mf'\ngmf_dim = 1\nitem_bias = false"));
        absent("train", table("solver = 'ials'\nalpha = 0.1\nlambda = 1.0"));
        absent("server", table("optimiser = 'plain'\nlearning_rate = 1.0"));
    }
    if let Some(privacy) = file.get_mut("privacy").and_then(toml::Value::as_table_mut) {
        privacy.entry("sampling_rate").or_insert(1.0.into());
        privacy.entry("clip_norm").or_insert(1.0.into());
    }
}

/// What a round of a plan of releases is of.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum RoundKind {
    /// A release.
    Release(ReleaseKind),
    /// A step of training.
    Training {
        /// Which `[[training]]`, from 0.
        phase: usize,
        /// Steps before it in the phase.
        step: u64,
    },
}

/// Why there is no plan of releases.
#[derive(Debug, thiserror::Error)]
pub enum ReleasesError {
    /// For distributed noise.
    #[error(
        "{shops} shops are too few to share their noise under masks: at least 3 are needed, or let every shop add all of it"
    )]
    TooFewShops {
        /// How many there are.
        shops: usize,
    },
    /// Of the budget.
    #[error(transparent)]
    Schedule(#[from] ScheduleError),
    /// No modulus holds a sum.
    #[error(transparent)]
    Grid(#[from] GridError),
    /// The plan makes no sense otherwise.
    #[error(transparent)]
    Plan(#[from] PlanError),
}

/// t.
const COLLUDING: usize = 1;
/// n_min - t must be 1 at least, and a sum of two with one colluding is the other one's.
const LEAST_MASKED: usize = 3;

/// [`Schedule::signal`] from which a tower adds to the releases; below, what it takes of them is as much (docs/accuracy.md).
const TOWER_SIGNAL: f64 = 50.0;
/// Of a tower that nobody asked for.
const TOWER_ROUNDS: u64 = 30;
const TOWER_SHARE: f64 = 0.05;

#[cfg(test)]
mod tests;
