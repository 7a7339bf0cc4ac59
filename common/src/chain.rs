//! Where a hash-chained record stands.

use serde::{Deserialize, Serialize};

use crate::ids::Digest;

/// Length and head of the coordinator's hash-chained record of rounds, or of a shop's ledger.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct LogHead {
    /// Records so far.
    pub length: u64,
    /// Digest of the last; [`Digest::ZERO`] before the first.
    pub head: Digest,
}
