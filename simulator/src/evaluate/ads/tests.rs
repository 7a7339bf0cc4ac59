use souk_common::dataset::Labelled;
use souk_common::eval::ClickMetrics;

use super::*;
use crate::data::coupons::Coupon;

/// Rows of inputs, of which one tells what is clicked.
fn shown() -> Shown {
    let users: Vec<usize> = (0..400).map(|at| at / 4).collect();
    let tells = |at: usize| ((at * 37) % 101) as f32 / 50.0 - 1.0;
    let mut inputs = Vec::new();
    for at in 0..400 {
        let mut row = [0.0; WIDTH];
        (row[0], row[8]) = (1.0, tells(at));
        inputs.extend(row);
    }
    Shown {
        users,
        times: vec![0; 400],
        ads: vec![0; 400],
        labels: (0..400)
            .map(|at| f32::from(u8::from(tells(at) > 0.7 || at % 19 == 0)))
            .collect(),
        inputs,
    }
}

#[test]
fn the_baseline_finds_its_optimum_and_the_federated_one_comes_near_without_noise() {
    let shown = shown();
    let columns = Columns::of_tower(&shown);
    let rows: Vec<usize> = (0..400).collect();
    let weights = columns.fit(&shown, &rows, 1e-3);
    let probabilities = columns.probabilities(&weights, &rows);
    // At the optimum the constant's gradient is 0: as much is predicted as happened.
    let (predicted, clicked): (f32, f32) = (probabilities.iter().sum(), shown.labels.iter().sum());
    assert!((predicted - clicked).abs() < 0.05, "{predicted} for {clicked}");
    let auc = |probabilities: &[f32]| ClickMetrics::of(probabilities, &shown.labels).auc.unwrap();
    assert!(auc(&probabilities) > 0.85, "{}", auc(&probabilities));
    let federated = |noise: f64| {
        let weights = columns.federated(&shown, &rows, (60, noise, 100.0), &ADAM, 1);
        auc(&columns.probabilities(&weights, &rows))
    };
    assert!(
        (federated(0.0) - auc(&probabilities)).abs() < 0.02,
        "{}",
        federated(0.0)
    );
    assert!(federated(1e4) < federated(0.0));
}

#[test]
fn nothing_of_a_campaign_that_had_not_ended_and_no_later_purchase_is_learned_from() {
    let coupon = |days| Coupon {
        kind: "B".into(),
        days,
        products: 1,
    };
    let items = ["tea", "coupon 1", "coupon 2"].map(|id| souk_common::catalogue::Item::bare(id.to_owned()));
    let start = TEST_FROM - 20 * DAY;
    let dataset = Dataset {
        users: vec!["h".into()],
        histories: vec![History {
            items: vec![0],
            times: vec![TEST_FROM],
        }],
        labelled: vec![Labelled {
            items: vec![1, 2],
            times: vec![start; 2],
            labels: vec![0.0, 1.0],
        }],
    };
    let coupons = Coupons {
        known: crate::data::split::Known {
            name: "completejourney",
            dataset: dataset.clone(),
            catalogue: souk_common::catalogue::Catalogue::new(items.to_vec()).unwrap(),
            shop_of: vec![0],
            shops: 1,
            groups: vec![String::new()],
        },
        ads: vec![coupon(19), coupon(20)],
        first_ad: 1,
        households: vec![Vec::new()],
        campaigns: 2,
        left_out: Vec::new(),
    };
    let before = before_test(&dataset, &coupons);
    assert!(before.histories[0].is_empty());
    assert_eq!(
        (
            before.labelled[0].items.as_slice(),
            before.labelled[0].labels.as_slice()
        ),
        (&[1][..], &[0.0][..])
    );
}

#[test]
fn rows_without_an_area_say_none_and_the_check_names_what_failed() {
    let mut shown = shown();
    let (test, coupons): (Vec<usize>, _) = ((0..400).collect(), empty());
    let measured = Measured {
        shown: &shown,
        test: &test,
        coupons: &coupons,
    };
    let mut report = Report::new(measured, None);
    report.add(report::BASELINE, vec![vec![0.2; 400]]);
    report.add(
        report::TOWER_OPEN,
        vec![shown.labels.iter().map(|label| 0.1 + 0.5 * label).collect(); 2],
    );
    let checks = report.checks();
    assert_eq!(
        checks.iter().map(|check| check.ok).collect::<Vec<_>>(),
        [true; 3],
        "{}",
        report.text()
    );
    let mut worse = Report::new(measured, None);
    worse.add(report::BASELINE, vec![shown.labels.clone()]);
    worse.add(report::TOWER_OPEN, vec![vec![0.01; 400]]);
    assert!(worse.checks().iter().all(|check| !check.ok), "{}", worse.text());
    shown.labels.fill(0.0);
    let mut alike = Report::new(
        Measured {
            shown: &shown,
            test: &test,
            coupons: &coupons,
        },
        None,
    );
    alike.add(report::BASELINE, vec![vec![0.2; 400]]);
    assert!(alike.text().contains("none"), "{}", alike.text());
}

/// A hundred households and one coupon, of type B.
fn empty() -> Coupons {
    let item = souk_common::catalogue::Item::bare("coupon".to_owned());
    Coupons {
        known: crate::data::split::Known {
            name: "completejourney",
            dataset: Dataset {
                users: (0..100).map(|user| format!("h{user}")).collect(),
                histories: vec![History::default(); 100],
                labelled: Vec::new(),
            },
            catalogue: souk_common::catalogue::Catalogue::new(vec![item]).unwrap(),
            shop_of: vec![0; 100],
            shops: 1,
            groups: vec![String::new(); 100],
        },
        ads: vec![Coupon {
            kind: "B".into(),
            days: 30,
            products: 1,
        }],
        first_ad: 0,
        households: vec![Vec::new(); 100],
        campaigns: 1,
        left_out: Vec::new(),
    }
}
