//! `shops`, `revoke` and `readmit`: who is a member.

use std::path::PathBuf;

use serde::Serialize;
use souk_common::date::date;
use souk_common::ids::ShopName;
use souk_common::storage::write_whole;

use super::{At, ask, other_version, show, table};
use crate::control::answer::{MemberView, Shops};
use crate::control::{Answer, Question};
use crate::error::{Failure, failed};
use crate::store::Standing;

pub(super) const HELP: &str = "--export writes the members and their keys, signed, to a file: give it to every owner when all \
shops have joined. Each confirms all others in one step (`souk-client confirm --list FILE`), by a phrase that another owner \
reads to them: compare nothing for them, it is you whom the phrase is to keep honest.

Examples:
  souk-coordinator shops --dir federation
  souk-coordinator shops --export shops.json --dir federation";

#[derive(clap::Args)]
pub(super) struct ShopsArgs {
    /// Writes the signed list of members and their keys there.
    #[arg(long, value_name = "FILE")]
    export: Option<PathBuf>,
    #[command(flatten)]
    at: At,
}

#[derive(Serialize)]
struct Exported {
    file: PathBuf,
    shops: Vec<ShopName>,
}

pub(super) fn shops(args: ShopsArgs) -> Result<(), Failure> {
    let ShopsArgs { export, at } = args;
    match export {
        Some(file) => export_to(file, &at),
        None => list(&at),
    }
}

fn export_to(file: PathBuf, at: &At) -> Result<(), Failure> {
    let Answer::SignedShops(list) = ask(at, &Question::SignedShops)? else {
        return Err(other_version());
    };
    let bytes = serde_json::to_vec(&list).map_err(failed)?;
    write_whole(&file, &bytes, false)
        .map_err(|error| failed(format!("can't write {}: {error}", file.display())))?;
    let shops = list.body.shops.into_iter().map(|member| member.shop).collect();
    let exported = Exported { file, shops };
    show(at, &exported, || {
        let names: Vec<String> = exported.shops.iter().map(ToString::to_string).collect();
        format!(
            "{} shops in {}: {}\ngive the file to every owner: `souk-client confirm --list {}`",
            names.len(),
            exported.file.display(),
            names.join(", "),
            exported.file.display()
        )
    })
}

fn list(at: &At) -> Result<(), Failure> {
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
            "over",
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

fn row(member: &MemberView) -> [String; 10] {
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
        member
            .carrier
            .map_or("-".to_owned(), |carrier| carrier.to_string()),
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
