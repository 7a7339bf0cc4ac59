//! Either end moves: a coordinator that is started again, a shop that gets another address.

use std::time::Duration;

use super::{LIMIT, coordinator, resets, shop};
use crate::clock::{Clock, SystemClock};
use crate::crypto::pki::Authority;
use crate::limits::CONNECTION_WINDOW_BYTES;
use crate::transport::endpoint::*;

#[test]
fn a_coordinator_that_starts_again_says_at_once_that_it_forgot_a_connection() {
    let authority = Authority::create("a", SystemClock.now()).unwrap();
    let ca = authority.certificate();
    let north = shop(&authority, "north");
    let machine = || {
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        builder.worker_threads(1).enable_all().build().unwrap()
    };
    let begin = |address: SocketAddr, secret: &[u8]| {
        server_endpoint(address, coordinator(&authority), ca, ResetKey::derive(secret)).unwrap()
    };
    for (secret, hears) in [(&b"a secret"[..], true), (b"another secret", false)] {
        let (killed, shops) = (machine(), machine());
        let server = killed.block_on(async { begin((Ipv4Addr::LOCALHOST, 0).into(), b"a secret") });
        let address = server.local_addr().unwrap();
        // All that is the coordinator's runs on its own threads.
        let accepts = server.clone();
        let accepted = killed.spawn(async move { accepts.accept().await.unwrap().await.unwrap() });
        let (accepted, dialled, _client) = shops.block_on(async {
            let client = client_endpoint(address, Trust::Ca(ca.to_vec()), Some(&north)).unwrap();
            let both = async { tokio::join!(accepted, connect(&client, address)) };
            let (accepted, dialled) = tokio::time::timeout(LIMIT, both).await.unwrap();
            (accepted.unwrap(), dialled.unwrap(), client)
        });
        // As when its process is killed: it says nothing more.
        killed.shutdown_timeout(LIMIT);
        drop((accepted, server));
        shops.block_on(async {
            let _again = tokio::time::timeout(LIMIT, async {
                while std::net::UdpSocket::bind(address).is_err() {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
                begin(address, secret)
            })
            .await
            .expect("the port is free");
            // QUIC may have had a word of its own to say, and the answer may be here.
            if let Ok((mut send, _receive)) = dialled.open_bi().await {
                let _ = send.write_all(b"are you there?").await;
            }
            let closed = tokio::time::timeout(Duration::from_secs(2), dialled.closed()).await;
            assert_eq!(closed == Ok(quinn::ConnectionError::Reset), hears, "{closed:?}");
        });
    }
}

#[tokio::test]
async fn a_shop_that_moves_to_another_address_in_the_middle_of_a_block_keeps_its_connection() {
    let authority = Authority::create("a", SystemClock.now()).unwrap();
    let ca = authority.certificate();
    let north = shop(&authority, "north");
    let local = (Ipv4Addr::LOCALHOST, 0).into();
    let server = server_endpoint(local, coordinator(&authority), ca, resets()).unwrap();
    let remote = server.local_addr().unwrap();
    let client = client_endpoint(remote, Trust::Ca(ca.to_vec()), Some(&north)).unwrap();
    let block = vec![7; 5 * CONNECTION_WINDOW_BYTES as usize];
    let moved = async {
        let connection = connect(&client, remote).await.unwrap();
        let (mut send, mut receive) = connection.open_bi().await.unwrap();
        for (at, piece) in block.chunks(CONNECTION_WINDOW_BYTES as usize).enumerate() {
            if at == 2 {
                let elsewhere = std::net::UdpSocket::bind((Ipv4Addr::new(127, 0, 0, 2), 0)).unwrap();
                client.rebind(elsewhere).unwrap();
            }
            send.write_all(piece).await.unwrap();
        }
        send.finish().unwrap();
        assert_eq!(receive.read_to_end(9).await.unwrap(), b"received");
    };
    let taken = async {
        let connection = server.accept().await.unwrap().await.unwrap();
        let first = connection.remote_address();
        let (mut send, mut receive) = connection.accept_bi().await.unwrap();
        let got = receive.read_to_end(block.len()).await.unwrap();
        let last = connection.remote_address();
        send.write_all(b"received").await.unwrap();
        send.finish().unwrap();
        send.stopped().await.unwrap();
        (first, last, got.len())
    };
    let both = async { tokio::join!(taken, moved) };
    let ((first, last, got), ()) = tokio::time::timeout(LIMIT, both).await.expect("in time");
    assert_eq!(
        (first.ip(), last.ip(), got),
        (
            Ipv4Addr::LOCALHOST.into(),
            Ipv4Addr::new(127, 0, 0, 2).into(),
            block.len()
        )
    );
    assert_eq!(server.open_connections(), 1);
}
