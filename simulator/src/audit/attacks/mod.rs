//! Attacks on what a plan lets out, one file each. What they see is made by the shops' own code.
//!
//! | module | what |
//! |---|---|
//! | [`observed_round`] | a round as an adversary meets it |
//! | [`context`] | what attacks share: what is published, whom they aim at, how a row is judged |
//! | [`likelihood`] | the most powerful test between two customers |
//! | [`decode`], [`extraction`] | items read off an update, and how often that is right |
//! | [`statistics`] | areas, shares, intervals, and what a guarantee allows |
//! | [`logistic`] | logistic regression |
//! | [`attributes`] | what data sets say of people beside their purchases |
//! | all others | an attack each |

mod attribute_inference;
pub(crate) mod attributes;
mod basket_reconstruction;
mod collusion;
mod context;
mod decode;
mod extraction;
mod gradient_inversion;
mod interaction_membership;
mod item_set;
mod likelihood;
mod lists_oracle;
mod logistic;
mod observed_round;
pub(crate) mod poisoning;
mod ratings;
mod release_membership;
mod statistics;
mod tower_inversion;
mod version_difference;

#[cfg(test)]
mod tests;

use attributes::Attribute;
use context::Context;

use super::findings::{AttackFinding, AttackRow};
use super::subject::Subject;

/// An attack.
struct Attack {
    name: &'static str,
    wants: &'static str,
    sees: &'static str,
    source: &'static str,
    in_scope: bool,
    run: fn(&Context<'_>) -> anyhow::Result<Tried>,
}

/// What came of an attack.
enum Tried {
    /// One a measure.
    Rows(Vec<Measured>),
    /// Why it was not tried.
    Not(String),
}

/// Rows in one measure.
struct Measured {
    measure: &'static str,
    rows: Vec<AttackRow>,
}

impl Measured {
    fn of(measure: &'static str) -> Self {
        Self {
            measure,
            rows: Vec::new(),
        }
    }
}

/// Runs all attacks; `attributes` is what is known of people ([`attributes::read`]). `progress` hears the name of each before it
/// begins.
///
/// # Errors
/// When the plan does not fit the shops of the data set.
pub(crate) fn run(
    subject: &Subject,
    attributes: &[Attribute],
    mut progress: impl FnMut(&str),
) -> anyhow::Result<Vec<AttackFinding>> {
    let context = Context::new(subject, attributes)?;
    let mut findings = Vec::new();
    for attack in ATTACKS {
        progress(attack.name);
        findings.extend(self::findings(attack, (attack.run)(&context)));
    }
    Ok(findings)
}

/// What came of an attack, a measure each. One that could not be tried keeps no other from being tried, and is said not to have been.
fn findings(attack: &Attack, tried: anyhow::Result<Tried>) -> Vec<AttackFinding> {
    let finding = |measure: &str, rows, not_run| AttackFinding {
        attack: attack.name.to_owned(),
        wants: attack.wants.to_owned(),
        sees: attack.sees.to_owned(),
        source: attack.source.to_owned(),
        measure: measure.to_owned(),
        in_scope: attack.in_scope,
        rows,
        not_run,
    };
    match tried {
        Ok(Tried::Rows(measures)) => {
            let found = measures.into_iter();
            found
                .map(|measured| finding(measured.measure, measured.rows, None))
                .collect()
        }
        Ok(Tried::Not(why)) => vec![finding("", Vec::new(), Some(why))],
        Err(error) => vec![finding(
            "",
            Vec::new(),
            Some(format!("it could not be tried: {error:#}")),
        )],
    }
}

const ATTACKS: &[Attack] = &[
    Attack {
        name: "item_set",
        wants: "which items a customer bought",
        sees: "the coordinator: the update of the first round, of a shop in which nobody else is",
        source: "by construction: rows of items that a customer touched are not zero",
        in_scope: true,
        run: item_set::run,
    },
    Attack {
        name: "ratings",
        wants: "how a customer rated items, or which were bought",
        sees: "the coordinator: two successive gradients, of a shop in which nobody else is",
        source: "Chai, Wang, Chen, Yang 2019 (secure federated matrix factorization)",
        in_scope: true,
        run: ratings::run,
    },
    Attack {
        name: "gradient_inversion",
        wants: "which items a customer bought, and which were drawn beside them",
        sees: "the coordinator: one gradient of a network, of a shop in which nobody else is",
        source: "Zhu, Liu, Han 2019 (deep leakage from gradients), in the closed form of the last layer (Zhao et al. 2020)",
        in_scope: true,
        run: gradient_inversion::run,
    },
    Attack {
        name: "tower_inversion",
        wants: "what a customer bought last",
        sees: "a coordinator with as many colluding shops as the plan counts on, who knows everybody else's purchases and this \
               customer's earlier ones: a step of the tower's training",
        source: "Zhu, Liu, Han 2019 (deep leakage from gradients), by search over candidates",
        in_scope: true,
        run: tower_inversion::run,
    },
    Attack {
        name: "interaction_membership",
        wants: "whether a customer bought a given item",
        sees: "a coordinator with as many colluding shops as the plan counts on, who knows everybody else's purchases and this \
               customer's other ones: the sums",
        source: "Yuan et al. 2023 (interaction-level membership inference), with the likelihood ratio for their shadow training",
        in_scope: true,
        run: interaction_membership::run,
    },
    Attack {
        name: "release_membership",
        wants: "whether somebody is a customer of any of the shops",
        sees: "a coordinator with as many colluding shops as the plan counts on, who knows everybody else's purchases and this \
               customer's: the sums",
        source: "likelihood ratio of Neyman and Pearson 1933; as in Homer et al. 2008, Sankararaman et al. 2009",
        in_scope: true,
        run: release_membership::run,
    },
    Attack {
        name: "attribute_inference",
        wants: "gender, age, household of somebody of whom some purchases are known",
        sees: "a reader of what is published, who knows the attribute and half of the purchases of others",
        source: "Kosinski, Stillwell, Graepel 2013; Gong, Liu 2016 (attribute inference)",
        in_scope: false,
        run: attribute_inference::run,
    },
    Attack {
        name: "version_difference",
        wants: "whether somebody became a customer between two published versions",
        sees: "a reader of both versions who knows this customer's purchases",
        source: "Zanella-Béguelin et al. 2020 (information leakage of model updates)",
        in_scope: true,
        run: version_difference::run,
    },
    Attack {
        name: "basket_reconstruction",
        wants: "what a customer bought",
        sees: "a coordinator with as many colluding shops as the plan counts on, who knows everybody else's purchases: the release of \
               which items go together, and what was published before it",
        source: "reconstruction of Dinur, Nissim 2003, by what the statistic is made of",
        in_scope: true,
        run: basket_reconstruction::run,
    },
    Attack {
        name: "collusion",
        wants: "whether somebody is a customer of any of the other shops",
        sees: "the coordinator, with shops that tell it what noise they added",
        source: "Bonawitz et al. 2017; Kairouz et al. 2021 (distributed noise)",
        in_scope: true,
        run: collusion::run,
    },
    Attack {
        name: "lists_oracle",
        wants: "what a customer bought last",
        sees: "another customer, or a visitor, of the same shop, who knows some of the customer's items: the shop's own lists before and \
               after",
        source: "Calandrino et al. 2011 (\"You might also like\")",
        in_scope: false,
        run: lists_oracle::run,
    },
];
