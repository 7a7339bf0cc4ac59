//! A copy of what a shop can't do without, also while `run` is up.
//!
//! `shop.redb` can't be copied by a file manager while a program writes to it; whoever has it open copies it, table by table.
//! The ledger is copied after it: every update that the store knows is then in the ledger, and a line that is just being
//! written is charged for when the copy is opened. Of models, plans and catalogues, what is in use and what makes lists is
//! copied, so that a restored shop recommends at once; older ones are not. Events that a web shop reported are nowhere else: their
//! journal is copied, who is in which arm of an experiment, the digests of forgotten customers, and the secrets of the HTTP service.

use std::collections::BTreeSet;
use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use anyhow::{Context, ensure};

use souk_common::storage::private::{make_folder, narrow};

use crate::folder::{Folder, sync_folder};
use crate::store::{Store, needed};
use souk_common::storage::write_whole;

/// Copies to `to`; how many files.
///
/// # Errors
/// When `to` holds something else than an earlier backup of the same shop, or of the file system.
pub fn copy(folder: &Folder, store: &Store, to: &Path) -> anyhow::Result<u64> {
    make_folder(to).with_context(|| format!("can't make {}", to.display()))?;
    let there = Folder::new(to);
    let key = read_if_there(&folder.key())?;
    ensure!(
        key.is_some() || !folder.membership().exists(),
        "can't read {}: without it this shop is no member",
        folder.key().display()
    );
    let is_empty = fs::read_dir(to)?.next().is_none();
    let same_key = key.is_some() && read_if_there(&there.key())? == key;
    let is_backup = (same_key || is_of_before_the_join(folder, &there)?) && !there.control().exists();
    let same = fs::canonicalize(to)? == fs::canonicalize(folder.path())?;
    ensure!(
        !same && (is_empty || is_backup),
        "{} is not empty and holds no earlier backup of this shop: name a new folder",
        to.display()
    );
    if let Some(line) = narrow(to, true)? {
        tracing::warn!("{line}");
    }
    let mut files = 1;
    if let Some(key) = key {
        write_whole(&there.key(), &key, true)?;
        files += 1;
    }
    let aside = to.join("shop.redb.new");
    let _ = fs::remove_file(&aside);
    store.copy_to(&aside)?;
    fs::File::open(&aside)?.sync_all()?;
    for (from, name) in [
        (folder.config(), there.config()),
        (folder.membership(), there.membership()),
        (folder.ledger(), there.ledger()),
    ] {
        if from.exists() {
            let bytes = fs::read(&from).with_context(|| format!("can't read {}", from.display()))?;
            write_whole(&name, &bytes, false).with_context(|| format!("can't write {}", name.display()))?;
            files += 1;
        }
    }
    files += copy_rules(folder, &there)?;
    files += copy_learned(folder, store, &there)?;
    files += copy_folder(&folder.events(), &there.events())?;
    files += copy_folder(&folder.experiments(), &there.experiments())?;
    files += copy_folder(&folder.http(), &there.http())?;
    // Last, so that it never knows of more than the ledger beside it.
    fs::rename(&aside, there.store())?;
    sync_folder(to)?;
    Ok(files)
}

/// Whether a backup is of this shop from before it joined a federation: it has no key, and the same token of the HTTP service.
fn is_of_before_the_join(folder: &Folder, there: &Folder) -> anyhow::Result<bool> {
    let token = |folder: &Folder| read_if_there(&folder.http().join("token"));
    let own = token(folder)?;
    Ok(!there.key().exists() && own.is_some() && token(there)? == own)
}

fn read_if_there(path: &Path) -> anyhow::Result<Option<Vec<u8>>> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("can't read {}", path.display())),
    }
}

/// Copies the files of a folder, if there is one; how many.
fn copy_folder(from: &Path, to: &Path) -> anyhow::Result<u64> {
    if !from.exists() {
        return Ok(0);
    }
    make_folder(to).with_context(|| format!("can't make {}", to.display()))?;
    let mut files = 0;
    for entry in fs::read_dir(from).with_context(|| format!("can't read {}", from.display()))? {
        let from = entry?.path();
        let Some(name) = from.file_name().filter(|_| from.is_file()) else {
            continue;
        };
        let bytes = fs::read(&from).with_context(|| format!("can't read {}", from.display()))?;
        let to = to.join(name);
        write_whole(&to, &bytes, true).with_context(|| format!("can't write {}", to.display()))?;
        files += 1;
    }
    Ok(files)
}

/// Copies what the owner and the web shop decided of lists, and who was forgotten; what they have taken back since an earlier backup is taken away there.
/// How many files.
fn copy_rules(folder: &Folder, there: &Folder) -> anyhow::Result<u64> {
    let mut files = 0;
    for (from, to) in [
        (folder.rules(), there.rules()),
        (folder.last_good_rules(), there.last_good_rules()),
        (folder.item_states(), there.item_states()),
        (folder.forgotten(), there.forgotten()),
    ] {
        match fs::read(&from) {
            Ok(bytes) => {
                write_whole(&to, &bytes, true).with_context(|| format!("can't write {}", to.display()))?;
                files += 1;
            }
            Err(error) if error.kind() == ErrorKind::NotFound => {
                if let Err(error) = fs::remove_file(&to)
                    && error.kind() != ErrorKind::NotFound
                {
                    return Err(error).with_context(|| format!("can't remove {}", to.display()));
                }
            }
            Err(error) => return Err(error).with_context(|| format!("can't read {}", from.display())),
        }
    }
    Ok(files)
}

/// Copies what lists are made of besides orders; what an earlier backup has of it is left away. How many files.
fn copy_learned(folder: &Folder, store: &Store, there: &Folder) -> anyhow::Result<u64> {
    let mut wanted = Vec::new();
    for blob in needed(store)? {
        wanted.push((folder.blob(&blob), there.blob(&blob)));
    }
    let kept: Vec<&Path> = wanted.iter().map(|(_, to)| to.as_path()).collect();
    let folders: BTreeSet<&Path> = kept.iter().filter_map(|to| to.parent()).collect();
    for folder in folders {
        make_folder(folder).with_context(|| format!("can't make {}", folder.display()))?;
        for old in fs::read_dir(folder)?.flatten().map(|entry| entry.path()) {
            if !kept.contains(&old.as_path()) {
                fs::remove_file(&old).with_context(|| format!("can't remove {}", old.display()))?;
            }
        }
    }
    wanted.extend([
        (folder.catalogue(), there.catalogue()),
        (folder.stack(), there.stack()),
    ]);
    let mut files = 0;
    for (from, to) in wanted {
        let bytes = match fs::read(&from) {
            Ok(bytes) => bytes,
            // `run` fetches again what the folder itself lacks.
            Err(error) if error.kind() == ErrorKind::NotFound => continue,
            Err(error) => return Err(error).with_context(|| format!("can't read {}", from.display())),
        };
        write_whole(&to, &bytes, false).with_context(|| format!("can't write {}", to.display()))?;
        files += 1;
    }
    Ok(files)
}
