//! What is under a connection breaks, and the connection goes on; or the coordinator is started again, and says so.

use super::*;

/// Sends a block to the coordinator while the tunnels under it have these fates; how many there were.
async fn upload(fates: &[Fate]) -> (usize, SocketAddr, SocketAddr) {
    let memory = Memory::new(fates);
    let (platform, authority) = (memory.platform(), authority());
    let server = begin(&platform, ([192, 0, 2, 7], 4433).into(), &authority);
    let (coordinator, dialled) = meet(&platform, &server, &authority).await;
    let first = coordinator.remote_address();
    let back = echo(&coordinator, &dialled.connection).await;
    assert!(back == block(), "whole, and once");
    assert_eq!(server.endpoint().open_connections(), 1, "the same connection");
    let last = coordinator.remote_address();
    (memory.dialled(), first, last)
}

#[tokio::test(start_paused = true)]
async fn an_upload_goes_on_over_a_new_tunnel_when_a_proxy_cuts_the_old_one() {
    let begun = tokio::time::Instant::now();
    let (tunnels, first, last) =
        upload(&[Fate::CutAfter(2 << 20), Fate::CutAfter(1 << 20), Fate::Holds]).await;
    assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
    assert_eq!(tunnels, 3);
    assert_ne!(first, last, "the coordinator sees that it moved");
}

#[tokio::test(start_paused = true)]
async fn a_tunnel_that_stalls_without_a_word_is_given_up_before_its_connection_is() {
    let begun = tokio::time::Instant::now();
    let (tunnels, ..) = upload(&[Fate::StallsAfter(1 << 20), Fate::Holds]).await;
    assert_eq!(tunnels, 2);
    let took = begun.elapsed().as_secs();
    assert!((13..30).contains(&took), "{took} seconds");
}

#[tokio::test(start_paused = true)]
async fn a_connection_with_nothing_to_say_outlives_its_tunnel_too() {
    // The handshakes take less than this, and a word every few seconds soon more.
    let memory = Memory::new(&[Fate::CutAfter(20_000)]);
    let (platform, authority) = (memory.platform(), authority());
    let server = begin(&platform, ([192, 0, 2, 7], 4433).into(), &authority);
    let (coordinator, dialled) = meet(&platform, &server, &authority).await;
    let (mut send, _receive) = dialled.connection.open_bi().await.unwrap();
    send.write_all(&[7; 20_000]).await.unwrap();
    tokio::time::sleep(Duration::from_secs(300)).await;
    assert_eq!(dialled.connection.close_reason(), None);
    assert_eq!((coordinator.close_reason(), memory.dialled()), (None, 2));
}

#[test]
fn a_coordinator_that_starts_again_says_at_once_that_it_forgot_a_connection() {
    let authority = authority();
    let machine = || {
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        builder.worker_threads(1).enable_all().build().unwrap()
    };
    let (killed, shops) = (machine(), machine());
    let platform = Platform::system();
    let server = killed.block_on(async { begin(&platform, local(), &authority) });
    let address = server.listening()[0];
    let accepts = server.endpoint().clone();
    let accepted = killed.spawn(async move { accepts.accept().await.unwrap().await.unwrap() });
    let (accepted, dialled) = shops.block_on(async {
        let both = async { tokio::join!(accepted, by_tcp(&platform, address, &authority)) };
        let (accepted, dialled) = tokio::time::timeout(LIMIT, both).await.unwrap();
        (accepted.unwrap(), dialled.unwrap())
    });
    // As when its process is killed: the system closes its sockets.
    killed.shutdown_timeout(LIMIT);
    drop((accepted, server));
    shops.block_on(async {
        let _again = tokio::time::timeout(LIMIT, async {
            while std::net::TcpListener::bind(address).is_err() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            begin(&platform, address, &authority)
        })
        .await
        .expect("the port is free");
        // Nothing is asked: the new tunnel itself makes the shop say where it is. Well before a keep-alive would.
        let closed = tokio::time::timeout(Duration::from_secs(6), dialled.connection.closed()).await;
        assert_eq!(closed, Ok(quinn::ConnectionError::Reset));
    });
}
