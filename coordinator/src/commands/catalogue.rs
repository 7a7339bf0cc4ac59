//! `catalogue import`: takes in the public catalogue.

use std::path::PathBuf;

use clap::Subcommand;
use serde::Serialize;
use souk_common::catalogue::Changes;
use souk_common::clock::{Clock, SystemClock};
use souk_common::ids::Digest;
use souk_common::table::TableError;

use super::{At, ask, configured, other_version, show, table};
use crate::control::{Answer, Question};
use crate::error::{Failure, failed, refused, usage};
use crate::import::vectors::{self, Summary};
use crate::import::{self, FeatureColumns, ImportError};

#[derive(Subcommand)]
pub(super) enum CatalogueCommand {
    /// From a CSV file: item_id,title,category,brand,price,published,gtin,aliases; all but the first may be left out.
    #[command(
        after_help = "Examples:\n  souk-coordinator catalogue import items.csv --dir federation\n  \
                      souk-coordinator catalogue import films.csv --tags genres --number year --dir federation\n  \
                      souk-coordinator catalogue import items.csv --vectors items.safetensors --dir federation"
    )]
    Import {
        /// The file.
        file: PathBuf,
        #[command(flatten)]
        columns: FeatureColumns,
        /// Vectors that a model has made of the items' texts or pictures: a safetensors file with one 1-D tensor an
        /// item, named by its item_id. They are reduced to at most 64 numbers and are public with the catalogue.
        #[arg(long, value_name = "FILE")]
        vectors: Option<PathBuf>,
        /// Forget the catalogue that was imported before: its items are not retired but gone.
        #[arg(long)]
        replace: bool,
        #[command(flatten)]
        at: At,
    },
}

#[derive(Serialize)]
struct Imported {
    items: usize,
    digest: Digest,
    /// None at the first import.
    #[serde(skip_serializing_if = "Option::is_none")]
    changes: Option<Changes>,
    retired: usize,
    /// What became of it in the run.
    run: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    vectors: Option<Summary>,
    /// What is known of when items came out; none where no item has a date.
    #[serde(skip_serializing_if = "Option::is_none")]
    dates: Option<String>,
}

pub(super) fn run(command: CatalogueCommand) -> Result<(), Failure> {
    let CatalogueCommand::Import {
        file,
        columns,
        vectors,
        replace,
        at,
    } = command;
    let home = configured(&at)?;
    let mut catalogue = import::read(&file, &columns).map_err(unusable)?;
    let mut summary = None;
    if let Some(vectors) = vectors {
        let (with, done) = vectors::add(&catalogue, &vectors).map_err(refused)?;
        (catalogue, summary) = (with, Some(done));
    }
    let (mut changes, is_first) = (None, !home.has_catalogue());
    if !is_first && !replace {
        let (updated, found) = home
            .catalogue()
            .map_err(failed)?
            .updated(catalogue.items().to_vec())
            .map_err(failed)?;
        (catalogue, changes) = (updated, Some(found));
    }
    home.set_catalogue(&catalogue).map_err(failed)?;
    let taken_in = match is_first {
        false => match ask(&at, &Question::TakeInCatalogue)? {
            Answer::TakenIn(taken_in) => taken_in.words,
            _ => return Err(other_version()),
        },
        true => Vec::new(),
    };
    let imported = Imported {
        items: catalogue.len(),
        digest: catalogue.digest(),
        retired: catalogue.items().iter().filter(|item| item.retired).count(),
        changes,
        run: taken_in,
        vectors: summary,
        dates: catalogue.dates(SystemClock.now()).words(),
    };
    show(&at, &imported, || {
        let mut facts = vec![
            ("items", imported.items.to_string()),
            ("digest", imported.digest.to_string()),
        ];
        facts.extend(imported.changes.iter().flat_map(told));
        facts.extend(imported.dates.iter().map(|told| ("dates", told.clone())));
        facts.extend(imported.run.iter().map(|line| ("run", line.clone())));
        facts.extend(imported.vectors.iter().flat_map(described));
        table::facts(&facts)
    })
}

/// A file that is not there was named wrongly; what is in one that is there may be no catalogue.
fn unusable(error: ImportError) -> Failure {
    match &error {
        ImportError::Table(TableError::Read { .. }) => usage(error),
        _ => refused(error),
    }
}

/// What has changed since the import before, for people.
fn told(changes: &Changes) -> Vec<(&'static str, String)> {
    let listed = |ids: &[String]| {
        let first: Vec<&str> = ids.iter().take(MOST_NAMED).map(String::as_str).collect();
        let more = if ids.len() > first.len() { ", ..." } else { "" };
        match ids.len() {
            0 => "none".to_owned(),
            count => format!("{count}: {}{more}", first.join(", ")),
        }
    };
    vec![
        ("new", listed(&changes.new)),
        ("retired", listed(&changes.gone)),
        ("back", listed(&changes.back)),
        ("changed", listed(&changes.changed)),
    ]
}

/// Most items that are named.
const MOST_NAMED: usize = 5;

/// What an import did with vectors, for people.
fn described(done: &Summary) -> Vec<(&'static str, String)> {
    let mut facts = vec![
        (
            "vectors",
            format!("{} items have one, {} have none", done.with, done.without),
        ),
        (
            "reduced",
            format!(
                "from {} numbers to {}, which keep {:.1} % of their variance",
                done.numbers_given,
                done.numbers_kept,
                100.0 * done.variance_kept
            ),
        ),
    ];
    if done.unknown > 0 {
        let said = format!("{} names are no item's: {}", done.unknown, done.listed());
        facts.push(("ignored", said));
    }
    facts
}
