//! The sections that are made of what was found.

use maud::{Markup, html};

use super::model::AuditFindings;
use super::parts::table;
use super::pictures;
use super::show::{delta, epsilon, interval, percent, thousands};
use crate::audit::findings::{AttackFinding, EpsilonBound, Finding};

/// A list of checks; that there was none, if there was none.
pub(super) fn checks(caption: &str, found: &[Finding]) -> Markup {
    if found.is_empty() {
        return html! { p { (caption) ": none was made." } };
    }
    let rows: Vec<Vec<String>> = found
        .iter()
        .map(|finding| {
            vec![
                finding.name.clone(),
                verdict(Some(finding.ok)).to_owned(),
                finding.detail.clone(),
            ]
        })
        .collect();
    table(caption, &["Check", "Result", "What was compared"], &rows)
}

fn verdict(ok: Option<bool>) -> &'static str {
    match ok {
        Some(true) => "holds",
        Some(false) => "DOES NOT HOLD",
        None => "nothing promised",
    }
}

/// Lower bounds beside upper ones.
pub(super) fn bounds(found: &AuditFindings) -> Markup {
    if found.bounds.is_empty() {
        return html! { p { "No lower bound was measured." } };
    }
    let row = |bound: &EpsilonBound| {
        vec![
            bound.of.clone(),
            procedure(&bound.procedure),
            bound.canary.clone(),
            thousands(bound.trials),
            format!("{:.3}", bound.lower),
            bound
                .confidence
                .map_or_else(|| "an estimate, no bound".to_owned(), percent),
            epsilon(bound.upper),
            delta(bound.delta),
            verdict(Some(bound.ok)).to_owned(),
        ]
    };
    let rows: Vec<Vec<String>> = found.bounds.iter().map(row).collect();
    html! {
        p {
            "A customer that the audit made up was put in, or left out, again and again; how well the two are told apart from what comes out shows a \
             leak of at least the lower figure. It must not be above what the accountant promises."
        }
        (pictures::bounds(&found.bounds))
        p class="dim" { "Wide bar: promised at most. Narrow bar: shown at least. A narrow bar that is longer than the wide one is an alarm." }
        (table(
            "Empirical lower bounds on epsilon",
            &["Of", "Procedure", "Canary", "#Trials", "#At least", "#Confidence", "#Promised at most", "#Delta", "Result"],
            &rows,
        ))
    }
}

/// With where it is from.
fn procedure(name: &str) -> String {
    match name {
        "gdp" => "Gaussian trade-off (Nasr et al. 2023)",
        "clopper_pearson" => "Clopper-Pearson on both error rates",
        "one_run" => "one run (Steinke et al. 2023)",
        "one_run_f_dp" => "one run, trade-off curves (Mahloujifar et al. 2024)",
        "one_shot" => "one shot (Andrew et al. 2023)",
        other => other,
    }
    .to_owned()
}

/// Attacks on people.
pub(super) fn attacks(found: &AuditFindings) -> Markup {
    if found.attacks.is_empty() {
        return html! { p { "No attack was tried." } };
    }
    let tried: Vec<AttackFinding> = found
        .attacks
        .iter()
        .filter(|attack| !attack.rows.is_empty())
        .cloned()
        .collect();
    html! {
        @if !tried.is_empty() {
            (pictures::attacks(&tried))
            p class="dim" {
                "Dot: how well it went, with its 95 % interval. Dashed: what guessing achieves. Solid upright: the most that is allowed, where something is."
            }
        }
        @for attack in &found.attacks {
            h3 { (attack.attack) }
            p {
                "Wants: " (attack.wants) ". The adversary: " (attack.sees) ". Success is " (attack.measure) ". From: " (attack.source) ". "
                @if attack.in_scope { "The promise is meant to stop it." }
                @else { strong { "Outside the promise: it is measured so that it is known." } }
            }
            @if let Some(why) = &attack.not_run { p { "Not tried: " (why) "." } }
            @if !attack.rows.is_empty() { (attack_table(attack)) }
        }
    }
}

fn attack_table(attack: &AttackFinding) -> Markup {
    let rows: Vec<Vec<String>> = attack
        .rows
        .iter()
        .map(|row| {
            vec![
                pictures::protections(row.protections).to_owned(),
                interval(row.success, row.low, row.high),
                format!("{:.3}", row.chance),
                row.allowed
                    .map_or_else(|| "nothing said".to_owned(), |allowed| format!("{allowed:.3}")),
                thousands(row.trials),
                verdict(row.ok).to_owned(),
                row.note.clone(),
            ]
        })
        .collect();
    table(
        &format!("{}: success by what protects", attack.attack),
        &[
            "Protected by",
            "#Success (95 % interval)",
            "#Guessing",
            "#Allowed at most",
            "#Trials",
            "Result",
            "Note",
        ],
        &rows,
    )
}

/// Attacks on what is recommended.
pub(super) fn poisoning(found: &AuditFindings) -> Markup {
    if found.poisoning.is_empty() {
        return html! { p { "Not tried." } };
    }
    let rows: Vec<Vec<String>> = found
        .poisoning
        .iter()
        .map(|row| {
            vec![
                row.attack.clone(),
                row.power.clone(),
                row.rule.clone(),
                thousands(row.fakes),
                thousands(row.targets),
                percent(row.exposure_before),
                format!(
                    "{} ({} to {})",
                    percent(row.exposure_after),
                    percent(row.low),
                    percent(row.high)
                ),
            ]
        })
        .collect();
    html! {
        p {
            "A dishonest shop makes customers up. Privacy limits what each of them can do, and does not forbid it; how far pushed products get is measured, \
             by how the shops' sums are put together."
        }
        (table(
            "Exposure among the first ten, before and after",
            &["Attack", "Adversary", "Sums put together by", "#Made-up customers", "#Products pushed", "#Before", "#After (95 % interval)"],
            &rows,
        ))
    }
}

/// Faults put in on purpose.
pub(super) fn mutations(found: &AuditFindings) -> Markup {
    if found.mutations.is_empty() {
        return html! { p { "None was put in: how well this audit notices faults was not tested." } };
    }
    let rows: Vec<Vec<String>> = found
        .mutations
        .iter()
        .map(|row| {
            vec![
                row.mutation.clone(),
                row.what.clone(),
                match row.flagged {
                    true => "noticed",
                    false => "NOT NOTICED",
                }
                .to_owned(),
                row.by.clone(),
                row.significance.to_string(),
            ]
        })
        .collect();
    table(
        "Faults, and the check that noticed them",
        &["Fault", "What it does", "Result", "By", "#Significance"],
        &rows,
    )
}
