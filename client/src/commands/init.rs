//! `init`: a shop's folder that is no member of a federation yet.

use std::fs;
use std::path::PathBuf;

use anyhow::Context;
use souk_common::storage::private::make_folder;
use souk_common::storage::write_whole;

use super::join::tell_of_data;
use super::{Place, say};
use crate::config;
use crate::error::UsageError;

pub(super) const HELP: &str =
    "The folder is no member of a federation: `run --http` serves lists by this shop's own customers alone. \
`join` makes it a member later, and everything in it stays.

Example:
  souk-client init --dir shop --data /srv/orders
  souk-client run --http --dir shop";

#[derive(Debug, clap::Args)]
pub(super) struct Init {
    #[command(flatten)]
    place: Place,
    /// The orders: a file, or a folder with orders.csv.
    #[arg(long, value_name = "FILE_OR_DIR")]
    data: PathBuf,
}

pub(super) fn run(args: Init) -> anyhow::Result<bool> {
    let folder = args.place.folder_to_join()?;
    let config = folder.config();
    if config.exists() || folder.membership().exists() {
        let said = format!(
            "{} is a shop's folder already, and is never overwritten: choose another --dir",
            folder.path().display()
        );
        return Err(UsageError(said).into());
    }
    let data = fs::canonicalize(&args.data)
        .map_err(|error| UsageError(format!("--data {}: {error}", args.data.display())))?;
    make_folder(folder.path()).with_context(|| format!("can't make {}", folder.path().display()))?;
    write_whole(&config, config::sample(Some(&data)).as_bytes(), false)
        .with_context(|| format!("can't write {}", config.display()))?;
    tell_of_data(&folder)?;
    let dir = folder.path().display();
    say(&format!(
        "{dir} is a shop's folder, and no member of a federation: lists are by this shop's own customers alone.\n\
         Next: look at {}, then\n  souk-client check-data --dir {dir}\n  souk-client run --http --dir {dir}\n  \
         souk-client join CODE --dir {dir}   (later; everything stays)",
        config.display()
    ))?;
    Ok(true)
}
