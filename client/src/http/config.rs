//! `[http]` of `shop.toml`.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, ensure};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use serde::{Deserialize, Serialize};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;

use crate::folder::Folder;

/// `[http]`.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct HttpConfig {
    /// Where `run` serves the HTTP API: `"127.0.0.1:4480"`. Absent: only with `run --http`. Beyond this machine it takes a
    /// certificate.
    pub listen: Option<SocketAddr>,
    /// A PEM file with the certificate and those that it rests on, from the shop's folder.
    pub tls_cert: Option<PathBuf>,
    /// A PEM file with its key.
    pub tls_key: Option<PathBuf>,
    /// Names by which the service is reached, beside `localhost` and its address: `["souk.shop.example"]`.
    pub hosts: Vec<String>,
    /// Web pages whose scripts may ask: `["https://www.shop.example"]`.
    pub origins: Vec<String>,
    /// Most events in a second, which may be saved up for ten seconds; over that they are refused with 429. Default 1000.
    pub events_per_sec: u64,
}

impl Default for HttpConfig {
    fn default() -> Self {
        Self {
            listen: None,
            tls_cert: None,
            tls_key: None,
            hosts: Vec::new(),
            origins: Vec::new(),
            events_per_sec: 1000,
        }
    }
}

impl HttpConfig {
    /// Where a browser finds a service that listens at `address`.
    pub fn url(&self, address: SocketAddr) -> String {
        let (scheme, name) = match (&self.tls_cert, self.hosts.first()) {
            // The certificate is for a name.
            (Some(_), Some(name)) => ("https", Some(name.clone())),
            (Some(_), None) => ("https", None),
            (None, _) => ("http", None),
        };
        let everywhere = || "localhost".to_owned();
        let name = name.or_else(|| address.ip().is_unspecified().then(everywhere));
        match name {
            Some(name) => format!("{scheme}://{name}:{}", address.port()),
            None => format!("{scheme}://{address}"),
        }
    }

    /// Whether `origins` are what browsers send, and headers can name.
    ///
    /// # Errors
    /// When one is not: it would never match anything.
    pub fn check_origins(&self) -> anyhow::Result<()> {
        for origin in &self.origins {
            let host = origin
                .strip_prefix("https://")
                .or_else(|| origin.strip_prefix("http://"));
            let is_host = |host: &str| {
                let is_strange = |letter: char| !(letter.is_ascii_alphanumeric() || "-.:[]".contains(letter));
                !host.is_empty() && !host.contains(is_strange)
            };
            ensure!(
                host.is_some_and(is_host),
                "[http] origins in shop.toml has {origin:?}: write scheme and host without a path, as in \
                 \"https://www.shop.example\""
            );
        }
        Ok(())
    }

    /// What makes connections to a service at `address` secret; none on this machine itself, if no certificate is named.
    ///
    /// # Errors
    /// When the service would be open to others without a certificate, or one of the files is of no use.
    pub fn tls(&self, folder: &Folder, address: SocketAddr) -> anyhow::Result<Option<TlsAcceptor>> {
        let (cert, key) = match (&self.tls_cert, &self.tls_key) {
            (Some(cert), Some(key)) => (folder.path().join(cert), folder.path().join(key)),
            (None, None) => {
                ensure!(
                    address.ip().is_loopback(),
                    "the HTTP service would be open to others at {address}: name tls_cert and tls_key under [http] in \
                     shop.toml, or listen at 127.0.0.1 and put a proxy with a certificate before it"
                );
                return Ok(None);
            }
            _ => anyhow::bail!("[http] in shop.toml needs both tls_cert and tls_key, or neither"),
        };
        let chain = CertificateDer::pem_file_iter(&cert)
            .and_then(Iterator::collect::<Result<Vec<_>, _>>)
            .with_context(|| format!("tls_cert: can't read certificates from {}", cert.display()))?;
        ensure!(
            !chain.is_empty(),
            "tls_cert: there is no certificate in {}",
            cert.display()
        );
        let secret = PrivateKeyDer::from_pem_file(&key)
            .with_context(|| format!("tls_key: can't read a key from {}", key.display()))?;
        let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(chain, secret)
            .context("tls_cert and tls_key do not belong together")?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Some(TlsAcceptor::from(Arc::new(config))))
    }
}
