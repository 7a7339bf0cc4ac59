//! `shops`: the other shops' keys, shown and confirmed.

use super::{Place, render, show};
use crate::membership::peers::{Trusted, look};

pub(super) const HELP: &str = "The coordinator issues every certificate, so it could invent shops and learn from a sum \
of theirs and yours. So call the owner of each shop, at a number that you have from elsewhere. Each reads the fingerprint \
of their own key aloud from `souk-client shops`, and types what the other reads: `--trust NAME=FINGERPRINT` takes it only if \
the coordinator shows the same (small or capital letters, with or without blanks). A \
shop marked CHANGED has another key than the one you confirmed: call again, and ask why.

Exit code 1 when a key has changed.

Example:
  souk-client shops --dir shop
  souk-client shops --trust 'south=9f86d081 884c7d65 ...' --dir shop";

#[derive(Debug, clap::Args)]
pub(super) struct Shops {
    #[command(flatten)]
    place: Place,
    /// A shop and the fingerprint that its owner has read to you: it is written into shop.toml if it is the one that the
    /// coordinator shows. A name alone is refused: what the coordinator shows proves nothing. Repeatable.
    #[arg(long, value_name = "NAME=FINGERPRINT")]
    trust: Vec<Trusted>,
    /// One JSON object on stdout.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: Shops) -> anyhow::Result<bool> {
    let shops = look(&args.place.folder()?, &args.trust)?;
    show(args.json, &shops, render::shops)?;
    Ok(shops.is_good())
}
