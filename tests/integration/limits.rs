//! Limits of a coordinator that runs: whoever is over one is slowed, or closed with a reason, and nobody else notices.

use crate::hostile::honest_shop_completes_a_round;
use std::time::Duration;

use souk_common::clock::Stopwatch;
use souk_common::ids::Digest;
use souk_common::round::record::{AttemptId, UploadHeader};
use souk_common::transport::{CloseCode, read_frame};
use souk_common::wire::frame::to_bytes;
use souk_common::wire::limits::{
    BURST_SECS, CONNECTIONS_PER_SEC_PER_SHOP, CONNECTIONS_PER_SHOP, HANDSHAKE_SECS, MAX_REQUEST_BYTES,
    MAX_STRANGER_REQUESTS, MAX_STREAMS,
};
use souk_common::wire::messages::{ErrorCode, Reply, Request};
use souk_tests::federation::{Federation, plan, until};
use souk_tests::hostile::{HostilePeer, identity_of, in_time, knock_and_run};

const SOUK: &str = env!("CARGO_BIN_EXE_souk");

/// A run of one round that takes one update, under limits.
fn federation(shops: &[&str], limits: &[(&str, u64)]) -> Federation {
    let mut federation = Federation::prepare(SOUK, &plan(1, 1, shops));
    federation.limit(limits);
    federation.serve(&[]);
    federation
}

async fn dial(federation: &Federation, shop: &str) -> Option<HostilePeer> {
    let (identity, ca) = identity_of(&federation.shop(shop));
    HostilePeer::dial(federation.address(), ca, Some(&identity)).await
}

async fn member(federation: &Federation, shop: &str) -> HostilePeer {
    dial(federation, shop).await.expect("a member is let in")
}

/// Opens an attempt by a subscription, which ends with the connection.
async fn subscribe(federation: &Federation, shop: &str) -> (HostilePeer, quinn::RecvStream) {
    let peer = member(federation, shop).await;
    let (mut send, pushes) = in_time(peer.connection.open_bi()).await.expect("a stream");
    let subscribe = Request::Subscribe {
        software: "test".into(),
        process_id: 0,
    };
    let frame = to_bytes(&subscribe).expect("a frame");
    in_time(send.write_all(&frame)).await.expect("sent");
    until("an attempt is open", || {
        federation.coordinator_json(&["status"])["state"] == "running"
    });
    (peer, pushes)
}

fn state_of(federation: &Federation, shop: &str) -> String {
    let status = federation.coordinator_json(&["status"]);
    let shops = status["shops"].as_array().expect("a list");
    let entry = shops.iter().find(|entry| entry["shop"] == shop);
    entry.map_or_else(String::new, |entry| entry["state"].to_string())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn shops_that_send_a_byte_a_second_make_way_and_go_on_where_they_were() {
    let slow = ["slow-0", "slow-1", "slow-2", "slow-3"];
    let federation = federation(&[&slow[..], &["north"]].concat(), &[("slow_secs", 2)]);
    slow.iter().for_each(|shop| drop(federation.join(shop, 5)));
    federation.join("north", 20);
    let _subscribed = subscribe(&federation, "slow-0").await;
    let check = federation.coordinator_json(&["plan", "check", federation.plan().to_str().expect("plain")]);
    let upload = UploadHeader {
        id: AttemptId { round: 1, attempt: 1 },
        update: Digest::of(b"never arrives"),
        len_bytes: check["bytes_per_update"].as_u64().expect("a size"),
        ledger_length: 1,
        ledger_head: Digest::ZERO,
    };
    // All four places are taken.
    let mut sending = tokio::task::JoinSet::new();
    for shop in slow {
        let peer = member(&federation, shop).await;
        let (reply, mut send, mut receive) = peer.ask(&Request::Upload(upload)).await.expect("an answer");
        assert_eq!(reply, Reply::UploadFrom { offset: 0 });
        sending.spawn(async move {
            while send.write_all(&[7]).await.is_ok() {
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
            let last: Option<Reply> = in_time(read_frame(&mut receive)).await.expect("a last word");
            let (reply, ..) = peer.ask(&Request::Upload(upload)).await.expect("an answer");
            (last, reply)
        });
    }
    let mut north = federation.start_client("north", &[]);
    until("the fast shop's update is counted", || {
        state_of(&federation, "north").contains("counted")
    });
    let first = in_time(sending.join_next())
        .await
        .expect("one")
        .expect("no panic");
    let (Some(Reply::Error { code, .. }), Reply::UploadFrom { offset }) = first else {
        panic!("{first:?}");
    };
    assert_eq!(code, ErrorCode::TooSlow);
    assert!(offset > 0, "what came before is kept");
    sending.abort_all();
    north.kill();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_shop_has_few_connections_and_few_new_ones_in_a_second() {
    let federation = federation(&["north", "mallory"], &[]);
    federation.join("mallory", 5);
    let first = member(&federation, "mallory").await;
    let mut peers = Vec::new();
    for _ in 1..CONNECTIONS_PER_SHOP {
        peers.push(member(&federation, "mallory").await);
    }
    assert!(first.connection.close_reason().is_none());
    peers.push(member(&federation, "mallory").await);
    assert_eq!(first.close_code().await, Some(CloseCode::Replaced as u64));
    let most = CONNECTIONS_PER_SEC_PER_SHOP * BURST_SECS;
    let watch = Stopwatch::start();
    let mut refused = 0;
    for _ in 0..most {
        let peer = member(&federation, "mallory").await;
        match peer.ask(&Request::Members).await {
            Some((Reply::Members(_), ..)) => peers.push(peer),
            _ => {
                assert_eq!(peer.close_code().await, Some(CloseCode::TooMany as u64));
                refused += 1;
            }
        }
    }
    assert!(
        refused > 0 || watch.secs() > 5.0,
        "it dialled {most} times and more"
    );
    honest_shop_completes_a_round(&federation);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_honest_shop_that_is_asked_to_wait_waits_and_then_takes_part() {
    let limits = [
        ("connections_per_sec_per_shop", 1),
        ("handshakes_per_sec_per_address", 1000),
    ];
    let mut federation = Federation::prepare(SOUK, &plan(100_000, 1, &["north"]));
    federation.limit(&limits);
    federation.serve(&[]);
    federation.join("north", 20);
    let (address, shop) = (federation.address(), federation.shop("north"));
    // Somebody who has its key uses up its connections, until it has noticed.
    let used_up = tokio::spawn(async move {
        loop {
            let (identity, ca) = identity_of(&shop);
            drop(HostilePeer::dial(address, ca, Some(&identity)).await);
        }
    });
    tokio::time::sleep(Duration::from_secs(2)).await;
    let said = |words: &str| federation.log("north").contains(words);
    let mut north = federation.start_client("north", &[]);
    loop {
        until("it is let in, or asked to wait", || {
            said("accepted") || said("dial again later")
        });
        if said("dial again later") {
            break;
        }
        // It was first by chance.
        north.kill();
        north = federation.start_client("north", &[]);
    }
    let watch = Stopwatch::start();
    used_up.abort();
    until("it takes part", || said("accepted"));
    assert!(watch.secs() > 8.0, "it waited {} s", watch.secs());
    north.kill();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn who_asks_too_often_waits_and_a_joiner_is_sent_away() {
    let limits = [("requests_per_sec_per_shop", 1)];
    let federation = federation(&["north", "mallory"], &limits);
    federation.join("mallory", 5);
    let peer = member(&federation, "mallory").await;
    let watch = Stopwatch::start();
    for _ in 0..BURST_SECS + 6 {
        let answer = peer.ask(&Request::Members).await;
        assert!(matches!(answer, Some((Reply::Members(_), ..))));
    }
    assert!(watch.secs() > 5.0, "{} s", watch.secs());
    let (_, ca) = identity_of(&federation.shop("mallory"));
    let joiner = HostilePeer::dial(federation.address(), ca, None)
        .await
        .expect("joiners are let in");
    for _ in 0..MAX_STRANGER_REQUESTS {
        assert!(joiner.ask(&Request::Members).await.is_some());
    }
    let _ = joiner.ask(&Request::Members).await;
    assert_eq!(joiner.close_code().await, Some(CloseCode::TooMany as u64));
    honest_shop_completes_a_round(&federation);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn an_address_shakes_hands_only_so_often_and_who_is_connected_goes_on() {
    let limits = [("handshakes_per_sec_per_address", 1)];
    let federation = federation(&["north", "mallory"], &limits);
    federation.join("mallory", 5);
    federation.join("north", 20);
    let (_, ca) = identity_of(&federation.shop("mallory"));
    let peer = member(&federation, "mallory").await;
    let mut refused = 0;
    for _ in 0..3 * BURST_SECS {
        let joiner = HostilePeer::dial(federation.address(), ca.clone(), None).await;
        refused += u32::from(joiner.is_none());
    }
    assert!(refused > 0);
    assert!(peer.ask(&Request::Members).await.is_some());
    // It dials again until there is room.
    let mut north = federation.start_client("north", &["--exit-when-finished"]);
    assert!(north.wait(), "{}", federation.log("north"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_half_of_the_cap_an_address_must_be_proven_and_over_the_cap_nobody_gets_in() {
    let federation = federation(&["north", "mallory"], &[("max_connections", 4)]);
    federation.join("mallory", 5);
    let (_, ca) = identity_of(&federation.shop("mallory"));
    // Bits 4 and 5 of the first byte of a long header: 0 begins a handshake, 3 asks to prove the address (RFC 9000, 17.2).
    let answered = |mouth: std::net::UdpSocket| {
        let mut datagram = [0; 2000];
        mouth
            .set_read_timeout(Some(Duration::from_secs(20)))
            .expect("a time");
        mouth.recv(&mut datagram).expect("an answer");
        datagram[0] >> 4 & 3
    };
    assert_eq!(answered(knock_and_run(federation.address(), ca.clone())), 0);
    let _second = member(&federation, "mallory").await;
    assert_eq!(answered(knock_and_run(federation.address(), ca.clone())), 3);
    let _third = member(&federation, "mallory").await;
    let _fourth = member(&federation, "mallory").await;
    assert!(dial(&federation, "mallory").await.is_none());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn handshakes_that_are_never_finished_are_given_up() {
    let federation = federation(&["north", "mallory"], &[("max_strangers", 2)]);
    federation.join("mallory", 5);
    let (_, ca) = identity_of(&federation.shop("mallory"));
    let silent: Vec<_> = (0..2)
        .map(|_| knock_and_run(federation.address(), ca.clone()))
        .collect();
    assert!(
        dial(&federation, "mallory").await.is_none(),
        "both places are taken"
    );
    tokio::time::sleep(Duration::from_secs(HANDSHAKE_SECS)).await;
    assert!(dial(&federation, "mallory").await.is_some());
    drop(silent);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn memory_stays_within_the_bound_that_status_tells() {
    let limits = [
        ("max_connections", 64),
        ("max_connections_per_shop", 50),
        ("connections_per_sec_per_shop", 50),
    ];
    let federation = federation(&["north", "mallory"], &limits);
    federation.join("mallory", 5);
    let status = federation.coordinator_json(&["status"]);
    let process = status["process_id"].as_u64().expect("a number");
    let bound = status["memory_bound"]["total_bytes"].as_u64().expect("a number");
    let before = high_water(process);
    let mut frame = to_bytes(&Request::Leave).expect("a frame");
    frame[7..11].copy_from_slice(&(MAX_REQUEST_BYTES as u32).to_le_bytes());
    // All of a largest request but its last byte.
    frame.resize(11 + MAX_REQUEST_BYTES - 1, 0);
    let (mut held, mut peers) = (Vec::new(), Vec::new());
    for _ in 0..48 {
        let peer = member(&federation, "mallory").await;
        for _ in 0..MAX_STREAMS {
            let (mut send, receive) = in_time(peer.connection.open_bi()).await.expect("a stream");
            in_time(send.write_all(&frame)).await.expect("sent");
            held.push((send, receive));
        }
        peers.push(peer);
    }
    let sent = (48 * MAX_STREAMS) as u64 * MAX_REQUEST_BYTES as u64;
    until("it holds what was sent", || {
        high_water(process) > before + sent * 8 / 10
    });
    honest_shop_completes_a_round(&federation);
    let most = high_water(process);
    assert!(most <= bound, "{most} bytes, the bound is {bound}");
    drop((held, peers));
}

/// The most that a process has held, in bytes.
fn high_water(process: u64) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{process}/status")).expect("Linux");
    let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let number = line.and_then(|line| line.trim().strip_suffix(" kB"));
    number
        .and_then(|number| number.trim().parse::<u64>().ok())
        .expect("kilobytes")
        * 1024
}
