//! `ca`: who certifies whom, and how another authority takes its place.

use clap::Subcommand;

use super::{At, ask, other_version, show, table};
use crate::control::answer::{AuthoritiesView, AuthorityView, Dependent};
use crate::control::{Answer, Question};
use crate::error::Failure;

#[derive(Subcommand)]
pub(super) enum CaCommand {
    /// Makes a new authority beside the old one: shops learn of it and renew under it by themselves.
    #[command(after_help = "Example: souk-coordinator ca rotate --dir federation")]
    Rotate(At),
    /// Which authorities count, and who still depends on the old one.
    #[command(after_help = "Example: souk-coordinator ca status --dir federation")]
    Status(At),
    /// Lets the old authority go; refused while a member depends on it.
    #[command(after_help = "Example: souk-coordinator ca retire --dir federation")]
    Retire {
        /// Leave members behind: they have to be invited again.
        #[arg(long)]
        force: bool,
        #[command(flatten)]
        at: At,
    },
}

pub(super) fn run(command: CaCommand) -> Result<(), Failure> {
    let (question, at) = match command {
        CaCommand::Rotate(at) => (Question::CaRotate, at),
        CaCommand::Status(at) => (Question::CaStatus, at),
        CaCommand::Retire { force, at } => (Question::CaRetire { force }, at),
    };
    match ask(&at, &question)? {
        Answer::Authorities(now) => show(&at, &now, || authorities_table(&now)),
        _ => Err(other_version()),
    }
}

/// Who is left behind, or depends on the old one, comes first.
fn authorities_table(now: &AuthoritiesView) -> String {
    let left_behind = now.left_behind.iter().flatten();
    let mut facts: Vec<(&str, String)> = left_behind
        .map(|shop| ("left behind", format!("{shop}: it has to be invited again")))
        .collect();
    facts.extend(
        now.dependents
            .iter()
            .map(|member| ("dependents", depends(member))),
    );
    let rotating = match (now.rotating, now.dependents.is_empty()) {
        (false, _) => "no",
        (true, true) => "yes, and no member depends on the old authority: `ca retire` lets it go",
        (true, false) => "yes; `ca retire` lets the old authority go when no member depends on it",
    };
    facts.push(("rotating", rotating.to_owned()));
    if now.rotating && now.dependents.is_empty() {
        facts.push(("dependents", "none".to_owned()));
    }
    facts.push(("number", format!("{} rotations and retirements", now.number)));
    let rows = now.authorities.iter().map(row);
    let authorities = table::columns(["authority", "certifies", "valid until"], rows);
    format!("{}\n\n{authorities}", table::facts(&facts))
}

fn depends(member: &Dependent) -> String {
    format!(
        "{}: certified by the new one: {}, knows it: {}, seen {}",
        member.shop,
        table::yes_or_no(member.certified_by_the_new_one),
        table::yes_or_no(member.knows_the_new_one),
        table::or_none(&member.seen_at, "never")
    )
}

fn row(authority: &AuthorityView) -> [String; 3] {
    let whom = match (authority.certifies_shops, authority.certifies_the_coordinator) {
        (true, true) => "shops, the coordinator",
        (true, false) => "shops",
        (false, true) => "the coordinator",
        (false, false) => "nobody",
    };
    [
        authority.fingerprint.to_string(),
        whom.to_owned(),
        table::or_none(&authority.valid_until, "unknown"),
    ]
}
