//! `import`: brings the shop's store of interactions up to date.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::ensure;
use serde_json::json;
use souk_common::clock::{Clock, SystemClock};
use souk_common::terminal::printable;

use super::{Place, say};
use crate::config::ShopConfig;
use crate::data::ShopDataConfig;
use crate::data::window::kept_words;
use crate::erasure::exposures::delete_old_experiments;
use crate::error::{CheckFailed, UsageError};
use crate::folder::Folder;
use crate::interactions::import::{forget, import};
use crate::interactions::manifest::{ImportedSource, StoreManifest};
use crate::interactions::outcome::{ImportOutcome, ImportState, SourceOutcome};

#[derive(Debug, clap::Args)]
pub(super) struct Import {
    /// Files to import once; without any, all that [data] in shop.toml names.
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,
    #[command(flatten)]
    place: Place,
    /// Read everything again: after lines were deleted in a database that is asked from a watermark on.
    #[arg(long, conflicts_with = "files")]
    afresh: bool,
    /// Take a source out of the store again, by its name or its file.
    #[arg(long, value_name = "SOURCE", conflicts_with_all = ["files", "afresh"])]
    forget: Option<String>,
    /// One JSON object on stdout.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: Import) -> anyhow::Result<bool> {
    let folder = args.place.folder()?;
    let config = ShopConfig::load(&folder)?;
    if let Some(name) = args.forget {
        return forget_source(&folder, &name);
    }
    let now = SystemClock.now();
    let mut outcome = import(&folder, &config.data, &args.files, args.afresh, now)?;
    outcome
        .aged
        .extend(delete_old_experiments(&folder, &config, now)?);
    say(&match args.json {
        true => as_json(&outcome, &config.data).to_string(),
        false => as_text(&outcome) + &kept_words(&config.data),
    })?;
    let troubles: Vec<String> = outcome.not_imported().collect();
    ensure!(troubles.is_empty(), CheckFailed(troubles.join("; ")));
    Ok(true)
}

/// Takes a source out, which may be named as a file is: from where the owner stands.
fn forget_source(folder: &Folder, name: &str) -> anyhow::Result<bool> {
    let whole = |path: &Path| fs::canonicalize(path).or_else(|_| std::path::absolute(path)).ok();
    let sources = StoreManifest::load(folder)?.sources;
    let is_it = |source: &&ImportedSource| source.name == name;
    let is_there =
        |source: &&ImportedSource| whole(&folder.path().join(&source.name)) == whole(Path::new(name));
    let found = sources
        .iter()
        .find(is_it)
        .or_else(|| sources.iter().find(is_there));
    let found = found.map(|source| source.name.clone());
    match found {
        Some(source) if forget(folder, &source)? => {
            say(&format!("{} is no longer in the store", printable(&source)))?;
            Ok(true)
        }
        _ => {
            let have: Vec<&str> = sources.iter().map(|source| source.name.as_str()).collect();
            Err(UsageError(format!(
                "the store has no source called {name:?}; it has: {}",
                have.join(", ")
            ))
            .into())
        }
    }
}

fn as_text(outcome: &ImportOutcome) -> String {
    let told = |source: &&SourceOutcome| !matches!(source.state, ImportState::Unchanged | ImportState::LetGo);
    let mut text: String = outcome
        .sources
        .iter()
        .filter(told)
        .map(SourceOutcome::found)
        .collect();
    if !outcome.is_news() && outcome.is_good() {
        text += "nothing new\n";
    }
    // What was not imported is the error that this command ends with.
    for line in outcome.lines_of_imported() {
        text += &format!("{}\n", printable(&line));
    }
    text
}

fn as_json(outcome: &ImportOutcome, config: &ShopDataConfig) -> serde_json::Value {
    let source = |source: &SourceOutcome| {
        let reason = source
            .reason
            .clone()
            .or_else(|| source.error.as_ref().map(ToString::to_string));
        json!({
            "source": source.name,
            "state": source.state,
            "reason": reason,
            "has_earlier": source.has_earlier,
            "grew": source.grew,
            "report": source.report,
        })
    };
    let sources: Vec<_> = outcome.sources.iter().map(source).collect();
    json!({
        "news": outcome.is_news(),
        "ok": outcome.is_good(),
        "doubts": outcome.doubts,
        "aged": outcome.aged,
        "keep_days": config.keep_days,
        "sources": sources,
    })
}

pub(super) const HELP: &str = "What was imported before and has not changed is not read again. A source of which more lines are \
    bad than max_bad allows (one in twenty) is refused whole, and the store keeps what it had of it: exit code 1.\n\nExamples:\n  \
    souk-client import --dir shop\n  souk-client import 2019.csv.gz 2020.csv.gz --dir shop";
