//! What a crash left in the folder and nobody would ever look at again: half-written files, updates that were pushed out.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use super::{KEPT_UPDATES, Store, StoreError};

impl Store {
    /// Removes it. Blobs whose fetching broke off stay, to go on from there, unless they are many: then they are of models
    /// that nobody will ask for again.
    pub(super) fn sweep(&self) -> Result<(), StoreError> {
        let uploads = self.uploads()?;
        let newest = uploads.len().saturating_sub(KEPT_UPDATES);
        let kept: HashSet<PathBuf> = uploads[newest..]
            .iter()
            .map(|record| self.folder.update(&record.header.update))
            .collect();
        for path in self.files_in("outbox") {
            let old = has_ending(&path, "update") && !kept.contains(&path);
            if old || has_ending(&path, "new") {
                self.remove(&path);
            }
        }
        for blobs in ["models", "plans", "catalogues"] {
            let mut begun = self.files_in(blobs);
            begun.retain(|path| has_ending(path, "part"));
            if begun.len() > MOST_BEGUN {
                begun.iter().for_each(|path| self.remove(path));
            }
        }
        self.sweep_secrets()
    }

    fn files_in(&self, folder: &str) -> Vec<PathBuf> {
        let folder = self.folder.path().join(folder);
        self.folder.disk().list(&folder).unwrap_or_default()
    }
}

fn has_ending(path: &Path, ending: &str) -> bool {
    path.extension().is_some_and(|found| found == ending)
}

/// Blobs of one kind whose fetching broke off.
const MOST_BEGUN: usize = 3;
