//! Experiments that are over by more than what is kept.

use souk_common::clock::Timestamp;

use crate::config::ShopConfig;
use crate::data::window::kept_since;
use crate::experiment::exposures::delete_over;
use crate::folder::Folder;

/// Deletes lists of who was in which arm of experiments that `shop.toml` does not name and of which nobody has seen a list within
/// `keep_days`. What there is to tell, a line each.
///
/// # Errors
/// Of the disk.
pub fn delete_old_experiments(
    folder: &Folder,
    config: &ShopConfig,
    now: Timestamp,
) -> std::io::Result<Vec<String>> {
    let Some(first) = kept_since(&config.data, now) else {
        return Ok(Vec::new());
    };
    let running = config.experiment.as_ref().map(|experiment| experiment.name());
    let deleted = delete_over(folder, running, first)?;
    let told = deleted.iter().map(|name| {
        format!(
            "the experiment {name:?} is over by more than keep_days: who was in which arm of it was deleted"
        )
    });
    Ok(told.collect())
}
