//! What the operator's commands print: JSON whose keys programs rely on, and tables for people.

use serde_json::Value;
use souk_tests::federation::{Federation, good, plan, text};

const SOUK: &str = env!("CARGO_BIN_EXE_souk");

/// A federation that has published one round with one shop; `serve` is up.
fn published() -> Federation {
    let mut federation = Federation::prepare(SOUK, &plan(1, 1, &["north", "south"]));
    federation.serve(&[]);
    federation.join("north", 20);
    let mut north = federation.start_client("north", &["--exit-when-finished"]);
    assert!(north.wait(), "{}", federation.log("north"));
    federation
}

/// The keys of an object, in their order.
fn keys(object: &Value) -> String {
    let fields = object
        .as_object()
        .unwrap_or_else(|| panic!("no object: {object}"));
    fields.keys().map(String::as_str).collect::<Vec<_>>().join(" ")
}

fn is_date(value: &Value) -> bool {
    let text = value.as_str().unwrap_or_default();
    text.len() == "2026-01-01T00:00:00Z".len() && text.ends_with('Z')
}

const STATUS: &str = "attempt bytes_received bytes_sent certified_until clocks_off connections left_out listening listening_tcp log \
                      masked_step memory_bound model_hash next_round process_id quality rounds rounds_published seconds shops state";
const MANIFEST: &str = "catalogue id model parent plan published_at updates";

#[test]
fn the_keys_that_programs_read_stay_whether_serve_runs_or_not() {
    let mut federation = published();
    let json = |federation: &Federation, args: &[&str]| federation.coordinator_json(args);
    let running = json(&federation, &["status"]);
    assert_eq!(
        keys(&running["shops"][0]),
        "carrier code discarded key_fingerprint reason shop state"
    );
    assert_eq!(running["shops"][0]["state"], "counted");
    assert!(is_date(&running["certified_until"]), "{running}");
    for up in [true, false] {
        if !up {
            assert!(federation.stop_coordinator());
        }
        let federation = &federation;
        let status = json(federation, &["status"]);
        assert_eq!(keys(&status), STATUS);
        assert_eq!(
            (&status["state"], status["shops"].is_array(), &status["quality"]),
            (&"finished".into(), up, &Value::Null)
        );
        assert_eq!(
            keys(&status["connections"][0]),
            "bytes_received bytes_sent fingerprint process_id remote shop"
        );
        assert_eq!(keys(&status["log"]), "head length");
        assert_eq!(keys(&status["memory_bound"]), "parts total_bytes");
        assert_eq!(keys(&status["memory_bound"]["parts"][0]), "bytes count what");
        let shops = json(federation, &["shops"]);
        let member = &shops["shops"][0];
        assert_eq!(keys(&shops), "shops");
        assert_eq!(
            keys(member),
            "carrier certified_until clock_ahead_secs clock_is_off key_fingerprint membership name"
        );
        assert_eq!(
            keys(&member["membership"]),
            "clock_ahead_ms enrolled_at fingerprint identity seen_at software standing"
        );
        assert!(member["membership"]["enrolled_at"].is_u64() && is_date(&member["certified_until"]));
        let models = json(federation, &["models", "list"]);
        assert_eq!(keys(&models), "models");
        assert_eq!(
            keys(&models["models"][1]),
            MANIFEST
                .replace("model ", "kept model ")
                .replace("updates", "run updates")
        );
        assert_eq!(keys(&models["models"][1]["id"]), "attempt round");
        assert_eq!(models["models"][1]["updates"][0][0], "north");
        let model = json(federation, &["models", "show"]);
        assert_eq!(keys(&model), "manifest path run");
        assert_eq!(keys(&model["manifest"]), "body signature");
        assert_eq!(keys(&model["manifest"]["body"]), MANIFEST);
        let invited = json(federation, &["invite", "south"]);
        assert_eq!(
            keys(&invited),
            "code codes_ended expires_at for_its_own_key_only shop"
        );
        let listed = json(federation, &["invite", "--list"]);
        assert_eq!(keys(&listed), "invitations");
        assert_eq!(
            keys(&listed["invitations"][0]),
            "expires_at for_its_own_key_only made_at shop"
        );
        assert!(invited["expires_at"].is_u64() && is_date(&listed["invitations"][0]["expires_at"]));
        let cancelled = json(federation, &["invite", "--cancel", "south"]);
        assert_eq!(keys(&cancelled), "cancelled codes_ended");
        assert_eq!(
            json(federation, &["pause"]),
            serde_json::json!({ "paused": true })
        );
        assert_eq!(
            json(federation, &["resume"]),
            serde_json::json!({ "paused": false })
        );
        let out = federation.home().join("../model.safetensors");
        assert_eq!(
            keys(&json(federation, &["models", "export", "--out", text(&out)])),
            "model_hash out"
        );
        let backup = federation.home().join("../backup");
        let backed_up = json(federation, &["backup", text(&backup)]);
        assert_eq!(keys(&backed_up), "backup copied");
        assert_eq!(keys(&backed_up["copied"]), "bytes_copied files log made_at");
        let items = federation.home().join("../items.csv");
        assert_eq!(
            keys(&json(federation, &["catalogue", "import", text(&items)])),
            "changes digest items retired run"
        );
        let authorities = json(federation, &["ca", "status"]);
        assert_eq!(keys(&authorities), "authorities dependents number rotating");
        assert_eq!(
            keys(&authorities["authorities"][0]),
            "certifies_shops certifies_the_coordinator fingerprint valid_until"
        );
        let rotated = json(federation, &["ca", "rotate"]);
        assert_eq!(keys(&rotated), keys(&authorities));
        assert_eq!(
            keys(&rotated["dependents"][0]),
            "certified_by_the_new_one knows_the_new_one seen_at shop"
        );
        let retired = json(federation, &["ca", "retire", "--force"]);
        assert_eq!(
            keys(&retired),
            "authorities dependents left_behind number rotating"
        );
        assert_eq!(retired["left_behind"], serde_json::json!(["north"]));
    }
    let back = json(&federation, &["models", "rollback", "0"]);
    assert_eq!(keys(&back), "model_hash");
    let revoked = json(&federation, &["revoke", "north"]);
    assert_eq!(keys(&revoked), "codes_ended revoked was_a_shop");
}

#[test]
fn a_wrong_key_is_told_in_one_line_and_how_to_get_the_right_one() {
    let mut federation = published();
    assert!(federation.stop_coordinator());
    let home = federation.home();
    let wrong = "0".repeat(63) + "1";
    let souk = std::path::Path::new(SOUK);
    let verify = |more: &[&str]| {
        let args = [&["verify", text(&home), "--key", &wrong], more].concat();
        souk_tests::federation::run(souk, "sim", &args)
    };
    let output = verify(&[]);
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(
        (output.status.code(), said.lines().count()),
        (Some(1), 1),
        "{said}"
    );
    assert!(
        said.contains("no word in the record is signed by this key") && said.contains("membership.json"),
        "{said}"
    );
    let report: Value = serde_json::from_slice(&verify(&["--json"]).stdout).expect("JSON");
    assert_eq!(
        report["checks"][1]["wrong"].as_array().map(Vec::len),
        Some(1),
        "{report}"
    );
}

#[test]
fn a_delta_that_promises_nothing_is_warned_of_beside_its_epsilon() {
    let federation = Federation::prepare(SOUK, &plan(1, 1, &["north"]));
    let file = federation.plan();
    let sense = std::fs::read_to_string(&file).expect("a plan");
    let said = |delta: &str| {
        let with = sense.replacen(
            "sampling_rate = 0.5",
            &format!("sampling_rate = 0.5\ndelta = {delta}"),
            1,
        );
        std::fs::write(&file, with).expect("a file");
        let output = federation.coordinator(&["plan", "check", text(&file)]);
        [output.stdout, output.stderr]
            .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
            .concat()
    };
    assert!(!said("1e-5").contains("promises anything"));
    let careless = said("0.5");
    assert!(
        careless.contains("warning: delta 0.5 is more than one over the 100 customers that north declares"),
        "{careless}"
    );
}

/// The rest of the line that begins with `key`.
fn fact<'a>(table: &'a str, key: &str) -> &'a str {
    let line = table.lines().find_map(|line| line.strip_prefix(key));
    line.unwrap_or_else(|| panic!("no {key:?} in:\n{table}")).trim()
}

#[test]
fn people_get_tables_with_units_and_dates_and_what_needs_attention_first() {
    let mut federation = published();
    let said = |federation: &Federation, args: &[&str]| {
        let said = good(&federation.coordinator(args));
        assert!(!said.contains(['{', '[', '"']), "JSON for people: {said}");
        said
    };
    let status = said(&federation, &["status"]);
    let json = federation.coordinator_json(&["status"]);
    assert_eq!(fact(&status, "state"), "finished");
    assert_eq!(fact(&status, "rounds"), "1 of 1 published");
    assert_eq!(Some(fact(&status, "model")), json["model_hash"].as_str());
    assert!(
        fact(&status, "received").ends_with(" kB") || fact(&status, "received").ends_with(" MB"),
        "{status}"
    );
    assert!(fact(&status, "memory").ends_with('B') && fact(&status, "seconds").contains(" s "));
    assert!(is_date(&fact(&status, "certified until").into()), "{status}");
    assert_eq!(fact(&status, "north").split_whitespace().next(), Some("counted"));
    assert!(fact(&status, "listening").contains(&federation.address().to_string()));
    let shops = said(&federation, &["shops"]);
    let (header, row) = shops.trim_end().split_once('\n').expect("a header and a row");
    // Columns stand below each other.
    for (name, cell) in [
        ("shop", "north"),
        ("standing", "enrolled"),
        ("program", "souk-client"),
    ] {
        assert_eq!(header.find(name), row.find(cell), "{shops}");
    }
    let models = said(&federation, &["models", "list"]);
    let lines: Vec<&str> = models.lines().collect();
    assert!(
        lines.len() == 3 && !lines[1].starts_with("current") && lines[2].starts_with("current"),
        "{models}"
    );
    let shown = said(&federation, &["models", "show", "--round", "1"]);
    assert!(is_date(&fact(&shown, "published").into()), "{shown}");
    assert!(fact(&shown, "size").ends_with('B') && fact(&shown, "update").ends_with(" of north"));
    let items = federation.home().join("../items.csv");
    let imported = said(&federation, &["catalogue", "import", text(&items)]);
    assert_eq!(fact(&imported, "items"), "40");
    let authorities = said(&federation, &["ca", "status"]);
    assert_eq!(fact(&authorities, "rotating"), "no");
    assert!(authorities.contains("shops, the coordinator"), "{authorities}");
    let rotated = said(&federation, &["ca", "rotate"]);
    assert!(rotated.starts_with("dependents"), "{rotated}");
    assert!(fact(&rotated, "dependents").starts_with("north: "), "{rotated}");
    assert!(federation.stop_coordinator());
    said(&federation, &["pause"]);
    let stopped = said(&federation, &["status"]);
    assert!(
        fact(&stopped, "listening").contains("`serve` does not run"),
        "{stopped}"
    );
    said(&federation, &["resume"]);
    said(&federation, &["revoke", "north"]);
    assert!(said(&federation, &["shops"]).contains("revoked"));
}

#[test]
fn an_invitation_of_a_name_that_no_plan_has_is_warned_of_and_an_address_that_can_not_be_dialled_is_refused() {
    let federation = published();
    for (name, warned) in [("nroth", true), ("south", false), ("north", false)] {
        let said = federation.coordinator(&["invite", name]);
        let warning = String::from_utf8_lossy(&said.stderr).into_owned();
        assert_eq!(
            warning.contains("the plan does not name"),
            warned,
            "{name}: {warning}"
        );
    }
    let dir = tempfile::tempdir().expect("a folder");
    for address in [
        "https://souk.example:4433",
        "souk example:4433",
        ":4433",
        "souk..example:1",
        "[::1:4433",
        "souk.example",
    ] {
        let folder = dir.path().join("fed");
        let said = souk_tests::federation::run(
            std::path::Path::new(SOUK),
            "coordinator",
            &["init", text(&folder), "--address", address],
        );
        let words = String::from_utf8_lossy(&said.stderr).into_owned();
        assert!(
            said.status.code() == Some(64) && words.contains("host:port"),
            "{address}: {words}"
        );
    }
}
