//! Rounds whose plan names an aggregation rule: liars, restarts, kept parts, and the verifier.

use super::*;
use crate::verify::{Report, check};

const SHOPS: [&str; 5] = ["a", "b", "c", "d", "e"];

fn plan_of(rule: &str, releases: bool) -> Plan {
    let shops: String = SHOPS
        .map(|shop| format!("[[shops]]\nname = '{shop}'\ndeclared_users = 40\n"))
        .concat();
    let what = match releases {
        true => {
            "[privacy]\nnoise_multiplier = 0.6\n[[release]]\nkind = 'popularity'\nshare = 0.4\n[[release]]\n\
             kind = 'collaborative'\nshare = 0.6\n"
        }
        false => {
            "[model]\nkind = 'mf'\ngmf_dim = 2\n[train]\nsolver = 'ials'\nalpha = 0.1\nlambda = 1\n[privacy]\nenabled = false\n\
             clip_norm = 1\nsampling_rate = 1\n[server]\noptimiser = 'adam'\nlearning_rate = 0.1\n"
        }
    };
    let rounds = if releases { "" } else { "rounds = 2\n" };
    let text = format!(
        "name = 'a'\n{rounds}[aggregation]\nrule = {rule}\n{what}[cohort]\nquorum = 5\ndeadline = '10s'\n{shops}"
    );
    Plan::from_toml(&text).unwrap()
}

fn connect_all(engine: &mut Engine) {
    for name in SHOPS {
        engine.handle(Timestamp(1), Event::Connected(shop(name))).unwrap();
    }
}

/// About what every honest shop says; of a liar the largest numbers that there are.
fn send_round(engine: &mut Engine, liar: Option<&str>, names: &[&str]) {
    let round = engine.machine().open().unwrap().0.round;
    for name in names {
        let integers = (0..engine.update_bytes() / 4).map(|at| match liar == Some(name) {
            true => i32::MAX,
            false => (round * 1000 + at * 100) as i32 + i32::from(name.as_bytes()[0]),
        });
        let bytes: Vec<u8> = integers.flat_map(i32::to_le_bytes).collect();
        assert!(send(engine, name, &bytes));
    }
}

fn verified(dir: &Path, engine: Engine) -> Report {
    let key = engine.public_key();
    drop(engine);
    check(dir, &key).unwrap()
}

const RULES: [&str; 4] = [
    "'median'",
    "'trimmed_mean'\ntrim = 1",
    "'krum'\nliars = 1",
    "'norm_bound'",
];

#[test]
fn both_kinds_of_rounds_are_published_by_every_rule_and_made_again_bit_for_bit() {
    for rule in RULES {
        for releases in [false, true] {
            let dir = tempfile::tempdir().unwrap();
            let mut engine = engine_of(dir.path(), 9, None, &plan_of(rule, releases));
            connect_all(&mut engine);
            for _ in 0..2 {
                send_round(&mut engine, None, &SHOPS);
            }
            assert_eq!(engine.machine().phase(), Phase::Finished);
            let report = verified(dir.path(), engine);
            assert!(report.ok, "{rule}: {report:?}");
            let mut checks = report.checks.iter();
            let replayed = checks
                .find(|check| check.name.contains("makes its model again"))
                .unwrap();
            assert_eq!(replayed.good, 3, "{rule}: {report:?}");
        }
    }
}

#[test]
fn a_liar_changes_a_robust_round_a_little_and_a_mean_beyond_recognition() {
    let published = |rule: &str, liar: Option<&str>| {
        let dir = tempfile::tempdir().unwrap();
        let mut engine = engine_of(dir.path(), 1, None, &plan_of(rule, true));
        connect_all(&mut engine);
        send_round(&mut engine, liar, &SHOPS);
        let Learned::Releases(releases) = &engine.learned else {
            panic!("releases")
        };
        releases.last.clone().unwrap().sum
    };
    let sum = |sum: &souk_common::release::state::NoisedSum| match &sum.values {
        souk_common::update::UpdateValues::B32(values) => f64::from(values[0].cast_signed()),
        souk_common::update::UpdateValues::B64(values) => values[0].cast_signed() as f64,
    };
    for rule in RULES {
        let (honest, attacked) = (published(rule, None), published(rule, Some("c")));
        let times = (sum(&attacked) / sum(&honest)).abs();
        match rule {
            // By 40 customers at the clip norm, and the shop's noise in two coordinates.
            "'norm_bound'" => {
                let most = (40.0 + 2.0 * honest.noise_stddev) * honest.clip_units;
                let moved = (sum(&attacked) - sum(&honest)).abs();
                assert!(moved < most && moved > 0.1 * most, "{moved} of {most}");
            }
            _ => assert!((0.99..1.01).contains(&times), "{rule}: {times}"),
        }
        assert!(honest.noise_stddev > 0.0);
    }
    let (honest, attacked) = (published("'mean'", None), published("'mean'", Some("c")));
    assert!((sum(&attacked) / sum(&honest)).abs() > 1e5);
}

#[test]
fn parts_stay_until_the_round_is_published_although_none_are_to_be_kept() {
    let dir = tempfile::tempdir().unwrap();
    let plan = plan_of("'median'", false);
    let mut first = engine_of(dir.path(), 0, None, &plan);
    let told = first.news();
    assert!(
        matches!(&told[..], [] | [Output::Report(_)]),
        "told with the start: {told:?}"
    );
    connect_all(&mut first);
    send_round(&mut first, None, &SHOPS[..4]);
    drop(first);
    let mut second = engine_of(dir.path(), 0, None, &plan);
    connect_all(&mut second);
    assert_eq!(
        second.machine().open().unwrap().0.attempt,
        1,
        "the attempt goes on"
    );
    send_round(&mut second, None, &SHOPS[4..]);
    assert_eq!(second.machine().published(), 1);
    send_round(&mut second, None, &SHOPS);
    let parts = second.store().private().all().unwrap().len();
    assert_eq!(parts, 5 + 2, "of one round, and the states before and after it");
    let restarted = second.manifest().body.model;
    let dir = tempfile::tempdir().unwrap();
    let mut undisturbed = engine_of(dir.path(), 9, None, &plan);
    connect_all(&mut undisturbed);
    send_round(&mut undisturbed, None, &SHOPS);
    send_round(&mut undisturbed, None, &SHOPS);
    assert_eq!(undisturbed.manifest().body.model, restarted);
}

#[test]
fn a_part_that_is_gone_before_its_round_is_published_stops_the_run_and_says_whose_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let mut engine = engine_of(dir.path(), 1, None, &plan_of("'median'", false));
    connect_all(&mut engine);
    send_round(&mut engine, None, &SHOPS[..4]);
    let receipts = engine.store().receipts_of_round(1).unwrap();
    let of_b = receipts.iter().find(|receipt| receipt.body.shop == shop("b"));
    let part = of_b.unwrap().body.upload.update;
    engine.store().private().remove(&part).unwrap();
    let (id, _) = engine.machine().open().unwrap();
    let bytes = vec![0; engine.update_bytes() as usize];
    let header = UploadHeader {
        id,
        update: Digest::of(&bytes),
        len_bytes: bytes.len() as u64,
        ledger_length: 1,
        ledger_head: Digest::ZERO,
    };
    engine.offer(Timestamp(2), shop("e"), header, None).unwrap();
    let staging = Staging::new(1 << 20, engine.store().shared_private());
    let mut staged = staging.begin(header.len_bytes).unwrap();
    staged.push(&bytes).unwrap();
    let error = engine
        .arrived(Timestamp(3), shop("e"), header, staged)
        .unwrap_err()
        .to_string();
    assert!(error.contains("the update of b"), "{error}");
}
