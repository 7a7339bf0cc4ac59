//! The HTTP API and the owner's page, while `run` is up.

use std::net::SocketAddr;
use std::sync::{Arc, Weak};

use super::Driver;
use crate::config::ShopConfig;
use crate::http::Api;

impl Driver {
    /// Begins to serve the HTTP API, if anybody wants it.
    pub(super) fn serve_http(&mut self, wanted: Option<SocketAddr>) -> anyhow::Result<Option<Arc<Api>>> {
        let config = ShopConfig::load(&self.folder)?;
        let Some(address) = wanted.or(config.http.listen) else {
            return Ok(None);
        };
        let api = Api::open(
            &self.folder,
            &config,
            Arc::clone(&self.lists),
            Arc::clone(&self.platform.clock),
        )?;
        let holder: Weak<Api> = Arc::downgrade(&api);
        self.service.held_by(holder);
        let page = api.with_page(&self.folder, &config.http, Arc::clone(&self.service))?;
        let server = api.serve(&self.folder, &config.http, address)?;
        let url = config.http.url(server.address());
        self.service.sessions().serve_at(url.clone());
        self.page = Some(page);
        self.tell(&format!(
            "serves the HTTP API at {url} (its token: {}), and your page, which `souk-client page` prints a link to",
            self.folder.http().join("token").display()
        ));
        self.http = Some(server);
        Ok(Some(api))
    }
}
