//! What the operator can ask.

use serde::{Deserialize, Serialize};
use souk_common::ids::ShopName;

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
    /// Where a round's model file is; none: the current one's.
    Model(Option<u64>),
    /// An older model for the next round.
    Rollback(u64),
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
