//! `catalogue import`: takes in the public catalogue.

use std::path::PathBuf;

use clap::Subcommand;
use serde::Serialize;
use souk_common::ids::Digest;

use super::{At, configured, show, table};
use crate::error::{Failure, failed};
use crate::import::vectors::{self, Summary};
use crate::import::{self, FeatureColumns};

#[derive(Subcommand)]
pub(super) enum CatalogueCommand {
    /// From a CSV file: item_id,title,category,brand,price,gtin,aliases; all but the first may be left out.
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
        /// item, named by its item_id. They are reduced to at most 32 numbers and are public with the catalogue.
        #[arg(long, value_name = "FILE")]
        vectors: Option<PathBuf>,
        #[command(flatten)]
        at: At,
    },
}

#[derive(Serialize)]
struct Imported {
    items: usize,
    digest: Digest,
    #[serde(skip_serializing_if = "Option::is_none")]
    vectors: Option<Summary>,
}

pub(super) fn run(command: CatalogueCommand) -> Result<(), Failure> {
    let CatalogueCommand::Import {
        file,
        columns,
        vectors,
        at,
    } = command;
    let home = configured(&at)?;
    let mut catalogue = import::read(&file, &columns).map_err(failed)?;
    let mut summary = None;
    if let Some(vectors) = vectors {
        let (with, done) = vectors::add(&catalogue, &vectors).map_err(failed)?;
        (catalogue, summary) = (with, Some(done));
    }
    home.set_catalogue(&catalogue).map_err(failed)?;
    let imported = Imported {
        items: catalogue.len(),
        digest: catalogue.digest(),
        vectors: summary,
    };
    show(&at, &imported, || {
        let mut facts = vec![
            ("items", imported.items.to_string()),
            ("digest", imported.digest.to_string()),
        ];
        facts.extend(imported.vectors.iter().flat_map(described));
        table::facts(&facts)
    })
}

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
