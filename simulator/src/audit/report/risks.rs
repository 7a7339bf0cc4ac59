//! What remains when everything is as promised, and what to do about it.

use souk_common::plan::Plan;

use super::model::{AuditFindings, PrivacyFacts, Risk};
use super::show::{epsilon, percent};

/// Of a plan with this promise and these findings.
pub(super) fn of(plan: &Plan, privacy: Option<&PrivacyFacts>, findings: &AuditFindings) -> Vec<Risk> {
    let mut risks = Vec::new();
    let mut add = |risk: &str, source: &str, assessment: String, measure: &str| {
        risks.push(Risk {
            risk: risk.to_owned(),
            source: source.to_owned(),
            assessment,
            measure: measure.to_owned(),
        });
    };
    match privacy {
        None => add(
            "purchases of customers are read from what leaves the shops",
            "the coordinator, other shops, readers of what is published",
            "certain for whoever tries: there is no noise".to_owned(),
            "a plan with noise",
        ),
        Some(privacy) => add(
            "it is inferred whether a customer is in the data, or something of them",
            "whoever sees what leaves the shops",
            format!(
                "at most epsilon {} at delta {:e}; from even odds nobody is right more than {} of the time",
                epsilon(privacy.epsilon),
                privacy.delta,
                percent(privacy.most_certainty)
            ),
            "a smaller epsilon; fewer plans a year; more customers in a plan",
        ),
    }
    if let Some((times, yearly)) = privacy.and_then(|privacy| privacy.per_year.last_key_value()) {
        add(
            "the same customers are in plan after plan, and what is learned adds up",
            "the operator's calendar",
            format!(
                "{times} such plans in a year come to epsilon {}",
                epsilon(Some(*yearly))
            ),
            "`plan new --per year --times N` divides one budget among a year's plans; each shop's own budget declines what goes over",
        );
    }
    if let Some(alone) = privacy.and_then(|privacy| privacy.epsilon_if_alone) {
        let colluding = plan.masking.as_ref().map_or(0, |masking| masking.colluding);
        add(
            "more shops collude than is accounted for, or shops are invented",
            "a coordinator that lies, with shops of its own",
            format!(
                "beyond {colluding} colluding the figure grows; if every other shop were invented: epsilon {}",
                epsilon(Some(alone))
            ),
            "owners compare fingerprints of the other shops by voice; least numbers of shops in each owner's file",
        );
    }
    if privacy.is_some_and(|privacy| privacy.sampling_rate < 1.0) {
        let without = privacy.and_then(|privacy| privacy.epsilon_without_sampling);
        add(
            "who was drawn for a round becomes known",
            "whoever can read a shop's memory or time its work",
            format!("then epsilon is {}", epsilon(without)),
            "the shop's machine is the shop's to guard; updates leave at a fixed time",
        );
    }
    let pushed = findings
        .poisoning
        .iter()
        .filter(|row| row.low > row.exposure_before)
        .count();
    add(
        "a shop pushes products by customers that it made up",
        "a dishonest shop",
        match findings.poisoning.len() {
            0 => "not measured in this audit".to_owned(),
            all => format!("{pushed} of {all} tries moved lists"),
        },
        "sums have no norm check by shop: know the shops, watch exposure, roll back versions",
    );
    add(
        "a customer's purchases are read from a shop's own lists",
        "whoever sees those lists",
        "outside the guarantee: lists come from the shop's own data without noise".to_owned(),
        "five customers behind each pair of products; a signed token for each customer's list",
    );
    add(
        "data are lost, or changed unnoticed",
        "a machine that fails, or whoever can write to its disk",
        "records are chained and signed; a shop's ledger is on disk before anything leaves".to_owned(),
        "backups as docs/operations.md says; `souk-sim verify` on the operator's record",
    );
    add(
        "a customer wants to be forgotten after a sum has left",
        "the customer's right to erasure",
        "the shop forgets its own data at once; a published sum can't be taken back, and tells of the customer no more than stated above"
            .to_owned(),
        "`souk-client forget`; customers are told beforehand what leaves",
    );
    risks
}
