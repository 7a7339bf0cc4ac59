//! What the store holds, record by record. All are JSON, so that they can gain fields.

use serde::{Deserialize, Serialize};
use souk_common::clock::Timestamp;
use souk_common::crypto::sign::Signed;
use souk_common::ids::{AttemptId, Digest, ShopName};
use souk_common::round::statements::{Announcement, Manifest, Outcome, Receipt};
use souk_common::transport::Carrier;
use souk_common::update::Counts;

use super::{Enrolled, Refusals};
use crate::round::PauseReason;

/// Where the run stands.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Run {
    /// The plan; its bytes are a file.
    pub plan: Digest,
    /// The catalogue; its bytes are a file.
    pub catalogue: Digest,
    /// Rounds to publish.
    pub rounds: u64,
    /// Rounds published.
    pub published: u64,
    /// Number of the last attempt at the next round; 0 before the first.
    pub attempt: u32,
    /// The open attempt.
    pub open: Option<Signed<Announcement>>,
    /// Whether the operator paused.
    pub paused: bool,
    /// Steps and moments of the server's optimiser, if it has any: a file.
    #[serde(default)]
    pub optimiser: Option<Digest>,
    /// Entries of the record when it began: what is said at fewer is of a run before.
    #[serde(default)]
    pub began: u64,
}

/// A run that was begun, by its number: the first is 1.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct BegunRun {
    /// Its plan, which no other run has.
    pub plan: Digest,
    /// As [`Run::began`].
    pub began: u64,
}

/// Of which rounds the parts are kept: those since `from`, and of them the last `rounds`.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Keeping {
    /// Rounds whose parts are kept; 0: none.
    pub rounds: u64,
    /// No round before this one is kept any more.
    pub from: u64,
}

impl Keeping {
    /// The first round that is kept once `published` rounds are.
    pub fn since(&self, published: u64) -> u64 {
        self.from.max((published + 1).saturating_sub(self.rounds))
    }
}

/// Of which model versions the files are kept: those since `from`, and of them the last `versions`. Versions are counted from
/// 0 over all runs; initial models and those that were rolled back to are versions as well.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct KeepingModels {
    /// Versions whose files are kept; 0: all.
    pub versions: u64,
    /// No version before this one is kept any more.
    pub from: u64,
}

impl KeepingModels {
    /// The first version that is kept when there are `count`.
    pub fn since(&self, count: u64) -> u64 {
        match self.versions {
            0 => self.from,
            versions => self.from.max(count.saturating_sub(versions)),
        }
    }
}

/// A shop that was invited successfully.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct ShopRecord {
    /// SHA-256 fingerprint (or the transport's digest) of its certificate, in hexadecimal.
    pub fingerprint: String,
    /// Whether it may take part.
    pub standing: Standing,
    /// When it joined.
    pub enrolled_at: Timestamp,
    /// When it was last connected.
    pub seen_at: Option<Timestamp>,
    /// What it said its program is.
    #[serde(default)]
    pub software: String,
    /// Its long-term Ed25519 key, in hexadecimal; empty until a shop that joined before this was kept connects again.
    #[serde(default)]
    pub identity: String,
    /// The certificate that it holds for all that is known, DER in hexadecimal; empty before that was kept.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub certificate: String,
    /// A newer one that was issued, and that the shop has not said to hold yet; empty if there is none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub issued: String,
    /// Number of the list of authorities that it said to hold.
    #[serde(default, skip_serializing_if = "is_none_yet")]
    pub authorities: u64,
    /// By how many milliseconds its clock was ahead of this one when it last checked in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clock_ahead_ms: Option<i64>,
}

/// Records are written as they were before there was anything to say.
fn is_none_yet(number: &u64) -> bool {
    *number == 0
}

/// Whether a shop may take part.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// It may.
    Enrolled,
    /// The operator ended its membership.
    Revoked,
    /// It ended its membership itself.
    Left,
}

/// What went over one shop's connections from one of its processes.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Traffic {
    /// The shop, by its certificate.
    pub shop: ShopName,
    /// The certificate.
    pub fingerprint: String,
    /// The shop's process, as it said.
    pub process_id: u32,
    /// From where.
    pub remote: String,
    /// What carried the newest of its connections; absent: UDP.
    #[serde(default, skip_serializing_if = "is_udp")]
    pub carrier: Carrier,
    /// Bytes of QUIC's datagrams from the shop.
    pub bytes_received: u64,
    /// Bytes of QUIC's datagrams to the shop.
    pub bytes_sent: u64,
}

/// A shop's last update that came when its attempt was not open.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Late {
    /// For which attempt.
    #[serde(flatten)]
    pub id: AttemptId,
    /// How many of the shop's were discarded since the run began.
    pub count: u64,
}

/// One entry of the coordinator's own record.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Entry {
    /// A run began, with the initial model.
    Began(Signed<Manifest>),
    /// An attempt was opened.
    Announced(Signed<Announcement>),
    /// An update was stored.
    Received(Signed<Receipt>),
    /// An attempt ended.
    Ended(Signed<Outcome>),
    /// The operator made an older model the current one.
    RolledBack(Signed<Manifest>),
    /// The catalogue was replaced: what was published before, over the new one.
    Grown(Signed<Manifest>),
    /// A list of a masked attempt was fixed.
    Masked {
        /// Which attempt.
        id: AttemptId,
        /// Which list.
        list: MaskedList,
    },
    /// The server's optimiser took a step: its state before (none for the first) and after, by their digests.
    Stepped {
        /// Which attempt.
        id: AttemptId,
        /// Steps and moments before.
        before: Option<Digest>,
        /// And after.
        after: Option<Digest>,
    },
    /// How the model that the attempt began with ranks, counted under noise.
    Quality {
        /// Which attempt.
        id: AttemptId,
        /// Sums over shops.
        counts: Counts,
    },
    /// The sum of a masked attempt was unmasked.
    Unmasked {
        /// Which attempt.
        id: AttemptId,
        /// Digest of all that the coordinator knew of its masks, as canonical JSON.
        session: Digest,
    },
    /// What a shop signed or showed in a masked attempt proves that it lied: it is left out from then on.
    Named {
        /// In which attempt.
        id: AttemptId,
        /// Who.
        shop: ShopName,
        /// How.
        fault: Fault,
    },
    /// The operator let a shop back that had been left out.
    Readmitted {
        /// Which.
        shop: ShopName,
    },
    /// The operator set of how many rounds the parts are kept; said again when a run begins. What this leaves over is
    /// removed afterwards, never before.
    Keeping(Keeping),
    /// The operator set of how many model versions the files are kept. What this leaves over is removed afterwards, never
    /// before.
    KeepingModels(KeepingModels),
    /// A shop became a member.
    Enrolled(Enrolled),
    /// Tries to enrol were refused.
    EnrolmentsRefused(Refusals),
    /// An attempt at a release ended without one after vectors may have left: what was published, with that attempt charged.
    Charged(Signed<Manifest>),
    /// A run that stood still went on by itself, since the reason was gone.
    WentOn {
        /// The attempt that comes next.
        id: AttemptId,
        /// Why it stood still.
        reason: PauseReason,
    },
}

/// A list of a masked attempt, by its digest (see [`souk_common::secagg`]).
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum MaskedList {
    /// R1.
    Roster(Digest),
    /// R2.
    Sharers(Digest),
    /// R3.
    Survivors(Digest),
}

/// How a shop lied in a masked attempt.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// It revealed a share that is not the one its maker signed.
    FalseShare {
        /// The maker.
        of: ShopName,
    },
    /// Shares that all fit what it signed rebuild something else than the secret it had committed itself to.
    FalseSecret,
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::FalseShare { of } => write!(f, "revealed a share of {of} that is not the one {of} signed"),
            Self::FalseSecret => write!(
                f,
                "sealed shares, and signed them, that rebuild something else than the secret it had committed itself to"
            ),
        }
    }
}

/// A shop that is left out.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Named {
    /// Since which attempt.
    pub id: AttemptId,
    /// Why.
    pub fault: Fault,
}

/// An entry in its chain.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct LogRecord {
    /// Digest of the record before; [`Digest::ZERO`] for the first.
    pub previous: Digest,
    /// When.
    pub at: Timestamp,
    /// What.
    pub entry: Entry,
}

impl LogRecord {
    /// Its digest: over its canonical JSON, which holds the digest of the record before.
    pub fn digest(&self) -> Digest {
        // Structs, numbers and names: always has a JSON form.
        Digest::of(&serde_json::to_vec(self).expect("a log record has a JSON form"))
    }
}

/// As records were before there was another.
fn is_udp(carrier: &Carrier) -> bool {
    *carrier == Carrier::Udp
}
