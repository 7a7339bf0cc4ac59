//! The HTTP API and the owner's page, while `run` is up.

use std::net::SocketAddr;
use std::sync::{Arc, Weak};

use souk_common::clock::Clock;

use super::Driver;
use crate::config::ShopConfig;
use crate::control::Service;
use crate::folder::Folder;
use crate::http::{Api, HttpServer};
use crate::page::Page;
use crate::recommend::service::ListService;

/// Both, as they are served; they end with this.
pub(super) struct Web {
    pub(super) api: Arc<Api>,
    page: Arc<Page>,
    server: HttpServer,
    url: String,
}

impl Web {
    /// Begins to serve at `address`.
    ///
    /// # Errors
    /// When the address can't be had, or a secret or file of the service is of no use.
    pub(super) fn serve(
        folder: &Folder,
        config: &ShopConfig,
        address: SocketAddr,
        lists: &Arc<ListService>,
        clock: &Arc<dyn Clock>,
        service: &Arc<Service>,
    ) -> anyhow::Result<Self> {
        let api = Api::open(folder, config, Arc::clone(lists), Arc::clone(clock))?;
        let holder: Weak<Api> = Arc::downgrade(&api);
        service.held_by(holder);
        let page = api.with_page(folder, &config.http, Arc::clone(service))?;
        let server = api.serve(folder, &config.http, address)?;
        let url = config.http.url(server.address());
        service.sessions().serve_at(url.clone());
        Ok(Self {
            api,
            page,
            server,
            url,
        })
    }

    /// Where that is, for the owner.
    pub(super) fn told(&self, folder: &Folder) -> String {
        format!(
            "serves the HTTP API at {} (its token: {}), and your page, which `souk-client page` prints a link to",
            self.url,
            folder.http().join("token").display()
        )
    }
}

impl Driver {
    /// Begins to serve the HTTP API, if anybody wants it.
    pub(super) fn serve_http(&mut self, wanted: Option<SocketAddr>) -> anyhow::Result<Option<Arc<Api>>> {
        let config = ShopConfig::load(&self.folder)?;
        let Some(address) = wanted.or(config.http.listen) else {
            return Ok(None);
        };
        let (lists, clock) = (&self.lists, &self.platform.clock);
        let web = Web::serve(&self.folder, &config, address, lists, clock, &self.service)?;
        self.tell(&web.told(&self.folder));
        (self.page, self.http) = (Some(web.page), Some(web.server));
        Ok(Some(web.api))
    }
}
