//! `[[release]]`: a plan whose rounds each release one statistic of all users, instead of training a model.
//!
//! A release is a Gaussian mechanism without sampling, so the releases of a plan compose exactly: with the plan's z = 1/mu for
//! all of them together, one of share rho has z / sqrt(rho), and the shares add up to 1. An attempt that fails after vectors
//! may have left is charged all the same; what it took is missing from those that remain, by [`Plan::release_noise`].

use serde::{Deserialize, Serialize};
use toml::Table;

use super::{Plan, PlanError};
use crate::params::NoiseMultiplier;

/// One `[[release]]`.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct ReleasePlan {
    /// Which statistic.
    pub kind: ReleaseKind,
    /// rho: its part of the privacy budget.
    pub share: f64,
}

/// Which statistic a release is.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ReleaseKind {
    /// How much each item is bought: one coordinate an item.
    Popularity,
    /// Which items go together, seen through a public map: a row of the map's columns an item.
    Collaborative,
}

impl Plan {
    /// Whether its rounds release statistics; else they train a model.
    pub fn is_of_releases(&self) -> bool {
        !self.release.is_empty()
    }

    /// What `round`, from 1, releases; none in a plan that trains a model, or beyond the last.
    pub fn release_at(&self, round: u64) -> Option<&ReleasePlan> {
        let index = usize::try_from(round.checked_sub(1)?).ok()?;
        self.release.get(index)
    }

    /// z of the next attempt at `round`'s release, after attempts that were charged at these z: its share of what is left of
    /// the budget, among the releases that are still to come. So the sum of 1/z^2 over all attempts is never above the plan's,
    /// whichever of them fail, and is the plan's when the last release is published.
    ///
    /// None when nothing is left: the last release was charged, and failed.
    pub fn release_noise(&self, round: u64, charged: &[NoiseMultiplier]) -> Option<NoiseMultiplier> {
        let share = self.release_at(round)?.share;
        let to_come: f64 = self.release[round as usize - 1..]
            .iter()
            .map(|release| release.share)
            .sum();
        let budget = self.privacy.noise_multiplier?.get().powi(-2);
        let spent: f64 = charged.iter().map(|z| z.get().powi(-2)).sum();
        let left = budget - spent;
        // What rounding leaves is no budget.
        if left <= budget * LEAST_LEFT {
            return None;
        }
        // A little more noise than that, so that no rounding makes the sum larger than the budget.
        NoiseMultiplier::new((left * share / to_come).sqrt().recip() * (1.0 + 4.0 * f64::EPSILON)).ok()
    }

    /// The least noise that an attempt at `round` can have had: if none before it was charged but the releases that came.
    pub fn least_release_noise(&self, round: u64) -> Option<NoiseMultiplier> {
        let mut charged = Vec::new();
        for earlier in 1..round {
            charged.push(self.release_noise(earlier, &charged)?);
        }
        self.release_noise(round, &charged)
    }

    /// The plan as it is for one round: with that round's own noise.
    pub fn with_noise(&self, noise: NoiseMultiplier) -> Self {
        let mut plan = self.clone();
        plan.privacy.noise_multiplier = plan.privacy.noise_multiplier.map(|_| noise);
        plan
    }

    pub(super) fn validate_releases(&self) -> Result<(), PlanError> {
        if !self.is_of_releases() {
            return Ok(());
        }
        let refuse = |field: &str, value: String, rule: &str| {
            Err(PlanError::Value {
                field: field.to_owned(),
                value,
                rule: rule.to_owned(),
            })
        };
        let sum: f64 = self.release.iter().map(|release| release.share).sum();
        let positive = self.release.iter().all(|release| release.share > 0.0);
        if !positive || !((sum - 1.0).abs() <= SHARES_TOLERANCE) {
            let shares: Vec<String> = self
                .release
                .iter()
                .map(|release| release.share.to_string())
                .collect();
            return refuse("release.share", shares.join(" + "), "above 0, and 1 together");
        }
        let (first, rest) = (self.release[0].kind, &self.release[1..]);
        let follow = rest
            .iter()
            .all(|release| release.kind == ReleaseKind::Collaborative);
        if first != ReleaseKind::Popularity || !follow || rest.len() > MOST_COLLABORATIVE {
            let kinds: Vec<String> = self
                .release
                .iter()
                .map(|release| format!("{:?}", release.kind))
                .collect();
            return refuse(
                "release.kind",
                kinds.join(", ").to_lowercase(),
                "popularity first, then up to two of collaborative: each is seen through what was released before",
            );
        }
        if self.rounds != self.release.len() as u64 {
            let rule = format!("the number of [[release]], {}, or absent", self.release.len());
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
    let mut absent = |key: &str, value: toml::Value| {
        file.entry(key).or_insert(value);
    };
    absent("rounds", (releases as i64).into());
    let table = |text: &str| toml::Value::Table(text.parse().unwrap_or_default());
    absent("model", table("kind = 'mf'\ngmf_dim = 1\nitem_bias = false"));
    absent("train", table("solver = 'ials'\nalpha = 0.1\nlambda = 1.0"));
    absent("server", table("optimiser = 'plain'\nlearning_rate = 1.0"));
    if let Some(privacy) = file.get_mut("privacy").and_then(toml::Value::as_table_mut) {
        privacy.entry("sampling_rate").or_insert(1.0.into());
        privacy.entry("clip_norm").or_insert(1.0.into());
    }
}

const SHARES_TOLERANCE: f64 = 1e-9;
/// Of the budget.
const LEAST_LEFT: f64 = 1e-9;
/// More of them were of no use in trials.
const MOST_COLLABORATIVE: usize = 2;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const RELEASES: &str = "name = 'r'\n[privacy]\nnoise_multiplier = 0.6\n[cohort]\nquorum = 1\n\
        [[release]]\nkind = 'popularity'\nshare = 0.4\n[[release]]\nkind = 'collaborative'\nshare = 0.6\n\
        [[shops]]\nname = 'a'\ndeclared_users = 100\n";

    fn plan() -> Plan {
        Plan::from_toml(RELEASES).unwrap()
    }

    fn spent(charged: &[NoiseMultiplier]) -> f64 {
        charged.iter().map(|z| z.get().powi(-2)).sum()
    }

    #[test]
    fn what_a_plan_of_releases_need_not_say_follows() {
        let plan = plan();
        assert_eq!((plan.rounds, plan.privacy.sampling_rate.get()), (2, 1.0));
        assert_eq!(plan.release_at(2).unwrap().kind, ReleaseKind::Collaborative);
        assert!(plan.release_at(0).is_none() && plan.release_at(3).is_none());
        assert_eq!(Plan::from_bytes(&plan.to_bytes()).unwrap(), plan);
        // z / sqrt(rho).
        let first = plan.release_noise(1, &[]).unwrap();
        assert!((first.get() - 0.6 / 0.4f64.sqrt()).abs() < 1e-12);
        let second = plan.release_noise(2, &[first]).unwrap();
        assert!((second.get() - 0.6 / 0.6f64.sqrt()).abs() < 1e-12);
        assert!(plan.least_release_noise(2).unwrap().get() <= second.get() * (1.0 + 1e-12));
    }

    #[test]
    fn releases_that_make_no_sense_are_refused_by_their_field() {
        for (from, to, field) in [
            ("share = 0.4", "share = 0.5", "release.share"),
            ("share = 0.4", "share = nan", "release.share"),
            ("share = 0.4", "share = -0.4", "release.share"),
            ("kind = 'popularity'", "kind = 'collaborative'", "release.kind"),
            ("kind = 'collaborative'", "kind = 'popularity'", "release.kind"),
            ("name = 'r'", "name = 'r'\nrounds = 5", "rounds"),
            (
                "noise_multiplier = 0.6",
                "noise_multiplier = 0.6\nsampling_rate = 0.5",
                "privacy.sampling_rate",
            ),
            (
                "noise_multiplier = 0.6",
                "noise_multiplier = 0.6\nclip_norm = 2.0",
                "privacy.clip_norm",
            ),
            (
                "declared_users = 100",
                "declared_users = 100\nweight = 0.5",
                "weight of shop a",
            ),
        ] {
            let refused = Plan::from_toml(&RELEASES.replace(from, to))
                .unwrap_err()
                .to_string();
            assert!(refused.starts_with(field), "{to}: {refused}");
        }
        // A plan that trains still has to say how.
        let missing = RELEASES.split("[[release]]").next().unwrap();
        assert!(
            Plan::from_toml(missing)
                .unwrap_err()
                .to_string()
                .contains("missing field")
        );
    }

    proptest! {
        #[test]
        fn whatever_fails_the_sum_over_all_charged_attempts_is_never_above_the_budget(
            shares in proptest::collection::vec(0.05f64..1.0, 1..4),
            failures in proptest::collection::vec(0usize..3, 3),
        ) {
            let mut plan = plan();
            let sum: f64 = shares.iter().sum();
            plan.release = shares
                .iter()
                .map(|share| ReleasePlan { kind: ReleaseKind::Collaborative, share: share / sum })
                .collect();
            let budget = 0.6f64.powi(-2);
            let mut charged = Vec::new();
            'rounds: for (round, failures) in (1..=shares.len() as u64).zip(failures) {
                for _ in 0..=failures {
                    match plan.release_noise(round, &charged) {
                        Some(z) => charged.push(z),
                        None => break 'rounds,
                    }
                    prop_assert!(spent(&charged) <= budget);
                }
            }
            // All of it is used, whether the last release came or failed.
            prop_assert!(spent(&charged) >= budget * (1.0 - 1e-9));
        }
    }
}
