//! A shop's HTTP service in the real program: it serves while rounds run, a purchase that was acknowledged survives a kill, and a
//! customer is forgotten while it serves.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::{Value, json};
use souk_tests::federation::{Federation, bad, good, orders, plan, text, until};

const SOUK: &str = env!("CARGO_BIN_EXE_souk");

/// Status and body of an answer.
fn ask(address: &str, token: &str, request: &str, body: Option<&Value>) -> (u16, Value) {
    let mut stream = TcpStream::connect(address).expect("the service listens");
    stream
        .set_read_timeout(Some(Duration::from_secs(60)))
        .expect("a timeout");
    let body = body.map(Value::to_string).unwrap_or_default();
    let authorization = match token {
        "" => String::new(),
        token => format!("authorization: Bearer {token}\r\n"),
    };
    let text = format!(
        "{request} HTTP/1.1\r\nhost: {address}\r\n{authorization}content-type: application/json\r\n\
         content-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(text.as_bytes()).expect("it reads");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("it answers");
    let (head, body) = answer.split_once("\r\n\r\n").expect("an answer of HTTP");
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    (
        status.expect("a status"),
        serde_json::from_str(body).unwrap_or_default(),
    )
}

/// Where the shop's program says that it serves.
fn address(federation: &Federation, shop: &str) -> String {
    let told = || {
        let log = federation.log(shop);
        let (_, rest) = log.split_once("HTTP API at http://")?;
        let (address, _) = rest.split_once(' ')?;
        Some(address.to_owned())
    };
    until("the service says where it is", || told().is_some());
    told().expect("an address")
}

#[test]
fn it_serves_beside_rounds_and_a_reported_purchase_survives_a_kill() {
    let federation = Federation::start(SOUK, &plan(1, 1, &["north"]), &[]);
    let folder = federation.join("north", 30);
    let flags = ["--http", "127.0.0.1:0"];
    let mut running = federation.start_client("north", &flags);
    let at = address(&federation, "north");
    let token = fs::read_to_string(folder.join("http/token")).expect("the shop's token");
    until("there are lists", || {
        ask(&at, "", "GET /v1/healthz", None).0 == 200
    });
    let (status, popular) = ask(&at, &token, "GET /v1/popular?k=2", None);
    assert_eq!(status, 200, "{popular}");
    let item = popular["items"][0]["item"].clone();
    let event = json!({"user": "a stranger", "item": item, "kind": "purchase", "id": "e1"});
    let (status, reported) = ask(&at, &token, "POST /v1/events", Some(&event));
    assert_eq!((status, &reported["written"]), (200, &json!(1)), "{reported}");
    running.kill();
    let mut running = federation.start_client("north", &flags);
    let at = address(&federation, "north");
    until("there are lists again", || {
        ask(&at, "", "GET /v1/healthz", None).0 == 200
    });
    let (_, again) = ask(&at, &token, "POST /v1/events", Some(&event));
    assert_eq!(
        (&again["written"], &again["known"]),
        (&json!(0), &json!(1)),
        "{again}"
    );
    let (status, list) = ask(&at, &token, "GET /v1/recommendations/a%20stranger?k=1000", None);
    assert_eq!((status, &list["personal"]), (200, &json!(true)), "{list}");
    let items = list["items"].as_array().expect("a list");
    assert!(items.iter().all(|listed| listed["item"] != item), "{list}");
    assert!(running.stop("-TERM"));
}

#[test]
fn a_shop_serves_alone_before_it_joins_and_keeps_everything_when_it_does() {
    let federation = Federation::start(SOUK, &plan(1, 1, &["north"]), &[]);
    let folder = federation.shop("north");
    let data = tempfile::tempdir().expect("a temporary folder");
    fs::write(data.path().join("orders.csv"), orders("north", 30)).expect("a file");
    let init = ["init", "--data", text(data.path())];
    assert!(good(&federation.client("north", &init)).contains("no member of a federation"));
    let (code, said) = bad(&federation.client("north", &init));
    assert!(code == 64 && said.contains("never overwritten"), "{said}");
    let (code, said) = bad(&federation.client("north", &["run"]));
    assert!(code == 64 && said.contains("run --http"), "{said}");
    let mut running = federation.start_client("north", &["--http", "127.0.0.1:0"]);
    let at = address(&federation, "north");
    let token = fs::read_to_string(folder.join("http/token")).expect("the shop's token");
    let health = |at: &str| ask(at, "", "GET /v1/healthz", None);
    until("there are lists", || health(&at).0 == 200);
    assert_eq!(health(&at).1["federation"], json!(false));
    assert!(
        federation.log("north").contains("no federation"),
        "{}",
        federation.log("north")
    );
    let doctor = federation.client_json("north", &["doctor"]);
    assert_eq!(doctor["checks"][0]["name"], json!("federation"), "{doctor}");
    let budget = federation.client_json("north", &["budget"]);
    assert_eq!(
        (&budget["epsilon"], &budget["rounds_charged"]),
        (&json!(0.0), &json!(0))
    );
    let (code, said) = bad(&federation.client("north", &["leave"]));
    assert!(code == 2 && said.contains("souk-client join"), "{said}");
    let kept = data.path().join("backup");
    good(&federation.client("north", &["backup", text(&kept)]));
    let (_, list) = ask(&at, &token, "GET /v1/recommendations/somebody", None);
    let item = list["items"][0]["item"].clone();
    let event = json!({"user": "somebody", "item": item, "kind": "purchase", "id": "e1"});
    assert_eq!(ask(&at, &token, "POST /v1/events", Some(&event)).0, 200);
    // Order alone: no list after the acknowledgement is as it was.
    let (_, list) = ask(&at, &token, "GET /v1/recommendations/somebody?k=1000", None);
    let listed = list["items"].as_array().expect("a list");
    assert!(
        list["personal"] == json!(true) && listed.iter().all(|listed| listed["item"] != item),
        "{list}"
    );
    let mine =
        "# mine\n".to_owned() + &fs::read_to_string(folder.join("shop.toml")).expect("the configuration");
    fs::write(folder.join("shop.toml"), &mine).expect("a file");
    let code = federation.invite("north");
    let (status, said) = bad(&federation.client("north", &["join", &code, "--data", text(data.path())]));
    assert!(status == 64 && said.contains("leave out --data"), "{said}");
    good(&federation.client("north", &["join", &code]));
    assert_eq!(
        fs::read_to_string(folder.join("shop.toml")).expect("the configuration"),
        mine
    );
    // The program that runs takes part from here on, with the same token, events and lists.
    until("it takes part", || {
        federation.log("north").contains("takes part; stop")
    });
    let at = || {
        let log = federation.log("north");
        let (_, rest) = log.rsplit_once("HTTP API at http://")?;
        Some(rest.split_once(' ')?.0.to_owned())
    };
    until("it serves as a member", || {
        at().is_some_and(|at| {
            std::net::TcpStream::connect(&at).is_ok() && health(&at).1["federation"] == json!(true)
        })
    });
    let (_, again) = ask(
        &at().expect("an address"),
        &token,
        "POST /v1/events",
        Some(&event),
    );
    assert_eq!(
        (&again["written"], &again["known"]),
        (&json!(0), &json!(1)),
        "{again}"
    );
    // The backup of before goes on, also with the program stopped.
    assert!(running.stop("-TERM"));
    good(&federation.client("north", &["backup", text(&kept)]));
    assert!(kept.join("key.der").is_file() && kept.join("membership.json").is_file());
}

#[test]
fn a_customer_is_forgotten_while_it_serves() {
    let federation = Federation::start(SOUK, &plan(1, 1, &["north"]), &[]);
    let folder = federation.join("north", 30);
    let mut running = federation.start_client("north", &["--http", "127.0.0.1:0"]);
    let at = address(&federation, "north");
    let token = fs::read_to_string(folder.join("http/token")).expect("the shop's token");
    until("there are lists", || {
        ask(&at, "", "GET /v1/healthz", None).0 == 200
    });
    let (_, popular) = ask(&at, &token, "GET /v1/popular?k=2", None);
    let bought = |user: &str| json!({"user": user, "item": popular["items"][0]["item"], "kind": "purchase"});
    for user in ["Stranger@Example.com", "another"] {
        assert_eq!(ask(&at, &token, "POST /v1/events", Some(&bought(user))).0, 200);
    }
    let list_of = |user: &str| ask(&at, &token, &format!("GET /v1/recommendations/{user}"), None).1;
    let customer = "north-1";
    assert_eq!(
        list_of(customer)["personal"],
        json!(true),
        "{}",
        list_of(customer)
    );
    for user in [customer, "stranger@example.com"] {
        let said = good(&federation.client("north", &["forget", user, "--yes"]));
        assert!(said.starts_with(&format!("{user} is forgotten: ")), "{said}");
        assert!(!said.contains("Look at:"), "{said}");
        assert_eq!(list_of(user)["personal"], json!(false), "{}", list_of(user));
        let (status, answer) = ask(&at, &token, "POST /v1/events", Some(&bought(user)));
        assert_eq!(
            (status, &answer["written"], &answer["not_kept"][0]["event"]),
            (200, &json!(0), &json!(1)),
            "{answer}"
        );
    }
    let journal = || {
        let days = fs::read_dir(folder.join("events")).expect("a journal").flatten();
        days.map(|day| fs::read_to_string(day.path()).expect("lines"))
            .collect::<String>()
    };
    assert!(
        journal().contains("another") && !journal().contains("stranger@example.com"),
        "{}",
        journal()
    );
    // What was written anew goes on being written.
    assert_eq!(
        ask(&at, &token, "POST /v1/events", Some(&bought("another"))).1["written"],
        json!(1)
    );
    assert_eq!(journal().matches("another").count(), 2);
    assert!(running.stop("-TERM"));
}
