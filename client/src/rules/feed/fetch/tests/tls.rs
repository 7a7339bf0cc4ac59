//! Whom a feed is taken from.

use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use souk_common::clock::SystemClock;
use souk_common::crypto::pki::Authority;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::{ServerConfig, ServerConnection, Stream};

use super::*;

#[test]
fn a_server_whose_certificate_is_of_no_public_authority_is_refused() {
    let now = SystemClock.now();
    let authority = Authority::create("test", now).unwrap();
    let (certificate, key) = authority.issue_coordinator(now).unwrap();
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.to_vec()));
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![CertificateDer::from(certificate)], key)
        .unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let source = FeedSource {
        url: Some(format!(
            "https://localhost:{}/feed",
            listener.local_addr().unwrap().port()
        )),
        ..FeedSource::default()
    };
    let server = std::thread::spawn(move || {
        let mut connection = ServerConnection::new(Arc::new(config)).unwrap();
        let (mut stream, _) = listener.accept().unwrap();
        // The client hangs up before it has asked for anything.
        Stream::new(&mut connection, &mut stream)
            .read(&mut [0; 4096])
            .is_err()
    });
    let (state, taken, _) = Shop::new().fetch(&source, patient());
    let trouble = state.trouble.unwrap();
    assert!(
        trouble.contains("can't be reached") && trouble.contains("certificate"),
        "{trouble}"
    );
    assert!(server.join().unwrap() && taken.is_none());
}
