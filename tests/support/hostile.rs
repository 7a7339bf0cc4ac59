//! A peer that holds certificates and says what it likes.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use quinn::{Connection, Endpoint, RecvStream, SendStream};
use souk_common::clock::{Clock, SystemClock};
use souk_common::crypto::pki::{Authority, shop_key};
use souk_common::transport::{
    Dialled, Framed, Identity, Platform, TransportChoice, Trust, client_endpoint, connect, dial, read_frame,
    write_frame,
};
use souk_common::wire::messages::{Reply, Request};

/// A connection; it ends with its handle.
pub struct HostilePeer {
    /// To the coordinator.
    pub connection: Connection,
    _holder: (Option<Endpoint>, Option<Dialled>),
}

impl HostilePeer {
    /// Dials as `identity`, or as a joiner; none if the coordinator turns it away.
    pub async fn dial(address: SocketAddr, ca: Vec<u8>, identity: Option<&Identity>) -> Option<Self> {
        let endpoint = client_endpoint(address, Trust::Ca(ca), identity).expect("a socket");
        let connection = in_time(connect(&endpoint, address)).await.ok()?;
        Some(Self {
            connection,
            _holder: (Some(endpoint), None),
        })
    }

    /// The same over UDP or TCP.
    pub async fn dial_over(
        choice: TransportChoice,
        address: SocketAddr,
        ca: Vec<u8>,
        identity: Option<&Identity>,
    ) -> Option<Self> {
        let (platform, trust) = (Platform::system(), Trust::Ca(ca));
        let dialled = in_time(dial(&platform, address, &trust, identity, choice))
            .await
            .ok()?;
        Some(Self {
            connection: dialled.connection.clone(),
            _holder: (None, Some(dialled)),
        })
    }

    /// Asks on a new stream; none if the connection ends instead of an answer.
    pub async fn ask(&self, request: &Request) -> Option<(Reply, SendStream, RecvStream)> {
        self.ask_for(request).await
    }

    /// The same, where the answer is of another kind.
    pub async fn ask_for<T: Framed>(&self, request: &Request) -> Option<(T, SendStream, RecvStream)> {
        let (mut send, mut receive) = in_time(self.connection.open_bi()).await.ok()?;
        in_time(write_frame(&mut send, request)).await.ok()?;
        let reply = in_time(read_frame(&mut receive)).await.ok()??;
        Some((reply, send, receive))
    }

    /// Writes bytes on a new stream and ends it; what is answered, if anything.
    pub async fn say(&self, bytes: &[u8]) -> Option<Reply> {
        let (mut send, mut receive) = in_time(self.connection.open_bi()).await.ok()?;
        in_time(send.write_all(bytes)).await.ok()?;
        let _ = send.finish();
        in_time(read_frame(&mut receive)).await.ok()?
    }

    /// The number that the coordinator closes the connection with.
    pub async fn close_code(&self) -> Option<u64> {
        match in_time(self.connection.closed()).await {
            quinn::ConnectionError::ApplicationClosed(closed) => Some(closed.error_code.into_inner()),
            other => {
                eprintln!("the connection ended otherwise: {other}");
                None
            }
        }
    }
}

/// The certificate that a shop got when it joined.
pub fn identity_of(folder: &Path) -> (Identity, Vec<u8>) {
    let folder = souk_client::folder::Folder::new(folder);
    let membership = souk_client::membership::Membership::load(&folder).expect("a member");
    (membership.identity(&folder).expect("a key"), membership.ca)
}

/// A certificate that `authority` gives to a shop of this name.
pub fn issue(authority: &Authority, shop: &str) -> Identity {
    let (key, csr) = shop_key().expect("entropy");
    let shop = shop.parse().expect("a name");
    let leaf = authority.issue_shop(&csr, &shop, SystemClock.now());
    Identity {
        chain: vec![leaf.expect("a certificate")],
        key,
    }
}

/// A test that waits for ever tells nothing.
pub async fn in_time<T>(what: impl Future<Output = T>) -> T {
    let done = tokio::time::timeout(Duration::from_secs(120), what).await;
    done.expect("an answer within two minutes")
}
