//! What the accountant's figures and the page in front say.

use super::super::model::{Front, Light};
use super::*;

fn front(plan: &str, findings: AuditFindings) -> Front {
    Report::new(&subject(plan), findings, provenance()).unwrap().front
}

fn light_of(front: &Front, asked: &str) -> Light {
    let line = front.lines.iter().find(|line| line.asked.contains(asked));
    line.unwrap_or_else(|| panic!("{asked}: {front:?}")).light
}

#[test]
fn the_figures_are_those_of_plan_check() {
    let report = report();
    let privacy = report.privacy.unwrap();
    assert!((privacy.epsilon.unwrap() - 8.0).abs() < 1e-4, "{privacy:?}");
    assert_eq!(privacy.epsilon, privacy.epsilon_without_sampling);
    // mu = 1 / .6002291; the best test between two unit normals so far apart is right Phi(mu / 2) of the time.
    assert!((privacy.most_certainty - 0.797_587).abs() < 1e-4, "{privacy:?}");
    let names: Vec<&str> = privacy.phases.iter().map(|phase| phase.name.as_str()).collect();
    assert_eq!(names.len(), 2);
    assert!(
        names[0].contains("popular") && names[1].contains("together"),
        "{names:?}"
    );
    // z / sqrt(share)
    assert!((privacy.phases[0].noise_multiplier - 0.6002291 / 0.4_f64.sqrt()).abs() < 1e-9);
    assert!(privacy.phases.iter().all(|phase| phase.epsilon.unwrap() < 8.0));
    assert_eq!(privacy.failures.len(), 3);
    assert!(
        (privacy.per_year[&4] - 19.1).abs() < 0.05,
        "{:?}",
        privacy.per_year
    );
    assert!((privacy.epsilon_with_another.unwrap() - 12.3).abs() < 0.05);
    assert_eq!(
        privacy.epsilon_readers, None,
        "with local noise there is one figure"
    );
}

#[test]
fn a_sampled_plan_that_trains_states_the_figure_without_sampling_and_one_phase() {
    let text = std::fs::read_to_string(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../deploy/examples/ml-100k-ials-private.toml"
    ))
    .unwrap();
    let report = Report::new(&subject(&text), AuditFindings::default(), provenance()).unwrap();
    let privacy = report.privacy.unwrap();
    assert_eq!(privacy.phases.len(), 1);
    assert_eq!(privacy.phases[0].epsilon, privacy.epsilon);
    assert!(privacy.failures.is_empty() && privacy.per_year.is_empty());
    let without = privacy.epsilon_without_sampling.unwrap();
    match privacy.sampling_rate < 1.0 {
        true => assert!(without > privacy.epsilon.unwrap(), "{without}"),
        false => assert_eq!(Some(without), privacy.epsilon),
    }
}

#[test]
fn when_all_is_as_promised_the_page_in_front_is_green() {
    let front = front(&private_plan(), findings());
    let others: Vec<_> = front
        .lines
        .iter()
        .filter(|line| line.light != Light::Green)
        .collect();
    assert!(others.is_empty(), "{others:?}");
    assert_eq!(front.light, Light::Green);
    assert!(
        front.lines[0].says.contains("at most 80 times in 100"),
        "{front:?}"
    );
}

#[test]
fn the_page_in_front_has_none_of_the_fields_words() {
    let mut bad = findings();
    bad.attacks[0].rows[0].ok = Some(false);
    bad.mutations[0].flagged = false;
    for front in [
        front(&private_plan(), findings()),
        front(&private_plan(), AuditFindings::default()),
        front(&private_plan(), bad),
        front(&open_plan(), findings()),
    ] {
        let mut said = front.verdict.clone();
        front.lines.iter().for_each(|line| said += &line.says);
        for word in [
            "epsilon ",
            "delta",
            "canary",
            "mutation",
            "clip",
            "sensitivity",
            "Gaussian",
            "quantile",
        ] {
            assert!(!said.contains(word), "{word}: {said}");
        }
    }
}

#[test]
fn a_plan_without_privacy_is_red_on_the_first_page_whatever_else_was_found() {
    for findings in [findings(), AuditFindings::default()] {
        let report = Report::new(&subject(&open_plan()), findings, provenance()).unwrap();
        assert_eq!(report.front.light, Light::Red);
        assert!(
            report.front.verdict.contains("protects nobody"),
            "{:?}",
            report.front
        );
        assert!(
            report.front.to_do[0].contains("Do not run"),
            "{:?}",
            report.front.to_do
        );
        assert!(report.privacy.is_none() && report.mechanism.name.is_none());
        let shown = super::super::html::Page::of(&report, "k").before;
        let first = shown.split("</section>").next().unwrap();
        assert!(
            first.contains("privacy.enabled = false"),
            "what it means is on the first page"
        );
    }
}

#[test]
fn each_thing_that_is_not_as_promised_is_red_by_its_own_line() {
    type Change = fn(&mut AuditFindings);
    let changes: [(&str, Change); 4] = [
        ("do what the plan says", |found| found.mechanism[0].ok = false),
        ("more seen to leak", |found| found.bounds.push(bound(8.5, false))),
        ("a particular customer", |found| {
            found.attacks[0].rows[0].ok = Some(false)
        }),
        ("notice a fault", |found| found.mutations[0].flagged = false),
    ];
    for (asked, change) in changes {
        let mut found = findings();
        change(&mut found);
        let front = front(&private_plan(), found);
        assert_eq!(light_of(&front, asked), Light::Red, "{asked}");
        let red = front.lines.iter().filter(|line| line.light == Light::Red);
        assert_eq!((red.count(), front.light), (1, Light::Red), "{asked}");
        assert!(front.to_do[0].starts_with("Stop"), "{front:?}");
    }
}

#[test]
fn what_is_to_be_weighed_is_amber_and_what_was_not_tested_is_never_green() {
    type Change = fn(&mut AuditFindings);
    let changes: [(&str, Change); 5] = [
        ("does not cover", |found| {
            found
                .attacks
                .push(attack(false, vec![attack_row(Protections::Plan, 0.9, None)]));
        }),
        ("bend", |found| {
            (found.poisoning[0].exposure_after, found.poisoning[0].low) = (0.3, 0.25)
        }),
        ("privacy cost", |found| found.utility[1].lost = Some(0.2)),
        ("beside the figures", |found| found.side_channels[0].ok = false),
        ("a particular customer", |found| {
            let skipped = AttackFinding {
                not_run: Some("no gender".into()),
                ..attack(true, Vec::new())
            };
            found.attacks.push(skipped);
        }),
    ];
    for (asked, change) in changes {
        let mut found = findings();
        change(&mut found);
        let front = front(&private_plan(), found);
        assert_eq!(light_of(&front, asked), Light::Amber, "{asked}");
        assert_eq!(front.light, Light::Amber, "{asked}");
    }
    let untested = front(&private_plan(), AuditFindings::default());
    assert_eq!(untested.light, Light::Amber);
    assert!(
        untested.verdict.contains("nothing of it was tested"),
        "{untested:?}"
    );
    let green = untested.lines.iter().filter(|line| line.light == Light::Green);
    assert_eq!(green.count(), 1, "only the promise itself was worked out");
    let early = front(RELEASES, findings());
    assert_eq!(
        light_of(&early, "beside the figures"),
        Light::Amber,
        "no upload_after"
    );
}

#[test]
fn an_infinite_figure_is_refused_and_not_written_as_nothing() {
    let mut found = findings();
    found.bounds[0].lower = f64::INFINITY;
    let error = Report::new(&subject(&private_plan()), found, provenance()).unwrap_err();
    assert!(format!("{error:#}").contains("infinite"), "{error:#}");
}

#[test]
fn a_command_is_told_without_the_folders_that_its_files_are_in() {
    let provenance = Provenance {
        command: "souk-sim audit /home/anna/plans/plan.toml --data=../sets/ml-100k/ --key ./a.key --shard 3/8 --out audit".into(),
        ..provenance()
    };
    let report = Report::new(&subject(&private_plan()), findings(), provenance).unwrap();
    assert_eq!(
        report.provenance.command,
        "souk-sim audit plan.toml --data=ml-100k --key a.key --shard 3/8 --out audit"
    );
}
