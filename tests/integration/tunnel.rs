//! Shops that reach their coordinator over TCP only.

use std::fs;
use std::net::TcpListener;

use serde_json::Value;
use souk_common::transport::{CloseCode, TransportChoice};
use souk_common::wire::messages::{Push, Request};
use souk_tests::federation::{Federation, Running, good, large_plan, plan, until};
use souk_tests::hostile::{HostilePeer, identity_of, in_time};
use souk_tests::proxy::Proxy;

const SOUK: &str = env!("CARGO_BIN_EXE_souk");
const SHOPS: [&str; 3] = ["north", "south", "west"];

/// Starts all shops, of which one goes through a proxy by TCP.
fn start(federation: &Federation, proxy: &Proxy) -> Vec<Running> {
    for shop in SHOPS {
        federation.join(shop, 20);
    }
    federation.dial_over_tcp("west", proxy.address());
    SHOPS
        .iter()
        .map(|shop| federation.start_client(shop, &[]))
        .collect()
}

fn published(federation: &Federation) -> u64 {
    federation.coordinator_json(&["status"])["rounds_published"]
        .as_u64()
        .expect("a number")
}

/// What carries each shop's connection, as the coordinator says.
fn carriers(status: &Value) -> Vec<Option<&str>> {
    let of = |shop: &&str| {
        let shops = status["shops"].as_array().expect("a list");
        let key = if shops.iter().any(|told| told.get("name").is_some()) {
            "name"
        } else {
            "shop"
        };
        let told = shops.iter().find(|told| told[key] == **shop);
        told.expect("the shop")["carrier"].as_str()
    };
    SHOPS.iter().map(of).collect()
}

#[test]
fn uploads_go_on_over_new_tunnels_when_a_proxy_cuts_the_old_ones_and_the_operator_sees_who_has_no_udp() {
    let federation = Federation::start(SOUK, &large_plan(3, 3, &SHOPS), &[]);
    let proxy = Proxy::start(federation.address());
    proxy.cut_after(400_000);
    let _running = start(&federation, &proxy);
    until("an upload was cut", || proxy.cuts() == 1);
    proxy.cut_after(900_000);
    until("all rounds are published", || published(&federation) == 3);
    assert_eq!(proxy.cuts(), 2);
    assert!(proxy.dials() >= 3, "a tunnel for each cut, and the first");
    let log = federation.log("west");
    assert!(
        !log.contains("no connection"),
        "the connection outlived its tunnels: {log}"
    );
    let expected = [Some("udp"), Some("udp"), Some("tcp")];
    assert_eq!(carriers(&federation.coordinator_json(&["status"])), expected);
    assert_eq!(carriers(&federation.coordinator_json(&["shops"])), expected);
    let table = good(&federation.coordinator(&["status"]));
    assert!(table.contains("; TCP 127.0.0.1:"), "{table}");
    let checks = federation.client("west", &["doctor", "--json"]);
    let checks: Value = serde_json::from_slice(&checks.stdout).expect("JSON");
    let connection = checks["checks"].as_array().expect("a list").iter();
    let connection = connection
        .clone()
        .find(|check| check["name"] == "connection")
        .expect("a check");
    let detail = connection["detail"].as_str().expect("words");
    assert!(
        connection["level"] == "good" && detail.contains("as `transport` in shop.toml has it"),
        "{detail}"
    );
}

#[test]
fn a_coordinator_that_was_killed_finds_its_shops_over_both_again_at_once() {
    let mut federation = Federation::start(SOUK, &plan(200, 3, &SHOPS), &[]);
    let proxy = Proxy::start(federation.address());
    let _running = start(&federation, &proxy);
    until("rounds are published", || published(&federation) >= 2);
    federation.kill_coordinator();
    federation.serve(&[]);
    let before = published(&federation);
    until("rounds are published by all three again", || {
        published(&federation) >= before + 2
    });
    let expected = [Some("udp"), Some("udp"), Some("tcp")];
    assert_eq!(carriers(&federation.coordinator_json(&["status"])), expected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_a_shop_that_speaks_udp_and_tcp_at_once_the_newer_is_served_and_the_older_told() {
    let federation = Federation::start(SOUK, &plan(1, 1, &["north", "other"]), &[]);
    federation.join("north", 5);
    let (identity, ca) = identity_of(&federation.shop("north"));
    let subscribe = Request::Subscribe {
        software: "a test".to_owned(),
        process_id: 1,
    };
    for choices in [
        [TransportChoice::Udp, TransportChoice::Tcp],
        [TransportChoice::Tcp, TransportChoice::Udp],
    ] {
        let mut peers = Vec::new();
        for choice in choices {
            let dialled =
                HostilePeer::dial_over(choice, federation.address(), ca.clone(), Some(&identity)).await;
            let peer = dialled.expect("a member is let in");
            let pushed = peer.ask_for::<Push>(&subscribe).await.expect("a welcome");
            assert!(matches!(pushed.0, Push::Welcome { .. }), "{:?}", pushed.0);
            peers.push((peer, pushed));
        }
        let told = in_time(peers[0].0.close_code()).await;
        assert_eq!(told, Some(CloseCode::Replaced as u64), "{choices:?}");
        assert_eq!(peers[1].0.connection.close_reason(), None);
    }
}

#[test]
fn a_port_that_another_program_has_for_tcp_is_told_and_costs_no_shop_with_udp_anything() {
    let mut federation = Federation::start(SOUK, &plan(1, 1, &["north", "other"]), &[]);
    federation.stop_coordinator();
    let taken = TcpListener::bind(federation.address()).expect("the port is free");
    federation.serve(&[]);
    let status = federation.coordinator_json(&["status"]);
    assert_eq!(status["listening_tcp"], Value::Array(Vec::new()));
    federation.join("north", 5);
    drop(taken);
    // Where it is asked for, it is an error.
    federation.stop_coordinator();
    let path = federation.home().join("coordinator.toml");
    let text = fs::read_to_string(&path).expect("the configuration");
    fs::write(&path, text.replace("[limits]", "tcp = [\"127.0.0.1\"]\n[limits]")).expect("a file");
    let said = federation.coordinator(&["serve", "--plan", federation.plan().to_str().expect("text")]);
    let error = String::from_utf8_lossy(&said.stderr);
    assert!(
        error.contains("tcp") && error.contains("addresses with ports"),
        "{error}"
    );
}
