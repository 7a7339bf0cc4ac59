//! Connections through tunnels that hold, break and stall; and what else answers on either side.

mod hostile;
mod memory;
mod moves;

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use quinn::{Connection, VarInt};

use super::*;
use crate::clock::{Clock, SystemClock};
use crate::crypto::pki::{Authority, shop_key};
use crate::limits::{CONNECTION_WINDOW_BYTES, TUNNEL_DATAGRAM_BYTES};
use crate::transport::{
    Carrier, CertificateRefusal, Dialled, DoorRules, Identity, Platform, Rate, ResetKey, TransportChoice,
    TransportError, Trust, dial, peer_of,
};
use memory::{Fate, Memory};

const LIMIT: Duration = Duration::from_secs(60);

fn authority() -> Authority {
    Authority::create("a", SystemClock.now()).unwrap()
}

fn coordinator(authority: &Authority) -> Identity {
    let (leaf, key) = authority.issue_coordinator(SystemClock.now()).unwrap();
    let chain = vec![leaf, authority.certificate().to_vec()];
    Identity { chain, key }
}

fn shop(authority: &Authority) -> Identity {
    let (key, csr) = shop_key().unwrap();
    let leaf = authority.issue_shop(&csr, &"north".parse().unwrap(), SystemClock.now());
    let chain = vec![leaf.unwrap()];
    Identity { chain, key }
}

fn rules() -> TunnelRules {
    TunnelRules {
        most: 8,
        per_address: 4,
        door: DoorRules {
            max_connections: 100,
            handshakes: Rate::per_sec(100),
            per_address: Rate::per_sec(100),
        },
    }
}

fn begin(platform: &Platform, address: SocketAddr, authority: &Authority) -> TunnelServer {
    let resets = ResetKey::derive(b"a secret");
    let ca = authority.certificate();
    TunnelServer::bind(platform, &[address], &coordinator(authority), ca, resets, rules()).unwrap()
}

fn local() -> SocketAddr {
    (Ipv4Addr::LOCALHOST, 0).into()
}

async fn by_tcp(
    platform: &Platform,
    remote: SocketAddr,
    authority: &Authority,
) -> Result<Dialled, TransportError> {
    let trust = Trust::Ca(authority.certificate().to_vec());
    let shop = shop(authority);
    dial(platform, remote, &trust, Some(&shop), TransportChoice::Tcp).await
}

/// Both ends of a connection through a tunnel.
async fn meet(platform: &Platform, server: &TunnelServer, authority: &Authority) -> (Connection, Dialled) {
    let accepted = async { server.endpoint().accept().await.unwrap().await.unwrap() };
    let dialled = by_tcp(platform, server.listening()[0], authority);
    let both = async { tokio::join!(accepted, dialled) };
    let (accepted, dialled) = tokio::time::timeout(LIMIT, both).await.expect("in time");
    (accepted, dialled.unwrap())
}

fn block() -> Vec<u8> {
    (0..5 * CONNECTION_WINDOW_BYTES)
        .map(|at| (at % 251) as u8)
        .collect()
}

/// Sends a block from the shop's end and back.
async fn echo(coordinator: &Connection, shop: &Connection) -> Vec<u8> {
    let block = block();
    let echo = async {
        let (mut send, mut receive) = coordinator.accept_bi().await.unwrap();
        tokio::io::copy(&mut receive, &mut send).await.unwrap();
        send.finish().unwrap();
        send.stopped().await.unwrap();
    };
    let asked = async {
        let (mut send, mut receive) = shop.open_bi().await.unwrap();
        let sent = async {
            send.write_all(&block).await.unwrap();
            send.finish().unwrap();
        };
        let (back, ()) = tokio::join!(receive.read_to_end(block.len()), sent);
        back.unwrap()
    };
    let both = async { tokio::join!(echo, asked) };
    let ((), back) = tokio::time::timeout(LIMIT, both).await.expect("in time");
    back
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tunnel_carries_what_udp_carries_in_the_largest_datagrams_and_shows_who_and_where_a_shop_is() {
    let (platform, authority) = (Platform::system(), authority());
    let server = begin(&platform, local(), &authority);
    let (coordinator, dialled) = meet(&platform, &server, &authority).await;
    assert_eq!(peer_of(&coordinator).unwrap().shop.as_str(), "north");
    assert_eq!(coordinator.remote_address().ip(), Ipv4Addr::LOCALHOST);
    assert_eq!(
        (dialled.way.carrier, dialled.way.remote),
        (Carrier::Tcp, server.listening()[0])
    );
    assert!(echo(&coordinator, &dialled.connection).await == block());
    for connection in [&coordinator, &dialled.connection] {
        assert_eq!(connection.stats().path.current_mtu, TUNNEL_DATAGRAM_BYTES);
        assert_eq!(connection.stats().path.lost_packets, 0);
    }
    assert_eq!(server.open_tunnels(), 1);
    // Its last words leave, and its tunnel ends with it.
    dialled.connection.close(VarInt::from_u32(7), b"done");
    dialled.wait_idle().await;
    drop(dialled);
    let closed = tokio::time::timeout(LIMIT, coordinator.closed()).await.unwrap();
    assert!(matches!(closed, quinn::ConnectionError::ApplicationClosed(close)
        if close.error_code == VarInt::from_u32(7)));
    tokio::time::timeout(LIMIT, async {
        while server.open_tunnels() > 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await
    .expect("the tunnel ends");
}

#[tokio::test(start_paused = true)]
async fn a_machine_that_lets_no_udp_out_takes_tcp_at_once_and_remembers_it() {
    let authority = authority();
    let memory = Memory::new(&[]);
    let platform = memory.platform();
    let remote = SocketAddr::from(([192, 0, 2, 7], 4433));
    let server = begin(&platform, remote, &authority);
    let begun = tokio::time::Instant::now();
    for _ in 0..2 {
        let accepted = async { server.endpoint().accept().await.unwrap().await.unwrap() };
        let (shop, trust) = (shop(&authority), Trust::Fingerprint(authority.fingerprint()));
        let dialled = dial(&platform, remote, &trust, Some(&shop), TransportChoice::Auto);
        let (_accepted, dialled) = tokio::join!(accepted, dialled);
        assert_eq!(dialled.unwrap().way.carrier, Carrier::Tcp);
    }
    assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
    assert_eq!(platform.ways.tcp_port(remote, platform.clock.now()), Some(4433));
}

#[tokio::test(start_paused = true)]
async fn without_any_way_each_one_is_named_with_what_came_of_it() {
    let memory = Memory::new(&[Fate::Answered(b""), Fate::Holds]);
    let platform = memory.platform();
    let (authority, remote) = (authority(), ([192, 0, 2, 7], 4433).into());
    let (shop, trust) = (shop(&authority), Trust::Ca(authority.certificate().to_vec()));
    let error = dial(&platform, remote, &trust, Some(&shop), TransportChoice::Auto)
        .await
        .expect_err("nobody is there")
        .to_string();
    for said in [
        "192.0.2.7:4433",
        "does not let UDP out",
        "TCP port 4433: the connection is closed before a word is said",
        "TCP port 443: no TCP connection (connection refused)",
    ] {
        assert!(error.contains(said), "{said}: {error}");
    }
}
