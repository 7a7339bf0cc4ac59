//! Is the shop well? What can be told without a network: judged in one place for `doctor` and the owner's page.
//!
//! | module | what |
//! |---|---|
//! | [`data`] | orders that have stopped coming, and files with too many bad lines |
//! | [`budget`] | a privacy budget that is nearly spent, and when it renews |
//! | [`certificates`] | certificates that are near their end |
//! | [`disk`] | room for what the shop's folder needs next |
//! | [`keys`] | other shops whose keys nobody has confirmed |

pub(crate) mod budget;
pub(crate) mod certificates;
pub(crate) mod data;
pub(crate) mod disk;
pub(crate) mod keys;

use serde::Serialize;
use souk_common::clock::Timestamp;

use crate::config::ShopConfig;
use crate::folder::Folder;
use crate::membership::Membership;

/// How bad something is.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum HealthLevel {
    /// It is in order.
    Good,
    /// It works, and will not for ever or not as it could.
    Warning,
    /// It does not work.
    Bad,
}

/// What was found about one thing, and what to do.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Finding {
    pub(crate) level: HealthLevel,
    pub(crate) text: String,
}

impl Finding {
    pub(crate) fn good(text: impl Into<String>) -> Self {
        Self::of(HealthLevel::Good, text)
    }

    pub(crate) fn warning(text: impl Into<String>) -> Self {
        Self::of(HealthLevel::Warning, text)
    }

    pub(crate) fn bad(text: impl Into<String>) -> Self {
        Self::of(HealthLevel::Bad, text)
    }

    fn of(level: HealthLevel, text: impl Into<String>) -> Self {
        Self {
            level,
            text: text.into(),
        }
    }
}

/// Good as it is said, or bad as the error is.
impl From<anyhow::Result<String>> for Finding {
    fn from(found: anyhow::Result<String>) -> Self {
        match found {
            Ok(text) => Self::good(text),
            Err(error) => Self::bad(format!("{error:#}")),
        }
    }
}

/// What is not in order of the disk and of certificates, a line each.
pub(crate) fn troubles_of_folder(
    folder: &Folder,
    config: Option<&ShopConfig>,
    now: Timestamp,
) -> Vec<String> {
    let shop = Membership::load(folder).ok();
    let shop = shop.map(|membership| certificates::of_shop(&membership, now));
    let http = config.and_then(|config| certificates::of_http(folder, &config.http, now));
    [Some(disk::room(folder)), shop, http]
        .into_iter()
        .flatten()
        .filter(|found| found.level > HealthLevel::Good)
        .map(|found| found.text)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_not_in_order_is_listed() {
        let dir = tempfile::tempdir().unwrap();
        let (folder, mut config) = (Folder::new(dir.path()), ShopConfig::default());
        let of_disk = usize::from(disk::room(&folder).level > HealthLevel::Good);
        let now = Timestamp(1_795_867_200_000);
        assert_eq!(troubles_of_folder(&folder, Some(&config), now).len(), of_disk);
        config.http.tls_cert = Some("cert.pem".into());
        let found = troubles_of_folder(&folder, Some(&config), now);
        assert!(
            found.len() == of_disk + 1 && found[of_disk].contains("cert.pem"),
            "{found:?}"
        );
    }
}
