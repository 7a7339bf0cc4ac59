//! Who saw which arm's lists, and since when: `experiment/NAME.jsonl` in the shop's folder, one line a customer.

use std::collections::HashMap;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};
use souk_common::clock::Timestamp;
use souk_common::storage::disk::{Access, DiskFile, destroy};

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
    /// None after it could not be opened again; then nobody is noted.
    file: Option<Box<dyn DiskFile>>,
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
                file: Some(file),
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
        let noted = match &mut inner.file {
            Some(file) => file.write_all(&bytes),
            None => Err(io::Error::other("the file is not open: start `run` again")),
        };
        match noted {
            Ok(()) => {
                inner.seen.insert(line.user, exposure);
            }
            Err(error) => {
                tracing::warn!(path = %inner.path.display(), %error, "a customer of the experiment could not be noted");
            }
        }
    }

    /// Forgets a customer, in memory and in the files of all experiments: while this one is open, nobody else writes any.
    ///
    /// # Errors
    /// Of the disk: each file is as it was then, or already without them.
    pub fn forget(&self, folder: &Folder, user: &str) -> io::Result<()> {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.seen.remove(user);
        // It is another file afterwards, and one that is open can't be opened again.
        inner.file = None;
        let rewritten = forget_in_all(folder, user);
        inner.file = Some(folder.disk().open(&inner.path, Access::Append)?);
        rewritten
    }
}

/// The experiments that know a customer, named as compared.
///
/// # Errors
/// Of the disk.
pub fn experiments_of(folder: &Folder, user: &str) -> io::Result<Vec<String>> {
    let mut found = Vec::new();
    for path in files(folder)? {
        if customers_in(&folder.disk().read(&path)?).contains_key(user) {
            found.extend(path.file_stem().map(|name| name.to_string_lossy().into_owned()));
        }
    }
    Ok(found)
}

/// Takes a customer out of every experiment, each file whole or not at all.
///
/// # Errors
/// Of the disk.
pub fn forget_in_all(folder: &Folder, user: &str) -> io::Result<()> {
    // What a crash left of a file that was being written: the file itself is there.
    for aside in folder.files_ending(&folder.experiments(), "new")? {
        destroy(folder.disk(), &aside)?;
    }
    let files = files(folder)?;
    files.iter().try_for_each(|path| forget_in(folder, path, user))
}

/// Deletes the files of experiments other than `running` of which nobody has seen a list since `kept_since`, in seconds since 1970. Their
/// names.
///
/// # Errors
/// Of the disk.
pub fn delete_over(folder: &Folder, running: Option<&str>, kept_since: i64) -> io::Result<Vec<String>> {
    let mut deleted = Vec::new();
    for path in files(folder)? {
        let name = path.file_stem().map(|name| name.to_string_lossy().into_owned());
        let Some(name) = name.filter(|name| running != Some(name)) else {
            continue;
        };
        let seen = customers_in(&folder.disk().read(&path)?);
        if seen.values().all(|exposure| exposure.since < kept_since) {
            destroy(folder.disk(), &path)?;
            deleted.push(name);
        }
    }
    Ok(deleted)
}

/// Writes a file anew without a customer, and without lines that a crash cut short.
fn forget_in(folder: &Folder, path: &Path, user: &str) -> io::Result<()> {
    let bytes = folder.disk().read(path)?;
    let (mut kept, mut is_changed) = (Vec::with_capacity(bytes.len()), false);
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        let stays = line == b"\n" || serde_json::from_slice(line).is_ok_and(|line: Line| line.user != user);
        match stays {
            true => kept.extend_from_slice(line),
            false => is_changed = true,
        }
    }
    match is_changed {
        true => folder.write_whole(path, &kept, true),
        false => Ok(()),
    }
}

fn files(folder: &Folder) -> io::Result<Vec<PathBuf>> {
    folder.files_ending(&folder.experiments(), "jsonl")
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

    #[test]
    fn a_customer_who_is_forgotten_leaves_every_experiment_and_others_are_noted_as_before() {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::new(dir.path());
        let named =
            |name: &str| toml::from_str(&format!("name = '{name}'\nalone = 1\ntogether = 1")).unwrap();
        let (old, now): (ExperimentConfig, ExperimentConfig) = (named("old"), named("now"));
        Exposures::open(&folder, &old)
            .unwrap()
            .note("anna", Arm::Alone, Timestamp(0));
        let exposures = Exposures::open(&folder, &now).unwrap();
        for user in ["anna", "bert"] {
            exposures.note(user, Arm::Alone, Timestamp::from_secs(100));
        }
        assert_eq!(experiments_of(&folder, "anna").unwrap(), ["now", "old"]);
        exposures.forget(&folder, "anna").unwrap();
        assert_eq!(experiments_of(&folder, "anna").unwrap(), [""; 0]);
        exposures.note("carl", Arm::Alone, Timestamp::from_secs(300));
        drop(exposures);
        let mut all: Vec<String> = read(&folder, &now).unwrap().into_keys().collect();
        all.sort_unstable();
        assert_eq!(all, ["bert", "carl"]);
        assert!(read(&folder, &old).unwrap().is_empty());
        // Of what is over, only what nobody has seen since is deleted.
        assert_eq!(delete_over(&folder, Some("now"), 1000).unwrap(), ["old"]);
        assert_eq!(delete_over(&folder, None, 300).unwrap(), [""; 0]);
        assert_eq!(delete_over(&folder, None, 301).unwrap(), ["now"]);
    }
}
