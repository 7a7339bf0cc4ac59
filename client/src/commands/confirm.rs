//! `confirm`: all other shops' keys in one step.

use std::path::PathBuf;

use super::{Place, show};
use crate::membership::listed::{ListOutcome, confirm};

pub(super) const HELP: &str = "The operator makes the list with `souk-coordinator shops --export FILE` when all shops have \
joined, and gives it to every owner. It has a phrase of twelve words. Call one other owner, at a number that you have from \
elsewhere: if both of you read the same words, you hold the same list, and it has the key that each of your programs really \
has. Type what the other read. Of a shop whose owner neither you nor anybody whom you trust has talked to, the list proves \
nothing: the coordinator could have invented it. So let the calls make a chain through all shops (one call fewer than there \
are shops), or read the phrase out where all hear it.

Exit code 1 when the phrase is another, the list is not this federation's, or this shop's key in it is not its own.

Example:
  souk-client confirm --list shops.json --dir shop
  souk-client confirm --list shops.json --phrase 'acorn actor agent ...' --dir shop";

#[derive(Debug, clap::Args)]
pub(super) struct Confirm {
    #[command(flatten)]
    place: Place,
    /// The list that the operator handed out.
    #[arg(long, value_name = "FILE")]
    list: PathBuf,
    /// The words that another owner has read to you from theirs; without it, those of this list are shown and nothing is
    /// confirmed.
    #[arg(long, value_name = "WORDS")]
    phrase: Option<String>,
    /// One JSON object on stdout.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: Confirm) -> anyhow::Result<bool> {
    let came = confirm(&args.place.folder()?, &args.list, args.phrase.as_deref())?;
    show(args.json, &came, text)?;
    Ok(true)
}

fn text(came: &ListOutcome) -> String {
    let names: Vec<String> = came.shops.iter().map(ToString::to_string).collect();
    match came.confirmed {
        true => format!(
            "{} other shops are confirmed: {}\nA running `run` goes by it within seconds.",
            names.len(),
            names.join(", ")
        ),
        false => format!(
            "the list has {} other shops: {}\nits phrase:\n  {}\nNothing is confirmed yet. Call another shop's owner; if they \
             read you the same words from theirs, the same command with --phrase 'WORDS' confirms all of them.",
            names.len(),
            names.join(", "),
            came.phrase
        ),
    }
}
