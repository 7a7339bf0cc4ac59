//! `catalogue import`: takes in the public catalogue.

use std::path::PathBuf;

use clap::Subcommand;
use serde::Serialize;
use souk_common::ids::Digest;

use super::{At, configured, show, table};
use crate::error::{Failure, failed};
use crate::import::{self, FeatureColumns};

#[derive(Subcommand)]
pub(super) enum CatalogueCommand {
    /// From a CSV file: item_id,title,category,brand,price.
    #[command(
        after_help = "Examples:\n  souk-coordinator catalogue import items.csv --dir federation\n  \
                      souk-coordinator catalogue import films.csv --tags genres --number year --dir federation"
    )]
    Import {
        /// The file.
        file: PathBuf,
        #[command(flatten)]
        columns: FeatureColumns,
        #[command(flatten)]
        at: At,
    },
}

#[derive(Serialize)]
struct Imported {
    items: usize,
    digest: Digest,
}

pub(super) fn run(command: CatalogueCommand) -> Result<(), Failure> {
    let CatalogueCommand::Import { file, columns, at } = command;
    let home = configured(&at)?;
    let catalogue = import::read(&file, &columns).map_err(failed)?;
    home.set_catalogue(&catalogue).map_err(failed)?;
    let imported = Imported {
        items: catalogue.len(),
        digest: catalogue.digest(),
    };
    show(&at, &imported, || {
        table::facts(&[
            ("items", imported.items.to_string()),
            ("digest", imported.digest.to_string()),
        ])
    })
}
