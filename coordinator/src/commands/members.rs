//! `shops`, `revoke` and `readmit`: who is a member.

use souk_common::date::date;
use souk_common::ids::ShopName;

use super::{At, ask, other_version, show, table};
use crate::control::answer::{MemberView, Shops};
use crate::control::{Answer, Question};
use crate::error::Failure;
use crate::store::Standing;

pub(super) fn shops(at: &At) -> Result<(), Failure> {
    match ask(at, &Question::Shops)? {
        Answer::Shops(shops) => show(at, &shops, || shops_table(&shops)),
        _ => Err(other_version()),
    }
}

pub(super) fn revoke(shop: ShopName, at: &At) -> Result<(), Failure> {
    match ask(at, &Question::Revoke(shop))? {
        Answer::Revoked(ended) => show(at, &ended, || {
            let what = match ended.was_a_shop {
                true => "is no member any more",
                false => "was no member",
            };
            format!(
                "{} {what}; {} pending codes ended",
                ended.revoked, ended.codes_ended
            )
        }),
        _ => Err(other_version()),
    }
}

pub(super) fn readmit(shop: ShopName, at: &At) -> Result<(), Failure> {
    match ask(at, &Question::Readmit(shop))? {
        Answer::Readmitted(back) => show(at, &back, || format!("{} may take part again", back.readmitted)),
        _ => Err(other_version()),
    }
}

/// Members whose clock is off come first.
fn shops_table(shops: &Shops) -> String {
    if shops.shops.is_empty() {
        return "no shop is enrolled: `invite NAME` makes a code for one".to_owned();
    }
    let mut members: Vec<&MemberView> = shops.shops.iter().collect();
    members.sort_by_key(|member| !needs_attention(member));
    table::columns(
        [
            "",
            "shop",
            "standing",
            "enrolled",
            "seen",
            "certified until",
            "clock",
            "program",
            "key",
        ],
        members.into_iter().map(row),
    )
}

fn needs_attention(member: &MemberView) -> bool {
    member.clock_is_off && member.membership.standing == Standing::Enrolled
}

fn row(member: &MemberView) -> [String; 9] {
    let held = &member.membership;
    let standing = match held.standing {
        Standing::Enrolled => "enrolled",
        Standing::Revoked => "revoked",
        Standing::Left => "left",
    };
    let clock = match member.clock_ahead_secs {
        None => "unknown".to_owned(),
        Some(ahead) if member.clock_is_off => format!("OFF by {ahead:+.1} s"),
        Some(ahead) => format!("{ahead:+.1} s"),
    };
    [
        if needs_attention(member) { "!" } else { "" }.to_owned(),
        member.name.to_string(),
        standing.to_owned(),
        date(held.enrolled_at),
        held.seen_at.map_or("never".to_owned(), date),
        table::or_none(&member.certified_until, "unknown"),
        clock,
        match held.software.as_str() {
            "" => "unknown".to_owned(),
            program => souk_common::terminal::printable(program).into_owned(),
        },
        member
            .key_fingerprint
            .map_or("unknown".to_owned(), |key| key.to_string()),
    ]
}
