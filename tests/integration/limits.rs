//! The memory of a coordinator that runs, which only a real process has. All other limits are tested on virtual time, in
//! `souk-simulator` (`netsim::limits`): on the clock of a busy machine they would fail by chance.

use crate::hostile::honest_shop_completes_a_round;

use souk_common::limits::{MAX_REQUEST_BYTES, MAX_STREAMS};
use souk_common::wire::frame::to_bytes;
use souk_common::wire::messages::Request;
use souk_tests::federation::{Federation, plan, until};
use souk_tests::hostile::{HostilePeer, identity_of, in_time};

const SOUK: &str = env!("CARGO_BIN_EXE_souk");

/// A run of one round that takes one update, under limits.
fn federation(shops: &[&str], limits: &[(&str, u64)]) -> Federation {
    let mut federation = Federation::prepare(SOUK, &plan(1, 1, shops));
    federation.limit(limits);
    federation.serve(&[]);
    federation
}

async fn member(federation: &Federation, shop: &str) -> HostilePeer {
    let (identity, ca) = identity_of(&federation.shop(shop));
    let dialled = HostilePeer::dial(federation.address(), ca, Some(&identity)).await;
    dialled.expect("a member is let in")
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
