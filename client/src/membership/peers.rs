//! Who else is a member, by which key, and whether the owner has confirmed it.
//!
//! | module | what |
//! |---|---|
//! | [`crate::membership::trust`] | writes a confirmed key into `shop.toml` |

use std::collections::BTreeMap;
use std::str::FromStr;
use std::time::Duration;

use anyhow::{Context, ensure};
use serde::Serialize;
use souk_common::ids::{Digest, ShopName};
use souk_common::secagg::records::fingerprint;
use souk_common::wire::messages::Member;

use crate::config::ShopConfig;
use crate::error::{CheckFailed, UsageError};
use crate::folder::Folder;
use crate::link::Link;
use crate::membership::Membership;

/// Whom to trust: a name, and the fingerprint that the owner has read aloud.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Trusted {
    /// The shop.
    pub shop: ShopName,
    /// What its owner read: whatever the coordinator shows is never enough.
    pub fingerprint: Digest,
}

impl FromStr for Trusted {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let Some((name, read)) = text.split_once('=') else {
            return Err(format!(
                "{text:?} has no fingerprint, and a key that only the coordinator shows is never taken on its word: call the \
                 shop's owner, have them read their own from `souk-client shops`, and type NAME=FINGERPRINT, one --trust for \
                 each shop"
            ));
        };
        let shop = name
            .trim()
            .parse()
            .map_err(|error| format!("{name:?}: {error}"))?;
        let digits: String = read.split_whitespace().collect();
        let fingerprint = digits
            .to_ascii_lowercase()
            .parse()
            .map_err(|_| format!("{read:?} is no fingerprint: it has 64 digits, 0-9 and a-f"))?;
        Ok(Self { shop, fingerprint })
    }
}

/// What the owner knows of a member's key.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum KeyStatus {
    /// It is this shop itself.
    Own,
    /// This very key stands in `shop.toml`.
    Confirmed,
    /// None does.
    NotConfirmed,
    /// Another one does. For this shop itself: it is not the key in `key.der`.
    Changed,
}

/// A member.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Peer {
    /// Its name.
    pub shop: ShopName,
    /// Its long-term key's.
    pub fingerprint: Digest,
    /// What the owner knows of it.
    pub standing: KeyStatus,
}

/// All of them.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Peers {
    /// This shop.
    pub shop: ShopName,
    /// Of its own key, as `key.der` has it: what other owners compare.
    pub fingerprint: Digest,
    /// By name.
    pub members: Vec<Peer>,
}

impl Peers {
    /// Whether no key is another than the one that was confirmed.
    pub fn is_good(&self) -> bool {
        self.members
            .iter()
            .all(|member| member.standing != KeyStatus::Changed)
    }
}

/// Asks the coordinator, confirms the keys of `trust` in `shop.toml`, and says how things stand then. Over a connection of
/// its own: whether `run` is up does not matter.
///
/// # Errors
/// When the coordinator does not answer, a name to trust is no other member's or shown with another fingerprint, or
/// `shop.toml` can't be edited.
pub fn look(folder: &Folder, trust: &[Trusted]) -> anyhow::Result<Peers> {
    let mut config = ShopConfig::load(folder)?;
    let membership = Membership::load(folder)?;
    ensure!(membership.left_at.is_none(), "this shop has left its federation");
    let own = fingerprint(&membership.signing_identity(folder)?.public());
    let route = config.route_or(&membership.address);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let members = runtime.block_on(async {
        let asked = async {
            let (link, _) = Link::arrive(folder, &membership, &route).await?;
            let members = link.members().await?;
            link.close();
            anyhow::Ok(members)
        };
        let answered = tokio::time::timeout(PATIENCE, asked).await;
        answered.with_context(|| format!("the coordinator at {} does not answer", route.address))?
    })?;
    for (name, fingerprint) in confirmed(trust, &members, &membership.shop)? {
        crate::membership::trust::write(folder, &name, &fingerprint)?;
    }
    if !trust.is_empty() {
        config = ShopConfig::load(folder)?;
    }
    Ok(standings(&members, &config.known_shops, membership.shop, own))
}

/// The keys that names to trust have.
fn confirmed(
    trust: &[Trusted],
    members: &[Member],
    own: &ShopName,
) -> anyhow::Result<Vec<(ShopName, Digest)>> {
    let find = |trusted: &Trusted| {
        let name = &trusted.shop;
        if name == own {
            return Err(UsageError(format!(
                "--trust {name}: that is this shop itself, which always counts"
            ))
            .into());
        }
        let member = members.iter().find(|member| member.shop == *name);
        let member = member.ok_or_else(|| {
            UsageError(format!(
                "--trust {name}: no member has that name; without --trust they are listed"
            ))
        })?;
        let shown = fingerprint(&member.identity);
        let read = trusted.fingerprint;
        if read != shown {
            return Err(CheckFailed(format!(
                "--trust {name}: the coordinator shows {}, and that is not what you were read: {}. Nothing was confirmed. \
                 Compare once more with the owner; if it stays so, the coordinator shows you a key that is not theirs",
                spoken(&shown),
                spoken(&read)
            ))
            .into());
        }
        Ok((name.clone(), shown))
    };
    trust.iter().map(find).collect()
}

/// What the owner knows of each member's key: `known` are those that are confirmed, `own` is this shop's.
pub(crate) fn standings(
    members: &[Member],
    known: &BTreeMap<ShopName, Digest>,
    own_name: ShopName,
    own: Digest,
) -> Peers {
    let one = |member: &Member| {
        let fingerprint = fingerprint(&member.identity);
        let standing = match known.get(&member.shop) {
            _ if member.shop == own_name && fingerprint == own => KeyStatus::Own,
            _ if member.shop == own_name => KeyStatus::Changed,
            Some(confirmed) if *confirmed == fingerprint => KeyStatus::Confirmed,
            Some(_) => KeyStatus::Changed,
            None => KeyStatus::NotConfirmed,
        };
        Peer {
            shop: member.shop.clone(),
            fingerprint,
            standing,
        }
    };
    let mut members: Vec<Peer> = members.iter().map(one).collect();
    members.sort_by(|a, b| a.shop.cmp(&b.shop));
    Peers {
        shop: own_name,
        fingerprint: own,
        members,
    }
}

/// In groups of eight, to be read aloud.
pub fn spoken(fingerprint: &Digest) -> String {
    let digits = fingerprint.to_string();
    let groups: Vec<&str> = (0..digits.len())
        .step_by(8)
        .map(|at| &digits[at..at + 8])
        .collect();
    groups.join(" ")
}

const PATIENCE: Duration = Duration::from_secs(20);

#[cfg(test)]
mod tests {
    use super::*;

    fn member(name: &str, key: u8) -> Member {
        Member {
            shop: name.parse().unwrap(),
            identity: [key; 32],
        }
    }

    #[test]
    fn every_member_has_the_standing_that_its_key_has() {
        let members = [
            member("west", 3),
            member("north", 1),
            member("east", 4),
            member("south", 2),
        ];
        let known = BTreeMap::from([
            ("west".parse().unwrap(), fingerprint(&[3; 32])),
            ("south".parse().unwrap(), fingerprint(&[9; 32])),
        ]);
        let shops = standings(&members, &known, "north".parse().unwrap(), fingerprint(&[1; 32]));
        let seen: Vec<(&str, KeyStatus)> = shops
            .members
            .iter()
            .map(|known| (known.shop.as_str(), known.standing))
            .collect();
        assert_eq!(
            seen,
            [
                ("east", KeyStatus::NotConfirmed),
                ("north", KeyStatus::Own),
                ("south", KeyStatus::Changed),
                ("west", KeyStatus::Confirmed),
            ]
        );
        assert!(!shops.is_good());
        // Another key than the own one under the own name is no small matter.
        let shops = standings(
            &members[1..2],
            &known,
            "north".parse().unwrap(),
            fingerprint(&[7; 32]),
        );
        assert_eq!(shops.members[0].standing, KeyStatus::Changed);
    }

    #[test]
    fn only_other_members_can_be_trusted() {
        let members = [member("north", 1), member("south", 2)];
        let own = "north".parse().unwrap();
        let trust = |typed: &str| confirmed(&[typed.parse().unwrap()], &members, &own);
        let of = |name: &str| format!("{name}={}", fingerprint(&[2; 32]));
        assert!(trust(&of("north")).unwrap_err().to_string().contains("itself"));
        assert!(
            trust(&of("nobody"))
                .unwrap_err()
                .to_string()
                .contains("no member")
        );
        // What was read aloud counts, however it was typed.
        let right = fingerprint(&[2; 32]);
        for typed in [right.to_string(), spoken(&right).to_uppercase(), spoken(&right)] {
            assert_eq!(
                trust(&format!("south={typed}")).unwrap(),
                [("south".parse().unwrap(), right)]
            );
        }
        let error = trust(&format!("south={}", fingerprint(&[3; 32]))).unwrap_err();
        assert!(
            error.is::<CheckFailed>() && error.to_string().contains(&spoken(&right)),
            "{error}"
        );
        for typed in ["south=", "south=12", "So uth", "=12", "all"] {
            assert!(typed.parse::<Trusted>().is_err(), "{typed}");
        }
    }

    #[test]
    fn a_name_without_the_fingerprint_that_its_owner_read_is_trusted_by_nobody() {
        let said = "south".parse::<Trusted>().unwrap_err();
        assert!(
            said.contains("no fingerprint") && said.contains("NAME=FINGERPRINT"),
            "{said}"
        );
    }

    #[test]
    fn a_fingerprint_is_read_aloud_in_groups_and_stays_the_same() {
        let digest = fingerprint(&[5; 32]);
        let text = spoken(&digest);
        assert_eq!(text.split(' ').count(), 8);
        assert_eq!(text.replace(' ', ""), digest.to_string());
    }
}
