//! `check-data`: what is in the shop's files.

use super::{Shown, ask, say, strange};
use crate::control::{Answer, Question};

pub(super) fn run(args: Shown) -> anyhow::Result<bool> {
    let Answer::Data { text, json, clean } = ask(&args.place.folder()?, Question::CheckData)? else {
        return Err(strange());
    };
    match args.json {
        true => say(&json.to_string())?,
        false => say(text.trim_end())?,
    }
    Ok(clean)
}
