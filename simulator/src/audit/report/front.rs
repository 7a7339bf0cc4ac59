//! The page in front: what was checked, what came out and what to do, without the field's words.

use super::model::{AuditFindings, Front, FrontLine, Light, MechanismFacts, PrivacyFacts, UtilityFinding};
use super::show::{counted, percent, points};
use crate::audit::findings::{AttackFinding, AttackRow, EpsilonBound, Finding, Protections};

/// Of these findings under this promise.
pub(super) fn front(
    privacy: Option<&PrivacyFacts>,
    mechanism: &MechanismFacts,
    findings: &AuditFindings,
) -> Front {
    let mut lines = vec![promise(privacy)];
    lines.extend([
        noise(&findings.mechanism),
        leak(privacy.is_some(), &findings.bounds),
        people(privacy.is_some(), &findings.attacks),
    ]);
    lines.extend(uncovered(&findings.attacks));
    lines.extend([
        poisoned(findings),
        faults(findings),
        cost(&findings.utility),
        beside(mechanism, &findings.side_channels),
    ]);
    let light = lines.iter().map(|line| line.light).max().unwrap_or(Light::Amber);
    let is_tested =
        !(findings.mechanism.is_empty() && findings.bounds.is_empty() && findings.attacks.is_empty());
    let verdict = match (light, privacy.is_some(), is_tested) {
        (_, false, _) => {
            "This plan protects nobody: it adds no noise, and nothing limits what it tells about a customer."
        }
        (Light::Red, true, _) => {
            "Something is not as promised. Do not rely on this plan until it is put right."
        }
        (_, true, false) => "The promise was worked out, and nothing of it was tested.",
        (Light::Amber, true, true) => {
            "The promise held in everything that was tested. Some points below are for people to weigh."
        }
        (Light::Green, true, true) => "The promise held in everything that was tested.",
    };
    Front {
        to_do: to_do(privacy, &lines, findings),
        light,
        verdict: verdict.to_owned(),
        lines,
    }
}

fn line(light: Light, asked: &str, says: impl Into<String>) -> FrontLine {
    FrontLine {
        light,
        asked: asked.to_owned(),
        says: says.into(),
    }
}

fn promise(privacy: Option<&PrivacyFacts>) -> FrontLine {
    let asked = "Is there a limit to what can be learned about one customer?";
    let Some((privacy, epsilon)) = privacy.and_then(|privacy| Some((privacy, privacy.epsilon?))) else {
        return line(
            Light::Red,
            asked,
            "No. Whoever sees what leaves the shops can work out who bought what.",
        );
    };
    // Percent is rounded up: a limit is never told lower than it is.
    let certainty = (100.0 * privacy.most_certainty).ceil();
    let says = format!(
        "Yes. Somebody who sees everything that leaves the shops and already knows everything else is right at most {certainty:.0} times in 100 \
         about whether a given customer is in the data; guessing is right 50 times."
    );
    match epsilon {
        ..=MOST_REASONABLE => line(Light::Green, asked, says),
        _ => line(
            Light::Amber,
            asked,
            format!("{says} That is a weak limit by what is customary."),
        ),
    }
}

fn noise(found: &[Finding]) -> FrontLine {
    let asked = "Do the programs do what the plan says?";
    let wrong: Vec<&str> = found
        .iter()
        .filter(|finding| !finding.ok)
        .map(|finding| finding.name.as_str())
        .collect();
    match (found.len(), wrong.len()) {
        (0, _) => line(Light::Amber, asked, "Not tested."),
        (all, 0) => line(
            Light::Green,
            asked,
            format!("Yes, in {}.", counted(all as u64, "check", "checks")),
        ),
        (all, some) => line(
            Light::Red,
            asked,
            format!("No: {some} of {all} checks failed ({}).", wrong.join(", ")),
        ),
    }
}

fn leak(is_private: bool, bounds: &[EpsilonBound]) -> FrontLine {
    let asked = "Was more seen to leak than is promised?";
    let crossed = bounds.iter().filter(|bound| !bound.ok).count();
    if bounds.is_empty() {
        return line(Light::Amber, asked, "Not tested.");
    }
    if crossed > 0 {
        return line(
            Light::Red,
            asked,
            format!("Yes, in {crossed} of {} measurements.", bounds.len()),
        );
    }
    let share = |bound: &EpsilonBound| {
        let upper = bound
            .upper
            .filter(|upper| bound.confidence.is_some() && *upper > 0.0)?;
        Some(bound.lower / upper)
    };
    let most = bounds.iter().filter_map(share).reduce(f64::max);
    match (is_private, most) {
        (true, Some(most)) => line(
            Light::Green,
            asked,
            format!(
                "No. In {} the largest leak that was shown is {} of the limit.",
                counted(bounds.len() as u64, "measurement", "measurements"),
                percent(most.max(0.0))
            ),
        ),
        (true, None) => line(
            Light::Amber,
            asked,
            "Not in what was measured, which were estimates and no proof.",
        ),
        (false, _) => line(Light::Red, asked, "Nothing is promised that it could exceed."),
    }
}

/// Under the plan as it is.
fn planned(attack: &AttackFinding) -> Option<&AttackRow> {
    attack
        .rows
        .iter()
        .find(|row| row.protections == Protections::Plan)
}

fn people(is_private: bool, attacks: &[AttackFinding]) -> FrontLine {
    let asked = "Could somebody find out about a particular customer?";
    let tried: Vec<&AttackFinding> = attacks
        .iter()
        .filter(|attack| attack.in_scope && !attack.rows.is_empty())
        .collect();
    let skipped = attacks.iter().filter(|attack| attack.not_run.is_some()).count();
    let beyond = tried
        .iter()
        .filter(|attack| attack.rows.iter().any(|row| row.ok == Some(false)));
    let beyond: Vec<&str> = beyond.map(|attack| attack.wants.as_str()).collect();
    let above = tried
        .iter()
        .filter_map(|attack| planned(attack).filter(|row| row.low > row.chance));
    let above = above.count();
    if tried.is_empty() {
        return line(Light::Amber, asked, "Not tested.");
    }
    let mut says = match (beyond.is_empty(), is_private) {
        (false, _) => format!("Yes, more than the limit allows: {}.", beyond.join("; ")),
        (true, false) => format!(
            "Yes: {} of {} attacks did better than guessing, and there is no limit.",
            above,
            tried.len()
        ),
        (true, true) if above == 0 => {
            format!(
                "Not by what was tried ({}): guessing does as well.",
                counted(tried.len() as u64, "attack", "attacks")
            )
        }
        (true, true) => format!(
            "Within the limit: of what was tried ({}), {above} did better than guessing, and none better than the limit allows.",
            counted(tried.len() as u64, "attack", "attacks")
        ),
    };
    if skipped > 0 {
        says += &format!(
            " {} could not be tried.",
            counted(skipped as u64, "attack", "attacks")
        );
    }
    let light = match (beyond.is_empty() && is_private, skipped) {
        (false, _) => Light::Red,
        (true, 0) => Light::Green,
        (true, _) => Light::Amber,
    };
    line(light, asked, says)
}

/// What the guarantee is not meant to stop, and was seen to work.
fn uncovered(attacks: &[AttackFinding]) -> Option<FrontLine> {
    let works = attacks
        .iter()
        .filter(|attack| !attack.in_scope)
        .filter(|attack| planned(attack).is_some_and(|row| row.low > row.chance));
    let works: Vec<&str> = works.map(|attack| attack.wants.as_str()).collect();
    (!works.is_empty()).then(|| {
        line(
            Light::Amber,
            "What can be found out that the limit does not cover?",
            format!("{}.", works.join("; ")),
        )
    })
}

fn poisoned(findings: &AuditFindings) -> FrontLine {
    let asked = "Can a dishonest shop bend what others are recommended?";
    let rows = &findings.poisoning;
    let worst = rows
        .iter()
        .filter(|row| row.low > row.exposure_before)
        .max_by(|a, b| {
            (a.exposure_after - a.exposure_before).total_cmp(&(b.exposure_after - b.exposure_before))
        });
    match worst {
        _ if rows.is_empty() => line(Light::Amber, asked, "Not tested."),
        None => line(
            Light::Green,
            asked,
            "Not by what was tried: no product came into more lists than before.",
        ),
        Some(row) => line(
            Light::Amber,
            asked,
            format!(
                "Yes. With {} a product came into the first ten of {} of customers, from {}.",
                counted(row.fakes, "made-up customer", "made-up customers"),
                percent(row.exposure_after),
                percent(row.exposure_before)
            ),
        ),
    }
}

fn faults(findings: &AuditFindings) -> FrontLine {
    let asked = "Would this audit notice a fault?";
    let missed: Vec<&str> = findings
        .mutations
        .iter()
        .filter(|row| !row.flagged)
        .map(|row| row.what.as_str())
        .collect();
    match (findings.mutations.len(), missed.len()) {
        (0, _) => line(
            Light::Amber,
            asked,
            "Not tested: no faults were put in on purpose.",
        ),
        (all, 0) => line(
            Light::Green,
            asked,
            format!(
                "Yes: it noticed {} that {} put in on purpose.",
                match all {
                    1 => "the one fault".to_owned(),
                    _ => format!("all {all} faults"),
                },
                if all == 1 { "was" } else { "were" }
            ),
        ),
        (all, some) => line(
            Light::Red,
            asked,
            format!(
                "Not always: {some} of {all} faults that were put in on purpose went unnoticed ({}).",
                missed.join("; ")
            ),
        ),
    }
}

/// The row of everybody, by all that is published together, and the part that loses most.
fn everybody(rows: &[UtilityFinding]) -> Option<(&UtilityFinding, Option<&UtilityFinding>)> {
    let all = rows.iter().find(|row| row.parted_by == ALL)?;
    let parts = rows
        .iter()
        .filter(|row| row.parted_by != ALL && row.ranked_by == all.ranked_by && row.lost.is_some());
    let worst = parts.max_by(|a, b| a.lost.unwrap_or(0.0).total_cmp(&b.lost.unwrap_or(0.0)));
    Some((all, worst))
}

fn cost(rows: &[UtilityFinding]) -> FrontLine {
    let asked = "What does privacy cost?";
    let Some((all, worst)) = everybody(rows) else {
        return line(Light::Amber, asked, "Not measured.");
    };
    let (Some(lost), Some(_)) = (all.lost, all.without_noise) else {
        return line(
            Light::Amber,
            asked,
            "Nothing, since there is none: the plan adds no noise.",
        );
    };
    let mut says = format!(
        "Of 100 customers, {} fewer find their next product among ten (from what is published alone).",
        points(Some(lost), all.standard_error)
    );
    let Some(worst) = worst else {
        return line(Light::Green, asked, says);
    };
    says += &format!(
        " Most is lost in the group “{}: {}”: {}.",
        worst.parted_by,
        worst.part,
        points(worst.lost, worst.standard_error)
    );
    let error = all
        .standard_error
        .unwrap_or(0.0)
        .hypot(worst.standard_error.unwrap_or(0.0));
    match worst.lost.unwrap_or(0.0) - lost > 2.0 * error {
        true => line(
            Light::Amber,
            asked,
            format!("{says} That is more than chance explains."),
        ),
        false => line(Light::Green, asked, says),
    }
}

fn beside(mechanism: &MechanismFacts, found: &[Finding]) -> FrontLine {
    let asked = "Does anything leak beside the figures themselves?";
    let wrong: Vec<&str> = found
        .iter()
        .filter(|finding| !finding.ok)
        .map(|finding| finding.name.as_str())
        .collect();
    match (found.len(), wrong.len(), mechanism.upload_after_seconds) {
        (_, 0, None) => line(
            Light::Amber,
            asked,
            "Perhaps: updates leave as soon as they are ready, and the time tells something of who was in them.",
        ),
        (0, ..) => line(
            Light::Amber,
            asked,
            "Updates leave at a fixed time. Nothing else was tested.",
        ),
        (all, 0, _) => line(
            Light::Green,
            asked,
            format!("Not in {}.", counted(all as u64, "check", "checks")),
        ),
        (_, _, _) => line(Light::Amber, asked, format!("Yes: {}.", wrong.join(", "))),
    }
}

fn to_do(privacy: Option<&PrivacyFacts>, lines: &[FrontLine], findings: &AuditFindings) -> Vec<String> {
    let mut to_do = Vec::new();
    let mut add = |text: &str| to_do.push(text.to_owned());
    if privacy.is_none() {
        add(
            "Do not run this plan with customers' data. Make one with noise: `souk-coordinator plan new` with --epsilon.",
        );
    } else if lines.iter().any(|line| line.light == Light::Red) {
        add(
            "Stop before the next round, and send this report to whoever runs the federation: something is not as promised.",
        );
    }
    let is_untested = |line: &FrontLine| line.says.starts_with("Not tested") || line.says == "Not measured.";
    if lines.iter().any(is_untested) {
        add("Have what is marked as not tested audited, or accept in writing that it was not.");
    }
    if lines
        .iter()
        .any(|line| line.light == Light::Amber && !is_untested(line))
    {
        add("Weigh the points marked “to weigh”, and write down what was decided.");
    }
    if !findings.not_tested.is_empty() {
        add(&format!(
            "Read what was not tested ({}).",
            counted(findings.not_tested.len() as u64, "point", "points")
        ));
    }
    add("Fill in the fields for the controller, and sign.");
    add("Audit again when the plan, the programs or the number of customers change.");
    to_do
}

/// Up to here a guarantee counts as reasonable (Ponomareva et al. 2023, "How to DP-fy ML", tier 2).
const MOST_REASONABLE: f64 = 10.0;
/// How everybody is called where customers are parted.
pub(super) const ALL: &str = "all";
