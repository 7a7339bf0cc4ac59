//! Configuration and files that make no sense: exit code, name of the key or file, value, and what it may be.

use std::fs;
use std::path::Path;

use souk_tests::federation::{Federation, bad, good, plan, run, text};

const SOUK: &str = env!("CARGO_BIN_EXE_souk");

fn sample(name: &str) -> String {
    format!("{}/../deploy/config/{name}", env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn a_plan_that_makes_no_sense_is_64_when_checked_and_when_served() {
    let federation = Federation::prepare(SOUK, &plan(2, 1, &["north"]));
    let sense = fs::read_to_string(federation.plan()).expect("a plan");
    let file = federation.plan();
    let nonsense: [(&str, &str, &[&str]); 15] = [
        // Its steps are not finite: what they make was published once.
        (
            "clip_norm = 1.0",
            "clip_norm = 1e300",
            &["clip_norm", "1e300", "1e9"],
        ),
        (
            "clip_norm = 1.0",
            "clip_norm = -1.5",
            &["clip_norm", "-1.5", "above 0"],
        ),
        (
            "clip_norm = 1.0",
            "clip_norm = nan",
            &["clip_norm", "nan", "finite"],
        ),
        (
            "noise_multiplier = 4.0",
            "noise_multiplier = 0.0",
            &["noise_multiplier", "0", "above 0"],
        ),
        (
            "noise_multiplier = 4.0\n",
            "",
            &["privacy.noise_multiplier", "missing"],
        ),
        (
            "noise_multiplier = 4.0",
            "noise_multiplier = 4.0\nenabled = false",
            &["noise_multiplier", "absent"],
        ),
        (
            "sampling_rate = 0.5",
            "sampling_rate = 1.5",
            &["sampling_rate", "1.5"],
        ),
        ("quorum = 1", "quorum = 3", &["cohort.quorum", "3", "at most"]),
        ("quorum = 1", "quorum = 0", &["cohort.quorum", "0", "at least 1"]),
        (
            "deadline = \"50s\"",
            "deadline = \"0s\"",
            &["cohort.deadline", "above 0"],
        ),
        ("rounds = 2", "rounds = 0", &["rounds", "0", "1 to"]),
        ("gmf_dim = 4", "gmf_dim = 4\nhidden = 3", &["hidden", "unknown"]),
        ("rounds = 2", "rounds = 2\nnoise = 1", &["noise", "unknown"]),
        (
            "learning_rate = 0.05",
            "learning_rate = -0.05",
            &["server.learning_rate", "-0.05"],
        ),
        (
            "declared_users = 100",
            "declared_users = 900000000",
            &["modulus_bits = 64"],
        ),
    ];
    for (good_line, bad_line, named) in nonsense {
        let broken = sense.replacen(good_line, bad_line, 1);
        assert_ne!(broken, sense, "{good_line}");
        fs::write(&file, broken).expect("a file");
        let checked = federation.coordinator(&["plan", "check", text(&file)]);
        let served = federation.coordinator(&["serve", "--plan", text(&file), "--listen", "127.0.0.1:0"]);
        for (command, output) in [("check", checked), ("serve", served)] {
            let (code, said) = bad(&output);
            assert_eq!(code, 64, "{command} {bad_line}: {said}");
            for name in named {
                assert!(said.contains(name), "{command} {bad_line}: no {name:?} in {said}");
            }
        }
    }
    let numbers = [
        (
            "noise_multiplier = 4.0",
            "noise_multiplier",
            &["0", "-1.0", "nan", "inf", "-inf"][..],
        ),
        (
            "sampling_rate = 0.5",
            "sampling_rate",
            &["0", "-0.5", "1.0001", "nan", "inf"],
        ),
        ("clip_norm = 1.0", "clip_norm", &["0", "-1.0", "nan", "inf"]),
        (
            "sampling_rate = 0.5",
            "delta",
            &["0", "-1e-5", "1.0", "nan", "inf"],
        ),
        ("rounds = 2", "rounds", &["0", "1000000000", "-1"]),
    ];
    for (good_line, key, values) in numbers {
        for value in values {
            let broken = match key {
                "delta" => sense.replacen(good_line, &format!("{good_line}\ndelta = {value}"), 1),
                _ => sense.replacen(good_line, &format!("{key} = {value}"), 1),
            };
            fs::write(&file, broken).expect("a file");
            let (code, said) = bad(&federation.coordinator(&["plan", "check", text(&file)]));
            assert!(
                code == 64 && said.contains("plan.toml") && said.contains(key),
                "{key} = {value}: {code} {said}"
            );
        }
    }
    let (code, said) = bad(&federation.coordinator(&["serve", "--plan", "nowhere.toml"]));
    assert!(code == 64 && said.contains("nowhere.toml"), "{said}");
}

#[test]
fn a_configuration_that_makes_no_sense_is_64_before_a_port_is_bound() {
    let federation = Federation::prepare(SOUK, &plan(1, 1, &["north"]));
    let (plan, config) = (federation.plan(), federation.home().join("coordinator.toml"));
    let serve = |more: &[&str]| federation.coordinator(&[&["serve", "--plan", text(&plan)], more].concat());
    let (code, said) = bad(&serve(&["--listen", "everywhere"]));
    assert!(
        code == 64 && said.contains("--listen is \"everywhere\""),
        "{said}"
    );
    let sense = fs::read_to_string(&config).expect("a file");
    for (good_line, bad_line, named) in [
        (
            "address = \"127.0.0.1:0\"",
            "address = \"souk\"",
            "address is \"souk\"",
        ),
        ("[limits]", "adress = 3\n[limits]", "adress"),
        ("[store]", "[store]\nkeep_parts = -1", "keep_parts"),
        (
            "[certificates]",
            "[certificates]\nshop = \"0s\"",
            "[certificates] shop is",
        ),
        ("[certificates]", "[certificates]\nshop = \"soon\"", "soon"),
    ] {
        let broken = sense.replacen(good_line, bad_line, 1);
        assert_ne!(broken, sense, "{good_line}");
        fs::write(&config, broken).expect("a file");
        for output in [
            serve(&["--listen", "127.0.0.1:0"]),
            federation.coordinator(&["status"]),
        ] {
            let (code, said) = bad(&output);
            assert!(code == 64 && said.contains(named), "{bad_line}: {code} {said}");
        }
    }
    fs::write(&config, sense).expect("a file");
    let home = federation.home();
    let (code, said) = bad(&run(Path::new(SOUK), "coordinator", &["init", text(&home)]));
    assert!(code == 64 && said.contains("already"), "{said}");
    fs::remove_file(home.join("catalogue.jsonl")).expect("it was imported");
    let (code, said) = bad(&serve(&["--listen", "127.0.0.1:0"]));
    assert!(code == 64 && said.contains("catalogue import"), "{said}");
    for command in ["status", "shops", "pause"] {
        let (code, said) = bad(&run(
            Path::new(SOUK),
            "coordinator",
            &[command, "--dir", "nowhere"],
        ));
        assert!(
            code == 64 && said.contains("souk-coordinator init"),
            "{command}: {said}"
        );
    }
}

#[test]
fn another_plan_is_refused_while_a_run_is_unfinished() {
    let mut federation = Federation::start(SOUK, &plan(2, 1, &["north"]), &[]);
    assert!(federation.stop_coordinator());
    let file = federation.plan();
    let serve = ["serve", "--plan", text(&file), "--listen", "127.0.0.1:0"];
    let other_noise = plan(2, 1, &["north"]).replace("noise_multiplier = 4.0", "noise_multiplier = 2.0");
    for other in [other_noise, plan(3, 1, &["north"])] {
        fs::write(&file, other).expect("a file");
        let (code, said) = bad(&federation.coordinator(&serve));
        assert!(code == 64 && said.contains("--new-run"), "{said}");
    }
    federation.serve(&["--new-run"]);
    assert_eq!(federation.coordinator_json(&["status"])["rounds"], 3);
}

#[test]
fn sample_files_are_accepted_and_a_plan_says_what_it_costs() {
    let federation = Federation::prepare(SOUK, &plan(1, 1, &["north"]));
    let cost = federation.coordinator_json(&["plan", "check", &sample("plan.toml")]);
    let epsilon = &cost["epsilon_per_shop"];
    let (sampled, whole) = (&epsilon["epsilon"], &epsilon["epsilon_without_sampling"]);
    assert!(
        sampled.as_f64() > Some(0.0) && sampled.as_f64() < whole.as_f64(),
        "{cost}"
    );
    let same = run(
        Path::new(SOUK),
        "sim",
        &[
            "epsilon",
            "--noise-multiplier",
            "4",
            "--sampling-rate",
            "0.5",
            "--rounds",
            "60",
            "--delta",
            "1e-5",
            "--json",
        ],
    );
    let same: serde_json::Value = serde_json::from_str(&good(&same)).expect("JSON");
    assert_eq!(*sampled, same["epsilon"]);
    let (coordinates, update) = (cost["coordinates"].as_u64(), cost["bytes_per_update"].as_u64());
    assert_eq!(update, coordinates.map(|count| 4 * count));
    assert_eq!(
        cost["bytes_per_round"].as_u64(),
        update.map(|bytes| 4 * bytes),
        "two shops, both ways"
    );
    assert!(cost["modulus_headroom"].as_f64() > Some(1.0));
    let prose = good(&federation.coordinator(&["plan", "check", &sample("plan.toml")]));
    assert!(
        prose.contains("epsilon") && prose.contains("not secret") && prose.contains("modulus"),
        "{prose}"
    );
    // From a target to the noise, and back through the plan.
    let there =
        federation.coordinator_json(&["plan", "check", &sample("plan.toml"), "--target-epsilon", "8"]);
    let noise = there["target"]["noise_multiplier"].as_f64().expect("a number");
    let text = fs::read_to_string(sample("plan.toml")).expect("the sample");
    let changed = text.replace("noise_multiplier = 4.0", &format!("noise_multiplier = {noise}"));
    assert_ne!(changed, text);
    let file = federation.home().join("eight.toml");
    fs::write(&file, changed).expect("a plan");
    let back = federation.coordinator_json(&["plan", "check", souk_tests::federation::text(&file)]);
    let epsilon = back["epsilon_per_shop"]["epsilon"].as_f64().expect("a number");
    assert!((epsilon / 8.0 - 1.0).abs() < 0.005 && epsilon <= 8.0, "{epsilon}");
    let tensors = back["tensors"].as_array().expect("a list");
    let coordinates: u64 = tensors
        .iter()
        .filter_map(|tensor| tensor["coordinates"].as_u64())
        .sum();
    assert_eq!(Some(coordinates), back["coordinates"].as_u64());
    assert!(tensors[0]["most_signal_to_noise"].as_f64() > Some(0.0), "{back}");
    fs::copy(
        sample("coordinator.toml"),
        federation.home().join("coordinator.toml"),
    )
    .expect("a copy");
    assert_eq!(federation.coordinator_json(&["status"])["state"], "waiting");
    let shop = federation.shop("north");
    fs::create_dir_all(&shop).expect("a folder");
    fs::copy(sample("shop.toml"), shop.join("shop.toml")).expect("a copy");
    fs::write(
        shop.join("orders.csv"),
        "user_id,item_id,timestamp\na,x,1700000001\na,y,1700000002\n",
    )
    .expect("a file");
    good(&federation.client("north", &["check-data"]));
}

#[test]
fn a_catalogue_that_makes_no_sense_is_named_and_the_old_one_stays() {
    let federation = Federation::prepare(SOUK, &plan(1, 1, &["north"]));
    let kept = federation.home().join("catalogue.jsonl");
    let before = fs::read(&kept).expect("a catalogue");
    let file = federation.home().join("items.csv");
    let head = "item_id,title,category,brand,price\n";
    let cases: [(&str, &str); 7] = [
        ("a,A,c,b,1\nb,B,c,b,NaN\n", "b"),
        ("a,A,c,b,-1\n", "-1"),
        ("a,A,c,b,cheap\n", "line 2: price is \"cheap\""),
        ("a,A,c,b,1\nb,B\n", "line 3"),
        ("a,A,c,b,1\na,B,c,b,1\n", "a"),
        (",A,c,b,1\n", "id"),
        ("", "no item"),
    ];
    for (lines, named) in cases {
        fs::write(&file, format!("{head}{lines}")).expect("a file");
        let (code, said) = bad(&federation.coordinator(&["catalogue", "import", text(&file)]));
        let what = said.replace(text(&file), "");
        assert!(
            code == 1 && said.contains("items.csv") && what.contains(named),
            "{lines}: {code} {said}"
        );
        assert_eq!(fs::read(&kept).expect("a catalogue"), before, "{lines}");
    }
    fs::write(&file, "sku,title\na,A\n").expect("a file");
    let (code, said) = bad(&federation.coordinator(&["catalogue", "import", text(&file)]));
    assert!(code == 1 && said.contains("item_id"), "{said}");
    let (code, said) = bad(&federation.coordinator(&["catalogue", "import", "nowhere.csv"]));
    assert!(code == 64 && said.contains("nowhere.csv"), "{said}");
}

#[test]
fn no_shops_at_all_is_wrong_usage() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let out = dir.path().join("out");
    for shops in ["0", "-1", "two"] {
        let split = ["split", "--synthetic", "--shops", shops, "--out", text(&out)];
        let (code, said) = bad(&run(Path::new(SOUK), "sim", &split));
        assert!(code == 64 && said.contains("--shops"), "{shops}: {said}");
    }
    assert!(!out.exists());
}
