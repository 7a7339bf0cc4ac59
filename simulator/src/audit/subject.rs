//! What is audited.

use serde::{Deserialize, Serialize};
use souk_common::plan::Plan;

use crate::data::known::Known;

/// A plan, for the shops of a data set.
pub(crate) struct Subject {
    /// The plan, its shops those of `known`: the shop of place `i` in the plan has the users whose `known.shop_of` is `i`.
    pub(crate) plan: Plan,
    /// The data set that it is audited on.
    pub(crate) known: Known,
    /// How much is tried.
    pub(crate) effort: Effort,
    /// Of every draw of the audit. The same seed finds the same, on any number of threads.
    pub(crate) seed: u64,
}

/// How much an audit tries.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Effort {
    /// A minute or two: wide intervals, each attack once.
    Short,
    /// As many trials as the figures of docs/audit.md take.
    #[default]
    Full,
}

impl Effort {
    /// One of two numbers.
    pub(crate) fn pick<T>(self, short: T, full: T) -> T {
        match self {
            Self::Short => short,
            Self::Full => full,
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use souk_common::params::{Delta, Epsilon, Weight};
    use souk_common::plan::{Placement, ReleaseTerms, ShopTerms};

    use super::*;
    use crate::data::plans::coarse;
    use crate::data::synthetic;

    /// Four made-up shops of some dozens of customers, and the plan that `plan new` would write for them, at epsilon 8.
    pub(crate) fn made_up(seed: u64) -> Subject {
        made_up_of(seed, Epsilon::new(8.0).ok())
    }

    /// The same at another epsilon, or without privacy.
    pub(crate) fn made_up_of(seed: u64, epsilon: Option<Epsilon>) -> Subject {
        let made = synthetic::generate_sized(7, &[40, 30, 24, 20, 16]).unwrap();
        let mut shop_of = vec![0; made.dataset.len()];
        for (shop, (_, users)) in made.shops.iter().enumerate() {
            users.clone().for_each(|user| shop_of[user] = shop);
        }
        let shops = made.shops.iter().map(|(name, users)| ShopTerms {
            name: name.parse().unwrap(),
            declared_users: coarse(users.len()),
            weight: Weight::new(1.0).unwrap(),
        });
        let terms = ReleaseTerms {
            epsilon,
            delta: Delta::new(1e-5).unwrap(),
            placement: Placement::Distributed,
            training: None,
        };
        let plan = Plan::of_releases("made up", seed, shops.collect(), &terms, &made.catalogue).unwrap();
        Subject {
            known: Known {
                name: "made up",
                groups: vec![String::new(); made.dataset.len()],
                shops: made.shops.len(),
                dataset: made.dataset,
                catalogue: made.catalogue,
                shop_of,
            },
            plan,
            effort: Effort::Short,
            seed,
        }
    }
}
