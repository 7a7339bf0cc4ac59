//! `plan new --shop` and `plan check` of what it wrote: which releases, at which noise, what they cost and may gain, and what can't be.

use std::fs;
use std::process::Output;

use serde_json::Value;
use souk_common::accountant::gaussian::mu_of;
use souk_common::params::{Delta, Epsilon};
use souk_tests::federation::{Federation, bad, good, text};

const SOUK: &str = env!("CARGO_BIN_EXE_souk");

/// A federation with a catalogue of 40 items, with features, and no plan yet.
fn federation() -> Federation {
    let federation = Federation::prepare(SOUK, "");
    fs::remove_file(federation.plan()).expect("it was there");
    federation
}

/// Writes a plan anew, for shops of so many customers.
fn new(federation: &Federation, customers: &[u64], flags: &[&str]) -> Output {
    let _ = fs::remove_file(federation.plan());
    let plan = federation.plan();
    let shops: Vec<String> = (0..)
        .zip(customers)
        .map(|(shop, customers)| format!("shop-{shop}={customers}"))
        .collect();
    let mut args = vec!["plan", "new", text(&plan)];
    args.extend(shops.iter().flat_map(|shop| ["--shop", shop.as_str()]));
    args.extend(flags);
    federation.coordinator(&args)
}

fn check(federation: &Federation) -> Value {
    federation.coordinator_json(&["plan", "check", text(&federation.plan())])
}

/// Names and coordinates of the releases.
fn releases(cost: &Value) -> Vec<(String, u64)> {
    let tensors = cost["tensors"].as_array().expect("a list");
    let of = |tensor: &Value| tensor["coordinates"].as_u64().expect("a number");
    let name = |tensor: &Value| tensor["name"].as_str().expect("a name").to_owned();
    tensors.iter().map(|tensor| (name(tensor), of(tensor))).collect()
}

fn is_eight(cost: &Value) {
    let epsilon = cost["epsilon_per_shop"]["epsilon"].as_f64().expect("a number");
    assert!(epsilon <= 8.0 && epsilon > 8.0 - 1e-6, "{cost}");
}

#[test]
fn a_catalogue_with_features_and_enough_customers_makes_two_releases_at_epsilon_eight() {
    let federation = federation();
    good(&new(&federation, &[4000, 2000, 3000], &["--no-training"]));
    let cost = check(&federation);
    is_eight(&cost);
    let names: Vec<String> = releases(&cost).into_iter().map(|(name, _)| name).collect();
    assert_eq!(
        names,
        [
            "release 1, popularity (share 0.4, z 0.949)",
            "release 2, collaborative (share 0.6, z 0.775)"
        ]
    );
    assert_eq!(releases(&cost)[0].1, 40);
    assert_eq!((&cost["rounds"], &cost["shops"]), (&2.into(), &3.into()));
    assert_eq!(cost["masking"]["min_shops"], 3, "{cost}");
    let said = good(&federation.coordinator(&["plan", "check", text(&federation.plan())]));
    for line in [
        "a shop in all releases spends epsilon 8.0",
        "also if attempts fail",
        "release 1, popularity (share 0.4, z 0.949)",
    ] {
        assert!(said.contains(line), "{line}: {said}");
    }
}

/// Where noise leaves much, a tower is trained behind the releases, under the same budget.
#[test]
fn many_customers_make_a_tower_and_it_costs_no_epsilon() {
    let federation = federation();
    good(&new(&federation, &[4000, 2000, 3000], &[]));
    let cost = check(&federation);
    is_eight(&cost);
    let names: Vec<String> = releases(&cost).into_iter().map(|(name, _)| name).collect();
    assert_eq!(
        names,
        [
            "release 1, popularity (share 0.38, z 0.974)",
            "release 2, collaborative (share 0.57, z 0.795)",
            "rounds 3 to 32, tower (share 0.05 together, z 14.703)"
        ]
    );
    assert_eq!(cost["rounds"], 32);
    let phases = cost["phases"].as_array().expect("a list");
    assert_eq!(
        (&phases[2]["name"], &phases[2]["rounds"]),
        (&"tower".into(), &serde_json::json!([3, 32]))
    );
    assert_eq!(cost["failure_at_last_release"]["releases_kept"], 31);
    // Of 200 customers noise leaves too little.
    good(&new(&federation, &[80, 60, 60], &[]));
    let few = check(&federation);
    assert_eq!(few["rounds"], 2, "{few}");
    good(&new(&federation, &[80, 60, 60], &["--no-training"]));
    assert_eq!(check(&federation), few);
}

#[test]
fn fewer_than_three_shops_add_all_of_the_noise_by_themselves_and_more_do_when_told() {
    let federation = federation();
    for (customers, flags, says) in [
        (&[4000, 2000][..], &[][..], true),
        (&[4000, 2000], &["--local-noise"], false),
        (&[4000, 2000, 3000], &["--local-noise"], false),
    ] {
        let made = new(&federation, customers, flags);
        let said = String::from_utf8_lossy(&made.stderr).into_owned();
        good(&made);
        assert_eq!(said.contains("2 of the 3 shops"), says, "{flags:?}: {said}");
        let cost = check(&federation);
        is_eight(&cost);
        assert!(cost["masking"].is_null() && releases(&cost).len() == 3, "{cost}");
    }
}

#[test]
fn releases_is_said_by_shops_alone_and_training_by_none() {
    let federation = federation();
    let written = |flags: &[&str], customers: &[u64]| {
        good(&new(&federation, customers, flags));
        fs::read_to_string(federation.plan()).expect("a plan")
    };
    let shops = [4000, 2000, 3000];
    assert_eq!(written(&[], &shops), written(&["--releases"], &shops));
    let sample = written(&[], &[]);
    assert!(sample.contains("solver = \"ials\"") && !sample.contains("[[release]]"));
    assert_eq!(sample, written(&["--training"], &[]));
    assert!(written(&["--training", "--rounds", "7"], &[]).contains("rounds = 7"));
}

#[test]
fn updates_of_a_new_plan_leave_at_an_offset_that_fits_its_deadline() {
    let federation = federation();
    // Ten million customers at the delta of thousands.
    let is_of_delta =
        |warning: &serde_json::Value| warning.as_str().is_some_and(|text| text.contains("delta"));
    let offset = |customers: &[u64]| {
        good(&new(&federation, customers, &["--no-training"]));
        let cost = check(&federation);
        let latest = cost["latest_upload_seconds"].as_f64().expect("a number");
        assert!(
            latest < 600.0
                && cost["warnings"]
                    .as_array()
                    .is_some_and(|warnings| warnings.iter().all(is_of_delta)),
            "{cost}"
        );
        cost["upload_after_seconds"].as_f64().expect("a number")
    };
    assert_eq!((offset(&[4000, 2000, 3000]), offset(&[4000, 2000])), (10.0, 10.0));
    // 40 products: a customer takes a third of a microsecond and less, and the offset is twenty times that of all of a shop.
    let many = offset(&[10_000_000, 2000, 3000]);
    assert!((11.0..120.0).contains(&many), "{many}");
    assert_eq!(offset(&[1_000_000_000, 2000, 3000]), 195.0);
}

/// A budget of a year, divided among its plans.
#[test]
fn four_plans_a_year_cost_together_the_epsilon_that_was_typed() {
    let federation = federation();
    good(&new(&federation, &[4000, 2000, 3000], &["--per", "year"]));
    let text = fs::read_to_string(federation.plan()).expect("a plan");
    assert!(
        text.contains("For 4 such plans a year") && text.contains("together epsilon 8"),
        "{text}"
    );
    let cost = check(&federation);
    let four = cost["epsilon_per_year"]["4"].as_f64().expect("a number");
    assert!(four <= 8.0 && four > 8.0 - 1e-6, "{cost}");
    let mu = |epsilon: f64| {
        mu_of(
            Epsilon::new(epsilon).expect("one"),
            Delta::new(1e-5).expect("one"),
        )
    };
    let own = cost["epsilon_per_shop"]["noise_multiplier"]
        .as_f64()
        .expect("a number")
        .recip();
    assert!(
        (own * 2.0 / mu(8.0) - 1.0).abs() < 1e-6 && own * 2.0 <= mu(8.0),
        "{own}"
    );
    good(&new(
        &federation,
        &[4000, 2000, 3000],
        &["--per", "year", "--times", "1"],
    ));
    is_eight(&check(&federation));
}

#[test]
fn plan_check_says_what_failures_and_years_cost_and_what_there_is_to_gain() {
    let federation = federation();
    good(&new(&federation, &[400, 200, 300], &["--no-training"]));
    let cost = check(&federation);
    let courses = cost["after_charged_failures"].as_array().expect("a list");
    assert_eq!(courses.len(), 3);
    let mut noise = 0.0;
    for (failures, course) in courses.iter().enumerate() {
        assert_eq!(course["failures"], failures);
        assert!(
            (course["epsilon"].as_f64().expect("a number") - 8.0).abs() < 1e-6,
            "{course}"
        );
        let last = course["noise_multipliers"][1].as_f64().expect("a number");
        assert!(last > noise, "{course}");
        noise = last;
    }
    let last = &cost["failure_at_last_release"];
    assert_eq!(
        (&last["ends_the_run"], &last["releases_kept"]),
        (&true.into(), &1.into())
    );
    for (times, epsilon) in [("1", 8.0), ("4", 19.1), ("12", 40.5)] {
        let said = cost["epsilon_per_year"][times].as_f64().expect("a number");
        assert!((said / epsilon - 1.0).abs() < 0.01, "{times}: {said}");
    }
    // mu N / (sqrt(M) f): two shares of three shops' noise.
    let gain = &cost["expected_gain"];
    let signal = gain["signal"].as_f64().expect("a number");
    assert!(
        (signal - 1.66603 * 900.0 / (40f64.sqrt() * 1.5f64.sqrt())).abs() < 0.01,
        "{signal}"
    );
    assert_eq!(gain["shops"][0]["customers"], 200, "from the smallest");
    assert_eq!(gain["measured"].as_array().map(Vec::len), Some(13));
    let phases = cost["phases"].as_array().expect("a list");
    assert_eq!(phases.len(), 3);
    assert_eq!(phases[0]["bytes_up_per_shop"], 160);
    assert!(
        phases[1]["cpu_seconds_of_largest_shop"].as_f64() > Some(0.0),
        "{cost}"
    );
    assert!(cost["refused"].is_null(), "{cost}");
    let said = good(&federation.coordinator(&["plan", "check", text(&federation.plan())]));
    for words in [
        "costs noise, not epsilon",
        "the first release stays published",
        "epsilon a year",
        "expected gain",
        "more signal than was measured",
        "this is not a promise: `souk-sim evaluate --data DIR --stack --epsilon 8.000`",
        "round 2, collaborative",
    ] {
        assert!(said.contains(words), "{words}: {said}");
    }
}

#[test]
fn a_plan_whose_popularity_would_drown_is_refused_until_told_otherwise() {
    let federation = federation();
    let little = ["--epsilon", "0.05"];
    for (customers, words) in [
        (&[10, 10, 10][..], "would drown the popularity"),
        (&[4000], "shop shop-0 alone"),
    ] {
        let flags: &[&str] = if customers.len() == 1 { &[] } else { &little };
        let (code, said) = bad(&new(&federation, customers, flags));
        assert!(
            code == 1 && said.contains(words) && said.contains("--anyway"),
            "{code} {said}"
        );
        assert!(!federation.plan().exists());
        good(&new(&federation, customers, &[flags, &["--anyway"]].concat()));
        let plan = federation.plan();
        let refused = federation.coordinator(&["plan", "check", text(&plan), "--json"]);
        let cost: Value = serde_json::from_slice(&refused.stdout).expect("JSON all the same");
        assert!(
            cost["refused"].as_str().is_some_and(|why| why.contains(words)),
            "{cost}"
        );
        let (code, said) = bad(&refused);
        assert!(
            code == 1 && said.contains("plan.toml is refused") && said.contains(words),
            "{code} {said}"
        );
        good(&federation.coordinator(&["plan", "check", text(&plan), "--anyway"]));
    }
}

#[test]
fn models_that_were_measured_to_be_worse_than_bestsellers_are_warned_of() {
    let federation = federation();
    let plan = federation.plan();
    good(&new(&federation, &[], &[]));
    let sample = fs::read_to_string(&plan).expect("a plan");
    let strict = |text: &str| {
        fs::write(&plan, text).expect("a file");
        federation.coordinator(&["plan", "check", self::text(&plan), "--strict"])
    };
    good(&strict(&sample));
    let sgd = sample
        .replace("solver = \"ials\" ", "solver = \"sgd\" #")
        .replace("alpha = 0.1\nlambda = 1.0\n", "");
    for (text, figure) in [
        (sgd, "15.0"),
        (sample.replace("item_bias = false", "item_bias = true"), "20.4"),
    ] {
        assert_ne!(text, sample);
        let (code, said) = bad(&strict(&text));
        assert!(
            code == 1 && said.contains(figure) && said.contains("--epsilon 8 --shop"),
            "{code} {said}"
        );
        let said = good(&federation.coordinator(&["plan", "check", self::text(&plan)]));
        assert!(
            said.contains("warning: a model of 7000 declared customers"),
            "{said}"
        );
        let cost = check(&federation);
        assert_eq!(cost["warnings"].as_array().map(Vec::len), Some(1), "{cost}");
        assert!(
            cost["expected_gain"].is_null() && cost["phases"][0]["rounds"] == serde_json::json!([1, 60]),
            "{cost}"
        );
    }
}

#[test]
fn what_can_not_be_a_plan_is_wrong_usage_and_writes_nothing() {
    let federation = federation();
    let plan = federation.plan();
    let refused = |flags: &[&str], words: &[&str]| {
        let (code, said) = bad(&federation.coordinator(&[&["plan", "new", text(&plan)], flags].concat()));
        assert!(
            code == 64 && words.iter().all(|word| said.contains(word)),
            "{flags:?}: {code} {said}"
        );
        assert!(!plan.exists(), "{flags:?}");
    };
    let three = ["--shop", "a=400", "--shop", "b=400", "--shop", "c=400"];
    for (flags, words) in [
        (&["--epsilon", "0"][..], &["--epsilon", "above"][..]),
        (&["--epsilon=-1"], &["--epsilon"]),
        (&["--epsilon", "nan"], &["--epsilon", "NaN"]),
        (&["--per", "year", "--times", "0"], &["--times", "0 is not in"]),
        (&["--per", "century"], &["--per", "year"]),
        (&["--times", "4"], &["--per"]),
        (&["--shop", "a=500"], &["shops.name is a", "named once"]),
        (&["--shop", "d"], &["--shop", "NAME=CUSTOMERS"]),
        (&["--shop", "d=0"], &["declared_users of shop d is 0"]),
        (&["--training"], &["--training", "--shop"]),
        (&["--rounds", "7"], &["--rounds", "--shop"]),
    ] {
        refused(&[&three[..], flags].concat(), words);
    }
    for flags in [
        &["--epsilon", "8"][..],
        &["--per", "year"],
        &["--local-noise"],
        &["--releases"],
        &["--anyway"],
    ] {
        refused(flags, &["--shop"]);
    }
    fs::remove_file(federation.home().join("catalogue.jsonl")).expect("it was there");
    refused(&three, &["first `souk-coordinator catalogue import`"]);
}

#[test]
fn few_customers_leave_popularity_and_no_features_take_three_releases() {
    let federation = federation();
    good(&new(&federation, &[10, 10, 10], &[]));
    let cost = check(&federation);
    is_eight(&cost);
    assert_eq!(
        releases(&cost),
        [("release 1, popularity (share 1, z 0.600)".to_owned(), 40)]
    );
    let bare: String = (0..40).map(|item| format!("i{item},,,,\n")).collect();
    let items = federation.home().join("bare.csv");
    fs::write(&items, format!("item_id,title,category,brand,price\n{bare}")).expect("a file");
    good(&federation.coordinator(&["catalogue", "import", text(&items)]));
    good(&new(&federation, &[4000, 2000, 3000], &["--no-training"]));
    let cost = check(&federation);
    is_eight(&cost);
    let names: Vec<String> = releases(&cost).into_iter().map(|(name, _)| name).collect();
    assert_eq!(
        names,
        [
            "release 1, popularity (share 0.2, z 1.342)",
            "release 2, collaborative (share 0.4, z 0.949)",
            "release 3, second_collaborative (share 0.4, z 0.949)"
        ]
    );
    good(&new(&federation, &[10, 10, 10], &[]));
    assert_eq!(releases(&check(&federation)).len(), 1);
    fs::remove_file(federation.home().join("catalogue.jsonl")).expect("it was there");
    let (code, said) = bad(&new(&federation, &[10, 10, 10], &[]));
    assert!(
        code == 64 && said.contains("first `souk-coordinator catalogue import`"),
        "{code} {said}"
    );
}
