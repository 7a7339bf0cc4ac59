//! `join`: becomes a member, or one again.

use std::path::PathBuf;

use souk_common::terminal::printable;

use super::{Place, say};
use crate::config::ShopConfig;
use crate::folder::Folder;
use crate::interactions::refresh::refresh;
use crate::membership::join::{join, join_again};

#[derive(Debug, clap::Args)]
pub(super) struct Join {
    /// The code.
    code: String,
    #[command(flatten)]
    place: Place,
    /// The orders: a file, or a folder with orders.csv. A folder that `init` made has them already.
    #[arg(long, value_name = "FILE_OR_DIR", conflicts_with = "again")]
    data: Option<PathBuf>,
    /// Take part again with a folder that was a member's: same name, same key, same ledger. While the name is enrolled, its
    /// codes work in this way and with this key only. What the shop saw of the coordinator's record is forgotten: do it
    /// only when the operator has told you why.
    #[arg(long)]
    again: bool,
}

pub(super) fn run(args: Join) -> anyhow::Result<bool> {
    match args.again {
        true => join_again(&args.code, &args.place.folder()?),
        false => {
            let folder = args.place.folder_to_join()?;
            let joined = join(&args.code, &folder, args.data.as_deref())?;
            if args.data.is_some() {
                tell_of_data(&folder)?;
            }
            Ok(joined)
        }
    }
}

/// Imports for the first time. What is wrong with the data is no reason not to have joined.
pub(super) fn tell_of_data(folder: &Folder) -> anyhow::Result<()> {
    let config = ShopConfig::load(folder)?;
    let lines = match refresh(folder, &config) {
        Ok(refreshed) => refreshed.outcome.lines(),
        Err(error) => vec![format!("your data were not imported: {error}")],
    };
    say(&lines
        .iter()
        .map(|line| printable(line).to_string())
        .collect::<Vec<_>>()
        .join("\n"))
}
