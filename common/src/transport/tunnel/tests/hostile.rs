//! What else answers where a coordinator was expected, and what else knocks where tunnels are.

use super::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// What a shop is told that finds this where its coordinator should be.
async fn told(fate: Fate) -> String {
    let memory = Memory::new(&[fate]);
    let error = by_tcp(&memory.platform(), ([192, 0, 2, 7], 443).into(), &authority()).await;
    error.expect_err("no coordinator").to_string()
}

#[tokio::test(start_paused = true)]
async fn a_captive_portal_is_quoted_with_what_to_do() {
    let portal = b"HTTP/1.1 302 Found\r\nLocation: http://login.hotel.example/\r\n\r\n";
    let error = told(Fate::Answered(portal)).await;
    for said in [
        "TCP port 443",
        "something else answers there",
        "HTTP/1.1 302 Found",
        "sign in there with a browser",
    ] {
        assert!(error.contains(said), "{said}: {error}");
    }
    let rude = told(Fate::Answered(b"\x1b]0;owned\x07 220 smtp")).await;
    assert!(!rude.contains('\x1b') && rude.contains("220 smtp"), "{rude}");
    let silent = told(Fate::Answered(b"")).await;
    assert!(silent.contains("closed before a word is said"), "{silent}");
    let stalled = told(Fate::StallsAfter(0)).await;
    assert!(
        stalled.contains("connection refused"),
        "nobody listens: {stalled}"
    );
}

/// What a shop of `ours` is told by a TLS server with this certificate.
async fn told_by(server: Identity, alpn: &[u8], ours: &Authority) -> TransportError {
    let platform = Platform::system();
    let mut tls = crate::transport::tls::server_tls(&platform, &server, &[], alpn).unwrap();
    if alpn.is_empty() {
        tls.alpn_protocols.clear();
    }
    let listener = tokio::net::TcpListener::bind(local()).await.unwrap();
    let address = listener.local_addr().unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(std::sync::Arc::new(tls));
    let portal = tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let _ = acceptor.accept(stream).await;
        }
    });
    let trust = Trust::Ca(ours.certificate().to_vec());
    let opened = outer::open(&platform, &trust, address).await;
    portal.abort();
    match opened.err().expect("no tunnel") {
        TunnelError::Refused(refusal) => TransportError::Refused {
            remote: address,
            refusal,
        },
        error => TransportError::NoWay {
            remote: address,
            tried: error.to_string(),
        },
    }
}

#[tokio::test]
async fn tls_of_another_authority_or_another_program_is_named_and_another_federation_is_told_apart() {
    let (ours, theirs) = (authority(), authority());
    let mut params = rcgen::CertificateParams::new(vec!["login.hotel.example".to_owned()]).unwrap();
    let name = "Hotel Portal";
    params.distinguished_name.push(rcgen::DnType::CommonName, name);
    let key = rcgen::KeyPair::generate().unwrap();
    let portal = Identity {
        chain: vec![params.self_signed(&key).unwrap().der().to_vec()],
        key: key.serialize_der().into(),
    };
    let error = told_by(portal, ALPN, &ours).await.to_string();
    for said in ["something else answers there", name, "a proxy that opens TLS"] {
        assert!(error.contains(said), "{said}: {error}");
    }
    let refused = told_by(coordinator(&theirs), ALPN, &ours).await;
    assert!(
        matches!(refused, TransportError::Refused { refusal, .. }
            if refusal == CertificateRefusal::CoordinatorsAuthority),
        "{refused}"
    );
    for alpn in [&b"h2"[..], b""] {
        let error = told_by(coordinator(&ours), alpn, &ours).await.to_string();
        assert!(error.contains("speaks TLS and takes no tunnel"), "{error}");
    }
}

/// Sends `bytes` to a listener for tunnels; done when it has closed the connection.
async fn knock(address: SocketAddr, bytes: &[u8]) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    // It may close before it has read all.
    let _ = stream.write_all(bytes).await;
    let _ = tokio::time::timeout(LIMIT, stream.read_to_end(&mut Vec::new()))
        .await
        .expect("it is closed in time");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn garbage_and_lengths_that_are_none_end_their_own_tunnel_only() {
    let (platform, authority) = (Platform::system(), authority());
    let server = begin(&platform, local(), &authority);
    let address = server.listening()[0];
    let (coordinator, dialled) = meet(&platform, &server, &authority).await;
    knock(address, b"GET / HTTP/1.1\r\nHost: souk\r\n\r\n").await;
    knock(address, &[0xff; 4096]).await;
    let trust = Trust::Ca(authority.certificate().to_vec());
    for bytes in [
        &b"\0\0"[..],
        &b"\xff\xff"[..],
        // Datagrams of noise are for QUIC to drop; then one that is none.
        &b"\x05\0noise\x01\0\xc0\0\0"[..],
    ] {
        let mut tunnel = outer::open(&platform, &trust, address).await.unwrap();
        tunnel.write_all(bytes).await.unwrap();
        tunnel.flush().await.unwrap();
        let ended = tokio::time::timeout(LIMIT, tunnel.read_to_end(&mut Vec::new())).await;
        assert!(ended.is_ok(), "it is cut in time");
    }
    assert!(echo(&coordinator, &dialled.connection).await == block());
    assert_eq!(server.endpoint().open_connections(), 1);
}

#[tokio::test(start_paused = true)]
async fn who_shakes_hands_slowly_or_says_nothing_then_loses_its_place() {
    let memory = Memory::new(&[]);
    let (platform, authority) = (memory.platform(), authority());
    let address = ([192, 0, 2, 7], 4433).into();
    let server = begin(&platform, address, &authority);
    let begun = tokio::time::Instant::now();
    let mut slow = platform.sockets.dial(address).await.unwrap();
    // A TLS record's header, then a byte a second.
    slow.write_all(&[22, 3, 1, 2, 0]).await.unwrap();
    while slow.write_all(&[1]).await.is_ok() {
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    assert!(begun.elapsed() < Duration::from_secs(15), "{:?}", begun.elapsed());
    let trust = Trust::Ca(authority.certificate().to_vec());
    let mut quiet = outer::open(&platform, &trust, address).await.unwrap();
    assert_eq!(server.open_tunnels(), 1);
    let begun = tokio::time::Instant::now();
    let _ = quiet.read(&mut [0]).await;
    assert!(
        begun.elapsed() <= Duration::from_secs(11),
        "{:?}",
        begun.elapsed()
    );
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(server.open_tunnels(), 0);
}

#[tokio::test(start_paused = true)]
async fn an_address_has_so_many_tunnels_and_the_next_one_is_told() {
    let memory = Memory::new(&[]);
    let (platform, authority) = (memory.platform(), authority());
    let server = begin(&platform, ([192, 0, 2, 7], 443).into(), &authority);
    let mut held = Vec::new();
    for _ in 0..rules().per_address {
        held.push(meet(&platform, &server, &authority).await);
    }
    let error = by_tcp(&platform, server.listening()[0], &authority).await;
    let error = error.expect_err("one too many").to_string();
    assert!(
        error.contains("too many tunnels come from this address"),
        "{error}"
    );
    // One that ends makes room.
    let (coordinator, dialled) = held.pop().unwrap();
    dialled.connection.close(VarInt::from_u32(0), b"done");
    dialled.wait_idle().await;
    drop((coordinator, dialled));
    tokio::time::sleep(Duration::from_secs(1)).await;
    let _again = meet(&platform, &server, &authority).await;
    assert!(echo(&held[0].0, &held[0].1.connection).await == block());
}
