//! What a plan's aggregation rule protects from, and what it costs.

use serde_json::{Value, json};
use souk_common::plan::{AggregationPlan, Plan};

use crate::aggregate::rules;

/// Of a plan with another rule than the mean.
pub(super) struct Robustness {
    rule: AggregationPlan,
    shops: usize,
    /// The noise of what is published, over that of one shop's update.
    factor: f64,
    /// Of the longest update; none without a catalogue.
    coordinates: Option<usize>,
}

impl Robustness {
    pub(super) fn of(plan: &Plan, coordinates: Option<usize>) -> Option<Self> {
        (!plan.aggregation.is_mean()).then(|| Self {
            rule: plan.aggregation,
            shops: plan.shops.len(),
            factor: noise_factor(plan),
            coordinates,
        })
    }

    /// The same with masks, of which all shops but one that colludes share the noise.
    fn factor_masked(&self) -> f64 {
        let shops = self.shops as f64;
        (shops / (shops - 1.0).max(1.0)).sqrt()
    }

    pub(super) fn json(&self) -> Value {
        json!({
            "rule": self.rule,
            "liars": self.rule.bears(self.shops),
            "noise_of_one_shop": self.factor,
            "noise_under_masks": self.factor_masked(),
            "coordinator_seconds_per_round": self.seconds(),
        })
    }

    /// What the rule does at the end of a round, while which the coordinator answers nobody.
    fn seconds(&self) -> Option<f64> {
        let (shops, coordinates) = (self.shops as f64, self.coordinates? as f64);
        let each = match self.rule {
            AggregationPlan::Krum { .. } => shops * PAIR_SECONDS * 0.5,
            _ => shops.log2().max(1.0) * NUMBER_SECONDS,
        };
        Some(coordinates * shops * each)
    }

    pub(super) fn lines(&self) -> Vec<String> {
        let name = self.rule.name();
        let protects = match (self.rule.bears(self.shops), self.rule) {
            (None, _) => "no shop moves the outcome by more than its customers at the bound and its noise come to, whatever it \
                          sends; it does not stop a shop that stays within"
                .to_owned(),
            (Some(liars), AggregationPlan::Krum { .. }) => format!(
                "up to {liars} of {} shops may send anything; what is published is one shop's update, and says nothing of the \
                 other shops' customers",
                self.shops
            ),
            (Some(liars), _) => format!(
                "up to {liars} of {} shops may send anything, and each coordinate stays among what the others say; each shop \
                 counts once, whatever its size",
                self.shops
            ),
        };
        let time = self.seconds().map(|seconds| {
            format!(
                "the rule takes about {} of the coordinator at the end of each round, and answers wait as long (an estimate)",
                match seconds < 0.1 {
                    true => "0.1 s or less".to_owned(),
                    false => format!("{seconds:.1} s"),
                }
            )
        });
        let mut lines = vec![
            format!("aggregation \"{name}\": {protects}"),
            format!(
                "what it costs: every shop adds all of the noise, for its update is looked at by itself; what is published has {:.2} \
                 times the noise of one shop, and under masks the plain sum would have {:.2}",
                self.factor,
                self.factor_masked()
            ),
        ];
        lines.extend(time);
        lines
    }
}

/// The noise of what is published, over z: of all the plan's shops.
pub(super) fn noise_factor(plan: &Plan) -> f64 {
    match rules::noise_factor(plan) {
        Some(factor) => factor,
        None => (plan.shops.len() as f64 / plan.noise_shares() as f64).sqrt(),
    }
}

/// Of a pair of numbers, and of a number sorted, as measured on one core of a small server.
const PAIR_SECONDS: f64 = 1e-9;
const NUMBER_SECONDS: f64 = 1e-8;

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(rule: &str) -> Plan {
        let shops: String = (0..9)
            .map(|shop| {
                format!(
                    "[[shops]]\nname = 'shop-{shop}'\ndeclared_users = {}\n",
                    100 + 100 * (shop % 2)
                )
            })
            .collect();
        Plan::from_toml(&format!(
            "name = 'r'\n{rule}[privacy]\nnoise_multiplier = 0.6\n[cohort]\nquorum = 9\n[[release]]\nkind = 'popularity'\nshare = 1.0\n{shops}"
        ))
        .expect("a plan")
    }

    #[test]
    fn each_rule_says_what_it_bears_and_how_much_noisier_it_is_than_the_mean() {
        assert!(Robustness::of(&plan(""), None).is_none());
        assert_eq!(noise_factor(&plan("")), 3.0);
        let of = |rule: &str| {
            Robustness::of(
                &plan(&format!("[aggregation]\nrule = {rule}\n")),
                Some(10_000_000),
            )
            .expect("a rule")
        };
        for (rule, said, low, high) in [
            ("'norm_bound'", "whatever it sends", 2.999, 3.001),
            // The root of half pi times 3, and a little less for so few shops.
            ("'median'", "up to 4 of 9", 3.4, 3.9),
            ("'trimmed_mean'\ntrim = 1", "up to 1 of 9", 3.0, 3.4),
            // The smallest shop's, for all 1,300 customers.
            ("'krum'\nliars = 2", "one shop's update", 12.999, 13.001),
        ] {
            let robustness = of(rule);
            let lines = robustness.lines();
            let [protects, costs, time] = &lines[..] else {
                panic!("{lines:?}")
            };
            assert!(time.contains(" s of the coordinator"), "{time}");
            assert!(protects.contains(said), "{protects}");
            assert!(
                (low..high).contains(&robustness.factor),
                "{rule}: {}",
                robustness.factor
            );
            assert!(
                costs.contains(&format!("{:.2} times", robustness.factor)),
                "{costs}"
            );
            assert_eq!(robustness.json()["rule"]["rule"], robustness.rule.name());
        }
    }
}
