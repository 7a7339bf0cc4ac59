//! Who saw which arm's lists, and since when: `experiment/NAME.jsonl` in the shop's folder, one line a customer.

use std::collections::HashMap;
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};
use souk_common::clock::Timestamp;
use souk_common::storage::disk::{Access, DiskFile};

use super::{Arm, ExperimentConfig};
use crate::folder::Folder;

/// The customers of an experiment.
#[derive(Debug)]
pub struct Exposures {
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    path: PathBuf,
    file: Box<dyn DiskFile>,
    seen: HashMap<String, Exposure>,
}

/// A customer's first list.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Exposure {
    /// Whose lists it gets.
    pub arm: Arm,
    /// When it saw the first, in seconds since 1970.
    pub since: i64,
}

#[derive(Deserialize, Serialize)]
struct Line {
    user: String,
    #[serde(flatten)]
    exposure: Exposure,
}

impl Exposures {
    /// Of an experiment of the shop in `folder`.
    ///
    /// # Errors
    /// Of the disk, or when another program has it open.
    pub fn open(folder: &Folder, config: &ExperimentConfig) -> io::Result<Self> {
        let path = path_of(folder, config);
        folder.disk().make_folder(&folder.experiments())?;
        let mut file = folder.disk().open(&path, Access::Append)?;
        let bytes = folder.disk().read(&path)?;
        if bytes.last().is_some_and(|byte| *byte != b'\n') {
            file.write_all(b"\n")?;
        }
        Ok(Self {
            inner: Mutex::new(Inner {
                path,
                file,
                seen: customers_in(&bytes),
            }),
        })
    }

    /// A customer sees a list of an arm.
    pub fn note(&self, user: &str, arm: Arm, now: Timestamp) {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        if inner.seen.contains_key(user) {
            return;
        }
        let exposure = Exposure {
            arm,
            since: now.0.div_euclid(1000),
        };
        let line = Line {
            user: user.to_owned(),
            exposure,
        };
        let mut bytes = serde_json::to_vec(&line).expect("a line has a JSON form");
        bytes.push(b'\n');
        // Not synchronised: a customer who is lost by a crash counts from the next list on.
        match inner.file.write_all(&bytes) {
            Ok(()) => {
                inner.seen.insert(line.user, exposure);
            }
            Err(error) => {
                tracing::warn!(path = %inner.path.display(), %error, "a customer of the experiment could not be noted");
            }
        }
    }
}

/// All customers of an experiment with their arms, as the file has them.
///
/// # Errors
/// Of the disk.
pub fn read(folder: &Folder, config: &ExperimentConfig) -> io::Result<HashMap<String, Exposure>> {
    match folder.disk().read(&path_of(folder, config)) {
        Ok(bytes) => Ok(customers_in(&bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(HashMap::new()),
        Err(error) => Err(error),
    }
}

fn path_of(folder: &Folder, config: &ExperimentConfig) -> PathBuf {
    folder.experiments().join(format!("{}.jsonl", config.name()))
}

fn customers_in(bytes: &[u8]) -> HashMap<String, Exposure> {
    let mut seen = HashMap::new();
    for line in bytes.split(|byte| *byte == b'\n') {
        // A line that a crash cut short is a customer who counts from the next list on.
        if let Ok(Line { user, exposure }) = serde_json::from_slice(line) {
            seen.entry(user).or_insert(exposure);
        }
    }
    seen
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_customer_counts_from_the_first_list_on_also_after_a_start() {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::new(dir.path());
        let config: ExperimentConfig = toml::from_str("name = 'a'\nalone = 1\ntogether = 1").unwrap();
        let exposures = Exposures::open(&folder, &config).unwrap();
        exposures.note("anna", Arm::Alone, Timestamp::from_secs(100));
        exposures.note("anna", Arm::Together, Timestamp::from_secs(200));
        drop(exposures);
        let path = folder.experiments().join("a.jsonl");
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, format!("{text}{{\"user\":\"be")).unwrap();
        let exposures = Exposures::open(&folder, &config).unwrap();
        exposures.note("bert", Arm::Together, Timestamp::from_secs(300));
        drop(exposures);
        let all = read(&folder, &config).unwrap();
        let of = |arm, since| Exposure { arm, since };
        let found = (all["anna"], all["bert"], all.len());
        assert_eq!(found, (of(Arm::Alone, 100), of(Arm::Together, 300), 2));
    }
}
