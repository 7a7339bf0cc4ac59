//! What a shop remembers across restarts, as far as its next step depends on it.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use souk_common::chain::LogHead;
use souk_common::clock::Timestamp;
use souk_common::ids::{AttemptId, Digest};
use souk_common::round::statements::{Announcement, UploadHeader};
use souk_common::secagg::Binding;

/// An attempt of one plan: round numbers begin anew with every plan.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
pub struct AttemptKey {
    /// The plan's digest.
    pub plan: Digest,
    /// Which try at which of its rounds.
    pub id: AttemptId,
}

impl From<&Announcement> for AttemptKey {
    fn from(announcement: &Announcement) -> Self {
        Self {
            plan: announcement.plan,
            id: announcement.id,
        }
    }
}

/// An update in the outbox: charged, finished, and not yet answered by a receipt or a final rejection.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Pending {
    /// For which attempt.
    pub key: AttemptKey,
    /// What is offered with it.
    pub header: UploadHeader,
    /// Under masks, this shop's signature on the list of sharers that they are made for.
    pub binding: Option<Binding>,
    /// No byte of it leaves before; none: at once.
    pub due: Option<Timestamp>,
}

/// Read back from the ledger, the outbox and the store when the program starts.
#[derive(Clone, Debug, Default)]
pub struct Memory {
    /// Every attempt the ledger was charged for.
    pub spent: BTreeSet<AttemptKey>,
    /// The update that waits in the outbox.
    pub outbox: Option<Pending>,
    /// The masked attempt whose secrets are stored: its update left, or is about to, and it has not ended yet.
    pub masking: Option<AttemptKey>,
    /// The masked update in the outbox whose secrets can't be read any more.
    pub lost_masking: Option<AttemptKey>,
    /// Heads of the coordinator's record by length, from announcements and receipts.
    pub heads: BTreeMap<u64, Digest>,
    /// The longest record an announcement named.
    pub announced: Option<LogHead>,
    /// The model in use.
    pub model: Option<Digest>,
}

impl Memory {
    /// Whether `log` contradicts a head seen before at the same length.
    pub(super) fn contradicts(&self, log: &LogHead) -> bool {
        self.heads.get(&log.length).is_some_and(|head| *head != log.head)
    }

    /// Whether an announcement with this record does not extend what was announced before.
    ///
    /// Receipts may overtake announcements on other streams, so only announcements count for the length.
    pub(super) fn forked_by(&self, log: &LogHead) -> bool {
        self.contradicts(log) || self.announced.is_some_and(|seen| log.length < seen.length)
    }
}
