//! What the operator can ask.

use serde::{Deserialize, Serialize};
use souk_common::ids::ShopName;
use souk_common::transfer::carried::VersionName;

/// A question; it is answered whether `serve` runs or not.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Question {
    /// A one-time code for a shop.
    Invite(ShopName),
    /// One for a member, which works with its key only.
    InviteAgain(ShopName),
    /// The codes that work now, without their secrets.
    Invitations,
    /// Ends a shop's codes.
    CancelInvitation(ShopName),
    /// Who is enrolled.
    Shops,
    /// The members and their keys, signed, for owners to compare.
    SignedShops,
    /// Ends a membership.
    Revoke(ShopName),
    /// Lets a shop back that is left out because it lied in a masked attempt.
    Readmit(ShopName),
    /// Where the run stands.
    Status,
    /// No further attempt.
    Pause,
    /// Further attempts again.
    Resume,
    /// All model versions.
    Models,
    /// Where a version's file is.
    Model(Choice),
    /// An older version in place of the current one.
    Rollback(Choice),
    /// The catalogue that was imported, for the run.
    TakeInCatalogue,
    /// A new certificate authority beside the old one.
    CaRotate,
    /// Who certifies whom, and who depends on the old authority.
    CaStatus,
    /// Lets the old authority go.
    CaRetire {
        /// Although members depend on it.
        force: bool,
    },
    /// Makes a snapshot to copy (see [`crate::backup`]).
    Snapshot,
}

/// A version, as the operator names it.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Choice {
    /// None: the run that is under way, or was last.
    pub run: Option<u32>,
    /// None: the last one.
    pub round: Option<u64>,
}

impl Choice {
    /// With the number of the current run.
    pub fn in_run(self, current: u32) -> VersionName {
        VersionName {
            run: self.run.unwrap_or(current),
            round: self.round,
        }
    }
}
