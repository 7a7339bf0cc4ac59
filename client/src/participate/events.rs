//! What happens to a shop, and what it does about it.

use std::fmt;
use std::time::Duration;

use souk_common::chain::LogHead;
use souk_common::clock::Timestamp;
use souk_common::ids::{AttemptId, Digest};
use souk_common::round::statements::{
    Announcement, Decision, DeclineCode, Manifest, Outcome, Receipt, RejectCode, UploadHeader,
};

use super::masking::{MaskEffect, MaskEvent};
use super::memory::{AttemptKey, Pending};
use super::policy::{Consideration, Policy};

/// Something that is fetched by its digest.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Blob {
    /// What it is.
    pub kind: BlobKind,
    /// Its name.
    pub digest: Digest,
}

/// What a blob is.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum BlobKind {
    /// A plan.
    Plan,
    /// A catalogue.
    Catalogue,
    /// A model.
    Model,
}

impl Blob {
    /// What it takes to use a model or to take part in a round.
    pub fn all(plan: Digest, catalogue: Digest, model: Digest) -> [Self; 3] {
        [
            (BlobKind::Plan, plan),
            (BlobKind::Catalogue, catalogue),
            (BlobKind::Model, model),
        ]
        .map(|(kind, digest)| Self { kind, digest })
    }
}

/// What happens to a shop.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// The program starts.
    Started,
    /// The connection was lost, or could not be made. `jitter` in [0, 1) spreads the shops' next tries.
    Disconnected {
        /// Random.
        jitter: f64,
    },
    /// The coordinator's first word on a new connection: the current model.
    Welcomed(Manifest),
    /// An attempt was announced, perhaps not for the first time.
    Announced(Announcement),
    /// An attempt ended.
    Ended {
        /// Which.
        id: AttemptId,
        /// How.
        outcome: Outcome,
    },
    /// The run is complete.
    Finished,
    /// A blob is in the store.
    BlobReady(Blob),
    /// A blob could not be fetched.
    BlobFailed(Blob),
    /// The owner changed the file.
    PolicyChanged(Box<Policy>),
    /// What was asked by [`Effect::Consider`].
    Considered(Announcement, Consideration),
    /// The noisy sum is ready in memory, unfinished and uncharged.
    Computed(AttemptKey),
    /// The spend is durable.
    SpendRecorded(AttemptKey),
    /// Computing, charging or storing failed: this shop sits the attempt out.
    Failed(AttemptKey),
    /// The finished update is durable in the outbox.
    InOutbox(Pending),
    /// The coordinator stored the update.
    Received(Receipt),
    /// The coordinator refused the update.
    Rejected {
        /// What was offered.
        header: UploadHeader,
        /// Why.
        code: RejectCode,
    },
    /// The upload broke off for a reason of its own while the connection stands.
    UploadFailed(UploadHeader),
    /// Of a masked attempt.
    Masked(MaskEvent),
}

/// What the driver has to do, in this order.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Dial and subscribe at this time.
    Connect {
        /// When.
        at: Timestamp,
    },
    /// Fetch a blob (or find it in the store).
    Fetch {
        /// Which.
        blob: Blob,
        /// When.
        at: Timestamp,
    },
    /// Look up what an attempt would take; answer by [`Event::Considered`].
    Consider(Announcement),
    /// Answer the announcement.
    Answer(AttemptKey, Decision),
    /// Draw noise and users, and train; answer by [`Event::Computed`]. Under masks, beside keys and shares.
    Compute(Announcement),
    /// Charge the ledger, durably; answer by [`Event::SpendRecorded`].
    RecordSpend(AttemptKey),
    /// Finish the charged update, under the attempt's masks if it has any, and put it in the outbox, durably, with what
    /// it takes to unmask it; answer by [`Event::InOutbox`].
    PutInOutbox(AttemptKey),
    /// Send the outbox's bytes.
    Upload {
        /// What.
        pending: Pending,
        /// When.
        at: Timestamp,
    },
    /// Forget a draw that won't be sent, and the attempt's keys.
    Discard(AttemptKey),
    /// Store the coordinator's word that it has the update, and take it out of the outbox.
    StoreReceipt(Receipt),
    /// Store that the update was refused, and take it out of the outbox.
    StoreRejection {
        /// Which.
        pending: Pending,
        /// Why.
        code: RejectCode,
    },
    /// Remember a head of the coordinator's record, durably, before anything that follows.
    Remember {
        /// The head.
        log: LogHead,
        /// Whether an announcement named it.
        announced: bool,
    },
    /// All that a model needs is in the store: recommend with it from now on.
    UseModel(Manifest),
    /// Tell the owner.
    Report(Note),
    /// The run is complete and the last model in use.
    Finish,
    /// Of a masked attempt.
    Masked(MaskEffect),
}

/// Something to tell the owner, in a line.
#[derive(Clone, Debug, PartialEq)]
pub enum Note {
    /// An attempt was accepted.
    Accepted(AttemptKey),
    /// An attempt was declined.
    Declined(AttemptKey, DeclineCode),
    /// What an attempt was declined for is gone: the shop would take part in the next one.
    Ready(AttemptKey),
    /// An update was received.
    Received(UploadHeader),
    /// An update was refused.
    Rejected(UploadHeader, RejectCode),
    /// An update was ready only after the time at which the plan lets it leave.
    TooSlow {
        /// Which.
        id: AttemptId,
        /// So much later.
        by: Duration,
    },
    /// A model is in use.
    Model(Manifest),
    /// An attempt ended without a model.
    BelowQuorum {
        /// Which.
        id: AttemptId,
        /// Counted updates.
        accepted: u32,
        /// The plan's quorum.
        quorum: u32,
    },
    /// An attempt ended because too few shops helped to unmask its sum.
    NotUnmasked {
        /// Which.
        id: AttemptId,
        /// Shops whose updates were in the sum.
        survivors: u32,
        /// Of those, shops that gave their shares in time.
        revealed: u32,
    },
    /// The coordinator's record contradicts itself.
    Forked(LogHead),
    /// The connection is gone.
    Disconnected {
        /// When the next try is due.
        retry_at: Timestamp,
    },
    /// The run is complete.
    Finished,
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Accepted(key) => write!(f, "{}: accepted, training", key.id),
            Self::Declined(key, code) => write!(f, "{}: declined, {}", key.id, code.words()),
            Self::Ready(key) => write!(
                f,
                "what {} was declined for is gone: the coordinator is told that this shop would take part now",
                key.id
            ),
            Self::Received(header) => write!(
                f,
                "{}: update of {} bytes received ({})",
                header.id,
                header.len_bytes,
                header.update.short()
            ),
            Self::Rejected(header, code) => write!(
                f,
                "{}: update refused, {}; the spend stays in the ledger",
                header.id,
                code.words()
            ),
            Self::TooSlow { id, by } => write!(
                f,
                "{id}: the update was ready {} s after the time at which the plan lets it leave (upload_after): this machine \
                 or its line is too slow for the plan. The update leaves now, and when it does tells something of how long \
                 training took; ask the operator for a longer upload_after",
                by.as_millis().div_ceil(1000)
            ),
            Self::Model(manifest) => {
                write!(
                    f,
                    "model of round {} in use ({})",
                    manifest.id.round,
                    manifest.model.short()
                )
            }
            Self::BelowQuorum { id, accepted, quorum } if accepted >= quorum => {
                write!(
                    f,
                    "{id}: ended without a model, which would not have been finite; the operator's log says where"
                )
            }
            Self::BelowQuorum { id, accepted, quorum } => {
                write!(
                    f,
                    "{id}: ended without a model, {accepted} updates of the {quorum} it takes"
                )
            }
            Self::NotUnmasked {
                id,
                survivors,
                revealed,
            } => write!(
                f,
                "{id}: ended without a model, {revealed} of {survivors} shops helped to unmask their sum, too few"
            ),
            Self::Forked(log) => write!(
                f,
                "the coordinator's record ({} entries, {}) does not extend what was seen before: ask the operator",
                log.length,
                log.head.short()
            ),
            Self::Disconnected { .. } => write!(f, "no connection to the coordinator, trying again"),
            Self::Finished => write!(f, "the run is complete"),
        }
    }
}
