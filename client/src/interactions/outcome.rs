//! What came of an import, for people and for programs.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use souk_common::terminal::printable;

use super::manifest::{ImportedSource, StoreManifest};
use super::read::HistoriesError;
use crate::data::{DataError, DataReport, SourceReport};
use crate::forgotten::ForgottenList;

/// What came of each source.
#[derive(Debug)]
pub struct ImportOutcome {
    /// In the order of `shop.toml`, then what was given; at last what it no longer names.
    pub sources: Vec<SourceOutcome>,
    /// Whether the store has anything, of whatever age.
    pub has_data: bool,
    /// What can't be known of the store as it is now, or is not done yet, a sentence each.
    pub doubts: Vec<String>,
    /// What has left for its age, a sentence each.
    pub aged: Vec<String>,
}

/// What came of one.
#[derive(Debug)]
pub struct SourceOutcome {
    /// The source, as named in the manifest.
    pub name: String,
    /// In a word.
    pub state: ImportState,
    /// What reading it found, now or when it was last read.
    pub report: DataReport,
    /// Whether the store has an earlier version of a source that was refused or failed.
    pub has_earlier: bool,
    /// Whether the file was written to while it was read; the next import reads it again.
    pub grew: bool,
    /// Why it was refused.
    pub reason: Option<String>,
    /// Why it failed.
    pub error: Option<DataError>,
}

/// What an import did with a source.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ImportState {
    /// Read; the store has it.
    Imported,
    /// The store had it already.
    Unchanged,
    /// It has too many bad lines: the store keeps what it had.
    Refused,
    /// It can't be read: the store keeps what it had.
    Failed,
    /// `shop.toml` no longer names it: the store has let it go.
    LetGo,
}

impl ImportOutcome {
    /// Of what came of `sources`, and of the store as it is then.
    pub(crate) fn of(
        manifest: &StoreManifest,
        forgotten: &ForgottenList,
        sources: Vec<SourceOutcome>,
    ) -> Self {
        let mut doubts = doubts(manifest);
        doubts.extend(forgotten.told());
        Self {
            sources,
            has_data: !manifest.is_empty(),
            doubts,
            aged: Vec::new(),
        }
    }

    /// Of a store that has every source as it is.
    pub(crate) fn unchanged(manifest: &StoreManifest, forgotten: &ForgottenList) -> Self {
        let kept = manifest.sources.iter().filter(|source| !source.given);
        Self::of(manifest, forgotten, kept.map(SourceOutcome::as_seen).collect())
    }

    /// Whether every source is in the store as it is now.
    pub fn is_good(&self) -> bool {
        self.troubles().next().is_none()
    }

    /// Whether the store is another than before.
    pub fn is_news(&self) -> bool {
        let is_change = |state| matches!(state, ImportState::Imported | ImportState::LetGo);
        !self.aged.is_empty() || self.sources.iter().any(|source| is_change(source.state))
    }

    /// The same but for files that only grew meanwhile.
    pub fn not_imported(&self) -> impl Iterator<Item = String> {
        let is_lost = |state| matches!(state, ImportState::Refused | ImportState::Failed);
        let lost = self.sources.iter().filter(move |source| is_lost(source.state));
        lost.filter_map(SourceOutcome::trouble)
    }

    /// What the owner has to be told of whatever is not in the store, a line each.
    pub fn troubles(&self) -> impl Iterator<Item = String> {
        self.sources.iter().filter_map(SourceOutcome::trouble)
    }

    /// One line a source that was imported or let go.
    pub fn news(&self) -> impl Iterator<Item = String> {
        self.sources.iter().filter_map(SourceOutcome::news)
    }

    /// One line a source, whatever became of it, and the troubles and doubts.
    pub fn lines(&self) -> Vec<String> {
        let doubts = self.doubts.iter().cloned();
        let lines = self.taken().into_iter().chain(self.aged.iter().cloned());
        lines.chain(self.troubles()).chain(doubts).collect()
    }

    /// One line a source that the store has as it is, or has let go.
    fn taken(&self) -> Vec<String> {
        let line = |source: &SourceOutcome| match source.state {
            ImportState::Unchanged => Some(format!(
                "{} is as imported before: {}",
                source.name,
                source.report.summary()
            )),
            _ => source.news(),
        };
        self.sources.iter().filter_map(line).collect()
    }

    /// The same as [`Self::lines`] but for [`Self::not_imported`].
    pub fn lines_of_imported(&self) -> Vec<String> {
        let grew = self.sources.iter().filter(|source| source.grew);
        let grew = grew.filter_map(SourceOutcome::trouble);
        let doubts = self.doubts.iter().cloned();
        let taken = self.taken().into_iter().chain(self.aged.iter().cloned());
        taken.chain(grew).chain(doubts).collect()
    }

    /// What reading found, of all sources together: also of those that were refused.
    pub fn report(&self) -> DataReport {
        let mut all = DataReport::default();
        self.sources.iter().for_each(|source| all.add(&source.report));
        all
    }

    /// Why there is nothing to read.
    pub fn nothing(self) -> HistoriesError {
        let reasons: Vec<String> = self.troubles().collect();
        match self.sources.into_iter().find_map(|source| source.error) {
            Some(error) => HistoriesError::Data(error),
            None => HistoriesError::Nothing {
                reasons: reasons.join("; "),
            },
        }
    }
}

/// Whether sources of the same time may have the same orders, and one of them cancelled or refunded ones, and no order numbers
/// tell which purchases these were.
fn doubts(manifest: &StoreManifest) -> Vec<String> {
    let reports = || manifest.sources.iter().flat_map(|source| &source.report.sources);
    let is_cancelling = |report: &SourceReport| report.statuses.values().any(|count| !count.bought);
    let is_doubtful = |newer: &SourceReport, other: &SourceReport| {
        let overlap = match (newer.span, other.span) {
            (Some(newer), Some(other)) => newer.0 <= other.1 && other.0 <= newer.1,
            // Nothing tells of when the cancelled ones are.
            (None, Some(_)) => true,
            (_, None) => false,
        };
        overlap && !(newer.has_orders && other.has_orders)
    };
    let cancelling = reports().enumerate().filter(|(_, report)| is_cancelling(report));
    let mut pairs = cancelling.flat_map(|(at, newer)| {
        let others = reports().enumerate().filter(move |(other, _)| *other != at);
        others
            .filter(move |(_, other)| is_doubtful(newer, other))
            .map(move |(_, other)| (newer, other))
    });
    let told = pairs.next().map(|(newer, other)| {
        let without = if newer.has_orders { other } else { newer };
        format!(
            "{} and {} are of the same time, and {} has cancelled or refunded orders: if they are orders that {} has as bought, \
             these purchases count, for {} has no order numbers to find them by (columns.order under [data])",
            newer.name, other.name, newer.name, other.name, without.name
        )
    });
    told.into_iter().collect()
}

/// The error and what is behind it.
fn with_causes(error: &DataError) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(next) = cause {
        text += &format!(": {next}");
        cause = next.source();
    }
    text
}

impl SourceOutcome {
    pub(crate) fn of(entry: &ImportedSource, state: ImportState) -> Self {
        let refused = entry.refused.as_ref().filter(|_| state == ImportState::Refused);
        Self {
            name: entry.name.clone(),
            state,
            report: refused.map_or(&entry.report, |refused| &refused.report).clone(),
            has_earlier: entry.read.is_some(),
            grew: false,
            reason: refused.map(|refused| refused.reason.clone()),
            error: None,
        }
    }

    /// Of a source that is as it was when it was last read.
    pub(crate) fn as_seen(entry: &ImportedSource) -> Self {
        Self::of(
            entry,
            match entry.refused {
                Some(_) => ImportState::Refused,
                None => ImportState::Unchanged,
            },
        )
    }

    pub(crate) fn failed(entry: &ImportedSource, error: DataError) -> Self {
        Self {
            error: Some(error),
            ..Self::of(entry, ImportState::Failed)
        }
    }

    /// What reading found of what a line can't say: counts by reason, guesses, bad lines; a line each, ended.
    pub fn found(&self) -> String {
        let counted = |counts: &BTreeMap<String, u64>| {
            let each = counts.iter().map(|(reason, count)| format!("{count} {reason}"));
            each.collect::<Vec<_>>().join(", ")
        };
        let mut lines = Vec::new();
        for source in &self.report.sources {
            let counts = [
                ("left out", &source.left_out),
                ("bad", &source.bad),
                ("missing", &source.missing),
            ];
            let counts = counts.into_iter().filter(|(_, counts)| !counts.is_empty());
            lines.extend(counts.map(|(name, counts)| format!("{name}: {}", counted(counts))));
            lines.extend(source.guessed.iter().map(|guess| format!("taken as: {guess}")));
            let statuses = source.told_statuses();
            lines.extend(statuses.map(|statuses| format!("statuses: {statuses}")));
        }
        let warnings = self.report.warnings.iter();
        lines.extend(warnings.map(|warning| format!("look at: {warning}")));
        let bad = self.report.bad.iter();
        lines.extend(bad.map(|bad| format!("  {}:{}: {}", bad.file, bad.line, bad.reason)));
        let more = self.report.bad_lines.saturating_sub(self.report.bad.len() as u64);
        lines.extend((more > 0).then(|| format!("  and {more} more")));
        lines
            .iter()
            .flat_map(|line| [printable(line).to_string(), "\n".to_owned()])
            .collect()
    }

    fn trouble(&self) -> Option<String> {
        let kept = match self.has_earlier {
            true => "what was imported before is used",
            false => "nothing of it is used",
        };
        let (name, grew) = (
            &self.name,
            "it was written to while it was read; the next import reads it again",
        );
        match (&self.reason, &self.error) {
            (Some(reason), _) => Some(format!("{name} was not imported: {reason}; {kept}")),
            (None, Some(error)) => Some(format!("{name} was not imported: {}; {kept}", with_causes(error))),
            (None, None) if self.grew => Some(format!("{name}: {grew}")),
            (None, None) => None,
        }
    }

    fn news(&self) -> Option<String> {
        match self.state {
            ImportState::Imported => Some(format!("{} was imported: {}", self.name, self.report.summary())),
            ImportState::LetGo => Some(format!(
                "{} is no longer named in shop.toml: the store has let it go",
                self.name
            )),
            ImportState::Unchanged | ImportState::Refused | ImportState::Failed => None,
        }
    }
}
