//! Made-up findings, and what a report says of them.

mod figures;
mod page;
mod shape;
mod signed;
mod utility;

use std::collections::BTreeMap;

use souk_common::catalogue::{Catalogue, Item};
use souk_common::crypto::sign::SigningKey;
use souk_common::dataset::{Dataset, History};
use souk_common::plan::Plan;

use super::model::{AuditFindings, Provenance, RecordFacts, Report, UtilityFinding};
use crate::audit::findings::{
    AttackFinding, AttackRow, EpsilonBound, Finding, MutationFinding, PoisoningFinding, Protections,
};
use crate::audit::subject::{Effort, Subject};
use crate::data::known::Known;

const RELEASES: &str = "name = 'two releases'\n[privacy]\nnoise_multiplier = 0.6002291\n[cohort]\nquorum = 3\n\
    [[release]]\nkind = 'popularity'\nshare = 0.4\n[[release]]\nkind = 'collaborative'\nshare = 0.6\n\
    [[shops]]\nname = 'a'\ndeclared_users = 40\n[[shops]]\nname = 'b'\ndeclared_users = 20\n\
    [[shops]]\nname = 'c'\ndeclared_users = 10\n";

fn item(number: usize) -> Item {
    serde_json::from_value(
        serde_json::json!({"id": format!("i{number:02}"), "category": format!("c{}", number % 4)}),
    )
    .unwrap()
}

/// 70 customers of three shops, who like every third of 30 products best.
fn known() -> Known {
    let customers = 70;
    let history = |user: usize| History {
        items: (0..4 + user % 5)
            .map(|at| ((3 * at + user % 3 + 7 * (user / 30)) % 30) as u32)
            .collect(),
        times: (0..4 + user as i64 % 5).collect(),
    };
    Known {
        name: "made up",
        dataset: Dataset {
            users: (0..customers).map(|user| format!("u{user:02}")).collect(),
            histories: (0..customers).map(history).collect(),
            labelled: Vec::new(),
        },
        catalogue: Catalogue::new((0..30).map(item).collect()).unwrap(),
        shop_of: (0..customers)
            .map(|user| usize::from(user >= 40) + usize::from(user >= 60))
            .collect(),
        shops: 3,
        groups: vec![String::new(); customers],
    }
}

fn subject(plan: &str) -> Subject {
    Subject {
        plan: Plan::from_toml(plan).unwrap().begun_now(),
        known: known(),
        effort: Effort::Short,
        seed: 7,
    }
}

fn provenance() -> Provenance {
    Provenance {
        command: "souk-sim audit plan.toml --data made-up".into(),
        seeds: vec![7],
        version: "0.1.0".into(),
        build: "b".repeat(64),
        data: "d".repeat(64),
        plan: "e".repeat(64),
        record: None,
        started: "2026-11-29T12:00:00Z".into(),
        finished: "2026-11-29T12:01:00Z".into(),
        trials: 12_345,
        machine: BTreeMap::from([("cores".into(), "2".into())]),
    }
}

fn bound(lower: f64, ok: bool) -> EpsilonBound {
    EpsilonBound {
        of: "all rounds".into(),
        procedure: "gdp".into(),
        canary: "direction".into(),
        trials: 10_000,
        lower,
        confidence: Some(0.95),
        upper: Some(8.0),
        delta: 1e-5,
        ok,
    }
}

fn attack_row(protections: Protections, success: f64, ok: Option<bool>) -> AttackRow {
    AttackRow {
        protections,
        success,
        low: success - 0.02,
        high: success + 0.02,
        chance: 0.5,
        allowed: ok.map(|_| 0.8),
        trials: 1000,
        ok,
        note: String::new(),
    }
}

fn attack(in_scope: bool, rows: Vec<AttackRow>) -> AttackFinding {
    AttackFinding {
        attack: "membership in a release".into(),
        wants: "whether somebody is a customer".into(),
        sees: "a reader of what is published".into(),
        source: "Yuan et al. 2023".into(),
        measure: "the share of right answers".into(),
        in_scope,
        rows,
        not_run: None,
    }
}

fn check(name: &str, ok: bool) -> Finding {
    Finding {
        name: name.into(),
        ok,
        detail: "65,540 against 65,536".into(),
    }
}

fn utility(parted_by: &str, part: &str, lost: f64) -> UtilityFinding {
    UtilityFinding {
        ranked_by: "all that is published".into(),
        parted_by: parted_by.into(),
        part: part.into(),
        customers: 943,
        with_plan: 0.6,
        without_noise: Some(0.6 + lost),
        lost: Some(lost),
        standard_error: Some(0.01),
    }
}

/// Everything as it should be.
fn findings() -> AuditFindings {
    AuditFindings {
        mechanism: vec![check("noise has the plan's standard deviation", true)],
        bounds: vec![bound(3.0, true)],
        attacks: vec![attack(
            true,
            vec![
                attack_row(Protections::Plan, 0.51, Some(true)),
                attack_row(Protections::NoNoise, 0.97, None),
            ],
        )],
        poisoning: vec![PoisoningFinding {
            attack: "random".into(),
            power: "one shop".into(),
            rule: "mean".into(),
            fakes: 50,
            exposure_before: 0.01,
            exposure_after: 0.011,
            low: 0.008,
            high: 0.015,
            targets: 5,
        }],
        mutations: vec![MutationFinding {
            mutation: "noise_halved".into(),
            what: "half the noise".into(),
            flagged: true,
            by: "standard deviation".into(),
            significance: 0.001,
        }],
        utility: vec![
            utility("all", "all", 0.03),
            utility("activity", "least active third", 0.04),
        ],
        side_channels: vec![check("updates have one size", true)],
        not_tested: vec!["timing of a real network".into()],
    }
}

/// With an offset, so that nothing is amber for want of one.
fn private_plan() -> String {
    RELEASES.replace("quorum = 3", "quorum = 3\nupload_after = '10s'")
}

fn open_plan() -> String {
    RELEASES.replace("noise_multiplier = 0.6002291", "enabled = false")
}

fn report() -> Report {
    let mut provenance = provenance();
    provenance.record = Some(RecordFacts {
        head: "f".repeat(64),
        entries: 1234,
        failed_attempts: 1,
        wrong: 0,
    });
    Report::new(&subject(&private_plan()), findings(), provenance).unwrap()
}

fn key() -> SigningKey {
    SigningKey::from_bytes(&[7; 32])
}
