//! The shop's command line, without a coordinator.

use std::fs;
use std::path::Path;

use souk_tests::federation::{bad, good, run};

const SOUK: &str = env!("CARGO_BIN_EXE_souk");

fn client(args: &[&str]) -> std::process::Output {
    run(Path::new(SOUK), "client", args)
}

#[test]
fn help_is_no_error_and_wrong_usage_is_64() {
    assert!(good(&client(&["--help"])).contains("Start with"));
    for command in [
        "init",
        "join",
        "check-data",
        "forget",
        "run",
        "recommend",
        "plot",
        "gain",
        "budget",
        "sent",
        "shops",
        "backup",
        "doctor",
        "leave",
    ] {
        assert!(
            good(&client(&[command, "--help"])).contains("Example"),
            "{command}"
        );
    }
    assert_eq!(bad(&client(&["recommend"])).0, 64);
    assert_eq!(bad(&client(&["nonsense"])).0, 64);
    assert_eq!(bad(&client(&["join", "hello"])).0, 64);
}

#[test]
fn a_bad_configuration_is_64_before_anything_else() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let folder = dir.path().to_str().expect("plain");
    let (code, said) = bad(&client(&["run", "--dir", folder]));
    assert!(code == 64 && said.contains("souk-client join"), "{said}");
    fs::write(dir.path().join("shop.toml"), "[policy]\nmax_epsilom = 3\n").expect("a file");
    for command in ["run", "budget", "sent", "check-data", "shops", "leave", "doctor"] {
        let (code, said) = bad(&client(&[command, "--dir", folder]));
        assert!(code == 64 && said.contains("max_epsilom"), "{command}: {said}");
    }
    for (key, values) in [
        ("min_noise_multiplier", &["0", "-1.0", "nan", "inf"][..]),
        ("delta", &["0", "-1e-5", "1.0", "nan", "inf"]),
        ("max_epsilon", &["-1.0", "nan", "inf"]),
        ("period_days", &["-1", "0.5"]),
        ("max_upload_mb_per_day", &["-1"]),
        ("min_masked_shops", &["-1"]),
    ] {
        for value in values {
            let config = format!("[policy]\n{key} = {value}\n");
            fs::write(dir.path().join("shop.toml"), config).expect("a file");
            for command in ["run", "budget"] {
                let (code, said) = bad(&client(&[command, "--dir", folder]));
                assert!(
                    code == 64 && said.contains("shop.toml") && said.contains(key),
                    "{command} with {key} = {value}: {code} {said}"
                );
            }
        }
    }
    fs::write(dir.path().join("shop.toml"), "").expect("a file");
    let (code, said) = bad(&client(&["shops", "--dir", folder]));
    assert!(code == 2 && said.contains("souk-client join"), "{said}");
}

#[test]
fn data_is_checked_line_by_line_before_there_is_any_coordinator() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let folder = dir.path().to_str().expect("plain");
    fs::write(
        dir.path().join("shop.toml"),
        "[data]\norders = \"o.csv\"\nearliest = \"1970-01-01\"\n",
    )
    .expect("a file");
    let check = |orders: &str| {
        fs::write(dir.path().join("o.csv"), orders).expect("a file");
        client(&["check-data", "--dir", folder, "--json"])
    };
    let clean = good(&check("user_id,item_id,timestamp\na,x,1\na,y,2\nb,x,3\n"));
    assert!(
        clean.starts_with('{') && clean.trim_end().ends_with('}'),
        "{clean}"
    );
    let flawed = check("user_id,item_id,timestamp\na,x,1\na,y,yesterday\n");
    assert_eq!(flawed.status.code(), Some(1));
    assert!(
        String::from_utf8_lossy(&flawed.stdout).contains("yesterday"),
        "the bad line is shown"
    );
    let (code, said) = bad(&check("user_id,item_id,timestamp\n"));
    assert!(code == 1 && said.contains("no usable order"), "{said}");
    let (code, said) = bad(&check("user,item_id,timestamp\na,x,1\n"));
    assert!(
        code == 1 && said.contains("user_id") && said.contains("it has: user"),
        "{said}"
    );
}

#[test]
fn lists_and_their_figures_take_no_coordinator() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let folder = dir.path().to_str().expect("plain");
    fs::write(
        dir.path().join("shop.toml"),
        "[data]\nearliest = \"1970-01-01\"\n",
    )
    .expect("a file");
    let orders: String = (0..60)
        .map(|at| format!("u{},i{},{at}\n", at % 12, (at % 2) * 6 + (at / 12 + at) % 6))
        .collect();
    fs::write(
        dir.path().join("orders.csv"),
        format!("user_id,item_id,timestamp\n{orders}"),
    )
    .expect("a file");
    let ask = |args: &[&str]| client(&[args, &["--dir", folder]].concat());
    let json = |args: &[&str]| -> serde_json::Value {
        serde_json::from_str(&good(&ask(&[args, &["--json"]].concat()))).expect("JSON")
    };
    let list = json(&["recommend", "u3", "-k", "4", "--explain"]);
    assert_eq!(
        (&list["served_by"], &list["own_catalogue"]),
        (&"alone".into(), &true.into())
    );
    assert!(list["items"][0]["reasons"][0]["channel"].is_string(), "{list}");
    assert!(dir.path().join("stack.json").is_file());
    let said = good(&ask(&[
        "recommend",
        "--basket",
        "i1",
        "--basket",
        "i3",
        "--explain",
    ]));
    assert!(
        said.starts_with("For a basket of 2 different items:") && said.contains("because it is "),
        "{said}"
    );
    let said = good(&ask(&["recommend", "--anonymous", "--explain"]));
    assert!(said.contains("because it is a bestseller in this shop"), "{said}");
    let (code, said) = bad(&ask(&["recommend", "--basket", "i"]));
    assert!(
        code == 2 && said.contains("no item \"i\"") && said.contains("near it: \"i0\""),
        "{said}"
    );
    assert_eq!(bad(&ask(&["recommend", "u3", "--anonymous"])).0, 64);
    let gain = json(&["gain"]);
    assert_eq!(
        (&gain["customers"], &gain["together"]),
        (&12.into(), &serde_json::Value::Null)
    );
    let said = good(&ask(&["gain"]));
    assert!(
        said.contains("measured on 12 customers") && said.contains("nothing was released"),
        "{said}"
    );
    fs::write(
        dir.path().join("shop.toml"),
        "[recommend]\nfederated = \"maybe\"\n",
    )
    .expect("a file");
    let (code, said) = bad(&ask(&["gain"]));
    assert!(code == 64 && said.contains("true, false or \"gate\""), "{said}");
}
