//! How the updates of a round's shops become one: the sum, or a rule under which a few shops that lie can't carry it away.

use serde::{Deserialize, Serialize};

use super::{Placement, Plan, PlanError};

/// `[aggregation]`. Every rule but the mean works on each shop's update by itself, brought to the mean of one customer by what
/// the shop declared.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Serialize)]
#[serde(tag = "rule", rename_all = "snake_case", deny_unknown_fields)]
pub enum AggregationPlan {
    /// The exact sum: the mean over all customers.
    Mean {},
    /// The mean after each shop's update was shortened to at most sqrt((bound C)^2 + d stddev^2), d coordinates of noise of
    /// this deviation (Sun et al. 2019, with room for the shop's own noise).
    NormBound {
        /// In units of C: an honest shop's mean is never longer than 1, noise aside.
        #[serde(default = "default_bound")]
        bound: f64,
    },
    /// The median over the shops, coordinate by coordinate (Yin et al. 2018).
    Median {},
    /// The mean without the `trim` largest and smallest numbers of each coordinate (Yin et al. 2018).
    TrimmedMean {
        /// How many at each end: at least as many as may lie.
        trim: usize,
    },
    /// The one update that is nearest to its n - f - 2 nearest others (Blanchard et al. 2017).
    Krum {
        /// f: how many shops may lie.
        liars: usize,
    },
}

impl Default for AggregationPlan {
    fn default() -> Self {
        Self::Mean {}
    }
}

impl AggregationPlan {
    /// Whether it is the plain sum, for which no shop's update is looked at by itself.
    pub fn is_mean(&self) -> bool {
        matches!(self, Self::Mean {})
    }

    /// As plans name it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Mean {} => "mean",
            Self::NormBound { .. } => "norm_bound",
            Self::Median {} => "median",
            Self::TrimmedMean { .. } => "trimmed_mean",
            Self::Krum { .. } => "krum",
        }
    }

    /// With how many shops at least it is what it is called.
    pub fn least_shops(&self) -> usize {
        match self {
            Self::Mean {} | Self::NormBound { .. } => 1,
            Self::Median {} => 3,
            Self::TrimmedMean { trim } => trim.saturating_mul(2).saturating_add(1),
            Self::Krum { liars } => liars.saturating_mul(2).saturating_add(3),
        }
    }

    /// How many of `shops` may send whatever they like without carrying the outcome out of what the others say; none: any
    /// number of them moves it, each by a bounded step.
    pub fn bears(&self, shops: usize) -> Option<usize> {
        match self {
            Self::Mean {} | Self::NormBound { .. } => None,
            Self::Median {} => Some(shops.saturating_sub(1) / 2),
            Self::TrimmedMean { trim } => Some(*trim),
            Self::Krum { liars } => Some(*liars),
        }
    }

    /// Its own numbers, if one can't be.
    fn fault(&self) -> Option<(&'static str, String, &'static str)> {
        match self {
            Self::NormBound { bound } if !(bound.is_finite() && *bound > 0.0 && *bound <= MOST_BOUND) => {
                Some((
                    "aggregation.bound",
                    format!("{bound:?}"),
                    "above 0 and at most 1,000,000",
                ))
            }
            Self::TrimmedMean { trim: 0 } => Some((
                "aggregation.trim",
                "0".into(),
                "at least 1: without, it is rule = \"mean\"",
            )),
            Self::Krum { liars: 0 } => Some(("aggregation.liars", "0".into(), "at least 1")),
            _ => None,
        }
    }

    /// What the least number of shops follows from.
    fn takes(&self) -> String {
        match self {
            Self::TrimmedMean { trim } => format!("more than 2 trim, and trim is {trim}"),
            Self::Krum { liars } => format!("2 liars + 3, and liars is {liars}"),
            _ => "with fewer it is the mean".to_owned(),
        }
    }
}

impl Plan {
    pub(super) fn validate_aggregation(&self) -> Result<(), PlanError> {
        let refuse = |field: &str, value: String, rule: String| {
            Err(PlanError::Value {
                field: field.to_owned(),
                value,
                rule,
            })
        };
        let rule = &self.aggregation;
        if rule.is_mean() {
            return Ok(());
        }
        if let Some((field, value, rule)) = rule.fault() {
            return refuse(field, value, rule.to_owned());
        }
        if self.masking.is_some() || self.privacy.placement != Placement::Local {
            let remedy = "\"mean\" with [masking], under which only sums are seen: leave [masking] out and set privacy.placement = \
                          \"local\", so that every shop's update can be looked at by itself and carries all of its noise";
            return refuse(
                "aggregation.rule",
                format!("{:?}", rule.name()),
                remedy.to_owned(),
            );
        }
        let (least, name) = (rule.least_shops(), rule.name());
        if self.cohort.quorum < least {
            let rule = format!(
                "at least {least} where aggregation.rule is \"{name}\" ({})",
                rule.takes()
            );
            return refuse("cohort.quorum", self.cohort.quorum.to_string(), rule);
        }
        if matches!(rule, AggregationPlan::Krum { .. }) && self.shops.len() > MOST_KRUM_SHOPS {
            let rule = format!(
                "another than \"krum\" for {} [[shops]]: it compares every pair of at most {MOST_KRUM_SHOPS}; \"median\" and \
                 \"trimmed_mean\" take any number",
                self.shops.len()
            );
            return refuse("aggregation.rule", "\"krum\"".to_owned(), rule);
        }
        Ok(())
    }
}

fn default_bound() -> f64 {
    1.0
}

const MOST_BOUND: f64 = 1e6;
/// Their distances are 8 MB.
const MOST_KRUM_SHOPS: usize = 1000;

#[cfg(test)]
mod tests {
    use super::*;

    fn text(shops: usize, more: &str) -> String {
        let shops: String = (0..shops)
            .map(|shop| format!("[[shops]]\nname = 'shop-{shop}'\ndeclared_users = 50\n"))
            .collect();
        format!(
            "name = 't'\nrounds = 3\n[model]\nkind = 'mf'\n[train]\nsolver = 'ials'\nalpha = 0.1\nlambda = 1.0\n[privacy]\n\
             clip_norm = 1.0\nnoise_multiplier = 4.0\nsampling_rate = 0.5\n[cohort]\nquorum = 5\n[server]\noptimiser = 'plain'\n\
             learning_rate = 1.0\n{more}{shops}"
        )
    }

    #[test]
    fn a_plan_without_a_rule_and_one_that_names_the_mean_are_written_as_plans_always_were() {
        let plan = |more: &str| Plan::from_toml(&text(5, more)).unwrap();
        let (absent, mean) = (plan(""), plan("[aggregation]\nrule = 'mean'\n"));
        assert_eq!(absent.digest(), mean.digest());
        assert!(
            !String::from_utf8(absent.to_bytes())
                .unwrap()
                .contains("aggregation")
        );
        for more in [
            "rule = 'norm_bound'",
            "rule = 'norm_bound'\nbound = 2",
            "rule = 'median'",
            "rule = 'trimmed_mean'\ntrim = 2",
            "rule = 'krum'\nliars = 1",
        ] {
            let plan = plan(&format!("[aggregation]\n{more}\n"));
            assert_eq!(Plan::from_bytes(&plan.to_bytes()).unwrap(), plan);
            assert_ne!(plan.digest(), absent.digest());
        }
    }

    #[test]
    fn rules_that_can_not_be_say_which_number_and_what_it_may_be() {
        let refusal = |shops: usize, more: &str| {
            let refused = Plan::from_toml(&text(shops, more));
            refused.expect_err(more).to_string()
        };
        for (shops, more, said) in [
            (5, "rule = 'medoid'", "medoid"),
            (5, "rule = 'median'\ntrim = 1", "trim"),
            (5, "rule = 'mean'\ntrim = 1", "trim"),
            (5, "rule = 'trimmed_mean'", "trim"),
            (5, "rule = 'trimmed_mean'\ntrim = 0", "aggregation.trim is 0"),
            (
                5,
                "rule = 'trimmed_mean'\ntrim = 3",
                "cohort.quorum is 5; it must be at least 7",
            ),
            (
                9,
                "rule = 'krum'\nliars = 2",
                "cohort.quorum is 5; it must be at least 7",
            ),
            (5, "rule = 'krum'\nliars = 0", "aggregation.liars is 0"),
            (5, "rule = 'krum'\nliars = 18446744073709551615", "liars"),
            (5, "rule = 'norm_bound'\nbound = 0", "aggregation.bound is 0"),
            (5, "rule = 'norm_bound'\nbound = nan", "aggregation.bound is NaN"),
            (1001, "rule = 'krum'\nliars = 1", "any number"),
        ] {
            let refused = refusal(shops, &format!("[aggregation]\n{more}\n"));
            assert!(refused.contains(said), "{more}: {refused}");
        }
        let masked = text(5, "[aggregation]\nrule = 'median'\n[masking]\nmin_shops = 4\n");
        let shared = masked.replace("sampling_rate", "placement = 'distributed'\nsampling_rate");
        for text in [masked, shared] {
            let refused = Plan::from_toml(&text).unwrap_err().to_string();
            assert!(
                refused.contains("aggregation.rule is \"median\"") && refused.contains("leave [masking] out"),
                "{refused}"
            );
        }
    }

    #[test]
    fn how_many_shops_may_lie() {
        let bears = |rule: AggregationPlan, shops| rule.bears(shops);
        assert_eq!(bears(AggregationPlan::Mean {}, 9), None);
        assert_eq!(bears(AggregationPlan::NormBound { bound: 1.0 }, 9), None);
        assert_eq!(bears(AggregationPlan::Median {}, 9), Some(4));
        assert_eq!(bears(AggregationPlan::Median {}, 10), Some(4));
        assert_eq!(bears(AggregationPlan::TrimmedMean { trim: 2 }, 9), Some(2));
        assert_eq!(bears(AggregationPlan::Krum { liars: 3 }, 9), Some(3));
    }
}
