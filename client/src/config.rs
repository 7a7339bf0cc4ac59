//! `shop.toml`: what the owner of a shop decides.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use souk_common::config::{ConfigError as FileError, load_toml};
use souk_common::format::Format;
use souk_common::ids::{Digest, ShopName};
use souk_common::params::{Delta, Epsilon, NoiseMultiplier};
use souk_common::transport::TransportChoice;

use crate::data::ShopDataConfig;
use crate::experiment::ExperimentConfig;
use crate::folder::Folder;
use crate::http::config::HttpConfig;
use crate::link::route::Route;
use crate::participate::Policy;

/// The whole file. Unknown keys are refused.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct ShopConfig {
    /// Of the file; absent: 1.
    #[serde(skip_serializing)]
    pub format: Format<1>,
    /// Where the orders are.
    pub data: ShopDataConfig,
    /// What the shop takes part in.
    pub policy: PolicyConfig,
    /// What lists are made with.
    pub recommend: RecommendConfig,
    /// Where the coordinator is.
    pub network: NetworkConfig,
    /// The service for the shop's web shop.
    pub http: HttpConfig,
    /// An experiment that is under way there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub experiment: Option<ExperimentConfig>,
    /// Other shops whose long-term key the owner has confirmed, by the key's fingerprint. Only these count toward the
    /// least number of shops of a masked sum: the coordinator could invent others.
    pub known_shops: BTreeMap<ShopName, Digest>,
}

/// `[policy]`.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct PolicyConfig {
    /// Most epsilon (unit: one customer with all their orders; add/remove). Default 8.
    pub max_epsilon: Epsilon,
    /// The delta that epsilon is stated at; well under one over the number of customers: plans that declare more customers than
    /// one over it are declined. Default 1e-5.
    pub delta: Delta,
    /// Only spends of the last so many days count; absent: all that ever were.
    pub period_days: Option<u32>,
    /// Plans with a smaller noise multiplier are declined; absent: the budget alone decides.
    pub min_noise_multiplier: Option<NoiseMultiplier>,
    /// Take part in plans without any privacy. Default false.
    pub allow_no_privacy: bool,
    /// Decline everything for now; re-read before every round. Default false.
    pub pause: bool,
    /// Most megabytes (10^6 bytes) of updates within 24 hours; absent: no limit.
    pub max_upload_mb_per_day: Option<u64>,
    /// Decline plans under which the coordinator sees this shop's own update. Default false.
    pub require_masking: bool,
    /// Decline plans that unmask sums of fewer shops than these, this one included; it implies `require_masking`.
    pub min_masked_shops: Option<usize>,
    /// Decline plans that reckon with fewer colluding shops than these; it implies `require_masking`.
    pub min_colluding: Option<usize>,
    /// Decline plans under which this shop makes masks with fewer others than these; it implies `require_masking`.
    pub min_neighbours: Option<usize>,
}

impl Default for PolicyConfig {
    fn default() -> Self {
        Self {
            max_epsilon: Epsilon::new(8.0).expect("8 is an epsilon"),
            delta: Delta::new(1e-5).expect("1e-5 is a delta"),
            period_days: None,
            min_noise_multiplier: None,
            allow_no_privacy: false,
            pause: false,
            max_upload_mb_per_day: None,
            require_masking: false,
            min_masked_shops: None,
            min_colluding: None,
            min_neighbours: None,
        }
    }
}

impl From<&ShopConfig> for Policy {
    fn from(config: &ShopConfig) -> Self {
        let (known_shops, config) = (config.known_shops.len() + 1, &config.policy);
        Self {
            max_epsilon: config.max_epsilon,
            delta: config.delta,
            min_noise_multiplier: config.min_noise_multiplier,
            allow_no_privacy: config.allow_no_privacy,
            paused: config.pause,
            max_upload_bytes_per_day: config
                .max_upload_mb_per_day
                .map(|mb| mb.saturating_mul(1_000_000)),
            require_masking: config.require_masking,
            min_masked_shops: config.min_masked_shops,
            min_colluding: config.min_colluding,
            min_neighbours: config.min_neighbours,
            known_shops,
        }
    }
}

/// `[recommend]`.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct RecommendConfig {
    /// Whether what all shops released is used beside the shop's own data. Default "gate".
    pub federated: FederatedUse,
}

/// Whether channels of all shops are used: `true`, `false`, or `"gate"`.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(try_from = "FederatedSetting", into = "FederatedSetting")]
pub enum FederatedUse {
    /// Always.
    On,
    /// Never.
    Off,
    /// Where they help this shop's own customers.
    #[default]
    Gate,
}

#[derive(Deserialize, Serialize)]
#[serde(untagged)]
enum FederatedSetting {
    Plain(bool),
    Named(String),
}

impl TryFrom<FederatedSetting> for FederatedUse {
    type Error = String;

    fn try_from(setting: FederatedSetting) -> Result<Self, String> {
        match setting {
            FederatedSetting::Plain(true) => Ok(Self::On),
            FederatedSetting::Plain(false) => Ok(Self::Off),
            FederatedSetting::Named(name) if name == "gate" => Ok(Self::Gate),
            FederatedSetting::Named(name) => Err(format!(
                "federated is {name:?}; it must be true, false or \"gate\""
            )),
        }
    }
}

impl From<FederatedUse> for FederatedSetting {
    fn from(wish: FederatedUse) -> Self {
        match wish {
            FederatedUse::On => Self::Plain(true),
            FederatedUse::Off => Self::Plain(false),
            FederatedUse::Gate => Self::Named("gate".to_owned()),
        }
    }
}

/// `[network]`.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct NetworkConfig {
    /// `host:port` in place of the address in the join code.
    pub coordinator: Option<String>,
    /// What to dial over: `"auto"` is UDP, and TCP where nobody answers over UDP; `"udp"` and `"tcp"` are that alone. Default "auto".
    pub transport: TransportChoice,
}

impl ShopConfig {
    /// Reads the folder's `shop.toml`.
    ///
    /// # Errors
    /// When it is missing, or has a line that makes no sense.
    pub fn load(folder: &Folder) -> Result<Self, ShopConfigError> {
        load_toml(&folder.config()).map_err(|error| match error {
            FileError::Unreadable { path, source } => ShopConfigError::Unreadable { path, source },
            other => ShopConfigError::File(other),
        })
    }

    /// Files beside the store of interactions that decide what the shop's data are, this one among them.
    pub(crate) fn data_files(&self, folder: &Folder) -> Vec<PathBuf> {
        let (items, users, map) = (&self.data.items, &self.data.users, &self.data.item_map);
        let named = [(items, "items.csv"), (users, "users.csv"), (map, "item_map.csv")];
        let path = |(named, default): (&Option<PathBuf>, &str)| {
            folder.path().join(named.as_deref().unwrap_or(default.as_ref()))
        };
        named.into_iter().map(path).chain([folder.config()]).collect()
    }

    /// The way to the coordinator: as the owner says, or else to where the join code said.
    pub(crate) fn route_or(&self, joined_at: &str) -> Route {
        let said = self.network.coordinator.clone();
        Route {
            address: said.unwrap_or_else(|| joined_at.to_owned()),
            transport: self.network.transport,
        }
    }
}

/// A commented `shop.toml` whose orders are in `orders`, a file, or a folder that has `orders.csv`.
pub fn sample(data: Option<&std::path::Path>) -> String {
    let quoted = |path: PathBuf| toml::Value::String(path.to_string_lossy().into_owned()).to_string();
    let mut lines = Vec::new();
    if let Some(data) = data {
        let (orders, folder) = if data.is_dir() {
            (data.join("orders.csv"), Some(data))
        } else {
            (data.to_owned(), data.parent())
        };
        lines.push(format!("orders = {}", quoted(orders)));
        for (key, name) in [("items", "items.csv"), ("users", "users.csv")] {
            if let Some(path) = folder
                .map(|folder| folder.join(name))
                .filter(|path| path.is_file())
            {
                lines.push(format!("{key} = {}", quoted(path)));
            }
        }
    } else {
        lines.push("orders = \"orders.csv\"".to_owned());
    }
    SAMPLE.replace("orders = \"orders.csv\"", &lines.join("\n"))
}

/// Why `shop.toml` is of no use.
#[derive(Debug, thiserror::Error)]
pub enum ShopConfigError {
    /// No file, or not to be read.
    #[error("can't read {}: is this a shop's folder? `souk-client join` makes one", .path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: std::io::Error,
    },
    /// A line that makes no sense, or no configuration at all.
    #[error(transparent)]
    File(FileError),
}

const SAMPLE: &str = include_str!("../../deploy/config/shop.toml");

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<ShopConfig, FileError> {
        souk_common::config::parse_toml(std::path::Path::new("shop.toml"), text)
    }

    #[test]
    fn the_sample_file_is_the_default() {
        assert_eq!(parse(SAMPLE).unwrap(), ShopConfig::default());
    }

    #[test]
    fn every_commented_key_of_the_sample_is_understood() {
        let uncommented: String = SAMPLE
            .lines()
            .map(|line| match line.strip_prefix("# ") {
                Some(rest) if rest.contains(" = ") || rest.starts_with('[') => rest,
                _ => line,
            })
            .flat_map(|line| [line, "\n"])
            .collect();
        let config = parse(&uncommented).unwrap();
        assert_eq!(config.policy.period_days, Some(365));
        let policy = Policy::from(&config);
        assert_eq!(
            (
                policy.min_masked_shops,
                policy.min_colluding,
                policy.min_neighbours
            ),
            (Some(4), Some(2), Some(3))
        );
        assert_eq!(
            config.network.coordinator.as_deref(),
            Some("souk.example.org:4433")
        );
        assert_eq!(config.network.transport, TransportChoice::Auto);
    }

    #[test]
    fn channels_of_all_shops_are_on_off_or_up_to_the_gate() {
        let read = |value: &str| {
            let text = format!("[recommend]\nfederated = {value}");
            let config = parse(&text).unwrap();
            assert_eq!(parse(&toml::to_string(&config).unwrap()).unwrap(), config);
            config.recommend.federated
        };
        let found = ["true", "false", "\"gate\""].map(read);
        assert_eq!(found, [FederatedUse::On, FederatedUse::Off, FederatedUse::Gate]);
    }

    #[test]
    fn unknown_keys_and_senseless_numbers_are_named() {
        for (text, said) in [
            ("[policy]\nmax_epsilom = 1", "max_epsilom"),
            ("[policy]\nmax_epsilon = -1.0", "epsilon is -1"),
            ("[policy]\ndelta = 1.0", "delta is 1"),
            ("[polic]", "polic"),
            ("[network]\ntransport = \"https\"", "`auto`, `udp`, `tcp`"),
            ("[recommend]\nfederated = \"maybe\"", "true, false or \"gate\""),
            (
                "format = 2",
                "shop.toml, line 1, column 10: it has format 2 and this program reads format 1",
            ),
        ] {
            let error = parse(text).expect_err(text).to_string();
            assert!(error.contains(said), "{error}");
        }
    }

    #[test]
    fn a_sample_points_at_the_data_it_was_given() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("items.csv"), "item_id\n").unwrap();
        let config = parse(&sample(Some(dir.path()))).unwrap();
        assert_eq!(config.data.orders.as_slice(), [dir.path().join("orders.csv")]);
        assert_eq!(config.data.items, Some(dir.path().join("items.csv")));
        assert_eq!(config.data.users, None);
        let strange = dir.path().join("a \"quoted\"\\name.csv");
        std::fs::write(&strange, "").unwrap();
        assert_eq!(
            parse(&sample(Some(&strange))).unwrap().data.orders.as_slice(),
            [strange]
        );
    }
}
