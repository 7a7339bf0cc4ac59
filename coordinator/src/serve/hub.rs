//! What all sessions share: the engine, who is subscribed, and the timer.

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use quinn::Connection;
use souk_common::clock::Timestamp;
use souk_common::crypto::pki::Authority;
use souk_common::ids::ShopName;
use souk_common::transport::{CloseCode, Peer};
use souk_common::wire::frame::to_bytes;
use souk_common::wire::messages::{Push, Reply};
use tokio::sync::{Semaphore, mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::now;
use super::partial::Partials;
use crate::engine::{Engine, EngineError, Output, Staging};
use crate::home::{Home, Limits};
use crate::registry::JoinTries;
use crate::round::Event;
use crate::store::{Standing, StoreError, Traffic};

/// What all sessions share.
pub(super) struct Hub {
    engine: Mutex<Engine>,
    peers: Mutex<HashMap<usize, Link>>,
    /// Shops that were told that the run is complete.
    told: Mutex<HashSet<ShopName>>,
    failure: Mutex<Option<EngineError>>,
    pub(super) tries: Mutex<JoinTries>,
    pub(super) home: Home,
    pub(super) authority: Authority,
    pub(super) staging: Staging,
    pub(super) partials: Partials,
    pub(super) uploads: Semaphore,
    pub(super) downloads: Semaphore,
    pub(super) local: SocketAddr,
    pub(super) stop: CancellationToken,
    pub(super) finished: CancellationToken,
    wake_at: watch::Sender<Option<Timestamp>>,
    report: Box<dyn Fn(&str) + Send + Sync>,
}

/// A shop's connection.
struct Link {
    peer: Peer,
    connection: Connection,
    process_id: u32,
    /// Takes frames: one that is meant for many shops is encoded, and held, once.
    pushes: Option<mpsc::UnboundedSender<Arc<[u8]>>>,
}

/// What the session that caused an event has to do.
pub(super) enum Decision {
    Receive,
    Reply(Reply),
}

impl Hub {
    pub(super) fn new(
        mut engine: Engine,
        home: Home,
        authority: Authority,
        limits: &Limits,
        local: SocketAddr,
        report: Box<dyn Fn(&str) + Send + Sync>,
    ) -> Result<Self, StoreError> {
        let staging = Staging::new(limits.staging_memory_bytes, engine.store().private().clone());
        let begun = (std::process::id(), now(), local.to_string());
        engine.store().change(|change| {
            change.set_meta("process_id", &begun.0)?;
            change.set_meta("began_at", &begun.1)?;
            change.set_meta("listening", &begun.2)
        })?;
        Ok(Self {
            engine: Mutex::new(engine),
            peers: Mutex::default(),
            told: Mutex::default(),
            failure: Mutex::default(),
            tries: Mutex::default(),
            home,
            authority,
            staging,
            partials: Partials::default(),
            uploads: Semaphore::new(limits.max_concurrent_uploads.max(1)),
            downloads: Semaphore::new(limits.max_concurrent_downloads.max(1)),
            local,
            stop: CancellationToken::new(),
            finished: CancellationToken::new(),
            wake_at: watch::Sender::new(None),
            report,
        })
    }

    /// Says a line to the operator.
    pub(super) fn report(&self, line: &str) {
        (self.report)(line);
    }

    /// The engine, for a short time.
    pub(super) fn engine(&self) -> MutexGuard<'_, Engine> {
        // A panic while it was held left the store as it was after its last whole change.
        self.engine.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Feeds an event that no session waits for.
    pub(super) fn tell(&self, event: Event) {
        self.with_engine(None, |engine| engine.handle(now(), event));
    }

    /// Lets `act` use the engine (which may write to disk), passes on what comes of it, and returns what is meant for
    /// the session of `own`.
    pub(super) fn with_engine(
        &self,
        own: Option<&ShopName>,
        act: impl FnOnce(&mut Engine) -> Result<Vec<Output>, EngineError>,
    ) -> Option<Decision> {
        let outputs = tokio::task::block_in_place(|| {
            let mut engine = self.engine();
            let outputs = act(&mut engine);
            // Passed on while the engine is held: shops hear things in the order in which they happened.
            outputs.map(|outputs| self.pass_on(own, outputs))
        });
        match outputs {
            Ok(decision) => decision,
            Err(error) => {
                tracing::error!(%error, "the run can't go on");
                self.failure
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .get_or_insert(error);
                self.stop.cancel();
                None
            }
        }
    }

    fn pass_on(&self, own: Option<&ShopName>, outputs: Vec<Output>) -> Option<Decision> {
        let mut decision = None;
        for output in outputs {
            match output {
                Output::Push { shops, push } => self.push(shops.as_deref(), &push),
                Output::WakeAt(at) => {
                    self.wake_at.send_replace(Some(at));
                }
                Output::Receive { shop, .. } if Some(&shop) == own => decision = Some(Decision::Receive),
                Output::Reply { shop, reply } if Some(&shop) == own => {
                    decision = Some(Decision::Reply(reply))
                }
                Output::Receive { shop, .. } | Output::Reply { shop, .. } => {
                    tracing::warn!(%shop, "an answer without a session that waits for it");
                }
                Output::Report(line) => self.report(&line),
                Output::Finished => self.finished.cancel(),
            }
        }
        decision
    }

    fn push(&self, shops: Option<&[ShopName]>, push: &Push) {
        if let Push::Ended { id, .. } = push {
            self.partials.end(*id);
        }
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
                // A session that has ended does not listen any more.
                let sent = pushes.send(Arc::clone(&frame));
                if sent.is_ok() && *push == Push::Finished {
                    self.told().insert(link.peer.shop.clone());
                }
            }
        }
    }

    /// Feeds the timer's events.
    pub(super) async fn keep_time(hub: Arc<Self>) {
        let mut wake_at = hub.wake_at.subscribe();
        loop {
            let at = *wake_at.borrow_and_update();
            let due = async {
                match at {
                    Some(at) => tokio::time::sleep(at.since(now())).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = hub.stop.cancelled() => return,
                _ = wake_at.changed() => {}
                () = due => {
                    hub.wake_at.send_if_modified(|wake| {
                        if *wake == at {
                            *wake = None;
                        }
                        false
                    });
                    hub.tell(Event::Timer);
                    if *hub.wake_at.borrow() == at {
                        // Woken a little early: look again soon.
                        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
                    }
                }
            }
        }
    }

    /// Remembers a shop's connection.
    pub(super) fn link(&self, peer: Peer, connection: Connection) {
        let link = Link {
            peer,
            process_id: 0,
            pushes: None,
            connection: connection.clone(),
        };
        self.links().insert(connection.stable_id(), link);
    }

    /// Subscribes a connection; an older one of the same shop is closed.
    pub(super) fn subscribe(
        &self,
        connection: &Connection,
        process_id: u32,
    ) -> mpsc::UnboundedReceiver<Arc<[u8]>> {
        let (sender, receiver) = mpsc::unbounded_channel();
        let mut links = self.links();
        let shop = links
            .get(&connection.stable_id())
            .map(|link| link.peer.shop.clone());
        for link in links
            .values_mut()
            .filter(|link| Some(&link.peer.shop) == shop.as_ref())
        {
            if link.pushes.take().is_some() && link.connection.stable_id() != connection.stable_id() {
                CloseCode::Replaced.close(&link.connection);
            }
        }
        if let Some(link) = links.get_mut(&connection.stable_id()) {
            (link.process_id, link.pushes) = (process_id, Some(sender));
        }
        receiver
    }

    /// Forgets a connection, keeps its traffic, and tells the machine if the shop has no other.
    pub(super) fn unlink(&self, connection: &Connection) {
        let Some(link) = self.links().remove(&connection.stable_id()) else {
            return;
        };
        let traffic = link.traffic();
        let kept = self
            .engine()
            .store()
            .change(|change| change.add_traffic(&traffic));
        if let Err(error) = kept {
            tracing::warn!(%error, "the traffic of a connection was not recorded");
        }
        let shop = link.peer.shop;
        let subscribed = |other: &Link| other.peer.shop == shop && other.pushes.is_some();
        if !self.links().values().any(subscribed) {
            self.tell(Event::Disconnected(shop));
        }
    }

    /// Closes a shop's connections, for its membership has ended.
    pub(super) fn close(&self, shop: &ShopName) {
        self.partials.forget(shop);
        for link in self.links().values().filter(|link| link.peer.shop == *shop) {
            CloseCode::NotEnrolled.close(&link.connection);
        }
    }

    /// Whether every member was told that the run is complete.
    pub(super) fn all_told(&self) -> bool {
        let members = self.engine().store().shops();
        let told = self.told();
        members.is_ok_and(|members| {
            members
                .iter()
                .all(|(name, shop)| shop.standing != Standing::Enrolled || told.contains(name))
        })
    }

    pub(super) fn has_subscribers(&self) -> bool {
        self.links().values().any(|link| link.pushes.is_some())
    }

    /// Traffic of the connections that are open.
    pub(super) fn open_traffic(&self) -> Vec<Traffic> {
        self.links().values().map(Link::traffic).collect()
    }

    pub(super) fn take_failure(&self) -> Option<EngineError> {
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
            bytes_received: stats.udp_rx.bytes,
            bytes_sent: stats.udp_tx.bytes,
        }
    }
}
