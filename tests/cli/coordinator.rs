//! The operator's command line, with `serve` up and without.

use std::fs;
use std::net::UdpSocket;
use std::path::Path;

use serde_json::Value;
use souk_tests::federation::{Federation, bad, good, masked_plan, plan, run, text, until};

const SOUK: &str = env!("CARGO_BIN_EXE_souk");

#[test]
fn help_is_no_error_and_wrong_usage_is_64() {
    let said = |args: &[&str]| run(Path::new(SOUK), "coordinator", args);
    let commands: [&[&str]; 23] = [
        &[],
        &["init"],
        &["plan", "new"],
        &["plan", "check"],
        &["catalogue", "import"],
        &["invite"],
        &["invite", "--again"],
        &["invite", "north", "--list"],
        &["invite", "--list", "--cancel", "north"],
        &["shops"],
        &["revoke"],
        &["serve"],
        &["status"],
        &["pause"],
        &["resume"],
        &["models", "list"],
        &["models", "show"],
        &["models", "export"],
        &["models", "rollback"],
        &["ca", "rotate"],
        &["ca", "status"],
        &["ca", "retire"],
        &["backup"],
    ];
    for command in commands {
        let help = good(&said(&[command, &["--help"]].concat()));
        assert!(help.contains("Example"), "{command:?}: {help}");
    }
    let wrong: [&[&str]; 5] = [
        &["nonsense"],
        &["serve"],
        &["invite", "Not A Name"],
        &["models", "rollback", "-1"],
        &["status", "--jsno"],
    ];
    for command in wrong {
        let (code, said) = bad(&said(command));
        assert!(code == 64 && said.contains("--help"), "{command:?}: {said}");
    }
}

#[test]
fn every_command_works_while_serve_is_up_and_when_it_is_not() {
    let mut federation = Federation::start(SOUK, &plan(2, 1, &["north", "south"]), &[]);
    federation.join("north", 20);
    let mut north = federation.start_client("north", &["--exit-when-finished"]);
    assert!(north.wait(), "{}", federation.log("north"));
    let up = ask_everything(&federation, "up");
    assert!(federation.stop_coordinator());
    let down = ask_everything(&federation, "down");
    assert_eq!(up, down);
    // What was said while `serve` was down holds when it is up again.
    good(&federation.coordinator(&["revoke", "north"]));
    federation.serve(&[]);
    let shops = federation.coordinator_json(&["shops"]);
    assert_eq!(shops["shops"][0]["membership"]["standing"], "revoked");
    let (code, said) = bad(&federation.coordinator(&["revoke", "west"]));
    assert!(code == 2 && said.contains("no shop called west"), "{said}");
}

/// Every command but `serve`; what must be the same however it was asked.
fn ask_everything(federation: &Federation, name: &str) -> Vec<Value> {
    let file = |end: &str| {
        let path = federation.home().join(format!("{name}{end}"));
        text(&path).to_owned()
    };
    let json = |args: &[&str]| federation.coordinator_json(args);
    let status = json(&["status"]);
    let models = json(&["models", "list"]);
    let manifest = |listed: usize| models["models"][listed].clone();
    let shown = json(&["models", "show", "--round", "1"]);
    let mut listed = manifest(1);
    let mut taken = |key| listed.as_object_mut().and_then(|fields| fields.remove(key));
    assert_eq!(
        (taken("kept"), taken("run")),
        (Some(Value::Bool(true)), Some(1.into()))
    );
    assert_eq!(shown["manifest"]["body"], listed);
    let exported = file(".safetensors");
    let export = json(&["models", "export", "--out", &exported]);
    assert_eq!(export["model_hash"], manifest(2)["model"]);
    let bytes = fs::read(&exported).expect("the exported model");
    assert_eq!(
        export["model_hash"],
        souk_common::ids::Digest::of(&bytes).to_string()
    );
    let (code, said) = bad(&federation.coordinator(&["models", "show", "--round", "9"]));
    assert!(code == 2 && said.contains("models list"), "{said}");
    let (code, said) = bad(&federation.coordinator(&["models", "rollback", "9"]));
    assert!(code == 2 && said.contains("no model of run 1 round 9"), "{said}");
    assert_eq!(json(&["pause"])["paused"], true);
    assert_eq!(json(&["resume"])["paused"], false);
    let shops = json(&["shops"]);
    assert_eq!(shops["shops"][0]["name"], "north");
    assert_eq!(shops["shops"][0]["membership"]["standing"], "enrolled");
    let authorities = json(&["ca", "status"]);
    assert_eq!(authorities["rotating"], false);
    let backup = federation.home().join("../backup");
    let copied = json(&["backup", text(&backup)])["copied"].clone();
    assert_eq!(copied["log"], status["log"]);
    let code = federation.invite("south");
    code.parse::<souk_common::crypto::join_code::JoinCode>()
        .expect("a code");
    let (failed, said) = bad(&federation.coordinator(&["invite", "north"]));
    assert!(failed == 2 && said.contains("revoke it first"), "{said}");
    let sample = file(".toml");
    good(&run(
        Path::new(SOUK),
        "coordinator",
        &["plan", "new", &sample, "--rounds", "7"],
    ));
    let cost = json(&["plan", "check", &sample]);
    assert_eq!((&cost["rounds"], &cost["headroom"]), (&7.into(), &4.into()));
    assert_eq!(cost["upload_after_seconds"], 10.0);
    let (failed, said) = bad(&run(Path::new(SOUK), "coordinator", &["plan", "new", &sample]));
    assert!(failed == 64 && said.contains("not overwritten"), "{said}");
    let items = federation.home().join("../items.csv");
    let imported = json(&["catalogue", "import", text(&items)]);
    assert_eq!(imported["items"], 40);
    ["state", "rounds_published", "model_hash", "log"]
        .iter()
        .map(|key| status[*key].clone())
        .chain([models, imported, authorities])
        .chain([shops["shops"][0]["name"].clone()])
        .collect()
}

#[test]
fn an_older_model_can_be_made_current_while_serve_is_up_and_when_it_is_not() {
    let mut federation = Federation::start(SOUK, &plan(1, 1, &["north"]), &[]);
    federation.join("north", 20);
    let mut north = federation.start_client("north", &["--exit-when-finished"]);
    assert!(north.wait(), "{}", federation.log("north"));
    let models = federation.coordinator_json(&["models", "list"]);
    for round in [0, 1, 0] {
        let back = federation.coordinator_json(&["models", "rollback", &round.to_string()]);
        assert_eq!(back["model_hash"], models["models"][round]["model"]);
        assert_eq!(
            federation.coordinator_json(&["status"])["model_hash"],
            back["model_hash"]
        );
        if round == 1 {
            assert!(federation.stop_coordinator());
        }
    }
}

#[test]
fn status_is_answered_while_serve_is_ending() {
    let mut federation = Federation::start(SOUK, &plan(1, 1, &["north"]), &[]);
    federation.join("north", 20);
    let mut north = federation.start_client("north", &[]);
    until("the run is complete", || {
        federation.log("north").contains("the run is complete")
    });
    for _ in 0..3 {
        let mut ending = federation.begin_to_stop_coordinator();
        let status = federation.coordinator_json(&["status"]);
        assert_eq!(status["state"], "finished");
        assert!(ending.wait());
        federation.serve(&[]);
    }
    assert!(north.stop("-TERM"));
}

#[test]
fn a_member_that_was_away_has_a_moment_to_fetch_the_last_model() {
    let mut federation = Federation::start(SOUK, &plan(1, 1, &["north", "south"]), &[]);
    federation.join("north", 20);
    federation.join("south", 20);
    let mut north = federation.start_client("north", &["--exit-when-finished"]);
    assert!(north.wait(), "{}", federation.log("north"));
    assert!(federation.stop_coordinator());
    federation.serve(&["--exit-when-finished"]);
    let mut running = ["north", "south"].map(|shop| federation.start_client(shop, &["--exit-when-finished"]));
    for (process, shop) in running.iter_mut().zip(["north", "south"]) {
        assert!(process.wait(), "{}", federation.log(shop));
    }
    assert!(federation.wait_for_coordinator());
    let status = federation.coordinator_json(&["status"]);
    for shop in ["north", "south"] {
        assert_eq!(
            federation.client_json(shop, &["budget"])["model_hash"],
            status["model_hash"]
        );
    }
}

#[test]
fn a_taken_port_is_named_with_the_remedy() {
    let federation = Federation::prepare(SOUK, &plan(1, 1, &["north"]));
    let taken = UdpSocket::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("an address").to_string();
    let plan = federation.plan();
    let serve = ["serve", "--plan", text(&plan), "--listen", &address];
    let (code, said) = bad(&federation.coordinator(&serve));
    assert!(
        code == 2 && said.contains(&address) && said.contains("taken"),
        "{code} {said}"
    );
    assert_eq!(federation.coordinator_json(&["status"])["state"], "waiting");
}

/// A masked plan's epsilons, and from a target to the noise and back with quality counts in it.
#[test]
fn plan_check_says_against_whom_a_masked_plan_holds() {
    let shops = ["a", "b", "c", "d", "e"];
    let sample =
        masked_plan(40, 4, &shops).replace("[masking]", "[metrics]\nnoise_multiplier = 20.0\n[masking]");
    let federation = Federation::prepare(SOUK, &sample);
    let check =
        |file: &str, flags: &[&str]| federation.coordinator_json(&[&["plan", "check", file], flags].concat());
    let plan = federation.plan();
    let cost = check(text(&plan), &["--target-epsilon", "8"]);
    let figure = |key: &str| {
        cost["epsilon_per_shop"][key]
            .as_f64()
            .unwrap_or_else(|| panic!("{key}: {cost}"))
    };
    assert!(figure("epsilon_readers") < figure("epsilon"));
    assert!(figure("epsilon") < figure("epsilon_if_alone"));
    // Each as `souk-sim epsilon` has it: z_eff, four shares of three that count, one of three.
    let both = (4f64.powi(-2) + 20f64.powi(-2)).powf(-0.5);
    assert!((figure("noise_multiplier") - both).abs() < 1e-9);
    for (key, factor) in [
        ("epsilon", 1.0),
        ("epsilon_readers", (4f64 / 3.0).sqrt()),
        ("epsilon_if_alone", 3f64.sqrt().recip()),
    ] {
        let noise = (both * factor).to_string();
        let flags = [
            "--sampling-rate",
            "0.5",
            "--rounds",
            "40",
            "--delta",
            "1e-5",
            "--json",
        ];
        let said = run(
            Path::new(SOUK),
            "sim",
            &[&["epsilon", "--noise-multiplier", &noise], &flags[..]].concat(),
        );
        let said: serde_json::Value = serde_json::from_str(&good(&said)).expect("JSON");
        let same = said["epsilon"].as_f64().expect("a bound");
        assert!(
            (figure(key) / same - 1.0).abs() < 1e-6,
            "{key}: {} {same}",
            figure(key)
        );
    }
    let noise = cost["target"]["noise_multiplier"].as_f64().expect("a number");
    let changed = sample.replace("noise_multiplier = 4.0", &format!("noise_multiplier = {noise}"));
    fs::write(&plan, changed).expect("a plan");
    let back = check(text(&plan), &[]);
    let epsilon = back["epsilon_per_shop"]["epsilon"].as_f64().expect("a number");
    assert!((epsilon / 8.0 - 1.0).abs() < 0.005 && epsilon <= 8.0, "{epsilon}");
    assert_eq!(
        back["bytes_per_update"].as_u64(),
        back["coordinates"].as_u64().map(|count| 4 * (count + 2))
    );
    // What can't be under masks is refused, with the reason.
    for (wrong, said) in [
        (
            sample.replace("min_shops = 4", "min_shops = 3"),
            "masking.min_shops",
        ),
        (
            sample.replace("colluding = 1", "colluding = 0"),
            "masking.colluding",
        ),
        (sample.replace("quorum = 4", "quorum = 3"), "cohort.quorum"),
        (
            sample.replace("[masking]\nmin_shops = 4\ncolluding = 1\nstep = \"20s\"\n", ""),
            "[masking]",
        ),
    ] {
        fs::write(&plan, wrong).expect("a plan");
        let refused = bad(&federation.coordinator(&["plan", "check", text(&plan)]));
        assert!(refused.0 == 64 && refused.1.contains(said), "{refused:?}");
    }
}

/// When updates leave is shown, and a plan that does not say is warned of; one that is no good is refused by the value.
#[test]
fn plan_check_says_when_updates_leave_and_refuses_what_makes_no_finite_model() {
    let federation = Federation::prepare(SOUK, &plan(40, 2, &["north", "south"]));
    let file = federation.plan();
    let bare = fs::read_to_string(&file).expect("the plan");
    let said = |text: &str| {
        fs::write(&file, text).expect("a plan");
        good(&federation.coordinator(&["plan", "check", self::text(&file)]))
    };
    let warned = said(&bare);
    assert!(
        warned.contains("warning: without cohort.upload_after"),
        "{warned}"
    );
    assert!(
        warned.contains("the largest sum of 4 times the declared users"),
        "{warned}"
    );
    let told = said(&bare.replace("deadline = \"50s\"", "deadline = \"50s\"\nupload_after = \"20s\""));
    assert!(
        told.contains("leaves 20s after the announcement")
            && !told.contains("warning: without cohort.upload_after"),
        "{told}"
    );
    let refused = |text: String, words: &[&str]| {
        fs::write(&file, text).expect("a plan");
        let (code, said) = bad(&federation.coordinator(&["plan", "check", self::text(&file)]));
        assert!(
            code == 64 && words.iter().all(|word| said.contains(word)),
            "{said}"
        );
    };
    let late = "deadline = \"50s\"\nupload_after = \"50s\"";
    refused(
        bare.replace("deadline = \"50s\"", late),
        &["cohort.upload_after is 50s", "below cohort.deadline"],
    );
    // A clip norm of 1e300 made models of NaN.
    refused(
        bare.replace("clip_norm = 1.0", "clip_norm = 1e300"),
        &["clip_norm", "1e-9 to 1e9"],
    );
    refused(
        bare.replace("learning_rate = 0.05", "learning_rate = nan"),
        &["server.learning_rate", "NaN"],
    );
}

#[test]
fn pending_codes_are_listed_without_their_secrets_and_cancelled_whether_serve_runs_or_not() {
    let mut federation = Federation::prepare(SOUK, &plan(1, 1, &["north", "south"]));
    for runs in [false, true] {
        if runs {
            federation.serve(&[]);
        }
        let first = federation.coordinator_json(&["invite", "north"]);
        let second = federation.coordinator_json(&["invite", "north"]);
        assert_eq!(
            (&first["codes_ended"], &second["codes_ended"]),
            (&0.into(), &1.into())
        );
        let listed = federation.coordinator_json(&["invite", "--list"]);
        let all = listed["invitations"].as_array().expect("a list");
        assert_eq!((all.len(), &all[0]["shop"]), (1, &"north".into()), "{listed}");
        let table = good(&federation.coordinator(&["invite", "--list"]));
        assert!(table.contains("north") && table.contains("any key"), "{table}");
        let code = second["code"].as_str().expect("text");
        let secret = code.rsplit('-').next().expect("a code");
        for said in [listed.to_string(), table] {
            assert!(!said.contains("souk1-") && !said.contains(secret), "{said}");
        }
        let cancelled = federation.coordinator_json(&["invite", "--cancel", "north"]);
        assert_eq!(cancelled["codes_ended"], 1);
        let table = good(&federation.coordinator(&["invite", "--list"]));
        assert_eq!(table.trim(), "no code is pending");
        let (failed, said) = bad(&federation.coordinator(&["invite", "--cancel", "north"]));
        assert!(
            failed == 2 && said.contains("no code for north") && said.contains("--list"),
            "{said}"
        );
        let (failed, said) = bad(&federation.coordinator(&["invite", "north", "--again"]));
        assert!(failed == 2 && said.contains("not enrolled"), "{said}");
    }
}

#[test]
fn an_import_takes_in_vectors_and_says_what_it_did() {
    let federation = Federation::prepare(SOUK, &plan(1, 1, &["north"]));
    let near = |name: &str| federation.home().join("..").join(name);
    let (items, file) = (near("items.csv"), near("items.safetensors"));
    let import = ["catalogue", "import", text(&items), "--vectors", text(&file)];
    let kept = || fs::read_to_string(federation.home().join("catalogue.jsonl")).expect("a catalogue");
    let before = kept();
    assert!(!before.contains("vector"));
    // Forty numbers that vary on two: which half of the items it is in, and where.
    let vector = |item: u8| {
        let mut vector = vec![1.0f32; 40];
        (vector[3], vector[7]) = (f32::from(item % 2) * 9.0, f32::from(item) / 9.0);
        vector
    };
    let mut vectors: Vec<(String, Vec<f32>)> =
        (0..38).map(|item| (format!("i{item}"), vector(item))).collect();
    vectors.push(("sofa".into(), vector(0)));
    fs::write(&file, safetensors(&vectors)).expect("a file");
    let imported = federation.coordinator_json(&import);
    let done = &imported["vectors"];
    let count = |key: &str| done[key].as_u64();
    assert_eq!(
        ["with", "without", "unknown", "numbers_given"].map(count),
        [38, 2, 1, 40].map(Some)
    );
    assert_eq!(done["unknown_names"], serde_json::json!(["sofa"]));
    let share = done["variance_kept"].as_f64().expect("a share");
    assert!(share > 0.99 && share <= 1.0, "{imported}");
    assert!(
        count("numbers_kept").is_some_and(|kept| (2..=32).contains(&kept)),
        "{imported}"
    );
    let after = kept();
    assert_eq!(after.matches("\"vector\":[").count(), 38);
    let said = good(&federation.coordinator(&import));
    for words in [
        "38 items have one, 2 have none",
        "from 40 numbers",
        "1 names are no item's: \"sofa\"",
    ] {
        assert!(said.contains(words), "{words}: {said}");
    }
    assert_eq!(kept(), after);
    vectors[3].1[5] = f32::NAN;
    fs::write(&file, safetensors(&vectors)).expect("a file");
    let (code, said) = bad(&federation.coordinator(&import));
    let named = ["items.safetensors", "\"i3\"", "number 5 is NaN"];
    assert!(
        code == 1 && named.iter().all(|words| said.contains(words)),
        "{said}"
    );
    assert_eq!(kept(), after);
    good(&federation.coordinator(&["catalogue", "import", text(&items)]));
    assert_eq!(kept(), before);
}

/// A `safetensors` file: the header's length, the header, the numbers.
fn safetensors(vectors: &[(String, Vec<f32>)]) -> Vec<u8> {
    let (mut header, mut data) = (serde_json::Map::new(), Vec::new());
    for (name, numbers) in vectors {
        let start = data.len();
        data.extend(numbers.iter().flat_map(|number| number.to_le_bytes()));
        let tensor = serde_json::json!({
            "dtype": "F32", "shape": [numbers.len()], "data_offsets": [start, data.len()]
        });
        header.insert(name.clone(), tensor);
    }
    let header = Value::Object(header).to_string().into_bytes();
    [&(header.len() as u64).to_le_bytes()[..], &header, &data].concat()
}
