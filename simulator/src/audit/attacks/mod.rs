//! Attacks on what a plan lets out, one file each. What they see is made by the shops' own code.
//!
//! | module | what |
//! |---|---|
//! | [`scene`] | a round as an adversary meets it |
//! | [`ground`] | what attacks share: what is published, whom they aim at, how a row is judged |
//! | [`likelihood`] | the most powerful test between two customers |
//! | [`decode`] | items read off an update |
//! | [`statistics`] | areas, shares, intervals, and what a guarantee allows |
//! | [`attributes`] | what data sets say of people beside their purchases |
//! | all others | an attack each |

pub(crate) mod attributes;
mod ground;
mod likelihood;
mod release_membership;
mod scene;
mod statistics;

#[cfg(test)]
mod tests;

use attributes::Attribute;
use ground::Ground;

use super::findings::{AttackFinding, AttackRow};
use super::subject::Subject;

/// An attack.
struct Attack {
    name: &'static str,
    wants: &'static str,
    sees: &'static str,
    source: &'static str,
    in_scope: bool,
    run: fn(&Ground<'_>) -> anyhow::Result<Tried>,
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

/// Runs all attacks, on a data set that says nothing of people beside their purchases. `progress` hears the name of each before it
/// begins.
///
/// # Errors
/// When the plan does not fit the shops of the data set.
pub(crate) fn run(subject: &Subject, progress: impl FnMut(&str)) -> anyhow::Result<Vec<AttackFinding>> {
    run_with(subject, &[], progress)
}

/// As [`run`], with what is known of people ([`attributes::read`]).
///
/// # Errors
/// As there.
pub(crate) fn run_with(
    subject: &Subject,
    attributes: &[Attribute],
    mut progress: impl FnMut(&str),
) -> anyhow::Result<Vec<AttackFinding>> {
    let ground = Ground::new(subject, attributes)?;
    let mut findings = Vec::new();
    for attack in ATTACKS {
        progress(attack.name);
        findings.extend(self::findings(attack, (attack.run)(&ground)));
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

const ATTACKS: &[Attack] = &[Attack {
    name: "release_membership",
    wants: "whether somebody is a customer of any of the shops",
    sees: "a coordinator with as many colluding shops as the plan counts on, who knows everybody else's purchases and this \
               customer's: the sums",
    source: "likelihood ratio of Neyman and Pearson 1933; as in Homer et al. 2008, Sankararaman et al. 2009",
    in_scope: true,
    run: release_membership::run,
}];
