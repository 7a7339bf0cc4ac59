//! What a crash left in the folder and nobody would ever look at again: half-written files, updates that were pushed out.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};

use super::{KEPT_UPDATES, Store, StoreError, remove};

impl Store {
    /// Removes it. A blob whose fetching broke off stays, to go on from there; of several in a folder the newest.
    pub(super) fn sweep(&self) -> Result<(), StoreError> {
        let uploads = self.uploads()?;
        let newest = uploads.len().saturating_sub(KEPT_UPDATES);
        let kept: HashSet<PathBuf> = uploads[newest..]
            .iter()
            .map(|record| self.folder.update(&record.header.update))
            .collect();
        for path in files_in(&self.folder.path().join("outbox")) {
            let old = has_ending(&path, "update") && !kept.contains(&path);
            if old || has_ending(&path, "new") {
                remove(&path);
            }
        }
        for blobs in ["models", "plans", "catalogues"] {
            let mut begun = files_in(&self.folder.path().join(blobs));
            begun.retain(|path| has_ending(path, "part"));
            begun.sort_by_key(|path| fs::metadata(path).and_then(|meta| meta.modified()).ok());
            begun.pop();
            begun.iter().for_each(|path| remove(path));
        }
        Ok(())
    }
}

fn files_in(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).collect()
}

fn has_ending(path: &Path, ending: &str) -> bool {
    path.extension().is_some_and(|found| found == ending)
}
