//! `page`: a link to the owner's page.

use serde_json::json;

use super::{Shown, ask, say, strange};
use crate::control::{Answer, Question};

pub(super) const HELP: &str = "The page shows what goes on in words: whether lists are fresh, what left this building, what \
privacy has cost, what came of your data. It is served by `souk-client run --http`, from this machine, and nothing of it leaves \
it. The link signs in whoever opens it first, so keep it to yourself.

Example:
  souk-client page --dir shop";

pub(super) fn run(args: Shown) -> anyhow::Result<bool> {
    let Answer::PageLink { link } = ask(&args.place.folder()?, Question::PageLink)? else {
        return Err(strange());
    };
    say(&match args.json {
        true => json!({ "link": link }).to_string(),
        false => link,
    })?;
    Ok(true)
}
