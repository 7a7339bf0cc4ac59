//! A privacy budget that is nearly spent.

use souk_common::clock::Timestamp;
use souk_common::date::date;
use souk_common::params::rounded_down;

use super::Finding;
use crate::control::Budget;

/// How much is left of a budget.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum BudgetLeft {
    /// A round without privacy was charged: nothing is promised.
    NoBound,
    /// Under a fifth of the limit.
    Little(f64),
    Enough(f64),
}

/// How much is left, epsilon.
pub(crate) fn left(budget: &Budget) -> BudgetLeft {
    match budget.epsilon_in_period {
        None => BudgetLeft::NoBound,
        Some(spent) => {
            let left = (budget.max_epsilon - spent).max(0.0);
            match spent > NEARLY_SPENT * budget.max_epsilon {
                true => BudgetLeft::Little(left),
                false => BudgetLeft::Enough(left),
            }
        }
    }
}

/// The same in words, with what to do. `next_fits`: whether the next round's spend does; `first_spend` is the oldest one that counts.
pub(crate) fn judge(budget: &Budget, next_fits: bool, first_spend: Option<Timestamp>) -> Finding {
    let limit = budget.max_epsilon;
    let renews = match (budget.period_days, first_spend) {
        (Some(days), Some(first)) => format!(
            "it begins to renew on {}, when the oldest spend is {days} days old",
            date(first + DAY * days)
        ),
        (Some(days), None) => format!("spends count for {days} days"),
        (None, _) => "it never renews, as period_days is not set".to_owned(),
    };
    match left(budget) {
        BudgetLeft::NoBound => Finding::warning(
            "no bound holds any more, because a round without noise was allowed: set allow_no_privacy to false under [policy] in \
             shop.toml",
        ),
        BudgetLeft::Enough(left) if next_fits => {
            Finding::good(format!("epsilon {} is left of {limit}", rounded_down(left, 3)))
        }
        BudgetLeft::Little(left) | BudgetLeft::Enough(left) => {
            let when = match next_fits {
                true => "when it is used up,",
                false => "too little for the next round, so",
            };
            Finding::warning(format!(
                "epsilon {} is left of {limit}: {when} this shop declines rounds and its lists stay as they are. {renews}; or decide \
                 on a higher max_epsilon under [policy] in shop.toml, which promises your customers less",
                rounded_down(left, 3)
            ))
        }
    }
}

const DAY: std::time::Duration = std::time::Duration::from_secs(86_400);
/// The part of the limit from which on the owner is told.
pub(crate) const NEARLY_SPENT: f64 = 0.8;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::health::HealthLevel;

    fn budget(spent: Option<f64>, period_days: Option<u32>) -> Budget {
        Budget {
            epsilon: spent,
            delta: 1e-5,
            unit: "user".into(),
            relation: "add-remove".into(),
            rounds_charged: 3,
            charged_by_kind: Default::default(),
            model_hash: None,
            max_epsilon: 8.0,
            period_days,
            epsilon_in_period: spent,
            noise_is_shared: false,
            epsilon_readers: None,
            epsilon_if_alone: None,
        }
    }

    #[test]
    fn a_budget_of_which_under_a_fifth_is_left_is_warned_of_with_when_it_renews() {
        let good = judge(&budget(Some(6.4), None), true, None);
        assert_eq!(
            (good.level, good.text.as_str()),
            (HealthLevel::Good, "epsilon 1.600 is left of 8")
        );
        let first = Timestamp(1_795_867_200_000);
        let found = judge(&budget(Some(6.41), Some(365)), true, Some(first));
        assert_eq!(found.level, HealthLevel::Warning);
        for said in ["epsilon 1.590 ", "renew on 2027-11-28", "max_epsilon"] {
            assert!(found.text.contains(said), "{said}: {}", found.text);
        }
        let never = judge(&budget(Some(9.0), None), true, Some(first));
        assert!(
            never.text.contains("epsilon 0.000") && never.text.contains("never renews"),
            "{}",
            never.text
        );
        let next = judge(&budget(Some(4.0), None), false, Some(first));
        assert!(
            next.level == HealthLevel::Warning
                && next
                    .text
                    .contains("epsilon 4.000 is left of 8: too little for the next round"),
            "{}",
            next.text
        );
        let unbounded = judge(&budget(None, None), true, None);
        assert!(unbounded.level == HealthLevel::Warning && unbounded.text.contains("allow_no_privacy"));
    }
}
