//! The end of the store.

use std::fs;
use std::io;
use std::path::Path;

use souk_common::storage::disk::destroy;

use super::InteractionsError;
use super::manifest::{lock, store_folder};
use crate::folder::Folder;

/// Destroys the store, the journal of events and the lists of who is in which experiment, with their folders: every file is
/// written over before it is removed. How many files there were.
///
/// # Errors
/// When an import is under way, or of the disk: what is not destroyed is still there then.
pub fn erase(folder: &Folder) -> Result<usize, InteractionsError> {
    let store = store_folder(folder);
    let held = store.exists().then(|| lock(folder)).transpose()?;
    let of_customers = [folder.events(), folder.experiments(), store];
    let mut files = 0;
    for path in &of_customers {
        files += erase_files(folder, path)?;
    }
    drop(held);
    for emptied in of_customers {
        match fs::remove_dir(&emptied) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => {
                return Err(InteractionsError::Disk {
                    path: emptied,
                    source,
                });
            }
            _ => {}
        }
    }
    Ok(files)
}

fn erase_files(folder: &Folder, from: &Path) -> Result<usize, InteractionsError> {
    if !from.exists() {
        return Ok(0);
    }
    let disk = folder.disk();
    let of = |path: &Path| {
        let path = path.to_owned();
        move |source| InteractionsError::Disk { path, source }
    };
    let files = disk.list(from).map_err(of(from))?;
    for path in &files {
        destroy(disk, path).map_err(of(path))?;
    }
    Ok(files.len())
}
