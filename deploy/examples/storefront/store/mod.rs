//! The web shop: its data, its pages, and the shop's Souk program beside it.

pub(crate) mod check;
mod data;
mod http;
mod pages;
pub(crate) mod souk;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use souk::{Program, Souk};

/// The web shop and what makes its lists; both end with this, and their folder goes.
pub(crate) struct Running {
    pub(crate) address: SocketAddr,
    pub(crate) souk: Arc<Souk>,
    serving: JoinHandle<()>,
}

impl Running {
    /// Makes up the data, waits until there are lists, and serves the pages at `listen`. A page waits for a list so long, and is whole
    /// without it.
    pub(crate) async fn start(
        program: &Program,
        listen: SocketAddr,
        patience: Duration,
    ) -> anyhow::Result<Self> {
        let dir = tempfile::tempdir().context("can't make a temporary folder")?;
        let products = data::products();
        data::write(&products, dir.path())?;
        let listener = TcpListener::bind(listen)
            .await
            .with_context(|| format!("can't listen at {listen}: choose another --listen"))?;
        let address = listener.local_addr()?;
        let starting = program.clone();
        let souk = tokio::task::spawn_blocking(move || Souk::start(&starting, dir, patience)).await??;
        let souk = Arc::new(souk);
        let app = pages::router(Arc::clone(&souk), products);
        let serving = tokio::spawn(async move {
            // It ends with the program.
            let _ = axum::serve(listener, app).await;
        });
        Ok(Self {
            address,
            souk,
            serving,
        })
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.serving.abort();
        self.souk.stop();
    }
}
