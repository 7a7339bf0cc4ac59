//! `check-data`: what is in the shop's files.

use super::{Shown, ask, render, say, strange};
use crate::control::{Answer, Question};

pub(super) fn run(args: Shown) -> anyhow::Result<bool> {
    let Answer::Data(data) = ask(&args.place.folder()?, Question::CheckData)? else {
        return Err(strange());
    };
    say(&match args.json {
        // With its keys in order.
        true => serde_json::to_value(&data)?.to_string(),
        false => render::data(&data),
    })?;
    Ok(data.report.is_clean() && !data.refused)
}
