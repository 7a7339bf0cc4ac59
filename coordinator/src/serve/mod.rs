//! The coordinator's sockets: QUIC for shops, a local socket for the operator.

mod control;
mod hub;
mod session;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use quinn::{Endpoint, VarInt};
use souk_common::clock::{Clock, SystemClock, Timestamp};
use souk_common::round::plan::Plan;
use souk_common::transport::{Identity, TransportError, server_endpoint};
use souk_common::wire::limits::MAX_CONNECTIONS;
use tokio_util::task::TaskTracker;

use crate::engine::{BeginError, Engine, EngineError, Settings};
use crate::home::{Home, HomeError};
use crate::round::Event;
use crate::store::Store;

pub use control::{Command, ControlError, ask, execute};
use hub::Hub;

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
    home: Home,
    options: Options,
    shutdown: impl Future<Output = ()>,
    report: impl Fn(&str) + Send + Sync + 'static,
) -> Result<(), ServeError> {
    let config = home.config()?;
    let listen = options.listen.as_ref().unwrap_or(&config.listen);
    let address: SocketAddr = listen.parse().map_err(|_| ServeError::Listen {
        value: listen.clone(),
    })?;
    let clock = SystemClock;
    let authority = home.authority()?;
    let store = Store::open(home.path(), config.limits.store_bytes)?;
    let settings = Settings {
        keep_parts: config.store.keep_parts,
        new_run: options.new_run,
    };
    let catalogue = home.catalogue()?;
    let key = home.signing_key()?;
    let engine = Engine::begin(clock.now(), store, key, options.plan, &catalogue, settings)?;
    drop(catalogue);
    let (certificate, key) = authority
        .issue_coordinator(clock.now())
        .map_err(HomeError::from)?;
    let chain = vec![certificate, authority.certificate().to_vec()];
    let endpoint = server_endpoint(address, Identity { chain, key }, authority.certificate())?;
    let local = endpoint.local_addr()?;
    let hub = Arc::new(Hub::new(
        engine,
        home.clone(),
        authority,
        &config.limits,
        local,
        Box::new(report),
    )?);
    let control = control::Socket::bind(&home)?;
    hub.report(&format!("listening on {local}"));
    hub.tell(Event::Started);
    let tasks = TaskTracker::new();
    tasks.spawn(control.serve(Arc::clone(&hub)));
    tasks.spawn(Hub::keep_time(Arc::clone(&hub)));
    tasks.spawn(accept(endpoint.clone(), Arc::clone(&hub), tasks.clone()));
    tokio::select! {
        () = shutdown => {}
        () = hub.stop.cancelled() => {}
        () = finished(&hub), if options.exit_when_finished => {}
    }
    hub.stop.cancel();
    endpoint.close(VarInt::from_u32(0), b"the coordinator stops");
    tasks.close();
    let _ = tokio::time::timeout(LINGER, tasks.wait()).await;
    endpoint.wait_idle().await;
    match hub.take_failure() {
        Some(error) => Err(error.into()),
        None => Ok(()),
    }
}

/// Done when all rounds are published and the shops have fetched the last model and gone, or had time enough to.
async fn finished(hub: &Hub) {
    hub.finished.cancelled().await;
    let gone = async {
        while hub.has_subscribers() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let _ = tokio::time::timeout(LINGER, gone).await;
}

async fn accept(endpoint: Endpoint, hub: Arc<Hub>, tasks: TaskTracker) {
    while let Some(incoming) = endpoint.accept().await {
        if endpoint.open_connections() >= MAX_CONNECTIONS {
            incoming.refuse();
            continue;
        }
        let hub = Arc::clone(&hub);
        tasks.spawn(async move {
            match incoming.await {
                Ok(connection) => session::run(hub, connection).await,
                Err(error) => tracing::info!(%error, "a connection was refused"),
            }
        });
    }
}

fn now() -> Timestamp {
    SystemClock.now()
}

/// Why `serve` ended with an error.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// No socket address.
    #[error("listen is {value:?}; it must be an IP address and a port, like 127.0.0.1:4433")]
    Listen {
        /// As given.
        value: String,
    },
    /// The folder.
    #[error(transparent)]
    Home(#[from] HomeError),
    /// The store.
    #[error(transparent)]
    Store(#[from] crate::store::StoreError),
    /// The run.
    #[error(transparent)]
    Begin(#[from] BeginError),
    /// The run, later.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The socket.
    #[error(transparent)]
    Transport(#[from] TransportError),
    /// The control socket.
    #[error("can't listen for commands: {0}")]
    Control(#[from] std::io::Error),
}

const LINGER: Duration = Duration::from_secs(20);
