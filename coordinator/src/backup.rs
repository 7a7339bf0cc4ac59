//! A backup: a folder that can be put in the place of the federation's own, made while `serve` runs.
//!
//! Copying the records' file while a program has it open can catch it between two writes, so that is not how it is done.
//! Whoever has the store open makes a snapshot in `DIR/.snapshot`: the records of one moment in a new file, the
//! content-addressed files by a second name (they never change, so that costs nothing), keys and configuration. The command
//! then copies that wherever it is wanted, and the rounds go on meanwhile.
//!
//! A folder that holds an earlier backup is brought up to date: files that it has are not copied again. At every moment it
//! is the earlier backup or the new one, for records are replaced last, by a rename.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use souk_common::chain::LogHead;
use souk_common::clock::Timestamp;
use souk_common::storage::private::{make_folder, narrow};
use souk_common::storage::write_whole;
use souk_common::terminal::tell;

use crate::folder::FederationFolder;
use crate::store::{FOLDERS, RECORDS, Snapshot, Store, StoreError};

/// What a backup says of itself, in `backup.json`; written last.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct About {
    /// When it was made.
    pub made_at: Timestamp,
    /// Length and head of the record in it.
    pub log: LogHead,
}

/// What was copied.
#[derive(Clone, Debug, Serialize)]
pub struct Copied {
    /// Of the backup.
    #[serde(flatten)]
    pub about: About,
    /// Files in it.
    pub files: u64,
    /// Bytes that had to be copied.
    pub bytes_copied: u64,
}

/// Begins the snapshot that [`copy`] copies: quickly, for nothing may be changed meanwhile. An older one is removed.
///
/// # Errors
/// Of the store or the file system.
pub fn begin(home: &FederationFolder, store: &Store) -> Result<Snapshot, StoreError> {
    let aside = aside(home);
    remove(&aside)?;
    make_folder(&aside)?;
    for name in names(home.path())?.iter().filter(|name| is_small(name)) {
        fs::copy(home.path().join(name), aside.join(name))?;
    }
    store.snapshot(&aside)
}

/// Finishes it: the records go on changing meanwhile.
///
/// # Errors
/// Of the store or the file system.
pub fn finish(begun: &Snapshot, now: Timestamp) -> Result<About, StoreError> {
    let log = begun.write()?;
    Ok(About { made_at: now, log })
}

/// Copies the snapshot to `to`, which is new, empty, or an earlier backup, and removes it.
///
/// # Errors
/// When `to` is something else, or of the file system.
pub fn copy(home: &FederationFolder, to: &Path, about: About) -> Result<Copied, BackupError> {
    let failed = |path: &Path, source| BackupError::Files {
        path: path.into(),
        source,
    };
    let from = aside(home);
    if let Err(error) = check_target(home, to) {
        let _ = remove(&from);
        return Err(error);
    }
    let copied = copy_all(&from, to, about).map_err(|(path, source)| failed(&path, source));
    // Second names of files that the federation may delete: their room shall be free again.
    remove(&from).map_err(|source| failed(&from, source))?;
    copied
}

/// Whether the folder was put back from a backup and not served since, and from which, or why that can't be read; from now
/// on it counts as served.
///
/// # Errors
/// Of the file system.
pub fn was_put_back(home: &FederationFolder) -> io::Result<Option<Result<About, serde_json::Error>>> {
    let path = home.path().join(ABOUT);
    let Ok(bytes) = fs::read(&path) else {
        return Ok(None);
    };
    fs::remove_file(&path)?;
    Ok(Some(serde_json::from_slice(&bytes)))
}

fn check_target(home: &FederationFolder, to: &Path) -> Result<(), BackupError> {
    let Ok(mut found) = fs::read_dir(to) else {
        return Ok(());
    };
    let same = fs::canonicalize(to).ok() == fs::canonicalize(home.path()).ok();
    if same || (found.next().is_some() && !to.join(ABOUT).is_file()) {
        return Err(BackupError::Target { path: to.into() });
    }
    Ok(())
}

fn copy_all(from: &Path, to: &Path, about: About) -> Result<Copied, (PathBuf, io::Error)> {
    let at = |path: &Path| {
        let path = path.to_owned();
        move |error| (path, error)
    };
    make_folder(to).map_err(at(to))?;
    let narrowed = narrow(to, true).map_err(|error| (to.to_owned(), io::Error::other(error)))?;
    if let Some(line) = narrowed {
        tell(&line);
    }
    let mut copied = Copied {
        about,
        files: 0,
        bytes_copied: 0,
    };
    let mut kept = BTreeSet::new();
    for folder in FOLDERS {
        for part in names(&from.join(folder)).map_err(at(from))? {
            let part = Path::new(folder).join(part);
            make_folder(&to.join(&part)).map_err(at(to))?;
            for name in names(&from.join(&part)).map_err(at(from))? {
                let name = part.join(name);
                copied.bytes_copied +=
                    copy_new(&from.join(&name), &to.join(&name)).map_err(at(&to.join(&name)))?;
                copied.files += 1;
                kept.insert(name);
            }
            sync(&to.join(&part)).map_err(at(to))?;
        }
    }
    for name in names(from)
        .map_err(at(from))?
        .iter()
        .filter(|name| is_small(name))
    {
        let bytes = fs::read(from.join(name)).map_err(at(from))?;
        write_whole(&to.join(name), &bytes, name.ends_with(".key")).map_err(at(&to.join(name)))?;
        copied.files += 1;
        copied.bytes_copied += bytes.len() as u64;
    }
    // The records last: what they name is there.
    let aside = to.join(format!("{RECORDS}.new"));
    copied.bytes_copied += fs::copy(from.join(RECORDS), &aside).map_err(at(&aside))?;
    copied.files += 1;
    File::open(&aside)
        .and_then(|file| file.sync_all())
        .and_then(|()| fs::rename(&aside, to.join(RECORDS)))
        .and_then(|()| sync(to))
        .map_err(at(&aside))?;
    forget_the_rest(from, to, &kept).map_err(at(to))?;
    let text = serde_json::to_vec_pretty(&copied.about).map_err(|error| (to.join(ABOUT), error.into()))?;
    write_whole(&to.join(ABOUT), &text, false).map_err(at(&to.join(ABOUT)))?;
    Ok(copied)
}

/// Removes what an earlier backup had and the federation has no more: keys that were retired, updates that are not kept.
fn forget_the_rest(from: &Path, to: &Path, kept: &BTreeSet<PathBuf>) -> io::Result<()> {
    for name in names(to)?.iter().filter(|name| is_small(name)) {
        if !from.join(name).exists() {
            fs::remove_file(to.join(name))?;
        }
    }
    for folder in FOLDERS {
        for part in names(&to.join(folder)).unwrap_or_default() {
            let part = Path::new(folder).join(part);
            for name in names(&to.join(&part)).unwrap_or_default() {
                let name = part.join(name);
                if !kept.contains(&name) {
                    fs::remove_file(to.join(name))?;
                }
            }
        }
    }
    Ok(())
}

/// Copies a content-addressed file that is not there yet; how many bytes that took.
fn copy_new(from: &Path, to: &Path) -> io::Result<u64> {
    let len = fs::metadata(from)?.len();
    if fs::metadata(to).is_ok_and(|there| there.len() == len) {
        return Ok(0);
    }
    let aside = to.with_extension("new");
    fs::copy(from, &aside)?;
    File::open(&aside)?.sync_all()?;
    fs::rename(&aside, to)?;
    Ok(len)
}

fn names(folder: &Path) -> io::Result<Vec<String>> {
    fs::read_dir(folder)?
        .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
        .collect()
}

fn sync(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

fn remove(folder: &Path) -> io::Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn aside(home: &FederationFolder) -> PathBuf {
    home.path().join(".snapshot")
}

/// Configuration, keys and catalogue.
fn is_small(name: &str) -> bool {
    let authority = name.starts_with("ca") && (name.ends_with(".der") || name.ends_with(".key"));
    authority
        || [
            "coordinator.toml",
            "catalogue.jsonl",
            "signing.key",
            "authorities.json",
        ]
        .contains(&name)
}

/// Why there is no backup.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// Something else is there.
    #[error("{path} is not empty and holds no earlier backup: name a new folder")]
    Target {
        /// Where.
        path: PathBuf,
    },
    /// The file system.
    #[error("{path}: {source}; what was there before is still good")]
    Files {
        /// Which file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
}

const ABOUT: &str = "backup.json";

#[cfg(test)]
mod tests {
    use super::*;

    fn snapshot(home: &FederationFolder, store: &Store, now: Timestamp) -> About {
        finish(&begin(home, store).unwrap(), now).unwrap()
    }

    #[test]
    fn a_backup_holds_everything_and_the_next_one_only_copies_what_is_new() {
        let dir = tempfile::tempdir().unwrap();
        let home = FederationFolder::new(dir.path().join("federation"));
        let now = Timestamp(1_800_000_000_000);
        home.init(now, "test", "127.0.0.1:0", "127.0.0.1:0").unwrap();
        let mut store = Store::open(home.path(), None).unwrap();
        let model = store.files().put(&[1; 5000]).unwrap();
        let part = store.private().put(&[2; 3000]).unwrap();
        store.change(|change| change.set_meta("test", &1)).unwrap();
        let to = dir.path().join("backup");
        let back_up = |store: &Store| copy(&home, &to, snapshot(&home, store, now));
        let first = back_up(&store).unwrap();
        assert!(first.bytes_copied > 8000);
        store.private().remove(&part).unwrap();
        let later = store.files().put(&[3; 700]).unwrap();
        store.change(|change| change.set_meta("test", &2)).unwrap();
        back_up(&store).unwrap();
        store.change(|change| change.set_meta("test", &3)).unwrap();
        let put_back = FederationFolder::new(&to);
        let copied = Store::open(put_back.path(), None).unwrap();
        assert_eq!(copied.meta::<u32>("test").unwrap(), Some(2));
        assert_eq!(copied.files().read(&model).unwrap(), [1; 5000]);
        assert_eq!(copied.files().read(&later).unwrap(), [3; 700]);
        assert!(
            !copied.private().contains(&part),
            "what is not kept is not kept here either"
        );
        assert_eq!(
            put_back.authority().unwrap().fingerprint(),
            home.authority().unwrap().fingerprint()
        );
        assert_eq!(put_back.config().unwrap(), home.config().unwrap());
        assert!(!aside(&home).exists());
        let about = was_put_back(&put_back).unwrap().unwrap();
        assert_eq!(about.unwrap().made_at, now);
        assert!(was_put_back(&put_back).unwrap().is_none(), "said once");
        fs::write(put_back.path().join(ABOUT), "{\"made_at\":").unwrap();
        let about = was_put_back(&put_back).unwrap().unwrap();
        assert!(about.is_err(), "damaged, but a backup's");
    }

    #[test]
    fn a_folder_with_other_things_in_it_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let home = FederationFolder::new(dir.path().join("federation"));
        let now = Timestamp(1_800_000_000_000);
        home.init(now, "test", "127.0.0.1:0", "127.0.0.1:0").unwrap();
        let store = Store::open(home.path(), None).unwrap();
        fs::write(home.path().join(ABOUT), "{}").unwrap();
        for to in [home.path(), dir.path()] {
            let about = snapshot(&home, &store, now);
            assert!(matches!(copy(&home, to, about), Err(BackupError::Target { .. })));
        }
        assert!(!aside(&home).exists());
    }
}
