//! `leave`: ends the membership.

use super::{Place, ask, say, strange};
use crate::control::{Answer, Question};

pub(super) fn run(place: Place) -> anyhow::Result<bool> {
    let Answer::Left { kept } = ask(&place.folder()?, Question::Leave)? else {
        return Err(strange());
    };
    say(&format!(
        "You have left the federation. What the coordinator keeps: {kept}"
    ))?;
    Ok(true)
}
