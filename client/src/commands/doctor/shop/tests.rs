use std::io::Read;
use std::net::TcpListener;
use std::os::unix::net::UnixListener;
use std::sync::mpsc::channel;

use souk_common::clock::{Clock, SystemClock};
use souk_common::crypto::pki::{Authority, shop_key};

use super::super::{examine, network};
use super::*;
use crate::health::HealthLevel::{Bad, Good, Warning};

fn shop() -> (tempfile::TempDir, Folder) {
    let dir = tempfile::tempdir().unwrap();
    let folder = Folder::new(dir.path());
    fs::write(folder.config(), "").unwrap();
    (dir, folder)
}

/// Makes the folder that of a member, whose coordinator is at `address`.
fn member(folder: &Folder, address: &str) -> Membership {
    let now = SystemClock.now();
    let authority = Authority::create("test", now).unwrap();
    let (key, csr) = shop_key().unwrap();
    let name = "north".parse().unwrap();
    let membership = Membership {
        certificate: authority.issue_shop(&csr, &name, now).unwrap(),
        shop: name,
        address: address.to_owned(),
        ca: authority.certificate().to_vec(),
        signing_key: vec![1; 32],
        joined_at: now,
        left_at: None,
        other_cas: Vec::new(),
        authorities: 0,
        former_certificate: None,
    };
    fs::write(folder.key(), &*key).unwrap();
    membership.store(folder).unwrap();
    membership
}

#[test]
fn a_collapsed_model_is_warned_of_beside_what_lists_rest_on() {
    let (_dir, folder) = shop();
    let text = || "of this shop's own customers alone".to_owned();
    assert_eq!(with_collapsed(&folder, text()).level, Good);
    let kept = KeptStack {
        format: Default::default(),
        key: souk_common::ids::Digest::ZERO,
        alone: Vec::new(),
        together: None,
        newcomers: None,
        alone_hits: Default::default(),
        gate: None,
        collapsed: vec!["the generator of channel \"model\" has collapsed".to_owned()],
    };
    kept.store(&folder);
    let found = with_collapsed(&folder, text());
    assert_eq!(found.level, Warning);
    assert!(
        found.text.starts_with(&text()) && found.text.ends_with("has collapsed"),
        "{}",
        found.text
    );
}

/// 300 orders in 30 days from the first of October on, and `bad` lines.
fn orders_with(bad: usize) -> String {
    let mut text = "user_id,item_id,timestamp\n".to_owned();
    for order in 0..300 {
        text += &format!("u{},i{},2026-10-{:02}\n", order % 20, order % 7, 1 + order / 10);
    }
    text + &"u1,i1,yesterday\n".repeat(bad)
}

fn day(text: &str) -> Timestamp {
    Timestamp(
        format!("{text}T12:00:00Z")
            .parse::<jiff::Timestamp>()
            .unwrap()
            .as_millisecond(),
    )
}

#[test]
fn orders_that_have_stopped_and_bad_lines_are_warned_of_with_the_file() {
    let (dir, folder) = shop();
    let file = dir.path().join("orders.csv");
    fs::write(&file, orders_with(11)).unwrap();
    let written = std::time::UNIX_EPOCH + Duration::from_millis(day("2026-10-31").0 as u64);
    fs::File::options()
        .append(true)
        .open(&file)
        .unwrap()
        .set_modified(written)
        .unwrap();
    let config = ShopConfig::load(&folder).unwrap();
    let outcome = refresh(&folder, &config).unwrap().outcome;
    let found = imported(&outcome).unwrap();
    assert!(found.contains("orders.csv"), "{found}");
    let found = bad_lines(&outcome);
    assert!(
        found.level == Warning && found.text.contains("11 of 311 lines of"),
        "{found:?}"
    );
    for said in ["orders.csv", "line 302", "check-data"] {
        assert!(found.text.contains(said), "{said}: {found:?}");
    }
    assert_eq!(orders(&folder, &outcome, day("2026-11-05")).level, Good);
    let found = orders(&folder, &outcome, day("2026-11-20"));
    assert_eq!(found.level, Warning);
    for said in [
        "21 days old",
        "orders.csv, which was last written on 2026-10-31",
        "more than 8",
    ] {
        assert!(found.text.contains(said), "{said}: {found:?}");
    }
    fs::write(&file, orders_with(0)).unwrap();
    let outcome = refresh(&folder, &config).unwrap().outcome;
    assert_eq!(bad_lines(&outcome).level, Good);
}

#[test]
fn data_that_is_refused_and_a_store_that_is_damaged_are_bad_and_hide_nothing_else() {
    let (dir, folder) = shop();
    fs::write(dir.path().join("orders.csv"), orders_with(100)).unwrap();
    let config = ShopConfig::load(&folder).unwrap();
    let outcome = refresh(&folder, &config).unwrap().outcome;
    let error = imported(&outcome).unwrap_err().to_string();
    assert!(error.contains("orders.csv was not imported"), "{error}");
    assert_eq!(bad_lines(&outcome).level, Warning);
    fs::write(dir.path().join("interactions/manifest.json"), "{").unwrap();
    let (out, found) = channel();
    let membership = member(&folder, "127.0.0.1:1");
    let member = (folder, config, Some(membership));
    look_at_data(&member, day("2026-11-01"), &out);
    let found: Vec<Check> = found.try_iter().collect();
    assert!(
        found.iter().map(|check| check.name).eq(DATA.iter().copied()),
        "{found:?}"
    );
    assert!(
        !found[0].ok && found[0].detail.contains("manifest.json"),
        "{found:?}"
    );
    assert!(found[1..].iter().all(|check| check.ok), "{found:?}");
}

#[test]
fn a_program_that_runs_and_one_that_does_not_are_told_apart() {
    let (_dir, folder) = shop();
    assert!(!runs(&folder));
    let listener = UnixListener::bind(folder.control()).unwrap();
    assert!(runs(&folder));
    // Its socket stays behind.
    drop(listener);
    assert!(folder.control().exists() && !runs(&folder));
}

#[test]
fn the_http_service_is_reachable_or_it_is_said_why_not() {
    let (dir, folder) = shop();
    let at = |listen| HttpConfig {
        listen: Some(listen),
        ..HttpConfig::default()
    };
    let look = |http: &HttpConfig, runs| service(&folder, http, runs, day("2026-11-01"));
    assert_eq!(look(&HttpConfig::default(), true).level, Good);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    assert_eq!(look(&at(address), false).level, Warning);
    let answers = [
        "HTTP/1.1 200 OK",
        "HTTP/1.1 503 Service Unavailable",
        "SSH-2.0",
        "",
    ];
    let serving = std::thread::spawn(move || {
        for answer in answers {
            let (mut stream, _) = listener.accept().unwrap();
            let mut head = [0; 1000];
            let length = stream.read(&mut head).unwrap();
            assert!(head[..length].starts_with(b"GET /v1/healthz HTTP/1.1\r\nHost: 127.0.0.1:"));
            stream.write_all(format!("{answer}\r\n\r\n").as_bytes()).unwrap();
        }
    });
    for (level, said) in [
        (Good, "answers at"),
        (Bad, "no lists"),
        (Bad, "SSH-2.0"),
        (Bad, "it says \"\""),
    ] {
        let found = look(&at(address), true);
        assert!(
            found.level == level && found.text.contains(said),
            "{said}: {found:?}"
        );
    }
    serving.join().unwrap();
    // Nobody listens there any more.
    assert_eq!(look(&at(address), true).level, Bad);
    let listener = TcpListener::bind("0.0.0.0:0").unwrap();
    let tls = HttpConfig {
        tls_cert: Some("none.pem".into()),
        ..at(listener.local_addr().unwrap())
    };
    let found = look(&tls, true);
    assert!(
        found.level == Bad && found.text.contains("takes connections") && found.text.contains("none.pem"),
        "{found:?}"
    );
    drop(dir);
}

#[test]
fn feeds_that_are_missing_old_half_gone_or_never_fetched_are_warned_of() {
    let (dir, folder) = shop();
    let look = || feeds(&folder, SystemClock.now());
    assert_eq!(look().level, Good);
    fs::write(folder.rules(), "[[feed]]\npath = 'feed.csv'").unwrap();
    let found = look();
    assert!(
        found.level == Warning && found.text.contains("feed.csv can't be used"),
        "{found:?}"
    );
    let feed = dir.path().join("feed.csv");
    let write = |items: usize| {
        let lines: String = (0..items).map(|item| format!("i{item},in_stock\n")).collect();
        fs::write(&feed, "id,availability\n".to_owned() + &lines).unwrap();
    };
    write(10);
    let found = look();
    assert!(
        found.level == Good && found.text.contains("1 in force, with 10 items"),
        "{found:?}"
    );
    // Only a program that makes lists by it keeps it.
    assert!(!folder.feeds().exists());
    Feeds::new(folder.clone()).look(&feeds_named(&folder).unwrap(), SystemClock.now());
    write(3);
    assert!(look().text.contains("only 3 of the 10 items"), "{:?}", look());
    write(10);
    let written = std::time::UNIX_EPOCH + Duration::from_millis(SystemClock.now().0 as u64) - OLD_FEED - DAY;
    fs::File::options()
        .append(true)
        .open(&feed)
        .unwrap()
        .set_modified(written)
        .unwrap();
    let found = look();
    assert!(
        found.level == Warning && found.text.contains("last written 8 days ago"),
        "{found:?}"
    );
    fs::write(
        folder.rules(),
        "[[feed]]\nurl = 'https://shop.example/feed?key=secret'",
    )
    .unwrap();
    let found = look();
    assert!(
        found.level == Warning && found.text.contains("never fetched") && !found.text.contains("secret"),
        "{found:?}"
    );
}

#[test]
fn rules_that_make_no_sense_are_bad_and_a_folder_that_can_not_be_written_is_told() {
    let (dir, folder) = shop();
    assert!(rules(&folder).unwrap().starts_with("none"));
    fs::write(folder.rules(), "never = [\"a\"").unwrap();
    let error = format!("{:#}", rules(&folder).unwrap_err());
    assert!(
        error.contains("line 1") && error.contains("makes no lists"),
        "{error}"
    );
    writable(&folder).unwrap();
    assert!(!dir.path().join(".doctor").exists());
    let nowhere = Folder::new(dir.path().join("shop.toml"));
    let error = format!("{:#}", writable(&nowhere).unwrap_err());
    assert!(
        error.contains("shop.toml") && error.contains("read-only"),
        "{error}"
    );
}

#[test]
fn a_coordinator_that_is_down_hides_nothing_that_can_be_told_without_it() {
    let (dir, folder) = shop();
    fs::write(dir.path().join("orders.csv"), orders_with(0)).unwrap();
    let closed = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = closed.local_addr().unwrap();
    drop(closed);
    member(&folder, &address.to_string());
    let checks = examine(&folder).unwrap();
    let names: Vec<&str> = checks.iter().map(|check| check.name).collect();
    assert_eq!(names, [network::NAMES, OWN, DATA, LISTS].concat());
    let of = |name: &str| checks.iter().find(|check| check.name == name).unwrap();
    let told = |name: &str| (of(name).level, of(name).detail.clone());
    assert_eq!(told("name").0, Good);
    assert!(
        of("connection").level == Bad && of("connection").detail.contains(&address.to_string()),
        "{checks:?}"
    );
    for (name, level, said) in [
        ("clock", Good, "not known now"),
        ("ledger", Good, ""),
        ("keys", Good, "not known without the coordinator"),
        ("certificate", Good, "valid until"),
        ("disk", Good, "MB are free"),
        ("run", Warning, "is not up"),
        ("service", Good, "--http"),
        ("rules", Good, "none"),
        ("data", Good, "orders.csv"),
        ("bad lines", Good, "none"),
        ("plan", Good, "none is known yet"),
        ("budget", Good, "is left of 8"),
    ] {
        assert!(
            told(name).0 == level && told(name).1.contains(said),
            "{name}: {:?}",
            told(name)
        );
    }
    assert!(!dir.path().join(".doctor").exists());
}
