//! The shop's HTTP service: lists, related items and events for its web shop.
//!
//! | module | what |
//! |---|---|
//! | [`config`] | `[http]` of `shop.toml` |
//! | [`server`] | the listening end, and what strangers may hold; `places` |
//! | [`guard`] | by which name it is asked, from which page, and by whom |
//! | [`tokens`] | the shop's token, and customers' |
//! | [`routes`] | what can be asked |
//! | [`fragment`] | lists as HTML, for a storefront's pages |
//! | [`problem`] | errors (RFC 9457) |
//! | [`extract`] | paths, queries and bodies, with errors that say what is wrong |
//! | [`metrics`] | what Prometheus reads |
//! | `erasure` | what it has of a customer who is forgotten |
//! | `owner` | the owner's page ([`crate::page`]) beside it |
//!
//! Every answer comes from the [`crate::recommend::shelf`] that is up, and what was reported since it was read: no request waits for
//! a fit, for a round, or for the disk, except events, which are acknowledged when they are on it.

pub mod config;
mod erasure;
pub mod extract;
pub mod fragment;
pub mod guard;
pub mod metrics;
mod owner;
mod places;
pub mod problem;
pub mod routes;
pub mod server;
#[cfg(test)]
mod tests;
pub mod tokens;

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, OnceLock};

use anyhow::Context;
use axum::Router;
use axum::middleware;
use souk_common::clock::{Clock, Timestamp};
use souk_common::transport::{Bucket, Buckets};

use crate::config::ShopConfig;
use crate::data::window::kept_since;
use crate::events::journal::{Journal, KEPT_LIVE};
use crate::events::live::LiveEvents;
use crate::experiment::ExperimentConfig;
use crate::experiment::exposures::Exposures;
use crate::folder::Folder;
use crate::page::{CustomerLists, Page};
use crate::recommend::service::ListService;
use crate::recommend::shelf::Shelf;
use config::HttpConfig;
use guard::Guard;
use metrics::ApiMetrics;
use problem::Problem;
pub use server::HttpServer;
use server::MOST_CONNECTIONS;
use tokens::Tokens;

/// What requests are answered from.
pub struct Api {
    lists: Arc<ListService>,
    journal: Journal,
    live: Arc<LiveEvents>,
    tokens: Arc<Tokens>,
    clock: Arc<dyn Clock>,
    folder: Folder,
    experiment: Option<(ExperimentConfig, Exposures)>,
    metrics: ApiMetrics,
    events_per_sec: u64,
    /// Events of the shop's own programs, and of customers' browsers.
    taken: Mutex<(Bucket, Buckets<String>)>,
    page: OnceLock<Arc<Page>>,
    /// Whether this shop is a member of a federation.
    has_federation: bool,
}

impl Api {
    /// Of the shop in `folder`.
    ///
    /// # Errors
    /// When its journal, its secrets or the file of its experiment can't be read or made.
    pub fn open(
        folder: &Folder,
        config: &ShopConfig,
        lists: Arc<ListService>,
        clock: Arc<dyn Clock>,
    ) -> anyhow::Result<Arc<Self>> {
        let tokens = Tokens::open(folder).context("the secrets of the HTTP service are of no use")?;
        let opened = Journal::open(folder, clock.now());
        let (journal, recent) = opened.context("the journal of events can't be opened")?;
        let live = Arc::new(LiveEvents::default());
        live.take(&recent);
        lists.count_live(Arc::clone(&live));
        let experiment = config.experiment.clone().map(|experiment| {
            let exposures = Exposures::open(folder, &experiment)?;
            Ok((experiment, exposures))
        });
        let experiment: io::Result<Option<_>> = experiment.transpose();
        Ok(Arc::new(Self {
            lists,
            journal,
            live,
            tokens: Arc::new(tokens),
            clock,
            folder: folder.clone(),
            experiment: experiment.context("the experiment's file in experiment/ can't be opened")?,
            metrics: ApiMetrics::default(),
            events_per_sec: config.http.events_per_sec,
            taken: Mutex::new((Bucket::default(), Buckets::new(MOST_BROWSERS))),
            page: OnceLock::new(),
            has_federation: folder.membership().is_file(),
        }))
    }

    /// Looks whether what lists are made of has changed, and lets go of events that the store has by now.
    ///
    /// # Errors
    /// As [`ListService::renew_shelf`]: lists stay what they were. Rules are looked at with the rest, never by a request.
    pub fn renew(&self) -> anyhow::Result<()> {
        let now = self.clock.now();
        let shelf = self.lists.renew_shelf(now);
        if let Some(page) = self.page.get() {
            // A fit may have taken its time.
            let now = self.clock.now();
            page.renew(shelf.as_ref(), self.news(now), now);
        }
        shelf?;
        let window = ShopConfig::load(&self.folder)?.data;
        let kept_since = kept_since(&window, now).map_or(i64::MIN, |first| first.saturating_mul(1000));
        self.live
            .forget_before((now - KEPT_LIVE).max(Timestamp(kept_since)));
        // Also where another program has changed it.
        self.journal.forgotten().reload()?;
        Ok(())
    }

    fn shelf(&self) -> Result<Arc<Shelf>, Problem> {
        self.lists.shelf().ok_or_else(|| {
            Problem::not_ready(&anyhow::anyhow!(
                "lists are being made for the first time, or can't be made: souk-client doctor says which"
            ))
        })
    }

    /// Every route, behind the guard of a service at `address`.
    pub fn app(self: &Arc<Self>, config: &HttpConfig, address: SocketAddr) -> Router {
        let guard = Arc::new(Guard::new(
            Arc::clone(&self.tokens),
            Arc::clone(&self.clock),
            address,
            &config.hosts,
            &config.origins,
        ));
        let router = match self.page.get() {
            Some(page) => routes::router(self).merge(page.router(Arc::clone(self) as Arc<dyn CustomerLists>)),
            None => routes::router(self),
        };
        router
            .layer(middleware::from_fn_with_state(Arc::clone(self), metrics::count))
            .layer(middleware::from_fn_with_state(guard, guard::guard))
    }

    /// Listens and answers until the server is dropped.
    ///
    /// # Errors
    /// When the configuration makes no sense, or the address can't be had.
    pub fn serve(
        self: &Arc<Self>,
        folder: &Folder,
        config: &HttpConfig,
        address: SocketAddr,
    ) -> anyhow::Result<HttpServer> {
        config.check_origins()?;
        let tls = config.tls(folder, address)?;
        HttpServer::start(address, tls, self.app(config, address), MOST_CONNECTIONS)
    }
}

/// Customers whose browsers' events are counted one by one; the others share.
const MOST_BROWSERS: usize = 10_000;
