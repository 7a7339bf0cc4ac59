//! `join`: becomes a member, or one again.

use std::path::PathBuf;

use super::Place;
use crate::membership::join::{join, join_again};

#[derive(Debug, clap::Args)]
pub(super) struct Join {
    /// The code.
    code: String,
    #[command(flatten)]
    place: Place,
    /// The orders: a file, or a folder with orders.csv.
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
        false => join(&args.code, &args.place.folder_to_join()?, args.data.as_deref()),
    }
}
