//! The federation's folder: configuration, keys, and where everything else is.

use std::net::{Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{fs, io};

use serde::Deserialize;
use souk_common::catalogue::Catalogue;
use souk_common::clock::Timestamp;
use souk_common::crypto::pki::{Authority, COORDINATOR_LIFE, PkiError, SHOP_LIFE};
use souk_common::crypto::sign::SigningKey;
use souk_common::format::Format;
use souk_common::limits::MAX_TUNNEL_LISTENERS;
use souk_common::rng::{EntropyError, secret_bytes};
use souk_common::storage::private::make_folder;
use souk_common::storage::write_whole;
use zeroize::Zeroizing;

use crate::engine::Settings;
pub use crate::limits::Limits;
use crate::store::{Store, StoreError};

/// `coordinator.toml`. Unknown keys are refused.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Of the file; absent: 1.
    #[serde(default)]
    pub format: Format<1>,
    /// The federation's name, for people. Required.
    pub name: String,
    /// `host:port` that goes into join codes. Port 0: whatever `serve` gets. Required.
    pub address: String,
    /// Where `serve` listens, UDP. Default `[::]:4433`.
    #[serde(default = "default_listen")]
    pub listen: String,
    /// Where `serve` listens for shops without UDP, TCP; empty: nowhere. Default: at `listen`.
    #[serde(default)]
    pub tcp: Option<Vec<String>>,
    /// `[limits]`.
    #[serde(default)]
    pub limits: Limits,
    /// `[store]`.
    #[serde(default)]
    pub store: StoreConfig,
    /// `[certificates]`.
    #[serde(default)]
    pub certificates: Lives,
}

impl Config {
    /// Where to listen on TCP, if UDP is listened on at `udp`.
    pub fn tcp_or(&self, udp: SocketAddr) -> Vec<SocketAddr> {
        let Some(addresses) = &self.tcp else {
            return vec![udp];
        };
        // Checked when they were read.
        addresses
            .iter()
            .filter_map(|address| address.parse().ok())
            .collect()
    }
}

/// `[certificates]`: how long they are valid. At least a second, at most ten years.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq)]
#[serde(default, deny_unknown_fields)]
pub struct Lives {
    /// A shop's. Default 730 days.
    #[serde(with = "humantime_serde")]
    pub shop: Duration,
    /// The coordinator's own. Default 90 days.
    #[serde(with = "humantime_serde")]
    pub coordinator: Duration,
}

impl Default for Lives {
    fn default() -> Self {
        Self {
            shop: SHOP_LIFE,
            coordinator: COORDINATOR_LIFE,
        }
    }
}

/// `[store]`.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(default, deny_unknown_fields)]
pub struct StoreConfig {
    /// Rounds whose updates are kept for auditors and for going on after a crash; 0: none, an open attempt is then
    /// ended by a restart. Default 1.
    pub keep_parts: u64,
    /// Model versions whose files are kept, the newest; 0: all. Default 100.
    pub keep_models: u64,
}

impl Default for StoreConfig {
    fn default() -> Self {
        Self {
            keep_parts: 1,
            keep_models: 100,
        }
    }
}

impl StoreConfig {
    /// What it says to a run.
    pub fn settings(&self, new_run: bool) -> Settings {
        Settings {
            keep_parts: self.keep_parts,
            keep_models: self.keep_models,
            new_run,
        }
    }
}

/// A federation's folder.
#[derive(Clone, Debug)]
pub struct FederationFolder(PathBuf);

impl FederationFolder {
    /// The folder at `path`.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Whether there is a federation in it.
    pub fn is_made(&self) -> bool {
        self.0.join(CONFIG).is_file()
    }

    /// Where `serve` takes commands.
    pub fn control(&self) -> PathBuf {
        self.0.join("control.sock")
    }

    /// Makes a federation: configuration, CA, signing key, empty store.
    ///
    /// # Errors
    /// When there is one already, without entropy, or of the file system.
    pub fn init(&self, now: Timestamp, name: &str, address: &str, listen: &str) -> Result<(), HomeError> {
        let config = self.0.join(CONFIG);
        if config.exists() {
            return Err(HomeError::Exists {
                path: self.0.display().to_string(),
            });
        }
        check_addresses(address, listen)?;
        make_folder(&self.0)?;
        store_authority(&self.0, FIRST_AUTHORITY, &Authority::create(name, now)?)?;
        write_whole(
            &self.0.join(SIGNING_KEY),
            &Zeroizing::new(secret_bytes::<32>()?)[..],
            true,
        )?;
        Store::open(&self.0, None)?;
        let text = SAMPLE
            .replace("name = \"example\"", &format!("name = {name:?}"))
            .replace(
                "address = \"coordinator.example:4433\"",
                &format!("address = {address:?}"),
            )
            .replace("listen = \"[::]:4433\"", &format!("listen = {listen:?}"));
        write_whole(&config, text.as_bytes(), false)?;
        Ok(())
    }

    /// Where a model is put that another program asks for, unless it is in a file already.
    pub(crate) fn exported(&self) -> PathBuf {
        self.0.join(".exported")
    }

    /// Reads `coordinator.toml`.
    ///
    /// # Errors
    /// When there is none, or what is wrong with it, by line.
    pub fn config(&self) -> Result<Config, HomeError> {
        let text = fs::read_to_string(self.0.join(CONFIG)).map_err(|source| HomeError::NoFederation {
            path: self.0.display().to_string(),
            source,
        })?;
        let config: Config = toml::from_str(&text)?;
        check_addresses(&config.address, &config.listen)?;
        check_tcp(config.tcp.as_deref().unwrap_or_default())?;
        for (key, life) in [
            ("[certificates] shop", config.certificates.shop),
            ("[certificates] coordinator", config.certificates.coordinator),
        ] {
            if !(SHORTEST_LIFE..=LONGEST_LIFE).contains(&life) {
                let value = format!("{life:?}");
                let rule = "from 1s to 3650days";
                return Err(HomeError::Value { key, value, rule });
            }
        }
        match config.limits.misfit() {
            Some((key, value, rule)) => Err(HomeError::Value { key, value, rule }),
            None => Ok(config),
        }
    }

    /// The key that signs announcements, receipts and manifests.
    ///
    /// # Errors
    /// When it can't be read.
    pub fn signing_key(&self) -> Result<SigningKey, HomeError> {
        let bytes = Zeroizing::new(fs::read(self.0.join(SIGNING_KEY))?);
        let bytes: &[u8; 32] = bytes.as_slice().try_into().map_err(|_| HomeError::SigningKey)?;
        Ok(SigningKey::from_bytes(bytes))
    }

    /// Keeps the catalogue.
    ///
    /// # Errors
    /// Of the file system.
    pub fn set_catalogue(&self, catalogue: &Catalogue) -> io::Result<()> {
        write_whole(&self.0.join(CATALOGUE), &catalogue.to_bytes(), false)
    }

    /// Whether one was imported.
    pub fn has_catalogue(&self) -> bool {
        self.0.join(CATALOGUE).is_file()
    }

    /// The catalogue.
    ///
    /// # Errors
    /// When none was imported, or it is damaged.
    pub fn catalogue(&self) -> Result<Catalogue, HomeError> {
        let bytes = fs::read(self.0.join(CATALOGUE)).map_err(|_| HomeError::NoCatalogue)?;
        Catalogue::from_bytes(&bytes).map_err(|error| HomeError::Catalogue(error.to_string()))
    }
}

/// `address` goes into join codes, where nobody sees what is wrong with it.
fn check_addresses(address: &str, listen: &str) -> Result<(), HomeError> {
    let refuse = |key, value: &str, rule| {
        let value = value.to_owned();
        Err(HomeError::Value { key, value, rule })
    };
    let parts = address.rsplit_once(':');
    if !parts.is_some_and(|(host, port)| is_host(host) && port.parse::<u16>().is_ok()) {
        return refuse(
            "address",
            address,
            "host:port, like coordinator.example:4433, 192.0.2.7:4433 or [2001:db8::7]:4433",
        );
    }
    if listen.parse::<SocketAddr>().is_err() {
        return refuse("listen", listen, LISTEN_RULE);
    }
    Ok(())
}

fn check_tcp(addresses: &[String]) -> Result<(), HomeError> {
    let misfit = addresses
        .iter()
        .find(|address| address.parse::<SocketAddr>().is_err());
    let value = match misfit {
        Some(address) => address.clone(),
        None if addresses.len() > MAX_TUNNEL_LISTENERS => format!("{} addresses", addresses.len()),
        None => return Ok(()),
    };
    Err(HomeError::Value {
        key: "tcp",
        value,
        rule: "at most 8 addresses with ports, like [\"[::]:4433\", \"0.0.0.0:443\"]",
    })
}

/// Whether it is a name or an address that can be dialled: without a scheme, a path or blanks.
fn is_host(host: &str) -> bool {
    if let Some(inner) = host.strip_prefix('[') {
        return inner
            .strip_suffix(']')
            .is_some_and(|inner| inner.parse::<Ipv6Addr>().is_ok());
    }
    let is_label = |label: &str| {
        let letters = |letter: char| letter.is_ascii_alphanumeric() || letter == '-' || letter == '_';
        (1..=63).contains(&label.len()) && label.chars().all(letters) && !label.starts_with('-')
    };
    host.len() <= 253 && host.trim_end_matches('.').split('.').all(is_label)
}

/// What is wrong with a federation's folder.
#[derive(Debug, thiserror::Error)]
pub enum HomeError {
    /// There is a federation.
    #[error("{path} holds a federation already")]
    Exists {
        /// Where.
        path: String,
    },
    /// There is none.
    #[error("{path} holds no federation; make one with `souk-coordinator init {path}`")]
    NoFederation {
        /// Where.
        path: String,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// The configuration.
    #[error("coordinator.toml: {0}")]
    Config(#[from] toml::de::Error),
    /// A value of the configuration that makes no sense.
    #[error("{key} is {value:?}; it must be {rule}")]
    Value {
        /// Its key.
        key: &'static str,
        /// As given.
        value: String,
        /// What it may be.
        rule: &'static str,
    },
    /// The signing key's file.
    #[error("signing.key does not hold 32 bytes")]
    SigningKey,
    /// No catalogue.
    #[error("there is no catalogue; `souk-coordinator catalogue import items.csv` takes one in")]
    NoCatalogue,
    /// A damaged catalogue.
    #[error("the stored catalogue is damaged: {0}")]
    Catalogue(String),
    /// A certificate authority's files.
    #[error(
        "{path}: {reason}; put the files ca*.der, ca*.key and authorities.json of one backup back together"
    )]
    Authority {
        /// The file.
        path: String,
        /// What is wrong.
        reason: String,
    },
    /// Certificates.
    #[error(transparent)]
    Pki(#[from] PkiError),
    /// Entropy.
    #[error(transparent)]
    Entropy(#[from] EntropyError),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The file system.
    #[error("can't read or write the federation's folder: {0}")]
    Files(#[from] io::Error),
}

impl HomeError {
    /// Whether the operator has to say something else.
    pub fn is_usage(&self) -> bool {
        matches!(
            self,
            Self::Exists { .. }
                | Self::NoFederation { .. }
                | Self::Config(_)
                | Self::Value { .. }
                | Self::NoCatalogue
        )
    }
}

fn default_listen() -> String {
    "[::]:4433".to_owned()
}

/// What `listen` must be.
pub(crate) const LISTEN_RULE: &str = "an IP address and a port, like 127.0.0.1:4433";
/// The commented sample, which `init` fills in.
pub const SAMPLE: &str = include_str!("../../deploy/config/coordinator.toml");
const CONFIG: &str = "coordinator.toml";
const SIGNING_KEY: &str = "signing.key";
pub(crate) const CATALOGUE: &str = "catalogue.jsonl";
const SHORTEST_LIFE: Duration = Duration::from_secs(1);
const LONGEST_LIFE: Duration = Duration::from_secs(3650 * 86_400);

/// Writes an authority's files: first the key, without which the certificate is of no use.
pub(crate) fn store_authority(folder: &Path, name: &str, authority: &Authority) -> io::Result<()> {
    write_whole(&folder.join(format!("{name}.key")), authority.key(), true)?;
    write_whole(
        &folder.join(format!("{name}.der")),
        authority.certificate(),
        false,
    )
}

/// Name of the files of the authority that `init` makes.
pub(crate) const FIRST_AUTHORITY: &str = "ca";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn init_makes_what_is_read_back_and_never_overwrites() {
        let dir = tempfile::tempdir().unwrap();
        let home = FederationFolder::new(dir.path());
        assert!(home.config().unwrap_err().to_string().contains("init"));
        home.init(Timestamp::from_secs(1), "demo", "127.0.0.1:0", "127.0.0.1:0")
            .unwrap();
        let config = home.config().unwrap();
        assert_eq!(
            (config.name.as_str(), config.listen.as_str()),
            ("demo", "127.0.0.1:0")
        );
        assert_eq!(
            (config.limits, config.store, config.certificates),
            (Limits::default(), StoreConfig::default(), Lives::default())
        );
        home.signing_key().unwrap();
        let text = fs::read_to_string(dir.path().join(CONFIG)).unwrap();
        fs::write(dir.path().join(CONFIG), format!("format = 2\n{text}")).unwrap();
        let error = home.config().unwrap_err().to_string();
        assert!(
            error.contains("coordinator.toml") && error.contains("format 2 and this program reads format 1"),
            "{error}"
        );
        assert!(home.init(Timestamp(0), "demo", "a:1", "a:1").is_err());
    }

    #[test]
    fn the_sample_shows_every_limit_with_its_default_and_a_useless_one_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let home = FederationFolder::new(dir.path());
        home.init(Timestamp::from_secs(1), "demo", "127.0.0.1:0", "127.0.0.1:0")
            .unwrap();
        let path = dir.path().join(CONFIG);
        let sample = fs::read_to_string(&path).unwrap();
        let section = sample
            .split("[limits]")
            .nth(1)
            .unwrap()
            .split("[store]")
            .next()
            .unwrap();
        let shown: Vec<&str> = section
            .lines()
            .filter_map(|line| line.strip_prefix("# ").filter(|line| line.contains(" = ")))
            .filter(|line| !line.starts_with("store_bytes"))
            .collect();
        assert_eq!(shown.len(), 16);
        let limits: Limits = toml::from_str(&shown.join("\n")).unwrap();
        assert_eq!(limits, Limits::default());
        let useless = sample.replace("# max_strangers = 128", "max_strangers = 0");
        fs::write(&path, useless).unwrap();
        let error = home.config().unwrap_err();
        assert!(error.is_usage() && error.to_string().contains("max_strangers"));
    }
}
