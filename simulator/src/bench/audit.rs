//! `audit_trials`: trials of the GDP audit on a mechanism of known epsilon, through the shops' code.

use anyhow::Context;
use rand::RngExt;
use serde_json::json;
use souk_common::accountant::gaussian::epsilon_of;
use souk_common::catalogue::{Catalogue, Item};
use souk_common::clock::Stopwatch;
use souk_common::dataset::{Dataset, History};
use souk_common::params::{Delta, Epsilon, Weight};
use souk_common::plan::{Placement, Plan, ReleaseTerms, ShopTerms};
use souk_common::rng::stream;

use super::row::Row;
use crate::audit::bounds::{TrialScores, of_trials, stated};
use crate::audit::canaries::CanaryKind;
use crate::audit::mechanism::AuditedPlan;
use crate::audit::mutations::Mechanism;
use crate::audit::subject::{Effort, Subject};
use crate::audit::trials::{Target, Trials};
use crate::data::known::Known;

/// One release of 10,000 coordinates at z = 1, three shops, masks: 10,000 trials with a canary and 10,000 without.
pub(super) fn trials(short: bool) -> anyhow::Result<Vec<Row>> {
    let each = if short { 1_000 } else { 10_000 };
    let delta = Delta::new(1e-5)?;
    let subject = subject(delta)?;
    let plan = AuditedPlan::new(&subject)?;
    let rounds = plan.rounds(1)?;
    let coordinates = rounds[0].coordinates;
    let mechanism = Mechanism {
        plan: &plan,
        mutation: None,
    };
    let watch = Stopwatch::start();
    let trials = Trials::new(&mechanism, &rounds, 0, &[CanaryKind::Items])?;
    let scores = TrialScores {
        present: trials.range(0, each, true)?,
        absent: trials.range(0, each, false)?,
    };
    let targets: Vec<Target> = trials.targets().cloned().collect();
    let bounds = stated(&of_trials(&targets, &scores, delta), 0.05);
    let secs = watch.secs();
    let bound = bounds.first().context("one canary in one release")?;
    let all = secs * 10_000.0 / each as f64;
    Ok(vec![
        Row::new("audit_trials", 2.0 * each as f64 / secs, "trials/s")
            .bound(all < 60.0, "20,000 trials under 60 s on two cores")
            .bound(bound.ok, "below the accountant's epsilon")
            .with("coordinates", coordinates)
            .with("seconds_of_20000", all)
            .with("epsilon_at_least", bound.lower)
            .with("epsilon", epsilon_of(1.0, delta)),
    ])
}

fn subject(delta: Delta) -> anyhow::Result<Subject> {
    let items: Vec<Item> = (0..ITEMS)
        .map(|item| serde_json::from_value(json!({ "id": format!("item {item}") })))
        .collect::<Result<_, _>>()?;
    let catalogue = Catalogue::new(items)?;
    let mut draws = stream(1, "customers of an audit's benchmark");
    let histories = (0..SHOPS * CUSTOMERS).map(|_| History {
        items: (0..10).map(|_| draws.random_range(0..ITEMS as u32)).collect(),
        times: (0..10).collect(),
    });
    let dataset = Dataset {
        users: (0..SHOPS * CUSTOMERS).map(|user| format!("{user:04}")).collect(),
        histories: histories.collect(),
        labelled: Vec::new(),
    };
    let shops = (0..SHOPS).map(|shop| -> anyhow::Result<ShopTerms> {
        Ok(ShopTerms {
            name: format!("shop-{}", shop + 1).parse()?,
            declared_users: CUSTOMERS as u64,
            weight: Weight::new(1.0)?,
        })
    });
    let terms = ReleaseTerms {
        // z = 1.
        epsilon: Some(Epsilon::new(epsilon_of(1.0, delta))?),
        delta,
        placement: Placement::Distributed,
        training: Some(Vec::new()),
    };
    let shops = shops.collect::<anyhow::Result<_>>()?;
    let plan = Plan::of_releases("benchmark", 1, shops, &terms, &catalogue)?;
    Ok(Subject {
        plan,
        known: Known {
            name: "benchmark",
            shop_of: (0..SHOPS * CUSTOMERS).map(|user| user / CUSTOMERS).collect(),
            shops: SHOPS,
            groups: vec![String::new(); SHOPS * CUSTOMERS],
            dataset,
            catalogue,
        },
        effort: Effort::Full,
        seed: 1,
    })
}

const ITEMS: usize = 10_000;
const SHOPS: usize = 3;
const CUSTOMERS: usize = 50;
