//! `invite`: join codes, made, listed and ended.

use souk_common::ids::ShopName;
use souk_common::terminal::tell;

use super::{At, ask, other_version, say, show, table};
use crate::control::answer::InvitationView;
use crate::control::{Answer, Question};
use crate::error::Failure;

pub(super) const HELP: &str = "Of each name at most one code works: a newer invitation, an enrolment, `revoke` and the shop's \
`leave` end all before it. A name that is enrolled is not invited again: if its owner has the folder and its key, `--again` \
makes a code that works with that key and no other; if the key is lost or stolen, `revoke` the name first, and a new code \
then works with any key (the other owners see that it has changed). Every enrolment, and every try that was refused, stands in \
the log of `serve` and in the record.

Examples:
  souk-coordinator invite north --dir federation
  souk-coordinator invite --list --dir federation
  souk-coordinator invite --cancel north --dir federation
  souk-coordinator invite north --again --dir federation";

#[derive(clap::Args)]
pub(super) struct Invite {
    /// The shop: 1 to 63 of a-z, 0-9 and '-'.
    #[arg(required_unless_present_any = ["list", "cancel"])]
    shop: Option<ShopName>,
    /// For a shop that is enrolled: the code works with its own key only (`souk-client join CODE --again`).
    #[arg(long, requires = "shop")]
    again: bool,
    /// Which codes are pending, without their secrets.
    #[arg(long, conflicts_with_all = ["shop", "cancel"])]
    list: bool,
    /// End the pending code of this name.
    #[arg(long, value_name = "NAME", conflicts_with = "shop")]
    cancel: Option<ShopName>,
    #[command(flatten)]
    at: At,
}

pub(super) fn run(invite: Invite) -> Result<(), Failure> {
    let at = &invite.at;
    let question = match (invite.shop, invite.cancel) {
        (Some(shop), _) if invite.again => Question::InviteAgain(shop),
        (Some(shop), _) => Question::Invite(shop),
        (None, Some(shop)) => Question::CancelInvitation(shop),
        (None, None) => Question::Invitations,
    };
    match ask(at, &question)? {
        // Alone on its line: it is sent on as it is.
        Answer::Invited(invited) => {
            if invited.not_in_plan {
                tell(&format!(
                    "warning: the plan does not name {}: it can join, and takes part in nothing; is the name right?",
                    invited.shop
                ));
            }
            show(at, &invited, || invited.code.clone())
        }
        Answer::Cancelled(ended) => show(at, &ended, || {
            format!("{} codes of {} ended", ended.codes_ended, ended.cancelled)
        }),
        Answer::Invitations(all) if !at.json && all.invitations.is_empty() => {
            say("no code is pending");
            Ok(())
        }
        Answer::Invitations(all) => show(at, &all, || {
            table::columns(
                ["shop", "made", "expires", "for"],
                all.invitations.iter().map(row),
            )
        }),
        _ => Err(other_version()),
    }
}

fn row(code: &InvitationView) -> [String; 4] {
    let whom = match code.for_its_own_key_only {
        true => "its own key only",
        false => "any key",
    };
    [
        code.shop.to_string(),
        table::or_none(&code.made_at, "unknown"),
        code.expires_at.clone(),
        whom.to_owned(),
    ]
}
