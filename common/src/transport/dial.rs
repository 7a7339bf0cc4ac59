//! Dials a coordinator over whatever leads there: UDP with a head start, then TCP beside it; the first handshake wins.

use std::net::SocketAddr;
use std::pin::pin;
use std::time::Duration;

use quinn::{Connection, Endpoint};
use tokio::sync::Notify;

use super::carrier::Carrier;
use super::endpoint::{client_endpoint_on, connect};
use super::error::TransportError;
use super::platform::Platform;
use super::tls::{Identity, Trust};
use super::tunnel::{self, TunnelError, Tunnelled};
use super::ways::TransportChoice;
use crate::limits::{HANDSHAKE_SECS, UDP_HEAD_START_SECS};

/// A connection, as long as this is held.
#[derive(Debug)]
pub struct Dialled {
    /// It.
    pub connection: Connection,
    /// What carries it.
    pub way: Way,
    holder: Holder,
}

/// What carries a connection.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Way {
    /// UDP, or a tunnel over TCP.
    pub carrier: Carrier,
    /// Where the coordinator's end is.
    pub remote: SocketAddr,
}

/// What drives it.
#[derive(Debug)]
enum Holder {
    Udp(Endpoint),
    Tcp(Tunnelled),
}

impl Dialled {
    /// Done when the last words of a connection that was closed have left.
    pub async fn wait_idle(&self) {
        match &self.holder {
            Holder::Udp(endpoint) => endpoint.wait_idle().await,
            Holder::Tcp(tunnelled) => tunnelled.endpoint.wait_idle().await,
        }
    }
}

/// Dials the coordinator at `remote`: UDP first, and TCP at the same port and then at 443 if nobody answers or the system does
/// not let UDP out. What led there is remembered in `platform`; without identity a shop may only join.
///
/// # Errors
/// When nothing leads there, or somebody answers without the right certificate.
pub async fn dial(
    platform: &Platform,
    remote: SocketAddr,
    trust: &Trust,
    identity: Option<&Identity>,
    choice: TransportChoice,
) -> Result<Dialled, TransportError> {
    let dialling = Dialling {
        platform,
        remote,
        trust,
        identity,
    };
    let known = platform.ways.tcp_port(remote, platform.clock.now());
    if let (TransportChoice::Auto, Some(port)) = (choice, known) {
        match dialling.by_tcp(port).await {
            Ok(dialled) => return Ok(dialled),
            Err(Failed::Certificate(error)) => return Err(error),
            // It leads there no more.
            Err(Failed::Way(_)) => platform.ways.forget(remote),
        }
    }
    let dialled = match choice {
        TransportChoice::Udp => dialling.by_udp().await,
        TransportChoice::Tcp => dialling.by_any_port().await,
        TransportChoice::Auto => {
            // A try that ends without an answer is not waited for.
            let ended = Notify::new();
            let udp = async { dialling.by_udp().await.inspect_err(|_| ended.notify_one()) };
            let tcp = async {
                let _ = tokio::time::timeout(HEAD_START, ended.notified()).await;
                dialling.by_any_port().await
            };
            first_of(udp, tcp).await
        }
    };
    let dialled = dialled.map_err(|failed| match failed {
        Failed::Certificate(error) => error,
        Failed::Way(tried) => TransportError::NoWay { remote, tried },
    })?;
    if let (TransportChoice::Auto, Carrier::Tcp) = (choice, dialled.way.carrier) {
        let (port, now) = (dialled.way.remote.port(), platform.clock.now());
        platform.ways.note_tcp(remote, port, now);
    }
    Ok(dialled)
}

/// Why a way does not lead there.
enum Failed {
    /// The coordinator answers, and its certificate or this shop's is not taken: no other way changes that.
    Certificate(TransportError),
    /// Another way may lead there.
    Way(String),
}

struct Dialling<'a> {
    platform: &'a Platform,
    remote: SocketAddr,
    trust: &'a Trust,
    identity: Option<&'a Identity>,
}

impl Dialling<'_> {
    async fn by_udp(&self) -> Result<Dialled, Failed> {
        let remote = self.remote;
        if let Some(error) = self.platform.sockets.forbids(remote) {
            return Err(Failed::Way(format!(
                "this machine does not let UDP out ({error})"
            )));
        }
        let endpoint =
            client_endpoint_on(self.platform, remote, self.trust.clone(), self.identity).map_err(failed)?;
        let connected = tokio::time::timeout(UDP_LIMIT, connect(&endpoint, remote)).await;
        let connection = match connected {
            Ok(connected) => connected.map_err(failed)?,
            Err(_) => return Err(Failed::Way("no answer over UDP".to_owned())),
        };
        Ok(Dialled {
            connection,
            way: Way {
                carrier: Carrier::Udp,
                remote,
            },
            holder: Holder::Udp(endpoint),
        })
    }

    /// At the port of UDP, and a little later at that of HTTPS, which few networks close.
    async fn by_any_port(&self) -> Result<Dialled, Failed> {
        let port = self.remote.port();
        if port == HTTPS {
            return self.by_tcp(port).await;
        }
        let ended = Notify::new();
        let same = async { self.by_tcp(port).await.inspect_err(|_| ended.notify_one()) };
        let https = async {
            let _ = tokio::time::timeout(PORT_HEAD_START, ended.notified()).await;
            self.by_tcp(HTTPS).await
        };
        first_of(same, https).await
    }

    async fn by_tcp(&self, port: u16) -> Result<Dialled, Failed> {
        let remote = SocketAddr::new(self.remote.ip(), port);
        let tunnelled = tunnel::open(self.platform, self.trust, self.identity, remote).await;
        let tunnelled = tunnelled.map_err(|error| match error {
            TunnelError::Refused(refusal) => Failed::Certificate(TransportError::Refused { remote, refusal }),
            error => Failed::Way(format!("TCP port {port}: {error}")),
        })?;
        let connected = connect(&tunnelled.endpoint, remote);
        match tokio::time::timeout(HANDSHAKE, connected).await {
            Ok(connected) => Ok(Dialled {
                connection: connected.map_err(failed)?,
                way: Way {
                    carrier: Carrier::Tcp,
                    remote,
                },
                holder: Holder::Tcp(tunnelled),
            }),
            Err(_) => Err(Failed::Way(format!(
                "TCP port {port}: a tunnel came about and nobody answers in it"
            ))),
        }
    }
}

fn failed(error: TransportError) -> Failed {
    match error {
        TransportError::Connect { reason, .. } => Failed::Way(reason),
        error @ (TransportError::Bind { .. } | TransportError::Taken { .. }) => {
            Failed::Way(error.to_string())
        }
        error => Failed::Certificate(error),
    }
}

/// The first that leads there; else what came of both.
async fn first_of(
    one: impl Future<Output = Result<Dialled, Failed>>,
    other: impl Future<Output = Result<Dialled, Failed>>,
) -> Result<Dialled, Failed> {
    let (mut one, mut other) = (pin!(one), pin!(other));
    let (mut of_one, mut of_other) = (None, None);
    loop {
        let (ended, noted) = tokio::select! {
            ended = &mut one, if of_one.is_none() => (ended, &mut of_one),
            ended = &mut other, if of_other.is_none() => (ended, &mut of_other),
            else => {
                let tried: Vec<String> = [of_one, of_other].into_iter().flatten().collect();
                return Err(Failed::Way(tried.join("; ")));
            }
        };
        match ended {
            Err(Failed::Way(tried)) => *noted = Some(tried),
            decided => return decided,
        }
    }
}

const HEAD_START: Duration = Duration::from_secs(UDP_HEAD_START_SECS);
/// Of the port of UDP, before that of HTTPS is tried beside it.
const PORT_HEAD_START: Duration = Duration::from_secs(1);
/// A line that loses much gets through in this time, or not at all.
const UDP_LIMIT: Duration = Duration::from_secs(16);
const HANDSHAKE: Duration = Duration::from_secs(HANDSHAKE_SECS);
const HTTPS: u16 = 443;
