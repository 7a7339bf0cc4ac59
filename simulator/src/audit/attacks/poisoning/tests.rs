//! What the attacks do where nothing stands against them, and where something does.

use souk_common::catalogue::{Catalogue, Item};
use souk_common::dataset::History;
use souk_common::learned::Learned;
use souk_common::plan::{MaskingPlan, Placement};
use souk_common::secagg::mask::MaskCipher;

use super::*;
use crate::world::{Line, World};

/// Nine shops of 40 customers of 60 items, of which the first are bought the most, and the last by one or two.
fn known() -> Known {
    let items: Vec<Item> = (0..60)
        .map(|item| Item::bare(format!("item-{item:02}")))
        .collect();
    let users = 9 * 40;
    let mut rng = stream(5, "customers");
    let histories = (0..users).map(|user| {
        let all: Vec<u32> = (0..30).collect();
        let mut items: Vec<u32> = all
            .sample_weighted(&mut rng, 8, |item| 1.0 / (f64::from(*item) + 3.0))
            .expect("weights")
            .copied()
            .collect();
        items.insert(0, 30 + user % 30);
        History {
            times: (0..items.len() as i64).collect(),
            items,
        }
    });
    Known {
        name: "made up",
        dataset: Dataset {
            users: (0..users).map(|user| format!("user-{user:04}")).collect(),
            histories: histories.collect(),
            labelled: Vec::new(),
        },
        catalogue: Catalogue::new(items).expect("a catalogue"),
        shop_of: (0..users as usize).map(|user| user / 40).collect(),
        shops: 9,
        groups: Vec::new(),
    }
}

fn plan(privacy: &str) -> Plan {
    let shops: String = (0..9)
        .map(|shop| format!("[[shops]]\nname = 'shop-{shop}'\ndeclared_users = 40\n"))
        .collect();
    Plan::from_toml(&format!(
        "name = 'p'\n[privacy]\n{privacy}\nmodulus_bits = 64\n[cohort]\nquorum = 9\n[[release]]\nkind = 'popularity'\n\
         share = 1.0\n{shops}"
    ))
    .expect("a plan")
}

fn of(findings: &[Exposure], power: Power, rule: Defence) -> impl Iterator<Item = &Exposure> {
    findings
        .iter()
        .filter(move |finding| finding.power == power && finding.rule == rule)
}

#[test]
fn a_shop_that_sends_what_it_likes_fills_every_list_of_a_mean_and_none_of_a_robust_rule() {
    let (known, plan) = (known(), plan("enabled = false"));
    let subject = PoisoningSubject {
        plan: &plan,
        known: &known,
    };
    let findings = run(&subject, Effort::Short, 7).expect("a run");
    let rules = Defence::ALL.map(|rule| of(&findings, Power::Vector, rule).count());
    assert!(rules.iter().all(|count| *count == 1), "{rules:?}");
    for finding in &findings {
        assert!(
            (finding.low..=finding.high).contains(&finding.exposure_after),
            "{finding:?}"
        );
        assert!(
            finding.exposure_before < 0.01 && finding.targets == 2,
            "{finding:?}"
        );
    }
    let mean = of(&findings, Power::Vector, Defence::Plan).next().expect("one");
    assert_eq!(mean.exposure_after, 1.0, "{mean:?}");
    for rule in [
        Defence::Median,
        Defence::TrimmedMean,
        Defence::Krum,
        Defence::MaskedGroups,
    ] {
        let finding = of(&findings, Power::Vector, rule).next().expect("one");
        assert!(finding.exposure_after < 0.01, "{finding:?}");
    }
    let records: Vec<f64> = of(&findings, Power::Records, Defence::Plan)
        .map(|finding| finding.exposure_after)
        .collect();
    assert_eq!(records.len(), PoisoningAttack::ALL.len());
    // 18 fakes of 360 customers reach into the lists of those who have many of the first ten.
    assert!(records.iter().any(|exposure| *exposure > 0.1), "{records:?}");
    assert!(records.iter().all(|exposure| *exposure < 1.0), "{records:?}");
    let again = run(&subject, Effort::Short, 7).expect("a run");
    assert_eq!(findings, again, "one seed finds the same");
}

#[test]
fn a_masked_plan_under_noise_is_attacked_in_every_way() {
    let (known, mut plan) = (known(), plan("noise_multiplier = 0.6"));
    plan.privacy.placement = Placement::Distributed;
    plan.masking = Some(MaskingPlan {
        min_shops: 8,
        colluding: 1,
        cipher: MaskCipher::default(),
        neighbours: None,
        step: std::time::Duration::from_secs(30),
    });
    plan.cohort.quorum = 8;
    plan.validate().expect("it fits");
    let subject = PoisoningSubject {
        plan: &plan,
        known: &known,
    };
    let findings = run(&subject, Effort::Short, 2).expect("a run");
    assert_eq!(findings.len(), 6 * (4 + 1));
    let mean = of(&findings, Power::Vector, Defence::Plan).next().expect("one");
    assert_eq!(mean.exposure_after, 1.0, "{mean:?}");
    let groups = of(&findings, Power::Vector, Defence::MaskedGroups)
        .next()
        .expect("one");
    assert!(groups.exposure_after < 0.5, "{groups:?}");
}

#[test]
fn an_honest_run_is_that_of_the_whole_federation_bit_for_bit() {
    let known = known();
    let noised = "noise_multiplier = 0.6\nplacement = 'local'";
    let trained = "name = 'm'\nrounds = 2\n[model]\nkind = 'mf'\ngmf_dim = 4\n[train]\nsolver = 'ials'\nalpha = 0.1\nlambda = 1.0\n\
                   [privacy]\nnoise_multiplier = 0.6\nclip_norm = 1.0\nsampling_rate = 0.5\nmodulus_bits = 64\n[cohort]\nquorum = 9\n\
                   [server]\noptimiser = 'adam'\nlearning_rate = 0.1\n";
    let model = Plan::from_toml(&format!(
        "{trained}{}",
        (0..9)
            .map(|shop| format!("[[shops]]\nname = 'shop-{shop}'\ndeclared_users = 40\n"))
            .collect::<String>()
    ))
    .expect("a plan");
    for plan in [plan(noised), model] {
        for defence in [Defence::Plan, Defence::Median, Defence::NormBound] {
            let (plan, groups) = defence.on(&plan).expect("it fits");
            let members = || members_of(&known.dataset, &[], &known.shop_of, &names(&plan));
            let world =
                World::new(&plan, &known.catalogue, members(), Line::default(), 11).expect("a federation");
            let outcome = world.run(|_, _| {}).expect("a run");
            let federation = Federation {
                plan: &plan,
                groups,
                catalogue: &known.catalogue,
                members: &members(),
                liar: None,
                rounds: plan.rounds,
                seed: 11,
            };
            match federation.run().expect("a run") {
                Learned::Model(params) => assert_eq!(params, outcome.params, "{defence:?}"),
                Learned::Releases(releases) => assert_eq!(Some(releases), outcome.releases, "{defence:?}"),
            }
        }
    }
}

#[test]
fn a_plan_of_other_shops_and_rules_of_more_shops_are_said_and_left_out() {
    let (mut known, mut plan) = (known(), plan("enabled = false"));
    known.shops = 8;
    let subject = PoisoningSubject {
        plan: &plan,
        known: &known,
    };
    let refused = run(&subject, Effort::Short, 1).unwrap_err().to_string();
    assert!(refused.contains("9 shops, the data set has 8"), "{refused}");
    plan.shops.truncate(4);
    plan.cohort.quorum = 4;
    let fitting = Defence::ALL.map(|rule| rule.on(&plan).is_ok());
    assert_eq!(fitting, [true, true, true, true, false, false]);
}

#[test]
fn fakes_have_distinct_items_the_target_last_but_one_and_are_of_a_seed() {
    let known = known();
    let public = Public::of(&known.dataset, 60, 3);
    for attack in PoisoningAttack::ALL {
        let fakes = public.fakes(attack, 59, 20, 3);
        assert_eq!((fakes.len(), fakes.histories.len()), (20, 20));
        for history in &fakes.histories {
            let mut distinct = history.items.clone();
            distinct.sort_unstable();
            distinct.dedup();
            assert_eq!(distinct.len(), history.items.len(), "{attack:?}: {history:?}");
            assert_eq!(history.items[history.len() - 2], 59, "{attack:?}: {history:?}");
            assert!(history.items.iter().all(|item| *item < 60));
        }
        assert_eq!(public.fakes(attack, 59, 20, 3).histories, fakes.histories);
    }
}

#[test]
fn an_interval_is_students() {
    let (mean, low, high) = interval(&[0.4, 0.5, 0.6]);
    let half = 4.303 * (0.01f64 / 3.0).sqrt();
    assert!(
        (mean - 0.5).abs() < 1e-12 && (low - 0.5 + half).abs() < 1e-12 && (high - 0.5 - half).abs() < 1e-12
    );
    assert_eq!(interval(&[0.25]), (0.25, 0.0, 1.0));
}
