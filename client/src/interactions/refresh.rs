//! The store brought up to date by itself, for whoever is about to read it.

use std::fs;

use souk_common::catalogue::Catalogue;
use souk_common::clock::{Clock, SystemClock};
use souk_common::ids::Digest;
use souk_common::storage::patience::open_patiently;

use super::InteractionsError;
use super::import::import_changed;
use super::manifest::{FileStamp, StoreManifest};
use super::outcome::ImportOutcome;
use super::read::{HistoriesError, read_store};
use crate::config::ShopConfig;
use crate::data::ShopData;
use crate::erasure::exposures::delete_old_experiments;
use crate::folder::Folder;
use crate::forgotten::ForgottenList;

/// Which data a shop has: it changes with the store, and with the files that say how the store is read.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct DataVersion {
    contents: Digest,
    files: Vec<Option<FileStamp>>,
}

/// The store as it is now.
#[derive(Debug)]
pub struct Refreshed {
    /// Which data there is.
    pub version: DataVersion,
    /// What came of bringing it up to date.
    pub outcome: ImportOutcome,
}

/// Imports what has changed. Where another program is importing, its results are for the next time, unless there is nothing
/// yet: then they are waited for.
///
/// # Errors
/// When the store is damaged or its disk fails.
pub fn refresh(folder: &Folder, config: &ShopConfig) -> Result<Refreshed, InteractionsError> {
    // Before anything is read: what is written meanwhile is noticed the next time.
    let stamp = |path| fs::metadata(path).ok().map(|file| FileStamp::of(&file));
    let files = config.data_files(folder).into_iter().map(stamp).collect();
    let is_busy = |error: &InteractionsError| matches!(error, InteractionsError::Busy);
    let import = || import_changed(folder, &config.data, SystemClock.now());
    let mut outcome = match import() {
        Err(InteractionsError::Busy) => {
            let manifest = StoreManifest::load(folder)?;
            match manifest.is_empty() {
                true => open_patiently(is_busy, import)?,
                false => ImportOutcome::unchanged(&manifest, &ForgottenList::load(folder)?),
            }
        }
        imported => imported?,
    };
    let deleted = delete_old_experiments(folder, config, SystemClock.now());
    outcome
        .aged
        .extend(deleted.map_err(|source| InteractionsError::Disk {
            path: folder.experiments(),
            source,
        })?);
    let version = DataVersion {
        contents: StoreManifest::load(folder)?.contents(),
        files,
    };
    Ok(Refreshed { version, outcome })
}

/// Imports what has changed and reads the store, over the federation's `catalogue` or the shop's own; and what came of the
/// import.
///
/// # Errors
/// When there is no usable interaction: with the reason why a source could not be read, if that is so.
pub fn current_data(
    folder: &Folder,
    config: &ShopConfig,
    catalogue: Option<&Catalogue>,
) -> Result<(ShopData, ImportOutcome), HistoriesError> {
    let refreshed = refresh(folder, config)?;
    let outcome = refreshed.outcome;
    match outcome.has_data {
        true => Ok((read_store(folder, &config.data, catalogue)?.shop, outcome)),
        false => Err(outcome.nothing()),
    }
}
