//! A shop's HTTP service in the real program: it serves while rounds run, a purchase that was acknowledged survives a kill, and a
//! customer is forgotten while it serves.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::{Value, json};
use souk_tests::federation::{Federation, good, plan, until};

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
