//! What the owner of a shop that has outgrown its plan is told: more customers than it declared, and customers with more
//! items than train.
//!
//! The owner is told, and nothing else: whether a shop takes part, and what it sends, must not tell how many customers it
//! has.

use souk_common::dataset::Dataset;
use souk_common::ids::ShopName;
use souk_common::model::work::MOST_ITEMS;
use souk_common::plan::Plan;

use crate::folder::Folder;
use crate::ledger::read_ledger;
use crate::membership::Membership;
use crate::participate::{Blob, BlobKind};
use crate::recommend::blobs::open_plan;

/// What there is to tell, a line each.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Outgrown {
    /// More customers than declared.
    pub customers: Option<String>,
    /// Whether they are more than the plan has room for.
    pub beyond_headroom: bool,
    /// Customers whose older items do not train.
    pub long_histories: Option<String>,
}

impl Outgrown {
    /// Of a shop with these customers in a plan, if one is known and names the shop.
    pub fn of(plan: Option<&Plan>, shop: &ShopName, dataset: &Dataset) -> Self {
        let customers = dataset
            .histories
            .iter()
            .filter(|history| !history.is_empty())
            .count() as u64;
        let mut told = Self::default();
        if let Some((plan, terms)) = plan.and_then(|plan| Some((plan, plan.terms_of(shop)?)))
            && customers > terms.declared_users
        {
            let (declared, times) = (terms.declared_users, plan.headroom());
            told.beyond_headroom = customers > plan.room_for(terms);
            let rest = match told.beyond_headroom {
                true => format!(
                    "more than the {times} times that its sums have room for, so this shop's part of a sum is held back at that \
                     room and counts for less than its customers. Ask the operator for a new plan that declares more"
                ),
                false => format!(
                    "its sums have room for {times} times as many, so rounds go on; ask the operator to declare more in the next \
                     plan"
                ),
            };
            told.customers = Some(format!(
                "the files have {customers} customers and plan {} declares {declared} for this shop: {rest}",
                plan.name
            ));
        }
        let long = dataset
            .histories
            .iter()
            .filter(|history| history.len() > MOST_ITEMS)
            .count();
        told.long_histories = (long > 0).then(|| {
            format!(
                "{long} customers have more than {MOST_ITEMS} different items each: only their latest {MOST_ITEMS} train, so that \
                 no customer takes long enough to be noticed"
            )
        });
        told
    }

    /// The lines.
    pub fn lines(&self) -> impl Iterator<Item = &str> {
        [&self.customers, &self.long_histories]
            .into_iter()
            .flatten()
            .map(String::as_str)
    }
}

/// The plan that this shop was last charged for; none before its first round, or if its file is gone.
pub fn last_plan(folder: &Folder) -> Option<Plan> {
    let chain = read_ledger(&folder.ledger()).ok()?;
    let digest = chain.spends().last()?.1.plan;
    let kind = BlobKind::Plan;
    open_plan(folder, &Blob { kind, digest }).ok()
}

/// What there is to tell of a folder's shop with these customers, by its last plan.
pub fn outgrown(folder: &Folder, dataset: &Dataset) -> Outgrown {
    match Membership::load(folder) {
        Ok(membership) => Outgrown::of(last_plan(folder).as_ref(), &membership.shop, dataset),
        // Whoever is no member has no plan.
        Err(_) => Outgrown::default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use souk_common::dataset::History;

    fn shop(customers: usize, items: usize) -> Dataset {
        let history = History {
            items: (0..items as u32).collect(),
            times: vec![0; items],
        };
        Dataset {
            users: (0..customers).map(|user| format!("u{user}")).collect(),
            histories: vec![history; customers],
            labelled: Vec::new(),
        }
    }

    #[test]
    fn an_owner_is_told_of_more_customers_than_declared_than_there_is_room_for_and_of_long_histories() {
        let text = "name = 'spring'\nrounds = 1\n[model]\nkind = 'mf'\n[train]\nsolver = 'ials'\nalpha = 0.1\nlambda = 1.0\n\
            [privacy]\nclip_norm = 1.0\nnoise_multiplier = 2.0\nsampling_rate = 0.5\nheadroom = 4\n[cohort]\nquorum = 1\n\
            [server]\noptimiser = 'plain'\nlearning_rate = 1.0\n[[shops]]\nname = 'north'\ndeclared_users = 10\n";
        let plan = Plan::from_toml(text).unwrap();
        let north: ShopName = "north".parse().unwrap();
        let told = |dataset: &Dataset| Outgrown::of(Some(&plan), &north, dataset);
        assert_eq!(told(&shop(10, 2)), Outgrown::default());
        let more = told(&shop(40, 2));
        let line = more.customers.clone().unwrap();
        assert!(
            !more.beyond_headroom && line.contains("40 customers") && line.contains("declares 10"),
            "{line}"
        );
        assert!(line.contains("rounds go on"), "{line}");
        let beyond = told(&shop(41, 2));
        let line = beyond.customers.clone().unwrap();
        assert!(
            beyond.beyond_headroom && line.contains("held back") && line.contains("4 times"),
            "{line}"
        );
        // Who bought nothing is in no sum.
        assert_eq!(told(&shop(41, 0)), Outgrown::default());
        let other = Outgrown::of(Some(&plan), &"south".parse().unwrap(), &shop(41, 2));
        assert_eq!(other, Outgrown::default());
        let long = Outgrown::of(None, &north, &shop(3, MOST_ITEMS + 1));
        assert_eq!(long.lines().count(), 1);
        assert!(
            long.lines()
                .next()
                .unwrap()
                .contains("3 customers have more than 1024")
        );
    }

    /// 45,000 customers where 5,000 were declared: the sum once wrapped without a word.
    #[test]
    fn nine_times_the_declared_customers_are_told_as_a_sum_that_may_wrap() {
        let text = "name = 'o'\nrounds = 1\n[model]\nkind = 'mf'\ngmf_dim = 4\n[train]\nsolver = 'sgd'\nnegatives = 4\n\
            learning_rate = 1.0\nuser_learning_rate = 0.05\n[privacy]\nclip_norm = 1.0\nnoise_multiplier = 1.0\n\
            sampling_rate = 1.0\ndelta = 1e-6\n[cohort]\nquorum = 2\n[server]\noptimiser = 'plain'\nlearning_rate = 0.1\n\
            [[shops]]\nname = 'north'\ndeclared_users = 5000\n[[shops]]\nname = 'south'\ndeclared_users = 5000\n";
        let plan = Plan::from_toml(text).unwrap().begun_now();
        let told = Outgrown::of(Some(&plan), &"north".parse().unwrap(), &shop(45_000, 1));
        let line = told.customers.unwrap();
        assert!(
            told.beyond_headroom && line.contains("45000 customers") && line.contains("declares 5000"),
            "{line}"
        );
        // Four times as many still have room, and the owner hears of it.
        let within = Outgrown::of(Some(&plan), &"north".parse().unwrap(), &shop(20_000, 1));
        assert!(!within.beyond_headroom && within.customers.is_some());
    }
}
