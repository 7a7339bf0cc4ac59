//! `backup`: a copy of what the shop can't do without.

use std::path::PathBuf;

use super::{Place, ask, say, strange};
use crate::control::{Answer, Question};

#[derive(Debug, clap::Args)]
pub(super) struct Backup {
    /// Where to; an earlier backup there is replaced.
    folder: PathBuf,
    #[command(flatten)]
    place: Place,
    /// One JSON object on stdout.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: Backup) -> anyhow::Result<bool> {
    // The running program may have been started elsewhere.
    let folder = std::path::absolute(args.folder)?;
    let question = Question::Backup {
        folder: folder.clone(),
    };
    let Answer::BackedUp { files } = ask(&args.place.folder()?, question)? else {
        return Err(strange());
    };
    say(&match args.json {
        true => serde_json::json!({ "backup": folder, "files": files }).to_string(),
        false => format!("{files} files in {}", folder.display()),
    })?;
    Ok(true)
}
