//! Years of enrolment in seconds: certificates renewed, authorities replaced, clocks compared, folders put back from a copy.

use std::fs;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;
use souk_client::folder::Folder;
use souk_client::ledger::read_ledger;
use souk_client::membership::Membership;
use souk_common::clock::{Clock, SystemClock, Timestamp};
use souk_common::crypto::pki::{Authority, valid_until};
use souk_common::crypto::sign::SigningKey;
use souk_common::ids::Digest;
use souk_common::round::statements::Authorities;
use souk_common::transport::{Identity, ResetKey, read_frame, server_endpoint, write_frame};
use souk_common::wire::messages::{CheckedIn, Reply, Request};
use souk_tests::federation::{Federation, bad, good, plan, run, text, until};
use zeroize::Zeroizing;

const SOUK: &str = env!("CARGO_BIN_EXE_souk");

fn membership(folder: &Path) -> Membership {
    Membership::load(&Folder::new(folder)).expect("a member")
}

/// What the operator sees of a shop.
fn shown(federation: &Federation, shop: &str) -> Value {
    let shops = federation.coordinator_json(&["shops"]);
    let all = shops["shops"].as_array().expect("a list");
    all.iter()
        .find(|shown| shown["name"] == shop)
        .expect("the shop")
        .clone()
}

fn set_lives(federation: &Federation, lives: &str) {
    let file = federation.home().join("coordinator.toml");
    let config = fs::read_to_string(&file).expect("a file");
    let with = config.replace("[certificates]", &format!("[certificates]\n{lives}"));
    assert_ne!(with, config);
    fs::write(file, with).expect("a file");
}

/// A copy of a whole folder, as a file manager makes it.
fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder");
    for entry in fs::read_dir(from).expect("a folder").flatten() {
        let (path, there) = (entry.path(), to.join(entry.file_name()));
        match path.is_dir() {
            true => copy(&path, &there),
            false if entry.file_name() != "control.sock" => drop(fs::copy(&path, &there).expect("a copy")),
            false => {}
        }
    }
}

fn spends(folder: &Path) -> usize {
    let ledger = folder.join("ledger.jsonl");
    read_ledger(&ledger).expect("a chain").spends().count()
}

#[test]
fn certificates_of_both_sides_are_renewed_while_they_run_and_before_they_end() {
    let mut federation = Federation::prepare(SOUK, &plan(1, 2, &["north", "south"]));
    set_lives(&federation, "shop = \"9s\"\ncoordinator = \"6s\"");
    federation.serve(&[]);
    let folder = federation.join("north", 20);
    let first = membership(&folder).certificate;
    let mut running = federation.start_client("north", &[]);
    let ends = valid_until(&first).expect("a certificate");
    until("the shop outlives its first certificate", || {
        SystemClock.now() > ends
    });
    let held = membership(&folder);
    assert!(
        valid_until(&held.certificate) > Some(ends),
        "{}",
        federation.log("north")
    );
    assert!(
        federation.log("north").contains("certificate was renewed"),
        "{}",
        federation.log("north")
    );
    assert!(
        !federation.log("north").contains("no connection"),
        "{}",
        federation.log("north")
    );
    until("the operator sees the certificate that the shop holds", || {
        let held = membership(&folder).certificate;
        shown(&federation, "north")["membership"]["fingerprint"] == Digest::of(&held).to_string()
    });
    // The first one is not good any more, and nobody shows it: the key is the same, and what owners have compared.
    assert!(running.stop("-TERM"));
    let key = shown(&federation, "north")["key_fingerprint"].clone();
    assert_eq!(federation.client_json("north", &["shops"])["fingerprint"], key);
    // The coordinator's own had ended twice by now.
    let doctor = federation.client_json("north", &["doctor"]);
    assert_eq!(doctor["ok"], true, "{doctor}");
    assert!(federation.stop_coordinator());
}

#[test]
fn an_authority_is_replaced_while_everything_runs_and_retired_when_nobody_depends_on_it() {
    let mut federation = Federation::start(SOUK, &plan(2, 2, &["north", "south"]), &[]);
    let (north, south) = (federation.join("north", 20), federation.join("south", 20));
    let old = membership(&north).ca;
    let keys = [shown(&federation, "north"), shown(&federation, "south")]
        .map(|shop| shop["key_fingerprint"].clone());
    let code_before = federation.invite("west");
    let mut running = federation.start_client("north", &[]);
    until("north is there", || {
        !federation.coordinator_json(&["ca", "status"])["authorities"].is_null()
            && shown(&federation, "north")["membership"]["seen_at"].is_number()
    });
    let rotated = federation.coordinator_json(&["ca", "rotate"]);
    assert_eq!(
        (
            &rotated["rotating"],
            rotated["authorities"].as_array().map(Vec::len)
        ),
        (&Value::Bool(true), Some(2))
    );
    until("north renews under the new one by itself", || {
        let status = federation.coordinator_json(&["ca", "status"]);
        let dependents = status["dependents"].as_array().expect("a list").clone();
        dependents.iter().all(|dependent| dependent["shop"] != "north")
    });
    let held = membership(&north);
    assert!(held.ca != old && held.roots().contains(&old), "both are trusted");
    // South was away all the time.
    let (code, said) = bad(&federation.coordinator(&["ca", "retire"]));
    assert!(code == 2 && said.contains("south still depend"), "{said}");
    let (code, said) = bad(&federation.coordinator(&["ca", "rotate"]));
    assert!(code == 2 && said.contains("ca retire"), "{said}");
    // A code of before still works, and one of now.
    let data = federation.home().join("../data/north");
    let join = |code: &str, shop: &str| {
        let folder = federation.shop(shop);
        good(&run(
            Path::new(SOUK),
            "client",
            &["join", code, "--dir", text(&folder), "--data", text(&data)],
        ));
    };
    join(&code_before, "west");
    join(&federation.invite("east"), "east");
    // Durable: the coordinator dies and comes back.
    federation.kill_coordinator();
    federation.serve(&[]);
    let mut others = ["south", "west", "east"].map(|shop| federation.start_client(shop, &[]));
    until("nobody depends on the old one", || {
        let status = federation.coordinator_json(&["ca", "status"]);
        status["dependents"].as_array().is_some_and(Vec::is_empty)
    });
    let retired = federation.coordinator_json(&["ca", "retire"]);
    assert_eq!(retired["authorities"].as_array().map(Vec::len), Some(1));
    assert!(!federation.home().join("ca.key").exists());
    until("the run is complete", || {
        federation.coordinator_json(&["status"])["state"] == "finished"
    });
    until("shops trust the new one only", || {
        membership(&south).roots().len() == 1 && membership(&south).ca != old
    });
    assert!(running.stop("-TERM") && others.iter_mut().all(|shop| shop.stop("-TERM")));
    // They come back, with the keys that they had.
    for shop in ["north", "south", "west"] {
        assert_eq!(federation.client_json(shop, &["doctor"])["ok"], true, "{shop}");
    }
    let after = [shown(&federation, "north"), shown(&federation, "south")]
        .map(|shop| shop["key_fingerprint"].clone());
    assert_eq!(keys, after);
}

#[test]
fn a_shop_that_was_away_for_a_forced_retirement_is_told_so_and_joins_again_with_its_key_and_ledger() {
    let federation = Federation::start(SOUK, &plan(1, 1, &["north"]), &[]);
    let folder = federation.join("north", 20);
    let mut running = federation.start_client("north", &["--exit-when-finished"]);
    assert!(running.wait(), "{}", federation.log("north"));
    let spent = spends(&folder);
    let key = shown(&federation, "north")["key_fingerprint"].clone();
    good(&federation.coordinator(&["ca", "rotate"]));
    let forced = federation.coordinator_json(&["ca", "retire", "--force"]);
    assert_eq!(forced["left_behind"][0], "north");
    let doctor = federation.client("north", &["doctor"]);
    let said = String::from_utf8_lossy(&doctor.stdout).into_owned();
    assert!(
        doctor.status.code() == Some(1) && said.contains("authority") && said.contains("--again"),
        "{said}"
    );
    let (code, said) = bad(&federation.coordinator(&["invite", "north"]));
    assert!(
        code == 2 && said.contains("invite north --again"),
        "{code} {said}"
    );
    let invited = federation.coordinator_json(&["invite", "north", "--again"]);
    let code = invited["code"].as_str().expect("text").to_owned();
    let stolen = federation.shop("stolen");
    let taken = run(
        Path::new(SOUK),
        "client",
        &["join", &code, "--dir", text(&stolen)],
    );
    let (_, said) = bad(&taken);
    assert!(said.contains("is enrolled, by another key"), "{said}");
    good(&federation.client("north", &["join", &code, "--again"]));
    assert_eq!(federation.client_json("north", &["doctor"])["ok"], true);
    assert_eq!(
        (
            spends(&folder),
            shown(&federation, "north")["key_fingerprint"].clone()
        ),
        (spent, key)
    );
}

#[test]
fn a_revoked_shop_stops_with_the_reason_and_exit_code_1_at_once_and_when_it_is_started_again() {
    let federation = Federation::start(SOUK, &plan(1, 2, &["north", "south"]), &[]);
    let folder = federation.join("north", 20);
    let mut running = federation.start_client("north", &[]);
    until("it is connected", || {
        shown(&federation, "north")["membership"]["seen_at"].is_number()
    });
    good(&federation.coordinator(&["revoke", "north"]));
    assert!(!running.wait(), "{}", federation.log("north"));
    assert!(
        federation.log("north").contains("no member any more"),
        "{}",
        federation.log("north")
    );
    let mut again = federation.start_client("north", &[]);
    assert!(!again.wait(), "{}", federation.log("north"));
    let (code, said) = bad(&federation.client("north", &["run"]));
    assert!(
        code == 1 && said.contains("no member any more") && said.contains("--again"),
        "{code} {said}"
    );
    // Nobody else can say so: with the coordinator gone the shop waits for it.
    let mut federation = federation;
    federation.kill_coordinator();
    let mut running = federation.start_client("north", &[]);
    until("it tries again", || {
        federation.log("north").contains("trying again")
    });
    assert!(running.stop("-TERM"));
    assert!(folder.join("membership.json").exists());
}

#[test]
fn a_shop_put_back_from_a_backup_takes_part_in_nothing_until_it_was_charged_for_what_it_lost() {
    let mut federation = Federation::start(SOUK, &plan(1, 1, &["north"]), &[]);
    let folder = federation.join("north", 20);
    let mut running = federation.start_client("north", &["--exit-when-finished"]);
    assert!(running.wait(), "{}", federation.log("north"));
    let backup = folder.with_file_name("north-backup");
    good(&federation.client("north", &["backup", text(&backup)]));
    // Three more rounds of another plan; the coordinator stays.
    assert!(federation.stop_coordinator());
    fs::write(federation.plan(), plan(3, 1, &["north"])).expect("a plan");
    federation.serve(&[]);
    let mut running = federation.start_client("north", &["--exit-when-finished"]);
    assert!(running.wait(), "{}", federation.log("north"));
    let (all, before) = (spends(&folder), epsilon(&federation));
    assert_eq!(all, 4);
    // The disk dies. What comes back is older.
    let lost = folder.with_file_name("north-lost");
    fs::rename(&folder, &lost).expect("a rename");
    copy(&backup, &folder);
    assert_eq!(spends(&folder), 1);
    let (code, said) = bad(&federation.client("north", &["run", "--exit-when-finished"]));
    assert!(
        code == 1 && said.contains("old copy") && said.contains("budget --recover"),
        "{code} {said}"
    );
    let doctor = federation.client("north", &["doctor"]);
    assert_eq!(doctor.status.code(), Some(1));
    // It is asked first; nobody answers.
    let (code, said) = bad(&federation.client("north", &["budget", "--recover"]));
    assert!(
        code == 1 && said.contains("3 spends that this shop has signed for") && said.contains("epsilon from"),
        "{code} {said}"
    );
    assert_eq!(spends(&folder), 1, "nothing is charged unasked");
    let said = good(&federation.client("north", &["budget", "--recover", "--yes"]));
    assert!(said.contains("epsilon"), "{said}");
    // All that was lost, at its own terms, and one more.
    assert_eq!(spends(&folder), all + 1);
    assert!(epsilon(&federation) > before);
    good(&federation.client("north", &["budget", "--recover", "--yes"]));
    assert_eq!(
        spends(&folder),
        all + 1,
        "what is accounted for is not charged again"
    );
    assert_eq!(federation.client_json("north", &["doctor"])["ok"], true);
    // It goes on, and its next update is the last that anybody knows of.
    assert!(federation.stop_coordinator());
    fs::write(federation.plan(), plan(2, 1, &["north"])).expect("a plan");
    federation.serve(&[]);
    let mut running = federation.start_client("north", &["--exit-when-finished"]);
    assert!(running.wait(), "{}", federation.log("north"));
    assert_eq!(spends(&folder), all + 3);
    // The lost folder turns up on another machine: it is not the newest now.
    fs::rename(&folder, folder.with_file_name("north-new")).expect("a rename");
    fs::rename(&lost, &folder).expect("a rename");
    let (code, said) = bad(&federation.client("north", &["run", "--exit-when-finished"]));
    assert!(code == 1 && said.contains("another machine"), "{code} {said}");
}

fn epsilon(federation: &Federation) -> f64 {
    let budget = federation.client_json("north", &["budget"]);
    budget["epsilon"].as_f64().expect("a number")
}

#[test]
fn a_fresh_folder_under_an_old_name_is_charged_for_all_that_the_name_has_spent() {
    let federation = Federation::start(SOUK, &plan(2, 1, &["north"]), &[]);
    let folder = federation.join("north", 20);
    let mut running = federation.start_client("north", &["--exit-when-finished"]);
    assert!(running.wait(), "{}", federation.log("north"));
    let before = epsilon(&federation);
    fs::rename(&folder, folder.with_file_name("north-lost")).expect("a rename");
    good(&federation.coordinator(&["revoke", "north"]));
    federation.join("north", 20);
    let (code, said) = bad(&federation.client("north", &["run", "--exit-when-finished"]));
    assert!(code == 1 && said.contains("budget --recover"), "{code} {said}");
    // By another key: only the coordinator says that they were sent.
    let (code, said) = bad(&federation.client("north", &["budget", "--recover", "--yes"]));
    assert!(
        code == 1 && said.contains("of the 2 updates") && said.contains("2 do not bear"),
        "{code} {said}"
    );
    assert_eq!(spends(&folder), 0);
    let trusting = ["budget", "--recover", "--trust-coordinator", "--yes"];
    good(&federation.client("north", &trusting));
    assert_eq!(spends(&folder), 3, "two by their receipts, and one more");
    assert!(epsilon(&federation) > before);
}

#[test]
fn what_is_trusted_is_what_the_owner_read_out() {
    let federation = Federation::start(SOUK, &plan(1, 2, &["north", "south"]), &[]);
    let config = federation.join("north", 5).join("shop.toml");
    federation.join("south", 5);
    let read = shown(&federation, "south")["key_fingerprint"]
        .as_str()
        .expect("text")
        .to_owned();
    assert_eq!(
        federation.client_json("south", &["shops"])["fingerprint"],
        read.as_str(),
        "the operator sees the same"
    );
    let before = fs::read(&config).expect("a file");
    let wrong = format!("south={}", "0".repeat(64));
    let (code, said) = bad(&federation.client("north", &["shops", "--trust", &wrong]));
    assert!(
        code == 1 && said.contains("not what you were read"),
        "{code} {said}"
    );
    assert_eq!(fs::read(&config).expect("a file"), before);
    let right = format!("south={}", read.to_uppercase());
    let said = good(&federation.client("north", &["shops", "--trust", &right]));
    assert!(said.contains("south: confirmed"), "{said}");
}

/// A coordinator with the federation's keys that says another time; it answers check-ins and nothing else.
async fn pretend(
    federation: &Federation,
    certified_at: Timestamp,
    clock_ahead_secs: i64,
) -> std::net::SocketAddr {
    let key = fs::read(federation.home().join("ca.key")).expect("a key");
    let certificate = fs::read(federation.home().join("ca.der")).expect("a certificate");
    let words = fs::read(federation.home().join("signing.key")).expect("a key");
    let authority = Authority::open(certificate.clone(), Zeroizing::new(key));
    let (leaf, key) = authority.issue_coordinator(certified_at).expect("a certificate");
    let chain = vec![leaf, certificate.clone()];
    let address = ([127, 0, 0, 1], 0).into();
    let resets = ResetKey::derive(b"another coordinator");
    let endpoint = server_endpoint(address, Identity { chain, key }, &certificate, resets).expect("a socket");
    let address = endpoint.local_addr().expect("an address");
    tokio::spawn(async move {
        let words = SigningKey::from_bytes(words.as_slice().try_into().expect("32 bytes"));
        while let Some(incoming) = endpoint.accept().await {
            let Ok(connection) = incoming.await else { continue };
            while let Ok((mut send, mut receive)) = connection.accept_bi().await {
                let Ok(Some(Request::CheckIn(word))) = read_frame(&mut receive).await else {
                    continue;
                };
                let reply = Reply::CheckedIn(Box::new(CheckedIn {
                    now: Timestamp(word.now.0 + clock_ahead_secs * 1000),
                    authorities: words.sign(Authorities {
                        number: 0,
                        certificates: vec![certificate.clone()],
                    }),
                    receipt: None,
                }));
                let _ = write_frame(&mut send, &reply).await;
                let _ = send.finish();
            }
        }
    });
    address
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clock_that_is_off_is_reported_and_one_that_is_years_off_is_called_that() {
    let federation = Federation::start(SOUK, &plan(1, 2, &["north", "south"]), &[]);
    federation.join("north", 5);
    let honest = federation.client_json("north", &["doctor"]);
    assert_eq!(honest["ok"], true, "{honest}");
    until("the operator sees the shop's clock", || {
        shown(&federation, "north")["clock_ahead_secs"].is_number()
    });
    assert_eq!(shown(&federation, "north")["clock_is_off"], false);
    let clock = |doctor: std::process::Output| {
        let said: Value = serde_json::from_slice(&doctor.stdout).expect("JSON");
        let checks = said["checks"].as_array().expect("a list").clone();
        let of = |name: &str| {
            checks
                .iter()
                .find(|check| check["name"] == name)
                .expect("a check")
                .clone()
        };
        (doctor.status.code(), of("clock"), of("connection"))
    };
    let now = SystemClock.now();
    let address = pretend(&federation, now, 3600).await;
    let config = federation.shop("north").join("shop.toml");
    let own = fs::read_to_string(&config).expect("a file");
    federation.dial_through("north", address);
    let (code, said, _) = clock(federation.client("north", &["doctor", "--json"]));
    assert!(code == Some(1) && said["ok"] == false, "{said}");
    assert!(
        said["detail"]
            .as_str()
            .is_some_and(|text| text.contains("3600.") && text.contains("behind")),
        "{said}"
    );
    let mut running = federation.start_client("north", &[]);
    until("run says so, too", || {
        federation.log("north").contains("behind the coordinator's")
    });
    assert!(running.stop("-TERM"));
    // By this coordinator's certificate it is five years from now.
    fs::write(&config, own).expect("a file");
    let address = pretend(&federation, now + Duration::from_secs(5 * 365 * 86_400), 0).await;
    federation.dial_through("north", address);
    let (code, _, said) = clock(federation.client("north", &["doctor", "--json"]));
    assert!(code == Some(1) && said["ok"] == false, "{said}");
    assert!(
        said["detail"]
            .as_str()
            .is_some_and(|text| text.contains("this machine's clock says 20")),
        "{said}"
    );
    let mut running = federation.start_client("north", &[]);
    until("run says so, too", || {
        federation.log("north").contains("this machine's clock says 20")
    });
    assert!(running.stop("-TERM"));
}
