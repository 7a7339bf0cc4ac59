//! What all sessions share: the engine, who is subscribed, and the timer.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use quinn::Connection;
use souk_common::clock::{Clock, Timestamp};
use souk_common::ids::ShopName;
use souk_common::storage::blobs::Blobs;
use souk_common::telemetry::ServiceManager;
use souk_common::transport::{Carrier, CloseCode, PeerIdentity};
use souk_common::wire::frame::to_bytes;
use souk_common::wire::messages::Push;
use tokio::sync::{Notify, Semaphore, watch};
use tokio_util::sync::CancellationToken;

use super::certificates::Certificates;
use super::engine_thread::EngineThread;
use super::quota::newest::Turns;
use super::quota::push_queue::{self, PushQueue, Pushed, Pushes};
use super::quota::rates::Meters;
use super::quota::slots::{Pace, Places};
use super::{PATIENCE, ServeError};
use crate::engine::{Engine, EngineError, Output};
use crate::folder::{FederationFolder, Limits};
use crate::membership::authorities::Certification;
use crate::round::Event;
use crate::session::Dialogue;
use crate::store::{Standing, Traffic};

/// What all sessions share.
pub(crate) struct ServeState {
    pub(crate) keeper: EngineThread<Engine>,
    peers: Mutex<HashMap<usize, Link>>,
    /// Shops that were told that the run is complete.
    told: Mutex<HashSet<ShopName>>,
    failure: Mutex<Option<EngineError>>,
    pub(crate) dialogue: Dialogue,
    /// Refused tries to enrol wait to be written.
    pub(crate) refused: Notify,
    pub(crate) home: FederationFolder,
    pub(crate) certificates: Certificates,
    pub(crate) files: Arc<dyn Blobs>,
    /// Of uploads, and of downloads.
    pub(crate) turns: Turns,
    pub(crate) fetches: Turns,
    pub(crate) uploads: Places,
    pub(crate) downloads: Places,
    pub(crate) meters: Meters,
    pub(crate) strangers: Arc<Semaphore>,
    limits: Limits,
    pub(crate) manager: ServiceManager,
    pub(crate) local: SocketAddr,
    pub(crate) stop: CancellationToken,
    pub(crate) finished: CancellationToken,
    wake_at: watch::Sender<Option<Timestamp>>,
    clock: Arc<dyn Clock>,
    report: Box<dyn Fn(&str) + Send + Sync>,
}

/// A shop's connection.
struct Link {
    peer: PeerIdentity,
    connection: Connection,
    carrier: Carrier,
    process_id: u32,
    /// Older ones have lower numbers.
    number: u64,
    pushes: Option<PushQueue>,
}

impl ServeState {
    pub(crate) fn new(
        mut engine: Engine,
        home: FederationFolder,
        (certification, certificates): (Certification, Certificates),
        limits: &Limits,
        local: SocketAddr,
        clock: Arc<dyn Clock>,
        report: Box<dyn Fn(&str) + Send + Sync>,
    ) -> Result<Self, ServeError> {
        let (life, staging_bytes) = (certificates.lives.shop, limits.staging_memory_bytes);
        let dialogue = Dialogue::new(&mut engine, certification, life, staging_bytes)?;
        let tunnels = certificates.tunnels().map(|tunnels| tunnels.listening());
        let tcp: Vec<String> = tunnels
            .unwrap_or_default()
            .iter()
            .map(ToString::to_string)
            .collect();
        let begun = (std::process::id(), clock.now(), local.to_string(), tcp);
        engine.store().change(|change| {
            change.set_meta("process_id", &begun.0)?;
            change.set_meta("began_at", &begun.1)?;
            change.set_meta("listening", &begun.2)?;
            change.set_meta("listening_tcp", &begun.3)
        })?;
        let pace = Pace {
            least_bytes_per_sec: limits.least_bytes_per_sec,
            grace: Duration::from_secs(limits.slow_secs),
            patience: PATIENCE,
        };
        let files = engine.store().shared_files();
        Ok(Self {
            keeper: EngineThread::start(engine).map_err(ServeError::Thread)?,
            peers: Mutex::default(),
            told: Mutex::default(),
            failure: Mutex::default(),
            dialogue,
            refused: Notify::new(),
            home,
            certificates,
            files,
            turns: Turns::default(),
            fetches: Turns::default(),
            uploads: Places::new(limits.max_concurrent_uploads, pace),
            downloads: Places::new(limits.max_concurrent_downloads, pace),
            meters: Meters::new(limits),
            strangers: Arc::new(Semaphore::new(limits.max_strangers)),
            limits: limits.clone(),
            manager: ServiceManager::from_environment(),
            local,
            stop: CancellationToken::new(),
            finished: CancellationToken::new(),
            wake_at: watch::Sender::new(None),
            clock,
            report,
        })
    }

    /// Says a line to the operator.
    pub(crate) fn report(&self, line: &str) {
        self.manager.status(line);
        (self.report)(line);
    }

    /// The time.
    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// What tells it, for where the engine is.
    pub(crate) fn clock(&self) -> Arc<dyn Clock> {
        Arc::clone(&self.clock)
    }

    /// Feeds an event.
    pub(crate) async fn tell(self: &Arc<Self>, event: Event) {
        let clock = self.clock();
        let act = move |engine: &mut Engine| engine.handle(clock.now(), event);
        self.keeper.ask(self.passing_on(act)).await;
    }

    /// Lets `act` use the engine and passes on what comes of it, for a thread that may wait.
    pub(crate) fn act_and_block(
        self: &Arc<Self>,
        act: impl FnOnce(&mut Engine) -> Result<Vec<Output>, EngineError> + Send + 'static,
    ) {
        self.keeper.ask_and_block(self.passing_on(act));
    }

    fn passing_on<A>(self: &Arc<Self>, act: A) -> impl FnOnce(&mut Engine) + Send + 'static + use<A>
    where
        A: FnOnce(&mut Engine) -> Result<Vec<Output>, EngineError> + Send + 'static,
    {
        let hub = Arc::clone(self);
        move |engine| hub.pass_on_or_end(act(engine))
    }

    /// To be called where the engine is: shops hear things in the order in which they happened.
    pub(crate) fn pass_on_or_end(&self, outputs: Result<Vec<Output>, EngineError>) {
        match outputs {
            Ok(outputs) => self.pass_on(outputs),
            Err(error) => {
                tracing::error!(%error, "the run can't go on");
                self.failure
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .get_or_insert(error);
                self.stop.cancel();
            }
        }
    }

    pub(crate) fn pass_on(&self, outputs: Vec<Output>) {
        for output in outputs {
            match output {
                Output::Push { shops, push } => self.push(shops.as_deref(), &push),
                Output::WakeAt(at) => {
                    self.wake_at.send_replace(Some(at));
                }
                Output::Receive { shop, .. } | Output::Reply { shop, .. } => {
                    tracing::warn!(%shop, "an answer without a session that waits for it");
                }
                Output::Report(line) => self.report(&line),
                Output::Finished => self.finished.cancel(),
            }
        }
    }

    fn push(&self, shops: Option<&[ShopName]>, push: &Push) {
        self.dialogue.told(push);
        let frame: Arc<[u8]> = match to_bytes(push) {
            Ok(frame) => frame.into(),
            Err(error) => {
                tracing::error!(%error, "shops can't be told");
                return;
            }
        };
        for link in self.links().values() {
            if shops.is_none_or(|shops| shops.contains(&link.peer.shop))
                && let Some(pushes) = &link.pushes
            {
                match pushes.put(&frame) {
                    Pushed::Waits if *push == Push::Finished => {
                        self.told().insert(link.peer.shop.clone());
                    }
                    Pushed::Full => {
                        tracing::info!(shop = %link.peer.shop, "a shop does not read what it is told");
                        CloseCode::TooSlow.close(&link.connection);
                    }
                    // A session that has ended does not listen any more.
                    Pushed::Waits | Pushed::Gone => {}
                }
            }
        }
    }

    /// Feeds the timer's events, and shows a service manager that events are still taken in.
    pub(crate) async fn keep_time(hub: Arc<Self>) {
        let mut wake_at = hub.wake_at.subscribe();
        let mut signs_of_life = hub.manager.signs_of_life();
        loop {
            let at = *wake_at.borrow_and_update();
            let due = async {
                match at {
                    Some(at) => tokio::time::sleep(at.since(hub.now())).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = hub.stop.cancelled() => return,
                _ = wake_at.changed() => {}
                () = signs_of_life.due() => {
                    // Through the engine, as everything that shops say; too early a timer does no harm.
                    hub.tell(Event::Timer).await;
                    hub.manager.alive();
                }
                () = due => {
                    hub.wake_at.send_if_modified(|wake| {
                        if *wake == at {
                            *wake = None;
                        }
                        false
                    });
                    hub.tell(Event::Timer).await;
                    if *hub.wake_at.borrow() == at {
                        // Woken a little early: look again soon.
                        tokio::time::sleep(Duration::from_millis(5)).await;
                    }
                }
            }
        }
    }

    /// Remembers a shop's connection. One too many takes the place of the oldest that is not subscribed, else of the oldest.
    pub(crate) fn link(&self, peer: PeerIdentity, connection: Connection, carrier: Carrier) {
        tracing::info!(shop = %peer.shop, %carrier, remote = %connection.remote_address(), "a shop connected");
        let mut links = self.links();
        let of_shop = |link: &&Link| link.peer.shop == peer.shop && link.connection.close_reason().is_none();
        let open = links.values().filter(of_shop);
        if open.clone().count() >= self.limits.max_connections_per_shop
            && let Some(oldest) = open.min_by_key(|link| (link.pushes.is_some(), link.number))
        {
            CloseCode::Replaced.close(&oldest.connection);
        }
        let number = links.values().map(|link| link.number + 1).max().unwrap_or(0);
        let link = Link {
            peer,
            carrier,
            process_id: 0,
            number,
            pushes: None,
            connection: connection.clone(),
        };
        links.insert(connection.stable_id(), link);
    }

    /// Subscribes a connection; an older one of the same shop is closed.
    pub(crate) fn subscribe(&self, connection: &Connection, process_id: u32) -> Pushes {
        let (queue, pushes) = push_queue::queue(self.limits.push_bytes);
        let mut links = self.links();
        let Some(shop) = links
            .get(&connection.stable_id())
            .map(|link| link.peer.shop.clone())
        else {
            // It was closed meanwhile; nothing is put into the queue.
            return pushes;
        };
        for link in links.values_mut().filter(|link| link.peer.shop == shop) {
            if link.pushes.take().is_some() && link.connection.stable_id() != connection.stable_id() {
                CloseCode::Replaced.close(&link.connection);
            }
        }
        if let Some(link) = links.get_mut(&connection.stable_id()) {
            link.process_id = self.meters.process(&shop, process_id);
            link.pushes = Some(queue);
        }
        pushes
    }

    /// Forgets a connection, keeps its traffic, and tells the machine if the shop has no other.
    pub(crate) async fn unlink(self: &Arc<Self>, connection: &Connection) {
        let Some(link) = self.links().remove(&connection.stable_id()) else {
            return;
        };
        let (traffic, was_subscribed) = (link.traffic(), link.pushes.is_some());
        tracing::info!(shop = %traffic.shop, remote = %traffic.remote, "a shop's connection ended");
        let keep = move |engine: &mut Engine| match was_subscribed {
            true => engine.store().change(|change| change.add_traffic(&traffic)),
            // Of a few words only; whoever dials often must not make the disk work.
            false => engine
                .store()
                .change_lazily(|change| change.add_traffic(&traffic)),
        };
        if let Some(Err(error)) = self.keeper.ask(keep).await {
            tracing::warn!(%error, "the traffic of a connection was not recorded");
        }
        let shop = link.peer.shop;
        let subscribed = |other: &Link| other.peer.shop == shop && other.pushes.is_some();
        if !self.links().values().any(subscribed) {
            self.tell(Event::Disconnected(shop)).await;
        }
    }

    /// Closes a shop's connections, for its membership has ended.
    pub(crate) fn close(&self, shop: &ShopName) {
        self.dialogue.forget(shop);
        for link in self.links().values().filter(|link| link.peer.shop == *shop) {
            CloseCode::NotEnrolled.close(&link.connection);
        }
    }

    /// Closes the connections of shops, which may dial again if they are let in.
    pub(crate) fn disconnect(&self, shops: &[ShopName]) {
        let left = |link: &&Link| shops.contains(&link.peer.shop);
        for link in self.links().values().filter(left) {
            CloseCode::Stopping.close(&link.connection);
        }
    }

    /// Whether every member was told that the run is complete.
    pub(crate) async fn all_told(&self) -> bool {
        let members = self.keeper.ask(|engine| engine.store().shops()).await;
        let told = self.told();
        members.is_some_and(|members| {
            members.is_ok_and(|members| {
                members
                    .iter()
                    .all(|(name, shop)| shop.standing != Standing::Enrolled || told.contains(name))
            })
        })
    }

    pub(crate) fn has_subscribers(&self) -> bool {
        self.links().values().any(|link| link.pushes.is_some())
    }

    /// What carries each shop that is connected: the connection over which it hears of rounds, else its newest.
    pub(crate) fn carriers(&self) -> BTreeMap<ShopName, Carrier> {
        let links = self.links();
        let mut open: Vec<&Link> = links.values().collect();
        open.sort_by_key(|link| (link.pushes.is_some(), link.number));
        open.into_iter()
            .map(|link| (link.peer.shop.clone(), link.carrier))
            .collect()
    }

    /// Traffic of the connections that are open.
    pub(crate) fn open_traffic(&self) -> Vec<Traffic> {
        self.links().values().map(Link::traffic).collect()
    }

    pub(crate) fn take_failure(&self) -> Option<EngineError> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn told(&self) -> MutexGuard<'_, HashSet<ShopName>> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn links(&self) -> MutexGuard<'_, HashMap<usize, Link>> {
        self.peers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Link {
    fn traffic(&self) -> Traffic {
        let stats = self.connection.stats();
        Traffic {
            shop: self.peer.shop.clone(),
            fingerprint: self.peer.fingerprint.to_string(),
            process_id: self.process_id,
            remote: self.connection.remote_address().to_string(),
            carrier: self.carrier,
            bytes_received: stats.udp_rx.bytes,
            bytes_sent: stats.udp_tx.bytes,
        }
    }
}
