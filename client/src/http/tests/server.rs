//! The listening end, and what strangers do to it.

use std::io::{Read, Write};
use std::net::TcpStream;

use super::*;

/// A service on a port of the system's choice.
fn served(shop: &Shop) -> HttpServer {
    let any = SocketAddr::from((std::net::Ipv4Addr::LOCALHOST, 0));
    shop.api
        .serve(&Folder::new(shop.dir.path()), &shop.config.http, any)
        .unwrap()
}

fn exchange(address: SocketAddr, request: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    // The server may answer, and close, before it has read all.
    let _ = stream.write_all(request);
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

const HEALTH: &[u8] = b"GET /v1/healthz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";

#[test]
fn heads_of_a_megabyte_and_what_is_no_http_are_refused_and_others_are_served() {
    let shop = Shop::open();
    let server = served(&shop);
    let huge = [
        b"GET / HTTP/1.1\r\nhost: localhost\r\nx: ",
        &vec![b'a'; 1 << 20][..],
        b"\r\n\r\n",
    ]
    .concat();
    let answer = exchange(server.address(), &huge);
    assert!(
        answer.is_empty() || answer.starts_with("HTTP/1.1 431"),
        "{answer}"
    );
    let many: String = (0..10_000).map(|at| format!("x-{at}: 1\r\n")).collect();
    let many = format!("GET / HTTP/1.1\r\nhost: localhost\r\n{many}\r\n");
    let path = format!("GET /{} HTTP/1.1\r\nhost: localhost\r\n\r\n", "a".repeat(1 << 20));
    for request in [many, path] {
        let answer = exchange(server.address(), request.as_bytes());
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{answer}");
    }
    let answer = exchange(server.address(), b"\x16\x03\x01 this is no HTTP\r\n\r\n");
    assert!(
        answer.is_empty() || answer.starts_with("HTTP/1.1 400"),
        "{answer}"
    );
    let answer = exchange(server.address(), HEALTH);
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    let address = server.address();
    drop(server);
    assert!(TcpStream::connect(address).is_err(), "it listens no more");
}

#[test]
fn idle_connections_keep_nobody_out() {
    let shop = Shop::open();
    let any = SocketAddr::from((std::net::Ipv4Addr::LOCALHOST, 0));
    let server = HttpServer::start(any, None, shop.api.app(&shop.config.http, any), 20).unwrap();
    // More than may be open at once.
    let idle: Vec<TcpStream> = (0..50)
        .map(|_| TcpStream::connect(server.address()).unwrap())
        .collect();
    assert_eq!(idle.len(), 50);
    let answer = exchange(server.address(), HEALTH);
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

#[test]
fn a_service_that_others_can_reach_needs_a_certificate() {
    let shop = Shop::open();
    let folder = Folder::new(shop.dir.path());
    let open = SocketAddr::from(([0, 0, 0, 0], 0));
    let said = shop
        .api
        .serve(&folder, &shop.config.http, open)
        .unwrap_err()
        .to_string();
    assert!(said.contains("tls_cert"), "{said}");
    let half = HttpConfig {
        tls_cert: Some("cert.pem".into()),
        ..HttpConfig::default()
    };
    assert!(
        half.tls(&folder, open)
            .err()
            .unwrap()
            .to_string()
            .contains("both")
    );
    let path = HttpConfig {
        origins: vec!["https://www.shop.example/".to_owned()],
        ..HttpConfig::default()
    };
    let any = SocketAddr::from((std::net::Ipv4Addr::LOCALHOST, 0));
    let said = shop.api.serve(&folder, &path, any).unwrap_err().to_string();
    assert!(said.contains("\"https://www.shop.example/\""), "{said}");
    let missing = HttpConfig {
        tls_key: Some("key.pem".into()),
        ..half
    };
    let said = format!("{:#}", missing.tls(&folder, open).err().unwrap());
    assert!(said.contains("cert.pem"), "{said}");
}
