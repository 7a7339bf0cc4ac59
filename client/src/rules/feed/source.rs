//! `[[feed]]`: where a product feed is.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;
use souk_common::ids::Digest;

use super::address::FeedAddress;
use crate::folder::Folder;

/// `[[feed]]`: a product feed, in a file or at an address.
#[derive(Clone, Debug, Default, Deserialize, Eq, Hash, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct FeedSource {
    /// A file, from the shop's folder.
    pub path: Option<PathBuf>,
    /// In place of a file, an address, which a running `run` reads.
    pub url: Option<String>,
    /// How often the address is asked, such as `6h`: from 5 minutes to 30 days. Default: `1h`.
    pub every: Option<String>,
    /// Whether the address may begin with `http://` beyond this machine, where others can change what is read. Default: false.
    #[serde(default)]
    pub allow_http: bool,
    /// The currency of its prices that count, such as `EUR`. Default: all must be in one.
    pub currency: Option<String>,
}

/// Files of a feed by address, in `feeds/` of the shop's folder.
pub(crate) struct FetchedFiles {
    /// What came last, whole.
    pub(crate) fetched: PathBuf,
    /// What is coming.
    pub(crate) part: PathBuf,
    /// How fetches went.
    pub(crate) state: PathBuf,
}

impl FeedSource {
    /// What is wrong with it.
    ///
    /// # Errors
    /// In words.
    pub fn check(&self) -> Result<(), String> {
        match (&self.path, &self.url) {
            (None, None) => return Err("a feed has a `path` or a `url`".to_owned()),
            (Some(_), Some(_)) => {
                return Err(format!("feed {self} has a `path` and a `url`: make it two feeds"));
            }
            (Some(path), None) if path.to_string_lossy().contains("://") => {
                return Err(format!("feed {self} is an address: call it `url`, not `path`"));
            }
            (Some(_), None) if self.every.is_some() || self.allow_http => {
                return Err(format!(
                    "feed {self} is a file, which is read when it changes: `every` and `allow_http` are for a `url`"
                ));
            }
            (Some(_), None) => return Ok(()),
            (None, Some(url)) => FeedAddress::parse(url, self.allow_http)
                .map_err(|error| format!("feed {self} can't be read: {error}"))?,
        };
        let every = self.every.as_deref().map(humantime::parse_duration);
        match every {
            Some(Ok(every)) if (LEAST_EVERY..=MOST_EVERY).contains(&every) => Ok(()),
            None => Ok(()),
            Some(_) => Err(format!(
                "every of feed {self} is {:?}; it is from 5m to 30days, such as \"6h\"",
                self.every.as_deref().unwrap_or_default()
            )),
        }
    }

    /// Its address; none of a file.
    pub fn address(&self) -> Option<FeedAddress> {
        FeedAddress::parse(self.url.as_deref()?, self.allow_http).ok()
    }

    /// How often an address is asked.
    pub fn every(&self) -> Duration {
        let said = self.every.as_deref();
        said.and_then(|every| humantime::parse_duration(every).ok())
            .unwrap_or(DEFAULT_EVERY)
    }

    /// The file that it is read from: the owner's, or what was fetched last.
    pub(crate) fn file(&self, folder: &Folder) -> PathBuf {
        match &self.path {
            Some(path) => folder.path().join(path),
            None => self.fetched_files(folder).fetched,
        }
    }

    /// Where what was taken of it is kept.
    pub(crate) fn kept_in(&self, folder: &Folder) -> PathBuf {
        folder.feeds().join(format!("{}.json", self.name()))
    }

    pub(crate) fn fetched_files(&self, folder: &Folder) -> FetchedFiles {
        let file = |ending: &str| folder.feeds().join(format!("{}.{ending}", self.name()));
        FetchedFiles {
            fetched: file("fetched"),
            part: file("part"),
            state: file("fetch.json"),
        }
    }

    fn name(&self) -> String {
        let (path, url) = (
            self.path.as_deref().map(Path::to_string_lossy),
            self.url.as_deref(),
        );
        let named = path.as_deref().or(url).unwrap_or_default();
        Digest::of(named.as_bytes()).short()
    }
}

/// As people are told of it: an address without passwords and keys.
impl fmt::Display for FeedSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.path, &self.url) {
            (Some(path), _) => path.display().fmt(f),
            (None, Some(url)) => f.write_str(&super::address::without_secrets(url)),
            (None, None) => f.write_str("without a path"),
        }
    }
}

const DEFAULT_EVERY: Duration = Duration::from_secs(3600);
const LEAST_EVERY: Duration = Duration::from_secs(300);
const MOST_EVERY: Duration = Duration::from_secs(30 * 86_400);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_feed_is_a_file_or_an_address_with_a_schedule() {
        let check = |text: &str| toml::from_str::<FeedSource>(text).unwrap().check();
        for good in [
            "path = 'feed.xml'",
            "url = 'https://a.example/feed'",
            "url = 'https://a.example/feed'\nevery = '5m'",
            "url = 'http://a.example/feed'\nallow_http = true\ncurrency = 'EUR'",
        ] {
            assert_eq!(check(good), Ok(()), "{good}");
        }
        for (bad, said) in [
            ("", "a `path` or a `url`"),
            ("path = 'a'\nurl = 'https://a.example/'", "make it two feeds"),
            ("path = 'https://a.example/feed'", "call it `url`"),
            ("path = 'feed.xml'\nevery = '6h'", "are for a `url`"),
            ("url = 'http://a.example/feed'", "allow_http"),
            (
                "url = 'https://a.example/?key=k'\nevery = '10s'",
                "https://a.example/?... is \"10s\"; it is from 5m",
            ),
            ("url = 'https://a.example/'\nevery = 'often'", "\"often\""),
        ] {
            let error = check(bad).expect_err(bad);
            assert!(error.contains(said), "{bad}: {error}");
        }
        let every = |text: &str| toml::from_str::<FeedSource>(text).unwrap().every();
        assert_eq!(every("url = 'https://a.example/'"), Duration::from_secs(3600));
        assert_eq!(
            every("url = 'https://a.example/'\nevery = '6h'"),
            Duration::from_secs(6 * 3600)
        );
    }
}
