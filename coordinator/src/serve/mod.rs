//! The coordinator's sockets: QUIC for shops, a local socket for the operator.
//!
//! | module | what |
//! |---|---|
//! | `session` | one shop's connection: carries the dialogue, which is [`crate::session`] |
//! | `transfer` | updates and blobs on their way |
//! | `state` | what all sessions share |
//! | `engine_thread` | the thread that waits for the disk |
//! | [`quota`] | what one shop may use, and who may send and fetch now |
//! | `enrolment` | refused tries to enrol get into the record |
//! | `control` | the operator's questions |
//! | `certificates` | the coordinator's own certificate |
//! | `tunnels` | where shops without UDP come in |

mod certificates;
mod control;
mod engine_thread;
mod enrolment;
pub mod quota;
mod recertify;
mod session;
mod state;
mod transfer;
mod tunnels;

use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use quinn::{Endpoint, VarInt};
use souk_common::clock::Timestamp;
use souk_common::control::ControlSocket;
use souk_common::date::date;
use souk_common::learned::LearnedError;
use souk_common::limits::{HANDSHAKE_SECS, PATIENCE_SECS};
use souk_common::plan::Plan;
use souk_common::storage::patience::open_patiently_async;
use souk_common::transport::{
    Carrier, CloseCode, Door, Identity, Platform, ResetKey, TransportError, Verdict, admit,
    server_endpoint_on,
};
use tokio_util::task::TaskTracker;

use crate::aggregate::AggregatorError;
use crate::backup;
use crate::engine::{BeginError, Engine, EngineError};
use crate::folder::{Config, FederationFolder, HomeError, LISTEN_RULE};
use crate::membership::authorities::Certification;
use crate::round::Event;
use crate::store::{Store, StoreError};

use certificates::Certificates;
use state::ServeState;
use tunnels::Tunnels;

/// What `serve` is asked for.
#[derive(Debug)]
pub struct Options {
    /// The plan.
    pub plan: Plan,
    /// Where to listen, in place of the configuration's.
    pub listen: Option<String>,
    /// End when all rounds are published.
    pub exit_when_finished: bool,
    /// Begin anew if another plan's run is unfinished.
    pub new_run: bool,
}

/// Runs the federation in `home` until `shutdown` is done (or all rounds are published, if so asked). `report` gets a
/// line when it listens and one for each round.
///
/// # Errors
/// When the address is taken, the plan does not fit, or the store fails.
pub async fn run(
    home: FederationFolder,
    options: Options,
    shutdown: impl Future<Output = ()>,
    report: impl Fn(&str) + Send + Sync + 'static,
) -> Result<(), ServeError> {
    run_on(Platform::system(), home, options, shutdown, report).await
}

/// As [`run`], on any platform.
///
/// # Errors
/// As [`run`].
pub async fn run_on(
    platform: Platform,
    home: FederationFolder,
    options: Options,
    shutdown: impl Future<Output = ()>,
    report: impl Fn(&str) + Send + Sync + 'static,
) -> Result<(), ServeError> {
    let config = home.config()?;
    let listen = options.listen.as_ref().unwrap_or(&config.listen);
    let address: SocketAddr = listen.parse().map_err(|_| ServeError::Listen {
        value: listen.clone(),
    })?;
    let clock = Arc::clone(&platform.clock);
    let certification = Certification::load(&home)?;
    let store = open_patiently(&home, &config).await?;
    let settings = config.store.settings(options.new_run);
    let catalogue = home.catalogue()?;
    let key = home.signing_key()?;
    let asked = options.plan.headroom();
    let engine = Engine::begin(clock.now(), store, key, options.plan, &catalogue, settings)?;
    let headroom = engine.plan().headroom();
    drop(catalogue);
    let own = certificates::own(&certification, config.certificates, clock.now())?;
    let serving = certification.serving();
    let bind = |address| {
        let identity = Identity {
            chain: own.identity.chain.clone(),
            key: own.identity.key.clone(),
        };
        let resets = ResetKey::derive(serving.key());
        server_endpoint_on(&platform, address, identity, serving.certificate(), resets)
    };
    let mut without_ipv6 = None;
    let mut tries = if address.port() == 0 { TRIES } else { 1 };
    let (endpoint, tunnels) = loop {
        let endpoint = match bind(address) {
            Err(error) if let Some(instead) = instead_of(address, &error) => {
                without_ipv6 = Some(instead);
                bind(instead)
            }
            bound => bound,
        }?;
        let resets = ResetKey::derive(serving.key());
        let udp = endpoint.local_addr()?;
        let ca = serving.certificate();
        let tunnels = tunnels::listen(&platform, &config, udp, &own.identity, ca, resets)?;
        tries -= 1;
        // A port that is free for UDP may be taken for TCP.
        if tunnels.server.is_some() || config.tcp.is_some() || tries == 0 {
            break (endpoint, tunnels);
        }
    };
    let local = endpoint.local_addr()?;
    let Tunnels {
        server: tunnels,
        said,
    } = tunnels;
    let certificates = Certificates::new(
        config.certificates,
        (endpoint.clone(), tunnels.clone(), platform.clone()),
        own.validity,
    );
    let hub = Arc::new(ServeState::new(
        engine,
        home.clone(),
        (certification, certificates),
        &config.limits,
        local,
        clock,
        Box::new(report),
    )?);
    // With all authorities that count.
    hub.certify(hub.now())?;
    let socket = ControlSocket::bind(&home.control())?;
    hub.report(&format!("listening on {local}"));
    said.iter().for_each(|said| hub.report(said));
    if let Some(instead) = without_ipv6 {
        hub.report(&format!(
            "this machine has no IPv6, so {address} can't be listened on: {instead} takes shops by IPv4 only"
        ));
    }
    if headroom != asked {
        hub.report(&format!(
            "this run was begun before plans had headroom: its sums have room for {headroom} times the declared users, not \
             {asked} times; a new run has"
        ));
    }
    if let Some(about) = backup::was_put_back(&home).map_err(HomeError::from)? {
        let of = match about {
            Ok(about) => format!(
                "of {} with {} entries in the record",
                date(about.made_at),
                about.log.length
            ),
            Err(error) => format!("whose backup.json can't be read ({error})"),
        };
        hub.report(&format!(
            "this folder was put back from a backup {of}: shops that have seen more of the record than it has decline \
             (docs/operations.md says what to do)"
        ));
    }
    hub.tell(Event::Started).await;
    hub.manager.ready();
    let tasks = TaskTracker::new();
    tasks.spawn(control::answer_questions(socket, Arc::clone(&hub)));
    tasks.spawn(ServeState::keep_time(Arc::clone(&hub)));
    tasks.spawn(ServeState::keep_certified(Arc::clone(&hub)));
    tasks.spawn(ServeState::keep_refusals(Arc::clone(&hub)));
    let over_tcp = tunnels.as_ref().map(|tunnels| tunnels.endpoint().clone());
    let endpoints: Vec<Endpoint> = [Some(endpoint), over_tcp].into_iter().flatten().collect();
    let door = Arc::new(Entrance {
        door: Mutex::new(Door::new(config.limits.door())),
        endpoints: endpoints.clone(),
    });
    for (endpoint, carrier) in endpoints.iter().zip([Carrier::Udp, Carrier::Tcp]) {
        let (endpoint, door) = (endpoint.clone(), Arc::clone(&door));
        tasks.spawn(accept(endpoint, carrier, door, Arc::clone(&hub), tasks.clone()));
    }
    tokio::select! {
        () = shutdown => {}
        () = hub.stop.cancelled() => {}
        () = finished(&hub), if options.exit_when_finished => {}
    }
    hub.manager.stopping();
    hub.stop.cancel();
    let code = CloseCode::Stopping;
    for endpoint in &endpoints {
        endpoint.close(VarInt::from_u32(code as u32), code.words().as_bytes());
    }
    tasks.close();
    let _ = tokio::time::timeout(LINGER, tasks.wait()).await;
    // A slow line keeps its connection for many of its round trips.
    let idle = async {
        for endpoint in &endpoints {
            endpoint.wait_idle().await;
        }
    };
    let _ = tokio::time::timeout(FAREWELL, idle).await;
    let failure = hub.take_failure();
    let ended = hub.keeper.ended(MOMENT);
    drop(hub);
    // The store is closed with the engine.
    ended.await;
    failure.map_or(Ok(()), |error| Err(error.into()))
}

/// Where to listen if `address` is every one of a machine that turns out to have no IPv6.
fn instead_of(address: SocketAddr, error: &TransportError) -> Option<SocketAddr> {
    let TransportError::Bind { source, .. } = error else {
        return None;
    };
    let is_all = address.is_ipv6() && address.ip().is_unspecified();
    let is_missing = matches!(
        source.kind(),
        ErrorKind::AddrNotAvailable | ErrorKind::Unsupported
    ) || source.raw_os_error() == Some(rustix::io::Errno::AFNOSUPPORT.raw_os_error());
    (is_all && is_missing).then(|| SocketAddr::from((Ipv4Addr::UNSPECIFIED, address.port())))
}

/// Opens the store; a command that is just reading it has a moment to finish.
async fn open_patiently(home: &FederationFolder, config: &Config) -> Result<Store, StoreError> {
    let is_busy = |error: &StoreError| matches!(error, StoreError::InUse { .. });
    open_patiently_async(is_busy, || Store::open(home.path(), config.limits.store_bytes)).await
}

/// Done when all rounds are published and every member has fetched the last model and gone, or had time enough to.
async fn finished(hub: &ServeState) {
    hub.finished.cancelled().await;
    let told = async {
        while !hub.all_told().await {
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    };
    let _ = tokio::time::timeout(MOMENT, told).await;
    let gone = async {
        while hub.has_subscribers() {
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    };
    let _ = tokio::time::timeout(LINGER, gone).await;
}

/// One door, whatever carries those who knock.
struct Entrance {
    door: Mutex<Door>,
    endpoints: Vec<Endpoint>,
}

impl Entrance {
    fn knock(&self, now: Timestamp, from: IpAddr, proven: bool) -> Verdict {
        let open = self.endpoints.iter().map(Endpoint::open_connections).sum();
        let mut door = self.door.lock().unwrap_or_else(PoisonError::into_inner);
        door.knock(now, from, proven, open)
    }
}

/// Lets peers in, within what all may do, and what each address may.
async fn accept(
    endpoint: Endpoint,
    carrier: Carrier,
    door: Arc<Entrance>,
    hub: Arc<ServeState>,
    tasks: TaskTracker,
) {
    while let Some(incoming) = endpoint.accept().await {
        // TCP itself shows that a peer is where it says.
        let proven = carrier == Carrier::Tcp || incoming.remote_address_validated();
        let from = incoming.remote_address().ip();
        let verdict = door.knock(hub.now(), from, proven);
        let Some(incoming) = admit(incoming, verdict) else {
            continue;
        };
        let Ok(stranger) = Arc::clone(&hub.strangers).try_acquire_owned() else {
            incoming.refuse();
            continue;
        };
        let hub = Arc::clone(&hub);
        tasks.spawn(async move {
            let shaken = async { incoming.await };
            match tokio::time::timeout(HANDSHAKE, shaken).await {
                Ok(Ok(connection)) => session::run(hub, connection, carrier, stranger).await,
                Ok(Err(error)) => tracing::info!(%error, %from, "a connection was refused"),
                Err(_) => tracing::info!(%from, "a handshake took too long"),
            }
        });
    }
}

/// Why `serve` ended with an error.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// No socket address.
    #[error("--listen is {value:?}; it must be {LISTEN_RULE}")]
    Listen {
        /// As given.
        value: String,
    },
    /// The folder.
    #[error(transparent)]
    FederationFolder(#[from] HomeError),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The run.
    #[error(transparent)]
    Begin(#[from] BeginError),
    /// The run, later.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The socket.
    #[error(transparent)]
    Transport(#[from] TransportError),
    /// The engine's thread.
    #[error("can't start a thread: {0}")]
    Thread(#[source] std::io::Error),
    /// The control socket.
    #[error("can't listen for commands: {0}")]
    Control(#[from] std::io::Error),
}

impl ServeError {
    /// Whether the operator has to say something else.
    pub fn is_usage(&self) -> bool {
        match self {
            Self::Listen { .. } => true,
            Self::FederationFolder(error) => error.is_usage(),
            Self::Begin(error) => matches!(
                error,
                BeginError::Aggregator(AggregatorError::Learned(LearnedError::Grid(_)))
                    | BeginError::OtherRun { .. }
            ),
            _ => false,
        }
    }
}

/// A peer that says nothing within a request, or asks for nothing, is given up after so long.
const PATIENCE: Duration = Duration::from_secs(PATIENCE_SECS);
/// A handshake that takes longer is given up.
const HANDSHAKE: Duration = Duration::from_secs(HANDSHAKE_SECS);
const LOOK_AGAIN: Duration = Duration::from_millis(20);
/// To find a port that neither UDP nor TCP has given away.
const TRIES: u32 = 8;
/// For shops that are connected to fetch the last model.
const LINGER: Duration = Duration::from_secs(20);
/// For the word that it stops to leave, more than once if it is lost.
const FAREWELL: Duration = Duration::from_secs(3);
/// For members that are not connected to hear that the run is complete.
const MOMENT: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_without_ipv6_listens_by_ipv4_and_any_other_failure_stays_one() {
        let all: SocketAddr = "[::]:4433".parse().unwrap();
        let carrier = Carrier::Udp;
        let fails = |address, source: std::io::Error| {
            instead_of(
                address,
                &TransportError::Bind {
                    carrier,
                    address,
                    source,
                },
            )
        };
        let missing = || std::io::Error::from_raw_os_error(rustix::io::Errno::AFNOSUPPORT.raw_os_error());
        assert_eq!(fails(all, missing()), Some("0.0.0.0:4433".parse().unwrap()));
        assert_eq!(
            fails(all, ErrorKind::AddrNotAvailable.into()),
            Some("0.0.0.0:4433".parse().unwrap())
        );
        assert_eq!(fails(all, ErrorKind::PermissionDenied.into()), None);
        assert_eq!(fails("[2001:db8::7]:4433".parse().unwrap(), missing()), None);
        assert_eq!(
            instead_of(
                all,
                &TransportError::Taken {
                    carrier,
                    address: all
                }
            ),
            None
        );
    }
}
