//! The end of the store.

use std::fs;
use std::io;

use souk_common::storage::disk::destroy;

use super::InteractionsError;
use super::manifest::{lock, store_folder};
use crate::folder::Folder;

/// Destroys the store and its folder: every file is written over before it is removed. How many files there were.
///
/// # Errors
/// When an import is under way, or of the disk: what is not destroyed is still there then.
pub fn erase(folder: &Folder) -> Result<usize, InteractionsError> {
    let store = store_folder(folder);
    if !store.exists() {
        return Ok(0);
    }
    let held = lock(folder)?;
    let disk = folder.disk();
    let of = |path| move |source| InteractionsError::Disk { path, source };
    let files = disk.list(&store).map_err(of(store.clone()))?;
    for path in &files {
        destroy(disk, path).map_err(of(path.clone()))?;
    }
    drop(held);
    match fs::remove_dir(&store) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(of(store.clone())(error)),
        _ => Ok(files.len()),
    }
}
