//! Limits of a coordinator that runs, as far as real sockets and a real process are needed to see them. Those that are
//! rates and times are tested on virtual time, in `souk-simulator` (`netsim::limits`): on the clock of a busy machine they
//! would fail by chance.

use crate::hostile::honest_shop_completes_a_round;
use std::time::Duration;

use souk_common::wire::frame::to_bytes;
use souk_common::wire::limits::{MAX_REQUEST_BYTES, MAX_STREAMS};
use souk_common::wire::messages::Request;
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_half_of_the_cap_an_address_must_be_proven_and_over_the_cap_nobody_gets_in() {
    let federation = federation(&["north", "mallory"], &[("max_connections", 4)]);
    federation.join("mallory", 5);
    let (_, ca) = identity_of(&federation.shop("mallory"));
    // Bits 4 and 5 of the first byte of a long header: 0 begins a handshake, 3 asks to prove the address (RFC 9000, 17.2).
    let answered = |mouth: std::net::UdpSocket| {
        let mut datagram = [0; 2000];
        mouth
            .set_read_timeout(Some(Duration::from_secs(120)))
            .expect("a time");
        mouth.recv(&mut datagram).expect("an answer");
        datagram[0] >> 4 & 3
    };
    assert_eq!(answered(knock_and_run(federation.address(), ca.clone())), 0);
    // Whether that handshake has been given up meanwhile or not: two are half of the cap.
    let mut peers = vec![
        member(&federation, "mallory").await,
        member(&federation, "mallory").await,
    ];
    assert_eq!(answered(knock_and_run(federation.address(), ca.clone())), 3);
    while let Some(peer) = dial(&federation, "mallory").await {
        peers.push(peer);
        assert!(peers.len() <= 4, "over the cap");
    }
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
