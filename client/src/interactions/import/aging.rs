//! What is older than what is kept leaves the store, and comes back where more is kept than before.

use std::path::PathBuf;

use super::super::rewrite::{Leaving, Survey, rewrite};
use super::{Import, InteractionsError};
use crate::events::days::{days_before, delete_days};
use crate::folder::Folder;

impl Import<'_> {
    /// Has files read again whose older lines are to be kept now.
    pub(super) fn widen(&mut self) {
        let widest = |first: Option<i64>| first.unwrap_or(i64::MIN);
        let is_wider = widest(self.kept_since) < widest(self.manifest.kept_since);
        if self.manifest.kept_since.is_none() || !is_wider {
            return;
        }
        for source in &mut self.manifest.sources {
            match (source.given, &source.watermark) {
                (false, None) => source.outdate(),
                (true, _) => self.aged.push(format!(
                    "keep_days keeps more than before: what has left of {} comes back when you import that file again",
                    source.name
                )),
                (false, Some(_)) => self.aged.push(format!(
                    "keep_days keeps more than before: what has left of {} comes back with `souk-client import --afresh`",
                    source.name
                )),
            }
        }
    }

    /// Lets go of what is older than what is kept. Files that are the owner's stay as they are.
    pub(super) fn leave_what_is_old(&mut self) -> Result<(), InteractionsError> {
        let old_days = days_of(self.folder, self.kept_since)?;
        if !old_days.is_empty() {
            delete_days(self.folder, &old_days).map_err(|source| InteractionsError::Disk {
                path: self.folder.events(),
                source,
            })?;
            self.aged.push(format!(
                "{} days of the journal of events are older than keep_days and were deleted",
                old_days.len()
            ));
        }
        if self.manifest.kept_since == self.kept_since {
            return Ok(());
        }
        if let Some(first) = self.kept_since {
            let leaving = Leaving::Before(first);
            let survey = Survey::of(self.folder, &self.manifest, leaving)?;
            let by_source = survey.by_source(&self.manifest);
            rewrite(self.folder, &mut self.manifest, &survey, leaving)?;
            let lines = by_source.iter().map(|(source, rows)| {
                format!("{rows} interactions of {source} are older than keep_days and have left the store")
            });
            self.aged.extend(lines);
        }
        self.manifest.kept_since = self.kept_since;
        self.manifest.store(self.folder)
    }
}

/// Days of the journal of events that are wholly of before what is kept.
pub(super) fn days_of(folder: &Folder, kept_since: Option<i64>) -> Result<Vec<PathBuf>, InteractionsError> {
    days_before(folder, kept_since).map_err(|source| InteractionsError::Disk {
        path: folder.events(),
        source,
    })
}
