//! `sent`: what left the building.

use super::{Shown, ask, render, say, strange};
use crate::control::{Answer, Question};

pub(super) fn run(args: Shown) -> anyhow::Result<bool> {
    let Answer::Sent { uploads } = ask(&args.place.folder()?, Question::Sent)? else {
        return Err(strange());
    };
    say(&match args.json {
        true => render::sent_json(&uploads).to_string(),
        false => render::sent(&uploads),
    })?;
    Ok(true)
}
